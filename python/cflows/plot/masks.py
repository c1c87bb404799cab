"""Which features a masked layer keeps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .canvas import DATA_COLOUR, SAMPLES_COLOUR, new_axes
from .sheet import tiled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BLANK, _IDENTITY, _TRANSFORMED = 0.0, 1.0, 2.0


def mask(
    mask: str | Sequence[bool] | Sequence[int] | NDArray[Any] | _core.Layer | _core.BoundLayer,
    shape: int | Sequence[int] | None = None,
    *,
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw which features a mask keeps and which are transformed.

    Features are squares in a row; images are drawn pixel by pixel, channel beside channel.

    Parameters
    ----------
    mask : Coupling, Split, a bound layer of ``flow.layers``, or a value of their option ``mask``
        Such as ``'half'``, ``'alternating'``, ``'checkerboard'``, booleans that are True where a
        feature or channel is kept, or indices of those that are.
    shape : int or (channels, height, width), optional
        The number of features, or the shape of the images. A bound layer knows it.
    legend : bool
        Whether the colours are explained: once is enough for several masks in a row.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If there is no shape, or the mask does not fit it or transforms nothing.
    TypeError
        If the layer has no mask, or the argument is not a mask.
    ImportError
        If matplotlib is missing.

    Examples
    --------
    >>> import cflows as cf
    >>> ax = cf.plot.mask("checkerboard", (1, 8, 8))
    >>> flow = cf.realnvp(features=6, seed=0)
    >>> ax = cf.plot.mask(flow.layers[1])
    """
    if isinstance(mask, _core.BoundLayer):
        shape, mask = mask.shape, mask.spec
    transformed = _transformed(mask, shape)
    channels = len(transformed)
    columns = channels if channels <= 4 else math.ceil(math.sqrt(channels))
    sheet = tiled(np.where(transformed, _TRANSFORMED, _IDENTITY)[..., None], columns)[..., 0]
    tall, wide = sheet.shape

    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    if ax is None:
        across = min(max(0.45 * wide, 3.0), 6.0)
        ax = new_axes(across, across * tall / wide + 0.6)
    ax.pcolormesh(
        np.ma.masked_equal(sheet, _BLANK),
        cmap=ListedColormap([DATA_COLOUR, SAMPLES_COLOUR]),
        vmin=_IDENTITY,
        vmax=_TRANSFORMED,
        edgecolors="white",
        linewidth=min(1.0, 15.0 / max(wide, tall)),
    )
    ax.set(xlim=(0, wide), ylim=(tall, 0), aspect="equal")
    ax.set_axis_off()
    if not legend:
        return ax
    kinds = [
        Patch(color=DATA_COLOUR, label="identity"),
        Patch(color=SAMPLES_COLOUR, label="transformed"),
    ]
    ax.legend(handles=kinds, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=2, frameon=False)
    return ax


def _transformed(mask: Any, shape: Any) -> NDArray[np.bool_]:
    """Where a coupling with the mask transforms, shape (channels, height, width)."""
    swap = False
    if isinstance(mask, _core.Layer):
        if not isinstance(mask, (_core.Coupling, _core.Split)):
            raise TypeError(f"expected a layer with a mask, a Coupling or Split, got {mask!r}")
        mask, swap = mask.mask, mask.swap
    if shape is None:
        raise ValueError("expected a shape: the number of features, or (channels, height, width)")
    # The core reads masks: with parameters of 1 a coupling changes 0 exactly where it transforms.
    coupling = _core.Coupling(mask, swap, "additive", hidden=(1,))
    size = {"shape": shape} if np.ndim(shape) else {"features": shape}
    flow = _core.Flow([coupling], **size, seed=0)
    for parameter in flow.parameters.values():
        parameter[...] = 1.0
    x, _ = flow.forward(np.zeros((1, *flow.shape)))
    transformed: NDArray[np.bool_] = x[0] != 0.0
    return transformed.reshape(flow.shape if len(flow.shape) == 3 else (1, 1, -1))
