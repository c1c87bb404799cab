"""The architectures that every library builds alike, and what they cost to compute."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

LOG_SCALE_BOUND = math.log(1000.0)
"""Bound c of the log scale, s = a / (1 + |a| / c): zuko's default, and what all are given."""

Linear = tuple[np.ndarray, np.ndarray]
"""Weight (out, in) and bias (out,) of one linear layer."""


@dataclass(frozen=True)
class Coupling:
    """One affine coupling, read from data to base: u_b = x_b · exp(s) + t, (t, a) = MLP(x_a).

    The last linear layer's rows are the shifts t of all transformed features, then their
    unconstrained log scales a.
    """

    identity: tuple[int, ...]
    transformed: tuple[int, ...]
    hidden: tuple[int, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Widths of the conditioner, from its input to its output."""
        return (len(self.identity), *self.hidden, 2 * len(self.transformed))

    def mask(self, features: int) -> np.ndarray:
        """True where a feature is kept and conditions the others, shape (features,)."""
        return np.isin(np.arange(features), self.identity)


@dataclass(frozen=True)
class RealNVP:
    """Affine couplings over alternating halves, ReLU conditioners, a standard normal base.

    Dinh, Sohl-Dickstein and Bengio 2017, https://arxiv.org/abs/1605.08803
    """

    features: int
    layers: int
    hidden: tuple[int, ...]

    def __str__(self) -> str:
        widths = ", ".join(map(str, self.hidden))
        return f"{self.layers} × ({widths}), {self.features} features"

    @property
    def couplings(self) -> list[Coupling]:
        """The layers, listed from data to base."""
        middle = (self.features + 1) // 2
        halves = tuple(range(middle)), tuple(range(middle, self.features))
        return [Coupling(halves[i % 2], halves[1 - i % 2], self.hidden) for i in range(self.layers)]

    @property
    def forward_flops(self) -> int:
        """Operations of the matrix products for one row: two a weight."""
        return 2 * sum(
            inner * outer
            for coupling in self.couplings
            for inner, outer in pairwise(coupling.sizes)
        )

    @property
    def training_flops(self) -> int:
        """As `forward_flops`, with the two products of the backward pass: six a weight."""
        return 3 * self.forward_flops

    def random_weights(self, seed: int) -> list[list[Linear]]:
        """Weights and biases of every conditioner, uniform in ±1/√fan_in."""
        rng = np.random.default_rng(seed)

        def linear(inner: int, outer: int) -> Linear:
            bound = 1 / math.sqrt(inner)
            weight = rng.uniform(-bound, bound, (outer, inner)).astype(np.float32)
            return weight, rng.uniform(-bound, bound, outer).astype(np.float32)

        return [[linear(*pair) for pair in pairwise(coupling.sizes)] for coupling in self.couplings]


@dataclass(frozen=True)
class Family:
    """A flow of another kind, ReLU networks and a standard normal base; equal in size, not in
    weights, over the libraries.

    maf     affine autoregressive layers, the order reversed from one to the next
    nsf     rational-quadratic spline couplings over alternating halves
    nsf_ar  autoregressive layers of such splines, the order reversed from one to the next
    """

    kind: str
    features: int
    layers: int
    hidden: tuple[int, ...]
    bins: int = 8
    bound: float = 3.0

    def __str__(self) -> str:
        widths = ", ".join(map(str, self.hidden))
        return f"{self.kind} {self.layers} × ({widths}), {self.features} features"

    @property
    def params(self) -> int:
        """Outputs of the network for one feature: scale and shift, or bins and slopes."""
        return 2 if self.kind == "maf" else 3 * self.bins - 1

    @property
    def masks(self) -> list[np.ndarray]:
        """True where a feature is kept, by coupling, from data to base."""
        first = np.arange(self.features) < (self.features + 1) // 2
        return [first if i % 2 == 0 else ~first for i in range(self.layers)]

    def _coupling_weights(self, identity: int) -> int:
        sizes = (identity, *self.hidden, self.params * (self.features - identity))
        return sum(inner * outer for inner, outer in pairwise(sizes))

    @property
    def _masked_weights(self) -> int:
        """Weights of one masked network that are not masked, hidden units spread evenly."""
        degrees = [np.arange(1, self.features)]
        for width in self.hidden:
            steps = np.arange(1, width + 1) * (self.features - 1)
            degrees.append(-(-steps // width))
        degrees.append(np.repeat(np.arange(self.features), self.params))
        return sum(int((a <= b[:, None]).sum()) for a, b in pairwise(degrees))

    @property
    def forward_flops(self) -> int:
        """Operations of the matrix products for one row that are not with a masked weight."""
        if self.kind == "nsf":
            return 2 * sum(self._coupling_weights(int(mask.sum())) for mask in self.masks)
        return 2 * self.layers * self._masked_weights

    @property
    def training_flops(self) -> int:
        return 3 * self.forward_flops


@dataclass(frozen=True)
class DensityFlow:
    """A flow as the paper of its kind fits it to tables, a standard normal at its base.

    maf     affine autoregressive layers, the order reversed from one to the next, masked networks
            of two hidden layers, batch normalisation after each layer;
            Papamakarios et al. 2017, https://arxiv.org/abs/1705.07057
    nsf     before each coupling and at the end a random permutation and a linear layer W = L U;
            couplings over every other feature with rational-quadratic splines and residual
            networks; Durkan et al. 2019, https://arxiv.org/abs/1906.04032
    nsf_ar  the same with autoregressive layers, masked residual networks, in place of couplings

    Every library builds it so that a layer computes what it does on the way from data to base.
    """

    kind: str
    features: int
    layers: int
    width: int
    blocks: int = 2
    bins: int = 8
    bound: float = 3.0
    dropout: float = 0.0

    def __str__(self) -> str:
        if self.kind == "maf":
            return f"{self.layers} × ({self.width}, {self.width}), batch norm"
        dropout = f", dropout {self.dropout:g}" if self.dropout else ""
        return f"{self.layers} × {self.blocks} blocks of {self.width}, {self.bins} bins{dropout}"

    @property
    def hidden(self) -> tuple[int, ...]:
        """Of the plain networks of `maf`."""
        return (self.width, self.width)

    @property
    def masks(self) -> list[np.ndarray]:
        """True where a feature is kept, by coupling, from data to base."""
        return [np.arange(self.features) % 2 == 1 - i % 2 for i in range(self.layers)]


@dataclass(frozen=True)
class FreeFlow:
    """A flow of a monotone, residual or continuous kind, as zuko or normflows builds it.

    naf        autoregressive layers of monotone networks with a signal of 16, two layers of 32, the
               order reversed from one to the next; Huang et al. 2018, arXiv:1804.00779
    sos        the same of 3 squared polynomials of degree 4; Jaini et al. 2019, arXiv:1905.02325
    bernstein  the same of polynomials of degree 16; Sick et al. 2020, arXiv:2004.00464
    residual   invertible residual blocks of two hidden layers, an activation norm after each;
               Chen et al. 2019, arXiv:1906.02735
    cnf        one differential equation, its velocity a network of two hidden layers of the point
               and three frequencies of time; Grathwohl et al. 2019, arXiv:1810.01367
    matching   the same, learned by flow matching instead of likelihood, by cflows alone;
               Lipman et al. 2023, arXiv:2210.02747

    Equal in size, not in weights. Between the layers of naf and sos is a soft clip at 11.
    """

    kind: str
    features: int
    layers: int
    width: int

    signal = 16
    monotone_hidden = (32, 32)
    polynomials, sos_degree, bernstein_degree = 3, 4, 16
    clip = 11.0
    contraction = 0.97
    rtol, atol = 1e-5, 1e-6

    def __str__(self) -> str:
        return f"{self.layers} × ({self.width}, {self.width})"

    @property
    def hidden(self) -> tuple[int, ...]:
        return (self.width, self.width)
