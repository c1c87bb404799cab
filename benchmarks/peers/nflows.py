"""nflows: https://github.com/bayesiains/nflows"""

from __future__ import annotations

import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.nn.nets import MLP
from nflows.transforms import (
    AffineCouplingTransform,
    CompositeTransform,
    MaskedAffineAutoregressiveTransform,
    MaskedPiecewiseRationalQuadraticAutoregressiveTransform,
    PiecewiseRationalQuadraticCouplingTransform,
    ReversePermutation,
    Transform,
)

from architectures import LOG_SCALE_BOUND, Family, RealNVP

from .torch_model import TorchModel


class Conditioner(MLP):
    """The library's own MLP, called as a coupling calls its conditioner."""

    def __init__(self, inner: int, outer: int, hidden: tuple[int, ...]):
        super().__init__((inner,), (outer,), hidden)

    def forward(self, inputs, context=None):
        return super().forward(inputs)


class SoftclipCoupling(AffineCouplingTransform):
    """`AffineCouplingTransform` with the scale that all libraries are given.

    Its own, sigmoid(a + 2) + 0.001, is never above 1.001: couplings alone could then hardly fit a
    density that is narrower than their base.
    """

    def _scale_and_shift(self, transform_params):
        shift, raw = transform_params.chunk(2, dim=1)
        return torch.exp(raw / (1 + raw.abs() / LOG_SCALE_BOUND)), shift


def family(architecture: Family) -> list[Transform]:
    """Masked networks without residual blocks: one block is one more hidden layer."""
    hidden = architecture.hidden
    splines = {
        "num_bins": architecture.bins,
        "tails": "linear",
        "tail_bound": architecture.bound,
    }
    if architecture.kind == "nsf":
        return [
            PiecewiseRationalQuadraticCouplingTransform(
                torch.from_numpy(~mask).int(),
                lambda inner, outer: Conditioner(inner, outer, hidden),
                **splines,
            )
            for mask in architecture.masks
        ]
    masked = {"num_blocks": len(hidden) - 1, "use_residual_blocks": False}
    layers: list[Transform] = []
    for i in range(architecture.layers):
        layers += [ReversePermutation(architecture.features)] if i > 0 else []
        layers.append(
            MaskedAffineAutoregressiveTransform(architecture.features, hidden[0], **masked)
            if architecture.kind == "maf"
            else MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
                architecture.features, hidden[0], **masked, **splines
            )
        )
    return layers


class NflowsModel(TorchModel):
    """Affine couplings with an MLP conditioner."""

    def build(self, architecture: RealNVP | Family) -> None:
        base = StandardNormal([architecture.features])
        if isinstance(architecture, Family):
            self.module = Flow(CompositeTransform(family(architecture)), base)
            return
        self._couplings = [
            SoftclipCoupling(
                torch.from_numpy(~coupling.mask(architecture.features)).int(),
                lambda inner, outer: Conditioner(inner, outer, architecture.hidden),
            )
            for coupling in architecture.couplings
        ]
        self.module = Flow(CompositeTransform(self._couplings), base)

    def density(self, x: torch.Tensor) -> torch.Tensor:
        return self.module.log_prob(x)

    def draw(self, n: int) -> torch.Tensor:
        return self.module.sample(n)

    def linears(self) -> list[list[torch.nn.Module]]:
        nets = [coupling.transform_net for coupling in self._couplings]
        return [[net._input_layer, *net._hidden_layers, net._output_layer] for net in nets]


MODEL = NflowsModel
