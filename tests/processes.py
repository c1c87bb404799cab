"""Scripts in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run_script(folder: Path, text: str, *arguments: object) -> None:
    """Run a script, which may import what tests share, and see it end well."""
    path = folder / "script.py"
    path.write_text(text)
    here = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(path), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=900,
        env={**os.environ, "CFLOWS_NUM_THREADS": "4", "PYTHONPATH": here},
    )
    assert done.returncode == 0, done.stdout + done.stderr
