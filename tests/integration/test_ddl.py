"""
Tables as SQLAlchemy describes them, in DuckDB's terms.
"""

from __future__ import annotations

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.exc import CompileError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.schema import (
    AddConstraint,
    CreateTable,
    DropColumnComment,
    DropTableComment,
    SetColumnComment,
    SetTableComment,
)

from project_architect_db import ConfigurationError
from project_architect_db.dialect import DuckDBDialect_async

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared():
    engine = create_async_engine("duckdb+async://")
    yield engine
    await engine.dispose()


@pytest_asyncio.fixture(loop_scope="module")
async def connection(shared):
    """
    A connection; what a test does is rolled back.
    """
    async with shared.connect() as connection:
        yield connection


@pytest_asyncio.fixture(loop_scope="module")
async def engine():
    """
    A database of its own, for what is committed.
    """
    engine = create_async_engine("duckdb+async://")
    yield engine
    await engine.dispose()


@pytest.fixture
def metadata():
    return sa.MetaData()


def id_column(*args, **kwargs):
    return sa.Column("id", sa.Integer, *args, primary_key=True, **kwargs)


async def create(connection, table_or_metadata):
    create = getattr(table_or_metadata, "create_all", None) or table_or_metadata.create
    await connection.run_sync(create)


async def insert(connection, table, **values):
    result = await connection.execute(table.insert().values(**values))
    return result.inserted_primary_key


async def sequences(connection):
    found = await connection.exec_driver_sql(
        "SELECT schema_name || '.' || sequence_name FROM duckdb_sequences() ORDER BY 1"
    )
    return list(found.scalars())


async def tables(connection):
    found = await connection.exec_driver_sql(
        "SELECT schema_name || '.' || table_name FROM duckdb_tables() ORDER BY 1"
    )
    return list(found.scalars())


def text_of(table, **kwargs):
    return str(CreateTable(table).compile(dialect=DuckDBDialect_async(**kwargs)))


# --- integer keys -----------------------------------------------------------------


async def test_an_integer_key_counts_with_a_sequence_of_its_own(connection, metadata):
    first = sa.Table("a", metadata, id_column())
    second = sa.Table("b", metadata, id_column(), sa.Column("x", sa.Integer))
    await create(connection, metadata)

    assert [(1,), (2,), (3,)] == [await insert(connection, first) for _ in range(3)]
    assert [(1,), (2,)] == [await insert(connection, second, x=i) for i in (8, 9)]
    assert ["main.a_id_seq", "main.b_id_seq"] == await sequences(connection)


@pytest.mark.parametrize("type_", [sa.Integer, sa.BigInteger, sa.SmallInteger])
async def test_no_key_is_ever_serial(metadata, type_):
    table = sa.Table("t", metadata, sa.Column("id", type_, primary_key=True))

    assert "SERIAL" not in text_of(table).upper()
    assert "CREATE SEQUENCE IF NOT EXISTS t_id_seq" in text_of(table)


async def test_a_key_in_a_schema_has_its_sequence_there(connection, metadata):
    await connection.exec_driver_sql('CREATE SCHEMA "my schema"')
    table = sa.Table("t", metadata, id_column(), schema="my schema")
    await create(connection, metadata)

    assert [(1,), (2,)] == [await insert(connection, table) for _ in range(2)]
    assert ["my schema.t_id_seq"] == await sequences(connection)
    await connection.run_sync(metadata.drop_all)
    assert [] == await sequences(connection)


async def test_schemas_are_translated_for_sequences_too(connection, metadata):
    await connection.exec_driver_sql("CREATE SCHEMA other")
    table = sa.Table("t", metadata, id_column(), sa.Column("x", sa.Integer))
    mapped = await connection.execution_options(schema_translate_map={None: "other"})
    await create(mapped, metadata)

    assert (1,) == await insert(mapped, table, x=1)
    assert ["other.t_id_seq"] == await sequences(connection)
    assert ["other.t"] == await tables(connection)
    await mapped.run_sync(metadata.drop_all)
    assert ([], []) == (await sequences(connection), await tables(connection))


async def test_an_identity_starts_and_steps_as_told(connection, metadata):
    identity = sa.Identity(start=100, increment=10, minvalue=0, maxvalue=500)
    table = sa.Table("t", metadata, id_column(identity))
    await create(connection, metadata)

    assert [(100,), (110,)] == [await insert(connection, table) for _ in range(2)]


async def test_an_identity_need_not_be_the_key(connection, metadata):
    table = sa.Table(
        "t", metadata, sa.Column("name", sa.String, primary_key=True),
        sa.Column("number", sa.Integer, sa.Identity(start=5)),
    )  # fmt: skip
    await create(connection, metadata)
    await insert(connection, table, name="a")

    assert [("a", 5)] == (await connection.execute(sa.select(table))).all()


