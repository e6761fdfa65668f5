"""`python -m bench.forecast [--quick]`: N forecasts of a 30-day sum, and their quality, beside statsforecast.

The peer is for this benchmark only, so it belongs to no requirement file; without it the script says how to get it and
stops with exit code 2. Speed: the same invented series of 365 days to both, in turns. Quality: the daily sets of
`bench.backtest` at its own origins, the peer forecasting one bucket of 30 days from the buckets before, because the sum
of its daily bounds would cover nearly everything and lose by that alone.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.backtest import DATA, Demand, pharmacy, retail
from bench.common import about, in_turns
from forecasting import demand
from forecasting.scoring import judge, pinball, rolling_origin

DAYS, HORIZON = 365, 30
P = (0.50, 0.90, 0.95)
LEVELS = [80, 90]
"""Two-sided levels whose upper ends are the 0.90 and 0.95 quantiles."""


class Peer(NamedTuple):
    """A model of the other library: the series it gets in a speed run, and how many times as fast we mean to be."""

    name: str
    make: Callable[[int, int], Any]
    series: int
    goal: float


def peers() -> list[Peer]:
    from statsforecast.models import AutoETS, CrostonSBA, SeasonalNaive
    from statsforecast.utils import ConformalIntervals

    def conformal(horizon: int) -> Any:  # noqa: ANN401 -- the peer has no types
        return ConformalIntervals(h=horizon, n_windows=2)

    return [
        Peer("AutoETS", lambda season, _: AutoETS(season_length=season), 20, 3000),
        Peer("CrostonSBA conformal", lambda _, h: CrostonSBA(prediction_intervals=conformal(h)), 2000, 10),
        Peer(
            "SeasonalNaive conformal",
            lambda season, h: SeasonalNaive(season, prediction_intervals=conformal(h)),
            2000,
            5,
        ),
    ]


def invented(number: int, seed: int) -> NDArray[np.float64]:
    """Poisson days around gamma means with a weekly shape: stationary, so that speed alone is compared."""
    rng = np.random.default_rng(seed)
    week = np.resize([1.2, 1.1, 1.1, 1.0, 1.1, 0.9, 0.6], DAYS)
    days: NDArray[np.float64] = rng.poisson(rng.gamma(1.0, 3.0, (number, 1)) * week).astype(np.float64)
    return days


def speed(number: int, seed: int, rounds: int) -> Iterator[str]:
    history = invented(number, seed)
    weeks = frame(list(history[:2000]))
    yield f"| beside | series/s of ours ({number:,} series) | of it | times as fast | goal |"
    yield "| --- | --- | --- | --- | --- |"
    for peer in peers():
        few = weeks[weeks.unique_id < peer.series]
        ahead(peer.make(7, HORIZON), few[few.unique_id < 2], HORIZON)  # it compiles itself once
        ours, theirs = in_turns(
            rounds,
            partial(rate, number, partial(demand.corrected, history, HORIZON, DAYS, P)),
            partial(rate, peer.series, partial(ahead, peer.make(7, HORIZON), few, HORIZON)),
        )
        yield f"| {peer.name} | {ours:,.0f} | {theirs:,.0f} | {ours / theirs:,.0f} | {peer.goal:,.0f} |"


def growth(seed: int) -> Iterator[str]:
    """Three sizes a factor of ten apart, and the exponent fitted."""
    sizes = (1_000, 10_000, 100_000)
    history = invented(sizes[-1], seed)
    seconds = []
    for number in sizes:
        run = partial(demand.corrected, history[:number], HORIZON, DAYS, P)
        seconds.append(min(number / rate(number, run) for _ in range(3)))
    exponent = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
    times = ", ".join(f"{n:,}: {1000 * s:,.0f} ms" for n, s in zip(sizes, seconds, strict=True))
    yield f"Forecasting N series: {times}; exponent {exponent:.2f}."


def drawing(rounds: int) -> Iterator[str]:
    """Milliseconds of the paths of one series."""
    shape = demand.Pattern(np.ones(7), 40.0)
    for days in (30, 90):
        run = partial(_drawn, shape, days)
        (drawn,) = in_turns(max(rounds, 5), partial(rate, 1, run))
        yield f"1,000 paths of {days} days: {1000 / drawn:.1f} ms."


def _drawn(shape: demand.Pattern, days: int) -> NDArray[np.float64]:
    return demand.paths(300.0, 900.0, shape, days, np.random.default_rng(1))


def quality(asked: Demand) -> Iterator[str]:
    """Pinball loss per unit used, every model over the same sums."""
    test = rolling_origin(asked.history, asked.horizon, asked.origins, asked.window, P, season=asked.season)
    verdict = judge(test)
    assert verdict is not None
    y, used = test.actual.ravel(), test.actual.sum()
    empirical = pinball(y[:, None], test.empirical.reshape(-1, len(P)), test.p).sum(axis=0) / used
    yield f"| {asked.title}: loss per unit used, and coverage | 0.90 | 0.95 |"
    yield "| --- | --- | --- |"
    pairs = zip(verdict.loss_to_actual[1:], verdict.coverage[1:], strict=True)
    yield f"| ours | {' | '.join(f'{loss:.4f}, {share:.3f}' for loss, share in pairs)} |"
    plain = (test.actual[..., None] <= test.empirical).mean(axis=(0, 1))
    yield f"| past 30-day sums | {' | '.join(f'{empirical[i]:.4f}, {plain[i]:.3f}' for i in (1, 2))} |"
    buckets = frame([in_buckets(row[:origin], asked.horizon) for row in asked.history for origin in asked.origins])
    for peer in peers():
        try:
            bounds = ahead(peer.make(1, 1), buckets, 1)
        except NotImplementedError as refusal:
            yield f"| {peer.name} on buckets | refuses: {refusal} | |"
            continue
        cells = []
        for level, p in zip(LEVELS, P[1:], strict=True):
            (column,) = (c for c in bounds.columns if c.endswith(f"-hi-{level}"))
            bound = bounds[column].to_numpy(dtype=np.float64)
            cells.append(f"{pinball(y, bound, p).sum() / used:.4f}, {(y <= bound).mean():.3f}")
        yield f"| {peer.name} on buckets | {' | '.join(cells)} |"


def in_buckets(days: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Sums of whole buckets, the last one ending with the history."""
    sums: NDArray[np.float64] = days[len(days) % width :].reshape(-1, width).sum(axis=1)
    return sums


