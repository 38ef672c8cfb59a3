"""
Cursors go round through any value that can be ordered by, and belong to one query.
"""

from __future__ import annotations

import base64
import datetime as dt
import enum
import json
import uuid
from decimal import Decimal

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    column_property,
    load_only,
    mapped_column,
)

from project_architect_db import DatabaseEngine
from project_architect_db.dialect.types import ENUM
from project_architect_db.errors import InvalidDataError, InvalidValueError
from project_architect_db.orm.filters import any_of
from project_architect_db.orm.query import QueryBuilder
from project_architect_db.orm.query_cursors import to_cursor
from project_architect_db.orm.query_pages import keys_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Base(DeclarativeBase):
    pass


class Level(enum.Enum):
    LOW = "b, low"
    HIGH = "a, high"


class Version:
    """
    A value that only its column type understands.
    """

    def __init__(self, text):
        self.text = text


class VersionType(sa.types.TypeDecorator):
    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return value.text if value else None

    def process_result_value(self, value, dialect):
        return Version(value) if value else None


class DayNumber(sa.types.TypeDecorator):
    """
    A number in Python, a day in the database, which is bound as it is.
    """

    impl = sa.Date
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return dt.date.fromordinal(value)

    def process_result_value(self, value, dialect):
        return value.toordinal()


class Plain(sa.types.TypeDecorator):
    impl = sa.Integer
    cache_ok = True


class Item(Base):
    __tablename__ = "items"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column("label")
    level: Mapped[Level] = mapped_column(
        sa.Enum(Level, values_callable=lambda kind: [each.value for each in kind])
    )
    size: Mapped[str] = mapped_column(ENUM("small", "big", name="sizes"))
    version: Mapped[Version] = mapped_column(VersionType)
    number: Mapped[int] = mapped_column(DayNumber)
    plain: Mapped[int] = mapped_column(Plain)
    length: Mapped[dt.timedelta] = mapped_column(sa.Interval)
    blob: Mapped[bytes]
    price: Mapped[Decimal] = mapped_column(sa.Numeric(10, 2))
    token: Mapped[uuid.UUID]
    day: Mapped[dt.date]
    hour: Mapped[dt.time]
    moment: Mapped[dt.datetime] = mapped_column(sa.DateTime(timezone=True))
    ratio: Mapped[float]
    secret: Mapped[str] = mapped_column(deferred=True)
    numbers: Mapped[list] = mapped_column(sa.ARRAY(sa.Integer))


Item.double = column_property(Item.id * 2 % 5)
Item.letters = column_property(sa.func.length(Item.name))


def item(number):
    return Item(
        id=number, name=None if number % 2 else f"n{number}",
        level=list(Level)[number % 2], size=["small", "big"][number % 2],
        version=Version(f"1.{number % 3}"), number=9 - number, plain=number % 3,
        length=dt.timedelta(days=number % 3, microseconds=number),
        blob=bytes([255 - number]), price=Decimal(number % 2),
        token=uuid.UUID(int=9 - number), day=dt.date(2026, 1, 1 + number % 3),
        hour=dt.time(number % 3), ratio=0.1 * number,
        moment=dt.datetime(2026, 1, 9 - number, tzinfo=dt.UTC),
        secret=f"s{number % 2}", numbers=[number],
    )  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database():
    async with DatabaseEngine(":memory:", metadata=Base.metadata) as engine:
        await engine.create_all()
        async with engine.transaction() as session:
            session.add_all(item(number) for number in range(1, 7))
        yield engine


@pytest_asyncio.fixture(loop_scope="module")
async def items(database):
    async with database.session() as session:
        yield QueryBuilder(Item, session)


async def pages(query, size):
    found, cursor = [], None
    while True:
        page = await query.paginate(size, cursor=cursor)
        found += [item.id for item in page.items]
        if (cursor := page.next_cursor) is None:
            return found


ORDERS = [each.key for each in sa.inspect(Item).column_attrs if each.key != "numbers"]


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("sign", ["", pytest.param("-", marks=pytest.mark.slow)])
async def test_pages_follow_each_other_by_any_value(items, name, sign):
    ordered = items.order_by(sign + name)

    everything = [item.id for item in (await ordered.paginate(9)).items]

    assert list(range(1, 7)) == sorted(everything)
    for size in (1, 4):
        assert everything == await pages(ordered, size)