async def test_an_explicit_sequence_is_used(connection, metadata):
    numbers = sa.Sequence("numbers", start=7, increment=2, cycle=False, cache=10)
    first = sa.Table("a", metadata, id_column(numbers))
    second = sa.Table("b", metadata, id_column(numbers))
    await create(connection, metadata)

    assert (7,) == await insert(connection, first)
    assert (9,) == await insert(connection, second)
    assert 11 == await connection.scalar(sa.select(numbers.next_value()))
    assert ["main.numbers"] == await sequences(connection)


async def test_an_optional_sequence_gives_way_to_the_implicit_one(connection, metadata):
    table = sa.Table("t", metadata, id_column(sa.Sequence("unused", optional=True)))
    await create(connection, metadata)

    assert (1,) == await insert(connection, table)
    assert ["main.t_id_seq"] == await sequences(connection)


@pytest.mark.parametrize(
    "column",
    [
        id_column(default=5),
        id_column(server_default="5"),
        id_column(autoincrement=False),
        sa.Column("id", sa.String, primary_key=True),
    ],
    ids=["default", "server default", "no autoincrement", "string"],
)
async def test_a_key_with_values_of_its_own_has_no_sequence(metadata, column):
    assert "SEQUENCE" not in text_of(sa.Table("t", metadata, column._copy()))


async def test_a_key_that_refers_to_another_has_no_sequence(metadata):
    sa.Table("parent", metadata, id_column())
    child = sa.Table("child", metadata, id_column(sa.ForeignKey("parent.id")))

    assert "SEQUENCE" not in text_of(child)


async def test_keys_of_a_temporary_table_are_temporary(engine, metadata):
    table = sa.Table("t", metadata, id_column(), prefixes=["TEMPORARY"])
    async with engine.begin() as connection:
        await create(connection, metadata)
        assert (1,) == await insert(connection, table)
        assert ["temp.t_id_seq"] == [
            f"{row.database_name}.{row.sequence_name}"
            for row in await connection.exec_driver_sql("FROM duckdb_sequences()")
        ]


async def test_a_key_computed_by_the_database_where_returning_is_forbidden(
    connection, metadata
):
    column = sa.Column(
        "id", sa.Integer, primary_key=True, default=sa.func.length("abc")
    )
    table = sa.Table("t", metadata, column, implicit_returning=False)
    await create(connection, metadata)

    assert (3,) == await insert(connection, table)


async def test_a_table_without_a_key_is_dropped_too(connection, metadata):
    sa.Table("t", metadata, sa.Column("name", sa.String))
    await create(connection, metadata)
    await connection.run_sync(metadata.drop_all)

    assert [] == await tables(connection)


async def test_a_key_set_by_hand_is_kept(connection, metadata):
    table = sa.Table("t", metadata, id_column())
    await create(connection, metadata)

    assert [(70,), (1,)] == [
        await insert(connection, table, id=70),
        await insert(connection, table),
    ]


async def test_a_table_that_forbids_returning_still_counts(connection, metadata):
    table = sa.Table("t", metadata, id_column(), sa.Column("x", sa.Integer),
                     implicit_returning=False)  # fmt: skip
    await create(connection, metadata)

    assert [(1,), (2,)] == [await insert(connection, table, x=i) for i in (1, 2)]


async def test_creating_twice_keeps_everything_and_dropping_removes_it(
    connection, metadata
):
    table = sa.Table("t", metadata, id_column(), sa.Column("x", sa.Integer, index=True))
    sa.Table("u", metadata, id_column(sa.Identity(start=3)))
    await create(connection, metadata)
    await insert(connection, table, x=1)
    await create(connection, metadata)

    assert (2,) == await insert(connection, table, x=2)
    await connection.run_sync(metadata.drop_all)
    await connection.run_sync(metadata.drop_all)
    assert ([], []) == (await sequences(connection), await tables(connection))


async def test_what_exists_is_not_checked_if_told_so(connection, metadata):
    table = sa.Table("t", metadata, id_column())
    await create(connection, metadata)

    with pytest.raises(sa.exc.ProgrammingError, match="already exists"):
        await connection.run_sync(lambda c: table.create(c, checkfirst=False))


# --- foreign keys -----------------------------------------------------------------


