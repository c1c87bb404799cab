"""Recipes of autoregressive layers: MAF, IAF, autoregressive neural spline flows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._core import Autoregressive, Base, BatchNorm, Embedding, Layer, Scale
from ..arguments import integer
from ..columns import Column, checked, circular, places
from ..flow import Flow
from .shared import build, column_mixing, column_spline, network, sizes, without_angles

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

ORDERS = ("natural", "reverse")


def maf(
    features: int,
    layers: int = 5,
    hidden: Sequence[int] = (100, 100),
    *,
    batch_norm: bool = True,
    context_features: int = 0,
    embedding: Embedding | None = None,
    activation: str = "relu",
    scale: str | Scale = "softclip",
    base: Base | None = None,
    columns: Sequence[Column] | None = None,
    standardize: bool = True,
    dtype: DTypeLike = "float32",
    seed: int | None = None,
) -> Flow:
    """A masked autoregressive flow: ``x_i = u_i * scale(x_<i) + shift(x_<i)``, orders in turn.

    Densities take one pass of each layer's masked network; samples one too, feature by feature.

    Parameters
    ----------
    features : int
        The number of columns of the data.
    layers : int, default 5
        The number of autoregressive layers; 5 and 10 in the paper.
    hidden : sequence of int, default (100, 100)
        The hidden widths of each network; 100, or 512 for many columns, in the paper.
    batch_norm : bool, default True
        A `BatchNorm` on the base's side of each autoregressive layer, as in the authors' code.
    context_features : int, default 0
        The number of context features.
    embedding : Embedding, optional
        A network that the context passes through first, learned with the flow.
    activation : str, default 'relu'
    scale : str or Scale, default 'softclip'
        How raw outputs become scales, as of `Autoregressive`; the paper's own is ``'exp'``.
    base : Base, optional
        None is the standard normal.
    columns : sequence of Column, optional
        What each column holds, `real`, `positive` or `interval`; None is `real` for all.
    standardize : bool, default True
        End with an `Affine` that ``fit`` sets to the mean and standard deviation of the `real`
        columns.
    dtype : {'float32', 'float64'}, default 'float32'
    seed : int, optional
        Of the starting weights.

    Returns
    -------
    Flow
        With autoregressive layers that start as the identity.

    Raises
    ------
    ValueError
        If a size is out of range or a name unknown.
    TypeError
        If an argument is of the wrong kind.

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
    """
    features, layers, context_features = sizes(features, layers, context_features)
    without_angles("maf", columns, features)
    chain: list[Layer] = []
    for i in range(layers):
        chain += [BatchNorm()] if batch_norm else []
        chain.append(
            Autoregressive(ORDERS[i % 2], hidden=hidden, activation=activation, scale=scale)
        )
    return build(
        chain, features, context_features, embedding, base, columns, standardize, dtype, seed
    )


def iaf(
    features: int,
    layers: int = 5,
    hidden: Sequence[int] = (100, 100),
    *,
    context_features: int = 0,
    embedding: Embedding | None = None,
    activation: str = "relu",
    scale: str | Scale = "softclip",
    base: Base | None = None,
    columns: Sequence[Column] | None = None,
    standardize: bool = True,
    dtype: DTypeLike = "float32",
    seed: int | None = None,
) -> Flow:
    """An inverse autoregressive flow: ``x_i = u_i * scale(u_<i) + shift(u_<i)``, orders in turn.

    Samples take one pass of each layer's masked network; densities one too, feature by feature.

    Parameters
    ----------
    features : int
        The number of columns of the data.
    layers : int, default 5
        The number of autoregressive layers.
    hidden : sequence of int, default (100, 100)
        The hidden widths of each network.
    context_features : int, default 0
        The number of context features.
    embedding : Embedding, optional
        A network that the context passes through first, learned with the flow.
    activation : str, default 'relu'
    scale : str or Scale, default 'softclip'
        How raw outputs become scales, as of `Autoregressive`; the paper's own is a sigmoid that
        starts near 1, ``cf.Scale('sigmoid', offset=2)``.
    base : Base, optional
        None is the standard normal.
    columns : sequence of Column, optional
        What each column holds, `real`, `positive` or `interval`; None is `real` for all.
    standardize : bool, default True
        End with an `Affine` that ``fit`` sets to the mean and standard deviation of the `real`
        columns.
    dtype : {'float32', 'float64'}, default 'float32'
    seed : int, optional
        Of the starting weights.

    Returns
    -------
    Flow
        With autoregressive layers that start as the identity.

    Raises
    ------
    ValueError
        If a size is out of range or a name unknown.
    TypeError
        If an argument is of the wrong kind.

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
    features, layers, context_features = sizes(features, layers, context_features)
    without_angles("iaf", columns, features)
    chain: list[Layer] = [
        Autoregressive(
            ORDERS[i % 2], parallel="forward", hidden=hidden, activation=activation, scale=scale
        )
        for i in range(layers)
    ]
    return build(
        chain, features, context_features, embedding, base, columns, standardize, dtype, seed
    )


