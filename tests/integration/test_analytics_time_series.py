"""
Time series of any model, against plain Python over the same rows.
"""

from __future__ import annotations

import json
import random
import statistics
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from sqlalchemy import (
    JSON,
    DateTime,
    Enum,
    ForeignKey,
    Numeric,
    TypeDecorator,
    distinct,
    func,
    insert,
    literal,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, mapped_column, relationship
from sqlalchemy.sql.functions import FunctionElement

from project_architect_db import Document, InvalidQuestionError, Project
from project_architect_db.analytics import windows
from project_architect_db.analytics.answering import Answering
from project_architect_db.analytics.scope import Scope
from project_architect_db.analytics.series_statements import series_statement
from project_architect_db.analytics.time_series import TimeSeriesQuestions
from project_architect_db.base import SoftDeleteMixin
from project_architect_db.testing import seed, temporary_database

pytestmark = pytest.mark.asyncio(loop_scope="module")

BERLIN = ZoneInfo("Europe/Berlin")


class Analytics(TimeSeriesQuestions, Answering):
    """
    The questions of this file.
    """


DAY = timedelta(days=1)


class Own(DeclarativeBase):
    """
    Models of an application.
    """


class Size(StrEnum):
    SMALL = "small"
    LARGE = "large"


class Wrapped(TypeDecorator):
    impl = DateTime(timezone=True)
    cache_ok = True


class Customer(Own):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    country: Mapped[str | None]


class Order(Own, SoftDeleteMixin):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    wrapped_at: Mapped[datetime | None] = mapped_column(Wrapped)
    naive_at: Mapped[datetime | None] = mapped_column(DateTime())
    day: Mapped[date | None]
    total: Mapped[Decimal | None] = mapped_column(Numeric(12, 2))
    weight: Mapped[float | None]
    size: Mapped[Size | None] = mapped_column(Enum(Size))
    customer: Mapped[Customer] = relationship()


COUNTRIES = ["de", "fr", "at", None, "ch", "it"]


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="shop")
async def fixture_shop():
    """
    A shop with orders of two years, and these as dicts.
    """
    draw = random.Random(7)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    orders = []
    for number in range(1, 601):
        at = start + timedelta(seconds=draw.randrange(800 * 86400))
        orders.append({
            "id": number, "customer_id": 1 + draw.randrange(6) * draw.randrange(2),
            "created_at": at, "wrapped_at": at, "naive_at": at.replace(tzinfo=None),
            "day": at.date(), "total": Decimal(draw.randrange(10_000)) / 100,
            "weight": draw.choice([None, draw.random()]),
            "size": draw.choice([*Size, None]),
            "deleted_at": at if draw.random() < 0.1 else None,
        })  # fmt: skip
    async with temporary_database(metadata=Own.metadata) as engine:
        async with engine.transaction() as session:
            await session.execute(insert(Customer), [
                {"id": number, "country": country}
                for number, country in enumerate(COUNTRIES, start=1)
            ])  # fmt: skip
            await session.execute(insert(Order), orders)
        yield Analytics(engine), [o for o in orders if o["deleted_at"] is None]


@pytest_asyncio.fixture(loop_scope="module", name="engine")
async def fixture_engine():
    async with temporary_database(metadata=Own.metadata) as engine:
        async with engine.transaction() as session:
            await session.execute(insert(Customer), {"id": 1, "country": "de"})
        yield engine


async def add_orders(engine, *orders):
    common = {"customer_id": 1}
    async with engine.transaction() as session:
        rows = [{"id": n, **common, **row} for n, row in enumerate(orders, start=1)]
        for row in rows:
            await session.execute(insert(Order), row)


def start_of(moment, granularity="day", zone=UTC):
    local = moment.astimezone(zone)
    if granularity == "hour":
        return local.replace(minute=0, second=0, microsecond=0)
    day = local.replace(hour=0, minute=0, second=0, microsecond=0)
    if granularity == "week":
        return day - timedelta(days=day.weekday())
    if granularity == "month":
        return day.replace(day=1)
    return day


def grouped(orders, granularity, zone=UTC, by=lambda order: None):
    found = defaultdict(list)
    for order in orders:
        bucket = start_of(order["created_at"], granularity, zone)
        found[bucket, by(order)].append(order)
    return found


def told(report):
    return {(row.bucket, row.series): row.value for row in report}


