"""Conditional densities on a grid, and of flows of one feature the distribution function and its
inverse: methods of Flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import _core
from .arrays import real_array, refuse_shape
from .families import Components, family_of
from .names import array_by_name

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .flow import Flow

__all__ = ["cdf", "is_circular", "log_prob_grid", "quantile"]

Float = NDArray[np.float64]

# Where the map of u to x is asked for its direction: at quantiles of the base.
_PROBES = np.array([0.4, 0.5, 0.6])
_POINTS_AT_ONCE = 1 << 16


def log_prob_grid(self: Flow, x: ArrayLike, context: ArrayLike) -> NDArray[Any]:
    """The log-density of every point under every context, ``log p(x_j | context_i)``.

    Parameters
    ----------
    x : array_like, shape (k, features), or (k,) if there is one feature
    context : array_like, shape (m, context_features)

    Returns
    -------
    ndarray, shape (m, k)
        In nats, of the flow's dtype.

    Raises
    ------
    ValueError
        If the flow has no context, or a shape is wrong.

    See Also
    --------
    Flow.log_prob : of points with a context each.
    quantile : numbers of given probabilities under every context.

    Examples
    --------
    >>> import numpy as np
    >>> import cflows as cf
    >>> flow = cf.nsf(1, layers=1, hidden=8, context_features=2, seed=0)
    >>> flow.log_prob_grid(np.linspace(-3, 3, 200), np.zeros((5, 2))).shape
    (5, 200)
    """
    if not self.context_features:
        raise ValueError(
            "log_prob_grid is for flows with a context: log_prob scores points without"
        )
    points = array_by_name(self, "x", x)
    points = points[:, None] if points.ndim == 1 and self.features == 1 else points
    if points.shape[1:] != self.shape:
        refuse_shape("x", points.shape, self.shape)
    rows = array_by_name(self, "context", context)
    if rows.ndim != 2 or rows.shape[1] != self.context_features:
        refuse_shape("context", rows.shape, (self.context_features,))
    found = np.empty((len(rows), len(points)), self.dtype)
    at_once = max(1, _POINTS_AT_ONCE // max(1, len(points)))
    for first in range(0, len(rows), at_once):
        some = rows[first : first + at_once]
        every = np.tile(points, (len(some), *[1] * (points.ndim - 1)))
        log_prob = self.log_prob(every, np.repeat(some, len(points), axis=0))
        found[first : first + at_once] = log_prob.reshape(len(some), len(points))
    return found


def cdf(self: Flow, x: ArrayLike, context: ArrayLike | None = None) -> Float:
    """The distribution function of a flow of one feature, ``P(X <= x | context)``.

    With u the inverse of x it is ``F(u)`` where u rises with x and ``1 - F(u)`` where it falls, F
    that of the base; both tails have small relative errors. Of data that the flow describes, the
    values are uniform on [0, 1]: they are the probability integral transform (PIT). Of columns of
    integers (`count`, `ordinal`) it is the probability of all integers up to x.

    Parameters
    ----------
    x : array_like, shape (n,) or (n, 1)
        One number stands for as many as there are contexts.
    context : array_like, shape (n, context_features), optional
        One row stands for all n. Required if the flow has context features.

    Returns
    -------
    ndarray of float64, shape (n,)
        0 and 1 outside of the support; NaN where x or its context is.

    Raises
    ------
    ValueError
        If the flow has more features, a circular column, or stochastic layers that are not beside
        the data, if it is not monotone, or if a shape is wrong.
    NumericalError
        If the flow is too narrow for its dtype to tell samples apart.

    See Also
    --------
    quantile : the inverse.
    cflows.plot.pit : a histogram of the values of data.

    References
    ----------
    Gneiting et al. 2007, Probabilistic forecasts, calibration and sharpness, J. R. Stat. Soc. B
    69(2).

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.Flow([cf.Exp()], features=1, dtype="float64", seed=0)  # log-normal
    >>> flow.cdf([-1.0, 1.0, 2.0]).round(4)
    array([0.    , 0.5   , 0.7559])
    """
    flow, levels = _continuous(self, "cdf")
    points = array_by_name(self, "x", x)
    if points.ndim > 1 and points.shape[1:] != (1,):
        raise ValueError(f"x must have shape (n,) or (n, 1), got {points.shape}")
    points = points.reshape(-1, 1)
    if levels:  # an integer is all numbers from there to the next, in units of the levels
        points = (np.floor(points.astype(np.float64)) + 1.0) / levels
    rows = _context_rows(self, context)
    u = np.asarray(flow.inverse(points, rows)[0], np.float64)[:, 0]
    base = _components(flow, rows)
    falls, middle = _direction(flow, base, rows)
    base = Components(*(np.broadcast_to(a, (len(u), a.shape[1])) for a in base))
    with np.errstate(invalid="ignore"):
        found = family_of(flow.base).probability(base, u, np.broadcast_to(falls, u.shape))
    outside = flow.log_prob(points, rows) == -np.inf
    return np.where(outside, points[:, 0] > middle, found)


def quantile(self: Flow, p: ArrayLike, context: ArrayLike | None = None) -> Float:
    """The quantiles of a flow of one feature: the x with ``P(X <= x | context) = p``.

    ``quantile([0.05, 0.95], context)`` is the central interval of 90 %. Of columns of integers it
    is the smallest integer of at least that probability.

    Parameters
    ----------
    p : array_like, shape (k,) or ()
        Above 0 and below 1.
    context : array_like, shape (m, context_features) or (context_features,), optional
        Every row goes with every p. Required if the flow has context features.

    Returns
    -------
    ndarray of float64, shape (m, k)
        Without an m if there is no context, or it is a vector; without a k if p is one number.

    Raises
    ------
    ValueError
        If a p is not between 0 and 1, or as of `cdf`.
    NumericalError
        As of `cdf`, or if a quantile of the base is beyond the flow's dtype.

    See Also
    --------
    cdf : the inverse.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.Flow([cf.Exp()], features=1, dtype="float64", seed=0)  # log-normal
    >>> flow.quantile([0.05, 0.5, 0.95]).round(4)
    array([0.193 , 1.    , 5.1803])
    """
    flow, levels = _continuous(self, "quantile")
    wanted = real_array("p", p).astype(np.float64)
    if wanted.ndim > 1:
        raise ValueError(f"p must have shape (k,) or be one number, got {wanted.shape}")
    if not np.all((wanted > 0.0) & (wanted < 1.0)):
        raise ValueError(f"p must be above 0 and below 1, got {p!r}")
    rows = _context_rows(self, context)
    base = _components(flow, rows)
    falls, _ = _direction(flow, base, rows)
    with np.errstate(invalid="ignore"):
        u = family_of(flow.base).point(base, np.atleast_1d(wanted), falls)
    x = _forward(flow, u, rows)
    if levels:
        x = np.minimum(np.floor(x * levels), levels - 1 if levels > 1 else np.inf)
    one = context is None or np.ndim(context) == 1
    return x.reshape(wanted.shape if one else (len(x), *wanted.shape))


def _continuous(flow: Flow, method: str) -> tuple[Flow, int]:
    """The flow without the rounding beside the data, and of how many levels that is: 1 if they
    are in the data's own units, 0 if there is none. ValueError if it has no distribution function
    that could be told from its base."""
    if flow.shape != (1,) or flow.base_shape != (1,):
        raise ValueError(
            f"{method} is that of tables of one feature, got samples of shape {flow.shape}: take "
            "quantiles of samples, flow.sample(n, context), or fit a flow of the one feature with "
            "the others as its context"
        )
    inner, levels = flow, 0
    if len(flow.layers) > 0 and flow.layers[-1].type == "Dequantize":
        inner, levels = flow.part(0, -1), flow.layers[-1].options["levels"] or 1
    if inner.stochastic:
        raise ValueError(f"{method} needs a flow without stochastic layers but a last Dequantize")
    if is_circular(inner):
        raise ValueError(
            f"{method} needs an order, which angles have none of: cut the circle of samples, "
            "flow.sample(n, context), and take quantiles there"
        )
    return inner, levels


def is_circular(flow: Flow) -> bool:
    """Whether a flow of one feature is one of angles."""
    return _turns((*(layer.spec for layer in flow.layers), flow.base))


def _turns(spec: Any) -> bool:
    """Whether a layer, or one inside, carries numbers around a circle."""
    if isinstance(spec, tuple):
        return any(map(_turns, spec))
    if not isinstance(spec, _core.Spec):
        return False
    options = spec.options
    circular = spec.type in ("CircularShift", "ShiftedTransform", "VonMises")
    return circular or options.get("tails") == "circular" or _turns(tuple(options.values()))


def _context_rows(flow: Flow, context: ArrayLike | None) -> NDArray[Any] | None:
    """The context as an array of rows, its columns in the flow's order."""
    if context is None:
        return None
    rows = array_by_name(flow, "context", context)
    return rows[None] if rows.ndim == 1 else rows


