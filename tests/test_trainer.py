"""`cflows.Trainer`: steps on batches that the caller brings."""

import copy

import numpy as np
import pytest

import cflows as cf
from cflows import nn
from fits import contents, new_flow, quietly, same

FEATURES, CONTEXT = 2, 1


def batches(count, rows=40, seed=0):
    """(x, context, weights) of different sizes; some weights are 0, and their rows NaN."""
    rng = np.random.default_rng(seed)
    for k in range(count):
        n = rows + 7 * k
        x, context = rng.normal(size=(n, FEATURES)), rng.normal(size=(n, CONTEXT))
        weights = rng.uniform(0.1, 3.0, n)
        weights[:: 5 + k] = 0.0
        x[weights == 0.0] = np.nan
        context[weights == 0.0] = np.inf
        yield x, context, weights


class NumpyAdam:
    """Kingma and Ba 2015, algorithm 1, of arrays by name."""

    def __init__(self, parameters, rate, clip=None, beta1=0.9, beta2=0.999, epsilon=1e-8):
        self.parameters = parameters
        self.rate, self.clip, self.epsilon = rate, clip, epsilon
        self.betas = beta1, beta2
        self.m = {name: np.zeros(array.shape) for name, array in parameters.items()}
        self.v = {name: np.zeros(array.shape) for name, array in parameters.items()}
        self.t = 0

    def step(self, gradients):
        self.t += 1
        b1, b2 = self.betas
        norm = np.sqrt(sum(np.sum(g**2) for g in gradients.values()))
        factor = 1.0 if self.clip is None else min(1.0, self.clip / norm)
        for name, parameter in self.parameters.items():
            g = factor * gradients[name]
            self.m[name] = b1 * self.m[name] + (1 - b1) * g
            self.v[name] = b2 * self.v[name] + (1 - b2) * g**2
            m, v = self.m[name] / (1 - b1**self.t), self.v[name] / (1 - b2**self.t)
            parameter -= self.rate * m / (np.sqrt(v) + self.epsilon)


def conditional_flow(**options):
    return new_flow("float64", context_features=CONTEXT, **options)


# -- what a step is -- #


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("clip", [None, 0.3])
def test_steps_are_adams_on_the_weighted_mean(clip, weighted):
    flow, truth = (conditional_flow(standardize=False, standardize_context=False) for _ in range(2))
    adam = NumpyAdam(truth.parameters, 0.01, clip)
    with cf.Trainer(flow, optimizer=cf.Adam(0.01), clip_norm=clip, seed=0) as trainer:
        for x, context, weights in batches(6):
            kept = weights > 0.0
            w = weights[kept] if weighted else np.ones(kept.sum())
            losses = -truth.log_prob(x[kept], context[kept])
            _, gradients = truth.loss_and_grad(x[kept], context[kept], w)
            if weighted:
                loss = trainer.step(x, context, weights)
            else:
                loss = trainer.step(x[kept], context[kept])
            assert loss == pytest.approx(w @ losses / w.sum(), rel=1e-12)
            adam.step(gradients)
    for name, parameter in truth.parameters.items():
        np.testing.assert_allclose(flow.parameters[name], parameter, rtol=1e-9, atol=1e-11)


def test_rows_of_weight_zero_are_as_if_they_were_not_there():
    one, other = conditional_flow(), conditional_flow()
    with cf.Trainer(one, seed=0) as a, cf.Trainer(other, seed=0) as b:
        for x, context, weights in batches(4):
            kept = weights > 0.0
            assert a.step(x, context, weights) == b.step(x[kept], context[kept], weights[kept])
    assert same(one, other)


def test_one_context_row_serves_all():
    one, other = conditional_flow(), conditional_flow()
    x = np.random.default_rng(0).normal(size=(30, FEATURES))
    with cf.Trainer(one, seed=0) as a, cf.Trainer(other, seed=0) as b:
        assert a.step(x, [0.5]) == b.step(x, np.full((30, 1), 0.5))
    assert same(one, other)


def regression(dtype="float64"):
    """Mean squares of x w - y, whose gradient is a formula."""

    def loss(x, p, y):
        return (nn.sum(p.w * x) - y) ** 2

    return nn.objective(
        loss, 3, context_features=1, parameters={"w": [1.0, -2.0, 0.5]}, dtype=dtype, seed=0
    )


def test_a_loss_of_ones_own_by_its_formula():
    model, rng, rate = regression(), np.random.default_rng(0), 0.05
    w = np.array([1.0, -2.0, 0.5])
    with cf.Trainer(model, optimizer=cf.SGD(rate), clip_norm=None) as trainer:
        for _ in range(5):
            x, y, weights = rng.normal(size=(20, 3)), rng.normal(size=20), rng.uniform(0, 2, 20)
            residual, share = x @ w - y, weights / weights.sum()
            loss = trainer.step(x, y[:, None], weights)
            assert loss == pytest.approx(share @ residual**2, rel=1e-12)
            w = w - rate * 2 * (share * residual) @ x
    np.testing.assert_allclose(model.parameters["w"], w, rtol=1e-12)


