"""Ensembles that learn: as flows alone, by bootstraps, as a mixture; checkpoints."""

from __future__ import annotations

import _thread
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import cflows as cf
from cflows.clusters import clusters
from cflows.fit_members import bootstrapped
from cflows.member_draws import uniform_for_clusters
from cflows.training_rows import TrainingRows

RNG = np.random.default_rng(1)
X = RNG.normal(size=(300, 2)) @ [[2.0, 1.0], [0.0, 0.5]]
HELD_OUT = RNG.normal(size=(60, 2)) @ [[2.0, 1.0], [0.0, 0.5]]
QUICK: dict[str, Any] = {"epochs": 4, "batch_size": 64, "progress": False}


def new(members: int = 3, **options: Any) -> cf.Ensemble:
    return cf.ensemble(cf.realnvp, members, features=2, layers=2, hidden=(8,), seed=0, **options)


def bits(model: cf.Ensemble) -> list[bytes]:
    every = [
        array for flow in model for array in (*flow.parameters.values(), *flow.buffers.values())
    ]
    return [array.tobytes() for array in (*every, model.weights)]


def times_drawn(seed: int, rows: int) -> np.ndarray:
    """How often each row is in a bootstrap, from NumPy's Philox."""
    words = np.random.Philox(key=np.array([seed, 3], np.uint64)).random_raw(rows)
    return np.bincount(((words >> np.uint64(11)) * 2.0**-53 * rows).astype(int), minlength=rows)


# ---- side by side ----


