"""Recipes with an adjacency: the graph holds through the whole flow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cflows as cf

Array = np.ndarray
# 0 -> 1 -> 2 -> 4 and 3 -> 4, in an order that is not that of the columns.
NAMES = [3, 0, 4, 1, 2]  # the feature of each node
EDGES = [(0, 1), (1, 2), (2, 4), (3, 4)]
N = 5
RECIPES: dict[str, Callable[..., cf.Flow]] = {
    "maf": lambda **options: cf.maf(N, hidden=(20,), **options),
    "maf-batch-norm": lambda **options: cf.maf(N, hidden=(20,), batch_norm=True, **options),
    "naf": lambda **options: cf.naf(N, hidden=(20,), **options),
    "nsf_ar": lambda **options: cf.nsf_ar(N, hidden=(20,), **options),
    "nsf_ar-angle": lambda **options: cf.nsf_ar(
        N, hidden=(20,), columns=[cf.real, cf.circular(7), cf.positive, cf.real, cf.real], **options
    ),
}


def graph() -> Array:
    found = np.zeros((N, N), dtype=bool)
    for cause, effect in EDGES:
        found[NAMES[effect], NAMES[cause]] = True
    return found


def closure(parents: Array) -> Array:
    reached = parents | np.eye(N, dtype=bool)
    for _ in range(N):
        reached = reached @ reached
    return reached & ~np.eye(N, dtype=bool)


def scattered(flow: cf.Flow) -> cf.Flow:
    rng = np.random.default_rng(0)
    for name, array in flow.parameters.items():
        if not name.endswith(("mean", "variance")):
            array += 0.5 * rng.normal(size=array.shape) / np.sqrt(array.shape[-1])
    return flow


def dependence(flow: cf.Flow, context_features: int = 0) -> tuple[Array, Array]:
    """Where d u_i / d x_j and d u_i / d context_j are not zero, at some rows."""
    rng = np.random.default_rng(1)
    x = rng.uniform(0.2, 1.5, size=(40, N))
    context = rng.normal(size=(40, context_features)) if context_features else None
    of_x, of_context = [], []
    for feature in range(N):
        cotangent = np.zeros_like(x)
        cotangent[:, feature] = 1.0
        found = flow.vjp(x, cotangent, None, context)
        of_x.append((found.x != 0).any(axis=0))
        if context is not None:
            of_context.append((found.context != 0).any(axis=0))
    return np.array(of_x), np.array(of_context)


@pytest.mark.parametrize("recipe", RECIPES)
def test_one_layer_depends_on_the_parents_alone(recipe: str) -> None:
    options: dict[str, Any] = {"adjacency": graph(), "dtype": "float64", "seed": 0}
    found, _ = dependence(scattered(RECIPES[recipe](layers=1, **options)))
    assert np.array_equal(found, graph() | np.eye(N, dtype=bool))


@pytest.mark.parametrize("recipe", RECIPES)
def test_several_layers_depend_on_the_ancestors(recipe: str) -> None:
    every = closure(graph())
    options: dict[str, Any] = {"adjacency": every, "dtype": "float64", "seed": 0}
    found, _ = dependence(scattered(RECIPES[recipe](layers=3, **options)))
    assert np.array_equal(found, every | np.eye(N, dtype=bool))
    with pytest.raises(ValueError, match="3 layers see the parents of parents"):
        RECIPES[recipe](layers=3, **{**options, "adjacency": graph()})


def test_layers_compose_paths_of_the_graph() -> None:
    """Why recipes ask for the closure: k layers read paths of up to k edges."""
    parents = graph()
    for k in (1, 2, 3):
        layers = [cf.Autoregressive(adjacency=parents, hidden=(20,)) for _ in range(k)]
        flow = scattered(cf.Flow(layers, N, dtype="float64", seed=0))
        paths = np.linalg.matrix_power(parents.astype(int) + np.eye(N, dtype=int), k) > 0
        assert np.array_equal(dependence(flow)[0], paths)


def test_the_context_of_causes() -> None:
    reads = np.zeros((N, 2), dtype=bool)
    reads[NAMES[0], 0] = reads[NAMES[3], 1] = True
    options: dict[str, Any] = {"dtype": "float64", "seed": 0, "context_features": 2}
    flow = cf.maf(N, 1, (20,), adjacency=graph(), context_adjacency=reads, **options)
    assert np.array_equal(dependence(scattered(flow), 2)[1], reads)
    every = closure(graph())
    with pytest.raises(ValueError, match=r"by the context_adjacency feature . does not depend"):
        cf.maf(N, 2, (20,), adjacency=every, context_adjacency=reads, **options)
    passed = reads | (every @ reads)
    flow = cf.maf(N, 2, (20,), adjacency=every, context_adjacency=passed, **options)
    found = dependence(scattered(flow), 2)
    assert np.array_equal(found[0], every | np.eye(N, dtype=bool))
    assert np.array_equal(found[1], passed)
    # Without an adjacency the columns are read in their order, by every layer.
    steps = np.array([[True, False]] * 2 + [[True, True]] * 3)
    flow = cf.maf(N, 3, (20,), context_adjacency=steps, **options)
    found = dependence(scattered(flow), 2)
    assert np.array_equal(found[0], np.tri(N, dtype=bool))
    assert np.array_equal(found[1], steps)
    with pytest.raises(ValueError, match="layers see the parents of parents"):
        cf.maf(N, 3, (20,), context_adjacency=steps[::-1], **options)


def test_a_density_is_the_product_of_the_conditionals() -> None:
    """log_prob changes by as much with x_0, whatever a feature that only shares its child is."""
    flow = scattered(
        cf.nsf_ar(3, 1, (16,), adjacency=[[False] * 3, [False] * 3, [True, True, False]],
                  dtype="float64", seed=0)
    )  # fmt: skip
    x = np.random.default_rng(3).normal(size=(50, 3))
    u, _ = flow.inverse(x)
    again, _ = flow.inverse(x * [1.0, 0.0, 1.0])
    assert np.array_equal(u[:, 0], again[:, 0])
    assert not np.array_equal(u[:, 2], again[:, 2])


def test_what_is_beside_the_layers_must_not_mix() -> None:
    options: dict[str, Any] = {"adjacency": closure(graph()), "seed": 0}
    with pytest.raises(ValueError, match="mixes columns, against the adjacency"):
        cf.maf(N, standardize="whiten", **options)
    kinds = [cf.real] * (N - 1) + [cf.categorical(["a", "b", "c"])]
    with pytest.raises(ValueError, match="categorical ones are several"):
        cf.nsf_ar(N, columns=kinds, **options)
    with pytest.raises(ValueError, match="adjacency must have no cycle"):
        cf.naf(N, adjacency=np.ones((N, N), dtype=bool))
    with pytest.raises(ValueError, match=r"the flow has 5|5 features|got 4"):
        cf.maf(N, adjacency=np.zeros((4, 4), dtype=bool))
    with pytest.raises(ValueError, match="context"):
        cf.maf(N, context_adjacency=np.ones((N, 2), dtype=bool))


def test_without_a_graph_recipes_are_as_they_were() -> None:
    for recipe in ("maf", "naf", "nsf_ar"):
        plain = getattr(cf, recipe)(3, 3, seed=0)
        assert repr(plain) == repr(getattr(cf, recipe)(3, 3, adjacency=None, seed=0))
    orders = [layer.options["order"] for layer in cf.maf(3, 2, batch_norm=False, seed=0).layers[:2]]
    assert orders == [(0, 1, 2), (2, 1, 0)]
    assert [layer.type for layer in cf.nsf_ar(3, 1, seed=0).layers][1] == "Linear"


def test_a_circular_flow_takes_a_graph_too() -> None:
    parents = np.array([[False, False], [True, False]])
    flow = cf.ncsf(2, 2, (8,), adjacency=parents, dtype="float64", seed=0)
    assert [layer.options["order"] for layer in flow.layers if layer.type == "Autoregressive"] == [
        (0, 1)
    ] * 2