def country_of(order):
    return COUNTRIES[order["customer_id"] - 1]


def month(year, number, zone=UTC):
    return datetime(year, number, 1, tzinfo=zone)


# --- metrics --------------------------------------------------------------------------


def values(orders, name):
    return [float(order[name]) for order in orders if order[name] is not None]


METRICS = [
    (None, len),
    ("count", len),
    (func.count(), len),
    (("count", Order.weight), lambda orders: len(values(orders, "weight"))),
    (("distinct", Order.customer_id), lambda o: len({x["customer_id"] for x in o})),
    (func.count(distinct(Order.customer_id)),
     lambda orders: len({order["customer_id"] for order in orders})),
    (("sum", Order.total), lambda orders: sum(values(orders, "total"))),
    (func.sum(Order.total), lambda orders: sum(values(orders, "total"))),
    (("avg", Order.total), lambda o: statistics.fmean(values(o, "total"))),
    (("median", Order.total), lambda o: statistics.median(values(o, "total"))),
    (("min", Order.total), lambda orders: min(values(orders, "total"))),
    (("max", Order.total), lambda orders: max(values(orders, "total"))),
    (func.sum(Order.total) / func.count(),
     lambda orders: sum(values(orders, "total")) / len(orders)),
    (func.count().filter(Order.total > 50),
     lambda orders: sum(total > 50 for total in values(orders, "total"))),
]  # fmt: skip


@pytest.mark.parametrize(("metric", "compute"), METRICS)
async def test_metrics(shop, metric, compute):
    analytics, orders = shop
    report = await analytics.time_series(Order.created_at, metric, granularity="month")
    expected = {
        key: pytest.approx(compute(some))
        for key, some in grouped(orders, "month").items()
    }
    assert expected == told(report)
    assert all(type(row.value) is float for row in report)


