"""Choice of the instruction set, and the vector primitives at each of them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

import pytest

from c_build import SIMD_LEVELS, program, simd_levels


def in_use(wanted: str | None, flags: Sequence[str] = ()) -> list[str]:
    """The level in use and the complaint, with CFLOWS_SIMD set to `wanted`."""
    path = program(["tests/c/simd_level.c", "csrc/simd/simd.c", "csrc/base/status.c"], flags)
    environment = {k: v for k, v in os.environ.items() if k != "CFLOWS_SIMD"}
    if wanted is not None:
        environment["CFLOWS_SIMD"] = wanted
    done = subprocess.run([path], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split("\n")[:2]


@pytest.mark.parametrize("level", simd_levels(), ids=SIMD_LEVELS.__getitem__)
def test_cflows_simd_chooses_the_level(level: int) -> None:
    assert in_use(SIMD_LEVELS[level]) == [SIMD_LEVELS[level], ""]


def test_best_level_is_the_default() -> None:
    best = in_use(None)
    assert SIMD_LEVELS.index(best[0]) >= max(simd_levels())
    assert best[1] == ""
    assert in_use("") == best


@pytest.mark.parametrize("wrong", ["AVX2", "avx", "sse", "base ", "2"])
def test_unknown_level_is_an_error(wrong: str) -> None:
    level, message = in_use(wrong)
    assert level == in_use(None)[0]
    assert message == f'CFLOWS_SIMD must be base, avx2 or avx512, not "{wrong}"'


@pytest.mark.parametrize("missing", ["avx2", "avx512"])
def test_level_that_the_machine_lacks_is_an_error(missing: str) -> None:
    """The compiler is told that no processor has any extension."""
    plain = ["-D__builtin_cpu_supports(extension)=0"]
    assert in_use(None, plain) == ["base", ""]
    assert in_use(missing, plain) == [
        "base",
        f"CFLOWS_SIMD={missing}: this machine has base at best",
    ]


@pytest.mark.parametrize("level", simd_levels(), ids=SIMD_LEVELS.__getitem__)
def test_vector_primitives(level: int) -> None:
    done = subprocess.run(
        [program(["tests/c/test_vector.c"]), str(level)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr or f"ended by signal {-done.returncode}"
