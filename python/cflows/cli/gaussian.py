"""The baseline of ``cflows demo``: a normal distribution with a full covariance matrix."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

_AMOUNTS = (0.0, *np.geomspace(1e-4, 1.0, 33).tolist())


@dataclass(frozen=True)
class Gaussian:
    r"""A normal distribution, its covariance shrunk towards something simpler.

    .. math:: \Sigma = (1 - \lambda) S + \lambda T

    with the sample covariance ``S``, and ``T`` its diagonal or the mean variance times the identity
    (Ledoit and Wolf 2004, A well-conditioned estimator for large-dimensional covariance matrices).

    Attributes
    ----------
    mean : ndarray, shape (features,)
    factor : ndarray, shape (features, features)
        The lower Cholesky factor of the covariance.
    shrinkage : float
        The amount, from 0 to 1.
    target : {'diagonal', 'identity'}
    """

    mean: Float
    factor: Float
    shrinkage: float
    target: str

    def log_prob(self, x: Float) -> Float:
        """The log-density in nats of the rows of x, (n, features) to (n,)."""
        z = np.linalg.solve(self.factor, (x - self.mean).T)
        log_scale = np.log(np.diag(self.factor)).sum() + 0.5 * len(self.mean) * np.log(2.0 * np.pi)
        log_prob: Float = -0.5 * np.square(z).sum(axis=0) - log_scale
        return log_prob


def fit_gaussian(x: Float, validation: Float) -> Gaussian:
    """Estimate mean and covariance, with the shrinkage that is best on the validation rows.

    Parameters
    ----------
    x, validation : ndarray, shape (n, features)

    Returns
    -------
    Gaussian

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(400, 3)) @ np.diag([1.0, 2.0, 3.0])
    >>> fit_gaussian(x[:300], x[300:]).log_prob(x[300:]).shape
    (100,)
    """
    mean, covariance = x.mean(axis=0), np.cov(x, rowvar=False)
    targets = {
        "diagonal": np.diag(np.diag(covariance)),
        "identity": np.eye(len(mean)) * np.diag(covariance).mean(),
    }
    best, best_score = None, -np.inf
    for (name, target), amount in product(targets.items(), _AMOUNTS):
        try:
            factor = np.linalg.cholesky((1.0 - amount) * covariance + amount * target)
        except np.linalg.LinAlgError:  # singular without shrinkage
            continue
        candidate = Gaussian(mean, factor, amount, name)
        score = candidate.log_prob(validation).mean()
        if score > best_score:
            best, best_score = candidate, score
    if best is None:
        raise ValueError("a column is constant: no normal distribution has such rows")
    return best
