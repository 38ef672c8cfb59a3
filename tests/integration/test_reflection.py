"""
What DuckDB's catalog holds reaches SQLAlchemy's Inspector as it was created.
"""

from __future__ import annotations

import pytest
import pytest_asyncio
from sqlalchemy import (
    CheckConstraint,
    Column,
    Computed,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
    event,
    func,
    inspect,
    text,
)
from sqlalchemy import types as sqltypes
from sqlalchemy.dialects.postgresql import INTERVAL
from sqlalchemy.engine import ObjectKind, ObjectScope
from sqlalchemy.exc import NoSuchTableError, SAWarning
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.schema import CreateIndex

from project_architect_db.dialect import types

HOSTILE_NAMES = [
    "two words",
    'dou"ble',
    "sin'gle",
    "dot.ted",
    "UPPER",
    "select",
    "per%cent",
    "co:lon",
    "back\\slash",
    "(parentheses)",
    "a, b",
    "ünï😀",
    " ",
]

pytestmark = pytest.mark.asyncio(loop_scope="module")

COLONS = """concat(b, ' :a "k":1 10:30 ::b \\:c \\\\:d')"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine():
    engine = create_async_engine("duckdb+async://?emit_foreign_keys=true")
    yield engine
    await engine.dispose()


@pytest_asyncio.fixture(loop_scope="module")
async def connection(engine):
    """
    A connection; what a test does is rolled back, what it has set goes with it.
    """
    async with engine.connect() as connection:
        yield connection
        await connection.rollback()
        await connection.invalidate()


async def run(connection, *statements):
    for statement in statements:
        await connection.exec_driver_sql(statement)


async def ask(connection, question):
    return await connection.run_sync(lambda sync: question(inspect(sync)))


async def column(connection, table, name):
    columns = await ask(connection, lambda i: i.get_columns(table))
    return next(c for c in columns if c["name"] == name)


async def type_text(connection, table):
    rows = await connection.exec_driver_sql(
        f"SELECT data_type FROM duckdb_columns() WHERE table_name = '{table}'"
    )
    return rows.scalar_one()


def names(items):
    return [item["name"] for item in items]


# --- types ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("BIGINT", sqltypes.BIGINT),
        ("BIGNUM", types.BIGNUM),
        ("BIT", types.BIT),
        ("BLOB", sqltypes.BLOB),
        ("BOOLEAN", sqltypes.BOOLEAN),
        ("DATE", sqltypes.DATE),
        ("DECIMAL(18,3)", sqltypes.DECIMAL),
        ("DECIMAL(38,0)", sqltypes.DECIMAL),
        ("DOUBLE", sqltypes.DOUBLE),
        ("FLOAT", sqltypes.REAL),
        ("HUGEINT", types.HugeInteger),
        ("INTEGER", sqltypes.INTEGER),
        ("INTERVAL", INTERVAL),
        ("JSON", sqltypes.JSON),
        ("SMALLINT", sqltypes.SMALLINT),
        ("TIME", sqltypes.TIME),
        ("TIME WITH TIME ZONE", sqltypes.TIME),
        ("TIMESTAMP", sqltypes.TIMESTAMP),
        ("TIMESTAMP WITH TIME ZONE", sqltypes.TIMESTAMP),
        ("TIMESTAMP_MS", types.TIMESTAMP_MS),
        ("TIMESTAMP_NS", types.TIMESTAMP_NS),
        ("TIMESTAMP_S", types.TIMESTAMP_S),
        ("TIME_NS", types.TIME_NS),
        ("TINYINT", types.TinyInteger),
        ("UBIGINT", types.UBigInteger),
        ("UHUGEINT", types.UHugeInteger),
        ("UINTEGER", types.UInteger),
        ("USMALLINT", types.USmallInteger),
        ("UTINYINT", types.UTinyInteger),
        ("UUID", sqltypes.UUID),
        ("VARCHAR", sqltypes.VARCHAR),
        ("VARIANT", types.VARIANT),
        ("ENUM('a', 'it''s', 'x''),y', '\"', '')", types.ENUM),
        ("INTEGER[]", sqltypes.ARRAY),
        ("BIGINT[][]", sqltypes.ARRAY),
        ("INTEGER[3]", types.FixedArray),
        ("INTEGER[][3]", types.FixedArray),
        ("VARCHAR[2][][3][][]", sqltypes.ARRAY),
        ("TIMESTAMP WITH TIME ZONE[]", sqltypes.ARRAY),
        ("DECIMAL(4,1)[2]", types.FixedArray),
        ("MAP(VARCHAR, INTEGER)", types.Map),
        ("MAP(VARCHAR, DECIMAL(9,2)[])", types.Map),
        ('STRUCT(a INTEGER, "b c" VARCHAR[])', types.Struct),
        ('STRUCT("select" INTEGER, "q""(," STRUCT(x TIME WITH TIME ZONE))[]',
         sqltypes.ARRAY),
        ("STRUCT(m MAP(VARCHAR, ENUM('a', 'b')), u UUID)", types.Struct),
        ('UNION(num INTEGER, "a string" VARCHAR)', types.Union),
    ],
)  # fmt: skip
async def test_a_type_is_reflected_so_that_it_creates_the_same_column(
    connection, sql, expected
):
    await run(connection, f"CREATE TABLE t (c {sql})")
    found = (await column(connection, "t", "c"))["type"]
    again = Table("again", MetaData(), Column("c", found))
    await connection.run_sync(again.create)
    assert isinstance(found, expected)
    assert await type_text(connection, "again") == await type_text(connection, "t")


async def test_the_parts_of_a_nested_type_are_types_too(connection):
    fields = """"a ""b" DECIMAL(9, 2), e ENUM('it''s')[], "ü" JSON"""
    await run(connection, f"CREATE TABLE t (c STRUCT({fields}))")
    found = (await column(connection, "t", "c"))["type"]
    assert list(found.fields) == ['a "b', "e", "ü"]
    assert found.fields['a "b'].precision == 9
    assert found.fields['a "b'].scale == 2
    assert found.fields["e"].item_type.enums == ["it's"]
    assert isinstance(found.fields["ü"], sqltypes.JSON)


async def test_time_zones_are_reflected(connection):
    await run(connection, "CREATE TABLE t (a TIMESTAMPTZ, b TIMESTAMP, c TIMETZ)")
    columns = await ask(connection, lambda i: i.get_columns("t"))
    assert [c["type"].timezone for c in columns] == [True, False, True]


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("GEOMETRY", "GEOMETRY"),
        ("GEOMETRY('OGC:CRS84')", "GEOMETRY"),
        ("TIMESTAMPTZ_NS", "TIMESTAMPTZ_NS"),
        ("TUPLE(INTEGER, DECIMAL(4, 1))", "TUPLE"),
    ],
)
async def test_a_type_that_sqlalchemy_has_no_word_for_warns(connection, sql, name):
    await run(connection, f"CREATE TABLE t (c {sql}, s STRUCT(x {sql}, y INTEGER))")
    with pytest.warns(SAWarning, match=f"type '{name}' of column '[cs]'"):
        columns = await ask(connection, lambda i: i.get_columns("t"))
    assert isinstance(columns[0]["type"], sqltypes.NullType)
    assert isinstance(columns[1]["type"].fields["y"], sqltypes.INTEGER)


async def test_a_column_of_nulls_has_the_null_type_without_a_warning(connection):
    await run(connection, "CREATE TABLE t AS SELECT NULL AS a, [NULL] AS b")
    first, second = await ask(connection, lambda i: i.get_columns("t"))
    assert isinstance(first["type"], sqltypes.NullType)
    assert isinstance(second["type"].item_type, sqltypes.NullType)


# --- columns ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "given", "expected"),
    [
        (String, "draft", "'draft'"),
        (String, 'it\'s "%(x)s" :y \\ 50%', "'it''s \"%(x)s\" :y \\ 50%'"),
        (String, "", "''"),
        (Integer, "5", "'5'"),
        (Integer, text("5"), "5"),
        (Integer, text("-1"), "-1"),
        (Integer, text("(1 + 2)"), "(1 + 2)"),
        (Numeric(5, 2), text("1.50"), "1.50"),
        (Date, func.current_date(), "CURRENT_DATE"),
        (sqltypes.Boolean, text("true"), "true"),
        (sqltypes.JSON, '{"a":1}', """'{"a":1}'"""),
        (String, text("lower('X')"), "lower('X')"),
        (Integer, None, None),
    ],
)
async def test_a_default_is_reflected_as_the_sql_that_creates_it_again(
    connection, type_, given, expected
):
    table = Table("t", MetaData(), Column("c", type_, server_default=given))
    await connection.run_sync(table.create)
    found = (await column(connection, "t", "c"))["default"]
    assert (found if found is None else str(found)) == expected
    copy = MetaData(schema="copies")
    await run(connection, "CREATE SCHEMA copies")

    def reflect_and_create(sync):
        reflected = Table("t", MetaData(), autoload_with=sync)
        reflected.to_metadata(copy, schema="copies").create(sync)
        return sync.exec_driver_sql(
            "SELECT column_default FROM duckdb_columns() WHERE schema_name = 'copies'"
        ).scalar()

    assert await connection.run_sync(reflect_and_create) == expected


async def test_nullability_is_reflected(connection):
    await run(
        connection, "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT NOT NULL, c TEXT)"
    )
    columns = await ask(connection, lambda i: i.get_columns("t"))
    assert [c["nullable"] for c in columns] == [False, False, True]


async def test_a_column_that_counts_is_autoincrement(connection):
    metadata = MetaData()
    Table("key", metadata, Column("id", Integer, primary_key=True))
    Table("it's", metadata, Column("id", Integer, Identity(start=5)))
    await connection.run_sync(metadata.create_all)
    await run(connection, "CREATE TABLE t (a TEXT DEFAULT 'nextval', b INTEGER)")
    assert (await column(connection, "key", "id"))["autoincrement"] is True
    assert (await column(connection, "it's", "id"))["autoincrement"] is True
    assert (await column(connection, "t", "a"))["autoincrement"] is False
    assert (await column(connection, "t", "b"))["autoincrement"] is False


async def test_a_computed_column_has_its_expression_and_no_default(connection):
    table = Table(
        "t",
        MetaData(),
        Column("a b", Integer),
        Column("sum", Integer, Computed('"a b" + 1')),
        Column("text", String, Computed("lower('CAST(')")),
        Column("same", Integer, Computed('"a b"')),
    )
    await connection.run_sync(table.create)
    columns = await ask(connection, lambda i: i.get_columns("t"))
    assert [c.get("computed") for c in columns] == [
        None,
        {"sqltext": '"a b" + 1'},
        {"sqltext": "lower('CAST(')"},
        {"sqltext": '"a b"'},
    ]
    assert {c["default"] for c in columns} == {None}


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("c TEXT AS (a)", "a"),
        ("c AS (a)", "a"),
        ("c INT AS (length(a) + 1)", "length(a) + 1"),
        ("c DECIMAL(9, 2) AS (CAST(a AS DOUBLE))", "CAST(a AS DOUBLE)"),
        ("c VARCHAR AS (a || ' AS (')", "a || ' AS ('"),
        ("c ENUM('x AS y', 'it''s AS z') AS (a)", "a"),
        (
            "c STRUCT(\"x AS 'y\" TEXT) AS ({'x AS ''y': a})",
            'struct_pack("x AS \'y" := a)',
        ),
    ],
)
async def test_the_type_of_a_computed_column_is_not_in_its_expression(
    connection, sql, expected
):
    await run(connection, f"CREATE TABLE t (a TEXT, {sql})")
    computed = (await column(connection, "t", "c"))["computed"]
    assert str(computed["sqltext"]) == expected


async def test_comments_are_reflected(connection):
    comment = 'it\'s "so"\n%s :x \\ 😀'
    table = Table(
        "t", MetaData(), Column("c", Integer, comment=comment), comment=comment
    )
    await connection.run_sync(table.create)
    await run(
        connection,
        "CREATE TABLE plain (c INTEGER)",
        "CREATE VIEW v AS SELECT c FROM t",
        "COMMENT ON VIEW v IS 'a view'",
        "COMMENT ON COLUMN v.c IS 'its column'",
    )
    comments = await ask(
        connection,
        lambda i: [i.get_table_comment(name)["text"] for name in ("t", "plain", "v")],
    )
    assert comments == [comment, None, "a view"]
    assert (await column(connection, "t", "c"))["comment"] == comment
    assert (await column(connection, "plain", "c"))["comment"] is None
    assert (await column(connection, "v", "c"))["comment"] == "its column"


# --- constraints and indexes ------------------------------------------------------


async def test_keys_keep_the_order_of_their_columns(connection):
    metadata = MetaData()
    Table(
        "parent",
        metadata,
        Column("a", Integer),
        Column("b", Integer),
        PrimaryKeyConstraint("b", "a", name="forgotten"),
    )
    Table(
        "child",
        metadata,
        Column("a", Integer),
        Column("b", Integer),
        UniqueConstraint("b", "a"),
        ForeignKeyConstraint(("a", "b"), ("parent.b", "parent.a")),
    )
    await connection.run_sync(metadata.create_all)
    keys = await ask(
        connection,
        lambda i: (
            i.get_pk_constraint("parent"),
            i.get_foreign_keys("child"),
            i.get_unique_constraints("child"),
        ),
    )
    assert keys == (
        {"name": "parent_b_a_pkey", "constrained_columns": ["b", "a"]},
        [
            {
                "name": "child_a_b_b_a_fkey",
                "constrained_columns": ["a", "b"],
                "referred_schema": None,
                "referred_table": "parent",
                "referred_columns": ["b", "a"],
                "options": {},
            }
        ],
        [{"name": "child_b_a_key", "column_names": ["b", "a"]}],
    )


async def test_a_table_without_constraints_has_none(connection):
    await run(connection, "CREATE TABLE t (a INTEGER NOT NULL)")
    found = await ask(
        connection,
        lambda i: (
            i.get_pk_constraint("t"),
            i.get_foreign_keys("t"),
            i.get_unique_constraints("t"),
            i.get_check_constraints("t"),
            i.get_indexes("t"),
            i.get_table_options("t"),
        ),
    )
    assert found == ({"name": None, "constrained_columns": []}, [], [], [], [], {})


async def test_a_foreign_key_stays_in_its_schema(connection):
    metadata = MetaData(schema="other")
    Table("parent", metadata, Column("id", Integer, primary_key=True))
    Table("child", metadata, Column("id", ForeignKey("other.parent.id")))
    await run(connection, "CREATE SCHEMA other")
    await connection.run_sync(metadata.create_all)
    (key,) = await ask(connection, lambda i: i.get_foreign_keys("child", "other"))
    assert (key["referred_schema"], key["referred_table"]) == ("other", "parent")


async def test_check_constraints_are_reflected_without_the_not_null_ones(connection):
    table = Table(
        "t",
        MetaData(),
        Column("a", Integer, CheckConstraint("a > 3"), nullable=False),
        Column("b c", String, CheckConstraint("starts_with(\"b c\", '(')")),
        CheckConstraint("(a > 5) OR (a < 4)"),
    )
    await connection.run_sync(table.create)
    found = await ask(connection, lambda i: i.get_check_constraints("t"))
    assert sorted((check["name"], check["sqltext"]) for check in found) == [
        ("t_a_a_check", "(a > 5) OR (a < 4)"),
        ("t_a_check", "a > 3"),
        ("t_b c_check", "starts_with(\"b c\", '(')"),
    ]


async def test_a_colon_in_an_expression_is_no_parameter(connection):
    await run(
        connection,
        f"CREATE TABLE t (b TEXT, c TEXT AS ({COLONS}), CHECK ({COLONS} > 'a'))",
    )
    found = await ask(
        connection,
        lambda i: (
            str(i.get_columns("t")[1]["computed"]["sqltext"]),
            str(i.get_check_constraints("t")[0]["sqltext"]),
        ),
    )
    assert found == (COLONS, f"{COLONS} > 'a'")


async def test_indexes_are_reflected_with_their_expressions(connection):
    table = Table(
        "t",
        MetaData(),
        Column("a", Integer, primary_key=True),
        Column("b c", String, unique=True),
        Column("(d)", String),
    )
    Index("plain", table.c["b c"], table.c["a"], table.c["(d)"])
    Index("once", table.c.a, unique=True)
    Index("Lower It's", func.lower(table.c["b c"] + "[],'"), table.c.a)
    await connection.run_sync(table.create)
    indexes = await ask(connection, lambda i: i.get_indexes("t"))
    assert indexes == [
        {
            "name": "Lower It's",
            "column_names": [None, "a"],
            "unique": False,
            "dialect_options": {},
            "expressions": ["lower((\"b c\" || '[],'''))", "a"],
        },
        {
            "name": "once",
            "column_names": ["a"],
            "unique": True,
            "dialect_options": {},
        },
        {
            "name": "plain",
            "column_names": ["b c", "a", "(d)"],
            "unique": False,
            "dialect_options": {},
        },
    ]


async def test_a_reflected_expression_index_can_be_created_again(connection):
    await run(
        connection,
        "CREATE TABLE t (a INTEGER, b TEXT)",
        f"CREATE INDEX i ON t ((a + 1), {COLONS}, a)",
    )

    def create_again(sync):
        (index,) = Table("t", MetaData(), autoload_with=sync).indexes
        sync.exec_driver_sql("DROP INDEX i")
        sync.execute(CreateIndex(index))
        return sync.exec_driver_sql(
            "SELECT expressions::VARCHAR[] FROM duckdb_indexes()"
        ).scalar()

    found = await connection.run_sync(create_again)
    assert found == ["((a + 1))", f"({COLONS})", "a"]


# --- which objects there are ------------------------------------------------------


async def test_objects_are_found_by_the_kind_they_are(connection):
    await run(
        connection,
        "CREATE TABLE t (a INTEGER)",
        "CREATE INDEX i ON t (a)",
        "CREATE VIEW v AS SELECT a FROM t",
        "CREATE SEQUENCE s",
        "CREATE TEMP TABLE tt (a INTEGER)",
        "CREATE TEMP VIEW tv AS SELECT a FROM tt",
        "CREATE TEMP SEQUENCE ts",
    )
    found = await ask(
        connection,
        lambda i: {
            "tables": i.get_table_names(),
            "views": i.get_view_names(),
            "sequences": i.get_sequence_names(),
            "temporary": [i.get_temp_table_names(), i.get_temp_view_names()],
            "has": [i.has_table(name) for name in ("t", "v", "tt", "tv", "s", "x")],
            "index": [i.has_index(*name) for name in ("ti", "tx", "xi")],
            "sequence": [i.has_sequence(name) for name in ("s", "ts", "t")],
            "schema": [i.has_schema(name) for name in ("main", "temp", "pg_catalog")],
        },
    )
    assert found == {
        "tables": ["t"],
        "views": ["v"],
        "sequences": ["s"],
        "temporary": [["tt"], ["tv"]],
        "has": [True, True, True, True, False, False],
        "index": [True, False, False],
        "sequence": [True, True, False],
        "schema": [True, False, False],
    }


async def test_scope_and_kind_choose_among_them(connection):
    await run(
        connection,
        "CREATE TABLE t (a INTEGER)",
        "CREATE VIEW v AS SELECT 1 AS one",
        "CREATE TEMP TABLE tt (a INTEGER)",
        "CREATE TEMP VIEW tv AS SELECT 1 AS one",
    )

    def found(inspector, scope, kind):
        keys = inspector.get_multi_columns(scope=scope, kind=kind)
        return " ".join(sorted(name for _, name in keys))

    chosen = await ask(
        connection,
        lambda i: [
            found(i, scope, kind)
            for scope in (ObjectScope.DEFAULT, ObjectScope.TEMPORARY, ObjectScope.ANY)
            for kind in (ObjectKind.TABLE, ObjectKind.VIEW, ObjectKind.ANY)
        ],
    )
    assert chosen == ["t", "v", "t v", "tt", "tv", "tt tv", "t tt", "tv v", "t tt tv v"]


async def test_a_temporary_table_hides_the_permanent_one(connection):
    await run(
        connection,
        "CREATE TABLE t (permanent INTEGER PRIMARY KEY)",
        "CREATE TEMP TABLE t (temporary INTEGER)",
    )
    found = await ask(
        connection,
        lambda i: (
            names(i.get_columns("t")),
            i.get_pk_constraint("t")["constrained_columns"],
            names(i.get_columns("t", schema="main")),
        ),
    )
    assert found == (["temporary"], [], ["permanent"])


async def test_a_view_is_defined_by_the_statement_that_creates_it(connection):
    await run(
        connection,
        "CREATE SCHEMA other",
        'CREATE VIEW v ("a b") AS SELECT 1',
        "CREATE VIEW other.v AS SELECT 2 AS two",
        "CREATE TABLE t (a INTEGER)",
    )
    definitions = await ask(
        connection,
        lambda i: (i.get_view_definition("v"), i.get_view_definition("v", "other")),
    )
    assert definitions == (
        'CREATE VIEW v ("a b") AS SELECT 1;',
        "CREATE VIEW other.v AS SELECT 2 AS two;",
    )
    with pytest.raises(NoSuchTableError, match=r"^t$"):
        await ask(connection, lambda i: i.get_view_definition("t"))
    with pytest.raises(NoSuchTableError, match=r"^other\.x$"):
        await ask(connection, lambda i: i.get_view_definition("x", "other"))


async def test_what_is_missing_is_named(connection):
    for method in ("get_columns", "get_pk_constraint", "get_indexes"):
        with pytest.raises(NoSuchTableError, match="nothing"):
            await ask(
                connection, lambda i, method=method: getattr(i, method)("nothing")
            )
    with pytest.raises(NoSuchTableError, match=r"nowhere\.t"):
        await ask(connection, lambda i: i.get_columns("t", schema="nowhere"))
    assert await ask(connection, lambda i: i.get_table_names("nowhere")) == []


async def test_schemas_are_kept_apart(connection):
    await run(
        connection,
        "CREATE SCHEMA one",
        "CREATE SCHEMA one.two",
        "CREATE SCHEMA two",
        "CREATE TABLE t (main INTEGER)",
        "CREATE TABLE one.t (one INTEGER)",
        "CREATE TABLE one.two.t (inner_two INTEGER)",
        "CREATE TABLE two.t (two INTEGER)",
        "CREATE SEQUENCE one.s",
    )
    found = await ask(
        connection,
        lambda i: (
            i.get_schema_names(),
            [names(i.get_columns("t", schema)) for schema in (None, "one", "two")],
            [i.get_sequence_names(schema) for schema in (None, "one", "two")],
            [i.has_sequence("s", schema) for schema in (None, "one")],
        ),
    )
    assert found == (
        ["main", "one", "two"],
        [["main"], ["one"], ["two"]],
        [[], ["s"], []],
        [False, True],
    )


async def test_no_schema_means_the_current_one(connection):
    await run(
        connection,
        "CREATE SCHEMA other",
        "CREATE TABLE other.t (a INTEGER)",
        "SET schema = 'other'",
    )
    assert await ask(connection, lambda i: i.get_table_names()) == ["t"]
    assert await ask(connection, lambda i: i.has_table("t"))
    assert not await ask(connection, lambda i: i.has_table("t", schema="main"))


@pytest.mark.parametrize("name", HOSTILE_NAMES)
async def test_every_name_is_found_as_it_was_given(connection, name):
    schema, second = f"schema {name}", f"{name} 2"
    table = Table(
        name,
        MetaData(),
        Column(name, Integer, primary_key=True, autoincrement=False),
        Column(second, String, unique=True),
        schema=schema,
    )
    Index(f"index {name}", table.c[second], table.c[name])
    await run(
        connection,
        f"CREATE SCHEMA {quoted(schema)}",
        f"CREATE SEQUENCE {quoted(schema)}.{quoted(name)}",
    )
    await connection.run_sync(table.create)
    found = await ask(
        connection,
        lambda i: {
            "schema": i.has_schema(schema),
            "tables": i.get_table_names(schema),
            "has": i.has_table(name, schema),
            "columns": names(i.get_columns(name, schema)),
            "key": i.get_pk_constraint(name, schema)["constrained_columns"],
            "unique": i.get_unique_constraints(name, schema)[0]["column_names"],
            "has index": i.has_index(name, f"index {name}", schema),
            "index": i.get_indexes(name, schema)[0]["column_names"],
            "sequences": i.get_sequence_names(schema),
        },
    )
    assert found == {
        "schema": True,
        "tables": [name],
        "has": True,
        "columns": [name, second],
        "key": [name],
        "unique": [second],
        "has index": True,
        "index": [second, name],
        "sequences": [name],
    }


async def test_names_are_compared_as_duckdb_does(connection):
    await run(
        connection,
        "CREATE SCHEMA Upper",
        "CREATE TABLE Upper.Mixed (A INTEGER)",
        "CREATE INDEX Ix ON Upper.Mixed (A)",
        "CREATE SEQUENCE Upper.Seq",
        'CREATE TABLE "Ü" (a INTEGER)',
    )
    found = await ask(
        connection,
        lambda i: (
            i.has_schema("uPPER"),
            i.has_table("MIXED", "upper"),
            i.has_index("mixed", "IX", "upper"),
            i.has_sequence("sEQ", "upper"),
            names(i.get_columns("mIXED", "UPPER")),
            names(i.get_columns("Ü")),
            i.has_table("ü"),
        ),
    )
    assert found == (True, True, True, True, ["A"], ["a"], False)


async def test_many_names_are_looked_for_at_once(connection):
    await run(connection, "CREATE TABLE a (x INTEGER)", "CREATE VIEW b AS SELECT 1")

    def look(sync):
        return dict(sync.dialect.has_multi_table(sync, ["a", "A", "b", "c"]))

    assert await connection.run_sync(look) == {
        (None, "a"): True,
        (None, "A"): True,
        (None, "b"): True,
        (None, "c"): False,
    }


async def test_another_attached_database_does_not_show():
    engine = create_async_engine("duckdb+async://")
    async with engine.connect() as connection:
        await run(connection, "CREATE TABLE t (here INTEGER)")
        await connection.commit()
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await run(
            connection,
            "ATTACH ':memory:' AS other",
            "CREATE SCHEMA other.leak",
            "CREATE TABLE other.main.leak (a INTEGER)",
            "CREATE TABLE other.main.t (there INTEGER PRIMARY KEY)",
            "CREATE VIEW other.main.leak_view AS SELECT 1",
            "CREATE SEQUENCE other.main.leak_sequence",
            "CREATE INDEX leak_index ON other.main.t (there)",
        )

        def everything(i):
            return {
                "schemas": i.get_schema_names(),
                "tables": i.get_table_names(),
                "views": i.get_view_names(),
                "sequences": i.get_sequence_names(),
                "columns": names(i.get_columns("t")),
                "key": i.get_pk_constraint("t")["constrained_columns"],
                "indexes": names(i.get_indexes("t")),
            }

        assert await ask(connection, everything) == {
            "schemas": ["main"],
            "tables": ["t"],
            "views": [],
            "sequences": [],
            "columns": ["here"],
            "key": [],
            "indexes": [],
        }
        await run(connection, "USE other")
        assert await ask(connection, everything) == {
            "schemas": ["leak", "main"],
            "tables": ["leak", "t"],
            "views": ["leak_view"],
            "sequences": ["leak_sequence"],
            "columns": ["there"],
            "key": ["there"],
            "indexes": ["leak_index"],
        }
    await engine.dispose()


# --- whole schemas ----------------------------------------------------------------


async def test_any_number_of_tables_takes_a_handful_of_queries(engine, connection):
    queries = []

    def note(connection, cursor, statement, *_):
        queries.append(statement)

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    counts = []
    for number in (1, 100):
        await run(
            connection,
            *(
                f"CREATE TABLE t{number}_{i} (a INTEGER PRIMARY KEY, b INTEGER UNIQUE)"
                for i in range(number)
            ),
        )
        queries.clear()
        metadata = MetaData()
        await connection.run_sync(metadata.reflect)
        counts.append((len(metadata.tables), len(queries)))
    event.remove(engine.sync_engine, "before_cursor_execute", note)
    assert counts == [(1, 9), (101, 9)]


async def test_a_reflected_schema_creates_the_same_tables_again(connection):
    metadata = MetaData()
    Table("parent", metadata, Column("id", Integer, primary_key=True), comment="p")
    child = Table(
        "child",
        metadata,
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("parent_id", ForeignKey("parent.id"), comment="whose"),
        Column("state", types.ENUM("new", "it's"), server_default="new"),
        Column("size", types.FixedArray(Integer, 2), nullable=False),
        Column("twice", Integer, Computed("id * 2")),
        Column("name", String, CheckConstraint("length(name) > 1"), unique=True),
    )
    Index("by_name", func.lower(child.c.name))
    await connection.run_sync(metadata.create_all)
    reflected = MetaData()

    def catalog(sync):
        return sync.exec_driver_sql(
            "SELECT table_name, constraint_text, '' FROM duckdb_constraints()"
            " UNION ALL SELECT table_name, sql, '' FROM duckdb_indexes()"
            " UNION ALL SELECT table_name, '', comment FROM duckdb_tables()"
            " UNION ALL SELECT table_name, concat_ws(' ', column_name, data_type,"
            " column_default, is_nullable), comment FROM duckdb_columns()"
            " WHERE NOT internal ORDER BY ALL"
        ).all()

    def create_again(sync):
        before = catalog(sync)
        reflected.reflect(sync)
        reflected.drop_all(sync)
        dropped = catalog(sync)
        reflected.create_all(sync)
        return before, dropped, catalog(sync)

    before, dropped, after = await connection.run_sync(create_again)
    assert dropped == []
    assert after == before
    assert reflected.tables.keys() == {"parent", "child"}


def quoted(name):
    return '"' + name.replace('"', '""') + '"'
