"""`python -m bench.backtest [--data FOLDER]`: how well the forecast of the next H-sum held on real demand.

Ours beside the empirical quantiles of past H-sums, rolling origin, nothing after an origin known to either. The sets
are not ours to ship: where the folder is not there, nothing is printed but that.
"""

import argparse
import csv
import gzip
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forecasting import demand
from forecasting.scoring import Backtest, Judgement, judge, randomised_pit, rolling_origin, uniformity

DATA = Path(__file__).parents[2] / "shared" / "data"
P = (0.50, 0.90, 0.95)
ALL = 10**6
"""A window of all that is known."""
PATH_HORIZONS = (1, 7, 14, 30, 60, 90)


class Bar(NamedTuple):
    """Coverage at 0.90 and 0.95 from and to, and the loss beside the empirical quantiles' that both must not exceed."""

    at_90: tuple[float, float]
    at_95: tuple[float, float]
    loss: float = 1.0


class Demand(NamedTuple):
    """A set: series x periods, the origins of its backtest (0 is the first period), and its bar where it has one."""

    title: str
    history: NDArray[np.float64]
    horizon: int
    origins: Sequence[int]
    window: int
    season: int
    bar: Bar | None


class Measured(NamedTuple):
    name: str
    demand: Demand
    test: Backtest
    ours: Judgement
    plain: Judgement


USUAL = Bar((0.87, 0.93), (0.93, 0.97))


def pharmacy(data: Path) -> Demand:
    rows = read(data / "demand_pharmacy_daily" / "sales_daily.csv.gz")
    days = [date.fromisoformat(row.pop("date")) for row in rows]
    history = np.array([[float(v) for v in row.values()] for row in rows]).T
    first = days.index(date(2016, 7, 1))
    return Demand("pharmacy daily", history, 30, range(first, len(days) - 29, 7), 365, 7, USUAL)


def retail(data: Path) -> Demand:
    """Every article of the file, zero on days without a row, closed days among them."""
    rows = read(data / "demand_retail_daily" / "sku_daily.csv.gz")
    first = date(2010, 12, 1)
    last = max(date.fromisoformat(row["date"]) for row in rows)
    place = {code: i for i, code in enumerate(sorted({row["StockCode"] for row in rows}))}
    history = np.zeros((len(place), (last - first).days + 1))
    for row in rows:
        history[place[row["StockCode"]], (date.fromisoformat(row["date"]) - first).days] += int(row["sold"])
    origins = [(day - first).days for day in (date(2011, 6, 1), date(2011, 7, 1), date(2011, 7, 31))]
    return Demand("retail daily", history, 30, origins, 180, 7, Bar((0.85, 1.0), (0.89, 1.0)))


def raf(data: Path) -> Demand:
    history = wide(data / "demand_intermittent" / "raf_monthly.csv.gz", 2)
    return Demand("RAF monthly", history, 6, (60, 66, 72, 78), ALL, 1, USUAL)


def carparts(data: Path) -> Demand:
    history = wide(data / "demand_intermittent" / "carparts_monthly.csv.gz", 1)
    return Demand("carparts monthly", history, 3, (39, 42, 45, 48), ALL, 1, Bar((0.87, 1.0), (0.93, 1.0)))


def ivorian(data: Path) -> Demand:
    """Sites and products with all 36 months; a month is what was handed out."""
    months: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for row in read(data / "ci_contraceptive_ledger" / "ledger.csv.gz"):
        month = 12 * (int(row["year"]) - 2016) + int(row["month"]) - 1
        months[row["site_code"], row["product_code"]][month] = float(row["stock_distributed"])
    history = [[known[m] for m in range(36)] for known in months.values() if len(known) == 36]
    return Demand("Ivorian ledger monthly", np.array(history), 3, (24, 27, 30, 33), ALL, 1, USUAL)


def hospital(data: Path) -> Demand:
    history = wide(data / "demand_intermittent" / "hospital_monthly.csv.gz", 1)
    return Demand("hospital products monthly", history, 3, range(60, 82, 3), ALL, 1, USUAL)


def auto(data: Path) -> Demand:
    history = wide(data / "demand_intermittent" / "auto_monthly.csv.gz", 1)
    return Demand("AUTO monthly (held out)", history, 3, (12, 15, 18, 21), ALL, 1, None)


def manufacturing(data: Path) -> Demand:
    history = wide(data / "demand_intermittent" / "man_weekly.csv.gz", 2)
    return Demand("MAN weekly (held out)", history, 4, range(104, history.shape[1] - 3, 4), 52, 1, None)


def vaccines(data: Path) -> Demand:
    """Doses given in five regions of Italy from the first day of the campaign on: a surge no history knows."""
    rows = read(data / "it_vaccine_ledger" / "administered_daily.csv.gz")
    first = min(date.fromisoformat(row["data"]) for row in rows)
    last = max(date.fromisoformat(row["data"]) for row in rows)
    place = {area: i for i, area in enumerate(sorted({row["area"] for row in rows}))}
    history = np.zeros((len(place), (last - first).days + 1))
    for row in rows:
        history[place[row["area"]], (date.fromisoformat(row["data"]) - first).days] += float(row["totale"])
    return Demand("vaccine doses daily (held out)", history, 14, range(90, history.shape[1] - 13, 7), 180, 7, None)


