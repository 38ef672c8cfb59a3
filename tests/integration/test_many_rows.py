"""
Many rows go to the database in one statement, and arrive as single ones would.
"""

from __future__ import annotations

import datetime as dt
import itertools
import uuid
from decimal import Decimal
from pathlib import Path

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from project_architect_db import (
    DatabaseEngine,
    InvalidStatementError,
    InvalidValueError,
)
from project_architect_db.dialect import transaction, types

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Base(orm.DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "item"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str | None]
    price: orm.Mapped[Decimal | None] = orm.mapped_column(sa.Numeric(9, 2))


class Key(Base):
    __tablename__ = "key"
    a: orm.Mapped[int] = orm.mapped_column(primary_key=True, autoincrement=False)
    b: orm.Mapped[str] = orm.mapped_column(primary_key=True)
    n: orm.Mapped[int] = orm.mapped_column(server_default="7")


class Token(Base):
    __tablename__ = "token"
    id: orm.Mapped[uuid.UUID] = orm.mapped_column(primary_key=True, default=uuid.uuid4)
    n: orm.Mapped[int]


item, key = Item.__table__, Key.__table__


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared():
    engine = create_async_engine("duckdb+async://?threads=8")
    yield engine
    await engine.dispose()


@pytest_asyncio.fixture(loop_scope="module")
async def engine(shared):
    """
    The database of all tests here, with tables that are new for each.
    """
    async with shared.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
    return shared


@pytest_asyncio.fixture(loop_scope="module")
async def connection(engine):
    async with engine.connect() as connection:
        yield connection


@pytest.fixture
def statements(engine):
    """
    The SQL that is sent, with the number of rows that go with it.
    """
    sent = []

    def note(connection, cursor, statement, parameters, context, executemany):
        sent.append((statement, getattr(parameters, "size", None)))

    def note_plain(cursor, statement, parameters, context):
        rows = context.rows_statement()
        if rows is not None:
            sent[-1] = rows.statement, rows.size

    sa.event.listen(engine.sync_engine, "before_cursor_execute", note)
    sa.event.listen(engine.sync_engine, "do_executemany", note_plain)
    yield sent
    sa.event.remove(engine.sync_engine, "before_cursor_execute", note)
    sa.event.remove(engine.sync_engine, "do_executemany", note_plain)


def named(count):
    return [{"name": f"n{i}"} for i in range(count)]


async def everything(connection, table=item):
    return (await connection.execute(sa.select(table).order_by(*table.c))).all()


# --- one road ---------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 999, 9_999, 10_000])
@pytest.mark.parametrize("returning", [False, True])
async def test_any_number_of_rows_is_one_statement(
    connection, statements, count, returning
):
    insert = item.insert()
    if returning:
        insert = insert.returning(item.c.id, item.c.name)

    result = await connection.execute(insert, named(count))

    ((sql, rows),) = statements
    assert "FROM __architect_rows__" in sql
    assert count == rows
    if returning:
        assert [(i + 1, f"n{i}") for i in range(count)] == result.all()
    else:
        assert count == result.rowcount
    count_all = sa.select(sa.func.count(), sa.func.max(item.c.id))
    assert (count, count) == (await connection.execute(count_all)).one()


@pytest.mark.parametrize("returning", [False, True])
async def test_one_row_has_no_need_of_columns(connection, statements, returning):
    insert = item.insert()
    if returning:
        insert = insert.returning(item.c.id)

    await connection.execute(insert, named(1))

    ((sql, _),) = statements
    assert "VALUES ($1)" in sql


@pytest.mark.slow
async def test_250_000_rows_keep_their_order_and_get_their_ids(connection, statements):
    insert = item.insert().returning(
        item.c.id, item.c.name, sort_by_parameter_order=True
    )

    result = await connection.execute(insert, named(250_000))

    assert [100_000, 100_000, 50_000] == [rows for _, rows in statements]
    assert [(i + 1, f"n{i}") for i in range(250_000)] == result.all()


async def test_objects_get_their_ids_in_order(engine, statements):
    async with AsyncSession(engine) as session:
        items = [Item(name=f"n{i}", price=Decimal(i) / 4) for i in range(10_000)]
        session.add_all(items)
        await session.flush()

        assert [*range(1, 10_001)] == [i.id for i in items]
        assert [("FROM __architect_rows__" in sql, n) for sql, n in statements] == [
            (True, 10_000)
        ]
        last = await session.get(Item, 10_000, populate_existing=True)
        assert ("n9999", Decimal("2499.75")) == (last.name, last.price)