async def test_pages_follow_a_computed_column_with_its_nulls(items):
    ordered = items.order_by(Item.letters.desc().nulls_first(), "-id")

    assert [5, 3, 1, 6, 4, 2] == await pages(ordered, 2)


async def test_what_was_not_to_be_loaded_is_loaded_for_the_cursor(items):
    few = items.options(load_only(Item.id)).order_by("name")

    assert [2, 4, 6, 1, 3, 5] == await pages(few, 2)


async def test_an_enum_of_the_database_is_compared_in_its_own_order(items):
    assert 3 == await items.filter(size__gt="small").count()
    assert 3 == await items.filter(size__lt="big").count()


async def test_a_value_that_no_text_tells_has_no_cursor(items):
    with pytest.raises(InvalidDataError, match=r"use limit\(\) and offset\(\)"):
        await items.order_by("numbers").paginate(2)


async def cursor_of(query):
    return (await query.paginate(2)).next_cursor


async def test_a_cursor_is_of_one_query(items):
    by_name = items.order_by("name").filter(id__in=[1, 2, 3, 4, 5], ratio__gt=0)
    cursor = await cursor_of(by_name)
    others = [
        items.order_by("name"),
        items.order_by("name").filter(id__in=[1, 2, 3, 4, 6], ratio__gt=0),
        items.order_by("-name").filter(id__in=[1, 2, 3, 4, 5], ratio__gt=0),
        items.order_by(Item.name.nulls_first()).filter(
            id__in=[1, 2, 3, 4, 5], ratio__gt=0
        ),
        by_name.filter(any_of(level=Level.LOW)),
    ]

    found = await by_name.paginate(2, cursor=cursor)
    assert [1, 3] == [item.id for item in found.items]
    for other in others:
        with pytest.raises(InvalidDataError, match="belongs to another query"):
            await other.paginate(2, cursor=cursor)


async def test_the_same_query_said_another_way_has_the_same_cursors(items):
    cursor = await cursor_of(items.filter(id__in={5, 4, 3, 2}, level__in=[Level.LOW]))
    same = items.filter(id__in=(2, 3, 4, 5), level__in=["LOW"])

    assert cursor == await cursor_of(same)


async def test_filters_may_have_values_of_the_apps_own(items):
    def query():
        return items.filter(version=Version("1.1"))  # another object each time

    cursor = (await query().paginate(1)).next_cursor

    assert [4] == [item.id for item in (await query().paginate(1, cursor=cursor)).items]


async def test_a_wrong_value_of_a_filter_is_told_as_ever(items):
    wrong = items.filter(Item.version == 5)

    for run in (wrong.all, wrong.paginate):
        with pytest.raises(InvalidValueError, match="no attribute 'text'"):
            await run()


async def test_a_cursor_is_of_one_model(database, items):
    class Other(Base):
        __table__ = Item.__table__

    async with database.session() as session:
        with pytest.raises(InvalidDataError, match=r"Other\.cursor"):
            await QueryBuilder(Other, session).paginate(
                2, cursor=await cursor_of(items)
            )


async def test_a_cursor_with_other_values_is_refused(items):
    ordered = items.order_by("moment")
    text = base64.urlsafe_b64decode(await cursor_of(ordered) + "==")
    mark, *_ = json.loads(text)
    for values in (
        [], [1], [{"datetime": "x"}, 1], [{"member": "LOW"}, 1], [{"nonsense": 1}, 1],
        [{}, 1], [[], 1], [1, 1], ["x", "y"],
    ):  # fmt: skip
        changed = base64.urlsafe_b64encode(
            json.dumps([mark, *values]).encode()
        ).decode()
        with pytest.raises(InvalidDataError, match=r"Item\.cursor"):
            await ordered.paginate(2, cursor=changed)


async def test_a_mark_is_part_of_the_text():
    keys = keys_of(Item, [Item.moment])

    cursor = to_cursor(Item, keys, "mark", item(1))

    told = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    assert ["mark", {"datetime": "2026-01-08T00:00:00+00:00"}, 1] == told
