"""Flows of well-known architectures in one line."""

from .autoregressive import iaf, maf
from .bends import planar, sylvester
from .continuous import cnf
from .coupling import glow1d, nice
from .gaussianization import gaussianization
from .images import glow, realnvp_image
from .neural import bnaf, naf
from .realnvp import realnvp
from .residual import residual
from .splines import ncsf, nsf, nsf_ar

__all__ = [
    "bnaf",
    "cnf",
    "gaussianization",
    "glow",
    "glow1d",
    "iaf",
    "maf",
    "naf",
    "ncsf",
    "nice",
    "nsf",
    "nsf_ar",
    "planar",
    "realnvp",
    "realnvp_image",
    "residual",
    "sylvester",
]
