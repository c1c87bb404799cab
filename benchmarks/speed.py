"""How fast cflows and its peers are, in one table from one run.

    python benchmarks/speed.py [--quick] [--peers NAMES] [--threads COUNTS] [--only WORKS]
        [--families NAMES]

See README.md beside this file for what is measured and what the columns mean.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib import metadata
from statistics import median

import jobs
import processors
import reference
from architectures import Family, RealNVP
from client import Worker, WorkerError
from footprint import import_seconds, installed_bytes, with_dependencies
from options import choices
from peak import Peak
from peers import LIBRARIES, Library
from table import DASH, figure, markdown

WORKS = ("loss", *jobs.TASKS, "callers", "import", "size", "memory")
OURS = "cflows"
EAGER = ("zuko", "normflows", "nflows")
NUMPY = Library("numpy", "numpy", "numpy")
MIB = 2**20


@dataclass(frozen=True)
class Scale:
    """How much of everything a run does."""

    architectures: tuple[tuple[RealNVP, tuple[int, ...]], ...]
    rows: int
    memory_rows: int
    rounds: int
    seconds: float
    row_seconds: float
    imports: int


FULL = Scale(
    architectures=(
        (RealNVP(2, 8, (64, 64)), (256, 4096)),
        (RealNVP(43, 10, (128, 128)), (512,)),
        (RealNVP(63, 10, (512, 512)), (512,)),
    ),
    rows=100_000,
    memory_rows=10_000_000,
    rounds=7,
    seconds=0.3,
    row_seconds=60,
    imports=9,
)
QUICK = Scale(
    architectures=((RealNVP(2, 8, (64, 64)), (256,)), (RealNVP(5, 4, (64, 64)), (256,))),
    rows=4_000,
    memory_rows=100_000,
    rounds=2,
    seconds=0.02,
    row_seconds=1,
    imports=2,
)
FAMILIES = {
    "maf": tuple(Family("maf", features, 5, (128, 128)) for features in (6, 43)),
    "nsf": tuple(Family("nsf", features, 10, (128, 128)) for features in (6, 43)),
    "nsf_ar": tuple(Family("nsf_ar", features, 5, (128, 128)) for features in (6, 43)),
}
FAMILY_BATCHES = (512,)
FAMILY_ROWS = 10_000  # peers sample some of them feature by feature
MEMORY = CALLED = RealNVP(6, 8, (64, 64))
CALLERS = 2


@dataclass(frozen=True)
class Work:
    """One timed row of the table: `size` is the batch size of a step, the rows of the others."""

    task: str
    architecture: RealNVP | Family
    size: int

    def __str__(self) -> str:
        what = {
            "train": f"training step, batch {self.size:,}, ms",
            "log_prob": f"log_prob, {self.size:,} rows, 1000 rows/s",
            "sample": f"sampling, {self.size:,} rows, 1000 rows/s",
            "row": "log_prob, one row, µs",
        }
        return what[self.task]

    def show(self, seconds: float | None) -> str:
        """Seconds a unit, in the row's own measure."""
        if seconds is None:
            return DASH
        return figure({"train": 1e3 * seconds, "row": 1e6 * seconds}.get(self.task, 1e-3 / seconds))

    def flops_per_second(self, seconds: float) -> float | None:
        """Of the matrix products alone; one row has none worth the name."""
        if self.task == "row":
            return None
        if self.task == "train":
            return self.size * self.architecture.training_flops / seconds
        return self.architecture.forward_flops / seconds


def works(scale: Scale, architecture: RealNVP | Family, batches: Iterable[int], only: set[str]):
    """The rows of the table for one architecture."""
    every = [Work("train", architecture, batch) for batch in batches]
    rows = min(scale.rows, FAMILY_ROWS) if isinstance(architecture, Family) else scale.rows
    every += [Work(task, architecture, rows) for task in ("log_prob", "sample")]
    every += [Work("row", architecture, 1)]
    return [work for work in every if work.task in only]


