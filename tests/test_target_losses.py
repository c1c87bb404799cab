"""The losses of `fit_target`: their gradients against quadrature, and what they find."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

import cflows as cf
from cflows.annealing import Annealer, Pass, ReplayBuffer, resample
from cflows.target_steps import CountedTarget

GRID = np.linspace(-9.0, 11.0, 8001)[:, None]
WEIGHTS, PARTS = (0.3, 0.7), (stats.norm(-1.0, 0.6), stats.norm(1.0, 0.9))
LOG_FACTOR = 1.5  # of the target


def two_normals(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x = np.asarray(x, np.float64)[:, 0]
    each = np.stack([np.log(w) + part.logpdf(x) for w, part in zip(WEIGHTS, PARTS, strict=True)])
    slope = np.stack([-(x - part.mean()) / part.var() for part in PARTS])
    log_p = np.logaddexp(*each)
    return log_p + LOG_FACTOR, np.sum(np.exp(each - log_p) * slope, 0)[:, None]


def log_density(x: np.ndarray) -> np.ndarray:
    return two_normals(x)[0]


def skew() -> cf.Flow:
    """A density with the tails of a normal that is wider than the target."""
    layers = [cf.Elementwise(cf.Spline(4, bound=2.5)), cf.Affine(learned=True)]
    flow = cf.Flow(layers, features=1, dtype="float64", seed=0)
    rng = np.random.default_rng(0)
    for name, value in flow.parameters.items():
        value += np.log(1.6) if "scale" in name else 0.3 * rng.normal(size=value.shape)
    return flow


def integral(f: np.ndarray) -> float:
    return float(np.trapezoid(f, GRID[:, 0]))


def reverse_kl(flow: cf.Flow) -> float:
    log_q = flow.log_prob(GRID)
    return integral(np.exp(log_q) * (log_q - log_density(GRID)))


def forward_kl(flow: cf.Flow) -> float:
    p = np.exp(log_density(GRID) - LOG_FACTOR)
    return -integral(p * flow.log_prob(GRID))


def square(flow: cf.Flow) -> float:
    """The integral of p**2 / q."""
    return integral(np.exp(2.0 * log_density(GRID) - flow.log_prob(GRID)))


def exact_gradient(f: Callable[[cf.Flow], float], flow: cf.Flow) -> np.ndarray:
    out = []
    for value in flow.parameters.values():
        for i in range(value.size):
            at, values = value.flat[i], []
            for step in (1e-5, -1e-5):
                value.flat[i] = at + step
                values.append(f(flow))
            value.flat[i] = at
            out.append((values[0] - values[1]) / 2e-5)
    return np.array(out)


def flat(flow: cf.Flow) -> np.ndarray:
    return np.concatenate([value.ravel() for value in flow.parameters.values()])


def one_step(flow: cf.Flow, target: Any, seed: int, **options: Any) -> np.ndarray:
    """The gradient that a step follows."""
    rate, before = 1e-3, flat(flow)
    flow = flow.astype("float64")
    options = {"steps": 1, "batch_size": 2000, "clip_norm": None} | options
    flow.fit_target(target, optimizer=cf.SGD(rate), seed=seed, **options)
    return np.asarray((before - flat(flow)) / rate)


def check_mean(found: list[np.ndarray], expected: np.ndarray) -> None:
    """Within 4.5 standard errors, which are a small part of the gradient."""
    mean, error = np.mean(found, 0), np.std(found, 0, ddof=1) / np.sqrt(len(found))
    assert np.all(error < 0.1 * np.abs(expected).max())
    assert np.all(np.abs(mean - expected) < 4.5 * error), (mean, expected, error)


SHORT = cf.Annealing(initial_batches=1, updates=1, distributions=2)
GRADIENTS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "reverse": (reverse_kl, two_normals, {}),
    "reverse path": (reverse_kl, two_normals, {"path_gradient": True}),
    "forward": (forward_kl, log_density, {"loss": "forward_kl"}),
    "forward path": (forward_kl, two_normals, {"loss": "forward_kl", "path_gradient": True}),
    "alpha": (
        lambda flow: np.log(square(flow)),
        two_normals,
        {"loss": "alpha", "annealing": SHORT},
    ),
    "alpha by random walks": (
        lambda flow: np.log(square(flow)),
        log_density,
        {"loss": "alpha", "annealing": SHORT},
    ),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_against_quadrature(name: str) -> None:
    divergence, target, options = GRADIENTS[name]
    flow = skew()
    found = [one_step(flow, target, seed, **options) for seed in range(25)]
    check_mean(found, exact_gradient(divergence, flow))


def test_the_gradient_of_given_samples() -> None:
    flow, proposal = skew(), stats.t(4, 0.3, 1.6)

    def given(seed: int) -> tuple[np.ndarray, np.ndarray]:
        x = proposal.rvs((4000, 1), random_state=seed)
        return x, proposal.logpdf(x[:, 0]) + 3.0  # up to a constant

    options: dict[str, Any] = {"loss": "forward_kl"}
    found = [one_step(flow, log_density, s, samples=given(s), **options) for s in range(25)]
    check_mean(found, exact_gradient(forward_kl, flow))
    history = flow.fit_target(
        log_density, steps=3, batch_size=1500, samples=given(0), seed=0, **options
    )
    x, log_proposal = given(0)
    w = np.exp(log_density(x) - log_proposal)
    assert history.evaluations.tolist() == [4000] * 3 and np.isnan(history.elbo).all()
    np.testing.assert_allclose(history.log_evidence, np.log(w.mean()), rtol=1e-12)
    np.testing.assert_allclose(
        history.effective_sample_size, w.sum() ** 2 / (w @ w) / 4000, rtol=1e-12
    )


def test_the_buffer_s_weights_follow_the_flow() -> None:
    """The second step on a buffer, after a long first one, against quadrature at the new flow."""
    rate, expected, found, seeds = 0.05, [], [], 16
    settings = cf.Annealing(initial_batches=1, updates=2, distributions=1, max_correction=1e9)
    for seed in range(seeds):
        flow = skew()
        first = square(flow)
        points = []
        flow.fit_target(
            two_normals,
            loss="alpha",
            annealing=settings,
            steps=2,
            batch_size=2000,
            optimizer=cf.SGD(rate),
            clip_norm=None,
            callback=lambda report, p=points, f=flow: p.append(flat(f)),
            seed=seed,
        )
        found.append((points[0] - points[1]) / rate)
        moved = skew()
        at = points[0]
        for value in moved.parameters.values():
            value.ravel()[...] = at[: value.size]
            at = at[value.size :]
        expected.append(exact_gradient(square, moved) / first)
    difference = np.array(found) - expected
    error = difference.std(0, ddof=1) / np.sqrt(seeds)
    assert np.all(np.abs(difference.mean(0)) < 4.5 * error)
    shift = np.abs(np.mean(expected, 0) - exact_gradient(lambda f: np.log(square(f)), skew()))
    assert shift.max() > 10 * error.max()  # the first step was long enough for the test to see it


@pytest.mark.parametrize("loss", ["reverse_kl", "forward_kl"])
def test_path_gradients_vanish_where_the_flow_is_the_target(loss: Any) -> None:
    flow = cf.realnvp(2, layers=3, hidden=(8,), dtype="float64", standardize=False, seed=0)
    rng = np.random.default_rng(0)
    for value in flow.parameters.values():
        value += 0.2 * rng.normal(size=value.shape)
    twin = flow.astype("float64")

    def target(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        score, log_prob = twin.grad_log_prob(x, return_log_prob=True)
        return log_prob + 2.0, score

    kwargs: dict[str, Any] = {"loss": loss, "batch_size": 100}
    path = one_step(flow, target, 0, path_gradient=True, **kwargs)
    other = one_step(flow, target, 0, **kwargs)
    assert np.abs(path).max() < 1e-9 < 1e-3 < np.abs(other).max()


@pytest.mark.parametrize("loss", ["reverse_kl", "forward_kl"])
def test_path_gradients_are_those_of_the_flow_as_it_is_scored(loss: Any) -> None:
    """Dropout does nothing, and running statistics stay."""

    def target(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return -0.5 * np.sum((x - 1) ** 2, 1), 1 - x

    def after(dropout: float) -> cf.Flow:
        network = cf.MLP((8,), dropout=dropout)
        layers = [cf.Inverse(cf.BatchNorm()), cf.Coupling("half", conditioner=network)]
        flow = cf.Flow(layers, 2, dtype="float64", seed=0)
        flow.parameters["layers.0.variance"][...] = [2.0, 0.5]
        options: dict[str, Any] = {"loss": loss, "steps": 3, "batch_size": 64, "seed": 0}
        flow.fit_target(target, path_gradient=True, **options)
        return flow

    np.testing.assert_array_equal(flat(after(0.5)), flat(after(0.0)))
    assert np.all(after(0.5).parameters["layers.0.variance"] == [2.0, 0.5])
    assert np.all(after(0.5).parameters["layers.0.mean"] == 0.0)


def test_path_gradients_through_the_units_of_a_float32_flow() -> None:
    """Columns of odd units are sampled in float64; one context for all."""
    base = cf.Normal(learned=True)
    flow = cf.Flow([cf.Affine(learned=True), cf.Affine(3e6, 5.0)], 1, base=base, seed=0)

    def target(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        z = (np.asarray(x, np.float64) - 3e6 - 4.0) / 7.0
        return -0.5 * z[:, 0] ** 2, -z / 7.0

    for path_gradient in (False, True):
        flow.fit_target(
            target, path_gradient=path_gradient, steps=400, optimizer=cf.Adam(1e-2), seed=0
        )
    found = flow.importance_sample(target, 500, seed=0)
    assert found.effective_sample_size > 499.9
    assert found.log_evidence == pytest.approx(np.log(7 * np.sqrt(2 * np.pi)), abs=1e-3)


@pytest.mark.parametrize("target", [two_normals, log_density], ids=["hamiltonian", "metropolis"])
@pytest.mark.parametrize("distributions", [1, 3])
def test_annealed_weights_are_unbiased(target: Any, distributions: int) -> None:
    """Their mean is the integral of p**2 / q, and weighted samples are of that density."""
    flow = skew()
    annealer = annealer_of(flow, target, 3000, cf.Annealing(distributions=distributions))
    means, moments = [], []
    for _ in range(20):
        found = annealer.run()
        w = np.exp(found.log_weight)
        means.append(w.mean())
        moments.append(np.mean(w * found.x[:, 0]))
        np.testing.assert_allclose(found.log_q, annealer.trainer.log_prob(found.x), rtol=1e-12)
    annealer.trainer.close()
    truth = square(flow)
    density = np.exp(2.0 * log_density(GRID) - flow.log_prob(GRID))
    for values, exact in ((means, truth), (moments, integral(density * GRID[:, 0]))):
        error = np.std(values, ddof=1) / np.sqrt(len(values))
        assert abs(np.mean(values) - exact) < 4.5 * error < 0.05 * truth
    assert np.all((annealer.step_size > 0.1) & (annealer.step_size < 5.0))


def annealer_of(flow: cf.Flow, target: Any, n: int, settings: cf.Annealing) -> Annealer:
    trainer = cf._core.TargetTrainer(flow, None, cf.Adam(), cf.Constant(), 1, n, 0.0, 3)
    return Annealer(trainer, CountedTarget(target, None), settings, n, np.random.default_rng(5))


@pytest.mark.parametrize("b", [0.25, 0.5, 0.75])
def test_trajectories_follow_the_gradient(b: float) -> None:
    annealer = annealer_of(skew(), two_normals, 50, cf.Annealing())
    x = np.linspace(-3.3, 3.4, 50)[:, None]
    low, middle, high = (annealer.points(x + step, True) for step in (-1e-6, 0.0, 1e-6))
    difference = (high.log_density(b) - low.log_density(b)) / 2e-6
    np.testing.assert_allclose(middle.gradient(b)[:, 0], difference, rtol=1e-5, atol=1e-6)
    moved, accepted = annealer._hamiltonian(middle, b, np.array([1e-4]))
    assert accepted.mean() > 0.97 and 1e-5 < np.abs(moved.x - x).mean() < 1e-3
    annealer.trainer.close()


def test_the_buffer() -> None:
    rng = np.random.default_rng(0)
    buffer = ReplayBuffer(5)

    def found(first: int, log_weight: list[float]) -> Pass:
        x = np.arange(first, first + len(log_weight), dtype=float)[:, None]
        return Pass(x, np.array(log_weight), np.zeros(len(x)), np.zeros(len(x)))

    assert not buffer.add(found(0, [-np.inf, np.nan]))
    assert buffer.add(found(0, [0.0, -np.inf, 1.0, 2.0]))
    assert set(buffer.x[buffer.draw(50, rng), 0]) == {0.0, 2.0, 3.0}
    assert buffer.add(found(10, [1.0, 1.0, 1.0]))
    assert sorted(buffer.x[:, 0]) == [2.0, 3.0, 10.0, 11.0, 12.0]  # the oldest is gone
    index = np.array([1, 1, 3])
    before = buffer.log_weight.copy()
    np.testing.assert_allclose(buffer.correct(index, np.log([2.0, 2.0, 4.0])), [0.5, 0.5, 0.25])
    change = np.array([0.0, -np.log(2.0), 0.0, -np.log(4.0), 0.0])
    np.testing.assert_allclose(buffer.log_weight, before + change)
    counts = np.zeros(4)
    for _ in range(2000):
        counts += np.bincount(resample(np.log([1e-300, 1.0, 2.0, 4.0]), 3, rng), minlength=4)
    np.testing.assert_allclose(counts / 6000, [0, 1 / 7, 2 / 7, 4 / 7], atol=0.02)


def two_bumps(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Equal normals of standard deviation 0.6 around (-5, -5) and (4, 4)."""
    x = np.asarray(x, np.float64)
    each = np.stack([-0.5 * np.sum((x - m) ** 2, 1) / 0.36 for m in (-5.0, 4.0)])
    log_p = np.logaddexp(*each)
    slope = np.stack([-(x - m) / 0.36 for m in (-5.0, 4.0)])
    gradient = np.sum(np.exp(each - log_p)[:, :, None] * slope, 0)
    return log_p - np.log(2.0 * 2 * np.pi * 0.36), gradient