async def test_the_orm_inserts_dicts(engine, statements):
    async with AsyncSession(engine) as session:
        await session.execute(sa.insert(Item), named(1_000))
        ids = await session.scalars(sa.insert(Item).returning(Item.id), named(1_000))

        assert [*range(1_001, 2_001)] == list(ids)
        assert [1_000, 1_000] == [n for _, n in statements]


async def test_objects_with_composite_keys(engine, statements):
    async with AsyncSession(engine) as session:
        keys = [Key(a=i, b=f"b{-i}") for i in range(500)]
        session.add_all(keys)
        await session.flush()
        await session.refresh(keys[3])

        assert 7 == keys[3].n
        assert 500 == statements[0][1]


async def test_objects_with_keys_made_in_python(engine, statements):
    async with AsyncSession(engine) as session:
        tokens = [Token(n=i) for i in range(500)]
        session.add_all(tokens)
        await session.flush()
        found = await session.execute(sa.select(Token.id, Token.n).order_by(Token.n))

        assert [(t.id, i) for i, t in enumerate(tokens)] == found.all()
        assert 500 == statements[0][1]


async def test_returning_rows_by_composite_key_in_order(connection, statements):
    rows = [{"a": i % 3, "b": f"b{i}"} for i in range(300)]
    insert = key.insert().returning(key, sort_by_parameter_order=True)

    result = await connection.execute(insert, rows)

    assert [(r["a"], r["b"], 7) for r in rows] == result.all()
    assert 1 == len(statements)


# --- values from elsewhere --------------------------------------------------------


def defaults_table(metadata):
    numbers = itertools.count(100)
    return sa.Table(
        "d",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("given", sa.String),
        sa.Column("scalar", sa.String, default="same"),
        sa.Column("called", sa.Integer, default=lambda: next(numbers)),
        sa.Column(
            "from_row", sa.String,
            default=lambda c: c.get_current_parameters()["given"] + "!",
        ),
        sa.Column("sql", sa.Integer, default=sa.func.length("abc")),
        sa.Column("server", sa.Integer, server_default=sa.text("1 + 1")),
    )  # fmt: skip


@pytest.mark.parametrize("returning", [False, True])
async def test_every_row_gets_its_defaults(connection, statements, returning):
    table = defaults_table(sa.MetaData())
    await connection.run_sync(table.create)
    statements.clear()
    insert = table.insert().returning(table) if returning else table.insert()

    result = await connection.execute(insert, [{"given": g} for g in "abc"])

    assert 1 == len(statements)
    expected = [
        (1, "a", "same", 100, "a!", 3, 2),
        (2, "b", "same", 101, "b!", 3, 2),
        (3, "c", "same", 102, "c!", 3, 2),
    ]
    if returning:
        assert expected == result.all()
    assert expected == await everything(connection, table)


async def test_static_values_and_sql_expressions_are_the_same_in_every_row(connection):
    insert = item.insert().values(
        price=sa.bindparam("net") * 2, name=sa.func.upper(sa.bindparam("n"))
    )
    await connection.execute(insert, [{"n": "a", "net": 1}, {"n": "b", "net": 2}])
    await connection.execute(
        item.insert().values(price=5), [{"name": "c"}, {"name": "d"}]
    )

    expected = [(1, "A", 2), (2, "B", 4), (3, "c", 5), (4, "d", 5)]
    assert expected == await everything(connection)


async def test_values_may_quote_what_looks_like_a_placeholder(connection, statements):
    insert = item.insert().values(name=sa.literal_column("'it''s $1'"))

    await connection.execute(insert, [{"price": 1}, {"price": 2}])

    assert 1 == len(statements)
    assert [(1, "it's $1", 1), (2, "it's $1", 2)] == await everything(connection)


async def test_a_subquery_among_the_values(connection):
    total = sa.select(sa.func.count()).where(item.c.id < 3).scalar_subquery()
    insert = item.insert().values(price=total)

    await connection.execute(insert, [{"name": "a"}, {"name": "b"}])
    await connection.execute(insert, [{"name": "c"}, {"name": "d"}])

    assert ["a", "b", "c", "d"] == [row.name for row in await everything(connection)]
    assert [2, 2] == [row.price for row in (await everything(connection))[2:]]


async def test_a_value_computed_for_each_row(connection):
    numbers = itertools.count(5)
    insert = item.insert().values(price=sa.bindparam("p", callable_=numbers.__next__))

    await connection.execute(insert, [{"name": "a"}, {"name": "b"}])

    first, second = [row.price for row in await everything(connection)]
    assert 1 == second - first


