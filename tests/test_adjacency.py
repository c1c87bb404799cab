"""Autoregressive layers of a causal graph: exactly the dependence that it allows, and the values of
a network masked by hand."""

from __future__ import annotations

import itertools
import pickle
from typing import Any

import numpy as np
import pytest

import cflows as cf

Array = np.ndarray
DIRECTIONS = ("inverse", "forward")
FEATURES, CONTEXT = 6, 3
NETS: dict[str, Any] = {
    "linear": cf.MLP(()),
    "one-layer": cf.MLP((8,), activation="tanh"),
    "three-layers": cf.MLP((17, 9, 13), activation="tanh"),
    "gate": cf.ResidualNet(13, blocks=2, activation="silu"),
    "add": cf.ResidualNet(9, blocks=1, activation="silu", context="add"),
}


def random_graph(seed: int, n: int = FEATURES) -> Array:
    """A graph of about half of the edges that a hidden order allows."""
    rng = np.random.default_rng(seed)
    rank = rng.permutation(n)
    return (rank[:, None] > rank) & (rng.random((n, n)) < 0.5)


def random_context(seed: int, n: int = FEATURES) -> Array:
    return np.random.default_rng(100 + seed).random((n, CONTEXT)) < 0.5


def ancestors(graph: Array) -> Array:
    """By feature, itself and all that it depends on in the end."""
    reached = graph | np.eye(len(graph), dtype=bool)
    for _ in graph:
        reached = reached @ reached
    return reached


def randomize(flow: cf.Flow, scale: float = 1.0) -> cf.Flow:
    """Random weights, where the masks are too."""
    rng = np.random.default_rng(5)
    for parameter in flow.parameters.values():
        parameter[...] = rng.normal(size=parameter.shape) * scale / np.sqrt(parameter.shape[-1])
    return flow


def build(graph: Array | None, context_features: int = 0, **options: Any) -> cf.Flow:
    layer = cf.Autoregressive(adjacency=graph, **options)
    n = FEATURES if graph is None else len(graph)
    return randomize(cf.Flow([layer], n, context_features, dtype="float64", seed=0))


def rows(count: int, n: int = FEATURES, context: int = 0) -> tuple[Array, Array | None]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(count, n)), rng.normal(size=(count, context)) if context else None


def reads_context(flow: cf.Flow, x: Array, context: Array, direction: str) -> Array:
    found = []
    for feature in range(x.shape[1]):
        cotangent = np.zeros_like(x)
        cotangent[:, feature] = 1
        of_context = flow.vjp(x, cotangent, None, context, direction=direction).context
        found.append(np.any(of_context != 0, axis=0))
    return np.array(found)


GRAPHS = list(range(6))
cases = pytest.mark.parametrize(
    "seed,net,parallel", list(itertools.product(GRAPHS, NETS, DIRECTIONS))
)


@cases
def test_features_depend_on_their_parents_and_nothing_else(
    seed: int, net: str, parallel: str
) -> None:
    graph = random_graph(seed)
    flow = build(graph, conditioner=NETS[net], parallel=parallel)
    x, _ = rows(30)
    expected = {d: ancestors(graph) for d in DIRECTIONS}
    expected[parallel] = graph | np.eye(FEATURES, dtype=bool)
    for direction in DIRECTIONS:
        found = np.any(cf.jacobian(flow, x, direction=direction) != 0, axis=0)
        np.testing.assert_array_equal(found, expected[direction])


@cases
def test_context_goes_where_it_may(seed: int, net: str, parallel: str) -> None:
    graph, of_context = random_graph(seed), random_context(seed)
    options = {"conditioner": NETS[net], "parallel": parallel}
    flow = build(graph, CONTEXT, context_adjacency=of_context, **options)
    x, context = rows(30, context=CONTEXT)
    expected = {d: ancestors(graph) for d in DIRECTIONS}
    expected[parallel] = graph | np.eye(FEATURES, dtype=bool)
    assert context is not None
    for direction in DIRECTIONS:
        found = np.any(cf.jacobian(flow, x, context, direction=direction) != 0, axis=0)
        np.testing.assert_array_equal(found, expected[direction])
        # What the parents depend on comes with them, but in one pass they are given.
        through = of_context if direction == parallel else ancestors(graph) @ of_context
        np.testing.assert_array_equal(reads_context(flow, x, context, direction), through)


