"""Checks of any flow: Jacobians, and whether a flow's two directions and log-determinants agree."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from . import _core
from .arrays import real_array
from .data_warnings import warn_of_rounding
from .names import array_by_name

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from .ensembles import Ensemble
    from .flow import Flow


def jacobian(
    flow: Flow,
    x: ArrayLike,
    context: ArrayLike | None = None,
    direction: Literal["inverse", "forward"] = "inverse",
) -> NDArray[Any]:
    """The Jacobian of a flow's map, row by row of the data.

    ``J[k, i, j] = du_i / dx_j`` at ``x[k]``; with direction ``'forward'``, ``dx_i / du_j``.

    Parameters
    ----------
    flow : Flow
    x : array_like, shape (n, features) or (n, channels, height, width)
        What the map is applied to.
    context : array_like, shape (n, context_features) or (context_features,), optional
    direction : {'inverse', 'forward'}

    Returns
    -------
    ndarray, shape (n, features of the result, features of x)
        Of the dtype of `Flow.vjp`; images are flattened.

    Raises
    ------
    ValueError
        If a shape is wrong, or the context is missing or not expected.
    TypeError
        If an array does not hold real numbers.

    Notes
    -----
    One vector-Jacobian product for each feature.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.Flow([cf.Affine(scale=2.0)], features=2)
    >>> cf.jacobian(flow, [[1.0, 1.0]], direction="forward")[0]
    array([[2., 0.],
           [0., 2.]], dtype=float32)
    """
    forward = direction == "forward"
    x = real_array("u", x) if forward else array_by_name(flow, "x", x)
    result = flow.shape if forward else flow.base_shape
    rows, size = x.shape[:1], math.prod(x.shape[1:])
    gradients = [
        flow.vjp(
            x,
            np.broadcast_to(unit.reshape(result), (*rows, *result)),
            context=context,
            direction=direction,
            parameters=False,
        ).x.reshape(*rows, size)
        for unit in np.eye(math.prod(result))
    ]
    return np.stack(gradients, axis=1)


@dataclass(frozen=True)
class Audit:
    """What `audit` found: the largest errors over all rows, NaN where a row is not finite.

    Attributes
    ----------
    rows : int
        How many rows were looked at.
    round_trip : float
        ``|forward(inverse(x)) - x|``, over features too.
    log_det : float
        ``|log_det - log|det J||`` of the inverse, the Jacobian from `jacobian`.
    log_det_sum : float
        ``|log_det + log_det|`` of the inverse and of the forward map there.
    dtype : str
        In which the flow computes.
    """

    rows: int
    round_trip: float
    log_det: float
    log_det_sum: float
    dtype: str

    def __str__(self) -> str:
        return (
            f"audit of {self.rows:,} rows in {self.dtype}: largest errors\n"
            f"  round trip  |T(T⁻¹ x) - x|             {self.round_trip:.2e}\n"
            f"  log_det     |log_det - log|det J||     {self.log_det:.2e}\n"
            f"  log_det     |of inverse + of forward|  {self.log_det_sum:.2e}"
        )


def audit(flow: Flow | Ensemble, x: ArrayLike, context: ArrayLike | None = None) -> Audit:
    """Check a flow at given points: round trip, and log-determinants against Jacobians.

    Parameters
    ----------
    flow : Flow or Ensemble
        Best in float64 (``flow.astype('float64')``), where what remains is the layers' own. Of an
        ensemble the errors are the largest among its members.
    x : array_like, shape (n, features)
        Some hundred rows tell enough; the cost is that of ``features`` gradients.
    context : array_like, shape (n, context_features) or (context_features,), optional

    Returns
    -------
    Audit
        ``print`` it.

    Raises
    ------
    ValueError
        If a shape is wrong, the context is missing or not expected, or the base has another
        number of features, as with columns of categories.
    TypeError
        If an array does not hold real numbers.

    Warns
    -----
    DataWarning
        Of columns that the flow sees rounded, as their numbers have more digits than its dtype.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.realnvp(features=2, layers=2, dtype="float64", seed=0)
    >>> report = cf.audit(flow, flow.sample(100, seed=1))
    >>> report.round_trip < 1e-12 and report.log_det < 1e-10
    True
    """
    if not isinstance(flow, _core.Flow):
        return _largest_of([audit(member, x, context) for member in flow])
    x = array_by_name(flow, "x", x)
    if math.prod(flow.base_shape) != math.prod(flow.shape):
        raise ValueError(
            f"an audit compares Jacobians, and from {math.prod(flow.shape)} features to the base's "
            f"{math.prod(flow.base_shape)} there is none: audit the layers before, flow.part(0, k)"
        )
    u, log_det = flow.inverse(x, context)
    warn_of_rounding(flow, x)
    back, forward_log_det = flow.forward(u, context)
    matrices = jacobian(flow, x, context).astype(np.float64)
    with np.errstate(invalid="ignore"):  # rows that are not finite, which the report counts
        by_jacobian = np.linalg.slogdet(matrices)[1]
    return Audit(
        rows=len(u),
        round_trip=_largest(back - x),
        log_det=_largest(log_det - by_jacobian),
        log_det_sum=_largest(log_det + forward_log_det),
        dtype=str(flow.dtype),
    )


def _largest_of(found: list[Audit]) -> Audit:
    def largest(name: str) -> float:
        return float(np.max([getattr(one, name) for one in found]))

    return replace(
        found[0],
        round_trip=largest("round_trip"),
        log_det=largest("log_det"),
        log_det_sum=largest("log_det_sum"),
    )


def _largest(errors: NDArray[Any]) -> float:
    return float(np.max(np.abs(errors), initial=0.0))