async def test_a_common_table_expression_before_the_rows(connection):
    await connection.execute(item.insert(), named(1))
    cte = sa.select(sa.func.max(item.c.name).label("top")).where(item.c.id > 0).cte()
    insert = item.insert().values(name=sa.select(cte.c.top).scalar_subquery())

    await connection.execute(insert, [{"price": 1}, {"price": 2}])

    assert ["n0"] * 3 == [row.name for row in await everything(connection)]


async def test_rows_of_nothing_but_a_common_table_expression(connection):
    cte = sa.select(sa.func.length("abc").label("n")).cte()
    insert = item.insert().values(price=sa.select(cte.c.n).scalar_subquery())

    await connection.execute(insert, [{}, {}])

    assert [3, 3] == [row.price for row in await everything(connection)]


async def test_many_rows_of_nothing_but_defaults(connection):
    await connection.execute(item.insert(), [{}, {}, {}])

    assert [1, 2, 3] == [row.id for row in await everything(connection)]


async def test_objects_of_nothing_but_defaults(engine):
    async with AsyncSession(engine) as session:
        items = [Item() for _ in range(5)]
        session.add_all(items)
        await session.flush()

        assert [1, 2, 3, 4, 5] == [i.id for i in items]


async def test_rows_with_more_keys_than_the_first_are_cut(connection):
    await connection.execute(item.insert(), [{"name": "a"}, {"name": "b", "price": 5}])

    assert [(1, "a", None), (2, "b", None)] == await everything(connection)


async def test_rows_into_columns_with_unusual_names(connection, statements):
    names = [
        "a b",
        'q"',
        "p%",
        "c:d",
        "x(y)",
        "$1",
        "VALUES ($1)",
        "ü",
        "select",
        "a.b",
    ]
    table = sa.Table(
        "VALUES ($1)", sa.MetaData(), *[sa.Column(n, sa.String) for n in names]
    )
    await connection.run_sync(table.create)
    statements.clear()
    rows = [{name: f"{name}{i}" for name in names} for i in range(3)]

    await connection.execute(table.insert(), rows)

    assert [tuple(row.values()) for row in rows] == await everything(connection, table)


async def test_rows_into_another_schema(connection):
    await connection.exec_driver_sql("CREATE SCHEMA other")
    mapped = await connection.execution_options(schema_translate_map={None: "other"})
    await mapped.run_sync(item.create)
    insert = item.insert().returning(item.c.id, sort_by_parameter_order=True)

    result = await mapped.execute(insert, named(2))

    assert [(1,), (2,)] == result.all()
    found = await connection.exec_driver_sql("SELECT id, name FROM other.item")
    assert [(1, "n0"), (2, "n1")] == found.all()


async def test_rows_with_an_explicit_sequence(connection):
    numbers = sa.Sequence("numbers", start=10, increment=5)
    table = sa.Table(
        "s", sa.MetaData(), sa.Column("id", sa.Integer, numbers, primary_key=True),
        sa.Column("name", sa.String),
    )  # fmt: skip
    await connection.run_sync(table.metadata.create_all)

    result = await connection.execute(table.insert().returning(table.c.id), named(3))

    assert [10, 15, 20] == list(result.scalars())


async def test_rows_for_a_column_that_marks_their_order(connection):
    table = sa.Table(
        "m", sa.MetaData(), sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("name", sa.String), sa.insert_sentinel("mark"),
    )  # fmt: skip
    await connection.run_sync(table.create)
    rows = [{"id": uuid.uuid4(), "name": n} for n in "abc"]
    insert = table.insert().returning(table.c.name, sort_by_parameter_order=True)

    result = await connection.execute(insert, rows)

    assert ["a", "b", "c"] == list(result.scalars())


async def test_variants_go_together_too(connection, statements):
    table = sa.Table("v", sa.MetaData(), sa.Column("v", types.VARIANT))
    await connection.run_sync(table.create)
    statements.clear()

    await connection.execute(table.insert(), [{"v": [1, "a"]}, {"v": {"x": 1}}])

    assert 1 == len(statements)
    found = await connection.execute(sa.select(table))
    assert [[1, "a"], {"x": 1}] == list(found.scalars())


@pytest.fixture
def no_row_goes_alone(monkeypatch):
    def refuse(*_):
        pytest.fail("it went row by row")

    monkeypatch.setattr(transaction.Transaction, "_send_many", refuse)