class Run:
    """Measures, and keeps what was measured for the table."""

    def __init__(self, libraries: list[str], threads: list[int], scale: Scale, only: set[str]):
        self.libraries, self.threads, self.scale, self.only = libraries, threads, scale, only
        self.installed = [name for name in libraries if LIBRARIES[name].installed]
        self.peak = Peak()
        self.seconds: dict[tuple[Work, int], dict[str, float]] = {}
        self.shares: dict[tuple[Work, int], float] = {}  # of the peak in the same round
        self.losses: dict[RealNVP, dict[str, float]] = defaultdict(dict)
        self.callers: dict[str, float] = {}
        self.memory: dict[str, dict[str, int]] = {}
        self.imports: dict[str, float] = {}
        self.sizes: dict[str, int] = {}
        self.notes = [f"{name}: not installed" for name in libraries if name not in self.installed]

    def __call__(self) -> None:
        for count in self.threads:
            for architecture, batches in self.scale.architectures:
                self.time(architecture, works(self.scale, architecture, batches, self.only), count)
        if "callers" in self.only and processors.count() >= CALLERS:
            self.measure_callers()
        if "memory" in self.only:
            self.measure_memory()
        self.measure_footprint()

    @contextmanager
    def noting(self, name: str, what: str) -> Iterator[None]:
        """A library that cannot do something gets a dash and a note; the others go on."""
        print(f"{what}: {name}", file=sys.stderr)
        try:
            yield
        except WorkerError as error:
            self.notes.append(f"{name}, {what}: {error}")

    def time(self, architecture: RealNVP | Family, rows: list[Work], threads: int) -> None:
        """All rows of one architecture, interleaved over the libraries."""
        with ExitStack() as stack:
            workers = {}
            for name in self.installed:
                worker = stack.enter_context(Worker(name, threads))
                with self.noting(name, f"build {architecture}"):
                    worker.call("build", architecture=architecture)
                    workers[name] = worker
            same_weights = isinstance(architecture, RealNVP)
            if same_weights and "loss" in self.only and threads == self.threads[0]:
                self.compare_losses(architecture, workers)
            for work in rows:
                self.time_row(work, workers, threads)

    def compare_losses(self, architecture: RealNVP, workers: dict[str, Worker]) -> None:
        """The same weights everywhere, and how far each loss is from the reference."""
        weights = architecture.random_weights(seed=0)
        x = jobs.normal_rows(1000, architecture.features)
        truth = -reference.log_prob(architecture, weights, x).mean()
        for name, worker in workers.items():
            with self.noting(name, f"loss of {architecture}"):
                loss = worker.call("loss", weights=weights, x=x)
                self.losses[architecture][name] = loss - truth

    def time_row(self, work: Work, workers: dict[str, Worker], threads: int) -> None:
        what = f"{work}, {work.architecture}, {threads} thread(s)"
        samples: dict[str, list[float]] = {}
        round_seconds = 0.0
        for name, worker in workers.items():
            with self.noting(name, what):
                _, seconds = worker.call("ready", task=work.task, size=work.size)
                round_seconds += max(seconds, self.scale.seconds)
                samples[name] = []
        shares = []
        for _ in range(self.rounds(round_seconds)):
            peak = self.peak.measure(threads, self.scale.seconds / 4)
            for name in list(samples):
                try:
                    seconds = workers[name].call("seconds_per_unit", budget=self.scale.seconds)
                    samples[name].append(seconds)
                    flops = work.flops_per_second(seconds)
                    if name == OURS and peak and flops:
                        shares.append(1e-9 * flops / peak)
                except WorkerError as error:
                    self.notes.append(f"{name}, {what}: {error}")
                    del samples[name]
        self.seconds[work, threads] = {name: median(values) for name, values in samples.items()}
        if shares:
            self.shares[work, threads] = median(shares)

    def rounds(self, round_seconds: float) -> int:
        """Three at least, and no more than fit into the time of a row."""
        if round_seconds == 0:
            return 0
        return min(self.scale.rounds, max(3, int(self.scale.row_seconds / round_seconds)))

    def measure_callers(self) -> None:
        """Several callers of one model, each with one thread."""
        for name in self.installed:
            with self.noting(name, "callers"), Worker(name, 1, CALLERS) as worker:
                worker.call("build", architecture=CALLED)
                self.callers[name] = worker.call(
                    "callers_ratio",
                    rows=self.scale.rows,
                    callers=CALLERS,
                    rounds=self.scale.rounds,
                )

    def measure_memory(self) -> None:
        for name in self.installed:
            with self.noting(name, "memory"), Worker(name, max(self.threads)) as worker:
                worker.call("build", architecture=MEMORY)
                self.memory[name] = worker.call("memory", rows=self.scale.memory_rows)

    def measure_footprint(self) -> None:
        """Import times in interleaved rounds, and installed sizes, NumPy's beside them."""
        libraries = [LIBRARIES[name] for name in self.installed if not LIBRARIES[name].compiled]
        libraries.append(NUMPY)
        if "import" in self.only:
            samples = defaultdict(list)
            for _ in range(self.scale.imports + 1):
                for library in libraries:
                    samples[library.name].append(import_seconds(library.imports))
            # The first round reads the files from the disk.
            self.imports = {name: median(values[1:]) for name, values in samples.items()}
        if "size" in self.only:
            self.sizes = {library.name: installed_bytes(library.package) for library in libraries}


