"""Recipes of neural autoregressive flows: NAF and BNAF."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._core import (
    ActNorm,
    Autoregressive,
    BlockNeural,
    DeepSigmoidal,
    Layer,
    Permutation,
    Transform,
)
from ..flow import Flow
from ..option_names import Activation, BlockResidual
from .autoregressive import ORDERS
from .graph import graph_options
from .options import with_options_of
from .shared import ColumnOptions, column_flow, sizes, without_angles

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .graph import Graph


@with_options_of(column_flow)
def naf(
    features: int,
    layers: int = 5,
    hidden: Sequence[int] = (100, 100),
    *,
    transform: Transform | None = None,
    activation: Activation = "elu",
    adjacency: Graph | None = None,
    context_adjacency: Graph | None = None,
    **options: Unpack[ColumnOptions],
) -> Flow:
    """A neural autoregressive flow: ``u_i = tau(x_i; c(x_<i))`` with a monotone network tau.

    A masked network c of the features before it and of the context sets the weights of each
    feature's monotone network; orders are natural and reverse in turn. Densities take one pass of
    each layer; samples take one feature by feature, each by Newton's method and bisection.

    Parameters
    ----------
    layers : int, default 5
        The number of autoregressive layers; 5 and 10 in the paper.
    hidden : sequence of int, default (100, 100)
        The hidden widths of each masked network.
    transform : Transform, optional
        The monotone network. None is ``DeepSigmoidal(16)``; ``DeepSigmoidal(16, layers=2,
        dense=True)`` is the paper's dense one, and `MonotoneNetwork` and `IntegratedNetwork` have
        weights of their own beside those that c sets.
    activation : str, default 'elu'
        The masked networks' activation, as of `Autoregressive`.
    adjacency : matrix of bool, optional
        Which features (columns) each feature (row) may depend on, as of `Autoregressive`: a causal
        graph. The layers then all have its order. One layer keeps to the parents: ``du_i/dx_j`` is
        0 but for them. Several see the parents of parents, so that with more than one layer the
        graph must have all ancestors, as its transitive closure has.
    context_adjacency : matrix of bool, optional
        Which numbers of the context (columns) each feature (row) may depend on; with more than one
        layer, also all those of its ancestors.

    Returns
    -------
    Flow
        It starts near the identity, except for the standardisation.

    References
    ----------
    Huang et al. 2018, Neural autoregressive flows, arXiv:1804.00779, sections 3 and 6.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.naf(features=3, layers=2, hidden=(32,), context_features=1, seed=0)
    >>> [layer.type for layer in flow.layers]
    ['Autoregressive', 'Autoregressive', 'Affine']
    """
    features, layers = sizes(features, layers)
    without_angles("naf", features, options)
    tau = DeepSigmoidal(16) if transform is None else transform
    graph = graph_options("naf", features, layers, adjacency, context_adjacency, options)
    orders = ["natural" if graph else ORDERS[i % 2] for i in range(layers)]
    chain: list[Layer] = [
        Autoregressive(order, transform=tau, hidden=hidden, activation=activation, **graph)
        for order in orders
    ]
    return column_flow(chain, features, **options)


@with_options_of(column_flow)
def bnaf(
    features: int,
    layers: int = 5,
    hidden: Sequence[int] = (8, 8),
    *,
    residual: BlockResidual = "gated",
    **options: Unpack[ColumnOptions],
) -> Flow:
    """A block neural autoregressive flow: ``u = s f(x) + (1 - s) x`` with a masked network f.

    f increases in every feature, ``df_i/dx_i > 0``, and its i-th output reads ``x_1`` to ``x_i``
    and the context. Between two layers a `Permutation` reverses the features, and an `ActNorm`,
    which ``fit`` starts from the data, undoes their stretches. Densities take one pass of each
    layer; samples take one feature by feature, each by Newton's method and bisection.

    Parameters
    ----------
    layers : int, default 5
        The number of networks, up to 5 in the paper.
    hidden : sequence of int, default (8, 8)
        How many units a feature the hidden layers of each network have; up to 40 in the paper.
    residual : str, default 'gated'
        ``'gated'``, or ``'normal'``: ``u = x + f(x)``, as of `BlockNeural`.

    Returns
    -------
    Flow
        Each of its networks starts near the identity, with a stretch that is not undone before the
        first fit.

    References
    ----------
    De Cao et al. 2019, Block neural autoregressive flow, arXiv:1904.04676, section 3.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.bnaf(features=3, layers=2, seed=0)
    >>> [layer.type for layer in flow.layers]
    ['BlockNeural', 'ActNorm', 'Permutation', 'BlockNeural', 'Affine']
    """
    features, layers = sizes(features, layers)
    without_angles("bnaf", features, options)
    network = BlockNeural(hidden, residual)
    step: list[Layer] = [ActNorm(), Permutation("reverse"), network]
    chain: list[Layer] = [network, *step * (layers - 1)]
    return column_flow(chain, features, **options)
