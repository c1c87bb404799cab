"""The density of a mixture of flows, and its samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast, overload

import numpy as np
from numpy.typing import NDArray

from .arguments import drawn_seed, integer
from .distribution import log_prob_grid
from .flow import Flow
from .frames import as_table
from .importance import importance_sample
from .member_draws import draws, seeds_of_members
from .members import Members
from .names import array_by_name

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .importance import Importance
    from .target_steps import Target

__all__ = ["Mixture"]

Float = NDArray[Any]
Float64 = NDArray[np.float64]


class Mixture(Members):
    """What an `Ensemble` computes: ``p(x) = sum_k w_k p_k(x)``."""

    # -- densities -- #

    def log_probs(
        self, x: ArrayLike, context: ArrayLike | None = None, seed: int = 0, start: int = 0
    ) -> Float:
        """The log-density of data under each member, in nats.

        Parameters
        ----------
        x : array_like, shape (n, features)
        context : array_like, shape (n, context_features) or (context_features,), optional
            For flows with context, and only then.
        seed, start : int
            Of the noise of stochastic layers, as of `Flow.log_prob`.

        Returns
        -------
        ndarray, shape (n, K)
            In the members' dtype.

        Raises
        ------
        ValueError
            If a shape is wrong, or the context is missing or not expected.
        """
        x, context = self._read(x, context)
        return np.stack([flow.log_prob(x, context, seed, start) for flow in self.flows], axis=1)

    def log_prob(
        self, x: ArrayLike, context: ArrayLike | None = None, seed: int = 0, start: int = 0
    ) -> Float:
        """The log-density of the mixture, in nats: ``log sum_k w_k exp(log p_k(x))``.

        Parameters
        ----------
        x : array_like, shape (n, features)
        context : array_like, shape (n, context_features) or (context_features,), optional
            For flows with context, and only then.
        seed, start : int
            Of the noise of stochastic layers, as of `Flow.log_prob`.

        Returns
        -------
        ndarray, shape (n,)
            In the members' dtype, summed in float64. -inf where all members give it; NaN where one
            of them does.

        Raises
        ------
        ValueError
            If a shape is wrong, or the context is missing or not expected.

        Examples
        --------
        >>> import numpy as np
        >>> import cflows as cf
        >>> model = cf.ensemble(cf.realnvp, members=3, features=2, seed=0)
        >>> x = np.zeros((4, 2))
        >>> bool(np.allclose(np.exp(model.log_prob(x)), np.exp(model.log_probs(x)).mean(axis=1)))
        True
        """
        return self._mixed(self.log_probs(x, context, seed, start))[0].astype(self.dtype)

    def spread(
        self, x: ArrayLike, context: ArrayLike | None = None, seed: int = 0, start: int = 0
    ) -> Float:
        """The standard deviation of the members' log-densities, in nats.

        It says how unsure the ensemble is:
        ``sqrt(sum_k w_k (l_k - m)^2)`` with ``l_k = log p_k(x)`` and ``m = sum_k w_k l_k``. Of
        members from several seeds or bootstraps it is their epistemic uncertainty, that of the
        learned density and not of the data; in a mixture of components it says little.

        Parameters
        ----------
        x : array_like, shape (n, features)
        context : array_like, shape (n, context_features) or (context_features,), optional
        seed, start : int
            As of `log_prob`.

        Returns
        -------
        ndarray, shape (n,)
            0 where the density is 0 under all members, infinite where it is under some, NaN where
            a member's is. Members of weight 0 do not count.

        Raises
        ------
        ValueError
            If a shape is wrong, or the context is missing or not expected.
        """
        used = self.weights > 0.0
        logs, weights = self.log_probs(x, context, seed, start)[:, used], self.weights[used]
        logs = logs.astype(np.float64)
        nowhere = np.isneginf(logs)
        with np.errstate(invalid="ignore"):
            # Of the differences from one of them, as all may be far from 0.
            apart = logs - logs.max(axis=1, keepdims=True)
            apart[nowhere.all(axis=1)] = 0.0
            found = np.sqrt(((apart - (apart @ weights)[:, None]) ** 2) @ weights)
        somewhere = ~nowhere.all(axis=1) & ~np.isnan(logs).any(axis=1)
        return np.where(nowhere.any(axis=1) & somewhere, np.inf, found).astype(self.dtype)

    def responsibilities(
        self, x: ArrayLike, context: ArrayLike | None = None, seed: int = 0, start: int = 0
    ) -> Float64:
        """Which part of the density each member has: ``r_k = w_k p_k(x) / sum_j w_j p_j(x)``.

        The probability that x is a sample of member k: after `fit_mixture`, to which cluster a row
        belongs.

        Parameters
        ----------
        x : array_like, shape (n, features)
        context : array_like, shape (n, context_features) or (context_features,), optional
        seed, start : int
            As of `log_prob`.

        Returns
        -------
        ndarray of float64, shape (n, K)
            The sum of a row is 1; NaN where the density is 0 or NaN.

        Raises
        ------
        ValueError
            If a shape is wrong, or the context is missing or not expected.
        """
        return self._mixed(self.log_probs(x, context, seed, start))[1]

    @overload
    def grad_log_prob(
        self,
        x: ArrayLike,
        context: ArrayLike | None = None,
        return_log_prob: Literal[False] = False,
        seed: int = 0,
        start: int = 0,
    ) -> Float: ...
    @overload
    def grad_log_prob(
        self,
        x: ArrayLike,
        context: ArrayLike | None = None,
        *,
        return_log_prob: Literal[True],
        seed: int = 0,
        start: int = 0,
    ) -> tuple[Float, Float]: ...
    def grad_log_prob(
        self,
        x: ArrayLike,
        context: ArrayLike | None = None,
        return_log_prob: bool = False,
        seed: int = 0,
        start: int = 0,
    ) -> Float | tuple[Float, Float]:
        """The score of the mixture: ``sum_k r_k grad log p_k(x)``, r of `responsibilities`.

        Parameters
        ----------
        x : array_like, shape (n, features)
        context : array_like, shape (n, context_features) or (context_features,), optional
        return_log_prob : bool, default False
            Also return what `log_prob` does.
        seed, start : int
            As of `log_prob`.

        Returns
        -------
        score : ndarray, shape (n, features)
            0 where the density is 0. Of the dtype of `Flow.grad_log_prob`.
        log_prob : ndarray, shape (n,)
            Only if asked for.

        Raises
        ------
        ValueError
            If a shape is wrong, or the context is missing or not expected.
        """
        x, context = self._read(x, context)
        found = [
            flow.grad_log_prob(x, context, return_log_prob=True, seed=seed, start=start)
            for flow in self.flows
        ]
        log_prob, shares = self._mixed(np.stack([log for _, log in found], axis=1))
        shares = np.where(np.isneginf(log_prob)[:, None], 0.0, shares)
        score = sum(_times(shares[:, k], gradient) for k, (gradient, _) in enumerate(found))
        score = np.asarray(score).astype(np.result_type(*(gradient for gradient, _ in found)))
        return (score, log_prob.astype(self.dtype)) if return_log_prob else score

    def log_prob_grid(self, x: ArrayLike, context: ArrayLike) -> Float:
        """The log-density of every point under every context, as of `Flow.log_prob_grid`.

        Parameters
        ----------
        x : array_like, shape (k, features), or (k,) if there is one feature
        context : array_like, shape (m, context_features)

        Returns
        -------
        ndarray, shape (m, k)

        Raises
        ------
        ValueError
            If the flows have no context, or a shape is wrong.
        """
        return log_prob_grid(cast(Flow, self), x, context)

    def cdf(self, x: ArrayLike, context: ArrayLike | None = None) -> Float64:
        """The distribution function of flows of one feature: ``sum_k w_k P_k(X <= x | context)``.

        Parameters
        ----------
        x : array_like, shape (n,) or (n, 1)
        context : array_like, shape (n, context_features), optional

        Returns
        -------
        ndarray of float64, shape (n,)

        Raises
        ------
        ValueError
            As of `Flow.cdf`.
        NumericalError
            As of `Flow.cdf`.
        """
        x, context = self._read(x, context)
        found = np.stack([flow.cdf(x, context) for flow in self.flows], axis=1)
        total: Float64 = found @ self.weights
        return total

    # -- samples -- #

    def sample(
        self,
        n: int,
        context: ArrayLike | None = None,
        seed: int | None = None,
        start: int = 0,
        *,
        as_frame: bool = False,
    ) -> Any:
        """Draw samples of the mixture: each of a member that is drawn by its weight.

        Parameters
        ----------
        n : int
            How many samples of each context.
        context : array_like, shape (m, context_features) or (context_features,), optional
            For flows with context, and only then.
        seed : int, optional
            0 to 2**64 - 1. The same seed gives the same samples, whatever the number of threads;
            None draws one.
        start : int, default 0
            The number of the first sample: ``sample(n, seed=s, start=k)`` goes on where
            ``sample(k, seed=s)`` ended.
        as_frame : bool, default False
            Whether to return a table of pandas, as of `Flow.sample`.

        Returns
        -------
        ndarray, shape (n, features), or DataFrame
            With m > 1 rows of context, (m, n, features). Of the dtype of `Flow.sample`.

        Raises
        ------
        ValueError
            If a number is out of range, or the context is missing or not expected.

        Examples
        --------
        >>> import numpy as np
        >>> import cflows as cf
        >>> model = cf.ensemble(cf.realnvp, members=3, features=2, seed=0)
        >>> pieces = [model.sample(3, seed=1), model.sample(4, seed=1, start=3)]
        >>> bool((np.concatenate(pieces) == model.sample(7, seed=1)).all())
        True
        """
        found = self._sample(n, context, seed, start)
        return as_table(cast(Flow, self), found) if as_frame else found

    def sample_and_log_prob(
        self, n: int, context: ArrayLike | None = None, seed: int | None = None, start: int = 0
    ) -> tuple[Float, Float]:
        """Draw samples, and tell their log-density: `sample`, then `log_prob` of all members.

        Parameters
        ----------
        n, context, seed, start
            As of `sample`.

        Returns
        -------
        x : ndarray, shape (n, features)
            With m > 1 rows of context, (m, n, features).
        log_prob : ndarray, shape (n,) or (m, n)

        Raises
        ------
        ValueError
            If a number is out of range, or the context is missing or not expected.
        """
        rows = None if context is None else array_by_name(cast(Flow, self), "context", context)
        x = self._sample(n, rows, seed, start)
        several = rows is not None and rows.ndim == 2 and len(rows) != 1
        given = np.repeat(rows, n, axis=0) if several and rows is not None else rows
        given = given[0] if given is not None and given.ndim == 2 and not several else given
        log_prob = self.log_prob(x.reshape(-1, *self.shape), given)
        return x, log_prob.reshape(x.shape[: x.ndim - len(self.shape)])

    def importance_sample(
        self,
        target: Target,
        n: int,
        context: ArrayLike | None = None,
        *,
        seed: int | None = None,
    ) -> Importance:
        """Samples of the mixture with their importance weights for a target.

        Parameters
        ----------
        target, n, context, seed
            As of `Flow.importance_sample`.

        Returns
        -------
        Importance

        Raises
        ------
        ValueError
            As of `Flow.importance_sample`.
        TypeError
            As of `Flow.importance_sample`.
        """
        return importance_sample(cast(Flow, self), target, n, context, seed=seed)

    # -- #

    def _read(self, x: ArrayLike, context: ArrayLike | None) -> tuple[Float, Float | None]:
        """Arrays, so that a table is read once and not by every member."""
        model = cast(Flow, self)
        rows = None if context is None else array_by_name(model, "context", context)
        return array_by_name(model, "x", x), rows

    def _mixed(self, logs: Float) -> tuple[Float64, Float64]:
        """The log-densities of the mixture, and the responsibilities."""
        with np.errstate(divide="ignore"):
            log_weights = np.log(self.weights)
        used = self.weights > 0.0
        terms = np.where(used, logs.astype(np.float64), 0.0) + log_weights
        largest = terms.max(axis=1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            parts = np.exp(terms - np.where(np.isneginf(largest), 0.0, largest))
            total = parts.sum(axis=1, keepdims=True)
            return (largest + np.log(total))[:, 0], parts / total

    def _sample(self, n: int, context: ArrayLike | None, seed: int | None, start: int) -> Float:
        n = integer("n", n, 0)
        start = integer("start", start, 0)
        seed = drawn_seed() if seed is None else integer("seed", seed, 0, 2**64 - 1)
        model = cast(Flow, self)
        rows = None if context is None else array_by_name(model, "context", context)
        # Of no samples: the shape, the dtype and what is wrong with the context.
        empty = [flow.sample(0, rows) for flow in self.flows]
        count = 1 if empty[0].ndim == len(self.shape) + 1 else len(empty[0])
        if rows is not None:
            rows = rows.reshape(-1, self.context_features)
        found = np.empty((count * n, *self.shape), np.result_type(*empty))
        seeds = seeds_of_members(seed, len(self.flows))
        for member, first, places in draws(self.weights, seed, start, len(found)):
            flow = self.flows[member]
            if count == 1:
                drawn = flow.sample(len(places), rows, seeds[member], first)
            else:
                assert rows is not None
                drawn = flow.sample(1, rows[places // n], seeds[member], first)
            found[places] = drawn.reshape(len(places), *self.shape)
        return found.reshape(count, n, *self.shape) if empty[0].ndim > found.ndim else found


def _times(share: Float64, gradient: Float) -> Float64:
    """A member's part of the score; 0 where it has none, whatever its gradient is there."""
    share = share.reshape(-1, *[1] * (gradient.ndim - 1))
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(share == 0.0, 0.0, share * gradient.astype(np.float64))
