"""Symbols for the arguments of a traced function, and the functions of them."""

from __future__ import annotations

import inspect
import operator
from contextvars import ContextVar
from itertools import islice
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
            return current_trace().emit("slice", [self], [start, stop - start])
        index = operator.index(which)
        if not -self.size <= index < self.size:
            raise IndexError(f"this Tracer has {self.size} features, got index {index}")
        index %= self.size
        return current_trace().emit("slice", [self], [index, 1])

    def __add__(self, other: Any) -> Tracer:
        return self._scaled(1.0, other) or _binary("add", self, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Tracer:
        return self._scaled(1.0, other, -1.0) or _binary("subtract", self, other)

    def __rsub__(self, other: Any) -> Tracer:
        return self._scaled(-1.0, other) or _binary("subtract", other, self)

    def __mul__(self, other: Any) -> Tracer:
        if isinstance(other, (int, float)):
            return current_trace().emit("scale_shift", [self], numbers=[other, 0.0])
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
        return current_trace().emit("scale_shift", [self], numbers=[factor, sign * term])


def current_trace(user: str = "Tracers and functions of them") -> Trace:
    """The trace of the function that is being called; RuntimeError, of `user`, if none is."""
    trace = tracing.get()
    if trace is None:
        raise RuntimeError(f"{user} are for functions that are traced")
    return trace


def _binary(op: str, a: Any, b: Any) -> Tracer:
    trace = current_trace()
    return trace.emit(op, [trace.lift(a), trace.lift(b)])


def _signature(operands: int, integers: int, numbers: int, parameters: str) -> inspect.Signature:
    """That of a function of so many Tracers, integers and numbers: "x, turns=1.0"."""
    kinds = operands * ["Tracer"] + integers * ["int"] + numbers * ["float"]
    listed = []
    for parameter, kind in zip(parameters.split(", "), kinds, strict=True):
        name, _, default = parameter.partition("=")
        listed.append(
            inspect.Parameter(
                name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=float(default) if default else inspect.Parameter.empty,
                annotation=kind,
            )
        )
    return inspect.Signature(listed, return_annotation="Tracer")


def _function(
    name: str, operands: int, integers: int, numbers: int, parameters: str, doc: str
) -> Callable[..., Tracer]:
    """The function that adds an operation of the core to the trace."""
    signature = _signature(operands, integers, numbers, parameters)

    def function(*args: Any, **keywords: Any) -> Tracer:
        try:
            bound = signature.bind(*args, **keywords)
        except TypeError as error:
            raise TypeError(f"{name}(): {error}") from None
        bound.apply_defaults()
        given = iter(bound.arguments.items())
        trace = current_trace()
        tracers = [trace.lift(value) for _, value in islice(given, operands)]
        counts = [integer(key, value, 1) for key, value in islice(given, integers)]
        return trace.emit(name, tracers, counts, [value for _, value in given])

    function.__name__ = function.__qualname__ = name
    function.__module__ = __package__
    function.__doc__ = doc
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


OPERATIONS = {name: _function(name, *entry) for name, entry in _core.nn_operations().items()}
"""The operations of the core's list that are functions as they are, by name."""

FUNCTIONS = {
    name: function
    for name, function in OPERATIONS.items()
    if [*inspect.signature(function).parameters] == ["x"] and _core.nn_size(name, (2,), ()) == 2
}
"""Those of x alone with as many features as x, such as all functions of single numbers."""


def concat(parts: Sequence[Tracer]) -> Tracer:
    """The features of all parts, in order."""
    if not parts:
        raise ValueError("concat needs Tracers, got none")
    trace = current_trace()
    result, *rest = map(trace.lift, parts)
    for part in rest:
        result = trace.emit("concat", [result, part])
    return result


def repeat(x: Tracer, count: int) -> Tracer:
    """A single feature, repeated."""
    trace = current_trace()
    x, count = trace.lift(x), integer("count", count, 1)
    if len(x) != 1:
        raise ValueError(f"repeat is of one feature, got {len(x)}")
    return trace.emit("repeat", [x], [count])


def matmul(weight: Tracer, x: Tracer) -> Tracer:
    """``W @ x`` with a parameter that is a matrix of ``len(x)`` columns, row by row."""
    if len(weight) % len(x) != 0:
        raise ValueError(f"{len(weight)} weights do not make rows of {len(x)}")
    return current_trace().emit("matmul", [weight, x])
