"""
SQLAlchemy's expressions mean in DuckDB what they say.
"""

from __future__ import annotations

import datetime as dt

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import create_async_engine

from project_architect_db.dialect import types

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine():
    engine = create_async_engine("duckdb+async://")
    yield engine
    await engine.dispose()


@pytest_asyncio.fixture(loop_scope="module")
async def connection(engine):
    """
    A connection; what a test does is rolled back.
    """
    async with engine.connect() as connection:
        yield connection


@pytest_asyncio.fixture(loop_scope="module")
async def table(connection):
    table = sa.Table(
        "t", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("word", sa.String), sa.Column("n", sa.Integer),
    )  # fmt: skip
    await connection.run_sync(table.create)
    rows = [("apple", 6), ("Banana", 3), ("100%", None), ("a_b", 12)]
    await connection.execute(table.insert(), [{"word": w, "n": n} for w, n in rows])
    return table


EXPRESSIONS = {
    "bits": (
        sa.literal(6).bitwise_xor(3) + sa.literal(6).bitwise_and(3)
        + sa.literal(6).bitwise_or(3) + sa.literal(1).bitwise_lshift(4),
        5 + 2 + 7 + 16,
    ),
    "true division": (sa.literal(7) / sa.literal(2), 3.5),
    "floor division": (sa.literal(7) // sa.literal(2), 3),
    "negative floor division": (sa.func.floor(sa.literal(-7) / sa.literal(2)), -4),
    "modulo": (sa.literal(7) % 4, 3),
    "concatenation": (sa.literal("a") + "b" + sa.literal("%"), "ab%"),
    "a regular expression finds a part": (
        sa.literal("xabcx").regexp_match("a.c"), True,
    ),
    "a regular expression with flags": (
        sa.literal("ABC").regexp_match("b", flags="i"), True,
    ),
    "a regular expression that must not match": (
        ~sa.literal("ABC").regexp_match("b"), True,
    ),
    "a regular expression replaces": (
        sa.literal("a1b2").regexp_replace("[0-9]", "-", flags="g"), "a-b-",
    ),
    "is distinct from": (sa.literal(None).is_distinct_from(5), True),
    "is not distinct from": (sa.literal(5).is_not_distinct_from(5), True),
    "extract": (sa.extract("month", sa.literal(dt.date(2024, 5, 6))), 5),
    "cast": (sa.cast("12", sa.Integer), 12),
    "try cast": (sa.try_cast("x", sa.Integer), None) if hasattr(sa, "try_cast") else
                (sa.cast("1", sa.Integer), 1),
    "interval arithmetic": (
        sa.literal(dt.datetime(2024, 1, 1)) + dt.timedelta(days=40, seconds=5),
        dt.datetime(2024, 2, 10, 0, 0, 5),
    ),
    "case": (sa.case((sa.literal(1) == 1, "yes"), else_="no"), "yes"),
    "tuples": (sa.tuple_(1, 2).in_([(1, 2), (3, 4)]), True),
    "an empty in": (sa.literal(1).in_([]), False),
    "a percent sign": (sa.literal_column("'100%'"), "100%"),
    "a question mark, a colon and a dollar": (sa.literal("?:x$1"), "?:x$1"),
    "bits of strings of bits": (
        sa.cast("0101", types.BIT).bitwise_and(sa.cast("0110", types.BIT)),
        "0100",
    ),
    "strings of bits that are the same": (
        sa.literal("01", types.BIT) == sa.literal("01", types.BIT), True,
    ),
    "a variant": (sa.literal({"a": 1}, types.VARIANT).is_not(None), True),
    "any of an array": (
        sa.literal(2) == sa.any_(sa.literal([1, 2], sa.ARRAY(sa.Integer))), True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPRESSIONS)
async def test_an_expression_means_what_it_says(connection, name):
    expression, expected = EXPRESSIONS[name]

    assert expected == await connection.scalar(sa.select(expression))


async def test_the_time_is_now_and_in_utc(connection):
    now = dt.datetime.now(dt.UTC)
    found = await connection.scalar(sa.select(sa.func.now()))

    assert dt.timedelta(0) == found.utcoffset()
    assert abs(found - now) < dt.timedelta(minutes=1)


async def test_now_is_a_server_default(connection):
    table = sa.Table("d", sa.MetaData(), sa.Column("i", sa.Integer), sa.Column(
        "at", sa.DateTime(timezone=True), server_default=sa.func.now()))  # fmt: skip
    await connection.run_sync(table.create)
    await connection.execute(table.insert(), {"i": 1})

    assert dt.UTC is (await connection.scalar(sa.select(table.c.at))).tzinfo


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (lambda t: t.word.like("a%"), {"apple", "a_b"}),
        (lambda t: t.word.ilike("B%"), {"Banana"}),
        (lambda t: t.word.contains("%", autoescape=True), {"100%"}),
        (lambda t: t.word.startswith("a_", autoescape=True), {"a_b"}),
        (lambda t: t.word.icontains("AN"), {"Banana"}),
        (lambda t: t.n.between(3, 6), {"apple", "Banana"}),
        (lambda t: t.n.is_(None), {"100%"}),
        (lambda t: sa.or_(t.n > 10, t.word == "apple"), {"apple", "a_b"}),
        (lambda t: t.word.in_(["apple", "x"]), {"apple"}),
        (lambda t: t.word.not_in(["apple"]), {"Banana", "100%", "a_b"}),
        (lambda t: t.word.regexp_match("^[aB]"), {"apple", "Banana", "a_b"}),
    ],
)
async def test_a_condition_finds_its_rows(connection, table, condition, expected):
    found = await connection.execute(sa.select(table.c.word).where(condition(table.c)))

    assert expected == set(found.scalars())


