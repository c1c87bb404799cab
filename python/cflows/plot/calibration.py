"""Whether the densities of a flow of one feature are those of data: calibration."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import integer
from ..names import array_by_name
from .canvas import DATA_COLOUR, SAMPLES_COLOUR, Float, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..flow import Flow

_BAND = 2.5758  # standard deviations around 99 % of a normal


def pit(
    flow: Flow,
    x: ArrayLike,
    context: ArrayLike | None = None,
    *,
    bins: int = 20,
    ax: Axes | None = None,
) -> Axes:
    """Draw the histogram of ``flow.cdf(x, context)``, the probability integral transform of data.

    Where the flow is right it is flat: of a bin of share ``q`` the count of ``n`` rows is binomial,
    within 99 % of its mean by the band ``n q +- 2.58 sqrt(n q (1 - q))``. A hump says that the
    densities are too wide, a bowl that they are too narrow, a slope that they lie to one side.
    Values of columns of integers are spread over their steps, by random numbers of a fixed seed.

    Parameters
    ----------
    flow : Flow
        Of one feature.
    x : array_like, shape (n,) or (n, 1)
        Data that the flow has not been fitted to. NaN is left out.
    context : array_like, shape (n, context_features), optional
    bins : int, default 20
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        As of `Flow.cdf`, if there are no numbers, or if `bins` is below 1.
    TypeError
        If `bins` is not an int.
    ImportError
        If matplotlib is missing.

    See Also
    --------
    calibration : observed shares against quantiles.

    References
    ----------
    Gneiting et al. 2007, Probabilistic forecasts, calibration and sharpness, J. R. Stat. Soc. B
    69(2). Czado et al. 2009, Predictive model assessment for count data, Biometrics 65(4).

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.maf(1, layers=1, hidden=8, seed=0)
    >>> ax = cf.plot.pit(flow, flow.sample(1000, seed=1))
    """
    bins = integer("bins", bins, 1)
    values = _transformed(flow, x, context)
    counts, edges = np.histogram(values, bins, range=(0.0, 1.0))
    mean = len(values) / bins
    half = _BAND * math.sqrt(mean * (1.0 - 1.0 / bins))
    ax = new_axes(5.0, 3.2) if ax is None else ax
    ax.axhspan(max(mean - half, 0.0), mean + half, color=DATA_COLOUR, alpha=0.35, linewidth=0.0)
    ax.axhline(mean, color="0.3", linewidth=1.0)
    ax.stairs(counts, edges, color=SAMPLES_COLOUR, linewidth=1.5)
    ax.set(xlim=(0.0, 1.0), xlabel="$P(X \\leq x)$", ylabel="rows", title=f"{len(values):,} rows")
    ax.set_ylim(bottom=0.0)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def calibration(
    flow: Flow,
    x: ArrayLike,
    context: ArrayLike | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw which share of data lies below the flow's quantiles, against their probability.

    Where the flow is right it is the diagonal, within 99 % at each point by the band ``p +- 2.58
    sqrt(p (1 - p) / n)``. The title says which share lies in the central intervals of 50, 90 and
    99 %.

    Parameters
    ----------
    flow : Flow
        Of one feature.
    x : array_like, shape (n,) or (n, 1)
        Data that the flow has not been fitted to. NaN is left out.
    context : array_like, shape (n, context_features), optional
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        As of `Flow.cdf`, or if there are no numbers.
    ImportError
        If matplotlib is missing.

    See Also
    --------
    pit : the same as a histogram.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.maf(1, layers=1, hidden=8, seed=0)
    >>> ax = cf.plot.calibration(flow, flow.sample(1000, seed=1))
    """
    values = np.sort(_transformed(flow, x, context))
    p = np.linspace(0.0, 1.0, 201)
    share = np.searchsorted(values, p, side="right") / len(values)
    half = _BAND * np.sqrt(p * (1.0 - p) / len(values))
    inside = [np.mean(np.abs(values - 0.5) <= mass / 2) for mass in (0.5, 0.9, 0.99)]
    ax = new_axes(4.2, 4.2) if ax is None else ax
    low, high = np.maximum(p - half, 0.0), np.minimum(p + half, 1.0)
    ax.fill_between(p, low, high, color=DATA_COLOUR, alpha=0.35, linewidth=0.0)
    ax.plot([0.0, 1.0], [0.0, 1.0], color="0.3", linewidth=1.0)
    ax.plot(p, share, color=SAMPLES_COLOUR, linewidth=1.5)
    ax.set(xlim=(0.0, 1.0), ylim=(0.0, 1.0), aspect="equal")
    ax.set(xlabel="expected: probability of the quantile", ylabel="observed: share of rows below")
    told = ", ".join(f"{share:.1%}" for share in inside)
    ax.set_title(f"in 50, 90, 99 %: {told}", fontsize="medium")
    return ax


def _transformed(flow: Any, x: ArrayLike, context: ArrayLike | None) -> Float:
    """The values of the distribution function, without NaN."""
    numbers = array_by_name(flow, "x", x).astype(np.float64)
    values: Float = flow.cdf(numbers, context)
    if flow.stochastic:  # steps
        below = flow.cdf(numbers - 1.0, context)
        spread = np.random.default_rng(0).uniform(size=values.shape)
        values = below + spread * (values - below)
    values = values[~np.isnan(values)]
    if len(values) == 0:
        raise ValueError("x has no row of numbers")
    return values
