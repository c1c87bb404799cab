"""The compiled core; written by tools/stubs.py."""

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from typing_extensions import Self, final

_Ints = Sequence[int] | NDArray[np.integer[Any]]
_Floats = Sequence[float] | NDArray[np.integer[Any]] | NDArray[np.floating[Any]]
_Bools = Sequence[bool] | NDArray[np.bool_]
_Float = NDArray[np.floating[Any]]

__all__ = [
    "Spec",
    "Layer",
    "Coupling",
    "Autoregressive",
    "Elementwise",
    "BlockNeural",
    "ActNorm",
    "BatchNorm",
    "Permutation",
    "Squeeze",
    "Split",
    "Dequantize",
    "Argmax",
    "Variational",
    "Continuous",
    "Expression",
    "Affine",
    "Inverse",
    "Chain",
    "Shared",
    "OnFeatures",
    "Linear",
    "Triangular",
    "Householder",
    "Rotation",
    "LowRank",
    "Planar",
    "Radial",
    "Sylvester",
    "Residual",
    "Exp",
    "Log",
    "Sigmoid",
    "Logit",
    "Tanh",
    "Softplus",
    "Sinh",
    "Arcsinh",
    "Power",
    "Softclip",
    "CircularShift",
    "Mobius",
    "Transform",
    "AffineTransform",
    "AdditiveTransform",
    "Spline",
    "LinearSpline",
    "QuadraticSpline",
    "CubicSpline",
    "MixtureLogistic",
    "DeepSigmoidal",
    "MonotoneNetwork",
    "IntegratedNetwork",
    "SumOfSquares",
    "Bernstein",
    "MixtureNormal",
    "SinhArcsinh",
    "LambertW",
    "MixedTransform",
    "ShiftedTransform",
    "Scale",
    "Conditioner",
    "MLP",
    "ResidualNet",
    "ConvNet",
    "ConvResidualNet",
    "ConvEncoder",
    "ConvDecoder",
    "ExpressionNetwork",
    "Embedding",
    "Likelihood",
    "BernoulliLikelihood",
    "NormalLikelihood",
    "CategoricalLikelihood",
    "LogisticLikelihood",
    "Base",
    "Normal",
    "FullNormal",
    "StudentT",
    "Laplace",
    "Logistic",
    "Gumbel",
    "Exponential",
    "Gamma",
    "Beta",
    "TruncatedNormal",
    "VonMises",
    "Uniform",
    "Mixture",
    "Resampled",
    "Product",
    "Module",
    "Optimizer",
    "Adam",
    "AdamW",
    "RAdam",
    "SGD",
    "Lion",
    "Muon",
    "Schedule",
    "Constant",
    "Cosine",
    "Plateau",
    "Criterion",
    "FlowMatching",
    "Distillation",
]

def set_num_threads(threads: int, /) -> None: ...
def get_num_threads() -> int: ...
def simd_level() -> str: ...
def nn_operations() -> dict[str, tuple[Any, ...]]: ...
def nn_size(name: str, sizes: tuple[int, ...], integers: tuple[int, ...], /) -> int: ...
def number_lines(
    text: bytes,
    start: int,
    delimiter: str,
    decimal: str,
    cells: bytes,
    labels: list[dict[bytes, int]],
    missing: bytes,
    /,
) -> tuple[NDArray[np.float64], int]: ...
def assignment(cost: ArrayLike, /) -> NDArray[np.int64]: ...
def split_rows(
    rows: int, fraction: float, seed: int, /
) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...
def make_spec(type: str, options: dict[str, Any], /) -> Spec: ...

class NumericalError(ArithmeticError): ...

