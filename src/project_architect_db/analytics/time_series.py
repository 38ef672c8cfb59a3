"""
Time series as a tool: of any model, yours too.
"""

from __future__ import annotations

import calendar
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Unpack

from sqlalchemy.orm import InstrumentedAttribute

from project_architect_db.analytics.charts import Spec, field, view
from project_architect_db.analytics.checks import require_among, require_count
from project_architect_db.analytics.questions import Asker, Query, Question
from project_architect_db.analytics.reports import Report
from project_architect_db.analytics.scope import (
    GRANULARITIES,
    MOST_BUCKETS,
    Filters,
    Scope,
)
from project_architect_db.analytics.season_statements import SEASONS, season_statement
from project_architect_db.analytics.series_statements import OTHER, series_statement
from project_architect_db.analytics.series_terms import Metric, Terms, is_additive
from project_architect_db.analytics.windows import (
    Fill,
    Period,
    TimePoint,
    Windows,
    shifted,
)
from project_architect_db.dialect.time_buckets import Granularity
from project_architect_db.errors import InvalidQuestionError

MOST_TOP, LONGEST_WINDOW = 1_000, 1_000


class Season(NamedTuple):
    """
    What is usual at an hour, on a weekday, or in a month.

    Attributes:
        number: The hour from 0 on, the weekday from Monday = 1 on, or the month.
        name: As people call it.
        buckets: How many values the mean is of.
        mean: Of the metric in these hours, days or months.
        ratio: Of this mean to that of all: 1.2 is 20 % more than usual.
    """

    number: int
    name: str
    buckets: int
    mean: float
    ratio: float | None


class TimeSeriesQuestions(Asker):
    """
    What can be asked about any model that has a time.
    """

    def time_series(  # noqa: PLR0913 - one call says all of a series
        self, time: InstrumentedAttribute[Any], metric: Metric = None, *,
        by: Any = None, top: int | None = None, join: Any = (), where: Any = (),
        fill: Fill = None, window: int | None = None,
        compare: Granularity | int | None = None, **filters: Unpack[Filters],
    ) -> Question[Report[TimePoint]]:  # fmt: skip
        """
        What became of a metric over time; of each value of something, if you like.

        One GROUP BY by bucket and value; with `top`, a first one finds the top values,
        and the rows of all others are grouped together, so that their average is one
        of rows, not of averages. Softly deleted rows of the model are left out.

        Args:
            time: The column that says when: with a zone, or without one, which is
                taken for UTC; or a date. Its model is what is counted.
            metric: An aggregate such as ``func.sum(Order.total)``; or ``"count"``, the
                default; or one of ``"sum"``, ``"avg"``, ``"median"``, ``"min"``,
                ``"max"``, ``"count"`` and ``"distinct"`` with its column.
            by: What the rows are split by.
            top: How many of the values of `by` are told of, those whose metric is the
                greatest in the whole period; all others are together as ``"other"``.
            join: Relationships to further models, as in ``Order.customer``.
            where: Conditions on the rows.
            fill: What a bucket has without a value: a number, the ``"previous"`` value,
                or what is on a line to the next (``"linear"``). By default it is no
                row.
            window: How many buckets `moving` is the mean of.
            compare: How long before, or how many buckets, `previous` is the value of.
                It is read even if it is before the period.
            filters: As in all questions.

        Example:
            >>> from project_architect_db.testing import seed, temporary_database
            >>> async with temporary_database() as engine:
            ...     seeded = await seed(engine, rows=1_000)
            ...     report = await AnalyticsRepository(engine).time_series(
            ...         Document.created_at, ("sum", Document.size),
            ...         by=Document.kind, top=1, granularity="year", fill=0)
            >>> sorted({point.series for point in report})
            ['code', 'other']
        """
        scope = Scope.of(filters)
        terms = Terms.of(time, metric, by, join, where)
        _require_top(top, by)
        if window is not None:
            require_count("window", window, most=LONGEST_WINDOW)
        _require_fill(fill)
        period = _period(compare, scope)
        since = scope.since
        if period is not None and since is not None:
            since = shifted(since, period, scope)
        prepared = series_statement(terms, scope, top, since)
        windows = Windows(
            scope=scope, fill=fill, window=window, period=period,
            last=None if top is None else OTHER, single=by is None,
        )  # fmt: skip
        return Query(
            name="time_series",
            title=_title(time, metric, by),
            sql=prepared.sql,
            statement=prepared.statement,
            row=TimePoint,
            tables=tuple(prepared.tables),
            scope=scope,
            values={
                **prepared.values, "fill": (type(fill), fill), "window": window,
                "compare": period,
            },
            finish=windows.points,
            view=_lines(metric, window, by),
        ).asked_by(self)  # fmt: skip

    def seasonality(
        self, time: InstrumentedAttribute[Any], metric: Metric = None, *,
        by: str = "weekday", join: Any = (), where: Any = (),
        fill: float | str | None = "auto", **filters: Unpack[Filters],
    ) -> Question[Report[Season]]:  # fmt: skip
        """
        What a metric is at each hour, on each weekday or in each month, on average.

        A GROUP BY of the rows by hours, days or months, which are joined with all of
        them from the first to the last, and a second GROUP BY.

        Args:
            time: As in `time_series`.
            metric: As in `time_series`.
            by: ``"hour"`` (of the day), ``"weekday"`` or ``"month"``.
            join: As in `time_series`.
            where: As in `time_series`.
            fill: What an hour, a day or a month has without rows; `None` leaves it
                out. By default 0 for counts and sums, and `None` for other metrics.
            filters: As in all questions; there is no granularity.
        """
        require_among("by", by, tuple(SEASONS))
        if "granularity" in filters:
            raise InvalidQuestionError(
                f"the mean is that of {by}s", argument="granularity",
                value=filters["granularity"],
            )  # fmt: skip
        if fill == "auto":
            fill = 0.0 if is_additive(metric) else None
        if fill is not None:
            _require_number(fill)
        scope = Scope.of(filters)
        terms = Terms.of(time, metric, None, join, where)
        prepared = season_statement(terms, scope, by, fill)
        return Query(
            name="seasonality",
            title=f"{_title(time, metric, None)}, by {by}",
            sql=prepared.sql,
            statement=prepared.statement,
            row=Season,
            tables=tuple(prepared.tables),
            scope=scope,
            values=prepared.values,
            finish=_NAMED[by],
            view=view(
                "bar",
                x=field("name", "O", "", sort=None),
                y=field("mean", "Q", f"mean {_name(metric)}"),
            ),
        ).asked_by(self)


