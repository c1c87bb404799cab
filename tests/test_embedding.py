"""Embeddings: a network between the context and all that is conditioned on it."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cflows as cf
from differences import gradient
from model_files import architecture, contents, forge, write

RAW, SEEN = 7, 3
NET = cf.MLP((5,), activation="tanh")
EMBEDDING = cf.Embedding(SEEN, NET)


def layers() -> list[Any]:
    return [cf.Coupling(hidden=(6,), activation="tanh"), cf.Permutation()]


def base() -> cf.Normal:
    return cf.Normal(conditioner=NET)


def moved(**options: Any) -> cf.Flow:
    """A flow with weights that are far from the first ones."""
    arguments = {"context_features": RAW, "embedding": EMBEDDING, "base": base()}
    arguments |= {"standardize_context": False, **options}
    flow = cf.Flow(layers(), features=2, dtype="float64", seed=0, **arguments)
    rng = np.random.default_rng(0)
    for value in flow.parameters.values():
        value[...] = rng.normal(size=value.shape) * 0.7
    return flow


def rows(n: int = 11) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(n, 2)), rng.normal(size=(n, RAW))


def embedded(flow: cf.Flow, context: np.ndarray) -> np.ndarray:
    """What NumPy makes of the context with the flow's weights."""
    p = flow.parameters
    h = np.tanh(context @ p["embedding.linear0.weight"].T + p["embedding.linear0.bias"])
    return h @ p["embedding.linear1.weight"].T + p["embedding.linear1.bias"]


def without(flow: cf.Flow) -> cf.Flow:
    """The same layers and base in a flow whose context is what they see."""
    plain = cf.Flow(
        layers(), features=2, context_features=SEEN, base=flow.base, dtype="float64", seed=0
    )
    for name, value in plain.parameters.items():
        value[...] = flow.parameters[name]
    return plain


# ---- what it computes ----


def test_it_is_the_flow_of_the_embedded_context():
    flow = moved()
    plain = without(flow)
    x, context = rows()
    seen = embedded(flow, context)
    close = {"rtol": 1e-12, "atol": 1e-12}
    np.testing.assert_allclose(flow.log_prob(x, context), plain.log_prob(x, seen), **close)
    for ours, truth in zip(flow.inverse(x, context), plain.inverse(x, seen), strict=True):
        np.testing.assert_allclose(ours, truth, **close)
    for ours, truth in zip(flow.forward(x, context), plain.forward(x, seen), strict=True):
        np.testing.assert_allclose(ours, truth, **close)
    np.testing.assert_allclose(
        flow.grad_log_prob(x, context), plain.grad_log_prob(x, seen), **close
    )
    ours = flow.sample_and_log_prob(4, context, seed=3)
    for a, b in zip(ours, plain.sample_and_log_prob(4, seen, seed=3), strict=True):
        np.testing.assert_allclose(a, b, **close)
    one = flow.sample(5, context[0], seed=4)
    np.testing.assert_allclose(one, plain.sample(5, seen[0], seed=4), **close)


def test_the_cotangent_of_the_context_is_that_of_what_the_caller_gives():
    flow = moved()
    x, context = rows(4)
    du, dlog_det = np.ones((4, 2)), np.arange(4.0)
    cotangents = flow.vjp(x, du, dlog_det, context)

    def f() -> float:
        u, log_det = flow.inverse(x, context)
        return float(np.sum(u) + log_det @ dlog_det)

    assert cotangents.context.shape == (4, RAW)
    np.testing.assert_allclose(cotangents.context, gradient(f, context), rtol=1e-6, atol=1e-8)
    shared = flow.vjp(x, du, dlog_det, context[0])
    assert shared.context.shape == (RAW,)


def test_layers_are_bound_to_what_they_see():
    flow = moved()
    assert flow.context_features == RAW
    assert flow.embedding == EMBEDDING
    assert [layer.context_features for layer in flow.layers] == [SEEN, SEEN]
    shapes = {n: p.shape for n, p in flow.parameters.items() if n.startswith("embedding.")}
    assert shapes == {
        "embedding.linear0.weight": (5, RAW),
        "embedding.linear0.bias": (5,),
        "embedding.linear1.weight": (SEEN, 5),
        "embedding.linear1.bias": (SEEN,),
    }
    assert cf.Flow(layers(), 2, RAW).embedding is None


