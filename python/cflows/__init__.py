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

from ._core import (
    MLP,
    SGD,
    ActNorm,
    Adam,
    AdamW,
    AdditiveTransform,
    Affine,
    AffineTransform,
    Arcsinh,
    Autoregressive,
    Base,
    BatchNorm,
    BernoulliLikelihood,
    CategoricalLikelihood,
    Chain,
    CircularShift,
    Conditioner,
    Constant,
    ConvDecoder,
    ConvEncoder,
    ConvNet,
    ConvResidualNet,
    Cosine,
    Cotangents,
    Coupling,
    CubicSpline,
    Dequantize,
    Elementwise,
    Embedding,
    Exp,
    Expression,
    FullNormal,
    Householder,
    Inverse,
    Laplace,
    Layer,
    Likelihood,
    Linear,
    LinearSpline,
    Lion,
    Log,
    Logistic,
    LogisticLikelihood,
    Logit,
    MixedTransform,
    Mixture,
    MixtureLogistic,
    Module,
    Muon,
    Normal,
    NormalLikelihood,
    NumericalError,
    Optimizer,
    Partial,
    Permutation,
    Plateau,
    Power,
    Product,
    QuadraticSpline,
    RAdam,
    ResidualNet,
    Rotation,
    Scale,
    Schedule,
    Sigmoid,
    Sinh,
    Softplus,
    Spec,
    Spline,
    Split,
    Squeeze,
    StudentT,
    Tanh,
    Transform,
    Triangular,
    TurnedTransform,
    Uniform,
    Variational,
    get_num_threads,
    set_num_threads,
    simd_level,
)
from .check import Audit, audit, jacobian
from .columns import Column, circular, count, interval, ordinal, positive, real
from .ctarget import CTarget
from .flow import Flow
from .history import EpochReport, History
from .recipes import glow, glow1d, iaf, maf, ncsf, nice, nsf, nsf_ar, realnvp, realnvp_image
from .target import Importance, TargetHistory, TargetReport
from .trainer import Trainer
from .units import bits_per_dimension
from .vae import VAE

if TYPE_CHECKING:
    from . import data as data
    from . import nn as nn
    from . import plot as plot
    from .persist import load as load

__version__ = "0.1.0"

__all__ = [
    # flows
    "Flow",
    "VAE",
    "realnvp",
    "nice",
    "glow1d",
    "nsf",
    "maf",
    "iaf",
    "nsf_ar",
    "ncsf",
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
    # layers
    "Layer",
    "Coupling",
    "Autoregressive",
    "Elementwise",
    "Permutation",
    "Squeeze",
    "Split",
    "Dequantize",
    "Variational",
    "Expression",
    "ActNorm",
    "BatchNorm",
    "Affine",
    "Linear",
    "Triangular",
    "Householder",
    "Rotation",
    "Inverse",
    "Chain",
    "Partial",
    # fixed maps of single features
    "Exp",
    "Log",
    "Sigmoid",
    "Logit",
    "Tanh",
    "Softplus",
    "Sinh",
    "Arcsinh",
    "Power",
    "CircularShift",
    # their parts
    "Transform",
    "AffineTransform",
    "AdditiveTransform",
    "Spline",
    "LinearSpline",
    "QuadraticSpline",
    "CubicSpline",
    "MixtureLogistic",
    "MixedTransform",
    "TurnedTransform",
    "Conditioner",
    "MLP",
    "ResidualNet",
    "ConvNet",
    "ConvResidualNet",
    "ConvEncoder",
    "ConvDecoder",
    "Embedding",
    "Scale",
    "Spec",
    "Module",
    # bases
    "Base",
    "Normal",
    "FullNormal",
    "StudentT",
    "Laplace",
    "Logistic",
    "Uniform",
    "Mixture",
    "Product",
    # likelihoods
    "Likelihood",
    "BernoulliLikelihood",
    "NormalLikelihood",
    "CategoricalLikelihood",
    "LogisticLikelihood",
    # learning
    "Optimizer",
    "Adam",
    "AdamW",
    "RAdam",
    "SGD",
    "Lion",
    "Muon",
    "Schedule",
    "Constant",
    "Cosine",
    "Plateau",
    "History",
    "EpochReport",
    "TargetHistory",
    "TargetReport",
    "Trainer",
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
    "get_num_threads",
    "set_num_threads",
    "simd_level",
    "data",
    "nn",
    "plot",
]


def __getattr__(name: str) -> Any:
    # These import what a program that only scores or samples never needs.
    if name in ("data", "nn", "plot"):
        return import_module(f".{name}", __name__)
    if name == "load":
        return import_module(".persist", __name__).load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
