"""Recipes of neural spline flows, of couplings and of autoregressive layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .._core import (
    MLP,
    Autoregressive,
    CircularShift,
    Conditioner,
    Coupling,
    Layer,
    Linear,
    MixedTransform,
    ResidualNet,
    Spline,
    Transform,
)
from ..arguments import integer
from ..columns import KINDS, Column, checked, circular, expanded, indices
from ..flow import Flow
from ..option_names import Activation
from .autoregressive import ORDERS
from .graph import GraphOptions, graph_options
from .options import with_options_of
from .shared import ColumnOptions, column_flow, on_columns, sizes

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .graph import Graph


class SplineOptions(ColumnOptions, total=False):
    """Options of `spline_flow`, for type checkers."""

    blocks: int
    bins: int
    bound: float
    dropout: float
    activation: Activation


class MaskedOptions(SplineOptions, GraphOptions, total=False):
    """Options of `nsf_ar`, for type checkers."""


@with_options_of(column_flow)
def spline_flow(
    layer: Callable[[int, bool, Transform, Conditioner], Layer],
    features: int,
    layers: int,
    hidden: int | Sequence[int],
    linear: bool = True,
    *,
    blocks: int = 2,
    bins: int = 8,
    bound: float = 3.0,
    dropout: float = 0.0,
    activation: Activation = "relu",
    **options: Unpack[ColumnOptions],
) -> Flow:
    """The flow of steps, each a layer of splines and layers that mix the features.

    Parameters
    ----------
    layer : callable
        A function of the number of the step, whether there are circular columns, the splines and
        the network that sets them.
    layers : int
        The number of steps.
    hidden : int or sequence of int
        The width of residual networks; a sequence is the hidden widths of plain ones.
    linear : bool, default True
        Whether the layers that mix the features are there.
    blocks : int, default 2
        Residual blocks, of two layers each; plain networks have none.
    bins : int, default 8
        Of each spline.
    bound : float, default 3
        The splines of columns that are not circular act on ``[-bound, bound]``.
    dropout : float, default 0
        The probability of dropping an activation in training; up to 0.2 in the paper of neural
        spline flows.
    activation : str, default 'relu'
        The networks' activation, as of `ResidualNet`.
    """
    features, layers = sizes(features, layers)
    columns = expanded(checked(options.get("columns"), features))
    spline = column_spline(columns, bins, bound)
    conditioner = network(hidden, blocks, activation, dropout)
    angles = bool(indices(columns, "circular"))
    chain: list[Layer] = []
    for i in range(layers):
        chain += [layer(i, angles, spline, conditioner), *column_mixing(columns, linear)]
    return column_flow(chain, features, **options)


def column_spline(columns: Sequence[Column], bins: int, bound: float) -> Transform:
    """Circular splines for angles, splines with linear tails for other features."""
    angles = [int(column.kind == "circular") for column in columns]
    line, circle = Spline(bins, bound), Spline(bins, math.pi, tails="circular")
    if all(angles):
        return circle
    return MixedTransform([line, circle], angles) if any(angles) else line


def column_mixing(columns: Sequence[Column], linear: bool = True) -> list[Layer]:
    """A linear layer of the features that are not angles, and a learned shift of each angle."""
    straight = len(columns) - len(indices(columns, "circular"))
    if not linear:
        return on_columns(columns, ("circular",), CircularShift(learned=True))
    if straight == len(columns):
        return [Linear("lu")]
    others = [kind for kind in KINDS if kind != "circular"]
    mixed = on_columns(columns, others, Linear("lu"))
    return [
        *(mixed if straight > 1 else []),
        *on_columns(columns, ("circular",), CircularShift(learned=True)),
    ]


def network(
    hidden: int | Sequence[int], blocks: int, activation: Activation, dropout: float
) -> Conditioner:
    """A residual network of one width, or a plain one of several."""
    if isinstance(hidden, Sequence):
        return MLP(hidden, activation=activation, dropout=dropout)
    return ResidualNet(
        integer("hidden", hidden, 1),
        blocks=integer("blocks", blocks, 0),
        activation=activation,
        dropout=dropout,
    )


@with_options_of(spline_flow)
def nsf(
    features: int,
    layers: int = 10,
    hidden: int | Sequence[int] = 128,
    **options: Unpack[SplineOptions],
) -> Flow:
    """A neural spline flow of couplings: rational-quadratic splines and linear layers in turn.

    Each step is, from the base to the data, a coupling whose transform is a `Spline` with linear
    tails outside ``[-bound, bound]``, conditioned on the first half of the features, and a
    `Linear` layer ``W = P L U`` with a random permutation. Circular columns have circular splines
    and, instead of the linear layer, a learned `CircularShift`; then the halves take turns.

    Parameters
    ----------
    layers : int, default 10
        The number of steps.
    hidden : int or sequence of int, default 128
        The width of residual networks, as in the paper (64 to 256 there); a sequence is the
        hidden widths of plain ones.

    References
    ----------
    Durkan et al. 2019, Neural spline flows, arXiv:1906.04032, sections 3.1 and 5.1, appendix B.1.
    Rezende et al. 2020, Normalizing flows on tori and spheres, arXiv:2002.02428 (circular columns).

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.nsf(features=3, layers=2, hidden=32, context_features=1, seed=0)
    >>> [layer.type for layer in flow.layers]
    ['Coupling', 'Linear', 'Coupling', 'Linear', 'Affine']
    """

    def coupling(i: int, angles: bool, spline: Transform, conditioner: Conditioner) -> Layer:
        # Angles are not permuted; the masks alternate instead.
        mask = "alternating" if angles and i % 4 >= 2 else "half"
        return Coupling(mask, angles and i % 2 == 1, transform=spline, conditioner=conditioner)

    return spline_flow(coupling, features, layers, hidden, **options)


@with_options_of(spline_flow)
def nsf_ar(
    features: int,
    layers: int = 5,
    hidden: int | Sequence[int] = 128,
    *,
    adjacency: Graph | None = None,
    context_adjacency: Graph | None = None,
    **options: Unpack[SplineOptions],
) -> Flow:
    """An autoregressive neural spline flow: masked networks set rational-quadratic splines.

    Each step is, from the base to the data, an `Autoregressive` layer whose transform is a
    `Spline` with linear tails outside ``[-bound, bound]``, and a `Linear` layer ``W = P L U`` with
    a random permutation. Circular columns have circular splines and, instead of the linear layer, a
    learned `CircularShift`; then the orders take turns.

    Parameters
    ----------
    layers : int, default 5
        The number of steps.
    hidden : int or sequence of int, default 128
        The width of residual masked networks, as in the paper (64 to 512 there); a sequence is
        the hidden widths of plain ones.
    adjacency : matrix of bool, optional
        Which features (columns) each feature (row) may depend on, as of `Autoregressive`: a causal
        graph. The layers then all have its order, and there are no linear layers. One layer keeps
        to the parents: ``du_i/dx_j`` is 0 but for them. Several see the parents of parents, so that
        with more than one layer the graph must have all ancestors, as its transitive closure has.
    context_adjacency : matrix of bool, optional
        Which numbers of the context (columns) each feature (row) may depend on; with more than one
        layer, also all those of its ancestors.

    References
    ----------
    Durkan et al. 2019, Neural spline flows, arXiv:1906.04032, sections 3.2 and 5.1, appendix B.1.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.nsf_ar(features=3, layers=2, hidden=32, seed=0)
    >>> [layer.type for layer in flow.layers]
    ['Autoregressive', 'Linear', 'Autoregressive', 'Linear', 'Affine']
    """

    features, layers = sizes(features, layers)
    graph = graph_options("nsf_ar", features, layers, adjacency, context_adjacency, options)

    def masked(i: int, angles: bool, spline: Transform, conditioner: Conditioner) -> Layer:
        order = ORDERS[i % 2] if angles and not graph else "natural"
        return Autoregressive(order, transform=spline, conditioner=conditioner, **graph)

    return spline_flow(masked, features, layers, hidden, not graph, **options)


@with_options_of(nsf_ar)
def ncsf(
    features: int,
    layers: int = 5,
    hidden: int | Sequence[int] = 128,
    **options: Unpack[MaskedOptions],
) -> Flow:
    """A neural circular spline flow: `nsf_ar` on angles, in ``[-pi, pi]`` unless told otherwise.

    Parameters
    ----------
    columns : sequence of Column, optional
        What each column holds; None is ``circular(2 * pi, low=-pi)`` for all.

    References
    ----------
    Rezende et al. 2020, Normalizing flows on tori and spheres, arXiv:2002.02428, section 2.1.3.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.ncsf(features=2, layers=2, hidden=16, seed=0)
    >>> [layer.type for layer in flow.layers[:2]]
    ['Autoregressive', 'CircularShift']
    """
    if options.get("columns") is None:
        angle = circular(2 * math.pi, low=-math.pi)
        options["columns"] = [angle] * integer("features", features, 1)
    return nsf_ar(features, layers, hidden, **options)
