"""The worker: `beat` seals what was written, assesses what is due, raises what is news, and delivers what waits."""

import logging
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from sqlmodel import Session

from api import notify
from api.desk import Desk
from reserve import alerts, beats, catalogue, coverage, database, outbox, seals
from reserve.catalogue import ItemRow
from reserve.errors import Refusal
from reserve.outbox import Claimed, Outcome

log = logging.getLogger("reserve.worker")

ITEMS_A_BEAT = 200
SEALS_A_BEAT = 50
"""Two or three seconds: after an upgrade or a large import, sealing must not keep the city from being assessed."""

SENDINGS = 8
JUMP_FORWARD = timedelta(hours=1)
JUMP_BACK = timedelta(minutes=5)

Progress = Callable[[int, int], None]


class Beat(NamedTuple):
    """What one beat did."""

    rows: int
    alerts: int
    delivered: int
    failed: int


def beat(desk: Desk, name: str = "worker", progress: Progress | None = None) -> Beat:
    """Everything that is due, once: the heartbeat, the seals, the assessments, the deliveries."""
    rows, raised = assess_due(desk, name, progress)
    delivered, failed = deliver_due(desk)
    return Beat(rows, raised, delivered, failed)


# -- assessing --------------------------------------------------------------------------------------------------------


def assess_due(desk: Desk, name: str = "worker", progress: Progress | None = None) -> tuple[int, int]:
    """Seal what was written, then assess the items whose stock, use or policy changed, and on a new day all.

    One transaction an item, one a seal.
    Returns the rows assessed and the alerts raised.
    """
    now = desk.clock()
    moment = coverage.when(None, now=now, zone=desk.zone)
    database.transact(desk.engine, lambda session: beats.live(session, name, now))
    seal_waiting(desk)
    with database.reading(desk.engine) as session:
        due = coverage.items_due(session, ITEMS_A_BEAT)
        old = coverage.out_of_date(session, coverage.board(session, moment), moment.as_of)
        items = catalogue.items_by_id(session, {*due, *old})
    rows = raised = 0
    queue = [*due, *sorted(old - set(due))]
    for n, item_id in enumerate(queue, start=1):
        try:
            done = database.transact(desk.engine, _assess(items[item_id], desk, everywhere=item_id in old))
        except Refusal:
            raise
        except (
            Exception
        ):  # a bug in one item's figures must not hide the others; its row stays stale and is tried again
            log.exception("item %s could not be assessed", items[item_id].code)
            continue
        rows, raised = rows + done[0], raised + done[1]
        if progress is not None:
            progress(n, len(queue))
    return rows, raised


def seal_waiting(desk: Desk) -> int:
    """Seal what waits now, in transactions so short that no writer feels them; what comes meanwhile waits a beat.

    Returns the seals written.
    """
    with database.reading(desk.engine) as session:
        until = seals.waiting(session).newest
    made = 0
    try:
        while made < SEALS_A_BEAT and database.transact(desk.engine, _seal(desk, until)) is not None:
            made += 1
    except Refusal:
        raise
    except Exception:  # a bug in sealing must not leave the city unwatched; /readyz and verify say what waits
        log.exception("what was written could not be sealed")
    return made


def _seal(desk: Desk, until: int) -> Callable[[Session], seals.Sealed | None]:
    now, key = desk.clock(), desk.settings.sealing_key
    return lambda session: seals.seal(session, now, key=key, until=until)


def _assess(item: ItemRow, desk: Desk, *, everywhere: bool) -> Callable[[Session], tuple[int, int]]:
    now = desk.clock()
    moment = coverage.when(None, now=now, zone=desk.zone)

    def work(session: Session) -> tuple[int, int]:
        before = seals.last(session)
        changed = coverage.take_due(session, item.id)
        world = coverage.board(session, moment)
        scopes = coverage.scopes_of(session, world, item)
        if not everywhere:
            scopes = coverage.scopes_due(world, scopes, changed)
        found = coverage.assess_item(session, world, item, scopes, moment)
        coverage.store(session, found, now, seals.over_all_since(session, before))
        return len(found), alerts.consider(session, found, now)

    return work


