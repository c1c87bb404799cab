"""Planar, radial and Sylvester flows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cflows as cf

from .sources import Source, Sources

if TYPE_CHECKING:
    from .case import Case


def turned(spec: Any, layer: dict[str, Any]) -> Any:
    """The layer of which x -> u is f, or the inverse of f, which `spec` has from u to x."""
    directions = {"f": cf.Inverse, "inverse of f": lambda spec: spec}
    return directions[layer["x_to_u"]](spec)


def named(names: dict[str, str], at: str) -> Sources:
    return {ours: Source(f"{at}/{theirs}") for ours, theirs in names.items()}


def planar(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    h, _, slope = layer["h"].partition(":")
    spec = cf.Planar(h, float(slope)) if slope else cf.Planar(h)
    return turned(spec, layer), named({"w": "w", "u": "u", "b": "b"}, at)


def radial(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    names = {"z_0": "z_0", "alpha": "alpha", "beta": "beta"}
    return turned(cf.Radial(), layer), named(names, at)


def sylvester(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    columns, reflections = (len(case.arrays[f"{at}/{name}"]) for name in ("R", "q_vectors"))
    names = {
        "R": "R",
        "R_tilde": "Rt",
        "diagonal": "diag1",
        "diagonal_tilde": "diag2",
        "b": "b",
        "vectors": "q_vectors",
    }
    return turned(cf.Sylvester(columns, reflections), layer), named(names, at)
