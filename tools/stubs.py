"""Writes python/cflows/_core.pyi, the stub of the compiled core, and nn/operations.pyi.

    python tools/stubs.py

Names, arguments and defaults are the module's own. Types are those of its docstrings in NumPy's
form: of arguments the Parameters, of results the Returns, of a property the words before its first
colon or, where it is an option, the parameter of that name. `KINDS` says what they mean.
"""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cflows
from cflows import _core
from cflows.nn import operations

PACKAGE = Path(__file__).resolve().parents[1] / "python" / "cflows"
STUB = PACKAGE / "_core.pyi"
OPERATIONS_STUB = PACKAGE / "nn" / "operations.pyi"

HEADER = '''"""The compiled core; written by tools/stubs.py."""

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
'''

OPERATIONS_HEADER = '''"""The core's operations; written by tools/stubs.py."""

from .tracer import Tracer'''

# What a kind in a docstring is as an argument and as a result. Classes stand for themselves.
KINDS = {
    **{kind: (kind, kind) for kind in ("bool", "bytes", "int", "float", "str", "None")},
    "Self": (None, "Self"),
    "array_like": ("ArrayLike", None),
    "callable": ("Callable[..., Any]", None),
    "dict": ("dict[str, Any]", "dict[str, Any]"),
    "dtype": (None, "np.dtype[np.floating[Any]]"),
    "list of dict": ("list[dict[bytes, int]]", None),
    "dtype_like": ("DTypeLike", None),
    "matrix": ("Sequence[_Floats]", "tuple[float, ...]"),
    "matrix of bool": ("Sequence[_Bools]", "tuple[bool, ...]"),
    "ndarray": ("_Float", "_Float"),
    "ndarray of float64": ("NDArray[np.float64]", "NDArray[np.float64]"),
    "ndarray of int64": ("NDArray[np.int64]", "NDArray[np.int64]"),
    "sequence of bool": ("_Bools", "tuple[bool, ...]"),
    "sequence of float": ("_Floats", "tuple[float, ...]"),
    "sequence of int": ("_Ints", "tuple[int, ...]"),
    "tuple": ("tuple[Any, ...]", "tuple[Any, ...]"),
}
# Kinds that are made of another.
COMPOSED = {
    "dict of str -> ": ("dict[str, {}]", "dict[str, {}]"),
    "mapping of str -> ": (None, "MappingProxyType[str, {}]"),
    "sequence of ": ("Sequence[{}]", "tuple[{}, ...]"),
    "tuple of ": ("tuple[{}, ...]", "tuple[{}, ...]"),
}
ARGUMENT, RESULT = 0, 1

# Methods without a signature of their own.
SPECIAL = {
    "__hash__": "(self) -> int",
    "__eq__": "(self, other: object, /) -> bool",
    "__setstate__": "(self, state: dict[str, Any], /) -> None",
}
SUBCLASSES_ALLOWED = 1 << 10  # Py_TPFLAGS_BASETYPE


class Untyped(ValueError):
    """A docstring that does not say a type, or one that is not known here."""


# -- Types -- #


def alternative(kind: str, use: int, choices: str) -> str:
    """The annotation of one of the kinds that a docstring lists."""
    if kind.startswith("{"):
        return choices.format(kind[1:-1])
    if kind in KINDS:
        found = KINDS[kind][use]
    elif isinstance(getattr(_core, kind, None), type):
        return kind
    else:
        start = next((start for start in COMPOSED if kind.startswith(start)), None)
        form = COMPOSED[start][use] if start is not None else None
        found = form and form.format(alternative(kind.removeprefix(start), use, choices))
    if found is None:
        raise Untyped(f"no {('argument', 'result')[use]} is of kind {kind!r}")
    return found


def annotation(text: str, use: int, choices: str = "str") -> str:
    """The annotation of what stands after the colon of a docstring's parameter or result."""
    kinds = re.split(r", (?:shape|default|optional)\b", text)[0].split(" or ")
    return " | ".join(dict.fromkeys(alternative(kind, use, choices) for kind in kinds))


def docstring(value: Any) -> str:
    return inspect.cleandoc(value.__doc__ or "")


def entries(doc: str, section: str) -> list[tuple[str, str]]:
    """The names, which may be empty, and kinds that a section lists."""
    found = re.search(rf"^{section}\n-+\n(.*?)(?=^\w[\w ]*\n---|\Z)", doc, re.MULTILINE | re.DOTALL)
    lines = re.findall(r"^(\S.*)$", found[1] if found else "", re.MULTILINE)
    pairs = (line.rpartition(" : ") for line in lines)
    return [(name, kind) for names, _, kind in pairs for name in names.split(", ")]


# -- Functions -- #


def parameters(function: Any, doc: str, choices: str) -> Iterator[inspect.Parameter]:
    """Those of the signature, with annotations; None as default is of the annotation too."""
    kinds = dict(entries(doc, "Parameters"))
    for given in inspect.signature(function).parameters.values():
        if given.name == "self":
            yield given
            continue
        if given.name not in kinds:
            raise Untyped(f"the docstring does not say what {given.name} is")
        found = annotation(kinds[given.name], ARGUMENT, choices)
        if given.default is None and "None" not in found.split(" | "):
            found += " | None"
        yield given.replace(annotation=found)


