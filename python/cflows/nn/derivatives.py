"""Derivatives of functions of tracers, within functions that are traced.

A derivative is part of the program: a loss may hold it, and it can be differentiated again with
respect to the parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arguments import integer
from .operations import greater_equal, sum, uniform
from .trace import Trace
from .tracer import Tracer, concat, current_trace

TracedFunction = Callable[[Tracer], Tracer]


def _at(function: TracedFunction, x: Any) -> tuple[Trace, Tracer, Tracer]:
    """A copy of x, on which nothing else depends, and the function's value there."""
    trace = current_trace("derivatives")
    x = trace.lift(x)
    point = trace.emit("copy", [x])
    return trace, point, trace.lift(function(point))


def _pull(trace: Trace, y: Tracer, cotangent: Any, point: Tracer) -> Tracer:
    cotangent = trace.lift(cotangent)
    if len(cotangent) != len(y):
        raise ValueError(f"the cotangent must have {len(y)} features, got {len(cotangent)}")
    return trace.emit("gradient", [y, cotangent, point])


def grad(function: TracedFunction) -> TracedFunction:
    """The gradient of a function of one feature, ``x -> df/dx``, as a function.

    Parameters
    ----------
    function : callable
        From a `Tracer` to a `Tracer` of one feature.

    Returns
    -------
    callable
        From a `Tracer` to a `Tracer` of as many features.

    Raises
    ------
    ValueError
        When it is called, if the function has another number of features.

    Examples
    --------
    The score matching loss of a density's network (Hyvärinen 2005, equation 4):

    >>> import cflows as cf
    >>> from cflows import nn
    >>> def loss(x, p):
    ...     score = nn.grad(lambda y: -nn.sum(p.a * y**2))
    ...     return nn.divergence(score, x) + 0.5 * nn.sum(score(x) ** 2)
    >>> model = nn.objective(loss, 2, parameters={"a": [1.0, 2.0]}, dtype="float64", seed=0)
    >>> model.loss([[1.0, 1.0]])
    array([4.])
    """

    def gradient(x: Tracer) -> Tracer:
        trace, point, y = _at(function, x)
        if len(y) != 1:
            raise ValueError(f"grad is of a function of one feature, got {len(y)}")
        return _pull(trace, y, 1.0, point)

    return gradient


def vjp(function: TracedFunction, x: Tracer, cotangent: Any) -> tuple[Tracer, Tracer]:
    """The value at x, and the vector-Jacobian product ``cotangent @ df/dx``.

    Parameters
    ----------
    function : callable
        From a `Tracer` to a `Tracer`.
    x : Tracer
    cotangent : Tracer or array_like
        As many features as the value.

    Returns
    -------
    value, product : Tracer

    Raises
    ------
    ValueError
        If the sizes do not fit.
    """
    trace, point, y = _at(function, x)
    return y, _pull(trace, y, cotangent, point)


def jvp(function: TracedFunction, x: Tracer, tangent: Any) -> tuple[Tracer, Tracer]:
    """The value at x, and the Jacobian-vector product ``df/dx @ tangent``.

    The product ``w @ df/dx`` is linear in ``w``: its own gradient, with respect to ``w``, is this
    product.

    Parameters
    ----------
    function : callable
        From a `Tracer` to a `Tracer`.
    x : Tracer
    tangent : Tracer or array_like
        As many features as x.

    Returns
    -------
    value, product : Tracer

    Raises
    ------
    ValueError
        If the sizes do not fit.
    """
    trace, point, y = _at(function, x)
    zeros = trace.emit("copy", [trace.constant(np.zeros(len(y)))])
    return y, _pull(trace, _pull(trace, y, zeros, point), tangent, zeros)


def divergence(function: TracedFunction, x: Tracer, probes: int | None = None) -> Tracer:
    """The divergence of a vector field, the trace of its Jacobian, at x: one feature.

    Parameters
    ----------
    function : callable
        From a `Tracer` to a `Tracer` of as many features.
    x : Tracer
    probes : int, optional
        None is exact, by one product for each feature. Else the unbiased estimate of Hutchinson,
        the mean of ``v @ df/dx @ v`` over so many vectors ``v`` of random signs, drawn afresh for
        every row and step.

    Returns
    -------
    Tracer

    Raises
    ------
    ValueError
        If the sizes do not fit, or `probes` is below 1.

    References
    ----------
    Hutchinson 1990, A stochastic estimator of the trace of the influence matrix.
    Grathwohl et al. 2019, FFJORD, arXiv:1810.01367, equation 7.
    """
    trace, point, y = _at(function, x)
    n = len(point)
    if len(y) != n:
        raise ValueError(f"divergence is of a field of {n} features, got {len(y)}")
    if probes is None:
        return sum(concat([_pull(trace, y, e, point)[i] for i, e in enumerate(np.eye(n))]))
    count = integer("probes", probes, 1)
    total: Tracer | None = None
    for _ in range(count):
        sign = 2.0 * greater_equal(uniform(n), 0.5) - 1.0
        term = sum(sign * _pull(trace, y, sign, point))
        total = term if total is None else total + term
    assert total is not None
    return total / float(count)
