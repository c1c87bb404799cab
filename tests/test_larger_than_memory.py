"""Tables larger than memory: what scoring, sampling and reading a column take is bounded."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import cflows as cf
from cflows.data import save_table
from processes import run_script

EIGHTHS = np.random.default_rng(0).integers(0, 8, (50_000, 6)) / 8
MANY = 40  # times that many rows: 96 MB


def write_many(path: Path, times: int) -> None:
    names, x = list("abcdef"), np.tile(EIGHTHS, (times, 1))
    if ".csv" in path.name:
        lines = "".join(",".join(map(str, row)) + "\n" for row in EIGHTHS.tolist())
        whole = f"{','.join(names)}\n{lines * times}".encode()
        path.write_bytes(gzip.compress(whole, 1) if path.suffix == ".gz" else whole)
    elif path.suffix == ".parquet":
        table = pa.table(dict(zip(names, x.T, strict=True)))
        plain = {"compression": "none", "use_dictionary": False}
        parquet.write_table(table, path, row_group_size=100_000, **plain)
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file.create_dataset("data", data=x, chunks=(10_000, 6), compression="lzf")
    else:
        save_table(path, x, names)


BOUNDED = """
import os, sys
os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # its own takes more at once than it needs
os.environ["OMP_NUM_THREADS"] = "2"  # each has a stack
import numpy as np
from cflows.cli import main
from cflows.data import load_table
from memory import no_more_than

model, few, many, out, rows = sys.argv[1:]
score = ["log-prob", model, few, "-o", out]
assert main(score) == 0  # what it takes once
score[2] = many
with no_more_than(48 << 20):
    assert main(score) == 0
assert len(np.load(out)) == int(rows)
if many.endswith(".parquet"):
    with no_more_than(48 << 20):
        x, names = load_table(many, ["c"])  # a sixth
    assert len(x) == int(rows) and names == ["c"]
with no_more_than(24 << 20):
    assert main(["sample", model, "-n", "2000000", "-o", out]) == 0  # 48 MB
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is one of Linux")
@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.parquet", "x.feather", "x.fits", "x.h5"])
def test_memory_is_bounded(tmp_path: Path, name: str) -> None:
    cf.Flow([cf.Affine()], 6, seed=0).save(tmp_path / "m.safetensors")
    few, many = tmp_path / f"few-{name}", tmp_path / f"many-{name}"
    write_many(few, 4)
    write_many(many, MANY)
    given = [tmp_path / "m.safetensors", few, many, tmp_path / "out.npy", MANY * len(EIGHTHS)]
    run_script(tmp_path, BOUNDED, *given)
