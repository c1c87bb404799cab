"""A context of which something is unknown: what is asked of it is NaN, of other rows it is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cflows as cf

RECIPES = [cf.realnvp, cf.maf, cf.iaf, cf.nice, cf.nsf, cf.nsf_ar]
RECIPES += [cf.naf, cf.bnaf, cf.residual, cf.planar, cf.sylvester, cf.gaussianization, cf.cnf]


def answers(flow: cf.Flow, x: np.ndarray, context: np.ndarray) -> list[np.ndarray]:
    return [
        flow.log_prob(x, context),
        *flow.inverse(x, context),
        *flow.forward(x, context),
        flow.grad_log_prob(x, context),
        flow.sample(3, context, seed=0),
        *flow.sample_and_log_prob(3, context, seed=0),
    ]


@pytest.mark.parametrize("unknown", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("features", [1, 3])
@pytest.mark.parametrize("recipe", RECIPES)
def test_nothing_is_said(recipe: Any, features: int, standardize: bool, unknown: float) -> None:
    """Neither where splines are the identity, which is far out."""
    flow = recipe(features, 2, context_features=2, standardize_context=standardize, seed=0)
    x = np.repeat([[0.0], [100.0], [-1e4], [0.5]], features, axis=1)
    context = np.array([[0.1, 0.2]] * 4)
    whole = answers(flow, x, context)
    context[:3, 1] = unknown
    for found, expected in zip(answers(flow, x, context), whole, strict=True):
        assert np.isnan(found[:3]).all()
        np.testing.assert_array_equal(found[3], expected[3])
    assert np.isnan(flow.log_prob(x, context[0])).all()


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_an_embedding_hides_nothing(activation: Any) -> None:
    """A network may take NaN for a number."""
    embedding = cf.Embedding(1, cf.MLP((8,), activation=activation))
    flow = cf.nsf(1, 1, context_features=3, embedding=embedding, seed=0)
    for found in answers(flow, np.zeros((2, 1)), np.array([[0, np.nan, 0], [np.inf, 0, 0]])):
        assert np.isnan(found).all()
