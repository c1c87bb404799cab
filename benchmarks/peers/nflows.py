"""nflows: https://github.com/bayesiains/nflows"""

from __future__ import annotations

import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.nn.nets import MLP, ResidualNet
from nflows.transforms import (
    AffineCouplingTransform,
    BatchNorm,
    CompositeTransform,
    LULinear,
    MaskedAffineAutoregressiveTransform,
    MaskedPiecewiseRationalQuadraticAutoregressiveTransform,
    PiecewiseRationalQuadraticCouplingTransform,
    RandomPermutation,
    ReversePermutation,
    Transform,
)

from architectures import LOG_SCALE_BOUND, DensityFlow, Family, FreeFlow, RealNVP

from .torch_model import TorchModel


def softclip(raw: torch.Tensor) -> torch.Tensor:
    """The log scale that all libraries are given."""
    return raw / (1 + raw.abs() / LOG_SCALE_BOUND)


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
        return torch.exp(softclip(raw)), shift


class SoftclipAutoregressive(MaskedAffineAutoregressiveTransform):
    """`MaskedAffineAutoregressiveTransform` with that scale; its own is softplus(a) + 0.001."""

    def _elementwise_forward(self, inputs, autoregressive_params):
        raw, shift = self._unconstrained_scale_and_shift(autoregressive_params)
        log_scale = softclip(raw)
        return inputs * torch.exp(log_scale) + shift, log_scale.sum(dim=1)


def splines(architecture: Family | DensityFlow) -> dict:
    return {
        "num_bins": architecture.bins,
        "tails": "linear",
        "tail_bound": architecture.bound,
    }


def family(architecture: Family) -> list[Transform]:
    """Masked networks without residual blocks: one block is one more hidden layer."""
    hidden = architecture.hidden
    if architecture.kind == "nsf":
        return [
            PiecewiseRationalQuadraticCouplingTransform(
                torch.from_numpy(~mask).int(),
                lambda inner, outer: Conditioner(inner, outer, hidden),
                **splines(architecture),
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
                architecture.features, hidden[0], **masked, **splines(architecture)
            )
        )
    return layers


def autoregressive_layers(architecture: DensityFlow) -> list[Transform]:
    """MAF: one block without residuals is one more hidden layer."""
    layers: list[Transform] = []
    for i in range(architecture.layers):
        layers += [ReversePermutation(architecture.features)] if i > 0 else []
        layers.append(
            SoftclipAutoregressive(
                architecture.features, architecture.width, num_blocks=1, use_residual_blocks=False
            )
        )
        layers.append(BatchNorm(architecture.features))
    return layers


def density_flow(architecture: DensityFlow) -> list[Transform]:
    """As the authors of neural spline flows put it together, who wrote the library."""
    if architecture.kind == "maf":
        return autoregressive_layers(architecture)
    features, width = architecture.features, architecture.width
    net = {"num_blocks": architecture.blocks, "dropout_probability": architecture.dropout}
    layers: list[Transform] = []
    for mask in architecture.masks:
        layers += [RandomPermutation(features), LULinear(features)]
        layers.append(
            PiecewiseRationalQuadraticCouplingTransform(
                torch.from_numpy(~mask).int(),
                lambda inner, outer: ResidualNet(inner, outer, width, **net),
                **splines(architecture),
            )
            if architecture.kind == "nsf"
            else MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
                features, width, **net, **splines(architecture)
            )
        )
    return [*layers, RandomPermutation(features), LULinear(features)]


class NflowsModel(TorchModel):
    """Affine couplings with an MLP conditioner."""

    def build(self, architecture: RealNVP | Family | DensityFlow | FreeFlow) -> None:
        if isinstance(architecture, FreeFlow):
            raise NotImplementedError(f"it has no flow of kind {architecture.kind}")
        base = StandardNormal([architecture.features])
        if not isinstance(architecture, RealNVP):
            make = family if isinstance(architecture, Family) else density_flow
            self.module = Flow(CompositeTransform(make(architecture)), base)
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
