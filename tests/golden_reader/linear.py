"""Linear layers and permutations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import cflows as cf

from .description import expect
from .sources import LogDiagonal, Part, Places, Source, Sources

if TYPE_CHECKING:
    from .case import Case


def permutation(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    expect(layer, "mode", "shuffle", "swap")  # the array has either
    return cf.Inverse(cf.Permutation(case.arrays[f"{at}/permutation"])), {}


def diag_affine_const(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    shift, scale = case.arrays[f"{at}/shift"], case.arrays[f"{at}/scale"]
    return cf.Inverse(cf.Affine(shift, scale)), {}


def triangle(name: str, key: str, n: int, upper: bool) -> Sources:
    """Entries of a strict triangle, row by row."""
    rows, columns = np.triu_indices(n, 1) if upper else np.tril_indices(n, -1)
    return {f"{name}.weight": Places(n * n, {key: rows * n + columns})}


def lu_linear(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    expect(layer, "param", "lu_permute")
    n = len(case.arrays[f"{at}/bias"])
    permutation = case.arrays.get(f"{at}/permutation", np.arange(n))
    spec = cf.Chain(
        [
            cf.Permutation(permutation),
            cf.Triangular(upper=True, scale=cf.Scale("softplus", minimum=layer["eps"])),
            cf.Triangular(unit=True, bias=True),
        ]
    )
    sources = triangle("layers.1", f"{at}/upper_entries", n, True)
    sources |= triangle("layers.2", f"{at}/lower_entries", n, False)
    sources["layers.1.diagonal"] = Source(f"{at}/unconstrained_upper_diag")
    sources["layers.2.bias"] = Source(f"{at}/bias")
    return cf.Inverse(spec), sources


def householder_sequence(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    vectors = f"{at}/q_vectors"
    spec = cf.Householder(len(case.arrays[vectors]))
    return cf.Inverse(spec), {"vectors": Source(vectors)}


def qr_linear(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    vectors = f"{at}/q_vectors"
    reflections = cf.Householder(len(case.arrays[vectors]), bias=True)
    sources = triangle("layers.0", f"{at}/upper_entries", case.meta["features"], True)
    sources["layers.0.diagonal"] = Source(f"{at}/log_upper_diag")
    sources["layers.1.vectors"] = Source(vectors)
    sources["layers.1.bias"] = Source(f"{at}/bias")
    return cf.Inverse(cf.Chain([cf.Triangular(upper=True), reflections])), sources


def transposed_triangle(key: str, n: int, upper: bool) -> Places:
    """A strict triangle of their matrix, transposed."""
    rows, columns = np.indices((n, n))
    inside = rows < columns if upper else columns < rows
    return Places(n * n, {key: np.where(inside, columns * n + rows, n * n)})


def plu_right(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    """u = U^T L^T P^T x."""
    n = case.meta["features"]
    spec = cf.Chain(
        [
            cf.Permutation(np.argmax(case.arrays[f"{at}/P"], axis=0)),
            cf.Triangular(upper=True, unit=True),
            cf.Triangular(signs=[int(s) for s in case.arrays[f"{at}/sign_S"]]),
        ]
    )
    return cf.Inverse(spec), {
        "layers.1.weight": transposed_triangle(f"{at}/L", n, upper=False),
        "layers.2.weight": transposed_triangle(f"{at}/U", n, upper=True),
        "layers.2.diagonal": Source(f"{at}/log_S"),
    }


def dense_right(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    n = case.meta["features"]
    places = np.arange(n * n).reshape(n, n).T
    spec = cf.Inverse(cf.Linear("dense", bias=False))
    return spec, {"weight": Places(n * n, {f"{at}/W": places})}


def rotation_expm(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    return cf.Inverse(cf.Rotation()), {"weight": Source(f"{at}/A")}


def lu_linear_zuko(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    """u = L U x; L's diagonal, which may be negative, stands in their one array."""
    n = case.meta["features"]
    key = f"{at}/LU"
    diagonal = np.diag(case.arrays[key])
    spec = cf.Chain(
        [
            cf.Triangular(upper=True, unit=True),
            cf.Triangular(signs=[int(s) for s in np.sign(diagonal)], scale="exp"),
        ]
    )
    rows, columns = np.indices((n, n))
    above, below = (
        Part(n * n, {key: np.where(inside, rows * n + columns, n * n)})
        for inside in (rows < columns, columns < rows)
    )
    return cf.Inverse(spec), {
        "layers.0.weight": above,
        "layers.1.weight": below,
        "layers.1.diagonal": LogDiagonal(key),
    }
