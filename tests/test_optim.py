"""Optimisers and schedules: what they are told is looked at when they are made."""

import copy
import pickle
from dataclasses import FrozenInstanceError, fields, replace
from fractions import Fraction

import numpy as np
import pytest

import cflows as cf

CLASSES = [cf.Adam, cf.AdamW, cf.SGD, cf.Constant, cf.Cosine, cf.Plateau]
NAN, INF = float("nan"), float("inf")

# Setting: what it may be, and what not.
RANGES = {
    "learning_rate": ([1e-300, 1, 1e30], [0.0, -1e-3, NAN, INF]),
    "beta1": ([0, 0.999], [-0.1, 1.0, NAN]),
    "beta2": ([0, 0.999], [-0.1, 1.0, NAN]),
    "epsilon": ([1e-12, 1], [0.0, -1.0, NAN, INF]),
    "momentum": ([0, 0.999], [-0.1, 1, NAN]),
    "weight_decay": ([0, 1e3], [-1e-9, NAN, INF]),
    "warmup": ([0, 2**63 - 1], [-1, 2**63]),
    "final": ([0, 0.5, 1], [-0.1, 1.1, NAN]),
    "factor": ([1e-9, 0.9], [0.0, 1.0, NAN]),
    "patience": ([1, 10**9], [0, -3, 2**63]),
}
COUNTS = ("warmup", "patience")
SETTINGS = [(cls, field.name) for cls in CLASSES for field in fields(cls)]


@pytest.mark.parametrize(("cls", "name"), SETTINGS)
def test_settings_have_their_ranges(cls, name):
    good, bad = RANGES[name]
    for value in good:
        assert getattr(cls(**{name: value}), name) == value
    for value in bad:
        with pytest.raises(ValueError, match=f"{name} must be .*, got"):
            cls(**{name: value})
        with pytest.raises(ValueError, match=name):
            replace(cls(), **{name: value})


@pytest.mark.parametrize(("cls", "name"), SETTINGS)
def test_settings_are_numbers(cls, name):
    wrong = ["a", None, True, 1j, [1], np.ones(1)] + (
        [1.0, np.float64(1)] if name in COUNTS else []
    )
    for value in wrong:
        with pytest.raises(TypeError, match=f"{name} must be"):
            cls(**{name: value})


@pytest.mark.parametrize(("cls", "name"), SETTINGS)
def test_settings_become_pythons_own(cls, name):
    for value in RANGES[name][0]:
        others = [np.int64(value)] if name in COUNTS else [np.float64(value), Fraction(value)]
        for other in others:
            settings = cls(**{name: other})
            assert type(getattr(settings, name)) is (int if name in COUNTS else float)
            assert repr(settings) == repr(cls(**{name: value}))
            assert settings._settings() == cls(**{name: value})._settings()


@pytest.mark.parametrize("cls", CLASSES)
def test_they_are_values(cls):
    one = cls()
    name = fields(cls)[0].name
    with pytest.raises(FrozenInstanceError):
        setattr(one, name, 1)
    assert one == cls() and hash(one) == hash(cls())
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one


def test_a_number_that_no_float_holds():
    with pytest.raises(ValueError, match="learning_rate must fit a float"):
        cf.Adam(10**400)
