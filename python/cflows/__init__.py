"""Normalizing flows for NumPy users, computed by a C core of its own.

A flow carries a base distribution to the data, ``u -> x``; its inverse carries data to the base,
``x -> u``. Layers are listed from base to data.

>>> import cflows as cf
>>> flow = cf.realnvp(features=2, layers=4, hidden=(32, 32), seed=0)
>>> flow.sample(3, seed=1).shape
(3, 2)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import _core
from ._core import *  # noqa: F403  every class of a layer, a part or an optimiser
from ._core import (
    Cotangents,
    NumericalError,
    OnFeatures,
    ShiftedTransform,
    get_num_threads,
    set_num_threads,
    simd_level,
)
from .annealing import Annealing
from .arguments import hint
from .check import Audit, audit, jacobian
from .columns import Column, categorical, circular, count, interval, ordinal, positive, real
from .ctarget import CTarget
from .data_warnings import DataWarning
from .ensembles import Ensemble, ensemble
from .flow import Flow
from .history import EpochReport, History
from .importance import Importance
from .recipes import (
    bnaf,
    cnf,
    gaussianization,
    glow,
    glow1d,
    iaf,
    maf,
    naf,
    ncsf,
    nice,
    nsf,
    nsf_ar,
    planar,
    realnvp,
    realnvp_image,
    residual,
    sylvester,
)
from .target_history import TargetHistory, TargetReport
from .trainer import Trainer
from .units import bits_per_dimension
from .vae import VAE

if TYPE_CHECKING:
    from . import data as data
    from . import nn as nn
    from . import plot as plot
    from .persist import load as load

# Names of version 0.1.0, for this version.
Partial = OnFeatures
TurnedTransform = ShiftedTransform

__version__ = "0.1.0"

__all__ = [
    # flows
    "Flow",
    "VAE",
    "Ensemble",
    "ensemble",
    "realnvp",
    "nice",
    "glow1d",
    "nsf",
    "maf",
    "iaf",
    "nsf_ar",
    "ncsf",
    "naf",
    "bnaf",
    "gaussianization",
    "residual",
    "planar",
    "sylvester",
    "cnf",
    "glow",
    "realnvp_image",
    # what columns hold
    "Column",
    "real",
    "positive",
    "interval",
    "circular",
    "count",
    "ordinal",
    "categorical",
    # learning
    "History",
    "EpochReport",
    "TargetHistory",
    "TargetReport",
    "Trainer",
    "Annealing",
    "CTarget",
    "Importance",
    "load",
    # checks
    "jacobian",
    "audit",
    "Audit",
    # the rest
    "bits_per_dimension",
    "Cotangents",
    "NumericalError",
    "DataWarning",
    "get_num_threads",
    "set_num_threads",
    "simd_level",
    "data",
    "nn",
    "plot",
]
__all__ += [*_core.__all__, "Partial", "TurnedTransform"]


def __getattr__(name: str) -> Any:
    # These import what a program that only scores or samples never needs.
    if name in ("data", "nn", "plot"):
        return import_module(f".{name}", __name__)
    if name == "load":
        return import_module(".persist", __name__).load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint(name, __all__)}")


def __dir__() -> list[str]:
    return __all__
