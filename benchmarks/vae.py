"""What a flow as the prior of a VAE gains on binarised MNIST.

    python benchmarks/vae.py DATA [--minutes N] [--latents N] [--seeds S ...] [--samples K]

For each seed the same networks are trained for the same time with a standard normal prior and with
a flow as prior; told is the importance-weighted bound on the log-likelihood of the 10,000 test
images, in nats. DATA has the MNIST files in its folder mnist.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import cflows as cf
import numpy as np

from table import markdown

VALIDATION = 5000


def binarised(images: np.ndarray, seed: int) -> np.ndarray:
    """Each pixel 1 with the probability of its grey level, drawn once for all."""
    return (np.random.default_rng(seed).random(images.shape) < images / 255).astype(np.uint8)


def new_vae(prior: str, latents: int, seed: int) -> cf.VAE:
    layers = []
    if prior == "flow":
        for i in range(6):
            layers += [cf.Coupling(swap=bool(i % 2), hidden=(256, 256)), cf.ActNorm()]
            layers += [cf.Linear()] if i < 5 else []
    return cf.VAE(
        cf.ConvEncoder((32, 64)),
        cf.ConvDecoder((64, 32)),
        latents,
        shape=(1, 28, 28),
        prior=layers,
        seed=seed,
    )


def train(vae: cf.VAE, train: np.ndarray, validation: np.ndarray, minutes: float, seed: int) -> int:
    """Epochs until the time is over, the last third at a tenth of the rate; how many they were."""
    end, epochs = time.monotonic() + 60 * minutes, 0
    switch = end - 20 * minutes
    for rate, until in ((1e-3, switch), (1e-4, end)):
        history = vae.fit(
            train,
            validation=validation,
            epochs=100000,
            batch_size=128,
            optimizer=cf.Adam(rate),
            kl_warmup=2 if epochs == 0 else 0,
            callback=lambda report, until=until: time.monotonic() > until,
            seed=seed,
            progress=False,
        )
        epochs += len(history.train)
    return epochs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--minutes", type=float, default=15.0, help="for each training")
    parser.add_argument("--latents", type=int, default=40)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--samples", type=int, default=50, help="of the bound")
    options = parser.parse_args()
    folder = options.data / "mnist"
    images = binarised(cf.data.load_idx(folder / "train-images-idx3-ubyte.gz"), 0)
    test = binarised(cf.data.load_idx(folder / "t10k-images-idx3-ubyte.gz"), 1)
    rows = []
    for seed in options.seeds:
        for prior in ("normal", "flow"):
            vae = new_vae(prior, options.latents, seed)
            parts = images[:-VALIDATION], images[-VALIDATION:]
            epochs = train(vae, *parts, options.minutes, seed)
            elbo = vae.log_prob(test)
            bound = vae.importance_weighted_log_prob(test, options.samples)
            error = bound.std() / math.sqrt(len(bound))
            rows.append(
                [
                    str(seed),
                    prior,
                    str(epochs),
                    f"{elbo.mean():.2f}",
                    f"{bound.mean():.2f} ± {error:.2f}",
                ]
            )
            print(*rows[-1], flush=True)
    print(markdown(["seed", "prior", "epochs", "ELBO", f"bound, {options.samples} draws"], rows))


if __name__ == "__main__":
    main()
