"""The public `Flow`: the compiled core with the methods that are written in Python."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from . import _core
from .bounds import importance_weighted_log_prob
from .categories import Labels, checked_labels
from .distribution import cdf, log_prob_grid, quantile
from .fit import fit
from .frames import sample
from .importance import importance_sample
from .levels import join_levels, levels
from .matching import distill, reflow
from .missing import impute, marginal_log_prob
from .named import NamedColumns
from .names import checked_notes
from .part import part
from .solver import with_solver
from .summary import describe, flow_table
from .target import fit_target


class Flow(NamedColumns, _core.Flow):
    """A normalizing flow: layers that carry a base distribution to the data, ``u -> x``.

    ``log_prob(x) = base.log_prob(u) + log|det du/dx|`` with ``u`` the inverse of ``x``.

    Parameters
    ----------
    layers : sequence of Layer
        Base to data: ``Flow([A, B])`` computes ``x = B(A(u))``.
    features : int
        The number of columns of the data, which are vectors; or else `shape`.
    context_features : int, default 0
        The number of columns of what the flow is conditioned on; 0 is none.
    embedding : Embedding, optional
        A network between the context and the layers and base, learned with them; they are bound
        to its features. None: they see the context as it is.
    base : Base, optional
        The distribution of ``u``; None is the standard normal.
    dtype : dtype_like, default 'float32'
        float32 or float64: of the parameters, the computation and the results. Inputs may be of
        any real dtype.
    seed : int, optional
        0 to 2**64 - 1: of the starting weights and the random permutations. None draws one from
        the operating system's entropy; `seed` tells it.
    shape : sequence of int, optional
        (channels, height, width) of the data, which are images; instead of `features`.
    standardize_context : bool, default True
        Whether the first `fit` sets the mean and the standard deviation of the context's columns,
        by which they are standardised inside the model, as `Affine` does with ``x``.

    Raises
    ------
    ValueError
        If a size is out of range, a layer does not fit the number of features, or there is an
        embedding and no context.
    TypeError
        If a layer, the base or the embedding is of another type, or if not exactly one of
        `features` and `shape` is given.

    See Also
    --------
    realnvp : a flow of affine couplings in one line.

    Notes
    -----
    Any number of threads may compute with one flow at once, as long as none writes its
    parameters. Results are the same, bit for bit, for any number of threads.

    Samples of a flow of images have the shape ``(n, channels, height, width)`` wherever methods
    speak of ``(n, features)``, and points of the base that of ``base_shape``: layers such as
    `Squeeze` and `Split` change it on the way.

    References
    ----------
    Papamakarios et al. 2021, Normalizing Flows for Probabilistic Modeling and Inference,
    arXiv:1912.02762.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.Flow(
    ...     [cf.Coupling(hidden=(8,)), cf.Permutation("reverse"), cf.Coupling(hidden=(8,))],
    ...     features=2,
    ...     seed=0,
    ... )
    >>> flow.log_prob([[0.0, 0.0]])
    array([-1.837877], dtype=float32)
    """

    __slots__ = ("__dict__", "__weakref__")

    fit = fit
    _loss = "likelihood"
    fit_target = fit_target
    importance_sample = importance_sample
    importance_weighted_log_prob = importance_weighted_log_prob
    impute = impute
    marginal_log_prob = marginal_log_prob
    sample = sample
    log_prob_grid = log_prob_grid
    cdf = cdf
    quantile = quantile
    part = part
    with_solver = with_solver
    reflow = reflow
    distill = distill
    levels = levels
    join_levels = join_levels

    @property
    def categories(self) -> Labels | None:
        """By column, the labels of its categories, or None of a column of numbers; or None.

        Recipes set it from ``columns=[cf.categorical(labels), ...]``. Tables may then hold labels.
        It is saved with the flow.
        """
        return self.__dict__.get("_categories") if self.features else None

    @categories.setter
    def categories(self, labels: Iterable[Iterable[str] | None] | None) -> None:
        self.__dict__["_categories"] = checked_labels("categories", labels, self.features)

    @property
    def context_categories(self) -> Labels | None:
        """By column of the context, the labels of its categories, or None; as of `categories`.

        Recipes set it from ``context_columns=[cf.categorical(labels), ...]``.
        """
        return self.__dict__.get("_context_categories") if self.context_features else None

    @context_categories.setter
    def context_categories(self, labels: Iterable[Iterable[str] | None] | None) -> None:
        known = checked_labels("context_categories", labels, self.context_features)
        self.__dict__["_context_categories"] = known

    @property
    def fitted(self) -> dict[str, str | int | float | None]:
        """What was noted of a fit, by name, such as rows and date; a copy.

        ``cflows fit`` notes it, and ``cflows info`` shows it. It is saved with the flow. Set it to
        note something else: a dict of str, int, float or None by name.
        """
        return dict(self.__dict__.get("_fitted", {})) if self.features else {}

    @fitted.setter
    def fitted(self, notes: Mapping[str, str | int | float | None]) -> None:
        self.__dict__["_fitted"] = checked_notes(notes)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the flow to one safetensors file: weights, buffers and architecture.

        Parameters
        ----------
        path : str or path-like
            Customarily ``*.safetensors``. An existing file is replaced, once the new one is whole.

        Raises
        ------
        OSError
            If the file cannot be written.
        ValueError
            If the layers nest deeper than a file can say.

        See Also
        --------
        cflows.load : read the file.
        """
        from .persist import save

        save(self, path)

    def __repr__(self) -> str:
        return describe(self)

    def _repr_html_(self) -> str:
        return flow_table(self)
