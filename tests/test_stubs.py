"""The stub of the compiled core against the module itself."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import cflows as cf
from cflows import _core

STUB = ast.parse((Path(cf.__file__).parent / "_core.pyi").read_text())
STUB_CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}

ABSTRACT = {
    _core.Spec,
    _core.Layer,
    _core.Conditioner,
    _core.Base,
    _core.Transform,
    _core.Likelihood,
    _core.Optimizer,
    _core.Schedule,
}
SPEC_CLASSES = [
    value
    for value in vars(_core).values()
    if isinstance(value, type) and issubclass(value, _core.Spec) and value not in ABSTRACT
]

# What an option's kind in the docstring is as an argument, and as an attribute.
KINDS = {
    "bool": ("bool", "bool"),
    "int": ("int", "int"),
    "float": ("float", "float"),
    "str": ("str", "str"),
    "None": ("None", "None"),
    "sequence of bool": ("_Bools", "tuple[bool, ...]"),
    "sequence of int": ("_Ints", "tuple[int, ...]"),
    "sequence of float": ("_Floats", "tuple[float, ...]"),
    "matrix": ("Sequence[_Floats]", "tuple[float, ...]"),
}


def annotation(kind: str) -> tuple[str, str]:
    if kind.startswith("{"):
        return "str", "str"
    if kind in KINDS:
        return KINDS[kind]
    if kind.startswith("sequence of "):
        role = kind.removeprefix("sequence of ")
        return f"Sequence[{role}]", f"tuple[{role}, ...]"
    return kind, kind


def annotations(cls: type, option: str) -> tuple[str, str]:
    (kinds,) = re.findall(rf"^{option} : (.*?)(?:, default .*)?$", cls.__doc__, re.MULTILINE)
    arguments, attributes = zip(*map(annotation, kinds.split(" or ")), strict=True)
    return " | ".join(arguments), " | ".join(dict.fromkeys(attributes))


def rendered(cls: type) -> str:
    """What the stub should say of a class that is made from a table of options."""
    arguments, attributes = ["cls"], []
    for name, parameter in inspect.signature(cls).parameters.items():
        argument, attribute = annotations(cls, name)
        required = parameter.default is parameter.empty
        default = "" if required else f" = {parameter.default!r}"
        arguments.append(f"{name}: {argument}{default}")
        attributes.append(f"    @property\n    def {name}(self) -> {attribute}: ...")
    header = [
        "@final",
        f"class {cls.__name__}({cls.__base__.__name__}):",
        f"    def __new__({', '.join(arguments)}) -> Self: ...",
    ]
    return ast.unparse(ast.parse("\n".join(header + attributes)))


@pytest.mark.parametrize("cls", SPEC_CLASSES, ids=lambda cls: cls.__name__)
def test_classes_are_as_their_tables_of_options_say(cls):
    assert cls.__name__ in STUB_CLASSES, rendered(cls)
    assert ast.unparse(STUB_CLASSES[cls.__name__]) == rendered(cls)


def arguments_of(function: ast.FunctionDef) -> list[tuple[str, str | None]]:
    """Names and defaults, without self and the type's."""
    a = function.args
    names = [argument.arg for argument in a.posonlyargs + a.args]
    defaults = [None] * (len(names) - len(a.defaults)) + [ast.unparse(d) for d in a.defaults]
    return [pair for pair in zip(names, defaults, strict=True) if pair[0] != "self"]


def live_arguments(function) -> list[tuple[str, str | None]]:
    parameters = inspect.signature(function).parameters.values()
    return [
        (p.name, None if p.default is p.empty else repr(p.default))
        for p in parameters
        if p.name != "self"
    ]


def test_methods_have_the_same_arguments():
    methods = {
        node.name: arguments_of(node)
        for node in STUB_CLASSES["Flow"].body
        if isinstance(node, ast.FunctionDef)
        and not node.decorator_list
        and not node.name.startswith("__")
    }
    live = {
        name: live_arguments(method)
        for name, method in vars(_core.Flow).items()
        if inspect.ismethoddescriptor(method) and not name.startswith("__")
    }
    overloaded = {"grad_log_prob", "vjp"}
    assert methods.keys() | overloaded == live.keys()
    assert methods == {name: live[name] for name in methods}
    (init,) = (n for n in STUB_CLASSES["Flow"].body if getattr(n, "name", "") == "__init__")
    assert arguments_of(init) == live_arguments(_core.Flow)


def test_everything_public_has_a_stub():
    stubbed = set(STUB_CLASSES) | {n.name for n in STUB.body if isinstance(n, ast.FunctionDef)}
    public = {name for name in vars(_core) if not name.startswith("_")}
    assert public == {name for name in stubbed if not name.startswith("_")}


def test_mypy_finds_no_difference():
    # Which classes can be bases together is nothing that users see.
    options = ["--concise", "--ignore-disjoint-bases"]
    command = [sys.executable, "-m", "mypy.stubtest", "cflows._core", *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_package_exports_what_it_documents():
    assert len(set(cf.__all__)) == len(cf.__all__)
    assert dir(cf) == sorted(cf.__all__)
    for name in cf.__all__:
        assert getattr(cf, name) is not None
    exported = {cls.__name__ for cls in SPEC_CLASSES} | {cls.__name__ for cls in ABSTRACT}
    assert exported <= set(cf.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        cf.nothing  # noqa: B018
