"""Layers of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import cflows as cf

from .networks import conv_net
from .sources import Source, Sources
from .univariates import scale_of

if TYPE_CHECKING:
    from .case import Case


def channel_affine(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    sources: Sources = {name: Source(f"{at}/{name}") for name in ("shift", "log_scale")}
    undoes = layer["x_to_u"] == "y = (x - shift)*exp(-log_scale)"
    return cf.ActNorm() if undoes else cf.Inverse(cf.ActNorm()), sources


def squeeze(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    assert layer["order"] == "channel_major"
    return cf.Squeeze(), {}


def checkerboard_affine(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    conditioner, sources = conv_net(layer["net"], "conditioner", at, None, None)
    mask = case.arrays[f"{at}/mask"]
    odd = bool(mask[0, 1])
    np.testing.assert_array_equal(mask, np.indices(mask.shape).sum(axis=0) % 2 == odd)
    options = {"swap": odd, "conditioner": conditioner, "scale": scale_of(layer)}
    return cf.Inverse(cf.Coupling("checkerboard", **options)), sources


def split(
    layer: dict[str, Any], at: str, rest: list[Any], found: Sources
) -> tuple[cf.Split, Sources]:
    """A split whose inner layers, base to data, are `rest`, with their sources."""
    options: dict[str, Any] = {"swap": layer["factored"] == "first"}
    sources = dict(found)
    if "prior" in layer:
        outputs = layer["prior"]["channels"][-1]  # means, then logarithms of scales
        rows = np.roll(np.arange(outputs), outputs // 2)
        conditioner, prior = conv_net(layer["prior"], "prior.conditioner", at, rows, None)
        options |= {"conditioner": conditioner, "scale": "exp"}
        sources |= prior
    return cf.Split(rest, **options), sources
