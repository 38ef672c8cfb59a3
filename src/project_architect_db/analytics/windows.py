"""
What a series of values over time becomes: gaps filled, averages, comparisons.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from calendar import monthrange
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Literal, NamedTuple, TypeAlias

from project_architect_db.analytics.scope import Scope
from project_architect_db.dialect.time_buckets import Granularity
from project_architect_db.errors import InvalidQuestionError

Fill: TypeAlias = float | Literal["previous", "linear"] | None
Values: TypeAlias = list[float | None]

MOST_POINTS = 1_000_000
"""In one answer, of all its series."""

_MONTHS: Mapping[Granularity, int] = {"month": 1, "quarter": 3, "year": 12}
_DAYS: Mapping[Granularity, int] = {"day": 1, "week": 7}


class TimePoint(NamedTuple):
    """
    A value of a series in a bucket of time.

    Attributes:
        bucket: When it begins.
        series: The value that the series is split by, as text; `None` where that is
            NULL, or nothing is split.
        value: Of the metric, or what a gap was filled with.
        moving: The mean of the last `window` values, this one included; fewer in the
            beginning, and where gaps stay.
        change: Percent, from the value of the bucket before.
        previous: The value of this bucket one period earlier.
    """

    bucket: datetime
    series: str | None
    value: float | None
    moving: float | None
    change: float | None
    previous: float | None


class Period(NamedTuple):
    """
    How much earlier values are that others are compared with.
    """

    number: int
    unit: Granularity


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """
    What is to become of the rows of a time series.

    Attributes:
        scope: Their period and buckets.
        fill: What gaps are filled with.
        window: How many values are averaged.
        period: With which earlier values they are compared.
        last: The series that comes last, whatever its name.
        single: Whether there is one series, even if nothing is told of it.
    """

    scope: Scope
    fill: Fill = None
    window: int | None = None
    period: Period | None = None
    last: str | None = None
    single: bool = True

    def points(self, rows: Iterable[TimePoint]) -> Sequence[TimePoint]:
        """
        The rows of all series, by bucket, and in it by series.
        """
        told: dict[str | None, dict[datetime, float | None]] = {}
        if self.single:
            told[None] = {}
        for row in rows:
            told.setdefault(row.series, {})[row.bucket] = _finite(row.value)
        every = self._buckets(told.values())
        if self.fill is not None and len(told) * len(every) > MOST_POINTS:
            raise InvalidQuestionError(
                f"{len(told):,} series of {len(every):,} buckets are too many to fill; "
                "ask for the top ones, or for longer buckets",
                argument="fill", value=self.fill,
            )  # fmt: skip
        earlier = self._earlier(every)
        names = sorted(told, key=self._place)
        if self.fill is None:
            places = {bucket: place for place, bucket in enumerate(every)}
            points = [
                point
                for name in names
                for point in self._sparse(name, told[name], places, earlier)
            ]
            return sorted(points, key=lambda point: places[point.bucket])
        columns = [
            self._series(name, told[name], every, earlier, self.fill) for name in names
        ]
        return [point for step in zip(*columns, strict=True) for point in step]

    def _place(self, name: str | None) -> tuple[bool, str]:
        return name is not None and name == self.last, name or ""

    def _buckets(
        self, series: Iterable[Mapping[datetime, float | None]]
    ) -> list[datetime]:
        told = {bucket for values in series for bucket in values}
        if self.scope.since is not None:
            first = self.scope.start(self.scope.since)
            told = {bucket for bucket in told if bucket >= first}
        return self.scope.all_buckets(told)

    def _earlier(self, every: Sequence[datetime]) -> list[datetime]:
        if self.period is None:
            return []
        period, scope = self.period, self.scope
        return [scope.start(shifted(bucket, period, scope)) for bucket in every]

    def _sparse(
        self, name: str | None, told: Mapping[datetime, float | None],
        places: Mapping[datetime, int], earlier: Sequence[datetime],
    ) -> Iterator[TimePoint]:  # fmt: skip
        """
        The points that are told of: most series may have none in most buckets.
        """
        known = sorted((places[each], each) for each in told if each in places)
        values = [told[bucket] for _, bucket in known]
        first = 0
        for number, (place, bucket) in enumerate(known):
            moving, before = None, None
            if self.window is not None:
                while known[first][0] <= place - self.window:
                    first += 1
                moving = _mean(values[first : number + 1])
            if number and known[number - 1][0] == place - 1:
                before = values[number - 1]
            change = changes([before, values[number]])[1]
            previous = told.get(earlier[place]) if earlier else None
            yield TimePoint(bucket, name, values[number], moving, change, previous)

    def _series(
        self, name: str | None, told: Mapping[datetime, float | None],
        every: Sequence[datetime], earlier: Sequence[datetime], fill: float | str,
    ) -> list[TimePoint]:  # fmt: skip
        values = filled([told.get(bucket) for bucket in every], fill)
        nothing: Values = [None] * len(every)
        moving = nothing if self.window is None else averaged(values, self.window)
        previous = (
            nothing
            if self.period is None
            else self._previous(told, dict(zip(every, values, strict=True)), earlier)
        )
        points = zip(every, values, moving, changes(values), previous, strict=True)
        return [TimePoint(bucket, name, *numbers) for bucket, *numbers in points]

    def _previous(
        self, told: Mapping[datetime, float | None],
        shown: Mapping[datetime, float | None], earlier: Sequence[datetime],
    ) -> Values:  # fmt: skip
        # What is before an open period is unknown; before a given one, it was read.
        is_read = self.scope.since is not None and not isinstance(self.fill, str)
        gap = float(self.fill) if is_read and self.fill is not None else None
        found = (shown.get(each, told.get(each)) for each in earlier)
        return [gap if value is None else value for value in found]


def shifted(moment: datetime, period: Period, scope: Scope) -> datetime:
    """
    The moment one period earlier, as clocks in the zone tell it.

    The last day of a month stays the last one, if the other month is shorter. Of weeks
    in months and years, it is their Thursday that is moved, as in ISO 8601.
    """
    try:
        return _shifted(moment, period, scope)
    except (ValueError, OverflowError) as error:
        raise InvalidQuestionError(
            f"there is no time that long before {moment:%F}",
            argument="compare", value=period.number,
        ) from error  # fmt: skip


def _shifted(moment: datetime, period: Period, scope: Scope) -> datetime:
    moment = scope.moment(moment)
    if period.unit == "hour":
        return scope.moment(moment - timedelta(hours=period.number))
    local = moment.replace(tzinfo=None)
    if days := _DAYS.get(period.unit):
        local -= timedelta(days=days * period.number)
    else:
        months = _MONTHS[period.unit] * period.number
        after = timedelta(
            days=local.weekday() - 3 if scope.granularity == "week" else 0
        )
        local = _months_before(local - after, months)
        if scope.granularity == "week":
            local += after + timedelta(days=3 - local.weekday())
    return scope.moment(local.replace(tzinfo=scope.zone))


def _months_before(local: datetime, count: int) -> datetime:
    year, month = divmod(local.year * 12 + local.month - 1 - count, 12)
    _, last = monthrange(year, month + 1)
    return local.replace(year=year, month=month + 1, day=min(local.day, last))


def filled(values: Values, fill: float | str) -> Values:
    """
    The values, with something in place of what is missing.
    """
    if isinstance(fill, str):
        known = [n for n, value in enumerate(values) if value is not None]
        between = _carried if fill == "previous" else _interpolated
        return [
            _within(values, known, number, between) if value is None else value
            for number, value in enumerate(values)
        ]
    return [float(fill) if value is None else value for value in values]


Between: TypeAlias = Callable[[Values, int, int | None, int], float | None]


def _within(
    values: Values, known: Sequence[int], number: int, between: Between
) -> float | None:
    place = bisect_left(known, number)
    if place == 0:
        return None
    after = known[place] if place < len(known) else None
    return between(values, known[place - 1], after, number)


def _carried(values: Values, before: int, _: int | None, __: int) -> float | None:
    return values[before]


def _interpolated(
    values: Values, before: int, after: int | None, number: int
) -> float | None:
    if after is None:
        return None
    start, end = values[before], values[after]
    step = (number - before) / (after - before)
    return start + (end - start) * step  # type: ignore[operator]


def averaged(values: Values, window: int) -> Values:
    """
    The mean of each value and those before it, as many as are in a window.
    """
    return [
        _mean(values[max(0, end - window) : end]) for end in range(1, len(values) + 1)
    ]


def _mean(values: Values) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def changes(values: Values) -> Values:
    """
    By how many percent each value is more than the one before.
    """
    return [None, *(
        100 * (value - before) / abs(before) if before and value is not None else None
        for before, value in pairwise(values)
    )][: len(values)]  # fmt: skip


def _finite(value: float | None) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)  # of a whole number, or a Decimal
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidQuestionError(
            f"it is no number that can be told, but {value!r}",
            argument="metric", value=value,
        ) from error  # fmt: skip
    return number if math.isfinite(number) else None
