"""Layers and objectives of one's own, written in Python, run at the engine's speed.

A function of `Rows` is called once, with symbols for the rows; what it does to them is traced to
ops of the engine, which differentiates them, runs them in tiles over threads in float32 or float64,
and keeps them in files, which need no code to be loaded.

==================  ============================================================================
`layer`             a flow's layer from its two directions
`objective`         a flow whose `fit` minimises a loss, and whose ``-log_prob`` it is
`evaluate`          other functions of the parameters and networks of an objective
`Network`           a network with its sizes, to be called in such functions
functions           `exp`, `log`, `log1p`, `expm1`, `tanh`, `sigmoid`, `softplus`, `relu`, `elu`,
                    `silu`, `gelu`, `asinh`, `floor`, `cosine`, `clamp`, `at_least`, `sum`,
                    `concat`, `repeat`, `matmul`, `log_sum_exp`, `normal_log_density`, `normal`,
                    `uniform`; and ``+ - * / **`` and slices of `Rows`
==================  ============================================================================

Examples
--------
A layer of one's own, ``x = sinh(a u) / a`` with a learned positive a for each feature:

>>> import numpy as np
>>> import cflows as cf
>>> from cflows import nn
>>> def log_cosh(t):
...     return t + nn.softplus(-2.0 * t) - np.log(2.0)
>>> def forward(u, p):
...     a = nn.exp(p.log_a)
...     return (nn.exp(a * u) - nn.exp(-a * u)) / (2.0 * a), nn.sum(log_cosh(a * u))
>>> def inverse(x, p):
...     a = nn.exp(p.log_a)
...     t = nn.asinh(a * x)
...     return t / a, -nn.sum(log_cosh(t))
>>> sinh = nn.layer(2, forward, inverse, parameters={"log_a": np.zeros(2)})
>>> flow = cf.Flow([cf.Coupling(), sinh], features=2, dtype="float64", seed=0)
>>> x = flow.sample(5, seed=0)
>>> bool(np.allclose(flow.forward(flow.inverse(x)[0])[0], x))
True

An objective of one's own: least squares with a network.

>>> def loss(x, p, y):
...     return nn.sum((p.net(x) - y) ** 2)
>>> net = nn.Network(cf.MLP((16,)), inputs=1, outputs=1)
>>> model = nn.objective(loss, features=1, context_features=1, networks={"net": net}, seed=0)
>>> x = np.linspace(-1, 1, 200)[:, None]
>>> history = model.fit(x, context=x**2, epochs=50, optimizer=cf.Adam(0.01), seed=0)
>>> bool(history.train[-1] < history.train[0] / 10)
True
>>> nn.evaluate(model, lambda x, p, y: p.net(x), x, x**2).shape
(200, 1)
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _core
from .arguments import integer
from .flow import Flow

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Network",
    "Rows",
    "asinh",
    "at_least",
    "clamp",
    "concat",
    "cosine",
    "elu",
    "evaluate",
    "exp",
    "expm1",
    "floor",
    "gelu",
    "layer",
    "log",
    "log1p",
    "log_sum_exp",
    "matmul",
    "normal",
    "normal_log_density",
    "objective",
    "relu",
    "repeat",
    "sigmoid",
    "silu",
    "softplus",
    "sum",
    "tanh",
    "uniform",
]


class Network(NamedTuple):
    """A network and its sizes.

    Attributes
    ----------
    network : Conditioner
        Such as an `MLP`.
    inputs, outputs : int
        Features of what it reads and gives.
    """

    network: _core.Conditioner
    inputs: int
    outputs: int


class Rows:
    """Symbols for the features of a row, in a function that is traced.

    Attributes
    ----------
    size : int
        The number of features. Of two operands one may have a single feature.
    """

    __array_ufunc__ = None  # so that NumPy's arrays leave the operators to this class

    def __init__(self, trace: _Trace, number: int, size: int) -> None:
        self._trace, self._number, self.size = trace, number, size

    def __repr__(self) -> str:
        return f"Rows(size={self.size})"

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, which: int | slice) -> Rows:
        if isinstance(which, slice):
            start, stop, step = which.indices(self.size)
            if step != 1 or stop <= start:
                raise ValueError(f"a slice of Rows has step 1 and some features, got {which}")
            return self._trace.emit("slice", [self], [start, stop - start], size=stop - start)
        index = operator.index(which)
        if not -self.size <= index < self.size:
            raise IndexError(f"Rows have {self.size} features, got index {index}")
        index %= self.size
        return self._trace.emit("slice", [self], [index, 1], size=1)

    def __add__(self, other: Any) -> Rows:
        return self._scaled(1.0, other) or _binary("add", self, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Rows:
        return self._scaled(1.0, other, -1.0) or _binary("subtract", self, other)

    def __rsub__(self, other: Any) -> Rows:
        return self._scaled(-1.0, other) or _binary("subtract", other, self)

    def __mul__(self, other: Any) -> Rows:
        if isinstance(other, (int, float)):
            return self._trace.emit("scale", [self], numbers=[other, 0.0], size=self.size)
        return _binary("multiply", self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Rows:
        if isinstance(other, (int, float)):
            return self * (1.0 / other)
        return _binary("divide", self, other)

    def __rtruediv__(self, other: Any) -> Rows:
        return _binary("divide", other, self)

    def __neg__(self) -> Rows:
        return self * -1.0

    def __pow__(self, power: int) -> Rows:
        power = integer("a power of Rows", power, 1, 64)
        result = self
        for _ in range(power - 1):
            result = result * self
        return result

    def _scaled(self, factor: float, term: Any, sign: float = 1.0) -> Rows | None:
        if not isinstance(term, (int, float)):
            return None
        return self._trace.emit("scale", [self], numbers=[factor, sign * term], size=self.size)


class _Declared:
    """What functions get as p: parameters as `Rows`, networks as functions of them."""

    def __init__(self, trace: _Trace) -> None:
        self._trace = trace

    def __getattr__(self, name: str) -> Any:
        return self._trace.declared(name)


class _Declarations:
    """Named parameters, with where they start, and networks."""

    def __init__(
        self, parameters: Mapping[str, ArrayLike] | None, networks: Mapping[str, Network] | None
    ) -> None:
        self.starts = {k: np.asarray(v, np.float64) for k, v in (parameters or {}).items()}
        self.networks = {name: Network(*network) for name, network in (networks or {}).items()}
        both = self.starts.keys() & self.networks.keys()
        if both:
            raise ValueError(f"{min(both)!r} is a parameter and a network")
        for name, array in self.starts.items():
            if array.ndim > 2 or array.size == 0:
                raise ValueError(
                    f"{name} must be a number, a vector or a matrix, got {array.shape}"
                )

    def options(self) -> dict[str, Any]:
        """For a spec."""
        lines = [f"parameter {name} {array.size}" for name, array in self.starts.items()]
        for name, (_, inputs, outputs) in self.networks.items():
            lines.append(f"network {name} {inputs} {outputs}")
        return {
            "declarations": ";".join(lines),
            "starts": [float(x) for array in self.starts.values() for x in array.ravel()],
            "networks": [network.network for network in self.networks.values()],
        }


class _Trace:
    """One function on its way to instructions; the numbers are shared with others of the layer."""

    def __init__(self, declarations: _Declarations, numbers: list[float]) -> None:
        self.declarations, self.numbers = declarations, numbers
        self.lines: list[str] = []

    def emit(
        self,
        op: str,
        operands: Sequence[Rows] = (),
        integers: Sequence[int] = (),
        numbers: Sequence[float] = (),
        *,
        size: int,
    ) -> Rows:
        for operand in operands:
            if operand._trace is not self:
                raise ValueError("these Rows are of another function's trace")
        words = [*(r._number for r in operands), *integers, *map(self._place, numbers)]
        self.lines.append(" ".join([op, *map(str, words)]))
        return Rows(self, len(self.lines) - 1, size)

    def _place(self, number: float) -> int:
        number = float(number)
        if number not in self.numbers:
            self.numbers.append(number)
        return self.numbers.index(number)

    def declared(self, name: str) -> Any:
        starts, networks = self.declarations.starts, self.declarations.networks
        if name in starts:
            return self.emit("parameter", [], [list(starts).index(name)], size=starts[name].size)
        if name not in networks:
            known = ", ".join([*starts, *networks]) or "none"
            raise AttributeError(f"no parameter or network is called {name!r}, of {known}")
        number, network = list(networks).index(name), networks[name]

        def call(x: Rows) -> Rows:
            if len(x) != network.inputs:
                raise ValueError(f"{name} reads {network.inputs} features, got {len(x)}")
            return self.emit("network", [x], [number], size=network.outputs)

        return call

    def constant(self, value: Any) -> Rows:
        """A number, or a vector feature by feature."""
        array = np.asarray(value, np.float64)
        if array.ndim > 1 or array.size == 0:
            raise ValueError(f"a constant is a number or a vector, got shape {array.shape}")
        if np.all(array == array.flat[0]):
            return self.emit("constant", [], [array.size], [float(array.flat[0])], size=array.size)
        result = self.constant(array[0])
        for number in array[1:]:
            result = concat([result, self.constant(number)])
        return result


_tracing: ContextVar[_Trace | None] = ContextVar("_tracing", default=None)


def _traced(
    function: Callable[..., Any],
    declarations: _Declarations,
    numbers: list[float],
    features: int,
    context_features: int,
) -> tuple[_Trace, Any]:
    """The trace of a function of rows, and what it returns."""
    trace = _Trace(declarations, numbers)
    arguments: list[Any] = [trace.emit("input", [], [features], size=features), _Declared(trace)]
    if context_features > 0:
        arguments.append(trace.emit("context", [], [context_features], size=context_features))
    token = _tracing.set(trace)
    try:
        return trace, function(*arguments)
    finally:
        _tracing.reset(token)


def _as_rows(trace: _Trace, value: Any) -> Rows:
    return value if isinstance(value, Rows) else trace.constant(value)


def _text(trace: _Trace, value: Rows, log_det: Rows | None) -> str:
    words = ["return", str(value._number)]
    if log_det is not None:
        words.append(str(log_det._number))
    return ";".join([*trace.lines, " ".join(words)])


def _direction(
    name: str,
    function: Callable[..., Any],
    declarations: _Declarations,
    numbers: list[float],
    features: int,
    context_features: int,
) -> str:
    trace, result = _traced(function, declarations, numbers, features, context_features)
    if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[0], Rows):
        raise TypeError(f"{name} must return Rows and their log_det, got {result!r}")
    value, log_det = result
    if len(value) != features:
        raise ValueError(f"{name} must return {features} features, got {len(value)}")
    if log_det is not None:
        log_det = _as_rows(trace, log_det)
        if len(log_det) != 1:
            raise ValueError(f"the log_det of {name} must be one number, got {len(log_det)}")
    return _text(trace, value, log_det)


def layer(
    features: int,
    forward: Callable[..., Any],
    inverse: Callable[..., Any],
    *,
    context_features: int = 0,
    parameters: Mapping[str, ArrayLike] | None = None,
    networks: Mapping[str, Network] | None = None,
    zero_last: bool = True,
) -> _core.Expression:
    """A layer whose two directions are functions of one's own.

    Parameters
    ----------
    features : int
        Of the flow.
    forward, inverse : callable
        ``forward(u, p)`` returns ``x`` and ``log|det dx/du|``, ``inverse(x, p)`` returns ``u`` and
        ``log|det du/dx|``; the log_det is a `Rows` of one feature, a number, or None for 0. ``p``
        has the parameters, as `Rows`, and the networks, as functions, by name. With
        `context_features` the context is a third argument. `cflows.audit` tells whether they are
        inverse to each other, with these determinants.
    context_features : int, default 0
        Those that the layers of the flow see.
    parameters : mapping of str to array_like, optional
        Where learned numbers start: a number, a vector or, for `matmul`, a matrix.
    networks : mapping of str to Network, optional
    zero_last : bool, default True
        Whether the last layers of the networks start at zero, as those of couplings do.

    Returns
    -------
    Layer

    Raises
    ------
    ValueError
        If sizes do not fit.
    TypeError
        If a function returns something else.

    Examples
    --------
    >>> import cflows as cf
    >>> from cflows import nn
    >>> shift = nn.layer(
    ...     3,
    ...     lambda u, p: (nn.concat([u[:1], u[1:] + p.net(u[:1])]), None),
    ...     lambda x, p: (nn.concat([x[:1], x[1:] - p.net(x[:1])]), None),
    ...     networks={"net": nn.Network(cf.MLP((8,)), 1, 2)},
    ... )
    >>> flow = cf.Flow([shift], features=3, seed=0)
    >>> list(flow.parameters)[0]
    'layers.0.net.linear0.weight'
    """
    features = integer("features", features, 1)
    declarations = _Declarations(parameters, networks)
    numbers: list[float] = []
    directions = {
        name: _direction(name, function, declarations, numbers, features, context_features)
        for name, function in (("forward", forward), ("inverse", inverse))
    }
    return _core.Expression(
        directions["forward"],
        directions["inverse"],
        **declarations.options(),
        numbers=numbers,
        zero_last=zero_last,
    )


def objective(
    loss: Callable[..., Rows],
    features: int,
    *,
    context_features: int = 0,
    parameters: Mapping[str, ArrayLike] | None = None,
    networks: Mapping[str, Network] | None = None,
    dtype: Any = "float32",
    seed: int | None = None,
) -> Flow:
    """A flow whose `fit` minimises the mean of a loss of one's own over rows.

    Its ``-log_prob`` is the loss, row by row, and its gradients, files, checkpoints and so on are
    any flow's; it has no samples. Noise (`normal`, `uniform`) is drawn afresh in every step.

    Parameters
    ----------
    loss : callable
        ``loss(x, p)`` returns a `Rows` of one feature; see `layer`. With `context_features` the
        context is a third argument, such as what is to be predicted.
    features, context_features : int
        Columns of `x` and of the context.
    parameters, networks
        As of `layer`; last layers do not start at zero.
    dtype, seed
        As of `Flow`.

    Returns
    -------
    Flow

    Raises
    ------
    ValueError
        If sizes do not fit.
    TypeError
        If the function returns something else.

    Examples
    --------
    >>> import numpy as np
    >>> import cflows as cf
    >>> from cflows import nn
    >>> def loss(x, p):
    ...     return nn.sum((x - p.centre) ** 2)
    >>> model = nn.objective(loss, 2, parameters={"centre": [0.0, 0.0]}, seed=0)
    >>> x = np.random.default_rng(0).normal(size=(1000, 2)) + [1, 2]
    >>> history = model.fit(x, epochs=30, optimizer=cf.Adam(0.05), seed=0)
    >>> bool(np.allclose(model.parameters["layers.0.centre"], x.mean(axis=0), atol=0.1))
    True
    """
    features = integer("features", features, 1)
    declarations = _Declarations(parameters, networks)
    numbers: list[float] = []
    trace, result = _traced(loss, declarations, numbers, features, context_features)
    if not isinstance(result, Rows):
        raise TypeError(f"the loss must be Rows of one feature, got {result!r}")
    if len(result) != 1:
        raise ValueError(f"the loss must have one feature, got {len(result)}")
    # A point that has the density 1 under the base.
    text = _text(trace, trace.constant(0.5), -result)
    expression = _core.Expression(
        inverse=text, **declarations.options(), numbers=numbers, base_features=1
    )
    return Flow(
        [expression],
        features,
        context_features,
        base=_core.Uniform(0.0, 1.0),
        dtype=dtype,
        seed=seed,
    )


def evaluate(
    model: Flow,
    function: Callable[..., Rows],
    x: ArrayLike,
    context: ArrayLike | None = None,
    seed: int = 0,
) -> NDArray[Any]:
    """What a function of rows gives with the parameters and networks of an objective.

    Parameters
    ----------
    model : Flow
        Made by `objective`, and perhaps fitted.
    function : callable
        As the loss, of the same arguments, but with any number of features.
    x, context : array_like
        As of `Flow.log_prob`.
    seed : int, default 0
        Of noise.

    Returns
    -------
    ndarray, shape (n, features of the function)

    Raises
    ------
    ValueError
        If sizes do not fit.
    TypeError
        If the model is not of `objective`, or the function returns something else.

    Examples
    --------
    >>> import cflows as cf
    >>> from cflows import nn
    >>> model = nn.objective(lambda x, p: nn.sum(p.a * x), 2, parameters={"a": [2.0, 3.0]}, seed=0)
    >>> nn.evaluate(model, lambda x, p: p.a * x, [[1.0, 1.0]]).tolist()
    [[2.0, 3.0]]
    """
    spec = model.layers[-1].spec
    if not isinstance(spec, _core.Expression):
        raise TypeError(f"evaluate takes a flow of nn.objective, got one of {spec.type}")
    declarations = _declarations_of(spec)
    numbers: list[float] = []
    trace, result = _traced(function, declarations, numbers, model.features, model.context_features)
    if not isinstance(result, Rows):
        raise TypeError(f"the function must return Rows, got {result!r}")
    expression = _core.Expression(
        inverse=_text(trace, result, None),
        **declarations.options(),
        numbers=numbers,
        base_features=len(result),
    )
    flow = Flow([expression], model.features, model.context_features, dtype=model.dtype, seed=0)
    for name, parameter in flow.parameters.items():
        parameter[...] = model.parameters[name]
    return flow.inverse(x, context, seed)[0]


def _declarations_of(spec: _core.Expression) -> _Declarations:
    starts = np.array(spec.starts)
    parameters: dict[str, NDArray[Any]] = {}
    networks: dict[str, Network] = {}
    specs = iter(spec.networks)
    for line in filter(None, spec.declarations.split(";")):
        kind, name, *sizes = line.split()
        if kind == "parameter":
            parameters[name], starts = np.split(starts, [int(sizes[0])])
        else:
            networks[name] = Network(next(specs), int(sizes[0]), int(sizes[1]))
    return _Declarations(parameters, networks)


# -- functions -- #


def _binary(op: str, a: Any, b: Any) -> Rows:
    trace = (a if isinstance(a, Rows) else b)._trace
    a, b = _as_rows(trace, a), _as_rows(trace, b)
    if len(a) != len(b) and 1 not in (len(a), len(b)):
        raise ValueError(f"{op} of {len(a)} and {len(b)} features")
    return trace.emit(op, [a, b], size=max(len(a), len(b)))


def _unary(op: str, x: Rows, *numbers: float) -> Rows:
    return x._trace.emit(op, [x], numbers=numbers, size=len(x))


def exp(x: Rows) -> Rows:
    """``exp(x)``."""
    return _unary("exp", x)


def log(x: Rows) -> Rows:
    """``log(x)``."""
    return _unary("log", x)


def log1p(x: Rows) -> Rows:
    """``log(1 + x)``."""
    return _unary("log1p", x)


def expm1(x: Rows) -> Rows:
    """``exp(x) - 1``."""
    return _unary("expm1", x)


def tanh(x: Rows) -> Rows:
    """``tanh(x)``."""
    return _unary("tanh", x)


def sigmoid(x: Rows) -> Rows:
    """``1 / (1 + exp(-x))``."""
    return _unary("sigmoid", x)


def softplus(x: Rows) -> Rows:
    """``log(1 + exp(x))``."""
    return _unary("softplus", x)


def relu(x: Rows) -> Rows:
    """``max(x, 0)``."""
    return _unary("relu", x)


def elu(x: Rows) -> Rows:
    """x where it is positive, else ``exp(x) - 1``."""
    return _unary("elu", x)


def silu(x: Rows) -> Rows:
    """``x / (1 + exp(-x))``."""
    return _unary("silu", x)


def gelu(x: Rows) -> Rows:
    """x times the normal distribution function of x."""
    return _unary("gelu", x)


def asinh(x: Rows) -> Rows:
    """``log(x + sqrt(x**2 + 1))``."""
    return _unary("asinh", x)


def floor(x: Rows) -> Rows:
    """The greatest integers not above x; without a gradient."""
    return _unary("floor", x)


def cosine(x: Rows, turns: float = 1.0, phase: float = 0.0) -> Rows:
    """``cos(2 pi (turns * x + phase))``; a phase of -1/4 makes it the sine."""
    return _unary("cosine", x, turns, phase)


def clamp(x: Rows, low: float, high: float) -> Rows:
    """``min(max(x, low), high)``; the gradient is 0 outside."""
    return _unary("clamp", x, low, high)


def at_least(x: Rows, threshold: float) -> Rows:
    """1 where ``x >= threshold``, else 0; without a gradient."""
    return _unary("at_least", x, threshold)


def sum(x: Rows) -> Rows:
    """The sum over the features of a row: one feature."""
    return x._trace.emit("sum", [x], size=1)


def log_sum_exp(x: Rows) -> Rows:
    """``log(sum(exp(x)))``, without overflow: one feature."""
    return x._trace.emit("log_sum_exp", [x], size=1)


def normal_log_density(x: Rows) -> Rows:
    """The log-density of independent standard normal features: one feature."""
    return x._trace.emit("normal_log_density", [x], size=1)


def concat(parts: Sequence[Rows]) -> Rows:
    """The features of all parts, in order."""
    if not parts:
        raise ValueError("concat needs Rows, got none")
    result = parts[0]
    for part in parts[1:]:
        result = result._trace.emit("concat", [result, part], size=len(result) + len(part))
    return result


def repeat(x: Rows, count: int) -> Rows:
    """A single feature so many times."""
    if len(x) != 1:
        raise ValueError(f"repeat is of one feature, got {len(x)}")
    return x._trace.emit("repeat", [x], [integer("count", count, 1)], size=int(count))


def matmul(weight: Rows, x: Rows) -> Rows:
    """``W @ x`` with a parameter that is a matrix of ``len(x)`` columns, row by row."""
    if len(weight) % len(x) != 0:
        raise ValueError(f"{len(weight)} weights do not make rows of {len(x)}")
    return x._trace.emit("matmul", [weight, x], size=len(weight) // len(x))


def normal(size: int) -> Rows:
    """So many standard normal numbers, others in every row and step; in a traced function."""
    return _noise("normal", size)


def uniform(size: int) -> Rows:
    """The same of numbers uniform on [0, 1)."""
    return _noise("uniform", size)


def _noise(op: str, size: int) -> Rows:
    trace = _tracing.get()
    if trace is None:
        raise RuntimeError(f"nn.{op} is for functions that are traced")
    return trace.emit(op, [], [integer("size", size, 1)], size=int(size))
