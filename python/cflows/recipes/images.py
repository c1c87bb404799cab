"""Recipes of image flows of several scales: Glow, RealNVP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .._core import (
    ActNorm,
    ConvNet,
    ConvResidualNet,
    Coupling,
    Dequantize,
    Inverse,
    Layer,
    Linear,
    Scale,
    Sigmoid,
    Split,
    Squeeze,
    Transform,
)
from ..arguments import integer, real
from ..flow import Flow
from ..option_names import ScaleForm
from .options import with_options_of
from .shared import Options, flow

if TYPE_CHECKING:
    from typing_extensions import Unpack


class ImageOptions(Options, total=False):
    """Options of `image_flow`, for type checkers."""

    discrete: int | None
    alpha: float
    noise: Sequence[Layer]


@with_options_of(flow)
def image_flow(
    chain: Sequence[Layer],
    shape: Sequence[int],
    *,
    discrete: int | None = None,
    alpha: float = 0.05,
    noise: Sequence[Layer] = (),
    **options: Unpack[Options],
) -> Flow:
    """The flow of a chain over images of real numbers, with the layers that make them pixels.

    Parameters
    ----------
    discrete : int, optional
        Pixels are the integers 0, 1, ..., discrete - 1: next to the data are a `Dequantize` and a
        logit, and `log_prob` bounds their probability. None: pixels are real numbers.
    alpha : float, default 0.05
        The logit is of ``alpha + (1 - 2 alpha) y`` for y in (0, 1).
    noise : sequence of Layer, optional
        The flow of the noise, as of `Dequantize`; () is uniform noise.

    Raises
    ------
    ValueError
        If a size is out of range, or the image does not fit the levels.
    TypeError
        If an argument is of the wrong kind.
    """
    return flow([*chain, *pixel_layers(discrete, alpha, noise)], shape=shape, **options)


@with_options_of(image_flow)
def glow(
    shape: Sequence[int],
    levels: int = 2,
    steps: int = 4,
    channels: int = 64,
    *,
    transform: str | Transform = "affine",
    scale: ScaleForm | Scale = "softclip",
    **options: Unpack[ImageOptions],
) -> Flow:
    """Glow: levels of a squeeze and steps of normalisation, 1 x 1 convolution and coupling.

    On the way from the data to the base each level is a `Squeeze`, `steps` times an `ActNorm`,
    which ``fit`` starts from the data, an inverted `Linear` layer of the channels and a coupling
    that keeps the first half of them, and, except in the last level, a `Split`, which factors out
    half of the channels to a Gaussian that is conditioned on the other half.

    Parameters
    ----------
    shape : (channels, height, width)
        Of an image; height and width are multiples of ``2**levels``.
    levels : int, default 2
    steps : int, default 4
        Of each level; 32 in the paper.
    channels : int, default 64
        Of the two hidden images of each coupling's network; 512 in the paper.
    transform : str or Transform, default 'affine'
        Of the couplings; ``cf.MixtureLogistic()`` is that of Flow++.
    scale : str or Scale, default 'softclip'
        How unconstrained outputs of splits and affine couplings become scales, as of `Coupling`;
        Glow's own is ``cf.Scale('sigmoid', offset=2)``.

    References
    ----------
    Kingma and Dhariwal 2018, Glow, arXiv:1807.03039, figure 2.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.glow((1, 8, 8), levels=2, steps=1, channels=8, seed=0)
    >>> [layer.type for layer in flow.layers]
    ['Split', 'Coupling', 'Inverse', 'ActNorm', 'Squeeze']
    >>> flow.sample(3, seed=0).shape
    (3, 1, 8, 8)
    >>> flow = cf.glow((1, 8, 8), steps=1, channels=8, discrete=17, seed=0)
    >>> int(flow.sample(100, seed=0).max()) <= 16
    True
    """
    levels, steps = integer("levels", levels, 1), integer("steps", steps, 1)
    network = ConvNet((integer("channels", channels, 1),) * 2, (3, 1, 3))
    map_options: dict[str, Any] = (
        {"scale": scale} if transform == "affine" else {"transform": transform}
    )
    coupling = Coupling(conditioner=network, **map_options)
    step: list[Layer] = [coupling, Inverse(Linear()), ActNorm()]
    chain: list[Layer] = []
    for level in range(levels):
        split = [Split(chain, conditioner=ConvNet((), 3), scale=scale)] if level > 0 else []
        chain = [*split, *(step * steps), Squeeze()]
    return image_flow(chain, shape, **options)


@with_options_of(image_flow)
def realnvp_image(
    shape: Sequence[int],
    levels: int = 2,
    channels: int = 64,
    blocks: int = 2,
    *,
    transform: str | Transform = "affine",
    scale: ScaleForm | Scale = "softclip",
    **options: Unpack[ImageOptions],
) -> Flow:
    """RealNVP of images: checkerboard couplings, a squeeze, channel couplings, and a split a level.

    On the way from the data to the base each level but the last is three couplings with
    checkerboards in turn, a `Squeeze`, three with halves of the channels in turn, and a `Split`
    of half the channels; the last is four with checkerboards. On the data's side of each coupling
    is an `ActNorm`, in place of the paper's batch normalisation.

    Parameters
    ----------
    shape : (channels, height, width)
        Of an image; height and width are multiples of ``2**(levels - 1)``.
    levels : int, default 2
    channels : int, default 64
        Of the hidden images of each coupling's residual network.
    blocks : int, default 2
        The number of its blocks; 8 in the paper, for small images.
    transform : str or Transform, default 'affine'
        Of the couplings; ``cf.MixtureLogistic()`` is that of Flow++.
    scale : str or Scale, default 'softclip'
        How unconstrained outputs of affine couplings become scales, as of `Coupling`.

    References
    ----------
    Dinh et al. 2017, Density estimation using Real NVP, arXiv:1605.08803, section 3.6.

    Examples
    --------
    >>> import cflows as cf
    >>> flow = cf.realnvp_image((1, 8, 8), levels=2, channels=8, blocks=1, seed=0)
    >>> flow.base_shape
    (64,)
    >>> flow.sample(3, seed=0).shape
    (3, 1, 8, 8)
    """
    levels = integer("levels", levels, 1)
    network = ConvResidualNet(
        integer("channels", channels, 1),
        integer("blocks", blocks, 0),
        outer_kernel=3,
        normalization="weight",
    )
    map_options: dict[str, Any] = {"transform": transform}
    if transform == "affine" or scale != "softclip":  # other transforms refuse it
        map_options["scale"] = scale

    def couplings(mask: str, count: int) -> list[Layer]:
        chain: list[Layer] = []
        for i in reversed(range(count)):  # from the base; the first at the data is not swapped
            chain.append(Coupling(mask, i % 2 == 1, conditioner=network, **map_options))
            chain.append(ActNorm())
        return chain

    chain = couplings("checkerboard", 4)
    for _ in range(levels - 1):
        above = [Split(chain), *couplings("half", 3)]
        chain = [*above, Squeeze(), *couplings("checkerboard", 3)]
    return image_flow(chain, shape, **options)


def pixel_layers(discrete: int | None, alpha: float, noise: Sequence[Layer]) -> list[Layer]:
    """Layers from real numbers to pixels of `discrete` levels; none if it is None."""
    alpha = real("alpha", alpha)
    if not 0 <= alpha < 0.5:
        raise ValueError(f"alpha must be from 0 to below 0.5, got {alpha}")
    if discrete is None:
        if len(noise) > 0:
            raise ValueError("noise is for discrete pixels, and discrete is None")
        return []
    span = 1 - 2 * alpha
    return [Sigmoid(-alpha / span, (1 - alpha) / span), Dequantize(discrete, noise)]
