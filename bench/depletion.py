"""Dated stock used up along paths: many series at once, beside a plain loop a lot and day, with equal days and waste.

One thread throughout: numpy's element-wise operations use no more, whatever OMP_NUM_THREADS says.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forecasting.many import Fleet, Stocks, deplete_many, stocks
from forecasting.paths import deplete, project

LOTS, PATHS, DAYS = 50, 200, 90
PEERS = 20
"""Series that the loop is timed on, and compared on."""


class Drawn(NamedTuple):
    """Series with their lots, and their use of shape (days, series, paths): whole units, exact in float32."""

    series: NDArray[np.int64]
    quantity: NDArray[np.int64]
    life: NDArray[np.int64]
    use: NDArray[np.float32]
    stock: Stocks


def main() -> None:
    asked = argparse.ArgumentParser(prog="python -m bench.depletion")
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--quick", action="store_true", help="fewer series")
    given, _ = asked.parse_known_args()
    print(f"Python {platform.python_version()}, numpy {np.__version__}, {os.cpu_count()} cores, seed {given.seed}")
    bandwidth = _bandwidth()
    print(f"  memory: {bandwidth / 1e9:.1f} GB/s read (max of 200 MB float32)")
    _beside_the_loop(given.seed, bandwidth, (1, 16, 256) if given.quick else (1, 4, 16, 64, 256, 1024))
    _doubled(given.seed, 64 if given.quick else 256)
    _one_item(given.seed)


def _beside_the_loop(seed: int, bandwidth: float, sizes: tuple[int, ...]) -> None:
    """Ours and the loop in turns, best of three each."""
    compiled = find_spec("numba") is not None
    for count in sizes:
        drawn = draw(seed, count)
        found = deplete_many(drawn.stock, drawn.use, by="numpy")
        looped = min(count, PEERS)
        expected = [loop(drawn, row) for row in range(looped)]
        assert [found.whole_days[row].tolist() for row in range(looped)] == [days for days, _ in expected]
        assert [found.waste[row].tolist() for row in range(looped)] == [waste for _, waste in expected]
        ours, peer = _in_turns(
            partial(deplete_many, drawn.stock, drawn.use, out=found, by="numpy"),
            lambda drawn=drawn, looped=looped: [loop(drawn, row) for row in range(looped)],
        )
        each, alone = ours / count, peer / looped
        if compiled:
            again = deplete_many(drawn.stock, drawn.use, by="compiled")
            assert all((a == b).all() for a, b in zip(again, found, strict=True))
            quick = _best(partial(deplete_many, drawn.stock, drawn.use, out=again, by="compiled")) / count
            print(f"  {count:5} series compiled: {quick * 1e6:.1f} us a series = {alone / quick:.0f} x the loop")
        read = drawn.use.nbytes / ours / bandwidth
        print(
            f"  {count:5} series of {LOTS} lots x {PATHS} paths x {DAYS} days: {each * 1e6:7.1f} us a series, "
            f"the loop {alone * 1e6:6.0f} us = {alone / each:5.0f} x; use read at {read:.0%} of the memory's rate"
        )


def _doubled(seed: int, count: int) -> None:
    """How the time grows when one axis is doubled."""
    once = _best(_run(draw(seed, count)))
    print(f"  doubling, from {count} series at {once / count * 1e6:.1f} us:", end="")
    for name, more in (
        ("lots", draw(seed, count, lots=2 * LOTS)),
        ("paths", draw(seed, count, paths=2 * PATHS)),
        ("days", draw(seed, count, days=2 * DAYS)),
        ("series", draw(seed, 2 * count)),
        ("float64", _in_float64(draw(seed, count))),
    ):
        print(f" {name} {_best(_run(more)) / once:.2f} x", end="")
    print()


def _one_item(seed: int) -> None:
    """What a page asks: one item along 1,000 paths, with coverage and arrivals, either way of following them."""
    drawn = draw(seed, 1, paths=1000)
    use = np.ascontiguousarray(drawn.use[:, 0].T, dtype=np.float64)
    lasting = [(5000, 10, None), (5000, 40, None)]
    ending = [(5000, 10, 80), (5000, 40, 70)]
    quick = project(drawn.quantity, drawn.life, use, peak=400, arrivals=lasting)
    slow = project(drawn.quantity, drawn.life, use, peak=400, arrivals=[*lasting, (0, 0, 1)])
    assert all(np.allclose(a, b, rtol=1e-9, atol=1e-6) for a, b in zip(quick, slow, strict=True))
    for name, arrivals in (("that last", lasting), ("that expire", ending)):
        seconds = _best(lambda arrivals=arrivals: project(drawn.quantity, drawn.life, use, peak=400, arrivals=arrivals))
        print(f"  project, {LOTS} lots x 1000 paths x {DAYS} days, arrivals {name}: {seconds * 1e3:.1f} ms")
    print(f"  deplete alone: {_best(lambda: deplete(drawn.quantity, drawn.life, use)) * 1e3:.1f} ms")


def draw(seed: int, count: int, *, lots: int = LOTS, paths: int = PATHS, days: int = DAYS) -> Drawn:
    rng = np.random.default_rng(seed)
    series = np.repeat(np.arange(count), lots)
    quantity = rng.integers(1, 2 * 25_000 // lots, len(series))
    life = rng.integers(1, 2 * days, len(series))
    use = np.floor(rng.lognormal(5, 1, (days, count, paths))).astype(np.float32)
    return Drawn(series, quantity, life, use, stocks(series, quantity, life, count=count, horizon=days))


def loop(drawn: Drawn, row: int) -> tuple[list[int], list[float]]:
    """One series as one would write it first: whole days met and units wasted, for each path."""
    mine = drawn.series == row
    lots = sorted(zip(drawn.life[mine].tolist(), drawn.quantity[mine].tolist(), strict=True))
    lives, units = [life for life, _ in lots], [quantity for _, quantity in lots]
    whole_days, wasted = [], []
    for path in drawn.use[:, row].T.tolist():
        left, first, count = units.copy(), 0, len(units)
        waste, met = 0.0, None
        for day, use in enumerate(path):
            while first < count and lives[first] <= day:
                waste += left[first]
                first += 1
            asked = use
            while asked and first < count:
                if left[first] > asked:
                    left[first] -= asked
                    asked = 0.0
                else:
                    asked -= left[first]
                    first += 1
            if asked and met is None:
                met = day
        while first < count and lives[first] <= len(path):
            waste += left[first]
            first += 1
        whole_days.append(len(path) if met is None else met)
        wasted.append(waste)
    return whole_days, wasted


def _in_float64(drawn: Drawn) -> Drawn:
    return drawn._replace(use=drawn.use.astype(np.float64))


def _run(drawn: Drawn) -> Callable[[], Fleet]:
    out = deplete_many(drawn.stock, drawn.use, by="numpy")
    return lambda: deplete_many(drawn.stock, drawn.use, out=out, by="numpy")


def _bandwidth() -> float:
    """Bytes a second that one core reads."""
    numbers = np.ones(50_000_000, dtype=np.float32)
    return numbers.nbytes / _best(numbers.max)


def _in_turns(*runs: Callable[[], object]) -> list[float]:
    rounds = [[_seconds(run) for run in runs] for _ in range(3)]
    return [min(times) for times in zip(*rounds, strict=True)]


def _best(run: Callable[[], object]) -> float:
    return min(_seconds(run) for _ in range(3))


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
