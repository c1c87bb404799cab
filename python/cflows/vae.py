"""The variational autoencoder: a flow whose layer next to the data is a `Variational`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import _core
from .flow import Flow

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class VAE(Flow):
    """A variational autoencoder with any flow as its prior.

    Latents ``z`` come from the prior, ``z = T(u)`` with ``u`` from the base, and data from the
    likelihood, ``x ~ p(x|z)``, whose parameters the decoder gives. It is the flow of the prior's
    layers and a `Variational`: `log_prob` is the evidence lower bound
    ``log p(z) + log p(x|z) - log q(z|x)`` with one draw of ``z`` from the posterior,
    `importance_weighted_log_prob` that of several, and `fit`, `sample`, `save` and the rest are a
    flow's.

    Parameters
    ----------
    encoder : Conditioner
        The network from ``x`` to the posterior: an `MLP` or, of images, a `ConvEncoder`.
    decoder : Conditioner
        The network from ``z`` to the likelihood: an `MLP` or, of images, a `ConvDecoder`.
    latents : int
        The number of features of ``z``.
    features : int
        The number of columns of the data, which are vectors; or else `shape`.
    shape : (channels, height, width), optional
        That of the data, which are images; instead of `features`.
    prior : sequence of Layer or Flow, optional
        Layers from the base to ``z``; () is a standard normal prior. Of a flow, which has
        `latents` features, the layers, the base and copies of the parameters.
    posterior : sequence of Layer, optional
        Further layers of the posterior, from a normal with independent features to ``z``; their
        networks see numbers of the encoder. ``Inverse(Autoregressive())`` is inverse autoregressive
        flow.
    likelihood : str or Likelihood, default 'bernoulli'
        ``'bernoulli'``, ``'normal'``, ``'categorical'``, ``'logistic'`` (discretised), or a
        `Likelihood` with options.
    base : Base, optional
        Below the layers of the prior; None is the standard normal, or that of the flow.
    context_features, embedding, standardize_context, dtype, seed
        As for `Flow`; prior, encoder, decoder and posterior all see the context.

    Raises
    ------
    ValueError
        If a size is out of range, or the networks do not fit the data.
    TypeError
        If an argument is of the wrong kind, or not exactly one of `features` and `shape` is given.

    References
    ----------
    Kingma and Welling 2014, Auto-encoding variational Bayes, arXiv:1312.6114.
    Rezende and Mohamed 2015, Variational inference with normalizing flows, arXiv:1505.05770.
    Chen et al. 2017, Variational lossy autoencoder, arXiv:1611.02731 (flows as priors).

    Examples
    --------
    >>> import numpy as np
    >>> import cflows as cf
    >>> x = np.random.default_rng(0).integers(0, 2, size=(200, 6))
    >>> net = cf.MLP((16,))
    >>> vae = cf.VAE(net, net, latents=2, features=6, prior=[cf.Coupling(hidden=(8,))], seed=0)
    >>> history = vae.fit(x, epochs=3, kl_warmup=2, seed=0)
    >>> vae.encode(x).shape, vae.reconstruct(x).shape, vae.sample(4, seed=0).shape
    ((200, 2), (200, 6), (4, 6))
    """

    __slots__ = ()

    def __init__(
        self,
        encoder: _core.Conditioner,
        decoder: _core.Conditioner,
        latents: int,
        features: int | None = None,
        *,
        shape: tuple[int, int, int] | None = None,
        prior: Sequence[_core.Layer] | _core.Flow = (),
        posterior: Sequence[_core.Layer] = (),
        likelihood: str | _core.Likelihood = "bernoulli",
        base: _core.Base | None = None,
        context_features: int = 0,
        embedding: _core.Embedding | None = None,
        standardize_context: bool = True,
        dtype: Any = "float32",
        seed: int | None = None,
    ) -> None:
        flow = prior if isinstance(prior, _core.Flow) else None
        if flow is not None:
            _check_prior(flow, latents, base)
            layers, base = [layer.spec for layer in flow.layers], flow.base
            if flow.context_features:
                standardize_context = flow.standardize_context
        else:
            layers = list(prior)  # type: ignore[arg-type]
        layers.append(_core.Variational(latents, encoder, decoder, likelihood, posterior))
        super().__init__(
            layers,
            features,
            context_features,
            embedding,
            base,
            dtype,
            seed,
            shape,
            standardize_context,
        )
        if flow is not None:
            for name, parameter in flow.parameters.items():
                self.parameters[name][...] = parameter
            for name, buffer in flow.buffers.items():
                self.buffers[name][...] = buffer

    @property
    def latents(self) -> int:
        """The number of features of ``z``."""
        return int(self.layers[-1].options["latents"])

    @property
    def prior(self) -> Flow:
        """A copy of the prior of ``z``, as a flow."""
        return self.part(0, -1)

    def encode(
        self,
        x: ArrayLike,
        context: ArrayLike | None = None,
        *,
        mean: bool = True,
        seed: int = 0,
        start: int = 0,
    ) -> NDArray[Any]:
        """The latent codes of data.

        Parameters
        ----------
        x : array_like, shape (n, features) or (n, channels, height, width)
        context : array_like, shape (n, context_features) or (context_features,), optional
            As of `log_prob`.
        mean : bool, default True
            The mean of the posterior (before its layers, if it has any) or else a draw.
        seed, start : int
            Of the draw, as of `log_prob`.

        Returns
        -------
        ndarray, shape (n, latents)

        Raises
        ------
        ValueError
            If a shape is wrong.
        """
        return self._call("encode", (x, context), seed, start, mean)[0]

    def decode(
        self,
        z: ArrayLike,
        context: ArrayLike | None = None,
        *,
        mean: bool = True,
        seed: int = 0,
        start: int = 0,
    ) -> NDArray[Any]:
        """The data of latent codes.

        Parameters
        ----------
        z : array_like, shape (n, latents)
        context : array_like, shape (n, context_features) or (context_features,), optional
            As of `log_prob`.
        mean : bool, default True
            The mean of the likelihood or else a draw.
        seed, start : int
            Of the draw, as of `log_prob`.

        Returns
        -------
        ndarray, shape (n, features) or (n, channels, height, width)

        Raises
        ------
        ValueError
            If a shape is wrong.
        """
        return self._call("decode", (z, context), seed, start, mean)[0]

    def reconstruct(
        self,
        x: ArrayLike,
        context: ArrayLike | None = None,
        *,
        mean: bool = True,
        seed: int = 0,
        start: int = 0,
    ) -> NDArray[Any]:
        """Encode data, and decode the codes.

        Parameters
        ----------
        x : array_like, shape (n, features) or (n, channels, height, width)
        context : array_like, shape (n, context_features) or (context_features,), optional
            As of `log_prob`.
        mean : bool, default True
            Means of posterior and likelihood or else draws of both.
        seed, start : int
            Of the draws, as of `log_prob`.

        Returns
        -------
        ndarray, of the shape of `x`

        Raises
        ------
        ValueError
            If a shape is wrong.
        """
        code = self.encode(x, context, mean=mean, seed=seed, start=start)
        return self.decode(code, context, mean=mean, seed=seed, start=start)


def _check_prior(prior: _core.Flow, latents: int, base: _core.Base | None) -> None:
    if prior.features != latents:
        raise ValueError(f"the prior must have {latents} features, got {prior.features}")
    if prior.embedding is not None:
        raise ValueError("the prior has an embedding: give it to the VAE, and the layers as prior")
    if base is not None:
        raise ValueError("base goes with layers as prior, this flow has its own")
