"""Flows on five real tables and the digits: cflows beside zuko, nflows and a Gaussian.

    python benchmarks/density.py FOLDER [--families NAMES] [--sets NAMES] [--seeds N] [--steps N]
        [--libraries NAMES] [--same-time]

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
from architectures import DensityFlow, FreeFlow, RealNVP
from client import Worker, WorkerError
from datasets import TABLES, Table
from options import choices
from paired import difference
from peers import LIBRARIES
from peers.model import Fit, Training
from table import DASH, figure, markdown

OURS = "cflows"
SAME_TIME = "cflows, same time"
FAMILIES = ("realnvp", "maf", "nsf", "nsf_ar")
FREE = ("naf", "sos", "bernstein", "residual", "cnf", "matching")
FEW_SEEDS, MORE_SEEDS, PATIENCE_SECONDS = 3, 5, 120.0


@dataclass(frozen=True)
class Settings:
    """How the flows of one family on one table are built and trained."""

    layers: int
    width: int
    training: Training
    bins: int = 8
    dropout: float = 0.0

    def architecture(self, family: str, features: int) -> RealNVP | DensityFlow | FreeFlow:
        if family in FREE:
            return FreeFlow(family, features, self.layers, self.width)
        if family == "realnvp":
            return RealNVP(features, self.layers, (self.width, self.width))
        return DensityFlow(
            family, features, self.layers, self.width, bins=self.bins, dropout=self.dropout
        )


SETTINGS = {
    ("realnvp", "miniboone"): Settings(10, 64, Training(128, 5e-4, 5.0, 2_000)),
    ("realnvp", "power"): Settings(10, 128, Training(512, 1e-3, 5.0, 8_000)),
    ("realnvp", "protein"): Settings(10, 128, Training(512, 1e-3, 5.0, 6_000)),
    ("realnvp", "htru2"): Settings(8, 64, Training(256, 1e-3, 5.0, 5_000)),
    ("realnvp", "sdss"): Settings(8, 64, Training(256, 1e-3, 5.0, 5_000)),
    ("realnvp", "digits"): Settings(10, 128, Training(128, 1e-3, 5.0, 1_000)),
    ("maf", "miniboone"): Settings(5, 100, Training(128, 5e-4, 5.0, 1_500)),
    ("maf", "power"): Settings(5, 100, Training(512, 1e-3, 5.0, 2_000)),
    ("maf", "protein"): Settings(5, 100, Training(512, 1e-3, 5.0, 2_000)),
    ("maf", "htru2"): Settings(5, 100, Training(256, 1e-3, 5.0, 2_000)),
    ("maf", "sdss"): Settings(5, 100, Training(256, 1e-3, 5.0, 2_000)),
    ("nsf", "miniboone"): Settings(5, 32, Training(128, 5e-4, 5.0, 1_000), bins=4, dropout=0.2),
    ("nsf", "power"): Settings(5, 64, Training(512, 5e-4, 5.0, 1_000)),
    ("nsf", "protein"): Settings(5, 64, Training(512, 5e-4, 5.0, 1_000)),
    ("nsf", "htru2"): Settings(5, 64, Training(128, 5e-4, 5.0, 1_500), dropout=0.1),
    ("nsf", "sdss"): Settings(5, 64, Training(128, 5e-4, 5.0, 1_500), dropout=0.1),
    ("nsf_ar", "miniboone"): Settings(5, 64, Training(128, 5e-4, 5.0, 800), bins=4, dropout=0.2),
    ("nsf_ar", "power"): Settings(5, 64, Training(512, 5e-4, 5.0, 900)),
    ("nsf_ar", "protein"): Settings(5, 64, Training(512, 5e-4, 5.0, 900)),
    ("nsf_ar", "htru2"): Settings(5, 64, Training(128, 5e-4, 5.0, 1_500), dropout=0.1),
    ("nsf_ar", "sdss"): Settings(5, 64, Training(128, 5e-4, 5.0, 1_500), dropout=0.1),
}
for key in ("power", "protein", "htru2", "sdss", "miniboone"):
    batch = 128 if key == "miniboone" else 256
    rate = 5e-4 if key == "miniboone" else 1e-3
    SETTINGS |= {
        ("naf", key): Settings(3, 64, Training(batch, rate, 5.0, 1_000)),
        ("sos", key): Settings(3, 64, Training(batch, rate, 5.0, 2_000)),
        ("bernstein", key): Settings(3, 64, Training(batch, rate, 5.0, 2_000)),
        ("residual", key): Settings(8, 64, Training(batch, rate, 5.0, 1_000)),
        ("cnf", key): Settings(1, 64, Training(batch, 2 * rate, 5.0, 300)),
        # About as many seconds as cflows takes for that.
        ("matching", key): Settings(1, 64, Training(batch, 2 * rate, 5.0, 10_000)),
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
    """The fits of all libraries to one table with one family of flows.

    They are kept by the name of a library, those of ours with the others' time as `SAME_TIME`.
    """

    def __init__(
        self, family: str, key: str, table: Table, steps: int | None, libraries: list[str]
    ):
        self.family, self.table, self.libraries = family, table, list(libraries)
        settings = SETTINGS[family, key]
        self.architecture = settings.architecture(family, table.train.shape[1])
        training = replace(settings.training, steps=steps or settings.training.steps)
        self.train, self.training = whole_epochs(table, training)
        self.fits: dict[str, list[Fit]] = {}
        self.scores: dict[str, list[np.ndarray]] = {}

    def run(self, seeds: int | None, threads: int, same_time: bool) -> None:
        """Interleaved over the libraries; without `seeds`, three, and five if fits are quick."""
        with ExitStack() as stack:
            workers = {n: stack.enter_context(Worker(n, threads)) for n in self.libraries}
            for seed in range(seeds or FEW_SEEDS):
                self.fit_all(workers, seed)
            if seeds is None and self.slowest() < PATIENCE_SECONDS:
                for seed in range(FEW_SEEDS, MORE_SEEDS):
                    self.fit_all(workers, seed)
            if same_time and OURS in self.fits and len(self.fits) > 1:
                training = self.affordable()
                for seed in range(len(self.fits[OURS])):
                    self.fit(workers[OURS], SAME_TIME, seed, training)

    def affordable(self) -> Training:
        """What ours can do, in whole epochs, in the seconds of the fastest other library."""
        seconds = min(self.seconds(name) for name in self.fits if name != OURS)
        epoch = len(self.train) // self.training.batch_size
        epochs = self.training.steps / epoch * seconds / self.seconds(OURS)
        return replace(self.training, steps=max(1, int(epochs)) * epoch)

    def fit_all(self, workers: dict[str, Worker], seed: int) -> None:
        """A library that cannot do it is left out from there on; the others go on."""
        for name in list(self.libraries):
            try:
                self.fit(workers[name], name, seed, self.training)
            except WorkerError as error:
                print(f"{self.family}, {self.table.name}: {name}: {error}", file=sys.stderr)
                self.libraries.remove(name)
                self.fits.pop(name, None)
                self.scores.pop(name, None)

    def fit(self, worker: Worker, label: str, seed: int, training: Training) -> None:
        worker.call("build", architecture=self.architecture, seed=seed)
        fit, scores = worker.call(
            "fit",
            train=self.train,
            validation=self.table.validation,
            test=self.table.test,
            training=training,
            seed=seed,
        )
        what = f"{self.family}, {self.table.name}, seed {seed}: {label}"
        nats = f"{scores.mean(dtype=np.float64):.3f} nats in {fit.seconds:.1f} s"
        steps = f"{fit.steps} steps, best epoch {fit.best_epoch}"
        print(f"{what} {nats}, {steps}", file=sys.stderr)
        self.fits.setdefault(label, []).append(fit)
        self.scores.setdefault(label, []).append(scores)

    def seconds(self, label: str) -> float:
        return median(fit.seconds for fit in self.fits[label])

    def slowest(self) -> float:
        return max((fit.seconds for fits in self.fits.values() for fit in fits), default=0.0)

    def rows(self) -> list[list[str]]:
        """The Gaussian, then a row a library, then ours with the time of the others."""
        return [*self.gaussian_rows(), *map(self.library_row, self.fits)]

    def gaussian_rows(self) -> list[list[str]]:
        """Fitted in closed form on all rows that the flows see while they are fitted."""
        seen = np.concatenate([self.table.train, self.table.validation])
        features = f"{self.table.train.shape[1]} features"
        start, dashes = [self.family, self.table.name], [DASH] * 6
        found = []
        for name, density in (
            ("diagonal Gaussian", gaussian.diagonal_log_prob),
            ("Gaussian", gaussian.log_prob),
        ):
            nats = density(seen, self.table.test).mean()
            found.append([*start, name, features, self.table.told(nats), *dashes])
        return found

    def library_row(self, label: str) -> list[str]:
        fits, scores = self.fits[label], np.array(self.scores[label], np.float64)
        steps = "/".join(sorted({f"{fit.steps:,}" for fit in fits}))
        cells = [
            self.family,
            self.table.name,
            label,
            self.settings(),
            self.table.told(scores.mean()),
        ]
        seconds = figure(self.seconds(label))
        return [*cells, str(len(fits)), steps, seconds, *self.against(label)]

    def settings(self) -> str:
        training = self.training
        return (
            f"{self.architecture}; Adam {training.learning_rate:g} cosine, "
            f"batch {training.batch_size}, clip {training.clip_norm:g}"
        )

    def against(self, label: str) -> list[str]:
        """Our lead in nats after as many steps and after as much time, and our speed-up."""
        if label in (OURS, SAME_TIME) or OURS not in self.fits:
            return [DASH] * 3
        faster = figure(self.seconds(label) / self.seconds(OURS))
        return [self.lead(OURS, label), self.lead(SAME_TIME, label), faster]

    def lead(self, ours: str, label: str) -> str:
        """Mean difference of the log densities, with its standard error."""
        if ours not in self.scores:
            return DASH
        lead, error = difference(np.array(self.scores[ours]), np.array(self.scores[label]))
        return f"{lead:+.3f} ± {error:.3f}"


HEADER = (
    "family",
    "table",
    "model",
    "settings",
    "test nats",
    "seeds",
    "steps",
    "seconds",
    "cflows - model, same steps",
    "same time",
    "× faster",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the data sets are")
    parser.add_argument(
        "--families",
        type=lambda text: choices(text, FAMILIES + FREE),
        default=list(FAMILIES),
        metavar="NAMES",
        help=f"of {', '.join(FAMILIES + FREE)} (default: the first {len(FAMILIES)})",
    )
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
    parser.add_argument(
        "--same-time",
        action="store_true",
        help="fit cflows once more, for as long as the fastest of the others takes",
    )
    parser.add_argument("--threads", type=int, default=processors.count(), metavar="N")
    options = parser.parse_args()
    missing = [name for name in options.libraries if not LIBRARIES[name].installed]
    if missing:
        print(f"not installed: {', '.join(missing)}", file=sys.stderr)
    libraries = [name for name in options.libraries if name not in missing]
    rows = []
    tables = {key: TABLES[key](options.folder) for key in options.sets}
    for family in options.families:
        for key, table in tables.items():
            if (family, key) not in SETTINGS:
                continue
            comparison = Comparison(family, key, table, options.steps, libraries)
            comparison.run(options.seeds, options.threads, options.same_time)
            rows += comparison.rows()
    print(markdown(HEADER, rows, names=4))


if __name__ == "__main__":
    main()
