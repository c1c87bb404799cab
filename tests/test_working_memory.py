"""Working memory is bounded, and goes with the flow that needed it."""

import subprocess
import sys

import pytest

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
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=300, check=True
    )
    weights, peak, left = map(float, done.stdout.split())  # MiB
    assert 60 < weights < 70
    # Weights, the flow's gradients, the caller's; at most 256 MiB of sums; the tiles.
    assert peak < 3 * weights + 256 + 2 * 64
    assert left < 32
