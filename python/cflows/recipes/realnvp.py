"""The recipe of RealNVP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from .._core import Base, Coupling, Embedding, Layer, Permutation, Scale
from ..columns import Column
from ..flow import Flow
from .shared import build, sizes, without_angles

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


def realnvp(
    features: int,
    layers: int = 8,
    hidden: Sequence[int] = (64, 64),
    *,
    context_features: int = 0,
    embedding: Embedding | None = None,
    activation: str = "relu",
    scale: str | Scale = "softclip",
    permute: Literal[False, "reverse", "random"] = False,
    base: Base | None = None,
    columns: Sequence[Column] | None = None,
    standardize: bool = True,
    dtype: DTypeLike = "float32",
    seed: int | None = None,
) -> Flow:
    """A RealNVP: affine couplings that keep every other feature in turn.

    A coupling is ``x_b = u_b * scale + shift`` with scale and shift functions of the other
    features and the context, computed by a multilayer perceptron.

    Parameters
    ----------
    features : int
        The number of columns of the data.
    layers : int, default 8
        The number of couplings.
    hidden : sequence of int, default (64, 64)
        The hidden widths of each coupling's perceptron.
    context_features : int, default 0
        The number of context features.
    embedding : Embedding, optional
        A network that the context passes through first, learned with the flow.
    activation : str, default 'relu'
        The perceptrons' activation, as of `Coupling`.
    scale : str or Scale, default 'softclip'
        How raw outputs become scales, as of `Coupling`.
    permute : {False, 'reverse', 'random'}, default False
        A `Permutation` between couplings.
    base : Base, optional
        None is the standard normal.
    columns : sequence of Column, optional
        What each column holds, `real`, `positive` or `interval`; None is `real` for all.
    standardize : bool, default True
        End with an `Affine` that ``fit`` sets to the mean and standard deviation of the `real`
        columns.
    dtype : {'float32', 'float64'}, default 'float32'
    seed : int, optional
        Of the starting weights and random permutations.

    Returns
    -------
    Flow
        With couplings that start as the identity.

    Raises
    ------
    ValueError
        If a size is out of range or a name unknown.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    Dinh et al. 2017, Density estimation using Real NVP, arXiv:1605.08803.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.realnvp(features=3, layers=4, context_features=2, permute="random", seed=0)
    >>> [layer.type for layer in flow.layers][:3]
    ['Coupling', 'Permutation', 'Coupling']
    """
    features, layers, context_features = sizes(features, layers, context_features)
    without_angles("realnvp", columns, features)
    if permute is not False and permute not in ("reverse", "random"):
        raise ValueError(f"permute must be False, 'reverse' or 'random', got {permute!r}")
    between = [] if permute is False else [Permutation(permute)]
    # Reversing an even number of features turns the even ones into the odd ones: swapping the
    # mask as well would keep the same features in all couplings.
    swapping = not (permute == "reverse" and features % 2 == 0)
    chain: list[Layer] = []
    for i in range(layers):
        if i > 0:
            chain += between
        chain.append(
            Coupling(
                mask="alternating",
                swap=swapping and i % 2 == 1,
                hidden=hidden,
                activation=activation,
                scale=scale,
            )
        )
    return build(
        chain, features, context_features, embedding, base, columns, standardize, dtype, seed
    )
