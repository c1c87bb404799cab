"""What recipes have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._core import (
    MLP,
    ActNorm,
    Affine,
    Base,
    CircularShift,
    Conditioner,
    Dequantize,
    Embedding,
    Exp,
    Layer,
    Linear,
    MixedTransform,
    Normal,
    Partial,
    Product,
    ResidualNet,
    Sigmoid,
    Spline,
    Transform,
    Uniform,
)
from ..arguments import integer
from ..columns import Column, checked, places
from ..flow import Flow

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


def build(
    chain: Sequence[Layer],
    features: int,
    context_features: int,
    embedding: Embedding | None,
    base: Base | None,
    columns: Sequence[Column] | None,
    standardize: bool,
    dtype: DTypeLike,
    seed: int | None,
) -> Flow:
    """The flow of a chain over normal features and angles, with the layers that the columns of
    the data ask for, and an `Affine` beside the data that ``fit`` sets."""
    kinds = checked(columns, features)
    if columns is None:
        ends: list[Layer] = [Affine()] if standardize else []
    else:
        ends = column_layers(kinds, standardize)
    return Flow(
        [*chain, *ends],
        features,
        context_features=context_features,
        embedding=embedding,
        base=column_base(kinds) if base is None else base,
        dtype=dtype,
        seed=seed,
    )


def partial(columns: Sequence[Column], kinds: Sequence[str], layer: Layer) -> list[Layer]:
    """The layer on the columns of these kinds, if there are any; on all without `Partial`."""
    found = places(columns, *kinds)
    if len(found) == len(columns):
        return [layer]
    return [Partial(found, layer)] if found else []


def column_layers(columns: Sequence[Column], standardize: bool) -> list[Layer]:
    """From features without bounds and angles in [-pi, pi] to the columns.

    Units are removed by the `Affine` beside the data, in float64; logarithms and logits are
    standardised by an `ActNorm`. Integers get their noise behind the `Affine`, which leaves them.
    """
    shift, scale = [0.0] * len(columns), [1.0] * len(columns)
    for i, column in enumerate(columns):
        if column.kind == "interval":
            shift[i], scale[i] = column.low, column.high - column.low
        if column.kind == "circular":
            shift[i] = (column.low + column.high) / 2
            scale[i] = (column.high - column.low) / (2 * math.pi)
    opened = [standardize and column.kind == "real" for column in columns]
    bounded = ("positive", "count", "interval", "ordinal")
    return [
        *(partial(columns, bounded, ActNorm()) if standardize else []),
        *partial(columns, ("positive", "count"), Exp()),
        *partial(columns, ("interval", "ordinal"), Sigmoid()),
        *partial(columns, ("count",), Dequantize(None)),
        *_ordinal_layers(columns),
        *partial(columns, ("circular",), CircularShift()),
        Affine(shift, scale, standardize=opened),
    ]


def _ordinal_layers(columns: Sequence[Column]) -> list[Layer]:
    """One for each number of levels."""
    levels = sorted({column.levels for column in columns if column.kind == "ordinal"})
    layers: list[Layer] = []
    for n in levels:
        found = [i for i, c in enumerate(columns) if c.kind == "ordinal" and c.levels == n]
        every = len(found) == len(columns)
        layers.append(Dequantize(n) if every else Partial(found, Dequantize(n)))
    return layers


def column_base(columns: Sequence[Column]) -> Base | None:
    """Uniform angles, the other features normal."""
    angles = [int(column.kind == "circular") for column in columns]
    circle = Uniform(-math.pi, math.pi)
    if all(angles):
        return circle
    return Product([Normal(), circle], angles) if any(angles) else None


def column_spline(columns: Sequence[Column], bins: int, bound: float) -> Transform:
    """Circular splines of angles, splines with linear tails of the other features."""
    angles = [int(column.kind == "circular") for column in columns]
    line, circle = Spline(bins, bound), Spline(bins, math.pi, tails="circular")
    if all(angles):
        return circle
    return MixedTransform([line, circle], angles) if any(angles) else line


def column_mixing(columns: Sequence[Column]) -> list[Layer]:
    """A linear layer of the features that are no angles, which turn each by itself."""
    straight = len(columns) - len(places(columns, "circular"))
    if straight == len(columns):
        return [Linear("lu")]
    linear = partial(columns, ("real", "positive", "interval"), Linear("lu"))
    return [
        *(linear if straight > 1 else []),
        *partial(columns, ("circular",), CircularShift(learned=True)),
    ]


def without_angles(recipe: str, columns: Sequence[Column] | None, features: int) -> None:
    """ValueError if there is an angle, which no affine map leaves on its circle."""
    if places(checked(columns, features), "circular"):
        raise ValueError(f"{recipe}: circular columns take splines: nsf, nsf_ar or ncsf")


def sizes(features: int, layers: int, context_features: int) -> tuple[int, int, int]:
    """The sizes that every recipe takes, looked at."""
    return (
        integer("features", features, 1),
        integer("layers", layers, 1),
        integer("context_features", context_features, 0),
    )


def network(
    hidden: int | Sequence[int], blocks: int, activation: str, dropout: float
) -> Conditioner:
    """A residual network of one width, or a plain one of several."""
    if isinstance(hidden, Sequence):
        return MLP(hidden, activation=activation, dropout=dropout)
    return ResidualNet(
        integer("hidden", hidden, 1),
        blocks=integer("blocks", blocks, 0),
        activation=activation,
        dropout=dropout,
    )
