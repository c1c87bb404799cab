"""Live progress: what is shown where, and that nothing of it can harm the work."""

import io
import re
import sys
import warnings
from importlib import import_module
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

import cflows as cf
from cflows.cli import main
from cflows.data import save_table
from cflows.fit_progress import FitProgress
from cflows.progress import Lines
from fits import moons_rows, new_flow, quietly, same


@pytest.fixture(autouse=True)
def no_notebook(monkeypatch):
    """Another test may have imported what tells a notebook."""
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(monkeypatch, stream, **options):
    monkeypatch.setattr(sys, "stderr", stream)
    quietly(new_flow(), moons_rows(), **{"validation": 0.2, **options})
    return stream.getvalue()


def test_progress_is_a_line_where_nobody_watches(monkeypatch):
    text = shown(monkeypatch, io.StringIO(), progress=True)
    assert re.fullmatch(r"epoch 3/3, 100%: loss \S+, validation \S+, [\d,]+ rows/s\n", text)
    assert shown(monkeypatch, io.StringIO(), progress="auto") == ""


def test_progress_is_a_bar_on_a_terminal(monkeypatch):
    text = shown(monkeypatch, Terminal(), progress="auto")
    last = text.rstrip("\n").split("\r")[-1]
    assert last.startswith("epoch 3/3: 100%") and "rows/s" in last
    assert "loss " in last and "validation " in last
    assert shown(monkeypatch, Terminal(), progress=False) == ""


def test_progress_needs_no_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert shown(monkeypatch, Terminal(), progress=True).startswith("epoch 3/3, 100%: loss ")


def test_rows_of_weight_0_are_none_of_an_epoch(monkeypatch):
    x, polled = moons_rows(), []
    weights = np.arange(len(x)) % 4 == 0
    monkeypatch.setattr(FitProgress, "update", lambda self, report, rows: polled.append(self.rows))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    quietly(new_flow(), x, weights=weights, progress=True)
    assert set(polled) == {np.count_nonzero(weights)}


def test_lines_are_seconds_apart(monkeypatch):
    clock = iter(range(1000))  # a second a look
    monkeypatch.setattr("cflows.progress.time.monotonic", lambda: next(clock))
    progress = FitProgress(Lines(), epochs=5, rows=100)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    for epoch in range(1, 6):
        report = SimpleNamespace(epoch=epoch, train=1.0, validation=np.nan)
        progress.update(report, 50 if epoch == 2 else 100)
    progress.close()
    assert sys.stderr.getvalue().splitlines() == [
        "epoch 2/5 at most, 30%: loss 1.0000, 75 rows/s",
        "epoch 4/5 at most, 80%: loss 1.0000, 125 rows/s",
        "epoch 5/5, 100%: loss 1.0000, 100 rows/s",
    ]


def test_a_fit_that_ends_early_says_so(monkeypatch):
    def second(report):
        return report.epoch == 2

    text = shown(monkeypatch, io.StringIO(), progress=True, callback=second)
    assert text.startswith("epoch 2/3, stopped early, 67%: loss ")
    text = shown(monkeypatch, Terminal(), progress=True, callback=second)
    bars = text.rstrip("\n").split("\r")
    assert bars[-1].startswith("epoch 2/3, stopped early:  67%")
    assert not any("stopped" in bar for bar in bars[:-2])


@pytest.mark.parametrize("kernel", [False, True])
def test_a_notebook_has_its_own_bar(monkeypatch, kernel):
    """tqdm.auto chooses; without widgets it warns, which is nothing a fit has to say."""
    made = []

    class Bar:
        n = 0

        def __init__(self, **options):
            made.append(options)

        def __getattr__(self, name):
            return lambda *args, **options: None

    def fallback(name):
        warnings.warn("IProgress not found", UserWarning, stacklevel=1)
        return SimpleNamespace(tqdm=Bar) if name == "tqdm.auto" else import_module(name)

    if kernel:
        monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())
    monkeypatch.setattr("cflows.progress.import_module", fallback)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown(monkeypatch, Terminal(), progress="auto")
    assert [options["total"] for options in made] == [3 * 480] * kernel


class GoneTerminal(Terminal):
    """Takes some writes, and then none."""

    def __init__(self, writes):
        super().__init__()
        self.writes = writes

    def write(self, text):
        self.writes -= 1
        if self.writes < 0:
            raise BrokenPipeError("gone")
        return super().write(text)


@pytest.mark.parametrize("bar", [True, False])
@pytest.mark.parametrize("writes", [0, 1, 3])
def test_progress_that_fails_ends_itself_alone(monkeypatch, bar, writes):
    monkeypatch.setattr("cflows.progress._SECONDS_BETWEEN_LINES", 0.0)
    if not bar:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    flow, plain = new_flow(), new_flow()
    monkeypatch.setattr(sys, "stderr", GoneTerminal(writes))
    history = quietly(flow, moons_rows(), progress=True)
    quietly(plain, moons_rows())
    assert same(flow, plain) and len(history.train) == 3


def test_progress_needs_no_open_stream(monkeypatch):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    assert len(quietly(new_flow(), moons_rows(), progress="auto").train) == 3
    assert len(quietly(new_flow(), moons_rows(), progress=True).train) == 3


