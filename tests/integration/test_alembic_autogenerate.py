"""
Autogenerate finds what differs, and nothing else.
"""

from __future__ import annotations

import datetime as dt

import pytest
import pytest_asyncio
import sqlalchemy as sa
from alembic.autogenerate import (
    compare_metadata,
    produce_migrations,
    render_python_code,
)
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import create_async_engine

from project_architect_db import Base
from project_architect_db.dialect import types

pytestmark = pytest.mark.asyncio(loop_scope="module")

TYPES = {
    "BIGNUM": types.BIGNUM,
    "BIT": types.BIT,
    "ENUM": types.ENUM("a", "it's", name="letters"),
    "HugeInteger": types.HugeInteger,
    "INTERVAL": postgresql.INTERVAL,
    "timedelta": sa.Interval,
    "JSON": sa.JSON,
    "JSONB": postgresql.JSONB,
    "TIMESTAMP_MS": types.TIMESTAMP_MS,
    "TIMESTAMP_NS": types.TIMESTAMP_NS,
    "TIMESTAMP_S": types.TIMESTAMP_S,
    "TIME_NS": types.TIME_NS,
    "TinyInteger": types.TinyInteger,
    "UBigInteger": types.UBigInteger,
    "UHugeInteger": types.UHugeInteger,
    "UInteger": types.UInteger,
    "USmallInteger": types.USmallInteger,
    "UTinyInteger": types.UTinyInteger,
    "VARIANT": types.VARIANT,
    "array": types.FixedArray(sa.Float, 3),
    "big": sa.BigInteger,
    "blob": sa.LargeBinary,
    "bool": sa.Boolean,
    "char": sa.CHAR(3),
    "collated": sa.String(collation="nocase"),
    "date": sa.Date,
    "datetime": sa.DateTime,
    "decimal": sa.DECIMAL(38, 20),
    "double": sa.Double,
    "sa_enum": sa.Enum("a", "b", name="sa_enum"),
    "float": sa.Float,
    "float24": sa.Float(24),
    "instant": sa.DateTime(timezone=True),
    "int": sa.Integer,
    "list": sa.ARRAY(sa.Integer, dimensions=2),
    "map": types.Map(sa.String, types.Struct({"a": sa.ARRAY(sa.Numeric(5, 1))})),
    "numeric": sa.Numeric,
    "real": sa.REAL,
    "small": sa.SmallInteger,
    "string": sa.String(20),
    "struct": types.Struct({
        "a": sa.Integer,
        "two words": types.Map(sa.String, types.FixedArray(sa.Integer, 2)),
        "e": types.ENUM("x", "y"),
    }),
    "text": sa.Text,
    "time": sa.Time,
    "timetz": sa.Time(timezone=True),
    "union": types.Union({"n": sa.Integer, "s": sa.String}),
    "unicode": sa.Unicode(5),
    "uuid": sa.Uuid,
    "variant_of": sa.String().with_variant(types.HugeInteger(), "duckdb"),
}  # fmt: skip
DEFAULTS = {
    "text": (sa.String, "it's: 100 %"),
    "empty": (sa.String, ""),
    "number": (sa.Integer, "5"),
    "negative": (sa.Integer, sa.text("-5")),
    "expression": (sa.Integer, sa.text("1 + 2")),
    "now": (sa.DateTime(timezone=True), sa.func.now()),
    "today": (sa.Date, sa.text("current_date")),
    "true": (sa.Boolean, sa.true()),
    "literal": (sa.String, sa.literal("a:b")),
    "json": (sa.JSON, '{"a":1}'),
    "uuid": (sa.Uuid, sa.func.uuid()),
    "list": (sa.ARRAY(sa.Integer), sa.text("[1, 2]")),
    "null": (sa.Integer, sa.text("NULL")),
    "cast": (sa.Numeric(5, 2), sa.cast(1.5, sa.Numeric(5, 2))),
    "interval": (sa.Interval, sa.literal(dt.timedelta(days=1), sa.Interval)),
}


