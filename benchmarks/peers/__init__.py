"""The libraries the benchmarks compare: one module each, behind the interface of `model.Model`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from .model import Model


@dataclass(frozen=True)
class Library:
    """One column of the tables: a package, what its users import, and how its flows are run."""

    name: str
    package: str
    imports: str
    compiled: bool = False

    @property
    def installed(self) -> bool:
        return find_spec(self.package) is not None

    def model(self, architecture, *, threads: int, seed: int = 0) -> Model:
        """Imports the library and builds `architecture` with its own initial weights."""
        model = import_module(f"{__name__}.{self.package}").MODEL
        options = {"compiled": True} if self.compiled else {}
        return model(architecture, threads=threads, seed=seed, **options)


NFLOWS = "nflows.flows, nflows.transforms"

LIBRARIES = {
    library.name: library
    for library in (
        Library("cflows", "cflows", "cflows"),
        Library("zuko", "zuko", "zuko"),
        Library("zuko-compiled", "zuko", "zuko", compiled=True),
        Library("normflows", "normflows", "normflows"),
        Library("normflows-compiled", "normflows", "normflows", compiled=True),
        Library("nflows", "nflows", NFLOWS),
        Library("nflows-compiled", "nflows", NFLOWS, compiled=True),
        Library("flowjax", "flowjax", "flowjax.flows"),
    )
}
