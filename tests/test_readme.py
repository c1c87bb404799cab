"""What the README says is run: its Python, its C, and its two commands as far as they are ours."""

import re
import shlex
import subprocess
from pathlib import Path

import numpy as np

from c_build import compiler, installed
from cflows.cli import main
from cflows.data import load_table, save_table

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
PROGRAMS = re.findall(r"```c\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"^    (python3 -m venv .*)$", README, re.MULTILINE)
SHELL = [shlex.split(line) for line in re.findall(r"^    (cflows .*)$", README, re.MULTILINE)]


def test_python_blocks(tmp_path, monkeypatch, capsys):
    assert len(BLOCKS) >= 2
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in BLOCKS:
        exec(compile(block, "README.md", "exec"), names)
    assert capsys.readouterr().out


def test_c_program(tmp_path):
    (text,) = PROGRAMS
    source, program = tmp_path / "main.c", tmp_path / "main"
    source.write_text(text)
    strict = ["-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{installed() / 'include'}"]
    libraries = [installed() / "lib/libcflows.a", "-lm", "-pthread"]
    subprocess.run([*compiler(), *strict, source, "-o", program, *libraries], check=True)
    ran = subprocess.run([program], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"loss \S+, log p\(-1, 1\) = -?\d\S*\n", ran.stdout)


def test_the_two_commands():
    assert len(COMMANDS) == 2
    demo, tests = COMMANDS
    assert demo.endswith(".venv/bin/cflows demo")
    assert tests.endswith(".venv/bin/python -m pytest -q")
    extras = (Path(__file__).parent.parent / "pyproject.toml").read_text()
    for extra in ("plot", "progress", "test"):
        assert re.search(rf"^{extra} = \[", extras, re.MULTILINE)


def test_the_shell_commands(tmp_path, monkeypatch, capsys):
    assert {words[1] for words in SHELL} == {"fit", "log-prob", "sample", "info"}
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    mass = rng.gamma(2.0, size=500)
    rows = np.column_stack([mass, mass + rng.normal(size=500)])
    save_table("stars.csv", rows, columns=["mass", "radius"])
    for words in SHELL:
        assert main(words[1:]) == 0
    samples = load_table("samples.csv")[0]
    assert samples.shape == (1000, 2)
    assert (samples[:, 0] > 0.0).all()
    assert load_table("scores.csv")[0].shape == (500, 1)
    assert "2 features" in capsys.readouterr().out


def test_linked_files_exist():
    for path in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (Path(__file__).parent.parent / path).exists(), path
