"""Columns of categories in three ways: held-out nats of argmax, one-hot and ordinal columns.

    python benchmarks/categories.py FOLDER [--tables sdss24 wine] [--recipes maf] [--seeds 3]

FOLDER has ``sdss_photometry.npz``, ``htru2.npz`` and ``photoz_dc2.npz``; other tables come with
scikit-learn. The ways, with the same flow, seeds and fit:

- argmax: ``cf.categorical(k)``, the largest of k real numbers (Hoogeboom et al. 2021).
- one-hot: k columns of 0 and 1, each ``cf.ordinal(2)``: uniform noise on [0, 1), then logits.
- ordinal: the category's number as one column ``cf.ordinal(k)``.

Numbers of categories are shuffled, so that an order which the categories may have helps nobody.

One-hot vectors, numbers and categories are functions of each other, one to one, so the probability
of one is that of the others: no factor changes, and real columns are the same. All figures are nats
a row of the same test rows, lower bounds on the log-probability that a flow gives them, and the
higher log-probability is that of the better model. One-hot flows give some probability to vectors
that are not one-hot, which counts against them. If such samples are drawn again until they are,
log-probabilities rise by ``-log(valid)``, with the share of samples that are valid at first.

A bound's gap differs from flow to flow. It is told for one draw of the noise (``log_prob``, the
mean of ten) and for 100 (``importance_weighted_log_prob``), where little of it is left; differences
are of the latter, with standard errors over rows and seeds. Two baselines give the scale.
Independent: frequencies of each column of categories, and a normal distribution of the real
columns. Joint: frequencies of combinations of categories, each with a mean of its own. A count of
1 is added to every category and combination.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cflows as cf
import numpy as np
from scipy import stats
from sklearn import datasets as bundled

from paired import difference
from table import DASH, markdown

ROWS, DRAWS, SAMPLES = 7000, 100, 10_000
NOT_DETECTED = 99.0
RECIPES = {
    "realnvp": cf.realnvp,
    "maf": cf.maf,
    "nsf": lambda n, **options: cf.nsf(n, layers=5, hidden=64, **options),
}
Array = np.ndarray


class Table(NamedTuple):
    """Real columns and columns of categories, which are numbered from 0."""

    x: Array
    kinds: Array


def quantiles(x: Array, n: int) -> Array:
    """Which n-th part of the numbers each is in."""
    return np.searchsorted(np.quantile(x, np.arange(1, n) / n), x, side="right")


def sdss(folder: Path) -> tuple[Array, Array, Array]:
    """Four colours, the magnitude r, and 0 of galaxies, 1 of stars, 2 of quasars; without failed
    measurements, as in datasets.py."""
    with np.load(folder / "sdss_photometry.npz") as file:
        ugriz, kinds = file["dr17_ugriz_redshift"][:, :5], file["dr17_class"].astype(int)
    colours = ugriz[:, :-1] - ugriz[:, 1:]
    measured = ((colours > -1) & (colours < 6)).all(axis=1)
    return colours[measured], ugriz[measured, 2], kinds[measured]


def sdss3(folder: Path) -> Table:
    colours, r, kinds = sdss(folder)
    return Table(np.column_stack([colours, r]), kinds[:, None])


def sdss8(folder: Path) -> Table:
    """Eighths of the magnitude in its place, without the class."""
    colours, r, _ = sdss(folder)
    return Table(colours, quantiles(r, 8)[:, None])


def sdss24(folder: Path) -> Table:
    """Class and eighth of the magnitude as one category."""
    colours, r, kinds = sdss(folder)
    return Table(colours, (8 * kinds + quantiles(r, 8))[:, None])


def sdss_cells(folder: Path) -> Table:
    """Class, eighths of the magnitude and of g - r: so few cells that their frequencies are near
    the truth."""
    colours, r, kinds = sdss(folder)
    columns = [kinds, quantiles(r, 8), quantiles(colours[:, 1], 8)]
    return Table(np.empty((len(r), 0)), np.column_stack(columns))


def photoz(folder: Path) -> Table:
    """Fifths of the redshift and of six magnitudes; galaxies without a detection are a category
    where they are not rare, else in the faintest fifth."""
    with np.load(folder / "photoz_dc2.npz") as file:
        magnitudes, redshift = file["train_mag"], file["train_redshift"]
    columns = [quantiles(redshift, 5)]
    for band in magnitudes.T:
        columns.append(quantiles(band, 5))
        undetected = band == NOT_DETECTED
        if undetected.mean() > 0.01:
            columns[-1][undetected] = 5
    return Table(np.empty((len(redshift), 0)), np.column_stack(columns))


def htru2(folder: Path) -> Table:
    with np.load(folder / "htru2.npz") as file:
        return Table(file["x"].astype(np.float64), file["label"].astype(int)[:, None])


def digits(_: Path) -> Table:
    """The digit, and three levels of the mean of each 2 x 2 pixels."""
    images, labels = cf.data.digits()
    blocks = images.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16)
    levels = np.searchsorted([4, 10], blocks)
    return Table(np.empty((len(labels), 0)), np.column_stack([labels, levels]))


def of_scikit_learn(load: Callable) -> Callable[[Path], Table]:
    def read(_: Path) -> Table:
        x, kinds = load(return_X_y=True)
        return Table(x, kinds[:, None])

    return read


TABLES: dict[str, Callable[[Path], Table]] = {
    "sdss3": sdss3,
    "sdss8": sdss8,
    "sdss24": sdss24,
    "sdss_cells": sdss_cells,
    "photoz": photoz,
    "digits": digits,
    "htru2": htru2,
    "cancer": of_scikit_learn(bundled.load_breast_cancer),
    "wine": of_scikit_learn(bundled.load_wine),
    "iris": of_scikit_learn(bundled.load_iris),
}


def prepared(table: Table) -> tuple[Table, list[int]]:
    """Rows in random order, rounded numbers with noise as wide as their smallest distance and
    standardised, categories with shuffled numbers; and how many of these each column has."""
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(table.kinds))[:ROWS]
    x, kinds = table.x[chosen], table.kinds[chosen]
    step = np.array([np.diff(np.unique(column)).min() for column in x.T])
    x = x + step * rng.uniform(size=x.shape)
    counts = (kinds.max(axis=0) + 1).tolist()
    names = [rng.permutation(n)[column] for n, column in zip(counts, kinds.T, strict=True)]
    return Table((x - x.mean(axis=0)) / x.std(axis=0), np.column_stack(names)), counts


def argmax(table: Table, counts: list[int]) -> tuple[Array, list[cf.Column]]:
    return np.hstack([table.x, table.kinds]), [cf.categorical(n) for n in counts]


def one_hot(table: Table, counts: list[int]) -> tuple[Array, list[cf.Column]]:
    hot = [np.eye(n)[column] for n, column in zip(counts, table.kinds.T, strict=True)]
    return np.hstack([table.x, *hot]), [cf.ordinal(2)] * sum(counts)


def ordinal(table: Table, counts: list[int]) -> tuple[Array, list[cf.Column]]:
    return np.hstack([table.x, table.kinds]), [cf.ordinal(n) for n in counts]


WAYS = {"argmax": argmax, "one-hot": one_hot, "ordinal": ordinal}


def share_valid(samples: Array, counts: list[int]) -> float:
    """The share of samples of which every category is a one-hot vector."""
    vectors = np.split(samples[:, -sum(counts) :], np.cumsum(counts)[:-1], axis=1)
    return float(np.all([vector.sum(axis=1) == 1 for vector in vectors], axis=0).mean())


def split(rows: Array) -> tuple[Array, Array]:
    """Training and test rows, a quarter of all."""
    return rows[len(rows) // 4 :], rows[: len(rows) // 4]


class Scores(NamedTuple):
    single: Array  # bounds of test rows by one draw, the mean of ten such
    weighted: Array  # by many draws
    valid: float


Runs = dict[str, list[Scores]]  # of every way, one a seed


def fitted_scores(
    table: Table, counts: list[int], recipe: str, way: str, seed: int, epochs: int
) -> Scores:
    rows, kinds = WAYS[way](table, counts)
    train, test = split(rows)
    columns = [cf.real] * table.x.shape[1] + kinds
    flow = RECIPES[recipe](len(columns), columns=columns, seed=seed)
    flow.fit(
        train,
        epochs=epochs,
        patience=None,  # the schedule's last steps matter; the best epoch's weights are kept
        optimizer=cf.Adam(3e-3),
        schedule="cosine",
        seed=seed,
        progress=False,
    )
    single = np.mean([flow.log_prob(test, seed=draw) for draw in range(10)], axis=0, dtype=float)
    weighted = flow.importance_weighted_log_prob(test, DRAWS, seed=10)
    valid = share_valid(flow.sample(SAMPLES, seed=seed), counts) if way == "one-hot" else 1.0
    return Scores(single, weighted, valid)


def log_frequencies(codes: Array, cells: int) -> Array:
    """Of the test rows' codes, by the counts of the training rows' plus 1."""
    train, test = split(codes)
    known, counts = np.unique(train, return_counts=True)
    found = dict(zip(known.tolist(), counts.tolist(), strict=True))
    return np.log([(found.get(code, 0) + 1) / (len(train) + cells) for code in test.tolist()])


def normal_nats(x: Array, codes: Array) -> float:
    """Of a normal distribution with a mean for each code of the training rows and one covariance;
    codes that these lack have the mean of all."""
    if x.shape[1] == 0:
        return 0.0
    (train, test), (known, unknown) = split(x), split(codes)
    means = {code: train[known == code].mean(axis=0) for code in np.unique(known)}
    residuals = train - np.array([means[code] for code in known])
    normal = stats.multivariate_normal(cov=residuals.T @ residuals / len(train))
    centres = np.array([means.get(code, train.mean(axis=0)) for code in unknown])
    return float(normal.logpdf(test - centres).mean())


def baselines(table: Table, counts: list[int]) -> tuple[float, float]:
    """Nats of test rows, of independent columns of categories and of their combinations."""
    columns = zip(counts, table.kinds.T, strict=True)
    independent = sum(log_frequencies(column, n).mean() for n, column in columns)
    codes = np.ravel_multi_index(tuple(table.kinds.T), counts)
    joint = log_frequencies(codes, int(np.prod(counts))).mean()
    alone = normal_nats(table.x, np.zeros(len(codes), int))
    return independent + alone, joint + normal_nats(table.x, codes)


def nats(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 1e4 else f"{value:.0e}"


def bounds(runs: Runs) -> list[str]:
    """Medians over the seeds, and the share of valid samples."""
    cells = [
        nats(float(np.median([getattr(run, bound).mean() for run in runs[way]])))
        for bound in ("single", "weighted")
        for way in WAYS
    ]
    return [*cells, f"{np.median([run.valid for run in runs['one-hot']]):.3f}"]


def differences(runs: Runs) -> list[str]:
    """Less argmax, with standard errors; a dash where no sample was valid."""
    weighted = {way: np.array([run.weighted for run in found]) for way, found in runs.items()}
    valid = np.array([run.valid for run in runs["one-hot"]])[:, None]
    cells = []
    for way, share in (("one-hot", np.ones(1)), ("one-hot", valid), ("ordinal", np.ones(1))):
        if share.min() == 0.0:
            cells.append(DASH)
            continue
        mean, error = difference(weighted[way] - np.log(share), weighted["argmax"])
        cells.append(f"{mean:+.2f} ± {error:.2f}")
    return cells


def described(name: str, table: Table, counts: list[int]) -> list[str]:
    sizes = sorted(set(counts), reverse=True)
    kinds = ", ".join(f"{counts.count(n)} of {n}" for n in sizes)
    train, _ = split(table.kinds)
    scale = [nats(value) for value in baselines(table, counts)]
    return [name, kinds, f"{len(train):,}", str(table.x.shape[1]), *scale]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tables", nargs="+", default=list(TABLES), choices=list(TABLES))
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=list(RECIPES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=100)
    chosen = parser.parse_args()
    cf.set_num_threads(1)
    # The columns of a one-hot vector add up to 1: their noise is what keeps the density bounded.
    warnings.filterwarnings("ignore", ".*nearly a linear function", cf.DataWarning)
    about, found, compared = [], [], []
    for name in chosen.tables:
        table, counts = prepared(TABLES[name](chosen.folder))
        about.append(described(name, table, counts))
        for recipe in chosen.recipes:
            runs = {
                way: [
                    fitted_scores(table, counts, recipe, way, seed, chosen.epochs)
                    for seed in range(chosen.seeds)
                ]
                for way in WAYS
            }
            found.append([name, recipe, *bounds(runs)])
            compared.append([name, recipe, *differences(runs)])
            print(*found[-1], *compared[-1][2:], file=sys.stderr, flush=True)
    header = ["table", "categories", "training rows", "real columns", "independent", "joint"]
    print(markdown(header, about, names=2), end="\n\n")
    ways = [f"{way}, {draws}" for draws in ("1 draw", DRAWS) for way in WAYS]
    print(markdown(["table", "recipe", *ways, "valid"], found, names=2), end="\n\n")
    ways = ["one-hot", "one-hot, valid", "ordinal"]
    print(markdown(["table", "recipe", *(f"{way} - argmax" for way in ways)], compared, names=2))


if __name__ == "__main__":
    main()