def frame(series: list[NDArray[np.float64]]) -> Any:  # noqa: ANN401
    """The peer's long table."""
    import pandas as pd

    lengths = [len(s) for s in series]
    which = np.repeat(np.arange(len(series)), lengths)
    when = np.concatenate([np.arange(n) for n in lengths])
    return pd.DataFrame({"unique_id": which, "ds": when, "y": np.concatenate(series)})


def ahead(model: Any, table: Any, horizon: int) -> Any:  # noqa: ANN401
    from statsforecast import StatsForecast

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return StatsForecast(models=[model], freq=1, n_jobs=1).forecast(df=table, h=horizon, level=LEVELS)


def rate(number: int, run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return number / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="10,000 series instead of 100,000, one round")
    parser.add_argument("--data", type=Path, default=DATA)
    asked = parser.parse_args(sys.argv[1:] if __name__ == "__main__" else [])
    try:
        import statsforecast
    except ImportError:
        print("The peer is missing. Install it into this environment, for this benchmark only:", file=sys.stderr)
        print(f"    {sys.executable} -m pip install statsforecast", file=sys.stderr)
        sys.exit(2)
    about()
    print(f"numpy {np.__version__}, statsforecast {statsforecast.__version__}\n")
    rounds = 1 if asked.quick else 3
    parts = [speed(10_000 if asked.quick else 100_000, asked.seed, rounds), growth(asked.seed), drawing(rounds)]
    if asked.data.exists():
        parts += [quality(pharmacy(asked.data)), quality(retail(asked.data))]
    for part in parts:
        for line in part:
            print(line, flush=True)
        print()


if __name__ == "__main__":
    main()
