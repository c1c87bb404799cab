"""Causal graphs in recipes of autoregressive layers: what several layers may depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from .._core import Autoregressive
from ..columns import checked, indices

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Graph = Sequence[bool] | Sequence[Sequence[bool]] | NDArray[np.bool_]


class GraphOptions(TypedDict, total=False):
    """Options of `Autoregressive`, for type checkers."""

    adjacency: Graph | None
    context_adjacency: Graph | None


def graph_options(
    recipe: str,
    features: int,
    layers: int,
    adjacency: Graph | None,
    context_adjacency: Graph | None,
    options: Mapping[str, Any],
) -> GraphOptions:
    """Options of each of the layers of a recipe; none without a graph.

    With a graph all layers have its order. Two of them read the parents of parents: a feature
    depends on all its ancestors, so that with more than one layer the graph must have them all.

    Raises
    ------
    ValueError
        If the layers, or what is beside them, depend on more than the graph says.
    """
    if adjacency is None and context_adjacency is None:
        return {}
    given: GraphOptions = {"adjacency": adjacency, "context_adjacency": context_adjacency}
    read = Autoregressive(**given)  # which checks what the arrays are
    if options.get("standardize") == "whiten":
        raise ValueError(f"{recipe}: standardize='whiten' mixes columns, against the adjacency")
    if indices(checked(options.get("columns"), features), "categorical"):
        raise ValueError(
            f"{recipe}: an adjacency is of columns that are one feature each, and categorical "
            "ones are several"
        )
    if layers > 1:
        parents = _matrix(read.adjacency, features, np.tri(features, k=-1, dtype=bool))
        seen = _matrix(read.context_adjacency, features, np.ones((features, 0), bool))
        _refuse_open(recipe, layers, parents, parents, "adjacency", "")
        _refuse_open(recipe, layers, parents, seen, "context_adjacency", "context ")
    return given


def _matrix(
    numbers: Sequence[bool] | None, features: int, default: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """A row for each feature."""
    if numbers is None or len(numbers) % features != 0:  # which the flow will refuse
        return default
    return np.asarray(numbers, bool).reshape(features, -1)


def _refuse_open(
    recipe: str,
    layers: int,
    parents: NDArray[np.bool_],
    reads: NDArray[np.bool_],
    name: str,
    kind: str,
) -> None:
    """ValueError if a feature does not read what one of its parents reads."""
    if len(parents) != parents.shape[1]:
        return
    others = parents & ~np.eye(len(parents), dtype=bool)  # the diagonal is not read
    if reads is parents:
        reads = others
    missing = (others.astype(int) @ reads.astype(int) > 0) & ~reads
    if not missing.any():
        return
    feature, read = map(int, np.argwhere(missing)[0])
    through = int(np.argmax(others[feature] & reads[:, read]))
    raise ValueError(
        f"{recipe}: {layers} layers see the parents of parents, and by the {name} feature "
        f"{feature} does not depend on {kind}{read}, on which its parent {through} does: take "
        "layers=1, or a graph that has all ancestors"
    )
