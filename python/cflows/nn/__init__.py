"""Custom layers, losses and functions, written in Python and run at the engine's speed.

A function is called once, with a `Tracer` in place of each array: a symbol for the features of a
row. What the function does to it is traced to ops of the engine, which differentiates them, runs
them in tiles over threads in float32 or float64, and keeps them in files, which need no code to be
loaded.

==================  ============================================================================
`layer`             a flow's layer from its two directions
`conditioner`       a network for couplings, `Continuous` and others from a function
`objective`         a `Loss`: a model whose `fit` minimises a loss
`function`          a named function of a model: an objective's parameters, or a flow
`grad` and others   derivatives within functions: `grad`, `vjp`, `jvp`, `divergence`
`Network`           a network with its sizes, to be called in such functions
`UniformStart`      where a parameter starts: at random, not at an array
networks            those of `cflows`: `MLP`, `ResidualNet`, `ConvNet`, `ConvResidualNet`,
                    `ConvEncoder`, `ConvDecoder`
functions           of single numbers, such as `exp`, `tanh` and `softplus`, and `clamp`, `cosine`,
                    `sum`, `log_sum_exp`, `normal` and others: `operations` has them all; `concat`,
                    `matmul`, `repeat`; and ``+ - * / **`` and slices of a `Tracer`
==================  ============================================================================

Examples
--------
A custom layer, ``x = sinh(a u) / a`` with a learned positive a for each feature:

>>> import numpy as np
>>> import cflows as cf
>>> from cflows import nn
>>> def log_cosh(t):
...     return t + nn.softplus(-2.0 * t) - np.log(2.0)
>>> def forward(u, p):
...     a = nn.exp(p.log_a)
...     return (nn.exp(a * u) - nn.exp(-a * u)) / (2.0 * a), nn.sum(log_cosh(a * u))
>>> def inverse(x, p):
...     a = nn.exp(p.log_a)
...     t = nn.asinh(a * x)
...     return t / a, -nn.sum(log_cosh(t))
>>> sinh = nn.layer(2, forward, inverse, parameters={"log_a": np.zeros(2)})
>>> flow = cf.Flow([cf.Coupling(), sinh], features=2, dtype="float64", seed=0)
>>> x = flow.sample(5, seed=0)
>>> bool(np.allclose(flow.forward(flow.inverse(x)[0])[0], x))
True

A custom objective: least squares with a network.

>>> def loss(x, p, y):
...     return nn.sum((p.net(x) - y) ** 2)
>>> net = nn.Network(nn.MLP((16,)), inputs=1, outputs=1)
>>> model = nn.objective(loss, features=1, context_features=1, networks={"net": net}, seed=0)
>>> x = np.linspace(-1, 1, 200)[:, None]
>>> history = model.fit(x, context=x**2, epochs=50, optimizer=cf.Adam(0.01), seed=0)
>>> bool(history.train[-1] < history.train[0] / 10)
True
>>> predict = nn.function(model, lambda x, p: p.net(x), "predict", inputs={"x": 1})
>>> predict(x).shape
(200, 1)
"""

from .._core import MLP, ConvDecoder, ConvEncoder, ConvNet, ConvResidualNet, ResidualNet
from . import operations
from .conditioner import conditioner
from .derivatives import divergence, grad, jvp, vjp
from .layer import layer
from .models import Function, Loss, function, objective
from .operations import *  # noqa: F403
from .operations import greater_equal
from .trace import Network, UniformStart
from .tracer import FUNCTIONS, Tracer, concat, matmul, repeat

at_least = greater_equal  # its name in version 0.1.0

__all__ = [
    "FUNCTIONS",
    "MLP",
    "ConvDecoder",
    "ConvEncoder",
    "ConvNet",
    "ConvResidualNet",
    "Function",
    "Loss",
    "Network",
    "ResidualNet",
    "Tracer",
    "UniformStart",
    "at_least",
    "concat",
    "conditioner",
    "divergence",
    "function",
    "grad",
    "jvp",
    "layer",
    "matmul",
    "objective",
    "repeat",
    "vjp",
]

__all__ += operations.__all__
