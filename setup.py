"""Build of the C core; everything else is in pyproject.toml."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
SOURCES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("csrc/**/*.c"))
HEADERS = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("csrc/**/*.h"))

# Floating-point contraction would make bits depend on the compiler. Debug information, which some
# Pythons ask for, would make the library four times as large.
FLAGS = ["-std=c11", "-O3", "-ffp-contract=off", "-fvisibility=hidden", "-pthread", "-g0"]
LINK_FLAGS = ["-pthread"] + ([] if sys.platform == "darwin" else ["-Wl,--strip-debug"])


class ParallelBuild(build_ext):
    """Compiles the sources of the extension side by side, on MAX_JOBS processors or all."""

    def build_extension(self, extension: Extension) -> None:
        compile_some = self.compiler.compile

        def compile_all(sources: list[str], *args, **kwargs) -> list[str]:
            jobs = int(os.environ.get("MAX_JOBS") or os.cpu_count() or 1)
            with ThreadPoolExecutor(max(jobs, 1)) as pool:
                objects = pool.map(lambda one: compile_some([one], *args, **kwargs), sources)
                return [name for names in objects for name in names]

        self.compiler.compile = compile_all
        try:
            super().build_extension(extension)
        finally:
            self.compiler.compile = compile_some


setup(
    ext_modules=[
        Extension(
            "cflows._core",
            SOURCES,
            depends=HEADERS,
            include_dirs=["csrc", numpy.get_include()],
            libraries=["m"],
            extra_compile_args=FLAGS,
            extra_link_args=LINK_FLAGS,
        )
    ],
    cmdclass={"build_ext": ParallelBuild},
)
