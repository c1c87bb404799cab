"""The command line: what it computes, its exit statuses, and that errors cost nothing."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import cflows as cf
from cflows.cli import main
from cflows.cli.gaussian import fit_gaussian
from cflows.cli.main import _parser
from cflows.data import TOYS, load_table, save_table, split
from cflows.data import digits as load_digits

ROWS = np.random.default_rng(0).normal(size=(300, 2)) @ [[2.0, 1.0], [0.0, 0.5]] + [1.0, -3.0]
QUICK = ["--quiet", "--epochs", "3", "--layers", "2", "--hidden", "8"]
COMMANDS = ["demo", "fit", "log-prob", "sample", "info"]
KINDS = ["x.npy", "x.npz", "x.npz:key", "x.csv", "bare.csv", "semicolons.csv", "x.tsv"]


@pytest.fixture(autouse=True)
def same_date(monkeypatch):
    """Models that are fitted alike are the same bit for bit, as the date in them is."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, ROWS)
    return path


@pytest.fixture
def model(tmp_path, table):
    path = tmp_path / "model.safetensors"
    assert main(["fit", str(table), "-o", str(path), *QUICK]) == 0
    return path


@pytest.fixture
def normals(tmp_path):
    """A model whose density has a closed form: the second column's scale is a quarter."""
    path = tmp_path / "normals.safetensors"
    layers = [cf.Affine(shift=[1.0, -2.0], scale=[2.0, 0.25])]
    cf.Flow(layers, features=2, dtype="float64", seed=0).save(path)
    return path


def write(folder, name, rows):
    """A table of two columns in one of the kinds that are read, and how to name it."""
    path = folder / name.partition(":")[0]
    if name == "x.npz:key":
        np.savez(path, other=np.zeros(3), key=rows)
    elif name == "semicolons.csv":
        lines = ['"a";"b"', *(f"{a};{b}" for a, b in rows.tolist())]
        path.write_text("\r\n".join(lines))
    else:
        save_table(path, rows, columns=None if name in ("x.npy", "bare.csv") else ["a", "b"])
    return folder / name


def command(*arguments):
    return [sys.executable, "-m", "cflows", *map(str, arguments)]


# Python's own switches, which may be set where the tests run, would hide what the command does.
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("PYTHONUNBUFFERED")}


def run(*arguments, **options):
    """The command in a process of its own."""
    same_date = {"SOURCE_DATE_EPOCH": "1700000000"}
    options = {"stdout": subprocess.PIPE, "env": ENVIRONMENT | same_date, **options}
    return subprocess.run(
        command(*arguments), stderr=subprocess.PIPE, text=True, timeout=120, **options
    )


def never(*arguments, **options):
    raise AssertionError("the work began")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def fails(capsys, *arguments) -> str:
    """Runs what has to fail, and returns the one line that says why."""
    capsys.readouterr()  # what was said before
    assert main(list(map(str, arguments))) == 1
    error = capsys.readouterr().err
    assert error.startswith("cflows: error: ")
    assert error.count("\n") == 1
    return error


# -- What it computes -- #


def test_fit_writes_the_model_that_the_library_would_fit(tmp_path, table, model, capsys):
    again = tmp_path / "again.safetensors"
    assert main(["fit", str(table), "-o", str(again), *QUICK]) == 0
    assert "3 epochs (all done), 6 steps" in capsys.readouterr().out
    assert again.read_bytes() == model.read_bytes()
    flow = cf.realnvp(2, layers=2, hidden=(8,), seed=0)
    flow.fit(ROWS, validation=0.1, epochs=3, batch_size=256, patience=20, seed=0, progress=False)
    np.testing.assert_array_equal(cf.load(model).log_prob(ROWS), flow.log_prob(ROWS))


@pytest.mark.parametrize("name", KINDS)
def test_all_kinds_of_tables_are_learned_and_scored_alike(tmp_path, model, name):
    path = write(tmp_path, name, ROWS)
    again, out = tmp_path / "again.safetensors", tmp_path / "scores.npy"
    assert main(["fit", str(path), "-o", str(again), *QUICK]) == 0
    expected = cf.load(model)
    if name in ("x.npz", "x.csv", "semicolons.csv", "x.tsv"):
        expected.columns = ["a", "b"]
        expected.save(model)
    assert again.read_bytes() == model.read_bytes()
    assert main(["log-prob", str(model), str(path), "-o", str(out)]) == 0
    np.testing.assert_array_equal(np.load(out), cf.load(model).log_prob(ROWS)[:, None])


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "u1", "?"])
def test_scores_are_the_closed_form(tmp_path, normals, name, dtype):
    rows = np.random.default_rng(1).integers(0, 2, (40, 2)).astype(dtype)
    out = tmp_path / "scores.csv"
    path = write(tmp_path, name, rows if name.endswith(("y", "z", "key")) else rows.astype("f8"))
    assert main(["log-prob", str(normals), str(path), "-o", str(out)]) == 0
    truth = stats.norm.logpdf(rows.astype("f8"), [1.0, -2.0], [2.0, 0.25]).sum(axis=1)
    np.testing.assert_allclose(load_table(out)[0][:, 0], truth, rtol=1e-13)  # float64's rounding


def test_samples_have_the_closed_form(tmp_path, normals):
    out = tmp_path / "new.npy"
    assert main(["sample", str(normals), "-n", "5000", "-o", str(out), "--seed", "1"]) == 0
    for column, mean, scale in zip(np.load(out).T, [1.0, -2.0], [2.0, 0.25], strict=True):
        assert stats.kstest(column, "norm", args=(mean, scale)).pvalue > 1e-3


