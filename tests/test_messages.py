"""Messages that users meet: `messages.txt` has what was typed, and the exact text.

Read it aloud as somebody would who has never seen the source: a message says what was wrong, what
was expected, what was got and what to do. An entry is a line that says what it is about, what was
typed behind ``>>>`` in Python or behind ``$`` in a shell, and what was said; the exit status of a
command that fails follows in brackets.
"""

from __future__ import annotations

import re
import shlex
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from astropy import table, units
from scipy import sparse

import cflows as cf
from cflows import data, nn
from cflows.cli import main

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 2)).round(6)
QUICK: dict[str, Any] = {"epochs": 1, "seed": 0, "progress": False}


FILES = {
    "empty.csv": "",
    "names.csv": "mass,radius\n",
    "stars.csv": "mass,radius\n" + "\n".join(f"{a},{b}" for a, b in (np.abs(X) + 0.5).tolist()),
    "text.csv": "mass,name\n1,Vega\n2,Deneb\n",
    "gap.csv": "mass,radius\n1,2\n3,\n5,6\n",
    "na.csv": "mass,radius\n1,2\n3,NA\n5,6\n",
    "inf.csv": "mass,radius\n1,2\n3,inf\n5,6\n",
    "ragged.csv": "mass,radius\n1,2\n3\n5,6\n",
    "years.csv": "2021,2022,2023\n1.5,2.5,3.5\n",
    "numbers.csv": "0,1,2\n1.5,2.5,3.5\n",
    "comma.csv": "mass;radius\n1,5;2,5\n3,5;4,5\n",
    "other.csv": "Mass,size\n1,2\n3,4\n5,6\n",
    "twice.csv": "mass,mass\n1,2\n3,4\n5,6\n",
    "below.csv": "mass,radius\n1,2\n3,-4\n5,6\n",
    "halves.csv": "mass,radius\n1,2\n2,4.5\n3,6\n",
    "x.odt": "no table",
    "notes.txt": "My notes\n1 2 3\n4 5\n",
    "damaged.safetensors": "not a model",
}


class Case(NamedTuple):
    about: str
    typed: str
    said: str


def read_cases() -> list[Case]:
    """The entries of the table, without the titles of its sections."""
    text = Path(__file__).with_name("messages.txt").read_text(encoding="utf-8")
    entries = [entry for entry in text.strip().split("\n\n") if not entry.startswith("# ")]
    return [Case(*entry.split("\n", 2)) for entry in entries]


CASES = read_cases()


def of(prompt: str) -> Any:
    cases = [case for case in CASES if case.typed.startswith(prompt)]
    return pytest.mark.parametrize("case", cases, ids=[case.about for case in cases])


def new(**options: Any) -> cf.Flow:
    return cf.maf(2, 1, 8, seed=0, **options)


def with_column(column: Any) -> np.ndarray:
    """The second column is this one."""
    return np.column_stack([X[:, 0], np.broadcast_to(column, len(X))])


@pytest.fixture(scope="module")
def objects() -> dict[str, Any]:
    """What the cases name. They share it, for a call that is refused changes nothing."""
    named = new()
    named.columns = ("mass", "radius")
    kinds = new(columns=[cf.categorical(["dwarf", "giant"]), cf.real])
    kinds.columns = ("kind", "mass")
    one, conditions = cf.maf(1, 1, 8, seed=0), new(context_features=2)
    one.columns, conditions.context_columns = ("mass",), ("z", "mass")
    objective = nn.objective(lambda x, p: nn.sum(x * p.a), 2, parameters={"a": [0.0, 0.0]}, seed=0)
    objective.columns = ("mass", "radius")
    return {
        **{"cf": cf, "np": np, "pd": pd, "data": data, "sparse": sparse},
        **{"table": table, "units": units, "nn": nn},
        **{"one": one, "conditions": conditions, "objective": objective},
        **{"x": X, "stars": pd.DataFrame(X, columns=["mass", "radius"])},
        **{"new": new, "quick": QUICK, "with_column": with_column},
        **{"flow": new(), "named": named, "kinds": kinds, "conditional": new(context_features=2)},
        "continuous": cf.Flow([cf.Continuous()], features=2, seed=0),
        "conditional_continuous": cf.Flow(
            [cf.Continuous()], features=2, context_features=2, seed=0
        ),
        "ensemble": cf.ensemble(new(), 2, seed=0),
        "images": cf.glow((1, 4, 4), levels=1, steps=1, channels=4, seed=0),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, objects: dict[str, Any]) -> Path:
    path = tmp_path_factory.mktemp("messages")
    for name, text in FILES.items():
        (path / name).write_text(text)
    np.save(path / "x.npy", X)
    np.save(path / "wide.npy", np.zeros((5, 3)))
    np.savez(path / "sets.npz", train=X, test=X)
    for name in ("flow", "named", "conditional"):
        objects[name].save(path / f"{name}.safetensors")
    loss = nn.objective(lambda x, p: nn.sum(x * p.a), 2, parameters={"a": [0.0, 0.0]}, seed=0)
    loss.save(path / "loss.safetensors")
    content = bytearray((path / "flow.safetensors").read_bytes())
    (path / "cut.safetensors").write_bytes(content[:200])
    content[-1] ^= 1
    (path / "flipped.safetensors").write_bytes(content)
    objects["ensemble"].save(path / "ensemble.safetensors")
    new().fit(X, checkpoint=path / "kept", **QUICK)
    return path


def said_by(statements: str, names: dict[str, Any]) -> str:
    """The type and the text of the exception, or else of the warnings, a line each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            exec(statements, dict(names))
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return "\n".join(f"{w.category.__name__}: {w.message}" for w in caught)


@of(">>> ")
def test_messages_of_the_library(
    case: Case, objects: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(package: str) -> None:
        monkeypatch.setitem(sys.modules, package, None)

    monkeypatch.chdir(folder)
    assert said_by(case.typed[4:], {**objects, "without": without}) == case.said


@of("$ cflows")
def test_messages_of_the_command_line(
    case: Case, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    try:
        status: Any = main(shlex.split(case.typed)[2:])
    except SystemExit as stopped:
        status = stopped.code
    lines = capsys.readouterr().err.splitlines()
    if status == 2:
        assert lines[0].startswith("usage: cflows")
        lines = [_same_in_all_versions(lines[-1])]
    assert lines + [f"[{status}]"] * (status != 0) == case.said.splitlines()


def _same_in_all_versions(text: str) -> str:
    """Python has quotes around choices, or none."""
    return re.sub(r"\(choose from .*\)$", lambda choices: choices[0].replace("'", ""), text)


def test_no_entry_comes_twice_and_all_are_run() -> None:
    assert len({case.about for case in CASES}) == len({case.typed for case in CASES}) == len(CASES)
    assert all(case.typed.startswith((">>> ", "$ cflows")) for case in CASES)
    assert all(case.said for case in CASES)
