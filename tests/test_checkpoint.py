"""Checkpoints: a resumed fit is the uninterrupted one, bit for bit, or is refused."""

import os
import signal
import threading

import numpy as np
import pytest

import cflows as cf
from cflows.checkpoint import Checkpoint
from cflows.safetensors import read_safetensors, write_safetensors
from fits import ROWS, contents, moons_rows, new_flow, quietly, same


@pytest.fixture(scope="module")
def moons():
    return moons_rows()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "fit.checkpoint"


OPTIONS = {"epochs": 8, "validation": 0.2, "jitter": 0.05, "batch_size": 100}


def comparable(history):
    """All of a history but how long it took and why it ended."""
    everything = history.to_dict()
    del everything["seconds"], everything["stopped"]
    return everything


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"schedule": "cosine", "optimizer": cf.AdamW(0.01), "validation": None},
        {"schedule": cf.Plateau(patience=1, warmup=9), "optimizer": cf.SGD(1.0, momentum=0.5)},
        {"schedule": cf.Plateau(patience=3), "optimizer": cf.SGD(1e-30)},
        {"clip_norm": None, "jitter": None, "weights": np.linspace(0, 1, ROWS)},
        {"optimizer": cf.RAdam(0.01)},
        {"optimizer": cf.Lion(0.003, weight_decay=0.1)},
        {"optimizer": cf.Muon(), "schedule": "cosine"},
    ],
    ids=["plain", "cosine", "plateau", "waiting", "weights", "radam", "lion", "muon"],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_resume_is_the_uninterrupted_fit(moons, path, changes, dtype):
    options = {**OPTIONS, **changes}
    whole, part, rest = (new_flow(dtype) for _ in range(3))
    history = quietly(whole, moons, **options)
    # More than once, and from the file that it writes itself.
    for last, kept in ((1, None), (3, path), (6, path)):
        stopped = quietly(
            part,
            moons,
            **options,
            checkpoint=path,
            resume=kept,
            callback=lambda report, last=last: report.epoch == last,
        )
        assert stopped.stopped == "callback" and len(stopped.train) == last
    resumed = quietly(rest, moons, **options, resume=path)
    assert same(whole, rest)
    assert comparable(resumed) == comparable(history)
    assert resumed.stopped == history.stopped and resumed.seconds == sorted(resumed.seconds)


def test_resume_after_ctrl_c_within_an_epoch(path):
    x = np.random.default_rng(0).normal(size=(300_000, 2))
    options = {"epochs": 4, "validation": 0.1, "batch_size": 16}
    whole, part = (new_flow() for _ in range(2))
    seconds = quietly(whole, x, **options).seconds[-1] / 4
    rounds, stopped, kept, timers = 0, "interrupted", None, []

    def interrupt(report):
        """Within the next epoch, not before a fit has begun nor after it."""
        if report.epoch < 4:
            timers.append(threading.Timer(0.3 * seconds, os.kill, (os.getpid(), signal.SIGINT)))
            timers[-1].start()

    while stopped == "interrupted":
        try:
            fit = quietly(part, x, **options, checkpoint=path, resume=kept, callback=interrupt)
            stopped, kept = fit.stopped, path
            for timer in timers:
                timer.cancel()
                timer.join()
        except KeyboardInterrupt:  # it came late, when the fit was over
            kept = path
        rounds += 1
    assert rounds > 1 and same(whole, part)


def test_the_seed_is_the_checkpoints(moons, path):
    whole, part = (new_flow() for _ in range(2))
    quietly(part, moons, checkpoint=path, seed=None, epochs=2)
    seed = Checkpoint.read(str(path)).config["seed"]
    quietly(part, moons, resume=path, seed=None, epochs=4)
    quietly(whole, moons, seed=seed, epochs=4)
    assert same(whole, part)


def test_more_epochs_and_patience_go_on(moons, path):
    options = {"validation": 0.3, "batch_size": 50, "optimizer": cf.Adam(0.05)}
    short = quietly(new_flow(), moons, **options, epochs=500, patience=2, checkpoint=path)
    assert short.stopped == "patience"
    flow = new_flow()
    again = quietly(flow, moons, **options, epochs=500, patience=2, resume=path)
    assert comparable(again) == comparable(short)  # nothing is left to be done
    assert again.stopped == "patience"
    whole, part = (new_flow() for _ in range(2))
    epochs = len(short.train) + 3
    quietly(whole, moons, **options, epochs=epochs)
    longer = quietly(part, moons, **options, epochs=epochs, resume=path)
    assert same(whole, part) and len(longer.train) == epochs and longer.stopped == "epochs"


