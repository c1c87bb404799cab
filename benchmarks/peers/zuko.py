"""zuko: https://github.com/probabilists/zuko"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
import zuko

from architectures import Family, RealNVP

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


class ZukoModel(TorchModel):
    """`zuko.flows.RealNVP`'s transforms, which clip the log scale softly, with masks by halves.

    The distribution is made once and not for every batch: an unconditional flow reads its weights
    when it is evaluated, and making it again is a tenth of the time of a small step.
    """

    def build(self, architecture: RealNVP | Family) -> None:
        is_family = isinstance(architecture, Family)
        transforms = family(architecture) if is_family else couplings(architecture)
        base = zuko.flows.UnconditionalDistribution(
            zuko.distributions.DiagNormal,
            loc=torch.zeros(architecture.features),
            scale=torch.ones(architecture.features),
            buffer=True,
        )
        self.module = zuko.flows.Flow(transforms, base)
        self._distribution = self.module()

    def density(self, x: torch.Tensor) -> torch.Tensor:
        return self._distribution.log_prob(x)

    def draw(self, n: int) -> torch.Tensor:
        return self._distribution.sample((n,))

    def linears(self) -> list[list[torch.nn.Module]]:
        return [list(t.hyper)[::2] for t in self.module.transform.transforms]

    def output_rows(self, transformed: int) -> np.ndarray:
        return interleaved(transformed)


MODEL = ZukoModel