FEW = ["ENUM", "collated", "int", "struct", "text", "number"]


def torture(only=(*TYPES, *DEFAULTS)):
    """
    Models with all there is.
    """
    metadata = sa.MetaData()
    numbers = sa.Sequence("invoice numbers", start=5, increment=2, metadata=metadata)
    sa.Table(
        "every type",
        metadata,
        sa.Column("id", sa.BigInteger, primary_key=True),
        *(sa.Column(name, type_) for name, type_ in TYPES.items() if name in only),
        comment="it's 100 %",
    )
    sa.Table(
        "defaults",
        metadata,
        sa.Column("id", sa.Integer, sa.Identity(start=10), primary_key=True),
        *(
            sa.Column(name, type_, server_default=default, nullable=False)
            for name, (type_, default) in DEFAULTS.items()
            if name in only
        ),
        sa.Column("counted", sa.Integer, server_default=numbers.next_value()),
    )
    sa.Table(
        "Books",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True, comment="it's: the key"),
        sa.Column("shelf id", sa.ForeignKey("shelves.id", ondelete="CASCADE")),
        sa.Column("title", sa.String, nullable=False, unique=True, comment="100 %"),
        sa.Column("price", sa.Numeric(10, 2), sa.CheckConstraint("price > 0")),
        sa.Column("stock", sa.Integer, index=True),
        sa.Column("worth", sa.Numeric(18, 2), sa.Computed("price * stock")),
        sa.Column("loud", sa.String, sa.Computed("upper(title)"), nullable=False),
        sa.UniqueConstraint("stock", "price", name="my_own_name"),
        sa.CheckConstraint("price > stock OR title <> ':a'", name="mine"),
        sa.Index("ix lower", sa.text("lower(title)"), unique=True),
        sa.Index("ix_two", "price", "stock"),
    )
    sa.Table(
        "shelves", metadata,
        sa.Column("id", sa.Integer, sa.Sequence("shelf_numbers"), primary_key=True),
        sa.Column("parent", sa.Integer, sa.ForeignKey("shelves.id")),
    )  # fmt: skip
    sa.Table(
        "elsewhere", metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("n", sa.Integer, sa.Sequence("s", schema="a schema")),
        sa.Column("u", sa.String, unique=True, index=True),
        schema="a schema",
    )  # fmt: skip
    sa.Table("keyless", metadata, sa.Column("a", sa.Integer))
    sa.Table(
        "pair", metadata,
        sa.Column("b", sa.Integer, primary_key=True),
        sa.Column("a", sa.Integer, primary_key=True, autoincrement=False),
    )  # fmt: skip
    return metadata


def differences(connection, models, **options):
    options = {"include_schemas": True, "target_metadata": models, **options}
    context = MigrationContext.configure(connection, opts=options)
    return compare_metadata(context, models)


def plan(connection, models):
    """
    The upgrade and the downgrade, and as code.
    """
    options = {"include_schemas": True, "target_metadata": models}
    context = MigrationContext.configure(connection, opts=options)
    script = produce_migrations(context, models)
    directions = script.upgrade_ops, script.downgrade_ops
    return [
        (render_python_code(each, migration_context=context), each)
        for each in directions
    ]


def follow(connection, code):
    """
    Run the code of a migration.
    """
    context = MigrationContext.configure(connection)
    names = {"op": Operations(context), "sa": sa, "postgresql": postgresql}
    names["duckdb_types"] = types
    lines = [line.removeprefix("    ") for line in code.splitlines()]
    exec("\n".join(lines), names)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def engine(tmp_path_factory):
    path = tmp_path_factory.mktemp("torture") / "torture.duckdb"
    engine = create_async_engine(f"duckdb+async:///{path}")
    async with engine.begin() as connection:
        await connection.exec_driver_sql('CREATE SCHEMA "a schema"')
    yield engine
    await engine.dispose()


