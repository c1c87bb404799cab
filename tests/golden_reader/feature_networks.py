"""Networks for each feature with weights of their own, in a transform."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cflows as cf

from .sources import Source, Sources

if TYPE_CHECKING:
    from .case import Case


def feature_networks(univariate: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    """The transform, as theirs goes from x to u, and where its weights come from."""
    kind, count = univariate["kind"], univariate["n_linear"]
    keys = [f"{at}/{kind}/linear{k}" for k in range(count)]
    sources: Sources = {
        f"transform.linear{k}.{name}": Source(f"{key}/{name}")
        for k, key in enumerate(keys)
        for name in ("weight", "bias")
    }
    hidden = tuple(case.arrays[f"{key}/weight"].shape[1] for key in keys[:-1])
    if kind == "mnn":
        return cf.MonotoneNetwork(univariate["signal"], hidden), sources
    bound = cf.Scale("softclip", bound=7.0)
    return cf.IntegratedNetwork(univariate["signal"], hidden, scale=bound), sources


FEATURE_NETWORKS = ("mnn", "umnn")
