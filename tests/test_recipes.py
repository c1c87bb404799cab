"""Recipes: what they are told is looked at whether or not it is used."""

import numpy as np
import pytest

import cflows as cf


def test_any_integers_are_taken():
    one = cf.realnvp(np.int64(3), layers=np.int8(2), context=np.uint8(1), seed=0)
    assert repr(one) == repr(cf.realnvp(3, layers=2, context=1, seed=0))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"layers": 0}, ValueError, "layers must be 1 or more, got 0"),
        ({"layers": 2.0}, TypeError, "layers must be an int, got 2.0"),
        ({"layers": True}, TypeError, "layers must be an int"),
        ({"features": "3"}, TypeError, "features must be an int, got '3'"),
        ({"features": "3", "permute": "reverse"}, TypeError, "features must be an int, got '3'"),
        ({"features": 0}, ValueError, "features must be 1 or more"),
        ({"context": -1}, ValueError, "^context must be 0 or more, got -1"),
        ({"context": 1.5}, TypeError, "^context must be an int, got 1.5"),
        ({"permute": "foo"}, ValueError, "permute must be .*'reverse' or 'random', got 'foo'"),
        ({"permute": "foo", "layers": 1}, ValueError, "permute must be"),
        ({"permute": True}, ValueError, "permute must be"),
        ({"permute": None}, ValueError, "permute must be"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        cf.realnvp(**{"features": 2, **arguments})
