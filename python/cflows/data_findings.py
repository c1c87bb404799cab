"""What there is to say of the columns of a table that a flow is about to learn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from . import _core
from .column_statistics import Columns, collinear, share_of_circle

if TYPE_CHECKING:
    from .flow import Flow

__all__ = ["TOO_FINE", "Sample", "findings", "findings_of_context"]

Float = NDArray[np.float64]
Flags = NDArray[np.bool_]
# Indices of columns of x, or of the context, and what is to be said of them.
Finding = tuple[list[int], str]


# Layers that shift and scale a single column.
STRAIGHT = ("Affine", "ActNorm", "BatchNorm", "Linear", "Triangular", "Permutation")
NORMS = ("ActNorm", "BatchNorm")
SINGULAR = 1e-5  # eigenvalue of the correlation matrix
FAR_SHARE = 0.003  # of numbers far from all others: not a few
ARC = 0.4  # of the circle
TOO_FINE = (
    "too fine for the digits of the flow's dtype where it sees {it}: give the flow a last "
    "Affine(), which is computed in float64, or take dtype='float64'"
)


@dataclass(frozen=True)
class Sample:
    """Some rows of a table without gaps.

    Attributes
    ----------
    x, z : Columns
        As they are, and behind the maps beside the data.
    angles : ndarray, shape (features,)
        Whether the column of z is one of angles.
    context : Columns
        Those of it that are numbers, not categories.
    numbers : list of int
        Their indices.
    noisy : ndarray, shape (features,)
        Whether noise is added to the column.
    """

    x: Columns
    z: Columns
    angles: Flags
    context: Columns
    numbers: list[int]
    noisy: Flags


def findings(flow: Flow, sample: Sample, again: bool) -> Iterator[Finding]:
    """Of the columns of x; `again` says that the fit sets their units whatever earlier ones did."""
    x, noisy = sample.x, sample.noisy
    constant = ~x.vary()
    yield _where(constant & ~noisy), "one value in all rows, which has no density: drop {it}"
    free = ~constant & ~noisy & (not flow.stochastic)
    whole = free & x.are_whole()
    rounded = free & ~whole & x.have_few_values()
    often = free & ~whole & ~rounded & x.have_one_value_often()
    yield (
        _where(whole),
        "whole numbers, whose density is unbounded: give fit(jitter=…) their spacing, or make the "
        "flow with columns=[…, count or ordinal(levels), …]",
    )
    yield (
        _where(rounded),
        "few different numbers, such as rounded ones, whose density is unbounded: give "
        "fit(jitter=…) their spacing",
    )
    yield (
        _where(often),
        "one value in many rows, such as one that stands for a missing number, has no density: "
        "drop these rows, or give fit(jitter=…) a width",
    )
    yield (
        [0] if _is_straight(flow) else [],
        "the only one, and this flow shifts and scales it, no more, so that it learns a normal "
        "distribution: take nsf or nsf_ar, whose splines bend",
    )
    yield from _findings_of_scale(flow, sample, ~constant, again)
    # Noise of its own makes a column independent of the others.
    exact = ~constant & ~noisy & ~whole & ~rounded
    yield from _findings_of_dependence(flow, sample, np.flatnonzero(exact))


def _findings_of_scale(
    flow: Flow, sample: Sample, varying: Flags, again: bool
) -> Iterator[Finding]:
    z, angles = sample.z, sample.angles
    far = (varying & ~angles) * z.far_shares()
    heavy = far > FAR_SHARE
    robust, light = _is_robust(flow), isinstance(flow.base, _core.Normal)
    yield (
        _where((far > 0.0) & (not robust)),
        "numbers far from all others set the scale: drop them if they are errors, make the flow "
        "with standardize='robust', or take logarithms (cflows.positive)",
    )
    yield (
        _where(heavy & robust & light),
        "many numbers far from all others, as of heavy tails: take logarithms, or make the flow "
        "with base=cf.StudentT(df)",
    )
    yield (
        _where(varying & ~angles & z.are_in_groups()),
        "in groups far apart, beside which each is narrow and badly learned: fit a flow to "
        "each, or subtract each group's middle and give the group as a context",
    )
    if again or _awaits(flow):
        return
    off = ~angles & z.are_off() & (not _has_norms(flow))
    for i in np.flatnonzero(angles):
        off[i] = share_of_circle(z.columns[i]) < ARC
    told = varying & off & _sees_units(flow)
    yield _where(told), _units(_standardizes(flow))
    yield _where(~told & z.are_too_fine(flow.dtype)), TOO_FINE


def _units(standardized: bool) -> str:
    if standardized:
        return (
            "far from the numbers whose units an earlier fit has set, and which the flow keeps: "
            "fit(…, standardize='again') sets them anew"
        )
    return (
        "far from 0 or of a scale far from 1, and nothing standardises {it}: leave standardize as "
        "it is, give the flow a last Affine(), or standardise {it} first"
    )


def _findings_of_dependence(
    flow: Flow, sample: Sample, columns: NDArray[np.int64]
) -> Iterator[Finding]:
    least = SINGULAR**2 if _whitens(flow) else SINGULAR
    x, z = sample.x.columns[columns], sample.z.columns[columns]
    found = collinear(z, least)
    if not found and sample.x is not sample.z:
        found = collinear(x, SINGULAR**2)
    yield (
        [int(columns[i]) for i in found],
        "one is nearly a linear function of the others, so that the density is nearly unbounded: "
        "drop it, give the difference instead, or make the flow with standardize='whiten'",
    )
    varying = sample.context.vary()
    if found or flow.stochastic or not varying.any():
        return
    found = collinear(np.vstack([z, sample.context.columns[varying]]), SINGULAR)
    yield (
        [int(columns[i]) for i in found if i < len(columns)],
        "nearly a linear function of the context, so that the density is nearly unbounded: give "
        "the difference instead, or fit(jitter=…) a width",
    )


def findings_of_context(flow: Flow, sample: Sample, again: bool) -> Iterator[Finding]:
    """Of the context's columns of numbers."""
    context, numbers = sample.context, np.array(sample.numbers, np.int64)
    if not sample.numbers:
        return
    shift_scale = flow.buffers.get("context.shift_scale")
    if shift_scale is not None:
        far = context.far_shares() > 0.0
        yield (
            numbers[far].tolist(),
            "numbers far from all others set the scale: take logarithms or, where they stand for "
            "missing ones, put an ordinary number in their place, and a further column of 0 and 1 "
            "that says so",
        )
        yield (
            numbers[context.are_in_groups()].tolist(),
            "in groups far apart, beside which each is narrow and badly told apart: give the group "
            "as a column of its own (cflows.categorical), and the numbers less the middle of "
            "theirs",
        )
        shift, scale = shift_scale.reshape(2, -1)[:, numbers]
        if again or (not shift.any() and (scale == 1.0).all()):
            return
        context = Columns((context.columns.T - shift) / scale)
    off = context.are_off() & context.vary()
    if shift_scale is not None:
        yield numbers[off].tolist(), _units(True)
    elif flow.embedding is None:
        yield (
            numbers[off].tolist(),
            "far from 0 or of a scale far from 1, and nothing standardises {it}: leave "
            "standardize_context as it is, or standardise {it} first",
        )


