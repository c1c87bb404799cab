"""What the pictures share: the import of matplotlib, colours and ranges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import real_array
from ..names import names_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Float = NDArray[np.float64]
# ((x_min, x_max), (y_min, y_max))
Bounds = tuple[tuple[float, float], tuple[float, float]]

# They differ in lightness as well as in hue, for print and for colour-blind readers.
DATA_COLOUR = "0.5"
SAMPLES_COLOUR = "#0b559f"


def new_figure(width: float, height: float) -> Figure:
    """An empty figure; the size is in inches."""
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install 'cflows[plot]'") from error
    return plt.figure(figsize=(width, height), layout="constrained")


def new_axes(width: float, height: float) -> Axes:
    """The axes of a figure of its own."""
    return new_figure(width, height).subplots()


def close_figure(width: float, height: float) -> Figure:
    """A figure whose axes are close together although their scales are equal."""
    figure = new_figure(width, height)
    figure.set_layout_engine("compressed")
    return figure


def finite_rows(array: ArrayLike, name: str) -> Float:
    """The rows without NaN or infinity, shape (n, features); each row is flattened."""
    table = real_array(name, array)
    if table.ndim == 0:
        raise ValueError(f"expected rows in {name}, got a single number")
    # More rows would not be visible, and the table may be larger than memory.
    table = thinned(table, 100_000)
    rows = table.reshape(len(table), math.prod(table.shape[1:])).astype(np.float64)
    rows = rows[np.isfinite(rows).all(axis=1)]
    if len(rows) == 0:
        raise ValueError(f"{name} has no row of finite numbers")
    return rows


def thinned(rows: NDArray[Any], n: int) -> NDArray[Any]:
    """At most ``n`` rows, evenly spaced, so that their order does not matter."""
    return rows[np.linspace(0, len(rows) - 1, min(n, len(rows))).astype(np.int64)]


def limits(*clouds: Float) -> tuple[float, float]:
    """An interval, with a margin, around all but the outermost 0.5 % of each cloud's values."""
    ends = np.array([np.quantile(values, [0.0025, 0.9975]) for values in clouds])
    low, high = ends[:, 0].min(), ends[:, 1].max()
    margin = 0.1 * (high - low) or 0.5
    return float(low - margin), float(high + margin)


def feature_names(features: int, *sources: Any) -> tuple[str, ...]:
    """The names of the columns of the first model or table that has them, else x, or x_1, x_2, …"""
    for source in sources:
        names = names_of(source)
        if names is not None and len(names) == features:
            # A dollar sign would begin a formula.
            return tuple(name.replace("$", r"\$") for name in names)
    return ("$x$",) if features == 1 else tuple(f"$x_{{{i + 1}}}$" for i in range(features))


def mass_levels(prob: Float, masses: Sequence[float]) -> Float:
    """The levels above which lie the given shares of the sum of ``prob``; NaN is left out."""
    ordered = np.sort(prob[np.isfinite(prob)])[::-1]
    total = np.cumsum(ordered)
    if len(total) == 0 or total[-1] == 0.0:
        return np.zeros(len(masses))
    levels: Float = ordered[np.searchsorted(total, np.multiply(masses, total[-1]))]
    return levels


def aspect(width: float, height: float) -> Literal["equal", "auto"]:
    """One scale for both axes, unless that would squeeze the picture into a strip."""
    return "equal" if 1 / 3 < width / height < 3 else "auto"


def relative_height(frame: Bounds) -> float:
    """The height of a picture of width 1, within limits."""
    width, height = np.ptp(frame, axis=1)
    return float(min(max(height / width, 0.5), 2.0)) if aspect(width, height) == "equal" else 1.0