@pytest.mark.parametrize("bootstrap", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_members_are_flows_fitted_alone(bootstrap: bool, weighted: bool) -> None:
    model, weights = new(), RNG.integers(0, 3, size=len(X)).astype(float) if weighted else None
    kept = np.flatnonzero(np.ones(len(X)) if weights is None else weights)
    histories = model.fit(
        X, weights=weights, validation=HELD_OUT, bootstrap=bootstrap, seed=5, **QUICK
    )
    for k, (flow, history) in enumerate(zip(model, histories, strict=True)):
        alone = cf.realnvp(2, 2, (8,), seed=k)
        own = weights
        if bootstrap:  # of the rows that have a weight
            own = np.zeros(len(X))
            own[kept] = times_drawn(5 + k, len(kept)) * (1.0 if weights is None else weights[kept])
        wanted = alone.fit(X, weights=own, validation=HELD_OUT, seed=5 + k, **QUICK)
        assert history.train == wanted.train and history.validation == wanted.validation
        assert (flow.log_prob(X) == alone.log_prob(X)).all()


def test_bootstraps_have_as_many_rows_as_the_data() -> None:
    x = np.zeros((5000, 1))
    for seed in range(3):
        rows = bootstrapped(TrainingRows(x), seed)
        assert rows.weights is not None and rows.index is not None
        assert rows.weights.sum() == 5000 and (rows.weights >= 1).all()
        counts = np.bincount(rows.weights.astype(int))[:5]
        counts[0] = 5000 - len(rows)
        expected = stats.poisson.pmf(np.arange(5), 1.0)
        expected *= counts.sum() / expected.sum()
        assert stats.chisquare(counts, expected).pvalue > 1e-3


def test_the_result_does_not_depend_on_threads() -> None:
    found, before = [], cf.get_num_threads()
    for threads in (1, 2, 5):
        try:
            cf.set_num_threads(threads)
            model = new(4)
            model.fit(X, bootstrap=True, seed=3, **QUICK)
        finally:
            cf.set_num_threads(before)
        found.append(bits(model))
    assert found[0] == found[1] == found[2]


def test_rows_held_out_are_the_same_for_all() -> None:
    seen: dict[int, float] = {}
    model = new()
    for flow in model[1:]:  # the same weights, whose first losses are then the same
        for name, array in model[0].parameters.items():
            flow.parameters[name][...] = array
    for flow in model:
        flow.freeze("*")
    model.fit(
        X,
        seed=0,
        validation=0.3,
        epochs=1,
        progress=False,
        callback=lambda k, r: seen.update({k: r.validation}),
    )
    assert seen[0] == seen[1] == seen[2]


def test_spread_is_larger_away_from_the_data() -> None:
    model = cf.ensemble(cf.nsf, 4, features=2, layers=2, hidden=16, seed=0)
    model.fit(X, bootstrap=True, epochs=15, seed=0, progress=False)
    assert np.median(model.spread(X)) * 3 < model.spread([[3.0, -3.0]])[0]


def test_a_callback_sees_all_epochs_and_stops_one_member() -> None:
    seen: list[tuple[int, int]] = []

    def callback(member: int, report: cf.EpochReport) -> bool:
        seen.append((member, report.epoch))
        return member == 1 and report.epoch == 2

    histories = new().fit(X, seed=0, callback=callback, **QUICK)
    assert [history.stopped for history in histories] == ["epochs", "callback", "epochs"]
    wanted = [(k, epoch) for k, last in enumerate((4, 2, 4)) for epoch in range(1, last + 1)]
    assert sorted(seen) == wanted


def test_ctrl_c_ends_all_fits() -> None:
    def callback(member: int, report: cf.EpochReport) -> None:
        if member == 1 and report.epoch == 3:
            _thread.interrupt_main()

    model = new()
    histories = model.fit(X, seed=0, epochs=10**6, patience=None, progress=False, callback=callback)
    assert {history.stopped for history in histories} == {"interrupted"}
    assert len(histories[1].train) >= 3 and np.isfinite(model.log_prob(X)).all()


def test_an_error_names_the_member_and_ends_the_others() -> None:
    def callback(member: int, report: cf.EpochReport) -> None:
        if member == 1 and report.epoch == 2:
            raise ValueError("no more")

    model = new()
    with pytest.raises(ValueError, match=r"^member 1: no more$"):
        model.fit(X, seed=0, epochs=10**6, patience=None, progress=False, callback=callback)
    assert np.isfinite(model.log_prob(X)).all()  # all are free again


def test_rows_that_one_member_refuses() -> None:
    real, positive = (
        cf.realnvp(2, 2, (8,), columns=[kind, cf.real], seed=0) for kind in (cf.real, cf.positive)
    )
    model = cf.Ensemble([real, positive])
    before = bits(cf.Ensemble([positive]))
    with pytest.raises(ValueError, match=r"^member 1: training data: .*drop such rows") as error:
        model.fit(X, seed=0, **QUICK)
    assert str(error.value).count("drop such rows") == 1
    with pytest.raises(ValueError, match=r"^member 1: training data: .*drop such rows"):
        model.fit_mixture(X, seed=0, progress=False)
    assert bits(cf.Ensemble([positive])) == before


def test_what_is_refused_before_the_first_epoch_changes_nothing() -> None:
    model = new()
    before = bits(model)
    unknown = pd.DataFrame(np.where(np.arange(600).reshape(300, 2) == 5, np.nan, X))
    unknown.columns = ["mass", "radius"]
    for fit in (model.fit, model.fit_mixture):
        with pytest.raises(ValueError, match=r"^member 0: .* row 2 holds nan in column 1 \(radius"):
            fit(unknown, seed=0, progress=False)
    assert bits(model) == before and model.columns is None


def test_options_are_those_of_a_flows_fit() -> None:
    model = new()
    with pytest.raises(TypeError, match="did you mean batch_size"):
        model.fit(X, batchsize=3)
    with pytest.raises(ValueError, match="epochs must be 1 or more"):
        model.fit(X, epochs=0)
    model.fit(X, seed=0, optimizer=cf.SGD(1e-2), schedule="cosine", ema=0.9, jitter=0.1, **QUICK)
    alone = cf.realnvp(2, 2, (8,), seed=0)
    alone.fit(X, seed=0, optimizer=cf.SGD(1e-2), schedule="cosine", ema=0.9, jitter=0.1, **QUICK)
    assert (model[0].log_prob(X) == alone.log_prob(X)).all()


def test_names_of_tables_are_learned_by_all() -> None:
    model = new()
    model.fit(pd.DataFrame(X, columns=["mass", "radius"]), seed=0, **QUICK)
    assert {flow.columns for flow in model} == {("mass", "radius")}


def test_warnings_come_once_and_of_the_caller() -> None:
    model, x = new(), np.rint(10 * X)
    for fit in (model.fit, model.fit_mixture):
        with pytest.warns(cf.DataWarning) as caught:
            fit(x, epochs=1, seed=0, progress=False)
        assert len({str(one.message) for one in caught}) == len(caught)
        assert {one.filename for one in caught} == {__file__}


def test_progress_is_of_all_members(capsys: pytest.CaptureFixture[str]) -> None:
    new().fit(X, seed=0, epochs=2, progress=True)
    assert "3 members, epoch 2/2" in capsys.readouterr().err


# ---- checkpoints ----


@pytest.mark.parametrize("threads", [1, 2])
def test_a_resumed_fit_has_the_same_bits(threads: int, tmp_path: Path) -> None:
    options: dict[str, Any] = {"bootstrap": True, **QUICK, "epochs": 6}
    before = cf.get_num_threads()
    cf.set_num_threads(threads)
    try:
        whole = new()
        wanted = whole.fit(X, seed=9, **options)
        stopped = new()
        folder = tmp_path / "kept"
        stopped.fit(X, seed=9, checkpoint=folder, callback=lambda k, r: r.epoch == 2 + k, **options)
        assert sorted(path.name for path in folder.iterdir()) == [
            f"member{k}.safetensors" for k in range(3)
        ]
        resumed = new()
        histories = resumed.fit(X, resume=folder, **options)
    finally:
        cf.set_num_threads(before)
    assert bits(resumed) == bits(whole)
    assert [h.train for h in histories] == [h.train for h in wanted]


def test_checkpoints_of_another_fit_are_refused(tmp_path: Path) -> None:
    new().fit(X, seed=9, checkpoint=tmp_path, **QUICK)
    model = new()
    before = bits(model)
    with pytest.raises(ValueError, match=r"^member 0: .* is of a fit on other data"):
        model.fit(X, seed=9, resume=tmp_path, bootstrap=True, **QUICK)
    with pytest.raises(OSError, match=r"member3\.safetensors"):
        new(4).fit(X, seed=9, resume=tmp_path, **QUICK)
    assert bits(model) == before


# ---- mixtures ----


def ring_and_bar(n: int) -> np.ndarray:
    """A quarter of the rows a ring, the others a bar beside it."""
    rng = np.random.default_rng(2)
    angle = rng.uniform(0, 2 * np.pi, n // 4)
    ring = 2.0 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    ring += 0.1 * rng.normal(size=ring.shape)
    bar = np.stack([rng.normal(8.0, 0.3, n - n // 4), rng.normal(0.0, 2.0, n - n // 4)], axis=1)
    return np.concatenate([ring, bar])


def test_a_mixture_learns_two_shapes_and_their_weights() -> None:
    x = ring_and_bar(2000)
    model = cf.ensemble(cf.nsf, 2, features=2, layers=2, hidden=16, seed=0)
    history = model.fit_mixture(x, epochs=30, seed=0, progress=False)
    ring = int(model.responsibilities(x[:1])[0].argmax())
    assert model.weights[ring] == pytest.approx(0.25, abs=0.01)
    shares = model.responsibilities(x)
    assert (shares[:500, ring] > 0.99).mean() > 0.99 and (shares[500:, ring] < 0.01).mean() > 0.99
    assert history.train[-1] < history.train[0]
    # Nearer to the data than one flow of both: nothing lies between the shapes.
    one = cf.nsf(2, 4, hidden=16, seed=0)
    one.fit(x, epochs=30, seed=0, progress=False)
    assert model.log_prob(x).mean() > one.log_prob(x).mean()
    assert np.exp(model.log_prob([[5.0, 0.0]]))[0] < 1e-3


def test_a_mixture_of_normals_finds_the_likelihood_of_em() -> None:
    """Members that are normal distributions: what EM of Gaussian mixtures converges to."""
    mixture = pytest.importorskip("sklearn.mixture")
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(-1.5, 1.0, 700), rng.normal(1.5, 0.5, 300)])[:, None]
    flows = [
        cf.Flow([cf.Affine(learned=True), cf.Affine()], 1, dtype="float64", seed=k)
        for k in range(2)
    ]
    model = cf.Ensemble(flows)
    options: dict[str, Any] = {"validation": None, "seed": 0, "progress": False}
    model.fit_mixture(x, epochs=60, optimizer=cf.Adam(0.02), **options)
    model.fit_mixture(x, epochs=60, optimizer=cf.Adam(0.001), start="members", **options)
    em = mixture.GaussianMixture(2, tol=1e-8, max_iter=1000, random_state=0).fit(x)
    assert model.log_prob(x).mean() == pytest.approx(em.score(x), abs=2e-3)
    assert sorted(model.weights) == pytest.approx(sorted(em.weights_), abs=0.03)


def test_the_gradient_of_a_mixture_is_that_of_weighted_members() -> None:
    """What fit_mixture says: d/dtheta_k mean log p = mean r_k d log p_k."""
    model = new(2, dtype="float64")
    for k, flow in enumerate(model):
        for array in flow.parameters.values():
            array[...] += 0.2 * np.random.default_rng(k).normal(size=array.shape)
    model.weights = [0.3, 0.7]
    shares = model.responsibilities(X)
    for k, flow in enumerate(model):
        _, gradients = flow.loss_and_grad(X, weights=shares[:, k])
        for name in list(flow.parameters)[:3]:
            place = np.unravel_index(0, flow.parameters[name].shape)
            losses = []
            for step in (1e-5, -1e-5):
                flow.parameters[name][place] += step
                losses.append(-model.log_prob(X).mean())
                flow.parameters[name][place] -= step
            difference = (losses[0] - losses[1]) / 2e-5
            wanted = gradients[name][place] * shares[:, k].sum() / len(X)
            assert difference == pytest.approx(wanted, abs=1e-8, rel=1e-5)


def test_losses_and_weights_of_a_mixture_are_those_it_has() -> None:
    x = ring_and_bar(400)
    weights = np.where(np.arange(400) < 100, 3.0, 1.0)
    model, validation = new(2), (x[::7], None, weights[::7])
    history = model.fit_mixture(
        x, weights=weights, validation=validation, epochs=3, seed=0, progress=False
    )
    assert sorted(model.weights) == pytest.approx([0.5, 0.5], abs=0.01)
    assert history.best_epoch is not None
    loss = -np.average(model.log_prob(x[::7]).astype(float), weights=weights[::7])
    assert history.validation[history.best_epoch - 1] == pytest.approx(loss, abs=1e-5)
    if history.best_epoch == 3:
        loss = -np.average(model.log_prob(x).astype(float), weights=weights)
        assert history.train[-1] == pytest.approx(loss, abs=1e-5)
    twice = new(2)
    twice.fit_mixture(x, weights=weights, validation=validation, epochs=3, seed=0, progress=False)
    assert bits(twice) == bits(model)


@pytest.mark.parametrize("start", ["clusters", "members"])
def test_a_mixture_of_one_is_a_flows_fit(start: str) -> None:
    """Bit for bit: the rows, their weights, the order, the optimiser's state, the best epoch."""
    weights = RNG.integers(0, 4, size=len(X)).astype(float)
    given: dict[str, Any] = {"weights": weights, "validation": HELD_OUT, "seed": 3, **QUICK}
    model, alone = new(1), cf.realnvp(2, 2, (8,), seed=0)
    history = model.fit_mixture(X, start=start, **given)  # type: ignore[arg-type]
    wanted = alone.fit(X, **given)
    assert bits(model)[:-1] == bits(cf.Ensemble([alone]))[:-1]
    assert history.best_epoch == wanted.best_epoch and history.steps == wanted.steps
    assert history.validation == pytest.approx(wanted.validation, rel=1e-6)


def test_a_mixture_goes_on_from_its_members_and_takes_a_context() -> None:
    x = ring_and_bar(400)
    context = (x[:, :1] > 4.0) + 0.1 * RNG.normal(size=(400, 1))
    model = new(2, context_features=1)
    first = model.fit_mixture(x, context, epochs=5, seed=0, progress=False)
    again = model.fit_mixture(x, context, epochs=2, start="members", seed=0, progress=False)
    assert again.train[0] < first.train[0]
    assert np.isfinite(model.log_prob(x, context)).all()


def test_how_a_mixture_stops() -> None:
    x = ring_and_bar(400)
    stopped = new(2).fit_mixture(x, seed=0, progress=False, callback=lambda report: True)
    assert stopped.stopped == "callback" and len(stopped.train) == 1
    worse = new(2).fit_mixture(x, seed=0, progress=False, optimizer=cf.SGD(1e-9), patience=2)
    assert worse.stopped in ("patience", "epochs")

    def interrupt(report: cf.EpochReport) -> None:
        if report.epoch == 2:
            _thread.interrupt_main()

    model = new(2)
    ended = model.fit_mixture(x, seed=0, progress=False, epochs=10**6, callback=interrupt)
    assert ended.stopped == "interrupted" and len(ended.train) == 2
    assert np.isfinite(model.log_prob(x)).all()


@pytest.mark.filterwarnings("error")  # not of groups far apart either: each has a member
def test_members_without_rows_keep_no_weight() -> None:
    x = np.repeat([[0.0, 0.0], [5.0, 5.0]], 50, axis=0) + 0.1 * RNG.normal(size=(100, 2))
    model = new(4)
    model.weights = [1, 1, 0, 0]
    model.fit_mixture(x, start="members", epochs=2, seed=0, progress=False)
    assert (model.weights[2:] == 0.0).all() and model.weights.sum() == pytest.approx(1.0)


def test_clusters_are_those_of_kmeans() -> None:
    cluster = pytest.importorskip("sklearn.cluster")
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.normal(3 * k, 1.0, size=(200, 3)) for k in range(3)])
    weights = rng.uniform(0.5, 2.0, size=600)
    rows = TrainingRows(x, weights=weights)
    found = clusters(rows, 3, uniform_for_clusters(0, (5, 3)))
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    wanted = cluster.KMeans(3, n_init=10, random_state=0, tol=0).fit(z, sample_weight=weights)
    table = np.histogram2d(found, wanted.labels_, bins=3)[0]
    assert (np.sort(table, axis=1)[:, :2] == 0).all()
    same = np.zeros((10, 2))
    assert len(clusters(TrainingRows(same), 3, uniform_for_clusters(0, (5, 3)))) == 10
