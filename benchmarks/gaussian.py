"""Gaussians of maximum likelihood: what a flow has to beat."""

from __future__ import annotations

import math

import numpy as np


def log_prob(fitted_on: np.ndarray, x: np.ndarray) -> np.ndarray:
    """log N(x; mean, covariance) with the moments of `fitted_on` (n, features), shape (len(x),)."""
    rows = np.asarray(fitted_on, np.float64)
    mean = rows.mean(axis=0)
    factor = np.linalg.cholesky(np.cov(rows.T, bias=True))
    white = np.linalg.solve(factor, (x - mean).T)
    log_det = np.log(np.diagonal(factor)).sum()
    return -0.5 * (white**2).sum(axis=0) - log_det - 0.5 * len(mean) * math.log(2 * math.pi)


def diagonal_log_prob(fitted_on: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The same with independent features."""
    rows = np.asarray(fitted_on, np.float64)
    mean, std = rows.mean(axis=0), rows.std(axis=0)
    constant = np.log(std).sum() + 0.5 * len(mean) * math.log(2 * math.pi)
    return -0.5 * (((x - mean) / std) ** 2).sum(axis=1) - constant
