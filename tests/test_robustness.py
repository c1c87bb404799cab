"""Many callers, forked and spawned processes, and memory over many calls."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import cflows as cf


def make_flow():
    flow = cf.realnvp(4, layers=3, hidden=(32, 32), context=1, permute="random", seed=0)
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


def test_other_threads_run_while_one_computes():
    flow, x = cf.realnvp(8, layers=8, hidden=(128, 128), seed=0), np.zeros((20_000, 8))
    counted, done = 0, threading.Event()

    def compute():
        flow.log_prob(x)
        done.set()

    thread = threading.Thread(target=compute)
    thread.start()
    while not done.is_set():
        counted += 1
        done.wait(0.001)
    thread.join()
    assert counted > 3


def run_script(tmp_path, text: str) -> str:
    path = tmp_path / "script.py"
    path.write_text(text)
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(path)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "CFLOWS_NUM_THREADS": "4"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


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


LEAKS = """
import copy
import gc
import pickle
import resource
import sys

import numpy as np
import cflows as cf

flow = cf.realnvp(4, layers=2, hidden=(8,), context=1, permute="reverse", seed=0)
plain = cf.realnvp(4, layers=1, hidden=(8,), seed=0)


class Named(cf.Flow):
    pass


named = Named([], 2)
named.name = "nothing"
x, c = np.ones((20, 4)), np.ones((20, 1))
foreign = x.astype(">i2")[:, ::-1]


def fails(function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except (ValueError, TypeError, RuntimeError):
        return
    raise AssertionError(f"{function} took {args} {kwargs}")


CALLS = {
    "forward": lambda: flow.forward(x, c),
    "inverse": lambda: flow.inverse(x.tolist(), [1.0]),
    "log_prob": lambda: flow.log_prob(foreign, c),
    "sample": lambda: flow.sample(3, c),
    "sample_and_log_prob": lambda: flow.sample_and_log_prob(3, c[0], start=4),
    "grad_log_prob": lambda: flow.grad_log_prob(x, c, return_log_prob=True),
    "vjp": lambda: flow.vjp(x, x, c[:, 0], c[0]),
    "vjp forward": lambda: flow.vjp(x, x, None, c, "forward", parameters=False),
    "loss_and_grad": lambda: flow.loss_and_grad(x, c, weights=c[:, 0]),
    "freeze": lambda: (flow.freeze("*.bias"), flow.frozen, flow.unfreeze("*")),
    "attributes": lambda: (flow.layers, flow.base, flow.dtype, flow.seed, flow.n_parameters),
    "layers": lambda: [(b.spec, b.options, b.layers, repr(b)) for b in flow.layers],
    "permutation": lambda: (flow.layers[1].indices, flow.layers[1].sign),
    "mappings": lambda: (dict(flow.parameters), dict(flow.gradients), dict(flow.buffers)),
    "repr": lambda: repr(flow),
    "astype": lambda: (flow.astype("float64"), named.astype("float64").name),
    "pickle": lambda: (pickle.loads(pickle.dumps(flow)), copy.copy(named).name),
    "specs": lambda: (
        cf.Coupling([0, 1], scale=cf.Scale("tanh"), conditioner=cf.MLP((3,))).options,
        hash(cf.Affine([1, 2.5], 3)) == hash(cf.Affine([1, 2.5], 3)),
        cf.Chain([cf.Inverse(cf.Affine())]).layers,
        pickle.loads(pickle.dumps(cf.Permutation([1, 0]))),
    ),
    "flow": lambda: cf.Flow([cf.Coupling(hidden=(4,))], 3, base=cf.Normal(learned=True)),
    "wrong flow": lambda: (
        fails(cf.Flow, [cf.Coupling(), cf.Permutation([0])], 2),
        fails(cf.Flow, [cf.Coupling(), cf.MLP()], 2),
        fails(cf.Flow, [], 2, base=3),
        fails(cf.Flow, [], 2, dtype="int8"),
        fails(flow.__init__, [], 2),
        fails(cf.Flow.__new__(cf.Flow).log_prob, x),
    ),
    "wrong state": lambda: (
        fails(cf.Flow.__new__(cf.Flow).__setstate__, {}),
        fails(cf.Flow.__new__(cf.Flow).__setstate__, {**plain.__reduce__()[2], "buffers": {}}),
    ),
    "wrong specs": lambda: (
        fails(cf.Coupling, hidden=(1, 2.5)),
        fails(cf.Coupling, mask="none"),
        fails(cf.Coupling, conditioner=[cf.MLP(), 3]),
        fails(cf.Coupling, conditioner=cf.MLP(), hidden=(3,)),
        fails(cf.Permutation, [0, 0]),
        fails(cf.Inverse),
        fails(cf.Affine, 1, shift=2),
        fails(cf.Affine, nothing=2),
    ),
    "wrong arrays": lambda: (
        fails(flow.log_prob, x[:, :3], c),
        fails(flow.log_prob, x * 1j, c),
        fails(flow.inverse, x, c[:3]),
        fails(flow.forward, x),
        fails(flow.vjp, x, context=c),
        fails(flow.vjp, x, x[:3], c[:, 0], c),
        fails(flow.vjp, x, x, c, c),
        fails(flow.vjp, x, x, direction="up"),
        fails(flow.loss_and_grad, x, c, -c[:, 0]),
        fails(flow.loss_and_grad, x[:0], c[:0]),
        fails(flow.grad_log_prob, [[None]], c),
        fails(plain.log_prob, x, c),
    ),
    "wrong arguments": lambda: (
        fails(flow.log_prob),
        fails(flow.log_prob, x, c, 3),
        fails(flow.log_prob, x, y=c),
        fails(flow.sample, -1, c),
        fails(flow.sample, 3, c, seed=-1),
        fails(flow.sample, 3, c, start="a"),
        fails(flow.sample, 2**62, c),
        fails(flow.freeze, "nothing"),
        fails(flow.astype, "int8"),
        fails(cf.set_num_threads, 0),
    ),
}


def resident():
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:  # not Linux: the peak stands for it
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def repeat(call, times):
    for _ in range(times):
        call()
    gc.collect()


CONSTANTS = (None, True, False, cf.Flow, cf.Coupling, cf.Cotangents, np.dtype("f4"), np.dtype("f8"))
TIMES = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
for name, call in CALLS.items():
    repeat(call, 200)
    blocks, bytes_ = sys.getallocatedblocks(), resident()
    counts = [sys.getrefcount(constant) for constant in CONSTANTS]
    repeat(call, TIMES)
    blocks, bytes_ = sys.getallocatedblocks() - blocks, resident() - bytes_
    counts = [sys.getrefcount(c) - before for c, before in zip(CONSTANTS, counts)]
    assert blocks < TIMES / 10, (name, "blocks", blocks)
    assert bytes_ < TIMES * 200, (name, "bytes", bytes_)
    assert all(abs(change) < TIMES / 10 for change in counts), (name, "references", counts)
"""


def test_memory_does_not_grow_over_10000_calls(tmp_path):
    run_script(tmp_path, LEAKS)