def test_tables_of_no_rows_and_of_one(tmp_path, normals, capsys):
    for text, expected in (("a,b\n", (0, 1)), ("1,2\n", (1, 1))):
        table, out = tmp_path / "x.csv", tmp_path / "scores.npy"
        table.write_text(text)
        assert main(["log-prob", str(normals), str(table), "-o", str(out)]) == 0
        assert np.load(out).shape == expected
    table.write_text("a,b,c\n")
    assert "expected 2 columns, as the model learned, got 3" in fails(
        capsys, "log-prob", normals, table, "-o", out
    )
    table.write_text("a,b\n")
    error = fails(
        capsys, "fit", table, "-o", tmp_path / "m.safetensors", "--validation", "0", *QUICK
    )
    assert "no rows" in error


def test_a_table_smaller_than_a_batch_is_learned(tmp_path):
    table, model = tmp_path / "x.npy", tmp_path / "m.safetensors"
    np.save(table, ROWS[:20])
    assert main(["fit", str(table), "-o", str(model), *QUICK]) == 0
    assert np.isfinite(cf.load(model).log_prob(ROWS)).all()


def test_scores_in_text_have_a_header(tmp_path, table, model):
    out = tmp_path / "scores.csv"
    assert main(["log-prob", str(model), str(table), "-o", str(out)]) == 0
    scores, names = load_table(out)
    assert names == ["log_prob"]
    np.testing.assert_array_equal(scores[:, 0].astype("f4"), cf.load(model).log_prob(ROWS))


def test_rows_that_are_not_finite_get_nan(tmp_path, model, capsys):
    x, path, out = ROWS.copy(), tmp_path / "bad.npy", tmp_path / "scores.npy"
    x[5, 1] = np.nan
    np.save(path, x)
    assert main(["log-prob", str(model), str(path), "-o", str(out)]) == 0
    captured = capsys.readouterr()
    assert captured.err == "rows without a finite log_prob: 1\n"
    mean = cf.load(model).log_prob(np.delete(x, 5, axis=0)).mean(dtype="f8")
    assert f"mean log_prob {mean:.4f} nats over 299 rows" in captured.out
    assert np.flatnonzero(np.isnan(np.load(out)[:, 0])).tolist() == [5]


@pytest.mark.parametrize("name", ["new.npy", "new.npz", "new.csv", "new.tsv"])
def test_samples_are_the_seeds(tmp_path, model, name, capsys):
    out, flow, before = tmp_path / name, cf.load(model), cf.get_num_threads()
    for threads in ("1", "3"):
        arguments = ["-n", "50", "-o", str(out), "--seed", "3", "--threads", threads]
        assert main(["sample", str(model), *arguments]) == 0
        np.testing.assert_array_equal(load_table(out)[0].astype("f4"), flow.sample(50, seed=3))
    cf.set_num_threads(before)
    capsys.readouterr()
    assert main(["sample", str(model), "-n", "7", "-o", str(out)]) == 0
    seed = int(capsys.readouterr().out.split()[-1])  # it is drawn, and told
    np.testing.assert_array_equal(load_table(out)[0].astype("f4"), flow.sample(7, seed=seed))


def test_samples_beyond_float32_are_written_whole(tmp_path):
    """A flow of float32 samples time stamps in float64."""
    model, out = tmp_path / "times.safetensors", tmp_path / "new.npy"
    flow = cf.Flow([cf.Affine(shift=[1.7e9, 0.0], scale=[0.05, 1.0])], features=2)
    flow.save(model)
    assert main(["sample", str(model), "-n", "20", "-o", str(out), "--seed=3"]) == 0
    np.testing.assert_array_equal(np.load(out), flow.sample(20, seed=3))
    assert np.load(out)[:, 0].std() > 0.01


def test_columns_and_context(tmp_path, capsys):
    table, model, out = tmp_path / "x.csv", tmp_path / "m.safetensors", tmp_path / "new.npy"
    save_table(table, np.column_stack([ROWS, ROWS[:, 0] > 1]), columns=["a", "b", "side"])
    columns = ["--columns", "b,a", "--context-columns", "side"]
    assert main(["fit", str(table), "-o", str(model), *QUICK, *columns]) == 0
    flow = cf.load(model)
    assert (flow.features, flow.context_features) == (2, 1)
    assert main(["log-prob", str(model), str(table), "-o", str(out), *columns]) == 0
    expected = flow.log_prob(ROWS[:, ::-1], (ROWS[:, :1] > 1).astype(float))
    np.testing.assert_array_equal(np.load(out)[:, 0], expected)
    assert (
        main(["sample", str(model), "-n", "4", "-o", str(out), "--context", "1", "--seed=0"]) == 0
    )
    np.testing.assert_array_equal(np.load(out), flow.sample(4, [1.0], seed=0))
    contexts = tmp_path / "contexts.csv"
    contexts.write_text("side\n0\n1\n1\n")
    sample = ["sample", str(model), "-n", "4", "-o", str(out), "--seed=0"]
    assert main([*sample, "--context", str(contexts)]) == 0
    expected = flow.sample(4, [[0.0], [1.0], [1.0]], seed=0).reshape(12, 2)
    np.testing.assert_array_equal(np.load(out), expected)
    assert "the model needs a context of 1 number (side): give it with --context" in fails(
        capsys, *sample
    )
    assert "expected a context of 1 number (side), or a table, got '1,2'" in fails(
        capsys, *sample, "--context", "1,2"
    )
    assert "expected a context of 1 number (side), or a table: could not convert string" in fails(
        capsys, *sample, "--context", "side"
    )


