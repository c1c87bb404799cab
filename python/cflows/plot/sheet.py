"""Sheets of images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arguments import integer
from .canvas import new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def images(
    array: ArrayLike,
    *,
    shape: Sequence[int] | None = None,
    columns: int | None = None,
    limits: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a sheet of images.

    Parameters
    ----------
    array : array_like, shape (n, height, width) or (n, channels, height, width)
        One channel is drawn dark on light, three in colour.
    shape : sequence of int, optional
        The shape of one image, for an array of shape (n, features).
    columns : int, optional
        Images in a row; by default as many as make the sheet square.
    limits : (low, high), optional
        The values of no and of full intensity; by default the minimum and the maximum.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the array does not have the shape of images, or `columns` is below 1.
    TypeError
        If `columns` is not an int.
    ImportError
        If matplotlib is missing.

    Examples
    --------
    >>> from cflows import data, plot
    >>> digits, _ = data.digits()
    >>> ax = plot.images(digits[:100])
    """
    pictures = _as_images(np.asarray(array), shape)
    n, _, _, channels = pictures.shape
    across = math.ceil(math.sqrt(n)) if columns is None else integer("columns", columns, 1)
    low, high = (np.nanmin(pictures), np.nanmax(pictures)) if limits is None else limits
    # In float64: the difference of small integers may not fit their dtype.
    levels = (pictures - float(low)) / ((float(high) - float(low)) or 1.0)
    sheet = tiled(np.clip(levels, 0.0, 1.0), across)
    height, width = sheet.shape[:2]
    ax = new_axes(4.5, min(4.5 * height / width, 9.0)) if ax is None else ax
    ax.imshow(sheet if channels == 3 else sheet[..., 0], cmap="gray_r", vmin=0.0, vmax=1.0)
    ax.set_axis_off()
    return ax


def _as_images(array: NDArray[Any], shape: Sequence[int] | None) -> NDArray[Any]:
    """The array with its channels last, shape (n, height, width, channels)."""
    expected = "(n, height, width) or (n, 1 or 3 channels, height, width)"
    full = array.shape if shape is None else (*array.shape[:1], *shape)
    if len(full) == 3:
        full = (full[0], 1, *full[1:])
    if len(full) != 4 or full[1] not in (1, 3) or array.size != math.prod(full) or array.size == 0:
        given = "" if shape is None else f" for images of shape {tuple(shape)}"
        raise ValueError(f"expected {expected}, got {array.shape}{given}")
    images: NDArray[Any] = array.reshape(full).transpose(0, 2, 3, 1)
    return images


def tiled(pictures: NDArray[Any], columns: int) -> NDArray[Any]:
    """The images, shape (n, height, width, channels), in rows, with blank lines between them."""
    n, height, width, channels = pictures.shape
    rows = math.ceil(n / columns)
    blank = 1.0 if channels == 3 else 0.0
    cells = np.full((rows * columns, height + 1, width + 1, channels), blank)
    cells[:n, 1:, 1:] = pictures
    tiled = cells.reshape(rows, columns, height + 1, width + 1, channels).swapaxes(1, 2)
    sheet: NDArray[Any] = tiled.reshape(rows * (height + 1), columns * (width + 1), channels)
    return sheet[1:, 1:]
