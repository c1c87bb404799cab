"""Recipes of coupling layers: NICE, neural spline flows, Glow on vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._core import ActNorm, Affine, Base, Coupling, Embedding, Layer, Linear, Scale
from ..columns import Column, checked, places
from ..flow import Flow
from .shared import build, column_mixing, column_spline, network, sizes, without_angles

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


def nice(
    features: int,
    layers: int = 4,
    hidden: Sequence[int] = (256, 256),
    *,
    context_features: int = 0,
    embedding: Embedding | None = None,
    activation: str = "relu",
    base: Base | None = None,
    columns: Sequence[Column] | None = None,
    standardize: bool = True,
    dtype: DTypeLike = "float32",
    seed: int | None = None,
) -> Flow:
    """A NICE: additive couplings that keep every other feature in turn, then one learned scale.

    A coupling is ``x_b = u_b + shift`` with the shift a function of the other features and the
    context; the last layer is ``x = u * exp(log_scale) + shift``, without which volumes would be
    kept.

    Parameters
    ----------
    features : int
        The number of columns of the data.
    layers : int, default 4
        The number of couplings, as in the paper.
    hidden : sequence of int, default (256, 256)
        The hidden widths of each coupling's perceptron; the paper's, for images, are five of 1000.
    context_features : int, default 0
        The number of context features.
    embedding : Embedding, optional
        A network that the context passes through first, learned with the flow.
    activation : str, default 'relu'
        The perceptrons' activation, as of `Coupling`.
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
        That starts as the identity, but for the standardisation.

    Raises
    ------
    ValueError
        If a size is out of range or a name unknown.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    Dinh et al. 2015, NICE: Non-linear independent components estimation, arXiv:1410.8516,
    sections 3.2, 3.3 and 5.1.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.nice(features=4, layers=2, hidden=(16,), seed=0)
    >>> [layer.type for layer in flow.layers]
    ['Coupling', 'Coupling', 'Affine', 'Affine']
    """
    features, layers, context_features = sizes(features, layers, context_features)
    without_angles("nice", columns, features)
    chain: list[Layer] = [
        Coupling(
            "alternating",
            swap=i % 2 == 1,
            transform="additive",
            hidden=hidden,
            activation=activation,
        )
        for i in range(layers)
    ]
    chain.append(Affine(learned=True))
    return build(
        chain, features, context_features, embedding, base, columns, standardize, dtype, seed
    )


def nsf(
    features: int,
    layers: int = 10,
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
    """A neural spline flow of couplings: rational-quadratic splines and linear layers in turn.

    Each step is, from the base to the data, a coupling whose transform is a `Spline` with linear
    tails outside ``[-bound, bound]``, conditioned on the first half of the features, and a
    `Linear` layer ``W = P L U`` with a random permutation. Circular columns have circular splines
    and, instead of the linear layer, a learned `CircularShift`; then the halves take turns.

    Parameters
    ----------
    features : int
        The number of columns of the data.
    layers : int, default 10
        The number of steps.
    hidden : int or sequence of int, default 128
        The width of residual conditioners, as in the paper (64 to 256 there); a sequence is the
        hidden widths of plain perceptrons.
    blocks : int, default 2
        Residual blocks, of two layers each; plain perceptrons have none.
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
    Durkan et al. 2019, Neural spline flows, arXiv:1906.04032, sections 3.1 and 5.1, appendix B.1.
    Rezende et al. 2020, Normalizing flows on tori and spheres, arXiv:2002.02428 (circular columns).

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.nsf(features=3, layers=2, hidden=32, context_features=1, seed=0)
    >>> [layer.type for layer in flow.layers]
    ['Coupling', 'Linear', 'Coupling', 'Linear', 'Affine']
    """
    features, layers, context_features = sizes(features, layers, context_features)
    kinds = checked(columns, features)
    spline = column_spline(kinds, bins, bound)
    conditioner = network(hidden, blocks, activation, dropout)
    # Angles are not permuted: there the masks take turns.
    angles = bool(places(kinds, "circular"))
    chain: list[Layer] = []
    for i in range(layers):
        mask = "alternating" if angles and i % 4 >= 2 else "half"
        swap = angles and i % 2 == 1
        chain.append(Coupling(mask, swap, transform=spline, conditioner=conditioner))
        chain += column_mixing(kinds)
    return build(
        chain, features, context_features, embedding, base, columns, standardize, dtype, seed
    )


def glow1d(
    features: int,
    layers: int = 8,
    hidden: Sequence[int] = (64, 64),
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
    """Glow's steps on vectors: activation normalisation, a linear layer, an affine coupling.

    On the way from the data to the base each step is an `ActNorm`, which ``fit`` starts from the
    data, a `Linear` layer ``W = P L U`` with a random permutation, and a coupling that keeps the
    first half of the features.

    Parameters
    ----------
    features : int
        The number of columns of the data.
    layers : int, default 8
        The number of steps.
    hidden : sequence of int, default (64, 64)
        The hidden widths of each coupling's perceptron.
    context_features : int, default 0
        The number of context features.
    embedding : Embedding, optional
        A network that the context passes through first, learned with the flow.
    activation : str, default 'relu'
    scale : str or Scale, default 'softclip'
        How raw outputs become scales, as of `Coupling`; Glow's own is
        ``cf.Scale('sigmoid', offset=2)``.
    base : Base, optional
        None is the standard normal.
    columns : sequence of Column, optional
        What each column holds, `real`, `positive` or `interval`; None is `real` for all.
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
    Kingma and Dhariwal 2018, Glow, arXiv:1807.03039, section 3 and table 1.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.glow1d(features=3, layers=1, seed=0)
    >>> [layer.type for layer in flow.layers]
    ['Coupling', 'Linear', 'ActNorm', 'Affine']
    """
    features, layers, context_features = sizes(features, layers, context_features)
    without_angles("glow1d", columns, features)
    step: list[Layer] = [
        Coupling("half", hidden=hidden, activation=activation, scale=scale),
        Linear("lu"),
        ActNorm(),
    ]
    chain = step * layers
    return build(
        chain, features, context_features, embedding, base, columns, standardize, dtype, seed
    )
