"""Changes of images that keep their labels, for training rows alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arguments import integer

Array = NDArray[Any]
Augmentation = Callable[[Array, np.random.Generator], Array]

_ROWS = 4096  # images at a time


@dataclass(frozen=True)
class Flip:
    """Mirror images, each with a probability.

    Parameters
    ----------
    axis : {'horizontal', 'vertical'}
        ``'horizontal'`` exchanges left and right, ``'vertical'`` top and bottom.
    probability : float, default 0.5

    Raises
    ------
    ValueError
        If the axis is another, or the probability is not from 0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from cflows import data
    >>> images = np.arange(6).reshape(1, 1, 2, 3)
    >>> data.Flip(probability=1.0)(images, np.random.default_rng(0)).tolist()
    [[[[2, 1, 0], [5, 4, 3]]]]
    """

    axis: str = "horizontal"
    probability: float = 0.5

    def __post_init__(self) -> None:
        if self.axis not in ("horizontal", "vertical"):
            raise ValueError(f"axis must be 'horizontal' or 'vertical', got {self.axis!r}")
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"probability must be from 0 to 1, got {self.probability}")

    def __call__(self, images: Array, rng: np.random.Generator) -> Array:
        """New images."""
        result: Array = images.copy()
        chosen = rng.random(len(images)) < self.probability
        axis = 3 if self.axis == "horizontal" else 2
        result[chosen] = np.flip(images[chosen], axis)
        return result


@dataclass(frozen=True)
class Shift:
    """Shift images by up to so many pixels in each direction; new pixels are `fill`.

    Parameters
    ----------
    pixels : int, default 1
    fill : float, default 0
        In the images' units.

    Raises
    ------
    ValueError
        If `pixels` is negative.
    TypeError
        If it is not an int.

    Examples
    --------
    >>> import numpy as np
    >>> from cflows import data
    >>> images = np.arange(4).reshape(1, 1, 2, 2)
    >>> data.Shift(1)(images, np.random.default_rng(2)).tolist()
    [[[[0, 2], [0, 0]]]]
    """

    pixels: int = 1
    fill: float = 0.0

    def __post_init__(self) -> None:
        integer("pixels", self.pixels, 0)

    def __call__(self, images: Array, rng: np.random.Generator) -> Array:
        """New images."""
        n, pixels = len(images), self.pixels
        around = ((0, 0), (0, 0), (pixels, pixels), (pixels, pixels))
        padded = np.pad(images, around, constant_values=self.fill)
        windows = np.lib.stride_tricks.sliding_window_view(padded, images.shape[2:], axis=(2, 3))
        down, right = rng.integers(0, 2 * pixels + 1, size=(2, n))
        result: Array = windows[np.arange(n), :, down, right].copy()
        return result


@dataclass(frozen=True)
class QuarterTurns:
    """Turn square images by 0, 90, 180 or 270 degrees, each as likely.

    Examples
    --------
    >>> import numpy as np
    >>> from cflows import data
    >>> images = np.arange(4).reshape(1, 1, 2, 2)
    >>> data.QuarterTurns()(images, np.random.default_rng(1)).tolist()
    [[[[1, 3], [0, 2]]]]
    """

    def __call__(self, images: Array, rng: np.random.Generator) -> Array:
        """New images."""
        if images.shape[2] != images.shape[3]:
            raise ValueError(f"images must be square to be turned, got shape {images.shape}")
        turns = rng.integers(0, 4, size=len(images))
        result: Array = images.copy()
        for k in range(1, 4):
            result[turns == k] = np.rot90(images[turns == k], k, axes=(2, 3))
        return result


def augmented(
    images: ArrayLike,
    augment: Augmentation | Sequence[Augmentation],
    seed: int = 0,
    epoch: int = 0,
    out: Array | None = None,
) -> Array:
    """Images changed by one augmentation after the other.

    Parameters
    ----------
    images : array_like, shape (n, channels, height, width)
    augment : callable or sequence of callable
        `Flip`, `Shift`, `QuarterTurns`, or any ``f(images, rng)`` that returns as many new images
        of the same shape.
    seed, epoch : int
        The same numbers give the same images.
    out : ndarray, optional
        Of the images' shape, to write into.

    Returns
    -------
    ndarray
        Of the images' shape and dtype; `out` if it is given.

    Raises
    ------
    ValueError
        If the array is not of images, or an augmentation changes their shape.
    TypeError
        If an augmentation cannot be called.

    Examples
    --------
    >>> from cflows import data
    >>> images = data.digits()[0][:, None]
    >>> data.augmented(images, [data.Shift(1), data.Flip()], seed=0).shape
    (1797, 1, 8, 8)
    """
    images = np.asarray(images)
    if isinstance(augment, str) or not isinstance(augment, Sequence):
        steps: tuple[Any, ...] = (augment,)
    else:
        steps = tuple(augment)
    for step in steps:
        if not callable(step):
            raise TypeError(f"an augmentation is a function of images and rng, got {step!r}")
    if images.ndim != 4:
        raise ValueError(f"images must have shape (n, channels, height, width), got {images.shape}")
    result = np.empty_like(images) if out is None else out
    for first in range(0, len(images), _ROWS):
        rng = np.random.default_rng([seed, epoch, first])
        part = images[first : first + _ROWS]
        for step in steps:
            part = _applied(step, part, rng)
        result[first : first + _ROWS] = part
    return result


def _applied(step: Augmentation, images: Array, rng: np.random.Generator) -> Array:
    result = np.asarray(step(images, rng))
    if result.shape != images.shape:
        raise ValueError(f"{step!r} made images of {images.shape} such of {result.shape}")
    return result
