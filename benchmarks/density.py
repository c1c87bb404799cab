"""RealNVP on five real tables: cflows beside zuko, nflows and a Gaussian.

    python benchmarks/density.py FOLDER [--sets NAMES] [--seeds N] [--steps N] [--libraries NAMES]

See README.md beside this file for the data and for what the columns mean.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np

import gaussian
import processors
from architectures import RealNVP
from client import Worker
from datasets import TABLES, Table
from options import choices
from paired import difference
from peers import LIBRARIES
from peers.model import Fit, Training
from table import DASH, figure, markdown

OURS = "cflows"
FEW_SEEDS, MORE_SEEDS, PATIENCE_SECONDS = 3, 5, 120.0


@dataclass(frozen=True)
class Settings:
    """How the flows of one table are built and trained."""

    layers: int
    hidden: tuple[int, ...]
    training: Training

    def __str__(self) -> str:
        widths = ", ".join(map(str, self.hidden))
        training = self.training
        return (
            f"{self.layers} × ({widths}); Adam {training.learning_rate:g} cosine, "
            f"batch {training.batch_size}, clip {training.clip_norm:g}"
        )


SETTINGS = {
    "miniboone": Settings(10, (64, 64), Training(128, 5e-4, 5.0, 2_000)),
    "power": Settings(10, (128, 128), Training(512, 1e-3, 5.0, 8_000)),
    "protein": Settings(10, (128, 128), Training(512, 1e-3, 5.0, 6_000)),
    "htru2": Settings(8, (64, 64), Training(256, 1e-3, 5.0, 5_000)),
    "sdss": Settings(8, (64, 64), Training(256, 1e-3, 5.0, 5_000)),
}


def whole_epochs(table: Table, training: Training) -> tuple[np.ndarray, Training]:
    """Training rows in whole batches, and steps in whole epochs, at least one.

    What libraries do with an incomplete batch then makes no difference.
    """
    per_epoch = len(table.train) // training.batch_size
    epochs = max(1, round(training.steps / per_epoch))
    rows = table.train[: per_epoch * training.batch_size]
    return rows, replace(training, steps=epochs * per_epoch)


class Comparison:
    """The fits of all libraries to one table."""

    def __init__(self, key: str, table: Table, steps: int | None, libraries: list[str]):
        self.table, self.settings, self.libraries = table, SETTINGS[key], libraries
        training = self.settings.training
        training = replace(training, steps=steps or training.steps)
        self.train, self.training = whole_epochs(table, training)
        self.fits: dict[str, list[Fit]] = {name: [] for name in libraries}
        self.scores: dict[str, list[np.ndarray]] = {name: [] for name in libraries}

    def run(self, seeds: int | None, threads: int) -> None:
        """Interleaved over the libraries; without `seeds`, three, and five if fits are quick."""
        with ExitStack() as stack:
            workers = {n: stack.enter_context(Worker(n, threads)) for n in self.libraries}
            for seed in range(seeds or FEW_SEEDS):
                self.fit_all(workers, seed)
            if seeds is None and self.slowest() < PATIENCE_SECONDS:
                for seed in range(FEW_SEEDS, MORE_SEEDS):
                    self.fit_all(workers, seed)

    def fit_all(self, workers: dict[str, Worker], seed: int) -> None:
        settings = self.settings
        features = self.train.shape[1]
        architecture = RealNVP(features, settings.layers, settings.hidden)
        for name, worker in workers.items():
            worker.call("build", architecture=architecture, seed=seed)
            fit, scores = worker.call(
                "fit",
                train=self.train,
                validation=self.table.validation,
                test=self.table.test,
                training=self.training,
                seed=seed,
            )
            nats = f"{scores.mean(dtype=np.float64):.3f} nats in {fit.seconds:.1f} s"
            epoch = f"best epoch {fit.best_epoch}"
            print(f"{self.table.name}, seed {seed}: {name} {nats}, {epoch}", file=sys.stderr)
            self.fits[name].append(fit)
            self.scores[name].append(scores)

    def slowest(self) -> float:
        return max(fit.seconds for fits in self.fits.values() for fit in fits)

    def rows(self) -> list[list[str]]:
        """The Gaussian, then a row a library."""
        return [self.gaussian_row(), *(self.library_row(name) for name in self.libraries)]

    def gaussian_row(self) -> list[str]:
        """Fitted in closed form on all rows that the flows see while they are fitted."""
        seen = np.concatenate([self.table.train, self.table.validation])
        nats = gaussian.log_prob(seen, self.table.test).mean()
        features = f"{self.table.train.shape[1]} features"
        return [self.table.name, "Gaussian", features, f"{nats:.3f}", *[DASH] * 5]

    def library_row(self, name: str) -> list[str]:
        fits, scores = self.fits[name], np.array(self.scores[name], np.float64)
        seconds = median(fit.seconds for fit in fits)
        steps = "/".join(sorted({f"{fit.steps:,}" for fit in fits}))
        nats = f"{scores.mean():.3f}"
        cells = [self.table.name, name, str(self.settings), nats, str(len(fits)), steps]
        return [*cells, figure(seconds), *self.against(name, seconds)]

    def against(self, name: str, seconds: float) -> list[str]:
        """Our lead in nats with its standard error, and our speed-up."""
        if name == OURS or OURS not in self.libraries:
            return [DASH, DASH]
        lead, error = difference(np.array(self.scores[OURS]), np.array(self.scores[name]))
        ours = median(fit.seconds for fit in self.fits[OURS])
        return [f"{lead:+.3f} ± {error:.3f}", figure(seconds / ours)]


HEADER = (
    "table",
    "model",
    "settings",
    "test nats",
    "seeds",
    "steps",
    "seconds",
    "cflows - model, nats",
    "× faster",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the data sets are")
    parser.add_argument(
        "--sets",
        type=lambda text: choices(text, TABLES),
        default=list(TABLES),
        metavar="NAMES",
        help=f"of {', '.join(TABLES)} (default: all)",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        metavar="N",
        help=f"fits a library (default: {FEW_SEEDS}; {MORE_SEEDS} if each takes under two minutes)",
    )
    parser.add_argument("--steps", type=int, metavar="N", help="instead of the table's own")
    parser.add_argument(
        "--libraries",
        type=lambda text: choices(text, LIBRARIES),
        default=[OURS, "zuko", "nflows"],
        metavar="NAMES",
        help=f"of {', '.join(LIBRARIES)} (default: cflows, zuko, nflows)",
    )
    parser.add_argument("--threads", type=int, default=processors.count(), metavar="N")
    options = parser.parse_args()
    missing = [name for name in options.libraries if not LIBRARIES[name].installed]
    if missing:
        print(f"not installed: {', '.join(missing)}", file=sys.stderr)
    libraries = [name for name in options.libraries if name not in missing]
    rows = []
    for key in options.sets:
        comparison = Comparison(key, TABLES[key](options.folder), options.steps, libraries)
        comparison.run(options.seeds, options.threads)
        rows += comparison.rows()
    print(markdown(HEADER, rows, names=3))


if __name__ == "__main__":
    main()