MIXED = {
    "numbers": (sa.Float, [0.5, 1, True, None], [0.5, 1.0, 1.0, None]),
    "integers": (sa.Integer, [1, True, 2.5, "7"], [1, 1, 2, 7]),
    "decimals": (sa.Numeric(9, 3), [Decimal("1.5"), 2, 0.125],
                 ["1.500", "2.000", "0.125"]),
    "texts": (sa.String, ["a", 1, 1.5, True], ["a", "1", "1.5", "true"]),
    "dates": (sa.Date, [dt.date(2024, 1, 1), dt.datetime(2024, 1, 2, 5)],
              [dt.date(2024, 1, 1), dt.date(2024, 1, 2)]),
    "moments": (sa.DateTime, [dt.date(2024, 1, 1), dt.datetime(2024, 1, 2, 5)],
                [dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 2, 5)]),
    "lists": (sa.ARRAY(sa.Integer), [[1], (2,)], [[1], [2]]),
    "structs": (types.Struct({"a": sa.Integer, "b": sa.String}),
                [{"a": 1}, None, {"b": "x"}, {"b": "y", "a": 2}],
                [{"a": 1, "b": None}, None, {"a": None, "b": "x"}, {"a": 2, "b": "y"}]),
    "decimals as texts": (sa.String, [Decimal("1.5"), Decimal(2)], ["1.5", "2"]),
}  # fmt: skip


@pytest.mark.parametrize("name", MIXED)
@pytest.mark.parametrize("returning", [False, True])
async def test_values_of_mixed_kinds_go_together(
    connection, no_row_goes_alone, name, returning
):
    type_, values, expected = MIXED[name]
    table = sa.Table(
        "select", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("a value", type_), sa.Column("plain", sa.String, default="x"),
    )  # fmt: skip
    await connection.run_sync(table.create)
    insert = table.insert().returning(table.c.id) if returning else table.insert()
    rows = [{"a value": value} for value in values]

    result = await connection.execute(insert, rows)

    ids = list(range(1, len(rows) + 1))
    assert (result.scalars().all() if returning else ids) == ids
    found = await connection.execute(sa.select(table).order_by(table.c.id))
    stored = [row[1] for row in found]
    assert [str(v) for v in stored] == [str(v) for v in expected]


ALIKE = {
    "structs": (types.Struct({"a": sa.Double, "b": sa.ARRAY(sa.Uuid)}),
                [{"a": 0.5, "b": [uuid.UUID(int=3)]}, None, {"a": None, "b": None}]),
    "structs of decimals": (types.Struct({"a": sa.Numeric(9, 3)}),
                            [{"a": Decimal("1.500")}, {"a": Decimal(2)}]),
    "lists of structs": (sa.ARRAY(types.Struct({"a": sa.Integer})), [[{"a": 1}], []]),
    "maps": (types.Map(sa.String, sa.Integer), [{"a": 1, "b": None}, {}, None]),
    "maps of structs": (types.Map(sa.Integer, types.Struct({"a": sa.String})),
                        [{1: {"a": "x"}, 2: None}]),
    "huge integers": (types.HugeInteger, [2**127 - 1, -(2**127), 5, None]),
    "huge unsigned integers": (types.UHugeInteger, [2**128 - 1, 0, None]),
    "uuids": (sa.Uuid, [uuid.UUID(int=2**128 - 1), None]),
    "a union's own kinds": (types.Union({"s": sa.String, "u": sa.Uuid}),
                            [uuid.UUID(int=5)]),
}  # fmt: skip


@pytest.mark.parametrize("name", ALIKE)
async def test_values_of_large_and_nested_types_go_together(
    connection, no_row_goes_alone, name
):
    type_, values = ALIKE[name]
    table = sa.Table("t", sa.MetaData(), sa.Column("i", sa.Integer),
                     sa.Column("v", type_))  # fmt: skip
    await connection.run_sync(table.create)

    rows = [{"i": i, "v": value} for i, value in enumerate([*values, *values])]
    await connection.execute(table.insert(), rows)

    found = await connection.execute(sa.select(table.c.v).order_by(table.c.i))
    assert [*values, *values] == [row.v for row in found]


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize(
    ("value", "tag"),
    [
        (uuid.UUID(int=5), "u"),
        (5, "n"),
        ([1, 2], "l"),
        ("x", "s"),
        ({"a": 1}, "d"),
        (None, None),
    ],
)
async def test_a_union_tells_its_kinds_apart(connection, as_text, value, tag):
    union = types.Union(
        {"s": sa.String, "u": sa.Uuid, "n": sa.Integer, "l": sa.ARRAY(sa.Integer),
         "d": types.Struct({"a": sa.Integer})}
    )  # fmt: skip
    table = sa.Table("t", sa.MetaData(), sa.Column("v", union))
    await connection.run_sync(table.create)
    insert = sa.text("INSERT INTO t VALUES (:v)") if as_text else table.insert()

    await connection.execute(insert, [{"v": value}] * 2)

    found = await connection.execute(sa.text("SELECT v, union_tag(v)::VARCHAR FROM t"))
    assert [(value, tag)] * 2 == [tuple(row) for row in found]


