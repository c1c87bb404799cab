"""Objects that are made, copied and frozen while other code looks at them."""

import copy
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest

import cflows as cf
from cflows import nn
from fits import contents

ROWS = 50


class Index:
    """A whole number that does something when it is read."""

    def __init__(self, number, act):
        self.number, self.act = number, act

    def __index__(self):
        self.act()
        return self.number


class Layers:
    """A sequence that does something when it is read."""

    def __init__(self, layers, act):
        self.layers, self.act = layers, act

    def __len__(self):
        self.act()
        return len(self.layers)

    def __getitem__(self, i):
        self.act()
        return self.layers[i]


class Named(cf.Flow):
    """A flow with attributes."""


def named(note="first"):
    flow = Named([cf.Coupling(hidden=(4,)), cf.Permutation("random")], 2, dtype="float64", seed=3)
    flow.note = note
    return flow


X = np.random.default_rng(0).normal(size=(ROWS, 2))

# -- objects come to life once, and whole -- #


@pytest.mark.parametrize("argument", ["layers", "features"])
@pytest.mark.parametrize("inner", ["__init__", "__setstate__"])
def test_an_init_within_an_init(inner, argument):
    """The inner one makes the flow; the outer one is told so, and nothing of it is seen."""
    flow, seen = Named.__new__(Named), []

    def act():
        if seen:
            return
        seen.append(inner)
        if inner == "__init__":
            flow.__init__([cf.Coupling(hidden=(4,))], 2, dtype="float64", seed=1)
        else:
            flow.__setstate__(named().__reduce__()[2])
        seen.extend((contents(flow), flow.log_prob(X), dict(flow.parameters)))

    with pytest.raises(RuntimeError, match="the Named is initialised already"):
        if argument == "layers":
            flow.__init__(Layers([cf.Affine()], act), 2)
        else:
            flow.__init__([cf.Affine()], Index(2, act))
    assert contents(flow) == seen[1]
    assert np.array_equal(flow.log_prob(X), seen[2])
    for name, view in seen[3].items():
        assert np.shares_memory(view, flow.parameters[name])


@pytest.mark.parametrize("again", ["__init__", "__setstate__"])
def test_a_live_flow_is_not_replaced(again):
    flow, other = named(), named("second")
    for array in other.parameters.values():
        array[...] += 1.0
    before, views, scores = contents(flow), dict(flow.parameters), flow.log_prob(X)
    layer, owner = flow.layers[0], flow.base
    with pytest.raises(RuntimeError, match="the Named is initialised already"):
        if again == "__init__":
            flow.__init__([cf.Affine()], 5)
        else:
            flow.__setstate__(other.__reduce__()[2])
    assert contents(flow) == before
    assert flow.note == "first"
    assert np.array_equal(flow.log_prob(X), scores)
    assert layer.type == "Coupling"
    assert repr(owner) == repr(flow.base)
    for name, view in views.items():
        assert np.shares_memory(view, flow.parameters[name])


def broken_states():
    good = named().__reduce__()[2]
    first = next(iter(good["parameters"]))
    for name in good:
        yield f"no {name}", {k: v for k, v in good.items() if k != name}
        yield f"{name} of another kind", {**good, name: object()}
    yield "a pattern", {**good, "frozen": ("nothing*",)}
    yield "a shape", {**good, "parameters": {**good["parameters"], first: np.zeros(99)}}
    missing = {k: v for k, v in good["parameters"].items() if k != first}
    yield "a parameter", {**good, "parameters": missing}


BROKEN = dict(broken_states())


@pytest.mark.parametrize("name", BROKEN)
def test_a_state_that_fails_leaves_nothing(name):
    flow = Named.__new__(Named)
    for _ in range(2):
        with pytest.raises((KeyError, ValueError, TypeError, AttributeError)):
            flow.__setstate__(BROKEN[name])
        with pytest.raises(RuntimeError, match="the Named has not been initialised"):
            flow.log_prob(X)
        assert not hasattr(flow, "note")
    flow.__setstate__(named().__reduce__()[2])
    assert np.array_equal(flow.log_prob(X), named().log_prob(X))


