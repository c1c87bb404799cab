"""Derivatives of functions of rows, within functions that are traced.

A derivative is a part of the program as all else is: it can stand in a loss, and be differentiated
again with respect to the parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arguments import integer
from .rows import Rows, at_least, concat, current_trace, sum, uniform
from .trace import Trace

RowsFunction = Callable[[Rows], Rows]


def _at(function: RowsFunction, x: Any) -> tuple[Trace, Rows, Rows]:
    """A point of its own, of which nothing else depends, and the value there."""
    trace = current_trace("derivatives")
    x = trace.rows(x)
    point = trace.emit("copy", [x], size=len(x))
    return trace, point, trace.rows(function(point))


def _pull(trace: Trace, y: Rows, cotangent: Any, point: Rows) -> Rows:
    rows = trace.rows(cotangent)
    if len(rows) != len(y):
        raise ValueError(f"the cotangent must have {len(y)} features, got {len(rows)}")
    return trace.emit("gradient", [y, rows, point], size=len(point))


def grad(function: RowsFunction) -> RowsFunction:
    """The gradient of a function of one feature, ``x -> df/dx``, as a function.

    Parameters
    ----------
    function : callable
        From `Rows` to `Rows` of one feature.

    Returns
    -------
    callable
        From `Rows` to as many features.

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

    def gradient(x: Rows) -> Rows:
        trace, point, y = _at(function, x)
        if len(y) != 1:
            raise ValueError(f"grad is of a function of one feature, got {len(y)}")
        return _pull(trace, y, 1.0, point)

    return gradient


def vjp(function: RowsFunction, x: Rows, cotangent: Any) -> tuple[Rows, Rows]:
    """The value at x, and the vector-Jacobian product ``cotangent @ df/dx``.

    Parameters
    ----------
    function : callable
        From `Rows` to `Rows`.
    x : Rows
    cotangent : Rows or array_like
        As many features as the value.

    Returns
    -------
    value, product : Rows

    Raises
    ------
    ValueError
        If the sizes do not fit.
    """
    trace, point, y = _at(function, x)
    return y, _pull(trace, y, cotangent, point)


def jvp(function: RowsFunction, x: Rows, tangent: Any) -> tuple[Rows, Rows]:
    """The value at x, and the Jacobian-vector product ``df/dx @ tangent``.

    The product ``w @ df/dx`` is linear in ``w``: its own gradient, with respect to ``w``, is this
    product.

    Parameters
    ----------
    function : callable
        From `Rows` to `Rows`.
    x : Rows
    tangent : Rows or array_like
        As many features as x.

    Returns
    -------
    value, product : Rows

    Raises
    ------
    ValueError
        If the sizes do not fit.
    """
    trace, point, y = _at(function, x)
    zeros = trace.emit("copy", [trace.constant(np.zeros(len(y)))], size=len(y))
    return y, _pull(trace, _pull(trace, y, zeros, point), tangent, zeros)


def divergence(function: RowsFunction, x: Rows, probes: int | None = None) -> Rows:
    """The divergence of a vector field, the trace of its Jacobian, at x: one feature.

    Parameters
    ----------
    function : callable
        From `Rows` to `Rows` of as many features.
    x : Rows
    probes : int, optional
        None is exact, by one product for each feature. Else the unbiased estimate of Hutchinson,
        the mean of ``v @ df/dx @ v`` over so many ``v`` of signs by chance, others in every row
        and step.

    Returns
    -------
    Rows

    Raises
    ------
    ValueError
        If the sizes do not fit, or there is not one probe or more.

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
    total: Rows | None = None
    for _ in range(count):
        sign = 2.0 * at_least(uniform(n), 0.5) - 1.0
        term = sum(sign * _pull(trace, y, sign, point))
        total = term if total is None else total + term
    assert total is not None
    return total / float(count)