async def test_values_of_mixed_kinds_are_stored_as_they_are_where_kinds_count(
    connection,
):
    table = sa.Table("v", sa.MetaData(), sa.Column("v", types.VARIANT))
    await connection.run_sync(table.create)
    await connection.execute(
        table.insert(), [{"v": value} for value in (1, "a", 2.5, True)]
    )
    assert [1, "a", 2.5, True] == list(await connection.scalars(sa.select(table)))


async def test_values_of_mixed_kinds_inside_of_an_expression_go_one_by_one(connection):
    insert = item.insert().values(name=sa.func.concat(sa.bindparam("n"), "!"))
    await connection.execute(insert, [{"n": "a"}, {"n": 5}])
    assert ["a!", "5!"] == [row.name for row in await everything(connection)]


async def test_values_of_mixed_kinds_return_their_rows(connection):
    insert = item.insert().returning(item.c.id, item.c.name)

    result = await connection.execute(insert, [{"name": "a"}, {"name": 5}])

    assert [(1, "a"), (2, "5")] == result.all()


async def test_values_of_mixed_kinds_are_counted(connection):
    result = await connection.execute(item.insert(), [{"name": "a"}, {"name": 5}])

    assert 2 == result.rowcount


# --- upserts ----------------------------------------------------------------------


async def test_upserts_of_many_rows_are_one_statement(connection, statements):
    await connection.execute(item.insert(), [{"id": 2, "name": "old", "price": 1}])
    insert = upsert(item)
    update = insert.on_conflict_do_update(
        index_elements=[item.c.id], set_={"name": insert.excluded.name}
    )
    rows = [{"id": i, "name": f"new{i}", "price": Decimal(f"{i}.5")} for i in (1, 2, 3)]
    statements.clear()

    result = await connection.execute(update, rows)

    assert 3 == result.rowcount
    assert [3] == [n for _, n in statements]
    expected = [
        (1, "new1", Decimal("1.5")),
        (2, "new2", 1),
        (3, "new3", Decimal("3.5")),
    ]
    assert expected == await everything(connection)


async def test_rows_that_are_there_already_are_left_alone(connection, statements):
    await connection.execute(item.insert(), [{"id": 2, "name": "old"}])
    statements.clear()

    result = await connection.execute(
        upsert(item).on_conflict_do_nothing(),
        [{"id": i, "name": "new"} for i in (1, 2, 3)],
    )

    assert 2 == result.rowcount
    assert [3] == [n for _, n in statements]
    found = [row.name for row in await everything(connection)]
    assert ["new", "old", "new"] == found


async def test_an_upsert_returns_what_is_there_now(connection, statements):
    await connection.execute(item.insert(), [{"id": 2, "name": "old"}])
    insert = upsert(item)
    update = insert.on_conflict_do_update(
        index_elements=["id"], set_={"name": item.c.name + insert.excluded.name}
    ).returning(item.c.id, item.c.name)
    statements.clear()

    result = await connection.execute(update, [{"id": i, "name": "!"} for i in (2, 3)])

    assert [(2, "old!"), (3, "!")] == result.all()
    assert [2] == [n for _, n in statements]


@pytest.mark.parametrize("returning", [False, True])
async def test_an_upsert_may_set_what_is_the_same_for_all(
    connection, no_row_goes_alone, returning
):
    await connection.execute(item.insert(), named(3))
    insert = upsert(item)
    update = insert.on_conflict_do_update(
        index_elements=["id"],
        set_={"name": "again " + insert.excluded.name, "price": 5},
        where=item.c.name != "n1",
    )
    if returning:
        update = update.returning(item.c.id)
    rows = [{"id": i, "name": f"new{i}", "price": 1} for i in (1, 2, 3, 4)]

    result = await connection.execute(update, rows)

    if returning:
        assert {1, 3, 4} == set(result.scalars())
    else:
        assert 3 == result.rowcount
    assert [
        (1, "again new1", 5),
        (2, "n1", None),
        (3, "again new3", 5),
        (4, "new4", 1),
    ] == await everything(connection)


