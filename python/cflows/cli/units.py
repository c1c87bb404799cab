"""Units of log-likelihoods."""

import math


def bits_per_dimension(nats: float, features: int) -> float:
    """Nats a row to bits a feature."""
    return nats / (features * math.log(2.0))
