"""The exponential moving average of weights: `fit(ema=...)` and `Trainer(ema=...)`."""

import copy
import pickle
import threading

import numpy as np
import pytest

import cflows as cf
from cflows import nn
from fits import contents, moons_rows, new_flow, quietly, same


def averaged(snapshots, ema):
    """The rule of `Flow.fit`, from the weights before the first step and after each."""
    mean = {name: array.astype(np.float64) for name, array in snapshots[0].items()}
    for t, weights in enumerate(snapshots[1:], 1):
        d = min(ema, (1 + t) / (10 + t))
        for name, array in weights.items():
            mean[name] = d * mean[name] + (1 - d) * array
    return mean


def snapshot(model):
    return {name: array.copy() for name, array in model.parameters.items()}


def close(model, expected, rtol=1e-12):
    for name, array in expected.items():
        tolerance = rtol if model.parameters[name].dtype == np.float64 else 3e-7
        np.testing.assert_allclose(model.parameters[name], array, rtol=tolerance, atol=tolerance)


def weights_by_epoch(flow, x, **options):
    """The fit of one step an epoch without an average: weights before it and after each step."""
    snapshots = [snapshot(flow)]
    quietly(flow, x, callback=lambda _: snapshots.append(snapshot(flow)), **options)
    return snapshots


@pytest.fixture(scope="module")
def moons():
    return moons_rows()


# -- the rule -- #


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("ema", [0.05, 0.5, 0.999])
def test_the_weights_of_a_fit_are_averaged_by_the_rule(moons, ema, dtype):
    options = {"epochs": 40, "batch_size": len(moons), "optimizer": cf.Adam(0.02)}
    steps = weights_by_epoch(new_flow(dtype, standardize=False), moons, **options)
    flow = new_flow(dtype, standardize=False)
    quietly(flow, moons, ema=ema, **options)
    close(flow, averaged(steps, ema))
    assert not np.allclose(flow.parameters["layers.0.conditioner.linear0.weight"], 0.0)


@pytest.mark.parametrize("ema", [0.3, 0.999])
def test_a_trainer_puts_the_average_in_place_when_it_closes(ema):
    rng = np.random.default_rng(0)
    flow = new_flow("float64", standardize=False)
    steps = [snapshot(flow)]
    trainer = cf.Trainer(flow, None, cf.Adam(0.02), ema=ema, seed=0)
    for _ in range(15):
        trainer.step(rng.normal(size=(30, 2)))
        steps.append(snapshot(flow))
    close(flow, steps[-1])
    trainer.close()
    close(flow, averaged(steps, ema))
    trainer.close()
    close(flow, averaged(steps, ema))


def test_a_trainer_does_so_when_its_body_fails():
    x = np.random.default_rng(0).normal(size=(30, 2))
    flow = new_flow("float64", standardize=False)
    steps = [snapshot(flow)]
    with pytest.raises(ZeroDivisionError), cf.Trainer(flow, ema=0.5, seed=0) as trainer:
        for _ in range(3):
            trainer.step(x)
            steps.append(snapshot(flow))
        raise ZeroDivisionError
    close(flow, averaged(steps, 0.5))


def test_the_average_of_a_loss_of_ones_own():
    model = nn.objective(lambda x, p: nn.sum((x - p.a) ** 2), 2, parameters={"a": [3.0, -1.0]})
    model = model.astype("float64")
    steps, a = [snapshot(model)], np.array([3.0, -1.0])
    x = np.random.default_rng(0).normal(size=(40, 2))
    for _ in range(12):
        a = a - 0.1 * 2 * (a - x.mean(axis=0))
        steps.append({"a": a})
    options = {"batch_size": 40, "epochs": 12, "optimizer": cf.SGD(0.1), "clip_norm": None}
    model.fit(x, ema=0.8, progress=False, seed=0, **{"validation": None, **options})
    close(model, averaged(steps, 0.8))


def test_skipped_steps_are_not_averaged():
    x = np.random.default_rng(0).normal(size=(30, 2))
    one, other = (new_flow("float64", standardize=False) for _ in range(2))
    with cf.Trainer(one, ema=0.9, seed=0) as a, cf.Trainer(other, ema=0.9, seed=0) as b:
        for k in range(6):
            a.step(x)
            b.step(x)
            if k % 2:
                a.step(np.full((3, 2), np.inf))
    assert same(one, other)


