"""Learning: against NumPy's arithmetic, against known densities, and bit for bit against itself."""

import copy
import json
import os
import signal
import sys
import threading
import time

import numpy as np
import pytest

import cflows as cf
import philox
from cflows import _core, data
from fits import ROWS, contents, moons_rows, new_flow, quietly, same
from processes import run_script

LAST = cf.Optimizer.__subclasses__()[-1].__name__  # of the optimisers, as messages list them


@pytest.fixture(scope="module")
def moons():
    return moons_rows()


# -- the arithmetic of one step, in NumPy -- #


def numpy_steps(flow, x, weights, optimizer, schedule, clip, steps):
    """The parameters after full-batch steps, from loss_and_grad and the papers' formulas."""
    first = {name: np.zeros_like(p) for name, p in flow.parameters.items()}
    second = {name: np.zeros_like(p) for name, p in flow.parameters.items()}
    for t in range(1, steps + 1):
        _, gradients = flow.loss_and_grad(x, weights=weights)
        gradients = {n: g if n not in flow.frozen else g * 0 for n, g in gradients.items()}
        norm = np.sqrt(sum((g**2).sum() for g in gradients.values()))
        factor = min(1.0, clip / norm) if clip else 1.0
        rate = optimizer.learning_rate * schedule(t - 1)
        for name, parameter in flow.parameters.items():
            if name in flow.frozen:
                continue
            g = gradients[name] * factor
            decay = optimizer.weight_decay
            if isinstance(optimizer, cf.SGD):
                first[name] = optimizer.momentum * first[name] + g + decay * parameter
                parameter -= rate * first[name]
                continue
            if isinstance(optimizer, cf.Adam):
                g = g + decay * parameter
            else:
                parameter *= 1 - rate * decay
            b1, b2 = optimizer.beta1, optimizer.beta2
            first[name] = b1 * first[name] + (1 - b1) * g
            second[name] = b2 * second[name] + (1 - b2) * g**2
            m, v = first[name] / (1 - b1**t), second[name] / (1 - b2**t)
            parameter -= rate * m / (np.sqrt(v) + optimizer.epsilon)


def cosine(step, warmup=2, steps=5, final=0.1):
    if step < warmup:
        return (step + 1) / warmup
    wave = 0.5 * (1 + np.cos(np.pi * (step - warmup) / (steps - warmup)))
    return final + (1 - final) * wave


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("optimizer", "clip"),
    [
        (cf.Adam(0.01), 0.5),
        (cf.Adam(0.01, beta1=0.7, weight_decay=0.1), None),
        (cf.AdamW(0.02, weight_decay=0.3), 0.5),
        (cf.SGD(0.01, momentum=0.8, weight_decay=0.05), 2.0),
    ],
)
def test_steps_are_the_papers(moons, optimizer, clip, weighted):
    weights = np.random.default_rng(3).uniform(0, 2, ROWS) if weighted else None
    ours, truth = (new_flow("float64", standardize=False) for _ in range(2))
    for flow in (ours, truth):
        flow.freeze("layers.1.*.weight")  # whose gradients do not count for the norm either
    history = quietly(
        ours,
        moons,
        weights=weights,
        epochs=5,
        batch_size=ROWS,
        optimizer=optimizer,
        schedule=cf.Cosine(warmup=2, final=0.1),
        clip_norm=clip,
    )
    numpy_steps(truth, moons, weights, optimizer, cosine, clip, 5)
    for name, parameter in truth.parameters.items():
        np.testing.assert_allclose(ours.parameters[name], parameter, rtol=1e-9, atol=1e-11)
    expected = [optimizer.learning_rate * cosine(step) for step in range(5)]
    np.testing.assert_allclose(history.learning_rate, expected, rtol=1e-12)


SHUFFLE, SPLIT, JITTER = 2, 3, 5  # streams of the generator


def shuffled(rows, seed, stream, block):
    """Row numbers in the order of Fisher and Yates."""
    order = np.arange(rows)
    for i in range(rows - 1):
        j = i + philox.below(seed, i, stream, block, rows - i)
        order[[i, j]] = order[[j, i]]
    return order


def noise(seed, rows, width):
    """Noise of the rows drawn as numbers `rows`, shape (n, features)."""
    draws = philox.draws(seed, rows, JITTER, len(width), np.dtype("float64"))
    return philox.uniform(draws, np.dtype("float64")).T * width