@pytest_asyncio.fixture(loop_scope="module")
async def connection(engine):
    """
    A connection; what a test does is rolled back.
    """
    async with engine.connect() as connection:
        await connection.begin()
        yield connection


@pytest_asyncio.fixture(loop_scope="module")
async def created(connection):
    await connection.run_sync(torture().create_all)
    return connection


@pytest_asyncio.fixture(loop_scope="module")
async def few(connection):
    await connection.run_sync(torture(FEW).create_all)
    return connection


async def test_nothing_differs_after_create_all(created):
    assert [] == await created.run_sync(differences, torture())
    assert [] == await created.run_sync(differences, [torture(), sa.MetaData()])


@pytest.mark.slow
async def test_nothing_differs_between_the_models_of_this_library_and_their_tables(
    connection,
):
    await connection.run_sync(Base.metadata.create_all)
    assert [] == await connection.run_sync(differences, Base.metadata)


async def test_the_scripts_that_autogenerate_writes_lead_there_and_back(connection):
    """
    From nothing to all there is, to nothing, and there again.
    """
    ((upgrade, _), (downgrade, _)) = await connection.run_sync(plan, torture())
    await connection.run_sync(follow, upgrade)
    assert [] == await connection.run_sync(differences, torture())
    await connection.run_sync(follow, downgrade)
    assert [] == await connection.run_sync(differences, sa.MetaData())
    await connection.run_sync(follow, upgrade)
    assert [] == await connection.run_sync(differences, torture())


async def test_a_script_that_drops_everything_can_be_taken_back(created):
    ((upgrade, _), (downgrade, _)) = await created.run_sync(plan, sa.MetaData())
    await created.run_sync(follow, upgrade)
    left = await created.exec_driver_sql(
        "SELECT count(*) FROM duckdb_tables() UNION ALL"
        " SELECT count(*) FROM duckdb_sequences()"
    )
    assert [0, 0] == left.scalars().all()
    await created.run_sync(follow, downgrade)
    found = await created.run_sync(differences, torture())
    assert [] == [d for d in found if "CheckConstraint" not in repr(d)]


def altered(table, column, **changes):
    def change(models):
        for name, value in changes.items():
            setattr(models.tables[table].c[column], name, value)

    return change


def add(table, item):
    return lambda models: models.tables[table].append_constraint(item)


def remove_index(models):
    table = models.tables["Books"]
    table.indexes.remove(next(i for i in table.indexes if i.name == "ix_two"))


def remove_unique(models):
    table = models.tables["Books"]
    unique = next(c for c in table.constraints if c.name == "my_own_name")
    table.constraints.remove(unique)


def change_index(models):
    remove_index(models)
    sa.Index("ix_two", models.tables["Books"].c.price, unique=True)


def change_expression(models):
    table = models.tables["Books"]
    table.indexes.remove(next(i for i in table.indexes if i.name == "ix lower"))
    sa.Index("ix lower", sa.text("upper(title)"), unique=True, _table=table)


def drop_column(models):
    table = models.tables["keyless"]
    table._columns.remove(table.c.a)
    table.append_column(sa.Column("b", types.HugeInteger, sa.Identity()))


def without_default(models):
    models.tables["defaults"].c.text.server_default = None


def no_longer_computed(models):
    column = models.tables["Books"].c.worth
    column.server_default = column.computed = None


