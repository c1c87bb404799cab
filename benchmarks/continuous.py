"""Continuous flows beside zuko's CNF and torchcfm: the same network, weights and data.

    python benchmarks/continuous.py [--threads N] [--rounds N] [--features N ...]

Scoring and steps of likelihood training with zuko's own tolerances (atol 1e-6, rtol 1e-5) and its
exact trace; steps of flow matching with torchcfm's conditional paths. The weights are those that
flow matching learns of a mixture of normals, so that velocities are real ones. Each figure is the
median of rounds that alternate between the libraries. Needs torch, zuko and torchcfm.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import cflows as cf
import numpy as np
import torch
import zuko
from torchcfm.conditional_flow_matching import ConditionalFlowMatcher

from table import figure, markdown

HIDDEN = (64, 64)
SIZES = (2, 6, 43)
ROWS, BATCH = 4096, 256
STEPS, MATCHING_STEPS = 5, 200  # in a round: of likelihood, of flow matching
TOLERANCE = {"rtol": 1e-5, "atol": 1e-6, "fit_rtol": 0.0}  # in fits the same


def data(features: int, rows: int, seed: int = 0) -> np.ndarray:
    """Rows of four normal distributions, whose centres lie about 2 from 0."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).normal(size=(4, features))
    centres *= 2.0 / np.linalg.norm(centres, axis=1, keepdims=True)
    x = centres[rng.integers(0, 4, rows)] + 0.4 * rng.normal(size=(rows, features))
    return x.astype(np.float32)


def new_flow(features: int) -> cf.Flow:
    """Theirs goes from x to u as time goes from 0 to 1."""
    network = cf.MLP(HIDDEN, activation="elu")
    layer = cf.Inverse(cf.Continuous(network, frequencies=3, **TOLERANCE))
    return cf.Flow([layer], features=features, seed=0)


def matched(features: int) -> cf.Flow:
    network = cf.MLP(HIDDEN, activation="elu")
    return cf.Flow([cf.Continuous(network, frequencies=3, **TOLERANCE)], features=features, seed=0)


def learn(flow: cf.Flow, x: np.ndarray, epochs: int) -> None:
    flow.fit(
        x,
        loss="flow_matching",
        validation=None,
        epochs=epochs,
        batch_size=BATCH,
        optimizer=cf.Adam(3e-3),
        seed=0,
        progress=False,
    )


def give_weights(learned: cf.Flow, ours: cf.Flow, theirs: torch.nn.Module, features: int) -> None:
    """Time runs the other way: cosines of odd k and sines of even k change signs, and so does the
    velocity."""
    values = [p.copy() for p in learned.parameters.values()]
    first, waves = values[0], features + np.arange(6)
    first[:, waves] *= [-1, 1, -1, 1, -1, 1]
    values[-2] *= -1
    values[-1] *= -1
    for parameter, value in zip(ours.parameters.values(), values, strict=True):
        parameter[...] = value
    linears = [m for m in theirs.modules() if hasattr(m, "weight")]
    order = np.concatenate([waves, np.arange(features)])
    with torch.no_grad():
        for i, linear in enumerate(linears):
            weight = values[2 * i][:, order] if i == 0 else values[2 * i]
            linear.weight.copy_(torch.from_numpy(weight))
            linear.bias.copy_(torch.from_numpy(values[2 * i + 1]))


def medians(works: list[Callable[[], object]], rounds: int) -> list[float]:
    """Seconds of each, run by turns after one run that is not counted."""
    seconds: list[list[float]] = [[] for _ in works]
    for turn in range(rounds + 1):
        for work, found in zip(works, seconds, strict=True):
            start = time.perf_counter()
            work()
            if turn > 0:
                found.append(time.perf_counter() - start)
    return [median(found) for found in seconds]


def torch_steps(loss: Callable[[], torch.Tensor], module: torch.nn.Module, steps: int) -> None:
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-6, fused=True)
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 5.0)
        optimizer.step()