@pytest.mark.parametrize("returning", [False, True])
async def test_an_upsert_sets_what_each_row_says(connection, returning):
    await connection.execute(item.insert(), named(3))
    update = upsert(item).on_conflict_do_update(
        index_elements=["id"], set_={"name": sa.bindparam("new")}
    )
    if returning:
        update = update.returning(item.c.name)
    rows = [{"id": i, "new": f"new{i}"} for i in (1, 2, 3)]

    result = await connection.execute(update, rows)

    if returning:
        assert ["new1", "new2", "new3"] == list(result.scalars())
    found = [row.name for row in await everything(connection)]
    assert ["new1", "new2", "new3"] == found


@pytest.mark.parametrize("returning", [False, True])
async def test_an_upsert_with_the_same_value_for_all(connection, returning):
    await connection.execute(item.insert(), named(2))
    update = upsert(item).on_conflict_do_update(
        index_elements=["id"], set_={"name": "same"}, where=item.c.name != "n0"
    )
    if returning:
        update = update.returning(item.c.id)

    await connection.execute(update, [{"id": i, "name": "new"} for i in (1, 2, 3)])

    found = [row.name for row in await everything(connection)]
    assert ["n0", "same", "new"] == found


@pytest.mark.parametrize("returning", [False, True])
async def test_an_upsert_counts_a_key_as_often_as_it_comes(connection, returning):
    insert = upsert(item)
    update = insert.on_conflict_do_update(
        index_elements=["id"], set_={"price": item.c.price + insert.excluded.price}
    )
    if returning:
        update = update.returning(item.c.price)

    result = await connection.execute(
        update, [{"id": i, "price": price} for i, price in ((1, 1), (2, 5), (1, 2))]
    )

    if returning:
        assert [1, 5, 3] == list(result.scalars())
    assert [(1, None, 3), (2, None, 5)] == await everything(connection)


@pytest.mark.parametrize("ids", [[1, 2, 3], [1, 2, 1]])
async def test_rows_take_the_place_of_others(connection, statements, ids):
    await connection.execute(item.insert(), [{"id": 2, "name": "old", "price": 1}])
    statements.clear()
    insert = item.insert().prefix_with("OR REPLACE")

    await connection.execute(
        insert, [{"id": id_, "name": f"n{n}"} for n, id_ in enumerate(ids)]
    )

    expected = {id_: f"n{n}" for n, id_ in enumerate(ids)}
    assert [3] == [n for _, n in statements]
    assert expected == {row.id: row.name for row in await everything(connection)}


async def test_rows_take_the_place_of_others_in_a_table_without_primary_key(connection):
    table = sa.Table("t", sa.MetaData(), sa.Column("a", sa.Integer, unique=True),
                     sa.Column("b", sa.Integer))  # fmt: skip
    await connection.run_sync(table.create)
    insert = table.insert().prefix_with("OR REPLACE")

    await connection.execute(insert, [{"a": 1, "b": 1}, {"a": 1, "b": 2}])

    assert [(1, 2)] == await everything(connection, table)


async def test_an_insert_that_is_not_understood_goes_one_by_one(connection):
    insert = item.insert().prefix_with("/* ( */").returning(item.c.id)

    result = await connection.execute(insert, named(3))

    assert [1, 2, 3] == list(result.scalars())


async def test_the_orm_upserts(engine):
    async with AsyncSession(engine) as session:
        await session.execute(sa.insert(Item), named(2))
        insert = upsert(Item)
        update = insert.on_conflict_do_update(
            index_elements=[Item.id], set_={"name": insert.excluded.name}
        ).returning(Item)

        items = await session.scalars(
            update,
            [{"id": i, "name": f"new{i}"} for i in (1, 2, 3)],
            execution_options={"populate_existing": True},
        )

        assert {(1, "new1"), (2, "new2"), (3, "new3")} == {
            (i.id, i.name) for i in items
        }


async def test_an_upsert_returns_its_rows_in_the_order_of_its_parameters(connection):
    await connection.execute(item.insert(), named(2))
    insert = upsert(item)
    update = insert.on_conflict_do_update(
        index_elements=["id"], set_={"name": insert.excluded.name}
    ).returning(item.c.id, sort_by_parameter_order=True)

    result = await connection.execute(
        update, [{"id": i, "name": "new"} for i in (3, 1, 4, 2)]
    )

    assert [3, 1, 4, 2] == list(result.scalars())


# --- other statements -------------------------------------------------------------