def test_no_weight_of_it_starts_at_zero():
    flow = cf.Flow(layers(), 2, RAW, cf.Embedding(SEEN), seed=0)
    assert flow.parameters["embedding.linear1.weight"].shape == (64, 64)  # an MLP, by default
    for name, value in flow.parameters.items():
        if name.startswith("embedding."):
            assert np.all(value != 0), name


def test_the_repr_has_a_line_for_it():
    lines = repr(moved()).splitlines()
    assert "| context, 2 features, 7 context features" in lines[0]
    assert lines[1].split() == [
        *("embedding", "(n,", "3)", "58"),
        *repr(EMBEDDING).split(),
    ]
    assert not any("embedding" in line for line in repr(without(moved())).splitlines())


# ---- learning ----


def test_a_summary_of_twenty_numbers_is_learned():
    """x depends on two directions of the context; its entropy given them is known."""
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.normal(size=(20, 2)))[0]
    noise = np.array([0.2, 0.3])

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        context = rng.normal(size=(n, 20))
        a, b = (context @ directions).T
        return np.stack([np.sin(2 * a), a * b], 1) + noise * rng.normal(size=(n, 2)), context

    flow = cf.Flow(
        [cf.Coupling(hidden=(32,)), cf.Coupling(swap=True, hidden=(32,)), cf.Affine()],
        features=2,
        context_features=20,
        embedding=cf.Embedding(2, cf.MLP((64, 64), activation="silu")),
        seed=0,
    )
    before = {name: value.copy() for name, value in flow.parameters.items()}
    flow.fit(
        *draw(20_000),
        epochs=20,
        batch_size=128,
        optimizer=cf.Adam(3e-3),
        schedule=cf.Cosine(),
        seed=0,
        progress=False,
    )
    truth = np.log(2 * np.pi * np.e) + np.log(noise).sum()
    # 0.08 of what the network has not learned; a flow that ignores the context is 2.3 above.
    assert -flow.log_prob(*draw(4000)).mean() < truth + 0.12
    for name, value in before.items():
        if name.startswith("embedding."):
            assert np.abs(flow.parameters[name] - value).max() > 0.01, name


def test_dropout_in_it_is_for_training():
    x, context = rows(200)
    losses = {}
    for dropout in (0.0, 0.4):
        flow = moved(embedding=cf.Embedding(SEEN, cf.MLP((5,), activation="tanh", dropout=dropout)))
        expected = -flow.log_prob(x, context).mean()
        losses[dropout] = flow.fit(
            x,
            context,
            validation=None,
            epochs=1,
            batch_size=len(x),
            optimizer=cf.SGD(1e-12),
            clip_norm=None,
            seed=0,
            progress=False,
        ).train[0]
        if dropout == 0.0:
            assert losses[dropout] == pytest.approx(expected, rel=1e-12)
    assert losses[0.0] != pytest.approx(losses[0.4], rel=1e-3)


def test_frozen_it_stays_as_it_is():
    x, context = rows(100)
    flow = moved()
    assert flow.freeze("embedding.*") == 4
    before = {name: value.copy() for name, value in flow.parameters.items()}
    flow.fit(x, context, epochs=2, seed=0, progress=False)
    for name, value in flow.parameters.items():
        assert np.array_equal(value, before[name]) == name.startswith("embedding."), name


