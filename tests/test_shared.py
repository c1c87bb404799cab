"""`Shared`: places of one name have one set of parameters; against the flow of as many layers."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cflows as cf
from differences import gradient

NET = {"hidden": (6,), "activation": "tanh"}
RNG = np.random.default_rng(0)
X, CONTEXT = RNG.normal(size=(40, 4)), RNG.normal(size=(40, 2))


def block() -> cf.Chain:
    return cf.Chain(
        [cf.Coupling(**NET), cf.Linear("lu"), cf.Autoregressive(transform="spline", **NET)]
    )


BLOCKS: dict[str, Callable[[], Any]] = {
    "chain": block,
    "residual": lambda: cf.Residual(hidden=(6,)),
    "continuous": lambda: cf.Continuous(cf.MLP((6,), "tanh"), solver="rk4", steps=3),
}


def flows(layer: Any, times: int = 3, dtype: str = "float64") -> tuple[cf.Flow, cf.Flow]:
    """With the layer shared, and the same with as many layers; with other layers between them."""

    def new(places: list[Any]) -> cf.Flow:
        between: list[Any] = []
        for place in places:
            between += [place, cf.Permutation("reverse")]
        layers = [cf.Elementwise(**NET), *between, cf.Affine([0.1] * 4, 1.2)]
        return cf.Flow(layers, features=4, context_features=2, dtype=dtype, seed=0)

    tied = new([cf.Shared(layer, "block")] * times)
    rng = np.random.default_rng(1)
    for name, array in tied.parameters.items():
        array[...] = 0.5 * rng.normal(size=array.shape)
        if name.endswith(("left", "right")):  # singular vectors of a residual's weights
            array /= np.linalg.norm(array)
    # A random permutation of the block is chosen once: the other flow is told which.
    resolved = tied.layers[1].spec.layer
    untied = new([resolved] * times)
    for name, array in untied.parameters.items():
        array[...] = tied.parameters[shared_name(name)]
    return tied, untied


def shared_name(name: str) -> str:
    """What a parameter of the untied flow is called in the other."""
    number, rest = name.removeprefix("layers.").split(".", 1)
    return name if number == "0" else f"shared.block.{rest}"


@pytest.mark.parametrize("name", BLOCKS)
def test_it_is_as_many_layers_with_equal_weights(name: str) -> None:
    tied, untied = flows(BLOCKS[name]())
    count = sum(array.size for array in tied.parameters.values())
    assert tied.n_parameters == count
    assert len(untied.parameters) > len(tied.parameters)
    for method in ("log_prob", "grad_log_prob"):
        ours, truth = (getattr(flow, method)(X, CONTEXT) for flow in (tied, untied))
        assert np.array_equal(ours, truth)
    for ours, truth in zip(tied.forward(X, CONTEXT), untied.forward(X, CONTEXT), strict=True):
        assert np.array_equal(ours, truth)
    assert np.array_equal(tied.sample(5, CONTEXT[0], seed=1), untied.sample(5, CONTEXT[0], seed=1))


@pytest.mark.parametrize("name", BLOCKS)
def test_gradients_are_the_sums_of_the_places(name: str) -> None:
    tied, untied = flows(BLOCKS[name]())
    (loss, ours), (same, each) = (flow.loss_and_grad(X, CONTEXT) for flow in (tied, untied))
    assert loss == same
    sums: dict[str, Any] = {}
    for parameter, array in each.items():
        sums[shared_name(parameter)] = sums.get(shared_name(parameter), 0.0) + array
    assert sums.keys() == ours.keys()
    for parameter, truth in sums.items():
        scale = np.abs(truth).max() + 1e-3
        assert np.abs(ours[parameter] - truth).max() <= 1e-12 * scale, parameter


def test_gradients_against_differences() -> None:
    layers = [cf.Shared(cf.Coupling(**NET), "a"), cf.Permutation("reverse")] * 2
    flow = cf.Flow(layers, features=3, dtype="float64", seed=0)
    rng = np.random.default_rng(2)
    for array in flow.parameters.values():
        array[...] = rng.normal(size=array.shape)
    x, du, dlog_det = X[:5, :3], rng.normal(size=(5, 3)), rng.normal(size=5)
    found = flow.vjp(x, du, dlog_det).parameters

    def objective() -> float:
        u, log_det = flow.inverse(x)
        return float((u * du).sum() + (log_det * dlog_det).sum())

    for name, array in flow.parameters.items():
        truth = gradient(objective, array)
        assert np.linalg.norm(found[name] - truth) <= 1e-8 * (np.linalg.norm(truth) + 1.0), name


@pytest.mark.parametrize("name", BLOCKS)
def test_it_learns_as_many_layers_whose_gradients_are_added(name: str) -> None:
    """A step of gradient descent; Adam, EMA and other states are those of single parameters."""
    tied, untied = flows(BLOCKS[name](), times=2)
    before = {k: v.copy() for k, v in tied.parameters.items()}
    options: dict[str, Any] = {
        "epochs": 1,
        "batch_size": len(X),
        "validation": None,
        "clip_norm": None,
        "seed": 0,
        "progress": False,
    }
    for flow in (tied, untied):
        flow.fit(X, CONTEXT, optimizer=cf.SGD(1e-3, momentum=0.0), **options)
    moved: dict[str, Any] = {}
    for parameter, array in untied.parameters.items():
        own = shared_name(parameter)
        moved[own] = moved.get(own, 0.0) + array - before[own]
    for parameter, array in tied.parameters.items():
        if parameter.endswith(("left", "right")):
            assert np.linalg.norm(array) == pytest.approx(1.0)  # of the weights as they are now
        else:
            assert np.allclose(array - before[parameter], moved[parameter], atol=1e-14), parameter
    history = tied.fit(X, CONTEXT, **{**options, "epochs": 3}, ema=0.5)
    assert np.isfinite(history.train).all()


def test_files_copies_and_parts(tmp_path: Path) -> None:
    tied, _ = flows(block())
    truth = tied.log_prob(X, CONTEXT)
    tied.save(tmp_path / "flow.safetensors")
    for other in (
        cf.load(tmp_path / "flow.safetensors"),
        pickle.loads(pickle.dumps(tied)),
        copy.deepcopy(tied),
    ):
        assert list(other.parameters) == list(tied.parameters)
        assert repr(other.layers) == repr(tied.layers)
        assert np.array_equal(other.log_prob(X, CONTEXT), truth)
    single = tied.astype("float32")
    assert list(single.parameters) == list(tied.parameters)
    assert np.allclose(single.log_prob(X, CONTEXT), truth, rtol=1e-3)
    cf.audit(tied, X, CONTEXT)
    u = tied.inverse(X, CONTEXT)[0]
    half = tied.part(0, 4).forward(u, CONTEXT)[0]
    assert np.array_equal(tied.part(4).forward(half, CONTEXT)[0], tied.forward(u, CONTEXT)[0])
    assert "shared.block.layers.0.conditioner.linear0.weight" in tied.part(4).parameters
    assert not any(name.startswith("shared") for name in tied.part(6).parameters)


def test_frozen_parameters_stay() -> None:
    tied, _ = flows(block())
    tied.freeze("shared.block.layers.1.*")
    before = {name: array.copy() for name, array in tied.parameters.items()}
    tied.fit(X, CONTEXT, epochs=1, validation=None, seed=0, progress=False)
    for name, array in tied.parameters.items():
        frozen = name.startswith("shared.block.layers.1.")
        assert np.array_equal(array, before[name]) == frozen, name


def test_the_same_layer_twice_is_two_layers() -> None:
    layer = cf.Coupling(**NET)
    flow = cf.Flow([layer, layer], features=2, seed=0)
    assert sum(name.endswith("linear0.weight") for name in flow.parameters) == 2


def test_the_inverse_of_a_shared_layer_undoes_it() -> None:
    """Within other layers too."""
    shared = cf.Shared(block(), "a")
    flow = cf.Flow([cf.Chain([shared]), cf.Inverse(shared)], features=4, dtype="float64", seed=0)
    for array in flow.parameters.values():
        array += 0.3
    x, log_det = flow.forward(X)
    assert np.allclose(x, X, atol=1e-9)
    assert np.allclose(log_det, 0.0, atol=1e-9)
    for array in flow.loss_and_grad(X)[1].values():
        assert np.abs(array).max() < 1e-9


def test_two_names_are_two_sets_and_are_shown_once() -> None:
    a, b = cf.Shared(cf.Coupling(**NET), "a"), cf.Shared(cf.Coupling(**NET), "b")
    flow = cf.Flow([a, b, a, cf.Chain([b])], features=2, seed=0)
    assert {name.split(".")[1] for name in flow.parameters} == {"a", "b"}
    counts = [line.split(")")[1].split()[0] for line in str(flow).splitlines()[2:]]
    assert counts[0] == counts[1] == "26"
    assert not any(count.isdigit() for count in counts[2:])


def test_a_random_choice_is_made_once() -> None:
    shared = cf.Shared(cf.Permutation("random"), "turn")
    flow = cf.Flow([shared] * 2, features=30, seed=0)
    first, second = (layer.layers[0].indices for layer in flow.layers)
    assert np.array_equal(first, second)


def test_fixed_maps_next_to_the_data() -> None:
    shared = cf.Shared(cf.Sinh(), "s")
    flow = cf.Flow([cf.Coupling(**NET), shared, shared], features=2, dtype="float64", seed=0)
    truth = cf.Flow([cf.Coupling(**NET), cf.Sinh(), cf.Sinh()], 2, dtype="float64", seed=0)
    assert np.array_equal(flow.log_prob(X[:, :2]), truth.log_prob(X[:, :2]))
    assert flow.fixed_maps == truth.fixed_maps == 2


def test_a_single_place_may_take_statistics() -> None:
    layers = [cf.Coupling(**NET), cf.Shared(cf.Chain([cf.ActNorm(), cf.Coupling(**NET)]), "a")]
    flow = cf.Flow(layers, features=4, seed=0)
    flow.fit(3.0 * X + 5.0, epochs=1, validation=None, seed=0, progress=False)
    assert np.abs(flow.parameters["shared.a.layers.0.shift"]).max() > 1.0


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([cf.Coupling(), cf.Elementwise()], "got Coupling and Elementwise$"),
        ([cf.Coupling(), cf.Coupling(swap=True)], "got Coupling and Coupling of other options"),
        ([cf.BatchNorm()] * 2, "statistics of the data"),
        ([cf.Chain([cf.ActNorm()])] * 2, "statistics of the data"),
        ([cf.Affine()] * 2, "statistics of the data"),
        ([cf.Shared(cf.Coupling(), "a"), cf.Sinh()], "within a layer of the same name"),
    ],
)
def test_what_cannot_be_shared(layers: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cf.Flow([cf.Shared(layer, "a") for layer in layers], features=4)


def test_sizes_must_agree() -> None:
    shared = cf.Shared(cf.Coupling(), "a")
    with pytest.raises(ValueError, match=r"got x of 4 x 1 x 1 and of 2 x 1 x 1"):
        cf.Flow([shared, cf.OnFeatures([0, 1], shared)], features=4)
    for name in ("", "a.b", "a b", "é", "a" * 64):
        with pytest.raises(ValueError, match="letters, digits and underscores"):
            cf.Shared(cf.Coupling(), name)
