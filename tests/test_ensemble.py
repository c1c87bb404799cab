"""Ensembles: the density of the mixture and its samples against SciPy, files, members."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import cflows as cf
from cflows.cli import main

RNG = np.random.default_rng(0)
WEIGHTS = [0.5, 0.2, 0.3]


def shaken(flow: cf.Flow, seed: int, size: float = 0.4) -> cf.Flow:
    """A flow whose weights are not those that it starts with."""
    rng = np.random.default_rng(seed)
    for array in flow.parameters.values():
        array[...] += size * rng.normal(size=array.shape)
    return flow


def new(
    features: int = 2, dtype: str = "float64", size: float = 0.4, **options: Any
) -> cf.Ensemble:
    """Three members apart from each other."""
    flows = []
    for k in range(3):
        chain = [cf.Coupling(hidden=(8,), activation="tanh", swap=swap) for swap in (False, True)]
        layers = [cf.Affine(shift=2.0 * k - 2.0, scale=0.5 + 0.3 * k)]
        layers = chain * (features > 1) + layers
        flows.append(shaken(cf.Flow(layers, features, dtype=dtype, seed=k, **options), k, size))
    return cf.Ensemble(flows, WEIGHTS)


X = RNG.normal(size=(40, 2)) * 3.0
CONTEXT = RNG.normal(size=(40, 3))


# ---- densities ----


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("context_features", [0, 3])
def test_log_prob_is_scipys_logsumexp_of_the_members(dtype: str, context_features: int) -> None:
    model = new(dtype=dtype, context_features=context_features)
    context = CONTEXT if context_features else None
    members = np.stack([flow.log_prob(X, context) for flow in model], axis=1)
    assert (model.log_probs(X, context) == members).all()
    wanted = special.logsumexp(members.astype(np.float64), b=model.weights, axis=1)
    found = model.log_prob(X, context)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, wanted, rtol=1e-12 if dtype == "float64" else 1e-6)


def test_the_density_integrates_to_one() -> None:
    model = new(size=0.1)
    nodes, weights = np.polynomial.legendre.leggauss(200)
    nodes, weights = 11.0 * nodes, 11.0 * weights
    grid = np.stack(np.meshgrid(nodes, nodes), axis=-1).reshape(-1, 2)
    total = float(np.exp(model.log_prob(grid)) @ np.outer(weights, weights).ravel())
    assert total == pytest.approx(1.0, abs=1e-6)


def test_far_from_all_data_nothing_underflows() -> None:
    model = new()
    far = [[1e4, -1e4]]
    logs = model.log_probs(far)[0]
    assert (logs < -1e4).all()
    assert model.log_prob(far)[0] == pytest.approx(special.logsumexp(logs, b=WEIGHTS), rel=1e-14)
    assert np.isfinite(model.grad_log_prob(far)).all()
    assert model.responsibilities(far).sum() == pytest.approx(1.0)


@pytest.mark.parametrize("context_features", [0, 3])
def test_the_score_is_that_of_differences(context_features: int) -> None:
    model = new(context_features=context_features)
    context = CONTEXT if context_features else None
    score, log_prob = model.grad_log_prob(X, context, return_log_prob=True)
    assert (log_prob == model.log_prob(X, context)).all()
    step = 1e-5
    for i, unit in enumerate(step * np.eye(2)):
        ahead, behind = model.log_prob(X + unit, context), model.log_prob(X - unit, context)
        np.testing.assert_allclose(score[:, i], (ahead - behind) / (2 * step), atol=1e-5)


def test_spread_and_responsibilities_are_their_formulas() -> None:
    model = new()
    logs = model.log_probs(X)
    mean = logs @ WEIGHTS
    wanted = np.sqrt(((logs - mean[:, None]) ** 2) @ WEIGHTS)
    np.testing.assert_allclose(model.spread(X), wanted, rtol=1e-12)
    parts = WEIGHTS * np.exp(logs)
    shares = parts / parts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.responsibilities(X), shares, rtol=1e-12)
    same = cf.Ensemble([copy.copy(model[0]) for _ in range(3)])
    assert (same.spread(X) == 0.0).all()


def positive(scale: float, seed: int) -> cf.Flow:
    return cf.Flow([cf.Affine(scale=scale), cf.Exp()], 1, dtype="float64", seed=seed)


@pytest.mark.filterwarnings("error")
def test_outside_of_supports_and_unknown_rows() -> None:
    everywhere = cf.Flow([cf.Affine(scale=2.0)], 1, dtype="float64", seed=0)
    half = cf.Ensemble([everywhere, positive(1.0, 1)], [1, 3])
    x = [[-1.0], [np.nan], [1.0]]
    logs = half.log_prob(x)
    assert logs[0] == pytest.approx(stats.norm.logpdf(-1, scale=2) + np.log(0.25))
    assert np.isnan(logs[1]) and np.isfinite(logs[2])
    assert half.spread(x)[0] == np.inf and np.isnan(half.spread(x)[1])
    assert half.grad_log_prob(x)[0, 0] == pytest.approx(0.25)  # that of the normal: -x / 4
    both = cf.Ensemble([positive(1.0, 0), positive(2.0, 1)])
    assert both.log_prob(x)[0] == -np.inf and both.spread(x)[0] == 0.0
    assert both.grad_log_prob(x)[0, 0] == 0.0
    # A member of no weight does not count, not even where it alone is.
    none = cf.Ensemble([everywhere, positive(1.0, 1)], [0, 1])
    assert none.log_prob(x)[0] == -np.inf and none.spread(x)[2] == 0.0
    assert none.log_prob(x)[2] == none[1].log_prob(x)[2]


def test_cdf_and_grids_are_those_of_the_mixture() -> None:
    model = new(1, context_features=0)
    x = np.linspace(-6, 8, 50)
    wanted = sum(w * stats.norm.cdf(x, 2.0 * k - 2.0, 0.5 + 0.3 * k) for k, w in enumerate(WEIGHTS))
    np.testing.assert_allclose(model.cdf(x), wanted, atol=1e-12)
    given = new(context_features=3)
    grid = given.log_prob_grid(X, CONTEXT[:4])
    assert grid.shape == (4, 40)
    np.testing.assert_allclose(grid[2], given.log_prob(X, CONTEXT[2]), rtol=1e-12)


# ---- samples ----


def test_samples_follow_the_density() -> None:
    model = new(1)
    x = model.sample(20_000, seed=3)[:, 0]
    assert stats.kstest(x, model.cdf).pvalue > 1e-3
    # Members do not share their draws: neighbours are independent, and so are members.
    assert abs(np.corrcoef(x[:-1], x[1:])[0, 1]) < 0.03
    apart = cf.Ensemble(
        [cf.Flow([cf.Affine(shift=100.0 * k)], 1, dtype="float64", seed=0) for k in range(3)],
        WEIGHTS,
    )
    y = apart.sample(20_000, seed=4)[:, 0]
    member = np.rint(y / 100.0).astype(int)
    expected = 20_000 * np.array(WEIGHTS)
    assert stats.chisquare(np.bincount(member, minlength=3), expected).pvalue > 1e-3
    table = np.histogram2d(member[:-1], member[1:], bins=3)[0]
    assert stats.chi2_contingency(table).pvalue > 1e-3
    rest = [y[member == k] - 100.0 * k for k in range(3)]
    assert all(stats.kstest(values, "norm").pvalue > 1e-3 for values in rest)
    assert not np.isin(rest[0], rest[1]).any()


@pytest.mark.parametrize("start", [0, 65_530, 5 * 65_536 - 3, 10**15])
def test_samples_are_the_same_in_pieces(start: int) -> None:
    model = new()
    x = model.sample(20, seed=5, start=start)
    for n in (1, 7, 19):
        pieces = [
            model.sample(n, seed=5, start=start),
            model.sample(20 - n, seed=5, start=start + n),
        ]
        assert (np.concatenate(pieces) == x).all()
    again, log_prob = model.sample_and_log_prob(20, seed=5, start=start)
    assert (again == x).all() and (log_prob == model.log_prob(x)).all()


def test_all_numbers_of_a_block_are_drawn_once() -> None:
    flow = [cf.Flow([cf.Affine(shift=10.0 * k)], 1, dtype="float64", seed=0) for k in range(2)]
    x = cf.Ensemble(flow).sample(2 * 65_536 + 10, seed=0)[:, 0]
    assert len(np.unique(x)) == len(x)


def test_samples_of_several_contexts_are_numbered_context_by_context() -> None:
    model = new(context_features=3)
    x, log_prob = model.sample_and_log_prob(6, CONTEXT[:4], seed=1)
    assert x.shape == (4, 6, 2) and log_prob.shape == (4, 6)
    for i in range(4):
        alone, log_alone = model.sample_and_log_prob(6, CONTEXT[i], seed=1, start=6 * i)
        np.testing.assert_allclose(x[i], alone, rtol=1e-12)
        np.testing.assert_allclose(log_prob[i], log_alone, rtol=1e-12)
    assert model.sample(6, CONTEXT[:1], seed=1).shape == (6, 2)
    assert model.sample(0, CONTEXT[:4]).shape == (4, 0, 2) and model.sample(
        0, CONTEXT[0]
    ).shape == (0, 2)
    one, one_log = model.sample_and_log_prob(5, CONTEXT[:1], seed=1)
    assert one.shape == (5, 2) and one_log.shape == (5,)


def test_samples_do_not_depend_on_threads() -> None:
    model, before = new(), cf.get_num_threads()
    try:
        cf.set_num_threads(1)
        one = model.sample_and_log_prob(3000, seed=2)
        cf.set_num_threads(3)
        three = model.sample_and_log_prob(3000, seed=2)
    finally:
        cf.set_num_threads(before)
    assert all((a == b).all() for a, b in zip(one, three, strict=True))


def test_a_member_of_no_weight_draws_nothing() -> None:
    flows = [cf.Flow([cf.Affine(shift=100.0 * k)], 1, seed=0) for k in range(3)]
    x = cf.Ensemble(flows, [0, 1, 0]).sample(1000, seed=0)
    assert ((x > 50) & (x < 150)).all()


def test_importance_sampling_finds_the_integral() -> None:
    model = new()
    found = model.importance_sample(lambda x: model.log_prob(x) + 3.0, 1000, seed=0)
    assert found.log_evidence == pytest.approx(3.0)


# ---- members, copies and files ----


def assert_same(model: cf.Ensemble, again: cf.Ensemble, **given: Any) -> None:
    assert type(again) is cf.Ensemble and (again.weights == model.weights).all()
    assert (again.log_prob(X, **given) == model.log_prob(X, **given)).all()
    given = {name: rows[0] for name, rows in given.items()}
    assert (again.sample(9, seed=1, **given) == model.sample(9, seed=1, **given)).all()
    for ours, theirs in zip(model, again, strict=True):
        assert ours is not theirs and ours.parameters.keys() == theirs.parameters.keys()
        for name, array in ours.parameters.items():
            assert array.tobytes() == theirs.parameters[name].tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_files_pickles_and_copies_have_the_same_bits(dtype: str, tmp_path: Path) -> None:
    made = [cf.nsf(2, 2, hidden=8, dtype=dtype, context_features=3, seed=k) for k in range(2)]
    made.append(cf.maf(2, 2, (8,), dtype=dtype, context_features=3, seed=2))
    model = cf.Ensemble([shaken(flow, k) for k, flow in enumerate(made)], [1 / 3, 0.1, 0.7])
    model.columns, model.context_columns = ("mass", "radius"), ("a", "b", "c")
    model[1].freeze("layers.0.*")
    model.save(tmp_path / "model.safetensors")
    loaded = cf.load(tmp_path / "model.safetensors")
    assert isinstance(loaded, cf.Ensemble)
    for again in (
        loaded,
        pickle.loads(pickle.dumps(model)),
        copy.copy(model),
        copy.deepcopy(model),
    ):
        assert_same(model, again, context=CONTEXT)
        assert again.columns == ("mass", "radius") and again.context_columns == ("a", "b", "c")
        assert again[1].frozen == model[1].frozen
    model.save(tmp_path / "again.safetensors")
    first = (tmp_path / "model.safetensors").read_bytes()
    assert (tmp_path / "again.safetensors").read_bytes() == first


def test_one_can_be_a_vae(tmp_path: Path) -> None:
    net = cf.MLP((8,))
    vaes = [cf.VAE(net, net, 2, 4, prior=[cf.Coupling(hidden=(4,))], seed=k) for k in range(2)]
    model, x = cf.Ensemble(vaes), RNG.integers(0, 2, size=(10, 4))
    model.save(tmp_path / "model.safetensors")
    again = cf.load(tmp_path / "model.safetensors")
    assert isinstance(again, cf.Ensemble) and isinstance(again[1], cf.VAE)
    assert (again.log_prob(x, seed=3) == model.log_prob(x, seed=3)).all()
    assert again.stochastic and cf.ensemble(vaes[0], 2, seed=5)[0].latents == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"weights":[0.5', '"weights":[0.6'),
        lambda text: text.replace('"weights":[0.5', '"weights":["a"'),
        lambda text: text.replace('"weights":[0.5,', '"weights":['),
        lambda text: text.replace('"weights":[0.5,0.2,0.3', '"weights":[NaN,0.2,0.3'),
        lambda text: text.replace('"members":[', '"members":[1,'),
        lambda text: text.replace('"members":[{', '"others":[{'),
    ],
)
def test_damaged_files_are_refused(change: Any, tmp_path: Path) -> None:
    from cflows import persist

    path = tmp_path / "model.safetensors"
    new().save(path)
    tensors, metadata = persist.read_safetensors(path)
    changed = change(metadata["architecture"])
    assert changed != metadata["architecture"]
    rest = {**metadata, "architecture": changed}
    del rest["checksum"]
    persist.write_safetensors(path, tensors, {**rest, "checksum": persist.checksum(tensors, rest)})
    with pytest.raises(ValueError, match=r"model\.safetensors: "):
        cf.load(path)


def test_members_are_ordinary_flows() -> None:
    model = new()
    assert len(model) == 3 and list(model) == [model[0], model[1], model[2]]
    assert model[-1] is model.flows[2] and model[:2] == model.flows[:2]
    assert model.n_parameters == sum(flow.n_parameters for flow in model)
    assert repr(model).splitlines()[0].startswith("Ensemble: 3 flows of x, ")
    assert "0.5000" in repr(model) and "0.5000" in model._repr_html_()
    model.weights = [1, 1, 2]
    assert (model.weights == [0.25, 0.25, 0.5]).all()
    assert str(model.astype("float32").dtype) == "float32"
    assert not hasattr(model, "inverse")


def test_the_recipe_gives_each_member_a_seed() -> None:
    model = cf.ensemble(cf.maf, 3, features=2, layers=2, seed=2**64 - 2)
    assert [flow.seed for flow in model] == [2**64 - 2, 2**64 - 1, 0]
    learned = shaken(cf.nsf(2, 2, hidden=8, columns=[cf.positive, cf.real], seed=7), 0)
    learned.columns = ("mass", "radius")
    learned.freeze("layers.1.*")
    fresh = cf.ensemble(learned, 2, seed=7)
    wanted = cf.nsf(2, 2, hidden=8, columns=[cf.positive, cf.real], seed=7)
    assert fresh.columns == ("mass", "radius") and fresh[0].frozen == learned.frozen
    x = np.abs(X)
    assert (fresh[0].log_prob(x) == wanted.log_prob(x)).all()
    name = next(iter(fresh[0].parameters))
    assert (fresh[0].parameters[name] != fresh[1].parameters[name]).any()
    images = cf.ensemble(cf.glow, 2, shape=(1, 4, 4), levels=1, steps=1, channels=4, seed=0)
    assert images.sample(3, seed=0).shape == (3, 1, 4, 4)
    assert cf.ensemble(images[0], 2).grad_log_prob(np.zeros((2, 1, 4, 4))).shape == (2, 1, 4, 4)


def test_tables_are_matched_by_name() -> None:
    model = new()
    model.columns = ("mass", "radius")
    table = pd.DataFrame({"radius": X[:, 1], "other": 0.0, "mass": X[:, 0]})
    assert (model.log_prob(table) == model.log_prob(X)).all()
    assert (model.grad_log_prob(table) == model.grad_log_prob(X)).all()
    frame = model.sample(4, seed=0, as_frame=True)
    assert list(frame.columns) == ["mass", "radius"]
    assert (frame.to_numpy() == model.sample(4, seed=0)).all()


def test_audit_and_plots_take_one() -> None:
    from matplotlib import pyplot

    model = new()
    report = cf.audit(model, X)
    assert report.round_trip < 1e-9 and report.log_det < 1e-9 and report.rows == len(X)
    cf.plot.density(model, X, resolution=20)
    cf.plot.pit(new(1), new(1).sample(200, seed=0))
    pyplot.close("all")


def test_the_command_line_takes_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = new()
    path, table = str(tmp_path / "model.safetensors"), str(tmp_path / "x.npy")
    model.save(path)
    np.save(table, X)
    assert main(["log-prob", path, table, "-o", str(tmp_path / "scores.npy"), "--quiet"]) == 0
    assert (np.load(tmp_path / "scores.npy")[:, 0] == model.log_prob(X)).all()
    out = str(tmp_path / "samples.npy")
    assert main(["sample", path, "-n", "8", "--seed", "3", "-o", out, "--quiet"]) == 0
    assert (np.load(out) == model.sample(8, seed=3)).all()
    assert main(["info", path]) == 0 and main(["info", path, "--json"]) == 0
    assert "Ensemble: 3 flows" in capsys.readouterr().out
