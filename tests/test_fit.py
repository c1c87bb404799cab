"""Learning: against NumPy's arithmetic, against known densities, and bit for bit against itself."""

import os
import signal
import threading
import time

import numpy as np
import pytest

import cflows as cf
from cflows import data

ROWS = 600


def new_flow(dtype="float32", features=2, standardize=True, **options):
    flow = cf.realnvp(
        features,
        layers=3,
        hidden=(12, 12),
        activation="tanh",
        standardize=standardize,
        dtype=dtype,
        seed=1,
        **options,
    )
    rng = np.random.default_rng(0)
    for parameter in flow.parameters.values():
        parameter[...] = rng.normal(size=parameter.shape) * 0.3
    return flow


@pytest.fixture(scope="module")
def moons():
    return data.toy("moons").sample(ROWS, seed=0)


def quietly(flow, x, **options):
    return flow.fit(x, **{"epochs": 3, "seed": 5, "progress": False, **options})


def same(a, b):
    return all(np.array_equal(p, b.parameters[name]) for name, p in a.parameters.items()) and all(
        np.array_equal(p, b.buffers[name]) for name, p in a.buffers.items()
    )


# -- the arithmetic of one step, in NumPy -- #


def numpy_steps(flow, x, weights, optimizer, schedule, clip, steps):
    """The parameters after full-batch steps, from loss_and_grad and the papers' formulas."""
    first = {name: np.zeros_like(p) for name, p in flow.parameters.items()}
    second = {name: np.zeros_like(p) for name, p in flow.parameters.items()}
    for t in range(1, steps + 1):
        _, gradients = flow.loss_and_grad(x, weights=weights)
        norm = np.sqrt(sum((g**2).sum() for g in gradients.values()))
        factor = min(1.0, clip / norm) if clip else 1.0
        rate = optimizer.learning_rate * schedule(t - 1)
        for name, parameter in flow.parameters.items():
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


def test_every_row_is_seen_once_an_epoch(moons):
    """With a rate that moves nothing, the mean over an epoch's batches is the loss of all rows."""
    flow = new_flow("float64", standardize=False)
    history = quietly(flow, moons, batch_size=100, optimizer=cf.SGD(1e-300))
    loss, _ = flow.loss_and_grad(moons)
    np.testing.assert_allclose(history.train, loss, rtol=1e-12)
    assert history.steps == [6, 12, 18]


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


def test_threads_give_the_same_bits(moons):
    before, flows = cf.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 8):
            cf.set_num_threads(threads)
            flows.append(new_flow())
            quietly(flows[-1], moons, batch_size=300, validation=0.2, jitter=0.01)
    finally:
        cf.set_num_threads(before)
    assert all(same(flows[0], flow) for flow in flows[1:])


def test_layouts_and_dtypes_give_the_same_bits(moons, tmp_path):
    x = moons.astype(np.float32)
    mapped = np.memmap(tmp_path / "x.bin", np.float32, "w+", shape=x.shape)
    mapped[:] = x
    flows = []
    for variant in (x, np.asfortranarray(x), x.astype(">f4"), x.astype(np.float64), mapped):
        flows.append(new_flow())
        quietly(flows[-1], variant, validation=0.2)
    assert all(same(flows[0], flow) for flow in flows[1:])


@pytest.mark.parametrize("schedule", ["constant", "cosine", "plateau"])
def test_resume_is_the_uninterrupted_fit(moons, tmp_path, schedule):
    path = tmp_path / "checkpoint.safetensors"
    options = {
        "epochs": 8,
        "validation": 0.2,
        "schedule": schedule,
        "jitter": 0.05,
        "batch_size": 100,
    }
    whole, part, rest = new_flow(), new_flow(), new_flow()
    history = quietly(whole, moons, **options)
    stopped = quietly(
        part, moons, **options, checkpoint=path, callback=lambda report: report.epoch == 3
    )
    assert stopped.stopped == "callback" and len(stopped.train) == 3
    resumed = quietly(rest, moons, **options, resume=path)
    assert same(whole, rest)
    assert resumed.train == history.train and resumed.validation == history.validation