def _components(flow: Flow, rows: NDArray[Any] | None) -> Components:
    """The base at each row of the context."""
    one_a_row = np.zeros((1 if rows is None else len(rows), 1))
    found = flow._call("base_components", (one_a_row, rows))
    log_weight, loc, log_scale, log_shapes = (np.asarray(array, np.float64) for array in found)
    return Components(np.exp(log_weight), loc, np.exp(log_scale), np.exp(log_shapes))


def _direction(
    flow: Flow, base: Components, rows: NDArray[Any] | None
) -> tuple[NDArray[np.bool_], Float]:
    """Whether x falls as u rises, and the x of the base's median, at each row of the context."""
    x = _forward(
        flow, family_of(flow.base).point(base, _PROBES, np.zeros(len(base.loc), bool)), rows
    )
    steps = np.diff(x, axis=1)
    if ((steps.min(axis=1) < 0.0) & (steps.max(axis=1) > 0.0)).any():
        raise ValueError(
            "the flow is not monotone, so that u does not tell P(X <= x): take quantiles of "
            "samples, flow.sample(n, context)"
        )
    if (x[:, 0] == x[:, -1]).any():
        raise _core.NumericalError(
            f"samples are all one number in {flow.dtype}: fit the flow with an Affine beside "
            "the data, which is computed in float64, or take dtype='float64'"
        )
    return x[:, -1] < x[:, 0], x[:, 1]


def _forward(flow: Flow, u: Float, rows: NDArray[Any] | None) -> Float:
    """The x of u, shape (m, k), the same row of the context for all k."""
    if (np.abs(u) > np.finfo(flow.dtype).max).any():
        wider = ", or the flow one of float64" if flow.dtype == np.float32 else ""
        raise _core.NumericalError(
            f"a quantile of the base is beyond the numbers of {flow.dtype}: p must be farther "
            f"from 0 and 1{wider}"
        )
    points = u.reshape(-1, 1)
    repeated = None if rows is None else np.repeat(rows, u.shape[1], axis=0)
    x = flow.forward(points, repeated)[0]
    return np.asarray(x, np.float64).reshape(u.shape)
