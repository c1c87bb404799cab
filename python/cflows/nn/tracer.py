"""Symbols for the arguments of a traced function, and the functions of them."""

from __future__ import annotations

import operator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from .. import _core
from ..arguments import integer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .trace import Trace

tracing: ContextVar[Trace | None] = ContextVar("tracing", default=None)
"""The trace of the function that is being traced; None outside."""


class Tracer:
    """A symbol for the features of a row in a traced function.

    Attributes
    ----------
    size : int
        The number of features. An operand of one feature is broadcast to those of the other.
    """

    __array_ufunc__ = None  # so that NumPy's arrays leave the operators to this class

    def __init__(self, trace: Trace, number: int, size: int) -> None:
        self._trace, self._number, self.size = trace, number, size

    def __repr__(self) -> str:
        return f"Tracer(size={self.size})"

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, which: int | slice) -> Tracer:
        if isinstance(which, slice):
            start, stop, step = which.indices(self.size)
            if step != 1 or stop <= start:
                raise ValueError(f"a slice of a Tracer has step 1 and some features, got {which}")
            return current_trace().emit("slice", [self], [start, stop - start], size=stop - start)
        index = operator.index(which)
        if not -self.size <= index < self.size:
            raise IndexError(f"this Tracer has {self.size} features, got index {index}")
        index %= self.size
        return current_trace().emit("slice", [self], [index, 1], size=1)

    def __add__(self, other: Any) -> Tracer:
        return self._scaled(1.0, other) or _binary("add", self, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Tracer:
        return self._scaled(1.0, other, -1.0) or _binary("subtract", self, other)

    def __rsub__(self, other: Any) -> Tracer:
        return self._scaled(-1.0, other) or _binary("subtract", other, self)

    def __mul__(self, other: Any) -> Tracer:
        if isinstance(other, (int, float)):
            return current_trace().emit("scale", [self], numbers=[other, 0.0], size=self.size)
        return _binary("multiply", self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Tracer:
        if isinstance(other, (int, float)):
            return self * (1.0 / other)
        return _binary("divide", self, other)

    def __rtruediv__(self, other: Any) -> Tracer:
        return _binary("divide", other, self)

    def __neg__(self) -> Tracer:
        return self * -1.0

    def __pow__(self, power: int) -> Tracer:
        power = integer("a power of a Tracer", power, 1, 64)
        result = self
        for _ in range(power - 1):
            result = result * self
        return result

    def _scaled(self, factor: float, term: Any, sign: float = 1.0) -> Tracer | None:
        if not isinstance(term, (int, float)):
            return None
        return current_trace().emit("scale", [self], numbers=[factor, sign * term], size=self.size)


def current_trace(user: str = "Tracers and functions of them") -> Trace:
    """The trace of the function that is being called; RuntimeError, of `user`, if none is."""
    trace = tracing.get()
    if trace is None:
        raise RuntimeError(f"{user} are for functions that are traced")
    return trace


def _binary(op: str, a: Any, b: Any) -> Tracer:
    trace = current_trace()
    a, b = trace.lift(a), trace.lift(b)
    if len(a) != len(b) and 1 not in (len(a), len(b)):
        raise ValueError(f"{op} of {len(a)} and {len(b)} features")
    return trace.emit(op, [a, b], size=max(len(a), len(b)))


def _unary(op: str, x: Any, *numbers: float) -> Tracer:
    trace = current_trace()
    x = trace.lift(x)
    return trace.emit(op, [x], numbers=numbers, size=len(x))


def _reduction(op: str, x: Any) -> Tracer:
    trace = current_trace()
    return trace.emit(op, [trace.lift(x)], size=1)


def _function(name: str, doc: str) -> Callable[[Tracer], Tracer]:
    def function(x: Tracer) -> Tracer:
        return _unary(name, x)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


FUNCTIONS = {name: _function(name, doc) for name, doc in _core.nn_functions().items()}
"""The engine's functions of single numbers, by name."""


def cosine(x: Tracer, turns: float = 1.0, phase: float = 0.0) -> Tracer:
    """``cos(2 pi (turns * x + phase))``; a phase of -1/4 makes it the sine."""
    return _unary("cosine", x, turns, phase)


def clamp(x: Tracer, low: float, high: float) -> Tracer:
    """``min(max(x, low), high)``; the gradient is 0 outside."""
    return _unary("clamp", x, low, high)


def at_least(x: Tracer, threshold: float) -> Tracer:
    """1 where ``x >= threshold``, else 0; without a gradient."""
    return _unary("at_least", x, threshold)


def sum(x: Tracer) -> Tracer:
    """The sum over the features of a row: one feature."""
    return _reduction("sum", x)


def log_sum_exp(x: Tracer) -> Tracer:
    """``log(sum(exp(x)))``, without overflow: one feature."""
    return _reduction("log_sum_exp", x)


def normal_log_density(x: Tracer) -> Tracer:
    """The log-density of independent standard normal features: one feature."""
    return _reduction("normal_log_density", x)


def concat(parts: Sequence[Tracer]) -> Tracer:
    """The features of all parts, in order."""
    if not parts:
        raise ValueError("concat needs Tracers, got none")
    trace = current_trace()
    result, *rest = map(trace.lift, parts)
    for part in rest:
        result = trace.emit("concat", [result, part], size=len(result) + len(part))
    return result


def repeat(x: Tracer, count: int) -> Tracer:
    """A single feature, repeated."""
    trace = current_trace()
    x, count = trace.lift(x), integer("count", count, 1)
    if len(x) != 1:
        raise ValueError(f"repeat is of one feature, got {len(x)}")
    return trace.emit("repeat", [x], [count], size=count)


def matmul(weight: Tracer, x: Tracer) -> Tracer:
    """``W @ x`` with a parameter that is a matrix of ``len(x)`` columns, row by row."""
    if len(weight) % len(x) != 0:
        raise ValueError(f"{len(weight)} weights do not make rows of {len(x)}")
    return current_trace().emit("matmul", [weight, x], size=len(weight) // len(x))


def normal(size: int) -> Tracer:
    """Standard normal numbers, drawn afresh for every row and step."""
    return _noise("normal", size)


def uniform(size: int) -> Tracer:
    """Numbers uniform on [0, 1), drawn afresh for every row and step."""
    return _noise("uniform", size)


def _noise(op: str, size: int) -> Tracer:
    size = integer("size", size, 1)
    return current_trace().emit(op, [], [size], size=size)