@pytest.mark.parametrize("direction", DIRECTIONS)
@cases
def test_others_change_no_bit(seed: int, net: str, parallel: str, direction: str) -> None:
    graph = random_graph(seed)
    flow = build(graph, CONTEXT, conditioner=NETS[net], parallel=parallel)
    x, context = rows(20, context=CONTEXT)
    apply = getattr(flow, direction)
    y = apply(x, context)[0]
    reads = graph | np.eye(FEATURES, dtype=bool) if direction == parallel else ancestors(graph)
    for feature in range(FEATURES):
        moved = x.copy()
        moved[:, feature] += 0.5
        changed = np.any(apply(moved, context)[0] != y, axis=0)
        np.testing.assert_array_equal(changed, reads[:, feature])


@pytest.mark.parametrize("parallel", DIRECTIONS)
@pytest.mark.parametrize("net", NETS)
def test_without_an_adjacency_the_order_says_what_features_read(net: str, parallel: str) -> None:
    """context_adjacency alone."""
    order, of_context = [3, 0, 5, 1, 2, 4], random_context(1)
    options = {"order": order, "conditioner": NETS[net], "parallel": parallel}
    flow = build(None, CONTEXT, context_adjacency=of_context, **options)
    x, context = rows(30, context=CONTEXT)
    assert context is not None
    found = np.any(cf.jacobian(flow, x, context, direction=parallel) != 0, axis=0)
    rank = np.argsort(order)
    np.testing.assert_array_equal(found, rank[:, None] >= rank)
    np.testing.assert_array_equal(reads_context(flow, x, context, parallel), of_context)


# -- Values -- #