@pytest.mark.parametrize(
    ("options", "flow"),
    [
        (["maf"], lambda: cf.maf(2, layers=2, hidden=(8,), seed=0)),
        (["nsf"], lambda: cf.nsf(2, layers=2, hidden=8, seed=0)),
        (["nsf", "--hidden", "8,4"], lambda: cf.nsf(2, layers=2, hidden=(8, 4), seed=0)),
        (
            ["ncsf", "--circular", "0,1:6"],
            lambda: cf.ncsf(2, columns=[cf.circular(6)] * 2, layers=2, hidden=8, seed=0),
        ),
    ],
)
def test_the_recipe_may_be_chosen(tmp_path, table, options, flow):
    model = tmp_path / "m.safetensors"
    assert main(["fit", str(table), "-o", str(model), *QUICK, "--recipe", *options]) == 0
    assert str(cf.load(model)) == str(flow())


def test_what_columns_hold(tmp_path, capsys):
    rng = np.random.default_rng(0)
    rows = np.column_stack(
        [rng.normal(size=300), rng.gamma(2.0, size=300), rng.uniform(size=(300, 2)) * [5, 360]]
    )
    table, model, out = (tmp_path / name for name in ("x.csv", "m.safetensors", "new.npy"))
    save_table(table, rows, columns=["a", "mass", "share", "angle"])
    fit = ["fit", str(table), "-o", str(model), *QUICK, "--recipe", "nsf"]
    kinds = ["--positive", "1", "--interval", "share:0:5", "--circular", "angle:360"]
    order = ["--columns", "angle,share,mass,a"]
    assert main([*fit, *kinds, *order]) == 0
    columns = [cf.circular(360), cf.interval(0, 5), cf.positive, cf.real]
    assert str(cf.load(model)) == str(cf.nsf(4, layers=2, hidden=8, columns=columns, seed=0))
    assert main(["sample", str(model), "-n", "999", "-o", str(out), "--seed", "1"]) == 0
    low, high = np.load(out).min(axis=0), np.load(out).max(axis=0)
    assert (low[:3] > 0.0).all() and (high[:2] <= [360.0, 5.0]).all()
    assert "nsf, nsf_ar or ncsf" in fails(capsys, *fit, "--recipe", "maf", *kinds)
    assert "which --circular names" in fails(capsys, *fit, "--recipe", "ncsf", *kinds[:4])
    assert "'mass' holds is said twice, positive and positive" in fails(
        capsys, *fit, "--positive", "mass,mass"
    )
    assert "no column '77777" in fails(capsys, *fit, "--positive", "7" * 5000)
    assert "column 'mass' holds is said twice, positive and interval" in fails(
        capsys, *fit, *kinds, "--interval", "mass:0:9"
    )
    assert "'1' is none of those" in fails(capsys, *fit, *kinds, "--columns", "share,angle")
    assert "no column 'b' among 0 to 3, a, mass" in fails(capsys, *fit, "--positive", "b")
    save_table(table, rows, columns=["a", "b", "b", "angle"])
    assert "2 columns are named 'b'" in fails(capsys, *fit, "--positive", "b")
    assert main([*fit, "--positive", "1", "--interval", "2:0:5"]) == 0
    assert "several columns are named 'b': the model keeps no names" in capsys.readouterr().err
    assert cf.load(model).columns is None


def test_columns_of_integers(tmp_path, capsys):
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.poisson(3.0, 400), rng.binomial(4, 0.3, 400), rng.normal(size=400)])
    table, model, out = (tmp_path / name for name in ("x.csv", "m.safetensors", "new.npy"))
    save_table(table, rows, columns=["clicks", "stars", "a"])
    fit = ["fit", str(table), "-o", str(model), *QUICK]
    assert main([*fit, "--count", "clicks", "--ordinal", "stars:5"]) == 0
    columns = [cf.count, cf.ordinal(5), cf.real]
    assert str(cf.load(model)) == str(cf.realnvp(3, layers=2, hidden=(8,), columns=columns, seed=0))
    assert main(["sample", str(model), "-n", "999", "-o", str(out), "--seed", "1"]) == 0
    new = np.load(out)[:, :2]
    assert np.array_equal(new, np.floor(new))
    assert new.min() == 0 and new[:, 1].max() == 4
    for levels in ("5.5", "1", "x"):
        with pytest.raises(SystemExit):
            main([*fit, "--ordinal", f"stars:{levels}"])
        assert "--ordinal" in capsys.readouterr().err


def test_rounded_numbers_need_noise(tmp_path):
    counts, model = tmp_path / "counts.npy", tmp_path / "m.safetensors"
    np.save(counts, np.random.default_rng(0).poisson(3.0, (400, 2)))
    assert main(["fit", str(counts), "-o", str(model), *QUICK, "--jitter", "1"]) == 0
    mean = cf.load(model).sample(20_000, seed=0).mean(axis=0)
    np.testing.assert_allclose(mean, 3.5, atol=0.4)


def test_info(model, capsys):
    assert main(["info", str(model)]) == 0
    said = capsys.readouterr().out
    assert str(cf.load(model)) in said
    assert f"{model.stat().st_size:,} bytes" in said