def test_a_finished_fit_is_not_gone_on_with(moons, path):
    first, again = (new_flow() for _ in range(2))
    history = quietly(first, moons, **OPTIONS, checkpoint=path)
    resumed = quietly(again, moons, **OPTIONS, resume=path)
    assert same(first, again) and comparable(resumed) == comparable(history)
    assert resumed.stopped == "epochs"


def test_a_failed_epoch_leaves_the_checkpoint_before_it(moons, path):
    def fail(report):
        if report.epoch == 3:
            raise ZeroDivisionError

    whole, part = (new_flow() for _ in range(2))
    with pytest.raises(ZeroDivisionError):
        quietly(part, moons, **OPTIONS, checkpoint=path, callback=fail)
    assert len(Checkpoint.read(str(path)).history.train) == 3
    quietly(whole, moons, **OPTIONS)
    quietly(part, moons, **OPTIONS, resume=path)
    assert same(whole, part)


def test_a_checkpoint_that_cannot_be_written_is_told_before_the_first_step(moons, tmp_path):
    flow = new_flow()
    before = contents(flow)
    with pytest.raises(OSError, match="no_folder"):
        quietly(flow, moons, checkpoint=tmp_path / "no_folder" / "fit")
    assert contents(flow) == before
    flow.log_prob(moons)


def failing_after(monkeypatch, writes):
    """Lets checkpoints be written without pause, so often, and then never."""
    write, left = Checkpoint.write, iter(range(writes))

    def sometimes(checkpoint, path):
        if next(left, None) is None:
            raise OSError(28, "no space left", path)
        write(checkpoint, path)

    monkeypatch.setattr("cflows.run.SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr(Checkpoint, "write", sometimes)


def test_a_checkpoint_that_fails_later_costs_no_epoch(moons, path, monkeypatch):
    whole, part, rest = (new_flow() for _ in range(3))
    history = quietly(whole, moons, **OPTIONS)
    with monkeypatch.context() as patch:
        failing_after(patch, 4)
        with pytest.warns(RuntimeWarning, match="not written.*no space left"):
            found = quietly(part, moons, **OPTIONS, checkpoint=path)
    assert same(whole, part) and comparable(found) == comparable(history)
    assert len(Checkpoint.read(str(path)).history.train) == 3
    quietly(rest, moons, **OPTIONS, resume=path)
    assert same(whole, rest)


@pytest.mark.filterwarnings("error")
def test_no_exception_takes_the_place_of_another(moons, path, monkeypatch):
    flow = new_flow()

    def fail(report):
        path.unlink()
        path.mkdir()  # in the way of the file
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        monkeypatch.setattr("cflows.run.SECONDS_BETWEEN_CHECKPOINTS", 1e9)
        quietly(flow, moons, checkpoint=path, callback=fail)
    assert list(path.parent.iterdir()) == [path]
    flow.log_prob(moons)


def test_no_temporary_files_stay(moons, path):
    quietly(new_flow(), moons, checkpoint=path)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 99}, "batch_size=100, this one has batch_size=99"),
        ({"optimizer": cf.Adam(0.5)}, "optimizer"),
        ({"schedule": "plateau"}, "schedule"),
        ({"schedule": cf.Cosine()}, "schedule"),
        ({"optimizer": cf.RAdam()}, r"with optimizer=Adam\(learning_rate=0.001, .*=RAdam\("),
        ({"clip_norm": None}, "clip_norm"),
        ({"jitter": None}, "jitter"),
        ({"seed": 6}, "seed"),
        ({"validation": 0.3}, "validation"),
        ({"validation": None}, "validation"),
        ({"weights": np.ones(ROWS)}, "weights"),
        ({"x": moons_rows() + 1}, "other data: x has changed"),
        ({"x": moons_rows()[:-1]}, "other data: x has changed"),
        ({"epochs": 7}, "8 epochs on, got epochs=7"),
    ],
)
def test_another_fit_is_refused(moons, path, change, message):
    quietly(new_flow(), moons, **OPTIONS, checkpoint=path)
    flow = new_flow()
    before = contents(flow)
    with pytest.raises(ValueError, match=message):
        quietly(flow, **{"x": moons, **OPTIONS, **change}, resume=path)
    assert contents(flow) == before
    flow.log_prob(moons)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"optimizer": cf.Adam(np.float64(0.125))}, {"optimizer": cf.Adam(0.125)}),
        ({"schedule": cf.Plateau(threshold=0)}, {"schedule": cf.Plateau(threshold=-0.0)}),
        ({"optimizer": cf.SGD(1, np.float32(0.5))}, {"optimizer": cf.SGD(1.0, 0.5, -0.0)}),
        ({"schedule": cf.Constant(np.int64(0))}, {"schedule": "constant"}),
        ({"schedule": cf.Cosine(np.int8(3), 1)}, {"schedule": cf.Cosine(3, 1.0)}),
        ({"clip_norm": np.inf}, {"clip_norm": None}),
        ({"clip_norm": np.float32(2)}, {"clip_norm": 2}),
        ({"batch_size": np.uint8(100)}, {"batch_size": 100}),
        ({"jitter": 0.5}, {"jitter": [0.5, 0.5]}),
        ({"jitter": 0}, {"jitter": None}),
    ],
)
def test_equal_settings_are_the_same_fit(moons, path, one, other):
    whole, part = (new_flow() for _ in range(2))
    quietly(whole, moons, **{**OPTIONS, **other})
    options = {**OPTIONS, **one, "checkpoint": path}
    quietly(part, moons, **options, callback=lambda report: report.epoch == 2)
    quietly(part, moons, **{**OPTIONS, **other}, resume=path)
    assert same(whole, part)


