"""Learning from a flow that has learned: straighter paths, and another flow of the same density."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core
from .arguments import checked_seed, integer, real, shown
from .check import jacobian
from .names import array_by_name

if TYPE_CHECKING:
    from .flow import Flow
    from .history import History

__all__ = ["distill", "reflow"]

CHOSEN = ("x", "weights", "u", "loss")  # options of fit that are not the caller's here

MOST_FEATURES = 256  # of a Jacobian that is computed to see its sign

Pairs = tuple[NDArray[Any], NDArray[Any], "NDArray[Any] | None"]


def reflow(
    self: Flow,
    n: int = 20_000,
    context: ArrayLike | None = None,
    *,
    seed: int | None = None,
    **options: Any,
) -> History:
    """Straighten the paths of a continuous flow, so that few steps solve its equation.

    Draws points u of the base, carries them to ``x = flow.forward(u)``, and goes on learning the
    velocity by flow matching on these pairs: straight paths between points that the flow connects
    cross less than those between independent ones. The distribution stays the same as far as the
    velocity is learned; `log_prob` is exact all the same. Afterwards ``flow.with_solver("euler",
    steps=4)`` samples fast. To keep the flow as it is, work on a copy (`copy.copy`).

    Parameters
    ----------
    n : int, default 20000
        Pairs.
    context : array_like, shape (m, context_features) or (context_features,), optional
        For a flow with context, and only then: each pair gets a random row.
    seed : int, optional
        Of the pairs and of the fit; None draws one.
    **options
        Of `fit`, such as ``epochs`` and ``optimizer``; not ``x``, ``weights``, ``u`` and ``loss``.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        If the flow is not one of flow matching: a `Continuous` layer, behind which only fixed maps
        may stand; or as `fit` does.

    See Also
    --------
    FlowMatching : couplings that make paths straighter from the start.

    References
    ----------
    Liu, Gong and Liu 2023, Flow straight and fast: learning to generate and transfer data with
    rectified flow, arXiv:2209.03003.

    Examples
    --------
    >>> import cflows as cf
    >>> x = cf.data.toy("moons").sample(1000, seed=0)
    >>> flow = cf.Flow([cf.Continuous(cf.MLP((16,), "silu")), cf.Affine()], features=2, seed=0)
    >>> options = {"epochs": 2, "progress": False, "seed": 0}
    >>> _ = flow.fit(x, loss="flow_matching", **options)
    >>> history = flow.reflow(1000, **options)
    >>> len(history.train)
    2
    """
    _refuse_chosen("reflow", options)
    seed = checked_seed(seed)
    u, x, rows = _pairs(self, integer("n", n, 2), context, seed)
    return self.fit(x, rows, u=u, loss=_core.FlowMatching(), seed=seed, **options)


def distill(
    self: Flow,
    teacher: Flow,
    n: int = 50_000,
    context: ArrayLike | None = None,
    *,
    weight: float | None = None,
    seed: int | None = None,
    **options: Any,
) -> History:
    """Learn the distribution of another flow, such as a continuous one that is slow to evaluate.

    Draws points u of the teacher's base and carries them to ``x = teacher.forward(u)``; learns
    from them by ``-log_prob(x) + weight |inverse(x) - u|^2``, see `Distillation`. The first term is
    least where the densities agree, the second where the maps do.

    Parameters
    ----------
    teacher : Flow
        Of as many features and context features.
    n : int, default 50000
        Pairs.
    context : array_like, shape (m, context_features) or (context_features,), optional
        For flows with context, and only then: each pair gets a random row.
    weight : float, optional
        0 or more, of the squared error of the map: for flows of one base that is not learned, whose
        Jacobians have the same sign. A continuous flow's is positive, and that of a flow of
        couplings the sign of its permutations, so that an even number of reversals may be needed.
        None is 0: many maps lead to one density, and the student takes the one that it finds.
    seed : int, optional
        Of the pairs and of the fit; None draws one.
    **options
        Of `fit`, such as ``epochs`` and ``optimizer``; not ``x``, ``weights``, ``u`` and ``loss``.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        If the flows differ in their features or, with a weight, in their base; or as `fit` does.
    TypeError
        If `teacher` is not a flow.

    See Also
    --------
    reflow : few steps instead of another flow.

    References
    ----------
    Van den Oord et al. 2018, Parallel WaveNet: fast high-fidelity speech synthesis,
    arXiv:1711.10433.
    Baranchuk et al. 2021, Distilling the knowledge from conditional normalizing flows,
    arXiv:2106.12699.

    Examples
    --------
    >>> import cflows as cf
    >>> x = cf.data.toy("moons").sample(1000, seed=0)
    >>> teacher = cf.Flow([cf.Continuous(cf.MLP((16,), "silu")), cf.Affine()], features=2, seed=0)
    >>> options = {"epochs": 2, "progress": False, "seed": 0}
    >>> _ = teacher.fit(x, loss="flow_matching", **options)
    >>> student = cf.nsf(features=2, layers=2, hidden=(16,), seed=0)
    >>> history = student.distill(teacher, 1000, **options)
    >>> len(history.train)
    2
    """
    _refuse_chosen("distill", options)
    if not isinstance(teacher, _core.Flow):
        raise TypeError(f"teacher must be a Flow, got {shown(teacher)}")
    _check_sizes(self, teacher)
    same = _same_base(self, teacher)
    weight = 0.0 if weight is None else real("weight", weight)
    if weight != 0.0 and not same:
        raise ValueError(
            "weight is of the error of u, for flows of one base that is not learned; the bases are "
            f"{self.base} and {teacher.base}"
        )
    loss = _core.Distillation(weight)
    seed = checked_seed(seed)
    u, x, rows = _pairs(teacher, integer("n", n, 2), context, seed)
    if weight > 0.0:
        _check_orientation(self, teacher, x[:1], None if rows is None else rows[:1])
    return self.fit(x, rows, u=u if weight > 0.0 else None, loss=loss, seed=seed, **options)


def _pairs(flow: Flow, n: int, context: ArrayLike | None, seed: int) -> Pairs:
    """Points of the base, where the flow carries them, and their rows of the context."""
    base = flow.part(0, 0)
    if context is None:
        u = base.sample(n, seed=seed)
        return u, flow.forward(u)[0], None
    given = np.atleast_2d(array_by_name(flow, "context", context))
    if len(given) == 0:
        raise ValueError("context must have a row or more, got none")
    rows = given[np.random.default_rng(seed).integers(len(given), size=n)]
    u = base.sample(1, rows, seed=seed)[:, 0]
    return u, flow.forward(u, rows)[0], rows


def _refuse_chosen(function: str, options: dict[str, Any]) -> None:
    for name in CHOSEN:
        if name in options:
            raise TypeError(f"{function}() draws its rows and has a loss of its own, got {name}=")


def _check_sizes(student: Flow, teacher: Flow) -> None:
    for name in ("shape", "context_features"):
        ours, theirs = getattr(student, name), getattr(teacher, name)
        if ours != theirs:
            raise ValueError(
                f"the student and the teacher must have the same {name}, got {ours} and {theirs}"
            )


def _check_orientation(
    student: Flow, teacher: Flow, x: NDArray[Any], context: NDArray[Any] | None
) -> None:
    """Refuse maps that no training brings together: one mirrors, and the other does not."""
    if student.features > MOST_FEATURES:
        return
    ours, theirs = (
        np.linalg.slogdet(jacobian(flow.astype("float64"), x, context))[0][0]
        for flow in (student, teacher)
    )
    if ours * theirs < 0.0:
        raise ValueError(
            "weight is of the error of u, but the Jacobians of student and teacher have opposite "
            "signs, so that the maps cannot agree: take another number of permutations, or weight=0"
        )


def _same_base(student: Flow, teacher: Flow) -> bool:
    """Whether points of the base mean the same in both."""
    learned = any(
        name.startswith("base.") for flow in (student, teacher) for name in flow.parameters
    )
    same = student.base == teacher.base and student.base_shape == teacher.base_shape
    return same and not learned
