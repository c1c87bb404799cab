"""The C library as its users have it: one header, a static and a shared library.

test_core.py runs the same programs sanitized, and at every instruction set.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from c_build import ROOT, compiler, installed, make

STRICT = ["-Wall", "-Wextra", "-Werror"]
CXX = shlex.split(os.environ.get("CXX", "c++"))

# What a header for C++ must be: C linkage, and nothing that only C has.
CPP = """
#include <cflows.h>
#include <cmath>
#include <vector>

int main() {
    cf_spec *layer = nullptr;
    cf_flow *flow = nullptr;
    cf_flow_parts parts = {};
    std::vector<double> x(10, 1.0), log_prob(5);
    if (cf_spec_new_named(&layer, "Exp") != CF_OK || cf_spec_finish(layer) != CF_OK)
        return 1;
    parts.layers = &layer;
    parts.layer_count = 1;
    parts.shape = cf_vector(2);
    if (cf_flow_new(&flow, &parts) != CF_OK)
        return 2;
    cf_matrix points = cf_doubles(x.data(), 5, 2);
    if (cf_flow_log_prob(flow, points, cf_no_context(), log_prob.data()) != CF_OK)
        return 3;
    cf_flow_free(flow);
    cf_spec_free(layer);
    return std::fabs(log_prob[4] + std::log(2 * std::acos(-1.0))) < 1e-6 ? 0 : 4;
}
"""


def run(command):
    ran = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert ran.returncode == 0, f"{shlex.join(map(str, command))}\n{ran.stderr[-4000:]}"
    return ran.stdout


def link_options(kind):
    lib = installed() / "lib"
    if kind == "static":
        return [lib / "libcflows.a", "-lm", "-pthread"]
    return [f"-L{lib}", f"-Wl,-rpath,{lib}", "-lcflows", "-lm"]


@pytest.mark.parametrize("kind", ["static", "shared"])
@pytest.mark.parametrize("name", ["test_public", "test_public_errors"])
def test_c_program(name, kind, tmp_path):
    source, program = ROOT / f"tests/c/{name}.c", tmp_path / name
    include = f"-I{installed() / 'include'}"
    run([*compiler(), "-std=c11", *STRICT, include, source, "-o", program, *link_options(kind)])
    run([program])


@pytest.mark.skipif(shutil.which(CXX[0]) is None, reason="no C++ compiler")
def test_cpp_program(tmp_path):
    source, program = tmp_path / "main.cpp", tmp_path / "main"
    source.write_text(CPP)
    include = f"-I{installed() / 'include'}"
    strict = ["-std=c++11", "-pedantic", *STRICT]
    run([*CXX, *strict, include, source, "-o", program, *link_options("static")])
    run([program])


def test_the_installation_has_one_header():
    assert [path.name for path in (installed() / "include").iterdir()] == ["cflows.h"]


@pytest.mark.skipif(sys.platform != "linux", reason="nm -D is of ELF")
def test_the_shared_library_exports_what_the_header_declares():
    header = re.sub(r"/\*.*?\*/", "", (ROOT / "csrc/cflows.h").read_text(), flags=re.DOTALL)
    inline = set(re.findall(r"static inline \w+ (\w+)\(", header))
    declared = set(re.findall(r"\b(cf_\w+)\(", header)) - inline
    symbols = run(["nm", "-D", "--defined-only", installed() / "lib/libcflows.so"])
    assert {line.split()[-1] for line in symbols.splitlines()} == declared
    assert len(declared) > 30


def test_make_follows_the_headers():
    """Nothing is to be done after the installation, and all that has read a header after it."""
    installed()
    make("-q")
    commands = make("-n", "-W", "ops/spline.h")
    recompiled = set(re.findall(r"-c (\S+)", commands))
    assert "ops/rational_quadratic_spline.c" in recompiled
    assert "base/spec.c" not in recompiled
    assert "libcflows.so" in commands
