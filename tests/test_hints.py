"""What stands for what: one width for a list, one point for many, and not one table for another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cflows as cf

X = np.random.default_rng(0).normal(size=(50, 2))


def small(**options: Any) -> cf.Flow:
    return cf.maf(2, 1, hidden=(8,), seed=0, **options)


@pytest.mark.parametrize(
    "make",
    [
        lambda hidden: cf.MLP(hidden),
        lambda hidden: cf.Coupling(hidden=hidden),
        lambda hidden: cf.Autoregressive(hidden=hidden),
        lambda hidden: cf.Elementwise(hidden=hidden),
        lambda hidden: cf.maf(2, 1, hidden=hidden, seed=0).layers[0].spec,
        lambda hidden: cf.realnvp(2, 1, hidden=hidden, seed=0).layers[0].spec,
    ],
)
def test_one_width_is_one_hidden_layer(make: Callable[[Any], Any]) -> None:
    assert make(8) == make((8,)) == make(np.int64(8))


def test_one_point_goes_with_many_contexts() -> None:
    """As many contexts with one point each, bit for bit; and the other way round, as ever."""
    rng = np.random.default_rng(0)
    flow = small(context_features=1)
    for parameter in flow.parameters.values():
        parameter[...] += 0.2 * rng.normal(size=parameter.shape)
    contexts, x = rng.normal(size=(300, 1)), rng.normal(size=(1, 2))
    every = np.repeat(x, 300, axis=0)
    np.testing.assert_array_equal(flow.log_prob(x, contexts), flow.log_prob(every, contexts))
    score = flow.grad_log_prob(every, contexts)
    np.testing.assert_array_equal(flow.grad_log_prob(x, contexts), score)
    for call in (flow.inverse, flow.forward):
        for found, truth in zip(call(x, contexts), call(every, contexts), strict=True):
            np.testing.assert_array_equal(found, truth)
    assert flow.log_prob(x, contexts).std() > 0.0
    one = contexts[:1]
    np.testing.assert_array_equal(
        flow.log_prob(every, one), flow.log_prob(every, np.repeat(one, 300, axis=0))
    )
    with pytest.raises(ValueError, match="context must have 2 rows, as the samples, or 1, got 300"):
        flow.log_prob(every[:2], contexts)


@pytest.mark.parametrize("row", [0, 3, 777, 999])
def test_a_fit_does_not_resume_on_other_data_wherever_they_differ(row: int, tmp_path: Any) -> None:
    x = np.random.default_rng(0).normal(size=(1000, 2))
    options: dict[str, Any] = {"epochs": 3, "seed": 0, "progress": False}
    path = tmp_path / "fit.safetensors"
    small().fit(x, checkpoint=path, callback=lambda report: True, **options)
    small().fit(x, resume=path, **options)
    x[row, 1] += 1e-9
    with pytest.raises(ValueError, match="is of a fit on other data: x has changed"):
        small().fit(x, resume=path, **options)
