"""Bases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cflows as cf

from .sources import Source, Sources

if TYPE_CHECKING:
    from .case import Case


def standard_normal(base: dict[str, Any], case: Case) -> tuple[Any, Sources]:
    return cf.Normal(), {}


def diag_normal(base: dict[str, Any], case: Case) -> tuple[Any, Sources]:
    sources = {"base.loc": Source("base/loc"), "base.log_scale": Source("base/log_scale")}
    return cf.Normal(learned=True), sources


def mixture(base: dict[str, Any], case: Case) -> tuple[Any, Sources]:
    count = case.arrays["base/logits"].size
    names = ("logits", "loc", "log_scale")
    return cf.Mixture(count), {f"base.{name}": Source(f"base/{name}") for name in names}


def box_uniform(base: dict[str, Any], case: Case) -> tuple[Any, Sources]:
    return cf.Uniform(base["lower"], base["upper"]), {}


BASES = {
    "standard_normal": standard_normal,
    "diag_normal": diag_normal,
    "gaussian_mixture_diag": mixture,
    "box_uniform": box_uniform,
}
