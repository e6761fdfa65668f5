"""Who says something happened, when we were told, and when it was: the part that every recording shares."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from reserve.errors import Fault, OutOfBounds

CLOCK_TOLERANCE = timedelta(minutes=5)
"""A device may be this far ahead of us; further is a wrong clock."""


@dataclass(frozen=True, slots=True)
class Entry:
    """`occurred` is a moment, a civil day, or None for now. `back_dating_days` None: any past day (imports)."""

    actor: str
    now: datetime
    zone: ZoneInfo
    occurred: datetime | date | None = None
    reference: str | None = None
    back_dating_days: int | None = 14

    @property
    def today(self) -> date:
        return self.now.astimezone(self.zone).date()

    @property
    def day_start(self) -> datetime:
        """The first moment of today."""
        return day_bounds(self.today, self.zone)[0]

    def day_of(self, moment: datetime) -> date:
        return moment.astimezone(self.zone).date()

    def occurred_at(self, *, incoming: bool) -> datetime:
        """The moment it happened. Of a civil day, what comes in counts from its start, what goes out at its end.

        Raises
        ------
        OutOfBounds
            in the future beyond a clock's tolerance, or further back than back-dating allows.
        """
        try:
            moment = self._moment(incoming=incoming)
        except OverflowError:
            raise _out_of_bounds(f"{self.occurred} lies outside the calendar; check the year.") from None
        if moment > self.now + CLOCK_TOLERANCE:
            raise _out_of_bounds(f"{self.occurred} lies in the future; check the clock of the device.")
        moment = min(moment, self.now)
        earliest = None if self.back_dating_days is None else self.today - timedelta(days=self.back_dating_days)
        if earliest is not None and self.day_of(moment) < earliest:
            raise _out_of_bounds(
                f"{self.day_of(moment)} is too long ago: entries may be dated back {self.back_dating_days} days, "
                f"to {earliest}. An older correction is an adjustment of today."
            )
        return moment

    def _moment(self, *, incoming: bool) -> datetime:
        if self.occurred is None:
            return self.now
        if isinstance(self.occurred, datetime):
            if self.occurred.tzinfo is None:
                raise ValueError("a moment needs its zone; a naive datetime was given")
            return self.occurred.astimezone(UTC)
        if self.occurred == self.today:
            return self.now
        start, end = day_bounds(self.occurred, self.zone)
        return start if incoming else end - timedelta(microseconds=1)


def day_bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The first moment of a civil day and the first of the next, in UTC."""
    start = datetime.combine(day, time.min, zone)
    end = datetime.combine(day + timedelta(days=1), time.min, zone)
    return start.astimezone(UTC), end.astimezone(UTC)


def _out_of_bounds(detail: str) -> OutOfBounds:
    return OutOfBounds(detail, faults=[Fault("/occurred_at", OutOfBounds.code, detail)])
