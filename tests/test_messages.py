"""Messages that users meet: what was typed, and the exact text, which must help its reader."""

from __future__ import annotations

import contextlib
import io
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import cflows as cf
from cflows import data, nn
from cflows.cli import main

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 2)).round(6)
QUIET: dict[str, Any] = {"epochs": 1, "seed": 0, "progress": False}


def with_column(column: Any) -> np.ndarray:
    return np.column_stack([X[:, 0], np.broadcast_to(column, len(X))])


def _objects() -> dict[str, Any]:
    """What the cases name: shared, for a call that is refused changes nothing."""
    named = cf.maf(2, 1, 8, seed=0)
    named.columns = ("mass", "radius")
    conditional = cf.maf(2, 1, 8, context_features=2, seed=0)
    kinds = cf.maf(2, 1, 8, columns=[cf.categorical(["dwarf", "giant"]), cf.real], seed=0)
    kinds.columns = ("kind", "mass")
    images = cf.glow((1, 4, 4), levels=1, steps=1, channels=4, seed=0)
    return {
        **{"cf": cf, "np": np, "pd": pd, "nn": nn, "data": data, "x": X, "quick": QUIET},
        **{"flow": cf.maf(2, 1, 8, seed=0), "named": named, "conditional": conditional},
        **{"kinds": kinds, "images": images, "with_column": with_column, "sys": sys},
        "stars": pd.DataFrame(X, columns=["mass", "radius"]),
        "new": lambda **options: cf.maf(2, 1, 8, seed=0, **options),
    }


FILES = {
    "empty.csv": "",
    "names.csv": "mass,radius\n",
    "stars.csv": "mass,radius\n" + "\n".join(f"{a},{b}" for a, b in np.exp(X).tolist()),
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
    "wide.csv": "mass,radius,z\n1,2,3\n3,4,5\n5,6,7\n",
    "x.odt": "no table",
    "notes.txt": "My notes\n1 2 3\n4 5\n",
    "damaged.safetensors": "not a model",
    "damaged.npy": "not an array",
    "damaged.npz": "not an archive",
    "damaged.parquet": "not a table",
    "damaged.h5": "not a table",
    "damaged.fits": "not a table",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("messages")
    for name, text in FILES.items():
        (path / name).write_text(text)
    np.save(path / "x.npy", X)
    np.save(path / "bare3.npy", np.zeros((5, 3)))
    np.savez(path / "sets.npz", train=X, test=X)
    np.save(path / "objects.npy", np.array(["a", None], object))
    objects = _objects()
    objects["flow"].save(path / "flow.safetensors")
    objects["named"].save(path / "named.safetensors")
    objects["conditional"].save(path / "conditional.safetensors")
    loss = nn.objective(lambda x, p: nn.sum(x * p.a), 2, parameters={"a": [0.0, 0.0]}, seed=0)
    loss.save(path / "loss.safetensors")
    content = bytearray((path / "flow.safetensors").read_bytes())
    (path / "cut.safetensors").write_bytes(content[:200])
    content[-1] ^= 1
    (path / "flipped.safetensors").write_bytes(content)
    cf.maf(2, 1, 8, seed=0).fit(X, checkpoint=path / "kept", **QUIET)
    return path


def said_by(statement: str) -> str:
    """The type and the text of the exception or else of the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            exec(statement, _objects())
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return "\n".join(f"{w.category.__name__}: {w.message}" for w in caught)


def said_on_stderr(words: list[str]) -> tuple[int, str]:
    """The exit status and the text without the usage, which argparse repeats."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status: Any = main(words)
        except SystemExit as stopped:
            status = stopped.code
    text = err.getvalue().strip()
    return status, text[text.rfind("\n") + 1 :] if status == 2 else text
