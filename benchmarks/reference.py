"""The log density that all libraries must agree on, in plain NumPy and float64."""

from __future__ import annotations

import math

import numpy as np

from architectures import LOG_SCALE_BOUND, Linear, RealNVP


def mlp(linears: list[Linear], h: np.ndarray) -> np.ndarray:
    """ReLU multi-layer perceptron of h (n, in), without activation at its output."""
    for k, (weight, bias) in enumerate(linears):
        h = np.maximum(h, 0) if k else h
        h = h @ weight.astype(np.float64).T + bias
    return h


def log_prob(architecture: RealNVP, weights: list[list[Linear]], x: np.ndarray) -> np.ndarray:
    """log p(x) = log N(u; 0, I) + Σ s over all layers, shape (n,), for x (n, features)."""
    u = np.array(x, dtype=np.float64)
    log_det = np.zeros(len(u))
    for coupling, linears in zip(architecture.couplings, weights, strict=True):
        shift, raw = np.split(mlp(linears, u[:, coupling.identity]), 2, axis=1)
        log_scale = raw / (1 + np.abs(raw) / LOG_SCALE_BOUND)
        u[:, coupling.transformed] = u[:, coupling.transformed] * np.exp(log_scale) + shift
        log_det += log_scale.sum(axis=1)
    return log_det - 0.5 * (u**2).sum(axis=1) - 0.5 * u.shape[1] * math.log(2 * math.pi)
