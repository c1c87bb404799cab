"""Where libraries keep the shifts and the unconstrained log scales in a conditioner's output."""

from __future__ import annotations

import numpy as np


def interleaved(transformed: int) -> np.ndarray:
    """shift 0, scale 0, shift 1, scale 1, …, as rows of (all shifts, all scales)."""
    return np.arange(2 * transformed).reshape(2, transformed).T.ravel()
