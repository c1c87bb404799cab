"""Tests the package with an extension compiled with the address and UB sanitizers.

    python tools/sanitized.py ARGUMENTS OF PYTEST

The core's objects are those of the sanitized C programs of the tests. It needs GCC, whose runtime
libraries are loaded before Python.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import c_build  # noqa: E402

FOLDER = ROOT / "build" / "sanitized"


def build_package() -> None:
    """Make FOLDER/cflows: the package's files beside such an extension."""
    bindings = sorted(str(path) for path in ROOT.glob("csrc/bindings/*.c"))
    headers = [f"-I{sysconfig.get_paths()['include']}", f"-I{numpy.get_include()}"]
    core = c_build.objects(c_build.CORE, c_build.SANITIZED)
    core += c_build.objects(bindings, [*c_build.SANITIZED, *headers])
    extension = c_build.link("_core", core, ".so", c_build.SANITIZED)
    shutil.rmtree(FOLDER, ignore_errors=True)
    no_binaries = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(ROOT / "python" / "cflows", FOLDER / "cflows", ignore=no_binaries)
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    shutil.copy(extension, FOLDER / "cflows" / f"_core{suffix}")


def runtime_library(name: str) -> str:
    command = [*c_build.compiler(), f"-print-file-name={name}"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    if not Path(found).is_absolute():
        sys.exit(f"{command[0]} has no {name}")
    return found


def environment() -> dict[str, str]:
    """Memory that Python leaves at its end is no leak of ours, and too large a size no error."""
    return {
        **os.environ,
        "LD_PRELOAD": f"{runtime_library('libasan.so')}:{runtime_library('libubsan.so')}",
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(FOLDER),
    }


if __name__ == "__main__":
    build_package()
    where = "import cflows, sys; sys.exit(not cflows.__file__.startswith(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", where, FOLDER], env=environment(), check=True)
    command = [sys.executable, "-m", "pytest", *sys.argv[1:]]
    sys.exit(subprocess.run(command, env=environment(), check=False).returncode)
