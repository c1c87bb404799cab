"""How fast convolutions and Glow's steps are, beside torch's and those of the PyTorch libraries.

    python benchmarks/images.py [--threads COUNTS] [--rounds N] [--seconds N]

Needs torch, nflows and normflows beside cflows. See README.md beside this file for what is
measured.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import cflows as cf
import nflows.transforms
import normflows
import numpy as np
import torch
from torch import nn

from peak import Peak
from table import figure, markdown
from worker import peak_bytes

CHANNELS, CONVOLUTIONS, KERNEL = 64, 6, 3
SIDES = ((28, 32), (14, 64), (7, 128))  # of the image, and the batch
GLOW_SHAPE, GLOW_STEPS, GLOW_HIDDEN, GLOW_BATCH = (12, 16, 16), 4, (64, 128), 64
MEMORY_BATCHES = (64, 256, 1024)

Work = Callable[[], object]


class Net(nn.Sequential):
    """Convolutions with ReLU between them; nflows gives a context, which is None."""

    def __init__(self, channels: list[int], kernels: tuple[int, ...]) -> None:
        layers: list[nn.Module] = []
        for i, kernel in enumerate(kernels):
            layers += [nn.ReLU()] if i > 0 else []
            layers.append(nn.Conv2d(channels[i], channels[i + 1], kernel, padding=kernel // 2))
        super().__init__(*layers)

    def forward(self, x: torch.Tensor, context: None = None) -> torch.Tensor:
        return super().forward(x)


def seconds_each(works: dict[str, Work], rounds: int, seconds: float) -> dict[str, float]:
    """The median over rounds of the seconds of each work, side by side."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(rounds):
        for name, work in works.items():
            start, count = time.perf_counter(), 0
            while count == 0 or time.perf_counter() - start < seconds:
                work()
                count += 1
            found[name].append((time.perf_counter() - start) / count)
    return {name: median(times) for name, times in found.items()}


def convolution_works(side: int, batch: int) -> dict[str, dict[str, Work]]:
    """An additive coupling whose network is a chain of convolutions of as many channels."""
    hidden = (CHANNELS,) * (CONVOLUTIONS - 1)
    coupling = cf.Coupling(transform="additive", conditioner=cf.ConvNet(hidden, KERNEL))
    flow = cf.Flow([coupling], shape=(2 * CHANNELS, side, side), seed=0)
    x = np.random.default_rng(0).standard_normal((batch, *flow.shape), np.float32)
    works: dict[str, dict[str, Work]] = {
        "forward": {"cflows": lambda: flow.forward(x)},
        "gradient": {"cflows": lambda: flow.vjp(x, x, direction="forward")},
    }
    for name, layout in (
        ("torch", torch.contiguous_format),
        ("torch, channels last", torch.channels_last),
    ):
        net = Net([CHANNELS] * (CONVOLUTIONS + 1), (KERNEL,) * CONVOLUTIONS)
        net = net.to(memory_format=layout)
        u = torch.from_numpy(x).to(memory_format=layout)

        def forward(net: Net = net, u: torch.Tensor = u) -> torch.Tensor:
            return torch.cat([u[:, :CHANNELS], u[:, CHANNELS:] + net(u[:, :CHANNELS])], 1)

        def score(forward: Work = forward) -> None:
            with torch.no_grad():
                forward()

        def gradient(net: Net = net, u: torch.Tensor = u, forward: Any = forward) -> None:
            net.zero_grad()
            v = u.detach().requires_grad_()
            forward(net, v).backward(u)

        works["forward"][name], works["gradient"][name] = score, gradient
    return works


def nflows_glow(hidden: int) -> nn.Module:
    channels = GLOW_SHAPE[0]
    mask = torch.arange(channels) < channels // 2
    steps = []
    for _ in range(GLOW_STEPS):
        steps += [
            nflows.transforms.ActNorm(channels),
            nflows.transforms.OneByOneConvolution(channels),
            nflows.transforms.AffineCouplingTransform(
                (~mask).int(), lambda i, o: Net([i, hidden, hidden, o], (3, 1, 3))
            ),
        ]
    return nflows.transforms.CompositeTransform(steps)


def normflows_glow(hidden: int) -> nn.Module:
    blocks = [
        normflows.flows.GlowBlock(GLOW_SHAPE[0], hidden, leaky=0.0, use_lu=True)
        for _ in range(GLOW_STEPS)
    ]
    return nn.ModuleList(blocks)


def torch_step(
    model: nn.Module, x: torch.Tensor, invert: Callable[[nn.Module, torch.Tensor], Any]
) -> Work:
    optimizer = torch.optim.Adam(model.parameters(), 1e-6)

    def step() -> None:
        optimizer.zero_grad()
        u, log_det = invert(model, x)
        (u.square().flatten(1).sum(1) / 2 - log_det).mean().backward()
        optimizer.step()

    return step