class Report:
    """The table of a run."""

    def __init__(self, run: Run):
        self.run = run
        self.names = list(run.libraries)

    def __str__(self) -> str:
        header = [
            "architecture",
            "work",
            "threads",
            *self.names,
            "of peak",
            "of peak then",
            "× best peer",
            "× eager",
        ]
        rows = [*self.loss_rows(), *self.timed_rows(), *self.footprint_rows()]
        lines = [self.heading(), "", markdown(header, rows, names=2)]
        lines += ["", *self.run.notes] if self.run.notes else []
        return "\n".join(lines)

    def heading(self) -> str:
        names = sorted({LIBRARIES[name].package for name in self.run.installed} | {"numpy"})
        distributions = metadata.packages_distributions()
        packages = [d for name in names for d in distributions.get(name, [])[:1]]
        brought = set().union(*map(with_dependencies, packages))
        packages += [name for name in ("torch", "jax") if name in brought]
        versions = ", ".join(f"{name} {metadata.version(name)}" for name in packages)
        machine = f"{platform.machine()}, Python {platform.python_version()}"
        return f"{machine}; {versions}\n{self.run.peak}"

    def row(self, architecture, work: str, threads: str, cells: dict[str, str], *rest: str):
        rest += (DASH,) * (4 - len(rest))
        values = [cells.get(name, DASH) for name in self.names]
        return [str(architecture), work, threads, *values, *rest]

    def loss_rows(self):
        work = "loss of the same weights, less the reference"
        for architecture, losses in self.run.losses.items():
            cells = {name: f"{value:+.1e}" for name, value in losses.items()}
            yield self.row(architecture, work, DASH, cells)

    def timed_rows(self):
        for work in dict.fromkeys(work for work, _ in self.run.seconds):
            for threads in self.run.threads:
                seconds = self.best_seconds(work, threads)
                cells = {name: work.show(value) for name, value in seconds.items()}
                rest = self.comparison(work, threads, seconds)
                yield self.row(work.architecture, str(work), str(threads), cells, *rest)

    def best_seconds(self, work: Work, threads: int) -> dict[str, float]:
        """Ours with so many threads; the peers' with so many or fewer, whichever is faster."""
        seconds: dict[str, float] = dict(self.run.seconds[work, threads])
        for fewer in self.run.threads:
            for name, value in self.run.seconds[work, fewer].items():
                if name != OURS and fewer < threads:
                    seconds[name] = min(value, seconds.get(name, value))
        return seconds

    def comparison(self, work: Work, threads: int, seconds: dict[str, float]) -> tuple[str, ...]:
        """Our fractions of the peak, and how many times faster than the fastest we are."""
        ours = seconds.get(OURS)
        if ours is None:
            return ()
        flops, peak = work.flops_per_second(ours), self.run.peak.float32.get(threads)
        of_peak = f"{1e-7 * flops / peak:.0f} %" if flops and peak else DASH
        then = self.run.shares.get((work, threads))
        of_peak_then = f"{100 * then:.0f} %" if then else DASH
        peers = [value for name, value in seconds.items() if name != OURS]
        eager = [value for name, value in seconds.items() if name in EAGER]
        return (
            of_peak,
            of_peak_then,
            *(figure(min(v) / ours) if v else DASH for v in (peers, eager)),
        )

    def footprint_rows(self):
        run = self.run
        if run.imports:
            numpy = run.imports["numpy"]
            cells = {name: figure(1e3 * value) for name, value in run.imports.items()}
            yield self.row(DASH, f"import, ms (numpy: {figure(1e3 * numpy)})", DASH, cells)
        if run.sizes:
            numpy = figure(run.sizes["numpy"] / MIB)
            cells = {name: figure(value / MIB) for name, value in run.sizes.items()}
            work = f"installed with dependencies, MiB (numpy: {numpy})"
            yield self.row(DASH, work, DASH, cells)
        if run.callers:
            cells = {name: f"{value:.2f}" for name, value in run.callers.items()}
            work = f"log_prob, {CALLERS} callers at once over one"
            yield self.row(CALLED, work, f"{CALLERS} × 1", cells)
        if run.memory:
            rows = f"{run.scale.memory_rows:,}"
            held = {"before": "held before", "after": f"peak, log_prob of {rows} rows"}
            for key, when in held.items():
                cells = {n: figure(self.beyond(m, key) / MIB) for n, m in run.memory.items()}
                threads = str(max(run.threads))
                yield self.row(MEMORY, f"memory beyond the arrays, {when}, MiB", threads, cells)

    @staticmethod
    def beyond(memory: dict[str, int], key: str) -> int:
        """What is neither input nor, afterwards, output."""
        arrays = memory["input"] + (memory["output"] if key == "after" else 0)
        return memory[key] - arrays


