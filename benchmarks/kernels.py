"""What share of cflows' time is spent outside of the matrix kernels, by sampling with `perf`.

    python benchmarks/kernels.py [--families NAMES] [--only WORKS] [--seconds N]

Linux with `perf`. One thread; samples in the library and in libc count, those of the interpreter
do not.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from architectures import Family
from options import choices
from table import markdown

LAYERS = {"maf": 5, "nsf": 10, "nsf_ar": 5}
WORKS = {"train": 512, "log_prob": 10_000, "sample": 10_000}
FEATURES = (6, 43)

MATRIX = re.compile(
    r"(full|pair|single|panel|panels|panel_sums|dots|linear|outer_sum|one_sample|run_panel)"
    r"(_masked|_by_output|_continued)*_(base|avx2|avx512)_f32"
)
LINE = re.compile(r"\s*([0-9.]+)%\s+(\S+)\s+\[.\]\s+(\S+)")


def architecture(kind: str, features: int) -> Family:
    return Family(kind, features, LAYERS[kind], (128, 128))


def work(kind: str, features: int, task: str, seconds: float) -> None:
    """What the child does, under the eyes of perf."""
    import jobs
    from peers.cflows import CflowsModel

    flow = architecture(kind, features)
    model = CflowsModel(flow, threads=1, seed=0)
    jobs.job(model, flow, task, WORKS[task], sys.maxsize).seconds_per_unit(seconds)


def samples(arguments: list[str]) -> Counter[str]:
    """The share of each function of the library and of libc, in percent of all samples."""
    with tempfile.TemporaryDirectory() as folder:
        data = str(Path(folder) / "perf.data")
        record = ["perf", "record", "-q", "-e", "cpu-clock", "-F", "999", "-o", data]
        child = [sys.executable, __file__, "--child", *arguments]
        subprocess.run([*record, "--", *child], check=True, capture_output=True)
        report = ["perf", "report", "-i", data, "--stdio", "--no-children", "--sort", "dso,symbol"]
        text = subprocess.run(report, check=True, capture_output=True, text=True).stdout
    found: Counter[str] = Counter()
    for line in text.splitlines():
        match = LINE.match(line)
        if match and match[2].startswith(("_core", "libc.so")):
            found[match[3]] += float(match[1])
    return found


def row(kind: str, features: int, task: str, seconds: float) -> list[str]:
    found = samples([kind, str(features), task, str(seconds)])
    total = sum(found.values())
    others = {name: share for name, share in found.items() if not MATRIX.match(name)}
    largest = sorted(others, key=others.__getitem__, reverse=True)[:3]
    named = ", ".join(
        f"{re.sub('_(base|avx2|avx512)_f32', '', n)} {others[n] / total:.0%}" for n in largest
    )
    return [str(architecture(kind, features)), task, f"{sum(others.values()) / total:.0%}", named]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", type=lambda t: choices(t, LAYERS), default=list(LAYERS))
    parser.add_argument("--only", type=lambda t: choices(t, WORKS), default=list(WORKS))
    parser.add_argument("--seconds", type=float, default=5.0, help="of each row (default: 5)")
    options = parser.parse_args()
    rows = [
        row(kind, features, task, options.seconds)
        for kind in options.families
        for features in FEATURES
        for task in options.only
    ]
    print(markdown(("architecture", "work", "outside", "the largest of it"), rows, names=2))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        work(sys.argv[2], int(sys.argv[3]), sys.argv[4], float(sys.argv[5]))
    else:
        main()