async def test_updates_and_deletes_of_many_are_counted(connection):
    await connection.execute(item.insert(), named(5))
    update = item.update().where(item.c.id == sa.bindparam("key"))

    updated = await connection.execute(
        update, [{"key": i, "name": "new"} for i in (1, 2, 99)]
    )
    deleted = await connection.execute(
        item.delete().where(item.c.id > sa.bindparam("key")), [{"key": 4}, {"key": 3}]
    )

    assert (2, 2) == (updated.rowcount, deleted.rowcount)
    found = [row.name for row in await everything(connection)]
    assert ["new", "new", "n2"] == found


async def test_an_insert_that_returns_rows_for_a_where_of_each_row(connection):
    await connection.execute(item.insert(), named(2))
    insert = upsert(item).on_conflict_do_update(
        index_elements=["id"], set_={"price": 1},
        where=item.c.name == sa.bindparam("old"),
    ).returning(item.c.id)  # fmt: skip

    result = await connection.execute(
        insert, [{"id": 1, "old": "x"}, {"id": 2, "old": "n1"}]
    )

    assert [2] == list(result.scalars())


async def test_an_insert_from_select(connection):
    await connection.execute(item.insert(), named(3))
    insert = item.insert().from_select(["name"], sa.select(item.c.name))

    result = await connection.execute(insert)

    assert 3 == result.rowcount
    assert 6 == len(await everything(connection))


async def test_several_rows_in_one_values_clause(connection):
    result = await connection.execute(item.insert().values(named(3)))

    assert 3 == result.rowcount
    assert ["n0", "n1", "n2"] == [row.name for row in await everything(connection)]


TEXTS = {
    "by name": "INSERT INTO item (id, name, price) VALUES (:i, :n, :p)",
    "by place": "INSERT INTO item VALUES (:i, :n, :p);",
    "in another order": "insert into item(price, name, id) values(:p,:n,:i)",
    "with an expression": "INSERT INTO item VALUES (:i, lower(upper(:n)), :p)",
    "unless it is there": "INSERT OR IGNORE INTO item VALUES (:i, :n, :p)",
    "in place of another": "INSERT INTO item VALUES (:i, :n, :p) "
                           "ON CONFLICT (id) DO NOTHING",
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
async def test_raw_sql_for_many_rows(connection, no_row_goes_alone, name):
    expected = [(i, f"n{i}", Decimal(f"{i}.5")) for i in range(1, 6)]
    rows = [{"i": i, "n": n, "p": p} for i, n, p in expected]

    result = await connection.execute(sa.text(TEXTS[name]), rows)

    assert 5 == result.rowcount
    assert expected == await everything(connection)


async def test_raw_sql_returns_its_rows(connection, no_row_goes_alone):
    sql = sa.text("INSERT INTO item (name, price) VALUES (:n, :p) RETURNING id, name")
    rows = [{"n": "a", "p": 1}, {"n": "b", "p": Decimal("1.25")}]

    result = await connection.execute(sql, rows)

    assert [(1, "a"), (2, "b")] == result.all()


async def test_the_types_of_raw_sql_are_used(connection, no_row_goes_alone):
    table = sa.Table("j", sa.MetaData(), sa.Column("j", sa.JSON))
    await connection.run_sync(table.create)
    sql = sa.text("INSERT INTO j VALUES (:j)").bindparams(
        sa.bindparam("j", type_=sa.JSON)
    )

    await connection.execute(sql, [{"j": {"a": 1}}, {"j": [1]}])

    assert [{"a": 1}, [1]] == list(await connection.scalars(sa.select(table)))


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO item (id, name) SELECT :i, :n",
        "INSERT INTO item (id, name) VALUES (:i, :n || :i)",
        "INSERT INTO item (id, name) VALUES (:i, :n) -- it's",
        "INSERT INTO item (id, name) VALUES (:i, :n), (:i + 10, :n)",
        "INSERT OR REPLACE INTO item (id, name) VALUES (:i, :n)",
        "INSERT INTO item (id) VALUES (:i) ON CONFLICT DO UPDATE SET name = :n",
    ],
)
async def test_raw_sql_that_may_need_its_rows_one_by_one(connection, sql):
    rows = [{"i": 1, "n": "a"}, {"i": 2, "n": "b"}]

    await connection.execute(sa.text(sql), rows)

    assert [1, 2] == [row.id for row in await everything(connection)][:2]


