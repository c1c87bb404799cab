"""Units of log-likelihoods."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def bits_per_dimension(nats: ArrayLike, features: int) -> Any:
    """Nats of a sample in bits per dimension, ``nats / (features log(2))``.

    Parameters
    ----------
    nats : float or array_like
        Negative log-likelihoods, such as the losses of `Flow.fit`. Of discrete data they are those
        of a flow whose layer next to the data is a `Dequantize`: no further term is then needed.
    features : int
        How many numbers a sample has; of images channels x height x width.

    Returns
    -------
    numpy.float64 or ndarray
        As `nats`.

    Raises
    ------
    ValueError
        If `features` is not positive.

    Examples
    --------
    >>> import cflows as cf, math
    >>> float(cf.bits_per_dimension(64 * math.log(256), features=64))
    8.0
    """
    if features < 1:
        raise ValueError(f"features must be 1 or more, got {features}")
    return np.asarray(nats)[()] / (features * math.log(2.0))