@pytest.mark.parametrize("granularity", ["hour", "day", "week", "month"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
@pytest.mark.parametrize("time", [Order.created_at, Order.wrapped_at, Order.naive_at])
async def test_buckets_of_times(shop, granularity, zone, time):
    analytics, orders = shop
    since, until = date(2025, 3, 1), date(2025, 4, 15)
    report = await analytics.time_series(
        time, granularity=granularity, zone=zone, since=since, until=until
    )
    first, last = (
        datetime(d.year, d.month, d.day, tzinfo=ZoneInfo(zone)) for d in (since, until)
    )
    seen = [order for order in orders if first <= order["created_at"] < last]
    found = grouped(seen, granularity, ZoneInfo(zone))
    assert {key: len(some) for key, some in found.items()} == told(report)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
@pytest.mark.parametrize(
    ("since", "until"),
    [
        (None, None),
        (date(2025, 1, 5), date(2025, 2, 5)),
        (datetime(2025, 1, 5, 0, 0, 1), datetime(2025, 2, 5, 0, 0, 1)),  # local
    ],
)
async def test_dates_are_of_every_zone(shop, zone, since, until):
    analytics, orders = shop
    report = await analytics.time_series(
        Order.day, granularity="week", zone=zone, since=since, until=until
    )
    expected = defaultdict(int)
    for order in orders:
        begin = datetime(order["day"].year, order["day"].month, order["day"].day)
        first, last = (
            datetime(d.year, d.month, d.day, second=getattr(d, "second", 0))
            if d else begin for d in (since, until)
        )  # fmt: skip
        if first <= begin and (until is None or begin < last):
            monday = begin - timedelta(days=begin.weekday())
            expected[monday.replace(tzinfo=ZoneInfo(zone)), None] += 1
    assert expected == told(report)


# --- split ----------------------------------------------------------------------------


async def test_split_by_a_column_of_another_model(shop):
    analytics, orders = shop
    found = grouped(orders, "month", by=country_of)
    expected = {key: len(some) for key, some in found.items()}
    joined = analytics.time_series(
        Order.created_at, by=Customer.country, join=Order.customer, granularity="month"
    )
    assert frozenset({"orders", "customers"}) == joined.tables
    assert expected == told(await joined)
    named = await analytics.time_series(
        Order.created_at, by=Customer.country, granularity="month",
        where=Order.customer_id == Customer.id,
    )  # fmt: skip
    assert [*await joined] == [*named]
    keys = [(row.bucket, row.series or "") for row in named]
    assert keys == sorted(keys)


@pytest.mark.parametrize(
    ("metric", "compute"), [METRICS[0], METRICS[7], METRICS[8]]
)  # fmt: skip
@pytest.mark.parametrize("top", [1, 2, 4, 50])
async def test_top_and_other(shop, metric, compute, top):
    analytics, orders = shop
    totals = defaultdict(list)
    for order in orders:
        totals[country_of(order)].append(order)
    best = sorted(totals, key=lambda name: (-compute(totals[name]), name or "~"))[:top]

    def series(order):
        return country_of(order) if country_of(order) in best else "other"

    report = await analytics.time_series(
        Order.created_at, metric, by=Customer.country, join=[Order.customer], top=top,
        granularity="month",
    )  # fmt: skip
    expected = {
        key: pytest.approx(compute(some))
        for key, some in grouped(orders, "month", by=series).items()
    }
    assert expected == told(report)
    if top == 2:
        assert "other" == [r.series for r in report if r.bucket == month(2024, 1)][-1]


async def test_series_of_other_types_are_text(shop):
    analytics, orders = shop
    report = await analytics.time_series(
        Order.created_at, by=Order.customer_id, top=1, granularity="month"
    )
    assert {"1", "other"} == {row.series for row in report}
    report = await analytics.time_series(Order.created_at, by=Order.size)
    assert {"SMALL", "LARGE", None} == {row.series for row in report}
    heavy = await analytics.time_series(Order.created_at, by=Order.weight > 0.5)
    assert {"true", "false", None} == {row.series for row in heavy}
    assert len(orders) == sum(row.value for row in heavy)


async def test_conditions_and_subqueries(shop):
    analytics, orders = shop
    german = select(Customer.id).where(Customer.country == "de")
    question = analytics.time_series(
        Order.created_at, granularity="month",
        where=[Order.total > 50, Order.customer_id.in_(german)],
    )  # fmt: skip
    assert frozenset({"orders", "customers"}) == question.tables
    seen = [o for o in orders if o["total"] > 50 and country_of(o) == "de"]
    found = grouped(seen, "month")
    assert {key: len(some) for key, some in found.items()} == told(await question)
    other = aliased(Order)
    report = await analytics.time_series(other.created_at, granularity="month")
    assert len(orders) == sum(row.value for row in report)


# --- what is computed afterwards ------------------------------------------------------

DAYS = [date(2024, 2, day) for day in (26, 27)] + [date(2024, 3, 1), date(2024, 3, 4)]
TOTALS = [10, 0, 30, 60]


async def _series_of_days(engine, **options):
    await add_orders(engine, *(
        {"created_at": datetime(d.year, d.month, d.day, 12, tzinfo=UTC), "total": total}
        for d, total in zip(DAYS, TOTALS, strict=True)
    ))  # fmt: skip
    total = func.sum(Order.total)
    return await Analytics(engine).time_series(Order.created_at, total, **options)


@pytest.mark.parametrize(
    ("fill", "expected"),
    [
        (0, [10, 0, 0, 0, 30, 0, 0, 60]),
        (-1.5, [10, 0, -1.5, -1.5, 30, -1.5, -1.5, 60]),
        ("previous", [10, 0, 0, 0, 30, 30, 30, 60]),
        ("linear", [10, 0, 10, 20, 30, 40, 50, 60]),
        (None, [10, 0, 30, 60]),
    ],
)
async def test_gaps(engine, fill, expected):
    report = await _series_of_days(engine, fill=fill)  # over a leap day
    assert expected == [row.value for row in report]


async def test_gaps_at_the_ends_of_a_period(engine):
    period = {"since": date(2024, 2, 25), "until": date(2024, 3, 6)}
    report = await _series_of_days(engine, fill="previous", **period)
    assert [None, 10, 0, 0, 0, 30, 30, 30, 60, 60] == [row.value for row in report]
    analytics = Analytics(engine)
    report = await analytics.time_series(
        Order.created_at, ("sum", Order.total), fill="linear", **period
    )
    assert [None, 10, 0, 10, 20, 30, 40, 50, 60, None] == [r.value for r in report]


async def test_moving_average_and_change(engine):
    report = await _series_of_days(engine, window=3, fill=0)
    assert [10, 5, 10 / 3, 0, 10, 10, 10, 20] == [row.moving for row in report]
    assert [None, -100, None, None, None, -100, None, None] == [
        row.change for row in report
    ]
    report = await Analytics(engine).time_series(
        Order.created_at, ("sum", Order.total), window=3
    )
    assert [10, 5, 30, 60] == [row.moving for row in report]
    assert [None, -100, None, None] == [row.change for row in report]


async def test_nothing_is_filled_where_a_metric_is_null(engine):
    day = datetime(2024, 2, 29, tzinfo=UTC)
    await add_orders(
        engine, {"created_at": day}, {"created_at": day + timedelta(days=1),
                                      "weight": float("inf")},
    )  # fmt: skip
    analytics = Analytics(engine)
    report = await analytics.time_series(Order.created_at, ("sum", Order.weight))
    assert [None, None] == [row.value for row in report]
    report = await analytics.time_series(
        Order.created_at, ("sum", Order.weight), fill=7, window=2
    )
    assert [7, 7] == [row.value for row in report]


@pytest.mark.parametrize(
    ("compare", "granularity", "months"),
    [("year", "month", 12), ("quarter", "month", 3), ("month", "month", 1),
     (2, "month", 2)],
)  # fmt: skip
async def test_compared_with_earlier_months(shop, compare, granularity, months):
    analytics, orders = shop
    counts = {key[0]: len(some) for key, some in grouped(orders, "month").items()}
    for since in (date(2025, 2, 1), None):
        report = await analytics.time_series(
            Order.created_at, compare=compare, granularity=granularity, since=since,
            until=date(2026, 1, 1),
        )  # fmt: skip
        for row in report:
            number = row.bucket.year * 12 + row.bucket.month - 1 - months
            earlier = month(number // 12, number % 12 + 1)
            assert counts.get(earlier) == row.previous
            assert counts[row.bucket] == row.value
        assert len([each for each in counts if since is None
                    or each >= month(2025, 2)]) >= len(report) > 9  # fmt: skip


@pytest.mark.parametrize(
    ("granularity", "compare", "at", "earlier"),
    [
        ("day", "year", (2024, 2, 29), (2023, 2, 28)),
        ("day", "year", (2025, 2, 28), (2024, 2, 28)),
        ("day", "month", (2024, 3, 31), (2024, 2, 29)),
        ("day", "quarter", (2024, 5, 31), (2024, 2, 29)),
        ("day", "week", (2026, 3, 30), (2026, 3, 23)),
        ("day", "day", (2026, 3, 30), (2026, 3, 29)),
        ("day", 3, (2026, 10, 26), (2026, 10, 23)),
        ("week", "year", (2026, 1, 5), (2025, 1, 6)),
        ("week", "week", (2026, 1, 5), (2025, 12, 29)),
        ("month", "year", (2024, 2, 1), (2023, 2, 1)),
        ("quarter", "quarter", (2024, 1, 1), (2023, 10, 1)),
        ("hour", "day", (2026, 3, 30, 2), (2026, 3, 29, 3)),
        ("hour", "hour", (2026, 3, 29, 3), (2026, 3, 29, 1)),
        ("hour", 2, (2026, 10, 25, 3), (2026, 10, 25, 2)),
    ],
)
async def test_the_same_bucket_earlier(engine, granularity, compare, at, earlier):
    at, earlier = (
        datetime(*[*parts, 1, 1][: max(3, len(parts))], tzinfo=BERLIN)
        for parts in (at, earlier)
    )
    await add_orders(
        engine, {"created_at": at, "total": 3}, {"created_at": earlier, "total": 2}
    )
    report = await Analytics(engine).time_series(
        Order.created_at, ("sum", Order.total), granularity=granularity,
        compare=compare, zone="Europe/Berlin", since=at,
    )  # fmt: skip
    assert [(at.astimezone(UTC), 3, 2)] == [
        (row.bucket.astimezone(UTC), row.value, row.previous) for row in report
    ]


async def test_a_period_that_begins_in_a_bucket_is_compared(engine):
    noon = datetime(2026, 5, 5, 12, tzinfo=UTC)
    hours = [-30, -20, -2, 1, 30]
    await add_orders(
        engine, *({"created_at": noon + timedelta(hours=hour)} for hour in hours)
    )
    report = await Analytics(engine).time_series(
        Order.created_at, compare="day", since=noon, fill=0,
        until=date(2026, 5, 9),
    )  # fmt: skip
    # The 5th is counted from noon on, the 4th from noon on as well.
    assert [(1, 1), (1, 1), (0, 1), (0, 0)] == [(r.value, r.previous) for r in report]


@pytest.mark.slow
async def test_hours_and_days_when_clocks_change(engine):
    first = datetime(2026, 10, 24, 23, 30, tzinfo=UTC)
    await add_orders(engine, *(
        {"created_at": first + timedelta(hours=hour)} for hour in (0, 1, 2, 24)
    ))  # fmt: skip
    analytics = Analytics(engine)
    options = {"zone": "Europe/Berlin", "fill": 0}
    report = await analytics.time_series(
        Order.created_at, granularity="hour", until=date(2026, 10, 26), **options
    )
    assert 24 == len(report)  # from 01:00 on, two of them at 02:00
    assert [1, 1, 1, 0] == [row.value for row in report[:4]]
    assert [1, 2, 2, 3] == [row.bucket.hour for row in report[:4]]
    days = await analytics.time_series(Order.created_at, **options)
    assert [3, 1] == [row.value for row in days]


# --- seasons --------------------------------------------------------------------------


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
@pytest.mark.parametrize(
    ("by", "granularity", "number"),
    [
        ("hour", "hour", lambda bucket: bucket.hour),
        ("weekday", "day", lambda bucket: bucket.isoweekday()),
        ("month", "month", lambda bucket: bucket.month),
    ],
)
@pytest.mark.parametrize(
    "period", [{}, {"since": date(2024, 10, 1), "until": date(2025, 4, 20)}]
)
async def test_seasonality(shop, zone, by, granularity, number, period):
    analytics, orders = shop
    local = ZoneInfo(zone)
    bounds = [datetime(d.year, d.month, d.day, tzinfo=local) for d in period.values()]
    if bounds:
        first, end = bounds
        orders = [o for o in orders if first <= o["created_at"] < end]
    counts = {
        k[0]: len(some) for k, some in grouped(orders, granularity, local).items()
    }
    moment, last = (
        (bounds[0], bounds[1] - timedelta(seconds=1))
        if bounds
        else (min(counts), max(counts))
    )
    seasons, seen = defaultdict(list), set()
    while moment.astimezone(UTC) <= last.astimezone(UTC):
        bucket = start_of(moment, granularity, local)
        if bucket.astimezone(UTC) not in seen:
            seen.add(bucket.astimezone(UTC))
            seasons[number(bucket)].append(0)
        moment = (moment.astimezone(UTC) + timedelta(hours=1)).astimezone(local)
    totals = defaultdict(int)
    for order in orders:
        totals[number(start_of(order["created_at"], granularity, local))] += 1
    overall = len(orders) / len(seen)
    report = await analytics.seasonality(
        Order.created_at, by=by, zone=zone, **period
    )  # fmt: skip
    expected = [
        (each, len(seasons[each]), pytest.approx(totals[each] / len(seasons[each])),
         pytest.approx(totals[each] / len(seasons[each]) / overall))
        for each in sorted(seasons)
    ]  # fmt: skip
    assert expected == [(row.number, *row[2:]) for row in report]


@pytest.mark.slow
async def test_seasonality_of_what_is_no_sum(engine):
    await _series_of_days(engine)
    analytics = Analytics(engine)
    report = await analytics.seasonality(Order.created_at, func.avg(Order.total))
    assert [
        ("Monday", 2, 35, 1.4), ("Tuesday", 1, 0, 0), ("Friday", 1, 30, 1.2),
    ] == [row[1:] for row in report]  # fmt: skip
    report = await analytics.seasonality(
        Order.created_at, ("avg", Order.total), fill=1, until=date(2024, 2, 29)
    )
    assert [10, 0, 1] == [row.mean for row in report]
    report = await analytics.seasonality(Order.created_at, by="month")
    assert ["February", "March"] == [row.name for row in report]
    report = await analytics.seasonality(Order.created_at, by="hour", fill=None)
    assert [("12:00", 4)] == [row[1:3] for row in report]
    report = await analytics.seasonality(
        Order.created_at, ("sum", Order.weight), fill=None
    )
    assert [] == [*report]
    days = await analytics.seasonality(Order.created_at, where=Order.total == 0)
    assert [("Tuesday", 1, 1, 1)] == [row[1:] for row in days]


# --- the models of this package -------------------------------------------------------


async def test_projects_and_statuses():
    async with temporary_database() as engine:
        await seed(engine, rows=500)
        async with engine.session() as session:
            documents = [*await session.scalars(select(Document))]
            projects = [*await session.scalars(select(Project))]
        analytics = Analytics(engine)
        statuses = {project.id: project.status for project in projects}
        chosen = [statuses[1], "archived"]
        question = analytics.time_series(
            Document.created_at, statuses=chosen, projects=[1, 2]
        )
        assert frozenset({"documents", "projects"}) == question.tables
        expected = sum(
            d.project_id in (1, 2) and statuses[d.project_id] in chosen
            for d in documents
        )
        assert expected == sum(row.value for row in await question)
        report = await analytics.time_series(Project.created_at, projects=2)
        assert 1 == sum(row.value for row in report)


# --- answers --------------------------------------------------------------------------


@pytest.mark.parametrize("options", [
    {}, {"by": Order.size}, {"by": Order.size, "top": 1}, {"fill": 0, "window": 2},
    {"compare": "year"},
])  # fmt: skip
async def test_of_nothing_and_of_one_row(engine, options):
    analytics = Analytics(engine)
    assert [] == [*await analytics.time_series(Order.created_at, **options)]
    assert [] == [*await analytics.seasonality(Order.created_at)]
    await add_orders(engine, {"created_at": datetime(2024, 2, 29, tzinfo=UTC)})
    (row,) = await analytics.time_series(Order.created_at, **options)
    assert (datetime(2024, 2, 29, tzinfo=UTC), None, 1, None, None) == (
        row.bucket, row.series, row.value, row.change, row.previous,
    )  # fmt: skip
    assert [1] == [s.mean for s in await analytics.seasonality(Order.created_at)]


async def test_nothing_in_a_period_is_zero_each_day(engine):
    period = {"since": date(2024, 2, 28), "until": date(2024, 3, 2)}
    analytics = Analytics(engine)
    report = await analytics.time_series(Order.created_at, fill=0, **period)
    assert [28, 29, 1] == [row.bucket.day for row in report]
    assert [0, 0, 0] == [row.value for row in report]
    assert [] == [*await analytics.time_series(Order.created_at, **period)]


async def test_an_answer_is_kept_until_one_of_its_tables_is_written(engine):
    analytics = Analytics(engine)

    def ask(country="de", **options):
        return analytics.time_series(
            Order.created_at, ("sum", Order.total), join=Order.customer,
            where=Customer.country == country, **options,
        )  # fmt: skip

    await add_orders(
        engine, {"created_at": datetime(2026, 1, 1, tzinfo=UTC), "total": 5}
    )
    first = await ask()
    assert await ask() is first
    assert [5] == [row.value for row in first]
    assert [] == [*await ask("fr")]
    assert await ask(window=2) is not first
    assert [] == [*await ask(since=date(2027, 1, 1))]
    async with engine.transaction() as session:
        await session.execute(update(Customer).values(country="fr"))
    assert [] == [*await ask()]
    assert [5] == [row.value for row in await ask("fr")]


async def test_statements_are_prepared_once(shop):
    analytics, _ = shop
    before = series_statement.cache_info()
    for values_ in ([1, 2], [1, 3], [1, 2]):
        await analytics.time_series(
            Order.created_at, where=Order.customer_id.in_(values_), granularity="year"
        )
    after = series_statement.cache_info()
    assert (2, 1) == (after.misses - before.misses, after.hits - before.hits)


async def test_values_that_have_no_hash(shop):
    analytics, _ = shop
    condition = literal({"a": [1]}, JSON) != literal({"a": [2]}, JSON)
    question = analytics.time_series(Order.created_at, where=condition)
    assert await question is await question


class Unknown(FunctionElement):
    """
    A condition that SQLAlchemy cannot tell from others.
    """

    inherit_cache = False
    name = "unknown"


async def test_what_has_no_key_is_prepared_each_time(shop):
    analytics, _ = shop
    before = series_statement.cache_info().misses
    condition = Unknown() == 1
    for _ in range(2):
        with pytest.raises(Exception, match="Unknown"):
            analytics.time_series(Order.created_at, where=condition)
    assert 2 == series_statement.cache_info().misses - before


async def test_as_a_picture_and_as_json(shop):
    analytics, _ = shop
    for report in (
        await analytics.time_series(Order.created_at, by=Order.size, window=3),
        await analytics.time_series(Order.created_at, func.sum(Order.total)),
        await analytics.seasonality(Order.created_at, ("sum", Order.total * 2)),
    ):
        assert json.dumps(report.plot().spec)
        assert json.dumps(report.to_dict(), allow_nan=False)
        assert len(report) == report.to_arrow().num_rows
    assert "Order: sum of value by created at, by weekday" == report.title


# --- what makes no sense --------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "options", "argument"),
    [
        (("created_at",), {}, "time"),
        ((Order.total,), {}, "time"),
        ((Order.customer,), {}, "time"),
        ((func.now(),), {}, "time"),
        ((Order.created_at, "total"), {}, "metric"),
        ((Order.created_at, Order.total), {}, "metric"),
        ((Order.created_at, Order.total + func.sum(Order.total)), {}, "metric"),
        ((Order.created_at, literal(1)), {}, "metric"),
        ((Order.created_at, ("mean", Order.total)), {}, "metric"),
        ((Order.created_at, ("sum", "total")), {}, "metric"),
        ((Order.created_at, (1, Order.total)), {}, "metric"),
        ((Order.created_at, ["sum"]), {}, "metric"),
        ((Order.created_at, ("max", Order.day)), {}, "metric"),
        ((Order.created_at, func.min(Customer.country)), {}, "metric"),
        ((Order.created_at,), {"where": Order.day}, "where"),
        ((Order.created_at,), {"join": "customer"}, "join"),
        ((Order.created_at,), {"by": "size"}, "by"),
        ((Order.created_at,), {"by": Order}, "by"),
        ((Order.created_at,), {"where": "total > 5"}, "where"),
        ((Order.created_at,), {"where": [True]}, "where"),
        ((Order.created_at,), {"top": 3}, "top"),
        ((Order.created_at,), {"top": 0, "by": Order.size}, "top"),
        ((Order.created_at,), {"window": 0}, "window"),
        ((Order.created_at,), {"window": 5_000}, "window"),
        ((Order.created_at,), {"fill": "zero"}, "fill"),
        ((Order.created_at,), {"fill": float("nan")}, "fill"),
        ((Order.created_at,), {"fill": True}, "fill"),
        ((Order.created_at,), {"compare": "fortnight"}, "compare"),
        ((Order.created_at,), {"compare": 0}, "compare"),
        ((Order.created_at,), {"compare": "day", "granularity": "week"}, "compare"),
        ((Order.created_at,), {"compare": "year", "since": date(1, 1, 1)}, "compare"),
        ((Order.created_at,), {"compare": 5, "since": date(1, 1, 1)}, "compare"),
        ((Order.created_at,), {"by": Customer.country}, "join"),
        ((Order.created_at,), {"by": Customer.country, "top": 1}, "join"),
        ((Order.created_at,), {"projects": 1}, "projects"),
        ((Order.created_at,), {"statuses": "active"}, "statuses"),
        ((Order.day,), {"granularity": "hour"}, "granularity"),
        ((Order.created_at,), {"zone": "Mars"}, "zone"),
        ((Order.created_at,), {"colour": "red"}, "colour"),
    ],
)
async def test_what_makes_no_sense_is_not_asked(shop, arguments, options, argument):
    with pytest.raises(InvalidQuestionError) as caught:
        shop[0].time_series(*arguments, **options)
    assert argument == caught.value.argument


@pytest.mark.parametrize(
    ("time", "options", "argument"),
    [
        (Order.created_at, {"by": "phase"}, "by"),
        (Order.created_at, {"fill": "previous"}, "fill"),
        (Order.created_at, {"granularity": "day"}, "granularity"),
        (Order.day, {"by": "hour"}, "granularity"),
        (Order.created_at, {"metric": Order.total}, "metric"),
        (Order.created_at, {"where": Customer.country == "de"}, "join"),
    ],
)
async def test_seasons_that_make_no_sense(shop, time, options, argument):
    with pytest.raises(InvalidQuestionError) as caught:
        shop[0].seasonality(time, **options)
    assert argument == caught.value.argument


async def test_too_many_points_are_not_filled(shop, monkeypatch):
    monkeypatch.setattr(windows, "MOST_POINTS", 1_000)
    question = shop[0].time_series(Order.created_at, by=Order.size, fill=0)
    with pytest.raises(InvalidQuestionError, match=r"3 series of \d+ buckets"):
        await question


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"metric": func.abs(Order.total)}, "metric"),
        ({"metric": func.sum(Order.total).over()}, "metric"),
        ({"metric": func.no_such_thing(Order.total)}, "metric"),
        ({"metric": func.list(Order.total)}, "metric"),
        ({"metric": ("sum", func.lower(literal("a")).op("||")("b"))}, "metric"),
        ({"by": func.sum(Order.total)}, "by"),
        ({"where": func.sum(Order.total) > 5}, "where"),
    ],
)
async def test_what_the_database_does_not_understand(shop, options, argument):
    with pytest.raises(InvalidQuestionError) as caught:
        await shop[0].time_series(Order.created_at, **options)
    assert argument == caught.value.argument


