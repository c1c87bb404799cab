"""Rows with missing numbers: their density, what the numbers may be, and how a fit reads them.

Columns are looked at behind the fixed maps beside the data (logarithms, units), where bounded ones
have no bounds: ``z``. Of a row with observed columns o and missing ones m,

    p(x_o) = |dz_o / dx_o| * integral p(z_o, z_m) dz_m,

of which ``p(z_o, z_m) / q(z_m | z_o)`` with draws from q is an unbiased estimate (Burda et al.
2016). q is Student's t of 5 degrees of freedom around a normal distribution's conditional mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arguments import checked_seed, integer
from .arrays import refuse_shape
from .check import jacobian
from .data_maps import DataMaps
from .names import array_by_name
from .proposals import Proposals

if TYPE_CHECKING:
    from .flow import Flow

__all__ = ["Completion", "check_flow", "impute", "marginal_log_prob"]

Float = NDArray[np.float64]

SAMPLES = 10_000  # of the flow, that proposals are made from
ROWS_AT_ONCE = 1 << 16  # completed ones, that a flow scores at once
FAR = 10.0  # widths of the middle 68 % from the median
LOG_2_PI = math.log(2.0 * math.pi)
ELEMENTWISE = ("ActNorm", "Affine", "BatchNorm", "Elementwise")


def marginal_log_prob(
    self: Flow,
    x: ArrayLike,
    context: ArrayLike | None = None,
    *,
    draws: int = 100,
    seed: int | None = None,
) -> Float:
    """The log-density of the numbers of each row that are not NaN, whatever the others are.

    Exact, as `log_prob` is, of rows without NaN; and over a standard normal base of flows that map
    each column by itself, or whose layers are autoregressive in one order, where the missing
    columns are the last in it. Of other
    rows it is the logarithm of an estimate by importance sampling, ``log(mean_k(p(x_o, x_m^k) /
    q(x_m^k | x_o)))``, which is unbiased before the logarithm: on average it is a lower bound, that
    rises with the number of draws.

    Parameters
    ----------
    x : array_like, shape (n, features)
        NaN stands for a missing number. A row of NaN alone has the log-density 0.
    context : array_like, shape (n, context_features) or (context_features,), optional
        As of `log_prob`; nothing may be missing of it.
    draws : int, default 100
        k, of the missing numbers of a row.
    seed : int, optional
        Of the draws, 0 to 2**64 - 1; None draws one.

    Returns
    -------
    ndarray of float64, shape (n,)
        In nats.

    Raises
    ------
    ValueError
        If a shape is wrong, or the flow is of images, or has columns of integers.

    See Also
    --------
    Flow.impute : what the missing numbers may be.
    Flow.fit : learns from such rows, with ``missing='marginal'``.

    References
    ----------
    Burda et al. 2016, Importance weighted autoencoders, arXiv:1509.00519, equation 8.
    Mattei and Frellsen 2019, MIWAE, arXiv:1812.02633, equation 4.

    Examples
    --------
    >>> import numpy as np
    >>> import cflows as cf
    >>> flow = cf.Flow([cf.Affine(scale=[1.0, 2.0])], features=2)
    >>> found = flow.marginal_log_prob([[0.0, np.nan], [0.0, 0.0], [np.nan, np.nan]])
    >>> [round(float(value), 4) for value in found]
    [-0.9189, -2.531, 0.0]
    """
    rows, given = _checked(self, x, context)
    completion = Completion(self, rows, given, integer("draws", draws, 1))
    completion.propose_samples(self, checked_seed(seed))
    return completion.log_prob(self, checked_seed(seed))


def impute(
    self: Flow,
    x: ArrayLike,
    context: ArrayLike | None = None,
    *,
    draws: int = 100,
    seed: int | None = None,
) -> Float:
    """The rows, with numbers for NaN that are drawn from their distribution given the others.

    ``x_m ~ p(x_m | x_o)``: one of `draws` proposals is chosen with probabilities in proportion to
    ``p(x_o, x_m) / q(x_m | x_o)``, which is the more exact the more there are. It is exact where
    `marginal_log_prob` is. The mean of several imputations, of several seeds, predicts; one alone
    is as spread as data are.

    Parameters
    ----------
    x : array_like, shape (n, features)
        NaN stands for a missing number.
    context : array_like, shape (n, context_features) or (context_features,), optional
        As of `log_prob`; nothing may be missing of it.
    draws : int, default 100
        Proposals for each row.
    seed : int, optional
        Of the draws, 0 to 2**64 - 1; None draws one.

    Returns
    -------
    ndarray of float64, shape (n, features)
        What is not NaN stays as it is. The columns are in the flow's order, not in the table's.

    Raises
    ------
    ValueError
        If a shape is wrong, or the flow is of images, or has columns of integers.

    See Also
    --------
    Flow.marginal_log_prob : the density of what is there.

    References
    ----------
    Rubin 1987, Multiple imputation for nonresponse in surveys (sampling importance resampling).
    Andrieu et al. 2018, Uniform ergodicity of the iterated conditional SMC, arXiv:1312.6432.

    Examples
    --------
    >>> import numpy as np
    >>> import cflows as cf
    >>> flow = cf.Flow([cf.Affine(shift=[0.0, 50.0])], features=2)
    >>> rows = flow.impute([[3.0, np.nan], [np.nan, np.nan]], seed=0)
    >>> bool(rows[0, 0] == 3.0 and abs(rows[:, 1] - 50).max() < 5)
    True
    """
    rows, given = _checked(self, x, context)
    completion = Completion(self, rows, given, integer("draws", draws, 1))
    completion.propose_samples(self, checked_seed(seed))
    return completion.drawn(self, checked_seed(seed))


def _checked(flow: Flow, x: ArrayLike, context: ArrayLike | None) -> tuple[Float, Float | None]:
    """Rows, and a row of context for each."""
    check_flow(flow)
    rows = np.array(array_by_name(flow, "x", x), np.float64)
    if rows.ndim != 2 or rows.shape[1] != flow.features:
        refuse_shape("x", rows.shape, (flow.features,))
    given = None
    if context is not None:
        given = np.asarray(array_by_name(flow, "context", context), np.float64)
    some = given if given is None or given.ndim < 2 else given[:0]
    flow.log_prob(np.zeros((0, flow.features)), some)  # what it says of contexts
    if given is None:
        return rows, None
    if given.ndim == 2 and len(given) not in (1, len(rows)):
        raise ValueError(f"context must have {len(rows)} rows, as x has, got {len(given)}")
    return rows, np.array(np.broadcast_to(given, (len(rows), flow.context_features)))


def check_flow(flow: Flow) -> None:
    """ValueError unless the flow is one of vectors of real numbers."""
    keeps = len(flow.shape) == 1 and flow.base_shape == flow.shape
    if not keeps and not flow.stochastic:
        raise ValueError("missing numbers are for flows of vectors that keep all their features")
    if flow.stochastic:
        raise ValueError(
            "missing numbers are not for flows with columns of integers or categories (count, "
            "ordinal, categorical) or other stochastic layers: drop those rows, or take the "
            "columns as real and give fit a jitter"
        )


class Completion:
    """Rows with missing numbers, and draws of these.

    Parameters
    ----------
    flow : Flow
        Whose maps beside the data are looked through.
    x : ndarray, shape (n, features)
    context : ndarray, shape (n, context_features), or None
    draws : int
        Proposals for a row.
    """

    def __init__(self, flow: Flow, x: Float, context: Float | None, draws: int) -> None:
        self.x, self.context, self.draws = x, context, draws
        self.missing = np.isnan(x)
        # Rows whose context is not known stay as they are.
        self.known = np.ones(len(x), bool) if context is None else np.isfinite(context).all(axis=1)
        self.rows = np.flatnonzero(self.missing.any(axis=1) & self.known)
        self.proposals: Proposals | None = None
        self.look(flow)

    def look(self, flow: Flow) -> None:
        """Look through the maps of a flow, which a fit may have set since."""
        self.maps = DataMaps(flow)
        self.circular = self.maps.are_angles()
        middle = self.maps.to_x(np.zeros((1, self.x.shape[1])))
        self.filled = np.where(self.missing, middle, self.x)
        self.z = np.where(self.missing, np.nan, self.maps.to_z(self.filled))

    def propose_rows(self) -> None:
        """Make the proposals from the rows themselves."""
        self.proposals = Proposals.of_rows(_joined(self.z, self.context), self.circular)

    def propose_samples(self, flow: Flow, seed: int) -> None:
        """Make the proposals from samples of a flow, each with the context of one of the rows."""
        if len(self.rows) == 0:
            return
        body, context = _body(flow), None
        if self.context is None:
            samples = body.sample(SAMPLES, seed=seed)
        else:
            context = self.context[self.known]
            context = context[np.linspace(0, len(context) - 1, SAMPLES).astype(np.int64)]
            samples = body.sample(1, context, seed=seed)[:, 0]
        rows = _without_far(_joined(samples, context))
        self.proposals = Proposals.of_rows(rows, self.circular)

    def proposed(self, seed: int) -> Float:
        """The rows, with one draw each from the normal distribution that proposals are made of."""
        z = self.z.copy()
        for rows, some, _ in self._proposals(self.rows, seed, 1, heavy=False):
            z[rows] = some[:, 0]
        return self._with(self.rows, z[self.rows])

    def drawn(self, flow: Flow, seed: int, former: Float | None = None) -> Float:
        """The rows, with numbers that are distributed as the flow has it.

        With those of `former`, rows completed before, among the proposals, they are a step of a
        Markov chain to that distribution, however few the proposals are (Andrieu et al. 2018).
        """
        body = _body(flow)
        exact = self._exact_rows(body)
        z = self.z.copy()
        z[exact] = self._exact_draws(body, exact, seed)
        rest = np.setdiff1d(self.rows, exact)
        before = None if former is None else self.maps.to_z(former)
        for rows, some, log_q in self._proposals(rest, seed, self.draws, before):
            weights = self._log_weights(body, rows, some, log_q)
            noise = np.random.default_rng([seed, 1, int(rows[0])]).gumbel(size=weights.shape)
            z[rows] = some[np.arange(len(rows)), np.argmax(weights + noise, axis=1)]
        return self._with(self.rows, z[self.rows])

    def log_prob(self, flow: Flow, seed: int) -> Float:
        """The log-density of what is not missing."""
        result = np.full(len(self.x), np.nan)
        complete = ~self.missing.any(axis=1)
        context = None if self.context is None else self.context[complete]
        result[complete] = flow.log_prob(self.x[complete], context)
        body = _body(flow)
        exact = self._exact_rows(body)
        result[exact] = self._exact_log_prob(body, exact)
        for rows, z, log_q in self._proposals(np.setdiff1d(self.rows, exact), seed, self.draws):
            weights = self._log_weights(body, rows, z, log_q)
            result[rows] = np.logaddexp.reduce(weights, axis=1) - math.log(self.draws)
        result[self.rows] += self._log_slopes(self.rows)
        result[self.missing.all(axis=1) & self.known] = 0.0
        return result

    def _proposals(
        self,
        rows: NDArray[np.int64],
        seed: int,
        draws: int,
        former: Float | None = None,
        heavy: bool = True,
    ) -> Iterator[tuple[NDArray[np.int64], Float, Float]]:
        """Some rows at a time, with z completed (rows, draws, features) and log q (rows, draws)."""
        at_once = max(1, ROWS_AT_ONCE // draws)
        for first in range(0, len(rows), at_once):
            some = rows[first : first + at_once]
            context = None if self.context is None else self.context[some]
            rng = np.random.default_rng([seed, 0, int(some[0])])
            assert self.proposals is not None
            before = None if former is None else _joined(former[some], context)
            given = _joined(self.z[some], context)
            joined, log_q = self.proposals.draw(given, draws, rng, before, heavy)
            yield some, joined[..., : self.x.shape[1]], log_q

    def _log_weights(self, body: Flow, rows: NDArray[np.int64], z: Float, log_q: Float) -> Float:
        draws = z.shape[1]
        context = None if self.context is None else np.repeat(self.context[rows], draws, axis=0)
        log_p = body.log_prob(z.reshape(-1, z.shape[2]), context).astype(np.float64)
        weights = log_p.reshape(len(rows), draws) - log_q
        return np.asarray(np.where(np.isnan(weights), -np.inf, weights), np.float64)

    def _log_slopes(self, rows: NDArray[np.int64]) -> Float:
        """log|dz_o / dx_o| of the maps beside the data, which are of single features."""
        slopes = self.maps.slopes(self.filled[rows])
        with np.errstate(divide="ignore"):
            logs = np.where(self.missing[rows], 0.0, np.log(np.abs(slopes)))
        return np.asarray(logs.sum(axis=1), np.float64)

    def _with(self, rows: NDArray[np.int64], z: Float) -> Float:
        """A copy of x whose missing numbers in these rows are those of z, behind the maps."""
        result: Float = self.x.copy()
        if len(rows):
            result[rows] = np.where(self.missing[rows], self.maps.to_x(z), self.x[rows])
        return result

    # -- flows that are autoregressive in one order -- #

    def _exact_rows(self, body: Flow) -> NDArray[np.int64]:
        """Those whose missing columns are the last in the flow's order."""
        order = _order(body)
        if order is None:
            return self.rows[:0]
        if order == ():
            return self.rows
        ranked = self.missing[self.rows][:, list(order)]
        last = (np.diff(ranked.astype(np.int8), axis=1) >= 0).all(axis=1)
        return self.rows[last]

    def _to_base(self, body: Flow, rows: NDArray[np.int64]) -> tuple[Float, Float, Float | None]:
        """z with zeros for what is missing, u whose observed features do not depend on these."""
        z = np.where(self.missing[rows], 0.0, self.z[rows])
        context = None if self.context is None else self.context[rows]
        return z, np.asarray(body.inverse(z, context)[0], np.float64), context

    def _exact_log_prob(self, body: Flow, rows: NDArray[np.int64]) -> Float:
        z, u, context = self._to_base(body, rows)
        slopes = np.diagonal(jacobian(body, z, context), axis1=1, axis2=2).astype(np.float64)
        terms = np.log(np.abs(slopes)) - 0.5 * (u**2 + LOG_2_PI)
        return np.asarray(np.where(self.missing[rows], 0.0, terms).sum(axis=1))

    def _exact_draws(self, body: Flow, rows: NDArray[np.int64], seed: int) -> Float:
        _, u, context = self._to_base(body, rows)
        noise = np.random.default_rng([seed, 2]).normal(size=u.shape)
        z, _ = body.forward(np.where(self.missing[rows], noise, u), context)
        return np.asarray(z, np.float64)


def _body(flow: Flow) -> Flow:
    """The flow up to the fixed maps beside the data."""
    return flow.part(0, len(flow.layers) - flow.fixed_maps)


def _order(body: Flow) -> tuple[int, ...] | None:
    """The one order in which every layer has a triangular Jacobian, if the base is standard; () of
    features that are independent."""
    from ._core import Normal

    order: tuple[int, ...] | None = None
    for layer in body.layers:
        if layer.type == "Autoregressive" and order in (None, layer.options["order"]):
            order = layer.options["order"]
        elif layer.type not in ELEMENTWISE:
            return None
    if body.base != Normal():
        return None
    return order or ()


def _without_far(rows: Float) -> Float:
    """Without those that set the scale: a flow that was not fitted well has some."""
    low, middle, high = np.quantile(rows, [0.16, 0.5, 0.84], axis=0)
    near = (np.abs(rows - middle) <= FAR * (high - low)).all(axis=1)
    return rows[near] if near.any() else rows


def _joined(z: ArrayLike, context: Float | None) -> Float:
    return np.asarray(z if context is None else np.column_stack([z, context]), np.float64)