def written(arguments: list[inspect.Parameter]) -> str:
    """A list of parameters as source: an annotation is text, not an object."""
    parts, marker = [], ""
    for argument in arguments:
        if marker == "/" and argument.kind != argument.POSITIONAL_ONLY:
            parts.append("/")
        if marker != "*" and argument.kind == argument.KEYWORD_ONLY:
            parts.append("*")
        marker = {argument.POSITIONAL_ONLY: "/", argument.KEYWORD_ONLY: "*"}.get(argument.kind, "")
        kind = "" if argument.annotation is argument.empty else f": {argument.annotation}"
        value = "" if argument.default is argument.empty else f" = {argument.default!r}"
        parts.append(f"{argument.name}{kind}{value}")
    return ", ".join([*parts, *(["/"] if marker == "/" else [])])


def result(kinds: list[str]) -> str:
    if not kinds:
        return "None"
    found = [annotation(kind, RESULT) for kind in kinds]
    return found[0] if len(found) == 1 else f"tuple[{', '.join(found)}]"


def asked_for(arguments: list[inspect.Parameter], option: str, value: bool) -> str:
    """The parameters, of which that one is known to be of that value; it is False by default."""
    k = next(k for k, argument in enumerate(arguments) if argument.name == option)
    known = arguments[k].replace(annotation=f"Literal[{value}]")
    if not value:
        return written([*arguments[:k], known, *arguments[k + 1 :]])
    rest = [known.replace(default=inspect.Parameter.empty), *arguments[k + 1 :]]
    keywords = [argument.replace(kind=inspect.Parameter.KEYWORD_ONLY) for argument in rest]
    return written([*arguments[:k], *keywords])


def function(name: str, value: Any, owner: str = "") -> str:
    """Its definition, or two if there is a result NAME to be asked for by `return_NAME`."""
    doc = docstring(value)
    arguments = list(parameters(value, doc, "Literal[{}]"))
    returned = [(key, kind if kind != owner else "Self") for key, kind in entries(doc, "Returns")]
    asked = [key for key, _ in returned if f"return_{key}" in {a.name for a in arguments}]
    if not asked:
        kinds = [kind for _, kind in returned]
        return f"def {name}({written(arguments)}) -> {result(kinds)}: ..."
    lines = []
    for wanted in (False, True):
        given = asked_for(arguments, f"return_{asked[0]}", wanted)
        kinds = [kind for key, kind in returned if wanted or key != asked[0]]
        lines += ["@overload", f"def {name}({given}) -> {result(kinds)}: ..."]
    return "\n".join(lines)


# -- Classes -- #


def class_docstring(cls: type) -> str:
    """That of the class, or of what the package makes of it under the same name."""
    extended = getattr(cflows, cls.__name__, None)
    return docstring(extended if isinstance(extended, type) and issubclass(extended, cls) else cls)


def constructor(cls: type, doc: str) -> str:
    name, own, returned = "__new__", "cls", "Self"
    if "__init__" in vars(cls):
        name, own, returned = "__init__", "self", "None"
    arguments = written(list(parameters(cls, doc, "str")))
    return f"def {name}({own}{', ' * bool(arguments)}{arguments}) -> {returned}: ..."


def property_of(name: str, value: Any, options: dict[str, str]) -> str:
    kind = options[name] if name in options else docstring(value).partition(":")[0]
    return f"@property\ndef {name}(self) -> {annotation(kind, RESULT)}: ..."


def members(cls: type) -> Iterator[str]:
    doc = class_docstring(cls)
    options = dict(entries(doc, "Parameters")) if issubclass(cls, _core.Spec) else {}
    if cls.__text_signature__ is not None:
        yield constructor(cls, doc)
    for name, value in vars(cls).items():
        try:
            if name in SPECIAL and callable(value):
                yield f"def {name}{SPECIAL[name]}: ..."
            elif inspect.isgetsetdescriptor(value) and not name.startswith("__"):
                yield property_of(name, value, options)
            elif inspect.ismethoddescriptor(value) and not name.startswith("__"):
                yield function(name, value, cls.__name__)
        except Untyped as error:
            raise Untyped(f"{cls.__name__}.{name}: {error}") from None


def named_tuple(cls: Any) -> str:
    kinds = dict(entries(docstring(cls), "Attributes"))
    fields = [f"{name}: {annotation(kinds[name], RESULT)}" for name in cls._fields]
    return "\n    ".join([f"class {cls.__name__}(NamedTuple):", *fields])


def class_(cls: type) -> str:
    if issubclass(cls, tuple):
        return named_tuple(cls)
    base = "" if cls.__base__ is object else f"({cls.__base__.__name__})"
    body = "\n".join(members(cls)) or "..."
    final = "" if cls.__flags__ & SUBCLASSES_ALLOWED else "@final\n"
    return f"{final}class {cls.__name__}{base}:\n" + re.sub("^", "    ", body, flags=re.MULTILINE)


# -- The files -- #


def formatted(parts: list[str]) -> str:
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(STUB), "-"]
    text = "\n\n".join(parts)
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def rendered() -> str:
    """The core's stub."""
    parts = [HEADER, f"__all__ = {_core.__all__!r}"]
    for name, value in vars(_core).items():
        if not name.startswith("_"):
            parts.append(class_(value) if isinstance(value, type) else function(name, value))
    return formatted(parts)


def rendered_operations() -> str:
    """The stub of `cflows.nn.operations`, whose functions have annotations."""
    parts = [OPERATIONS_HEADER, f"__all__ = {operations.__all__!r}"]
    for name in operations.__all__:
        own = inspect.signature(getattr(operations, name))
        arguments = written(list(own.parameters.values()))
        parts.append(f"def {name}({arguments}) -> {own.return_annotation}: ...")
    return formatted(parts)


if __name__ == "__main__":
    STUB.write_text(rendered())
    OPERATIONS_STUB.write_text(rendered_operations())
