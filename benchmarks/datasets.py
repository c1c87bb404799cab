"""The tables of the density benchmark, split and standardised alike for every library.

Five are real ones of a folder, one the digits that come with cflows.

Tables that come with a split and a standardisation keep them. The others are split once (a tenth
for validation, a tenth for the test) and standardised with the mean and the standard deviation of
their training rows. Integer-valued columns get uniform noise on [0, 1) before that, once, since
their density would be unbounded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cflows as cf
import numpy as np

SPLIT_SEED = 0


@dataclass(frozen=True)
class Table:
    """Rows in standardised units, float32, shape (n, features) each."""

    name: str
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    log_slope: float | None = None  # of integers: the log|det| from them to a test row, on average

    def told(self, nats: float) -> str:
        """A score, of integers in bits per dimension too."""
        if self.log_slope is None:
            return f"{nats:.3f}"
        features = self.test.shape[1]
        bits = (-self.log_slope - nats) / (features * np.log(2))
        return f"{nats:.3f} ({bits:.3f} bits/dim)"


def shuffled(x: np.ndarray) -> np.ndarray:
    return x[np.random.default_rng(SPLIT_SEED).permutation(len(x))]


def jittered(x: np.ndarray, columns: list[int]) -> np.ndarray:
    """`x` with uniform noise on the integers of some columns."""
    x = np.array(x, np.float64)
    x[:, columns] += np.random.default_rng(SPLIT_SEED + 1).random((len(x), len(columns)))
    return x


def split(x: np.ndarray) -> list[np.ndarray]:
    """A tenth of the rows for the test, a tenth for validation, and the training rows."""
    tenth = len(x) // 10
    return np.split(shuffled(x), [tenth, 2 * tenth])


def prepared(name: str, x: np.ndarray) -> Table:
    """Splits and standardises a table that comes as one array."""
    test, validation, train = split(np.asarray(x, np.float64))
    mean, std = train.mean(axis=0), train.std(axis=0)
    parts = [((part - mean) / std).astype(np.float32) for part in (train, validation, test)]
    return Table(name, *parts)


def miniboone(folder: Path) -> Table:
    """The validation and test rows of Papamakarios et al. 2017; fitted on the former.

    The training rows of that paper are not among the data, so published figures don't compare.
    """
    with np.load(folder / "miniboone_maf_val_test.npz") as file:
        rows, test = shuffled(file["val"]), file["test"]
    tenth = len(rows) // 10
    return Table("MINIBOONE", rows[tenth:], rows[:tenth], test)


def power(folder: Path) -> Table:
    """14 % of POWER, prepared after Papamakarios et al. 2017, noise on its integers included."""
    with np.load(folder / "power_subset_maf.npz") as file:
        return Table("POWER subset", file["train"], file["val"], file["test"])


def protein(folder: Path) -> Table:
    """Physicochemical properties of protein structures, each row once; column 7 has integers.

    The table is centred, so that the integers appear shifted by a constant.
    """
    with np.load(folder / "protein_casp.npz") as file:
        x = np.unique(file["data"], axis=0)
    return prepared("protein", jittered(x, [7]))


def htru2(folder: Path) -> Table:
    """Pulsar candidates of the HTRU2 survey, both classes."""
    with np.load(folder / "htru2.npz") as file:
        return prepared("HTRU2", file["x"])


def sdss(folder: Path) -> Table:
    """Colours u - g, g - r, r - i, i - z and magnitude r of the two samples of SDSS photometry.

    Colours below -1 or above 6 mag (one row in 80) are failed measurements, where a band holds no
    light or that of a neighbour. Left in, a single one of them would decide the mean test score.
    """
    with np.load(folder / "sdss_photometry.npz") as file:
        samples = [file[f"{release}_ugriz_redshift"] for release in ("dr14", "dr17")]
    ugriz = np.concatenate(samples)[:, :5]
    colours = ugriz[:, :-1] - ugriz[:, 1:]
    measured = ((colours > -1) & (colours < 6)).all(axis=1)
    return prepared("SDSS colours", np.column_stack([colours, ugriz[:, 2]])[measured])


def digits(_: Path) -> Table:
    """The 8 x 8 digits that come with cflows, of 17 grey levels: with noise, then logits.

    Pixels of the margin are almost always 0. As they are, one digit that reaches there decides the
    mean test score of any flow of affine couplings. The two colours of a checkerboard come one
    after the other, so that halves of the columns are the RealNVP's masks of images.
    """
    checkerboard = np.argsort(np.indices((8, 8)).sum(axis=0).ravel() % 2, kind="stable")
    pixels = cf.data.digits()[0].reshape(-1, 64)[:, checkerboard]
    margin = 0.05
    y = margin + (1 - 2 * margin) / 17 * jittered(pixels, list(range(64)))
    logits, log_slope = np.log(y / (1 - y)), np.log((1 - 2 * margin) / 17 / (y * (1 - y)))
    train = split(logits)[2]
    log_slopes = split(log_slope)[0].sum(axis=1) - np.log(train.std(axis=0)).sum()
    return replace(prepared("digits", logits), log_slope=float(log_slopes.mean()))


TABLES: dict[str, Callable[[Path], Table]] = {
    "miniboone": miniboone,
    "power": power,
    "protein": protein,
    "htru2": htru2,
    "sdss": sdss,
    "digits": digits,
}
