"""A process that holds one library: what one does to threads, allocator and imports, no other sees.

    worker.py LIBRARY THREADS PROCESSORS

It reads pickled (method, arguments) from its standard input and answers (succeeded, result).
"""

from __future__ import annotations

import os
import pickle
import resource
import sys
import traceback

import numpy as np

import jobs
from peers import LIBRARIES, Library
from peers.model import Fit, Training
from processors import pin


def peak_bytes() -> int:
    """The most memory that this process ever held."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class Bench:
    """The methods that a worker answers to."""

    def __init__(self, library: Library, threads: int):
        self.library, self.threads = library, threads

    def build(self, architecture, seed: int = 0) -> None:
        self.model = self.library.model(architecture, threads=self.threads, seed=seed)
        self.architecture = architecture

    def loss(self, weights, x: np.ndarray) -> float:
        """Mean negative log density of `x`, with the given weights."""
        self.model.prepare()
        self.model.set_weights(weights)
        return -float(self.model.score(x, len(x)).mean(dtype=np.float64))

    def ready(self, task: str, size: int) -> tuple[int, float]:
        """Compiles and warms up; the rows of a call that are fastest, and the seconds of a job."""
        chunk = jobs.fastest_chunk(self.model, self.architecture, task, size)
        self.model.prepare()
        self.job = jobs.job(self.model, self.architecture, task, size, chunk)
        self.job.run()
        return chunk, self.job.units * self.job.seconds_per_unit(0)

    def seconds_per_unit(self, budget: float) -> float:
        return self.job.seconds_per_unit(budget)

    def callers_ratio(self, rows: int, callers: int, rounds: int) -> float:
        """What so many callers of the model at once achieve, over what one does."""
        return jobs.callers_ratio(self.model, self.architecture, rows, callers, rounds)

    def memory(self, rows: int) -> dict[str, int]:
        """Peak memory before and after scoring `rows` rows, and what input and output take."""
        x = np.empty((rows, self.architecture.features), np.float32)
        rng = np.random.default_rng(1)
        for start in range(0, rows, 100_000):
            block = x[start : start + 100_000]
            rng.standard_normal(out=block, dtype=np.float32)
        before = peak_bytes()
        out = self.model.score(x)
        return {"before": before, "after": peak_bytes(), "input": x.nbytes, "output": out.nbytes}

    def fit(
        self,
        train: np.ndarray,
        validation: np.ndarray,
        test: np.ndarray,
        training: Training,
        seed: int,
    ) -> tuple[Fit, np.ndarray]:
        """Fits the model and scores `test`."""
        fit = self.model.fit(train, validation, training, seed)
        return fit, self.model.score(test)


def main() -> None:
    library, threads = LIBRARIES[sys.argv[1]], int(sys.argv[2])
    pin(int(sys.argv[3]))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    bench = Bench(library, threads)
    while True:
        try:
            method, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = True, getattr(bench, method)(**arguments)
        except Exception as error:
            traceback.print_exc()
            answer = False, f"{type(error).__name__}: {str(error).strip().splitlines()[:1]}"
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    main()
