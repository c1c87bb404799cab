"""The command line: what it computes, its exit statuses, and that errors cost nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import cflows as cf
from cflows.cli import main
from cflows.data import TOYS, load_table, save_table

ROWS = np.random.default_rng(0).normal(size=(300, 2)) @ [[2.0, 1.0], [0.0, 0.5]] + [1.0, -3.0]
QUICK = ["--quiet", "--epochs", "3", "--layers", "2", "--hidden", "8"]


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


def run(*arguments, **options):
    """The command in a process of its own."""
    command = [sys.executable, "-m", "cflows", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def fails(capsys, *arguments) -> str:
    """Runs what has to fail, and returns the one line that says why."""
    capsys.readouterr()
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


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.csv", "bare.csv", "x.tsv"])
def test_all_kinds_of_tables_are_scored_alike(tmp_path, model, name):
    path, out = tmp_path / name, tmp_path / "scores.npy"
    save_table(path, ROWS, columns=None if name in ("x.npy", "bare.csv") else ["a", "b"])
    assert main(["log-prob", str(model), str(path), "-o", str(out)]) == 0
    expected = cf.load(model).log_prob(load_table(path)[0])
    np.testing.assert_array_equal(np.load(out)[:, 0], expected)
    np.testing.assert_allclose(expected, cf.load(model).log_prob(ROWS), rtol=1e-6)


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
    assert captured.err == "1 rows have no finite log_prob\n"
    mean = cf.load(model).log_prob(np.delete(x, 5, axis=0)).mean(dtype="f8")
    assert f"mean log_prob {mean:.4f} nats over 299 rows" in captured.out
    assert np.flatnonzero(np.isnan(np.load(out)[:, 0])).tolist() == [5]


def test_samples_are_the_seeds(tmp_path, model, capsys):
    out = tmp_path / "new.npy"
    assert main(["sample", str(model), "-n", "50", "-o", str(out), "--seed", "3"]) == 0
    np.testing.assert_array_equal(np.load(out), cf.load(model).sample(50, seed=3))
    assert main(["sample", str(model), "-n", "7", "-o", str(out)]) == 0
    seed = int(capsys.readouterr().out.split()[-1])  # it is drawn, and told
    np.testing.assert_array_equal(np.load(out), cf.load(model).sample(7, seed=seed))


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
    assert "context" in fails(capsys, "sample", model, "-n", 4, "-o", out)


def test_whole_numbers_need_noise(tmp_path):
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
    pytest.importorskip("matplotlib")
    assert main(["demo", name, "--quick", "--quiet", "-o", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "nats" in said and "flow (RealNVP)" in said
    assert (tmp_path / f"cflows-{name}.png").read_bytes().startswith(b"\x89PNG")
    assert cf.load(tmp_path / f"cflows-{name}.safetensors").features == (
        64 if name == "digits" else 2
    )


def test_demo_is_the_default(monkeypatch, capsys):
    monkeypatch.setattr("cflows.cli.demo.run", lambda arguments: print(arguments.data) or 0)
    assert main([]) == 0
    assert capsys.readouterr().out == "digits\n"


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
        ("text.csv", "a,b\n1,2\n3,x\n", "line 3"),
        ("ragged.csv", "1,2\n3\n", "line 2"),
        ("nan.csv", "1,2\n3,nan\n5,6\n" * 100, "row 1 holds nan in column 1"),
        ("broken.npy", "no array", "broken.npy"),
        ("broken.npz", "no archive", "broken.npz"),
    ],
)
def test_tables_that_cannot_be_learned(tmp_path, capsys, name, content, message):
    path, out = tmp_path / name, tmp_path / "m.safetensors"
    path.write_text(content)
    assert message in fails(capsys, "fit", path, "-o", out, *QUICK)
    assert not out.exists()


def test_a_table_of_another_type(tmp_path, capsys):
    path = tmp_path / "x.npy"
    np.save(path, ROWS.astype(complex))
    assert "complex128" in fails(capsys, "fit", path, "-o", tmp_path / "m", *QUICK)


def test_files_that_are_not_there(tmp_path, table, model, capsys):
    gone, out = tmp_path / "gone", tmp_path / "out.npy"
    for arguments in (
        ["fit", f"{gone}.csv", "-o", tmp_path / "m"],
        ["log-prob", gone, table, "-o", out],
        ["log-prob", model, f"{gone}.npy", "-o", out],
        ["sample", gone, "-n", 1, "-o", out],
        ["info", gone],
        ["fit", table, "-o", tmp_path / "m", "--resume", gone],
    ):
        error = fails(capsys, *arguments)
        assert str(gone) in error and "No such file" in error
    assert not out.exists()


def test_outputs_that_cannot_be_written_are_told_first(tmp_path, table, model, capsys):
    nowhere, gone = tmp_path / "nowhere", tmp_path / "gone.npy"
    for arguments in (
        ["fit", gone, "-o", nowhere / "m.safetensors"],
        ["fit", gone, "-o", tmp_path / "m", "--checkpoint", nowhere / "c"],
        ["log-prob", gone, gone, "-o", nowhere / "s.csv"],
        ["sample", gone, "-n", 1, "-o", nowhere / "s.csv"],
        ["demo", "--output", nowhere],
    ):
        error = fails(capsys, *arguments)  # of the output, not of the input that is not there
        assert str(nowhere) in error and "No such file or directory" in error
    assert "Is a directory" in fails(capsys, "fit", table, "-o", tmp_path)
    assert "ending in one of" in fails(capsys, "sample", model, "-n", 1, "-o", tmp_path / "x.txt")
    assert not nowhere.exists()


def test_what_was_there_survives_a_failure(tmp_path, table, model, capsys):
    kept = model.read_bytes()
    bad = tmp_path / "bad.npy"
    np.save(bad, np.full((300, 2), np.inf))
    assert "row 0 holds inf" in fails(capsys, "fit", bad, "-o", model, *QUICK)
    assert model.read_bytes() == kept
    assert "scores would replace the table" in fails(capsys, "log-prob", model, table, "-o", table)
    np.testing.assert_array_equal(np.load(table), ROWS)


def test_tables_of_another_width(tmp_path, model, capsys):
    wide = tmp_path / "wide.npy"
    np.save(wide, np.zeros((5, 3)))
    error = fails(capsys, "log-prob", model, wide, "-o", tmp_path / "s.npy")
    assert "must have shape (n, 2), got (5, 3)" in error
    assert "no column 'z'" in fails(
        capsys, "log-prob", model, wide, "-o", tmp_path / "s.npy", "--columns", "z"
    )


@pytest.mark.parametrize("size", [0, 5, 200])
def test_models_that_are_cut_off(tmp_path, table, model, size, capsys):
    model.write_bytes(model.read_bytes()[:size])
    assert str(model) in fails(capsys, "info", model)
    assert str(model) in fails(capsys, "log-prob", model, table, "-o", tmp_path / "s.npy")


def test_models_that_are_damaged(model, capsys):
    content = bytearray(model.read_bytes())
    content[-1] ^= 1
    model.write_bytes(content)
    assert "damaged" in fails(capsys, "info", model)


@pytest.mark.parametrize(
    "arguments",
    [
        ["bogus"],
        ["fit"],
        ["fit", "x.npy"],
        ["fit", "x.npy", "-o", "m", "--epochs", "0"],
        ["fit", "x.npy", "-o", "m", "--learning-rate", "nan"],
        ["fit", "x.npy", "-o", "m", "--validation", "1"],
        ["fit", "x.npy", "-o", "m", "--hidden", "8,x"],
        ["sample", "m", "-n", "-1", "-o", "x.npy"],
        ["demo", "stars"],
    ],
)
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("usage: cflows")


@pytest.mark.parametrize("command", [[], ["demo"], ["fit"], ["log-prob"], ["sample"], ["info"]])
def test_help_fits_the_terminal_and_has_an_example(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--help"])
    said = capsys.readouterr().out
    assert stopped.value.code == 0
    assert "example" in said
    assert max(map(len, said.split("example")[0].splitlines())) <= 100


# -- Processes -- #


def test_exit_statuses(tmp_path, table):
    assert run("fit", table, "-o", tmp_path / "m", *QUICK).returncode == 0
    assert run("info", tmp_path / "gone").returncode == 1
    assert run("bogus").returncode == 2


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_ctrl_c_saves_the_model(tmp_path, table):
    model = tmp_path / "m.safetensors"
    command = [sys.executable, "-m", "cflows", "fit", str(table), "-o", str(model)]
    options = ["--epochs", "1000000", "--validation", "0", "--checkpoint", str(tmp_path / "kept")]
    with subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while not (tmp_path / "kept").exists():  # written before the first epoch
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "interrupted" in said
    assert "Traceback" not in errors
    assert np.isfinite(cf.load(model).log_prob(ROWS)).all()


@pytest.mark.skipif(os.name != "posix", reason="pipes are those of POSIX")
def test_a_reader_who_leaves_is_no_error(model):
    command = [sys.executable, "-m", "cflows", "info", str(model)]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writer)
    assert done.returncode == 141
    assert done.stderr == ""
