"""Data beside samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import listed
from ..names import names_of, selected
from .canvas import (
    DATA_COLOUR,
    SAMPLES_COLOUR,
    Float,
    aspect,
    feature_names,
    finite_rows,
    limits,
    new_figure,
    thinned,
)
from .pairs import histograms, pairs
from .sheet import images

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

_MAX_POINTS = 5000
_MAX_IMAGES = 64


def samples(
    data: ArrayLike,
    samples: ArrayLike,
    *,
    shape: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    labels: tuple[str, str] = ("data", "samples"),
    figure: Figure | SubFigure | None = None,
) -> Figure | SubFigure:
    """Draw data beside samples, where both are.

    One feature gives histograms, two give scatters side by side. More give the first six in pairs,
    as the contours that hold 30, 68 and 95 % of the points. Images give two sheets.

    Parameters
    ----------
    data, samples : array_like, shape (n, features) or the shape of images
        They may differ in ``n``. Rows with NaN or infinity are left out.
    shape : sequence of int, optional
        The shape of an image, as `images` takes it, if the rows are images.
    names : sequence of str, optional
        The names of the features; by default those of a table's columns. Tables that have them
        all, as those of ``names=flow.columns``, are matched by them; arrays go by position.
    labels : (str, str)
        What the two are called.
    figure : matplotlib Figure or SubFigure, optional
        Where to draw.

    Returns
    -------
    matplotlib Figure or SubFigure

    Raises
    ------
    ValueError
        If the two differ in their features or in the names of their columns, or one has no finite
        row.
    ImportError
        If matplotlib is missing.

    Examples
    --------
    >>> from cflows import data, plot
    >>> moons = data.toy("moons")
    >>> figure = plot.samples(moons.sample(1000, seed=0), moons.sample(1000, seed=1))
    >>> digits, _ = data.digits()
    >>> figure = plot.samples(digits[:900], digits[900:])
    """
    shape = np.shape(data)[1:] if shape is None and np.ndim(data) > 2 else shape
    data, samples, names = _by_name(data, samples, names)
    both = finite_rows(data, "data"), finite_rows(samples, "samples")
    features = both[0].shape[1]
    if both[1].shape[1] != features:
        raise ValueError(f"data have {features} features, samples have {both[1].shape[1]}")
    if shape is not None:
        return _sheets(*both, shape, labels, figure or new_figure(8.0, 4.3))
    names = feature_names(features, data, samples) if names is None else names
    if len(names) != features:
        raise ValueError(f"expected {features} names, got {len(names)}")
    if features == 1:
        return _histograms(*both, names, labels, figure or new_figure(5.0, 3.6))
    if features == 2:
        return _scatters(*both, names, labels, figure)
    return pairs(*both, names, labels, figure)


def _by_name(
    data: Any, samples: Any, names: Sequence[str] | None
) -> tuple[Any, Any, Sequence[str] | None]:
    """Both with their columns in one order, as far as they have names, and the names if these are
    others than theirs."""
    known, others = names_of(data), names_of(samples)
    own = known or others
    if own is None:
        return data, samples, names
    is_order = names is not None and set(names) <= set(own)
    order = tuple(names) if names is not None and is_order else own
    if known is not None and others is not None and not set(order) <= set(known) & set(others):
        raise ValueError(
            f"data have the columns {listed(known)}, samples {listed(others)}: give both the same"
        )
    data = data if known is None else selected(data, order)
    samples = samples if others is None else selected(samples, order)
    return data, samples, None if is_order else names


def _sheets(
    data: Float,
    samples: Float,
    shape: Sequence[int],
    labels: tuple[str, str],
    figure: Figure | SubFigure,
) -> Figure | SubFigure:
    # Both have the grey scale of the data.
    grey = float(data.min()), float(data.max())
    axes = figure.subplots(1, 2, gridspec_kw={"wspace": 0.05})
    for ax, label, rows in zip(axes, labels, (data, samples), strict=True):
        images(thinned(rows, _MAX_IMAGES), shape=shape, limits=grey, ax=ax)
        ax.set_title(label)
    return figure


def _histograms(
    data: Float,
    samples: Float,
    names: Sequence[str],
    labels: tuple[str, str],
    figure: Figure | SubFigure,
) -> Figure | SubFigure:
    ax = figure.subplots()
    histograms(ax, data[:, 0], samples[:, 0], labels)
    ax.set(xlabel=names[0], ylabel="density")
    ax.legend(frameon=False)
    return figure


def _scatters(
    data: Float,
    samples: Float,
    names: Sequence[str],
    labels: tuple[str, str],
    figure: Figure | SubFigure | None,
) -> Figure | SubFigure:
    frame = limits(data[:, 0], samples[:, 0]), limits(data[:, 1], samples[:, 1])
    width, height = np.ptp(frame, axis=1)
    proportions = aspect(width, height)
    # A height that leaves no blank above and below two panels 3.5 inches wide.
    tall = 0.8 + 3.5 * (height / width if proportions == "equal" else 1.0)
    figure = figure or new_figure(8.0, min(tall, 6.0))
    # Equal numbers of both: equal densities then look equal.
    n = min(len(data), len(samples), _MAX_POINTS)
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    for ax, label, rows, colour in (
        (left, labels[0], data, DATA_COLOUR),
        (right, labels[1], samples, SAMPLES_COLOUR),
    ):
        shown = thinned(rows, n)
        ax.scatter(shown[:, 0], shown[:, 1], s=3.0, color=colour, linewidths=0.0, alpha=0.6)
        ax.set(title=label, xlabel=names[0], xlim=frame[0], ylim=frame[1], aspect=proportions)
    left.set_ylabel(names[1])
    return figure