async def test_a_value_called_other_is_one_of_the_others(engine):
    async with engine.transaction() as session:
        await session.execute(insert(Customer), [
            {"id": 2, "country": "other"}, {"id": 3, "country": "fr"},
        ])  # fmt: skip
    at = datetime(2026, 1, 1, tzinfo=UTC)
    customers = [2, 2, 2, 1, 1, 3]
    await add_orders(engine, *({"created_at": at, "customer_id": n} for n in customers))
    report = await Analytics(engine).time_series(
        Order.created_at, by=Customer.country, join=Order.customer, top=1
    )
    assert {"de": 2, "other": 4} == {row.series: row.value for row in report}


@pytest.mark.parametrize("options", [
    {}, {"since": date(2020, 1, 1)}, {"until": date(2030, 1, 1)}, {"fill": 0},
    {"by": Order.size, "top": 1}, {"compare": 1, "since": date(2020, 1, 1)},
])  # fmt: skip
@pytest.mark.parametrize("time", [Order.day, Order.wrapped_at, Order.naive_at])
async def test_what_has_no_time_is_in_no_bucket(engine, time, options):
    at = datetime(2026, 1, 1, tzinfo=UTC)
    known = {"day": at.date(), "wrapped_at": at, "naive_at": at.replace(tzinfo=None)}
    rows = [known, {}, {}]
    await add_orders(engine, *({"created_at": at, **row} for row in rows))
    async with engine.transaction() as session:
        forever = (
            "SET day = 'infinity', wrapped_at = '-infinity', naive_at = 'infinity'"
        )
        await session.execute(text(f"UPDATE orders {forever} WHERE id = 3"))
    report = await Analytics(engine).time_series(time, granularity="year", **options)
    assert 1 == sum(row.value for row in report)
    (season,) = await Analytics(engine).seasonality(time)
    assert 1 == season.mean


