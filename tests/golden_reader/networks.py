"""Networks that are not masked."""

from __future__ import annotations

from typing import Any

import numpy as np

import cflows as cf

from .description import expect
from .sources import Source, Sources


def dense(
    ours: str, theirs: str, rows: np.ndarray | None = None, columns: np.ndarray | None = None
) -> Sources:
    return {
        f"{ours}.weight": Source(f"{theirs}/weight", rows, columns),
        f"{ours}.bias": Source(f"{theirs}/bias", rows),
    }


def mlp(net: dict[str, Any], name: str, at: str, rows: Any, columns: Any) -> tuple[Any, Sources]:
    expect(net, "kind", "mlp")
    expect(net, "masked", False)
    sizes = net["sizes"]
    spec = cf.MLP(
        hidden=tuple(sizes[1:-1]),
        activation=net["activation"],
        output_activation=net.get("output_activation") or "identity",
        output_multiplier=net.get("output_multiplier") or 1.0,
    )
    sources: Sources = {}
    last = net["n_linear"] - 1
    for k in range(net["n_linear"]):
        sources |= dense(
            f"{name}.linear{k}",
            f"{at}/{net['prefix']}linear{k}",
            rows if k == last else None,
            columns if k == 0 else None,
        )
    return spec, sources


def residual_net(
    net: dict[str, Any], name: str, at: str, rows: Any, columns: Any
) -> tuple[Any, Sources]:
    spec = cf.ResidualNet(net["hidden"], blocks=net["blocks"], activation=net["activation"])
    theirs = f"{at}/{net['prefix']}"
    sources = dense(f"{name}.initial", f"{theirs}initial", columns=columns)
    for k in range(net["blocks"]):
        block = f"{theirs}block{k}"
        sources |= dense(f"{name}.block{k}.linear0", f"{block}/linear0")
        sources |= dense(f"{name}.block{k}.linear1", f"{block}/linear1")
        sources |= dense(f"{name}.block{k}.context", f"{block}/context")
    return spec, sources | dense(f"{name}.final", f"{theirs}final", rows)


def conv_net(
    net: dict[str, Any], name: str, at: str, rows: Any, columns: Any
) -> tuple[Any, Sources]:
    expect(net, "kind", "convnet")
    last = net["n_conv"] - 1
    spec = cf.ConvNet(net["channels"][1:-1], net["kernels"], activation=net["activation"])
    sources: Sources = {}
    for k in range(last + 1):
        theirs = f"{at}/{net['prefix']}conv{k}"
        sources |= dense(f"{name}.conv{k}", theirs, rows if k == last else None)
    return spec, sources


def conv_residual_net(
    net: dict[str, Any], name: str, at: str, rows: Any, columns: Any
) -> tuple[Any, Sources]:
    spec = cf.ConvResidualNet(net["hidden"], blocks=net["blocks"], activation=net["activation"])
    theirs = f"{at}/{net['prefix']}"
    sources = dense(f"{name}.initial", f"{theirs}initial", columns=columns)
    for k in range(net["blocks"]):
        for conv in ("conv0", "conv1"):
            sources |= dense(f"{name}.block{k}.{conv}", f"{theirs}block{k}/{conv}")
    return spec, sources | dense(f"{name}.final", f"{theirs}final", rows)


NETS = {"mlp": mlp, "residual_net": residual_net, "conv_residual_net": conv_residual_net}
