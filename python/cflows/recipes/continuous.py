"""The recipe of continuous flows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._core import MLP, Continuous
from ..flow import Flow
from ..option_names import Activation, SolverName
from .options import with_options_of
from .shared import ColumnOptions, column_flow, sizes, without_angles

if TYPE_CHECKING:
    from typing_extensions import Unpack


@with_options_of(column_flow)
def cnf(
    features: int,
    layers: int = 1,
    hidden: Sequence[int] = (64, 64),
    *,
    activation: Activation = "silu",
    solver: SolverName = "dopri5",
    steps: int | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-6,
    probes: int | None = None,
    **options: Unpack[ColumnOptions],
) -> Flow:
    """A continuous flow: x is where ``dx/dt = v(x, t)`` leads from u at t = 0 to t = 1.

    The velocity v is a multilayer perceptron of x, the time and the context; ``log_det`` is the
    integral of its divergence. Both directions are solved numerically.

    Parameters
    ----------
    layers : int, default 1
        The number of velocities, one after the other; more than one is rarely of use.
    hidden : sequence of int, default (64, 64)
        The hidden widths of v. With up to two the exact divergence costs as much as one more.
    activation : str, default 'silu'
        That of v, a smooth one.
    solver : {'euler', 'rk4', 'dopri5', 'tsit5'}, default 'dopri5'
        'dopri5' and 'tsit5' choose each sample's steps; 'rk4' and 'euler' make equal ones.
    steps : int, optional
        How many equal steps, None is 20; or how many may be tried, None is 1000.
    rtol : float, default 1e-05
        Of the error of a step, relative to x; looser ones are faster.
    atol : float, default 1e-06
        The absolute error of a step, beside the relative one.
    probes : int, optional
        In the steps of a fit, estimate the divergence by so many random vectors (FFJORD); None is
        exact.

    Returns
    -------
    Flow
        It starts as the identity, except for the standardisation.

    References
    ----------
    Chen et al. 2018, Neural ordinary differential equations, arXiv:1806.07366.
    Grathwohl et al. 2019, FFJORD, arXiv:1810.01367.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.cnf(features=2, hidden=(32, 32), rtol=1e-3, atol=1e-3, seed=0)
    >>> [layer.type for layer in flow.layers]
    ['Continuous', 'Affine']
    """
    features, layers = sizes(features, layers)
    without_angles("cnf", features, options)
    layer = Continuous(
        MLP(hidden, activation=activation),
        solver,
        steps=steps,
        rtol=rtol,
        atol=atol,
        probes=probes,
    )
    return column_flow([layer] * layers, features, **options)
