"""FlowJAX: https://github.com/danielward27/flowjax"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from flowjax.bijections import (
    AbstractBijection,
    Affine,
    Chain,
    Flip,
    Invert,
    RationalQuadraticSpline,
)
from flowjax.bijections import Coupling as CouplingBijection
from flowjax.distributions import StandardNormal, Transformed
from flowjax.flows import coupling_flow, masked_autoregressive_flow
from paramax import Parameterize

from architectures import LOG_SCALE_BOUND, Coupling, DensityFlow, Family, RealNVP

from .model import Model, Training
from .rows import interleaved


def softclip_affine() -> Affine:
    """`Affine` with the scale that all libraries are given."""
    scale = Parameterize(
        lambda raw: jnp.exp(raw / (1 + jnp.abs(raw) / LOG_SCALE_BOUND)), jnp.zeros(())
    )
    return eqx.tree_at(lambda affine: affine.scale, Affine(), scale)


def coupling_bijections(coupling: Coupling, key: jax.Array) -> list[AbstractBijection]:
    """A coupling here keeps leading features: to keep the others, turn the row round and back."""
    features = len(coupling.identity) + len(coupling.transformed)
    bijection = CouplingBijection(
        key,
        transformer=softclip_affine(),
        untransformed_dim=len(coupling.identity),
        dim=features,
        nn_width=coupling.hidden[0],
        nn_depth=len(coupling.hidden),
    )
    flip = Flip((features,))
    return [bijection] if coupling.identity[0] == 0 else [flip, bijection, flip]


def family(architecture: Family, key: jax.Array) -> Transformed:
    """The library's own flows, made for densities; features are reversed between layers."""
    make = coupling_flow if architecture.kind == "nsf" else masked_autoregressive_flow
    spline = RationalQuadraticSpline(knots=architecture.bins, interval=architecture.bound)
    return make(
        key,
        base_dist=StandardNormal((architecture.features,)),
        transformer=softclip_affine() if architecture.kind == "maf" else spline,
        flow_layers=architecture.layers,
        nn_width=architecture.hidden[0],
        nn_depth=len(architecture.hidden),
        invert=True,
    )


class FlowjaxModel(Model):
    """A chain of `Coupling`s, every function jitted.

    `log_prob` and `sample` take the weights into the compiled code, which spares the passing of a
    few dozen arrays a call; training runs the steps of one call in one `lax.scan`, with its state
    donated. Both are the fastest of the usual ways. `score`, which an epoch ends with, passes the
    weights: they are new every time.
    """

    def __init__(self, architecture: RealNVP | Family | DensityFlow, *, threads: int, seed: int):
        if isinstance(architecture, DensityFlow):
            raise NotImplementedError("the density comparison builds its RealNVP alone")
        # `threads` reaches XLA through the worker's affinity and environment.
        if isinstance(architecture, Family):
            flow = family(architecture, jr.key(seed))
        else:
            flow = self._real_nvp(architecture, seed)
        self._weights, self._static = eqx.partition(flow, eqx.is_inexact_array)
        self._key = jr.key(seed + 1)
        self._score = jax.jit(lambda weights, x: self._flow(weights).log_prob(x))
        self._use(self._weights)

    def _real_nvp(self, architecture: RealNVP, seed: int) -> Transformed:
        self._couplings = architecture.couplings
        keys = jr.split(jr.key(seed), len(self._couplings))
        pieces = [coupling_bijections(*pair) for pair in zip(self._couplings, keys, strict=True)]
        bijection = Invert(Chain([bijection for piece in pieces for bijection in piece]))
        return Transformed(StandardNormal((architecture.features,)), bijection)

    def _flow(self, weights) -> Transformed:
        return eqx.combine(weights, self._static)

    def _use(self, weights) -> None:
        """Sets the weights; they are compiled in when `log_prob` or `sample` is called."""
        self._weights, flow = weights, self._flow(weights)
        self._log_prob = jax.jit(lambda x: flow.log_prob(x))
        self._sample = jax.jit(lambda key, n: flow.sample(key, (n,)), static_argnums=1)

    def set_weights(self, weights) -> None:
        def linears(flow):
            chain = flow.bijection.bijection.bijections
            return [b.conditioner.layers for b in chain if isinstance(b, CouplingBijection)]

        def arrays(flow):
            return [a for net in linears(flow) for layer in net for a in (layer.weight, layer.bias)]

        turned = [self._turned(*pair) for pair in zip(self._couplings, weights, strict=True)]
        new = [jnp.asarray(a) for net in turned for layer in net for a in layer]
        flow = eqx.tree_at(arrays, self._flow(self._weights), new)
        self._use(eqx.partition(flow, eqx.is_inexact_array)[0])

    @staticmethod
    def _turned(coupling: Coupling, linears):
        """The weights as a coupling sees its features: backwards where the row is turned."""
        step = 1 if coupling.identity[0] == 0 else -1
        (first, first_bias), *middle, (last, last_bias) = linears
        features = np.arange(len(coupling.transformed))[::step]
        pairs = interleaved(len(features)).reshape(-1, 2)[features].ravel()
        return [(first[:, ::step], first_bias), *middle, (last[pairs], last_bias[pairs])]

    def array(self, x: np.ndarray) -> jax.Array:
        return jnp.asarray(x)

    def log_prob(self, x: jax.Array) -> jax.Array:
        return self._log_prob(x)

    def sample(self, n: int) -> jax.Array:
        self._key, key = jr.split(self._key)
        return self._sample(key, n)

    def score(self, x: np.ndarray, chunk: int = 10000) -> np.ndarray:
        pieces = [self.array(x[i : i + chunk]) for i in range(0, len(x), chunk)]
        return np.concatenate([self._score(self._weights, piece) for piece in pieces])

    def wait(self, results: list[jax.Array]) -> list[jax.Array]:
        return jax.block_until_ready(results)

    def start_training(self, training: Training) -> None:
        schedule = optax.cosine_decay_schedule(training.learning_rate, training.steps)
        optimizer = optax.chain(optax.clip_by_global_norm(training.clip_norm), optax.adam(schedule))

        def loss(weights, x):
            return -self._flow(weights).log_prob(x).mean()

        def step(state, x):
            weights, moments = state
            updates, moments = optimizer.update(jax.grad(loss)(weights, x), moments)
            return (optax.apply_updates(weights, updates), moments), None

        def steps(state, batches):
            return jax.lax.scan(step, state, batches)[0]

        self._state = self.snapshot(), optimizer.init(self._weights)
        self._steps = jax.jit(steps, donate_argnums=0)

    def train(self, batches: jax.Array) -> None:
        self._state = self._steps(self._state, batches)
        self._use(self.wait(self._state[0]))

    def snapshot(self):
        # A copy: the next training call takes the arrays of the state for its own.
        return jax.tree.map(jnp.copy, self._weights)

    def restore(self, snapshot) -> None:
        self._use(snapshot)


MODEL = FlowjaxModel