def test_epochs_matter_to_a_cosine(moons, path):
    options = {"schedule": "cosine", "checkpoint": path, "epochs": 4}
    quietly(new_flow(), moons, **options)
    with pytest.raises(ValueError, match="epochs=4, this one has epochs=5"):
        quietly(new_flow(), moons, **{**options, "epochs": 5, "resume": path})


def frozen_flow():
    flow = new_flow()
    flow.freeze("layers.0.*")
    return flow


@pytest.mark.parametrize(
    ("flow", "message"),
    [
        (new_flow(activation="relu"), "layers.0=Coupling"),
        (new_flow("float64"), "dtype=float32"),
        (new_flow(standardize=False), "layers.3=Affine"),
        (frozen_flow(), "frozen"),
    ],
)
def test_another_flow_is_refused(moons, path, flow, message):
    quietly(new_flow(), moons, **OPTIONS, checkpoint=path)
    before = contents(flow)
    with pytest.raises(ValueError, match=message):
        quietly(flow, moons, **OPTIONS, resume=path)
    assert contents(flow) == before


def test_a_damaged_checkpoint_is_refused(moons, path):
    flow = new_flow()
    quietly(flow, moons, **OPTIONS, checkpoint=path)
    whole, before = path.read_bytes(), contents(flow)
    rng = np.random.default_rng(0)
    cut = [whole[:length] for length in rng.integers(0, len(whole), 40)]
    flipped = []
    for place in [*rng.integers(0, len(whole), 200), *range(0, 4000, 17)]:
        spoiled = bytearray(whole)
        spoiled[place] ^= 1 << rng.integers(8)
        flipped.append(bytes(spoiled))
    for spoiled in cut + flipped:
        path.write_bytes(spoiled)
        with pytest.raises(ValueError):
            quietly(flow, moons, **OPTIONS, resume=path)
    assert contents(flow) == before


def test_a_model_is_no_checkpoint(moons, path):
    flow = new_flow()
    flow.save(path)
    with pytest.raises(ValueError, match="not a checkpoint"):
        quietly(flow, moons, resume=path)


def wrong_states(state):
    """States that no training could have come to."""
    for name in state:
        yield {key: value for key, value in state.items() if key != name}
    for name in ("first_moment", "second_moment", "best", "best_buffers"):
        yield {**state, name: state[name][:-1]}
        yield {**state, name: state[name].astype(np.float16)}
        yield {**state, name: 0.0}
    yield {**state, "epoch": state["epoch"] + 1}  # more than all
    yield {**state, "epoch": -1}
    yield {**state, "epoch": 1.5}
    yield {**state, "step": state["rows_drawn"] + 1}
    yield {**state, "skipped_in_a_row": 1}
    yield {**state, "skipped": 99, "skipped_in_a_row": 20}
    yield {**state, "best_epoch": state["epoch"] + 1}
    yield {**state, "waited": 2**63}
    yield {**state, "has_best": 2}
    yield {**state, "best_loss": np.nan}
    yield {**state, "best_loss": "low"}
    yield {**state, "plateau_best": np.nan}
    yield {**state, "plateau_factor": 1.5}
    yield list(state)


