"""Mean difference of two libraries over the same test rows and the same seeds."""

from __future__ import annotations

import math

import numpy as np


def difference(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """Mean of ours - theirs, and its standard error, for log densities (seeds, rows).

    Rows and seeds are crossed: a row is easy or hard for every seed, a seed is lucky or not for
    every row. With d_si = mu + a_s + b_i + e_si, the variance of the mean over S seeds and n rows,
    var(a) / S + var(b) / n + var(e) / (S n), is estimated without bias by

        (MS_seeds + MS_rows - MS_residual) / (S n)

    with the mean squares of the two-way layout; Searle, Casella and McCulloch 1992, Variance
    Components, section 4.5. One seed tells nothing about seeds: the error is then that of the rows
    alone.
    """
    d = np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)
    seeds, rows = d.shape
    mean, by_seed, by_row = d.mean(), d.mean(axis=1), d.mean(axis=0)
    if seeds == 1:
        return float(mean), float(by_row.std(ddof=1) / math.sqrt(rows))
    seed_square = rows * by_seed.var(ddof=1)
    row_square = seeds * by_row.var(ddof=1)
    residual = d - by_seed[:, None] - by_row + mean
    residual_square = (residual**2).sum() / ((seeds - 1) * (rows - 1))
    # Where the effects are tiny the estimate can fall below zero: then the rows' part stands.
    variance = max(seed_square + row_square - residual_square, row_square) / (seeds * rows)
    return float(mean), math.sqrt(variance)
