"""Residual layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cflows as cf

from .sources import Source, Sources

if TYPE_CHECKING:
    from .case import Case

# What they call the activations of a residual layer.
ACTIVATIONS = {"swish": "lipswish", "sin": "sine"}


def residual(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    name, _, order = layer["act"].rpartition("_")
    activation = ACTIVATIONS.get(name, name)
    before = {"before": True, "after": False}[order]
    spec = cf.Residual(
        hidden=tuple(layer["sizes"][1:-1]),
        activation=activation,
        activation_first=before,
        coefficient=layer["coeff"],
    )
    sources: Sources = {}
    for i in range(layer["n_linear"]):
        theirs, ours = f"{at}/linear{i}", f"linear{i}"
        sources |= {
            f"{ours}.weight": Source(f"{theirs}/weight"),
            f"{ours}.bias": Source(f"{theirs}/bias"),
            f"{ours}.left": Source(f"{theirs}/u"),
            f"{ours}.right": Source(f"{theirs}/v"),
        }
        if activation == "lipswish" and (before or i > 0):
            sources[f"activation{i}.beta"] = Source(f"{at}/act{i}/beta")
    return spec, sources
