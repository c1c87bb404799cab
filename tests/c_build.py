"""Builds parts of the core for tests that call C directly.

`shared_library` gives a `ctypes.CDLL`, `program` the path of an executable. Both compile once a
session, with the compiler in `CC` and the project's flags; a failing compiler fails the test with
its messages. `simd_levels` lists the instruction sets to test: all that this machine has, or the
one in `CFLOWS_SIMD`.
"""

from __future__ import annotations

import ctypes
import functools
import os
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SIMD_LEVELS = ("base", "avx2", "avx512")
DTYPES = ("float32", "float64")

FLAGS = (
    "-std=c11",
    "-O3",
    "-ffp-contract=off",
    "-fPIC",
    "-pthread",
    "-Wall",
    "-Wextra",
    "-Wshadow",
    "-Wstrict-prototypes",
    f"-I{ROOT / 'csrc'}",
    f"-I{ROOT / 'tests' / 'c'}",
)


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="cflows-tests-")


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{shlex.join(command)}\n{done.stderr}")


def _compiler() -> list[str]:
    return shlex.split(os.environ.get("CC", "cc"))


def _output(source: str, *key: object) -> Path:
    return Path(_folder().name) / f"{Path(source).stem}-{abs(hash((source, key))):x}"


@functools.cache
def _object(source: str, flags: tuple[str, ...]) -> str:
    output = f"{_output(source, flags)}.o"
    _run([*_compiler(), *FLAGS, *flags, "-c", str(ROOT / source), "-o", output])
    return output


@functools.cache
def _compile(sources: tuple[str, ...], flags: tuple[str, ...], link: tuple[str, ...]) -> Path:
    """Objects are shared by all that are built with the same flags, and made in parallel."""
    output = _output(sources[0], sources, flags, link)  # and, before the threads start, the folder
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(lambda source: _object(source, flags), sources))
    _run([*_compiler(), *FLAGS, *flags, *link, *objects, "-o", str(output), "-lm"])
    return output


def shared_library(sources: Sequence[str], flags: Sequence[str] = ()) -> ctypes.CDLL:
    """Compile C files to a shared object and load it.

    Parameters
    ----------
    sources : sequence of str
        C files, relative to the repository's root.
    flags : sequence of str
        Flags beyond the project's own, such as `-DNAME=1`.

    Returns
    -------
    ctypes.CDLL
        The same object for the same arguments.

    Examples
    --------
    >>> library = shared_library(["csrc/simd/simd.c", "csrc/base/status.c"])
    >>> library.cf_simd() in range(3)
    True
    """
    return ctypes.CDLL(str(_compile(tuple(sources), tuple(flags), ("-shared",))))


def program(sources: Sequence[str], flags: Sequence[str] = ()) -> Path:
    """Compile C files to an executable; the parameters are those of `shared_library`."""
    return _compile(tuple(sources), tuple(flags), ())


def simd_levels() -> tuple[int, ...]:
    """Return the levels to test, as indices of `SIMD_LEVELS` and of the kernels' tables."""
    library = shared_library(["csrc/simd/simd.c", "csrc/base/status.c"])
    best = library.cf_simd()
    return (best,) if os.environ.get("CFLOWS_SIMD") else tuple(range(best + 1))
