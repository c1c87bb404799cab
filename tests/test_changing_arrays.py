"""Arrays that change between the look at them and their use: nothing reads behind their end."""

import threading

import numpy as np
import pytest

import cflows as cf
from fits import new_flow

ROWS = 50
X = np.random.default_rng(0).normal(size=(ROWS, 2))


class Meddling:
    """What becomes an array once it has done something."""

    def __init__(self, array, act):
        self.array, self.act = array, act

    def __array__(self, dtype=None, copy=None):
        self.act()
        return np.array(self.array, dtype)


def changes(array):
    """What may be done to an array that somebody reads."""

    def reshape():
        array.shape = (array.size,)

    def retype():
        array.dtype = "u1"

    return [reshape, retype, lambda: array.fill(np.nan), lambda: array.setflags(write=False)]


def conditional():
    return new_flow("float64", context_features=1)


FIRST = {
    "log_prob": lambda flow, x, c: flow.log_prob(x, c),
    "forward": lambda flow, x, c: flow.forward(x, c),
    "vjp": lambda flow, x, c: flow.vjp(x, c, context=[0.5]),
    "loss_and_grad": lambda flow, x, c: flow.loss_and_grad(x, [0.5], c),
    "step": lambda flow, x, c: cf.Trainer(flow)._trainer.step((x, c, None, None)),
    "weights": lambda flow, x, c: cf.Trainer(flow)._trainer.step((x, np.ones((ROWS, 1)), c, None)),
}
SECOND = {"vjp": (ROWS, 2), "loss_and_grad": (ROWS,), "weights": (ROWS,)}


@pytest.mark.parametrize("name", FIRST)
@pytest.mark.parametrize("number", range(4))
def test_a_later_argument_that_changes_an_earlier_one(name, number):
    """Sizes and addresses have been taken by then, and are those of the memory still."""
    x = X.copy()
    second = np.ones(SECOND.get(name, (ROWS, 1)))
    FIRST[name](conditional(), x, Meddling(second, changes(x)[number]))
    assert x.nbytes == X.nbytes


@pytest.mark.parametrize("number", range(4))
def test_arrays_of_a_fit_that_a_callback_changes(number):
    x, context, weights = X.copy(), np.ones((ROWS, 1)), np.ones(ROWS)
    arrays = (x, context, weights)
    validation = tuple(array.copy() for array in arrays)

    def callback(report):
        if report.epoch == 2:
            for array in (*arrays, *validation):
                changes(array)[number]()

    options = {"epochs": 5, "batch_size": 20, "seed": 0, "progress": False}
    try:
        conditional().fit(*arrays, validation=validation, callback=callback, **options)
    except (cf.NumericalError, ValueError) as error:
        assert number == 2, error  # there is nothing but NaN


@pytest.mark.parametrize("number", range(4))
def test_arrays_of_a_trainer_that_another_thread_changes(number):
    flow, stop = conditional(), threading.Event()
    arrays = (X.copy(), np.ones((ROWS, 1)), np.ones(ROWS))
    given = list(map(np.ndarray.view, arrays))

    def change():
        while not stop.is_set():
            for k, array in enumerate(arrays):
                given[k] = array.view()
                changes(given[k])[number]()
                array[...] = 1.0

    thread = threading.Thread(target=change)
    thread.start()
    try:
        with cf.Trainer(flow, seed=0) as trainer:
            for _ in range(200):
                try:
                    trainer.step(*given)
                    flow.parameters  # noqa: B018
                    conditional().loss_and_grad(*given)
                except (ValueError, TypeError, cf.NumericalError):
                    continue
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("kind", ["plain", "memmap", "matrix"])
def test_contexts_of_a_target_that_it_changes(tmp_path, kind, number):
    """A subclass of arrays is read through a plain view too: it may come to have no dimension."""
    context = np.ones((1, 1))
    if kind == "memmap":
        context = np.memmap(tmp_path / "rows", np.float64, "w+", shape=(1, 1))
        context[...] = 1.0
    elif kind == "matrix":
        context = np.ones((1, 1)).view(np.matrix)
    flow, seen = conditional(), []

    def target(x, given):
        seen.append(np.array(given))
        acts = changes(context)
        acts[0] = lambda: setattr(context, "shape", (1, 1) if kind == "matrix" else ())
        acts[number]()
        return -0.5 * (x**2).sum(axis=1), -x

    try:
        flow.fit_target(target, context=context, steps=4, batch_size=8, seed=0)
    except (cf.NumericalError, ValueError, TypeError) as error:
        assert number in (1, 2), error
    assert seen[0].shape == (8, 1)
