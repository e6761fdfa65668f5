"""A fleet forecast from beginning to sheet: chunks spread over processes, kept as they finish, joined at the end.

Beside the sheet lies a folder while it is made: what the run was asked for, the histories, and one part a chunk. Every
file gets its name only when it is whole, so that a run that was killed at any moment can go on.
"""

import contextlib
import fcntl
import importlib.util
import io
import json
import multiprocessing
import os
import shutil
import signal
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from api.settings import read_settings
from forecasting.fleet import Calendar, Forecasts, forecast_chunk, pool_shift, raised
from reserve import database, fleet, histories
from reserve.errors import Conflict, Unavailable
from reserve.histories import Store

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # Without these glibc gives every scratch array back to the system and asks for it again, in each worker.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
}
"""Of every worker process: one thread, and memory that is kept for the next chunk."""

MapChunks = Callable[[Callable[[Any], Forecasts], Iterable[Any]], Iterable[Forecasts]]
Progress = Callable[[int, int], None]


# -- the work of a chunk ----------------------------------------------------------------------------------------------


class FileWork(NamedTuple):
    """Forecasts a run of series of a store: the arrays are built where this runs."""

    store: Store
    horizon: int
    p: tuple[float, ...]
    window: int | None
    calendar: Calendar
    pool: bool

    def __call__(self, which: range) -> Forecasts:
        return forecast_chunk(
            *histories.histories(self.store, which),
            horizon=self.horizon,
            p=self.p,
            window=self.window,
            calendar=self.calendar,
            look_back=self.pool,
        )


class DatabaseWork(NamedTuple):
    """Forecasts items in all scopes; each process reads the database that its own environment names."""

    scopes: tuple[str, ...]
    asked: fleet.Asked

    def __call__(self, items: Sequence[str]) -> Forecasts:
        engine = database.connect(read_settings(os.environ).database_url)
        try:
            with database.reading(engine) as session:
                return fleet.forecast(session, items, self.scopes, self.asked)
        finally:
            database.close(engine)


# -- where it is done -------------------------------------------------------------------------------------------------


def local(workers: int) -> contextlib.AbstractContextManager[MapChunks]:
    """This process, or several beside it."""
    return contextlib.nullcontext(map) if workers == 1 else processes(workers)


@contextlib.contextmanager
def processes(workers: int) -> Iterator[MapChunks]:
    """Processes beside this one, that end when it does."""
    with _environment(ENVIRONMENT):
        pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _end_with_parent)
        try:
            yield pool.map
        except BrokenProcessPool as error:
            raise _worker_died() from error
        finally:
            pool.shutdown(cancel_futures=True)


def has_dask() -> bool:
    return importlib.util.find_spec("distributed") is not None


@contextlib.contextmanager
def dask(workers: int, scheduler: str | None) -> Iterator[MapChunks]:
    """A Dask cluster: one of our own on this machine, or the one of a scheduler somewhere."""
    import distributed
    from dask import config
    from distributed.scheduler import KilledWorker

    make: Any = distributed  # it has no types

    with contextlib.ExitStack() as stack:
        # Dask's own default trims memory after every task, which costs half of the speed.
        stack.enter_context(config.set({"distributed.nanny.pre-spawn-environ": ENVIRONMENT}))
        stack.enter_context(_environment(ENVIRONMENT))
        where: Any = scheduler
        if scheduler is None:
            where = stack.enter_context(
                make.LocalCluster(
                    n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs="CRITICAL"
                )
            )
        try:
            client = stack.enter_context(make.Client(where, timeout=30))
        except (OSError, ValueError) as error:
            raise Unavailable(
                f"No Dask scheduler answers at {scheduler}: check the address.", code="no_scheduler"
            ) from error

        def map_chunks(work: Callable[[Any], Forecasts], keys: Iterable[Any]) -> Iterator[Forecasts]:
            for future in client.map(work, list(keys), pure=False):
                yield future.result()
                future.release()

        try:
            yield map_chunks
        except KilledWorker as error:
            raise _worker_died() from error


def _worker_died() -> Unavailable:
    return Unavailable(
        "A worker process was ended from outside, perhaps for want of memory. What is finished is kept: run the same"
        " command with --resume, with fewer --workers or a smaller --chunk.",
        code="worker_died",
    )


