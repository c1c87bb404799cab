"""Quantities with units are refused, and plain numbers pass, wherever arrays are taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cflows as cf

units = pytest.importorskip("astropy.units")
tables = pytest.importorskip("astropy.table")

X = np.random.default_rng(0).normal(size=(50, 2))
FLOW = cf.realnvp(2, 1, hidden=8, context_features=2, seed=0)
ONE = cf.nsf(1, 1, hidden=8, seed=0)
PLAIN = cf.realnvp(2, 1, hidden=8, seed=0)


def never(*_: Any) -> Any:
    raise AssertionError


CALLS: dict[str, Callable[[Any], Any]] = {
    "x": lambda q: FLOW.log_prob(X * q, X),
    "context": lambda q: FLOW.log_prob(X, X * q),
    "fit": lambda q: PLAIN.fit(X * q),
    "fit context": lambda q: FLOW.fit(X, X * q),
    "weights": lambda q: PLAIN.fit(X, weights=np.ones(50) * q),
    "jitter": lambda q: PLAIN.fit(X, jitter=1.0 * q),
    "validation": lambda q: PLAIN.fit(X, validation=X * q),
    "cdf": lambda q: ONE.cdf(X[:, 0] * q),
    "impute": lambda q: PLAIN.impute(X * q),
    "jacobian": lambda q: cf.jacobian(PLAIN, X * q),
    "sample": lambda q: FLOW.sample(1, X * q),
    "fit_target": lambda q: FLOW.fit_target(never, X * q),
    "importance_sample": lambda q: FLOW.importance_sample(never, 3, X[0] * q),
    "rows": lambda q: PLAIN.log_prob([row * q for row in X]),
    "picture": lambda q: cf.plot.samples(X * q, X),
}


@pytest.mark.parametrize("call", CALLS)
def test_arrays_with_units_are_refused(call: str) -> None:
    with pytest.raises(TypeError, match=r"got a quantity in km: .* write, .*\.to_value\('km'\)"):
        CALLS[call](units.km)


def test_tables_of_quantities_are_refused() -> None:
    x = tables.QTable({"a": X[:, 0] * units.km, "b": X[:, 1]})
    message = r"x\['a'\] must be plain numbers, got a quantity in km: .* astropy.table.Table\(x\)"
    with pytest.raises(TypeError, match=message):
        PLAIN.log_prob(x)
    plain = tables.Table(x)  # whose columns have units, and numbers all the same
    assert plain["a"].unit == units.km
    np.testing.assert_array_equal(PLAIN.log_prob(plain), PLAIN.log_prob(X))


def test_numbers_without_dimension_are_converted() -> None:
    truth = PLAIN.log_prob(X)
    table = tables.QTable({"a": X[:, 0] * 1e-3 * units.km / units.m, "b": X[:, 1] * units.one})
    for given in (X * units.one, X * 100 * units.percent, list(X * units.one), table):
        np.testing.assert_allclose(PLAIN.log_prob(given), truth, rtol=1e-5)


@pytest.mark.parametrize("unit", [units.deg, units.mag, units.mag()])
def test_angles_and_magnitudes_have_units(unit: Any) -> None:
    with pytest.raises(TypeError, match=r"got a quantity in (deg|mag)"):
        PLAIN.log_prob(X * units.one if unit is None else X << unit)


def test_masked_arrays_of_astropy_are_refused() -> None:
    masked = pytest.importorskip("astropy.utils.masked").Masked(X, mask=X > 1)
    with pytest.raises(TypeError, match=r"x is a masked array: .* x.filled\(np.nan\)"):
        PLAIN.log_prob(masked)


def test_columns_of_labels_beside_quantities() -> None:
    flow = cf.maf(2, 1, 8, columns=[cf.real, cf.categorical(["s", "t"])], seed=0)
    flow.columns = ("a", "kind")
    x = tables.QTable({"kind": ["t", "s"], "a": [1.0, 2.0] * units.km})
    with pytest.raises(TypeError, match="column 'a' must be plain numbers, got a quantity in km"):
        flow.log_prob(x)
    x = tables.Table(x, masked=True)
    x["kind"].mask = [True, False]
    np.testing.assert_array_equal(np.isnan(flow.log_prob(x)), [True, False])


class Pint:
    """As much of a quantity of pint as is looked at: its units are lost in arrays."""

    def __init__(self, magnitude: np.ndarray, units: str, factor: float | None = None) -> None:
        self.magnitude, self.units, self.factor = magnitude, units, factor

    @property
    def unitless(self) -> bool:
        return self.factor is not None

    def m_as(self, units: str) -> np.ndarray:
        assert units == "" and self.factor is not None
        return self.magnitude * self.factor

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.magnitude


def pint(x: np.ndarray, units: str, factor: float | None = None) -> Any:
    """A quantity of pint itself, where it is installed."""
    try:
        from pint import Quantity
    except ImportError:
        return Pint(x, units, factor)
    return Quantity(x, units)


def test_quantities_of_pint() -> None:
    for given in (pint(X, "kilometer"), [pint(row, "kilometer") for row in X], pint(X, "degree")):
        with pytest.raises(TypeError, match=r"quantity in .*\.m_as\('(kilometer|degree)'\)"):
            PLAIN.log_prob(given)
    plain = pint(X / 1000, "kilometer / meter", 1000.0)
    np.testing.assert_allclose(PLAIN.log_prob(plain), PLAIN.log_prob(X), rtol=1e-5)