async def test_few_points_of_many_series_are_those_of_all_filled_ones(engine):
    """
    What is not filled is computed otherwise; it has to be the same.
    """
    draw = random.Random(3)
    first = datetime(2026, 1, 1, tzinfo=UTC)
    await add_orders(engine, *(
        {"created_at": first + timedelta(days=draw.randrange(40)),
         "size": draw.choice([*Size, None]), "weight": draw.choice([None, 1.5, 3.0])}
        for _ in range(60)
    ))  # fmt: skip
    report = await Analytics(engine).time_series(
        Order.created_at, ("sum", Order.weight), by=Order.size, window=3, compare=2
    )
    values = {(row.series, row.bucket): row.value for row in report}
    for row in report:
        near = [values.get((row.series, row.bucket - n * DAY)) for n in range(3)]
        known = [value for value in near if value is not None]
        assert row.moving == (statistics.fmean(known) if known else None)
        assert row.previous == near[2]
        before = near[1]
        if before is None or row.value is None:
            assert row.change is None
        else:
            assert row.change == 100 * (row.value - before) / before
    assert [*report] == sorted(report, key=lambda row: (row.bucket, row.series or ""))


async def test_tuples_are_no_columns(shop):
    with pytest.raises(InvalidQuestionError):
        shop[0].time_series(Order.created_at, tuple_(Order.id, Order.total))


async def test_shifted_in_months():
    scope = Scope(granularity="day")
    period = windows.Period(1, "month")
    found = windows.shifted(datetime(2026, 1, 31, tzinfo=UTC), period, scope)
    assert datetime(2025, 12, 31, tzinfo=UTC) == found