def counts(text: str) -> list[int]:
    numbers = sorted({int(number) for number in text.split(",")})
    if numbers[0] < 1 or numbers[-1] > processors.count():
        raise argparse.ArgumentTypeError(f"from 1 to {processors.count()} threads, got {text}")
    return numbers


def of_families(scale: Scale, families: Iterable[str]) -> Scale:
    """The same with the architectures of these families."""
    chosen = scale.architectures if "realnvp" in families else ()
    for name, architectures in FAMILIES.items():
        if name in families:
            chosen += tuple((architecture, FAMILY_BATCHES) for architecture in architectures)
    return replace(scale, architectures=chosen)


def main() -> None:
    peers = [name for name in LIBRARIES if name != OURS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, few repetitions")
    parser.add_argument(
        "--peers",
        type=lambda text: choices(text, [*peers, "none"]),
        metavar="NAMES",
        help=f"of {', '.join(peers)}, or none (default: all; the eager ones when --quick)",
    )
    parser.add_argument(
        "--threads",
        type=counts,
        default=sorted({1, min(2, processors.count())}),
        metavar="COUNTS",
        help="thread counts (default: 1,2)",
    )
    parser.add_argument(
        "--only",
        type=lambda text: choices(text, WORKS),
        default=WORKS,
        metavar="WORKS",
        help=f"of {', '.join(WORKS)} (default: all)",
    )
    families = ("realnvp", *FAMILIES)
    parser.add_argument(
        "--families",
        type=lambda text: choices(text, families),
        default=families,
        metavar="NAMES",
        help=f"of {', '.join(families)} (default: all)",
    )
    options = parser.parse_args()
    if options.peers is None:
        options.peers = [n for n in peers if not (options.quick and LIBRARIES[n].compiled)]
    libraries = [OURS, *(name for name in peers if name in options.peers)]
    scale = of_families(QUICK if options.quick else FULL, options.families)
    run = Run(libraries, options.threads, scale, set(options.only))
    run()
    print(Report(run))


if __name__ == "__main__":
    main()
