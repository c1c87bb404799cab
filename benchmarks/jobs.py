"""The pieces of work that are timed, on a model of any library."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

import numpy as np

from peers.model import Model, Training

TASKS = ("train", "log_prob", "sample", "row")

# About a third of a second at 100 GFLOP/s, but enough steps to hide what starting a loop costs.
TRAINING_FLOPS = 3e10
MIN_STEPS, MAX_STEPS = 20, 500


@dataclass(frozen=True)
class Job:
    """`run()` does `units` pieces of work: training steps, rows or calls."""

    run: Callable[[], None]
    units: int

    def seconds_per_unit(self, budget: float, at_least: int = 1) -> float:
        """Mean over the runs that fit into `budget` seconds."""
        runs, began = 0, time.perf_counter()
        while runs < at_least or time.perf_counter() - began < budget:
            self.run()
            runs += 1
        return (time.perf_counter() - began) / (runs * self.units)


def normal_rows(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(shape, np.float32)


def training_job(model: Model, architecture, batch_size: int) -> Job:
    """Forward, backward, clipping by the global norm and Adam, on batches that lie ready."""
    steps = int(TRAINING_FLOPS / (architecture.training_flops * batch_size))
    steps = min(max(steps, MIN_STEPS), MAX_STEPS)
    batches = model.array(normal_rows(steps, batch_size, architecture.features))
    # A small rate: the weights stay tame however long the timing goes on.
    model.start_training(Training(batch_size, 1e-6, clip_norm=5.0, steps=10**9))
    return Job(lambda: model.train(batches), steps)


def scoring_job(model: Model, architecture, rows: int, chunk: int) -> Job:
    x = normal_rows(rows, architecture.features)
    pieces = [model.array(x[i : i + chunk]) for i in range(0, rows, chunk)]
    return Job(lambda: model.wait([model.log_prob(piece) for piece in pieces]), rows)


def sampling_job(model: Model, rows: int, chunk: int) -> Job:
    counts = [min(chunk, rows - i) for i in range(0, rows, chunk)]
    return Job(lambda: model.wait([model.sample(n) for n in counts]), rows)


def row_job(model: Model, architecture) -> Job:
    x = model.array(normal_rows(1, architecture.features))

    def run() -> None:
        for _ in range(20):
            model.wait([model.log_prob(x)])

    return Job(run, 20)


def job(model: Model, architecture, task: str, size: int, chunk: int) -> Job:
    if task == "train":
        return training_job(model, architecture, size)
    if task == "log_prob":
        return scoring_job(model, architecture, size, chunk)
    if task == "sample":
        return sampling_job(model, size, chunk)
    return row_job(model, architecture)


def callers_ratio(model: Model, architecture, rows: int, callers: int, rounds: int) -> float:
    """How many times the rows of one caller that many score, all calling one model at once."""
    chunk = fastest_chunk(model, architecture, "log_prob", rows)
    model.prepare()
    scoring = scoring_job(model, architecture, rows, chunk)
    ratios = []
    with ThreadPoolExecutor(callers) as pool:
        for _ in range(rounds + 1):  # the first warms up
            began = time.perf_counter()
            scoring.run()
            alone = time.perf_counter()
            for future in [pool.submit(scoring.run) for _ in range(callers)]:
                future.result()
            ratios.append(callers * (alone - began) / (time.perf_counter() - alone))
    return median(ratios[1:])


def fastest_chunk(model: Model, architecture, task: str, size: int) -> int:
    """How many rows a call should get: each candidate is tried on one call of its size."""
    if task not in ("log_prob", "sample"):
        return size
    seconds = {}
    for chunk in sorted({min(chunk, size) for chunk in model.chunks}):
        model.prepare()
        trial = job(model, architecture, task, chunk, chunk)
        trial.run()
        seconds[chunk] = trial.seconds_per_unit(0.05, at_least=2)
    return min(seconds, key=seconds.get)