@pytest.mark.parametrize("foreign_keys", [False, True])
async def test_a_row_finds_its_parent_among_the_rows_before_it(foreign_keys):
    table = sa.Table(
        "tree", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("parent", sa.ForeignKey("tree.id")),
    )  # fmt: skip
    engine = create_async_engine(
        f"duckdb+async://?emit_foreign_keys={str(foreign_keys).lower()}"
    )
    sql = sa.text("INSERT INTO tree (id, parent) VALUES (:id, :parent)")
    statements = [table.insert(), upsert(table).on_conflict_do_nothing(), sql]
    async with engine.begin() as connection:
        await connection.run_sync(table.create)
        for number, insert in enumerate(statements):
            rows = [{"id": 2 * number, "parent": None},
                    {"id": 2 * number + 1, "parent": 2 * number}]  # fmt: skip
            await connection.execute(insert, rows)
        assert 6 == len(await everything(connection, table))
    await engine.dispose()


async def test_positional_sql_for_many_rows(connection, no_row_goes_alone):
    await connection.exec_driver_sql(
        "INSERT INTO item (id, name) VALUES ($1, $2)", [(3, "c"), (4, "d")]
    )

    assert ["c", "d"] == [row.name for row in await everything(connection)]


async def test_positional_sql_with_rows_of_different_lengths(connection):
    with pytest.raises(sa.exc.DBAPIError, match="parameter"):
        await connection.exec_driver_sql(
            "INSERT INTO item (id, name) VALUES ($1, $2)", [(3, "c"), (4,)]
        )


async def test_question_marks_for_many_rows(connection):
    await connection.exec_driver_sql("INSERT INTO item (id) VALUES (?)", [(3,), (4,)])

    assert [3, 4] == [row.id for row in await everything(connection)]


async def test_the_parameters_of_many_rows_are_logged_in_a_line(engine, connection):
    seen = []

    def note(*arguments):
        seen.append(arguments[3])

    sa.event.listen(engine.sync_engine, "before_cursor_execute", note)
    await connection.execute(item.insert(), named(7))
    sa.event.remove(engine.sync_engine, "before_cursor_execute", note)

    assert "(7 rows in 1 columns)" == repr(seen[0])


# --- mistakes ---------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database():
    """
    In which nothing that is tried leaves anything.
    """
    async with DatabaseEngine(":memory:", metadata=Base.metadata) as engine:
        await engine.create_all()
        yield engine


async def count(database):
    async with database.session() as session:
        return await session.scalar(sa.select(sa.func.count()).select_from(item))


@pytest.mark.parametrize("returning", [False, True])
async def test_a_missing_key_is_named_and_nothing_is_written(database, returning):
    insert = item.insert().returning(item.c.id) if returning else item.insert()
    rows = [*named(500), {"price": 5}]

    with pytest.raises(InvalidStatementError) as caught:
        async with database.transaction() as session:
            await session.execute(insert, rows)

    assert "'name'" in str(caught.value)
    assert "parameter group 500" in str(caught.value)
    assert 0 == await count(database)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"id": 2**40, "name": "x", "price": 0}, "out of range"),
        ({"id": 1, "name": "\ud800", "price": 0}, "surrogate"),
        ({"id": 1, "name": "x", "price": "ten"}, "ten"),
        ({"id": 1, "name": "x", "price": object()}, "object"),
    ],
)
async def test_a_wrong_value_in_one_row_writes_nothing(database, wrong, message):
    rows = [{"id": i, "name": "n", "price": i} for i in range(5, 500)]

    with pytest.raises(InvalidValueError, match=message):
        async with database.transaction() as session:
            await session.execute(item.insert(), [*rows, wrong])

    assert 0 == await count(database)


async def test_a_value_that_its_type_refuses_writes_nothing(database):
    table = sa.Table("j", sa.MetaData(), sa.Column("j", sa.JSON))
    with pytest.raises(InvalidValueError, match="set is not JSON serializable"):
        async with database.transaction() as session:
            await (await session.connection()).run_sync(table.create)
            await session.execute(table.insert(), [{"j": {}}, {"j": {1, 2}}])


async def test_a_connection_goes_on_after_a_wrong_row(connection):
    with pytest.raises(sa.exc.DataError):
        await connection.execute(item.insert(), [{"id": 1}, {"id": "x"}])
    await connection.rollback()

    await connection.execute(item.insert(), named(2))

    assert 2 == len(await everything(connection))


# --- memory -----------------------------------------------------------------------


def peak_kilobytes():
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1])


@pytest.mark.slow
async def test_a_million_streamed_rows_need_little_memory(connection):
    before, total, most = peak_kilobytes(), 0, 0
    sql = sa.text("SELECT i, 'some text ' || i FROM range(1000000) t(i)")

    async with connection.stream(sql) as result:
        async for rows in result.partitions(10_000):
            total += len(rows)
            most = max(most, peak_kilobytes())

    assert 1_000_000 == total
    assert most - before < 100_000  # all the rows would take twice that
