"""
Queries over several tables: joins, related objects, and softly deleted ones.
"""

from __future__ import annotations

import datetime as dt

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    aliased,
    joinedload,
    mapped_column,
    relationship,
)

from project_architect_db import (
    BaseRepository,
    DatabaseEngine,
    InvalidDataError,
    SoftDeleteMixin,
)
from project_architect_db.orm.query import QueryBuilder
from project_architect_db.orm.query_fields import hiding

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Base(DeclarativeBase):
    pass


class Shelf(Base):
    __tablename__ = "shelves"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    books: Mapped[list[Book]] = relationship(lazy="joined", back_populates="shelf")


class Book(Base):
    __tablename__ = "books"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    shelf_id: Mapped[int] = mapped_column(sa.ForeignKey("shelves.id"))
    shelf: Mapped[Shelf] = relationship(lazy="joined", back_populates="books")
    marks: Mapped[list[Mark]] = relationship(
        lazy="selectin", back_populates="book", cascade="all, delete-orphan"
    )


class Mark(SoftDeleteMixin, Base):
    __tablename__ = "marks"

    id: Mapped[int] = mapped_column(primary_key=True)
    page: Mapped[int]
    kind: Mapped[str] = mapped_column(default="mark")
    book_id: Mapped[int] = mapped_column(sa.ForeignKey("books.id", ondelete="CASCADE"))
    book: Mapped[Book] = relationship(back_populates="marks")
    parts: Mapped[list[Part]] = relationship(lazy="subquery")

    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "mark"}


class Star(Mark):
    __tablename__ = "stars"

    id: Mapped[int] = mapped_column(sa.ForeignKey("marks.id"), primary_key=True)
    size: Mapped[int]

    __mapper_args__ = {"polymorphic_identity": "star"}


class Part(Base):
    __tablename__ = "parts"

    id: Mapped[int] = mapped_column(primary_key=True)
    mark_id: Mapped[int] = mapped_column(sa.ForeignKey("marks.id"))
    book_id: Mapped[int | None] = mapped_column(sa.ForeignKey("books.id"))
    star_id: Mapped[int | None] = mapped_column(sa.ForeignKey("stars.id"))
    book: Mapped[Book | None] = relationship(lazy="joined")
    star: Mapped[Star | None] = relationship(foreign_keys=star_id)


NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database():
    async with DatabaseEngine(":memory:", metadata=Base.metadata) as engine:
        await engine.create_all()
        async with engine.transaction() as session:
            for number in (1, 2, 3):
                session.add(Shelf(id=number, name=f"s{number}"))
            await session.flush()
            titles = ["d", "a", "b", "c"]
            for number, title in enumerate(titles, 1):
                session.add(Book(id=number, title=title, shelf_id=1 + number // 3))
            await session.flush()
            session.add_all([
                Mark(id=1, page=1, book_id=1), Star(id=2, page=2, book_id=1, size=3),
                Mark(id=3, page=3, book_id=1, deleted_at=NOW),
                Star(id=4, page=4, book_id=1, size=9, deleted_at=NOW),
            ])  # fmt: skip
            await session.flush()
            session.add(Part(id=1, mark_id=1, book_id=1, star_id=4))
        yield engine


@pytest_asyncio.fixture(loop_scope="module")
async def session(database):
    async with database.session() as session:
        yield session


@pytest_asyncio.fixture(loop_scope="module")
async def shelves(session):
    return QueryBuilder(Shelf, session)


@pytest_asyncio.fixture(loop_scope="module")
async def books(session):
    return QueryBuilder(Book, session)


async def pages(query, size):
    found, cursor = [], None
    while True:
        page = await query.paginate(size, cursor=cursor)
        found.append([item.id for item in page.items])
        if (cursor := page.next_cursor) is None:
            return found


# Each object once, however many rows a join has for it


async def test_a_join_to_many_rows_finds_each_object_once(shelves):
    joined = shelves.join("books")  # two shelves, with two books each

    assert [[1], [2]] == await pages(joined, 1)
    assert [[2, 1]] == await pages(joined.order_by("-name"), 2)
    assert (2, True) == (await joined.count(), await joined.exists())
    assert [1, 2] == [s.id async for s in joined.order_by("name").stream()]
    assert 2 == (await joined.to_arrow()).num_rows
    assert 3 == await shelves.join("books", outer=True).count()
    assert 1 == (await joined.filter(name="s1").one()).id
    assert ["d", "a"] == [b.title for b in (await joined.order_by("id").first()).books]


async def test_an_object_stands_where_its_first_row_is(shelves):
    by_title = shelves.join("books").order_by("books__title")

    assert ["s1", "s2"] == [s.name for s in await by_title.all()]
    down = shelves.join("books").order_by("-books__title")
    assert ["s1", "s2"] == [s.name for s in await down.all()]
    assert ["s2"] == [s.name for s in await by_title.offset(1).limit(5).all()]
    assert (1, 1) == (await by_title.limit(1).count(), await by_title.offset(1).count())
    assert "s1" == await down.scalar("name")


async def test_distinct_and_joins_go_together(shelves, books):
    joined = shelves.join("books")

    assert [1, 2] == [s.id for s in await joined.distinct().order_by("id").all()]
    by_title = joined.distinct().order_by("books__title")
    assert ["s1", "s2"] == [s.name for s in await by_title.all()]
    assert 2 == await joined.distinct("name").count()
    named = books.join("shelf").distinct("shelf__name").order_by("title")
    assert ["a", "b"] == [b.title for b in await named.all()]
    with pytest.raises(InvalidDataError, match="many rows for each object; use group"):
        joined.distinct("books__title")
    with pytest.raises(InvalidDataError, match="many rows for each object"):
        joined.join("books__shelf").distinct("books__shelf__name")


async def test_aggregates_are_of_all_rows_of_a_join(shelves):
    rows = shelves.join("books").group_by("name").aggregate(n=sa.func.count(Book.id))

    assert [("s1", 2), ("s2", 2)] == await rows.order_by("name").all()


# Tables that were not joined


async def test_a_table_that_is_not_joined_is_refused(books):
    late = books.filter(Shelf.name == "s1")  # a join may still come
    queries = [
        late, books.order_by(Shelf.name), books.distinct(Shelf.name),
        books.aggregate(n=sa.func.count(Shelf.id)), books.group_by(Shelf.name),
        books.group_by("title").having(sa.func.max(Shelf.id) > 1),
        books.group_by("title").order_by(sa.func.max(Shelf.id)),
        books.join("shelf").filter(aliased(Shelf).id > 0),
        books.filter(Shelf.id == Book.shelf_id),
    ]  # fmt: skip

    for query in queries:
        with pytest.raises(InvalidDataError, match=r"not part of the query; join\(\)"):
            query.to_sql()
    with pytest.raises(InvalidDataError, match="shelves is not part"):
        await books.scalar(Shelf.name)
    assert 2 == await late.join("shelf").count()


async def test_subqueries_need_no_join(books):
    on_shelf = sa.select(Shelf.id).where(Shelf.name == "s1")
    exists = sa.exists().where(Shelf.id == Book.shelf_id, Shelf.name == "s1")

    for condition in (Book.shelf_id.in_(on_shelf), exists):
        assert 2 == await books.filter(condition).count()


# Collections that load by a join


async def test_collections_that_load_by_a_join_are_streamed(session, shelves):
    found = [shelf async for shelf in shelves.order_by("id").stream()]

    assert [2, 2, 0] == [len(shelf.books) for shelf in found]
    books = QueryBuilder(Book, session).order_by("id")
    assert [1, 1, 2, 2] == [book.shelf.id async for book in books.stream()]
    marks = QueryBuilder(Mark, session).order_by("id")
    assert [1, 0] == [len(mark.parts) async for mark in marks.stream()]


async def test_a_joined_collection_asked_for_is_not_streamed(books):
    with pytest.raises(InvalidDataError, match=r"load\(\) or selectinload"):
        async for _ in books.options(joinedload(Book.marks)).stream():
            raise AssertionError


async def test_other_errors_of_a_stream_stay_as_they_are(database):
    session = AsyncSession(database.engine, close_resets_only=False)
    await session.close()
    with pytest.raises(sa.exc.InvalidRequestError, match="permanently closed"):
        async for _ in QueryBuilder(Shelf, session).stream():
            raise AssertionError


# Softly deleted rows


@pytest.mark.parametrize("loaded", [False, True])
async def test_relationships_hide_softly_deleted_rows(session, loaded):
    books = QueryBuilder(Book, session).filter(id=1)
    if loaded:
        book = await session.get(Book, 1)
        assert [1, 2, 3, 4] == sorted(mark.id for mark in book.marks)
        books = books.load("marks")

    (book,) = await books.all()

    assert [1, 2] == sorted(mark.id for mark in book.marks)
    found = await books.include_deleted().load("marks").one()
    assert [1, 2, 3, 4] == sorted(mark.id for mark in found.marks)


async def test_a_repository_hides_them_too(database):
    async def marks(**options):
        async with database.session() as session:
            book = await BaseRepository[Book](session).get_by_id(1, **options)
            return sorted(mark.id for mark in book.marks)

    assert [1, 2] == await marks()
    assert [1, 2, 3, 4] == await marks(include_deleted=True)


async def test_they_are_hidden_however_far_away(database):
    async with database.session() as session:
        part = await QueryBuilder(Part, session).one()
        assert [1, 2] == sorted(mark.id for mark in part.book.marks)
    async with database.session() as session:
        part = await QueryBuilder(Part, session).load("star").one()
        assert None is part.star
        part = await QueryBuilder(Part, session).include_deleted().load("star").one()
        assert 4 == part.star.id
    async with database.session() as session:
        shelf = await QueryBuilder(Shelf, session).order_by("id").first()
        (first, _) = sorted(shelf.books, key=lambda book: book.id)
        assert [1, 2] == sorted(mark.id for mark in first.marks)


async def test_load_leaves_alone_what_it_is_not_asked_for(session, books):
    first = await books.filter(id=1).load("marks").one()
    second = await books.filter(id=2).load("marks").one()
    first.marks.append(Mark(id=50, page=5))

    await books.filter(id=1).load("shelf").one()
    assert [1, 2, 50] == sorted(mark.id for mark in first.marks)

    with session.no_autoflush:
        first.marks.append(Mark(id=51, page=5))
        await books.load("marks").all()
    assert [1, 2, 50, 51] == sorted(mark.id for mark in first.marks)

    first.title = "changed"
    await books.filter(title="changed").load("marks").one()
    assert ([1, 2, 50, 51], "changed", []) == (
        sorted(mark.id for mark in first.marks), first.title, second.marks,
    )  # fmt: skip
    await session.rollback()


async def test_what_is_hidden_is_deleted_with_its_parent(database):
    async with database.transaction() as session:
        session.add(Book(id=9, title="x", shelf_id=3))
        await session.flush()
        session.add_all(
            Mark(id=90 + n, page=n, book_id=9, deleted_at=NOW if n else None)
            for n in range(2)
        )
    async with database.transaction() as session:
        await session.delete(await QueryBuilder(Book, session).filter(id=9).one())
    async with database.session() as session:
        marks = QueryBuilder(Mark, session).include_deleted().filter(id__gte=90)
        assert 0 == await marks.count()


async def test_models_that_lead_to_no_such_rows_pay_nothing():
    class Alone(DeclarativeBase):
        pass

    class Item(Alone):
        __tablename__ = "items"

        id: Mapped[int] = mapped_column(primary_key=True)

    assert () == hiding(Item)

    class Note(SoftDeleteMixin, Alone):
        __tablename__ = "notes"

        id: Mapped[int] = mapped_column(primary_key=True)
        item_id: Mapped[int] = mapped_column(sa.ForeignKey("items.id"))
        item: Mapped[Item] = relationship(backref="notes")

    sa.orm.configure_mappers()
    assert 1 == len(hiding(Item))
    assert 1 == len(hiding(Note))  # its items lead to notes
    assert 1 == len(hiding(Part))  # a star is a mark
