"""The names that options take, for type checkers: a wrong one is an error before it runs."""

from __future__ import annotations

from typing import Literal

Activation = Literal[
    "relu",
    "leaky_relu",
    "tanh",
    "elu",
    "silu",
    "gelu",
    "softplus",
    "sigmoid",
    "identity",
]
ScaleForm = Literal["softclip", "tanh", "exp", "sigmoid", "softplus"]
BlockResidual = Literal["gated", "normal"]
ContractionActivation = Literal[
    "lipswish",
    "elu",
    "tanh",
    "relu",
    "leaky_relu",
    "softplus",
    "sigmoid",
    "sine",
    "identity",
]
Direction = Literal["inverse", "forward"]
LogDetForm = Literal["auto", "exact", "series"]
PlanarActivation = Literal["tanh", "leaky_relu"]
SolverName = Literal["euler", "rk4", "dopri5", "tsit5"]
TargetLossName = Literal["reverse_kl", "forward_kl", "alpha"]
StepScheduleName = Literal["constant", "cosine"]
ScheduleName = Literal[StepScheduleName, "plateau"]
