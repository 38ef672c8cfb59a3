"""
What limits a question: a period, projects, their status; and how finely it is asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, TypeAlias, TypedDict, get_args
from zoneinfo import ZoneInfo

from project_architect_db.analytics.checks import (
    moment_of,
    projects_of,
    require_among,
    statuses_of,
    with_offset,
    zone_of,
)
from project_architect_db.dialect.time_buckets import Granularity, bucket, wall_clock
from project_architect_db.errors import InvalidQuestionError

Moment: TypeAlias = datetime | date

_UTC = ZoneInfo("UTC")

MOST_BUCKETS = 10_000
"""In one answer."""

GRANULARITIES: tuple[Granularity, ...] = get_args(Granularity)

_SHORTEST: Mapping[Granularity, timedelta] = {
    "hour": timedelta(hours=1), "day": timedelta(hours=23),
    "week": timedelta(days=6, hours=23), "month": timedelta(days=27, hours=23),
    "quarter": timedelta(days=89, hours=23), "year": timedelta(days=364, hours=23),
}  # fmt: skip


class Filters(TypedDict, total=False):
    """
    What all questions can be limited by.

    Attributes:
        since: When the period begins; a date, or a time without a zone, is one of
            `zone`. By default with the first record.
        until: When it has ended: this moment is not in it any more.
        projects: Ids of the only projects to look at.
        statuses: Of the only projects to look at, as they are now.
        granularity: Of what is told by time: ``"hour"``, ``"day"``, ``"week"`` (from
            Monday on), ``"month"``, ``"quarter"`` or ``"year"``; by default a day.
        zone: Whose days these are, as in ``"Europe/Berlin"``; by default UTC.
    """

    since: Moment | None
    until: Moment | None
    projects: Collection[int] | int | None
    statuses: Collection[str] | str | None
    granularity: Granularity
    zone: str | ZoneInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """
    What a question is limited to; see `Filters`.
    """

    since: datetime | None = None
    until: datetime | None = None
    projects: tuple[int, ...] | None = None
    statuses: tuple[str, ...] | None = None
    granularity: Granularity = "day"
    zone: ZoneInfo = _UTC

    @classmethod
    def of(cls, filters: Filters) -> Scope:
        """
        Check what is to limit a question.

        Raises:
            InvalidQuestionError: It makes no sense.
        """
        _require_known(filters)
        zone = zone_of(filters.get("zone", "UTC"))
        granularity = filters.get("granularity", "day")
        require_among("granularity", granularity, GRANULARITIES)
        scope = cls(
            since=moment_of("since", filters.get("since"), zone),
            until=moment_of("until", filters.get("until"), zone),
            projects=projects_of(filters.get("projects")),
            statuses=statuses_of(filters.get("statuses")),
            granularity=granularity,
            zone=zone,
        )
        scope.require_order()
        return scope

    def require_order(self) -> None:
        """
        Raise for a period that ends before it begins, or has too many buckets.
        """
        if self.since is None or self.until is None:
            return
        if self.since >= self.until:
            raise InvalidQuestionError(
                f"the period ends before it begins, at {self.since.isoformat()}",
                argument="until", value=self.until,
            )  # fmt: skip
        count = (self.until - self.since) // _SHORTEST[self.granularity]
        if count > MOST_BUCKETS:
            raise InvalidQuestionError(
                f"there are {count:,} of them in that period, and an answer has at "
                f"most {MOST_BUCKETS:,}; ask for longer ones",
                argument="granularity", value=self.granularity,
            )  # fmt: skip

    # --- as SQL -------------------------------------------------------------------

    def where(self, *, time: str | None = None, project: str | None = None) -> str:
        """
        SQL for what is inside of it; its values are in `parameters`.

        Args:
            time: The TIMESTAMPTZ that is to be in the period.
            project: The project's id.
        """
        return " AND ".join(self._conditions(time, project)) or "true"

    def _conditions(self, time: str | None, project: str | None) -> Iterator[str]:
        if time is not None and self.since is not None:
            yield f"{time} >= :since"
        if time is not None and self.until is not None:
            yield f"{time} < :until"
        if project is not None and self.projects is not None:
            yield f"{project} IN (SELECT unnest(CAST(:projects AS BIGINT[])))"
        if project is not None and self.statuses is not None:
            yield (
                f"{project} IN (SELECT id FROM projects WHERE status IN "
                "(SELECT unnest(CAST(:statuses AS VARCHAR[]))))"
            )

    @property
    def parameters(self) -> dict[str, Any]:
        """
        The values for `where`; give a statement those it has.
        """
        return {
            "since": self.since, "until": self.until,
            "projects": None if self.projects is None else list(self.projects),
            "statuses": None if self.statuses is None else list(self.statuses),
        }  # fmt: skip

    def bucket(self, time: str) -> str:
        """
        SQL for the start of the bucket that a TIMESTAMPTZ is in; see `moment`.
        """
        return bucket(time, self.granularity, self.zone)

    def wall_clock(self, time: str) -> str:
        """
        SQL for what clocks in the zone show at a TIMESTAMPTZ.
        """
        return wall_clock(time, self.zone)

    # --- from SQL -----------------------------------------------------------------

    def moment(self, value: datetime) -> datetime:
        """
        What SQL says of a time, or of a `bucket`, as clocks in the zone show it.

        Its offset from UTC is a fixed one: Python takes the two hours that a zone has
        twice for one and the same, where both have the zone itself.

        Raises:
            InvalidQuestionError: Python has no such time.
        """
        try:
            if value.tzinfo is not None:
                return with_offset(value.astimezone(self.zone))
            if self.granularity == "hour":
                return with_offset(value.replace(tzinfo=UTC).astimezone(self.zone))
            return _on_the_clock(value, self.zone)
        except (AttributeError, OverflowError) as error:  # as text, if Python has none
            raise InvalidQuestionError(
                f"there are times beyond the years 1 to 9999, such as {value}; "
                "ask for a period",
                argument="since", value=self.since,
            ) from error  # fmt: skip

    def start(self, moment: datetime) -> datetime:
        """
        The start of the bucket that a time is in.
        """
        local = self.moment(moment)
        if self.granularity == "hour":
            return local.replace(minute=0, second=0, microsecond=0)
        return self._midnight(self._first_day(local.date()))

    def _midnight(self, day: date) -> datetime:
        return _on_the_clock(datetime.combine(day, time()), self.zone)

    def _first_day(self, day: date) -> date:
        if self.granularity == "week":
            return day - timedelta(days=day.weekday())
        if self.granularity == "month":
            return day.replace(day=1)
        if self.granularity == "quarter":
            return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
        if self.granularity == "year":
            return day.replace(month=1, day=1)
        return day

    def next(self, start: datetime) -> datetime:
        """
        The start of the bucket after the one that starts then.
        """
        if self.granularity == "hour":
            return self.moment(start + timedelta(hours=1))
        days = {"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366}
        later = start.date() + timedelta(days=days[self.granularity])
        return self._midnight(self._first_day(later))

    def buckets(self, first: datetime, last: datetime) -> list[datetime]:
        """
        All buckets from the one that starts first to the one that starts last.

        Raises:
            InvalidQuestionError: There are too many.
        """
        alone = Scope(granularity=self.granularity, zone=self.zone)
        return list(_buckets(alone, first, last))

    def all_buckets(self, told: Collection[datetime]) -> list[datetime]:
        """
        The buckets of the period; where it is open, of what is told of.
        """
        if not told and (self.since is None or self.until is None):
            return []
        first = min(told) if self.since is None else self.start(self.since)
        instant = timedelta(microseconds=1)
        last = max(told) if self.until is None else self.start(self.until - instant)
        return self.buckets(first, last) if first <= last else []

    def until_end(self, told: Collection[datetime], end: datetime) -> list[datetime]:
        """
        As `all_buckets`, up to an end, where there is anything to tell of.
        """
        last = [self.start(end - timedelta(microseconds=1))] if told else []
        return [each for each in self.all_buckets([*told, *last]) if each < end]


@lru_cache(maxsize=100)
def _buckets(scope: Scope, first: datetime, last: datetime) -> Sequence[datetime]:
    """
    The same ones are asked for again and again.
    """
    found = [first]
    while found[-1] < last:
        found.append(scope.next(found[-1]))
        if len(found) > MOST_BUCKETS:
            raise InvalidQuestionError(
                f"there are more than {MOST_BUCKETS:,} of them from {first:%F} "
                f"to {last:%F}; ask for longer ones, or a shorter period",
                argument="granularity", value=scope.granularity,
            )  # fmt: skip
    return tuple(found)


@lru_cache(maxsize=50_000)
def _on_the_clock(value: datetime, zone: ZoneInfo) -> datetime:
    """
    The time at which clocks in a zone show this; buckets are asked for again and again.
    """
    return with_offset(value.replace(tzinfo=zone))


def _require_known(filters: Mapping[str, Any]) -> None:
    for name, value in filters.items():
        if name not in Filters.__annotations__:
            known = ", ".join(Filters.__annotations__)
            raise InvalidQuestionError(
                f"there is no such filter; there are {known}",
                argument=name,
                value=value,
            )
