"""Grids of the plane, bent by a flow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from .. import _core
from ..arguments import integer
from .canvas import Bounds, Float, aspect, close_figure, feature_names, relative_height
from .stages import BETWEEN, Stage, after_each_layer, applied, of_snapshots, regular

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure, SubFigure

    from ..flow import Flow

_MAX_PANELS = 8
_MAX_COLUMNS = 5
_ROOM = 0.6  # beyond either side of the dense points, in their extents
# Light enough at both ends for the lines; blue and red differ to colour-blind readers too.
_COLOURS = ("#4393c3", "#92c5de", "#f7f7f7", "#f4a582", "#d6604d")
_LINES = ("#1a1a1a", "#7b3294")
_FORWARD = r"$\log\,|\det\,\partial x / \partial u|$"
_INVERSE = r"$\log\,|\det\,\partial u / \partial x|$"


def grid(
    flow: Flow,
    *,
    direction: Literal["forward", "inverse"] = "forward",
    context: ArrayLike | None = None,
    bounds: Bounds | None = None,
    lines: int = 19,
    colorbar: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw a regular grid as a flow of two features carries it.

    The colour is log|det| of the map: red where it stretches areas, so that the density falls, blue
    where it presses them together. Lines of constant first feature are black, those of constant
    second feature purple. The picture shows all of the grid, or, where parts of it lie far away, at
    least the region of 95 % of the probability.

    Parameters
    ----------
    flow : Flow
        Of two features.
    direction : {'forward', 'inverse'}
        ``'forward'`` carries a grid in ``u`` to the data, ``'inverse'`` one in ``x`` to the base.
    context : array_like, shape (context_features,), optional
        The context of a conditional flow.
    bounds : ((left, right), (bottom, top)), optional
        Of the regular grid; by default 3 to each side for a standard normal base, else where
        99.5 % of either feature's samples lie.
    lines : int
        Lines along each side.
    colorbar : bool
        Whether the axes get a scale of the colours beside them.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes
        Its collections are the coloured mesh, then the lines of constant first and second feature.

    Raises
    ------
    ValueError
        If the flow does not have two features, the direction is unknown, there are fewer than 2
        lines, the bounds or the context are wrong, or the map is not finite somewhere on the grid.
    TypeError
        If `flow` is not a Flow, or `lines` not an int.
    ImportError
        If matplotlib is missing.

    See Also
    --------
    layers : the grid after each layer.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.Flow([cf.Linear(), cf.Sinh()], features=2, seed=0)
    >>> ax = cf.plot.grid(flow, bounds=((-1, 1), (-1, 1)))
    """
    if direction not in ("forward", "inverse"):
        raise ValueError(f"direction must be 'forward' or 'inverse', got {direction!r}")
    start = regular(flow, direction, context, bounds, lines)
    forward = direction == "forward"
    stage = applied(flow.forward if forward else flow.inverse, start, context, "")
    frame = _own_frame(stage)
    ax = close_figure(5.4, 0.6 + 4.0 * relative_height(frame)).subplots() if ax is None else ax
    mesh = _draw(ax, stage, _reach([stage]))
    _frame(ax, frame)
    names = feature_names(2, flow) if forward else ("$u_{1}$", "$u_{2}$")
    ax.set(xlabel=names[0], ylabel=names[1])
    if colorbar:
        ax.figure.colorbar(mesh, ax=ax, label=_FORWARD if forward else _INVERSE, shrink=0.8)
    return ax


