"""Reading a table of text, beside pandas: the numbers must be the same, and the times are compared.

    python benchmarks/tables.py
    python benchmarks/tables.py --rows 200000 --columns 20

The file is written first, to a folder that is removed at the end. Each reader runs a few times, by
turns; the shortest times are reported.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cflows.data import load_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--columns", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    x = np.random.default_rng(0).normal(size=(options.rows, options.columns))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        pd.DataFrame(x).add_prefix("x").to_csv(path, index=False)
        readers: dict[str, Callable[[], Any]] = {
            "cflows.data.load_table": lambda: load_table(path)[0],
            "pandas.read_csv": lambda: pd.read_csv(path).to_numpy(),
        }
        seconds = {name: float("inf") for name in readers}
        for _ in range(options.repeats):
            for name, read in readers.items():
                start = time.perf_counter()
                array = read()
                seconds[name] = min(seconds[name], time.perf_counter() - start)
                assert np.array_equal(array, x), f"{name} read other numbers"
        megabytes = path.stat().st_size / 1e6
    own, peer = seconds.values()
    print(f"{options.rows:,} rows of {options.columns}, {megabytes:.0f} MB of text")
    for name, time_ in seconds.items():
        print(f"{name:<24}{time_:8.3f} s {megabytes / time_:8.0f} MB/s")
    print(f"cflows takes {own / peer:.2f} times as long as pandas {pd.__version__}")


if __name__ == "__main__":
    main()