def through_blocks(model: Any, x: torch.Tensor) -> Any:
    total = torch.zeros(len(x))
    for block in reversed(model):
        x, log_det = block.inverse(x)
        total = total + log_det
    return x, total


def glow_works(hidden: int, size: int) -> dict[str, Work]:
    """Training steps of Glow's steps on one level, with batches of this size; four of cflows."""
    network = cf.ConvNet((hidden, hidden), (3, 1, 3))
    scale = cf.Scale("sigmoid", offset=2.0)
    step = [cf.Coupling(conditioner=network, scale=scale), cf.Inverse(cf.Linear()), cf.ActNorm()]
    flow = cf.Flow(step * GLOW_STEPS, shape=GLOW_SHAPE, seed=0)
    x = np.random.default_rng(0).standard_normal((size * 4, *GLOW_SHAPE), np.float32)
    batch = torch.from_numpy(x[:size])

    def fit() -> None:
        flow.fit(x, epochs=1, batch_size=size, validation=None, optimizer=cf.Adam(1e-6), seed=0)

    return {
        "cflows": fit,
        "nflows": torch_step(nflows_glow(hidden), batch, lambda model, x: model(x)),
        "normflows": torch_step(normflows_glow(hidden), batch, through_blocks),
    }


def step_mebibytes(name: str, size: int, threads: int) -> float:
    """How much more a process that has model and data holds at most in a training step."""
    cf.set_num_threads(threads)
    torch.set_num_threads(threads)
    work = glow_works(GLOW_HIDDEN[0], size)[name]
    before = peak_bytes()
    work()
    return (peak_bytes() - before) / 2**20


def memory_rows(threads: int) -> list[list[str]]:
    names = ("cflows", "nflows", "normflows")
    calls = [(name, size, threads) for size in MEMORY_BATCHES for name in names]
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        found = iter(pool.starmap(step_mebibytes, calls, chunksize=1))
    return [[str(n), str(threads), *(figure(next(found)) for _ in names)] for n in MEMORY_BATCHES]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", default="1,2", help="counts of threads (default: 1,2)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3, help="of each work and round")
    options = parser.parse_args()
    counts = list(map(int, options.threads.split(",")))
    memory = [row for threads in counts for row in memory_rows(threads)]  # a child's starts at ours
    peak = Peak()
    conv_rows, glow_rows = [], []
    for threads in counts:
        cf.set_num_threads(threads)
        torch.set_num_threads(threads)
        peak.measure(threads, 1.0)
        for side, batch in SIDES:
            flop = 2 * CHANNELS**2 * KERNEL**2 * side**2 * CONVOLUTIONS * batch
            for work, factor in (("forward", 1), ("gradient", 3)):
                times = seconds_each(
                    convolution_works(side, batch)[work], options.rounds, options.seconds
                )
                rates = {name: factor * flop / t / 1e9 for name, t in times.items()}
                best = max(rate for name, rate in rates.items() if name != "cflows")
                conv_rows.append(
                    [
                        f"{CHANNELS} x {side} x {side}, batch {batch}",
                        work,
                        str(threads),
                        *(figure(rate) for rate in rates.values()),
                        f"{rates['cflows'] / peak.float32[threads]:.0%}",
                        figure(rates["cflows"] / best),
                    ]
                )
        for hidden in GLOW_HIDDEN:
            times = seconds_each(glow_works(hidden, GLOW_BATCH), options.rounds, options.seconds)
            times["cflows"] /= 4
            best = min(t for name, t in times.items() if name != "cflows")
            size = " x ".join(map(str, GLOW_SHAPE))
            glow_rows.append(
                [
                    f"{size}, {GLOW_STEPS} steps, {hidden} channels, batch {GLOW_BATCH}",
                    str(threads),
                    *(figure(1e3 * t) for t in times.values()),
                    figure(best / times["cflows"]),
                ]
            )
    peaks = ", ".join(f"{value:.0f} with {n}" for n, value in peak.float32.items())
    print(f"Peak, GFLOP/s in float32 by threads: {peaks}.\n\nGFLOP/s:\n")
    heads = ("image", "work", "threads", "cflows", "torch", "torch, channels last", "of peak")
    print(markdown((*heads, "× best of torch"), conv_rows, names=2))
    print("\nA training step, ms:\n")
    heads = ("Glow", "threads", "cflows", "nflows", "normflows", "× best peer")
    print(markdown(heads, glow_rows, names=1))
    print(f"\nMemory of a training step, MiB (Glow of {GLOW_HIDDEN[0]} channels):\n")
    print(markdown(("batch", "threads", "cflows", "nflows", "normflows"), memory, names=0))


if __name__ == "__main__":
    main()
