"""Data and samples in every pair of features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .canvas import DATA_COLOUR, SAMPLES_COLOUR, Bounds, Float, limits, mass_levels, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

_MAX_FEATURES = 6
_MASSES = (0.95, 0.68, 0.3)
_GREYS = ("0.88", "0.74", "0.55")


def pairs(
    data: Float,
    samples: Float,
    names: Sequence[str],
    labels: tuple[str, str],
    figure: Figure | SubFigure | None,
) -> Figure | SubFigure:
    """Marginals on the diagonal, below it the contours of the first six features in pairs."""
    features = min(data.shape[1], _MAX_FEATURES)
    side = 1.5 * features + 0.5
    figure = figure or new_figure(side, side)
    axes = figure.subplots(features, features, sharex="col")
    ranges = [limits(data[:, i], samples[:, i]) for i in range(features)]
    for (row, column), ax in np.ndenumerate(axes):
        if row < column:
            ax.set_axis_off()
            continue
        if row == column:
            histograms(ax, data[:, row], samples[:, row], labels)
            ax.set_yticks([])
        else:
            pair = [column, row]
            _contours(ax, data[:, pair], samples[:, pair], (ranges[column], ranges[row]))
        ax.set_xlim(ranges[column])
        ax.locator_params(nbins=3)
        ax.ticklabel_format(scilimits=(-2, 4))
        ax.label_outer()
        if row == features - 1:
            ax.set_xlabel(names[column])
        if column == 0 and row > 0:
            ax.set_ylabel(names[row])
    axes[0, -1].legend(*axes[0, 0].get_legend_handles_labels(), frameon=False, loc="upper right")
    figure.align_labels()
    return figure


def histograms(ax: Axes, data: Float, samples: Float, labels: tuple[str, str]) -> None:
    """Both densities of one feature, where both are."""
    edges = np.linspace(*limits(data, samples), 41)

    def heights(values: Float) -> Float:
        # Normalised by all values: samples outside the range are missing inside.
        return np.histogram(values, edges)[0] / (len(values) * np.diff(edges))

    ax.stairs(heights(data), edges, fill=True, color=DATA_COLOUR, label=labels[0])
    ax.stairs(heights(samples), edges, color=SAMPLES_COLOUR, linewidth=1.5, label=labels[1])
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(bottom=0.0)
    ax.spines[["top", "right"]].set_visible(False)


def _contours(ax: Axes, data: Float, samples: Float, bounds: Bounds) -> None:
    """The data as shades of grey, the samples as lines."""
    centres, mass = _smooth_histogram(data, bounds)
    levels = np.unique(mass_levels(mass, _MASSES))
    ax.contourf(*centres, mass.T, [*levels, 2.0 * mass.max()], colors=_GREYS[-len(levels) :])
    centres, mass = _smooth_histogram(samples, bounds)
    # All samples may lie outside; several versions of matplotlib then warn.
    if mass.any():
        levels = np.unique(mass_levels(mass, _MASSES))
        ax.contour(*centres, mass.T, levels, colors=SAMPLES_COLOUR, linewidths=1.0)


def _smooth_histogram(points: Float, bounds: Bounds) -> tuple[tuple[Float, Float], Float]:
    """The centres of the cells along both axes, (m,) each, and their blurred contents, (m, m)."""
    counts, *edges = np.histogram2d(points[:, 0], points[:, 1], bins=50, range=np.array(bounds))
    kernel = np.exp(-0.5 * np.square(np.arange(-6, 7) / 2.0))
    for axis in (0, 1):
        counts = np.apply_along_axis(np.convolve, axis, counts, kernel, mode="same")
    x, y = ((edge[1:] + edge[:-1]) / 2.0 for edge in edges)
    return (x, y), counts