class Velocity(torch.nn.Module):
    """The same network, as a user of torchcfm would write it."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.net = torch.nn.Sequential(
            torch.nn.Linear(features + 6, HIDDEN[0]),
            torch.nn.ELU(),
            torch.nn.Linear(HIDDEN[0], HIDDEN[1]),
            torch.nn.ELU(),
            torch.nn.Linear(HIDDEN[1], features),
        )

    def forward(self, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        k = torch.arange(1, 4) * torch.pi * t[:, None]
        return self.net(torch.cat([k.cos(), k.sin(), x], dim=-1))


def matching_steps(features: int, batches: list[torch.Tensor]) -> Callable[[], None]:
    module, matcher = Velocity(features), ConditionalFlowMatcher(sigma=0.0)
    rows = iter(())

    def loss() -> torch.Tensor:
        nonlocal rows
        batch = next(rows, None)
        if batch is None:
            rows = iter(batches)
            batch = next(rows)
        t, at, target = matcher.sample_location_and_conditional_flow(torch.randn_like(batch), batch)
        return ((module(t, at) - target) ** 2).mean()

    return lambda: torch_steps(loss, module, MATCHING_STEPS)


def fit_steps(flow: cf.Flow, x: np.ndarray, loss: str) -> Callable[[], object]:
    return lambda: flow.fit(
        x,
        loss=loss,
        validation=None,
        epochs=1,
        batch_size=BATCH,
        optimizer=cf.Adam(1e-6),
        seed=0,
        progress=False,
    )


def rows_of(features: int, rounds: int) -> list[list[str]]:
    """The lines of the table for so many features."""
    learned, ours = matched(features), new_flow(features)
    theirs = zuko.flows.CNF(features, hidden_features=HIDDEN, freqs=3)
    learn(learned, data(features, 20_000), epochs=40)
    give_weights(learned, ours, theirs, features)
    x = data(features, ROWS, seed=1)
    tensor = torch.from_numpy(x)
    x_of_steps = data(features, MATCHING_STEPS * BATCH, seed=2)
    batches = list(torch.from_numpy(x_of_steps).split(BATCH))

    def score() -> torch.Tensor:
        with torch.no_grad():
            return theirs().log_prob(tensor)

    # Their trace is integrated a hundred times more loosely.
    found, truth = ours.log_prob(x), score().numpy()
    error = np.abs(found - truth) / (1 + np.abs(truth))
    assert np.median(error) < 5e-4 and error.max() < 1e-2, error.max()
    of_batches = iter(batches)
    timed = {
        f"log_prob, {ROWS:,} rows, 1000 rows/s": (
            [lambda: ours.log_prob(x), score],
            lambda seconds: ROWS / seconds / 1e3,
        ),
        f"step of likelihood, batch {BATCH}, ms": (
            [
                fit_steps(ours, x_of_steps[: STEPS * BATCH], "likelihood"),
                lambda: torch_steps(
                    lambda: -theirs().log_prob(next(of_batches)).mean(), theirs, STEPS
                ),
            ],
            lambda seconds: 1e3 * seconds / STEPS,
        ),
        f"step of flow matching, batch {BATCH}, ms": (
            [fit_steps(learned, x_of_steps, "flow_matching"), matching_steps(features, batches)],
            lambda seconds: 1e3 * seconds / MATCHING_STEPS,
        ),
    }
    lines = []
    for name, (works, unit) in timed.items():
        a, b = medians(works, rounds)
        lines.append([str(features), name, figure(unit(a)), figure(unit(b)), figure(b / a)])
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--features", type=int, nargs="+", default=SIZES)
    options = parser.parse_args()
    cf.set_num_threads(options.threads)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    lines = [line for features in options.features for line in rows_of(features, options.rounds)]
    header = ["features", "work", "cflows", "zuko, torchcfm", "ratio"]
    print(markdown(header, lines, names=2))


if __name__ == "__main__":
    main()