# -- flows -- #


def _sees_units(flow: Flow) -> bool:
    """Whether it matters to the flow: not to one of integers that have their own units."""
    return not flow.stochastic or _is_variational(flow) or _standardizes(flow)


def _is_variational(flow: Flow) -> bool:
    """Whether it is a VAE of real numbers."""
    last = flow.layers[-1:]
    return any(
        layer.type == "Variational"
        and isinstance(layer.options["likelihood"], _core.NormalLikelihood)
        for layer in last
    )


def _is_straight(flow: Flow) -> bool:
    """Whether couplings of one column are lines alone, over a normal base."""
    bent = flow.layers[: len(flow.layers) - flow.fixed_maps]
    return (
        flow.features == 1
        and isinstance(flow.base, _core.Normal)
        and any(layer.type in ("Coupling", "Autoregressive") for layer in bent)
        and all(
            layer.type in STRAIGHT or layer.options.get("transform") in ("affine", "additive")
            for layer in bent
        )
    )


def _standardizing(flow: Flow) -> Iterator[Float]:
    """Shift and scale of the layers that a fit sets."""
    for i, layer in enumerate(flow.layers):
        spec = layer.options["layer"] if layer.type == "OnFeatures" else layer.spec
        options = spec.options
        if spec.type not in ("Affine", "Mobius") or options.get("learned"):
            continue
        chosen = options.get("standardize")
        if (chosen is None and options["shift"] is options["scale"] is None) or np.any(chosen):
            yield flow.buffers[f"layers.{i}.shift_scale"]


def _standardizes(flow: Flow) -> bool:
    return any(True for _ in _standardizing(flow))


def _awaits(flow: Flow) -> bool:
    """Whether this fit is the first to set them."""
    return any(
        not shift.any() and (scale == 1.0).all()
        for shift, scale in (buffer.reshape(2, -1) for buffer in _standardizing(flow))
    )


def _has_norms(flow: Flow) -> bool:
    """Whether layers normalise what they see."""
    return any(layer.type in NORMS for layer in flow.layers) and not _standardizes(flow)


def _is_robust(flow: Flow) -> bool:
    return any(layer.type == "Affine" and layer.options["robust"] for layer in flow.layers)


def _whitens(flow: Flow) -> bool:
    return any(layer.type == "Triangular" and layer.options["standardize"] for layer in flow.layers)


def _where(which: Flags) -> list[int]:
    return [int(i) for i in np.flatnonzero(which)]