class Base(orm.DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    books: orm.Mapped[list[Book]] = orm.relationship(back_populates="author")


class Book(Base):
    __tablename__ = "book"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    author_id: orm.Mapped[int] = orm.mapped_column(
        sa.ForeignKey("author.id", ondelete="CASCADE", deferrable=True, match="FULL")
    )
    part_of: orm.Mapped[int | None] = orm.mapped_column(sa.ForeignKey("book.id"))
    author: orm.Mapped[Author] = orm.relationship(back_populates="books")


async def test_relationships_need_no_foreign_key_in_the_database(engine):
    async with engine.begin() as connection:
        await create(connection, Base.metadata)
        found = await connection.exec_driver_sql(
            "SELECT count(*) FROM duckdb_constraints() "
            "WHERE constraint_type = 'FOREIGN KEY'"
        )
        assert 0 == found.scalar_one()
    async with AsyncSession(engine, expire_on_commit=False) as session:
        author = Author(books=[Book(), Book()])
        session.add(author)
        await session.commit()
        session.expunge_all()
        query = sa.select(Author).options(orm.selectinload(Author.books))
        found = (await session.scalars(query)).one()

        assert [1, 1] == [book.author_id for book in found.books]
        joined = sa.select(sa.func.count()).select_from(Author).join(Book)
        assert 2 == await session.scalar(joined)


@pytest.mark.parametrize(
    ("url", "keywords", "emitted"),
    [
        ("duckdb+async://", {}, False),
        ("duckdb+async://", {"emit_foreign_keys": True}, True),
        ("duckdb+async://?emit_foreign_keys=true", {}, True),
        ("duckdb+async://?emit_foreign_keys=0", {"emit_foreign_keys": True}, False),
    ],
)
async def test_foreign_keys_are_created_if_told_so(url, keywords, emitted):
    engine = create_async_engine(url, **keywords)
    async with engine.connect() as connection:
        await create(connection, Base.metadata)
        insert = sa.insert(Book).values(author_id=99)
        if emitted:
            with pytest.raises(IntegrityError, match="foreign key"):
                await connection.execute(insert)
        else:
            await connection.execute(insert)
    await engine.dispose()


async def test_a_wrong_flag_is_refused():
    with pytest.raises(ConfigurationError, match="expected true or false"):
        create_async_engine("duckdb+async://?emit_foreign_keys=perhaps")


async def test_actions_of_foreign_keys_are_left_out(metadata):
    text = text_of(Book.__table__, emit_foreign_keys=True)

    assert "FOREIGN KEY(author_id) REFERENCES author (id)," in text
    assert not [w for w in ("CASCADE", "DEFERRABLE", "MATCH") if w in text]


async def test_rows_that_refer_to_rows_of_the_same_insert():
    engine = create_async_engine("duckdb+async://?emit_foreign_keys=true")
    async with engine.begin() as connection:
        await create(connection, Base.metadata)
        await connection.execute(sa.insert(Author))
        rows = [{"id": i, "author_id": 1, "part_of": i - 1 or None} for i in (1, 2, 3)]

        await connection.execute(sa.insert(Book.__table__), rows)

        count = sa.select(sa.func.count()).select_from(Book)
        assert 3 == await connection.scalar(count)
    await engine.dispose()


async def test_tables_that_refer_to_each_other(connection, metadata):
    sa.Table("a", metadata, id_column(), sa.Column("b", sa.ForeignKey("b.id")))
    sa.Table("b", metadata, id_column(),
             sa.Column("a", sa.ForeignKey("a.id", use_alter=True, name="x")),
    )  # fmt: skip
    await create(connection, metadata)

    assert ["main.a", "main.b"] == await tables(connection)
    await connection.run_sync(metadata.drop_all)
    assert [] == await tables(connection)


# --- everything else a table has --------------------------------------------------


async def test_a_computed_column_is_computed_when_read(connection, metadata):
    table = sa.Table(
        "t", metadata, sa.Column("a", sa.Integer),
        sa.Column("double", sa.Integer, sa.Computed("a * 2")),
        sa.Column("text", sa.String, sa.Computed("'a: ' || a", persisted=False)),
    )  # fmt: skip
    await create(connection, metadata)
    await connection.execute(table.insert(), [{"a": 1}, {"a": 21}])

    found = await connection.execute(sa.select(table).order_by(table.c.a))
    assert [(1, 2, "a: 1"), (21, 42, "a: 21")] == found.all()


async def test_a_computed_column_that_is_never_null_can_be_created(
    connection, metadata
):
    table = sa.Table(
        "t",
        metadata,
        sa.Column("a", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("double", sa.Integer, sa.Computed("a * 2"), nullable=False),
    )
    await connection.run_sync(metadata.create_all)
    await connection.execute(table.insert().values(a=21))
    assert 42 == await connection.scalar(sa.select(table.c.double))


async def test_a_stored_computed_column_is_refused(metadata):
    column = sa.Column("b", sa.Integer, sa.Computed("1", persisted=True))

    with pytest.raises(CompileError, match="leave `persisted` out"):
        text_of(sa.Table("t", metadata, column))


async def test_comments_are_set_and_dropped(connection, metadata):
    table = sa.Table(
        "odd 'table\"", metadata,
        sa.Column('odd "column', sa.Integer, comment="it's 5%"),
        comment="ünï😀\n:a \\",
    )  # fmt: skip
    await create(connection, metadata)
    (column,) = table.c

    async def comments():
        found = await connection.exec_driver_sql(
            "SELECT t.comment, c.comment FROM duckdb_tables() t, duckdb_columns() c"
            " WHERE NOT c.internal"
        )
        return tuple(found.one())

    assert ("ünï😀\n:a \\", "it's 5%") == await comments()
    await connection.execute(DropTableComment(table))
    await connection.execute(DropColumnComment(column))
    assert (None, None) == await comments()
    table.comment, column.comment = "new", None
    await connection.execute(SetTableComment(table))
    await connection.execute(SetColumnComment(column))
    assert ("new", None) == await comments()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"a": 0, "b": "x"}, "CHECK constraint"),
        ({"a": 1, "b": "taken"}, "[Dd]uplicate key"),
        ({"a": 1, "b": None}, "NOT NULL constraint"),
        ({"a": 5, "b": "free"}, "[Dd]uplicate key"),
    ],
)
async def test_constraints_and_unique_indexes_hold(
    connection, metadata, wrong, message
):
    table = sa.Table(
        "t", metadata, sa.Column("a", sa.Integer, sa.CheckConstraint("a > 0")),
        sa.Column("b", sa.String, nullable=False), sa.UniqueConstraint("b"),
        sa.Index("one_a", "a", unique=True),
    )  # fmt: skip
    await create(connection, metadata)
    await insert(connection, table, a=5, b="taken")

    with pytest.raises(IntegrityError, match=message):
        await connection.execute(table.insert(), wrong)