# --- arguments ------------------------------------------------------------------------


def _require_top(top: Any, by: Any) -> None:
    if top is None:
        return
    require_count("top", top, most=MOST_TOP)
    if by is None:
        raise InvalidQuestionError(
            "say by what there is a top", argument="top", value=top
        )


def _require_fill(fill: Any) -> None:
    if fill is not None and fill not in ("previous", "linear"):
        _require_number(fill)


def _require_number(fill: Any) -> None:
    is_number = isinstance(fill, int | float) and not isinstance(fill, bool)
    if not is_number or not math.isfinite(fill):
        raise InvalidQuestionError(
            f"expected a number, and not {fill!r}", argument="fill", value=fill
        )


def _period(compare: Any, scope: Scope) -> Period | None:
    if compare is None:
        return None
    if not isinstance(compare, str):
        count = require_count("compare", compare, most=MOST_BUCKETS)
        return Period(count, scope.granularity)
    require_among("compare", compare, GRANULARITIES)
    places = {name: place for place, name in enumerate(GRANULARITIES)}
    if places[compare] < places[scope.granularity]:  # type: ignore[index]
        raise InvalidQuestionError(
            f"it is shorter than a bucket, which is a {scope.granularity}",
            argument="compare", value=compare,
        )  # fmt: skip
    return Period(1, compare)  # type: ignore[arg-type]


# --- pictures -------------------------------------------------------------------------


def _title(time: Any, metric: Any, by: Any) -> str:
    split = getattr(by, "key", None)
    title = f"{time.class_.__name__}: {_name(metric)} by {_words(time.key)}"
    return f"{title} and {_words(split)}" if split else title


def _name(metric: Any) -> str:
    """
    What people call a metric.
    """
    if isinstance(metric, tuple):
        return f"{metric[0]} of {_words(getattr(metric[1], 'key', None) or 'value')}"
    return (
        str(metric or "count")
        if (metric is None or isinstance(metric, str))
        else "value"
    )


def _words(name: str) -> str:
    return str(name).replace("_", " ")


def _lines(metric: Any, window: int | None, by: Any) -> Spec:
    """
    A line of the values; with a window, a thin one beside that of the averages.
    """
    told = _name(metric)
    split = {} if by is None else {"color": field("series", "N")}
    when = field("bucket", "T", "")

    def line(name: str, **mark: Any) -> Spec:
        return view({"type": "line", **mark}, x=when, y=field(name, "Q", told))

    lines = [line("value")]
    if window is not None:
        lines = [line("value", opacity=0.35), line("moving", strokeWidth=3)]
    return {"layer": [
        {**each, "encoding": {**each["encoding"], **split}} for each in lines
    ]}  # fmt: skip


# --- names of seasons -----------------------------------------------------------------


def _hours(rows: list[Season]) -> Sequence[Season]:
    return [row._replace(name=f"{row.number:02}:00") for row in rows]


def _weekdays(rows: list[Season]) -> Sequence[Season]:
    return [row._replace(name=calendar.day_name[row.number - 1]) for row in rows]


def _months(rows: list[Season]) -> Sequence[Season]:
    return [row._replace(name=calendar.month_name[row.number]) for row in rows]


_NAMED = {"hour": _hours, "weekday": _weekdays, "month": _months}