class Spec:
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    @property
    def type(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def options(self) -> dict[str, Any]: ...

class Layer(Spec): ...

@final
class Coupling(Layer):
    def __new__(
        cls,
        mask: str | _Bools | _Ints = "half",
        swap: bool = False,
        transform: str | Transform = "affine",
        conditioner: Conditioner | Sequence[Conditioner] | None = None,
        hidden: _Ints = (64, 64),
        activation: str = "relu",
        scale: str | Scale = "softclip",
    ) -> Self: ...
    @property
    def mask(self) -> str | tuple[bool, ...] | tuple[int, ...]: ...
    @property
    def swap(self) -> bool: ...
    @property
    def transform(self) -> str | Transform: ...
    @property
    def conditioner(self) -> Conditioner | tuple[Conditioner, ...] | None: ...
    @property
    def hidden(self) -> tuple[int, ...]: ...
    @property
    def activation(self) -> str: ...
    @property
    def scale(self) -> str | Scale: ...

@final
class Autoregressive(Layer):
    def __new__(
        cls,
        order: str | _Ints = "natural",
        parallel: str = "inverse",
        transform: str | Transform = "affine",
        conditioner: Conditioner | Sequence[Conditioner] | None = None,
        hidden: _Ints = (64, 64),
        activation: str = "relu",
        scale: str | Scale = "softclip",
        adjacency: _Bools | Sequence[_Bools] | None = None,
        context_adjacency: _Bools | Sequence[_Bools] | None = None,
    ) -> Self: ...
    @property
    def order(self) -> str | tuple[int, ...]: ...
    @property
    def parallel(self) -> str: ...
    @property
    def transform(self) -> str | Transform: ...
    @property
    def conditioner(self) -> Conditioner | tuple[Conditioner, ...] | None: ...
    @property
    def hidden(self) -> tuple[int, ...]: ...
    @property
    def activation(self) -> str: ...
    @property
    def scale(self) -> str | Scale: ...
    @property
    def adjacency(self) -> tuple[bool, ...] | None: ...
    @property
    def context_adjacency(self) -> tuple[bool, ...] | None: ...

@final
class Elementwise(Layer):
    def __new__(
        cls,
        transform: str | Transform = "affine",
        conditioner: Conditioner | Sequence[Conditioner] | None = None,
        hidden: _Ints = (64, 64),
        activation: str = "relu",
        scale: str | Scale = "softclip",
    ) -> Self: ...
    @property
    def transform(self) -> str | Transform: ...
    @property
    def conditioner(self) -> Conditioner | tuple[Conditioner, ...] | None: ...
    @property
    def hidden(self) -> tuple[int, ...]: ...
    @property
    def activation(self) -> str: ...
    @property
    def scale(self) -> str | Scale: ...

@final
class BlockNeural(Layer):
    def __new__(cls, hidden: _Ints = (8, 8), residual: str = "gated") -> Self: ...
    @property
    def hidden(self) -> tuple[int, ...]: ...
    @property
    def residual(self) -> str: ...

@final
class ActNorm(Layer):
    def __new__(cls) -> Self: ...

@final
class BatchNorm(Layer):
    def __new__(
        cls, momentum: float = 0.1, epsilon: float = 1e-05, scale: str | Scale = "exp"
    ) -> Self: ...
    @property
    def momentum(self) -> float: ...
    @property
    def epsilon(self) -> float: ...
    @property
    def scale(self) -> str | Scale: ...

@final
class Permutation(Layer):
    def __new__(cls, indices: str | _Ints = "reverse") -> Self: ...
    @property
    def indices(self) -> str | tuple[int, ...]: ...

@final
class Squeeze(Layer):
    def __new__(cls, factor: int = 2, form: str = "pixels") -> Self: ...
    @property
    def factor(self) -> int: ...
    @property
    def form(self) -> str: ...

@final
class Split(Layer):
    def __new__(
        cls,
        layers: Sequence[Layer],
        mask: str | _Bools | _Ints = "half",
        swap: bool = False,
        conditioner: Conditioner | None = None,
        scale: str | Scale = "softclip",
    ) -> Self: ...
    @property
    def layers(self) -> tuple[Layer, ...]: ...
    @property
    def mask(self) -> str | tuple[bool, ...] | tuple[int, ...]: ...
    @property
    def swap(self) -> bool: ...
    @property
    def conditioner(self) -> Conditioner | None: ...
    @property
    def scale(self) -> str | Scale: ...

@final
class Dequantize(Layer):
    def __new__(cls, levels: int | None = 256, layers: Sequence[Layer] = ()) -> Self: ...
    @property
    def levels(self) -> int | None: ...
    @property
    def layers(self) -> tuple[Layer, ...]: ...

@final
class Argmax(Layer):
    def __new__(cls, categories: _Ints) -> Self: ...
    @property
    def categories(self) -> tuple[int, ...]: ...

@final
class Variational(Layer):
    def __new__(
        cls,
        latents: int,
        encoder: Conditioner,
        decoder: Conditioner,
        likelihood: str | Likelihood = "bernoulli",
        layers: Sequence[Layer] = (),
    ) -> Self: ...
    @property
    def latents(self) -> int: ...
    @property
    def encoder(self) -> Conditioner: ...
    @property
    def decoder(self) -> Conditioner: ...
    @property
    def likelihood(self) -> str | Likelihood: ...
    @property
    def layers(self) -> tuple[Layer, ...]: ...

@final
class Continuous(Layer):
    def __new__(
        cls,
        network: Conditioner | None = None,
        solver: str = "dopri5",
        steps: int | None = None,
        rtol: float = 1e-05,
        atol: float = 1e-06,
        frequencies: int = 3,
        probes: int | None = None,
        fit_rtol: float = 0.001,
        kinetic: float = 0.0,
        jacobian: float = 0.0,
    ) -> Self: ...
    @property
    def network(self) -> Conditioner | None: ...
    @property
    def solver(self) -> str: ...
    @property
    def steps(self) -> int | None: ...
    @property
    def rtol(self) -> float: ...
    @property
    def atol(self) -> float: ...
    @property
    def frequencies(self) -> int: ...
    @property
    def probes(self) -> int | None: ...
    @property
    def fit_rtol(self) -> float: ...
    @property
    def kinetic(self) -> float: ...
    @property
    def jacobian(self) -> float: ...

@final
class Expression(Layer):
    def __new__(
        cls,
        forward: str = "",
        inverse: str = "",
        declarations: str = "",
        numbers: _Floats = (),
        starts: _Floats = (),
        networks: Sequence[Conditioner] = (),
        zero_last: bool = False,
        base_features: int | None = None,
    ) -> Self: ...
    @property
    def forward(self) -> str: ...
    @property
    def inverse(self) -> str: ...
    @property
    def declarations(self) -> str: ...
    @property
    def numbers(self) -> tuple[float, ...]: ...
    @property
    def starts(self) -> tuple[float, ...]: ...
    @property
    def networks(self) -> tuple[Conditioner, ...]: ...
    @property
    def zero_last(self) -> bool: ...
    @property
    def base_features(self) -> int | None: ...

@final
class Affine(Layer):
    def __new__(
        cls,
        shift: float | _Floats | None = None,
        scale: float | _Floats | None = None,
        learned: bool = False,
        standardize: _Bools | None = None,
        robust: bool = False,
    ) -> Self: ...
    @property
    def shift(self) -> float | tuple[float, ...] | None: ...
    @property
    def scale(self) -> float | tuple[float, ...] | None: ...
    @property
    def learned(self) -> bool: ...
    @property
    def standardize(self) -> tuple[bool, ...] | None: ...
    @property
    def robust(self) -> bool: ...

@final
class Inverse(Layer):
    def __new__(cls, layer: Layer) -> Self: ...
    @property
    def layer(self) -> Layer: ...

@final
class Chain(Layer):
    def __new__(cls, layers: Sequence[Layer]) -> Self: ...
    @property
    def layers(self) -> tuple[Layer, ...]: ...

@final
class Shared(Layer):
    def __new__(cls, layer: Layer, name: str) -> Self: ...
    @property
    def layer(self) -> Layer: ...
    @property
    def name(self) -> str: ...

@final
class OnFeatures(Layer):
    def __new__(cls, features: _Bools | _Ints, layer: Layer) -> Self: ...
    @property
    def features(self) -> tuple[bool, ...] | tuple[int, ...]: ...
    @property
    def layer(self) -> Layer: ...

@final
class Linear(Layer):
    def __new__(
        cls,
        form: str = "lu",
        permutation: str | _Ints = "random",
        scale: str | Scale = "exp",
        bias: bool = True,
    ) -> Self: ...
    @property
    def form(self) -> str: ...
    @property
    def permutation(self) -> str | tuple[int, ...]: ...
    @property
    def scale(self) -> str | Scale: ...
    @property
    def bias(self) -> bool: ...

@final
class Triangular(Layer):
    def __new__(
        cls,
        upper: bool = False,
        unit: bool = False,
        scale: str | Scale = "exp",
        signs: _Ints | None = None,
        bias: bool = False,
        standardize: bool = False,
    ) -> Self: ...
    @property
    def upper(self) -> bool: ...
    @property
    def unit(self) -> bool: ...
    @property
    def scale(self) -> str | Scale: ...
    @property
    def signs(self) -> tuple[int, ...] | None: ...
    @property
    def bias(self) -> bool: ...
    @property
    def standardize(self) -> bool: ...

@final
class Householder(Layer):
    def __new__(cls, reflections: int | None = None, bias: bool = False) -> Self: ...
    @property
    def reflections(self) -> int | None: ...
    @property
    def bias(self) -> bool: ...

@final
class Rotation(Layer):
    def __new__(cls) -> Self: ...

@final
class LowRank(Layer):
    def __new__(cls, rank: int = 1, scale: str | Scale = "exp") -> Self: ...
    @property
    def rank(self) -> int: ...
    @property
    def scale(self) -> str | Scale: ...

@final
class Planar(Layer):
    def __new__(
        cls,
        h: str = "tanh",
        slope: float = 0.01,
        conditioner: Conditioner | None = None,
        hidden: _Ints = (64, 64),
        activation: str = "relu",
    ) -> Self: ...
    @property
    def h(self) -> str: ...
    @property
    def slope(self) -> float: ...
    @property
    def conditioner(self) -> Conditioner | None: ...
    @property
    def hidden(self) -> tuple[int, ...]: ...
    @property
    def activation(self) -> str: ...

@final
class Radial(Layer):
    def __new__(
        cls,
        conditioner: Conditioner | None = None,
        hidden: _Ints = (64, 64),
        activation: str = "relu",
    ) -> Self: ...
    @property
    def conditioner(self) -> Conditioner | None: ...
    @property
    def hidden(self) -> tuple[int, ...]: ...
    @property
    def activation(self) -> str: ...

@final
class Sylvester(Layer):
    def __new__(
        cls,
        columns: int | None = None,
        reflections: int | None = None,
        conditioner: Conditioner | None = None,
        hidden: _Ints = (64, 64),
        activation: str = "relu",
    ) -> Self: ...
    @property
    def columns(self) -> int | None: ...
    @property
    def reflections(self) -> int | None: ...
    @property
    def conditioner(self) -> Conditioner | None: ...
    @property
    def hidden(self) -> tuple[int, ...]: ...
    @property
    def activation(self) -> str: ...

@final
class Residual(Layer):
    def __new__(
        cls,
        hidden: _Ints = (64, 64),
        activation: str = "lipswish",
        activation_first: bool = True,
        coefficient: float = 0.97,
        log_det: str = "auto",
        kernels: int | _Ints | None = None,
        norm: str = "spectral",
        probes: int = 8,
    ) -> Self: ...
    @property
    def hidden(self) -> tuple[int, ...]: ...
    @property
    def activation(self) -> str: ...
    @property
    def activation_first(self) -> bool: ...
    @property
    def coefficient(self) -> float: ...
    @property
    def log_det(self) -> str: ...
    @property
    def kernels(self) -> int | tuple[int, ...] | None: ...
    @property
    def norm(self) -> str: ...
    @property
    def probes(self) -> int: ...

@final
class Exp(Layer):
    def __new__(cls) -> Self: ...

@final
class Log(Layer):
    def __new__(cls) -> Self: ...

@final
class Sigmoid(Layer):
    def __new__(
        cls, low: float = 0.0, high: float = 1.0, temperature: float = 1.0, epsilon: float = 0.0
    ) -> Self: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def temperature(self) -> float: ...
    @property
    def epsilon(self) -> float: ...

@final
class Logit(Layer):
    def __new__(
        cls, low: float = 0.0, high: float = 1.0, temperature: float = 1.0, epsilon: float = 0.0
    ) -> Self: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def temperature(self) -> float: ...
    @property
    def epsilon(self) -> float: ...

@final
class Tanh(Layer):
    def __new__(cls) -> Self: ...

@final
class Softplus(Layer):
    def __new__(cls) -> Self: ...

@final
class Sinh(Layer):
    def __new__(cls) -> Self: ...

@final
class Arcsinh(Layer):
    def __new__(cls) -> Self: ...

@final
class Power(Layer):
    def __new__(cls, exponent: float) -> Self: ...
    @property
    def exponent(self) -> float: ...

@final
class Softclip(Layer):
    def __new__(cls, bound: float = 1.0) -> Self: ...
    @property
    def bound(self) -> float: ...

@final
class CircularShift(Layer):
    def __new__(
        cls,
        shift: float = 0.0,
        low: float = -3.141592653589793,
        high: float = 3.141592653589793,
        learned: bool = False,
    ) -> Self: ...
    @property
    def shift(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def learned(self) -> bool: ...

@final
class Mobius(Layer):
    def __new__(
        cls, shift: float | _Floats | None = None, scale: float | _Floats | None = None
    ) -> Self: ...
    @property
    def shift(self) -> float | tuple[float, ...] | None: ...
    @property
    def scale(self) -> float | tuple[float, ...] | None: ...

class Transform(Spec): ...

@final
class AffineTransform(Transform):
    def __new__(cls, scale: str | Scale = "softclip") -> Self: ...
    @property
    def scale(self) -> str | Scale: ...

@final
class AdditiveTransform(Transform):
    def __new__(cls) -> Self: ...

@final
class Spline(Transform):
    def __new__(
        cls,
        bins: int = 8,
        bound: float = 3.0,
        box: _Floats | None = None,
        tails: str = "linear",
        form: str = "softmax",
        minimum_bin: float = 0.001,
        minimum_slope: float = 0.001,
        factor: float = 1.0,
    ) -> Self: ...
    @property
    def bins(self) -> int: ...
    @property
    def bound(self) -> float: ...
    @property
    def box(self) -> tuple[float, ...] | None: ...
    @property
    def tails(self) -> str: ...
    @property
    def form(self) -> str: ...
    @property
    def minimum_bin(self) -> float: ...
    @property
    def minimum_slope(self) -> float: ...
    @property
    def factor(self) -> float: ...

@final
class LinearSpline(Transform):
    def __new__(
        cls,
        bins: int = 8,
        bound: float = 3.0,
        box: _Floats | None = None,
        minimum_bin: float = 0.001,
        factor: float = 1.0,
    ) -> Self: ...
    @property
    def bins(self) -> int: ...
    @property
    def bound(self) -> float: ...
    @property
    def box(self) -> tuple[float, ...] | None: ...
    @property
    def minimum_bin(self) -> float: ...
    @property
    def factor(self) -> float: ...

@final
class QuadraticSpline(Transform):
    def __new__(
        cls,
        bins: int = 8,
        bound: float = 3.0,
        box: _Floats | None = None,
        tails: str = "linear",
        minimum_bin: float = 0.001,
        minimum_slope: float = 0.001,
        factor: float = 1.0,
    ) -> Self: ...
    @property
    def bins(self) -> int: ...
    @property
    def bound(self) -> float: ...
    @property
    def box(self) -> tuple[float, ...] | None: ...
    @property
    def tails(self) -> str: ...
    @property
    def minimum_bin(self) -> float: ...
    @property
    def minimum_slope(self) -> float: ...
    @property
    def factor(self) -> float: ...

@final
class CubicSpline(Transform):
    def __new__(
        cls,
        bins: int = 8,
        bound: float = 3.0,
        box: _Floats | None = None,
        tails: str = "linear",
        minimum_bin: float = 0.001,
        minimum_slope: float = 0.001,
        factor: float = 1.0,
    ) -> Self: ...
    @property
    def bins(self) -> int: ...
    @property
    def bound(self) -> float: ...
    @property
    def box(self) -> tuple[float, ...] | None: ...
    @property
    def tails(self) -> str: ...
    @property
    def minimum_bin(self) -> float: ...
    @property
    def minimum_slope(self) -> float: ...
    @property
    def factor(self) -> float: ...

@final
class MixtureLogistic(Transform):
    def __new__(
        cls,
        components: int = 8,
        spread: float = 1.0,
        minimum_scale: float = 0.01,
        scale: str | Scale = "softclip",
    ) -> Self: ...
    @property
    def components(self) -> int: ...
    @property
    def spread(self) -> float: ...
    @property
    def minimum_scale(self) -> float: ...
    @property
    def scale(self) -> str | Scale: ...

@final
class DeepSigmoidal(Transform):
    def __new__(
        cls,
        components: int = 16,
        layers: int = 1,
        dense: bool = False,
        scale: str | Scale = "softclip",
    ) -> Self: ...
    @property
    def components(self) -> int: ...
    @property
    def layers(self) -> int: ...
    @property
    def dense(self) -> bool: ...
    @property
    def scale(self) -> str | Scale: ...

@final
class MonotoneNetwork(Transform):
    def __new__(
        cls, signal: int = 8, hidden: _Ints = (32, 32), activation: str = "elu"
    ) -> Self: ...
    @property
    def signal(self) -> int: ...
    @property
    def hidden(self) -> tuple[int, ...]: ...
    @property
    def activation(self) -> str: ...

@final
class IntegratedNetwork(Transform):
    def __new__(
        cls,
        signal: int = 8,
        hidden: _Ints = (32, 32),
        activation: str = "elu",
        scale: str | Scale = "softclip",
        rule: str = "gauss_legendre",
        points: int = 32,
    ) -> Self: ...
    @property
    def signal(self) -> int: ...
    @property
    def hidden(self) -> tuple[int, ...]: ...
    @property
    def activation(self) -> str: ...
    @property
    def scale(self) -> str | Scale: ...
    @property
    def rule(self) -> str: ...
    @property
    def points(self) -> int: ...

@final
class SumOfSquares(Transform):
    def __new__(
        cls, polynomials: int = 3, degree: int = 4, slope: float = 0.001, bound: float = 10.0
    ) -> Self: ...
    @property
    def polynomials(self) -> int: ...
    @property
    def degree(self) -> int: ...
    @property
    def slope(self) -> float: ...
    @property
    def bound(self) -> float: ...

@final
class Bernstein(Transform):
    def __new__(
        cls,
        degree: int = 16,
        bound: float = 5.0,
        tails: str = "identity",
        margin: float = 0.0,
        minimum_slope: float = 0.001,
    ) -> Self: ...
    @property
    def degree(self) -> int: ...
    @property
    def bound(self) -> float: ...
    @property
    def tails(self) -> str: ...
    @property
    def margin(self) -> float: ...
    @property
    def minimum_slope(self) -> float: ...

@final
class MixtureNormal(Transform):
    def __new__(
        cls,
        components: int = 8,
        equal_weights: bool = False,
        spread: float = 1.0,
        scale: str | Scale = "softclip",
        epsilon: float = 0.0,
    ) -> Self: ...
    @property
    def components(self) -> int: ...
    @property
    def equal_weights(self) -> bool: ...
    @property
    def spread(self) -> float: ...
    @property
    def scale(self) -> str | Scale: ...
    @property
    def epsilon(self) -> float: ...

@final
class SinhArcsinh(Transform):
    def __new__(cls, scale: str | Scale = "softclip") -> Self: ...
    @property
    def scale(self) -> str | Scale: ...

@final
class LambertW(Transform):
    def __new__(cls, maximum: float = 1.0, scale: str | Scale = "softclip") -> Self: ...
    @property
    def maximum(self) -> float: ...
    @property
    def scale(self) -> str | Scale: ...

@final
class MixedTransform(Transform):
    def __new__(cls, transforms: Sequence[Transform], which: _Ints) -> Self: ...
    @property
    def transforms(self) -> tuple[Transform, ...]: ...
    @property
    def which(self) -> tuple[int, ...]: ...

@final
class ShiftedTransform(Transform):
    def __new__(
        cls,
        transform: Transform,
        shift: float = 3.141592653589793,
        low: float = -3.141592653589793,
        high: float = 3.141592653589793,
    ) -> Self: ...
    @property
    def transform(self) -> Transform: ...
    @property
    def shift(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...

@final
class Scale(Spec):
    def __new__(
        cls,
        form: str = "softclip",
        bound: float = 6.907755278982137,
        offset: float = 0.0,
        minimum: float = 0.0,
        maximum: float | None = None,
        reciprocal: bool = False,
    ) -> Self: ...
    @property
    def form(self) -> str: ...
    @property
    def bound(self) -> float: ...
    @property
    def offset(self) -> float: ...
    @property
    def minimum(self) -> float: ...
    @property
    def maximum(self) -> float | None: ...
    @property
    def reciprocal(self) -> bool: ...

class Conditioner(Spec): ...

@final
class MLP(Conditioner):
    def __new__(
        cls,
        hidden: _Ints = (64, 64),
        activation: str = "relu",
        output_activation: str = "identity",
        output_multiplier: float = 1.0,
        dropout: float = 0.0,
        normalization: str = "none",
    ) -> Self: ...
    @property
    def hidden(self) -> tuple[int, ...]: ...
    @property
    def activation(self) -> str: ...
    @property
    def output_activation(self) -> str: ...
    @property
    def output_multiplier(self) -> float: ...
    @property
    def dropout(self) -> float: ...
    @property
    def normalization(self) -> str: ...

@final
class ResidualNet(Conditioner):
    def __new__(
        cls,
        hidden: int = 64,
        blocks: int = 2,
        activation: str = "relu",
        context: str = "gate",
        dropout: float = 0.0,
        normalization: str = "none",
    ) -> Self: ...
    @property
    def hidden(self) -> int: ...
    @property
    def blocks(self) -> int: ...
    @property
    def activation(self) -> str: ...
    @property
    def context(self) -> str: ...
    @property
    def dropout(self) -> float: ...
    @property
    def normalization(self) -> str: ...

@final
class ConvNet(Conditioner):
    def __new__(
        cls,
        channels: _Ints = (64, 64),
        kernels: int | _Ints = 3,
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> Self: ...
    @property
    def channels(self) -> tuple[int, ...]: ...
    @property
    def kernels(self) -> int | tuple[int, ...]: ...
    @property
    def activation(self) -> str: ...
    @property
    def dropout(self) -> float: ...

@final
class ConvResidualNet(Conditioner):
    def __new__(
        cls,
        channels: int = 64,
        blocks: int = 2,
        kernel: int = 3,
        outer_kernel: int = 1,
        activation: str = "relu",
        normalization: str = "none",
        gated: bool = False,
        dropout: float = 0.0,
    ) -> Self: ...
    @property
    def channels(self) -> int: ...
    @property
    def blocks(self) -> int: ...
    @property
    def kernel(self) -> int: ...
    @property
    def outer_kernel(self) -> int: ...
    @property
    def activation(self) -> str: ...
    @property
    def normalization(self) -> str: ...
    @property
    def gated(self) -> bool: ...
    @property
    def dropout(self) -> float: ...

@final
class ConvEncoder(Conditioner):
    def __new__(
        cls,
        channels: _Ints = (32, 64),
        kernel: int = 3,
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> Self: ...
    @property
    def channels(self) -> tuple[int, ...]: ...
    @property
    def kernel(self) -> int: ...
    @property
    def activation(self) -> str: ...
    @property
    def dropout(self) -> float: ...

@final
class ConvDecoder(Conditioner):
    def __new__(
        cls,
        channels: _Ints = (64, 32),
        kernel: int = 3,
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> Self: ...
    @property
    def channels(self) -> tuple[int, ...]: ...
    @property
    def kernel(self) -> int: ...
    @property
    def activation(self) -> str: ...
    @property
    def dropout(self) -> float: ...

@final
class ExpressionNetwork(Conditioner):
    def __new__(
        cls,
        function: str,
        inputs: int,
        context_features: int = 0,
        linear: bool = True,
        declarations: str = "",
        numbers: _Floats = (),
        starts: _Floats = (),
        networks: Sequence[Conditioner] = (),
        zero_last: bool = False,
    ) -> Self: ...
    @property
    def function(self) -> str: ...
    @property
    def inputs(self) -> int: ...
    @property
    def context_features(self) -> int: ...
    @property
    def linear(self) -> bool: ...
    @property
    def declarations(self) -> str: ...
    @property
    def numbers(self) -> tuple[float, ...]: ...
    @property
    def starts(self) -> tuple[float, ...]: ...
    @property
    def networks(self) -> tuple[Conditioner, ...]: ...
    @property
    def zero_last(self) -> bool: ...

@final
class Embedding(Spec):
    def __new__(
        cls,
        features: int | None = None,
        network: Conditioner | None = None,
        categories: _Ints | None = None,
    ) -> Self: ...
    @property
    def features(self) -> int | None: ...
    @property
    def network(self) -> Conditioner | None: ...
    @property
    def categories(self) -> tuple[int, ...] | None: ...

class Likelihood(Spec): ...

@final
class BernoulliLikelihood(Likelihood):
    def __new__(cls) -> Self: ...

@final
class NormalLikelihood(Likelihood):
    def __new__(cls, scale: float | None = None) -> Self: ...
    @property
    def scale(self) -> float | None: ...

@final
class CategoricalLikelihood(Likelihood):
    def __new__(cls, levels: int = 256) -> Self: ...
    @property
    def levels(self) -> int: ...

@final
class LogisticLikelihood(Likelihood):
    def __new__(cls, levels: int = 256) -> Self: ...
    @property
    def levels(self) -> int: ...

class Base(Spec): ...

@final
class Normal(Base):
    def __new__(
        cls,
        loc: float | _Floats | None = None,
        scale: float | _Floats | None = None,
        learned: bool = False,
        conditioner: Conditioner | None = None,
    ) -> Self: ...
    @property
    def loc(self) -> float | tuple[float, ...] | None: ...
    @property
    def scale(self) -> float | tuple[float, ...] | None: ...
    @property
    def learned(self) -> bool: ...
    @property
    def conditioner(self) -> Conditioner | None: ...

@final
class FullNormal(Base):
    def __new__(
        cls,
        loc: float | _Floats | None = None,
        covariance: _Floats | Sequence[_Floats] | None = None,
        learned: bool = True,
    ) -> Self: ...
    @property
    def loc(self) -> float | tuple[float, ...] | None: ...
    @property
    def covariance(self) -> tuple[float, ...] | None: ...
    @property
    def learned(self) -> bool: ...

@final
class StudentT(Base):
    def __new__(
        cls,
        df: float = 5.0,
        loc: float | _Floats | None = None,
        scale: float | _Floats | None = None,
        learned: bool = False,
        conditioner: Conditioner | None = None,
    ) -> Self: ...
    @property
    def df(self) -> float: ...
    @property
    def loc(self) -> float | tuple[float, ...] | None: ...
    @property
    def scale(self) -> float | tuple[float, ...] | None: ...
    @property
    def learned(self) -> bool: ...
    @property
    def conditioner(self) -> Conditioner | None: ...

@final
class Laplace(Base):
    def __new__(
        cls,
        loc: float | _Floats | None = None,
        scale: float | _Floats | None = None,
        learned: bool = False,
        conditioner: Conditioner | None = None,
    ) -> Self: ...
    @property
    def loc(self) -> float | tuple[float, ...] | None: ...
    @property
    def scale(self) -> float | tuple[float, ...] | None: ...
    @property
    def learned(self) -> bool: ...
    @property
    def conditioner(self) -> Conditioner | None: ...

@final
class Logistic(Base):
    def __new__(
        cls,
        loc: float | _Floats | None = None,
        scale: float | _Floats | None = None,
        learned: bool = False,
        conditioner: Conditioner | None = None,
    ) -> Self: ...
    @property
    def loc(self) -> float | tuple[float, ...] | None: ...
    @property
    def scale(self) -> float | tuple[float, ...] | None: ...
    @property
    def learned(self) -> bool: ...
    @property
    def conditioner(self) -> Conditioner | None: ...

@final
class Gumbel(Base):
    def __new__(
        cls,
        loc: float | _Floats | None = None,
        scale: float | _Floats | None = None,
        learned: bool = False,
        conditioner: Conditioner | None = None,
    ) -> Self: ...
    @property
    def loc(self) -> float | tuple[float, ...] | None: ...
    @property
    def scale(self) -> float | tuple[float, ...] | None: ...
    @property
    def learned(self) -> bool: ...
    @property
    def conditioner(self) -> Conditioner | None: ...

@final
class Exponential(Base):
    def __new__(
        cls,
        scale: float | _Floats | None = None,
        learned: bool = False,
        conditioner: Conditioner | None = None,
    ) -> Self: ...
    @property
    def scale(self) -> float | tuple[float, ...] | None: ...
    @property
    def learned(self) -> bool: ...
    @property
    def conditioner(self) -> Conditioner | None: ...

@final
class Gamma(Base):
    def __new__(
        cls,
        shape: float | _Floats | None = None,
        scale: float | _Floats | None = None,
        learned: bool = False,
        conditioner: Conditioner | None = None,
    ) -> Self: ...
    @property
    def shape(self) -> float | tuple[float, ...] | None: ...
    @property
    def scale(self) -> float | tuple[float, ...] | None: ...
    @property
    def learned(self) -> bool: ...
    @property
    def conditioner(self) -> Conditioner | None: ...

@final
class Beta(Base):
    def __new__(
        cls,
        a: float | _Floats | None = None,
        b: float | _Floats | None = None,
        learned: bool = False,
        conditioner: Conditioner | None = None,
    ) -> Self: ...
    @property
    def a(self) -> float | tuple[float, ...] | None: ...
    @property
    def b(self) -> float | tuple[float, ...] | None: ...
    @property
    def learned(self) -> bool: ...
    @property
    def conditioner(self) -> Conditioner | None: ...

@final
class TruncatedNormal(Base):
    def __new__(
        cls,
        low: float | _Floats | None = None,
        high: float | _Floats | None = None,
        loc: float | _Floats | None = None,
        scale: float | _Floats | None = None,
        learned: bool = False,
        conditioner: Conditioner | None = None,
    ) -> Self: ...
    @property
    def low(self) -> float | tuple[float, ...] | None: ...
    @property
    def high(self) -> float | tuple[float, ...] | None: ...
    @property
    def loc(self) -> float | tuple[float, ...] | None: ...
    @property
    def scale(self) -> float | tuple[float, ...] | None: ...
    @property
    def learned(self) -> bool: ...
    @property
    def conditioner(self) -> Conditioner | None: ...

@final
class VonMises(Base):
    def __new__(
        cls,
        loc: float | _Floats | None = None,
        concentration: float | _Floats | None = None,
        learned: bool = False,
        conditioner: Conditioner | None = None,
    ) -> Self: ...
    @property
    def loc(self) -> float | tuple[float, ...] | None: ...
    @property
    def concentration(self) -> float | tuple[float, ...] | None: ...
    @property
    def learned(self) -> bool: ...
    @property
    def conditioner(self) -> Conditioner | None: ...

@final
class Uniform(Base):
    def __new__(cls, low: float | _Floats = 0.0, high: float | _Floats = 1.0) -> Self: ...
    @property
    def low(self) -> float | tuple[float, ...]: ...
    @property
    def high(self) -> float | tuple[float, ...]: ...

@final
class Mixture(Base):
    def __new__(
        cls,
        components: int = 8,
        learned: bool = True,
        conditioner: Conditioner | None = None,
        covariance_type: str = "diagonal",
        minimum_scale: float = 0.0,
        start: str = "kmeans",
    ) -> Self: ...
    @property
    def components(self) -> int: ...
    @property
    def learned(self) -> bool: ...
    @property
    def conditioner(self) -> Conditioner | None: ...
    @property
    def covariance_type(self) -> str: ...
    @property
    def minimum_scale(self) -> float: ...
    @property
    def start(self) -> str: ...

@final
class Resampled(Base):
    def __new__(
        cls,
        network: Conditioner,
        truncation: int = 100,
        learned: bool = False,
        draws: int = 4,
        momentum: float = 0.05,
    ) -> Self: ...
    @property
    def network(self) -> Conditioner: ...
    @property
    def truncation(self) -> int: ...
    @property
    def learned(self) -> bool: ...
    @property
    def draws(self) -> int: ...
    @property
    def momentum(self) -> float: ...

@final
class Product(Base):
    def __new__(cls, bases: Sequence[Base], which: _Ints) -> Self: ...
    @property
    def bases(self) -> tuple[Base, ...]: ...
    @property
    def which(self) -> tuple[int, ...]: ...

@final
class Module(Spec):
    def __new__(
        cls,
        functions: str = "",
        declarations: str = "",
        numbers: _Floats = (),
        starts: _Floats = (),
        networks: Sequence[Conditioner] = (),
        zero_last: bool = False,
    ) -> Self: ...
    @property
    def functions(self) -> str: ...
    @property
    def declarations(self) -> str: ...
    @property
    def numbers(self) -> tuple[float, ...]: ...
    @property
    def starts(self) -> tuple[float, ...]: ...
    @property
    def networks(self) -> tuple[Conditioner, ...]: ...
    @property
    def zero_last(self) -> bool: ...

class Optimizer(Spec): ...

@final
class Adam(Optimizer):
    def __new__(
        cls,
        learning_rate: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-08,
        weight_decay: float = 0.0,
    ) -> Self: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def beta1(self) -> float: ...
    @property
    def beta2(self) -> float: ...
    @property
    def epsilon(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...

@final
class AdamW(Optimizer):
    def __new__(
        cls,
        learning_rate: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-08,
        weight_decay: float = 0.01,
    ) -> Self: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def beta1(self) -> float: ...
    @property
    def beta2(self) -> float: ...
    @property
    def epsilon(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...

@final
class RAdam(Optimizer):
    def __new__(
        cls,
        learning_rate: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-08,
        weight_decay: float = 0.0,
    ) -> Self: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def beta1(self) -> float: ...
    @property
    def beta2(self) -> float: ...
    @property
    def epsilon(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...

@final
class SGD(Optimizer):
    def __new__(
        cls, learning_rate: float = 0.01, momentum: float = 0.0, weight_decay: float = 0.0
    ) -> Self: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def momentum(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...

@final
class Lion(Optimizer):
    def __new__(
        cls,
        learning_rate: float = 0.0001,
        beta1: float = 0.9,
        beta2: float = 0.99,
        weight_decay: float = 0.0,
    ) -> Self: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def beta1(self) -> float: ...
    @property
    def beta2(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...

@final
class Muon(Optimizer):
    def __new__(
        cls,
        learning_rate: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        nesterov: bool = True,
        iterations: int = 5,
        adjust: str = "original",
        adam_learning_rate: float = 0.001,
        adam_beta1: float = 0.9,
        adam_beta2: float = 0.999,
        adam_epsilon: float = 1e-08,
        adam_weight_decay: float = 0.0,
    ) -> Self: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def momentum(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def nesterov(self) -> bool: ...
    @property
    def iterations(self) -> int: ...
    @property
    def adjust(self) -> str: ...
    @property
    def adam_learning_rate(self) -> float: ...
    @property
    def adam_beta1(self) -> float: ...
    @property
    def adam_beta2(self) -> float: ...
    @property
    def adam_epsilon(self) -> float: ...
    @property
    def adam_weight_decay(self) -> float: ...

class Schedule(Spec): ...

@final
class Constant(Schedule):
    def __new__(cls, warmup: int = 0) -> Self: ...
    @property
    def warmup(self) -> int: ...

@final
class Cosine(Schedule):
    def __new__(cls, warmup: int = 0, final: float = 0.0) -> Self: ...
    @property
    def warmup(self) -> int: ...
    @property
    def final(self) -> float: ...

@final
class Plateau(Schedule):
    def __new__(
        cls,
        factor: float = 0.5,
        patience: int = 10,
        warmup: int = 0,
        final: float = 0.0,
        threshold: float = 0.0001,
    ) -> Self: ...
    @property
    def factor(self) -> float: ...
    @property
    def patience(self) -> int: ...
    @property
    def warmup(self) -> int: ...
    @property
    def final(self) -> float: ...
    @property
    def threshold(self) -> float: ...

class Criterion(Spec): ...

@final
class FlowMatching(Criterion):
    def __new__(
        cls, coupling: str = "independent", path: str = "straight", sigma_min: float = 0.0
    ) -> Self: ...
    @property
    def coupling(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def sigma_min(self) -> float: ...

@final
class Distillation(Criterion):
    def __new__(cls, weight: float = 1.0) -> Self: ...
    @property
    def weight(self) -> float: ...

class BoundLayer:
    @property
    def spec(self) -> Layer: ...
    @property
    def type(self) -> str: ...
    @property
    def options(self) -> dict[str, Any]: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def base_shape(self) -> tuple[int, ...]: ...
    @property
    def features(self) -> int: ...
    @property
    def context_features(self) -> int: ...
    @property
    def layers(self) -> tuple[BoundLayer, ...]: ...

@final
class BoundPermutation(BoundLayer):
    @property
    def indices(self) -> NDArray[np.int64]: ...
    @property
    def sign(self) -> int: ...

class Model:
    def __init__(
        self, module: Module, dtype: DTypeLike = "float32", seed: int | None = None
    ) -> None: ...
    def freeze(self, pattern: str, /) -> int: ...
    def unfreeze(self, pattern: str, /) -> int: ...
    def astype(self, dtype: DTypeLike, /) -> Self: ...
    def loss_and_grad(
        self,
        /,
        x: ArrayLike,
        context: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        seed: int = 0,
        start: int = 0,
    ) -> tuple[float, dict[str, _Float]]: ...
    def _call(
        self,
        /,
        function: str,
        inputs: tuple[Any, ...],
        seed: int = 0,
        start: int = 0,
        mean: bool = False,
    ) -> tuple[_Float, ...]: ...
    def _add_function(self, text: str, numbers: _Floats, /) -> None: ...
    def _functions(self, /) -> dict[str, tuple[Any, ...]]: ...
    def _snapshot(self, /) -> tuple[dict[str, _Float], dict[str, NDArray[np.float64]]]: ...
    def __setstate__(self, state: dict[str, Any], /) -> None: ...
    @property
    def parameters(self) -> MappingProxyType[str, _Float]: ...
    @property
    def gradients(self) -> MappingProxyType[str, _Float]: ...
    @property
    def buffers(self) -> MappingProxyType[str, NDArray[np.float64]]: ...
    @property
    def frozen(self) -> tuple[str, ...]: ...
    @property
    def dtype(self) -> np.dtype[np.floating[Any]]: ...
    @property
    def seed(self) -> int: ...
    @property
    def n_parameters(self) -> int: ...
    @property
    def module(self) -> Module | None: ...

class Flow(Model):
    def __init__(
        self,
        layers: Sequence[Layer],
        features: int | None = None,
        context_features: int = 0,
        embedding: Embedding | None = None,
        base: Base | None = None,
        dtype: DTypeLike = "float32",
        seed: int | None = None,
        shape: _Ints | None = None,
        standardize_context: bool = True,
    ) -> None: ...
    def forward(
        self,
        /,
        u: ArrayLike,
        context: ArrayLike | None = None,
        seed: int = 0,
        start: int = 0,
        mean: bool = False,
    ) -> tuple[_Float, _Float]: ...
    def inverse(
        self,
        /,
        x: ArrayLike,
        context: ArrayLike | None = None,
        seed: int = 0,
        start: int = 0,
        mean: bool = False,
    ) -> tuple[_Float, _Float]: ...
    def log_prob(
        self, /, x: ArrayLike, context: ArrayLike | None = None, seed: int = 0, start: int = 0
    ) -> _Float: ...
    def sample(
        self, /, n: int, context: ArrayLike | None = None, seed: int | None = None, start: int = 0
    ) -> _Float: ...
    def sample_and_log_prob(
        self, /, n: int, context: ArrayLike | None = None, seed: int | None = None, start: int = 0
    ) -> tuple[_Float, _Float]: ...
    @overload
    def grad_log_prob(
        self,
        /,
        x: ArrayLike,
        context: ArrayLike | None = None,
        return_log_prob: Literal[False] = False,
        seed: int = 0,
        start: int = 0,
    ) -> _Float: ...
    @overload
    def grad_log_prob(
        self,
        /,
        x: ArrayLike,
        context: ArrayLike | None = None,
        *,
        return_log_prob: Literal[True],
        seed: int = 0,
        start: int = 0,
    ) -> tuple[_Float, _Float]: ...
    def vjp(
        self,
        /,
        x: ArrayLike,
        du: ArrayLike | None = None,
        dlog_det: ArrayLike | None = None,
        context: ArrayLike | None = None,
        direction: Literal["inverse", "forward"] = "inverse",
        parameters: bool = True,
        seed: int = 0,
        start: int = 0,
    ) -> Cotangents: ...
    @property
    def layers(self) -> tuple[BoundLayer, ...]: ...
    @property
    def base(self) -> Base: ...
    @property
    def embedding(self) -> Embedding | None: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def base_shape(self) -> tuple[int, ...]: ...
    @property
    def stochastic(self) -> bool: ...
    @property
    def fixed_maps(self) -> int: ...
    @property
    def features(self) -> int: ...
    @property
    def context_features(self) -> int: ...
    @property
    def standardize_context(self) -> bool: ...

class Cotangents(NamedTuple):
    x: _Float
    context: _Float | None
    parameters: dict[str, _Float] | None

@final
class Trainer:
    def __new__(
        cls,
        model: Model,
        loss: str | Criterion,
        train: tuple[Any, ...],
        validation: tuple[Any, ...] | None,
        optimizer: Optimizer,
        schedule: Schedule,
        epochs: int,
        batch_size: int,
        patience: int,
        clip_norm: float,
        ema: float,
        jitter: ArrayLike | None,
        seed: int,
        standardize_again: bool = False,
    ) -> Self: ...
    def epoch(
        self, poll: Callable[..., Any] | None, kl_weight: float = 1.0, /
    ) -> tuple[Any, ...] | None: ...
    def stop(self, /) -> str | None: ...
    def state(self, /) -> dict[str, Any]: ...
    def load_state(self, state: dict[str, Any], /) -> None: ...
    def finish(self, /) -> None: ...
    def close(self, /) -> None: ...

@final
class TargetTrainer:
    def __new__(
        cls,
        flow: Flow,
        context: ArrayLike | None,
        optimizer: Optimizer,
        schedule: Schedule,
        steps: int,
        batch_size: int,
        clip_norm: float,
        seed: int,
        forward: bool = False,
        path_gradient: bool = False,
    ) -> Self: ...
    def step(self, target: Callable[..., Any], /) -> tuple[float, float, float, float, bool]: ...
    def sample(self, first: int, n: int, /) -> tuple[_Float, NDArray[np.float64]]: ...
    def log_prob(self, x: ArrayLike, /) -> NDArray[np.float64]: ...
    def score(self, x: ArrayLike, /) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
    def follow(self, x: ArrayLike, weights: ArrayLike, /) -> tuple[float, bool]: ...
    def close(self, /) -> None: ...

@final
class StepTrainer:
    def __new__(
        cls,
        model: Model,
        loss: str | Criterion,
        optimizer: Optimizer,
        schedule: Schedule,
        steps: int,
        clip_norm: float,
        ema: float,
        seed: int,
    ) -> Self: ...
    def step(self, batch: tuple[Any, ...], /) -> tuple[float, bool]: ...
    def state(self, /) -> dict[str, Any]: ...
    def load_state(self, state: dict[str, Any], /) -> None: ...
    def finish(self, /) -> None: ...
    def close(self, /) -> None: ...