def test_epochs_are_shuffled_batches_with_fresh_noise(moons):
    """The whole loop in NumPy: split, order, noise, weights, the shorter last batch, momentum."""
    x, seed, width, rate = moons[:60], 2**40 + 3, np.array([0.3, 0.1]), 0.02
    weights = np.random.default_rng(3).uniform(0, 2, 60)
    ours, truth = (new_flow("float64", standardize=False) for _ in range(2))
    history = quietly(
        ours,
        x,
        weights=weights,
        validation=0.2,
        batch_size=10,
        jitter=width,
        seed=seed,
        optimizer=cf.SGD(rate, momentum=0.9),
        clip_norm=None,
    )
    order = shuffled(60, seed, SPLIT, 0)
    held_out, train = np.sort(order[:12]), np.sort(order[12:])
    moments = {name: np.zeros_like(p) for name, p in truth.parameters.items()}
    drawn, best = 0, (np.inf, None)
    for epoch in range(3):
        losses = []
        for batch in np.array_split(train[shuffled(48, seed, SHUFFLE, epoch)], 5):
            rows = x[batch] + noise(seed, drawn + np.arange(len(batch)), width)
            loss, gradients = truth.loss_and_grad(rows, weights=weights[batch])
            # loss_and_grad divides by the batch's own weights.
            factor = weights[batch].mean() / weights[train].mean()
            for name, parameter in truth.parameters.items():
                moments[name] = 0.9 * moments[name] + factor * gradients[name]
                parameter -= rate * moments[name]
            losses.append(factor * loss * len(batch))
            drawn += len(batch)
        assert history.train[epoch] == pytest.approx(sum(losses) / 48, rel=1e-9)
        rows = x[held_out] + noise(seed, 2**63 + np.arange(12, dtype=np.uint64), width)
        loss, _ = truth.loss_and_grad(rows, weights=weights[held_out])
        assert history.validation[epoch] == pytest.approx(loss, rel=1e-9)
        best = min(best, (loss, epoch), key=lambda pair: pair[0])
        if best[1] == epoch:
            kept = {name: parameter.copy() for name, parameter in truth.parameters.items()}
    assert history.best_epoch == best[1] + 1
    for name, parameter in kept.items():
        np.testing.assert_allclose(ours.parameters[name], parameter, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("weighted", [False, True])
def test_every_row_is_seen_once_an_epoch(moons, weighted):
    """With a rate that moves nothing, the mean over an epoch's batches is the loss of all rows."""
    weights = np.random.default_rng(3).uniform(0, 2, ROWS) if weighted else None
    flow = new_flow("float64", standardize=False)
    history = quietly(flow, moons, weights=weights, batch_size=77, optimizer=cf.SGD(1e-300))
    loss, _ = flow.loss_and_grad(moons, weights=weights)
    np.testing.assert_allclose(history.train, loss, rtol=1e-12)
    assert history.steps == [8, 16, 24]


def test_a_weight_of_two_is_a_row_twice(moons):
    twice = np.arange(ROWS) % 3 == 0
    weighted, doubled = (new_flow("float64") for _ in range(2))
    options = {"epochs": 2, "optimizer": cf.SGD(0.1)}
    one = quietly(weighted, moons, weights=1.0 + twice, batch_size=ROWS, **options)
    rows = np.concatenate([moons, moons[twice]])
    other = quietly(doubled, rows, batch_size=len(rows), **options)
    np.testing.assert_allclose(one.train, other.train, rtol=1e-12)
    for name, parameter in doubled.parameters.items():
        np.testing.assert_allclose(weighted.parameters[name], parameter, rtol=1e-9, atol=1e-12)


def test_a_split_is_a_fit_of_its_rows():
    """Rows, contexts and weights of the two parts stay together."""
    rng = np.random.default_rng(4)
    x, context = rng.normal(size=(ROWS, 3)), rng.normal(size=(ROWS, 2))
    weights = rng.uniform(0.1, 2, ROWS)
    split, parts = (new_flow(features=3, context_features=2) for _ in range(2))
    one = quietly(split, x, context, weights, validation=0.3, jitter=0.1)
    a, b = cf._core.split_rows(ROWS, 0.3, 5)
    assert np.array_equal(np.sort(np.concatenate([a, b])), np.arange(ROWS)) and len(b) == 180
    held_out = (x[b], context[b], weights[b])
    other = quietly(parts, x[a], context[a], weights[a], validation=held_out, jitter=0.1)
    assert same(split, parts)
    assert (one.train, one.validation) == (other.train, other.validation)


def test_validation_is_the_weighted_mean(moons):
    rows = np.tile(moons + 1, (60, 1))  # more than are scored at once
    weights = np.random.default_rng(3).uniform(0, 2, len(rows))
    flow = new_flow("float64")
    history = quietly(flow, moons, validation=(rows, None, weights), epochs=1)
    loss, _ = flow.loss_and_grad(rows, weights=weights)
    assert history.validation == pytest.approx([loss], rel=1e-12)


def test_one_context_row_serves_all(moons):
    one, all_rows = (new_flow(context_features=2) for _ in range(2))
    quietly(one, moons, [0.5, -1.0], validation=0.2)
    quietly(all_rows, moons, np.tile([0.5, -1.0], (ROWS, 1)), validation=0.2)
    assert same(one, all_rows)


# -- what it learns -- #


def test_learns_the_moons():
    toy = data.toy("moons")
    x, fresh = toy.sample(8000, seed=1), toy.sample(8000, seed=2)
    flow = cf.realnvp(2, layers=6, hidden=(32, 32), seed=0)
    history = quietly(
        flow,
        x,
        validation=0.1,
        epochs=60,
        batch_size=200,
        optimizer=cf.Adam(3e-3),
        schedule="cosine",
    )
    divergence = np.mean(toy.log_prob(fresh) - flow.log_prob(fresh))
    assert 0 < divergence < 0.15  # nats from the truth
    assert history.best_epoch is not None
    assert min(history.validation) == history.validation[history.best_epoch - 1]


def test_standardisation_is_set_from_the_data(moons):
    x = moons * [3.0, 0.01] + [1e9, -5.0]
    flow = new_flow()
    quietly(flow, x, epochs=1)
    (values,) = flow.buffers.values()
    np.testing.assert_allclose(values[:2], x.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(values[2:], x.std(axis=0), rtol=1e-6)
    # A large offset loses nothing: the same fit as without it, though the flow is float32.
    plain = new_flow()
    quietly(plain, moons, epochs=1)
    shift = np.log(x.std(axis=0) / moons.std(axis=0)).sum()
    np.testing.assert_allclose(flow.log_prob(x) + shift, plain.log_prob(moons), atol=2e-3)
    kept = values.copy()
    quietly(flow, x + 1, epochs=1)  # set once
    assert np.array_equal(values, kept)


def test_jitter_makes_integers_a_density():
    x = np.random.default_rng(0).integers(0, 4, size=(3000, 1)).astype(np.int8)
    flow = cf.realnvp(1, layers=2, hidden=(8,), seed=0)
    history = quietly(flow, x, jitter=1.0, validation=0.2, epochs=20, optimizer=cf.Adam(0.01))
    # A density on [0, 4) cannot beat log 4 but by the luck of the sample.
    assert min(history.train) > np.log(4) - 0.05
    frozen = cf.realnvp(1, layers=2, hidden=(8,), seed=0)
    still = quietly(frozen, x, jitter=1.0, validation=0.2, optimizer=cf.SGD(1e-30))
    assert len(set(still.validation)) == 1  # the same noise in every epoch
    assert len(set(still.train)) == 3  # fresh noise in every epoch


# -- bit for bit -- #


@pytest.mark.parametrize("optimizer", [cf.Adam(), cf.Lion(), cf.Muon()], ids=repr)
def test_threads_give_the_same_bits(moons, optimizer):
    before, flows = cf.get_num_threads(), []
    options = {"batch_size": 300, "validation": 0.2, "jitter": 0.01, "optimizer": optimizer}
    try:
        for threads in (1, 2, 3, 8):
            cf.set_num_threads(threads)
            flows.append(new_flow())
            quietly(flows[-1], moons, **options)
    finally:
        cf.set_num_threads(before)
    assert all(same(flows[0], flow) for flow in flows[1:])


def test_fits_side_by_side_give_the_same_bits(moons):
    flows = [new_flow() for _ in range(4)]
    options = {"validation": 0.2, "epochs": 5}
    callers = [
        threading.Thread(target=quietly, args=(flow, moons), kwargs=options) for flow in flows[1:]
    ]
    for caller in callers:
        caller.start()
    quietly(flows[0], moons, **options)
    for caller in callers:
        caller.join()
    assert all(same(flows[0], flow) for flow in flows[1:])


IN_PLACE = """
import sys
import numpy as np
import cflows as cf
from memory import no_more_than

x = np.memmap(sys.argv[1], sys.argv[2], "w+", shape=(200_000, 40))
for rows in np.split(x, 20):
    rows[...] = np.random.default_rng(0).normal(size=rows.shape)
flow = cf.realnvp(40, layers=1, hidden=(4,), seed=0)
options = dict(epochs=1, batch_size=5000, jitter=0.1, progress=False)
flow.fit(x[:10_000], validation=0.5, **options)
with no_more_than(12 << 20):  # row numbers, but no rows: they take 32 MB at least
    flow.fit(x, validation=0.1, **options)
    flow.fit(x[::2, ::-1], validation=x[1::2], **options)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("dtype", ["float64", ">f8", "float32"])
def test_data_are_read_in_place(tmp_path, dtype):
    run_script(tmp_path, IN_PLACE, tmp_path / "x.bin", dtype)


def test_layouts_and_dtypes_give_the_same_bits(moons, tmp_path):
    x = moons.astype(np.float32)
    mapped = np.memmap(tmp_path / "x.bin", np.float32, "w+", shape=x.shape)
    mapped[:] = x
    flows = []
    for variant in (x, np.asfortranarray(x), x.astype(">f4"), x.astype(np.float64), mapped):
        flows.append(new_flow())
        quietly(flows[-1], variant, validation=0.2)
    assert all(same(flows[0], flow) for flow in flows[1:])


# -- stopping -- #


def test_patience_keeps_the_best_weights(moons):
    flow = new_flow()
    history = quietly(
        flow, moons, validation=0.3, epochs=500, patience=4, optimizer=cf.Adam(0.05), batch_size=50
    )
    assert history.stopped == "patience"
    assert len(history.train) == history.best_epoch + 4
    index = cf._core.split_rows(ROWS, 0.3, 5)[1]
    best = history.validation[history.best_epoch - 1]
    assert -flow.log_prob(moons[index]).mean() == pytest.approx(best, rel=1e-5)


def test_without_validation_the_last_weights_stay(moons):
    x, flow, seen = moons.copy(), new_flow(), []

    def look(report):
        seen.append([parameter.copy() for parameter in flow.parameters.values()])
        x[:] += 1  # so that epochs become worse

    history = quietly(flow, x, callback=look)
    assert history.train[-1] > history.train[0] and history.best_epoch is None
    assert all(map(np.array_equal, flow.parameters.values(), seen[-1]))


def test_plateau_follows_the_losses(moons):
    history = quietly(
        new_flow(),
        moons,
        epochs=60,
        batch_size=50,
        optimizer=cf.Adam(0.1),
        schedule=cf.Plateau(factor=0.7, patience=2),
        validation=0.2,
    )
    best, waited, rate = np.inf, 0, 0.1
    for loss, used in zip(history.validation, history.learning_rate, strict=True):
        assert used == pytest.approx(rate, rel=1e-12)
        better = loss < (best - 1e-4 * abs(best) if best < np.inf else best)
        waited, best = (0, loss) if better else (waited + 1, best)
        if waited == 2:
            rate, waited = rate * 0.7, 0
    assert rate < 0.1


def test_plateau_lowers_the_rate(moons):
    flow = new_flow()
    history = quietly(
        flow,
        moons,
        epochs=9,
        optimizer=cf.SGD(1e-30),
        schedule=cf.Plateau(factor=0.1, patience=2, final=0.01),
        validation=0.2,
    )
    np.testing.assert_allclose(
        np.array(history.learning_rate) / 1e-30, [1, 1, 1, 0.1, 0.1] + [0.01] * 4
    )


def test_interrupt_returns_the_history(moons):
    flow = new_flow()
    threading.Thread(
        target=lambda: (time.sleep(0.7), os.kill(os.getpid(), signal.SIGINT)), daemon=True
    ).start()
    history = quietly(flow, moons, validation=0.2, patience=None, epochs=10**9)  # years
    assert history.stopped == "interrupted"
    lists = (history.train, history.validation, history.learning_rate, history.steps)
    assert {len(values) for values in lists} == {len(history.seconds)}
    best = history.validation[history.best_epoch - 1]
    assert best == min(history.validation)
    held_out = moons[cf._core.split_rows(ROWS, 0.2, 5)[1]]
    assert -flow.log_prob(held_out).mean() == pytest.approx(best, rel=1e-5)


def test_interrupt_cuts_a_long_epoch_short():
    x = np.random.default_rng(0).normal(size=(1_000_000, 2))
    flow = cf.realnvp(2, layers=8, hidden=(64, 64), seed=0)
    threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    history = quietly(flow, x, batch_size=16)
    assert history.stopped == "interrupted"
    assert history.train == [] and repr(history) == "History(no epochs, stopped='interrupted')"
    assert any(parameter.any() for parameter in flow.parameters.values())


def test_ctrl_c_in_the_callback_interrupts(moons):
    flow = new_flow()
    history = quietly(flow, moons, callback=lambda report: signal.raise_signal(signal.SIGINT))
    assert history.stopped == "interrupted" and len(history.train) == 1


def test_divergence_is_told_and_no_harm_is_done(moons):
    flow = new_flow()
    before = {name: parameter.copy() for name, parameter in flow.parameters.items()}
    with pytest.raises(cf.NumericalError, match="20 steps in a row"):
        quietly(flow, moons, epochs=99, batch_size=10, optimizer=cf.SGD(1e30), clip_norm=None)
    for name, parameter in flow.parameters.items():
        assert np.array_equal(parameter, before[name])


@pytest.mark.parametrize("validated", [False, True])
def test_a_late_divergence_keeps_the_best_epoch(moons, validated):
    x, flow, losses, weights = moons.copy(), new_flow(), [], []

    def spoil(report):
        losses.append(report.validation if validated else report.train)
        weights.append([parameter.copy() for parameter in flow.parameters.values()])
        if report.epoch == 4:
            x[:] = 1e300

    with pytest.raises(cf.NumericalError, match="epoch 5"):
        quietly(
            flow,
            x,
            epochs=9,
            batch_size=10,
            callback=spoil,
            validation=moons if validated else None,
            optimizer=cf.Adam(0.02),
        )
    best = weights[int(np.argmin(losses))]
    assert all(map(np.array_equal, flow.parameters.values(), best))
    flow.log_prob(moons)  # not held


def test_a_step_that_overflows_is_skipped(moons):
    x, flow, best = moons.copy(), new_flow(), []

    def spoil(report):
        x[9] = 1e300
        best.append(report.best)

    history = quietly(flow, x, epochs=30, batch_size=300, validation=moons, callback=spoil)
    assert history.skipped == 29 and history.steps == list(range(2, 32))  # not 20 in a row
    assert np.isfinite(history.train).all() and "29 steps skipped" in repr(history)
    lowest = np.minimum.accumulate([np.inf, *history.validation])
    assert best == list(history.validation < lowest[:-1])
    assert np.isfinite(flow.log_prob(moons)).all()


def test_the_flow_is_held_meanwhile(moons):
    flow, errors = new_flow(), []

    def look(report):
        for call in (lambda: flow.log_prob(moons), lambda: flow.fit(moons)):
            with pytest.raises(RuntimeError):
                call()
        assert np.isfinite(copy.copy(flow).log_prob(moons)).all()
        errors.append(report.epoch)

    quietly(flow, moons, callback=look)
    assert errors == [1, 2, 3]


def test_an_exception_in_the_callback_leaves_the_flow_usable(moons):
    flow = new_flow()

    def fail(report):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        quietly(flow, moons, callback=fail)
    flow.log_prob(moons)


def test_frozen_parameters_do_not_move(moons):
    flow = new_flow()
    before = {name: p.copy() for name, p in flow.parameters.items()}
    flow.freeze("layers.1.*")
    quietly(flow, moons, optimizer=cf.AdamW(0.01, weight_decay=0.5))
    for name, parameter in flow.parameters.items():
        assert np.array_equal(parameter, before[name]) == name.startswith("layers.1.")


def test_history_is_plain_data(moons):
    history = quietly(new_flow(), moons, validation=0.2)
    assert json.loads(json.dumps(history.to_dict())) == history.to_dict()
    assert (history.seconds, history.steps) == (sorted(history.seconds), [2, 4, 6])
    assert quietly(new_flow(), moons).validation == [None] * 3


@pytest.mark.parametrize("best_epoch", [None, 0, 1, 2, 3])
def test_a_history_put_together_by_hand_can_be_looked_at(best_epoch):
    for validation in ([], [1.0], [None, 2.0]):
        history = cf.History(train=[1.5, 1.25], validation=validation, best_epoch=best_epoch)
        assert repr(history).startswith("History(2 epochs, train 1.2500")


# -- bad input -- #


def spoiled(row, value):
    x = moons_rows()
    x[row, 1] = value
    return x


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"x": spoiled(17, np.nan)}, ValueError, "row 17"),
        ({"x": spoiled(599, np.inf)}, ValueError, "row 599"),
        ({"x": np.zeros((0, 2))}, ValueError, "no rows"),
        ({"x": np.zeros((9, 3))}, ValueError, "shape"),
        ({"x": np.zeros(9)}, ValueError, "shape"),
        ({"x": np.zeros((9, 2), complex)}, TypeError, "complex"),
        ({"x": np.full((9, 2), "a", object)}, TypeError, "object"),
        ({"x": np.full((9, 2), None)}, ValueError, "row [0-9] holds nan"),
        (
            {"x": np.zeros((1, 2))},
            ValueError,
            "there are 1; validation=None",
        ),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"batch_size": 2.5}, TypeError, "batch_size"),
        ({"epochs": 0}, ValueError, "epochs"),
        ({"epochs": 2**63}, ValueError, "epochs must be at most"),
        ({"patience": 0, "validation": 0.5}, ValueError, "patience"),
        ({"patience": 3, "validation": None}, ValueError, "patience=3 needs rows held out"),
        ({"clip_norm": -1.0}, ValueError, "clip_norm"),
        ({"clip_norm": np.nan}, ValueError, "clip_norm"),
        ({"clip_norm": 10**400}, ValueError, "clip_norm must fit a float"),
        ({"clip_norm": "5"}, TypeError, "clip_norm"),
        ({"seed": -1}, ValueError, "seed"),
        ({"seed": 2**64}, ValueError, "seed"),
        ({"seed": 0.5}, TypeError, "seed"),
        ({"context": np.zeros((ROWS, 1))}, (TypeError, ValueError), "context"),
        ({"weights": np.ones(3)}, ValueError, "weights"),
        ({"weights": -np.ones(ROWS), "validation": None}, ValueError, "weight of row 0"),
        ({"weights": np.zeros(ROWS)}, ValueError, "all weights are 0"),
        ({"weights": np.where(np.arange(ROWS) == 17, np.nan, 1)}, ValueError, "weight of row 17"),
        (
            {"weights": np.where(np.arange(ROWS) == 17, -1, 1), "validation": 0.5},
            ValueError,
            "weight of row 17",
        ),
        ({"weights": np.ones(ROWS, complex)}, TypeError, "weights"),
        ({"validation": 0.0}, ValueError, "fraction"),
        ({"validation": 1.5}, ValueError, "fraction"),
        ({"validation": 0.9999}, ValueError, "no rows to train"),
        ({"validation": 1}, ValueError, "fraction"),
        ({"validation": True}, TypeError, "got True"),
        ({"validation": ()}, ValueError, "0 parts"),
        ({"validation": np.zeros((5, 3))}, ValueError, r"validation must have shape \(n, 2\)"),
        ({"validation": np.zeros((0, 2))}, ValueError, "validation data: no rows"),
        ({"validation": (np.zeros((5, 2)), np.zeros(1))}, ValueError, "validation: .* no context"),
        (
            {"validation": (np.zeros((5, 2)), None, np.ones(4))},
            ValueError,
            "validation: weights must have shape .5,",
        ),
        (
            {"validation": (np.zeros((5, 2)), None, ["a"] * 5)},
            TypeError,
            "validation: weights must be real numbers",
        ),
        ({"validation": spoiled(3, np.nan)}, ValueError, "validation data: row 3"),
        ({"validation": (np.zeros((5, 2)), None, np.zeros(5))}, ValueError, "all weights are 0"),
        ({"x": spoiled(17, np.nan), "validation": 0.5}, ValueError, "row 17"),
        ({"jitter": [1.0, 2.0, 3.0]}, ValueError, "jitter"),
        ({"jitter": -1.0}, ValueError, "jitter"),
        ({"jitter": [np.inf, 0.0]}, ValueError, "jitter"),
        ({"jitter": [[1.0, 2.0]]}, ValueError, "jitter"),
        ({"jitter": 1j}, TypeError, "jitter"),
        ({"optimizer": "adam"}, TypeError, f"optimizer must be an Adam, AdamW, .* or {LAST}, such"),
        ({"optimizer": cf.Adam(epsilon=1e-60)}, ValueError, "in float32 epsilon"),
        ({"schedule": 3}, TypeError, "Constant, Cosine or Plateau"),
        ({"schedule": "sideways"}, ValueError, "'constant', 'cosine', 'plateau'"),
        ({"progress": "yes"}, ValueError, "progress"),
        ({"callback": 3}, TypeError, "callback"),
        ({"checkpoint": 3}, TypeError, "PathLike"),
        ({"checkpoint": "nowhere/at/all.safetensors"}, OSError, "nowhere"),
        ({"resume": "nowhere.safetensors"}, OSError, "nowhere"),
    ],
)
def test_bad_input_changes_nothing(moons, arguments, error, message):
    flow = new_flow()
    before = contents(flow)
    arguments = {"x": moons, "progress": False, **arguments}
    with pytest.raises(error, match=message):
        flow.fit(**arguments)
    assert contents(flow) == before
    flow.log_prob(moons)  # not held


def test_a_missing_context_changes_nothing(moons):
    flow = new_flow(context_features=2)
    before = contents(flow)
    for context in (None, np.zeros((ROWS, 3)), np.zeros((ROWS - 1, 2)), np.zeros(()), np.zeros(3)):
        with pytest.raises(ValueError, match="context"):
            quietly(flow, moons, context)
        with pytest.raises(ValueError, match=r"^validation.*context"):
            quietly(flow, moons, np.zeros(2), validation=(moons, context))
    holed = np.full((ROWS, 2), np.nan)
    with pytest.raises(ValueError, match="context: row 0"):
        quietly(flow, moons, holed)
    with pytest.raises(ValueError, match="context: row 0"):
        quietly(flow, moons, np.zeros(2), validation=(moons, holed))
    with pytest.raises(ValueError, match=r"validation must be \(x, context\)"):
        quietly(flow, moons, np.zeros(2), validation=moons)
    assert contents(flow) == before


@pytest.mark.parametrize("rows", [300, 100_000])
def test_weights_that_change_while_it_runs_change_nothing(rows):
    """They are looked at once: later they could select more rows than there is room for."""
    rng = np.random.default_rng(0)
    x, held_out = rng.normal(size=(rows, 2)), rng.normal(size=(200, 2))
    options = {"epochs": 3, "batch_size": rows // 3, "seed": 0, "progress": False}
    losses = []
    for change in (None, 0.0, np.inf, np.nan, -1.0):
        weights = np.arange(rows) % 2.0
        others = np.arange(200.0) % 3
        flow = cf.realnvp(2, layers=1, hidden=(4,), seed=0)

        def callback(report, weights=weights, others=others, change=change):
            if change is not None:
                weights.fill(change)
                others.fill(change)

        validation = (held_out, None, others)
        history = flow.fit(x, None, weights, validation=validation, callback=callback, **options)
        losses.append(np.concatenate([history.train, history.validation]))
        assert np.array_equal(losses[-1], losses[0])


def test_an_index_that_changes_while_it_runs_changes_nothing():
    x, index, weights = np.random.default_rng(0).normal(size=(100, 2)), np.arange(50), np.ones(50)
    flow = cf.realnvp(2, layers=1, hidden=(4,), seed=0)
    rows = (x, None, weights, index)
    trainer = _core.Trainer(
        flow,
        "likelihood",
        rows,
        rows,
        cf.Adam(),
        cf.Constant(),
        epochs=2,
        batch_size=20,
        patience=0,
        clip_norm=0.0,
        ema=0.0,
        jitter=None,
        seed=0,
    )
    first = trainer.epoch(None)
    index.fill(2**62)
    weights.fill(np.nan)
    second = trainer.epoch(None)
    trainer.close()
    assert np.all(np.isfinite([first[4:6], second[4:6]]))
