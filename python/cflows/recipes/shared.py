"""What recipes share: builders of flows and the layers that columns need."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, TypedDict

from .._core import (
    Affine,
    Argmax,
    Base,
    CircularShift,
    Dequantize,
    Embedding,
    Exp,
    Layer,
    Mobius,
    Normal,
    OnFeatures,
    Product,
    Sigmoid,
    Triangular,
    Uniform,
)
from ..arguments import integer
from ..columns import Column, checked, checked_context, expanded, indices, levels
from ..flow import Flow
from .options import with_options_of

if TYPE_CHECKING:
    from numpy.typing import DTypeLike
    from typing_extensions import Unpack


class Options(TypedDict, total=False):
    """Options of `flow`, for type checkers."""

    context_features: int
    context_columns: Sequence[Column] | None
    embedding: Embedding | None
    standardize_context: bool
    dtype: DTypeLike
    seed: int | None


def flow(
    layers: Sequence[Layer],
    features: int | None = None,
    shape: Sequence[int] | None = None,
    base: Base | None = None,
    *,
    context_features: int = 0,
    context_columns: Sequence[Column] | None = None,
    embedding: Embedding | None = None,
    standardize_context: bool = True,
    dtype: DTypeLike = "float32",
    seed: int | None = None,
) -> Flow:
    """The flow of a recipe.

    Parameters
    ----------
    context_features : int, default 0
        The number of context features, if `context_columns` do not tell.
    context_columns : sequence of Column, optional
        What each context feature holds: `real` or `categorical`, of which each category gets a
        vector of learned numbers (`Embedding`); None is `real` for all.
    embedding : Embedding, optional
        A network that the context passes through first, learned with the flow.
    standardize_context : bool, default True
        Whether the first ``fit`` sets mean and standard deviation of the context's columns, by
        which they are standardised inside the flow.
    dtype : {'float32', 'float64'}, default 'float32'
    seed : int, optional
        Of the starting weights and of random permutations.

    Returns
    -------
    Flow
    """
    context_features = integer("context_features", context_features, 0)
    given = None if context_columns is None else checked_context(context_columns, context_features)
    made = Flow(
        layers,
        features,
        shape=shape,
        context_features=context_features if given is None else len(given),
        embedding=embedding if given is None else _with_categories(embedding, given),
        standardize_context=standardize_context,
        base=base,
        dtype=dtype,
        seed=seed,
    )
    if given is not None:
        made.context_categories = [column.labels for column in given]
    return made


def _with_categories(embedding: Embedding | None, columns: Sequence[Column]) -> Embedding | None:
    """The embedding, with a vector for each category of these columns of the context."""
    if not indices(columns, "categorical"):
        return embedding
    if embedding is None:
        return Embedding(categories=levels(columns))
    if embedding.categories is not None:
        raise ValueError("categories are said twice, by embedding and by context_columns")
    return Embedding(embedding.features, embedding.network, levels(columns))


class ColumnOptions(Options, total=False):
    """Options of `column_flow`, for type checkers."""

    base: Base | None
    columns: Sequence[Column] | None
    standardize: bool | Literal["robust", "whiten"]


@with_options_of(flow)
def column_flow(
    chain: Sequence[Layer],
    features: int,
    *,
    base: Base | None = None,
    columns: Sequence[Column] | None = None,
    standardize: bool | Literal["robust", "whiten"] = True,
    **options: Unpack[Options],
) -> Flow:
    """The flow of a chain over normal features and angles.

    Next to the data are the layers that the columns need, behind an `Affine` that ``fit`` sets.

    Parameters
    ----------
    features : int
        The number of columns of the data.
    base : Base, optional
        None is the standard normal, and uniform for circular columns.
    columns : sequence of Column, optional
        What each column holds: `real`, `positive`, `interval`, `count`, `ordinal`, `categorical`
        or, with splines, `circular`; None is `real` for all.
    standardize : bool, 'robust' or 'whiten', default True
        Have an `Affine` that ``fit`` sets to the mean and standard deviation of the columns or,
        where they are bounded, of their logarithms and logits; 'robust' to median and quantiles,
        on which a few wild numbers have no bearing; 'whiten' has a `Triangular` too, which starts
        at the Cholesky factor of their correlations, for columns that nearly depend on each other.

    Raises
    ------
    ValueError
        If a size is out of range or a name unknown.
    TypeError
        If an argument is of the wrong kind.
    """
    kinds = checked(columns, features)
    if standardize not in (True, False, "robust", "whiten"):
        raise ValueError(
            f"standardize must be True, False, 'robust' or 'whiten', got {standardize!r}"
        )
    robust = standardize == "robust"
    if standardize == "whiten":
        if indices(kinds, "circular", "categorical"):
            raise ValueError(
                "standardize='whiten' mixes columns, and circular and categorical ones cannot be"
            )
        chain = [*chain, Triangular(standardize=True)]
    if columns is None:
        ends: list[Layer] = [Affine(robust=robust)] if standardize else []
    else:
        ends = column_layers(kinds, bool(standardize), robust)
    base = column_base(expanded(kinds)) if base is None else base
    made = flow([*chain, *ends], features, base=base, **options)
    made.categories = [column.labels for column in kinds]
    return made


def on_columns(columns: Sequence[Column], kinds: Sequence[str], layer: Layer) -> list[Layer]:
    """The layer on the columns of these kinds, if there are any; `OnFeatures` unless they are
    all."""
    found = indices(columns, *kinds)
    if len(found) == len(columns):
        return [layer]
    return [OnFeatures(found, layer)] if found else []


def column_layers(
    columns: Sequence[Column], standardize: bool, robust: bool = False
) -> list[Layer]:
    """From features without bounds and angles in [-pi, pi] to the columns.

    All of them but `Argmax` are fixed maps, computed in float64 beside the data. The first
    `Affine` standardises logarithms and logits as it does plain numbers.
    """
    opened = [standardize and column.kind not in ("circular", "categorical") for column in columns]
    return [
        *_categories(columns),
        *([Affine(standardize=opened, robust=robust)] if any(opened) else []),
        *on_columns(columns, ("positive", "count"), Exp()),
        *on_columns(columns, ("ordinal",), Sigmoid()),
        *on_columns(columns, ("count",), Dequantize(None)),
        *_by_ends(columns, "ordinal", lambda column: Dequantize(column.levels)),
        *_by_ends(columns, "interval", lambda column: Sigmoid(column.low, column.high)),
        *(on_columns(columns, ("circular",), Mobius()) if standardize else []),
        *_turns(columns),
    ]


def _categories(columns: Sequence[Column]) -> list[Layer]:
    """From a number for each category to the category."""
    if not indices(columns, "categorical"):
        return []
    return [Argmax(levels(columns))]


def _by_ends(columns: Sequence[Column], kind: str, layer: Callable[[Column], Layer]) -> list[Layer]:
    """A layer for the columns of that kind that have the same ends, after each other."""
    layers: list[Layer] = []
    for column in dict.fromkeys(column for column in columns if column.kind == kind):
        found = [i for i, other in enumerate(columns) if other == column]
        every = len(found) == len(columns)
        layers.append(layer(column) if every else OnFeatures(found, layer(column)))
    return layers


def _turns(columns: Sequence[Column]) -> list[Layer]:
    """From radians to the units of the circular columns."""
    if not indices(columns, "circular"):
        return []
    shift, scale = [0.0] * len(columns), [1.0] * len(columns)
    for i in indices(columns, "circular"):
        low, high = columns[i].low, columns[i].high
        shift[i], scale[i] = (low + high) / 2, (high - low) / (2 * math.pi)
    return [*on_columns(columns, ("circular",), CircularShift()), Affine(shift, scale)]


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
