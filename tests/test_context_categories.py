"""Recipes whose context has columns of categories: right densities, labels in tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cflows as cf

BANDS = cf.categorical(["g", "r", "i"])
MEANS, WIDTHS = np.array([0.0, 5.0, -1.0]), np.array([1.0, 0.1, 0.5])
pandas = pytest.importorskip("pandas")


def table(n: int, seed: int) -> Any:
    """x is normal around a line whose offset and width are those of the band."""
    rng = np.random.default_rng(seed)
    band, time = rng.integers(0, 3, n), rng.normal(size=n)
    x = MEANS[band] + 0.5 * time + WIDTHS[band] * rng.normal(size=n)
    return pandas.DataFrame(
        {"band": np.array(BANDS.labels)[band], "time": 2.45e6 + 30.0 * time, "x": x}
    )


ENTROPY = -0.5 * np.log(2 * np.pi * np.e) - np.log(WIDTHS).mean()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("recipe", [cf.realnvp, cf.maf, cf.nsf, cf.nsf_ar])
def test_densities_depend_on_the_label(recipe: Any, dtype: str) -> None:
    hidden = 32 if recipe in (cf.nsf, cf.nsf_ar) else (32,)
    flow = recipe(1, 2, hidden=hidden, context_columns=[BANDS, cf.real], dtype=dtype, seed=0)
    data, test = table(4000, 0), table(4000, 1)
    flow.fit(
        data[["x"]], data[["band", "time"]], epochs=60, optimizer=cf.Adam(5e-3), seed=0,
        schedule="cosine", patience=None, progress=False,
    )  # fmt: skip
    found = float(np.mean(flow.log_prob(test[["x"]], test), dtype=np.float64))
    assert found == pytest.approx(ENTROPY, abs=0.1)
    assert flow.context_columns == ("band", "time")


def unfitted(**options: Any) -> cf.Flow:
    columns = [BANDS, cf.real]
    flow = cf.maf(1, 2, hidden=(8,), context_columns=columns, dtype="float64", seed=0, **options)
    for value in flow.parameters.values():
        value[...] += np.random.default_rng(0).normal(size=value.shape)
    return flow


def test_labels_are_matched(tmp_path: Path) -> None:
    flow, data = unfitted(), table(30, 0)
    flow.context_columns = ("band", "time")
    codes = np.column_stack([[BANDS.labels.index(b) for b in data["band"]], data["time"]])
    x = data[["x"]].to_numpy()
    expected = flow.log_prob(x, codes)
    assert len(np.unique(expected.round(9))) == 30
    objects = np.array(data[["band", "time"]], object)
    as_category = data.astype({"band": "category"})
    for given in (data, data[["time", "band"]], as_category, objects, objects.tolist()):
        np.testing.assert_array_equal(flow.log_prob(x, given), expected)
    flow.save(tmp_path / "f.safetensors")
    for again in (cf.load(tmp_path / "f.safetensors"), flow.part()):
        assert again.context_categories == (BANDS.labels, None)
        np.testing.assert_array_equal(again.log_prob(x, data), expected)


def test_one_context_is_a_row() -> None:
    flow, row = unfitted(), ["r", 2.0]
    flow.context_columns = ("band", "time")
    expected = flow.sample(5, [1.0, 2.0], seed=0)
    series = pandas.Series({"time": 2.0, "band": "r"})
    for given in (row, tuple(row), np.array(row, object), series):
        np.testing.assert_array_equal(flow.sample(5, given, seed=0), expected)
    assert flow.quantile(0.5, row) == pytest.approx(flow.quantile(0.5, [1.0, 2.0]))


def test_labels_that_are_none() -> None:
    flow = unfitted()
    with pytest.raises(ValueError, match="column 0, row 1: expected one of its categories g, r, i"):
        flow.log_prob([[0.0], [0.0]], [["g", 0.0], ["z", 0.0]])
    found = flow.log_prob([[0.0], [0.0]], [["g", 0.0], [None, 0.0]])
    np.testing.assert_array_equal(np.isnan(found), [False, True])
    with pytest.raises(ValueError, match="context must have shape"):
        flow.log_prob([[0.0], [0.0]], [["g", 0.0, 1.0]])


def test_a_network_sums_them_up() -> None:
    flow = unfitted(embedding=cf.Embedding(2, cf.MLP((4,))))
    assert flow.embedding == cf.Embedding(2, cf.MLP((4,)), (3, 1))
    assert np.isfinite(flow.log_prob([[0.0]], ["g", 1.0])).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"context_columns": [cf.positive]}, "context_columns are real or categorical, got pos"),
        ({"context_columns": [BANDS], "context_features": 2}, "context_columns must have 2 entr"),
        ({"context_columns": [BANDS], "embedding": cf.Embedding(categories=[3])}, "said twice"),
    ],
)
def test_what_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cf.maf(2, 1, **options)


def test_names_are_no_columns() -> None:
    with pytest.raises(TypeError, match=r"got 'band' at 0; names are set by flow\.context_columns"):
        cf.maf(2, 1, context_columns=["band"])  # type: ignore[list-item]


def test_plots_of_categories() -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    flow, data = unfitted(), table(60, 0)
    flow.context_columns = ("band", "time")
    ax = cf.plot.conditional(flow, data[["band", "time"]][:3])
    lines, _ = ax.get_legend_handles_labels()
    assert any(f"band = {data['band'][0]}" in line.get_label() for line in lines)
    ax = cf.plot.conditional(flow, data, along="time")
    image = np.asarray(ax.collections[0].get_array())
    assert np.isfinite(image).all()
    with pytest.raises(ValueError, match="along must be a column of numbers, and band is one of"):
        cf.plot.conditional(flow, data, along="band")
    pyplot.close("all")
