"""The table of instances: every layer in every form, for the contract in test_contract.py.

To add a layer, add lines here: one of it with at most 2 features, whose density is integrated, and
one with several. That the layer is the map that its docstring says is not tested from here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

import cflows as cf
from cflows import nn

SMALL = {"hidden": (7, 6), "activation": "tanh"}
SMALL_NET = cf.MLP((6,), activation="tanh")
SMALL_CONV = cf.ConvNet((4,), (3, 1), activation="tanh")
SMALL_CONV_RESIDUAL = cf.ConvResidualNet(
    3, 1, outer_kernel=3, activation="silu", normalization="weight", gated=True
)


@cache
def function_net(inputs: int, context_features: int) -> cf.ExpressionNetwork:
    """A function with a skip connection and waves, as a network."""

    def net(x: Any, p: Any, context: Any = None) -> Any:
        h = nn.tanh(nn.matmul(p.weight, x) + p.bias)
        if context is not None:
            h = h * nn.cosine(nn.matmul(p.frequencies, context))
        return nn.concat([nn.tanh(x), h])

    start = {"weight": nn.UniformStart((5, inputs)), "bias": [0.2] * 5}
    if context_features:
        start["frequencies"] = nn.UniformStart((5, context_features), 0.3)
    return nn.conditioner(net, inputs, context_features=context_features, parameters=start)


# 3 -> 0, 3 -> 1 and both -> 2.
FORK = [
    [False, False, False, True],
    [False, False, False, True],
    [True, True, False, False],
    [False, False, False, False],
]


@dataclass(frozen=True)
class Instance:
    """Layers over a base, with their sizes; `volume` is whether log_det varies from row to row."""

    layers: Callable[[], list[Any]]
    features: int = 4
    context_features: int = 0
    base: Callable[[], Any] = cf.Normal
    embedding: cf.Embedding | None = None
    volume: bool = True
    smooth: bool = True  # no kinks: differences converge everywhere
    shape: tuple[int, int, int] | None = None  # of images, instead of features
    tolerance: float = 0.0  # of a numerical solution, beside rounding
    step: float = 2e-3  # of differences: shorter where slopes bend at knots that they may straddle

    @property
    def size(self) -> dict[str, Any]:
        """What tells it to `Flow`."""
        return {"features": self.features} if self.shape is None else {"shape": self.shape}


def coupling(**options: Any) -> Callable[[], list[Any]]:
    return lambda: [cf.Coupling(**{**SMALL, **options})]


def with_net(net: Callable[[], Any], **options: Any) -> Callable[[], list[Any]]:
    return lambda: [cf.Coupling(conditioner=net(), **options)]


def autoregressive(**options: Any) -> Callable[[], list[Any]]:
    return lambda: [cf.Autoregressive(**{**SMALL, **options})]


def masked(net: Callable[[], Any], **options: Any) -> Callable[[], list[Any]]:
    return lambda: [cf.Autoregressive(conditioner=net(), **options)]


def twice(layer: Any) -> Callable[[], list[Any]]:
    shared = cf.Shared(layer, "block")
    return lambda: [shared, cf.Permutation("reverse"), shared]


def residual(**options: Any) -> Callable[[], list[Any]]:
    return lambda: [cf.Residual(**{"hidden": (7, 6), **options})]


def pair() -> list[Any]:
    return [
        cf.MLP((6,), activation="tanh", output_activation="tanh", output_multiplier=1.5),
        cf.MLP((5, 6), activation="tanh"),
    ]


def scaled(**options: Any) -> Callable[[], list[Any]]:
    return lambda: [cf.Coupling(scale=cf.Scale(**options), **SMALL)]


def activated(name: str) -> Callable[[], list[Any]]:
    return lambda: [cf.Coupling(hidden=(8, 8), activation=name)]


def real_nvp() -> list[Any]:
    return [
        cf.Coupling("alternating", **SMALL),
        cf.Permutation("random"),
        cf.Coupling("alternating", swap=True, **SMALL),
        cf.Affine(shift=[1.0, -2.0, 0.5, 3.0], scale=[2.0, 0.5, -1.5, 1.0]),
    ]


def continuous(network: Any, **options: Any) -> Callable[[], list[Any]]:
    """By equal steps, whose gradient differences can tell; see `tolerance`."""
    return lambda: [cf.Continuous(network, **{"solver": "rk4", "steps": 50, **options})]


def mixed() -> cf.MixedTransform:
    """A spline of lengths, one of angles (of two features), an affine map; not too steep for the
    tolerances of float32."""
    gentle = {"minimum_bin": 0.05, "minimum_slope": 0.1}
    angles = cf.Spline(5, bound=5.0, tails="circular", **gentle)
    transforms = [cf.Spline(4, **gentle), angles, cf.AffineTransform("tanh")]
    return cf.MixedTransform(transforms, [1, 0, 1, 2])


# Absolute values of weights have a kink at 0, which short steps of differences do not reach.
SMOOTH_MONOTONE = cf.MonotoneNetwork(3, (5, 4), activation="softplus")
SMOOTH_INTEGRATED = cf.IntegratedNetwork(3, (5, 4), "tanh", "exp", points=100)


def mixed_networks() -> cf.MixedTransform:
    """Transforms with weights of their own, beside one that has none."""
    transforms = [SMOOTH_INTEGRATED, cf.AffineTransform("tanh"), SMOOTH_MONOTONE]
    return cf.MixedTransform(transforms, [2, 0, 1, 2])


MASK = [True, False, False, True, False]
KINKED = ("relu", "leaky_relu", "elu")

INSTANCES: dict[str, Instance] = {
    "coupling-half": Instance(coupling(mask="half")),
    "coupling-half-odd": Instance(coupling(mask="half"), features=5),
    "coupling-alternating": Instance(coupling(mask="alternating"), features=5),
    "coupling-swap": Instance(coupling(mask="alternating", swap=True), features=5),
    "coupling-booleans": Instance(coupling(mask=MASK), features=5),
    "coupling-indices": Instance(coupling(mask=[4, 1]), features=5),
    "coupling-context": Instance(coupling(mask="half"), context_features=3),
    "coupling-one-feature": Instance(coupling(), features=1, volume=False),
    "coupling-one-feature-context": Instance(coupling(), features=1, context_features=2),
    "coupling-keeps-none": Instance(coupling(mask=[False] * 3), features=3, volume=False),
    "coupling-wide": Instance(
        coupling(mask="half", hidden=(33, 20)), features=21, context_features=2
    ),
    "coupling-linear": Instance(coupling(hidden=())),
    "coupling-additive": Instance(coupling(transform="additive"), volume=False),
    "coupling-additive-context": Instance(
        coupling(transform="additive"), context_features=2, volume=False
    ),
    "coupling-residual": Instance(with_net(lambda: cf.ResidualNet(6, blocks=2, activation="tanh"))),
    "coupling-residual-context": Instance(
        with_net(lambda: cf.ResidualNet(6, blocks=2, activation="silu")), context_features=2
    ),
    "coupling-function": Instance(with_net(lambda: function_net(1, 0), scale="exp"), features=2),
    "coupling-function-context": Instance(
        with_net(lambda: function_net(2, 2), transform=cf.SinhArcsinh()), context_features=2
    ),
    "coupling-two-nets": Instance(with_net(pair, scale="exp")),
    "coupling-two-nets-context": Instance(with_net(pair, scale="tanh"), context_features=2),
    "scale-softclip": Instance(scaled(form="softclip", bound=2.0)),
    "scale-tanh": Instance(scaled(form="tanh", bound=2.5)),
    "scale-exp": Instance(scaled(form="exp", offset=0.3)),
    "scale-sigmoid": Instance(scaled(form="sigmoid", offset=2.0)),
    "scale-sigmoid-reciprocal": Instance(scaled(form="sigmoid", offset=2.0, reciprocal=True)),
    "scale-sigmoid-minimum": Instance(scaled(form="sigmoid", minimum=1e-3)),
    "scale-softplus": Instance(scaled(form="softplus", minimum=1e-3)),
    "scale-softplus-maximum": Instance(
        scaled(form="softplus", minimum=1e-3, maximum=3.0), smooth=False
    ),
    **{
        f"activation-{name}": Instance(activated(name), smooth=name not in KINKED)
        for name in ("relu", "leaky_relu", "tanh", "elu", "silu", "gelu", "softplus", "sigmoid")
    },
    "coupling-spline": Instance(coupling(transform="spline")),
    "coupling-spline-few-bins": Instance(
        coupling(transform=cf.Spline(bins=2, bound=2.5, factor=0.3)), features=3, context_features=2
    ),
    "coupling-spline-softclip": Instance(
        coupling(transform=cf.Spline(bins=5, bound=4.0, form="softclip"))
    ),
    "coupling-spline-circular": Instance(
        coupling(transform=cf.Spline(bins=6, bound=5.0, tails="circular"))
    ),
    "coupling-mixed": Instance(coupling(mask="alternating", transform=mixed()), step=2e-4),
    "coupling-mixed-context": Instance(
        coupling(mask=[0, 1], transform=mixed()), context_features=2
    ),
    "maf-mixed": Instance(autoregressive(transform=mixed(), order="random")),
    "iaf-mixed-residual-context": Instance(
        masked(
            lambda: cf.ResidualNet(9, activation="tanh", context="add"),
            transform=mixed(),
            parallel="forward",
        ),
        context_features=2,
        step=2e-4,
    ),
    "elementwise-mixed": Instance(lambda: [cf.Elementwise(mixed())]),
    "elementwise-shifted": Instance(
        lambda: [
            cf.Arcsinh(),
            cf.Elementwise(cf.ShiftedTransform(cf.Spline(4, bound=np.pi))),
            cf.Elementwise(cf.ShiftedTransform(cf.Spline(4, bound=np.pi), shift=0.5)),
        ],
        step=2e-4,
    ),
    "circular-shift": Instance(
        lambda: [
            cf.Affine(scale=0.4),
            cf.Coupling(**SMALL, scale="sigmoid"),
            cf.CircularShift(0.4, low=-30.0, high=40.0, learned=True),
            cf.CircularShift(0.7, low=-30.0, high=40.0),
        ]
    ),
    "mobius": Instance(
        lambda: [cf.Coupling(**SMALL, scale="sigmoid"), cf.Sigmoid(-3.0, 3.0), cf.Mobius(0.3, 0.4)]
    ),
    "coupling-spline-free": Instance(
        coupling(transform=cf.Spline(bins=3, box=[-1.0, 2.0], tails="free")), context_features=2
    ),
    "coupling-linear-spline": Instance(coupling(transform=cf.LinearSpline(6, bound=4.0))),
    "coupling-quadratic-spline": Instance(coupling(transform=cf.QuadraticSpline(5, bound=4.0))),
    "coupling-quadratic-spline-free": Instance(
        coupling(transform=cf.QuadraticSpline(3, box=[-1.0, 2.0], tails="free")), context_features=2
    ),
    "coupling-cubic-spline": Instance(
        coupling(transform=cf.CubicSpline(5, bound=4.0)), context_features=2
    ),
    "coupling-cubic-spline-free": Instance(
        coupling(transform=cf.CubicSpline(4, tails="free")), features=5
    ),
    "coupling-mixture-logistic": Instance(coupling(transform=cf.MixtureLogistic(3))),
    "coupling-mixture-logistic-context": Instance(
        coupling(transform=cf.MixtureLogistic(spread=2.0, minimum_scale=0.1, scale="tanh")),
        context_features=2,
    ),
    "coupling-deep-sigmoidal": Instance(
        coupling(transform=cf.DeepSigmoidal(3, scale=cf.Scale("tanh", bound=2.0)))
    ),
    "coupling-deep-sigmoidal-dense": Instance(
        coupling(transform=cf.DeepSigmoidal(3, 3, True, scale=cf.Scale("tanh", bound=2.0))),
        context_features=2,
    ),
    "maf-deep-sigmoidal": Instance(autoregressive(transform=cf.DeepSigmoidal(4, 2)), features=3),
    "iaf-deep-sigmoidal-dense-context": Instance(
        autoregressive(
            parallel="forward", transform=cf.DeepSigmoidal(3, 2, dense=True, scale="softplus")
        ),
        features=3,
        context_features=2,
    ),
    "elementwise-deep-sigmoidal": Instance(
        lambda: [cf.Elementwise(cf.DeepSigmoidal(5, 2, dense=True, scale="exp"))]
    ),
    "elementwise-deep-sigmoidal-one-feature": Instance(
        lambda: [cf.Elementwise(cf.DeepSigmoidal(4), **SMALL)], features=1, context_features=2
    ),
    "coupling-monotone-network": Instance(coupling(transform=SMOOTH_MONOTONE), step=2e-4),
    "coupling-monotone-network-context": Instance(
        coupling(mask="alternating", transform=cf.MonotoneNetwork(2, (5, 3))),
        features=5,
        context_features=2,
        smooth=False,
    ),
    "maf-monotone-network": Instance(
        autoregressive(transform=SMOOTH_MONOTONE, order="random"), features=3, step=2e-4
    ),
    "iaf-monotone-network-context": Instance(
        autoregressive(parallel="forward", transform=SMOOTH_MONOTONE),
        features=3,
        context_features=2,
        step=2e-4,
    ),
    "elementwise-monotone-network": Instance(
        lambda: [cf.Elementwise(cf.MonotoneNetwork(2, (6, 5, 4)))], smooth=False
    ),
    "elementwise-monotone-network-one-feature": Instance(
        lambda: [cf.Elementwise(SMOOTH_MONOTONE, **SMALL)],
        features=1,
        context_features=2,
        step=2e-4,
    ),
    "maf-integrated-network-context": Instance(
        autoregressive(
            transform=cf.IntegratedNetwork(
                2, (6,), "silu", cf.Scale("softplus", minimum=0.1), "clenshaw_curtis", 60
            )
        ),
        features=5,
        context_features=2,
    ),
    "maf-integrated-network": Instance(
        autoregressive(transform=SMOOTH_INTEGRATED, order="random"), features=3
    ),
    "iaf-integrated-network-context": Instance(
        autoregressive(parallel="forward", transform=SMOOTH_INTEGRATED),
        features=3,
        context_features=2,
    ),
    "elementwise-integrated-network": Instance(lambda: [cf.Elementwise(SMOOTH_INTEGRATED)]),
    "elementwise-integrated-network-one-feature": Instance(
        lambda: [cf.Elementwise(SMOOTH_INTEGRATED, **SMALL)], features=1, context_features=2
    ),
    "coupling-mixed-networks": Instance(
        coupling(mask="alternating", transform=mixed_networks()), context_features=2, step=2e-4
    ),
    "maf-mixed-networks": Instance(
        autoregressive(transform=mixed_networks(), order="reverse"), step=2e-4
    ),
    **{
        f"{name}-{where}": Instance(
            lambda transform=transform, layer=layer: [layer(transform())], features, context
        )
        for name, transform in {
            "sum-of-squares": lambda: cf.SumOfSquares(2, 3, bound=4.0),
            "bernstein": lambda: cf.Bernstein(24, 2.5),
            "bernstein-linear": lambda: cf.Bernstein(4, 4.0, tails="linear", minimum_slope=0.01),
            "mixture-normal": lambda: cf.MixtureNormal(3),
            "mixture-normal-equal": lambda: cf.MixtureNormal(4, equal_weights=True, scale="tanh"),
            "sinh-arcsinh": lambda: cf.SinhArcsinh(cf.Scale("tanh", bound=1.0)),
            "lambert-w": lambda: cf.LambertW(scale=cf.Scale("tanh", bound=1.0)),
        }.items()
        for where, (layer, features, context) in {
            "coupling": (lambda transform: cf.Coupling(transform=transform, **SMALL), 4, 0),
            "coupling-context": (lambda transform: cf.Coupling(transform=transform, **SMALL), 4, 2),
            "maf": (lambda transform: cf.Autoregressive(transform=transform, **SMALL), 3, 0),
            "iaf-context": (
                lambda transform: cf.Autoregressive(
                    transform=transform, parallel="forward", **SMALL
                ),
                3,
                2,
            ),
            "elementwise": (lambda transform: cf.Elementwise(transform), 4, 0),
            "one-feature": (lambda transform: cf.Elementwise(transform, **SMALL), 1, 2),
        }.items()
    },
    "coupling-affine-transform": Instance(coupling(transform=cf.AffineTransform("tanh"))),
    **{
        f"base-{name}": Instance(coupling(), base=base, smooth=name != "laplace")
        for name, base in {
            "laplace": lambda: cf.Laplace(loc=[1.0, 0.0, -1.0, 2.0], scale=0.7),
            "laplace-learned": lambda: cf.Laplace(learned=True),
            "logistic": cf.Logistic,
            "logistic-learned": lambda: cf.Logistic(learned=True),
            "truncated-learned": lambda: cf.TruncatedNormal(low=-40.0, high=40.0, learned=True),
            "student": lambda: cf.StudentT(3.0),
            "student-learned": lambda: cf.StudentT(1.5, scale=2.0, learned=True),
            "full-normal": cf.FullNormal,
            "mixture": lambda: cf.Mixture(3),
            "mixture-fixed": lambda: cf.Mixture(2, learned=False),
            "mixture-full": lambda: cf.Mixture(3, covariance_type="full"),
            "mixture-tied": lambda: cf.Mixture(2, covariance_type="tied", minimum_scale=0.1),
            "product": lambda: cf.Product(
                [cf.Normal(learned=True), cf.StudentT(4.0)], [1, 0, 1, 0]
            ),
        }.items()
    },
    **{
        f"base-{name}-context": Instance(coupling(), base=base, context_features=2)
        for name, base in {
            "normal": lambda: cf.Normal(conditioner=SMALL_NET),
            "student": lambda: cf.StudentT(4.0, conditioner=SMALL_NET),
            "logistic": lambda: cf.Logistic(conditioner=SMALL_NET),
            "gumbel": lambda: cf.Gumbel(conditioner=SMALL_NET),
            "mixture": lambda: cf.Mixture(3, conditioner=SMALL_NET),
            "mixture-full": lambda: cf.Mixture(
                2, conditioner=SMALL_NET, covariance_type="full", minimum_scale=0.5
            ),
        }.items()
    },
    "base-resampled": Instance(
        coupling(), base=lambda: cf.Resampled(SMALL_NET, truncation=4, learned=True), volume=False
    ),
    "embedding": Instance(coupling(), context_features=5, embedding=cf.Embedding(3, SMALL_NET)),
    "embedding-base": Instance(
        coupling(transform="additive"),
        context_features=3,
        base=lambda: cf.Normal(conditioner=SMALL_NET),
        embedding=cf.Embedding(4, SMALL_NET),
        volume=False,
    ),
    "embedding-linear": Instance(
        autoregressive(), features=3, context_features=6, embedding=cf.Embedding(1, cf.MLP(()))
    ),
    "embedding-residual": Instance(
        coupling(transform="spline"),
        context_features=4,
        base=lambda: cf.Mixture(2, conditioner=SMALL_NET),
        embedding=cf.Embedding(2, cf.ResidualNet(5, activation="silu")),
    ),
    "embedding-default": Instance(
        coupling(), context_features=2, embedding=cf.Embedding(2), smooth=False
    ),
    "maf": Instance(autoregressive()),
    "maf-context": Instance(autoregressive(order="reverse"), features=5, context_features=2),
    "maf-one-feature": Instance(autoregressive(), features=1, volume=False),
    "maf-one-feature-context": Instance(autoregressive(), features=1, context_features=2),
    "maf-few-units": Instance(
        autoregressive(order=[3, 0, 5, 1, 4, 2], hidden=(3, 40), scale="tanh"), features=6
    ),
    "maf-linear": Instance(autoregressive(hidden=()), context_features=2),
    "maf-additive": Instance(autoregressive(transform="additive"), volume=False),
    "maf-residual": Instance(
        masked(lambda: cf.ResidualNet(8, blocks=2, activation="tanh"), order="random")
    ),
    "maf-residual-gated": Instance(
        masked(lambda: cf.ResidualNet(9, blocks=1, activation="silu")), context_features=3
    ),
    "maf-residual-added": Instance(
        masked(lambda: cf.ResidualNet(9, activation="tanh", context="add")), context_features=2
    ),
    "maf-spline": Instance(autoregressive(transform="spline"), features=3),
    "maf-cubic-spline": Instance(autoregressive(transform=cf.CubicSpline(4)), features=3),
    "maf-mixture-logistic": Instance(autoregressive(transform=cf.MixtureLogistic(4)), features=3),
    "maf-residual-film": Instance(
        masked(lambda: cf.ResidualNet(9, activation="tanh", context="film"), adjacency=FORK),
        context_features=2,
    ),
    "coupling-residual-film": Instance(
        with_net(lambda: cf.ResidualNet(7, blocks=2, activation="silu", context="film")),
        context_features=2,
    ),
    "coupling-normalized": Instance(
        with_net(lambda: cf.MLP((7, 6), activation="tanh", normalization="layer"))
    ),
    "coupling-normalized-two-features": Instance(
        with_net(lambda: cf.MLP((6,), activation="silu", normalization="layer")),
        features=2,
        context_features=1,
    ),
    "coupling-residual-film-normalized": Instance(
        with_net(
            lambda: cf.ResidualNet(
                7, blocks=1, activation="tanh", context="film", normalization="layer"
            )
        ),
        features=2,
        context_features=2,
    ),
    "maf-adjacency": Instance(
        autoregressive(
            adjacency=[[False, True], [False, False]],
            context_adjacency=[[True, False], [True, True]],
        ),
        features=2,
        context_features=2,
    ),
    "maf-adjacency-fork": Instance(autoregressive(adjacency=FORK), features=4),
    "maf-adjacency-residual": Instance(
        masked(
            lambda: cf.ResidualNet(9, activation="tanh", context="add"),
            adjacency=FORK,
            context_adjacency=[[True], [False], [True], [False]],
        ),
        context_features=1,
    ),
    "iaf-adjacency-spline": Instance(
        masked(
            lambda: cf.ResidualNet(7, blocks=1, activation="silu"),
            adjacency=FORK,
            parallel="forward",
            transform=cf.Spline(4),
        ),
        context_features=2,
        step=5e-4,
    ),
    "iaf-adjacency-of-context": Instance(
        autoregressive(parallel="forward", context_adjacency=[[True], [False], [True]]),
        features=3,
        context_features=1,
    ),
    "iaf": Instance(autoregressive(parallel="forward", order="random"), features=5),
    "iaf-context": Instance(
        autoregressive(parallel="forward", scale="sigmoid"), context_features=2
    ),
    "iaf-spline-context": Instance(
        autoregressive(parallel="forward", transform=cf.Spline(4)), features=3, context_features=2
    ),
    "iaf-mixture-logistic-context": Instance(
        autoregressive(parallel="forward", transform=cf.MixtureLogistic(2)),
        features=3,
        context_features=2,
    ),
    "block-neural": Instance(lambda: [cf.BlockNeural((3, 2))], features=3),
    "block-neural-normal-context": Instance(
        lambda: [cf.BlockNeural((4,), "normal"), cf.Permutation(), cf.BlockNeural((2, 3))],
        context_features=2,
        step=2e-4,  # an unconstrained norm lies beside the kink of softclip
    ),
    "block-neural-one-feature": Instance(lambda: [cf.BlockNeural(5)], features=1),
    "actnorm": Instance(lambda: [cf.ActNorm()], volume=False),
    "batchnorm": Instance(lambda: [cf.BatchNorm()], volume=False),
    "batchnorm-maf": Instance(
        lambda: [
            cf.Autoregressive(**SMALL),
            cf.BatchNorm(scale="softplus"),
            cf.Autoregressive(order="reverse", **SMALL),
        ]
    ),
    "elementwise-affine": Instance(lambda: [cf.Elementwise()], volume=False),
    "elementwise-affine-context": Instance(lambda: [cf.Elementwise(**SMALL)], context_features=2),
    "elementwise-spline": Instance(lambda: [cf.Elementwise("spline")]),
    "elementwise-spline-one-bin": Instance(
        lambda: [cf.Elementwise(cf.Spline(bins=1, bound=5.0, tails="free"))]
    ),
    "elementwise-spline-one-feature": Instance(
        lambda: [cf.Elementwise("spline", **SMALL)], features=1, context_features=2
    ),
    "elementwise-linear-spline-context": Instance(
        lambda: [cf.Elementwise(cf.LinearSpline(4, factor=0.5), **SMALL)], context_features=2
    ),
    "elementwise-quadratic-spline": Instance(lambda: [cf.Elementwise(cf.QuadraticSpline())]),
    "elementwise-quadratic-spline-one-feature": Instance(
        lambda: [cf.Elementwise(cf.QuadraticSpline(6), **SMALL)], features=1, context_features=2
    ),
    "elementwise-cubic-spline": Instance(lambda: [cf.Elementwise(cf.CubicSpline())]),
    "elementwise-cubic-spline-one-feature": Instance(
        lambda: [cf.Elementwise(cf.CubicSpline(3, tails="free"), **SMALL)],
        features=1,
        context_features=1,
    ),
    "elementwise-mixture-logistic": Instance(
        lambda: [cf.Elementwise(cf.MixtureLogistic())],
        step=2e-4,  # an unconstrained log-scale lies beside the kink of softclip
    ),
    "elementwise-mixture-logistic-one-feature": Instance(
        lambda: [cf.Elementwise(cf.MixtureLogistic(5, scale="sigmoid"), **SMALL)],
        features=1,
        context_features=2,
    ),
    "exp": Instance(lambda: [cf.Exp()]),
    "log": Instance(lambda: [cf.Softplus(), cf.Log()]),
    "sigmoid": Instance(lambda: [cf.Sigmoid(-1.0, 3.0, temperature=0.7)]),
    "logit": Instance(lambda: [cf.Sigmoid(), cf.Logit(temperature=2.0)], volume=False),
    "tanh": Instance(lambda: [cf.Affine(scale=0.5), cf.Tanh()]),
    "softplus": Instance(lambda: [cf.Softplus()]),
    "sinh": Instance(lambda: [cf.Sinh()]),
    "arcsinh": Instance(lambda: [cf.Arcsinh()]),
    "softclip": Instance(
        lambda: [cf.Coupling(**SMALL), cf.Softclip(2.0)],
        smooth=False,
    ),
    "softclip-one-feature": Instance(lambda: [cf.Softclip(0.3)], features=1, smooth=False),
    "power": Instance(lambda: [cf.Exp(), cf.Power(-0.7)]),
    "on-features": Instance(
        lambda: [cf.OnFeatures([3, 0], cf.Arcsinh()), cf.OnFeatures([False, True] * 2, cf.Sinh())]
    ),
    "linear-lu": Instance(lambda: [cf.Linear()], volume=False),
    "linear-lu-one-feature": Instance(lambda: [cf.Linear()], features=1, volume=False),
    "linear-lu-softplus": Instance(
        lambda: [cf.Linear("lu", [2, 0, 1, 4, 3], cf.Scale("softplus", minimum=0.1), False)],
        features=5,
        volume=False,
    ),
    "linear-qr": Instance(lambda: [cf.Linear("qr")], volume=False),
    "linear-dense": Instance(lambda: [cf.Linear("dense")], volume=False),
    "linear-dense-wide": Instance(
        lambda: [cf.Linear("dense", bias=False)], features=19, volume=False
    ),
    "triangular": Instance(lambda: [cf.Triangular(bias=True)], volume=False),
    "triangular-unit": Instance(
        lambda: [cf.Triangular(upper=True, unit=True)], features=5, volume=False
    ),
    "triangular-signs": Instance(
        lambda: [cf.Triangular(upper=True, scale="softplus", signs=[1, -1, 1, -1])], volume=False
    ),
    "triangular-one-feature": Instance(
        lambda: [cf.Triangular(bias=True)], features=1, volume=False
    ),
    "lu": Instance(
        lambda: [
            cf.Triangular(upper=True),
            cf.Triangular(unit=True, bias=True),
            cf.Permutation("random"),
        ],
        volume=False,
    ),
    "householder": Instance(
        lambda: [cf.Affine(scale=[1.0, 0.5, 2.0, 3.0]), cf.Householder(bias=True)], volume=False
    ),
    "householder-two": Instance(
        lambda: [cf.Arcsinh(), cf.Householder(2)], features=5, volume=False
    ),
    "rotation": Instance(
        lambda: [cf.Affine(scale=[1.0, 0.5, 2.0, 3.0]), cf.Rotation()], volume=False
    ),
    "rotation-one-feature": Instance(lambda: [cf.Sinh(), cf.Rotation()], features=1),
    "residual": Instance(residual()),
    "residual-plane": Instance(residual(hidden=(12,), coefficient=0.9), features=2),
    "residual-one-feature": Instance(residual(hidden=(6, 5), coefficient=0.99), features=1),
    "residual-context": Instance(residual(activation="tanh"), features=3, context_features=2),
    "residual-one-dense-layer-context": Instance(
        residual(hidden=(), activation="sine"), features=3, context_features=2
    ),
    "residual-usual-order": Instance(
        residual(hidden=(7,), activation="sine", activation_first=False), features=5
    ),
    "residual-elu": Instance(residual(activation="elu"), smooth=False),
    "residual-infinity": Instance(residual(norm="infinity"), features=2, context_features=1),
    "residual-one": Instance(residual(norm="one", coefficient=0.9), features=3),
    "residual-two-pixels": Instance(residual(hidden=(5,), kernels=3), shape=(1, 1, 2)),
    "residual-image": Instance(
        residual(hidden=(4, 3), kernels=(3, 1, 3)), shape=(2, 2, 3), context_features=2
    ),
    "residual-wide": Instance(residual(hidden=(33, 20)), features=17),
    "residual-inverse-context": Instance(
        lambda: [
            cf.Inverse(cf.Residual((7, 6), coefficient=0.9)),
            cf.Permutation("random"),
            cf.Residual((8,), coefficient=0.9),
        ],
        context_features=2,
    ),
    "low-rank": Instance(lambda: [cf.LowRank(2)], volume=False),
    "low-rank-two-features": Instance(
        lambda: [cf.Sinh(), cf.LowRank(1, scale="softplus")], features=2, step=1e-3
    ),
    "low-rank-full": Instance(lambda: [cf.Inverse(cf.LowRank(5))], features=5, volume=False),
    "planar": Instance(lambda: [cf.Planar()]),
    "planar-two-features": Instance(lambda: [cf.Planar(), cf.Planar(), cf.Planar()], features=2),
    "planar-one-feature": Instance(lambda: [cf.Planar()], features=1),
    "planar-leaky-relu": Instance(
        lambda: [cf.Planar("leaky_relu", 0.2), cf.Planar("leaky_relu")], smooth=False
    ),
    "planar-context": Instance(lambda: [cf.Planar(**SMALL)], context_features=2),
    "planar-leaky-relu-context": Instance(
        lambda: [cf.Planar("leaky_relu", 0.5, conditioner=SMALL_NET)],
        context_features=2,
        smooth=False,
    ),
    "planar-inverse": Instance(lambda: [cf.Inverse(cf.Planar())] * 3, volume=False),
    "radial": Instance(lambda: [cf.Radial(), cf.Radial()]),
    "radial-two-features": Instance(lambda: [cf.Radial(), cf.Radial()], features=2),
    "radial-one-feature": Instance(lambda: [cf.Radial()], features=1),
    "radial-context": Instance(lambda: [cf.Radial(**SMALL)], context_features=2),
    "sylvester": Instance(lambda: [cf.Sylvester()]),
    "sylvester-two-features": Instance(lambda: [cf.Sylvester(), cf.Sylvester(1)], features=2),
    "sylvester-columns": Instance(lambda: [cf.Sylvester(2)], features=5),
    "sylvester-householder": Instance(lambda: [cf.Sylvester(reflections=2)]),
    "sylvester-triangular": Instance(
        lambda: [
            cf.Sylvester(reflections=0),
            cf.Permutation(),
            cf.Sylvester(3, reflections=0),
        ]
    ),
    "sylvester-context": Instance(
        lambda: [cf.Sylvester(3, conditioner=SMALL_NET)], context_features=2
    ),
    "sylvester-triangular-context": Instance(
        lambda: [cf.Sylvester(reflections=0, **SMALL)], features=2, context_features=1
    ),
    "permutation-reverse": Instance(lambda: [cf.Permutation()], volume=False),
    "permutation-random": Instance(lambda: [cf.Permutation("random")], features=9, volume=False),
    "permutation-indices": Instance(
        lambda: [cf.Permutation([2, 0, 3, 1])], features=4, volume=False
    ),
    "affine-fixed": Instance(
        lambda: [cf.Affine([1.0, -2.0, 0.5], [2.0, -0.5, 3.0])], features=3, volume=False
    ),
    "affine-fixed-inside": Instance(
        lambda: [
            cf.Affine(0.5, [2.0, -0.5, 3.0]),
            cf.Coupling(**SMALL),
            cf.Affine([1.0, 2.0, 3.0], 0.7),
            cf.Permutation(),
        ],
        features=3,
    ),
    "affine-learned": Instance(
        lambda: [cf.Affine(1.0, 2.0, learned=True)], features=3, volume=False
    ),
    "inverse-coupling": Instance(lambda: [cf.Inverse(cf.Coupling(**SMALL))], context_features=1),
    "inverse-affine": Instance(
        lambda: [cf.Inverse(cf.Affine(1.0, [2.0, 0.5, 4.0, 1.5]))], volume=False
    ),
    "shared": Instance(twice(cf.Coupling(**SMALL)), features=2),
    "shared-context": Instance(
        twice(cf.Chain([cf.Coupling(**SMALL), cf.Linear("lu")])), context_features=2
    ),
    "chain": Instance(
        lambda: [
            cf.Chain([cf.Coupling(**SMALL), cf.Permutation("random")]),
            cf.Inverse(cf.Chain([cf.Permutation(), cf.Coupling(**SMALL)])),
        ],
        context_features=2,
    ),
    "real-nvp": Instance(real_nvp),
    "base-given": Instance(
        coupling(), base=lambda: cf.Normal([1.0, 0.0, -1.0, 2.0], [0.5, 1.0, 2.0, 3.0])
    ),
    "base-learned": Instance(coupling(), base=lambda: cf.Normal(0.5, 2.0, learned=True)),
    "empty": Instance(list, features=3, volume=False),
    **{
        f"image-{name}": Instance(lambda layer=layer: [layer()], shape=(2, 4, 3), volume=False)
        for name, layer in {
            "actnorm": cf.ActNorm,
            "batchnorm": cf.BatchNorm,
            "linear-lu": cf.Linear,
            "linear-qr": lambda: cf.Linear("qr"),
            "linear-dense": lambda: cf.Linear("dense"),
            "triangular": lambda: cf.Triangular(upper=True, bias=True),
            "householder": lambda: cf.Chain([cf.ActNorm(), cf.Householder(bias=True)]),
            "rotation": lambda: cf.Chain([cf.ActNorm(), cf.Rotation()]),
            "low-rank": lambda: cf.LowRank(3),
            "permutation": lambda: cf.Permutation(),
            "permutation-checkerboard": lambda: cf.Permutation("checkerboard"),
            "permutation-pixels": lambda: cf.Permutation([*range(1, 24), 0]),
        }.items()
    },
    **{
        f"image-coupling-{name}": Instance(
            lambda options=options: [cf.Coupling(**options)], shape=(3, 2, 4)
        )
        for name, options in {
            "half": {"mask": "half", "conditioner": SMALL_CONV},
            "swap": {
                "mask": "half",
                "swap": True,
                "conditioner": cf.ConvResidualNet(3, 1, activation="silu", normalization="weight"),
            },
            "indices": {"mask": [2, 0], "conditioner": SMALL_CONV},
            "checkerboard": {"mask": "checkerboard", "conditioner": SMALL_CONV},
            "checkerboard-swap": {
                "mask": "checkerboard",
                "swap": True,
                "conditioner": SMALL_CONV_RESIDUAL,
                "transform": cf.Spline(4, bound=4.0),
            },
            "mixture-logistic": {
                "mask": "half",
                "conditioner": SMALL_CONV,
                "transform": cf.MixtureLogistic(3),
            },
            "mixture-logistic-checkerboard": {
                "mask": "checkerboard",
                "conditioner": SMALL_CONV_RESIDUAL,
                "transform": cf.MixtureLogistic(4),
            },
            "pixels": {"mask": [True] * 7 + [False] * 17, "conditioner": SMALL_CONV},
            "mlp": {"mask": "checkerboard", **SMALL},
            "two-nets": {
                "mask": "checkerboard",
                "conditioner": [SMALL_CONV, SMALL_NET],
                "scale": "tanh",
            },
        }.items()
    },
    "image-coupling-context": Instance(
        lambda: [
            cf.Coupling("checkerboard", conditioner=SMALL_CONV),
            cf.Coupling(conditioner=SMALL_CONV_RESIDUAL),
        ],
        context_features=2,
        shape=(2, 3, 2),
    ),
    "image-elementwise": Instance(lambda: [cf.Elementwise("spline")], shape=(1, 2, 2)),
    "image-maf": Instance(autoregressive(), shape=(2, 2, 1)),
    "image-on-features": Instance(
        lambda: [
            cf.OnFeatures([2, 0], cf.Coupling(conditioner=SMALL_CONV)),
            cf.OnFeatures([True, False] * 6, cf.Sinh()),
        ],
        shape=(3, 2, 2),
    ),
    "continuous": Instance(continuous(cf.MLP((5,), "tanh")), features=1, tolerance=1e-7),
    "continuous-context": Instance(
        continuous(cf.MLP((5, 4), "tanh"), frequencies=0),
        features=3,
        context_features=2,
        tolerance=1e-7,
    ),
    "continuous-residual": Instance(continuous(cf.ResidualNet(5, 1, "silu")), tolerance=1e-7),
    "image-continuous": Instance(continuous(SMALL_CONV), shape=(1, 2, 2), tolerance=1e-7),
    "squeeze": Instance(
        lambda: [cf.Coupling(conditioner=SMALL_CONV), cf.Squeeze()], shape=(1, 4, 4)
    ),
    "squeeze-three": Instance(
        lambda: [cf.Coupling(conditioner=SMALL_CONV), cf.Squeeze(3)], shape=(1, 3, 6)
    ),
    "squeeze-haar": Instance(
        lambda: [cf.Coupling(conditioner=SMALL_CONV), cf.Squeeze(form="haar")], shape=(2, 4, 2)
    ),
    "unsqueeze": Instance(
        lambda: [cf.Coupling("checkerboard", conditioner=SMALL_CONV), cf.Inverse(cf.Squeeze())],
        shape=(4, 1, 2),
    ),
    "split": Instance(lambda: [cf.Split(coupling()())], features=5),
    "split-conditional": Instance(
        lambda: [cf.Split(coupling()(), "alternating", conditioner=SMALL_NET)], context_features=2
    ),
    "split-inverse": Instance(lambda: [cf.Inverse(cf.Split(coupling()()))], features=5),
    "image-split": Instance(
        lambda: [
            cf.Split(
                [
                    cf.Split([cf.Coupling(conditioner=SMALL_CONV)], swap=True),
                    cf.Linear(),
                    cf.Squeeze(),
                    cf.Coupling("checkerboard", conditioner=SMALL_CONV),
                ],
                conditioner=SMALL_CONV,
                scale="tanh",
            ),
            cf.Inverse(cf.Linear()),
        ],
        shape=(2, 4, 2),
    ),
}


def build(name: str, dtype: str = "float64", seed: int = 1) -> cf.Flow:
    """The instance with random weights, large enough that log_det varies by `spread_of`."""
    flow = new(name, seed)
    for parameter, array in random_weights(name, seed).items():
        flow.parameters[parameter][...] = array
    return flow if dtype == "float64" else flow.astype(dtype)


def new(name: str, seed: int) -> cf.Flow:
    instance = INSTANCES[name]
    return cf.Flow(
        instance.layers(),
        **instance.size,
        context_features=instance.context_features,
        embedding=instance.embedding,
        base=instance.base(),
        dtype="float64",
        seed=seed,
    )


@cache
def random_weights(name: str, seed: int) -> dict[str, np.ndarray]:
    flow = new(name, seed)
    rng = np.random.default_rng(seed)
    for parameter_name, parameter in flow.parameters.items():
        fan_in = np.prod(parameter.shape[1:]) if parameter.ndim > 1 else 4.0
        parameter[...] = rng.normal(size=parameter.shape) / np.sqrt(fan_in)
        if parameter_name.endswith("variance"):
            np.exp(parameter, out=parameter)
    if INSTANCES[name].volume:
        enlarge(flow, name)
    return dict(flow.parameters)


def enlarge(flow: cf.Flow, name: str) -> None:
    """Multiply all weights until log_det varies enough."""
    u, context = sample_rows(name, 1000)
    for _ in range(60):
        if flow.forward(u, context)[1].std() >= spread_of(flow):
            return
        for parameter in flow.parameters.values():
            parameter *= 1.15
    raise ValueError(f"{name}: no weights make log_det vary by {spread_of(flow):.2g} between rows")


def spread_of(flow: cf.Flow) -> float:
    """The least standard deviation of log_det: 1 a layer of those that get there with larger
    weights; of others it shows that it varies at all. Larger weights leave a residual layer as it
    is."""
    if any(layer.type == "Residual" for layer in flow.layers):
        return 0.006
    count = sum(layer.type in ("Coupling", "Inverse", "Chain", "Split") for layer in flow.layers)
    return max(count**0.5, 0.04)


@cache
def base_shape(name: str) -> tuple[int, ...]:
    """That of its latent rows."""
    instance = INSTANCES[name]
    seen = instance.embedding.features if instance.embedding else instance.context_features
    return cf.Flow(instance.layers(), **instance.size, context_features=seen).base_shape


def sample_rows(name: str, rows: int, seed: int = 2) -> tuple[np.ndarray, np.ndarray | None]:
    """Latent rows u, and a context if the instance has one."""
    instance = INSTANCES[name]
    rng = np.random.default_rng(seed)
    u = rng.normal(size=(rows, *base_shape(name))) * 1.3
    size = instance.context_features
    return u, rng.normal(size=(rows, size)) if size else None
