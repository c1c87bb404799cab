"""Docstrings: everything public has one, and its examples run."""

import doctest
import inspect

import matplotlib
import pytest
from matplotlib import pyplot

import cflows as cf
from cflows import _core


def members(value):
    """What a class and its bases of this package define, by name."""
    for cls in inspect.getmro(value):
        if cls.__module__.startswith("cflows"):
            for name, member in vars(cls).items():
                if not name.startswith("_") and hasattr(member, "__get__"):
                    yield name, member


def public():
    """Public functions and classes with their members, by name."""
    for module in (cf, cf.data, cf.plot):
        for name in module.__all__:
            value = getattr(module, name)
            if not (inspect.isclass(value) or inspect.isroutine(value)):
                continue
            yield f"{module.__name__}.{name}", value
            if inspect.isclass(value):
                for key, member in members(value):
                    yield f"{module.__name__}.{name}.{key}", member


DOCS = {name: inspect.getdoc(value) for name, value in public()}
FLOW = [name for name in DOCS if name.startswith("cflows.Flow.")]


@pytest.mark.parametrize("name", DOCS)
def test_everything_public_is_documented(name):
    assert DOCS[name]


@pytest.mark.parametrize("name", [name for name, doc in DOCS.items() if doc and ">>>" in doc])
def test_examples_run(name):
    if name.startswith("cflows.plot"):
        matplotlib.use("agg")
    runner = doctest.DocTestRunner()
    runner.run(doctest.DocTestParser().get_doctest(DOCS[name], vars(cf).copy(), name, name, 0))
    pyplot.close("all")  # other tests count the figures
    assert runner.failures == 0 and runner.tries > 0


@pytest.mark.parametrize("module", [cf, cf.data, cf.plot, _core], ids=lambda m: m.__name__)
def test_modules_are_documented_and_their_examples_run(module):
    assert module.__doc__
    runner = doctest.DocTestRunner()
    runner.run(doctest.DocTestParser().get_doctest(module.__doc__, {}, module.__name__, None, 0))
    assert runner.failures == 0


@pytest.mark.parametrize("name", FLOW)
def test_members_of_the_flow_follow_numpys_order(name):
    doc = DOCS[name]
    sections = ["Parameters", "Returns", "Raises", "See Also", "Notes", "References", "Examples"]
    places = [doc.find(f"\n{section}\n{'-' * len(section)}\n") for section in sections]
    found = [place for place in places if place >= 0]
    assert found == sorted(found)
    nothing_returned = name.endswith(".save")
    wanted = places[:1] if nothing_returned else places[:3]
    assert not callable(getattr(cf.Flow, name.rpartition(".")[2])) or min(wanted) > 0
    assert max(map(len, doc.splitlines())) <= 100
