"""Models in files: weights, permutations and buffers as tensors, the architecture as JSON.

A model is a safetensors file. Its tensors are the parameters under their own names,
``permutations.*`` (int64) and ``buffers.*`` (float64); its metadata are

==================  ============================================================================
``format``          ``"cflows"``
``format_version``  `FORMAT_VERSION`
``version``         of the library that wrote it
``architecture``    JSON: dtype, seed, frozen names; of a flow sizes, base, layers and, if there is
                    one, embedding by type and options; of a model of functions its module; of an
                    ensemble its weights and the architecture of each member, whose tensors are
                    ``members.0.*``, ``members.1.*`` and so on
``checksum``        SHA-256 of all tensors and of the other metadata
==================  ============================================================================
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _core
from .ensembles import Ensemble, restored
from .flow import Flow
from .nn.models import Loss
from .safetensors import dtype_name, read_safetensors, stored, write_safetensors
from .strict_json import MAX_DEPTH, parse
from .vae import VAE

__all__ = ["FORMAT_VERSION", "load", "read_safetensors", "save", "write_safetensors"]

FORMAT_VERSION = 2  # files of version 0.1.0 have 1; they are read too

# Layers take several bytes a feature. A file may claim more features than its tensors have: up to
# this many, that costs little before it is found.
_FREE_FEATURES = 1 << 16

_NAMES = ("columns", "context_columns")

Tensors = dict[str, NDArray[Any]]


def save(model: Flow | Loss | Ensemble, path: str | os.PathLike[str]) -> None:
    """Write a model to a file, which `load` reads; ``flow.save(path)`` does this.

    Parameters
    ----------
    model : Flow, Loss or Ensemble
    path : str or path-like
        Customarily ``*.safetensors``. An existing file is replaced, once the new one is whole.

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        If the layers nest deeper than a file can say.
    RuntimeError
        If an epoch of `fit` is under way in another thread.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import cflows as cf
    >>> flow = cf.realnvp(features=2, seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "flow.safetensors"
    ...     save(flow, path)
    ...     again = load(path)
    >>> bool((again.sample(5, seed=1) == flow.sample(5, seed=1)).all())
    True
    """
    from . import __version__

    architecture, tensors = _ensemble(model) if isinstance(model, Ensemble) else _one(model)
    text = json.dumps(architecture, separators=(",", ":"), allow_nan=False)
    parse(text)  # refuse to write what could not be read
    metadata = {
        "format": "cflows",
        "format_version": str(FORMAT_VERSION),
        "version": __version__,
        "architecture": text,
    }
    metadata["checksum"] = checksum(tensors, metadata)
    write_safetensors(path, tensors, metadata)


def _one(model: Flow | Loss) -> tuple[dict[str, Any], Tensors]:
    """A model's description as JSON, and its tensors."""
    parameters, buffers = model._snapshot()
    tensors: Tensors = parameters | {f"buffers.{name}": array for name, array in buffers.items()}
    architecture = {
        "dtype": str(model.dtype),
        "seed": model.seed,
        "frozen": list(model.frozen),
        **(_parts(model, tensors) if isinstance(model, Flow) else _module(model, tensors)),
    }
    return architecture, tensors


def _ensemble(model: Ensemble) -> tuple[dict[str, Any], Tensors]:
    members: list[dict[str, Any]] = []
    every: Tensors = {}
    for k, flow in enumerate(model):
        architecture, tensors = _one(flow)
        members.append(architecture)
        every |= {f"members.{k}.{name}": array for name, array in tensors.items()}
    return {"members": members, "weights": model.weights.tolist()}, every


def _parts(flow: Flow, tensors: Tensors) -> dict[str, Any]:
    """The flow's description as JSON; adds the permutations to `tensors`."""
    parts = {
        "shape": list(flow.shape),
        "context_features": flow.context_features,
        "base": _described(flow.base, "base", tensors),
        "layers": _described(tuple(layer.spec for layer in flow.layers), "layers", tensors),
    }
    if flow.standardize_context:
        parts["standardize_context"] = True
    parts |= _column_names(flow)
    for name in ("categories", "context_categories"):
        if getattr(flow, name) is not None:
            parts[name] = [None if own is None else list(own) for own in getattr(flow, name)]
    if flow.fitted:
        parts["fitted"] = flow.fitted
    if flow.embedding is not None:
        parts["embedding"] = _described(flow.embedding, "embedding", tensors)
    return parts


def _module(model: Loss, tensors: Tensors) -> dict[str, Any]:
    return {"module": _described(model.module, "module", tensors), **_column_names(model)}


def _column_names(model: Flow | Loss) -> dict[str, list[str]]:
    """Those that it has, by attribute."""
    found = {name: getattr(model, name) for name in _NAMES}
    return {name: list(names) for name, names in found.items() if names is not None}


def load(path: str | os.PathLike[str]) -> Flow | Loss | Ensemble:
    """Read a model that ``flow.save(path)`` has written.

    Nothing in the file is executed, and all of it is checked before a flow is built: a damaged or
    hostile file gives an exception, never another flow.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    Flow, VAE, Loss or Ensemble

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not a model, is of a later format, or is damaged.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import cflows as cf
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "flow.safetensors"
    ...     cf.realnvp(features=2, layers=4, seed=0).save(path)
    ...     cf.load(path).n_parameters
    17672
    """
    tensors, metadata = read_safetensors(path)
    try:
        _check_format(metadata)
        _check_sum(tensors, metadata)
        architecture = parse(metadata["architecture"])
        if isinstance(architecture, dict) and "module" in architecture:
            return _built_loss(architecture, tensors)
        if isinstance(architecture, dict) and "members" in architecture:
            return _built_ensemble(architecture, tensors)
        return _built(architecture, tensors)
    # The core has TypeError and ValueError; in a file both mean damage.
    except (TypeError, OverflowError, ValueError) as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from error


def _described(value: Any, path: str, tensors: Tensors) -> Any:
    """A spec, a value of an option or a tuple of them as JSON; adds permutations to `tensors`."""
    if isinstance(value, _core.Permutation):
        name = f"permutations.{path}"
        tensors[name] = np.array(value.indices, np.int64)
        return {"type": value.type, "options": {"indices": {"tensor": name}}}
    if isinstance(value, _core.Spec):
        if path.count(".") > MAX_DEPTH:
            raise ValueError(f"layers nest too deep for a file: {path[:80]}…")
        options = {
            name: _described(option, f"{path}.{name}", tensors)
            for name, option in value.options.items()
        }
        return {"type": value.type, "options": options}
    if isinstance(value, tuple):
        return [_described(item, f"{path}.{i}", tensors) for i, item in enumerate(value)]
    return value


def checksum(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> str:
    """The SHA-256 of a JSON list of all but the numbers, and of the numbers in its order."""
    names = sorted(tensors)
    table = [[name, dtype_name(tensors[name].dtype), tensors[name].shape] for name in names]
    digest = hashlib.sha256(json.dumps([metadata, table], sort_keys=True).encode("ascii"))
    for name in names:
        digest.update(stored(tensors[name]).tobytes())
    return digest.hexdigest()


def _check_format(metadata: Mapping[str, str]) -> None:
    if metadata.get("format") != "cflows":
        raise ValueError("not a cflows model")
    version = metadata.get("format_version", "")
    if not (version.isascii() and version.isdigit() and len(version) < 10):
        raise ValueError("damaged: no format version")
    if int(version) > FORMAT_VERSION:
        writer = metadata.get("version", "a later version")[:20]
        raise ValueError(
            f"format {version}, written by cflows {writer}; this one reads format {FORMAT_VERSION}:"
            " a newer cflows is needed"
        )
    expected = {"format", "format_version", "version", "architecture", "checksum"}
    if int(version) < 1 or metadata.keys() != expected:
        raise ValueError("damaged: the metadata are not those of a model")


def _check_sum(tensors: Tensors, metadata: dict[str, str]) -> None:
    rest = {name: text for name, text in metadata.items() if name != "checksum"}
    if checksum(tensors, rest) != metadata["checksum"]:
        raise ValueError("damaged: the checksum is not that of the contents")


# A checksum is not a signature: the checks that follow must withstand malicious files.


def _built(architecture: Any, tensors: Tensors) -> Flow:
    sizes = {"context_features": int, "dtype": str, "seed": int}
    parts = {"shape": list, "base": dict, "layers": list, "frozen": list}
    optional = {"embedding": dict, "standardize_context": bool}
    names: dict[str, type] = dict.fromkeys((*_NAMES, "categories", "context_categories"), list)
    names["fitted"] = dict
    _check_members(architecture, sizes | parts, optional | names)
    size = sum(array.nbytes for array in tensors.values())
    permutations = _taken(tensors, "permutations.")
    buffers = without_kl_weight(_taken(tensors, "buffers."))
    _check_frozen(architecture["frozen"], tensors)
    state = {
        **{name: architecture[name] for name in sizes},
        "shape": tuple(architecture["shape"]),
        "base": _spec(architecture["base"], permutations),
        "embedding": None,
        "standardize_context": architecture.get("standardize_context", False),
        "layers": tuple(_spec(layer, permutations) for layer in architecture["layers"]),
        "frozen": tuple(architecture["frozen"]),
        "parameters": tensors,
        "buffers": buffers,
        "attributes": {},
    }
    if "embedding" in architecture:
        state["embedding"] = _spec(architecture["embedding"], permutations)
    if permutations:
        raise ValueError(f"no layer has the tensor {next(iter(permutations))[:80]!r}")
    features = math.prod(_sizes(architecture["shape"])) + architecture["context_features"]
    if features > max(size, _FREE_FEATURES):
        raise ValueError(f"{size} bytes of tensors cannot be those of {features} features")
    is_vae = any(isinstance(layer, _core.Variational) for layer in state["layers"][-1:])
    flow = Flow.__new__(VAE if is_vae else Flow)
    # It compares sizes before it allocates, and builds all or nothing.
    flow.__setstate__(state)
    for name in names.keys() & architecture.keys():
        setattr(flow, name, architecture[name])
    return flow


def _built_loss(architecture: dict[str, Any], tensors: Tensors) -> Loss:
    types = {"dtype": str, "seed": int, "frozen": list, "module": dict}
    _check_members(architecture, types, dict.fromkeys(_NAMES, list))
    buffers = _taken(tensors, "buffers.")
    _check_frozen(architecture["frozen"], tensors)
    module = _spec(architecture["module"], {})
    if not isinstance(module, _core.Module):
        raise ValueError("the module is none")
    model = Loss.__new__(Loss)
    model.__setstate__(
        {
            "module": module,
            "dtype": architecture["dtype"],
            "seed": architecture["seed"],
            "frozen": tuple(architecture["frozen"]),
            "parameters": tensors,
            "buffers": buffers,
            "attributes": {},
        }
    )
    inputs, outputs = model._functions().get("loss", ((), ()))
    names = [name for name, _ in inputs]
    if names not in (["x"], ["x", "context"]) or outputs != (("loss", (1,)),):
        raise ValueError("the module has no loss of x, or of x and context")
    for name in set(_NAMES) & architecture.keys():
        setattr(model, name, architecture[name])
    return model


def _built_ensemble(architecture: Any, tensors: Tensors) -> Ensemble:
    _check_members(architecture, {"members": list, "weights": list})
    members, weights = architecture["members"], architecture["weights"]
    if any(type(weight) is not float for weight in weights) or len(weights) != len(members):
        raise ValueError("the weights of the ensemble must be numbers, one a member")
    array = np.array(weights)
    if not ((array >= 0.0).all() and abs(array.sum() - 1.0) < 1e-9):
        raise ValueError("the weights of the ensemble must be 0 or more, with a sum of 1")
    flows = [_built(part, _taken(tensors, f"members.{k}.")) for k, part in enumerate(members)]
    if tensors:
        raise ValueError(f"no member has the tensor {next(iter(tensors))[:80]!r}")
    return restored(tuple(flows), array)


def without_kl_weight(buffers: Tensors) -> Tensors:
    """The buffers without the warm-up weight that version 0.1.0 kept among them."""
    return {name: x for name, x in buffers.items() if name.split(".")[-1] != "kl_weight"}


def _check_members(
    value: Any, types: Mapping[str, type], optional: Mapping[str, type] | None = None
) -> None:
    optional = optional or {}
    if not isinstance(value, dict) or value.keys() - optional.keys() != types.keys():
        raise ValueError(f"the architecture must have {', '.join(types)}")
    for name, wanted in {**types, **optional}.items():
        if name in value and type(value[name]) is not wanted:  # bool is an int to isinstance
            raise ValueError(f"{name} must be of type {wanted.__name__}")


def _sizes(shape: list[Any]) -> list[int]:
    if any(type(size) is not int for size in shape):
        raise ValueError("the shape must be of integers")
    return shape


def _check_frozen(frozen: list[Any], tensors: Tensors) -> None:
    known = all(isinstance(name, str) and name in tensors for name in frozen)
    if not known or len(set(frozen)) != len(frozen):
        raise ValueError("the frozen names are not those of parameters")


def _taken(tensors: Tensors, prefix: str) -> Tensors:
    """Move the tensors with a prefix into a new mapping, without the prefix."""
    names = [name for name in tensors if name.startswith(prefix)]
    return {name.removeprefix(prefix): tensors.pop(name) for name in names}


def _spec(value: Any, permutations: Tensors) -> _core.Spec:
    """The spec that JSON describes."""
    _check_members(value, {"type": str, "options": dict})
    options = {name: _option(item, permutations) for name, item in value["options"].items()}
    if value["type"] == "Permutation" and not isinstance(options.get("indices"), tuple):
        raise ValueError("the indices of a permutation are missing")
    return _core.make_spec(value["type"], options)


def _option(value: Any, permutations: Tensors) -> Any:
    if isinstance(value, list):
        return tuple(_option(item, permutations) for item in value)
    if not isinstance(value, dict):
        return value
    if value.keys() != {"tensor"}:
        return _spec(value, permutations)
    # Removed once used, so that a file cannot refer to one tensor many times.
    indices = permutations.pop(str(value["tensor"]).removeprefix("permutations."), None)
    if indices is None or indices.ndim != 1 or indices.dtype != np.int64:
        raise ValueError("a permutation must have its own int64 tensor of one dimension")
    return tuple(indices.tolist())