def test_it_learns_from_a_target():
    """One step of gradient descent against differences of the loss at the same random numbers."""
    rate, n, seed = 1e-3, 24, 5
    seen = []

    def target(x: np.ndarray, context: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen.append(context)
        d = x - context[:, :2]
        return -0.5 * np.sum(d**2, 1), -d

    start, stepped = moved(), moved()
    stepped.fit_target(
        target,
        rows(3)[1],
        steps=1,
        batch_size=n,
        optimizer=cf.SGD(rate),
        clip_norm=None,
        seed=seed,
    )
    contexts = seen[0]  # of each sample, drawn by chance

    def loss() -> float:
        x, log_q = start.sample_and_log_prob(1, contexts, seed=seed)
        return float(np.mean(log_q[:, 0] - target(x[:, 0], contexts)[0]))

    for name, value in start.parameters.items():
        truth = gradient(loss, value)
        ours = (value - stepped.parameters[name]) / rate
        np.testing.assert_allclose(ours, truth, rtol=1e-5, atol=1e-7, err_msg=name)


def test_importance_samples_of_one_context():
    flow, given = moved(), rows(1)[1]
    plain = without(flow)

    def target(x: np.ndarray, context: np.ndarray) -> np.ndarray:
        assert np.array_equal(context, given)
        return plain.log_prob(x, embedded(flow, context)) + 1.5

    weighed = flow.importance_sample(target, 1000, context=given, seed=2)
    assert weighed.log_evidence == pytest.approx(1.5, abs=1e-9)


# ---- files and copies ----


def test_copies_are_equal(tmp_path: Path):
    flow = moved()
    flow.freeze("embedding.linear0.*")
    x, context = rows()
    flow.save(tmp_path / "flow")
    for again in (
        cf.load(tmp_path / "flow"),
        pickle.loads(pickle.dumps(flow)),
        copy.deepcopy(flow),
        flow.astype("float64"),
    ):
        assert again.embedding == EMBEDDING
        assert contents(again) == contents(flow)
        assert np.array_equal(again.log_prob(x, context), flow.log_prob(x, context))
    narrow = flow.astype("float32")
    assert narrow.embedding == EMBEDDING
    np.testing.assert_allclose(narrow.log_prob(x, context), flow.log_prob(x, context), rtol=1e-4)


def test_files_of_before_there_were_embeddings(tmp_path: Path):
    """They are as those of flows without."""
    plain = without(moved())
    plain.save(tmp_path / "flow")
    assert "embedding" not in architecture((tmp_path / "flow").read_bytes())
    assert cf.load(tmp_path / "flow").embedding is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embedding": None}, "embedding must be of type dict"),
        ({"embedding": {"type": "MLP", "options": {}}}, "embedding expects Embedding or None"),
        ({"embedding": {"type": "Embedding", "options": {}}}, "features is missing"),
        ({"embedding": {"type": "Embedding", "options": {"features": 2**24}}}, "parameters"),
        ({"context_features": 0}, "the flow has none"),
        ({"embeddings": {}}, "the architecture must have"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, changes: dict[str, Any], message: str):
    moved().save(tmp_path / "flow")
    path = write(tmp_path / "damaged", forge((tmp_path / "flow").read_bytes(), **changes))
    with pytest.raises(ValueError, match=message):
        cf.load(path)


def test_a_checkpoint_resumes_with_the_same_embedding_alone(tmp_path: Path):
    x, context = rows(200)
    path = tmp_path / "fit"
    options: dict[str, Any] = {"batch_size": 32, "seed": 0, "progress": False}
    whole, part, other = moved(), moved(), moved(embedding=cf.Embedding(SEEN, cf.MLP((5,))))
    whole.fit(x, context, epochs=4, **options)
    part.fit(x, context, epochs=2, checkpoint=path, **options)
    with pytest.raises(ValueError, match=r"embedding=.*this one has embedding="):
        other.fit(x, context, epochs=4, resume=path, **options)
    part.fit(x, context, epochs=4, resume=path, **options)
    assert contents(part) == contents(whole)


# ---- recipes, and what is refused ----


@pytest.mark.parametrize(
    "recipe", [cf.realnvp, cf.nice, cf.glow1d, cf.nsf, cf.maf, cf.iaf, cf.nsf_ar]
)
def test_recipes_take_one(recipe: Any):
    flow = recipe(features=2, layers=2, context_features=RAW, embedding=EMBEDDING, seed=0)
    assert flow.embedding == EMBEDDING and flow.context_features == RAW
    assert {layer.context_features for layer in flow.layers} == {SEEN}
    with pytest.raises(ValueError, match="the flow has none"):
        recipe(features=2, layers=2, embedding=EMBEDDING)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: cf.Flow([], 2, embedding=EMBEDDING), ValueError, "context_features must be 1"),
        (lambda: cf.Flow([], 2, 3, NET), TypeError, "embedding expects Embedding or None, got MLP"),
        (lambda: cf.Flow([], 2, 3, 4), TypeError, "embedding expects Embedding or None, got 4"),
        (lambda: cf.Embedding(), TypeError, "features is missing"),
        (lambda: cf.Embedding(0), ValueError, "features must be from 1 to 16777216, got 0"),
        (lambda: cf.Embedding(2**24 + 1), ValueError, "features must be from 1 to 16777216"),
        (lambda: cf.Embedding(2.0), TypeError, "features expects int, got 2.0"),
        (lambda: cf.Embedding(2, cf.Normal()), TypeError, "network expects Conditioner or None"),
        (lambda: cf.Coupling(conditioner=EMBEDDING), TypeError, "conditioner expects Conditioner"),
        (lambda: moved().log_prob(np.zeros((2, 2))), ValueError, "context"),
        (lambda: moved().log_prob(np.zeros((2, 2)), np.zeros((2, SEEN))), ValueError, "context"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        make()
