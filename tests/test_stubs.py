"""The stub of the compiled core against the module itself."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import cflows as cf
import stubs
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
    _core.Criterion,
    _core.Optimizer,
    _core.Schedule,
}
SPEC_CLASSES = [
    value
    for value in vars(_core).values()
    if isinstance(value, type) and issubclass(value, _core.Spec) and value not in ABSTRACT
]


def test_the_stub_is_what_the_tool_writes():
    assert stubs.STUB.read_text() == stubs.rendered()
    assert stubs.OPERATIONS_STUB.read_text() == stubs.rendered_operations()


@pytest.mark.parametrize(
    ("text", "argument", "result"),
    [
        ("array_like, shape (n,) or (m, n), optional", "ArrayLike", None),
        (
            "{'half', 'all'} or sequence of int, default 'half'",
            "str | _Ints",
            "str | tuple[int, ...]",
        ),
        (
            "sequence of float or matrix or None",
            "_Floats | Sequence[_Floats] | None",
            "tuple[float, ...] | None",
        ),
        (
            "dict of str -> ndarray of float64",
            "dict[str, NDArray[np.float64]]",
            "dict[str, NDArray[np.float64]]",
        ),
        ("sequence of Layer", "Sequence[Layer]", "tuple[Layer, ...]"),
        ("tuple of BoundLayer", "tuple[BoundLayer, ...]", "tuple[BoundLayer, ...]"),
        ("something", None, None),
    ],
)
def test_kinds_of_docstrings(text, argument, result):
    for use, wanted in ((stubs.ARGUMENT, argument), (stubs.RESULT, result)):
        if wanted is None:
            with pytest.raises(stubs.Untyped, match="is of kind"):
                stubs.annotation(text, use)
        else:
            assert stubs.annotation(text, use) == wanted


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


@pytest.mark.parametrize("cls", SPEC_CLASSES, ids=lambda cls: cls.__name__)
def test_options_are_arguments_and_properties(cls):
    body = {node.name: node for node in STUB_CLASSES[cls.__name__].body if hasattr(node, "name")}
    assert arguments_of(body.pop("__new__"))[1:] == live_arguments(cls)
    assert body.keys() == set(inspect.signature(cls).parameters)


BATCH_NORM = """
@final
class BatchNorm(Layer):
    def __new__(
        cls, momentum: float = 0.1, epsilon: float = 1e-05, scale: str | Scale = 'exp'
    ) -> Self: ...

    @property
    def momentum(self) -> float: ...

    @property
    def epsilon(self) -> float: ...

    @property
    def scale(self) -> str | Scale: ...
"""


def test_a_class_written_out():
    assert ast.unparse(STUB_CLASSES["BatchNorm"]) == ast.unparse(ast.parse(BATCH_NORM))


METHODS = [_core.Model, _core.Flow, _core.Trainer, _core.StepTrainer, _core.TargetTrainer]


@pytest.mark.parametrize("cls", METHODS, ids=lambda cls: cls.__name__)
def test_methods_have_the_same_arguments(cls):
    functions = [n for n in STUB_CLASSES[cls.__name__].body if isinstance(n, ast.FunctionDef)]
    methods = {
        node.name: arguments_of(node)
        for node in functions
        if not node.decorator_list and not node.name.startswith("__")
    }
    live = {
        name: live_arguments(method)
        for name, method in vars(cls).items()
        if inspect.ismethoddescriptor(method) and not name.startswith("__")
    }
    overloaded = {"grad_log_prob"} & live.keys()
    assert methods.keys() | overloaded == live.keys()
    assert methods == {name: live[name] for name in methods}
    (init,) = (n for n in functions if n.name in ("__init__", "__new__"))
    own = [pair for pair in arguments_of(init) if pair[0] != "cls"]
    assert own == live_arguments(cls)


def test_everything_public_has_a_stub():
    stubbed = set(STUB_CLASSES) | {n.name for n in STUB.body if isinstance(n, ast.FunctionDef)}
    public = {name for name in vars(_core) if not name.startswith("_")}
    assert public == {name for name in stubbed if not name.startswith("_")}


def test_mypy_finds_no_difference():
    # Which classes can be bases together is nothing that users see.
    options = ["--concise", "--ignore-disjoint-bases"]
    modules = ["cflows._core", "cflows.nn.operations"]
    command = [sys.executable, "-m", "mypy.stubtest", *modules, *options]
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