@contextlib.contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """Variables for the processes started meanwhile."""
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _end_with_parent() -> None:
    """A worker outlives no parent, however that ended; Ctrl+C is the parent's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


# -- a run ------------------------------------------------------------------------------------------------------------


class Run:
    """One run: its folder, what it was asked for, and what it has found out that a second try must not find anew."""

    def __init__(self, output: Path, asked: dict[str, Any]) -> None:
        self.output, self.asked = output, asked
        self.folder = output.with_name(f"{output.name}.parts")
        self.state: dict[str, Any] = {}

    @contextlib.contextmanager
    def begun(self, *, resume: bool) -> Iterator[None]:
        """Take the folder for this process alone.

        Raises
        ------
        Conflict
            where a run is unfinished and `resume` is not said, asked for something else, or is still going on.
        """
        there = self.folder.exists()
        if there and not resume:
            raise Conflict(
                f"{self.folder} holds a run that was not finished: add --resume to go on with it, or remove it.",
                code="run_unfinished",
            )
        self.folder.mkdir(exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise Conflict(
                    f"Another process is working on {self.output}: wait for it, or choose another file.",
                    code="run_going_on",
                ) from error
            self._read_manifest()
            try:
                yield
            except BaseException:
                if not self._manifest.exists():
                    self.forget()  # nothing was finished that a second try could use
                raise

    def keep(self, **state: Any) -> None:  # noqa: ANN401 - whatever JSON holds
        """Remember something for a second try."""
        self.state.update(state)
        _write(self._manifest, json.dumps({"asked": self.asked, "state": self.state}, ensure_ascii=False).encode())

    def forget(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.folder)

    @property
    def _manifest(self) -> Path:
        return self.folder / "manifest.json"

    def _read_manifest(self) -> None:
        if not self._manifest.exists():
            return
        kept = json.loads(self._manifest.read_text(encoding="utf-8"))
        asked = json.loads(json.dumps(self.asked))
        other = sorted(name for name in {*kept["asked"], *asked} if kept["asked"].get(name) != asked.get(name))
        if other:
            raise Conflict(
                f"The unfinished run in {self.folder} was begun with another {', '.join(other)}: ask as before, or"
                " remove the folder.",
                code="run_differs",
            )
        self.state = kept["state"]

    def work_off(
        self, keys: Sequence[Any], work: Callable[[Any], Forecasts], map_chunks: MapChunks, progress: Progress
    ) -> None:
        """Do the chunks that are not done, each kept as soon as it is there."""
        waiting = [number for number in range(len(keys)) if self._part(number) is None]
        done = len(keys) - len(waiting)
        progress(done, len(keys))
        for number, found in zip(waiting, map_chunks(work, [keys[n] for n in waiting]), strict=True):
            packed = io.BytesIO()
            np.savez(packed, **found._asdict())
            _write(self._path(number), packed.getvalue())
            done += 1
            progress(done, len(keys))

    def parts(self, chunks: int) -> Iterator[Forecasts]:
        """What every chunk gave, in their order."""
        for number in range(chunks):
            found = self._part(number)
            if found is None:
                raise FileNotFoundError(self._path(number))
            yield found

    def _path(self, number: int) -> Path:
        return self.folder / f"part-{number:06d}.npz"

    def _part(self, number: int) -> Forecasts | None:
        """None for one that is not there, or that a power cut has damaged."""
        try:
            with np.load(io.BytesIO(self._path(number).read_bytes()), allow_pickle=False) as packed:
                return Forecasts(**{name: packed[name] for name in Forecasts._fields})
        except (FileNotFoundError, zipfile.BadZipFile, ValueError, KeyError, EOFError):
            return None

    def finish(
        self, chunks: int, names: Iterator[dict[str, Any]], p: Sequence[float], *, pool: bool, more: dict[str, Any]
    ) -> int:
        """Write the sheet under its name; returns how many series have a forecast. `names` says what each row is of."""
        from api import exports  # brings a web framework with it, which no worker needs

        shift = np.zeros(len(p))
        if pool:
            looked = [(part.reason, part.errors) for part in self.parts(chunks)]
            shift = pool_shift(
                np.concatenate([reason for reason, _ in looked]), np.concatenate([errors for _, errors in looked]), p
            )
        told, columns = 0, list[str]()
        whole = self.folder / "sheet"
        with whole.open("wb") as sheet:
            for part in self.parts(chunks):
                told += int(np.count_nonzero(part.reason == ""))
                rows = [next(names) | more | numbers for numbers in _rows(raised(part, shift, p), p)]
                if not columns:
                    columns = list(rows[0])
                    header = exports.csv_of([], columns)
                    sheet.write(header)
                sheet.write(exports.csv_of(rows, columns)[len(header) :])
            sheet.flush()
            os.fsync(sheet.fileno())
        whole.replace(self.output)
        self.forget()
        return told


def _rows(found: Forecasts, p: Sequence[float]) -> Iterator[dict[str, Any]]:
    """The numbers of each series as cells; empty where there is no forecast."""
    names = [f"p{100 * share:.10g}" for share in p]
    for mean, variance, quantiles, level, share, usable, reason, _ in zip(*found, strict=True):
        known = reason == ""
        yield {
            "mean": _number(mean) if known else None,
            "variance": _number(variance) if known else None,
            "level": _number(level) if known else None,
            **{name: int(units) if known else None for name, units in zip(names, quantiles, strict=True)},
            "share_filled": _number(share),
            "usable_periods": int(usable),
            "reason": str(reason),
        }


def _number(value: float) -> float:
    """Nine digits: more than is known, and the same on machines that differ in the last bit."""
    return float(f"{value:.9g}")


def _write(path: Path, content: bytes) -> None:
    """A file that is there whole or not at all, also after a power cut."""
    waiting = path.with_suffix(".waiting")
    with waiting.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    waiting.replace(path)