CHANGES = {
    "type": (altered("Books", "price", type=sa.Numeric(12, 2)), ["modify_type"]),
    "nested type": (
        altered("every type", "struct", type=types.Struct({"a": sa.BigInteger})),
        ["modify_type"],
    ),
    "members": (
        altered("every type", "ENUM", type=types.ENUM("a", "b")), ["modify_type"],
    ),
    "collation": (altered("every type", "collated", type=sa.String()), ["modify_type"]),
    "nullable": (altered("Books", "stock", nullable=False), ["modify_nullable"]),
    "default": (
        altered("defaults", "number", server_default=sa.DefaultClause("6")),
        ["modify_default"],
    ),
    "no default": (without_default, ["modify_default"]),
    "computed": (
        lambda models: sa.Computed("price + 1")._set_parent(
            models.tables["Books"].c.worth
        ),
        ["modify_default"],
    ),
    "no longer computed": (no_longer_computed, ["modify_default"]),
    "key that no longer counts": (
        altered("every type", "id", autoincrement=False), ["modify_default"],
    ),
    "key that counts": (altered("pair", "b", autoincrement=True), ["modify_default"]),
    "comment": (altered("Books", "title", comment="new"), ["modify_comment"]),
    "dropped index": (remove_index, ["remove_index"]),
    "changed index": (change_index, ["remove_index", "add_index"]),
    "changed expression": (change_expression, ["remove_index", "add_index"]),
    "new unique constraint": (
        lambda models: add(
            "keyless", sa.UniqueConstraint(models.tables["keyless"].c.a, name="x")
        )(models),
        ["add_constraint"],
    ),
    "dropped unique constraint": (remove_unique, ["remove_constraint"]),
    "column": (drop_column, ["add_column", "remove_column"]),
    "sequence": (
        lambda models: sa.Sequence("more", metadata=models, schema="a schema", start=3),
        ["add_sequence"],
    ),
    "table comment": (
        lambda models: setattr(models.tables["Books"], "comment", "new"),
        ["add_table_comment"],
    ),
    "new table": (
        lambda models: sa.Table("new", models, sa.Column("a", types.BIT)),
        ["add_table"],
    ),
}  # fmt: skip


TOGETHER = [
    [
        "type", "nested type", "no default", "key that counts", "dropped index",
        "new unique constraint", "sequence",
    ],
    [
        "members", "nullable", "default", "changed expression", "table comment",
        "dropped unique constraint",
    ],
    ["collation", "computed", "comment", "changed index", "column", "new table"],
    ["no longer computed", "key that no longer counts"],
]  # fmt: skip
"""Changes that do not get in each other's way: one of them at a time takes long."""


async def test_every_change_is_made():
    assert sorted(CHANGES) == sorted(name for names in TOGETHER for name in names)


@pytest.mark.parametrize(
    "names",
    [*TOGETHER[:3], pytest.param(TOGETHER[3], marks=pytest.mark.slow)],
    ids=lambda names: names[0],
)
async def test_differences_are_found_and_can_go_both_ways(few, names):
    models, expected = torture(FEW), []
    for name in names:
        change, kinds = CHANGES[name]
        change(models)
        expected += kinds
    ((upgrade, found), (downgrade, _)) = await few.run_sync(plan, models)
    diffs = [
        each for d in found.as_diffs() for each in (d if isinstance(d, list) else [d])
    ]
    assert sorted(expected) == sorted(diff[0] for diff in diffs)
    await few.run_sync(follow, upgrade)
    assert [] == await few.run_sync(differences, models)
    await few.run_sync(follow, downgrade)
    assert [] == await few.run_sync(differences, torture(FEW))


async def test_operations_run_without_being_written_down(few):
    models = torture(FEW)
    sa.Sequence("more", metadata=models)

    def upgrade_and_back(connection):
        context = MigrationContext.configure(connection)
        for _, direction in plan(connection, models):
            for operation in direction.ops:
                Operations(context).invoke(operation)
            yield differences(connection, models)

    after, back = await few.run_sync(lambda sync: list(upgrade_and_back(sync)))
    assert [] == after
    assert ["add_sequence"] == [d[0] for d in back]


def doubled(models, name):
    computed = sa.Column("c", sa.Integer, sa.Computed(f"{name} * 2"))
    sa.Table("t", models, sa.Column(name, sa.Integer), computed)


