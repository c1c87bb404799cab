"""What a library costs before it computes anything: import time and installed size."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

from packaging.requirements import Requirement

IMPORT = "from time import perf_counter as t; a = t(); import {}; print(t() - a)"


def import_seconds(modules: str) -> float:
    """Time of `import modules` in a fresh interpreter."""
    command = [sys.executable, "-c", IMPORT.format(modules)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def with_dependencies(distribution: str) -> set[str]:
    """The distributions that an install of this one brings, without extras."""
    found: set[str] = set()
    wanted = [distribution]
    while wanted:
        name = metadata.distribution(wanted.pop()).metadata["Name"].lower()
        if name in found:
            continue
        found.add(name)
        for line in metadata.requires(name) or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                wanted.append(requirement.name)
    return found


def installed_bytes(package: str) -> int:
    """Size of the files of an importable package's distribution and all it requires."""
    (distribution, *_) = metadata.packages_distributions()[package]
    files = {
        path.locate().resolve()
        for name in with_dependencies(distribution)
        for path in metadata.distribution(name).files or []
    }
    return sum(file.stat().st_size for file in files if file.is_file())
