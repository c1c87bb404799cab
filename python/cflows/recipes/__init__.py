"""Flows of well-known architectures in one line."""

from .autoregressive import iaf, maf, ncsf, nsf_ar
from .coupling import glow1d, nice, nsf
from .images import glow, realnvp_image
from .realnvp import realnvp

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
