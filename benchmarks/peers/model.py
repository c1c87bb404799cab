"""What the benchmarks ask of a library, and the training loop that they lend to those without."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any
"""An array of the library's own kind, in memory where its functions take it from."""


@dataclass(frozen=True)
class Training:
    """Adam with clipping by the global norm and a cosine schedule without restart."""

    batch_size: int
    learning_rate: float
    clip_norm: float
    steps: int

    def rate(self, step: int) -> float:
        """Learning rate of step 0, 1, …, steps - 1."""
        return 0.5 * self.learning_rate * (1 + math.cos(math.pi * min(step / self.steps, 1)))


@dataclass(frozen=True)
class Fit:
    """What `Model.fit` tells: the model keeps the weights of its best epoch, counted from 1."""

    steps: int
    seconds: float
    best_epoch: int


class Model(ABC):
    """A float32 flow of one library on one architecture.

    `log_prob` and `sample` are one call of the library each. A library whose speed depends on how
    many rows a call gets lists the sizes worth trying in `chunks`.
    """

    chunks: tuple[int, ...] = (500, 2000, 5000, 10000, 25000)

    @abstractmethod
    def set_weights(self, weights: list[list[tuple[np.ndarray, np.ndarray]]]) -> None:
        """Takes over weights in the order of `architectures.Coupling`."""

    @abstractmethod
    def array(self, x: np.ndarray) -> Array:
        """`x` as the library wants it; `numpy.asarray` undoes it."""

    @abstractmethod
    def log_prob(self, x: Array) -> Array: ...

    @abstractmethod
    def sample(self, n: int) -> Array: ...

    @abstractmethod
    def start_training(self, training: Training) -> None:
        """Makes a new optimiser for the present weights."""

    @abstractmethod
    def train(self, batches: Array) -> None:
        """One step for each of `batches` (steps, batch, features)."""

    @abstractmethod
    def snapshot(self) -> Any: ...

    @abstractmethod
    def restore(self, snapshot: Any) -> None: ...

    def wait(self, results: list[Array]) -> list[Array]:
        """Returns when the results are there: for libraries that compute behind the caller."""
        return results

    def prepare(self) -> None:  # noqa: B027, most libraries have nothing to do here
        """Forgets what was compiled for other shapes."""

    def score(self, x: np.ndarray, chunk: int = 10000) -> np.ndarray:
        """log p of every row, shape (n,), taking `chunk` rows at a time."""
        out = np.empty(len(x), np.float32)
        for start in range(0, len(x), chunk):
            rows = slice(start, start + chunk)
            out[rows] = np.asarray(self.log_prob(self.array(x[rows])))
        return out

    def fit(self, train: np.ndarray, validation: np.ndarray, training: Training, seed: int) -> Fit:
        """Trains in shuffled epochs and keeps the weights of the best validation score.

        The number of rows is a multiple of the batch size, and the steps one of the steps of an
        epoch, so that the libraries' own conventions for remainders never differ.
        """
        rng = np.random.default_rng(seed)
        per_epoch = len(train) // training.batch_size
        best, best_epoch, weights = -math.inf, 0, None
        began = time.perf_counter()
        self.start_training(training)
        for epoch in range(1, training.steps // per_epoch + 1):
            order = rng.permutation(len(train))
            shape = (per_epoch, training.batch_size, train.shape[1])
            self.train(self.array(train[order].reshape(shape)))
            score = self.score(validation).mean(dtype=np.float64)
            if score > best:
                best, best_epoch, weights = score, epoch, self.snapshot()
        if weights is None:
            raise FloatingPointError("no epoch ended with a finite validation score")
        self.restore(weights)
        return Fit(training.steps, time.perf_counter() - began, best_epoch)
