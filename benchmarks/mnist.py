"""An image flow on MNIST: bits per dimension of the test images against the time of training.

    python benchmarks/mnist.py DATA FOLDER [--minutes N] [--resume]

Most of the time goes to training at a constant rate, whose state is kept in FOLDER, so that a later
run with --resume goes on from it; the last fifth to a copy whose rate falls to zero, which is
scored and kept as FOLDER/mnist.safetensors. FOLDER/curve.csv has a line an epoch. DATA has the
MNIST files in its folder mnist.
"""

from __future__ import annotations

import argparse
import copy
import csv
import time
from pathlib import Path

import cflows as cf
import numpy as np

VALIDATION, BATCH = 5000, 64


def new_flow(levels: int, steps: int, channels: int) -> cf.Flow:
    """Glow's steps with Flow++'s transform, faster to learn than affine maps by far."""
    return cf.glow(
        (1, 28, 28),
        levels,
        steps,
        channels,
        transform=cf.MixtureLogistic(),
        discrete=256,
        alpha=1e-6,
        seed=0,
    )


class Curve:
    """Lines of minutes, epochs and bits per dimension, added to a file."""

    def __init__(self, path: Path, features: int) -> None:
        self.path, self.features = path, features
        lines = list(csv.DictReader(path.open())) if path.exists() else []
        self.before = float(lines[-1]["minutes"]) if lines else 0.0
        self.start = time.monotonic()

    def minutes(self) -> float:
        return (time.monotonic() - self.start) / 60

    def add(self, phase: str, report: cf.EpochReport) -> None:
        numbers = [f"{self.before + self.minutes():.2f}", str(report.epoch)]
        losses = (report.train, report.validation)
        numbers += [f"{cf.bits_per_dimension(loss, self.features):.4f}" for loss in losses]
        new = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["phase", "minutes", "epoch", "train", "validation"])
            writer.writerow([phase, *numbers])
        print(phase, *numbers, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--levels", type=int, default=2)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--channels", type=int, default=64)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    state, curve_path = options.folder / "state.checkpoint", options.folder / "curve.csv"
    images = cf.data.load_idx(options.data / "mnist" / "train-images-idx3-ubyte.gz")
    test = cf.data.load_idx(options.data / "mnist" / "t10k-images-idx3-ubyte.gz")
    train, validation = images[:-VALIDATION], images[-VALIDATION:]
    flow = new_flow(options.levels, options.steps, options.channels)
    print(f"{flow.n_parameters:,} parameters, {cf.get_num_threads()} threads", flush=True)
    curve, features = Curve(curve_path, flow.features), flow.features
    settings = {"validation": validation, "batch_size": BATCH, "seed": 0, "progress": False}

    def constant(report: cf.EpochReport) -> bool:
        curve.add("constant", report)
        return curve.minutes() > 0.8 * options.minutes

    history = flow.fit(
        train,
        epochs=100000,
        optimizer=cf.Adam(1e-3),
        callback=constant,
        checkpoint=state,
        resume=state if options.resume else None,
        **settings,
    )
    seconds = np.diff([0.0, *history.seconds]).mean()
    epochs = max(1, round((60 * options.minutes - 60 * curve.minutes()) / seconds))
    cooled = copy.copy(flow)
    cooled.fit(
        train,
        epochs=epochs,
        optimizer=cf.Adam(1e-3),
        schedule="cosine",
        callback=lambda report: curve.add("cosine", report),
        **settings,
    )
    minutes = curve.minutes()
    cooled.save(options.folder / "mnist.safetensors")
    bits = [cf.bits_per_dimension(-cooled.log_prob(test).mean(), features)]
    bits.append(
        cf.bits_per_dimension(-cooled.importance_weighted_log_prob(test, 16).mean(), features)
    )
    print(f"{minutes:.1f} minutes: test {bits[0]:.4f} bits/dim, {bits[1]:.4f} with 16 draws")


if __name__ == "__main__":
    main()
