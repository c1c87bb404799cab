"""Missing numbers of a real table: held-out nats, and the error of imputed numbers.

    python benchmarks/missing.py FOLDER [--share 0.05] [--seeds 3] [--recipe maf]

FOLDER has ``protein_casp.npz`` (see datasets.py). A share of the cells of the training rows is
removed at random. Nats of complete held-out rows: of the flow that has seen all numbers, of that
which is fitted on complete rows alone, and by ``missing='marginal'``. Then a share of the cells of
held-out rows is removed, and predicted: root mean squared errors in standard deviations of a
column, of its mean, of a normal distribution's conditional mean, and of the mean of 20 imputations.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cflows as cf
import numpy as np
from cflows.proposals import Proposals

from table import figure, markdown

ROWS = 8000


def read(folder: str) -> np.ndarray:
    """Standardised, with ties broken: 45,730 x 10."""
    with np.load(Path(folder) / "protein_casp.npz") as file:
        data = np.asarray(file["data"], np.float64)
    rng = np.random.default_rng(0)
    data = (data - data.mean(axis=0)) / data.std(axis=0)
    return rng.permutation(data + 1e-3 * rng.normal(size=data.shape))


def with_gaps(x: np.ndarray, share: float, seed: int) -> np.ndarray:
    return np.where(np.random.default_rng(seed).uniform(size=x.shape) < share, np.nan, x)


def fitted(recipe: str, x: np.ndarray, seed: int, missing: str = "error") -> cf.Flow:
    flow = getattr(cf, recipe)(x.shape[1], seed=seed)
    flow.fit(x, epochs=100, missing=missing, seed=seed, progress=False)
    return flow


def error(found: np.ndarray, truth: np.ndarray, gaps: np.ndarray) -> float:
    gone = np.isnan(gaps)
    return float(np.sqrt(np.mean((found - truth)[gone] ** 2)))


def predicted(flow: cf.Flow, gaps: np.ndarray) -> np.ndarray:
    return np.mean([flow.impute(gaps, draws=200, seed=seed) for seed in range(20)], axis=0)


def conditional_means(train: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    normal = Proposals.of_rows(train, np.zeros(train.shape[1], bool))
    draws, _ = normal.draw(gaps, 200, np.random.default_rng(0))
    return draws.mean(axis=1)


def measured(data: np.ndarray, recipe: str, share: float, seed: int) -> dict[str, float]:
    train, test = data[:ROWS], data[ROWS : ROWS + 4000]
    gaps = with_gaps(train, share, seed)
    flows = {
        "all numbers": fitted(recipe, train, seed),
        "complete rows": fitted(recipe, gaps[~np.isnan(gaps).any(axis=1)], seed),
        "marginal": fitted(recipe, gaps, seed, "marginal"),
    }
    result = {f"nats: {name}": float(flow.log_prob(test).mean()) for name, flow in flows.items()}
    holes = with_gaps(test, share, seed + 100)
    means = np.broadcast_to(np.nanmean(gaps, axis=0), test.shape)
    return result | {
        "error: mean": error(means, test, holes),
        "error: normal": error(conditional_means(gaps, holes), test, holes),
        "error: flow": error(predicted(flows["marginal"], holes), test, holes),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--recipe", default="maf")
    chosen = parser.parse_args()
    data = read(chosen.folder)
    runs = [measured(data, chosen.recipe, chosen.share, seed) for seed in range(chosen.seeds)]
    rows = [[name, figure(float(np.median([run[name] for run in runs])), 4)] for name in runs[0]]
    print(markdown([f"{chosen.recipe}, {chosen.share:.0%} missing", "median"], rows))


if __name__ == "__main__":
    main()
