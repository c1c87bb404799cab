"""Fitting unnormalised densities: the gradient through sampling, the ELBO, importance weights."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

import c_build
import cflows as cf

LAST = cf.Optimizer.__subclasses__()[-1].__name__  # of the optimisers, as messages list them


def banana(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """exp(-x0^2 / 2 - (x1 - x0^2 / 2)^2 / (2 0.25)), whose integral is 2 pi 0.5."""
    x = np.asarray(x, np.float64)
    d = x[:, 1] - 0.5 * x[:, 0] ** 2
    gradient = np.stack([-x[:, 0] + d * x[:, 0] / 0.25, -d / 0.25], 1)
    return -0.5 * x[:, 0] ** 2 - 0.5 * d**2 / 0.25, gradient


BANANA_EVIDENCE = np.log(2 * np.pi * 0.5)

FLOWS: dict[str, Any] = {
    "coupling": lambda: [cf.Coupling("half", hidden=(9,), activation="tanh"), cf.Sinh()],
    "spline": lambda: [cf.Coupling("half", hidden=(9,), activation="tanh", transform="spline")],
    "iaf": lambda: [cf.Autoregressive(parallel="forward", hidden=(9,), activation="tanh")],
    "maf": lambda: [cf.Autoregressive(hidden=(9,), activation="tanh"), cf.Linear()],
}


def moved(layers: list[Any], seed: int = 0, **options: Any) -> cf.Flow:
    flow = cf.Flow(layers, features=2, dtype="float64", seed=seed, **options)
    rng = np.random.default_rng(seed)
    for name, value in flow.parameters.items():
        if name not in flow.frozen:
            value += 0.3 * rng.normal(size=value.shape)
    return flow


@pytest.mark.parametrize("base", [None, cf.Normal(learned=True)], ids=["fixed", "learned"])
@pytest.mark.parametrize("layers", FLOWS)
def test_the_step_is_the_gradient_through_the_samples(layers: str, base: Any) -> None:
    """One step of gradient descent against differences of the loss at the same random numbers."""
    rate, n, seed = 1e-3, 37, 5
    start, stepped = (moved(FLOWS[layers](), base=base) for _ in range(2))
    history = stepped.fit_target(
        banana, steps=1, batch_size=n, optimizer=cf.SGD(rate), clip_norm=None, seed=seed
    )

    def loss(name: str, step: np.ndarray) -> float:
        start.parameters[name][...] += step
        x, log_q = start.sample_and_log_prob(n, seed=seed)
        start.parameters[name][...] -= step
        return float(np.mean(log_q - banana(x)[0]))

    assert history.elbo[0] == pytest.approx(-loss(next(iter(start.parameters)), 0.0), rel=1e-12)
    rng = np.random.default_rng(1)
    for name, value in start.parameters.items():
        gradient = (value - stepped.parameters[name]) / rate
        direction = rng.normal(size=value.shape)
        difference = (loss(name, 1e-6 * direction) - loss(name, -1e-6 * direction)) / 2e-6
        expected = float(np.sum(gradient * direction))
        assert difference == pytest.approx(expected, rel=2e-6, abs=1e-7), name


def test_conditional_steps_pass_the_contexts_that_the_samples_had() -> None:
    contexts = np.arange(12.0).reshape(4, 3) / 7
    seen: list[np.ndarray] = []

    def target(x: np.ndarray, context: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen.append(context)
        z = x - context[:, :2]
        return -0.5 * np.sum(z**2, 1), -z

    flow = cf.Flow(
        [cf.Elementwise(hidden=(16,))], 2, context_features=3, seed=0, standardize_context=False
    )
    history = flow.fit_target(
        target, contexts, steps=600, batch_size=64, optimizer=cf.Adam(1e-2), seed=0
    )
    rows = np.concatenate(seen)
    known = {tuple(row) for row in contexts}
    assert {tuple(row) for row in rows} == known
    counts = [np.sum((rows == row).all(1)) for row in contexts]
    assert stats.chisquare(counts).pvalue > 1e-3
    assert history.elbo[-1] == pytest.approx(np.log(2 * np.pi), abs=0.01)
    for context in contexts:
        x = flow.sample(4000, context=context, seed=3)
        np.testing.assert_allclose(x.mean(0), context[:2], atol=0.12)


def test_the_target_gets_a_table_in_the_flow_s_order() -> None:
    table = pd.DataFrame({"p": [3.0, 5.0], "q": [-1.0, -2.0]})
    seen: list[np.ndarray] = []

    def target(x: np.ndarray, context: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen.append(context)
        z = x - context
        return -0.5 * np.sum(z**2, 1) - np.log(2 * np.pi), -z

    flow = cf.Flow([cf.Elementwise()], 2, context_features=2, seed=0)
    flow.context_columns = ("p", "q")
    flow.fit_target(target, table[["q", "p"]], steps=3, batch_size=64, seed=0)
    assert {tuple(row) for row in np.concatenate(seen)} == {(3.0, -1.0), (5.0, -2.0)}
    expected = flow.importance_sample(target, 100, [3.0, -1.0], seed=0)
    for row in (table[["q", "p"]][:1], table.iloc[0][["q", "p"]]):
        found = flow.importance_sample(target, 100, row, seed=0)
        assert found.log_evidence == expected.log_evidence
        np.testing.assert_array_equal(seen[-1], [[3.0, -1.0]])
    with pytest.raises(ValueError, match=r"context must be one row, got shape \(2, 2\)"):
        flow.importance_sample(target, 100, table)


def test_a_fit_comes_near_the_evidence_and_never_above_it() -> None:
    flow = cf.realnvp(features=2, layers=6, hidden=(32, 32), standardize=False, seed=0)
    history = flow.fit_target(banana, steps=1500, batch_size=256, optimizer=cf.Adam(3e-3), seed=0)
    assert history.stopped == "steps" and history.skipped == 0 and len(history.elbo) == 1500
    late = history.elbo[-200:]
    assert late.mean() == pytest.approx(BANANA_EVIDENCE, abs=0.01)
    assert late.mean() < BANANA_EVIDENCE
    assert history.effective_sample_size[-200:].mean() > 0.9
    found = flow.importance_sample(banana, 20_000, seed=1)
    assert found.log_evidence == pytest.approx(BANANA_EVIDENCE, abs=5e-3)
    second = found.weights @ found.x[:, 1].astype(float)
    assert second == pytest.approx(0.5, abs=0.03)  # the mean of x0^2 / 2


def test_importance_weights_written_out() -> None:
    flow = moved(FLOWS["coupling"]())
    found = flow.importance_sample(banana, 500, seed=2)
    x, log_q = flow.sample_and_log_prob(500, seed=2)
    np.testing.assert_array_equal(found.x, x)
    weights = np.exp(banana(x)[0] - log_q)
    np.testing.assert_allclose(found.weights, weights / weights.sum(), rtol=1e-12)
    assert found.log_evidence == pytest.approx(np.log(weights.mean()), rel=1e-12)
    size = weights.sum() ** 2 / np.sum(weights**2)
    assert found.effective_sample_size == pytest.approx(size, rel=1e-12)
    alone = flow.importance_sample(lambda rows: banana(rows)[0], 500, seed=2)
    np.testing.assert_array_equal(alone.log_weights, found.log_weights)


def test_the_evidence_against_quadrature() -> None:
    def log_density(x: np.ndarray) -> np.ndarray:
        return np.log(np.exp(-(np.abs(x[:, 0] - 1) ** 3)) + 0.5 * np.exp(-2 * (x[:, 0] + 2) ** 2))

    truth = integrate.quad(lambda t: np.exp(log_density(np.array([[t]]))[0]), -8, 8, limit=200)[0]
    flow = cf.Flow([cf.Affine(scale=2.0)], features=1, dtype="float64")
    found = flow.importance_sample(log_density, 100_000, seed=0)
    error = found.weights.std() * np.sqrt(len(found.x))
    assert abs(found.log_evidence - np.log(truth)) < 5 * error


def test_steps_depend_on_the_seed_alone(set_threads: Callable[[int], None]) -> None:
    results = []
    for threads in (1, 2):
        set_threads(threads)
        flow = cf.realnvp(features=2, layers=2, standardize=False, seed=0)
        flow.fit_target(banana, steps=5, batch_size=700, seed=4)
        results.append(np.concatenate([value.ravel() for value in flow.parameters.values()]))
    np.testing.assert_array_equal(*results)


def test_a_callback_stops_and_sees_every_step() -> None:
    reports: list[cf.TargetReport] = []

    def callback(report: cf.TargetReport) -> bool:
        reports.append(report)
        return report.step == 7

    history = moved(FLOWS["maf"]()).fit_target(banana, steps=50, callback=callback, seed=0)
    assert history.stopped == "callback" and [r.step for r in reports] == list(range(1, 8))
    np.testing.assert_array_equal(history.elbo, [r.elbo for r in reports])


def test_an_exception_in_the_target_passes_and_changes_nothing_more() -> None:
    flow = moved(FLOWS["coupling"]())
    calls = []

    def target(x: np.ndarray) -> Any:
        calls.append({name: value.copy() for name, value in flow.parameters.items()})
        if len(calls) == 3:
            raise ArithmeticError("enough")
        return banana(x)

    with pytest.raises(ArithmeticError, match="enough"):
        flow.fit_target(target, steps=10, seed=0)
    for name, value in flow.parameters.items():
        np.testing.assert_array_equal(value, calls[-1][name])
    flow.sample(3)  # is free again


def test_ctrl_c_ends_a_fit() -> None:
    calls = []

    def target(x: np.ndarray) -> Any:
        calls.append(0)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return banana(x)

    history = moved(FLOWS["coupling"]()).fit_target(target, steps=10, seed=0)
    assert history.stopped == "interrupted" and len(history.elbo) == 3


def test_the_flow_is_held_meanwhile() -> None:
    flow = moved(FLOWS["coupling"]())
    errors: list[str] = []

    def target(x: np.ndarray) -> Any:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        return banana(x)

    def other() -> None:
        try:
            flow.sample(1)
        except RuntimeError as error:
            errors.append(str(error))

    flow.fit_target(target, steps=2, seed=0)
    assert len(errors) == 2


def test_steps_that_are_not_finite_are_skipped() -> None:
    calls = []

    def target(x: np.ndarray) -> Any:
        calls.append(0)
        value, gradient = banana(x)
        if len(calls) in (2, 3):
            value[5] = np.nan
        return value, gradient

    history = moved(FLOWS["coupling"]()).fit_target(target, steps=6, seed=0)
    assert history.skipped == 2 and np.isnan(history.elbo[[1, 2]]).all()
    assert np.isfinite(np.delete(history.elbo, [1, 2])).all()


def test_twenty_bad_steps_in_a_row_are_an_error() -> None:
    flow = moved(FLOWS["coupling"]())
    before = {name: value.copy() for name, value in flow.parameters.items()}
    with pytest.raises(cf.NumericalError, match="20 steps in a row"):
        flow.fit_target(lambda x: (np.full(len(x), np.inf), x * np.nan), steps=100, seed=0)
    for name, value in flow.parameters.items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (lambda x: banana(x)[0], TypeError, r"a tuple \(log_density, gradient\), got"),
        (lambda x: (banana(x)[0][:-1], x), ValueError, r"log_density must have shape \(256,\)"),
        (lambda x: (banana(x)[0], x[:, :1]), ValueError, r"gradient must have shape \(256, 2\)"),
        (lambda x: (banana(x)[0], "no"), TypeError, "gradient must be an array, got 'no'"),
    ],
)
def test_what_the_target_returns_is_looked_at(result: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        moved(FLOWS["coupling"]()).fit_target(result, steps=1, seed=0)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"target": 3}, TypeError, "target must be callable, got 3"),
        ({"steps": 0}, ValueError, "steps must be 1 or more, got 0"),
        ({"batch_size": 0}, ValueError, "batch_size must be 1 or more, got 0"),
        ({"optimizer": "adam"}, TypeError, f"optimizer must be an Adam, .* or {LAST}, such"),
        ({"schedule": "plateau"}, ValueError, "schedule must be 'constant', 'cosine'"),
        ({"schedule": cf.Plateau()}, ValueError, "schedule must be 'constant', 'cosine'"),
        ({"schedule": 3}, TypeError, "schedule must be 'constant', 'cosine', Constant or Cosine"),
        ({"clip_norm": -1.0}, ValueError, "clip_norm must be above 0 or None, got -1"),
        ({"seed": -1}, ValueError, "seed must be 0 or more, got -1"),
        ({"context": np.zeros(3)}, ValueError, "context"),
        ({"callback": 1}, TypeError, "callback must be a function, got 1"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], error: Any, message: str) -> None:
    flow = moved(FLOWS["coupling"]())
    with pytest.raises(error, match=message):
        flow.fit_target(**{"target": banana, **options})
    flow.sample(1)


def test_wrong_importance_targets() -> None:
    flow = moved(FLOWS["coupling"]())
    with pytest.raises(ValueError, match=r"log_density must have shape \(9,\), got \(9, 2\)"):
        flow.importance_sample(lambda x: x, 9)
    with pytest.raises(ValueError, match=r"log-weight, .*must be finite, got -inf"):
        flow.importance_sample(lambda x: np.full(len(x), -np.inf), 9)
    with pytest.raises(ValueError, match="n must be 1 or more, got 0"):
        flow.importance_sample(banana, 0)
    with pytest.raises(TypeError, match="target must be callable, got 3"):
        flow.importance_sample(3, 9)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must be real numbers, got dtype complex128"):
        flow.importance_sample(lambda x: np.full(len(x), 1j), 9)
    for result in ((), (np.zeros(9),), [np.zeros(9), np.zeros((9, 2))]):
        with pytest.raises(TypeError, match="the target"):
            flow.importance_sample(lambda x, result=result: result, 9)


def normal_target(scale: float) -> cf.CTarget:
    library = c_build.shared_library(("tests/c/targets.c",))
    return cf.CTarget(library.normal_target, ctypes.c_double(scale))


def test_a_target_in_c_is_the_same_as_in_python() -> None:
    def python(x: np.ndarray, context: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        z = (np.asarray(x, np.float64) - np.asarray(context, np.float64)) / 0.5
        return -0.5 * (z**2).sum(axis=1), -z / 0.5

    context = np.random.default_rng(0).normal(size=(20, 2))
    flows = [moved(FLOWS["coupling"](), context_features=2) for _ in range(2)]
    targets = (normal_target(0.5), python)
    histories = [
        flow.fit_target(target, context, steps=20, batch_size=50, seed=3)
        for flow, target in zip(flows, targets, strict=True)
    ]
    np.testing.assert_allclose(histories[0].elbo, histories[1].elbo, rtol=1e-12)
    for name, value in flows[0].parameters.items():
        np.testing.assert_allclose(value, flows[1].parameters[name], rtol=1e-9, atol=1e-12)
    found = [
        flow.importance_sample(target, 500, context[3], seed=1)
        for flow, target in zip(flows, targets, strict=True)
    ]
    np.testing.assert_allclose(found[0].log_weights, found[1].log_weights, atol=1e-7)


def test_a_target_in_c_by_its_address_and_without_context() -> None:
    library = c_build.shared_library(("tests/c/targets.c",))
    scale = ctypes.c_double(0.25)
    address = ctypes.cast(library.normal_target, ctypes.c_void_p).value
    target = cf.CTarget(address, ctypes.addressof(scale))
    flow = cf.Flow([cf.Affine(learned=True)], features=3, seed=0)
    flow.fit_target(target, steps=400, optimizer=cf.Adam(2e-2), seed=0)
    found = flow.importance_sample(target, 2000, seed=0)
    assert found.effective_sample_size > 1900
    truth = 3 * np.log(0.25 * np.sqrt(2 * np.pi))
    assert found.log_evidence == pytest.approx(truth, abs=0.01)


def test_a_target_in_c_that_fails_changes_nothing() -> None:
    flow = moved(FLOWS["coupling"](), context_features=3)
    before = {name: value.copy() for name, value in flow.parameters.items()}
    with pytest.raises(RuntimeError, match="the target returned 7"):
        flow.fit_target(normal_target(1.0), np.zeros(3), steps=3)
    for name, value in flow.parameters.items():
        np.testing.assert_array_equal(value, before[name])
    with pytest.raises(TypeError, match="ctypes function or an address"):
        cf.CTarget(lambda x: x)


def test_a_product_base_is_trained() -> None:
    def target(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        z = (x - [1.0, -2.0, 0.5]) / [0.5, 2.0, 1.0]
        return -0.5 * np.sum(z**2, axis=1), -z / [0.5, 2.0, 1.0]

    base = cf.Product([cf.Normal(learned=True), cf.StudentT(30.0, learned=True)], [1, 0, 1])
    flow = cf.Flow([], features=3, base=base, dtype="float64", seed=0)
    history = flow.fit_target(target, steps=500, optimizer=cf.Adam(3e-2), seed=0)
    truth = 1.5 * np.log(2 * np.pi)
    assert history.elbo[-20:].mean() == pytest.approx(truth, abs=0.03)
    columns = [cf.circular(1), cf.positive]
    recipe = cf.nsf_ar(2, columns=columns, layers=1, hidden=4, seed=0)
    recipe.fit_target(lambda x: (-x.sum(1), -np.ones_like(x)), steps=3, seed=0)


@pytest.mark.parametrize(
    "make",
    [
        ctypes.pointer,
        ctypes.byref,
        lambda d: ctypes.c_void_p(ctypes.addressof(d)),
        ctypes.addressof,
        lambda d: d,
        lambda d: (ctypes.c_double * 1)(d.value),
    ],
    ids=["pointer", "byref", "void pointer", "address", "number", "array"],
)
def test_data_of_a_c_target_by_pointer_or_object(make: Any) -> None:
    @cf.CTarget.type
    def function(n, d, x, contexts, context, log_density, gradient, data):  # type: ignore
        for i in range(n):
            log_density[i] = ctypes.cast(data, ctypes.POINTER(ctypes.c_double))[0]
            gradient[i] = 0.0
        return 0

    number = ctypes.c_double(2.5)
    log_density, _ = cf.CTarget(function, make(number))(np.zeros((3, 1)))
    np.testing.assert_array_equal(log_density, 2.5)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0,), ValueError, "not NULL, got 0"),
        ((-5,), ValueError, "not NULL, got -5"),
        ((2**70,), ValueError, "must be an address"),
        ((cf.CTarget.type,), TypeError, "a ctypes function or an address"),
        ((True,), TypeError, "a ctypes function or an address"),
        ((1, True), TypeError, "data must be an address or a ctypes object"),
        ((1, -1), ValueError, "data must be an address, got -1"),
        ((1, 2**70), ValueError, "data must be an address, got 11805"),
        ((1, np.zeros(2)), TypeError, "data must be an address or a ctypes object"),
        ((1, "data"), TypeError, "data must be an address or a ctypes object"),
    ],
)
def test_what_is_no_c_target(arguments: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        cf.CTarget(*arguments)