async def test_rows_are_ordered_limited_and_skipped(connection, table):
    query = sa.select(table.c.n).order_by(table.c.n.desc().nulls_last())

    async def numbers(query):
        return list((await connection.execute(query)).scalars())

    assert [12, 6, 3, None] == await numbers(query)
    assert [6, 3] == await numbers(query.limit(2).offset(1))
    assert [3, None] == await numbers(query.offset(2))
    assert [12] == await numbers(query.fetch(1))


async def test_subqueries_windows_unions_and_common_table_expressions(
    connection, table
):
    rank = sa.func.rank().over(order_by=table.c.n.desc())
    ranked = sa.select(table.c.word, rank.label("r")).where(table.c.n > 0).cte()
    query = sa.select(ranked.c.word).where(ranked.c.r == 1).union_all(
        sa.select(table.c.word).where(
            table.c.n == sa.select(sa.func.min(table.c.n)).scalar_subquery()
        )
    )  # fmt: skip

    assert ["Banana", "a_b"] == sorted((await connection.execute(query)).scalars())


async def test_recursion(connection):
    numbers = sa.select(sa.literal(1).label("n")).cte(recursive=True)
    numbers = numbers.union_all(sa.select(numbers.c.n + 1).where(numbers.c.n < 5))

    assert 15 == await connection.scalar(sa.select(sa.func.sum(numbers.c.n)))


async def test_updates_and_deletes_from_other_tables(connection, table):
    other = table.alias("other")
    updated = await connection.execute(
        sa.update(table).values(n=other.c.n + 100)
        .where(table.c.id == other.c.id - 1, other.c.word == "a_b")
    )  # fmt: skip
    deleted = await connection.execute(
        sa.delete(table).where(table.c.id == other.c.id, other.c.n < 10)
    )

    assert (1, 2) == (updated.rowcount, deleted.rowcount)
    found = await connection.execute(sa.select(table.c.n).order_by(table.c.n))
    assert [12, 112] == list(found.scalars())


async def test_what_was_written_is_returned_when_asked_for(connection, table):
    inserted = await connection.execute(
        table.insert().values(word="new", n=1).returning(table.c.id, table.c.word)
    )
    updated = await connection.execute(
        table.update().where(table.c.n == 1).values(n=2).returning(table.c.n)
    )
    deleted = await connection.execute(
        table.delete().where(table.c.n == 2).returning(table.c.word)
    )

    assert [(5, "new")] == inserted.all()
    assert [(2,)] == updated.all()
    assert [("new",)] == deleted.all()


