"""Optimisers and schedules: what they are told is looked at when they are made."""

import copy
import inspect
import pickle

import numpy as np
import pytest

import cflows as cf

CLASSES = [*cf.Optimizer.__subclasses__(), *cf.Schedule.__subclasses__()]
NAN, INF = float("nan"), float("inf")

RATE = ([1e-300, 1, 1e30], [0.0, -1e-3, NAN, INF], "positive and finite")
FRACTION = ([0, 0.999], [-0.1, 1.0, NAN], "from 0 to below 1")
EPSILON = ([1e-12, 1], [0.0, -1.0, NAN, INF], "positive and finite")
DECAY = ([0, 1e3], [-1e-9, NAN, INF], "0 or more, and finite")

# Setting: what it may be, what not, and how that is told.
RANGES = {
    "learning_rate": RATE,
    "beta1": FRACTION,
    "beta2": FRACTION,
    "epsilon": EPSILON,
    "momentum": FRACTION,
    "weight_decay": DECAY,
    "adam_learning_rate": RATE,
    "adam_beta1": FRACTION,
    "adam_beta2": FRACTION,
    "adam_epsilon": EPSILON,
    "adam_weight_decay": DECAY,
    "iterations": ([1, 99], [0, 100], "from 1 to 99"),
    "warmup": ([0, 2**63 - 1], [-1], "0 or more"),
    "final": ([0, 0.5, 1], [-0.1, 1.1, NAN], "from 0 to 1"),
    "factor": ([1e-9, 0.9], [0.0, 1.0, NAN], "between 0 and 1"),
    "patience": ([1, 10**9], [0, -3], "1 or more"),
    "threshold": FRACTION,
}
COUNTS = ("warmup", "patience", "iterations")
OTHERS = ("nesterov", "adjust")
SETTINGS = [
    (cls, name) for cls in CLASSES for name in inspect.signature(cls).parameters if name in RANGES
]


def test_every_number_has_a_range():
    names = {(cls, name) for cls in CLASSES for name in inspect.signature(cls).parameters}
    assert {name for cls, name in names - set(SETTINGS)} == set(OTHERS)


@pytest.mark.parametrize(("cls", "name"), SETTINGS)
def test_settings_have_their_ranges(cls, name):
    good, bad, words = RANGES[name]
    for value in good:
        assert getattr(cls(**{name: value}), name) == value
    for value in bad:
        with pytest.raises(ValueError) as error:
            cls(**{name: value})
        assert str(error.value) == f"{cls.__name__}: {name} must be {words}, got {value:g}"
    assert f"{words[0].upper()}{words[1:]}." in " ".join(cls.__doc__.split())


@pytest.mark.parametrize(("cls", "name"), SETTINGS)
def test_settings_are_numbers(cls, name):
    kind = "int" if name in COUNTS else "float"
    wrong = ["a", None, True, 1j, [1], np.ones(1)] + ([1.0, np.float64(1)] if kind == "int" else [])
    for value in wrong:
        with pytest.raises(TypeError, match=f"{cls.__name__}: {name} expects {kind}, got"):
            cls(**{name: value})


@pytest.mark.parametrize(("cls", "name"), SETTINGS)
def test_settings_become_pythons_own(cls, name):
    kind, other = (int, np.int64) if name in COUNTS else (float, np.float64)
    for value in RANGES[name][0]:
        one = cls(**{name: other(value)})
        assert type(getattr(one, name)) is kind
        assert one == cls(**{name: value}) and repr(one) == repr(cls(**{name: value}))


@pytest.mark.parametrize("cls", CLASSES)
def test_they_are_values(cls):
    one = cls()
    name = next(iter(inspect.signature(cls).parameters))
    with pytest.raises(AttributeError):
        setattr(one, name, 1)
    assert one == cls() and hash(one) == hash(cls())
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one
    assert eval(repr(one), vars(cf)) == one
    assert cls(*one.options.values()) == one


def test_no_number_is_minus_0():
    assert cf.SGD(weight_decay=-0.0) == cf.SGD() and repr(cf.Cosine(final=-0.0)) == "Cosine()"


def test_the_order_of_arguments_stays():
    assert cf.Adam(1, 0.2, 0.3, 4, 5) == cf.Adam(
        learning_rate=1, beta1=0.2, beta2=0.3, epsilon=4, weight_decay=5
    )
    assert cf.AdamW(1, 0.2, 0.3, 4, 5).options == cf.Adam(1, 0.2, 0.3, 4, 5).options
    assert cf.SGD(1, 0.2, 3) == cf.SGD(learning_rate=1, momentum=0.2, weight_decay=3)
    assert cf.Cosine(1, 0.2) == cf.Cosine(warmup=1, final=0.2)
    assert cf.Plateau(0.1, 2, 3, 0.4) == cf.Plateau(factor=0.1, patience=2, warmup=3, final=0.4)


def test_numbers_that_are_too_large():
    with pytest.raises(ValueError, match="Adam: learning_rate must fit a float, got 1000"):
        cf.Adam(10**400)
    with pytest.raises(ValueError, match="Plateau: patience must fit 64 bits, got 9223372036854"):
        cf.Plateau(patience=2**63)


def test_the_other_options():
    assert cf.Muon(nesterov=False, adjust="match_rms_adamw").adjust == "match_rms_adamw"
    with pytest.raises(ValueError, match="must be one of 'original', 'match_rms_adamw', got 'no'"):
        cf.Muon(adjust="no")
    with pytest.raises(TypeError, match="nesterov expects bool"):
        cf.Muon(nesterov=1)


@pytest.mark.parametrize(
    "optimizer",
    [
        *(cf.Adam(beta1=1 - 1e-9), cf.AdamW(beta2=1 - 1e-9), cf.RAdam(epsilon=1e-50)),
        *(cf.Muon(adam_epsilon=1e-50), cf.SGD(1e300)),
    ],
    ids=repr,
)
def test_numbers_that_float32_does_not_have(optimizer):
    x = np.random.default_rng(0).normal(size=(20, 2))
    flow = cf.realnvp(2, layers=1, hidden=(4,), seed=0)
    with pytest.raises(ValueError, match=f"{optimizer.type}: in float32 (epsilon|learning_rate)"):
        flow.fit(x, epochs=1, optimizer=optimizer, progress=False)
