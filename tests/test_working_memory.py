"""Working memory is bounded, and goes with the flow that needed it."""

import subprocess
import sys

import pytest

from processes import run_script

SCRIPT = """
import numpy as np
import cflows as cf


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20


cf.set_num_threads(2)
start = resident()
flow = cf.realnvp(2, layers=4, hidden=(2048, 2048), seed=0)
weights = flow.n_parameters * 4 / 2**20
x = np.zeros((4096, 2))
result = flow.loss_and_grad(x)
peak = resident() - start
del flow, result
print(weights, peak, resident() - start)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_gradients_of_many_weights():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=900, check=True
    )
    weights, peak, left = map(float, done.stdout.split())  # MiB
    assert 60 < weights < 70
    # Weights, the flow's gradients, the caller's; at most 256 MiB of sums; the tiles.
    assert peak < 3 * weights + 256 + 2 * 64
    assert left < 32


IMAGES = """
import numpy as np
import cflows as cf
from memory import no_more_than


def new_flow():
    return cf.glow((4, 16, 16), levels=1, steps=4, channels=64, seed=0)


def fit(flow, size):
    flow.fit(x[: 2 * size], epochs=1, batch_size=size, validation=x[:size], progress=False)


x = np.random.default_rng(0).standard_normal((4096, 4, 16, 16), np.float32)
fit(new_flow(), 64)  # threads and their stacks
with no_more_than(64 << 20):  # hidden images of a whole batch take 256 MB
    fit(new_flow(), 2048)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_training_on_images_takes_no_more_for_a_larger_batch(tmp_path):
    run_script(tmp_path, IMAGES)
