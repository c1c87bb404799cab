"""What fits of `Continuous` by likelihood have of their own: penalties, against a Runge-Kutta
solution and quadrature in NumPy, and a looser tolerance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.integrate import simpson

import cflows as cf
import test_continuous as of
from test_continuous import NETWORKS, rows

STILL: dict[str, Any] = {
    "validation": None,
    "epochs": 1,
    "optimizer": cf.SGD(1e-300),
    "progress": False,
    "seed": 0,
}
FIXED = {"solver": "rk4", "steps": 80}


pytestmark = pytest.mark.filterwarnings("ignore::cflows.DataWarning")  # of few rows


def new_flow(network: Any = NETWORKS["two hidden layers"], **options: Any) -> cf.Flow:
    """Without a context, which fits would standardise."""
    return of.new_flow(network, **{"context_features": 0, **options})


def velocity(flow: cf.Flow, t: float, x: np.ndarray) -> np.ndarray:
    return of.velocity(flow, t, x, np.empty(0))


def jacobian(flow: cf.Flow, t: float, x: np.ndarray) -> np.ndarray:
    """By central differences."""
    step = 1e-5
    columns = [
        (velocity(flow, t, x + e) - velocity(flow, t, x - e)) / (2 * step)
        for e in step * np.eye(len(x))
    ]
    return np.stack(columns, axis=1)


def integrals(flow: cf.Flow, x: np.ndarray) -> np.ndarray:
    """Of |v|^2 and of the squares of dv/dx, along the solution from x at t = 1 to t = 0."""
    times = np.linspace(1.0, 0.0, 81)
    y, found = x.copy(), []
    for t, h in zip(times, np.append(np.diff(times), 0.0), strict=True):
        k1 = velocity(flow, t, y)
        found.append([k1 @ k1, np.sum(jacobian(flow, t, y) ** 2)])
        k2 = velocity(flow, t + h / 2, y + h / 2 * k1)
        k3 = velocity(flow, t + h / 2, y + h / 2 * k2)
        k4 = velocity(flow, t + h, y + h * k3)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return -simpson(found, x=times, axis=0)


@pytest.mark.parametrize("network", ["linear", "two hidden layers", "three hidden layers"])
def test_penalties_are_integrals_along_the_solution(network: str) -> None:
    x, flow = rows(4), new_flow(NETWORKS[network])
    truth = np.mean([integrals(flow, row) for row in x], axis=0)
    for kinetic, weight in ((0.3, 0.0), (0.0, 0.2), (0.3, 0.2)):
        for solver in (FIXED, {"rtol": 1e-8, "atol": 1e-8, "fit_rtol": 0.0}):
            flow = new_flow(NETWORKS[network], kinetic=kinetic, jacobian=weight, **solver)
            history = flow.fit(x, **STILL)
            assert history.penalty[0] == pytest.approx(truth @ [kinetic, weight], rel=2e-4)
            assert history.train[0] == pytest.approx(-flow.log_prob(x).mean(), rel=1e-6)


def test_penalties_by_probes_are_right_in_the_mean() -> None:
    x, fixed = rows(200), {**FIXED, "steps": 8}
    exact = new_flow(jacobian=0.5, **fixed).fit(x, **STILL).penalty[0]
    for probes in (1, 4):
        flow = new_flow(jacobian=0.5, probes=probes, **fixed)
        found = [flow.fit(x, **{**STILL, "seed": s}).penalty[0] for s in range(20)]
        assert 0.0 < np.std(found) < 0.1 * exact
        assert abs(np.mean(found) - exact) < 4 * np.std(found) / np.sqrt(20)


@pytest.mark.parametrize("options", [{"kinetic": 0.7}, {"jacobian": 0.4}])
def test_steps_follow_the_gradient_of_loss_and_penalty(options: dict[str, float]) -> None:
    """A step of gradient descent against differences of what the history says."""
    x = rows(6, 2)
    flow = new_flow(NETWORKS["two hidden layers"], features=2,
                    **{**FIXED, "steps": 5}, **options)  # fmt: skip
    start = {name: array.copy() for name, array in flow.parameters.items()}
    flow.fit(x, **{**STILL, "optimizer": cf.SGD(1e-3, momentum=0.0)}, clip_norm=None)
    gradient = {name: (start[name] - array) / 1e-3 for name, array in flow.parameters.items()}
    rng = np.random.default_rng(0)
    for _ in range(4):
        way = {name: rng.normal(size=array.shape) for name, array in start.items()}
        values = []
        for step in (1e-4, -1e-4):
            for name, array in flow.parameters.items():
                array[...] = start[name] + step * way[name]
            history = flow.fit(x, **STILL)
            values.append(history.train[0] + history.penalty[0])
        slope = sum(float(np.sum(gradient[name] * way[name])) for name in start)
        assert slope == pytest.approx((values[0] - values[1]) / 2e-4, rel=1e-5)


def test_penalties_change_nothing_but_fits(tmp_path: Path) -> None:
    x = rows(30)
    plain, flow = new_flow(), new_flow(kinetic=0.5, jacobian=0.5)
    for name in ("log_prob", "grad_log_prob"):
        assert np.array_equal(getattr(plain, name)(x), getattr(flow, name)(x))
    assert plain.loss_and_grad(x)[0] == flow.loss_and_grad(x)[0]
    flow.save(tmp_path / "flow.safetensors")
    assert repr(cf.load(tmp_path / "flow.safetensors")) == repr(flow)
    history = plain.fit(x, **STILL)
    assert history.penalty == [0.0]


@pytest.mark.parametrize("wrap", [lambda layer: layer, lambda layer: cf.Chain([cf.Inverse(layer)])])
def test_every_penalized_layer_counts(wrap: Any) -> None:
    """Within chains and inverses too, where the equation is solved the other way."""
    x = rows(20)
    penalties = []
    for count in (1, 2):
        layers = [wrap(cf.Continuous(cf.MLP(()), kinetic=1.0, **FIXED)) for _ in range(count)]
        flow = cf.Flow(layers, features=3, dtype="float64", seed=0)
        for name, array in flow.parameters.items():
            if name.endswith("bias"):
                array[...] = [1.0, 2.0, 0.0]
        penalties.append(flow.fit(x, **STILL).penalty[0])
    assert penalties == pytest.approx([5.0, 10.0])


def test_a_penalized_fit_is_straighter_and_resumes(tmp_path: Path) -> None:
    x = cf.data.toy("moons").sample(800, seed=0)
    options: dict[str, Any] = {"epochs": 6, "optimizer": cf.Adam(1e-2), "batch_size": 100,
                               "progress": False, "seed": 0}  # fmt: skip
    energy = {}
    for kinetic in (0.0, 0.3):
        layer = cf.Continuous(cf.MLP((16, 16), "silu"), "rk4", 10, kinetic=kinetic)
        flow = cf.Flow([layer, cf.Affine()], features=2, seed=0)
        history = flow.fit(x, **options)
        u, _ = flow.inverse(x)
        energy[kinetic] = np.mean(np.sum((x / x.std(axis=0) - u) ** 2, axis=1))
    assert energy[0.3] < 0.8 * energy[0.0]
    assert len(history.penalty) == 6
    assert history.penalty[-1] > 0.0
    assert "penalty" in repr(history)
    parts = cf.Flow([layer, cf.Affine()], features=2, seed=0)
    parts.fit(x, **{**options, "epochs": 3}, checkpoint=tmp_path / "fit")
    assert parts.fit(x, **options, resume=tmp_path / "fit").penalty == history.penalty
    with cf.Trainer(cf.Flow([layer], features=2, seed=0), optimizer=cf.Adam(), seed=0) as trainer:
        assert np.isfinite(trainer.step(x))


def test_fits_are_solved_to_a_tolerance_of_their_own() -> None:
    x, errors = rows(200), {}
    exact = -new_flow(rtol=1e-9, atol=1e-9).log_prob(x)
    for tolerance in (0.0, 1e-6, 1e-3, 1e-1):
        flow = new_flow(rtol=1e-6, atol=1e-6, fit_rtol=tolerance)
        history = flow.fit(x[:150], **{**STILL, "validation": x})
        errors[tolerance] = abs(history.train[0] - exact[:150].mean())
        assert history.validation[0] == pytest.approx(exact.mean(), abs=1e-4)
    assert errors[0.0] == errors[1e-6] < 1e-4
    assert errors[1e-3] < 0.01
    assert errors[1e-6] < errors[1e-1]
    assert cf.Continuous().options["fit_rtol"] == 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kinetic": -1.0}, "kinetic must be 0 or more"),
        ({"jacobian": -1.0}, "jacobian must be 0 or more"),
        ({"fit_rtol": 2.0}, "fit_rtol must be from 0 to 1"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cf.Continuous(**options)