@pytest.mark.parametrize("by_name", [False, True])
def test_another_loss_of_a_flow(by_name):
    """Of twice the likelihood a step is twice as long."""
    one, other = new_flow("float64"), new_flow("float64")
    double = nn.function(one, lambda x, p: -2.0 * p.log_prob(x), "double", loss=True)
    loss = "double" if by_name else double
    x = np.random.default_rng(0).normal(size=(50, 2))
    with (
        cf.Trainer(one, loss, cf.SGD(0.01), clip_norm=None) as a,
        cf.Trainer(other, None, cf.SGD(0.02), clip_norm=None) as b,
    ):
        for _ in range(3):
            assert a.step(x) == pytest.approx(2 * b.step(x), rel=1e-12)
    for name, parameter in other.parameters.items():
        np.testing.assert_allclose(one.parameters[name], parameter, rtol=1e-10, atol=1e-12)


def test_a_loss_of_an_objective_beside_its_own():
    model = regression()
    small = nn.function(model, lambda x, p, y: nn.sum(p.w**2), "small", loss=True)
    with cf.Trainer(model, small, cf.SGD(0.25), clip_norm=None) as trainer:
        assert trainer.step(np.ones((4, 3)), np.ones((4, 1))) == pytest.approx(5.25)
    np.testing.assert_allclose(model.parameters["w"], [0.5, -1.0, 0.25], rtol=1e-14)


# -- the start -- #


@pytest.mark.parametrize("weighted", [False, True])
def test_the_first_batch_sets_what_a_fit_would(weighted):
    def new():
        layers = [cf.Coupling(), cf.ActNorm(), cf.Affine()]
        return cf.Flow(layers, features=2, dtype="float64", seed=0)

    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(80, 2)) * [2, 5] + 3, rng.uniform(0, 2, 80)
    w = weights if weighted else np.ones(80)
    one, other = new(), new()
    with cf.Trainer(one, seed=1) as trainer:
        trainer.step(x, weights=weights if weighted else None)
        set_by_first = {name: array.copy() for name, array in one.buffers.items()}
        trainer.step(10 * x)
    given = {"weights": weights} if weighted else {}
    quietly(other, x, epochs=1, batch_size=80, optimizer=cf.Adam(1e-3), **given)
    (values,) = one.buffers.values()
    mean = w @ x / w.sum()
    np.testing.assert_allclose(values[:2], mean, rtol=1e-12)
    np.testing.assert_allclose(values[2:] ** 2, w @ (x - mean) ** 2 / w.sum(), rtol=1e-12)
    for name, array in set_by_first.items():
        assert np.array_equal(one.buffers[name], array)
        np.testing.assert_allclose(other.buffers[name], array, rtol=1e-13)


def test_a_first_batch_that_is_not_finite_sets_nothing():
    x = np.random.default_rng(0).normal(size=(60, 2))
    bad = x.copy()
    bad[3, 0] = np.nan
    one, other = (cf.realnvp(2, layers=2, dtype="float64", seed=0) for _ in range(2))
    with cf.Trainer(one, seed=0) as a, cf.Trainer(other, seed=0) as b:
        assert np.isnan(a.step(bad))
        assert a.step(x) == b.step(x)
        assert a.skipped == 1
    assert same(one, other)


def test_a_flow_that_data_have_set_is_not_set_again():
    flow = cf.realnvp(2, layers=2, dtype="float64", seed=0)
    x = np.random.default_rng(0).normal(size=(60, 2))
    quietly(flow, x)
    before = {name: array.copy() for name, array in flow.buffers.items()}
    with cf.Trainer(flow) as trainer:
        trainer.step(5 * x + 1)
    for name, array in before.items():
        assert np.array_equal(flow.buffers[name], array)


# -- steps that are skipped -- #


def test_steps_that_are_not_finite_change_nothing_and_are_counted():
    flow = new_flow("float64")
    x = np.random.default_rng(0).normal(size=(30, 2))
    with cf.Trainer(flow, seed=0) as trainer:
        trainer.step(x)
        before, moments = contents(flow), trainer.state()
        for value in (np.nan, np.inf, -np.inf):
            assert not np.isfinite(trainer.step(np.where(np.arange(60).reshape(30, 2), x, value)))
        assert trainer.skipped == 3
        assert contents(flow) == before
        for name in ("first_moment", "second_moment"):
            assert np.array_equal(trainer.state()[name], moments[name])
        trainer.step(x)
        assert contents(flow) != before
        assert trainer.skipped == 3


