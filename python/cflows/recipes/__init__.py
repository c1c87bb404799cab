"""Flows of well-known architectures in one line."""

from .autoregressive import iaf, maf
from .coupling import glow1d, nice
from .images import glow, realnvp_image
from .realnvp import realnvp
from .splines import ncsf, nsf, nsf_ar

__all__ = [
    "glow",
    "glow1d",
    "iaf",
    "maf",
    "ncsf",
    "nice",
    "nsf",
    "nsf_ar",
    "realnvp",
    "realnvp_image",
]
