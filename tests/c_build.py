"""Builds parts of the core for tests that call C directly.

`shared_library` gives a `ctypes.CDLL`, `program` the path of an executable, `installed` the library
that `csrc/Makefile` builds. All compile with the compiler in `CC` and the project's flags; a
failing compiler fails the test with its messages. What was compiled stays in build/tests under a
name that tells the command and the contents: processes that test side by side share it, and the
next session takes it up. `simd_levels` lists the instruction sets to test: all that this machine
has, or the one in `CFLOWS_SIMD`.
"""

from __future__ import annotations

import ctypes
import fcntl
import functools
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "tests"
SIMD_LEVELS = ("base", "avx2", "avx512")
DTYPES = ("float32", "float64")

CORE_FLAGS = [
    line for line in (ROOT / "csrc/flags").read_text().splitlines() if not line.startswith("#")
]
FLAGS = (
    *CORE_FLAGS,
    "-fPIC",
    "-fvisibility=default",  # for ctypes
    "-Wall",
    "-Wextra",
    "-Wshadow",
    "-Wstrict-prototypes",
    "-Wmissing-prototypes",
    "-Wno-missing-field-initializers",  # tables leave out what they have not
    # Linux has gcc unless CC says otherwise; other compilers may have warnings of their own.
    *(["-Werror"] if sys.platform == "linux" and "clang" not in os.environ.get("CC", "") else []),
    f"-I{ROOT / 'csrc'}",
    f"-I{ROOT / 'tests' / 'c'}",
)
# All that is sanitized has the same flags, so that it is compiled once. Without optimisation the
# kernels compile in a fraction of the time, and no access to memory is optimised away. -g1: lines
# are all that reports need.
SANITIZED = ("-O0", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

# The matrix kernels, which take the longest, come first: nothing has to wait for them at the end.
CORE = sorted(
    (
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "csrc").rglob("*.c")
        if "bindings" not in path.parts
    ),
    key=lambda source: (not source.startswith("csrc/simd/"), source),
)


INTRINSICS = "csrc/simd/intrinsics.h"
LIBRARIES = {".h.gch": [], ".o": [], ".so": ["-lm"], "": ["-lm"]}


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{shlex.join(command)}\n{done.stderr}")
    return done.stdout


@functools.cache
def compiler() -> tuple[str, ...]:
    return tuple(shlex.split(os.environ.get("CC", "cc")))


@functools.cache
def _version() -> bytes:
    return subprocess.run([*compiler(), "--version"], capture_output=True, check=True).stdout


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


@functools.cache
def _surroundings() -> bytes:
    """What every object depends on: the compiler's version, and all headers."""
    headers = sorted([*ROOT.glob("csrc/**/*.h"), *ROOT.glob("tests/c/*.h")])
    return _digest(_version(), *(path.read_bytes() for path in headers)).encode()


def _made(stem: str, suffix: str, command: Sequence[str], made_of: Sequence[Path]) -> Path:
    """The command's output, made by one process for all; replaces what older contents gave."""
    BUILD.mkdir(parents=True, exist_ok=True)
    identity = [*command, *(path.name.rpartition("-")[0] or str(path) for path in made_of)]
    name = f"{stem}-{_digest(*map(str.encode, identity))}"
    contents = _digest(_surroundings(), *(path.read_bytes() for path in made_of))
    output = BUILD / f"{name}-{contents}{suffix}"
    with open(BUILD / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not output.exists():
            for old in BUILD.glob(f"{name}-*"):
                old.unlink()
            part = BUILD / f"{name}.part"
            _run([*command, *map(str, made_of), "-o", str(part), *LIBRARIES[suffix]])
            part.rename(output)
    return output


@functools.cache
def _precompiled(flags: tuple[str, ...]) -> tuple[str, str]:
    """Options that include the header of kernels, which is read once for all."""
    command = [*compiler(), *FLAGS, *flags, "-c"]
    header = _made("intrinsics", ".h.gch", command, [ROOT / INTRINSICS]).with_suffix("")
    shutil.copyfile(ROOT / INTRINSICS, header)  # for a compiler that does not take the other up
    return "-include", str(header)


@functools.cache
def _object(source: str, flags: tuple[str, ...]) -> Path:
    path = ROOT / source
    has_kernels = '#include "simd/instantiate.h"' in path.read_text()
    # A test may define which of the system's functions it sees, before it includes anything.
    before = _precompiled(flags) if has_kernels and source.startswith("csrc/") else ()
    return _made(path.stem, ".o", [*compiler(), *before, *FLAGS, *flags, "-c"], [path])


def objects(sources: Sequence[str], flags: Sequence[str] = ()) -> list[Path]:
    """Compile C files, side by side; the parameters are those of `shared_library`."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda source: _object(source, tuple(flags)), sources))


def link(stem: str, parts: Sequence[Path], suffix: str, flags: Sequence[str] = ()) -> Path:
    """Link objects to a program or, if the suffix is .so, to a shared object."""
    shared = ["-shared"] if suffix == ".so" else []
    return _made(stem, suffix, [*compiler(), *FLAGS, *flags, *shared], parts)


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
    return _loaded(tuple(sources), tuple(flags))


@functools.cache
def _loaded(sources: tuple[str, ...], flags: tuple[str, ...]) -> ctypes.CDLL:
    return ctypes.CDLL(str(link(Path(sources[0]).stem, objects(sources, flags), ".so", flags)))


@functools.cache
def _program(sources: tuple[str, ...], flags: tuple[str, ...]) -> Path:
    return link(Path(sources[0]).stem, objects(sources, flags), "", flags)


def program(sources: Sequence[str], flags: Sequence[str] = ()) -> Path:
    """Compile C files to an executable; the parameters are those of `shared_library`."""
    return _program(tuple(sources), tuple(flags))


def make(*arguments: str) -> str:
    """Run `make -C csrc` for a library that is kept in build/tests, and return what it prints.

    Optimised a little: it compiles in a third of the time.
    """
    csrc, command = ROOT / "csrc", shlex.join(compiler())
    kept = BUILD / f"library-{_digest(command.encode(), _version())}"
    settings = [f"CC={command}", "CFLAGS=-O1", f"BUILD={os.path.relpath(kept, csrc)}"]
    BUILD.mkdir(parents=True, exist_ok=True)
    with open(f"{kept}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _run(["make", "-C", str(csrc), f"-j{os.cpu_count()}", *settings, *arguments])


@functools.cache
def installed() -> Path:
    """Return where `make install` has put include/cflows.h and the libraries, in lib/."""
    prefix = BUILD / "installed"
    make("install", f"PREFIX={prefix}")
    return prefix


def simd_levels() -> tuple[int, ...]:
    """Return the levels to test, as indices of `SIMD_LEVELS` and of the kernels' tables."""
    library = shared_library(["csrc/simd/simd.c", "csrc/base/status.c"])
    best = library.cf_simd()
    return (best,) if os.environ.get("CFLOWS_SIMD") else tuple(range(best + 1))
