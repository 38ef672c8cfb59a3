"""
Looking into JSON columns by key, index and path.
"""

from __future__ import annotations

from decimal import Decimal

import pytest
import pytest_asyncio
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql import JSONB, array

from project_architect_db import DatabaseEngine, InvalidValueError

pytestmark = pytest.mark.asyncio(loop_scope="module")

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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database():
    async with DatabaseEngine(":memory:") as engine:
        yield engine


@pytest_asyncio.fixture(loop_scope="module")
async def connection(database):
    """
    A connection; what a test does is rolled back.
    """
    async with database.engine.connect() as connection:
        yield connection


@pytest_asyncio.fixture(loop_scope="module")
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


async def test_a_path_with_wildcards_finds_a_list(connection, column):
    expressions = {
        column["$.list[*]"]: DATA["list"],
        column["$.a.*"]: [*DATA["a"].values()],
        column["$.list[*].deep"]: ["x"],
        column["$.missing[*]"]: [],
        column["$..deep"]: ["x"],
        column["$.list[*]"].as_string(): ["10", "[20,21]", '{"deep":"x"}'],
        column["$.list[*]"] == DATA["list"]: True,
    }

    assert tuple(expressions.values()) == await ask(connection, *expressions)


_LIST = sa.literal({"list": [1, 2]}, sa.JSON)["$.list[*]"]


@pytest.mark.parametrize(
    "expression",
    [
        _LIST.as_integer(),
        _LIST.as_boolean(),
        _LIST.as_float(),
        _LIST.as_numeric(9, 2),
        _LIST.as_string() == "x",
    ],
    ids=["integer", "boolean", "float", "numeric", "string"],
)
async def test_a_list_is_refused_as_a_single_value(database, expression):
    async with database.session() as session:
        with pytest.raises(InvalidValueError, match=r"VARCHAR\[\]"):
            await session.execute(sa.select(expression))


async def test_a_value_in_json_is_compared_with_one_of_python(connection, column):
    name, number, missing = column["name"], column["number"], column["missing"]
    expressions = {
        name == "apollo": True,
        name == '"apollo"': False,
        name != "apollo": False,
        "apollo" == name: True,
        sa.literal("apollo") == name: True,
        name == sa.bindparam("given", "apollo"): True,
        name == sa.bindparam("unknown", None, type_=sa.String): None,
        name.in_(["x", "apollo"]): True,
        name.in_(["apollo", 42]): True,
        name.not_in(["x", 'q"']): True,
        name.in_([]): False,
        name.is_distinct_from("apollo"): False,
        name.is_not_distinct_from("apollo"): True,
        column["a"]["b"]["c"] == "abc": True,
        column["list"][2] == {"deep": "x"}: True,
        column["list"][1] == [20, 21]: True,
        number == 42: True,
        number.in_([1, 42]): True,
        number > 41: True,
        column["done"] == sa.true(): True,
        column["nothing"] == None: False,  # noqa: E711 - SQL's NULL, not JSON's
        column["nothing"] == sa.JSON.NULL: True,
        missing == None: True,  # noqa: E711
        missing == "x": None,
        missing != "x": None,
        name.as_string() == "apollo": True,
        sa.literal("x").in_(sa.select(name.as_string())): False,
    }

    assert tuple(expressions.values()) == await ask(connection, *expressions)


async def test_a_text_in_json_is_compared_literally_too(connection, column):
    query = sa.select((column["it's"] == "apostrophe") & column["name"].in_(["apollo"]))
    literal = query.compile(
        connection.sync_connection, compile_kwargs={"literal_binds": True}
    )

    assert await connection.scalar(sa.text(str(literal)))


async def test_the_same_statement_compares_with_other_texts(connection, column):
    async def count(*texts):
        condition = column["name"].in_(texts) | (column["a b"] == texts[0])
        return await connection.scalar(sa.select(sa.func.count()).where(condition))

    assert [1, 0, 1, 1] == [
        await count("apollo"), await count("x"), await count("x", "apollo"),
        await count("space", "x", "y"),
    ]  # fmt: skip


async def test_text_that_converts_itself_is_left_alone(connection, column):
    kind = sa.Enum('"apollo"', "other")

    assert (True,) == await ask(
        connection, column["name"] == sa.literal('"apollo"', kind)
    )


def _jsonb(value):
    return sa.literal(value, JSONB)


