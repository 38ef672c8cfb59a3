"""
Looking into JSON columns by key, index and path.
"""

from __future__ import annotations

from decimal import Decimal

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql import JSONB

from project_architect_db import DatabaseEngine, InvalidValueError

DATA = {
    "name": "apollo",
    "number": 42,
    "ratio": 1.5,
    "done": True,
    "nothing": None,
    "list": [10, [20, 21], {"deep": "x"}],
    "a": {"b": {"c": "abc"}, "b.c": "dotted"},
    "a/b": "slash",
    "a~b": "tilde",
    "a b": "space",
    'q"': "quote",
    "it's": "apostrophe",
    "ü😀": "unicode",
    "": "empty",
    "$.a": "dollar",
    "$": "only a dollar",
    "0": "a digit",
    "[0]": "brackets",
    "*": "a star",
    "'); DROP TABLE t; --": "hostile",
}


@pytest.fixture
async def database():
    async with DatabaseEngine(":memory:") as engine:
        yield engine


@pytest.fixture
async def connection(database):
    async with database.engine.connect() as connection:
        yield connection


@pytest.fixture
async def column(connection):
    table = sa.Table("t", sa.MetaData(), sa.Column("data", sa.JSON))
    await connection.run_sync(table.create)
    await connection.execute(table.insert(), [{"data": DATA}])
    return table.c.data


async def ask(connection, *expressions):
    return tuple((await connection.execute(sa.select(*expressions))).one())


async def test_values_come_out_in_the_type_asked_for(connection, column):
    expressions = {
        column["name"].as_string(): "apollo",
        column["number"].as_integer(): 42,
        column["number"].as_string(): "42",
        column["ratio"].as_float(): 1.5,
        column["ratio"].as_numeric(6, 2): Decimal("1.50"),
        column["done"].as_boolean(): True,
        column["list"].as_json(): DATA["list"],
        column["a"]["b"]: {"c": "abc"},
        column["a"]["b"]["c"].as_string(): "abc",
        column["number"]: 42,
        column["name"]: "apollo",
        column["list"][0].as_integer(): 10,
        column["list"][1][1].as_integer(): 21,
        column["list"][2]["deep"].as_string(): "x",
        column["list"][-1]["deep"].as_string(): "x",
        column["list"][-2]: [20, 21],
        column["missing"].as_string(): None,
        column["missing"]["more"].as_integer(): None,
        column["nothing"].as_string(): None,
        column["list"][7].as_integer(): None,
    }

    assert tuple(expressions.values()) == await ask(connection, *expressions)


async def test_paths_are_tuples_or_text_with_a_dollar(connection, column):
    expressions = {
        column["a", "b", "c"].as_string(): "abc",
        column["list", 1, 0].as_integer(): 20,
        column["list", -1, "deep"].as_string(): "x",
        column["$.a.b.c"].as_string(): "abc",
        column["$.list[1][0]"].as_integer(): 20,
        column['$.a."b.c"'].as_string(): "dotted",
        column["$.list[#-1].deep"].as_string(): "x",
        column["$"]["name"].as_string(): "apollo",
    }

    assert tuple(expressions.values()) == await ask(connection, *expressions)


@pytest.mark.parametrize("key", [k for k in DATA if not k.startswith("$")])
async def test_a_key_is_taken_as_it_is(connection, column, key):
    by_key, by_path = await ask(connection, column[key], column[(key,)])

    assert (DATA[key], DATA[key]) == (by_key, by_path)


@pytest.mark.parametrize("key", ["$.a", "$"])
async def test_a_key_with_a_dollar_goes_in_a_tuple(connection, column, key):
    assert (DATA[key],) == await ask(connection, column[(key,)].as_string())


@pytest.mark.parametrize("key", [*DATA, "$.a.b.c", ("a", "b", "c"), -1, 0], ids=repr)
async def test_a_literal_path_finds_what_a_bound_one_does(connection, column, key):
    expression = column[key]
    literal = str(
        sa.select(expression).compile(
            connection.sync_connection, compile_kwargs={"literal_binds": True}
        )
    )
    found = await connection.execute(
        sa.text(literal.replace(":", r"\:")).columns(sa.column("x", sa.JSON))
    )

    assert await ask(connection, expression) == tuple(found.one())


async def test_rows_are_found_by_what_their_json_says(connection, column):
    async def count(*conditions):
        query = sa.select(sa.func.count()).select_from(column.table).where(*conditions)
        return await connection.scalar(query)

    assert 1 == await count(column["name"].as_string() == "apollo")
    assert 1 == await count(
        column["number"].as_integer() > 41, column["done"].as_boolean()
    )
    assert 0 == await count(column["name"].as_string() == "'; --")
    assert 1 == await count(column["missing"].as_string().is_(None))
    assert 1 == await count(
        (column["name"].as_string() == "x") | (column["ratio"].as_float() < 2)
    )


async def test_an_updated_document_is_read_back(connection, column):
    await connection.execute(sa.update(column.table).values(data={"new": [1, None]}))

    assert ({"new": [1, None]},) == await ask(connection, column)


async def test_what_is_no_number_is_refused_as_one(database):
    value = sa.literal({"a": "x"}, sa.JSON)["a"].as_integer()
    async with database.session() as session:
        with pytest.raises(InvalidValueError, match="Could not convert string 'x'"):
            await session.execute(sa.select(value))


async def test_jsonb_is_json(connection):
    table = sa.Table("b", sa.MetaData(), sa.Column("data", JSONB))
    await connection.run_sync(table.create)
    await connection.execute(table.insert(), [{"data": {"a": {"b": 5}}}])
    data = table.c.data

    assert ({"a": {"b": 5}}, {"b": 5}, 5, "5") == await ask(
        connection, data, data["a"], data["a"]["b"].as_integer(), data["a"]["b"].astext
    )


async def test_json_may_be_written_and_read_by_other_functions():
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(
        "duckdb+async://",
        json_serializer=lambda value: f'{{"wrapped":{value}}}',
        json_deserializer=lambda text: text.upper(),
    )
    async with engine.connect() as connection:
        assert ('{"WRAPPED":5}',) == await ask(connection, sa.literal(5, sa.JSON))
    await engine.dispose()


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
async def test_hostile_keys_find_their_value_and_nothing_else(connection, key):
    data = sa.literal(
        {key: "mine", "other": "theirs" if key != "other" else "mine"}, sa.JSON
    )

    found, wanted = await ask(
        connection, data[(key,)].as_string(), data[(key, "deeper")].as_string()
    )

    assert ("mine", None) == (found, wanted)
