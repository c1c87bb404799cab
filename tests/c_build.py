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


@functools.cache
def _compile(sources: tuple[str, ...], flags: tuple[str, ...]) -> Path:
    output = Path(_folder().name) / f"{Path(sources[0]).stem}-{abs(hash((sources, flags))):x}"
    paths = [str(ROOT / source) for source in sources]
    command = [*shlex.split(os.environ.get("CC", "cc")), *FLAGS, *paths, *flags]
    done = subprocess.run([*command, "-o", str(output), "-lm"], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"{shlex.join(command)}\n{done.stderr}")
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
    return ctypes.CDLL(str(_compile(tuple(sources), ("-shared", *flags))))


def program(sources: Sequence[str], flags: Sequence[str] = ()) -> Path:
    """Compile C files to an executable; the parameters are those of `shared_library`."""
    return _compile(tuple(sources), tuple(flags))


def simd_levels() -> tuple[int, ...]:
    """Return the levels to test, as indices of `SIMD_LEVELS` and of the kernels' tables."""
    library = shared_library(["csrc/simd/simd.c", "csrc/base/status.c"])
    best = library.cf_simd()
    return (best,) if os.environ.get("CFLOWS_SIMD") else tuple(range(best + 1))