SETS: dict[str, Callable[[Path], Demand]] = {
    "pharmacy": pharmacy,
    "retail": retail,
    "raf": raf,
    "carparts": carparts,
    "ivorian": ivorian,
    "hospital": hospital,
    "auto": auto,
    "man": manufacturing,
    "vaccines": vaccines,
}


def measure(name: str, data: Path = DATA) -> Measured:
    """Backtest one set by the product's own method, and judge the empirical quantiles by the same measure."""
    asked = SETS[name](data)
    test = rolling_origin(asked.history, asked.horizon, asked.origins, asked.window, P, season=asked.season)
    ours, plain = judge(test), judge(test._replace(ours=test.empirical))
    assert ours is not None
    assert plain is not None
    return Measured(name, asked, test, ours, plain)


def met(measured: Measured) -> bool | None:
    """Whether a set's bar is met; None where it has none."""
    bar, ours = measured.demand.bar, measured.ours
    if bar is None:
        return None
    losses = ours.loss_to_empirical[1:]
    within = all(a <= c <= b for (a, b), c in zip((bar.at_90, bar.at_95), ours.coverage[1:], strict=True))
    return within and all(loss is not None and loss <= bar.loss for loss in losses)


def path_coverage(asked: Demand, horizons: Sequence[int], *, every: int = 1, count: int = 1000) -> dict[int, float]:
    """Share of H-sums at or below the 0.90 quantile of the daily paths, for horizons beside the moments' own."""
    held: dict[int, list[bool]] = {h: [] for h in horizons}
    for origin in list(asked.origins)[::every]:
        past = asked.history[:, :origin]
        found = demand.moments(past, asked.horizon, asked.window)
        for series, (days, mean, variance) in enumerate(zip(past, found.mean, found.variance, strict=True)):
            shape = demand.pattern(days, mean, variance, horizon=asked.horizon, window=asked.window)
            rng = np.random.default_rng((series, origin))
            ahead = min(max(horizons), asked.history.shape[1] - origin)
            weekday = origin % 7
            use = demand.paths(
                mean, variance, shape, ahead, rng, count=count, block=asked.horizon, first_weekday=weekday
            )
            sums = np.quantile(use.cumsum(axis=1), 0.90, axis=0)
            came = asked.history[series, origin : origin + ahead].cumsum()
            for h in horizons:
                if h <= ahead:
                    held[h].append(bool(came[h - 1] <= sums[h - 1]))
    return {h: float(np.mean(kept)) for h, kept in held.items()}


def table(rows: Sequence[Measured]) -> Iterator[str]:
    """The kept table, in Markdown."""
    yield (
        "| set | H | n | independent | covered 0.50 / 0.90 / 0.95 | below 0.50 / 0.90 / 0.95 "
        "| empirical covers | loss beside it 0.50 / 0.90 / 0.95 | loss per unit used | bar |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    words = {True: "met", False: "**not met**", None: "none"}
    for row in rows:
        ours = row.ours
        cells = (
            row.demand.title,
            str(row.demand.horizon),
            str(ours.n),
            f"{ours.independent:.0f}",
            *(several(shares, 3) for shares in (ours.coverage, ours.below, row.plain.coverage)),
            *(several(losses, 2) for losses in (ours.loss_to_empirical, ours.loss_to_actual)),
            words[met(row)],
        )
        yield f"| {' | '.join(cells)} |"


def several(numbers: Sequence[float | None], digits: int) -> str:
    return ", ".join("-" if n is None else f"{n:.{digits}f}" for n in numbers)


def calibration(rows: Sequence[Measured]) -> Iterator[str]:
    """The forecasts' randomised PIT over ten bins; 0.1 each is perfect."""
    yield "| set | share of the randomised PIT in each tenth | chi-square | p |"
    yield "| --- | --- | --- | --- |"
    for row in rows:
        found = uniformity(randomised_pit(row.test.below, row.test.at_most, np.random.default_rng(1)))
        shares = several([n / sum(found.counts) for n in found.counts], 2)
        yield f"| {row.demand.title} | {shares} | {found.statistic:.0f} | {found.p_value:.2g} |"


def by_paths(data: Path) -> Iterator[str]:
    yield f"| daily set | {' | '.join(f'{h} days' for h in PATH_HORIZONS)} |"
    yield f"| --- |{' --- |' * len(PATH_HORIZONS)}"
    for asked in (pharmacy(data), vaccines(data)._replace(horizon=30)):
        found = path_coverage(asked, PATH_HORIZONS)
        yield f"| {asked.title} | {' | '.join(f'{found[h]:.3f}' for h in PATH_HORIZONS)} |"


def wide(path: Path, skip: int) -> NDArray[np.float64]:
    """Complete rows of a file with a column a period, after `skip` columns of names."""
    rows = [list(row.values())[skip:] for row in read(path)]
    return np.array([[float(v) for v in row] for row in rows if all(v not in {"", "NA"} for v in row)])


def read(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with one folder a set")
    data = parser.parse_args(sys.argv[1:] if __name__ == "__main__" else []).data
    if not data.exists():
        print(f"no demand data at {data}: nothing to measure")
        return
    rows = [measure(name, data) for name in SETS]
    for part in (table(rows), calibration(rows), by_paths(data)):
        print("\n".join(part), end="\n\n")


if __name__ == "__main__":
    main()
