"""zuko: https://github.com/probabilists/zuko"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
import zuko

from architectures import DensityFlow, Family, FreeFlow, RealNVP

from .rows import interleaved
from .torch_model import TorchModel


def family(architecture: Family) -> list[torch.nn.Module]:
    """`zuko.flows.MAF` and `NSF`, and the latter's splines in couplings."""
    bins = architecture.bins
    options = {"hidden_features": architecture.hidden}
    if architecture.kind != "maf":
        options["univariate"] = partial(
            zuko.transforms.MonotonicRQSTransform, bound=architecture.bound
        )
        options["shapes"] = [(bins,), (bins,), (bins - 1,)]
    if architecture.kind == "nsf":
        return [
            zuko.flows.GeneralCouplingTransform(
                architecture.features, mask=torch.from_numpy(mask), **options
            )
            for mask in architecture.masks
        ]
    order = torch.arange(architecture.features)
    return [
        zuko.flows.MaskedAutoregressiveTransform(
            architecture.features, order=order.flip(0) if i % 2 else order, **options
        )
        for i in range(architecture.layers)
    ]


def couplings(architecture: RealNVP) -> list[torch.nn.Module]:
    return [
        zuko.flows.GeneralCouplingTransform(
            architecture.features,
            mask=torch.from_numpy(coupling.mask(architecture.features)),
            hidden_features=coupling.hidden,
        )
        for coupling in architecture.couplings
    ]