def test_a_mode_that_reverse_kl_drops_and_alpha_does_not() -> None:
    parts, sizes = {}, {}
    for loss, steps in (("reverse_kl", 600), ("alpha", 600)):
        flow = cf.nsf(2, layers=4, hidden=(32,), bound=8, standardize=False, seed=0)
        options: Any = {"loss": loss, "steps": steps, "batch_size": 128, "seed": 0}
        flow.fit_target(two_bumps, optimizer=cf.Adam(3e-3), **options)
        x = flow.sample(4000, seed=1)
        parts[loss] = np.mean(x.sum(1) > 0.0)
        found = flow.importance_sample(two_bumps, 4000, seed=1)
        sizes[loss] = found.effective_sample_size / 4000
    print(parts, sizes)
    assert parts["reverse_kl"] > 0.99
    assert 0.35 < parts["alpha"] < 0.65 and sizes["alpha"] > 0.5


LOSSES: dict[str, dict[str, Any]] = {
    "forward": {"loss": "forward_kl"},
    "forward path": {"loss": "forward_kl", "path_gradient": True},
    "alpha": {"loss": "alpha", "annealing": cf.Annealing(initial_batches=2, updates=3)},
    "given": {
        "loss": "forward_kl",
        "samples": (np.linspace(-1.9, 1.7, 60)[:, None], np.zeros(60)),
    },
}