@pytest.mark.slow
async def test_renamed_columns_differ_no_more_than_their_names(few):
    models = sa.MetaData()
    doubled(models, "b")
    await few.run_sync(models.create_all)
    await few.run_sync(follow, "op.alter_column('t', 'b', new_column_name='a')")
    expected = torture(FEW)
    doubled(expected, "a")
    assert [] == await few.run_sync(differences, expected)


async def test_a_model_that_no_other_database_knows_is_not_compared(connection, caplog):
    """
    But for what Alembic itself sees of it.
    """
    await connection.exec_driver_sql("CREATE MACRO plus_one(a) AS a + 1")
    models = sa.MetaData()
    sa.Table(
        "t",
        models,
        sa.Column("a", sa.Integer),
        sa.Column("b", sa.Integer, server_default=sa.text("plus_one(1)")),
        sa.Index("ix", "a"),
        sa.UniqueConstraint("b"),
    )
    await connection.run_sync(models.create_all)
    assert [] == await connection.run_sync(differences, models)
    assert "Types, defaults and indexes of t are not compared" in caplog.text


async def test_filters_and_functions_of_the_user_are_asked(few):
    models = torture(FEW)
    sa.Sequence("more", metadata=models)
    await few.exec_driver_sql("CREATE SEQUENCE not_compared")
    altered("defaults", "number", server_default=sa.DefaultClause("6"))(models)
    altered("every type", "int", type=sa.String())(models)
    found = await few.run_sync(
        lambda connection: differences(
            connection,
            models,
            include_name=lambda name, type_, parents: type_ != "sequence",
            compare_server_default=lambda *_: False,
            compare_type=False,
        )
    )
    assert [] == found


async def test_a_default_of_another_sequence_keeps_it(connection):
    await connection.exec_driver_sql("CREATE SEQUENCE other")
    await connection.exec_driver_sql("CREATE SEQUENCE unused START 7")
    await connection.exec_driver_sql(
        "CREATE TABLE t (a INTEGER DEFAULT nextval('other'))"
    )
    models = sa.MetaData()
    sa.Table(
        "t",
        models,
        sa.Column("a", sa.Integer, server_default=sa.text("nextval('other')")),
    )
    (found,) = await connection.run_sync(differences, models)
    assert ("remove_sequence", "unused", 7) == (found[0], found[1].name, found[1].start)


# --- foreign keys -------------------------------------------------------------------


def keyed(**options):
    models = sa.MetaData()
    parent = sa.Column("id", sa.Integer, primary_key=True)
    sa.Table("parent", models, parent)
    key = sa.ForeignKey("parent.id", **options)
    sa.Table("child", models, sa.Column("a", sa.Integer, key))
    return models


async def test_foreign_keys_are_compared_where_they_are_emitted():
    engine = create_async_engine("duckdb+async://?emit_foreign_keys=true")
    async with engine.connect() as connection:
        await connection.run_sync(keyed().create_all)
        same = keyed(ondelete="CASCADE", onupdate="CASCADE")
        assert [] == await connection.run_sync(differences, same)
        other = sa.MetaData()
        sa.Table("parent", other, sa.Column("id", sa.Integer, primary_key=True))
        sa.Table("child", other, sa.Column("a", sa.Integer))
        (found,) = await connection.run_sync(differences, other)
        assert "remove_fk" == found[0]
    await engine.dispose()


@pytest.mark.slow
async def test_foreign_keys_of_a_database_that_has_some_are_to_go(connection):
    """
    For they would not be created either.
    """
    await connection.exec_driver_sql("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
    await connection.exec_driver_sql(
        "CREATE TABLE child (a INTEGER REFERENCES parent (id))"
    )
    models = keyed()
    models.tables["parent"].c.id.autoincrement = False
    (found,) = await connection.run_sync(differences, models)
    assert "remove_fk" == found[0]
    ((upgrade, _), _) = await connection.run_sync(plan, models)
    await connection.run_sync(follow, upgrade)
    assert [] == await connection.run_sync(differences, models)
