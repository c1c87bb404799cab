"""Redshifts of galaxies from their magnitudes: a conditional flow beside Gaussian mixtures.

    python benchmarks/photoz.py FOLDER [--seeds N]

FOLDER has `photoz_dc2.npz`: magnitudes in six bands, 99 where a galaxy was not detected, and true
redshifts, split into training and test galaxies. Told are nats of the test redshifts and the
calibration of p(redshift | magnitudes), medians over the seeds. Then the command line fits and
scores a table with a column of text and 5 % of its magnitudes missing, from CSV, Parquet and FITS
files: all must give the scores that Python gives for the table itself.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cflows as cf
import numpy as np
import pandas as pd
from astropy.table import Table
from cflows.cli import main as main_of_cflows
from sklearn.mixture import GaussianMixture

from table import markdown

BANDS = list("ugrizy")
NOT_DETECTED = 99.0

# A way to make the context's columns of a table, set by the training table.
Columns = Callable[[pd.DataFrame], pd.DataFrame]


def tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test galaxies."""
    with np.load(folder / "photoz_dc2.npz") as file:
        found = [
            pd.DataFrame(file[f"{part}_mag"], columns=BANDS, dtype=np.float64).assign(
                redshift=file[f"{part}_redshift"].astype(np.float64)
            )
            for part in ("train", "test")
        ]
    return found[0], found[1]


