"""Couplings and paths of flow matching, reflow and distillation, against formulas and SciPy."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

import cflows as cf
from cflows import _core

STILL: dict[str, Any] = {
    "validation": None,
    "epochs": 1,
    "optimizer": cf.SGD(1e-300),
    "progress": False,
    "seed": 0,
}
TRANSPORT = cf.FlowMatching(coupling="optimal_transport")
HALF_PI = np.pi / 2


def new_flow(features: int = 2, *, network: Any = None, **options: Any) -> cf.Flow:
    network = cf.MLP((32, 32), "silu") if network is None else network
    return cf.Flow([cf.Continuous(network), cf.Affine()], features=features, seed=0, **options)


def zero_flow(features: int = 1, **options: Any) -> cf.Flow:
    """Whose velocity is 0 and whose data are not standardised."""
    return cf.Flow([cf.Continuous(cf.MLP((4,)))], features=features, dtype="float64", seed=0,
                   **options)  # fmt: skip


# ---- assignments ---- #


def costs(kind: str, n: int, rng: np.random.Generator) -> np.ndarray:
    if kind == "normal":
        return rng.normal(size=(n, n))
    if kind == "many equal":
        return rng.integers(0, 3, size=(n, n)).astype(float)
    if kind == "many scales":
        return np.exp(20 * rng.normal(size=(n, n)))
    features = {"line": 1, "plane": 2, "space": 8}[kind]
    z, u = 1e3 + rng.normal(size=(n, features)), rng.normal(size=(n, features))
    return ((z[:, None] - u[None]) ** 2).sum(axis=-1)


@pytest.mark.parametrize("kind", ["normal", "many equal", "many scales", "line", "plane", "space"])
def test_assignments_cost_what_scipy_says(kind: str) -> None:
    rng = np.random.default_rng(0)
    for n in [*range(8), *rng.integers(8, 60, size=40), 200]:
        cost = costs(kind, n, rng)
        columns = _core.assignment(cost)
        assert sorted(columns) == list(range(n))
        truth = cost[linear_sum_assignment(cost)].sum()
        assert cost[np.arange(n), columns].sum() <= truth + 1e-12 * np.abs(cost).sum()


def test_assignments_of_what_is_no_cost() -> None:
    for cost, message in (([[1.0, 2.0]], "square"), ([[np.nan]], "finite"), ([[np.inf]], "finite")):
        with pytest.raises(ValueError, match=message):
            _core.assignment(cost)


# ---- paths ---- #


def linear_velocity(z: np.ndarray, t: float, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return np.column_stack([z, np.full(len(z), t)]) @ weight.T + bias


@pytest.mark.parametrize(
    ("criterion", "sigma"),
    [
        ("flow_matching", 0.0),
        (cf.FlowMatching(sigma_min=0.3), 0.3),
        (cf.FlowMatching(path="trigonometric"), 0.0),
        (cf.FlowMatching(path="trigonometric", sigma_min=0.2), 0.2),
    ],
)
def test_losses_are_those_of_the_formulas(criterion: Any, sigma: float) -> None:
    """By quadrature over t, of rows that come with points of the base."""
    rng = np.random.default_rng(0)
    u, x = rng.normal(size=(30_000, 2)), rng.normal(size=(30_000, 2)) * [2.0, 0.5] + [1.0, 0.0]
    layer = cf.Continuous(cf.MLP(()), frequencies=0)
    flow = cf.Flow([layer], features=2, dtype="float64", seed=0)
    weight, bias = flow.parameters.values()
    weight[...], bias[...] = rng.normal(size=weight.shape), rng.normal(size=2)
    found = flow.fit(x, u=u, loss=criterion, **STILL).train[0]
    total, end = 0.0, x + sigma * u
    for point, share in zip(*np.polynomial.legendre.leggauss(12), strict=True):
        t = 0.5 + 0.5 * point
        if getattr(criterion, "options", {}).get("path") == "trigonometric":
            c, s = np.cos(HALF_PI * t), np.sin(HALF_PI * t)
            at, target = c * u + s * end, HALF_PI * (c * end - s * u)
        else:
            at, target = (1 - t) * u + t * end, end - u
        error = linear_velocity(at, t, weight, bias) - target
        total += 0.5 * share * np.mean(error**2)
    assert found == pytest.approx(total, rel=0.01)


def test_points_of_the_base_are_drawn_where_none_are_given() -> None:
    x = np.random.default_rng(0).normal(size=(40_000, 1)) * 2.0
    for criterion, truth in (
        (cf.FlowMatching(), 4.0 + 1.0),
        (cf.FlowMatching(sigma_min=0.4), 4.0 + 0.6**2),
        (cf.FlowMatching(path="trigonometric"), HALF_PI**2 * (4.0 + 1.0) / 2),
    ):
        assert zero_flow().fit(x, loss=criterion, **STILL).train[0] == pytest.approx(
            truth, rel=0.03
        )


# ---- couplings ---- #


def test_a_coupling_is_an_optimal_transport() -> None:
    """On a line it is the sorted one, whose cost of large batches is (s - 1)^2."""
    x = np.random.default_rng(0).normal(size=(2048, 1)) * 3.0
    found = zero_flow().fit(x, loss=TRANSPORT, batch_size=256, **STILL).train[0]
    rng = np.random.default_rng(1)
    sorted_costs = [
        np.mean((np.sort(3.0 * rng.normal(size=256)) - np.sort(rng.normal(size=256))) ** 2)
        for _ in range(200)
    ]
    assert found == pytest.approx(np.mean(sorted_costs), abs=4 * np.std(sorted_costs) / np.sqrt(8))
    single = zero_flow().fit(x, loss=TRANSPORT, batch_size=1, **STILL).train[0]
    assert single == pytest.approx(10.0, rel=0.1)  # nothing to exchange


def test_a_coupling_leaves_the_base_as_it_is() -> None:
    """Each point is used once: a velocity of -u / (1 - t) at t = 0 would see a normal u."""
    x = np.random.default_rng(0).normal(size=(2048, 2))
    flow = cf.Flow([cf.Continuous(cf.MLP(()), frequencies=0)], features=2, dtype="float64", seed=0)
    weight, _ = flow.parameters.values()
    losses = []
    for factor in (-1.0, 0.0, 1.0):  # |factor z_t - (z - u)|^2, of the same draws
        weight[...] = factor * np.eye(2, 3)
        losses.append(flow.fit(x, loss=TRANSPORT, batch_size=256, **STILL).train[0])
    second_moment = (losses[0] + losses[2]) / 2 - losses[1]  # of z_t, near that of z and u
    assert second_moment == pytest.approx(1.0, abs=0.1)
    assert losses[1] < 0.3  # which is 2 of independent points


@pytest.mark.filterwarnings("ignore:.*in groups far apart")
def test_only_rows_of_equal_context_exchange_points() -> None:
    """Two distant classes, each of which needs all of the base."""
    rng = np.random.default_rng(0)
    context = np.repeat([[-1.0, 0.5], [1.0, 0.5]], 512, axis=0)
    x = 5.0 * context[:, :1] + 0.1 * rng.normal(size=(1024, 1))
    options = {**STILL, "batch_size": 256}
    with_context = zero_flow(context_features=2).fit(x, context, loss=TRANSPORT, **options).train[0]
    assert with_context == pytest.approx(25.0 + 0.9**2, rel=0.03)
    assert zero_flow().fit(x, loss=TRANSPORT, **options).train[0] < 20.0


def test_a_coupled_fit_is_the_same_on_any_threads_and_resumes(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(600, 2)) * [1.0, 3.0]
    options: dict[str, Any] = {"loss": TRANSPORT, "batch_size": 100, "validation": 0.2, "seed": 3,
                               "epochs": 4, "progress": False}  # fmt: skip
    before = cf.get_num_threads()
    whole, threaded, parts = new_flow(), new_flow(), new_flow()
    try:
        history = whole.fit(x, **options)
        cf.set_num_threads(3)
        again = threaded.fit(x, **options)
    finally:
        cf.set_num_threads(before)
    assert history.validation == again.validation
    path = tmp_path / "fit"
    parts.fit(x, **{**options, "epochs": 2}, checkpoint=path)
    with pytest.raises(ValueError, match="loss"):
        new_flow().fit(x, **{**options, "loss": cf.FlowMatching()}, resume=path)
    parts.fit(x, **options, resume=path)
    for name, parameter in whole.parameters.items():
        assert np.array_equal(threaded.parameters[name], parameter)
        assert np.array_equal(parts.parameters[name], parameter)


def test_a_coupling_makes_paths_straighter() -> None:
    x = cf.data.toy("moons").sample(3000, seed=0)
    errors = []
    for criterion in (cf.FlowMatching(), TRANSPORT):
        flow = new_flow()
        flow.fit(x, loss=criterion, epochs=20, batch_size=64, optimizer=cf.Adam(1e-2), seed=0,
                 schedule="cosine", patience=None, progress=False)  # fmt: skip
        errors.append(error_of_few_steps(flow, 2))
    assert errors[1] < 0.35 * errors[0]


def test_single_steps_are_coupled_too() -> None:
    x = np.random.default_rng(0).normal(size=(512, 1)) * 3.0
    with cf.Trainer(zero_flow(), TRANSPORT, cf.SGD(1e-300), seed=0) as trainer:
        assert trainer.step(x) < 5.0
        assert trainer.step(x[:1]) >= 0.0
    with cf.Trainer(zero_flow(), cf.FlowMatching(), cf.SGD(1e-300), seed=0) as trainer:
        assert trainer.step(x) > 8.0


@pytest.mark.filterwarnings("ignore:.*none held out")
def test_what_cannot_be_coupled_is_refused() -> None:
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(60, 2)), np.r_[np.zeros(20), np.full(20, 2.0), np.ones(20)]
    flow, options = new_flow(), {"loss": TRANSPORT, "epochs": 1, "progress": False, "seed": 0}
    with pytest.raises(ValueError, match=r"rows of equal weight.*got weights 2 and 1"):
        flow.fit(x, weights=weights, validation=None, **options)
    flow.fit(x, weights=np.where(weights > 1, 2.0, 0.0), validation=None, **options)
    with pytest.raises(ValueError, match="got u, points that belong to them already"):
        flow.fit(x, u=x, **options)
    given = new_flow(context_features=1)
    with pytest.raises(ValueError, match="no two of the rows have one"):
        given.fit(x, rng.normal(size=(60, 1)), **options)
    with pytest.raises(ValueError, match="one Continuous layer"):
        cf.realnvp(2, layers=1).fit(x, **options)
    with pytest.raises(ValueError, match="FlowMatching is a loss of flows"):
        model = cf.nn.objective(lambda x, p: cf.nn.sum(x * x), features=2)
        model.fit(x, loss=TRANSPORT, epochs=1, progress=False)


# ---- rows that come with points of the base ---- #


def test_points_stay_with_their_rows(tmp_path: Path) -> None:
    """A split, a selection by weights and a shuffle: x = 2 u leaves a loss of mean u^2 each."""
    u = np.random.default_rng(0).normal(size=(3000, 2)) * np.linspace(0.1, 3.0, 3000)[:, None]
    x, kept = 2.0 * u, np.arange(3000) % 3 > 0
    weights = np.where(kept, np.linspace(1.0, 2.0, 3000), 0.0)
    options = {**STILL, "loss": cf.FlowMatching(), "validation": 0.3}
    history = zero_flow(2).fit(x, weights=weights, u=u, **options)
    train, held_out = _core.split_rows(int(kept.sum()), 0.3, 0)
    for found, part in ((history.train, train), (history.validation, held_out)):
        rows = np.flatnonzero(kept)[part]
        truth = np.average((u[rows] ** 2).mean(axis=1), weights=weights[rows])
        assert found[0] == pytest.approx(truth, rel=0.02 if part is train else 1e-9)
    apart = zero_flow(2).fit(x, u=u, **{**options, "validation": (x[:50], None, None, u[:50])})
    assert apart.validation[0] == pytest.approx(np.mean(u[:50] ** 2))
    path = tmp_path / "fit"
    zero_flow(2).fit(x, u=u, **options, checkpoint=path)
    with pytest.raises(ValueError, match="u has changed"):
        zero_flow(2).fit(x, u=-u, **{**options, "epochs": 2}, resume=path)


def test_points_that_do_not_belong_are_refused() -> None:
    x = np.random.default_rng(0).normal(size=(50, 2))
    bad = x.copy()
    bad[7, 1] = np.nan
    matching: dict[str, Any] = {"loss": "flow_matching", "epochs": 1, "progress": False}
    for u, options, message in (
        (x, {"epochs": 1}, "the loss likelihood does not read u"),
        (x[:20], matching, "u must have a point for each of the 50 rows of x, got 20"),
        (x[:, :1], matching, "u must have shape"),
        (bad, matching, "u: row 7 holds nan in column 1"),
        (x, {**matching, "validation": x}, "validation must be .x, context, weights, u."),
        (None, {**matching, "validation": (x, None, None, x)}, "only there"),
        (x, {**matching, "missing": "marginal"}, "neither augment nor missing"),
    ):
        with pytest.raises(ValueError, match=message):
            new_flow().fit(x, u=u, **options)
    with pytest.raises(TypeError, match=r"such as cf.FlowMatching\(\)"):
        new_flow().fit(x, loss=3)  # type: ignore[arg-type]


# ---- reflow ---- #


def error_of_few_steps(flow: cf.Flow, steps: int) -> float:
    """Of Euler steps of the standardised equation, in root mean square."""
    exact = flow.sample(2000, seed=5).astype(np.float64)
    few = flow.with_solver("euler", steps=steps).sample(2000, seed=5).astype(np.float64)
    return float(np.sqrt(np.mean((few - exact) ** 2)))


def test_reflow_straightens_paths_and_keeps_the_distribution() -> None:
    moons = cf.data.toy("moons")
    x, test = moons.sample(5000, seed=0), moons.sample(2000, seed=1)
    flow = new_flow()
    options: dict[str, Any] = {"epochs": 40, "optimizer": cf.Adam(1e-2), "schedule": "cosine",
                               "patience": None, "progress": False, "seed": 0}  # fmt: skip
    flow.fit(x, loss="flow_matching", **options)
    before = copy.copy(flow)
    flow.reflow(8000, **options)
    for steps in (1, 4):
        assert error_of_few_steps(flow, steps) < 0.15 * error_of_few_steps(before, steps)
    assert abs(flow.log_prob(test).mean() - before.log_prob(test).mean()) < 0.05
    # Still the density of its samples: exact whatever was learned.
    u, log_det = flow.inverse(test[:50])
    jacobian = np.linalg.slogdet(cf.jacobian(flow.astype("float64"), test[:50]))[1]
    np.testing.assert_allclose(log_det, jacobian, rtol=0, atol=2e-3)
    np.testing.assert_allclose(flow.forward(u)[0], test[:50], rtol=0, atol=1e-3)


@pytest.mark.filterwarnings("ignore:.*learns a normal distribution")
def test_pairs_of_a_context() -> None:
    """The teacher is known: x = context + exp(context) u, and so is the distilled density."""
    rng = np.random.default_rng(0)
    rows = rng.uniform(-1, 1, size=(500, 1))
    teacher = cf.Flow([cf.Elementwise(hidden=())], features=1, context_features=1, seed=0)
    for name, parameter in teacher.parameters.items():
        parameter[...] = 1.0 if name.endswith("weight") else 0.0
    context = np.full((400, 1), 0.7)
    x = rng.normal(size=(400, 1)) * 2.0 + 0.7
    log_scale = teacher.forward(np.zeros((1, 1)), [[0.7]])[1][0]
    truth = -0.5 * ((x - 0.7) / np.exp(log_scale)) ** 2 - log_scale - 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(teacher.log_prob(x, context), truth[:, 0], atol=1e-4)
    student = cf.maf(1, layers=2, hidden=(16,), context_features=1, seed=1)
    student.distill(teacher, 5000, rows, epochs=40, optimizer=cf.Adam(5e-3), seed=0,
                    progress=False)  # fmt: skip
    near = np.abs(x[:, 0] - 0.7) < 4.0
    found = student.log_prob(x, context)
    assert np.abs(found - truth[:, 0])[near].mean() < 0.05
    with pytest.raises(ValueError, match="context"):
        student.distill(teacher, 100, progress=False)


# ---- distillation ---- #


def test_a_coupling_flow_learns_a_continuous_one() -> None:
    x = cf.data.toy("moons").sample(5000, seed=0)
    teacher = new_flow()
    options: dict[str, Any] = {"optimizer": cf.Adam(5e-3), "schedule": "cosine", "patience": None,
                               "progress": False, "seed": 0}  # fmt: skip
    teacher.fit(x, loss="flow_matching", epochs=30, **options)
    test, maps = teacher.sample(1000, seed=1), []
    for weight in (None, 1.0):
        student = cf.nsf(2, layers=4, hidden=(24, 24), seed=0)
        student.distill(teacher, 6000, weight=weight, epochs=15, **options)
        assert abs(student.log_prob(test).mean() - teacher.log_prob(test).mean()) < 0.06
        # Of maps of one density: the student's own, and the teacher's.
        maps.append(np.median(np.abs(student.inverse(test)[0] - teacher.inverse(test)[0])))
    assert maps[1] < 0.6 * maps[0]


def test_distillation_is_likelihood_and_error() -> None:
    rng = np.random.default_rng(0)
    x, u = rng.normal(size=(200, 2)), rng.normal(size=(200, 2))
    flow = cf.maf(2, layers=1, hidden=(8,), dtype="float64", seed=0)
    found = flow.fit(x, u=u, loss=cf.Distillation(0.7), **STILL).train[0]
    truth = np.mean(-flow.log_prob(x) + 0.7 * ((flow.inverse(x)[0] - u) ** 2).sum(axis=1))
    assert found == pytest.approx(truth, rel=1e-9)
    with pytest.raises(ValueError, match=r"Distillation\(weight=1\) needs u of 2 features"):
        flow.fit(x, loss=cf.Distillation(), **STILL)


def test_what_cannot_be_distilled_is_refused() -> None:
    flow, other = cf.realnvp(2, layers=1), cf.realnvp(3, layers=1)
    laplace = cf.Flow([cf.Coupling()], features=2, base=cf.Laplace())
    with pytest.raises(ValueError, match="the same shape, got"):
        flow.distill(other)
    with pytest.raises(ValueError, match="for flows of one base"):
        laplace.distill(flow, weight=1.0)
    laplace.distill(flow, 100, epochs=1, progress=False)
    with pytest.raises(ValueError, match="have opposite signs"):
        mirror = cf.Flow([cf.Permutation("reverse")], features=2)
        mirror.distill(new_flow(), 10, weight=1.0)
    with pytest.raises(TypeError, match="teacher must be a Flow, got 3"):
        flow.distill(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="has a loss of its own, got loss="):
        flow.distill(flow, loss="likelihood")
    with pytest.raises(ValueError, match="one Continuous layer"):
        flow.reflow(100, progress=False)
