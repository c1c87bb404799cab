"""The data set that comes with the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def digits() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Handwritten digits, 8 by 8 pixels of 17 levels, and what they show.

    The test part of *Optical Recognition of Handwritten Digits* (E. Alpaydin and C. Kaynak 1998,
    UCI Machine Learning Repository, https://doi.org/10.24432/C50P49), licensed CC BY 4.0, in the
    form that scikit-learn distributes as ``load_digits``; unchanged but for the number type. A
    pixel counts the dark dots in a 4 by 4 block of a 32 by 32 scan.

    Returns
    -------
    images : ndarray of uint8, shape (1797, 8, 8)
        From 0, blank, to 16.
    labels : ndarray of uint8, shape (1797,)
        From 0 to 9.

    Examples
    --------
    >>> from cflows import data
    >>> images, labels = data.digits()
    >>> images.shape, int(images.max()), labels[:5].tolist()
    ((1797, 8, 8), 16, [0, 1, 2, 3, 4])
    """
    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as archive:
        return archive["images"], archive["labels"]
