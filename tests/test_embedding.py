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
        ({"embedding": {"type": "Embedding", "options": {}}}, "features must say to how many"),
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
    "recipe",
    [
        *(cf.realnvp, cf.nice, cf.glow1d, cf.nsf, cf.maf, cf.iaf, cf.nsf_ar, cf.naf, cf.bnaf),
        *(cf.residual, cf.planar, cf.sylvester, cf.gaussianization, cf.cnf),
    ],
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
        (
            lambda: cf.Embedding(),
            ValueError,
            "features must say to how many numbers, or categories",
        ),
        (lambda: cf.Embedding(0), ValueError, "features must be from 1 to 16777216, got 0"),
        (lambda: cf.Embedding(2**24 + 1), ValueError, "features must be from 1 to 16777216"),
        (lambda: cf.Embedding(2.0), TypeError, "features expects int or None, got 2.0"),
        (lambda: cf.Embedding(2, cf.Normal()), TypeError, "network expects Conditioner or None"),
        (lambda: cf.Coupling(conditioner=EMBEDDING), TypeError, "conditioner expects Conditioner"),
        (lambda: moved().log_prob(np.zeros((2, 2))), ValueError, "context"),
        (lambda: moved().log_prob(np.zeros((2, 2)), np.zeros((2, SEEN))), ValueError, "context"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        make()


# ---- columns of categories ----

COUNTS = (1, 4, 1, 6)


def kinds_context(n: int = 40) -> np.ndarray:
    rng = np.random.default_rng(2)
    numbers = rng.normal(size=(n, 4))
    numbers[:, 1], numbers[:, 3] = rng.integers(0, 4, n), rng.integers(0, 6, n)
    return numbers


def looked_up(flow: cf.Flow, context: np.ndarray) -> np.ndarray:
    """What NumPy makes of the context: numbers as they are, a vector for a category."""
    vectors = {i: flow.parameters[f"embedding.column{i}.vectors"] for i in (1, 3)}
    return np.column_stack(
        [vectors[i][c.astype(int)] if i in vectors else c for i, c in enumerate(context.T)]
    )


def of_kinds(features: int | None = None, dtype: str = "float64") -> cf.Flow:
    network = None if features is None else NET
    embedding = cf.Embedding(features, network, categories=COUNTS)
    return moved(context_features=4, embedding=embedding).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_category_is_a_vector(dtype: str) -> None:
    flow = of_kinds(dtype=dtype)
    shapes = [flow.parameters[f"embedding.column{i}.vectors"].shape for i in (1, 3)]
    assert shapes == [(4, 3), (6, 4)]  # round(1.6 n^0.56)
    seen = 2 + 3 + 4
    plain = cf.Flow(layers(), 2, context_features=seen, base=flow.base, dtype=dtype, seed=0)
    for name, value in plain.parameters.items():
        value[...] = flow.parameters[name]
    x, context = rows(40)[0], kinds_context()
    tolerance = {"rtol": 1e-12} if dtype == "float64" else {"rtol": 1e-4, "atol": 1e-4}
    truth = plain.log_prob(x, looked_up(flow, context))
    np.testing.assert_allclose(flow.log_prob(x, context), truth, **tolerance)
    assert f"(n, {seen})" in repr(flow)
    assert np.ptp(truth) > 1.0


def test_vectors_pass_through_the_network() -> None:
    flow, (x, _), context = of_kinds(SEEN), rows(40), kinds_context()
    plain = without(flow)
    truth = plain.log_prob(x, embedded(flow, looked_up(flow, context)))
    np.testing.assert_allclose(flow.log_prob(x, context), truth, rtol=1e-12)


@pytest.mark.parametrize("features", [None, SEEN])
def test_gradients_of_vectors(features: int | None) -> None:
    flow, (x, _), context = of_kinds(features), rows(40), kinds_context()
    _, found = flow.loss_and_grad(x, context)
    for i in (1, 3):
        vectors = flow.parameters[name := f"embedding.column{i}.vectors"]
        expected = gradient(lambda: -float(flow.log_prob(x, context).mean()), vectors)
        np.testing.assert_allclose(found[name], expected, rtol=1e-6, atol=1e-8)
    cotangents = flow.vjp(x, np.ones_like(x), context=context)
    assert not cotangents.context[:, [1, 3]].any()
    assert cotangents.context[:, [0, 2]].all()


@pytest.mark.parametrize("bad", [-1.0, 4.0, 0.5, np.inf, -np.inf, np.nan])
def test_what_is_no_category_is_unknown(bad: float) -> None:
    flow, (x, _), context = of_kinds(), rows(40), kinds_context()
    expected = flow.log_prob(x, context)
    context[7, 1] = bad
    found = flow.log_prob(x, context)
    assert np.isnan(found[7])
    np.testing.assert_array_equal(np.delete(found, 7), np.delete(expected, 7))
    assert np.isnan(flow.sample(2, context, seed=0)[7]).all()
    with pytest.raises(ValueError, match=r"training data, context: row 7 holds \S+ in column 1"):
        flow.fit(x, context, validation=None, progress=False)


def test_numbers_beside_categories_are_standardised() -> None:
    context = kinds_context() * [10.0, 1.0, 1e3, 1.0] + [1e6, 0.0, 5.0, 0.0]
    flow = cf.Flow(layers(), 2, 4, cf.Embedding(categories=COUNTS), seed=0)
    flow.fit(rows(40)[0], context, epochs=1, validation=None, progress=False)
    shift, scale = flow.buffers["context.shift_scale"].reshape(2, 4)
    np.testing.assert_allclose(shift, context.mean(axis=0) * [1, 0, 1, 0], rtol=1e-9)
    deviations = np.where([True, False, True, False], context.std(axis=0), 1.0)
    np.testing.assert_allclose(scale, deviations, rtol=1e-9)


def test_categories_are_saved_and_copied(tmp_path: Path) -> None:
    flow, (x, _), context = of_kinds(SEEN), rows(40), kinds_context()
    flow.save(tmp_path / "flow")
    expected = flow.log_prob(x, context)
    for again in (
        cf.load(tmp_path / "flow"),
        copy.deepcopy(flow),
        pickle.loads(pickle.dumps(flow)),
    ):
        np.testing.assert_array_equal(again.log_prob(x, context), expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cf.Embedding(categories=[1, 1]), "features must say to how many numbers"),
        (lambda: cf.Embedding(network=NET, categories=[3]), "a network needs features"),
        (lambda: cf.Embedding(categories=[3, 0]), "from 1 to 1024, got 0 at 1"),
        (lambda: cf.Embedding(categories=[1025]), "from 1 to 1024, got 1025 at 0"),
        (lambda: cf.Flow([], 2, 3, cf.Embedding(categories=[3])),
         "categories must have 3 entries, one a context feature, got 1"),
    ],
)  # fmt: skip
def test_categories_that_do_not_fit_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
