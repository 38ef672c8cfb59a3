"""
Seasons as SQL: what is usual at an hour, on a weekday, in a month.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import DateTime, Double, cast, func, literal, literal_column, select

from project_architect_db.analytics.scope import Scope
from project_architect_db.analytics.series_rows import (
    PREPARED,
    Prepared,
    prepared,
    require_joined,
    source_of,
)
from project_architect_db.analytics.series_terms import Terms

SEASONS: Mapping[str, Any] = {"hour": "hour", "weekday": "day", "month": "month"}
"""By what is told of, of which buckets it is the mean."""


@lru_cache(maxsize=PREPARED)
def season_statement(
    terms: Terms, scope: Scope, season: str, fill: float | None
) -> Prepared:
    """
    The statement for the mean of each weekday, hour or month, and its ratio to all.

    All buckets from the first to the last are made by the database, as there may be
    many hours; those without rows get what gaps are filled with.
    """
    unit = SEASONS[season]
    if season == "hour":
        scope = replace(scope, granularity="hour")
    source = source_of(terms, scope)
    inner = source.select(
        source.bucket(unit).label("bucket"),
        cast(source.terms.metric, Double).label("value"),
        asked=source.period(scope.since, scope.until),
    )
    require_joined(inner)
    told = inner.group_by(literal_column("1")).cte("told")
    first, last = (
        select(bound(told.c.bucket)).scalar_subquery() for bound in (func.min, func.max)
    )
    units = replace(scope, granularity=unit)
    if scope.since is not None:
        first = _naive(units, units.start(scope.since))
    if scope.until is not None:
        last = _naive(units, units.start(scope.until - timedelta(microseconds=1)))
    step: Any = literal_column(f"INTERVAL '1 {unit}'")
    grid = select(
        func.unnest(func.generate_series(first, last, step), type_=DateTime())
        .label("bucket")
    ).subquery("grid")  # fmt: skip
    value = told.c.value if fill is None else func.coalesce(told.c.value, float(fill))
    values = (
        select(_season(season, grid.c.bucket, scope).label("season"), value.label("v"))
        .select_from(grid.outerjoin(told, told.c.bucket == grid.c.bucket))
        .where(func.isfinite(value))
        .subquery("values_")
    )
    v = values.c.v
    overall = func.sum(func.sum(v)).over() / func.sum(func.count(v)).over()
    return prepared(
        select(
            values.c.season, literal("").label("name"), func.count(v).label("buckets"),
            func.avg(v).label("mean"), func.avg(v) / func.nullif(overall, 0),
        )
        .group_by(literal_column("1")).order_by(literal_column("1"))
    )  # fmt: skip


def _naive(scope: Scope, start: datetime) -> Any:
    """
    The start of a bucket as `Bucket` tells it.
    """
    zone = UTC if scope.granularity == "hour" else scope.zone
    return cast(literal(start.astimezone(zone).replace(tzinfo=None)), DateTime)


def _season(season: str, bucket_: Any, scope: Scope) -> Any:
    if season == "weekday":
        return func.isodow(bucket_)
    if season == "month":
        return func.month(bucket_)
    aware = cast(bucket_, DateTime(timezone=True))
    return func.hour(func.timezone(scope.zone.key, aware))
