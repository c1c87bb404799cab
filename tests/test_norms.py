"""ActNorm and BatchNorm: what data set, what training differentiates, what evaluation keeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cflows as cf

NO_STEP = cf.SGD(1e-12)  # the training loss alone


def rows(n: int, features: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(n, features)) @ rng.normal(size=(features, features))
    return np.exp(0.3 * mixed) * 3.0 + np.arange(features)


def randomized(flow: cf.Flow, seed: int = 1) -> cf.Flow:
    """Every parameter that is trained away from where it starts."""
    rng = np.random.default_rng(seed)
    for name, value in flow.parameters.items():
        if name not in flow.frozen:
            value += 0.3 * rng.normal(size=value.shape)
    return flow


def fit_once(flow: cf.Flow, x: np.ndarray, optimizer: Any = NO_STEP, **options: Any) -> cf.History:
    return flow.fit(
        x,
        epochs=1,
        batch_size=len(x),
        optimizer=optimizer,
        clip_norm=None,
        seed=0,
        progress=False,
        **{"validation": None, **options},
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_actnorm_starts_where_its_output_is_standardized(dtype: str) -> None:
    x = rows(500, 3)
    flow = cf.Flow([cf.ActNorm()], features=3, dtype=dtype)
    fit_once(flow, x)
    tolerance = {"float32": 1e-5, "float64": 1e-12}[dtype]
    np.testing.assert_allclose(flow.parameters["layers.0.shift"], x.mean(0), rtol=tolerance)
    np.testing.assert_allclose(
        flow.parameters["layers.0.log_scale"], np.log(x.std(0)), rtol=tolerance, atol=tolerance
    )


def test_actnorms_start_one_after_the_other_from_the_data() -> None:
    """Each sees what the layers behind it, started already, make of the data."""
    x = rows(400, 4)
    layers = [
        cf.ActNorm(),
        cf.Coupling("half", hidden=(8,)),
        cf.ActNorm(),
        cf.Permutation("reverse"),
        cf.Chain([cf.Arcsinh(), cf.ActNorm()]),
    ]
    flow = randomized(cf.Flow(layers, features=4, dtype="float64", seed=2))
    for name, value in flow.parameters.items():
        if name.endswith(("shift", "log_scale")):
            value[:] = 0.0
    fit_once(flow, x)
    for last in (4, 2, 0):
        behind = cf.Flow(layers[last:], features=4, dtype="float64", seed=2)
        names = list(flow.parameters)[-len(behind.parameters) :]
        for mine, theirs in zip(behind.parameters.values(), names, strict=True):
            mine[...] = flow.parameters[theirs]
        u, _ = behind.inverse(x)
        if last == 4:  # behind the ActNorm, the fixed map remains
            u = np.arcsinh(u)
        np.testing.assert_allclose(u.mean(0), 0.0, atol=1e-9)
        np.testing.assert_allclose(u.std(0), 1.0, rtol=1e-9)


def test_an_inverted_actnorm_starts_too() -> None:
    x = rows(300, 3)
    flow = cf.Flow([cf.Inverse(cf.ActNorm())], features=3, dtype="float64")
    fit_once(flow, x)
    u, _ = flow.inverse(x)
    np.testing.assert_allclose(u.mean(0), 0.0, atol=1e-9)
    np.testing.assert_allclose(u.std(0), 1.0, rtol=1e-9)


def test_a_column_without_spread_stays_finite() -> None:
    x = rows(100, 2)
    x[:, 1] = 5.0
    flow = cf.Flow([cf.ActNorm()], features=2, dtype="float64")
    fit_once(flow, x)
    assert np.isfinite(flow.log_prob(x)).all()
    assert flow.parameters["layers.0.shift"][1] == pytest.approx(5.0)
    assert flow.parameters["layers.0.log_scale"][1] == pytest.approx(0.0, abs=1e-9)


def test_later_fits_leave_the_start_alone() -> None:
    x = rows(200, 2)
    flow = cf.Flow([cf.ActNorm()], features=2, dtype="float64")
    fit_once(flow, x)
    before = {name: value.copy() for name, value in flow.parameters.items()}
    fit_once(flow, 100.0 * x)
    for name, value in flow.parameters.items():
        np.testing.assert_allclose(value, before[name], atol=1e-6)


def test_a_start_from_many_rows_takes_ten_thousand() -> None:
    x = rows(30_000, 2)
    flow = cf.Flow([cf.ActNorm()], features=2, dtype="float64")
    flow.fit(
        x, validation=None, epochs=1, batch_size=30_000, optimizer=NO_STEP, seed=0, progress=False
    )
    shift = flow.parameters["layers.0.shift"]
    spread = x.std(0) / np.sqrt(10_000)
    assert (np.abs(shift - x.mean(0)) < 5 * spread).all()
    assert (np.abs(shift - x.mean(0)) > 1e-6 * spread).all()


def batch_loss(x: np.ndarray, unconstrained_scale: np.ndarray, shift: np.ndarray) -> float:
    """The negative log-likelihood of a flow of one BatchNorm, written out."""
    variance = x.var(0)
    u = (x - x.mean(0)) / np.sqrt(variance + 1e-5) * np.exp(unconstrained_scale) + shift
    log_det = np.sum(unconstrained_scale - 0.5 * np.log(variance + 1e-5))
    return float(np.mean(0.5 * np.sum(u**2, 1)) + 0.5 * x.shape[1] * np.log(2 * np.pi) - log_det)


@pytest.mark.parametrize("n", [2, 3, 16, 17, 64, 100, 300, 700])
def test_the_training_loss_is_that_of_batch_statistics(n: int) -> None:
    x = rows(n, 3)
    flow = randomized(cf.Flow([cf.BatchNorm()], features=3, dtype="float64"))
    expected = batch_loss(x, flow.parameters["layers.0.scale"], flow.parameters["layers.0.shift"])
    assert fit_once(flow, x).train[0] == pytest.approx(expected, rel=1e-11)


def test_running_statistics_start_at_those_of_the_data_and_then_follow() -> None:
    first, second = rows(300, 2), rows(200, 2, seed=5) * 2.0
    flow = cf.Flow([cf.BatchNorm(momentum=0.25)], features=2, dtype="float64")
    with cf.Trainer(flow, optimizer=NO_STEP, seed=0) as trainer:
        trainer.step(first)
        mean, variance = flow.parameters["layers.0.mean"], flow.parameters["layers.0.variance"]
        np.testing.assert_allclose(mean, first.mean(0), rtol=1e-12)
        np.testing.assert_allclose(variance, first.var(0), rtol=1e-12)
        trainer.step(second)
        mixed = [0.75 * a + 0.25 * b for a, b in zip(moments(first), moments(second), strict=True)]
        np.testing.assert_allclose([mean, variance], mixed, rtol=1e-12)


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x.mean(0), x.var(0)


@pytest.mark.parametrize("validation", [None, 0.25])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_fit_ends_with_the_statistics_of_its_rows(
    validation: float | None, weighted: bool
) -> None:
    """Each norm has those of what it sees, whatever it saw on the way: with the weights kept."""
    x = rows(800, 3)
    weights = np.where(np.arange(800) < 500, 2.0, 0.0) if weighted else None
    held_out = None if validation is None else x[:100] + 0.1
    flow = cf.Flow(maf_with_norms(), features=3, dtype="float64", seed=0)
    history = flow.fit(
        x, None, weights, validation=held_out, epochs=4, batch_size=100,
        optimizer=cf.Adam(0.05), seed=0, progress=False,
    )  # fmt: skip
    counted = x[:500] if weighted else x
    for norm in (3, 1):
        seen, _ = flow.part(norm + 1).inverse(counted) if norm < 3 else (counted, None)
        mean, variance = (flow.parameters[f"layers.{norm}.{k}"] for k in ("mean", "variance"))
        np.testing.assert_allclose([mean, variance], moments(seen), rtol=1e-10, atol=1e-12)
    if held_out is not None:
        best = history.validation[history.best_epoch - 1]
        assert best == pytest.approx(-flow.log_prob(held_out).mean(), rel=1e-12)


def test_the_statistics_of_many_rows_are_pooled() -> None:
    x = rows(25_000, 2)
    x[:12_000] *= 3.0  # the parts have their own
    flow = cf.Flow([cf.BatchNorm()], features=2, dtype="float64")
    flow.fit(x, validation=None, epochs=8, optimizer=NO_STEP, seed=0)
    found = [flow.parameters[f"layers.0.{name}"] for name in ("mean", "variance")]
    np.testing.assert_allclose(found, moments(x), rtol=1e-10)


def test_a_short_fit_pools_the_statistics_of_some_rows() -> None:
    x = rows(25_000, 2)
    flow = cf.Flow([cf.BatchNorm()], features=2, dtype="float64")
    fit_once(flow, x)
    found = [flow.parameters[f"layers.0.{name}"] for name in ("mean", "variance")]
    evenly = x[np.floor(np.arange(10_000) * 2.5).astype(int)]
    np.testing.assert_allclose(found, moments(evenly), rtol=1e-10)


def test_a_fit_that_diverges_leaves_the_statistics() -> None:
    x = rows(500, 2)
    flow = cf.Flow([cf.Coupling("half", hidden=(8,)), cf.BatchNorm()], features=2, seed=0)
    before = flow.parameters["layers.1.mean"].copy()
    with pytest.raises(cf.NumericalError):
        flow.fit(
            x, validation=None, epochs=50, optimizer=cf.SGD(1e30), clip_norm=None, seed=0,
            progress=False,
        )  # fmt: skip
    np.testing.assert_array_equal(flow.parameters["layers.1.mean"], before)


def test_evaluation_takes_the_running_statistics() -> None:
    x = rows(50, 3)
    flow = randomized(cf.Flow([cf.BatchNorm(epsilon=0.1)], features=3, dtype="float64"))
    values = {name.rsplit(".", 1)[1]: value for name, value in flow.parameters.items()}
    values["mean"][:] = [1.0, -2.0, 0.5]
    values["variance"][:] = [0.3, 2.0, 5.0]
    factor = np.exp(values["scale"]) / np.sqrt(values["variance"] + 0.1)
    u, log_det = flow.inverse(x)
    np.testing.assert_allclose(u, (x - values["mean"]) * factor + values["shift"], rtol=1e-12)
    np.testing.assert_allclose(log_det, np.log(factor).sum(), rtol=1e-12)
    np.testing.assert_array_equal(flow.inverse(x[:1])[0], u[:1])  # whatever the other rows


def maf_with_norms() -> list[Any]:
    return [
        cf.Autoregressive(hidden=(12,), activation="tanh"),
        cf.BatchNorm(),
        cf.Autoregressive(order="reverse", hidden=(9, 9), activation="tanh"),
        cf.BatchNorm(scale="softplus"),
    ]


def coupling_with_norms() -> list[Any]:
    net = lambda: cf.ResidualNet(8, blocks=1, activation="tanh")  # noqa: E731
    return [
        cf.Coupling("half", conditioner=net()),
        cf.BatchNorm(),
        cf.Coupling("half", swap=True, conditioner=net(), transform=cf.Spline(4)),
        cf.OnFeatures([0, 2], cf.BatchNorm()),
    ]


@pytest.mark.parametrize("layers", [maf_with_norms, coupling_with_norms])
@pytest.mark.parametrize("n", [13, 64, 150, 520])
def test_gradients_go_through_the_batch_statistics(layers: Callable[[], list[Any]], n: int) -> None:
    """Of one step of gradient descent, against differences of the reported training loss."""
    x = rows(n, 3 if layers is maf_with_norms else 4)
    start = randomized(cf.Flow(layers(), features=x.shape[1], dtype="float64", seed=3))

    def copy_of(flow: cf.Flow) -> cf.Flow:
        return cf.Flow(layers(), features=x.shape[1], dtype="float64", seed=3)

    def loss(direction: dict[str, np.ndarray], step: float) -> float:
        flow = copy_of(start)
        for name, value in flow.parameters.items():
            value[...] = start.parameters[name] + step * direction.get(name, 0.0)
        return fit_once(flow, x).train[0]

    flow = copy_of(start)
    for name, value in flow.parameters.items():
        value[...] = start.parameters[name]
    rate = 1e-3
    fit_once(flow, x, optimizer=cf.SGD(rate))
    trained = [name for name in flow.parameters if name not in flow.frozen]
    gradient = {name: (start.parameters[name] - flow.parameters[name]) / rate for name in trained}
    rng = np.random.default_rng(4)
    for name in trained:
        direction = {name: rng.normal(size=gradient[name].shape)}
        # Points that cross a knot, where the curvature of a spline jumps, are few in a short step.
        difference = (loss(direction, 1e-6) - loss(direction, -1e-6)) / 2e-6
        expected = float(np.sum(gradient[name] * direction[name]))
        assert difference == pytest.approx(expected, rel=2e-5, abs=1e-6), name


def test_steps_do_not_depend_on_the_threads(set_threads: Callable[[int], None]) -> None:
    x = rows(900, 3).astype("float32")
    results = []
    for threads in (1, 2, 3):
        set_threads(threads)
        flow = cf.Flow(maf_with_norms(), features=3, seed=0)
        flow.fit(x, validation=None, epochs=3, batch_size=300, seed=0, progress=False)
        results.append(np.concatenate([value.ravel() for value in flow.parameters.values()]))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_running_statistics_stay_frozen() -> None:
    flow = cf.Flow([cf.BatchNorm()], features=2)
    assert flow.frozen == ("layers.0.mean", "layers.0.variance")
    flow.unfreeze("*")
    assert flow.frozen == ("layers.0.mean", "layers.0.variance")


def test_a_fit_learns_a_skewed_density_with_batchnorm_between_the_layers() -> None:
    x = rows(4000, 2)
    flow = cf.Flow(maf_with_norms(), features=2, seed=0)
    history = flow.fit(x, validation=0.25, epochs=30, batch_size=200, seed=0, progress=False)
    gaussian = 0.5 * np.linalg.slogdet(np.cov(x.T))[1] + 1.0 + np.log(2 * np.pi)
    assert min(history.validation) < gaussian - 0.2


def test_an_inverted_batchnorm_keeps_its_statistics() -> None:
    """On the way to the base it takes the running ones, as they are: steps over rows neither set
    nor mix them. On the way to the data it takes those of the batch, and mixes them."""
    layers = [cf.Inverse(cf.BatchNorm()), cf.BatchNorm()]
    flow = cf.Flow(layers, features=2, dtype="float64")
    mean, variance = flow.parameters["layers.0.mean"], flow.parameters["layers.0.variance"]
    x = rows(300, 2)

    def learn() -> None:
        flow.fit(x, validation=None, batch_size=100, epochs=2, seed=0, progress=False)

    learn()
    np.testing.assert_array_equal([mean, variance], [[0.0, 0.0], [1.0, 1.0]])
    np.testing.assert_allclose(flow.parameters["layers.1.variance"], x.var(0), rtol=0.3)
    mean[:], variance[:] = [1.0, -2.0], [0.3, 4.0]
    learn()
    np.testing.assert_array_equal([mean, variance], [[1.0, -2.0], [0.3, 4.0]])


def test_a_target_mixes_the_statistics_of_what_is_drawn() -> None:
    """Of one batch of draws from the base: their own mean and variance, by the momentum."""
    flow = cf.Flow([cf.Inverse(cf.BatchNorm(momentum=0.25))], features=2, dtype="float64")
    u = cf.Flow([], features=2, dtype="float64").sample(64, seed=5)
    flow.fit_target(
        lambda x: (-0.5 * np.sum(x**2, 1), -x),
        steps=1,
        batch_size=64,
        optimizer=cf.SGD(1e-300),
        seed=5,
    )
    mean, variance = flow.parameters["layers.0.mean"], flow.parameters["layers.0.variance"]
    np.testing.assert_allclose(mean, 0.25 * u.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(variance, 0.75 + 0.25 * u.var(axis=0), rtol=1e-12)


def test_bad_options() -> None:
    with pytest.raises(ValueError, match="momentum must be more than 0 and at most 1, got 0"):
        cf.BatchNorm(momentum=0.0)
    with pytest.raises(ValueError, match="epsilon must be positive, got -1"):
        cf.BatchNorm(epsilon=-1.0)


@pytest.mark.parametrize("n", [257, 513, 1025])
def test_running_statistics_do_not_hang_on_a_last_small_batch(n: int) -> None:
    x = rows(n, 2)
    flow = cf.Flow([cf.BatchNorm()], features=2, dtype="float64")
    flow.fit(
        x, validation=None, epochs=30, batch_size=256, optimizer=NO_STEP, seed=0, progress=False
    )
    np.testing.assert_allclose(flow.parameters["layers.0.variance"], x.var(0), rtol=0.15)


@pytest.mark.parametrize(("n", "batch_size"), [(1, 1), (10, 1), (3, 2)])
def test_batches_of_one_row_are_refused(n: int, batch_size: int) -> None:
    flow = cf.Flow([cf.BatchNorm()], features=2)
    with pytest.raises(ValueError, match=f"two rows or more, got batch_size {batch_size} for {n}"):
        flow.fit(rows(n, 2), validation=None, batch_size=batch_size, epochs=1, progress=False)


def test_a_flow_of_many_actnorms_learns_with_a_column_without_spread() -> None:
    x = rows(1000, 2)
    x[:, 1] = 7.0
    for dtype in ("float32", "float64"):
        flow = cf.glow1d(2, hidden=(16,), dtype=dtype, seed=0)
        history = flow.fit(x, validation=None, epochs=2, seed=0, progress=False)
        assert history.train[0] < 100.0
