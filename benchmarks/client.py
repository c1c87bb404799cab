"""The side of the workers that gives the orders."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

WORKER = Path(__file__).with_name("worker.py")


class WorkerError(Exception):
    """The library could not do what it was asked."""


def environment(threads: int) -> dict[str, str]:
    """Thread settings that libraries read when they are imported."""
    count = str(threads)
    names = ("OMP", "MKL", "OPENBLAS", "CFLOWS")
    settings = {f"{name}_NUM_THREADS": count for name in names}
    if threads == 1:
        settings["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    return {**os.environ, **settings}


class Worker:
    """One library in a process of its own, with `threads` threads and as many processors, or more
    for several callers."""

    def __init__(self, library: str, threads: int, callers: int = 1):
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER), library, str(threads), str(callers * threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(threads),
        )

    def call(self, method: str, **arguments: Any) -> Any:
        """The result of the worker's `method`, or WorkerError."""
        try:
            pickle.dump((method, arguments), self._process.stdin)
            self._process.stdin.flush()
            succeeded, result = pickle.load(self._process.stdout)
        except (BrokenPipeError, EOFError):
            raise WorkerError(f"the process ended with status {self._process.wait()}") from None
        if not succeeded:
            raise WorkerError(result)
        return result

    def close(self) -> None:
        with suppress(BrokenPipeError):  # it may have ended by itself
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_) -> None:
        self.close()