def test_info_tells_of_the_fit(tmp_path, capsys):
    table, model = tmp_path / "x.csv", tmp_path / "m.safetensors"
    save_table(table, np.column_stack([ROWS, ROWS[:, :1] ** 3]), columns=["a", "b", "z"])
    assert main(["fit", str(table), "-o", str(model), *QUICK, "--context-columns", "z"]) == 0
    said = capsys.readouterr().out
    assert main(["info", str(model)]) == 0
    shown = capsys.readouterr().out
    for line in ("columns: a, b", "context columns: z", "recipe: realnvp", "rows: 270", "seed 0"):
        assert f"\n{line}\n" in shown
    assert "date: 2023-11-14T22:13:20Z" in shown
    assert main(["info", str(model), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    flow = cf.load(model)
    assert (facts["columns"], facts["context_columns"]) == (["a", "b"], ["z"])
    assert (facts["shape"], facts["parameters"]) == ([2], flow.n_parameters)
    assert facts["fitted"] == flow.fitted
    assert (facts["fitted"]["rows held out"], facts["fitted"]["epochs"]) == (30, 3)
    nats = facts["fitted"]["nats a row, held out"]
    assert f"negative log-likelihood {nats:.4f} nats" in said
    held_out = cf._core.split_rows(300, 0.1, 0)[1]
    truth = -flow.log_prob(ROWS[held_out], ROWS[held_out, :1] ** 3).mean(dtype="f8")
    np.testing.assert_allclose(nats, truth, rtol=1e-6)  # float32's rounding, of sums in two orders


def test_info_of_a_model_that_is_not_fitted(tmp_path, normals, capsys):
    assert main(["info", str(normals), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["fitted"] == {} and facts["columns"] is None and len(facts["layers"]) == 1
    loss = cf.nn.objective(lambda x, p: cf.nn.sum(x * p.a), 2, parameters={"a": [0.0, 0.0]}, seed=0)
    loss.save(tmp_path / "loss.safetensors")
    assert main(["info", str(tmp_path / "loss.safetensors"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["type"] == "Loss"


# -- Names, and tables as people have them -- #


STARS = np.column_stack([np.exp(ROWS), ROWS[:, 0] > 1, np.arange(300) % 7 + 0.5])


@pytest.fixture
def stars(tmp_path):
    """Columns with names, text beside them, and an index."""
    frame = pd.DataFrame(STARS, columns=["mass", "radius", "side", "z"])
    frame.insert(1, "name", "NGC 1")
    frame.to_csv(tmp_path / "stars.csv")
    return tmp_path / "stars.csv"


@pytest.fixture
def conditional(tmp_path, stars):
    path = tmp_path / "conditional.safetensors"
    chosen = ["--columns", "radius,mass", "--context-columns", "z,side"]
    assert main(["fit", str(stars), "-o", str(path), *QUICK, *chosen]) == 0
    return path


def test_columns_are_found_by_name(tmp_path, stars, conditional, capsys):
    flow, out = cf.load(conditional), tmp_path / "scores.npy"
    assert flow.columns == ("radius", "mass") and flow.context_columns == ("z", "side")
    truth = flow.log_prob(STARS[:, [1, 0]], STARS[:, [3, 2]])
    score = ["log-prob", str(conditional), str(stars), "-o", str(out)]
    assert main(score) == 0
    np.testing.assert_array_equal(np.load(out)[:, 0], truth)
    frame = pd.read_csv(stars, index_col=0)
    frame[["z", "radius", "side", "mass"]].to_csv(stars, index=False)
    assert main(score) == 0
    np.testing.assert_array_equal(np.load(out)[:, 0], truth)
    told = ["--columns", "radius,mass", "--context-columns", "0,side"]
    assert main([*score, *told]) == 0
    np.testing.assert_array_equal(np.load(out)[:, 0], truth)
    frame.rename(columns={"mass": "Mass", "z": "redshift"}).to_csv(stars)
    error = fails(capsys, *score)
    assert "the model learned radius, mass; no column 'mass' among" in error
    frame.assign(more=1)[["mass", "radius", "side"]].to_csv(stars)
    assert "the model learned z, side; no column 'z' among" in fails(capsys, *score)
    np.save(tmp_path / "x.npy", STARS)
    error = fails(capsys, "log-prob", conditional, tmp_path / "x.npy", "-o", out)
    assert "the model has a context of 2 columns: name them with --context-columns" in error


def test_samples_have_names_and_find_their_context(tmp_path, stars, conditional, capsys):
    flow, out = cf.load(conditional), tmp_path / "new.csv"
    sample = ["sample", str(conditional), "-n", "3", "-o", str(out), "--seed", "1"]
    assert main([*sample, "--context", "side=1,z=0.5"]) == 0
    frame = pd.read_csv(out)
    assert list(frame) == ["radius", "mass"]
    expected = flow.sample(3, [0.5, 1.0], seed=1)
    np.testing.assert_array_equal(frame.to_numpy("f4"), expected)
    assert main([*sample, "--context", str(stars)]) == 0
    expected = flow.sample(3, STARS[:, [3, 2]], seed=1).reshape(900, 2)
    np.testing.assert_array_equal(pd.read_csv(out).to_numpy("f4"), expected)
    for context in ("side=1", "side=1,z=2,z=3", "side=1,zz=2"):
        assert "expected each of z, side once" in fails(capsys, *sample, "--context", context)
    assert "could not convert" in fails(capsys, *sample, "--context", "side=1,z=x")
    pd.read_csv(stars)[["side"]].to_csv(stars)
    assert "no column 'z' among" in fails(capsys, *sample, "--context", stars)


def test_models_of_columns_with_numbers_for_names(tmp_path, capsys):
    table, model, out = (tmp_path / name for name in ("x.csv", "m.safetensors", "new.csv"))
    pd.DataFrame(STARS).to_csv(table, index=False)
    assert main(["fit", str(table), "-o", str(model), *QUICK]) == 0
    assert cf.load(model).columns == ("0", "1", "2", "3")
    assert main(["sample", str(model), "-n", "9", "-o", str(out)]) == 0
    assert main(["log-prob", str(model), str(out), "-o", str(tmp_path / "scores.npy")]) == 0
    pd.DataFrame(np.arange(12).reshape(4, 3)).to_csv(table, index=False)
    fit = ["fit", str(table), "-o", str(model), *QUICK]
    assert "--header yes" in fails(capsys, *fit)
    assert main([*fit, "--header", "yes", "--validation", "0"]) == 0
    assert cf.load(model).fitted["rows"] == 4
    assert main([*fit, "--header", "no", "--validation", "0"]) == 0
    assert cf.load(model).fitted["rows"] == 5


def test_missing_numbers(tmp_path, stars, conditional, capsys):
    lines = stars.read_text().splitlines()
    cells = lines[4].split(",")
    lines[4] = ",".join([*cells[:4], "NA", cells[5]])
    stars.write_text("\n".join(lines))
    model, out = tmp_path / "m.safetensors", tmp_path / "scores.npy"
    fit = ["fit", stars, "-o", model, *QUICK, "--columns", "mass,side"]
    assert "line 5, column 5 (side): missing; 1 of 300 rows" in fails(capsys, *fit)
    assert main([*map(str, fit), "--missing", "drop"]) == 0
    assert "warning: " in capsys.readouterr().err
    assert sum(cf.load(model).fitted[name] for name in ("rows", "rows held out")) == 299
    score = ["log-prob", conditional, stars, "-o", out]
    assert "line 5, column 5 (side): missing" in fails(capsys, *score)
    truth = cf.load(conditional).log_prob(STARS[:, [1, 0]], STARS[:, [3, 2]])
    for missing in ("drop", "nan"):
        assert main([*map(str, score), "--missing", missing]) == 0
        scores = np.load(out)[:, 0]
        assert np.flatnonzero(np.isnan(scores)).tolist() == [3]
        np.testing.assert_array_equal(np.delete(scores, 3), np.delete(truth, 3))


def test_rows_with_missing_numbers_are_learned_and_scored(tmp_path, capsys):
    x = np.random.default_rng(0).normal(size=(300, 2)) + 5
    x[::7, 1] = np.nan
    table, model, out = (tmp_path / name for name in ("x.csv", "m.safetensors", "s.npy"))
    pd.DataFrame(x, columns=["a", "b"]).to_csv(table, index=False)
    options = ["--missing", "marginal", "--positive", "a"]
    assert main(["fit", str(table), "-o", str(model), *QUICK, *options]) == 0
    assert sum(cf.load(model).fitted[name] for name in ("rows", "rows held out")) == 300
    assert main(["log-prob", str(model), str(table), "-o", str(out), "--missing", "marginal"]) == 0
    expected = cf.load(model).marginal_log_prob(x, seed=0)
    np.testing.assert_allclose(np.load(out)[:, 0], expected, rtol=1e-6)
    x[2, 0] = -1.0
    pd.DataFrame(x, columns=["a", "b"]).to_csv(table, index=False)
    message = fails(capsys, "fit", table, "-o", model, *QUICK, *options)
    assert "line 4: column 1 (a): expected a number above 0, got -1" in message


def test_columns_of_categories(tmp_path, capsys):
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.integers(0, 3, 300), rng.normal(size=300)])
    table, model, out = (tmp_path / name for name in ("x.csv", "m.safetensors", "new.npy"))
    save_table(table, rows, columns=["kind", "a"])
    fit = ["fit", str(table), "-o", str(model), *QUICK]
    assert main([*fit, "--categorical", "kind:3"]) == 0
    columns = [cf.categorical(3), cf.real]
    assert str(cf.load(model)) == str(cf.realnvp(2, layers=2, hidden=(8,), columns=columns, seed=0))
    assert main(["sample", str(model), "-n", "99", "-o", str(out), "--seed", "1"]) == 0
    assert set(np.load(out)[:, 0]) <= {0.0, 1.0, 2.0}
    message = fails(capsys, *fit, "--categorical", "kind:2")
    assert "column 1 (kind): expected an integer from 0 to 1, got 2" in message


@pytest.mark.parametrize(
    ("option", "cell", "expected"),
    [
        (["--positive", "b"], "-1.5", "a number above 0, got -1.5"),
        (["--positive", "b"], "0", "a number above 0, got 0"),
        (["--interval", "b:0:9"], "9", "a number between 0 and 9, not these, got 9"),
        (["--count", "b"], "2.5", "an integer from 0, got 2.5"),
        (["--count", "b"], "-1", "an integer from 0, got -1"),
        (["--ordinal", "b:3"], "3", "an integer from 0 to 2, got 3"),
        ([], "-inf", "a finite number, got -inf"),
        (["--context-columns", "b"], "inf", "a finite number, got inf"),
    ],
)
def test_numbers_that_columns_cannot_hold(tmp_path, capsys, option, cell, expected):
    path = tmp_path / "x.csv"
    path.write_text(
        "a,b\n# a comment\n\n" + "1.5,1\n2.5,2\n" * 20 + f"3.5,{cell}\n" + "1.5,1\n" * 9
    )
    error = fails(capsys, "fit", path, "-o", tmp_path / "m.safetensors", *QUICK, *option)
    assert f"x.csv, line 44: column 2 (b): expected {expected}\n" in error


def test_models_must_have_their_ending(tmp_path, table, capsys, monkeypatch):
    monkeypatch.setattr("cflows.cli.fit.build", never)
    for name in ("model", "model.csv", "model.safetensors.bak"):
        error = fails(capsys, "fit", table, "-o", tmp_path / name)
        assert f"{name}: expected the name of a model, ending in .safetensors" in error


@pytest.mark.parametrize("damage", ["weights", "loss"])
def test_a_model_that_diverged_is_not_written(tmp_path, table, capsys, monkeypatch, damage):
    """As a fit that ends early may leave one."""
    fit = cf.Flow.fit

    def diverged(self, *args, **kwargs):
        history = fit(self, *args, **kwargs)
        if damage == "weights":
            next(iter(self.parameters.values()))[...] = np.nan
        else:
            history.best_epoch, history.train[-1] = None, float("inf")
        return history

    monkeypatch.setattr(cf.Flow, "fit", diverged)
    error = fails(capsys, "fit", table, "-o", tmp_path / "m.safetensors", *QUICK)
    assert f"the fit diverged, and the model is not written: its {damage}" in error
    assert not (tmp_path / "m.safetensors").exists()


def test_warnings_of_data_are_a_line_each(tmp_path, capsys):
    path = tmp_path / "x.csv"
    path.write_text("a,b\n" + "".join(f"{x},3\n" for x in ROWS[:, 0]))
    assert main(["fit", str(path), "-o", str(tmp_path / "m.safetensors"), *QUICK]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("cflows: warning: column b: one value in all rows")


def test_resuming_gives_the_uninterrupted_model(tmp_path, table):
    whole, half, rest = (tmp_path / f"{name}.safetensors" for name in ("whole", "half", "rest"))
    kept = tmp_path / "checkpoint"
    start = ["fit", str(table), "--quiet", "--layers", "2", "--hidden", "8", "--epochs"]
    assert main([*start, "6", "-o", str(whole)]) == 0
    assert main([*start, "2", "-o", str(half), "--checkpoint", str(kept)]) == 0
    assert main([*start, "6", "-o", str(rest), "--resume", str(kept)]) == 0
    assert rest.read_bytes() == whole.read_bytes() != half.read_bytes()


# -- The demo -- #


@pytest.mark.parametrize("name", ["digits", *TOYS])
def test_demo(tmp_path, name, capsys):
    assert main(["demo", name, "--quick", "--quiet", "-o", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert sorted(contents(tmp_path)) == [f"cflows-{name}.png", f"cflows-{name}.safetensors"]
    assert contents(tmp_path)[f"cflows-{name}.png"].startswith(b"\x89PNG")
    assert f"wrote {tmp_path / f'cflows-{name}.png'}" in said
    flow = cf.load(tmp_path / f"cflows-{name}.safetensors")
    nats = float(re.search(r"flow \(\w+\) +(\d+\.\d+)", said)[1])
    if name == "digits":
        assert flow.features == 64
        assert f"{nats / (64 * np.log(2)):.3f}" in said  # bits a pixel
    else:
        test = TOYS[name].sample(20_000, seed=2)
        np.testing.assert_allclose(nats, -flow.log_prob(test).mean(dtype="f8"), atol=1e-4)
        truth = float(re.search(r"itself +(-?\d+\.\d+) nats", said)[1])
        np.testing.assert_allclose(truth, -TOYS[name].log_prob(test).mean(), atol=1e-4)
        # Near enough that the picture is one of the toy: a normal is 0.6 nats above, or more.
        assert 0.0 < nats - truth < (0.35 if name == "spirals" else 0.2)
    out = tmp_path / "new.csv"  # as the demo proposes
    hint = re.search(r"try: (cflows sample .*)", said)[1].replace(f"cflows-{name}.csv", "new.csv")
    assert main(shlex.split(hint)[1:]) == 0
    assert load_table(out)[0].shape == (10, flow.features)


def test_the_demo_compares_with_a_normal_distribution():
    images = load_digits()[0].reshape(-1, 64)
    noise = np.random.default_rng(0).uniform(size=images.shape)
    train, validation, _ = split(images + noise, (0.7, 0.1, 0.2), seed=0)
    found = fit_gaussian(train, validation)
    covariance = found.factor @ found.factor.T
    sample = np.cov(train.T)
    targets = {"diagonal": np.diag(np.diag(sample)), "identity": np.eye(64) * sample.trace() / 64}
    mix = (1 - found.shrinkage) * sample + found.shrinkage * targets[found.target]
    np.testing.assert_allclose(covariance, mix, atol=1e-10)
    truth = stats.multivariate_normal(train.mean(axis=0), mix)
    np.testing.assert_allclose(found.log_prob(validation), truth.logpdf(validation), rtol=1e-9)
    best = truth.logpdf(validation).mean()
    for target in targets.values():
        for amount in (0.0, 0.5 * found.shrinkage, 2.0 * found.shrinkage, 0.5):
            other = (1 - amount) * sample + amount * target
            other = stats.multivariate_normal(train.mean(axis=0), other)
            assert other.logpdf(validation).mean() < best
    with pytest.raises(ValueError, match="constant"):
        fit_gaussian(np.zeros((5, 2)), np.zeros((5, 2)))


def test_without_a_command_there_is_help(capsys):
    said = []
    for arguments in ([], ["--help"]):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] and "cflows demo" in said[0]


def test_demo_without_matplotlib(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["demo", "moons", "--quick", "--quiet", "-o", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "nats" in said
    assert "for a picture: pip install 'cflows[plot]'" in said
    assert [path.name for path in tmp_path.iterdir()] == ["cflows-moons.safetensors"]


# -- Errors -- #


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", "", "empty"),
        ("text.csv", "a,b\n1,2\n3,x\n", "line 3: column 2 (b): expected a number, got 'x'"),
        ("ragged.csv", "1,2\n3\n", "line 2: expected 2 cells, got 1"),
        ("nan.csv", "1,2\n3,nan\n5,6\n" * 100, "line 2, column 2: missing; 100 of 300 rows"),
        ("inf.csv", "a,b\n" + "1,2\n" * 99 + "-inf,2", "line 101: column 1 (a): expected a finite"),
        ("header.csv", "a,b\n", "no rows"),
        ("x.xlsx", "", "expected a name ending in one of .npy, .npz, .csv, .tsv"),
        ("broken.npy", "no array", "broken.npy"),
        ("broken.npz", "no archive", "broken.npz"),
    ],
)
def test_tables_that_cannot_be_learned(tmp_path, capsys, name, content, message):
    path, out = tmp_path / name, tmp_path / "m.safetensors"
    path.write_text(content)
    for validation in ("0", "0.1"):
        error = fails(capsys, "fit", path, "-o", out, "--validation", validation, *QUICK)
        assert message in error
    assert list(contents(tmp_path)) == [name]


def test_a_table_of_another_type(tmp_path, capsys):
    path = tmp_path / "x.npy"
    np.save(path, ROWS.astype(complex))
    assert "complex128" in fails(capsys, "fit", path, "-o", tmp_path / "m.safetensors", *QUICK)


def test_files_that_are_not_there(tmp_path, table, model, capsys):
    gone, out = tmp_path / "gone", tmp_path / "out.npy"
    for arguments in (
        ["fit", f"{gone}.csv", "-o", tmp_path / "m.safetensors"],
        ["log-prob", gone, table, "-o", out],
        ["log-prob", model, f"{gone}.npy", "-o", out],
        ["sample", gone, "-n", 1, "-o", out],
        ["info", gone],
        ["fit", table, "-o", tmp_path / "m.safetensors", "--resume", gone],
    ):
        error = fails(capsys, *arguments)
        assert str(gone) in error and "No such file" in error
    assert not out.exists()


def test_outputs_that_cannot_be_written_are_told_first(tmp_path, model, table, capsys, monkeypatch):
    """Of the output, not of the input that is not there; and a fit does not begin."""
    nowhere, gone = tmp_path / "nowhere", tmp_path / "gone.npy"
    kept = contents(tmp_path)
    monkeypatch.setattr("cflows.cli.fit.build", never)
    for arguments in (
        ["fit", gone, "-o", nowhere / "m.safetensors"],
        ["fit", table, "-o", nowhere / "m.safetensors"],
        ["fit", table, "-o", tmp_path / "m.safetensors", "--checkpoint", nowhere / "c"],
        ["log-prob", gone, gone, "-o", nowhere / "s.csv"],
        ["sample", gone, "-n", 1, "-o", nowhere / "s.csv"],
        ["demo", "--output", nowhere],
    ):
        error = fails(capsys, *arguments)
        assert str(nowhere) in error and "No such file or directory" in error
    os.mkfifo(tmp_path / "pipe")
    for output, message in (
        (tmp_path, "Is a directory"),
        (f"{nowhere}/", "expected the name of a file to write"),
        ("", "expected the name of a file to write, got ''"),
        (tmp_path / "pipe", "expected a regular file"),
        (table / "m", "Not a directory"),
        (tmp_path / ("m" * 300), "File name too long"),
    ):
        assert message in fails(capsys, "fit", table, "-o", output)
    assert "ending in one of" in fails(capsys, "sample", model, "-n", 1, "-o", tmp_path / "x.odt")
    assert contents(tmp_path) == kept


def test_folders_that_are_not_ours_are_told_first(tmp_path, table, capsys, monkeypatch):
    def refuse(**options):
        raise PermissionError(errno.EACCES, "Permission denied", f"{options['dir']}/tmp123")

    # The tests may be run by root, whom no mode keeps out.
    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    monkeypatch.setattr("cflows.cli.fit.build", never)
    error = fails(capsys, "fit", table, "-o", tmp_path / "m.safetensors")
    assert error == f"cflows: error: {tmp_path / 'm.safetensors'}: Permission denied\n"


def test_no_output_takes_the_place_of_an_input(tmp_path, table, model, capsys):
    archive, link = tmp_path / "sets.npz", tmp_path / "link.npy"
    np.savez(archive, train=ROWS, test=ROWS)
    link.symlink_to(table)
    kept = contents(tmp_path)
    for arguments in (
        ["fit", table, "-o", table],
        ["fit", table, "-o", link],
        ["fit", f"{archive}:train", "-o", archive],
        ["fit", table, "-o", tmp_path / "m.safetensors", "--checkpoint", table],
        [
            "fit",
            table,
            "-o",
            tmp_path / "n.safetensors",
            "--checkpoint",
            f"{tmp_path}/./n.safetensors",
        ],
        ["fit", table, "-o", model, "--resume", model],
        ["log-prob", model, table, "-o", table],
        ["log-prob", model, table, "-o", link],
        ["log-prob", model, f"{archive}:test", "-o", archive],
        ["log-prob", table, archive, "-o", table],
        ["sample", table, "-n", 1, "-o", table],
        ["sample", model, "-n", 1, "-o", table, "--context", table],
    ):
        assert "expected an output of its own" in fails(capsys, *arguments)
    assert contents(tmp_path) == kept


def test_what_was_there_survives_a_failure(tmp_path, table, model, capsys, monkeypatch):
    bad, out = tmp_path / "bad.npy", tmp_path / "scores.npy"
    np.save(bad, np.full((300, 2), np.inf))
    out.write_text("the scores of yesterday")
    kept = contents(tmp_path)
    fit = ["fit", table, "-o", model, *QUICK]
    assert "row 0: column 1: expected a finite number, got inf" in fails(
        capsys, "fit", bad, *fit[2:]
    )
    assert "diverged" in fails(capsys, *fit, "--learning-rate", "1e30", "--epochs", "50")
    assert "no column 'c'" in fails(capsys, *fit, "--columns", "c")

    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        assert "No space left" in fails(capsys, *fit)
        assert "No space left" in fails(capsys, "log-prob", model, table, "-o", out)
        assert "No space left" in fails(capsys, "sample", model, "-n", 3, "-o", out)
    assert contents(tmp_path) == kept


def test_a_warning_is_one_line(tmp_path, table, capsys, monkeypatch):
    from cflows.checkpoint import Checkpoint

    write, written = Checkpoint.write, []

    def write_once(self, path):
        if written:
            raise OSError(errno.ENOSPC, "No space left on device", path)
        written.append(write(self, path))

    monkeypatch.setattr(Checkpoint, "write", write_once)
    out, kept = tmp_path / "m.safetensors", tmp_path / "kept"
    assert main(["fit", str(table), "-o", str(out), "--checkpoint", str(kept), *QUICK]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines and all(line.startswith("cflows: warning: the checkpoint was") for line in lines)
    assert cf.load(out).features == 2


def test_tables_of_another_width(tmp_path, model, capsys):
    wide = tmp_path / "wide.npy"
    np.save(wide, np.zeros((5, 3)))
    error = fails(capsys, "log-prob", model, wide, "-o", tmp_path / "s.npy")
    assert "expected 2 columns, as the model learned, got 3: --columns says which" in error
    assert "no column 'z'" in fails(
        capsys, "log-prob", model, wide, "-o", tmp_path / "s.npy", "--columns", "z"
    )


@pytest.mark.parametrize("size", [0, 5, 200])
def test_models_that_are_cut_off(tmp_path, table, model, size, capsys):
    model.write_bytes(model.read_bytes()[:size])
    assert str(model) in fails(capsys, "info", model)
    assert str(model) in fails(capsys, "log-prob", model, table, "-o", tmp_path / "s.npy")


def test_models_that_are_damaged(tmp_path, table, model, capsys):
    """Any one byte, in the header or in the weights: an error in one line, and no scores."""
    whole, out = model.read_bytes(), tmp_path / "scores.npy"
    rng = np.random.default_rng(0)
    for place in [0, 7, 8, len(whole) - 1, *rng.integers(len(whole), size=150)]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        model.write_bytes(damaged)
        assert str(model) in fails(capsys, "info", model)
        assert str(model) in fails(capsys, "log-prob", model, table, "-o", out)
    assert not out.exists()


@pytest.mark.parametrize(
    "header",
    [
        b"{}",
        b"[" * 100_000,
        b'{"__metadata__":{}}',
        b'{"__metadata__":{"format_version":"999"}}',
        b'{"w":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}',
        b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
    ],
)
def test_models_that_no_flow_wrote(tmp_path, header, capsys):
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    assert str(path) in fails(capsys, "info", path)
    assert str(path) in fails(capsys, "sample", path, "-n", 1, "-o", tmp_path / "x.npy")
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("command", [[], *([command] for command in COMMANDS)])
def test_help_fits_the_terminal_and_its_examples_are_valid(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--help"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert said.isascii()  # for terminals of any encoding
    for name in COMMANDS if not command else []:
        assert f"\n    {name} " in said
    for option in re.findall(r"^  (-.*)$", said, re.MULTILINE):
        assert re.search(r"\S  +\S", option) or f"  {option}\n      " in said, "says nothing"
    examples = re.findall(r"^  cflows (.*)$", said.partition("\nexample")[2], re.MULTILINE)
    assert examples
    for example in examples:
        assert callable(_parser().parse_args(shlex.split(example)).run)


# -- Processes -- #


# A line of progress every tenth of a second: before a quick fit is over.
OFTEN = """
import sys, cflows.progress
from cflows.cli import main
cflows.progress._SECONDS_BETWEEN_LINES = 0.1
sys.exit(main(sys.argv[1:]))
"""


def interrupted(folder, *arguments, until):
    """What the command says when Ctrl-C comes soon after a line that matches."""
    often = [sys.executable, "-c", OFTEN, *map(str, arguments)]
    slowly = {**ENVIRONMENT, "CFLOWS_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "env": slowly}
    with subprocess.Popen(often, text=True, cwd=folder, **pipes) as process:
        said = ""
        while not re.search(until, said):
            line = process.stdout.readline()
            assert line, said
            said += line
        process.send_signal(signal.SIGINT)
        try:
            rest, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130, said + rest
    assert "Traceback" not in said + rest
    return said + rest


def test_exit_statuses(tmp_path, table):
    assert run("fit", table, "-o", tmp_path / "m.safetensors", *QUICK).returncode == 0
    done = run("info", tmp_path / "gone")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert run("bogus").returncode == 2


def test_ctrl_c_saves_the_model(tmp_path, table):
    endless = ["--epochs", 10**9, "--validation", 0, "--layers", 2, "--hidden", 8]
    said = interrupted(tmp_path, "fit", table, "-o", "m.safetensors", *endless, until="epoch.*loss")
    assert re.search(r"epochs \(interrupted\), [\d,]+ steps", said)
    assert said.endswith("wrote m.safetensors\n")
    assert sorted(contents(tmp_path)) == ["m.safetensors", "x.npy"]
    start = cf.realnvp(2, layers=2, hidden=(8,), seed=0)
    start.fit(ROWS, epochs=1, seed=0, progress=False)
    learned = cf.load(tmp_path / "m.safetensors")
    assert learned.log_prob(ROWS).mean() > start.log_prob(ROWS).mean()


@pytest.mark.parametrize("name", ["digits", "moons"])
def test_ctrl_c_in_the_demo_saves_model_and_picture(tmp_path, name):
    said = interrupted(tmp_path, "demo", name, until="epoch.*loss")
    assert "interrupted" in said and "nats" in said
    assert sorted(contents(tmp_path)) == [f"cflows-{name}.png", f"cflows-{name}.safetensors"]
    cf.load(tmp_path / f"cflows-{name}.safetensors")


def test_a_reader_who_leaves_is_no_error(tmp_path, model, table):
    fitted = tmp_path / "new.safetensors"
    for arguments in (["info", model], ["--help"], ["fit", table, "-o", fitted, *QUICK]):
        reader, writer = os.pipe()
        os.close(reader)
        done = run(*arguments, stdout=writer)
        os.close(writer)
        assert (done.returncode, done.stderr) == (141, "")
    assert fitted.read_bytes() == model.read_bytes()


def test_an_output_that_takes_nothing(model):
    shell = ["sh", "-c", 'exec "$@" >&-', "sh", *command("info", model)]
    done = subprocess.run(shell, stderr=subprocess.PIPE, text=True, timeout=60, env=ENVIRONMENT)
    assert (done.returncode, done.stderr) == (0, "")
    with open(os.devnull) as unwritable:
        done = run("info", model, stdout=unwritable)
    assert done.returncode == 1
    assert done.stderr == "cflows: error: standard output: Bad file descriptor\n"