# -- what starts, what is not averaged -- #


@pytest.mark.parametrize("way", ["fit", "trainer"])
def test_the_average_begins_at_what_the_data_set(way):
    """After a step: 9 / 11 of the newest weights, 2 / 11 of those that an ActNorm starts with."""
    x = np.random.default_rng(0).normal(size=(60, 2)) * [5, 2] + [3, -1]

    def train(**options):
        flow = cf.Flow([cf.ActNorm()], features=2, dtype="float64", seed=0)
        if way == "fit":
            quietly(flow, x, epochs=1, batch_size=60, optimizer=cf.SGD(0.1), **options)
        else:
            with cf.Trainer(flow, optimizer=cf.SGD(0.1), seed=0, **options) as trainer:
                trainer.step(x)
        return snapshot(flow)

    started = {"layers.0.shift": x.mean(axis=0), "layers.0.log_scale": np.log(x.std(axis=0))}
    newest, found = train(), train(ema=0.9)
    assert newest.keys() == started.keys()
    for name, array in started.items():
        assert np.abs(newest[name] - array).max() < 0.2  # near where it started, and not there
        expected = 2 / 11 * array + 9 / 11 * newest[name]
        np.testing.assert_allclose(found[name], expected, rtol=1e-9, atol=1e-9)


def test_running_statistics_and_frozen_parameters_are_taken_as_they_are(moons):
    def new():
        layers = [cf.Coupling(), cf.BatchNorm(), cf.Coupling(swap=True)]
        flow = cf.Flow(layers, features=2, dtype="float64", seed=0)
        flow.freeze("layers.0.*.bias")
        return flow

    options = {"epochs": 25, "batch_size": len(moons), "optimizer": cf.Adam(0.01)}
    plain, flow = new(), new()
    steps = weights_by_epoch(plain, moons, **options)
    quietly(flow, moons, ema=0.95, **options)
    running = [name for name in flow.frozen if "layers.1" in name]
    assert len(running) == 2
    expected = averaged(steps, 0.95)
    for name, array in flow.parameters.items():
        if name in running:
            continue
        if name in flow.frozen:
            assert np.array_equal(array, steps[-1][name])
        else:
            np.testing.assert_allclose(array, expected[name], rtol=1e-11, atol=1e-13)
    # In the end they are those of the rows, with the averaged weights.
    seen, _ = flow.part(2).inverse(moons)
    for name, array in zip(running, (seen.mean(axis=0), seen.var(axis=0)), strict=True):
        np.testing.assert_allclose(flow.parameters[name], array, rtol=1e-11, atol=1e-13)


# -- validation, the best, interruption, checkpoints -- #


def test_averaged_weights_are_validated_and_kept(moons):
    x, held_out = moons[:400], moons[400:]
    options = {"epochs": 30, "batch_size": 400, "optimizer": cf.Adam(0.05)}
    steps = weights_by_epoch(new_flow("float64", standardize=False), x, **options)
    flow = new_flow("float64", standardize=False)
    history = quietly(flow, x, validation=held_out, ema=0.7, **options)
    scorer, losses = new_flow("float64", standardize=False), []
    for epoch in range(1, 31):
        for name, array in averaged(steps[: epoch + 1], 0.7).items():
            scorer.parameters[name][...] = array
        losses.append(-scorer.log_prob(held_out).mean())
    np.testing.assert_allclose(history.validation, losses, rtol=1e-10)
    assert history.best_epoch == 1 + int(np.argmin(losses))
    close(flow, averaged(steps[: history.best_epoch + 1], 0.7), rtol=1e-10)
    # The losses of training are of the weights themselves.
    for name, array in steps[5].items():
        scorer.parameters[name][...] = array
    assert history.train[5] == pytest.approx(-scorer.log_prob(x).mean(), rel=1e-10)


def interrupted_at(epoch):
    def callback(report):
        if report.epoch == epoch:
            raise KeyboardInterrupt

    return callback


