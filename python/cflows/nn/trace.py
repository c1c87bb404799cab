"""Tracing: from Python functions of tracers to the instructions of an expression."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import _core
from ..arguments import integer
from .tracer import Tracer, concat, tracing

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class Network(NamedTuple):
    """A network and its sizes.

    Attributes
    ----------
    network : Conditioner
        Such as an `MLP`.
    inputs, outputs : int or (channels, height, width)
        Features of what it reads and gives, or the shape of images, whose pixels are features
        channel by channel and row by row. A `ConvNet` and a `ConvResidualNet` are from images to
        images as high and wide, a `ConvEncoder` is from images and a `ConvDecoder` to images.

    Examples
    --------
    >>> import cflows as cf
    >>> from cflows import nn
    >>> deblur = nn.Network(cf.ConvNet((16,)), inputs=(1, 8, 8), outputs=(1, 8, 8))
    """

    network: _core.Conditioner
    inputs: int | tuple[int, ...]
    outputs: int | tuple[int, ...]


class UniformStart:
    """Where a parameter starts: at random, afresh in every layer, from the flow's seed.

    Parameters
    ----------
    shape : int or (rows, columns)
        That of a vector or, for `matmul`, of a matrix.
    bound : float, optional
        Numbers are uniform on ``[-bound, bound)``; None is 1.5 / sqrt(columns), as of the weights
        of networks.

    Examples
    --------
    >>> from cflows import nn
    >>> nn.UniformStart((3, 4))
    UniformStart((3, 4), 0.75)
    """

    def __init__(self, shape: int | Sequence[int], bound: float | None = None) -> None:
        sides = tuple(shape) if isinstance(shape, Sequence) else (shape,)
        if len(sides) not in (1, 2):
            raise ValueError(f"a shape is a size or (rows, columns), got {shape!r}")
        self.shape = tuple(integer("a shape", side, 1) for side in sides)
        self.size = math.prod(self.shape)
        self.bound = 1.5 / math.sqrt(self.shape[-1]) if bound is None else float(bound)
        if not (math.isfinite(self.bound) and self.bound > 0.0):
            raise ValueError(f"bound must be positive and finite, got {bound!r}")

    def __repr__(self) -> str:
        return f"UniformStart({self.shape}, {self.bound!r})"


def _sides(name: str, size: int | Sequence[int]) -> tuple[int, ...]:
    """The sides of an image, or the features of a vector as its only side."""
    sides = tuple(size) if isinstance(size, Sequence) else (size,)
    if len(sides) not in (1, 3):
        raise ValueError(f"{name} must be a number or (channels, height, width), got {size!r}")
    return tuple(integer(name, side, 1) for side in sides)


class Declarations:
    """Named parameters with their starting values, and named networks."""

    def __init__(
        self,
        parameters: Mapping[str, ArrayLike | UniformStart] | None,
        networks: Mapping[str, Network] | None,
    ) -> None:
        self.starts = {
            k: v if isinstance(v, UniformStart) else np.asarray(v, np.float64)
            for k, v in (parameters or {}).items()
        }
        self.networks = {
            name: (network, _sides(f"inputs of {name}", i), _sides(f"outputs of {name}", o))
            for name, (network, i, o) in (networks or {}).items()
        }
        both = self.starts.keys() & self.networks.keys()
        if both:
            raise ValueError(f"{min(both)!r} is a parameter and a network")
        for name, start in self.starts.items():
            if len(start.shape) > 2 or start.size == 0:
                raise ValueError(
                    f"{name} must be a number, a vector or a matrix, got {start.shape}"
                )

    @classmethod
    def of(cls, spec: _core.Expression | _core.Module) -> Declarations:
        """The declarations whose `options` a spec holds."""
        starts = np.array(spec.starts)
        parameters: dict[str, NDArray[Any] | UniformStart] = {}
        networks: dict[str, Network] = {}
        specs = iter(spec.networks)
        for line in filter(None, spec.declarations.split(";")):
            kind, name, *sizes = line.split()
            if kind == "parameter":
                uniform = sizes[1:] == ["uniform"]
                own, starts = np.split(starts, [1 if uniform else int(sizes[0])])
                parameters[name] = UniformStart(int(sizes[0]), own[0]) if uniform else own
            else:
                inputs, outputs = (tuple(map(int, size.split("x"))) for size in sizes)
                networks[name] = Network(next(specs), inputs, outputs)
        return cls(parameters, networks)

    def options(self) -> dict[str, Any]:
        """The options of a spec."""
        lines, numbers = [], []
        for name, start in self.starts.items():
            if isinstance(start, UniformStart):
                lines.append(f"parameter {name} {start.size} uniform")
                numbers.append(start.bound)
            else:
                lines.append(f"parameter {name} {start.size}")
                numbers += map(float, start.ravel())
        for name, (_, *sizes) in self.networks.items():
            lines.append(" ".join(["network", name, *("x".join(map(str, s)) for s in sizes)]))
        return {
            "declarations": ";".join(lines),
            "starts": numbers,
            "networks": [network for network, _, _ in self.networks.values()],
        }


class _Declared:
    """What functions get as p: each parameter as a `Tracer`, networks as functions of them."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace

    def __getattr__(self, name: str) -> Any:
        return self._trace.declared(name)


Shape = tuple[int, ...]
Ports = tuple[tuple[str, Shape], ...]  # inputs or outputs of a model's function