def nsf_ar(
    features: int,
    layers: int = 5,
    hidden: int | Sequence[int] = 128,
    *,
    blocks: int = 2,
    bins: int = 8,
    bound: float = 3.0,
    dropout: float = 0.0,
    context_features: int = 0,
    embedding: Embedding | None = None,
    activation: str = "relu",
    base: Base | None = None,
    columns: Sequence[Column] | None = None,
    standardize: bool = True,
    dtype: DTypeLike = "float32",
    seed: int | None = None,
) -> Flow:
    """An autoregressive neural spline flow: masked networks set rational-quadratic splines.

    Each step is, from the base to the data, an `Autoregressive` layer whose transform is a
    `Spline` with linear tails outside ``[-bound, bound]``, and a `Linear` layer ``W = P L U`` with
    a random permutation. Circular columns have circular splines and, instead of the linear layer, a
    learned `CircularShift`; then the orders take turns.

    Parameters
    ----------
    features : int
        The number of columns of the data.
    layers : int, default 5
        The number of steps.
    hidden : int or sequence of int, default 128
        The width of residual masked networks, as in the paper (64 to 512 there); a sequence is
        the hidden widths of plain ones.
    blocks : int, default 2
        Residual blocks, of two layers each; plain networks have none.
    bins : int, default 8
        Of each spline.
    bound : float, default 3
        The splines act on ``[-bound, bound]``.
    dropout : float, default 0
        The probability, in training, of an activation to be left out; up to 0.2 in the paper.
    context_features : int, default 0
        The number of context features.
    embedding : Embedding, optional
        A network that the context passes through first, learned with the flow.
    activation : str, default 'relu'
    base : Base, optional
        None is the standard normal, and uniform for circular columns.
    columns : sequence of Column, optional
        What each column holds: `real`, `positive`, `interval` or `circular`; None is `real` for
        all.
    standardize : bool, default True
        End with an `Affine` that ``fit`` sets to the mean and standard deviation of the `real`
        columns.
    dtype : {'float32', 'float64'}, default 'float32'
    seed : int, optional
        Of the starting weights and permutations.

    Returns
    -------
    Flow

    Raises
    ------
    ValueError
        If a size is out of range or a name unknown.
    TypeError
        If an argument is of the wrong kind.

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
    features, layers, context_features = sizes(features, layers, context_features)
    kinds = checked(columns, features)
    spline = column_spline(kinds, bins, bound)
    conditioner = network(hidden, blocks, activation, dropout)
    angles = bool(places(kinds, "circular"))
    chain: list[Layer] = []
    for i in range(layers):
        order = ORDERS[i % 2] if angles else "natural"
        chain.append(Autoregressive(order, transform=spline, conditioner=conditioner))
        chain += column_mixing(kinds)
    return build(
        chain, features, context_features, embedding, base, columns, standardize, dtype, seed
    )


def ncsf(
    features: int,
    layers: int = 5,
    hidden: int | Sequence[int] = 128,
    *,
    blocks: int = 2,
    bins: int = 8,
    bound: float = 3.0,
    dropout: float = 0.0,
    context_features: int = 0,
    embedding: Embedding | None = None,
    activation: str = "relu",
    base: Base | None = None,
    columns: Sequence[Column] | None = None,
    standardize: bool = True,
    dtype: DTypeLike = "float32",
    seed: int | None = None,
) -> Flow:
    """A neural circular spline flow: `nsf_ar` on angles, in ``[-pi, pi]`` unless told otherwise.

    Parameters
    ----------
    features : int
        The number of columns of the data.
    layers : int, default 5
        The number of steps.
    hidden : int or sequence of int, default 128
        As of `nsf_ar`.
    blocks : int, default 2
        As of `nsf_ar`.
    bins : int, default 8
        Of each spline.
    bound : float, default 3
        The splines of columns that are not circular act on ``[-bound, bound]``.
    dropout : float, default 0
        The probability, in training, of an activation to be left out.
    context_features : int, default 0
        The number of context features.
    embedding : Embedding, optional
        A network that the context passes through first, learned with the flow.
    activation : str, default 'relu'
    base : Base, optional
        None is uniform for circular columns, and normal for others.
    columns : sequence of Column, optional
        What each column holds; None is ``circular(2 * pi, low=-pi)`` for all.
    standardize : bool, default True
        End with an `Affine` that ``fit`` sets to the mean and standard deviation of the `real`
        columns.
    dtype : {'float32', 'float64'}, default 'float32'
    seed : int, optional
        Of the starting weights and permutations.

    Returns
    -------
    Flow

    Raises
    ------
    ValueError
        If a size is out of range or a name unknown.
    TypeError
        If an argument is of the wrong kind.

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
    if columns is None:
        columns = [circular(2 * math.pi, low=-math.pi)] * integer("features", features, 1)
    return nsf_ar(
        features,
        layers,
        hidden,
        blocks=blocks,
        bins=bins,
        bound=bound,
        dropout=dropout,
        context_features=context_features,
        embedding=embedding,
        activation=activation,
        base=base,
        columns=columns,
        standardize=standardize,
        dtype=dtype,
        seed=seed,
    )
