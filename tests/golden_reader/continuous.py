"""Continuous flows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import cflows as cf

from .networks import mlp
from .sources import Sources

if TYPE_CHECKING:
    from .case import Case

TOLERANCE = 1e-12  # theirs


def cnf(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    """u = x(1), whose network reads waves of the time, x and the context."""
    if (layer["t0"], layer["t1"]) != (0.0, 1.0):
        raise ValueError(f"no continuous flow runs from {layer['t0']} to {layer['t1']}")
    features, times = case.meta["features"], 2 * layer["freqs"]
    context = case.context_features if layer["use_context"] else 0
    columns = np.concatenate(
        [
            np.arange(times, times + features),
            np.arange(times),
            np.arange(times + features, times + features + context),
        ]
    )
    network, sources = mlp(layer["net"], "network", at, None, columns)
    options: dict[str, Any] = {"frequencies": layer["freqs"], "steps": 5000}
    spec = cf.Continuous(network, rtol=TOLERANCE, atol=TOLERANCE, **options)
    return cf.Inverse(spec), sources