def test_twenty_in_a_row_are_an_error():
    flow = new_flow("float64")
    x = np.random.default_rng(0).normal(size=(30, 2))
    with cf.Trainer(flow, seed=0) as trainer:
        trainer.step(x)
        for _ in range(19):
            trainer.step(np.full((3, 2), np.inf))
        trainer.step(x)  # they are not in a row with those that follow
        before = contents(flow)
        for _ in range(19):
            trainer.step(np.full((3, 2), np.inf))
        with pytest.raises(cf.NumericalError, match="20 steps in a row"):
            trainer.step(np.full((3, 2), np.inf))
        assert trainer.skipped == trainer.state()["skipped"] == 39
        assert contents(flow) == before
        assert np.isfinite(trainer.step(x))
    assert np.isfinite(flow.log_prob(x)).all()


# -- state -- #


def dropping_flow():
    layers = [cf.Coupling(conditioner=cf.MLP((8, 8), dropout=0.3)), cf.ActNorm(), cf.BatchNorm()]
    return cf.Flow([*layers, cf.Affine()], features=2, dtype="float64", seed=0)


@pytest.mark.parametrize("before", [0, 1, 4])
@pytest.mark.parametrize("optimizer", [cf.Adam(0.01), cf.AdamW(0.01), cf.SGD(0.01, momentum=0.9)])
def test_a_resumed_training_is_the_uninterrupted_one(optimizer, before):
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(20 + 3 * k, 2)) for k in range(8)]
    rows[2][0] = np.nan  # skipped
    options = {"schedule": cf.Cosine(warmup=2), "steps": 8, "ema": 0.9, "seed": 4}
    whole, part = dropping_flow(), dropping_flow()
    with cf.Trainer(whole, optimizer=optimizer, **options) as trainer:
        losses = [trainer.step(x) for x in rows]
    trainer = cf.Trainer(part, optimizer=optimizer, **options)
    first = [trainer.step(x) for x in rows[:before]]
    state, resumed = trainer.state(), copy.copy(part)
    for x in rows[before:]:
        trainer.step(x)  # of which the state knows nothing
    with cf.Trainer(resumed, optimizer=optimizer, **options) as other:
        other.load_state(state)
        rest = [other.step(x) for x in rows[before:]]
        assert other.skipped == 1
    assert np.array_equal([*first, *rest], losses, equal_nan=True)
    assert same(resumed, whole)


def test_states_of_another_training_are_refused():
    x = np.zeros((5, 2))
    with cf.Trainer(new_flow("float64"), seed=0) as trainer:
        trainer.step(x)
        state = trainer.state()
    with cf.Trainer(new_flow("float64", features=3), seed=0) as other:
        before = other.state()
        for wrong in (state, {}, {**state, "step": -1}, {**state, "first_moment": None}):
            with pytest.raises((ValueError, TypeError)):
                other.load_state(wrong)
        after = other.state()
        assert before.keys() == after.keys()
        assert all(np.array_equal(before[name], after[name]) for name in before)
    with cf.Trainer(new_flow("float64"), seed=0, ema=0.9) as other, pytest.raises(ValueError):
        other.load_state(state)


def test_a_second_training_is_what_a_fresh_model_would_do():
    """Programs that the model keeps from the first give the bits of new ones."""
    x = np.random.default_rng(0).normal(size=(50, 2))
    flow = new_flow()
    quietly(flow, x)
    for _ in range(2):
        fresh = copy.copy(flow)
        losses = []
        for model in (flow, fresh):
            with cf.Trainer(model, seed=3) as trainer:
                losses.append([trainer.step(x[k:]) for k in range(3)])
        assert losses[0] == losses[1]
        assert same(flow, fresh)


# -- schedules -- #


@pytest.mark.parametrize("schedule", [cf.Constant(warmup=3), cf.Cosine(warmup=2, final=0.1)])
def test_rates_follow_the_schedule(schedule):
    """The gradient of the loss is 1 everywhere: parameters fall by the rate."""
    model = nn.objective(lambda x, p: p.a + 0.0 * nn.sum(x), 1, parameters={"a": 0.0})
    model, steps, fallen = model.astype("float64"), 7, []
    with cf.Trainer(model, None, cf.SGD(0.5), schedule=schedule, steps=steps) as trainer:
        for _ in range(steps + 2):
            before = float(model.parameters["a"][0])
            trainer.step(np.zeros((4, 1)))
            fallen.append(before - float(model.parameters["a"][0]))
    if isinstance(schedule, cf.Constant):
        factors = [1 / 3, 2 / 3, 1, 1, 1, 1, 1, 1, 1]
    else:
        passed = np.minimum(np.arange(steps) / (steps - 2), 1)  # after the last step no less
        factors = [0.5, 1.0, *(0.1 + 0.9 * 0.5 * (1 + np.cos(np.pi * passed)))]
    np.testing.assert_allclose(fallen, 0.5 * np.array(factors), rtol=1e-12)