def spread(units: int, sets: list[tuple[bool, ...]]) -> list[tuple[bool, ...]]:
    """As many units of each set, evenly: sorted by the last feature in it, then by whose it is."""
    different = [s for s in dict.fromkeys(sets) if any(s)]
    different.sort(key=lambda s: max((i for i in range(CONTEXT, len(s)) if s[i]), default=-1))
    ends = [units * (i + 1) // len(different) for i in range(len(different))]
    return [different[next(i for i, end in enumerate(ends) if u < end)] for u in range(units)]


def within(inner: tuple[bool, ...], outer: tuple[bool, ...]) -> bool:
    return all(o or not i for i, o in zip(inner, outer, strict=True))


def masked(flow: cf.Flow, graph: Array, of_context: Array, x: Array, context: Array) -> Array:
    """Unconstrained parameters [rows, features, 2] of an MLP whose units have sets of inputs."""
    order = list(flow.layers[0].options["order"])
    prefix = "layers.0.conditioner.linear"
    h = np.concatenate([context, x[:, order[:-1]]], axis=1)
    sets = [(*of_context[f], *graph[f, order[:-1]]) for f in order]
    units = [tuple(row) for row in np.eye(h.shape[1], dtype=bool)]
    layers = sum(name.endswith("weight") for name in flow.parameters)
    for k in range(layers):
        weight, bias = flow.parameters[f"{prefix}{k}.weight"], flow.parameters[f"{prefix}{k}.bias"]
        last = k == layers - 1
        above = [s for s in sets for _ in range(2)] if last else spread(len(bias), sets)
        allowed = np.array([[within(below, own) for below in units] for own in above])
        h = h @ np.where(allowed, weight, 0).T + bias
        h, units = h if last else np.tanh(h), above
    return h.reshape(len(x), -1, 2)[:, np.argsort(order)]


@pytest.mark.parametrize("hidden", [(), (7,), (8, 25), (30, 6, 11)], ids=str)
@pytest.mark.parametrize("seed", GRAPHS)
def test_values_are_those_of_a_network_masked_by_hand(seed: int, hidden: tuple[int, ...]) -> None:
    graph, of_context = random_graph(seed), random_context(seed)
    net = cf.MLP(hidden, activation="tanh")
    flow = build(graph, CONTEXT, context_adjacency=of_context, conditioner=net)
    x, context = rows(33, context=CONTEXT)
    assert context is not None
    params = masked(flow, graph, of_context, x, context)
    log_scale = params[..., 0] / (1 + np.abs(params[..., 0]) / np.log(1000))
    u, log_det = flow.inverse(x, context)
    np.testing.assert_allclose(u, (x - params[..., 1]) * np.exp(-log_scale), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(log_det, -log_scale.sum(1), rtol=0, atol=1e-12)
    back, back_log_det = flow.forward(u, context)
    np.testing.assert_allclose(back, x, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(back_log_det, -log_det, rtol=0, atol=1e-10)


@pytest.mark.parametrize("context_features", [0, CONTEXT])
@pytest.mark.parametrize("net", ["linear", "three-layers", "gate", "add"])
def test_all_edges_of_an_order_are_the_order(net: str, context_features: int) -> None:
    order = [3, 0, 5, 1, 2, 4]
    rank = np.argsort(order)
    graph = rank[:, None] > rank
    flow = build(graph, context_features, conditioner=NETS[net])
    assert list(flow.layers[0].options["order"]) == order
    other = build(None, context_features, conditioner=NETS[net], order=order)
    x, context = rows(20, context=context_features)
    np.testing.assert_array_equal(flow.inverse(x, context)[0], other.inverse(x, context)[0])
    np.testing.assert_array_equal(flow.forward(x, context)[0], other.forward(x, context)[0])


@pytest.mark.parametrize("parallel", DIRECTIONS)
def test_without_an_edge_the_network_is_a_constant(parallel: str) -> None:
    flow = build(np.zeros((4, 4), bool), hidden=(3,), parallel=parallel)
    assert list(flow.parameters) == ["layers.0.conditioner.constant"]
    a, b = flow.parameters["layers.0.conditioner.constant"].reshape(4, 2).T
    scale = np.exp(a / (1 + np.abs(a) / np.log(1000)))
    u, _ = rows(9, 4)
    np.testing.assert_allclose(flow.forward(u)[0], u * scale + b, rtol=1e-13)
    np.testing.assert_allclose(flow.inverse(u)[0], (u - b) / scale, rtol=1e-13)


def test_angles_are_read_as_two_numbers_by_their_children() -> None:
    graph = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], bool)
    circular = cf.Spline(4, bound=np.pi, tails="circular")
    flow = build(graph, transform=circular, hidden=(6,), activation="tanh")
    x, _ = rows(20, 3)
    found = np.any(cf.jacobian(flow, x) != 0, axis=0)
    np.testing.assert_array_equal(found, graph | np.eye(3, dtype=bool))
    np.testing.assert_allclose(flow.forward(flow.inverse(x)[0])[0], x, rtol=0, atol=1e-9)


# -- Weights -- #


def unread(flow: cf.Flow) -> dict[str, Array]:
    """Weights that never get a gradient, by name."""
    x, context = rows(60, flow.features, flow.context_features)
    flow.loss_and_grad(x, context)
    return {name: g == 0 for name, g in flow.gradients.items() if name.endswith("weight")}


@pytest.mark.parametrize("net", ["three-layers", "gate", "add"])
@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1e30])
def test_masked_weights_start_at_0_and_are_not_read(net: str, garbage: float) -> None:
    graph, of_context = random_graph(3), random_context(3)
    layer = cf.Autoregressive(
        adjacency=graph, context_adjacency=of_context, conditioner=NETS[net], parallel="forward"
    )
    flow = cf.Flow([layer], FEATURES, CONTEXT, dtype="float64", seed=0)
    start = {name: p.copy() for name, p in flow.parameters.items()}
    masked = unread(randomize(flow))
    x, context = rows(20, context=CONTEXT)
    before = [*flow.forward(x, context), *flow.inverse(x, context)]
    for name, mask in masked.items():
        assert mask.any()
        assert np.all(start[name][mask] == 0)
        flow.parameters[name][mask] = garbage
    after = [*flow.forward(x, context), *flow.inverse(x, context)]
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(np.all(mask == masked[name]) for name, mask in unread(flow).items())


