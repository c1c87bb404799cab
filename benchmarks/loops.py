"""What loops in programs cost beside the same programs unrolled: `loops.c`, compiled on the fly
with the core of this checkout.

    python benchmarks/loops.py
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FLAGS = ("-std=c11", "-O3", "-ffp-contract=off", "-pthread", f"-I{ROOT / 'csrc'}")


def main() -> None:
    compiler = shlex.split(os.environ.get("CC", "cc"))
    core = (path for path in (ROOT / "csrc").rglob("*.c") if "bindings" not in path.parts)
    sources = [*core, Path(__file__).with_suffix(".c")]
    with tempfile.TemporaryDirectory() as folder:
        objects = [Path(folder, f"{i}.o") for i in range(len(sources))]

        def build(source: Path, output: Path) -> None:
            subprocess.run([*compiler, *FLAGS, "-c", source, "-o", output], check=True)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(build, sources, objects))
        program = Path(folder, "loops")
        subprocess.run([*compiler, "-pthread", *objects, "-o", program, "-lm"], check=True)
        subprocess.run([program], check=True)


if __name__ == "__main__":
    main()
