"""Many callers, forked and spawned processes, and memory over many calls."""

import copy
import os
import pickle
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import cflows as cf
from processes import run_script


def make_flow():
    flow = cf.realnvp(4, layers=3, hidden=(32, 32), context_features=1, permute="random", seed=0)
    for array in flow.parameters.values():
        array[...] = np.random.default_rng(0).normal(size=array.shape) * 0.2
    return flow


def results_of(flow, x, context):
    """Bytes of everything that a flow computes."""
    cotangents = flow.vjp(x, x, np.ones(len(x)), context)
    loss, gradients = flow.loss_and_grad(x, context)
    arrays = [
        flow.log_prob(x, context),
        *flow.inverse(x, context),
        *flow.forward(x, context),
        flow.grad_log_prob(x, context),
        flow.sample(50, context[:20], seed=1),
        np.array(loss),
        cotangents.x,
        cotangents.context,
        *cotangents.parameters.values(),
        *gradients.values(),
    ]
    return [array.tobytes() for array in arrays]


@pytest.fixture
def two_threads():
    before = cf.get_num_threads()
    cf.set_num_threads(2)
    yield
    cf.set_num_threads(before)


def test_eight_callers_at_once_get_what_one_gets(two_threads):
    rng = np.random.default_rng(1)
    flow, inputs = (
        make_flow(),
        [(rng.normal(size=(rows, 4)), rng.normal(size=(rows, 1))) for rows in (1, 40, 333, 2000)],
    )
    expected = [results_of(flow, *pair) for pair in inputs]
    start = threading.Barrier(8)

    def caller(number):
        start.wait()
        return all(
            results_of(flow, *inputs[k % 4]) == expected[k % 4] for k in range(number, number + 12)
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(caller, range(8)))
    for array in flow.gradients.values():
        assert np.isfinite(array).all()


def test_callers_who_build_copy_and_free_flows(two_threads):
    x, context = np.ones((30, 4)), np.ones((30, 1))
    expected = results_of(make_flow(), x, context)

    def caller(_):
        flow = make_flow()
        views = flow.parameters
        copied = flow.astype("float64").astype("float32")
        del flow
        return results_of(copied, x, context) == expected and all(
            np.array_equal(view, copied.parameters[name]) for name, view in views.items()
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(caller, range(24)))


COMPUTING = {
    "log_prob": lambda flow, x: flow.log_prob(x),
    "inverse": lambda flow, x: flow.inverse(x),
    "forward": lambda flow, x: flow.forward(x),
    "grad_log_prob": lambda flow, x: flow.grad_log_prob(x),
    "vjp": lambda flow, x: flow.vjp(x, x),
    "loss_and_grad": lambda flow, x: flow.loss_and_grad(x),
    "sample": lambda flow, x: flow.sample(len(x), seed=0),
    "sample_and_log_prob": lambda flow, x: flow.sample_and_log_prob(len(x), seed=0),
}


@pytest.mark.parametrize("name", COMPUTING)
def test_other_threads_run_while_one_computes(name):
    """The one thread is never made to give way: only what it calls can let the other run."""
    flow, x = cf.realnvp(8, layers=4, hidden=(64, 64), seed=0), np.zeros((2000, 8))
    computing, answered = threading.Event(), threading.Event()
    heard = []

    def compute():
        computing.set()
        for _ in range(500):
            COMPUTING[name](flow, x)
            if answered.is_set():
                heard.append(name)
                break

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e3)
    try:
        thread = threading.Thread(target=compute)
        thread.start()
        computing.wait()
        answered.set()
        thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert heard == [name]


def test_what_is_saved_while_another_thread_fits_is_whole(tmp_path):
    """Every step multiplies all weights by one number, so that a torn set of them would show."""
    flow, x = make_flow().astype("float64"), np.random.default_rng(0).normal(size=(2000, 4))
    first = {name: array.copy() for name, array in flow.parameters.items()}
    path, started, stop = tmp_path / "flow", threading.Event(), threading.Event()

    def learn():
        shrinking = cf.AdamW(1e-30, weight_decay=1e24)
        options = {"epochs": 10**9, "batch_size": 20, "optimizer": shrinking, "progress": False}
        flow.fit(x, [0.5], callback=lambda report: started.set() or stop.is_set(), **options)

    def from_file():
        flow.save(path)
        return cf.load(path)

    ways = [from_file, lambda: pickle.loads(pickle.dumps(flow)), lambda: copy.copy(flow)]

    def check(way):
        ratios = [(array / first[name]).ravel() for name, array in way().parameters.items()]
        assert np.ptp(np.concatenate(ratios)) < 1e-9
        assert 0.0 < ratios[0][0] < 1.0

    thread = threading.Thread(target=learn)
    thread.start()
    try:
        started.wait()
        for way in ways * 50:
            try:
                check(way)
            except RuntimeError as error:
                assert "fitted" in str(error)
    finally:
        stop.set()
        thread.join()
    for way in ways:
        check(way)


FORK = """
import os
import numpy as np
import cflows as cf

flow = cf.realnvp(4, layers=2, hidden=(16,), dtype="float64", seed=0)
x = np.random.default_rng(0).normal(size=(3000, 4))
expected = flow.log_prob(x)  # the pool's threads are there, and are not in the child
loss = flow.loss_and_grad(x)[0]
child = os.fork()
right = np.array_equal(flow.log_prob(x), expected) and flow.loss_and_grad(x)[0] == loss
if child == 0:
    grandchild = os.fork()
    right = right and np.array_equal(flow.log_prob(x), expected)
    if grandchild != 0:
        right = right and os.waitpid(grandchild, 0)[1] == 0
    os._exit(0 if right else 1)
assert right and os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_forked_children_compute(tmp_path):
    run_script(tmp_path, FORK)


FORK_FROM_BESIDE_A_CALLER = """
import os
import threading
import numpy as np
import cflows as cf

flow = cf.realnvp(4, layers=2, hidden=(64,), seed=0)
x = np.random.default_rng(0).normal(size=(200_000, 4))
started, stop = threading.Event(), threading.Event()


def compute():
    while not stop.is_set():
        started.set()
        flow.log_prob(x)


thread = threading.Thread(target=compute)
thread.start()
started.wait()
statuses = []
for _ in range(5):
    child = os.fork()
    if child == 0:
        flow.fit(x[:500], epochs=1, seed=0, progress=False)  # needs the flow for itself
        os._exit(0)
    statuses.append(os.waitpid(child, 0)[1])
stop.set()
thread.join()
assert statuses == [0] * 5, statuses
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_only_its_own_callers(tmp_path):
    run_script(tmp_path, FORK_FROM_BESIDE_A_CALLER)


SPAWN = """
import multiprocessing
import numpy as np
import cflows as cf


def score(job):
    flow, x = job
    return flow.log_prob(x)


if __name__ == "__main__":
    flow = cf.realnvp(4, layers=2, hidden=(16,), permute="random", seed=0)
    parts = np.random.default_rng(0).normal(size=(4, 500, 4))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        scores = pool.map(score, [(flow, part) for part in parts])
    np.testing.assert_array_equal(np.concatenate(scores), flow.log_prob(parts.reshape(-1, 4)))
"""


def test_spawned_processes_score_pickled_flows(tmp_path):
    run_script(tmp_path, SPAWN)


def test_memory_does_not_grow_over_many_calls(tmp_path):
    run_script(tmp_path, Path(__file__).with_name("leaks.py").read_text(), tmp_path)
