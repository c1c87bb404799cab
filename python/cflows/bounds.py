"""Tighter bounds on the log-likelihood of flows with stochastic layers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .arguments import integer
from .names import array_by_name

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from . import _core


def importance_weighted_log_prob(
    self: _core.Flow,
    x: ArrayLike,
    samples: int,
    context: ArrayLike | None = None,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Bound the log-likelihood more closely than `log_prob` does, with several draws of the noise.

    ``log((exp(l_1) + ... + exp(l_k)) / k)`` with ``l_j`` the `log_prob` of independent noise. Its
    expectation rises with k towards the log-likelihood (Burda et al. 2016, theorem 1). Of a flow
    without stochastic layers it is `log_prob`.

    Parameters
    ----------
    x : array_like, shape (n, features) or (n, channels, height, width)
    samples : int
        k, how many draws of the noise; the time is that of so many `log_prob`.
    context : array_like, shape (n, context_features) or (context_features,), optional
        As of `log_prob`.
    seed : int, default 0
        Of the noise, 0 to 2**64 - 1.

    Returns
    -------
    ndarray of float64, shape (n,)
        In nats.

    Raises
    ------
    ValueError
        If a shape is wrong or `samples` is not positive.

    References
    ----------
    Burda et al. 2016, Importance weighted autoencoders, arXiv:1509.00519, equation 8.
    Ho et al. 2019, Flow++, arXiv:1902.00275, section 4.2 (for dequantization).

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.Flow([cf.Sigmoid(), cf.Dequantize(levels=4)], features=2)
    >>> x = [[0, 3], [2, 1]]
    >>> bool((flow.importance_weighted_log_prob(x, 1000) > flow.log_prob(x) - 0.5).all())
    True
    """
    samples = integer("samples", samples, 1)
    samples = samples if self.stochastic else 1
    array = array_by_name(self, "x", x)
    total = self.log_prob(array, context, seed).astype(np.float64)
    for draw in range(1, samples):
        log_prob = self.log_prob(array, context, seed, draw * len(array))
        total = np.logaddexp(total, log_prob)
    return total - math.log(samples)
