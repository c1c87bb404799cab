"""A golden case: builds a flow with public constructors and ``flow.parameters``.

A builder a layer type turns the description into a spec and says which array fills which parameter.
Weights are copied with their rows and columns re-ordered, and that is all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import cflows as cf

from .autoregressive import autoregressive
from .bases import base_of
from .bends import planar, radial, sylvester
from .continuous import cnf
from .couplings import coupling, elementwise, masked_affine, two_sided_coupling
from .description import NOTES, ORIGIN, Arrays, Description, expect
from .images import channel_affine, checkerboard_affine, split, squeeze
from .linear import (
    dense_right,
    diag_affine_const,
    householder_sequence,
    lu_linear,
    lu_linear_zuko,
    permutation,
    plu_right,
    qr_linear,
    rotation_expm,
)
from .maps import batchnorm_eval, dequantize_scale, logit, logit_temperature, softclip
from .residual import residual
from .sources import Sources

LAYERS = {
    "planar": planar,
    "radial": radial,
    "sylvester": sylvester,
    "residual": residual,
    "rotation_expm": rotation_expm,
    "lu_linear_zuko": lu_linear_zuko,
    "autoregressive": autoregressive,
    "cnf": cnf,
    "batchnorm_eval": batchnorm_eval,
    "plu_right": plu_right,
    "dense_right": dense_right,
    "elementwise": elementwise,
    "lu_linear": lu_linear,
    "householder_sequence": householder_sequence,
    "qr_linear": qr_linear,
    "channel_affine": channel_affine,
    "conv1x1": lu_linear,
    "squeeze": squeeze,
    "checkerboard_affine": checkerboard_affine,
    "dequantize_scale": dequantize_scale,
    "logit": logit,
    "logit_temperature": logit_temperature,
    "softclip": softclip,
    "coupling": coupling,
    "two_sided_coupling": two_sided_coupling,
    "masked_affine": masked_affine,
    "permutation": permutation,
    "diag_affine_const": diag_affine_const,
}


@dataclass
class Case:
    """One golden case: its description and arrays."""

    meta: dict[str, Any]
    arrays: dict[str, np.ndarray]

    def __post_init__(self) -> None:
        self.meta = Description(self.meta)
        self.arrays = Arrays(self.arrays)

    @classmethod
    def read(cls, path: Path) -> Case:
        with np.load(path) as file:
            arrays = {key: file[key] for key in file.files if key != "meta"}
            return cls(json.loads(str(file["meta"])), arrays)

    @property
    def context_features(self) -> int:
        return int(self.meta["context_features"])

    def latents(self) -> np.ndarray:
        """Which of our latents, flattened, each of theirs is: of ours what a split factors out
        comes before what it leaves."""
        rest, parts, indices = self.meta["features"], [], np.arange(self.meta["features"])
        for layer in self.meta["layers"]:
            if layer["type"] == "split":
                factored, rest = np.split(indices[-rest:], 2)[0], rest // 2
                parts.append(factored)
        parts.append(indices[-rest:])
        reversed_order = self.meta.get("latent_order") == "last_first"
        return np.concatenate(parts[::-1] if reversed_order else parts)

    def _layers(self, first: int) -> tuple[list[Any], Sources]:
        """Theirs from number `first` on, which are listed x -> u, base to data."""
        described = list(enumerate(self.meta["layers"]))[first:]
        chain: list[tuple[Any, Sources]] = []
        for i, layer in described:
            if layer["type"] == "split":
                chain.insert(0, split(layer, f"layer{i}", *self._layers(i + 1)))
                break
            if layer["type"] not in LAYERS:
                raise ValueError(f"layers[{i}] has the unknown type {layer['type']}")
            chain.insert(0, LAYERS[layer["type"]](layer, f"layer{i}", self))
        sources: Sources = {}
        for i, (_, found) in enumerate(chain):
            sources |= {f"layers.{i}.{name}": source for name, source in found.items()}
        return [spec for spec, _ in chain], sources

    def build(self, dtype: str = "float64") -> tuple[cf.Flow, Sources]:
        """The flow with this case's weights, and where each parameter's values come from.

        ValueError names the keys of the description, and the weights, that no builder reads.
        """
        layers, sources = self._layers(0)
        described = self.meta["base"]
        base, found = base_of(described, self)
        shape = tuple(self.meta.get("event_shape") or ())
        expect(self.meta, "features", int(np.prod(shape or self.meta["features"])))
        expect(self.meta, "latent_order", "first_factored_first", "last_first")
        size = {"shape": shape} if len(shape) == 3 else {"features": self.meta["features"]}
        flow = cf.Flow(
            layers,
            **size,
            context_features=self.context_features,
            base=base,
            dtype=dtype,
        )
        sources |= found
        # What the description names but this net does not have (a block's context layer).
        sources = {name: s for name, s in sources.items() if name in flow.parameters}
        assert sorted(sources) == sorted(flow.parameters)
        for name, parameter in flow.parameters.items():
            parameter[...] = sources[name].read(self.arrays).reshape(parameter.shape)
        unread = sorted([*self.meta.unread("", NOTES | ORIGIN), *self.arrays.unread()])
        if unread:
            raise ValueError(f"nothing reads {', '.join(unread)}")
        return flow, sources
