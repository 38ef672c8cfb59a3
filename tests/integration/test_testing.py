"""
What the library offers for tests of apps: databases that vanish, and rows that fit.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import enum
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from project_architect_db import (
    Base,
    Document,
    DuplicateError,
    InvalidDataError,
    Project,
    SoftDeleteMixin,
    UnknownFieldError,
    VersionMixin,
)
from project_architect_db.dialect.types import Struct
from project_architect_db.testing import RowFactory, temporary_database


class Models(Base):
    __abstract__ = True
    metadata = sa.MetaData()


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


class Upper(sa.TypeDecorator[str]):
    impl = sa.String(20)
    cache_ok = True


class Owner(Models):
    __tablename__ = "owners"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(sa.String(40), unique=True)


class Everything(Models, SoftDeleteMixin, VersionMixin):
    """
    A column of each kind.
    """

    __tablename__ = "everything"

    key: Mapped[str] = mapped_column("key_column", sa.String(16), primary_key=True)
    owner_id: Mapped[int] = mapped_column(sa.ForeignKey("owners.id"))
    second_owner_id: Mapped[int | None] = mapped_column(sa.ForeignKey("owners.id"))
    rank: Mapped[int] = mapped_column(unique=True)
    small: Mapped[int] = mapped_column(sa.SmallInteger)
    short: Mapped[str] = mapped_column(sa.String(3))
    text: Mapped[str | None]
    upper: Mapped[str] = mapped_column(Upper)
    size: Mapped[Size]
    state: Mapped[str] = mapped_column(sa.Enum("open", "done"))
    is_new: Mapped[bool]
    score: Mapped[float]
    price: Mapped[Decimal] = mapped_column(sa.Numeric(4, 1))
    amount: Mapped[Decimal]
    facts: Mapped[dict[str, Any] | None]
    labels: Mapped[list[str]]
    steps: Mapped[list[dict[str, Any]]] = mapped_column(sa.JSON)
    numbers: Mapped[list[int]] = mapped_column(sa.ARRAY(sa.Integer))
    at: Mapped[dt.datetime]
    at_naive: Mapped[dt.datetime] = mapped_column(sa.DateTime())
    day: Mapped[dt.date] = mapped_column(unique=True)
    time: Mapped[dt.time]
    span: Mapped[dt.timedelta]
    token: Mapped[uuid.UUID]
    token_text: Mapped[str] = mapped_column(sa.Uuid(as_uuid=False))
    raw: Mapped[bytes]
    status: Mapped[str] = mapped_column(default="draft")
    kind: Mapped[str] = mapped_column(server_default="plain")
    double: Mapped[float | None] = mapped_column(sa.Computed("score * 2"))


class Profile(Models):
    """
    At most one for each owner, and of a known kind.
    """

    __tablename__ = "profiles"
    __table_args__ = (sa.Index("one_profile", "owner_id", unique=True),)

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(sa.ForeignKey("owners.id"))
    kind: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "profile"}


class PublicProfile(Profile):
    __mapper_args__ = {"polymorphic_identity": "public"}


class Cell(Models):
    """
    Its key is one of two columns.
    """

    __tablename__ = "cells"

    row: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    column: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class Mark(Models):
    __tablename__ = "marks"
    __table_args__ = (
        sa.ForeignKeyConstraint(["cell_row", "cell_column"], [Cell.row, Cell.column]),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    cell_row: Mapped[int]
    cell_column: Mapped[int]


class Node(Models):
    """
    It needs another one, which needs another one …
    """

    __tablename__ = "nodes"

    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int] = mapped_column(sa.ForeignKey("nodes.id"))


class Odd(Models):
    __tablename__ = "odd"

    id: Mapped[int] = mapped_column(primary_key=True)
    point: Mapped[dict[str, Any]] = mapped_column(Struct({"x": sa.Integer}))
    plain_id: Mapped[int] = mapped_column(sa.ForeignKey("plain.id"))


sa.Table("plain", Models.metadata, sa.Column("id", sa.Integer, primary_key=True))


# --- databases ---------------------------------------------------------------------


async def test_a_temporary_database_is_a_file_that_vanishes_with_its_folder():
    async with temporary_database() as engine:
        path = Path(engine.name)
        async with engine.transaction() as session:
            session.add(Project(name="a", project_idea="b"))
        assert path.exists()
    assert not path.parent.exists()


async def test_a_temporary_database_vanishes_after_an_error_too():
    with pytest.raises(ZeroDivisionError):
        async with temporary_database() as engine:
            raise ZeroDivisionError
    assert not Path(engine.name).parent.exists()


@pytest.mark.parametrize(("worker", "named"), [("gw3", "-gw3-"), (None, "-main-")])
async def test_its_folder_has_the_name_of_the_worker(monkeypatch, worker, named):
    if worker:
        monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
    else:
        monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    async with temporary_database() as engine:
        assert named in Path(engine.name).parent.name


async def test_databases_at_the_same_time_share_nothing():
    async def write_and_count():
        async with temporary_database(metadata=Models.metadata) as engine:
            async with engine.transaction() as session:
                await RowFactory(Owner).create(session, 10)
            async with engine.session() as session:
                return await session.scalar(sa.select(sa.func.count(Owner.id)))

    assert await asyncio.gather(*(write_and_count() for _ in range(4))) == [10] * 4


@pytest.mark.parametrize(("template", "times"), [(True, 1), (False, 2)])
async def test_tables_are_created_once_if_a_copy_will_do(template, times):
    metadata, created = sa.MetaData(), []
    sa.Table("t", metadata, sa.Column("n", sa.Integer))
    sa.event.listen(metadata, "after_create", lambda *_, **__: created.append(1))
    for _ in range(2):
        database = temporary_database(metadata=metadata, template=template)
        async with database as engine, engine.session() as session:
            assert (await session.execute(sa.text("SELECT n FROM t"))).all() == []
    assert len(created) == times


async def test_a_table_that_is_defined_later_is_there_too():
    metadata = sa.MetaData()
    table = sa.Table("t", metadata, sa.Column("n", sa.Integer))
    async with temporary_database(metadata=metadata):
        pass
    table.append_column(sa.Column("m", sa.Integer))
    sa.Table("u", metadata, sa.Column("n", sa.Integer))
    database = temporary_database(metadata=metadata)
    async with database as engine, engine.session() as session:
        await session.execute(sa.text("SELECT m, u.n FROM t, u"))


async def test_a_temporary_database_takes_settings():
    metadata = sa.MetaData()
    parent = sa.Table("p", metadata, sa.Column("id", sa.Integer, primary_key=True))
    sa.Table("c", metadata, sa.Column("p_id", sa.ForeignKey(parent.c.id)))
    count = sa.text(
        "SELECT count(*) FROM duckdb_constraints()"
        " WHERE constraint_type = 'FOREIGN KEY' AND table_name = 'c'"
    )
    for emit in (False, True):
        settings = {"threads": 1, "emit_foreign_keys": emit}
        async with temporary_database(metadata=metadata, **settings) as engine:
            assert engine.settings.threads == 1
            async with engine.session() as session:
                assert bool(await session.scalar(count)) is emit


# --- rows --------------------------------------------------------------------------


@pytest.fixture
async def session():
    database = temporary_database(metadata=Models.metadata)
    async with database as engine, engine.transaction() as session:
        yield session


def test_a_row_has_what_its_model_needs_and_leaves_defaults_to_it():
    row = RowFactory(Everything).build()
    assert set(Everything.__mapper__.columns.keys()) - set(row) == {
        "owner_id", "second_owner_id", "status", "kind", "double", "version",
        "deleted_at",
    }  # fmt: skip
    assert row["text"] is not None
    assert len(row["short"]) <= 3
    assert row["size"] in Size
    assert row["state"] in {"open", "done"}
    assert row["at"].tzinfo is dt.UTC
    assert row["at_naive"].tzinfo is None
    assert isinstance(row["facts"], dict)
    assert isinstance(row["labels"], list)
    assert isinstance(row["steps"], list)
    assert row["price"].as_tuple().exponent == -1


async def test_rows_of_each_kind_of_column_can_be_written(session):
    made = await RowFactory(Everything).create(session, 500)
    assert len({item.key for item in made}) == 500
    assert {item.status for item in made} == {"draft"}
    assert {item.size for item in made} == set(Size)
    session.expunge_all()
    found = await session.scalars(sa.select(Everything).order_by(Everything.rank))
    assert [item.token for item in found] == [item.token for item in made]


async def test_one_row_is_no_list(session):
    owner = await RowFactory(Owner).create(session)
    assert sa.inspect(owner).persistent
    (profile,) = await RowFactory(Profile).create(session, 1, owner_id=owner.id)
    assert profile.owner_id == owner.id
    assert await RowFactory(Everything).create(session, 0) == []


def test_a_seed_makes_the_same_rows_again():
    def rows(seed):
        factory = RowFactory(Everything, seed=seed)
        return [factory.build() for _ in range(20)]

    assert rows(1) == rows(1)
    assert rows(1) != rows(2)


def test_a_new_column_changes_no_others():
    def build(*columns):
        class Own(DeclarativeBase):
            pass

        class New(Own):
            __table__ = sa.Table(
                "new", Own.metadata, sa.Column("id", sa.Integer, primary_key=True),
                *columns, sa.Column("name", sa.String),
            )  # fmt: skip

        return RowFactory(New).build()

    small, large = build(), build(sa.Column("age", sa.Integer))
    assert large.pop("age")
    assert small == large


def test_what_is_given_goes_over_defaults_and_over_what_is_made():
    factory = RowFactory(Project, name="a", status="active")
    row = factory.build(name="b", description=None)
    assert (row["name"], row["status"], row["description"]) == ("b", "active", None)


def test_a_function_is_called_with_the_number_of_the_row():
    factory = RowFactory(Owner, email=lambda number: f"{number}@example.org")
    assert [factory.build()["email"] for _ in range(2)] == [
        "1@example.org", "2@example.org",
    ]  # fmt: skip


def test_a_field_that_is_not_there_is_refused():
    with pytest.raises(UnknownFieldError, match="did you mean 'email'"):
        RowFactory(Owner).build(emial="a")
    with pytest.raises(UnknownFieldError):
        RowFactory(Owner, emial="a").build()


async def test_one_parent_is_made_for_all_rows_of_a_call(session):
    factory = RowFactory(Everything)
    first = await factory.create(session, 3)
    second = await factory.create(session)
    assert len({item.owner_id for item in first}) == 1
    assert second.owner_id != first[0].owner_id
    assert second.second_owner_id is None


async def test_where_the_foreign_key_is_unique_each_row_has_a_parent(session):
    made = await RowFactory(Profile).create(session, 3)
    assert len({item.owner_id for item in made}) == 3


async def test_a_parent_that_is_given_is_used(session):
    owner = await RowFactory(Owner).create(session)
    made = await RowFactory(Everything).create(session, 2, owner_id=owner.id)
    assert {item.owner_id for item in made} == {owner.id}
    assert await session.scalar(sa.select(sa.func.count(Owner.id))) == 1


async def test_a_parent_may_come_from_a_factory(session):
    owners = RowFactory(Owner, email=lambda number: f"{number}@example.org")
    factory = RowFactory(Everything, owner_id=owners, second_owner_id=owners)
    made = await factory.create(session, 2)
    await owners.create(session)
    emails = await session.scalars(sa.select(Owner.email).order_by(Owner.id))
    assert emails.all() == ["1@example.org", "2@example.org", "3@example.org"]
    assert {(item.owner_id, item.second_owner_id) for item in made} == {(1, 2)}
    assert "owner_id" not in factory.build()


async def test_parents_made_beside_each_other_do_not_collide(session):
    await RowFactory(Owner).create(session, 100)
    await RowFactory(Everything).create(session)
    await RowFactory(Profile).create(session, 100)
    assert await session.scalar(sa.select(sa.func.count(Owner.id))) == 201


async def test_a_foreign_key_of_two_columns_leads_to_one_row(session):
    mark = await RowFactory(Mark).create(session)
    cell = (await session.scalars(sa.select(Cell))).one()
    assert (mark.cell_row, mark.cell_column) == (cell.row, cell.column)


async def test_a_model_within_another_one_is_found_as_itself(session):
    await RowFactory(PublicProfile).create(session, 2)
    await RowFactory(Profile).create(session)
    session.expunge_all()
    found = await session.scalars(sa.select(Profile).order_by(Profile.id))
    assert [type(item) for item in found] == [PublicProfile, PublicProfile, Profile]


async def test_a_row_that_needs_its_own_kind_has_to_be_given_one(session):
    with pytest.raises(InvalidDataError, match=r"RowFactory\(Node, parent_id=…\)"):
        await RowFactory(Node).create(session)


async def test_what_nothing_is_known_about_has_to_be_given(session):
    with pytest.raises(InvalidDataError, match=r"RowFactory\(Odd, point=…\)"):
        RowFactory(Odd).build()
    with pytest.raises(InvalidDataError, match=r"RowFactory\(Odd, plain_id=…\)"):
        await RowFactory(Odd, point={"x": 1}).create(session)


async def test_what_is_given_twice_is_the_databases_to_refuse():
    async with temporary_database(metadata=Models.metadata) as engine:
        with pytest.raises(DuplicateError):
            async with engine.transaction() as session:
                await RowFactory(Owner, email="a").create(session, 2)


async def test_the_models_of_this_library_have_rows():
    async with temporary_database() as engine:
        async with engine.transaction() as session:
            made = await RowFactory(Document).create(session, 3)
        assert {item.kind for item in made} == {"text"}
