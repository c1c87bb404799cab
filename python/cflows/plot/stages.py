"""Stages of a grid of the plane on its way through a flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from ..arguments import integer
from .canvas import Bounds, Float, mass_levels

if TYPE_CHECKING:
    from ..flow import Flow

BETWEEN = 8  # steps from line to line, so that lines can bend


class Stage(NamedTuple):
    """A transformed grid: points, shape (side, side, 2), and the log|det| so far at each point."""

    title: str
    points: Float
    log_det: Float
    dense: NDArray[np.bool_]  # where most of the probability lies, which the frame must show


def regular(
    flow: Flow,
    direction: Literal["forward", "inverse"],
    context: ArrayLike | None,
    bounds: Bounds | None,
    lines: int,
) -> Stage:
    """The regular grid to transform."""
    if not isinstance(flow, _core.Flow):
        raise TypeError(f"expected a flow, got {type(flow).__name__}")
    if flow.shape != (2,):
        raise ValueError(f"expected a flow of 2 features, got one of shape {flow.shape}")
    lines = integer("lines", lines, 2)
    if bounds is None:
        bounds = _usual(flow, direction, context)
    (left, right), (bottom, top) = bounds
    if not (left < right and bottom < top):
        raise ValueError(f"expected bounds ((left, right), (bottom, top)), got {bounds}")
    side = (lines - 1) * BETWEEN + 1
    across, up = np.linspace(left, right, side), np.linspace(bottom, top, side)
    points = np.stack(np.meshgrid(across, up), axis=-1)
    source = flow.part(0, 0) if direction == "forward" else flow
    log_prob = source.log_prob(points.reshape(-1, 2), context).astype(np.float64)
    prob = np.exp(log_prob - np.nanmax(log_prob)).reshape(side, side)
    return Stage("$u$", points, np.zeros((side, side)), prob >= mass_levels(prob, [0.95])[0])


def _usual(
    flow: Flow, direction: Literal["forward", "inverse"], context: ArrayLike | None
) -> Bounds:
    if direction == "forward" and flow.base == _core.Normal():
        return (-3.0, 3.0), (-3.0, 3.0)
    source = flow.part(0, 0) if direction == "forward" else flow
    rows = source.sample(10_000, context, seed=0)
    (left, bottom), (right, top) = np.quantile(rows, [0.0025, 0.9975], axis=0).tolist()
    return (left, right), (bottom, top)


def applied(map_: Any, stage: Stage, context: ArrayLike | None, title: str) -> Stage:
    """The stage after a map, `Flow.forward` or `Flow.inverse`."""
    shape = stage.points.shape
    points, log_det = map_(stage.points.reshape(-1, 2), context)
    wrong = ~(np.isfinite(points).all(axis=1) & np.isfinite(log_det))
    if wrong.any():
        raise ValueError(
            f"the map is not finite at {wrong.sum():,} of {wrong.size:,} points of the grid: "
            "give bounds that lie in its domain"
        )
    points = points.reshape(shape).astype(np.float64)
    return Stage(title, points, stage.log_det + log_det.reshape(shape[:-1]), stage.dense)


def after_each_layer(
    flow: Flow, context: ArrayLike | None, bounds: Bounds | None, lines: int
) -> list[Stage]:
    """The regular grid, then that after each layer."""
    stages = [regular(flow, "forward", context, bounds, lines)]
    for i, layer in enumerate(flow.layers):
        part = flow.part(i, i + 1)
        title = f"{i + 1}: {layer.type}"
        stages.append(applied(part.forward, stages[-1], context, title))
    if len(stages) > 1:
        stages[-1] = stages[-1]._replace(title=f"{stages[-1].title} $\\to\\;x$")
    return stages


def of_snapshots(
    flows: list[Flow], context: ArrayLike | None, bounds: Bounds | None, lines: int
) -> list[Stage]:
    """The regular grid as each of the flows transforms it."""
    if not flows:
        raise ValueError("expected a flow, or several, got none")
    starts = [regular(flow, "forward", context, bounds, lines) for flow in flows]
    return [
        applied(flow.forward, starts[0], context, f"flow {i + 1} of {len(flows)}")
        for i, flow in enumerate(flows)
    ]
