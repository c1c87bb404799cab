"""What recipes share: builders of flows and the layers that columns need."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

from .._core import (
    ActNorm,
    Affine,
    Base,
    CircularShift,
    Dequantize,
    Embedding,
    Exp,
    Layer,
    Normal,
    OnFeatures,
    Product,
    Sigmoid,
    Uniform,
)
from ..arguments import integer
from ..columns import Column, checked, indices
from ..flow import Flow
from .options import with_options_of

if TYPE_CHECKING:
    from numpy.typing import DTypeLike
    from typing_extensions import Unpack


class Options(TypedDict, total=False):
    """Options of `flow`, for type checkers."""

    context_features: int
    embedding: Embedding | None
    dtype: DTypeLike
    seed: int | None


def flow(
    layers: Sequence[Layer],
    features: int | None = None,
    shape: Sequence[int] | None = None,
    base: Base | None = None,
    *,
    context_features: int = 0,
    embedding: Embedding | None = None,
    dtype: DTypeLike = "float32",
    seed: int | None = None,
) -> Flow:
    """The flow of a recipe.

    Parameters
    ----------
    context_features : int, default 0
        The number of context features.
    embedding : Embedding, optional
        A network that the context passes through first, learned with the flow.
    dtype : {'float32', 'float64'}, default 'float32'
    seed : int, optional
        Of the starting weights and of random permutations.

    Returns
    -------
    Flow
    """
    return Flow(
        layers,
        features,
        shape=shape,
        context_features=integer("context_features", context_features, 0),
        embedding=embedding,
        base=base,
        dtype=dtype,
        seed=seed,
    )


class ColumnOptions(Options, total=False):
    """Options of `column_flow`, for type checkers."""

    base: Base | None
    columns: Sequence[Column] | None
    standardize: bool


@with_options_of(flow)
def column_flow(
    chain: Sequence[Layer],
    features: int,
    *,
    base: Base | None = None,
    columns: Sequence[Column] | None = None,
    standardize: bool = True,
    **options: Unpack[Options],
) -> Flow:
    """The flow of a chain over normal features and angles.

    Next to the data are the layers that the columns need, and an `Affine` that ``fit`` sets.

    Parameters
    ----------
    features : int
        The number of columns of the data.
    base : Base, optional
        None is the standard normal, and uniform for circular columns.
    columns : sequence of Column, optional
        What each column holds: `real`, `positive`, `interval`, `count`, `ordinal` or, with
        splines, `circular`; None is `real` for all.
    standardize : bool, default True
        End with an `Affine` that ``fit`` sets to the mean and standard deviation of the `real`
        columns.

    Raises
    ------
    ValueError
        If a size is out of range or a name unknown.
    TypeError
        If an argument is of the wrong kind.
    """
    kinds = checked(columns, features)
    if columns is None:
        ends: list[Layer] = [Affine()] if standardize else []
    else:
        ends = column_layers(kinds, standardize)
    base = column_base(kinds) if base is None else base
    return flow([*chain, *ends], features, base=base, **options)


def on_columns(columns: Sequence[Column], kinds: Sequence[str], layer: Layer) -> list[Layer]:
    """The layer on the columns of these kinds, if there are any; `OnFeatures` unless they are
    all."""
    found = indices(columns, *kinds)
    if len(found) == len(columns):
        return [layer]
    return [OnFeatures(found, layer)] if found else []


def column_layers(columns: Sequence[Column], standardize: bool) -> list[Layer]:
    """From features without bounds and angles in [-pi, pi] to the columns.

    Units are removed by the `Affine` beside the data, in float64; logarithms and logits are
    standardised by an `ActNorm`. `Dequantize` comes before the `Affine`, which does not change
    integers.
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
        *(on_columns(columns, bounded, ActNorm()) if standardize else []),
        *on_columns(columns, ("positive", "count"), Exp()),
        *on_columns(columns, ("interval", "ordinal"), Sigmoid()),
        *on_columns(columns, ("count",), Dequantize(None)),
        *_ordinal_layers(columns),
        *on_columns(columns, ("circular",), CircularShift()),
        Affine(shift, scale, standardize=opened),
    ]


def _ordinal_layers(columns: Sequence[Column]) -> list[Layer]:
    """A `Dequantize` for each number of levels."""
    levels = sorted({column.levels for column in columns if column.kind == "ordinal"})
    layers: list[Layer] = []
    for n in levels:
        found = [i for i, c in enumerate(columns) if c.kind == "ordinal" and c.levels == n]
        every = len(found) == len(columns)
        layers.append(Dequantize(n) if every else OnFeatures(found, Dequantize(n)))
    return layers


def column_base(columns: Sequence[Column]) -> Base | None:
    """The base: angles are uniform, other features normal."""
    angles = [int(column.kind == "circular") for column in columns]
    circle = Uniform(-math.pi, math.pi)
    if all(angles):
        return circle
    return Product([Normal(), circle], angles) if any(angles) else None


def without_angles(recipe: str, features: int, options: ColumnOptions) -> None:
    """ValueError if there is a circular column: affine maps do not keep angles on the circle."""
    if indices(checked(options.get("columns"), features), "circular"):
        raise ValueError(f"{recipe}: circular columns take splines: nsf, nsf_ar or ncsf")


def sizes(features: int, layers: int) -> tuple[int, int]:
    """The sizes that every recipe takes, checked."""
    return integer("features", features, 1), integer("layers", layers, 1)