class BatchNormTransform(torch.distributions.Transform):
    """Batch normalisation of a flow, which the library doesn't have: the statistics of the batch
    in training, running ones elsewhere."""

    domain = codomain = torch.distributions.constraints.real_vector
    bijective = True

    def __init__(self, norm: torch.nn.BatchNorm1d):
        super().__init__()
        self.norm = norm

    def call_and_ladj(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        norm = self.norm
        variance = x.var(0, unbiased=False) if norm.training else norm.running_var
        ladj = norm.weight.abs().log() - 0.5 * (variance + norm.eps).log()
        return norm(x), ladj.sum().expand(len(x))


class BatchNorm(zuko.lazy.LazyTransform):
    def __init__(self, features: int):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(features)

    def forward(self, c: torch.Tensor | None = None) -> BatchNormTransform:
        return BatchNormTransform(self.norm)


def autoregressive_layers(architecture: DensityFlow) -> list[torch.nn.Module]:
    """MAF: `zuko.flows.MAF` with batch normalisation behind each layer."""
    order = torch.arange(architecture.features)
    layers: list[torch.nn.Module] = []
    for i in range(architecture.layers):
        turned = order.flip(0) if i % 2 else order
        layer = zuko.flows.MaskedAutoregressiveTransform(
            architecture.features, order=turned, hidden_features=architecture.hidden
        )
        layers += [layer, BatchNorm(architecture.features)]
    return layers


def linear(features: int) -> list[torch.nn.Module]:
    """A random permutation, L U, a shift."""
    lazy, transforms = zuko.flows.UnconditionalTransform, zuko.transforms
    return [
        lazy(transforms.PermutationTransform, torch.randperm(features), buffer=True),
        lazy(transforms.LULinearTransform, torch.eye(features)),
        lazy(transforms.AdditiveTransform, torch.zeros(features)),
    ]


def residual_net(inner: int, outer: int, architecture: DensityFlow) -> torch.nn.Module:
    """Pre-activation blocks; the library has residuals in masked networks only."""
    width = architecture.width

    def block() -> torch.nn.Module:
        relu, dropout = torch.nn.ReLU(), torch.nn.Dropout(architecture.dropout)
        into, out = torch.nn.Linear(width, width), torch.nn.Linear(width, width)
        return zuko.nn.Residual(relu, into, torch.nn.ReLU(), dropout, out)

    blocks = [block() for _ in range(architecture.blocks)]
    return torch.nn.Sequential(
        torch.nn.Linear(inner, width), *blocks, torch.nn.Linear(width, outer)
    )


def density_flow(architecture: DensityFlow) -> list[torch.nn.Module]:
    """The library's spline layers, with its linear ones between them.

    A masked network with residuals has a block for each hidden layer that it is asked for, with
    one activation a block: x + linear(relu(linear(x))).
    """
    if architecture.kind == "maf":
        return autoregressive_layers(architecture)
    features, bins = architecture.features, architecture.bins
    spline = {
        "univariate": partial(zuko.transforms.MonotonicRQSTransform, bound=architecture.bound),
        "shapes": [(bins,), (bins,), (bins - 1,)],
    }
    layers: list[torch.nn.Module] = []
    for mask in architecture.masks:
        layers += linear(features)
        if architecture.kind == "nsf":
            layer = zuko.flows.GeneralCouplingTransform(
                features, mask=torch.from_numpy(mask), **spline
            )
            outer = layer.total * int((~mask).sum())
            layer.hyper = residual_net(int(mask.sum()), outer, architecture)
        else:
            layer = zuko.flows.MaskedAutoregressiveTransform(
                features,
                **spline,
                hidden_features=[architecture.width] * architecture.blocks,
                residual=True,
                activation=lambda: torch.nn.Sequential(
                    torch.nn.ReLU(), torch.nn.Dropout(architecture.dropout)
                ),
            )
        layers.append(layer)
    return [*layers, *linear(features)]


def free_flow(architecture: FreeFlow) -> list[torch.nn.Module]:
    """Those of `zuko.flows.NAF`, `SOSPF`, `BPF` and `CNF`."""
    features, flows = architecture.features, zuko.flows
    options = {"hidden_features": architecture.hidden}
    if architecture.kind == "cnf":
        tolerance = {"rtol": architecture.rtol, "atol": architecture.atol}
        flow = flows.CNF(features, **options, **tolerance)
        return [flow.transform]
    options["transforms"] = architecture.layers
    if architecture.kind == "naf":
        network = {"hidden_features": architecture.monotone_hidden}
        flow = flows.NAF(features, signal=architecture.signal, network=network, **options)
    elif architecture.kind == "sos":
        degree, count = architecture.sos_degree, architecture.polynomials
        flow = flows.SOSPF(features, degree=degree, polynomials=count, **options)
    elif architecture.kind == "bernstein":
        flow = flows.BPF(features, degree=architecture.bernstein_degree, **options)
    else:
        raise NotImplementedError(f"it has no flow of kind {architecture.kind}")
    return list(flow.transform.transforms)


class ZukoModel(TorchModel):
    """`zuko.flows.RealNVP`'s transforms, which clip the log scale softly, with masks by halves.

    The distribution is made once and not for every batch: an unconditional flow reads its weights
    when it is evaluated, and making it again is a tenth of the time of a small step. One with
    linear layers is made again, for these read their weights when they are made.
    """

    def build(self, architecture: RealNVP | Family | DensityFlow | FreeFlow) -> None:
        make = {
            RealNVP: couplings,
            Family: family,
            DensityFlow: density_flow,
            FreeFlow: free_flow,
        }
        transforms = make[type(architecture)](architecture)
        base = zuko.flows.UnconditionalDistribution(
            zuko.distributions.DiagNormal,
            loc=torch.zeros(architecture.features),
            scale=torch.ones(architecture.features),
            buffer=True,
        )
        self.module = zuko.flows.Flow(transforms, base)
        made_once = isinstance(architecture, (RealNVP, Family))
        self._made = self.module() if made_once else None

    def density(self, x: torch.Tensor) -> torch.Tensor:
        return (self._made or self.module()).log_prob(x)

    def draw(self, n: int) -> torch.Tensor:
        return (self._made or self.module()).sample((n,))

    def linears(self) -> list[list[torch.nn.Module]]:
        return [list(t.hyper)[::2] for t in self.module.transform.transforms]

    def output_rows(self, transformed: int) -> np.ndarray:
        return interleaved(transformed)


MODEL = ZukoModel
