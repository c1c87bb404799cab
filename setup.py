"""Build of the C core; everything else is in pyproject.toml."""

import os
import shlex
import subprocess
import sys
import sysconfig
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
SOURCES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in ROOT.glob("csrc/**/*.c")
    if path.parent.name != "api"  # what C programs call, and Python does not
)
FLAGS = [
    line for line in (ROOT / "csrc/flags").read_text().splitlines() if not line.startswith("#")
]
LINK_FLAGS = ["-pthread"] + ([] if sys.platform == "darwin" else ["-Wl,--strip-debug"])


class IncrementalBuild(build_ext):
    """Compiles what has changed, side by side on MAX_JOBS processors or all.

    The objects stay in build/, also where pip asks for an editable install. Beside each lies a
    record: the command that made it, and from the compiler which files it has read. The header
    of the kernels is precompiled; a compiler that does not take it up reads the header itself.
    """

    def finalize_options(self) -> None:
        super().finalize_options()
        self.build_temp = f"build/core.{sysconfig.get_config_var('SOABI')}"

    def build_extension(self, extension: Extension) -> None:
        compiler = self.compiler
        version = subprocess.check_output([compiler.compiler_so[0], "--version"], text=True)
        compile_sources, compile_one = compiler.compile, compiler._compile
        intrinsics = Path(self.build_temp, "intrinsics.h")
        intrinsics.parent.mkdir(parents=True, exist_ok=True)
        if not intrinsics.exists():
            intrinsics.write_text('#include "simd/intrinsics.h"\n')

        def compile_if_changed(target, source, suffix, cc_args, flags, pp_opts):
            if source == str(intrinsics):
                target = f"{source}.gch"
            elif has_kernels(source):
                cc_args = ["-include", str(intrinsics), *cc_args]
            if "/bindings/" in source:
                flags = [*flags, f"-I{numpy.get_include()}"]
            command = shlex.join([*compiler.compiler_so, *cc_args, *flags, version])
            record, read = Path(f"{target}.made"), Path(f"{target}.d")
            if is_current(Path(target), record, command):
                return
            start = time.time()  # of an edit while the compiler runs, the next build hears
            record.unlink(missing_ok=True)
            flags = [*flags, "-MMD", "-MF", str(read)]
            compile_one(target, source, suffix, cc_args, flags, pp_opts)
            record.write_text(f"{command}\0{read.read_text()}")
            os.utime(record, (start, start))

        def compile_all(sources: list[str], *args, **kwargs) -> list[str]:
            compile_sources([str(intrinsics)], *args, **kwargs)
            jobs = int(os.environ.get("MAX_JOBS") or os.cpu_count() or 1)
            with ThreadPoolExecutor(max(jobs, 1)) as pool:
                objects = pool.map(lambda one: compile_sources([one], *args, **kwargs), sources)
                return [name for names in objects for name in names]

        compiler.src_extensions = [*compiler.src_extensions, ".h"]
        compiler.compile, compiler._compile = compile_all, compile_if_changed
        self.force = compiler.force = True  # look at every file, and link
        super().build_extension(extension)


def has_kernels(source: str) -> bool:
    return '#include "simd/instantiate.h"' in (ROOT / source).read_text()


def is_current(target: Path, record: Path, command: str) -> bool:
    """Whether `target` was made by that command, from files that have not changed since."""
    try:
        recorded, rule = record.read_text().split("\0")
        _, read = rule.replace("\\\n", " ").split(":", 1)
        newest = max(os.stat(path).st_mtime for path in shlex.split(read))
        return target.exists() and recorded == command and newest < record.stat().st_mtime
    except FileNotFoundError:
        return False


setup(
    ext_modules=[
        Extension(
            "cflows._core",
            SOURCES,
            include_dirs=["csrc"],
            libraries=["m"],
            extra_compile_args=FLAGS,
            extra_link_args=LINK_FLAGS,
        )
    ],
    cmdclass={"build_ext": IncrementalBuild},
)
