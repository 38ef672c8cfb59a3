"""
Time series as SQL: expressions over any model, grouped by time.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    and_,
    case,
    cast,
    literal_column,
    null,
    or_,
    select,
    true,
)

from project_architect_db.analytics.scope import Scope
from project_architect_db.analytics.series_rows import (
    PREPARED,
    Prepared,
    Source,
    prepared,
    require_joined,
    source_of,
)
from project_architect_db.analytics.series_terms import Terms

OTHER = "other"
"""The series of all values that are not among the top ones."""


@lru_cache(maxsize=PREPARED)
def series_statement(
    terms: Terms, scope: Scope, top: int | None, since: datetime | None
) -> Prepared:
    """
    The statement for a time series.

    Args:
        terms: What it is of.
        scope: What it is limited to.
        top: How many of the values that split it are told of by name.
        since: When the earlier period begins that it is compared with.
    """
    source = source_of(terms, scope)
    terms = source.terms
    asked = source.period(scope.since, scope.until)
    read = asked
    if since is not None and scope.since is not None:
        # Not what is in the first bucket, but before the period.
        before = source.period(since, scope.start(scope.since))
        read = [or_(and_(*asked), and_(*before))]
    bucket_ = source.bucket(scope.granularity).label("bucket")
    value = terms.metric.label("value")
    if terms.by is None:
        found = source.select(bucket_, null().label("series"), value, asked=read)
        require_joined(found)
        return prepared(_with_nothing(found.group_by(literal_column("1"))))
    if top is None:
        series = terms.by.label("series")
        inner = source.select(bucket_, series, value, asked=read)
        split = inner.group_by(literal_column("1"), literal_column("2")).subquery()
        require_joined(inner)
        name: ColumnElement[Any] = cast(split.c.series, String)
    else:
        inner, split = _top(source, top, asked, read)
        name = case((split.c.is_top, cast(split.c.series, String)), else_=OTHER)
    return prepared(_with_nothing(select(split.c.bucket, name, split.c.value)))


def _with_nothing(found: Select[Any]) -> Select[Any]:
    """
    With the columns that are computed afterwards.
    """
    return found.add_columns(*(null().label(f"computed_{n}") for n in range(3)))


def _top(source: Source, top: int, asked: Any, read: Any) -> tuple[Any, Any]:
    """
    The rows of buckets by the top values; all others have none, and are together.
    """
    terms = source.terms
    rank = terms.metric.desc().nulls_last(), cast(terms.by, String).nulls_last()
    best = source.select(
        terms.by.label("series"), true().label("is_top"), asked=asked
    ).group_by(literal_column("1"))
    require_joined(best)
    # A value that is called as all others together are is one of these.
    best = best.having(cast(terms.by, String).is_distinct_from(OTHER))
    tops = best.order_by(*rank).limit(top).cte("tops").prefix_with("MATERIALIZED")
    inner = (
        source.select(
            source.bucket(source.scope.granularity).label("bucket"),
            tops.c.series.label("series"), tops.c.is_top.label("is_top"),
            terms.metric.label("value"), asked=read,
        )
        .outerjoin(tops, terms.by.is_not_distinct_from(tops.c.series))
        .group_by(*(literal_column(str(place)) for place in (1, 2, 3)))
    )  # fmt: skip
    return inner, inner.subquery()