def test_ctrl_c_passes_through_progress(monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(Lines, "show", interrupted)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert quietly(new_flow(), moons_rows(), progress=True).stopped == "interrupted"


# -- Reading, scoring and sampling -- #


@pytest.fixture
def model(tmp_path):
    cf.Flow([cf.Affine()], 2, seed=0).save(tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


@pytest.fixture
def files(tmp_path):
    """The same rows in formats with and without a known number of them."""
    x = moons_rows()[:50]
    for name in ("x.npy", "x.parquet", "x.csv", "x.csv.gz", "x.fits"):
        save_table(tmp_path / name, x)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("data", data=x, chunks=(4, 2))
    return tmp_path


def run(monkeypatch, stream, *arguments, often=True):
    """What a command says of its progress, in pieces of 8 rows and 400 bytes."""
    monkeypatch.setattr("cflows.data.blocks._ROWS", 8)
    monkeypatch.setattr("cflows.data.text_chunks._BYTES", 400)
    seconds = 0.0 if often else 3600.0
    monkeypatch.setattr("cflows.cli.work._DELAY", seconds)
    monkeypatch.setattr("cflows.progress._SECONDS_BETWEEN_LINES", seconds)
    monkeypatch.setattr(sys, "stderr", stream)
    assert main(list(map(str, arguments))) == 0
    return stream.getvalue()


LINE = r"{verb}, (\d+)%: (\d+) rows, [\d,]+ rows/s"


def assert_lines(text, verb, rows, exact):
    """Lines of all pieces, with the rows that are done and the part of all."""
    found = [re.fullmatch(LINE.format(verb=verb), line) for line in text.splitlines()]
    parts, done = zip(*(map(int, line.groups()) for line in found), strict=True)
    assert list(done) == [*range(8, rows, 8), rows]
    assert parts == tuple(sorted(parts)) and parts[-1] == 100
    assert len(set(parts)) > 3
    assert not exact or all(abs(p - 100 * n / rows) <= 1 for p, n in zip(parts, done, strict=True))


@pytest.mark.parametrize("name", ["x.npy", "x.parquet", "x.csv", "x.csv.gz", "x.h5", "x.fits"])
def test_scoring_says_how_far_it_is(monkeypatch, model, files, name):
    score = ["log-prob", model, files / name, "-o", files / "out.npy"]
    text = run(monkeypatch, io.StringIO(), *score)
    if name == "x.csv.gz":  # which is read at once
        assert "scoring, 100%: 50 rows" in text
    else:
        assert_lines(text, "scoring", 50, exact=name != "x.csv")
    assert run(monkeypatch, io.StringIO(), *score, "--quiet") == ""
    bar = run(monkeypatch, Terminal(), *score).rstrip("\n").split("\r")[-1]
    assert re.match(r"scoring: 100%\|.*\| 50\.0/50\.0 \[.* rows/s\]", bar)


def test_sampling_says_how_far_it_is(monkeypatch, model, files):
    sample = ["sample", model, "-n", 50, "-o", files / "out.csv"]
    assert_lines(run(monkeypatch, io.StringIO(), *sample), "sampling", 50, exact=True)
    assert run(monkeypatch, io.StringIO(), *sample, "--quiet") == ""
    bar = run(monkeypatch, Terminal(), *sample).rstrip("\n").split("\r")[-1]
    assert bar.startswith("sampling: 100%")
    flow = cf.Flow([cf.Elementwise(hidden=(4,))], 2, context_features=2, seed=0)
    flow.save(model)
    sample = ["sample", model, "-n", 4, "-o", files / "out.csv", "--context", files / "x.npy"]
    assert_lines(run(monkeypatch, io.StringIO(), *sample), "sampling", 200, exact=True)


def test_reading_says_how_far_it_is(monkeypatch, files):
    fit = ["fit", "-o", files / "m.safetensors", "--epochs", 1, "--hidden", 4]
    for name in ("x.parquet", "x.csv", "x.h5", "x.fits"):
        text = run(monkeypatch, io.StringIO(), *fit, files / name)
        *lines, epoch = text.splitlines()
        assert epoch.startswith("epoch 1/1, 100%")
        parts = [int(re.fullmatch(rf"reading {name}, (\d+)%", line)[1]) for line in lines]
        assert len(set(parts)) > 2 and parts == sorted(parts) and parts[-1] == 100
        assert run(monkeypatch, io.StringIO(), *fit, files / name, "--quiet") == ""
    bars = run(monkeypatch, Terminal(), *fit, files / "x.csv")
    assert re.search(r"\rreading x\.csv: 100%\|[^|]*\| \d\d:\d\d<\d\d:\d\d\n", bars)
    assert "epoch 1/1: 100%" in bars
    text = run(monkeypatch, io.StringIO(), *fit, files / "x.npy")
    assert text.startswith("epoch")  # it is mapped


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
@pytest.mark.parametrize("tqdm", [True, False])
def test_short_work_shows_nothing(monkeypatch, model, files, stream, tqdm):
    if not tqdm:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    score = ["log-prob", model, files / "x.csv", "-o", files / "out.npy"]
    assert run(monkeypatch, stream(), *score, often=False) == ""
    sample = ["sample", model, "-n", 50, "-o", files / "out.csv"]
    assert run(monkeypatch, stream(), *sample, often=False) == ""


def test_the_last_line_of_long_work_is_its_end(monkeypatch):
    clock = iter(range(1000))  # a second a look
    monkeypatch.setattr("cflows.progress.time.monotonic", lambda: next(clock))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    for updates in (1, 5):
        lines = Lines(delay=3.0)
        for i in range(1, updates + 1):
            lines.update("scoring", 1000 * i, 5000)
        lines.close()
    assert sys.stderr.getvalue().splitlines() == [
        "scoring, 40%: 2,000 rows, 1,000 rows/s",
        "scoring, 80%: 4,000 rows, 1,000 rows/s",
        "scoring, 100%: 5,000 rows, 1,000 rows/s",
    ]


def test_progress_that_fails_does_not_end_the_work(monkeypatch, model, files):
    score = ["log-prob", model, files / "x.csv", "-o", files / "out.npy"]
    for writes in (0, 1, 3):
        run(monkeypatch, GoneTerminal(writes), *score)
        assert len(np.load(files / "out.npy")) == 50