def new_trainer(flow, x, **changes):
    arguments = {
        "loss": "likelihood",
        "train": (x, None, None, None),
        "validation": (x, None, None, None),
        "optimizer": cf.Adam(),
        "schedule": cf.Constant(),
        "epochs": 2,
        "batch_size": 50,
        "patience": 0,
        "clip_norm": 0.0,
        "ema": 0.0,
        "jitter": None,
        "seed": 0,
    }
    return cf._core.Trainer(flow, **{**arguments, **changes})


def test_a_wrong_state_changes_nothing(moons):
    trainer = new_trainer(new_flow(), moons)
    while trainer.stop() is None:
        trainer.epoch(None)
    state = trainer.state()
    for wrong in wrong_states(state):
        with pytest.raises((ValueError, TypeError)):
            trainer.load_state(wrong)
    np.testing.assert_equal(trainer.state(), state)
    trainer.load_state(state)
    trainer.close()


def test_a_hostile_checkpoint_changes_nothing(moons, path):
    """One whose checksum is right."""
    flow = new_flow()
    quietly(flow, moons, **OPTIONS, checkpoint=path)
    before = contents(flow)
    tensors, metadata = read_safetensors(path)
    del metadata["checksum"]

    def attack(tensors, metadata):
        metadata = {**metadata, "checksum": cf.persist.checksum(tensors, metadata)}
        write_safetensors(path, tensors, metadata)
        with pytest.raises(ValueError, match="damaged checkpoint"):
            quietly(flow, moons, **OPTIONS, resume=path)

    for name, array in tensors.items():
        attack({key: value for key, value in tensors.items() if key != name}, metadata)
        attack({**tensors, name: array.reshape(-1)[:0]}, metadata)
        attack({**tensors, name: array.reshape(1, -1).view(np.int8)}, metadata)
    attack({**tensors, "more": np.zeros(3)}, metadata)
    attack({**tensors, "history.more.lists": np.zeros((3, 3))}, metadata)
    attack({**tensors, "state.epoch": np.array(2)}, metadata)
    for terms in ("", "[]", "{}", '{"seed": "x"}', "[" * 500):
        attack(tensors, {**metadata, "terms": terms})
    assert contents(flow) == before


def test_the_trainer_is_used_by_one_at_a_time(moons):
    flow, polled = new_flow(), []
    x = np.tile(moons, (5000, 1))
    trainer = new_trainer(flow, x)
    methods = [trainer.stop, trainer.state, trainer.finish, trainer.close]

    def poll(report, rows):
        for call in methods:
            with pytest.raises(RuntimeError, match="running"):
                call()
        polled.append((report[0], rows))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        trainer.epoch(poll)
    ((epoch, rows),) = polled
    assert epoch == 1 and 0 <= rows < len(x)
    with pytest.raises(RuntimeError, match="is being fitted"):
        flow.log_prob(moons)
    with pytest.raises(RuntimeError, match="is being fitted"):
        new_trainer(flow, moons)
    trainer.close()
    trainer.close()
    flow.log_prob(moons)
    for call in methods[:3]:
        with pytest.raises(RuntimeError, match="closed"):
            call()
    new_trainer(flow, moons)  # lets go of the flow when it is freed
    flow.log_prob(moons)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"train": (moons_rows(), None, None, np.array([0, ROWS]))}, ValueError, "row number 600"),
        ({"train": (moons_rows(), None, None, np.array([-1]))}, ValueError, "row number -1"),
        ({"train": (moons_rows(), None, np.ones(3), np.arange(4))}, ValueError, "weights"),
        ({"train": (moons_rows(),)}, TypeError, "at least 4"),
        ({"validation": moons_rows()}, TypeError, "tuple"),
        ({"optimizer": "adam"}, TypeError, "must be cflows.Spec, not str"),
        ({"optimizer": cf.Cosine()}, TypeError, "optimizer, got Cosine of the role schedule"),
        ({"schedule": cf.Adam()}, TypeError, "schedule, got Adam of the role optimizer"),
        ({"epochs": -1}, ValueError, "epochs"),
        ({"batch_size": 2**70}, ValueError, "batch_size"),
        ({"clip_norm": "x"}, TypeError, "real number"),
        ({"seed": None}, TypeError, "seed"),
    ],
)
def test_the_trainer_looks_at_its_arguments(moons, changes, error, message):
    flow = new_flow()
    with pytest.raises(error, match=message):
        new_trainer(flow, moons, **changes)
    flow.log_prob(moons)
