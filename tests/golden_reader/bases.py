"""Bases."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

import cflows as cf

from .networks import mlp
from .sources import LogDiagonal, Part, Source, Sources, Zeros

if TYPE_CHECKING:
    from .case import Case


def standard_normal(base: dict[str, Any], case: Case) -> tuple[Any, Sources]:
    return cf.Normal(), {}


def diag_normal(base: dict[str, Any], case: Case) -> tuple[Any, Sources]:
    """With a network, of the context, its outputs are locs, then logarithms of scales."""
    if "net" in base:
        conditioner, sources = mlp(base["net"], "base.conditioner", "base", None, None)
        return cf.Normal(conditioner=conditioner), sources
    sources = {"base.loc": Source("base/loc"), "base.log_scale": Source("base/log_scale")}
    return cf.Normal(learned=True), sources


def minimum_scale(base: dict[str, Any]) -> float:
    """What is added to the exponentials of the diagonal: a number, or in the formula alone."""
    given = base.get("eps")
    number = r"([0-9.]+(?:e-?[0-9]+)?)"
    found = re.search(rf"exp\([a-z_]*diag[a-z_]*\) *\+ *{number}", base.get("formula", ""))
    if given is not None:
        return float(given)
    return float(found[1]) if found else 0.0


# What they may call logarithms of scales, a triangle's rows below the diagonal, whole triangles.
LOG_SCALES = ("log_scale", "log_diag", "diag", "diagonal")
ROWS_BELOW = ("tril", "lower", "off_diagonal")
TRIANGLES = ("scale_tril", "L", "cholesky")


def the_one(names: tuple[str, ...], case: Case) -> str | None:
    """Which of these arrays the base has."""
    found = [name for name in names if f"base/{name}" in case.arrays]
    if len(found) > 1:
        raise ValueError(f"the base has {' and '.join(found)}")
    return f"base/{found[0]}" if found else None


def below_diagonals(key: str, case: Case) -> Part:
    """Rows below the diagonals of matrices, of which theirs has several or one."""
    shape = case.arrays[key].shape
    n, count = shape[-1], int(np.prod(shape[:-2]))
    size, rows, columns = n * (n - 1) // 2, *np.tril_indices(n, -1)
    places = np.full((count, n, n), count * size)
    places[:, rows, columns] = np.arange(count * size).reshape(count, size)
    return Part(count * size, {key: places.reshape(shape)})


def factors(case: Case, sources: Sources) -> None:
    """Adds what is on diagonals and below."""
    whole, diagonal, below = (the_one(n, case) for n in (TRIANGLES, LOG_SCALES, ROWS_BELOW))
    if whole is not None and diagonal is None and below is None:
        sources["base.log_scale"] = LogDiagonal(whole)
        sources["base.lower"] = below_diagonals(whole, case)
    elif whole is None and diagonal is not None and below is not None:
        sources["base.log_scale"] = Source(diagonal)
        sources["base.lower"] = Source(below)
    else:
        raise ValueError("the base has no triangular factor")


def mixture(base: dict[str, Any], case: Case) -> tuple[Any, Sources]:
    count = case.arrays["base/logits"].size
    names = ("logits", "loc", "log_scale")
    return cf.Mixture(count), {f"base.{name}": Source(f"base/{name}") for name in names}


def triangular_mixture(base: dict[str, Any], case: Case) -> tuple[Any, Sources]:
    """Factors of covariances, one a component or one for all. With a network, of the context, its
    outputs are logits, locs, logarithms of diagonals, and rows below them."""
    kind, least, features = "full", minimum_scale(base), case.meta["features"]
    triangle = features * (features - 1) // 2
    if "net" in base:
        count, rest = divmod(base["net"]["sizes"][-1], 1 + 2 * features + triangle)
        if rest != 0 or ("components" in base and base["components"] != count):
            raise ValueError("the network's outputs are not those of a mixture")
        conditioner, sources = mlp(base["net"], "base.conditioner", "base", None, None)
        for name, numbers in {
            "logits": (count,),
            "loc": (count, features),
            "log_scale": (count, features),
            "lower": (count, triangle),
        }.items():
            sources[f"base.{name}"] = Zeros(numbers)
    else:
        conditioner, count = None, case.arrays["base/logits"].size
        sources = {f"base.{name}": Source(f"base/{name}") for name in ("logits", "loc")}
        factors(case, sources)
        if sources["base.log_scale"].read(case.arrays).size == features and count > 1:
            kind = "tied"
    options = {"covariance_type": kind, "conditioner": conditioner, "minimum_scale": least}
    return cf.Mixture(count, **options), sources


def box_uniform(base: dict[str, Any], case: Case) -> tuple[Any, Sources]:
    return cf.Uniform(base["lower"], base["upper"]), {}


BASES = {
    "standard_normal": standard_normal,
    "diag_normal": diag_normal,
    "gaussian_mixture_diag": mixture,
    "gaussian_mixture_full": triangular_mixture,
    "gaussian_mixture_tril": triangular_mixture,
    "gaussian_mixture_triangular": triangular_mixture,
    "box_uniform": box_uniform,
}


def base_of(described: dict[str, Any], case: Case) -> tuple[Any, Sources]:
    """The base, and where each of its parameters' values come from."""
    if described["type"] not in BASES:
        raise ValueError(f"base has the unknown type {described['type']}")
    return BASES[described["type"]](described, case)
