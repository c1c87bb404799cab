"""Several flows as one model: the mixture of their densities, and how far they are apart."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import _core
from .arguments import drawn_seed, integer, listed, shown
from .fit_members import fit_members
from .fit_mixture import fit_mixture
from .flow import Flow
from .members import LABELS
from .mixture import Mixture
from .summary import ensemble_lines, ensemble_table

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["Ensemble", "ensemble"]


class Ensemble(Mixture):
    """Flows with weights: the mixture of their densities, ``p(x) = sum_k w_k p_k(x)``.

    Members are ordinary flows. Learned from several seeds or bootstraps of the same rows, `fit`,
    they tell by `spread` how sure the density is; learned together, `fit_mixture`, they are the
    components of one density, each for its own part of the data.

    Parameters
    ----------
    flows : sequence of Flow
        At least one, of the same shape, context features, dtype and names of columns, each there
        once. They are kept, not copied.
    weights : array_like, shape (K,), optional
        0 or more, not all 0, in any unit: they are divided by their sum. None is 1 for all.

    Raises
    ------
    ValueError
        If there is no flow, flows do not go together, or the weights are out of range.
    TypeError
        If a member is no flow.

    See Also
    --------
    ensemble : of a recipe, from several seeds.

    Notes
    -----
    A mixture of maps is no map: what is there of `Flow` but not of an ensemble, such as
    ``inverse``, is on the members, ``ensemble[k]`` or ``ensemble.flows``.

    Members compute in turn, each with all threads. A density of a flow with stochastic layers or a
    VAE is a lower bound, and that of an ensemble then is too.

    References
    ----------
    Lakshminarayanan et al. 2017, Simple and scalable predictive uncertainty estimation using deep
    ensembles, arXiv:1612.01474.

    Examples
    --------
    >>> import numpy as np
    >>> import cflows as cf
    >>> x = np.random.default_rng(0).normal(size=(300, 2))
    >>> model = cf.ensemble(cf.realnvp, members=3, features=2, layers=2, hidden=(8,), seed=0)
    >>> histories = model.fit(x, bootstrap=True, epochs=5, seed=0, progress=False)
    >>> model.log_prob(x).shape, model.log_probs(x).shape, model.sample(5, seed=1).shape
    ((300,), (300, 3), (5, 2))
    >>> inside, outside = model.spread([[0.0, 0.0], [8.0, 8.0]])
    >>> bool(inside < outside)
    True
    """

    fit = fit_members
    fit_mixture = fit_mixture

    def astype(self, dtype: Any) -> Ensemble:
        """An ensemble of copies of the members that compute in another dtype.

        Parameters
        ----------
        dtype : dtype_like
            float32 or float64.

        Returns
        -------
        Ensemble

        Raises
        ------
        ValueError
            If the dtype is another.
        """
        return restored(tuple(flow.astype(dtype) for flow in self.flows), self.weights)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all members and their weights to one safetensors file; `cflows.load` reads it.

        Parameters
        ----------
        path : str or path-like
            Customarily ``*.safetensors``. An existing file is replaced, once the new one is whole.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        from .persist import save

        save(self, path)

    def __copy__(self) -> Ensemble:
        return restored(tuple(copy.copy(flow) for flow in self.flows), self.weights)

    def __reduce__(self) -> tuple[Any, ...]:
        return restored, (self.flows, self.weights)

    def __repr__(self) -> str:
        return "\n".join(ensemble_lines(self))

    def _repr_html_(self) -> str:
        return ensemble_table(self)


def restored(flows: tuple[Flow, ...], weights: NDArray[np.float64]) -> Ensemble:
    """An ensemble with these very weights, whose sum is 1."""
    model = Ensemble(flows)
    model.__dict__["_weights"] = weights
    return model


def ensemble(
    recipe: Callable[..., Flow] | Flow,
    members: int = 5,
    *,
    weights: ArrayLike | None = None,
    seed: int | None = None,
    **options: Any,
) -> Ensemble:
    """An ensemble of flows that differ in their seeds alone.

    Parameters
    ----------
    recipe : callable or Flow
        A recipe, or a function of one's own: called with ``seed=`` it returns a flow. Or a flow:
        the members have its layers, base and names and weights of their own, unlearned.
    members : int, default 5
        How many.
    weights : array_like, shape (members,), optional
        As of `Ensemble`.
    seed : int, optional
        Member k has the seed ``seed + k``, modulo 2**64; None draws one.
    **options
        Of the recipe, such as ``features``.

    Returns
    -------
    Ensemble

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If there is neither a recipe nor a flow, or a flow and options.

    See Also
    --------
    Ensemble.fit : learn the members side by side.

    Examples
    --------
    >>> import cflows as cf
    >>> model = cf.ensemble(cf.nsf, members=3, features=2, layers=2, hidden=8, seed=0)
    >>> len(model), [flow.seed for flow in model]
    (3, [0, 1, 2])
    >>> own = cf.ensemble(lambda seed: cf.Flow([cf.Coupling()], 2, seed=seed), members=2)
    >>> own[0].layers[0].type
    'Coupling'
    """
    count = integer("members", members, 1)
    first = drawn_seed() if seed is None else integer("seed", seed, 0, 2**64 - 1)
    seeds = [(first + k) % 2**64 for k in range(count)]
    if isinstance(recipe, Flow):
        if options:
            raise TypeError(
                f"ensemble() of a flow takes no options, its members have its parts: got "
                f"{listed(options)}"
            )
        return Ensemble([_unlearned(recipe, one) for one in seeds], weights)
    if not callable(recipe):
        raise TypeError(f"recipe must be a recipe, such as cf.nsf, or a flow, got {shown(recipe)}")
    return Ensemble([recipe(seed=one, **options) for one in seeds], weights)


def _unlearned(flow: Flow, seed: int) -> Flow:
    """A flow of the same parts as another, with weights of its own."""
    fresh = type(flow).__new__(type(flow))
    _core.Flow.__init__(
        fresh,
        [layer.spec for layer in flow.layers],
        flow.features if len(flow.shape) == 1 else None,
        flow.context_features,
        flow.embedding,
        flow.base,
        flow.dtype,
        seed,
        flow.shape if len(flow.shape) > 1 else None,
        flow.standardize_context,
    )
    for name in (*LABELS, "columns", "context_columns"):
        setattr(fresh, name, getattr(flow, name))
    for name in flow.frozen:
        fresh.freeze(name)
    return fresh
