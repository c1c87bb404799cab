"""The loss ``flow_matching`` against what is known of normal distributions, and what it learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

import cflows as cf

NET = cf.MLP((32, 32), "silu")
QUICK: dict[str, Any] = {"loss": "flow_matching", "seed": 0, "progress": False}


def new_flow(features: int = 2, *, network: Any = NET, **options: Any) -> cf.Flow:
    return cf.Flow([cf.Continuous(network), cf.Affine()], features=features, seed=0, **options)


def normal_rows(count: int, deviation: Any, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, np.size(deviation))) * deviation


def irreducible(deviation: float) -> float:
    """The mean square of z - u about its mean given z_t, of z of this deviation and t uniform:
    s^2 / ((1 - t)^2 + s^2 t^2), of two normal variables and their sum."""
    s = deviation**2
    return float(integrate.quad(lambda t: s / ((1 - t) ** 2 + s * t**2), 0, 1)[0])


def test_a_velocity_of_zero() -> None:
    """Then the loss is the mean square of z - u."""
    x = normal_rows(40_000, [2.0, 0.5], seed=1)
    flow = cf.Flow([cf.Continuous(NET)], features=2, seed=0, dtype="float64")
    history = flow.fit(x, validation=None, epochs=1, optimizer=cf.SGD(1e-300), **QUICK)
    truth = np.mean([2.0**2 + 1, 0.5**2 + 1])
    assert history.train[0] == pytest.approx(truth, rel=0.02)


def test_normal_data_are_learned_to_what_no_velocity_can_explain() -> None:
    """The least loss is known, and so is the density."""
    deviation = np.array([0.5, 2.0])
    x = normal_rows(20_000, deviation, seed=1)
    flow = cf.Flow([cf.Continuous(NET)], features=2, seed=0)
    history = flow.fit(
        x,
        validation=None,
        epochs=60,
        batch_size=256,
        optimizer=cf.Adam(3e-3),
        schedule="cosine",
        ema=0.99,
        **QUICK,
    )
    least = np.mean([irreducible(s) for s in x.std(axis=0)])
    assert least - 0.02 < np.mean(history.train[-10:]) < least + 0.03
    test = normal_rows(5000, deviation, seed=2)
    truth = stats.norm.logpdf(test, scale=deviation).sum(axis=1)
    found = flow.log_prob(test)
    assert abs(found.mean() - truth.mean()) < 0.02
    assert np.abs(found - truth)[np.abs(test / deviation).max(axis=1) < 2].max() < 0.25


def test_moons_are_learned_in_any_units_and_sampled_in_a_few_steps() -> None:
    moons = cf.data.toy("moons")
    x, test = moons.sample(10_000, seed=0), moons.sample(5000, seed=1)
    truth = moons.log_prob(test).mean()
    flow = new_flow(network=cf.MLP((64, 64), "silu"))
    flow.fit(
        1000.0 + 50.0 * x,
        epochs=300,
        patience=None,
        optimizer=cf.Adam(1e-2),
        schedule="cosine",
        **QUICK,
    )
    found = flow.log_prob(1000.0 + 50.0 * test).mean() + 2 * np.log(50.0)
    assert truth - 0.15 < found < truth + 0.02
    exact = flow.sample(4000, seed=3).astype(np.float64)
    few = flow.with_solver("rk4", steps=6).sample(4000, seed=3).astype(np.float64)
    coarse = flow.with_solver("euler", steps=6).sample(4000, seed=3).astype(np.float64)
    assert np.median(np.abs(few - exact)) < 0.2
    assert np.median(np.abs(few - exact)) < 0.1 * np.median(np.abs(coarse - exact))


def test_a_context_is_read() -> None:
    rng = np.random.default_rng(0)
    context = rng.normal(size=(20_000, 1))
    x = 2.0 * context + 0.5 * rng.normal(size=(20_000, 1))
    flow = new_flow(1, context_features=1)
    flow.fit(x, context, epochs=40, patience=None, optimizer=cf.Adam(3e-3), schedule="cosine",
             **QUICK)  # fmt: skip
    found = flow.log_prob(x[:2000], context[:2000]).mean()
    truth = stats.norm.logpdf(x[:2000], 2.0 * context[:2000], 0.5).mean()
    assert truth - 0.06 < found < truth + 0.02


def test_validation_draws_the_same_each_time_and_a_fit_resumes(tmp_path: Path) -> None:
    x = normal_rows(500, [1.0, 2.0], seed=0)
    still = new_flow().fit(x, epochs=3, optimizer=cf.SGD(1e-300), validation=0.2, **QUICK)
    assert len(set(still.validation)) == 1
    assert len(set(still.train)) == 3  # fresh noise
    options = {**QUICK, "validation": 0.2, "epochs": 6}
    whole, parts = new_flow(), new_flow()
    whole.fit(x, **options)
    path = tmp_path / "fit"
    parts.fit(x, **{**options, "epochs": 3}, checkpoint=path)
    parts.fit(x, **options, resume=path)
    for name, parameter in whole.parameters.items():
        np.testing.assert_array_equal(parts.parameters[name], parameter)


def test_images_by_a_convolutional_velocity() -> None:
    rng = np.random.default_rng(0)
    brightness = rng.normal(size=(2000, 1, 1, 1))
    x = brightness + 0.3 * rng.normal(size=(2000, 1, 4, 4))
    layers = [cf.Continuous(cf.ConvNet((16,), (3, 3), activation="silu"), "rk4", 20), cf.Affine()]
    flow = cf.Flow(layers, shape=(1, 4, 4), seed=0)
    before = flow.log_prob(x[:200]).mean()
    flow.fit(x, epochs=20, optimizer=cf.Adam(3e-3), **QUICK)
    independent = stats.norm.logpdf(x[:200], 0, x.std()).sum(axis=(1, 2, 3)).mean()
    assert flow.log_prob(x[:200]).mean() > max(before, independent) + 2


@pytest.mark.parametrize(
    "layers",
    [
        [cf.Coupling()],
        [cf.Continuous(NET), cf.Coupling()],
        [cf.Continuous(NET), cf.Continuous(NET)],
        [cf.Inverse(cf.Continuous(NET))],
    ],
)
def test_other_flows_have_no_such_loss(layers: list[Any]) -> None:
    flow = cf.Flow(layers, features=2, seed=0)
    with pytest.raises(ValueError, match="a flow of one Continuous layer"):
        flow.fit(normal_rows(50, [1.0, 1.0], seed=0), **QUICK)
    flow.fit(normal_rows(50, [1.0, 1.0], seed=0), epochs=1, seed=0, progress=False)


def test_with_solver_keeps_all_but_the_solver() -> None:
    flow = new_flow(context_features=1)
    flow.columns, flow.context_columns = ["a", "b"], ["c"]
    x, context = normal_rows(50, [1.0, 1.0], seed=0), normal_rows(50, 1.0, seed=1)
    flow.fit(x, context, epochs=2, validation=None, **QUICK)
    flow.freeze("layers.0.*")
    other = flow.with_solver("tsit5", rtol=1e-4)
    assert other.layers[0].spec == cf.Continuous(NET, "tsit5", rtol=1e-4)
    assert flow.layers[0].spec == cf.Continuous(NET)
    assert (other.columns, other.context_columns) == (flow.columns, flow.context_columns)
    assert other.frozen == flow.frozen
    np.testing.assert_allclose(
        other.log_prob(x, context), flow.log_prob(x, context), rtol=0, atol=1e-2
    )
    nested = cf.Flow([cf.Chain([cf.Inverse(cf.Continuous(NET))])], features=2, seed=0)
    expected = cf.Chain([cf.Inverse(cf.Continuous(NET, "rk4", 7))])
    assert nested.with_solver("rk4", steps=7).layers[0].spec == expected
    with pytest.raises(ValueError, match="no Continuous layer"):
        cf.realnvp(2, layers=1).with_solver("rk4")
