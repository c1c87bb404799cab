"""What recipes have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._core import MLP, Affine, Base, Conditioner, Embedding, Layer, ResidualNet
from ..arguments import integer
from ..flow import Flow

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


def build(
    chain: Sequence[Layer],
    features: int,
    context: int,
    embedding: Embedding | None,
    base: Base | None,
    standardize: bool,
    dtype: DTypeLike,
    seed: int | None,
) -> Flow:
    """The flow of a chain, with an `Affine` beside the data that ``fit`` sets."""
    layers = [*chain, Affine()] if standardize else list(chain)
    return Flow(
        layers,
        features,
        context_features=context,
        embedding=embedding,
        base=base,
        dtype=dtype,
        seed=seed,
    )


def sizes(features: int, layers: int, context: int) -> tuple[int, int, int]:
    """The sizes that every recipe takes, looked at."""
    return (
        integer("features", features, 1),
        integer("layers", layers, 1),
        integer("context", context, 0),
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