def layers(
    flow: Flow,
    *,
    stages: Sequence[int] | None = None,
    context: ArrayLike | None = None,
    bounds: Bounds | None = None,
    lines: int = 19,
    figure: Figure | SubFigure | None = None,
) -> Figure | SubFigure:
    """Draw a grid in the base, then as the layers carry it to the data, in a row of panels.

    The colour is log|det| of all layers so far, on one scale, as in `grid`. All panels show the
    same part of the plane, unless the grid becomes so small, large or distant that it would not be
    visible there.

    Parameters
    ----------
    flow : Flow
        Of two features.
    stages : sequence of int, optional
        Which to draw: ``k`` is the grid after ``k`` layers, 0 the regular one. By default all, or
        8 of them.
    context, bounds, lines
        As of `grid`.
    figure : matplotlib Figure or SubFigure, optional
        Where to draw.

    Returns
    -------
    matplotlib Figure or SubFigure

    Raises
    ------
    ValueError
        As of `grid`, or if there is no such stage.
    TypeError
        As of `grid`, or if a stage is not an int.
    ImportError
        If matplotlib is missing.

    See Also
    --------
    animate : the same in motion.
    cflows.Flow.part : some of the layers, as a flow.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.Flow([cf.Linear(), cf.Sinh(), cf.Rotation()], features=2, seed=0)
    >>> figure = cf.plot.layers(flow, bounds=((-1, 1), (-1, 1)))
    """
    everything = after_each_layer(flow, context, bounds, lines)
    last = len(everything) - 1
    if stages is None:
        panels = min(len(everything), _MAX_PANELS)
        stages = np.linspace(0, last, panels).round().astype(int).tolist()
    if len(stages) == 0:
        raise ValueError("expected stages to draw, got none")
    shown = [everything[integer("stages", stage, 0, last)] for stage in stages]

    frames, reach = _frames(shown), _reach(shown)
    one_frame = frames.count(frames[0]) == len(frames)
    rows = math.ceil(len(shown) / _MAX_COLUMNS)
    columns = math.ceil(len(shown) / rows)
    if figure is None:
        tall = 2.3 * (relative_height(frames[0]) if one_frame else 1.0)
        figure = close_figure(2.4 * columns + 1.0, (tall + 0.5) * rows)
    axes = figure.subplots(rows, columns, sharex=one_frame, sharey=one_frame, squeeze=False)
    for ax, stage, frame in zip(axes.flat, shown, frames, strict=False):
        mesh = _draw(ax, stage, reach)
        _frame(ax, frame)
        ax.set_title(stage.title, fontsize="medium")
        ax.tick_params(labelsize="small")
    for ax in axes.flat[len(shown) :]:
        ax.set_axis_off()
    names = feature_names(2, flow) if flow.columns else ("first feature", "second feature")
    figure.supxlabel(names[0], fontsize="medium")
    figure.supylabel(names[1], fontsize="medium")
    figure.colorbar(mesh, ax=axes, label=_FORWARD, shrink=0.8, aspect=20 * rows)
    return figure


