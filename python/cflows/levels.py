"""The latents of a flow of several scales, level by level."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .arrays import real_array

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from . import _core

Shape = tuple[int, ...]


def levels(self: _core.Flow, u: ArrayLike) -> tuple[NDArray[Any], ...]:
    """Cut points of the base into what each `Split` factored out, and what went on to the end.

    Parameters
    ----------
    u : array_like, shape (n, features) or base_shape of images
        As `inverse` gives them.

    Returns
    -------
    tuple of ndarray
        From the split next to the data to the innermost, then the rest: views, where `u` is an
        array. Those of images have the shape (n, channels, height, width). Without a split next
        to the base it is `u` alone.

    Raises
    ------
    ValueError
        If the shape of `u` is not that of the flow's base.

    See Also
    --------
    join_levels : the inverse.

    References
    ----------
    Dinh et al. 2017, Density estimation using Real NVP, arXiv:1605.08803, section 3.6.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.glow((1, 8, 8), levels=2, steps=1, channels=4, seed=0)
    >>> u, _ = flow.inverse(flow.sample(3, seed=0))
    >>> [level.shape for level in flow.levels(u)]
    [(3, 2, 4, 4), (3, 8, 2, 2)]
    """
    array = real_array("u", u)
    if array.shape[1:] != self.base_shape:
        wanted = ", ".join(map(str, ("n", *self.base_shape)))
        raise ValueError(f"u must have shape ({wanted}), got {array.shape}")
    shapes = _shapes(self)
    ends = np.cumsum([math.prod(shape) for shape in shapes])[:-1]
    flat = array.reshape(len(array), math.prod(array.shape[1:]))
    parts = np.split(flat, ends, axis=1)
    return tuple(
        part.reshape(len(array), *shape) for part, shape in zip(parts, shapes, strict=True)
    )


def join_levels(self: _core.Flow, levels: Sequence[ArrayLike]) -> NDArray[Any]:
    """Join what `levels` has cut, for `forward`.

    Parameters
    ----------
    levels : sequence of array_like
        Of the shapes and in the order that `levels` gives.

    Returns
    -------
    ndarray, shape (n, features) or base_shape of images

    Raises
    ------
    ValueError
        If their number or a shape is another.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.glow((1, 8, 8), levels=2, steps=1, channels=4, seed=0)
    >>> fine, coarse = flow.levels(flow.inverse(flow.sample(3, seed=0))[0])
    >>> smooth, _ = flow.forward(flow.join_levels([0.0 * fine, coarse]))
    >>> smooth.shape
    (3, 1, 8, 8)
    """
    shapes = _shapes(self)
    arrays = [real_array(f"level {i}", level) for i, level in enumerate(levels)]
    rows = len(arrays[0]) if arrays and arrays[0].ndim else 0
    wanted, got = [(rows, *shape) for shape in shapes], [array.shape for array in arrays]
    if got != wanted:
        raise ValueError(f"levels must have the shapes {wanted}, got {got}")
    sizes = map(math.prod, shapes)
    flat = [array.reshape(rows, size) for array, size in zip(arrays, sizes, strict=True)]
    return np.concatenate(flat, axis=1).reshape(rows, *self.base_shape)


def _shapes(flow: _core.Flow) -> list[Shape]:
    """The shapes of the levels, that of the outermost split first."""
    shapes: list[Shape] = []
    layers, end = flow.layers, flow.base_shape
    while layers and layers[0].type == "Split":
        split = layers[0]
        channels, kept = split.shape[0], _kept_channels(split)
        shapes.append((channels - kept, *split.shape[1:]))
        inner = split.layers[: len(split.options["layers"])]
        end = (kept, *split.shape[1:]) if not inner else inner[0].base_shape
        layers = inner
    return [*shapes, end]


def _kept_channels(split: _core.BoundLayer) -> int:
    """Those, or features, that go on."""
    channels, mask = split.shape[0], split.options["mask"]
    if mask == "half":
        kept = channels // 2
    elif mask == "alternating":
        kept = (channels + 1) // 2
    elif isinstance(mask[0], bool):
        kept = sum(mask) * channels // len(mask)
    else:
        kept = len(mask)
    return channels - kept if split.options["swap"] else kept
