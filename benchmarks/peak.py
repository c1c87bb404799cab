"""Measures the processor's multiply-add peak with `peak.c`, compiled on the fly."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from processors import pin

FLAGS = ("-std=c11", "-O3", "-ffp-contract=fast", "-pthread")


class Peak:
    """GFLOP/s in float32 and float64, the best of all measurements on that many threads.

    The best and not the median: a neighbour on the machine can only lower it, and a peak that is
    too low would flatter whoever is measured against it.
    """

    def __init__(self) -> None:
        self.simd = ""
        self.float32: dict[int, float] = {}
        self.float64: dict[int, float] = {}
        self._folder = tempfile.TemporaryDirectory()
        self._program = Path(self._folder.name, "peak")
        compiler = shutil.which(os.environ.get("CC", "cc"))
        source = Path(__file__).with_name("peak.c")
        if compiler is not None:
            subprocess.run([compiler, *FLAGS, source, "-o", self._program], check=True)

    def measure(self, threads: int, seconds: float) -> float | None:
        """Once more: that of float32 as it is now, or None where there is no C compiler."""
        if not self._program.exists():
            return None
        done = subprocess.run(
            [self._program, str(threads), str(seconds)],
            preexec_fn=lambda: pin(threads),
            capture_output=True,
            check=True,
            text=True,
        )
        self.simd, _, float32, _, float64 = done.stdout.split()
        self.float32[threads] = max(float(float32), self.float32.get(threads, 0.0))
        self.float64[threads] = max(float(float64), self.float64.get(threads, 0.0))
        return float(float32)

    def __str__(self) -> str:
        if not self.simd:
            return "multiply-add peak: not measured, no C compiler"
        figures = ", ".join(
            f"{self.float32[n]:.0f} float32 and {self.float64[n]:.0f} float64 on {n} thread(s)"
            for n in sorted(self.float32)
        )
        return f"multiply-add peak ({self.simd}), GFLOP/s: {figures}"
