"""Checkpoints of a fit: all that its next epoch depends on, in one safetensors file.

Tensors are ``parameters.*``, ``buffers.*``, ``state.*`` (of the trainer) and ``history.*``; the
metadata are the format, what the fit was asked for, as JSON, and a checksum.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from .history import History, number_or_none
from .persist import checksum, without_kl_weight
from .safetensors import read_safetensors, write_safetensors
from .strict_json import parse

if TYPE_CHECKING:
    from .flow import Flow
    from .nn import Loss

__all__ = ["Checkpoint", "architecture"]

FORMAT = "cflows-checkpoint-1"

Tensors = dict[str, NDArray[Any]]
Config = dict[str, Any]  # JSON values

_LISTS = ("train", "validation", "learning_rate", "steps", "seconds")
_LONGEST = 100  # characters of a value in a message


class Checkpoint(NamedTuple):
    """A fit at the end of an epoch.

    Parameters
    ----------
    config : dict
        What has to be the same for the fit to resume, by name; the file's ``terms``.
    parameters, buffers : dict of str to ndarray
        Of the flow.
    state : dict
        What `_core.Trainer.state` gives.
    history : History
    """

    config: Config
    parameters: Tensors
    buffers: Tensors
    state: dict[str, Any]
    history: History

    def write(self, path: str) -> None:
        """Write the file whole or not at all; OSError if that fails."""
        tensors = {
            **_named("parameters", self.parameters),
            **_named("buffers", self.buffers),
            **_named("state", {name: np.asarray(value) for name, value in self.state.items()}),
            **_named("history", _packed(self.history)),
        }
        metadata = {"format": FORMAT, "terms": json.dumps(self.config, allow_nan=False)}
        metadata["checksum"] = checksum(tensors, metadata)
        write_safetensors(path, tensors, metadata)

    @classmethod
    def read(cls, path: str) -> Checkpoint:
        """Read what `write` wrote; ValueError if the file is anything else."""
        tensors, metadata = read_safetensors(path)
        if metadata.get("format") != FORMAT:
            raise ValueError(f"{path}: not a checkpoint of a fit that this version reads")
        try:
            return cls._checked(tensors, metadata)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: damaged checkpoint: {error}") from error

    @classmethod
    def _checked(cls, tensors: Tensors, metadata: dict[str, str]) -> Checkpoint:
        if metadata.pop("checksum") != checksum(tensors, metadata):
            raise ValueError("the checksum is not that of the contents")
        groups: dict[str, Tensors] = {"parameters": {}, "buffers": {}, "state": {}, "history": {}}
        for name, array in tensors.items():
            group, _, rest = name.partition(".")
            groups[group][rest] = array
        state = {
            name: array if array.ndim else array.item() for name, array in groups["state"].items()
        }
        config = parse(metadata["terms"])
        if type(config) is not dict or type(config["seed"]) is not int:
            raise ValueError("it does not say of which fit it is")
        _bring_up_to_date(config, state)
        history = _unpacked(groups["history"])
        if type(state["epoch"]) is not int or len(history.train) != state["epoch"]:
            raise ValueError("the history is not that of the state")
        buffers = without_kl_weight(groups["buffers"])
        return cls(config, groups["parameters"], buffers, state, history)

    def check_config(self, path: str, config: Config) -> None:
        """Raise ValueError, with the first difference, unless the config is the checkpoint's."""
        for name in {**config, **self.config}:
            ours, theirs = config.get(name), self.config.get(name)
            if ours != theirs and name in ("x", "context", "weights", "u", "validation"):
                raise ValueError(
                    f"{path} is of a fit on other data: {name} has changed; a fit resumes with the "
                    "same flow, data and options"
                )
            if ours != theirs:
                raise ValueError(
                    f"{path} is of a fit with {name}={_shown(theirs)}, this one has "
                    f"{name}={_shown(ours)}; a fit resumes with the same flow, data and options"
                )

    def check_tensors(self, path: str, flow: Flow) -> None:
        """Raise ValueError unless names, shapes and dtypes are those of the flow's tensors."""
        for theirs, ours in ((self.parameters, flow.parameters), (self.buffers, flow.buffers)):
            if _layout(theirs) != _layout(ours):
                raise ValueError(f"{path}: damaged checkpoint: other tensors than the flow's")

    def restore(self, flow: Flow) -> None:
        """Write parameters and buffers into a flow; `check_tensors` comes first."""
        for theirs, ours in ((self.parameters, flow.parameters), (self.buffers, flow.buffers)):
            for name, array in ours.items():
                array[...] = theirs[name]


def _bring_up_to_date(config: Config, state: dict[str, Any]) -> None:
    """Convert what version 0.1.0 wrote to what this version writes for the same fit."""
    if config["optimizer"].startswith("SGD(") and "first_moment" in state:
        state["momentum"] = state.pop("first_moment")
        del state["second_moment"]  # all zeros
    if config["schedule"].startswith("Plateau(") and "threshold" not in config["schedule"]:
        config["schedule"] = f"{config['schedule'][:-1]}, threshold=0.0)"
    if "shape" in config:
        config.setdefault("standardize_context", False)


def architecture(model: Flow | Loss) -> Config:
    """What identifies a model's architecture, by name."""
    if model.module is not None:
        parts: Config = {"module": repr(model.module)}
    else:
        parts = _parts(cast("Flow", model))
    return {"dtype": str(model.dtype), **parts, "frozen": list(model.frozen)}


def _parts(flow: Flow) -> Config:
    layers = {f"layers.{i}": repr(layer.spec) for i, layer in enumerate(flow.layers)}
    return {
        "shape": list(flow.shape),
        "context_features": flow.context_features,
        "standardize_context": flow.standardize_context,
        "base": repr(flow.base),
        "embedding": None if flow.embedding is None else repr(flow.embedding),
        **layers,
    }


def _named(group: str, tensors: Mapping[str, NDArray[Any]]) -> Tensors:
    return {f"{group}.{name}": array for name, array in tensors.items()}


def _layout(tensors: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    return {name: (array.shape, array.dtype) for name, array in tensors.items()}


def _kinds(tensors: Tensors) -> dict[str, Any]:
    return {name: (array.ndim, array.dtype) for name, array in tensors.items()}


def _packed(history: History) -> Tensors:
    """The history as arrays: unlike JSON they may hold NaN."""
    tensors = {name: np.array(getattr(history, name), np.float64) for name in _LISTS}
    tensors["steps"] = np.array(history.steps, np.int64)
    tensors["skipped"] = np.array(history.skipped)
    tensors["best_epoch"] = np.array(history.best_epoch or 0)
    if any(history.penalty):  # which few fits have
        tensors["penalty"] = np.array(history.penalty, np.float64)
    return tensors


def _unpacked(tensors: Tensors) -> History:
    penalty = tensors.get("penalty")
    if _kinds(tensors) != _kinds(_packed(History(penalty=[1.0] * (penalty is not None)))):
        raise ValueError("the history is not made of the arrays that it should be")
    lists = {name: tensors[name].tolist() for name in _LISTS}
    lists["validation"] = [number_or_none(value) for value in lists["validation"]]
    lists["penalty"] = [0.0] * len(lists["train"]) if penalty is None else penalty.tolist()
    best = tensors["best_epoch"].item()
    if {len(values) for values in lists.values()} != {len(lists["train"])}:
        raise ValueError("the lists of the history differ in length")
    return History(**lists, skipped=tensors["skipped"].item(), best_epoch=best or None)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