# The meaning that PostgreSQL gives them.
JSONB_OPERATORS = {
    "a key": (_jsonb({"a": 1}).has_key("a"), True),
    "a key of null": (_jsonb({"a": None}).has_key("a"), True),
    "a key further down": (_jsonb({"a": {"b": 1}}).has_key("b"), False),
    "a key with quotes": (_jsonb({"it's \"": 1}).has_key("it's \""), True),
    "an item as a key": (_jsonb(["a", 5]).has_key("a"), True),
    "a number is no key": (_jsonb(["a", 5]).has_key("5"), False),
    "a text as a key": (_jsonb("a").has_key("a"), True),
    "a number has no key": (_jsonb(5).has_key("a"), False),
    "any of the keys": (_jsonb({"a": 1}).has_any(["b", "a"]), True),
    "none of the keys": (_jsonb({"a": 1}).has_any(array(["b", "c"])), False),
    "all of the keys": (_jsonb({"a": 1, "b": 2}).has_all(array(["b", "a"])), True),
    "not all of the keys": (_jsonb(["a"]).has_all(["b", "a"]), False),
    "the same": (_jsonb({"a": 1}).contains({"a": 1}), True),
    "less": (_jsonb({"a": {"b": 1, "c": 2}, "d": 3}).contains({"a": {"b": 1}}), True),
    "more": (_jsonb({"a": 1}).contains({"a": 1, "b": 2}), False),
    "another value": (_jsonb({"a": 1}).contains({"a": "1"}), False),
    "what is further down": (_jsonb({"a": {"b": 1}}).contains({"b": 1}), False),
    "items in any order": (_jsonb([1, 2, 3]).contains([3, 1, 1]), True),
    "an item of an item": (_jsonb([1, [2, 3]]).contains([2]), False),
    "a part of an item": (_jsonb([{"a": 1, "b": 2}]).contains([{"a": 1}]), True),
    "an item without brackets": (_jsonb(["it's"]).contains("it's"), True),
    "no item of an item without brackets": (_jsonb([[1]]).contains(1), False),
    "an item further down": (_jsonb({"a": [1, 2]}).contains({"a": 1}), False),
    "no list in a value": (_jsonb(1).contains([1]), False),
    "everything has nothing": (_jsonb({"a": 1}).contains({}), True),
    "contained": (_jsonb({"a": 1}).contained_by({"a": 1, "b": 2}), True),
    "not contained": (_jsonb({"a": 1, "b": 2}).contained_by({"a": 1}), False),
    "by their signs": (_jsonb({"a": 1}).bool_op("@>")(_jsonb({"a": 1})), True),
    "others by their signs": (_jsonb({"a": 5}).op("->>")("a"), 5),
    "of lists": (sa.literal([1, 2], sa.ARRAY(sa.Integer)).bool_op("@>")(
        sa.literal([2], sa.ARRAY(sa.Integer))), True),
}  # fmt: skip


@pytest.mark.parametrize("name", JSONB_OPERATORS)
async def test_an_operator_of_jsonb_means_what_it_does_in_postgresql(connection, name):
    expression, expected = JSONB_OPERATORS[name]

    assert (expected,) == await ask(connection, expression)


async def test_no_document_has_neither_keys_nor_none(connection):
    table = sa.Table("n", sa.MetaData(), sa.Column("data", JSONB))
    await connection.run_sync(table.create)
    await connection.execute(table.insert().values(data=sa.null()))
    data = table.c.data

    assert (None,) * 5 == await ask(
        connection, data.has_key("a"), data.has_any(["a"]), data.has_all(["a"]),
        data.contains({}), data.contained_by({}),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "instead"),
    [
        (_jsonb({}).path_exists("$.a"), "json_exists"),
        (_jsonb({}).path_match("$.a > 1"), "as_integer"),
        (_jsonb({}).delete_path(["a"]), "json_remove"),
        (_jsonb({}).concat({"a": 1}), "json_merge_patch"),
        (_jsonb({}) + {"a": 1}, "json_merge_patch"),
        (_jsonb({}).concat(_jsonb({})).concat(_jsonb({})), "json_merge_patch"),
        (_jsonb({}).op("||")(_jsonb({})), "json_merge_patch"),
    ],
)
async def test_an_operator_of_jsonb_that_duckdb_lacks_is_refused(
    connection, expression, instead
):
    with pytest.raises(sa.exc.CompileError, match=f"no operator .*{instead}"):
        await connection.execute(sa.select(expression))


async def test_what_is_said_to_use_instead_works(connection):
    data = _jsonb({"a": 1, "b": {"c": 5}})
    null, merged, removed, found = await ask(
        connection,
        sa.func.json_exists(data, "$.z"),
        sa.func.json_merge_patch(data, _jsonb({"a": 2}), type_=sa.JSON),
        sa.func.json_remove(data, "$.b", type_=sa.JSON),
        data["b"]["c"].as_integer() > 4,
    )

    assert (False, {"a": 2, "b": {"c": 5}}, {"a": 1}, True) == (
        null, merged, removed, found,
    )  # fmt: skip


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


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
async def test_hostile_texts_equal_themselves(connection, text):
    data = sa.literal({"a": text, "b": text + "x"}, sa.JSON)

    assert (True, True, False, True) == await ask(
        connection, data["a"] == text, data["a"].in_([text]), data["b"] == text,
        sa.literal({text: 1}, JSONB).has_key(text),
    )  # fmt: skip