def with_missing(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The table without 5 % of its magnitudes."""
    holes = np.random.default_rng(seed).random((len(table), len(BANDS))) < 0.05
    holed = table.copy()
    holed[BANDS] = table[BANDS].mask(holes)
    return holed


def with_text(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a column of text, from what a magnitude tells."""
    return table.assign(kind=np.where(table["i"] < 23.0, "bright", "faint"))


def words_of(table: pd.DataFrame) -> dict[str, list[str]]:
    """The words of each column of text."""
    return {c: sorted(table[c].unique()) for c in table if table[c].dtype.kind not in "fi"}


def raw(train: pd.DataFrame) -> Columns:
    return lambda table: table[BANDS]


def indicated(train: pd.DataFrame) -> Columns:
    """Magnitudes; what is missing or not detected is the faintest 1 %, or the median, and a column
    of 0 and 1 says so; columns of text stay as they are."""
    known = train[BANDS].mask(train[BANDS] == NOT_DETECTED)
    faint, median = known.quantile(0.99), known.median()
    absent = [band for band in BANDS if train[band].isna().any()]
    dark = [band for band in BANDS if (train[band] == NOT_DETECTED).any()]
    words = words_of(train)

    def columns(table: pd.DataFrame) -> pd.DataFrame:
        missing, undetected = table[BANDS].isna(), table[BANDS] == NOT_DETECTED
        made = table[BANDS].where(~undetected, faint, axis=1).where(~missing, median, axis=1)
        for band in absent:
            made[f"{band} missing"] = missing[band].astype(float)
        for band in dark:
            made[f"{band} undetected"] = undetected[band].astype(float)
        return made.join(table[list(words)])

    return columns


def standardised(train: pd.DataFrame) -> Columns:
    """The same, standardised by hand."""
    columns = indicated(train)
    mean, std = columns(train).mean(), columns(train).std()
    return lambda table: (columns(table) - mean) / std


def flow_of(train: pd.DataFrame, columns: Columns, seed: int, options: dict) -> cf.Flow:
    context, words = columns(train), words_of(train)
    flow = cf.nsf(
        1,
        layers=1,
        hidden=(128, 128),
        bins=16,
        dropout=0.1,
        context_columns=[cf.categorical(words[c]) if c in words else cf.real for c in context],
        seed=seed,
        **options,
    )
    flow.fit(
        train[["redshift"]],
        context=context,
        epochs=120,
        batch_size=256,
        optimizer=cf.Adam(3e-3),
        schedule="cosine",
        seed=seed,
        progress=False,
    )
    return flow


def scores_of_flow(
    train: pd.DataFrame, test: pd.DataFrame, make: Callable, seed: int, options: dict
) -> list[float]:
    """Nats, the largest distance of the PIT's distribution from the uniform one, the shares of the
    central intervals of 50 and 90 %, and seconds."""
    began = time.monotonic()
    columns = make(train)
    flow = flow_of(train, columns, seed, options)
    seconds = time.monotonic() - began
    x, context = test[["redshift"]], columns(test)
    pit = np.sort(flow.cdf(x, context))
    distance = np.abs(pit - (np.arange(len(pit)) + 0.5) / len(pit)).max()
    inside = [np.mean(np.abs(pit - 0.5) <= mass / 2) for mass in (0.5, 0.9)]
    return [flow.log_prob(x, context).mean(), distance, *inside, seconds]


def by_hand(
    train: pd.DataFrame, test: pd.DataFrame, make: Callable, seed: int, options: dict
) -> list[float]:
    """`scores_of_flow` of logarithms that are standardised by hand too."""
    z = np.log(train["redshift"])
    mean, std = z.mean(), z.std()

    def standard(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(redshift=(np.log(table["redshift"]) - mean) / std)

    off = {"standardize": False, "standardize_context": False}
    scores = scores_of_flow(standard(train), standard(test), make, seed, off)
    scores[0] -= np.log(std) + np.log(test["redshift"]).mean()
    return scores


def mixture(
    train: pd.DataFrame, test: pd.DataFrame, make: Callable, seed: int, options: dict
) -> list[float]:
    """Nats of p(z, magnitudes) / p(magnitudes), of normals in log z whose number a tenth of the
    training galaxies chooses."""
    began = time.monotonic()
    columns = make(train)
    both = [
        np.column_stack([np.log(table["redshift"]), columns(table)[BANDS]])
        for table in (train, test)
    ]
    order = np.random.default_rng(seed).permutation(len(train))
    held, rest = np.split(both[0][order], [len(train) // 10])
    found = max(
        (GaussianMixture(k, reg_covar=1e-4, random_state=seed).fit(rest) for k in (4, 8, 16, 32)),
        key=lambda fitted: conditional_nats(fitted, held),
    )
    seconds = time.monotonic() - began
    nats = conditional_nats(found, both[1]) - np.log(test["redshift"]).mean()
    return [nats, np.nan, np.nan, np.nan, seconds]


def conditional_nats(joint: GaussianMixture, rows: np.ndarray) -> float:
    """The mean of log p(first column | others)."""
    others = GaussianMixture(joint.n_components)
    others.weights_, others.means_ = joint.weights_, joint.means_[:, 1:]
    others.covariances_ = joint.covariances_[:, 1:, 1:]
    precision = np.linalg.cholesky(np.linalg.inv(others.covariances_))
    others.precisions_cholesky_ = precision
    return float((joint.score_samples(rows) - others.score_samples(rows[:, 1:])).mean())


def command_line(train: pd.DataFrame, test: pd.DataFrame, ending: str) -> tuple[cf.Flow, pd.Series]:
    """The model that `cflows fit` writes, and the scores of `cflows log-prob`."""
    with tempfile.TemporaryDirectory() as temporary:
        paths = [Path(temporary) / f"{part}{ending}" for part in ("train", "test")]
        for table, path in zip((train, test), paths, strict=True):
            write(table, path)
        model, scores = Path(temporary) / "model.safetensors", Path(temporary) / "scores.csv"
        options = ["--columns", "redshift", "--context-columns", ",".join([*BANDS, "kind"])]
        options += ["--positive", "redshift", "--categorical", "kind", "--missing", "drop"]
        options += ["--recipe", "nsf", "--layers", "1", "--epochs", "40", "--quiet"]
        done = main_of_cflows(["fit", str(paths[0]), "-o", str(model), *options])
        assert done == 0, "cflows fit failed"
        score = ["log-prob", str(model), str(paths[1]), "-o", str(scores), "--missing", "nan"]
        assert main_of_cflows(score) == 0, "cflows log-prob failed"
        return cf.load(model), pd.read_csv(scores)["log_prob"]


def write(table: pd.DataFrame, path: Path) -> None:
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    elif path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    else:
        Table.from_pandas(table).write(path)


def files(train: pd.DataFrame, test: pd.DataFrame) -> list[list[str]]:
    """By format, the nats of test galaxies without gaps, and how far scores are from Python's."""
    rows = []
    for ending in (".csv", ".parquet", ".fits"):
        flow, scores = command_line(train, test, ending)
        inside = test.notna().all(axis=1)
        own = flow.log_prob(test[["redshift"]][inside], test[inside])
        distance = np.abs(scores[inside] - own).max()
        assert scores[~inside].isna().all(), "rows with gaps have scores"
        rows.append([ending, f"{scores[inside].mean():.4f}", f"{distance:.1g}"])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    train, test = tables(options.folder)
    holed = with_missing(train, 0), with_missing(test, 1)
    positive = {"columns": [cf.positive]}
    runs = [
        ("flow, raw magnitudes and indicators", scores_of_flow, (train, test), indicated, positive),
        ("the same, standardised by hand", by_hand, (train, test), standardised, {}),
        ("redshift as any number", scores_of_flow, (train, test), indicated, {}),
        ("99 as it is", scores_of_flow, (train, test), raw, positive),
        ("5 % missing", scores_of_flow, holed, indicated, positive),
        (
            "5 % missing and a column of text",
            scores_of_flow,
            (with_text(holed[0]), with_text(holed[1])),
            indicated,
            positive,
        ),
        ("Gaussian mixture", mixture, (train, test), indicated, {}),
    ]
    rows = []
    for name, score, pair, make, given in runs:
        scores = [score(*pair, make, seed, given) for seed in range(options.seeds)]
        nats, distance, half, most, seconds = np.median(scores, axis=0)
        spread = np.ptp([each[0] for each in scores])
        rows.append(
            [
                name,
                f"{nats:.3f}",
                f"{spread:.3f}",
                *("–" if np.isnan(v) else f"{v:.3f}" for v in (distance, half, most)),
                f"{seconds:.1f}",
            ]
        )
    header = ["model", "test nats", "range", "PIT distance", "in 50 %", "in 90 %", "seconds"]
    print(markdown(header, rows))
    print()
    pair = with_text(holed[0]), with_text(holed[1])
    print(markdown(["command line", "test nats", "distance from Python"], files(*pair)))


if __name__ == "__main__":
    main()