def animate(
    flow: Flow | Sequence[Flow],
    *,
    frames: int = 20,
    context: ArrayLike | None = None,
    bounds: Bounds | None = None,
    lines: int = 19,
    figure: Figure | None = None,
) -> FuncAnimation:
    """Move a grid through the layers of a flow, or through flows as they were learned.

    Between two stages every point moves along a straight line, and its colour from one log|det| to
    the next, as in `layers`.

    Parameters
    ----------
    flow : Flow or sequence of Flow
        Of two features. Several are drawn whole, one after the other, as copies of one flow kept
        during a fit: ``callback=lambda report: flows.append(flow.astype(flow.dtype))``.
    frames : int
        Pictures from one stage to the next. Half as many rest at either end.
    context, bounds, lines
        As of `grid`.
    figure : matplotlib Figure, optional
        Where to draw.

    Returns
    -------
    matplotlib FuncAnimation
        Of ``frames * layers + 2 * (frames // 2) + 1`` pictures, 50 ms each.
        ``.save("flow.gif", writer="pillow")`` writes it, ``.to_jshtml()`` is for notebooks.

    Raises
    ------
    ValueError
        As of `grid`, or if there is no flow, or `frames` is below 1.
    TypeError
        As of `grid`, or if `frames` is not an int.
    ImportError
        If matplotlib is missing.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import cflows as cf
    >>> flow = cf.Flow([cf.Linear(), cf.Sinh()], features=2, seed=0)
    >>> animation = cf.plot.animate(flow, frames=2, lines=5)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     animation.save(pathlib.Path(folder) / "flow.gif", writer="pillow")
    """
    frames = integer("frames", frames, 1)
    if isinstance(flow, _core.Flow):
        stages = after_each_layer(flow, context, bounds, lines)
    else:
        stages = of_snapshots(list(flow), context, bounds, lines)
    reach, views, last = _reach(stages), _frames(stages), len(stages) - 1
    if figure is None:
        figure = close_figure(5.4, 0.9 + 4.0 * relative_height(views[0]))
    ax = figure.subplots()
    figure.colorbar(_draw(ax, stages[0], reach), ax=ax, label=_FORWARD, shrink=0.8)
    _frame(ax, views[0])
    # The layout is computed once, not for every picture.
    ax.set_title(stages[0].title)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")

    def picture(frame: int) -> list[Any]:
        time = min(max((frame - frames // 2) / frames, 0.0), last)
        k = min(int(time), max(last - 1, 0))
        before, after = stages[k], stages[min(k + 1, last)]
        share = _eased(time - k)
        while ax.collections:
            ax.collections[0].remove()
        points = _between(before.points, after.points, share)
        log_det = _between(before.log_det, after.log_det, share)
        _draw(ax, before._replace(points=points, log_det=log_det), reach, every=2)
        view = _between(np.array(views[k]), np.array(views[min(k + 1, last)]), share)
        _frame(ax, view)
        ax.set_title(after.title if share > 0.0 else before.title)
        return list(ax.collections)

    from matplotlib.animation import FuncAnimation

    count = frames * last + 2 * (frames // 2) + 1
    return FuncAnimation(figure, picture, frames=count, interval=50)


def _between(before: Float, after: Float, share: float) -> Float:
    # Exact at both ends.
    return (1.0 - share) * before + share * after


def _eased(share: float) -> float:
    """From 0 to 1, slow at both ends, which shows where a stage begins."""
    return share * share * (3.0 - 2.0 * share)


# --- Drawing ---------------------------------------------------------------------------------


def _draw(ax: Axes, stage: Stage, reach: float, every: int = 1) -> QuadMesh:
    """Draw a mesh of every so many points in colours from -reach to reach, and lines on it."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import LinearSegmentedColormap

    points = stage.points
    mesh = ax.pcolormesh(
        points[::every, ::every, 0],
        points[::every, ::every, 1],
        stage.log_det[::every, ::every],
        shading="gouraud",
        cmap=LinearSegmentedColormap.from_list("log_det", _COLOURS),
        vmin=-reach,
        vmax=reach,
        rasterized=True,
    )
    of_first, of_second = points[:, ::BETWEEN].swapaxes(0, 1), points[::BETWEEN]
    for lines, colour in zip((of_first, of_second), _LINES, strict=True):
        ax.add_collection(LineCollection(list(lines), colors=colour, linewidths=0.6, alpha=0.8))
    return mesh


def _frame(ax: Axes, frame: Any) -> None:
    (left, right), (bottom, top) = frame
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect=aspect(right - left, top - bottom))


def _reach(stages: list[Stage]) -> float:
    """The log|det| of the strongest colours."""
    sizes = np.abs([stage.log_det[stage.dense] for stage in stages])
    reach = float(np.quantile(sizes, 0.99))
    # A rounding error beside 0 gets no colour.
    return reach if reach > 1e-3 else 1.0


def _own_frame(stage: Stage) -> Bounds:
    """A frame around the grid, as far as the dense points do not become small in it."""
    seen, everything = stage.points[stage.dense], stage.points.reshape(-1, 2)
    low, high = seen.min(axis=0), seen.max(axis=0)
    room = _ROOM * (high - low)
    low, high = (
        np.maximum(everything.min(axis=0), low - room),
        np.minimum(everything.max(axis=0), high + room),
    )
    margin = 0.05 * (high - low)
    (left, bottom), (right, top) = (low - margin).tolist(), (high + margin).tolist()
    return (left, right), (bottom, top)


def _frames(stages: list[Stage]) -> list[Bounds]:
    """The frame of each stage: one for all if every grid is visible in it, else its own."""
    own = [_own_frame(stage) for stage in stages]
    (left, bottom), (right, top) = np.min(own, axis=0)[:, 0], np.max(own, axis=0)[:, 1]
    smallest = np.ptp(own, axis=2).max(axis=1).min()
    if max(right - left, top - bottom) > 4.0 * smallest:
        return [_squared(frame) for frame in own]
    return [((left, right), (bottom, top))] * len(own)


def _squared(frame: Bounds) -> Bounds:
    """The frame made square: panels then align, and their scales are equal."""
    low, high = np.transpose(frame)
    middle, half = (low + high) / 2.0, (high - low).max() / 2.0
    (left, bottom), (right, top) = (middle - half).tolist(), (middle + half).tolist()
    return (left, right), (bottom, top)
