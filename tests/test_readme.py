"""What the README says is run: its Python, and its two commands as far as they are ours."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"^    (python3 -m venv .*)$", README, re.MULTILINE)


def test_python_blocks(tmp_path, monkeypatch, capsys):
    assert len(BLOCKS) >= 2
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in BLOCKS:
        exec(compile(block, "README.md", "exec"), names)
    assert capsys.readouterr().out


def test_the_two_commands():
    assert len(COMMANDS) == 2
    demo, tests = COMMANDS
    assert demo.endswith(".venv/bin/cflows demo")
    assert tests.endswith(".venv/bin/python -m pytest -q")
    extras = (Path(__file__).parent.parent / "pyproject.toml").read_text()
    for extra in ("plot", "progress", "test"):
        assert re.search(rf"^{extra} = \[", extras, re.MULTILINE)


@pytest.mark.parametrize("words", [["fit"], ["log-prob"], ["sample"], ["info"], ["demo"]])
def test_the_shell_commands_exist(words):
    command = [sys.executable, "-m", "cflows", *words, "--help"]
    assert subprocess.run(command, capture_output=True, check=True).stdout
    assert words == ["demo"] or f"cflows {words[0]} " in README


def test_linked_files_exist():
    for path in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (Path(__file__).parent.parent / path).exists(), path