def half(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An exponential density: none below 0, where the gradient is not a number."""
    x = np.asarray(x, np.float64)
    inside = x[:, 0] > 0.0
    return np.where(inside, -x[:, 0], -np.inf), np.where(inside[:, None], -1.0, np.nan)


def test_path_gradients_refuse_the_end_of_a_support() -> None:
    """What a jump adds to the gradient is not in them."""
    flow = cf.Flow([cf.Affine(learned=True)], 1, seed=0)
    with pytest.raises(cf.NumericalError, match="without path gradients bear points of no density"):
        flow.fit_target(half, steps=60, seed=0, **LOSSES["forward path"])


@pytest.mark.parametrize("name", ["forward", "alpha", "given"])
def test_points_of_no_density_are_left_out(name: str) -> None:
    flow = cf.Flow([cf.Affine(learned=True)], 1, seed=0)
    history = flow.fit_target(half, steps=60, optimizer=cf.Adam(2e-2), seed=0, **LOSSES[name])
    assert history.skipped == 0 and np.isfinite(history.loss).all()
    assert flow.sample(1000, seed=0).mean() > 0.4
    if name != "given":
        assert np.all(history.elbo == -np.inf)
        error = np.abs(history.log_evidence) / history.log_evidence_error
        assert np.all(error < 4.5)  # the integral is 1


@pytest.mark.parametrize("name", LOSSES)
def test_steps_depend_on_the_seed_alone(name: str, set_threads: Callable[[int], None]) -> None:
    results = []
    for threads, seed in ((1, 3), (2, 3), (2, 4)):
        set_threads(threads)
        flow = skew()
        flow.fit_target(two_normals, steps=5, batch_size=300, seed=seed, **LOSSES[name])
        results.append(flat(flow))
    np.testing.assert_array_equal(results[0], results[1])
    assert np.any(results[2] != results[0])


def test_what_a_history_of_alpha_counts() -> None:
    seen: list[int] = []

    def target(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen.append(len(x))
        return two_normals(x)

    settings = cf.Annealing(distributions=2, transition_steps=3, updates=2, initial_batches=4)
    options: dict[str, Any] = {"loss": "alpha", "annealing": settings, "batch_size": 50, "seed": 1}
    history = skew().fit_target(target, steps=5, **options)
    a_pass = 50 * (1 + 2 * 3)
    assert history.evaluations.tolist() == [4 * a_pass] * 2 + [5 * a_pass] * 2 + [6 * a_pass]
    assert sum(seen) == 6 * a_pass and set(seen) == {50}
    assert history.log_evidence[0] == history.log_evidence[1] != history.log_evidence[2]
    found = skew().importance_sample(two_normals, 50, seed=1)
    w = found.weights * 50
    error = w.std(ddof=1) / np.sqrt(50)
    reverse = skew().fit_target(two_normals, steps=1, batch_size=50, seed=1)
    assert reverse.log_evidence[0] == pytest.approx(found.log_evidence, rel=1e-9)
    assert reverse.log_evidence_error[0] == pytest.approx(error, rel=1e-9)
    assert reverse.evaluations.tolist() == [50] and reverse.loss[0] == -reverse.elbo[0]


def test_one_context_for_the_weights_of_a_step() -> None:
    contexts = np.array([[-2.0, 0.3], [3.0, 0.8]])
    seen: list[np.ndarray] = []

    def target(x: np.ndarray, context: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert len(context) in (1, len(x))
        seen.append(np.unique(context, axis=0))
        z = (np.asarray(x, np.float64) - context[:, :1]) / context[:, 1:]
        return 5 * context[:, 0] - 0.5 * z[:, 0] ** 2, -z / context[:, 1:]

    options: dict[str, Any] = {"optimizer": cf.Adam(1e-2), "seed": 0}
    for path_gradient in (False, True):
        seen.clear()
        flow = cf.Flow([cf.Elementwise(hidden=(16,))], 1, context_features=2, seed=0)
        flow.fit_target(
            target,
            contexts,
            loss="forward_kl",
            path_gradient=path_gradient,
            steps=500,
            **options,
        )
        assert all(len(rows) == 1 for rows in seen)
        assert 180 < sum(rows[0, 0] == -2.0 for rows in seen) < 320
        for row in contexts:
            found = flow.importance_sample(target, 1000, row, seed=0)
            assert found.effective_sample_size > 900
    flow = cf.Flow([cf.Elementwise(hidden=(16,))], 1, context_features=2, seed=0)
    flow.fit_target(target, contexts[1], loss="alpha", steps=300, **options)
    assert flow.importance_sample(target, 1000, contexts[1], seed=0).effective_sample_size > 900
    with pytest.raises(ValueError, match=r"context must be one row, got shape \(2, 2\)"):
        flow.fit_target(target, contexts, loss="alpha")


@pytest.mark.parametrize("name", ["forward", "alpha"])
def test_targets_that_are_not_finite(name: str) -> None:
    flow = skew()
    before = flat(flow)
    for value, kind in ((np.nan, "loss or a|NaN or inf"), (-np.inf, ""), (np.inf, "")):
        with pytest.raises(cf.NumericalError, match=f"^20 .* in a row .*({kind})"):
            flow.fit_target(lambda x, v=value: np.full(len(x), v), steps=100, **LOSSES[name])
        np.testing.assert_array_equal(flat(flow), before)
    calls = []

    def target(x: np.ndarray) -> np.ndarray:
        calls.append(0)
        return np.where(len(calls) == 1 and np.arange(len(x)) == 3, np.nan, log_density(x))

    history = flow.fit_target(target, steps=6, seed=0, **LOSSES[name])
    assert history.skipped == 1 and len(history.elbo) == 6 and np.isnan(history.elbo[0])


@pytest.mark.parametrize("error", [KeyboardInterrupt, ArithmeticError])
def test_alpha_ends_where_its_target_does(error: Any) -> None:
    flow, calls = skew(), []

    def target(x: np.ndarray) -> Any:
        calls.append(flat(flow))
        if len(calls) == 20:
            raise error
        return two_normals(x)

    if error is KeyboardInterrupt:
        history = flow.fit_target(target, steps=50, seed=0, **LOSSES["alpha"])
        assert history.stopped == "interrupted" and len(history.elbo) == 6
    else:
        with pytest.raises(error):
            flow.fit_target(target, steps=50, seed=0, **LOSSES["alpha"])
    np.testing.assert_array_equal(flat(flow), calls[-1])
    flow.sample(1)  # is free again


X = np.zeros((4, 1))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"loss": "kl"},
            ValueError,
            "loss must be 'reverse_kl', 'forward_kl' or 'alpha', got 'kl'",
        ),
        ({"loss": ["alpha"]}, ValueError, "loss must be 'reverse_kl'"),
        ({"path_gradient": 2}, TypeError, "path_gradient must be True or False, got 2"),
        ({"loss": "alpha", "path_gradient": True}, ValueError, "path_gradient is for samples"),
        ({"samples": (X, X[:, 0])}, ValueError, "samples are for loss='forward_kl', got"),
        ({"annealing": cf.Annealing()}, ValueError, "annealing is for loss='alpha', got loss='rev"),
        ({"loss": "alpha", "annealing": 3}, TypeError, "must be an Annealing or None, got 3"),
        ({"loss": "forward_kl", "samples": X}, TypeError, r"a tuple \(x, log_density\), got"),
        (
            {"loss": "forward_kl", "samples": (X, X)},
            ValueError,
            r"log_density of samples must have shape \(4,\), got \(4, 1\)",
        ),
        (
            {"loss": "forward_kl", "samples": (X.T, X[:, 0])},
            ValueError,
            r"x of samples must have shape \(n, 1\), got \(1, 4\)",
        ),
        (
            {"loss": "forward_kl", "samples": (X, np.array([0, 0, np.inf, 0]))},
            ValueError,
            "log_density of samples must be finite, got inf in row 2",
        ),
        (
            {"target": lambda x: x[:, 0] * np.nan, "loss": "forward_kl", "samples": (X, X[:, 0])},
            ValueError,
            "the largest log-weight, .* must be finite, got nan",
        ),
        (
            {"target": log_density, "path_gradient": True},
            TypeError,
            r"a tuple \(log_density, gradient\), got .*'forward_kl' or 'alpha'",
        ),
        (
            {"target": lambda x: x, "loss": "forward_kl"},
            ValueError,
            r"log_density must have shape \(256,\), got \(256, 1\)",
        ),
        (
            {"target": lambda x: (x[:, 0], x[:, 0]), "loss": "alpha"},
            ValueError,
            r"gradient must have shape \(256, 1\), got \(256,\)",
        ),
    ],
)
def test_wrong_arguments(options: dict[str, Any], error: Any, message: str) -> None:
    flow = skew()
    with pytest.raises(error, match=message):
        flow.fit_target(**{"target": two_normals, **options})
    flow.sample(1)


def test_wrong_annealing() -> None:
    with pytest.raises(ValueError, match="updates must be 1 or more, got 0"):
        cf.Annealing(updates=0)
    with pytest.raises(ValueError, match="buffer_batches must be 9 or more, got 8"):
        cf.Annealing(initial_batches=9, buffer_batches=8)
    with pytest.raises(ValueError, match=r"max_correction must be 1 or more, got 0\.5"):
        cf.Annealing(max_correction=0.5)
