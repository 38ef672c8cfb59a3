"""
The base class and its mixins, on a real database.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import (
    JSON,
    DateTime,
    ForeignKey,
    MetaData,
    bindparam,
    inspect,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.orm.exc import StaleDataError

from project_architect_db import (
    Base,
    DatabaseEngine,
    StaleRecordError,
    TimestampMixin,
)
from project_architect_db.base import SoftDeleteMixin, VersionMixin, utc_now

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Model(Base):
    __abstract__ = True
    metadata = MetaData()


class Page(TimestampMixin, SoftDeleteMixin, VersionMixin, Model):
    __tablename__ = "pages"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(default="page")
    title: Mapped[str]
    data: Mapped[dict[str, Any] | None]

    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "page"}


class Chapter(Page):
    __tablename__ = "chapters"
    id: Mapped[int] = mapped_column(ForeignKey("pages.id"), primary_key=True)
    number: Mapped[int]

    __mapper_args__ = {"polymorphic_identity": "chapter"}


class Article(Model, TimestampMixin):
    __tablename__ = "articles"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    seen_at: Mapped[datetime | None]
    anything: Mapped[list[Any] | None]
    rows: Mapped[list[dict[str, Any]] | None]
    words: Mapped[list[str] | None]


class Own(VersionMixin, Model):
    __tablename__ = "own_versions"
    id: Mapped[int] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column()

    __mapper_args__ = {"version_id_col": revision}


class Renamed(VersionMixin, Model):
    __tablename__ = "renamed_versions"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    version: Mapped[int] = mapped_column("row_version", default=1)


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
        session.add_all([Page(title="a", data={"n": {}}), Page(title="b")])
        session.add_all([Article(title="a"), Article(title="b")])
    return database


async def get(engine, model=Page, id=1):
    async with engine.session() as session:
        return await session.get_one(model, id)


async def test_annotations_choose_the_types():
    columns = Article.__table__.columns
    for name in ("anything", "rows", "words"):
        assert isinstance(columns[name].type, JSON)
        assert columns[name].type.none_as_null
        assert columns[name].nullable
    assert isinstance(columns["seen_at"].type, DateTime)
    assert columns["seen_at"].type.timezone


async def test_the_columns_of_mixins_come_last():
    assert [*Page.__table__.columns.keys()] == [
        *("id", "kind", "title", "data"),
        *("created_at", "updated_at", "deleted_at", "version"),
    ]


async def test_times_are_aware_and_null_is_null(engine):
    moment = datetime(2026, 3, 29, 2, 30, tzinfo=UTC)
    async with engine.transaction() as session:
        session.add(Article(id=7, title="c", seen_at=moment, words=None))
    found = await get(engine, Article, 7)
    assert found.seen_at == moment
    assert found.seen_at.utcoffset() == timedelta(0)
    async with engine.session() as session:
        query = select(Article.id).where(Article.words.is_(None), Article.id == 7)
        assert await session.scalar(query) == 7


async def by_object(session):
    (await session.get_one(Article, 1)).title = "new"


async def by_many_objects(session):
    for article in await session.scalars(select(Article)):
        article.title = "new"


async def by_json(session):
    (await session.get_one(Article, 1)).rows = [{}]


async def by_orm_update(session):
    await session.execute(update(Article).values(title="new"))


async def by_keys(session):
    await session.execute(
        update(Article), [{"id": 1, "title": "x"}, {"id": 2, "title": "y"}]
    )


async def by_bulk(session):
    await session.run_sync(
        lambda s: s.bulk_update_mappings(Article, [{"id": 1, "title": "x"}])
    )


async def by_core_update(session):
    connection = await session.connection()
    await connection.execute(update(Article.__table__).values(title="new"))


async def by_executemany(session):
    table = Article.__table__
    connection = await session.connection()
    statement = update(table).where(table.c.id == bindparam("key"))
    await connection.execute(statement.values(title=bindparam("to")), ROWS)


ROWS = [{"key": key, "to": "new"} for key in (1, 2)]
ROADS = [by_object, by_many_objects, by_json, by_orm_update, by_keys, by_bulk,
         by_core_update, by_executemany]  # fmt: skip


@pytest.mark.parametrize("road", ROADS)
async def test_every_update_moves_its_time(engine, road):
    before = await get(engine, Article)
    async with engine.transaction() as session:
        await road(session)
    after = await get(engine, Article)
    assert before.updated_at < after.updated_at <= utc_now()
    assert after.updated_at.utcoffset() == timedelta(0)
    assert after.created_at == before.created_at


async def test_a_time_that_is_given_is_kept(engine):
    moment = datetime(2020, 1, 1, tzinfo=UTC)
    async with engine.transaction() as session:
        await session.execute(update(Article).values(updated_at=moment))
    assert (await get(engine, Article)).updated_at == moment


async def test_the_object_knows_its_new_time_and_version_without_reading_again(engine):
    async with engine.transaction() as session:
        page = await session.get_one(Page, 1)
        before = page.updated_at
        page.title = "new"
        await session.flush()
        assert not inspect(page).expired_attributes
        assert page.updated_at > before
        assert page.version == 2


async def test_a_soft_deleted_row_is_told_in_python_and_in_sql(engine):
    async with engine.transaction() as session:
        page = await session.get_one(Page, 1)
        assert page.deleted_at is None
        assert not page.is_deleted
        page.deleted_at = utc_now()
        assert page.is_deleted
    async with engine.session() as session:
        gone = await session.scalars(select(Page.id).where(Page.is_deleted))
        there = await session.scalars(select(Page.id).where(~Page.is_deleted))
        assert (gone.all(), there.all()) == ([1], [2])
    assert (await get(engine)).deleted_at.utcoffset() == timedelta(0)


async def test_each_flush_counts_one_version(engine):
    async with engine.transaction() as session:
        page = await session.get_one(Page, 1)
        assert page.version == 1
        page.title, page.kind = "x", "page"
        await session.flush()
        page.data["n"]["deep"] = 1
        await session.flush()
        await session.flush()
    assert (await get(engine)).version == 3


@pytest.mark.parametrize("how", ["update", "delete"])
async def test_an_old_version_writes_nothing(engine, how):
    page = await get(engine)
    async with engine.transaction() as session:
        (await session.get_one(Page, 1)).title = "theirs"
    with pytest.raises(StaleRecordError):
        async with engine.transaction() as session:
            session.add(page)
            if how == "update":
                page.title = "mine"
            else:
                await session.delete(page)
    assert (await get(engine)).title == "theirs"


async def test_a_plain_session_checks_versions_too(engine):
    page = await get(engine)
    await engine.run_in_transaction(lambda s: s.execute(update(Page).values(version=9)))
    async with AsyncSession(engine.engine) as session:
        session.add(page)
        page.title = "mine"
        with pytest.raises(StaleDataError):
            await session.commit()


async def test_versions_belong_to_the_whole_of_an_inherited_object(engine):
    async with engine.transaction() as session:
        session.add(Chapter(id=5, title="c", number=1))
    async with engine.transaction() as session:
        (await session.get_one(Page, 5)).number = 2
    chapter = await get(engine, Chapter, 5)
    assert (chapter.number, chapter.version) == (2, 2)


async def test_a_version_column_of_another_name_is_used(engine):
    assert inspect(Own).version_id_col.name == "revision"
    async with engine.transaction() as session:
        session.add(renamed := Renamed(title="a"))
        await session.flush()
        renamed.title = "b"
    assert (await get(engine, Renamed)).version == 2


async def test_an_object_shows_its_key_and_name():
    assert "Article(id=1, title='a')" == repr(Article(id=1, title="a"))
    assert "Chapter(title='a')" == repr(Chapter(title="a", number=2))
    assert "Article()" == repr(Article())