@pytest.mark.parametrize("member", ["seed", "context_features"])
@pytest.mark.parametrize("what", ["look", "clear", "begin"])
def test_what_a_number_does_while_a_state_is_read(what, member):
    """It sees no flow that is half there, and what it takes away is not missed, or is told."""
    flow, seen = Named.__new__(Named), []
    source = Named([cf.Coupling(hidden=(4,)), cf.Affine()], 2, dtype="float64", seed=3)
    state = source.__reduce__()[2]
    state["parameters"], state["buffers"] = dict(state["parameters"]), dict(state["buffers"])

    def act():
        for call in (lambda: flow.log_prob(X), lambda: flow.parameters, lambda: pickle.dumps(flow)):
            with pytest.raises(RuntimeError, match="has not been initialised"):
                call()
        seen.append(what)
        if what == "clear":
            state["parameters"].clear()
            state.clear()
        elif what == "begin":
            flow.__setstate__(named("inner").__reduce__()[2])

    state[member] = Index(state[member], act)
    if what == "begin":
        with pytest.raises(RuntimeError, match="the Named is initialised already"):
            flow.__setstate__(state)
        assert np.array_equal(flow.log_prob(X), named().log_prob(X))
    else:
        flow.__setstate__(state)
        assert np.array_equal(flow.log_prob(X), source.log_prob(X))
    assert seen == [what]


def test_others_see_no_flow_or_a_whole_one():
    """One thread reads states, right and wrong, that others change; another asks for densities."""
    truth, stop = named().log_prob(X), threading.Event()
    state = named().__reduce__()[2]
    current = [Named.__new__(Named)]
    wrong = []

    def change():
        while not stop.is_set():
            frozen = state.pop("frozen", ())
            state["frozen"] = frozen

    def score():
        while not stop.is_set():
            flow = current[0]
            try:
                if not np.array_equal(flow.log_prob(X), truth) or flow.note != "first":
                    wrong.append("another density")
            except RuntimeError as error:
                if "has not been initialised" not in str(error):
                    wrong.append(error)
            except BaseException as error:
                wrong.append(error)

    threads = [threading.Thread(target=target) for target in (change, score, score)]
    for thread in threads:
        thread.start()
    try:
        for k in range(300):
            current[0] = Named.__new__(Named)
            bad = {**state, "buffers": {"nothing": np.zeros(1)}}
            for given in (bad, state) if k % 2 else (state,):
                try:
                    current[0].__setstate__(given)
                except (KeyError, ValueError, TypeError):
                    continue
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong


# -- freezing from threads -- #


def test_frozen_parameters_are_of_one_moment():
    """All biases are frozen or none, for whoever looks or copies meanwhile."""
    flow = cf.realnvp(4, layers=6, hidden=(16, 16), seed=0)
    biases = tuple(name for name in flow.parameters if name.endswith("bias"))
    stop, wrong = threading.Event(), []

    def freeze():
        while not stop.is_set():
            for act in (flow.freeze, flow.unfreeze):
                act("*.bias")

    ways = [
        lambda: flow.frozen,
        lambda: flow.astype("float64").frozen,
        lambda: pickle.loads(pickle.dumps(flow)).frozen,
        lambda: copy.copy(flow).frozen,
    ]

    def look(way):
        for _ in range(150):
            try:
                found = way()
            except RuntimeError as error:
                if "flow is" not in str(error):
                    wrong.append(error)
                continue
            if found not in ((), biases):
                wrong.append(found)

    threads = [threading.Thread(target=look, args=(way,)) for way in ways]
    freezer = threading.Thread(target=freeze)
    freezer.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    freezer.join()
    assert not wrong


# -- functions, and what the bindings are written with -- #


def test_functions_are_added_while_others_are_called():
    model = nn.objective(lambda x, p: nn.sum(x * p.a), 2, parameters={"a": [1.0, 2.0]})
    wrong = []

    def work(number):
        for k in range(30):
            name = f"f{number}_{k}"
            f = nn.function(model, lambda x, p, k=k: p.a * x + float(k), name)
            if not np.allclose(f([[1.0, 1.0]]), [[1.0 + k, 2.0 + k]]):
                wrong.append(name)
        try:
            nn.function(model, lambda x, p: x, "shared")
        except ValueError as error:
            if "called shared already" not in str(error):
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(model._functions()) == 1 + 4 * 30 + 1


def test_the_core_reads_no_dict_that_swallows_errors():
    """PyDict_GetItemString hides what went wrong, and borrows what others may take away."""
    sources = Path(__file__).parent.parent / "csrc"
    for path in sources.rglob("*.[ch]"):
        assert "PyDict_GetItemString" not in path.read_text(), path