def test_fit_finds_the_dependence_of_children_on_parents() -> None:
    """A fork 1 <- 0 -> 2: given 0, the others are independent, whatever is learned."""
    rng = np.random.default_rng(0)
    x0 = rng.normal(size=600)
    x = np.column_stack([x0, x0 + 0.3 * rng.normal(size=600), -x0 + 0.3 * rng.normal(size=600)])
    graph = np.array([[0, 0, 0], [1, 0, 0], [1, 0, 0]], bool)
    flow = cf.Flow([cf.Autoregressive(adjacency=graph, hidden=(16,))], 3, seed=0)
    before = flow.log_prob(x).mean()
    flow.fit(x, epochs=60, seed=0, progress=False)
    assert flow.log_prob(x).mean() > before + 0.5
    found = np.any(cf.jacobian(flow, x[:50].astype("float32")) != 0, axis=0)
    assert not found[1, 2] and not found[2, 1]


# -- Specs -- #


def test_order_follows_from_the_adjacency_and_is_kept(tmp_path: Any) -> None:
    graph = np.array([[0, 0, 1], [1, 0, 1], [0, 0, 0]], bool)
    flow = build(graph, hidden=(4,))
    assert flow.layers[0].options["order"] == (2, 0, 1)
    flow.save(tmp_path / "graph.safetensors")
    for again in (cf.load(tmp_path / "graph.safetensors"), pickle.loads(pickle.dumps(flow))):
        assert again.layers[0].options == flow.layers[0].options
        x, _ = rows(9, 3)
        np.testing.assert_array_equal(again.inverse(x)[0], flow.inverse(x)[0])


@pytest.mark.parametrize("order", [(2, 0, 1, 3), (2, 3, 1, 0), (3, 2, 1, 0)], ids=str)
def test_an_order_that_agrees_is_taken(order: tuple[int, ...]) -> None:
    graph = np.zeros((4, 4), bool)
    graph[1, 2] = graph[order[3], order[0]] = True
    flow = build(graph, order="reverse" if order == (3, 2, 1, 0) else order, hidden=(4,))
    assert flow.layers[0].options["order"] == order
    x, _ = rows(9, 4)
    found = np.any(cf.jacobian(flow, x) != 0, axis=0)
    np.testing.assert_array_equal(found, graph | np.eye(4, dtype=bool))


def test_rows_tuples_and_flat_lists_are_the_same() -> None:
    graph = random_graph(2, 4)
    spec = cf.Autoregressive(adjacency=graph)
    assert spec == cf.Autoregressive(adjacency=graph.tolist())
    assert spec == cf.Autoregressive(adjacency=graph.ravel())


def test_the_diagonal_is_not_read() -> None:
    graph = random_graph(2, 4)
    flow, other = build(graph), build(graph | np.eye(4, dtype=bool))
    x, _ = rows(9, 4)
    np.testing.assert_array_equal(flow.inverse(x)[0], other.inverse(x)[0])


@pytest.mark.parametrize("seed", range(20))
def test_cycles_are_named(seed: int) -> None:
    """The features of the message are a cycle of the graph."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 8))
    graph = random_graph(seed, n)
    ring = rng.permutation(n)[: max(2, n - 2)]
    graph[ring, np.roll(ring, 1)] = True
    with pytest.raises(ValueError, match="must have no cycle, got one: feature ") as caught:
        cf.Autoregressive(adjacency=graph)
    words = str(caught.value).split("feature ")[1].replace("depends ", "").split(", ")
    edges = [tuple(map(int, edge.split(" on "))) for edge in words]
    assert edges[0][0] == edges[-1][1]
    assert all(graph[edge] for edge in edges)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(edges))


def test_long_cycles_are_cut_short() -> None:
    graph = np.roll(np.eye(40, dtype=bool), 1, axis=1)
    with pytest.raises(ValueError, match=r"6 on 7, 7 on 8 and so on$"):
        cf.Autoregressive(adjacency=graph)
