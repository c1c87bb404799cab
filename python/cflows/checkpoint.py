"""Checkpoints of a fit: all that its next epoch depends on, in one safetensors file."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .history import History
from .safetensors import read_safetensors, write_safetensors
from .strict_json import parse

if TYPE_CHECKING:
    from .flow import Flow

__all__ = ["Checkpoint"]

FORMAT = "cflows-checkpoint-1"
Path = str | os.PathLike[str]


class Checkpoint:
    """A fit's options, the trainer's state, the history, the flow's parameters and buffers."""

    def __init__(
        self,
        options: dict[str, Any],
        state: dict[str, Any],
        history: History,
        parameters: dict[str, NDArray[Any]],
        buffers: dict[str, NDArray[Any]],
    ) -> None:
        self.options, self.state, self.history = options, state, history
        self.parameters, self.buffers = parameters, buffers

    def write(self, path: Path) -> None:
        """Write to a temporary file and rename it."""
        tensors = {f"parameters.{name}": array for name, array in self.parameters.items()}
        tensors |= {f"buffers.{name}": array for name, array in self.buffers.items()}
        numbers = {}
        for name, value in self.state.items():
            if isinstance(value, np.ndarray):
                tensors[f"state.{name}"] = value
            else:
                numbers[name] = repr(value)  # floats may be infinite
        metadata = {
            "format": FORMAT,
            "options": json.dumps(self.options),
            "state": json.dumps(numbers),
            "history": json.dumps(self.history.to_dict()),
        }
        write_safetensors(path, tensors, metadata)

    @classmethod
    def read(cls, path: Path) -> Checkpoint:
        """Read what `write` wrote; ValueError if the file is anything else."""
        tensors, metadata = read_safetensors(path)
        if metadata.get("format") != FORMAT:
            raise ValueError(f"{os.fspath(path)} is no checkpoint of a fit")
        try:
            state: dict[str, Any] = {
                name: float(value) if "." in value or "n" in value else int(value)
                for name, value in parse(metadata["state"]).items()
            }
            history = History(**parse(metadata["history"]))
            options = parse(metadata["options"])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{os.fspath(path)}: damaged checkpoint: {error}") from error
        groups: dict[str, dict[str, NDArray[Any]]] = {"parameters": {}, "buffers": {}, "state": {}}
        for name, array in tensors.items():
            group, _, rest = name.partition(".")
            if group not in groups:
                raise ValueError(f"{os.fspath(path)}: unexpected tensor {name!r}")
            groups[group][rest] = array
        state |= groups["state"]
        return cls(options, state, history, groups["parameters"], groups["buffers"])

    def check(self, path: Path, flow: Flow, options: dict[str, Any]) -> None:
        """Raise ValueError unless the checkpoint is of this flow and these options."""
        for name in sorted(options.keys() | self.options.keys()):
            ours, theirs = options.get(name), self.options.get(name)
            if ours != theirs:
                raise ValueError(
                    f"{os.fspath(path)} was made with {name}={theirs!r}, this fit has {ours!r}"
                )
        for kind, ours, theirs in (
            ("parameter", flow.parameters, self.parameters),
            ("buffer", flow.buffers, self.buffers),
        ):
            if ours.keys() != theirs.keys():
                odd = sorted(ours.keys() ^ theirs.keys())[0]
                raise ValueError(f"{os.fspath(path)} is of another flow: {kind} {odd!r}")
            for name, array in ours.items():
                found = theirs[name]
                if found.shape != array.shape or found.dtype != array.dtype:
                    raise ValueError(
                        f"{os.fspath(path)}: {kind} {name!r} must be {array.dtype} {array.shape}, "
                        f"got {found.dtype} {found.shape}"
                    )

    def restore(self, flow: Flow) -> None:
        """Copy the parameters and buffers into the flow."""
        for name, array in flow.parameters.items():
            array[...] = self.parameters[name]
        for name, array in flow.buffers.items():
            array[...] = self.buffers[name]