# -- delivering -------------------------------------------------------------------------------------------------------


def deliver_due(desk: Desk, rounds: int = 1000) -> tuple[int, int]:
    """Send what waits: claim and commit, send with no transaction open, settle. Returns delivered and failed.

    One sending a receiver at a time, eight at once in all; ends when nothing more is due.
    """
    delivered = failed = 0
    running: set[Future[Outcome]] = set()
    with ThreadPoolExecutor(max_workers=SENDINGS, thread_name_prefix="notify") as pool:
        for _ in range(rounds):
            if free := SENDINGS - len(running):
                now, token = desk.clock(), uuid.uuid4().hex
                claimed = database.transact(desk.engine, partial(outbox.claim, now=now, token=token, limit=free))
                running |= {pool.submit(_deliver, desk, notice) for notice in claimed}
            if not running:
                break
            done, running = wait(running, timeout=desk.settings.beat_seconds, return_when=FIRST_COMPLETED)
            delivered += sum(future.result().delivered for future in done)
            failed += sum(not future.result().delivered for future in done)
    return delivered, failed


def _deliver(desk: Desk, notice: Claimed) -> Outcome:
    outcome = notify.send(notice, now=desk.clock(), settings=desk.settings)
    database.transact(desk.engine, lambda session: outbox.settle(session, notice, outcome, desk.clock()))
    if not outcome.delivered:
        log.warning("notice %s to receiver %s: %s", notice.id, notice.receiver_id, outcome.error)
    return outcome


# -- living -----------------------------------------------------------------------------------------------------------


class Worker:
    """Two threads, one that assesses and one that delivers, so that a slow receiver never delays a number."""

    def __init__(self, desk: Desk, name: str | None = None) -> None:
        self._desk = desk
        self._name = name or f"worker-{uuid.uuid4().hex[:8]}"
        self._stop = threading.Event()
        self._clock = ClockGuard()
        self._threads = [
            threading.Thread(target=self._live, args=(step,), name=f"reserve-{what}", daemon=True)
            for what, step in (("assess", self._assess), ("deliver", self._deliver))
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=15)

    def _live(self, step: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                step()
            except Refusal as refusal:
                # the database may be away for a while; the next beat tries again, and a late beat shows on the pages
                log.warning("beat failed: %s", refusal.detail)
            except Exception:  # a worker that dies of a bug would leave the city unwatched: it says so, and goes on
                log.exception("beat failed")
            self._stop.wait(self._desk.settings.beat_seconds)

    def _assess(self) -> None:
        held = self._clock.holds(self._desk.clock(), time.monotonic())
        if held is not None:
            log.error("clock_jumped: %s", held)
            return  # no heartbeat either: /readyz says that the worker is late
        assess_due(self._desk, self._name)

    def _deliver(self) -> None:
        deliver_due(self._desk)


class ClockGuard:
    """A wall clock that jumps would expire the reserve and ring for all of it: assessment waits.

    After a jump of up to two days (a machine that slept, a clock set right) it goes on when the clock has run evenly
    for ten minutes. A larger one is a wrong year until a person has looked: restart the worker to go on.
    """

    EVEN_FOR = timedelta(minutes=10)
    PERSON_BEYOND = timedelta(days=2)

    def __init__(self) -> None:
        self._last: tuple[datetime, float] | None = None
        self._held_since: float | None = None
        self._for_good = False

    def holds(self, wall: datetime, monotonic: float) -> str | None:
        """Why assessment must wait, or None."""
        last, self._last = self._last, (wall, monotonic)
        if last is not None:
            drift = (wall - last[0]) - timedelta(seconds=monotonic - last[1])
            if drift > JUMP_FORWARD or drift < -JUMP_BACK:
                self._held_since = monotonic
                self._for_good = self._for_good or abs(drift) > self.PERSON_BEYOND
        if self._held_since is None:
            return None
        if self._for_good:
            return f"the clock jumped to {wall.date()}; set it right and restart the worker"
        if timedelta(seconds=monotonic - self._held_since) < self.EVEN_FOR:
            return "the clock jumped; assessment goes on when it has run evenly for ten minutes"
        self._held_since = None
        return None
