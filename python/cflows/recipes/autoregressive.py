"""Recipes of affine autoregressive layers: MAF and IAF."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._core import Autoregressive, BatchNorm, Layer, Scale
from ..flow import Flow
from ..option_names import Activation, ScaleForm
from .graph import graph_options
from .options import with_options_of
from .shared import ColumnOptions, column_flow, sizes, without_angles

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .graph import Graph

ORDERS = ("natural", "reverse")


@with_options_of(column_flow)
def maf(
    features: int,
    layers: int = 5,
    hidden: Sequence[int] = (100, 100),
    *,
    batch_norm: bool | None = None,
    activation: Activation = "relu",
    scale: ScaleForm | Scale = "softclip",
    adjacency: Graph | None = None,
    context_adjacency: Graph | None = None,
    **options: Unpack[ColumnOptions],
) -> Flow:
    """A masked autoregressive flow: ``x_i = u_i * scale(x_<i) + shift(x_<i)``, orders in turn.

    Densities take one pass of each layer's masked network; samples take one feature by feature.

    Parameters
    ----------
    layers : int, default 5
        The number of autoregressive layers; 5 and 10 in the paper.
    hidden : sequence of int, default (100, 100)
        The hidden widths of each network; 100, or 512 for many columns, in the paper.
    batch_norm : bool, optional
        A `BatchNorm` on the base's side of each autoregressive layer, as in the authors' code. None
        has them unless ``standardize='robust'``: wild numbers set the statistics of their batch.
    activation : str, default 'relu'
    scale : str or Scale, default 'softclip'
        How unconstrained outputs become scales, as of `Autoregressive`; the paper's own is
        ``'exp'``.
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
        With autoregressive layers that start as the identity.

    References
    ----------
    Papamakarios et al. 2017, Masked autoregressive flow for density estimation,
    arXiv:1705.07057, sections 3 and 4, appendix B.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.maf(features=3, layers=2, context_features=2, seed=0)
    >>> [layer.type for layer in flow.layers]
    ['BatchNorm', 'Autoregressive', 'BatchNorm', 'Autoregressive', 'Affine']

    A causal graph, 0 -> 1 -> 2, where 2 depends on 0 through 1 alone:

    >>> chain = [[False, False, False], [True, False, False], [False, True, False]]
    >>> flow = cf.maf(features=3, layers=1, adjacency=chain, seed=0)
    """
    features, layers = sizes(features, layers)
    without_angles("maf", features, options)
    if batch_norm is None:
        batch_norm = options.get("standardize") != "robust"
    graph = graph_options("maf", features, layers, adjacency, context_adjacency, options)
    chain: list[Layer] = []
    for i in range(layers):
        chain += [BatchNorm()] if batch_norm else []
        order = "natural" if graph else ORDERS[i % 2]
        chain.append(
            Autoregressive(order, hidden=hidden, activation=activation, scale=scale, **graph)
        )
    return column_flow(chain, features, **options)


@with_options_of(column_flow)
def iaf(
    features: int,
    layers: int = 5,
    hidden: Sequence[int] = (100, 100),
    *,
    activation: Activation = "relu",
    scale: ScaleForm | Scale = "softclip",
    **options: Unpack[ColumnOptions],
) -> Flow:
    """An inverse autoregressive flow: ``x_i = u_i * scale(u_<i) + shift(u_<i)``, orders in turn.

    Samples take one pass of each layer's masked network; densities take one feature by feature.

    Parameters
    ----------
    layers : int, default 5
        The number of autoregressive layers.
    hidden : sequence of int, default (100, 100)
        The hidden widths of each network.
    activation : str, default 'relu'
    scale : str or Scale, default 'softclip'
        How unconstrained outputs become scales, as of `Autoregressive`; the paper's own is a
        sigmoid that starts near 1, ``cf.Scale('sigmoid', offset=2)``.

    Returns
    -------
    Flow
        With autoregressive layers that start as the identity.

    References
    ----------
    Kingma et al. 2016, Improving variational inference with inverse autoregressive flow,
    arXiv:1606.04934, section 4.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.iaf(features=3, layers=2, seed=0)
    >>> [layer.options["parallel"] for layer in flow.layers[:2]]
    ['forward', 'forward']
    """
    features, layers = sizes(features, layers)
    without_angles("iaf", features, options)
    chain: list[Layer] = [
        Autoregressive(
            ORDERS[i % 2], parallel="forward", hidden=hidden, activation=activation, scale=scale
        )
        for i in range(layers)
    ]
    return column_flow(chain, features, **options)