async def test_an_upsert_of_one_row(connection, table):
    insert = upsert(table).values(id=1, word="pear", n=1)
    update = insert.on_conflict_do_update(
        index_elements=["id"],
        set_={"word": insert.excluded.word, "n": table.c.n + insert.excluded.n},
        where=table.c.n > 0,
    ).returning(table.c.word, table.c.n)

    assert ("pear", 7) == (await connection.execute(update)).one()


async def test_an_empty_insert(connection, table):
    result = await connection.execute(table.insert())

    assert (5,) == result.inserted_primary_key


async def test_an_insert_with_a_common_table_expression(connection, table):
    source = sa.select(table.c.word).where(table.c.n == 6).cte("source")
    insert = table.insert().from_select(["word"], sa.select(source.c.word))

    assert 1 == (await connection.execute(insert)).rowcount


async def test_a_query_reads_a_temporary_name_with_any_letters(connection, table):
    aliased = table.alias('the "alias" ü')
    query = sa.select(aliased.c.n.label("per%cent: $1"), sa.literal("$2 ?")).limit(1)

    row = (await connection.execute(query.order_by(aliased.c.id))).mappings().one()
    assert 6 == row["per%cent: $1"]


async def test_long_names_are_not_cut(connection):
    name = "n" * 200
    table = sa.Table(name, sa.MetaData(), sa.Column(name, sa.Integer, primary_key=True))
    await connection.run_sync(table.create)
    result = await connection.execute(table.insert())

    assert (1,) == result.inserted_primary_key


async def test_names_differ_by_more_than_case(connection):
    await connection.exec_driver_sql("CREATE TABLE Mixed (CamelCase INTEGER)")
    table = sa.table("mixed", sa.column("camelcase"))

    assert [] == (await connection.execute(sa.select(table))).all()


async def test_rows_come_in_chunks_when_asked_for(connection):
    numbers = sa.text("SELECT i FROM range(10) t(i)")
    result = await connection.execute(numbers)

    assert (0,) == result.fetchone()
    assert [(1,), (2,)] == result.fetchmany(2)
    assert [(3,), (4,)] == result.fetchmany(2)
    assert 5 == len(result.fetchall())
    assert [] == result.fetchall()


async def test_rows_are_streamed_by_one_and_by_many(connection):
    numbers = sa.text("SELECT i FROM range(5000) t(i)")
    async with connection.stream(numbers) as result:
        assert (0,) == await result.fetchone()
        assert [(1,), (2,)] == await result.fetchmany(2)
        assert 4997 == len(await result.all())
        assert None is await result.fetchone()
    async with connection.stream(sa.text("SELECT 1 WHERE false")) as result:
        assert [] == await result.all()


async def test_a_closed_result_frees_its_connection(connection):
    numbers = sa.text("SELECT i FROM range(500000) t(i)")
    async with connection.stream(numbers) as result:
        assert (0,) == await result.fetchone()

    assert 1 == await connection.scalar(sa.text("SELECT 1"))


async def test_the_raw_cursor_is_a_dbapi_cursor(connection):
    def use(sync):
        cursor = sync.connection.cursor()
        cursor.setinputsizes(1)
        cursor.execute("SELECT i, i * 2 FROM range(3) t(i)")
        names = [column[0] for column in cursor.description]
        rows = [*cursor]
        cursor.execute("SELECT 1")
        one, none = cursor.fetchone(), cursor.fetchone()
        cursor.close()
        return names, rows, one, none, cursor.fetchall()

    assert (["i", "(i * 2)"], [(0, 0), (1, 2), (2, 4)], (1,), None, []) == (
        await connection.run_sync(use)
    )


async def test_the_version_and_the_schema_are_known(connection):
    dialect = connection.dialect

    assert dialect.server_version_info >= (2, 0)
    assert "main" == dialect.default_schema_name
    assert dialect.dbapi.version.startswith("2.")
