"""
UPDATE and DELETE of many rows by key are one statement, with the same effect.
"""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from project_architect_db import DatabaseEngine, InvalidValueError, StaleRecordError
from project_architect_db.dialect.row_texts import ROWS, KeyedText

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Model(DeclarativeBase):
    pass


class Item(Model):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(index=True)
    number: Mapped[int] = mapped_column(default=0)
    price: Mapped[Decimal | None] = mapped_column(sa.Numeric(9, 2))
    facts: Mapped[dict | None] = mapped_column(sa.JSON(none_as_null=True))
    at: Mapped[dt.datetime | None] = mapped_column(sa.DateTime(timezone=True))
    key: Mapped[uuid.UUID | None]
    tags: Mapped[list | None] = mapped_column(sa.ARRAY(sa.Integer))
    changed: Mapped[int] = mapped_column(default=0, onupdate=1)


class Versioned(Model):
    __tablename__ = "versioned"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="x")
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}


class Pair(Model):
    __tablename__ = "pair s"
    left: Mapped[int] = mapped_column("le ft", primary_key=True, autoincrement=False)
    right: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int | None]


ITEMS = Item.__table__


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database():
    async with DatabaseEngine(":memory:", metadata=Model.metadata) as engine:
        yield engine


@pytest_asyncio.fixture(loop_scope="module")
async def engine(database):
    """
    The database of all tests here, with nothing in it but what each begins with.
    """
    await database.drop_all()
    await database.create_all()
    async with database.transaction() as session:
        session.add_all([Item(name=f"n{number}") for number in range(100)])
        session.add_all([Versioned() for _ in range(10)])
        session.add_all([Pair(left=n // 2, right="ab"[n % 2]) for n in range(20)])
    return database


@pytest.fixture
def statements(engine):
    queries = []
    engine.on_query(lambda query: queries.append(query.statement))
    return queries


async def rows_of(engine, *columns, order=Item.id):
    async with engine.session() as session:
        return (await session.execute(select(*columns).order_by(order))).all()


def in_one(statements):
    """
    Whether the last statement but COMMIT read its rows from a table.
    """
    return ROWS in [text for text in statements if text != "COMMIT"][-1]


VALUES = {
    "name": ["a", None, "ü€😀", "'; DROP TABLE items; --", ""],
    "number": [1, -(2**31), 2**31 - 1, 0, 5],
    "price": [Decimal("1.5"), None, Decimal("-2.25"), Decimal(7), Decimal("0.01")],
    "facts": [{"a": [1]}, None, {}, {"b": None}, {"ü": "$1"}],
    "at": [dt.datetime(2026, 1, day, tzinfo=dt.UTC) for day in range(1, 5)] + [None],
    "key": [uuid.UUID(int=n) for n in range(4)] + [None],
    "tags": [[1, 2], [], None, [3], [None]],
}


async def test_values_of_all_kinds_are_stored_as_they_are_singly(engine, statements):
    rows = [
        {"id": n + 1, **{name: values[n] for name, values in VALUES.items()}}
        for n in range(5)
    ]
    async with engine.transaction() as session:
        await session.execute(update(Item), rows)
    assert in_one(statements)
    columns = [getattr(Item, name) for name in VALUES]
    together = (await rows_of(engine, *columns))[:5]
    async with engine.transaction() as session:
        for row in rows:
            values = {name: value for name, value in row.items() if name != "id"}
            await session.execute(
                update(Item).where(Item.id == row["id"] + 50).values(values)
            )
    assert (await rows_of(engine, *columns))[50:55] == together
    assert [tuple(row.values())[1:] for row in rows] == [tuple(r) for r in together]


async def test_changed_objects_are_flushed_together(engine, statements):
    async with engine.transaction() as session:
        for item in await session.scalars(select(Item)):
            item.number = item.id * 2
    assert in_one(statements)
    assert [(n * 2, 1) for n in range(1, 101)] == await rows_of(
        engine, Item.number, Item.changed
    )


async def test_deleted_objects_are_deleted_together(engine, statements):
    async with engine.transaction() as session:
        for item in await session.scalars(select(Item).where(Item.id > 5)):
            await session.delete(item)
    assert in_one(statements)
    assert 5 == len(await rows_of(engine, Item.id))


async def test_versions_are_compared(engine, statements):
    versioned = Versioned.__table__
    statement = (
        update(versioned)
        .where(versioned.c.id == bindparam("which"))
        .where(versioned.c.version == bindparam("expected"))
        .values(version=versioned.c.version + 1)
    )
    rows = [{"which": n, "expected": 1 + (n == 3)} for n in range(1, 6)]
    async with engine.transaction() as session:
        result = await (await session.connection()).execute(statement, rows)
        assert 4 == result.rowcount
        assert in_one(statements)
    found = await rows_of(engine, Versioned.version, order=Versioned.id)
    assert [2, 2, 1, 2, 2] == [version for (version,) in found][:5]


async def test_objects_that_were_changed_meanwhile_are_noticed(engine):
    with pytest.raises(StaleRecordError, match=r"Versioned \(1, 2\) was changed"):
        async with engine.transaction() as session:
            items = (await session.scalars(select(Versioned).limit(2))).all()
            connection = await session.connection()
            await connection.execute(update(Versioned.__table__).values(version=7))
            for item in items:
                item.name = "never"


async def test_a_key_that_comes_twice_is_updated_twice(engine, statements):
    statement = (
        update(ITEMS)
        .where(ITEMS.c.id == bindparam("which"))
        .values(number=ITEMS.c.number + bindparam("plus"))
    )
    rows = [{"which": 1 + n % 2, "plus": n} for n in range(6)]
    async with engine.transaction() as session:
        result = await (await session.connection()).execute(statement, rows)
        assert 6 == result.rowcount
        other = await (await session.connection()).execute(
            statement, [{"which": n, "plus": n} for n in range(3, 6)]
        )
        assert 3 == other.rowcount
    assert [6, 9, 3, 4, 5] == [n for (n,) in await rows_of(engine, Item.number)][:5]


async def test_keys_of_several_columns_and_names_in_quotes(engine, statements):
    async with engine.transaction() as session:
        for pair in await session.scalars(select(Pair)):
            pair.value = pair.left * 10
    assert in_one(statements)
    found = await rows_of(engine, Pair.left, Pair.value, order=Pair.left)
    assert all(left * 10 == value for left, value in found)


async def test_rows_that_are_not_there_are_not_counted(engine):
    statement = delete(ITEMS).where(ITEMS.c.id == bindparam("which"))
    rows = [{"which": which} for which in (1, 2, 999, None)]
    async with engine.transaction() as session:
        result = await (await session.connection()).execute(statement, rows)
        assert 2 == result.rowcount
    assert 98 == len(await rows_of(engine, Item.id))


async def test_values_of_several_kinds_in_one_column(engine):
    rows = [{"id": n, "price": p} for n, p in enumerate([1, 2.5, Decimal("3.25")], 1)]
    async with engine.transaction() as session:
        await session.execute(update(Item), rows)
    found = [price for (price,) in (await rows_of(engine, Item.price))[:3]]
    assert [Decimal("1.00"), Decimal("2.50"), Decimal("3.25")] == found


async def test_a_wrong_value_writes_nothing(engine):
    rows = [{"id": n, "number": n} for n in range(1, 50)]
    rows[30]["number"] = 2**40
    with pytest.raises(InvalidValueError):
        async with engine.transaction() as session:
            await session.execute(update(Item), rows)
    assert {0} == {number for (number,) in await rows_of(engine, Item.number)}


OTHERS = {
    "more than equality": update(ITEMS)
    .where(ITEMS.c.id > bindparam("which"))
    .values(number=bindparam("to")),
    "a subquery": update(ITEMS)
    .where(ITEMS.c.id == bindparam("which"))
    .values(number=select(sa.func.max(ITEMS.c.id)).scalar_subquery()),
    "text": sa.text("UPDATE items SET number = :to WHERE id = :which"),
}


@pytest.mark.parametrize("statement", OTHERS.values(), ids=OTHERS)
async def test_whatever_else_goes_row_by_row(engine, statements, statement):
    rows = [{"which": n, "to": n} for n in (1, 2)]
    async with engine.transaction() as session:
        await (await session.connection()).execute(statement, rows)
    assert ROWS not in "".join(statements)


async def test_a_translated_schema_goes_row_by_row(engine, statements):
    table = sa.Table("items", sa.MetaData(), sa.Column("id"), sa.Column("number"),
                     schema="one")  # fmt: skip
    async with engine.transaction() as session:
        connection = await session.connection(
            execution_options={"schema_translate_map": {"one": "main"}}
        )
        result = await connection.execute(
            update(table).where(table.c.id == bindparam("which")).values(number=5),
            [{"which": 1}, {"which": 2}],
        )
        assert 2 == result.rowcount


async def test_inserts_and_updates_of_one_flush_keep_their_order(engine):
    async with engine.transaction() as session:
        items = (await session.scalars(select(Item).limit(3))).all()
        session.add_all([Item(name="new"), Item(name="new")])
        for item in items[:2]:
            item.name = "old"
        await session.delete(items[2])
    names = [name for (name,) in await rows_of(engine, Item.name)]
    assert (["old", "old", "n3"], ["new", "new"]) == (names[:3], names[-2:])


@pytest.mark.parametrize(
    ("sql", "template"),
    [
        ("UPDATE t SET a=$1, b=$2 WHERE t.id = $3",
         f"UPDATE t SET a=$1, b=$2 FROM {ROWS} WHERE t.id = $3"),
        ('DELETE FROM "my t" WHERE "my t"."k" = $1 AND v=$2',
         f'DELETE FROM "my t" USING {ROWS} WHERE "my t"."k" = $1 AND v=$2'),
        ("update t set a=$1\nwhere id = $2",
         f"update t set a=$1\nFROM {ROWS} WHERE id = $2"),
    ],
)  # fmt: skip
async def test_the_statement_for_many_rows(sql, template):
    text = KeyedText.parse(sql)
    assert template.split() == text.template.split()
    assert text.outside == set()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT a FROM t WHERE id = $1",
        "UPDATE t SET a=$1",
        "UPDATE t SET a=$1 WHERE id = $2 OR id = $3",
        "UPDATE t SET a=$1 WHERE id = $2 RETURNING a",
        "UPDATE t SET a=$1 FROM u WHERE t.id = u.id AND u.k = $2",
        "UPDATE t SET a=(SELECT max(b) FROM u) WHERE id = $1",
        "DELETE FROM t USING u WHERE t.id = $1",
        "DELETE FROM t WHERE id = $1; DELETE FROM u WHERE id = $2",
    ],
)
async def test_other_statements_are_left_alone(sql):
    assert KeyedText.parse(sql) is None
