"""Each family learns densities that are known, to a stated part of a nat of the truth."""

import numpy as np
import pytest
from scipy import stats

import cflows as cf

ROWS = 20_000

PLANE = {
    "realnvp": lambda: cf.realnvp(2, layers=8, hidden=(64, 64), seed=0),
    "glow1d": lambda: cf.glow1d(2, layers=8, hidden=(64, 64), seed=0),
    "maf": lambda: cf.maf(2, layers=6, hidden=(64, 64), batch_norm=False, seed=0),
    "iaf": lambda: cf.iaf(2, layers=6, hidden=(64, 64), activation="tanh", seed=0),
    "nsf": lambda: cf.nsf(2, layers=4, hidden=(64, 64), bound=4, seed=0),
    "nsf_ar": lambda: cf.nsf_ar(2, layers=4, hidden=(64, 64), bound=4, seed=0),
}

# Nats above the truth, that is the Kullback-Leibler divergence, after a short fit. Affine maps tear
# no density into parts, and leave bridges between them; a full-covariance normal is 0.9 to 1.4
# above.
NATS = {"realnvp": 0.2, "glow1d": 0.2, "maf": 0.25, "iaf": 0.35, "nsf": 0.06, "nsf_ar": 0.06}
TOYS = ("moons", "pinwheel", "eight_gaussians")


def divergence(flow, log_density, fresh):
    """The mean over fresh rows and, so that a lucky mean is not the proof, its standard error."""
    lead = log_density - flow.log_prob(fresh)
    return lead.mean(), lead.std() / np.sqrt(len(lead))


@pytest.mark.parametrize("name", TOYS)
@pytest.mark.parametrize("family", PLANE)
def test_toys_of_the_plane(family, name):
    toy, flow = cf.data.toy(name), PLANE[family]()
    x, fresh = toy.sample(ROWS, seed=1), toy.sample(ROWS, seed=2)
    flow.fit(
        x,
        validation=0.1,
        epochs=25,
        batch_size=512,
        optimizer=cf.Adam(3e-3),
        schedule="cosine",
        seed=0,
        progress=False,
    )
    found, error = divergence(flow, toy.log_prob(fresh), fresh)
    assert -4 * error < found < NATS[family]


class TwoNormals:
    """A mixture on the line."""

    weights, parts = (0.3, 0.7), (stats.norm(-2.0, 0.4), stats.norm(1.0, 0.8))

    def sample(self, n, seed):
        rng = np.random.default_rng(seed)
        first = rng.random(n) < self.weights[0]
        drawn = [part.rvs(n, random_state=rng) for part in self.parts]
        return np.where(first, *drawn)[:, None]

    def log_prob(self, x):
        both = [part.logpdf(x[:, 0]) for part in self.parts]
        return np.logaddexp(*(np.log(w) + p for w, p in zip(self.weights, both, strict=True)))


class Gamma:
    def sample(self, n, seed):
        return stats.gamma(2.0).rvs((n, 1), random_state=seed)

    def log_prob(self, x):
        return stats.gamma(2.0).logpdf(x[:, 0])


LINE = {
    "elementwise splines": lambda: [cf.Elementwise(cf.Spline(16, bound=4)), cf.Affine()],
    "nsf": lambda: cf.nsf(1, layers=2, bound=4, bins=12, seed=0),
    "nsf_ar": lambda: cf.nsf_ar(1, layers=2, bound=4, bins=12, seed=0),
}


@pytest.mark.parametrize("truth", [TwoNormals(), Gamma()], ids=["two normals", "gamma"])
@pytest.mark.parametrize("family", LINE)
def test_toys_of_the_line(family, truth):
    flow = LINE[family]()
    if isinstance(flow, list):
        flow = cf.Flow(flow, features=1, seed=0)
    x, fresh = truth.sample(ROWS, 1), truth.sample(ROWS, 2)
    flow.fit(
        x, validation=0.1, epochs=30, optimizer=cf.Adam(1e-2), schedule="cosine", progress=False
    )
    found, error = divergence(flow, truth.log_prob(fresh), fresh)
    assert -4 * error < found < 0.04
