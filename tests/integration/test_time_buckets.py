"""
Buckets of time in SQL, compared with Python's and DuckDB's own calendars.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from project_architect_db import DatabaseEngine
from project_architect_db.analytics.scope import GRANULARITIES, Scope
from project_architect_db.dialect.time_buckets import bucket, wall_clock

ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu",
    "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia",
)  # fmt: skip

# From 1880 to 2090, at all hours; and each half hour around changes of the clocks.
FAR = "SELECT to_timestamp(x * 331711.123456 - 2840000000) AS t FROM range(20000) r(x)"
NEAR = """
    SELECT unnest(generate_series(TIMESTAMPTZ '2026-03-28 00:00+00',
        TIMESTAMPTZ '2026-04-06 00:00+00', INTERVAL 30 MINUTE)) AS t
    UNION ALL SELECT unnest(generate_series(TIMESTAMPTZ '2026-10-03 00:00+00',
        TIMESTAMPTZ '2026-11-02 00:00+00', INTERVAL 30 MINUTE))
    UNION ALL SELECT TIMESTAMPTZ '2024-02-29 23:59:59.999999+00'
"""


@pytest.fixture
async def session():
    async with DatabaseEngine(":memory:") as engine, engine.session() as session:
        yield session


@pytest.mark.parametrize("zone", ZONES)
async def test_clocks_show_what_the_calendar_of_duckdb_says(session, zone):
    ours = wall_clock("t", ZoneInfo(zone))
    theirs = f"t AT TIME ZONE '{zone}'"
    sql = f"SELECT t FROM ({FAR} UNION ALL {NEAR}) WHERE {ours} <> {theirs}"
    assert (await session.execute(text(sql))).all() == []


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("zone", ZONES)
async def test_buckets_are_those_of_python(session, zone, granularity):
    scope = Scope.of({"zone": zone, "granularity": granularity})
    sql = f"SELECT t, {bucket('t', granularity, scope.zone)} FROM ({NEAR})"
    rows = (await session.execute(text(sql))).all()
    assert [scope.moment(start) for _, start in rows] == [
        scope.start(moment) for moment, _ in rows
    ]


async def test_times_that_are_not_there_are_in_no_bucket(session):
    sql = bucket("CAST(NULL AS TIMESTAMPTZ)", "day", ZoneInfo("Europe/Berlin"))
    assert await session.scalar(text(f"SELECT {sql}")) is None


async def test_an_hour_that_comes_twice_is_two_buckets(session):
    zone = ZoneInfo("Europe/Berlin")
    scope = Scope.of({"zone": zone, "granularity": "hour"})
    first = datetime(2026, 10, 25, 0, 10, tzinfo=UTC)
    sql = text(f"SELECT {bucket('CAST(:t AS TIMESTAMPTZ)', 'hour', zone)}")
    found = [
        scope.moment(await session.scalar(sql, {"t": first + timedelta(hours=later)}))
        for later in (0, 1)
    ]
    assert [each.isoformat() for each in found] == [
        "2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00",
    ]  # fmt: skip
