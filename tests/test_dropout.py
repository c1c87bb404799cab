"""Dropout in networks: in training only, fresh for every row drawn, reproducible."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cflows as cf

X = np.random.default_rng(0).normal(size=(130, 3))
NETS = {
    "mlp": lambda p: cf.MLP((20,), activation="tanh", dropout=p),
    "residual": lambda p: cf.ResidualNet(16, blocks=2, activation="tanh", dropout=p),
}


def flow_of(net: str, dropout: float, layer: Any = cf.Coupling) -> cf.Flow:
    spec = layer(conditioner=NETS[net](dropout))
    flow = cf.Flow([spec], features=3, dtype="float64", seed=0)
    rng = np.random.default_rng(1)
    for value in flow.parameters.values():
        value += 0.3 * rng.normal(size=value.shape)
    return flow


def train_loss(flow: cf.Flow, seed: int = 0, rate: float = 1e-12, epochs: int = 1) -> np.ndarray:
    return np.array(
        flow.fit(
            X,
            validation=None,
            epochs=epochs,
            batch_size=len(X),
            optimizer=cf.SGD(rate),
            clip_norm=None,
            seed=seed,
            progress=False,
        ).train
    )


@pytest.mark.parametrize("net", NETS)
def test_evaluation_knows_no_dropout(net: str) -> None:
    with_dropout, without = flow_of(net, 0.4), flow_of(net, 0.0)
    np.testing.assert_array_equal(with_dropout.log_prob(X), without.log_prob(X))
    assert train_loss(with_dropout)[0] != pytest.approx(train_loss(without)[0], rel=1e-6)
    expected = -flow_of(net, 0.0).log_prob(X).mean()
    assert train_loss(flow_of(net, 0.0))[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("net", NETS)
def test_masks_are_fresh_and_reproducible(net: str) -> None:
    losses = train_loss(flow_of(net, 0.4), epochs=4)
    assert len(np.unique(losses)) == 4
    np.testing.assert_array_equal(losses, train_loss(flow_of(net, 0.4), epochs=4))
    assert train_loss(flow_of(net, 0.4), seed=1)[0] != losses[0]


def test_the_mask_is_a_coin_of_that_probability() -> None:
    """One hidden unit that is 1, to a shift: its values in training are 0 or 1 / (1 - p)."""
    p, n = 0.3, 20_000
    net = cf.MLP((1,), activation="identity", dropout=p)
    layer = cf.Coupling("half", transform="additive", conditioner=net)
    flow = cf.Flow([layer], features=2, dtype="float64", seed=0)
    for name, value in flow.parameters.items():
        value[...] = {"linear0.bias": 1.0, "linear1.weight": 1.0}.get(name.split("er.")[-1], 0.0)
    x = np.zeros((n, 2))
    history = flow.fit(
        x, validation=None, epochs=1, batch_size=n, optimizer=cf.SGD(1e-12), seed=0, progress=False
    )
    # The loss is log(2 pi) + E[shift^2] / 2, with E[shift^2] = 1 / (1 - p).
    mean_square = 2 * (history.train[0] - np.log(2 * np.pi))
    deviation = np.sqrt(p / (1 - p) / n) / (1 - p)
    assert abs(mean_square - 1 / (1 - p)) < 5 * deviation


@pytest.mark.parametrize("layer", [cf.Coupling, cf.Autoregressive])
@pytest.mark.parametrize("net", NETS)
def test_gradients_pass_the_same_mask(net: str, layer: Any) -> None:
    """One step of gradient descent against differences of the training loss, masks the same."""
    rate = 1e-3
    stepped = flow_of(net, 0.4, layer)
    train_loss(stepped, rate=rate)
    start = flow_of(net, 0.4, layer).parameters
    rng = np.random.default_rng(2)
    for name in start:
        gradient = (start[name] - stepped.parameters[name]) / rate
        direction = rng.normal(size=gradient.shape)
        losses = []
        for step in (1e-5, -1e-5):
            moved = flow_of(net, 0.4, layer)
            moved.parameters[name][...] += step * direction
            losses.append(train_loss(moved)[0])
        expected = float(np.sum(gradient * direction))
        difference = (losses[0] - losses[1]) / 2e-5
        assert difference == pytest.approx(expected, rel=1e-5, abs=1e-7), name


def test_bad_probability() -> None:
    for p in (-0.1, 1.0):
        with pytest.raises(ValueError, match="dropout must be at least 0 and less than 1"):
            cf.MLP((4,), dropout=p)
        with pytest.raises(ValueError, match="dropout must be at least 0 and less than 1"):
            cf.ResidualNet(4, dropout=p)


@pytest.mark.parametrize("net", NETS)
def test_targets_are_sampled_and_differentiated_with_the_same_mask(net: str) -> None:
    """One step of gradient descent against differences of the ELBO, random numbers the same."""

    def step(flow: cf.Flow, rate: float) -> float:
        history = flow.fit_target(
            lambda x: (-0.5 * np.sum((x - 1) ** 2, 1), 1 - x),
            steps=1,
            batch_size=130,
            optimizer=cf.SGD(rate),
            clip_norm=None,
            seed=0,
        )
        return float(history.elbo[0])

    rate = 1e-3
    stepped, start = flow_of(net, 0.4), flow_of(net, 0.4).parameters
    assert step(stepped, rate) != pytest.approx(step(flow_of(net, 0.0), rate), rel=1e-6)
    rng = np.random.default_rng(2)
    for name in start:
        gradient = (start[name] - stepped.parameters[name]) / rate
        direction = rng.normal(size=gradient.shape)
        losses = []
        for size in (1e-5, -1e-5):
            moved = flow_of(net, 0.4)
            moved.parameters[name][...] += size * direction
            losses.append(-step(moved, 1e-12))
        expected = float(np.sum(gradient * direction))
        difference = (losses[0] - losses[1]) / 2e-5
        assert difference == pytest.approx(expected, rel=1e-5, abs=1e-7), name
