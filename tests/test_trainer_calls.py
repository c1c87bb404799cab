"""`cflows.Trainer`: who holds the model, and calls that make no sense."""

import copy
import gc
import threading

import numpy as np
import pytest

import cflows as cf
from cflows import nn
from fits import contents, new_flow, quietly, same

# -- who holds the model -- #


def test_the_model_is_held_meanwhile_and_free_after():
    flow, x = new_flow(), np.zeros((5, 2))
    trainer = cf.Trainer(flow)
    for _ in range(2):
        calls = [lambda: flow.log_prob(x), lambda: cf.Trainer(flow), lambda: quietly(flow, x)]
        for call in [*calls, lambda: flow.freeze("*"), lambda: flow.sample(3)]:
            with pytest.raises(RuntimeError, match="the flow is being fitted"):
                call()
        copy.copy(flow).log_prob(x)
        trainer.step(x)
    trainer.close()
    trainer.close()
    flow.log_prob(x)
    cf.Trainer(flow)  # nobody keeps it
    gc.collect()
    flow.log_prob(x)


def test_a_closed_trainer():
    trainer = cf.Trainer(new_flow())
    state = trainer.state()
    trainer.close()
    for call in (lambda: trainer.step(np.zeros((5, 2))), trainer.state):
        with pytest.raises(RuntimeError, match="the trainer is closed"):
            call()
    with pytest.raises(RuntimeError, match="the trainer is closed"):
        trainer.load_state(state)


def test_one_step_at_a_time():
    """While rows become an array, nothing else may be done to the trainer."""
    flow = new_flow()
    trainer, found = cf.Trainer(flow), []

    class Rows:
        def __array__(self, dtype=None, copy=None):
            for call in (trainer.close, trainer.state, lambda: trainer.step(np.zeros((5, 2)))):
                with pytest.raises(RuntimeError, match="the trainer is running"):
                    call()
                found.append(call)
            return np.zeros((5, 2))

    trainer._trainer.step((Rows(), None, None, None))
    assert len(found) == 3
    trainer.close()
    flow.log_prob(np.zeros((5, 2)))


def test_steps_from_many_threads_are_one_after_the_other_or_refused():
    flow, x = new_flow("float64"), np.random.default_rng(0).normal(size=(500, 2))
    made, refused = [], []
    with cf.Trainer(flow, seed=0) as trainer:

        def caller():
            for _ in range(30):
                try:
                    made.append(trainer.step(x))
                except RuntimeError as error:
                    refused.append(str(error))

        threads = [threading.Thread(target=caller) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert trainer.state()["step"] == len(made)
    assert len(made) + len(refused) == 120
    assert set(refused) <= {"the trainer is running"}
    truth = new_flow("float64")
    with cf.Trainer(truth, seed=0) as trainer:
        expected = [trainer.step(x) for _ in made]
    assert sorted(made) == sorted(expected)
    assert same(flow, truth)


def test_an_exception_in_the_body_frees_the_model():
    flow, x = new_flow(), np.zeros((5, 2))
    with pytest.raises(ZeroDivisionError), cf.Trainer(flow) as trainer:
        trainer.step(x)
        raise ZeroDivisionError
    flow.log_prob(x)
    with pytest.raises(RuntimeError, match="the trainer is closed"):
        trainer.step(x)


# -- bad input -- #


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"schedule": "cosine"}, ValueError, "a cosine schedule needs steps"),
        ({"schedule": cf.Plateau()}, (ValueError, TypeError), "schedule"),
        ({"schedule": "plateau"}, ValueError, "schedule"),
        ({"steps": 0}, ValueError, "steps must be"),
        ({"steps": 1.5}, TypeError, "steps must be"),
        ({"clip_norm": 0.0}, ValueError, "clip_norm must be above 0 or None"),
        ({"clip_norm": np.nan}, ValueError, "clip_norm must be above 0 or None"),
        ({"optimizer": "adam"}, TypeError, "optimizer"),
        ({"seed": -1}, ValueError, "seed must be"),
        (
            {"loss": "nothing"},
            ValueError,
            "there is no loss called 'nothing'; the library has 'likel",
        ),
        ({"loss": "log_prob"}, ValueError, "there is no loss called 'log_prob'"),
        ({"loss": 3}, TypeError, "loss must be a name"),
    ],
)
def test_wrong_arguments_leave_the_model_free(arguments, error, message):
    flow = new_flow()
    with pytest.raises(error, match=message):
        cf.Trainer(flow, **arguments)
    flow.log_prob(np.zeros((5, 2)))


def test_a_loss_of_another_model():
    one, other = new_flow(), new_flow()
    loss = nn.function(one, lambda x, p: -p.log_prob(x), "mine", loss=True)
    with pytest.raises(ValueError, match="the loss mine is of another model"):
        cf.Trainer(other, loss)


X, C = np.zeros((5, 2)), np.zeros((5, 1))


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        ((X[:0], C[:0]), ValueError, "at least 1 row, got 0"),
        ((X[:, :1], C), ValueError, r"x must have shape \(n, 2\), got \(5, 1\)"),
        ((X, None), ValueError, "needs context"),
        ((X, C[:3]), ValueError, "context must have 5 rows"),
        ((X, C, np.ones(4)), ValueError, r"weights must have shape \(5,\)"),
        ((X, C, np.zeros(5)), ValueError, "all weights are 0"),
        ((X, C, [1, 1, -1, 1, 1]), ValueError, "the weight of row 2 is -1; it must be 0 or more"),
        ((X, C, [1, np.nan, 1, 1, 1]), ValueError, "the weight of row 1 is nan"),
        ((X, C, np.full(5, 1e308)), ValueError, "add up to inf"),
        ((X * 1j, C), TypeError, "must be real numbers"),
    ],
)
def test_a_bad_batch_changes_nothing(batch, error, message):
    flow = new_flow("float64", context_features=1)
    with cf.Trainer(flow, seed=0) as trainer:
        before, state = contents(flow), trainer.state()
        with pytest.raises(error, match=message):
            trainer.step(*batch)
        assert contents(flow) == before
        assert all(np.array_equal(value, state[name]) for name, value in trainer.state().items())
        trainer.step(X + 1, C)


def test_a_batch_norm_needs_two_rows_that_count():
    flow = cf.Flow([cf.Coupling(), cf.BatchNorm()], features=2, dtype="float64", seed=0)
    with cf.Trainer(flow) as trainer:
        for batch in ((X[:1],), (X[:2], None, [1.0, 0.0])):
            with pytest.raises(ValueError, match="batches of two rows or more, got 1"):
                trainer.step(*batch)