def test_resume_refuses_another_fit(moons, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    quietly(new_flow(), moons, checkpoint=path)
    for change, message in (
        ({"batch_size": 99}, "batch_size"),
        ({"optimizer": cf.Adam(0.5)}, "optimizer"),
        ({"seed": 6}, "seed"),
    ):
        flow = new_flow()
        before = flow.astype("float32")
        with pytest.raises(ValueError, match=message):
            quietly(flow, moons, **change, resume=path)
        assert same(flow, before)
    with pytest.raises(ValueError, match="another flow"):
        quietly(cf.realnvp(2, layers=2, hidden=(4,)), moons, resume=path)
    with pytest.raises(OSError, match="nowhere"):
        quietly(new_flow(), moons, resume=tmp_path / "nowhere")
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ValueError):
        quietly(new_flow(), moons, resume=path)


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


def test_plateau_lowers_the_rate(moons):
    flow = new_flow()
    history = quietly(
        flow,
        moons,
        epochs=7,
        optimizer=cf.SGD(1e-30),
        schedule=cf.Plateau(factor=0.1, patience=2, final=0.01),
        validation=0.2,
    )
    np.testing.assert_allclose(
        np.array(history.learning_rate) / 1e-30, [1, 1, 1, 0.1, 0.1, 0.01, 0.01]
    )


def test_interrupt_returns_the_history(moons):
    flow = new_flow()
    threading.Thread(
        target=lambda: (time.sleep(0.7), os.kill(os.getpid(), signal.SIGINT)), daemon=True
    ).start()
    start = time.monotonic()
    history = quietly(flow, moons, validation=0.2, epochs=10**9)
    assert history.stopped == "interrupted" and time.monotonic() - start < 5
    assert history.best_epoch is not None
    assert np.isfinite(flow.log_prob(moons)).all()  # and the flow is free again


def test_divergence_is_told_and_no_harm_is_done(moons):
    flow = new_flow()
    before = {name: parameter.copy() for name, parameter in flow.parameters.items()}
    with pytest.raises(cf.NumericalError, match="20 steps in a row"):
        quietly(flow, moons, epochs=99, batch_size=10, optimizer=cf.SGD(1e30), clip_norm=None)
    for name, parameter in flow.parameters.items():
        assert np.array_equal(parameter, before[name])


def test_the_flow_is_held_meanwhile(moons):
    flow, errors = new_flow(), []

    def look(report):
        for call in (lambda: flow.log_prob(moons), lambda: flow.fit(moons)):
            with pytest.raises(RuntimeError):
                call()
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


def test_progress_lines(moons, capsys):
    quietly(new_flow(), moons, validation=0.2, progress=True)
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("epoch 3/3: loss ") and "validation" in last and "rows/s" in last


# -- bad input -- #


def spoiled(row, value):
    x = data.toy("moons").sample(ROWS, seed=0)
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
        ({"x": np.full((9, 2), None)}, TypeError, "object"),
        ({"x": np.zeros((9, 2)), "batch_size": 10}, ValueError, "9 rows"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"batch_size": 2.5}, TypeError, "batch_size"),
        ({"epochs": 0}, ValueError, "epochs"),
        ({"patience": 0}, ValueError, "patience"),
        ({"clip_norm": -1.0}, ValueError, "clip_norm"),
        ({"seed": -1}, ValueError, "seed"),
        ({"context": np.zeros((ROWS, 1))}, (TypeError, ValueError), "context"),
        ({"weights": np.ones(3)}, ValueError, "weights"),
        ({"weights": -np.ones(ROWS)}, ValueError, "weight of row 0"),
        ({"weights": np.zeros(ROWS)}, ValueError, "all weights are 0"),
        ({"validation": 0.0}, ValueError, "fraction"),
        ({"validation": 1.5}, ValueError, "fraction"),
        ({"validation": 0.9999}, ValueError, "no rows to train"),
        ({"validation": spoiled(3, np.nan)}, ValueError, "validation data: row 3"),
        ({"jitter": [1.0, 2.0, 3.0]}, ValueError, "jitter"),
        ({"jitter": -1.0}, ValueError, "jitter"),
        ({"optimizer": cf.Adam(0.0)}, ValueError, "learning_rate"),
        ({"optimizer": cf.Adam(beta1=1.0)}, ValueError, "beta1"),
        ({"schedule": "sideways"}, ValueError, "'constant', 'cosine', 'plateau'"),
        ({"schedule": cf.Plateau(factor=2.0)}, ValueError, "factor"),
    ],
)
def test_bad_input_changes_nothing(moons, arguments, error, message):
    flow = new_flow()
    before = flow.astype("float32")
    arguments = {"x": moons, "progress": False, **arguments}
    with pytest.raises(error, match=message):
        flow.fit(**arguments)
    assert same(flow, before)
    flow.log_prob(moons)  # not held
