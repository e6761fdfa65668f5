"""`python -m bench.fleet [--seed 1] [--quick]`: very many series, where the work is done, in chunks of which size.

Every run is a process of its own and makes its series from the seed in the worker: keys go out, twelve numbers a series
come back. Runs take turns; each must give the same bytes as the first. Printed are series a second once the workers are
up, the ratio to one process, and the most memory that the asking process and its largest worker took. Before each
round it is measured how much faster two busy loops are than one: no engine can do better than that.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.common import about
from forecasting.fleet import Forecasts, chunks, forecast_chunk, run

if TYPE_CHECKING:
    from api.fleet import MapChunks

DAYS, HORIZON = 365, 30
P = (0.50, 0.90, 0.95)
SIZES = (200, 2_000, 5_000)
ENGINES = ("map", "processes 1", "processes 2", "dask 1", "dask 2")


class Work(NamedTuple):
    """Invents the series of a chunk, one generator each so that any cut gives the same, and forecasts them."""

    seed: int

    def __call__(self, which: range) -> Forecasts:
        shape = (len(which), DAYS)
        values, reported = np.empty(shape), np.empty(shape, dtype=bool)
        for n, series in enumerate(which):
            rng = np.random.default_rng((self.seed, series))
            values[n] = rng.poisson(rng.gamma(1.0, 3.0), DAYS)
            reported[n] = rng.random(DAYS) > 0.02
        reported[:, 0] = True
        return forecast_chunk(values, reported, horizon=HORIZON, p=P)


class Took(NamedTuple):
    seconds: float
    digest: str
    megabytes: float
    """Of the process that asks."""
    worker_megabytes: float
    """Of the largest worker."""


def one(engine: str, series: int, size: int, seed: int) -> Took:
    """One run in this process."""
    with _engine(engine) as map_chunks:
        list(map_chunks(Work(seed), [range(n, n + 1) for n in range(4)]))  # the workers are up, all is imported
        began = time.perf_counter()
        found = run(chunks(series, size), Work(seed), map_chunks)
        seconds = time.perf_counter() - began
    digest = sha256(b"".join(field.tobytes() for field in found)).hexdigest()
    most = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return Took(seconds, digest, most[0], most[1])


def _engine(engine: str) -> "AbstractContextManager[MapChunks]":
    from api import fleet

    kind, _, workers = engine.partition(" ")
    if kind == "dask":
        return fleet.dask(int(workers), None)
    return fleet.local(1) if kind == "map" else fleet.processes(int(workers))


def measured(engine: str, series: int, size: int, seed: int) -> Took:
    """One run in a process of its own, so that memory is that of the run alone."""
    command = [sys.executable, "-m", "bench.fleet", "--one", engine, str(series), str(size), "--seed", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **ONE_THREAD})
    return Took(*json.loads(done.stdout.splitlines()[-1]))


ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def free_cores() -> float:
    """What two busy loops get done in a moment, in units of what one gets done."""
    loop = "import time; n = 0; end = time.perf_counter() + 1\nwhile time.perf_counter() < end: n += 1\nprint(n)"
    done = []
    for number in (1, 2):
        started = [subprocess.Popen([sys.executable, "-c", loop], stdout=subprocess.PIPE) for _ in range(number)]
        done.append(sum(int(process.communicate()[0]) for process in started))
    return done[1] / done[0]


def table(series: int, sizes: Sequence[int], engines: Sequence[str], seed: int, rounds: int) -> None:
    """Engines in turns for each size of chunk; serial in the same turn is what each is compared with."""
    print(f"\n{series:,} series, {rounds} rounds")
    print("| chunk | engine | series/s | times serial | MB asking | MB of the largest worker |")
    print("| ---: | --- | ---: | ---: | ---: | ---: |")
    digests, free = set(), []
    for size in sizes:
        took: dict[str, list[Took]] = {engine: [] for engine in engines}
        for _ in range(rounds):
            free.append(free_cores())
            for engine in engines:
                took[engine].append(measured(engine, series, size, seed))
        for engine, runs in took.items():
            digests |= {found.digest for found in runs}
            best = statistics.median(found.seconds for found in runs)
            pairs = zip(took[engines[0]], runs, strict=True)
            ratio = statistics.median(serial.seconds / found.seconds for serial, found in pairs)
            worker = "-" if engine == "map" else f"{max(found.worker_megabytes for found in runs):,.0f}"
            asking = max(found.megabytes for found in runs)
            print(
                f"| {size:,} | {engine} | {series / best:,.0f} | {ratio:.2f} | {asking:,.0f} | {worker} |", flush=True
            )
    assert len(digests) == 1, "two ways gave different bytes"
    print(f"two busy loops beside it: {', '.join(f'{times:.2f}' for times in free)} times one")
    print(f"every run gave the same bytes: {digests.pop()[:16]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="10,000 series once, chunks of 2,000")
    parser.add_argument("--one", nargs=3, metavar=("ENGINE", "SERIES", "CHUNK"), help=argparse.SUPPRESS)
    asked = parser.parse_args(sys.argv[1:] if __name__ == "__main__" else [])
    if asked.one:
        engine, series, size = asked.one
        print(json.dumps(one(engine, int(series), int(size), asked.seed)))
        return
    from api import fleet

    about()
    engines = [engine for engine in ENGINES if fleet.has_dask() or not engine.startswith("dask")]
    if len(engines) < len(ENGINES):
        print("Dask is not installed: its rows are left out", file=sys.stderr)
    if asked.quick:
        table(10_000, (2_000,), engines, asked.seed, rounds=1)
        return
    table(10_000, SIZES, engines, asked.seed, rounds=3)
    table(100_000, (2_000,), engines, asked.seed, rounds=2)


if __name__ == "__main__":
    main()