async def test_indexes_are_created_as_written(connection, metadata):
    table = sa.Table("t", metadata, sa.Column("a", sa.Integer, index=True),
                     sa.Column("b", sa.String))  # fmt: skip
    sa.Index("ix_lower", sa.func.lower(table.c.b))
    sa.Index("ix_both", table.c.a, table.c.b)
    await create(connection, metadata)

    found = await connection.exec_driver_sql(
        "SELECT index_name FROM duckdb_indexes() ORDER BY 1"
    )
    assert ["ix_both", "ix_lower", "ix_t_a"] == list(found.scalars())


async def test_a_constraint_may_be_added_later(connection, metadata):
    table = sa.Table("t", metadata, sa.Column("a", sa.Integer, nullable=False))
    await create(connection, metadata)
    key = sa.PrimaryKeyConstraint(table.c.a)
    await connection.execute(AddConstraint(key))

    await insert(connection, table, a=1)
    with pytest.raises(IntegrityError):
        await insert(connection, table, a=1)


@pytest.mark.parametrize(
    "name",
    ["two words", 'dou"ble', "sin'gle", "dot.ted", "UPPER", "select", "per%cent",
     "co:lon", "back\\slash", "a, b", "ünï😀", "$1", "summarize", "at", "rowid"],
)  # fmt: skip
async def test_any_name_can_be_used(connection, name):
    metadata = sa.MetaData()
    table = sa.Table(
        name, metadata, sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(name if name != "rowid" else "row id", sa.String, index=True,
                  comment="x"),
    )  # fmt: skip
    column = table.c[1]
    await create(connection, metadata)

    key = await insert(connection, table, **{column.name: "value"})
    await connection.execute(table.insert(), [{column.name: "b"}, {column.name: "c"}])

    query = sa.select(table).where(column == "value").order_by(column)
    assert [(1, "value")] == (await connection.execute(query)).all()
    assert (1,) == key
    assert [f"main.{name}_id_seq"] == await sequences(connection)
    await connection.run_sync(metadata.drop_all)
    assert ([], []) == (await sequences(connection), await tables(connection))


async def test_every_reserved_word_is_quoted(connection, metadata):
    found = await connection.exec_driver_sql(
        "SELECT DISTINCT keyword_name FROM duckdb_keywords()"
    )
    words = list(found.scalars())
    table = sa.Table("t", metadata, *[sa.Column(word, sa.Integer) for word in words])
    await create(connection, metadata)
    await connection.execute(table.insert(), dict.fromkeys(words, 1))

    assert len(words) == sum((await connection.execute(sa.select(table))).one())
    for word in words:
        one = sa.select(sa.literal(1).label(word)).subquery(word)
        assert 1 == await connection.scalar(sa.select(one.c[word].label(word))), word
