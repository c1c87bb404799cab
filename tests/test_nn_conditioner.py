"""`nn.conditioner`: networks that are Python functions, against NumPy and the networks of C."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cflows as cf
from cflows import nn
from differences import gradient

RNG = np.random.default_rng(0)
X, CONTEXT = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 2))


def waves(x: Any, p: Any, context: Any) -> Any:
    """Fourier features of the context, a skip connection and a gate."""
    h = nn.tanh(nn.matmul(p.weight, x) + p.bias)
    return nn.concat([x, h * nn.cosine(nn.matmul(p.frequencies, context))]) + p.gate * p.net(h)


def waves_by_numpy(p: dict[str, np.ndarray], x: np.ndarray, context: np.ndarray) -> np.ndarray:
    h = np.tanh(x @ p["weight"].reshape(5, 2).T + p["bias"])
    turns = context @ p["frequencies"].reshape(5, 2).T
    net = np.tanh(h @ p["net.linear0.weight"].T + p["net.linear0.bias"])
    net = net @ p["net.linear1.weight"].T + p["net.linear1.bias"]
    hidden = np.concatenate([x, h * np.cos(2 * np.pi * turns)], axis=1) + p["gate"] * net
    return hidden @ p["linear.weight"].T + p["linear.bias"]


def own(**options: Any) -> cf.ExpressionNetwork:
    return nn.conditioner(
        waves,
        2,
        context_features=2,
        parameters={
            "weight": nn.UniformStart((5, 2)),
            "bias": np.linspace(-0.5, 0.5, 5),
            "frequencies": nn.UniformStart((5, 2), 0.2),
            "gate": 0.3,
        },
        networks={"net": nn.Network(cf.MLP((3,), "tanh"), 5, 7)},
        **options,
    )


def new_flow(transform: Any = "affine", dtype: str = "float64") -> cf.Flow:
    layers = [
        cf.Coupling(conditioner=own(), transform=transform),
        cf.Coupling(swap=True, conditioner=own(), transform=transform),
    ]
    return cf.Flow(layers, features=4, context_features=2, dtype=dtype, seed=0)


def scattered(flow: cf.Flow) -> cf.Flow:
    rng = np.random.default_rng(1)
    for array in flow.parameters.values():
        array[...] = 0.6 * rng.normal(size=array.shape)
    return flow


def test_a_new_coupling_is_the_identity_and_layers_start_apart() -> None:
    flow = new_flow()
    assert np.array_equal(flow.forward(X, CONTEXT)[0], X)
    first, second = (flow.parameters[f"layers.{i}.conditioner.weight"] for i in (0, 1))
    assert not np.array_equal(first, second)
    assert np.abs(first).max() <= 1.5 / np.sqrt(2)
    frequencies = flow.parameters["layers.0.conditioner.frequencies"]
    assert 0.05 < np.abs(frequencies).max() <= 0.2
    assert np.array_equal(flow.parameters["layers.1.conditioner.bias"], np.linspace(-0.5, 0.5, 5))
    assert np.array_equal(first, new_flow().parameters["layers.0.conditioner.weight"])


def test_outputs_are_those_of_numpy() -> None:
    flow = scattered(
        cf.Flow(
            [cf.Coupling("half", conditioner=own(), scale="exp")],
            4,
            context_features=2,
            dtype="float64",
            standardize_context=False,
        )
    )
    start = "layers.0.conditioner."
    p = {name.removeprefix(start): array for name, array in flow.parameters.items()}
    a = waves_by_numpy(p, X[:, :2], CONTEXT)
    x, log_det = flow.forward(X, CONTEXT)
    assert np.allclose(x[:, 2:], X[:, 2:] * np.exp(a[:, :2]) + a[:, 2:], rtol=1e-12, atol=1e-12)
    assert np.allclose(log_det, a[:, :2].sum(axis=1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("transform", ["affine", cf.SinhArcsinh()])
def test_gradients_against_differences(transform: Any) -> None:
    flow, x = scattered(new_flow(transform)), X.copy()
    dy, dlog_det = RNG.normal(size=x.shape), RNG.normal(size=len(x))
    ours = flow.vjp(x, dy, dlog_det, CONTEXT)

    def objective() -> float:
        u, log_det = flow.inverse(x, CONTEXT)
        return float((u * dy).sum() + (log_det * dlog_det).sum())

    found = {**ours.parameters, "x": ours.x}
    for name, array in {**flow.parameters, "x": x}.items():
        truth = gradient(objective, array, 1e-3)
        assert np.linalg.norm(found[name] - truth) <= 1e-7 * (np.linalg.norm(truth) + 1.0), name


@pytest.mark.filterwarnings("ignore:8 rows of 5 columns")
@pytest.mark.parametrize("context_features", [0, 1])
def test_a_continuous_layer_fits_as_with_an_mlp(context_features: int) -> None:
    """The same network by a function: the same numbers, in steps of training too."""
    options: dict[str, Any] = {"solver": "rk4", "steps": 3}
    inputs = 6 + context_features

    def mlp(x: Any, p: Any, context: Any) -> Any:
        return nn.tanh(nn.matmul(p.weight, nn.concat([x, context])) + p.bias)

    network = nn.conditioner(
        mlp,
        5,
        context_features=inputs,
        parameters={"weight": np.zeros((4, 5 + inputs)), "bias": np.zeros(4)},
    )
    flows = [
        cf.Flow(
            [cf.Continuous(n, **options)],
            5,
            context_features=context_features,
            dtype="float64",
            seed=0,
        )
        for n in (network, cf.MLP((4,), "tanh"))
    ]
    scattered(flows[1])
    for target, source in zip(
        flows[0].parameters.values(), flows[1].parameters.values(), strict=True
    ):
        target[...] = source.reshape(target.shape)
    x = np.random.default_rng(2).normal(size=(8, 5))
    context = x[:, :1] if context_features else None
    assert np.allclose(flows[0].log_prob(x, context), flows[1].log_prob(x, context), rtol=1e-10)
    for flow in flows:
        flow.fit(
            x,
            context,
            epochs=2,
            batch_size=4,
            validation=None,
            optimizer=cf.SGD(0.01),
            seed=0,
            progress=False,
        )
    assert np.allclose(flows[0].log_prob(x, context), flows[1].log_prob(x, context), rtol=1e-8)


def test_files_and_copies_need_no_code(tmp_path: Path) -> None:
    flow = scattered(new_flow("spline"))
    truth = flow.log_prob(X, CONTEXT)
    flow.save(tmp_path / "flow.safetensors")
    for other in (
        cf.load(tmp_path / "flow.safetensors"),
        pickle.loads(pickle.dumps(flow)),
        copy.deepcopy(flow),
    ):
        assert repr(other.layers) == repr(flow.layers)
        assert np.array_equal(other.log_prob(X, CONTEXT), truth)
    assert np.allclose(flow.astype("float32").log_prob(X, CONTEXT), truth, rtol=1e-4)


def test_outputs_of_the_function_itself() -> None:
    def affine(x: Any, p: Any) -> Any:
        return nn.concat([nn.repeat(p.log_scale, 2), x * p.slope])

    network = nn.conditioner(affine, 2, outputs=4, parameters={"log_scale": 0.1, "slope": [2, 3]})
    flow = cf.Flow([cf.Coupling(conditioner=network, scale="exp")], 4, dtype="float64")
    x = flow.forward(X)[0]
    assert np.allclose(x[:, 2:], X[:, 2:] * np.exp(0.1) + X[:, :2] * [2, 3], rtol=1e-14)
    assert list(flow.parameters) == [f"layers.0.conditioner.{n}" for n in ("log_scale", "slope")]


def test_networks_of_the_context_alone_and_of_circles() -> None:
    def of_context(x: Any, p: Any, context: Any) -> Any:
        assert x is None
        return nn.tanh(context)

    elementwise = cf.Elementwise(conditioner=nn.conditioner(of_context, 0, context_features=2))
    circle = cf.Spline(4, np.pi, tails="circular")
    flow = cf.Flow(
        [
            elementwise,
            cf.Coupling(
                conditioner=nn.conditioner(lambda x, p, c: x, 4, context_features=2),
                transform=circle,
            ),
        ],
        4,
        context_features=2,
        dtype="float64",
        seed=0,
    )
    scattered(flow)
    x = RNG.uniform(-3, 3, size=(5, 4))
    context = RNG.normal(size=(5, 2))
    turned = x + [2 * np.pi, 0, 0, 0]  # the network reads cosines and sines
    a, b = (flow.part(1).inverse(v, context)[0] for v in (x, turned))
    assert np.allclose(a[:, 2:], b[:, 2:], atol=1e-12)
    assert flow.log_prob(x, context).shape == (5,)


def test_a_network_in_a_network_and_in_an_embedding() -> None:
    inner = nn.conditioner(lambda x, p: nn.tanh(x), 4)
    outer = nn.conditioner(
        lambda x, p: p.inner(nn.concat([x, x**2])), 2, networks={"inner": nn.Network(inner, 4, 3)}
    )
    flow = cf.Flow([cf.Coupling(conditioner=outer)], 4, dtype="float64", seed=0)
    assert "layers.0.conditioner.inner.linear.weight" in flow.parameters
    summary = nn.conditioner(lambda x, p, context: nn.tanh(context), 0, context_features=4)
    embedding = cf.Embedding(2, summary)
    flow = cf.Flow([cf.Coupling()], 4, context_features=4, embedding=embedding, seed=0)
    assert "embedding.linear.weight" in flow.parameters


def test_errors() -> None:
    plain = nn.conditioner(lambda x, p: x, 2)
    for layer, message in [
        (cf.Autoregressive(conditioner=plain), "a function cannot be masked: take an MLP"),
        (cf.Coupling(conditioner=plain), "for 2 inputs and 0 context features, got 3 and 1"),
        (
            cf.Coupling(
                conditioner=nn.conditioner(lambda x, p, c: x, 3, context_features=1, outputs=3)
            ),
            "must return the 6 numbers that are needed here, got 3",
        ),
        (
            cf.Coupling(
                conditioner=nn.conditioner(lambda x, p, c: x + nn.normal(3), 3, context_features=1)
            ),
            "cannot draw random numbers",
        ),
        (
            cf.Coupling(
                conditioner=nn.conditioner(
                    lambda x, p, c: p.linear(x),
                    3,
                    context_features=1,
                    networks={"linear": nn.Network(cf.MLP(()), 3, 2)},
                )
            ),
            "cannot be called linear",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            cf.Flow([layer], features=6, context_features=1)
    with pytest.raises(TypeError, match="hidden expects int"):
        cf.Residual(hidden=plain)
    with pytest.raises(ValueError, match="a function of nothing is no network"):
        nn.conditioner(lambda x, p: p.a, 0, parameters={"a": 1.0})
    with pytest.raises(TypeError, match="must return a Tracer"):
        nn.conditioner(lambda x, p: 1.0, 1)
    with pytest.raises(ValueError, match="must return 3 features, got 2"):
        nn.conditioner(lambda x, p: x, 2, outputs=3)
    for bad in (0.0, -1.0, np.inf):
        with pytest.raises(ValueError, match="bound must be positive"):
            nn.UniformStart(3, bad)
    with pytest.raises(ValueError, match="size or"):
        nn.UniformStart((1, 2, 3))
    with pytest.raises(ValueError, match="positive bound"):
        cf.Flow(
            [
                cf.Coupling(
                    conditioner=cf.ExpressionNetwork(
                        "input 1;return 0", 1, declarations="parameter a 2 uniform", starts=[0.0]
                    )
                )
            ],
            2,
        )


def test_parameters_of_layers_and_objectives_may_start_at_random() -> None:
    start = {"a": nn.UniformStart(3, 0.5), "b": [1.0, 2.0]}
    model = nn.objective(lambda x, p: nn.sum(x * p.a) + nn.sum(p.b), 3, parameters=start, seed=1)
    assert 0 < np.abs(model.parameters["a"]).max() <= 0.5
    assert np.array_equal(model.parameters["b"], [1.0, 2.0])
    total = nn.function(model, lambda x, p: p.a + x, "shifted")
    assert np.array_equal(total(np.zeros((1, 3)))[0], model.parameters["a"])