class Trace:
    """Records the instructions of one function; functions of one layer share their numbers.

    The function is called ``with`` the trace, to which functions of tracers then add.

    Parameters
    ----------
    declarations : Declarations
    numbers : list of float
        The constants that instructions refer to; the trace adds to them.
    functions : mapping of str to (inputs, outputs), optional
        Functions of a model that the traced one may call, with their ports.
    """

    def __init__(
        self,
        declarations: Declarations,
        numbers: list[float],
        functions: Mapping[str, tuple[Ports, Ports]] | None = None,
    ) -> None:
        self.declarations, self.numbers = declarations, numbers
        self.functions = functions or {}
        self.lines: list[str] = []

    def __enter__(self) -> Trace:
        self._outer = tracing.set(self)
        return self

    def __exit__(self, *error: object) -> None:
        tracing.reset(self._outer)

    def arguments(self, features: int, context_features: int) -> list[Any]:
        """Arguments of a layer's function: the features, p and, if there is one, the context.

        Without features None stands for them.
        """
        x = self.emit("input", [], [features]) if features > 0 else None
        arguments = [x, _Declared(self)]
        if context_features > 0:
            arguments.append(self.emit("context", [], [context_features]))
        return arguments

    def inputs(self, ports: Mapping[str, Shape]) -> list[Any]:
        """Arguments of a model's function: the first input, p, the other inputs."""
        sizes = map(math.prod, ports.values())
        tracers = [self.emit("argument", [], [i, n]) for i, n in enumerate(sizes)]
        return [*tracers[:1], _Declared(self), *tracers[1:]]

    def emit(
        self,
        op: str,
        operands: Sequence[Tracer] = (),
        integers: Sequence[int] = (),
        numbers: Sequence[float] = (),
        *,
        size: int | None = None,
    ) -> Tracer:
        """Adds an instruction. The core tells the value's size but for what is declared."""
        for operand in operands:
            self._check_own(operand)
        if size is None:
            sizes = tuple(map(len, operands))
            size = _core.nn_size(op, sizes, tuple(integers))
            if size == 0 and operands:
                raise ValueError(f"{op} of {' and '.join(map(str, sizes))} features")
        words = [*(r._number for r in operands), *integers, *map(self._constant_index, numbers)]
        return self._add(" ".join([op, *map(str, words)]), size)

    def _add(self, line: str, size: int) -> Tracer:
        self.lines.append(line)
        return Tracer(self, len(self.lines) - 1, size)

    def _constant_index(self, number: float) -> int:
        number = float(number)
        if not math.isfinite(number):
            raise ValueError(f"numbers must be finite, got {number}")
        if number not in self.numbers:
            self.numbers.append(number)
        return self.numbers.index(number)

    def declared(self, name: str) -> Any:
        starts, networks = self.declarations.starts, self.declarations.networks
        if name in starts:
            return self.emit("parameter", [], [list(starts).index(name)], size=starts[name].size)
        if name in networks:
            return self._network(name)
        if name in self.functions:
            return self._function(name)
        known = ", ".join([*starts, *networks, *self.functions]) or "none"
        raise AttributeError(f"no parameter, network or function is called {name!r}, of {known}")

    def _network(self, name: str) -> Callable[[Tracer], Tracer]:
        networks = self.declarations.networks
        number = list(networks).index(name)
        inputs, outputs = (math.prod(sides) for sides in networks[name][1:])

        def call(x: Tracer) -> Tracer:
            x = self.lift(x)
            if len(x) != inputs:
                raise ValueError(f"{name} reads {inputs} features, got {len(x)}")
            return self.emit("network", [x], [number], size=outputs)

        return call

    def _function(self, name: str) -> Callable[..., Any]:
        inputs, outputs = self.functions[name]

        def call(*operands: Tracer) -> Any:
            if len(operands) != len(inputs):
                wanted = ", ".join(port for port, _ in inputs)
                raise TypeError(f"{name} takes {wanted}, got {len(operands)} arguments")
            tracers = [self.lift(operand) for operand in operands]
            for (port, shape), operand in zip(inputs, tracers, strict=True):
                if len(operand) != math.prod(shape):
                    raise ValueError(
                        f"{name}: {port} has {math.prod(shape)} features, got {len(operand)}"
                    )
            numbers = " ".join(str(operand._number) for operand in tracers)
            sizes = [math.prod(shape) for _, shape in outputs]
            results = [
                self._add(f"call {name} {i} {size} {numbers}".rstrip(), size)
                for i, size in enumerate(sizes)
            ]
            return results[0] if len(results) == 1 else tuple(results)

        return call

    def constant(self, value: Any) -> Tracer:
        """A tracer of a constant number or vector."""
        array = np.asarray(value, np.float64)
        if array.ndim > 1 or array.size == 0:
            raise ValueError(f"a constant is a number or a vector, got shape {array.shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"a constant must be finite, got {value}")
        if np.all(array == array.flat[0]):
            return self.emit("constant", [], [array.size], [float(array.flat[0])])
        return concat([self.constant(number) for number in array])

    def lift(self, value: Any) -> Tracer:
        """A tracer itself; another value as a constant."""
        if not isinstance(value, Tracer):
            return self.constant(value)
        self._check_own(value)
        return value

    def _check_own(self, tracer: Tracer) -> None:
        if tracer._trace is not self:
            raise ValueError("this Tracer is of another function's trace")

    def text(self, *returned: Tracer) -> str:
        """The text of the instructions, which returns these tracers."""
        for tracer in returned:
            self._check_own(tracer)
        last = " ".join(["return", *(str(tracer._number) for tracer in returned)])
        return ";".join([*self.lines, last])