@pytest.mark.parametrize("how", ["interrupt", "callback", "exception"])
def test_a_fit_cut_short_ends_with_averaged_weights(moons, how):
    options = {"batch_size": len(moons), "optimizer": cf.Adam(0.01)}
    steps = weights_by_epoch(new_flow("float64", standardize=False), moons, epochs=4, **options)
    flow, options["ema"] = new_flow("float64", standardize=False), 0.9
    if how == "exception":

        def fail(report):
            assert report.epoch < 4

        with pytest.raises(AssertionError):
            quietly(flow, moons, epochs=9, callback=fail, **options)
    else:
        stop = interrupted_at(4) if how == "interrupt" else lambda report: report.epoch == 4
        quietly(flow, moons, epochs=9, callback=stop, **options)
    close(flow, averaged(steps, 0.9))


@pytest.mark.parametrize("validation", [None, 0.25])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "plateau"])
def test_a_resumed_fit_is_the_uninterrupted_one(moons, tmp_path, schedule, validation):
    path = tmp_path / "half.checkpoint"
    options = {"batch_size": 64, "ema": 0.97, "epochs": 6}
    options |= {"schedule": schedule, "validation": validation}
    whole, part, resumed = (new_flow("float64") for _ in range(3))
    history = quietly(whole, moons, **options)
    quietly(part, moons, callback=interrupted_at(3), checkpoint=path, **options)
    assert not same(part, whole)
    continued = quietly(resumed, moons, resume=path, **options)
    assert same(resumed, whole)
    assert continued.train == history.train
    assert continued.validation == history.validation
    with pytest.raises(ValueError, match="ema"):
        quietly(new_flow("float64"), moons, resume=path, **{**options, "ema": 0.96})


def test_a_trainers_state_has_the_average():
    x = np.random.default_rng(0).normal(size=(30, 2))
    flow = new_flow("float64")
    with cf.Trainer(flow, ema=0.9, seed=0) as trainer:
        for _ in range(4):
            trainer.step(x)
        state, other = pickle.loads(pickle.dumps(trainer.state())), copy.copy(flow)
    with cf.Trainer(other, ema=0.9, seed=0) as resumed:
        resumed.load_state(state)
    assert same(flow, other)


# -- the other threads -- #


def test_copies_made_meanwhile_are_whole():
    """Every step, and every average, is the first weights times one number."""
    start = {"many": np.ones(300_000), "a": 1.0}
    model = nn.objective(lambda x, p: p.a + nn.sum(x), 1, parameters=start, dtype="float64")
    x, copies, started, stop = np.zeros((8, 1)), [], threading.Event(), threading.Event()

    def learn():
        shrinking = cf.AdamW(1e-30, weight_decay=1e28)
        options = {"epochs": 10**9, "optimizer": shrinking, "ema": 0.9, "progress": False}
        model.fit(
            x,
            callback=lambda _: started.set() or stop.is_set(),
            seed=0,
            **{"validation": None, **options},
        )

    thread = threading.Thread(target=learn)
    thread.start()
    try:
        started.wait()
        while len(copies) < 100:
            try:
                many = model.astype("float64").parameters["many"]
                copies.append((many.min(), many.max()))
            except RuntimeError as error:
                assert "fitted" in str(error)
    finally:
        stop.set()
        thread.join()
    assert all(low == high for low, high in copies)


# -- bad values -- #


@pytest.mark.parametrize(
    ("ema", "error"),
    [(-0.1, ValueError), (1.0, ValueError), (1.5, ValueError), (np.nan, ValueError),
     (np.inf, ValueError), ("0.9", TypeError), ([0.9], TypeError), (0.9j, TypeError)],
)  # fmt: skip
def test_bad_decays(moons, ema, error):
    flow = new_flow()
    before = contents(flow)
    with pytest.raises(error, match="ema must"):
        quietly(flow, moons, ema=ema)
    with pytest.raises(error, match="ema must"):
        cf.Trainer(flow, ema=ema)
    assert contents(flow) == before


def test_a_decay_of_zero_is_no_average(moons):
    one, other = new_flow(), new_flow()
    quietly(one, moons, ema=0)
    quietly(other, moons)
    assert same(one, other)
