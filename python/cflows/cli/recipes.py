"""Flows by the names of their recipes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from .. import (
    Flow,
    bnaf,
    cnf,
    gaussianization,
    glow1d,
    iaf,
    maf,
    naf,
    ncsf,
    nice,
    nsf,
    nsf_ar,
    planar,
    realnvp,
    residual,
    sylvester,
)
from ..columns import Column
from .tables import Table

RECIPES: dict[str, Callable[..., Flow]] = {
    recipe.__name__: recipe
    for recipe in (
        *(realnvp, nice, glow1d, nsf, nsf_ar, ncsf, maf, iaf),
        *(naf, bnaf, gaussianization, residual, planar, sylvester, cnf),
    )
}

# These take circular columns, and one number as `hidden`: the width of residual networks.
_SPLINES = ("nsf", "nsf_ar", "ncsf")


def build(
    table: Table,
    columns: list[Column] | None,
    context_columns: list[Column] | None,
    arguments: argparse.Namespace,
) -> Flow:
    """The flow that the options of ``cflows fit`` ask for."""
    sizes: dict[str, Any] = {}
    if arguments.layers is not None:
        sizes["layers"] = arguments.layers
    if arguments.hidden is not None:
        one = len(arguments.hidden) == 1 and arguments.recipe in _SPLINES
        sizes["hidden"] = arguments.hidden[0] if one else arguments.hidden
    if arguments.recipe == "ncsf" and arguments.circular is None:
        raise ValueError(
            "--recipe ncsf learns angles, which --circular names: expected one or more"
        )
    return RECIPES[arguments.recipe](
        table.x.shape[1],
        **sizes,
        context_features=0 if table.context is None else table.context.shape[1],
        context_columns=context_columns,
        columns=columns,
        dtype=arguments.dtype,
        seed=arguments.seed,
    )
