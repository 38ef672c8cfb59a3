"""
Rows that are hidden: softly deleted ones, and those of other tenants.
"""

from __future__ import annotations

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from project_architect_db import DatabaseEngine
from project_architect_db.base import Base as LibraryBase
from project_architect_db.base import SoftDeleteMixin, TimestampMixin, VersionMixin
from project_architect_db.errors import (
    DuplicateError,
    NotFoundError,
    StaleRecordError,
)
from project_architect_db.orm.query import QueryBuilder
from project_architect_db.orm.repository import BaseRepository
from project_architect_db.tracked_json import track_json

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Base(DeclarativeBase):
    type_annotation_map = LibraryBase.type_annotation_map


track_json(Base)


class Letter(SoftDeleteMixin, TimestampMixin, VersionMixin, Base):
    __tablename__ = "letters"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(unique=True)


class Bill(Base):
    __tablename__ = "bills"

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    number: Mapped[int] = mapped_column(unique=True)


class LettersRepository(BaseRepository[Letter]):
    pass


class BillsRepository(BaseRepository[Bill]):
    """
    The bills of one tenant.
    """

    def __init__(self, session, tenant="ours"):
        super().__init__(session)
        self.tenant = tenant

    def base_query(self):
        return super().base_query().filter(tenant=self.tenant)


class OwnQueryRepository(BaseRepository[Bill]):
    """
    One that makes its query all by itself.
    """

    def base_query(self):
        return QueryBuilder(Bill, self.session).filter(Bill.tenant == "ours")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine():
    async with DatabaseEngine(":memory:", metadata=Base.metadata) as engine:
        await engine.create_all()
        yield engine


@pytest_asyncio.fixture(loop_scope="module")
async def session(engine):
    async with engine.session() as session:
        yield session
        await session.rollback()


@pytest_asyncio.fixture(loop_scope="module")
async def letters(session):
    """
    Three letters; the one with the id 2 is deleted.
    """
    repository = LettersRepository(session)
    await repository.bulk_create([{"id": n, "text": f"t{n}"} for n in (1, 2, 3)])
    assert await repository.delete(2)
    return repository


@pytest_asyncio.fixture(
    loop_scope="module", params=[BillsRepository, OwnQueryRepository]
)
async def bills(session, request):
    """
    Bill 91 is ours, bill 92 theirs.
    """
    all_bills = BaseRepository[Bill](session)
    await all_bills.bulk_create(
        [
            {"id": 91, "tenant": "ours", "number": 10},
            {"id": 92, "tenant": "theirs", "number": 20},
        ]
    )
    return request.param(session)


def ids(records):
    return sorted(record.id for record in records)


async def raw(session, model):
    """
    What is in the table, whatever repositories show.
    """
    table = model.__table__
    return {row.id: row for row in await session.execute(sa.select(table))}


# --- softly deleted -----------------------------------------------------------------


async def test_no_read_finds_a_deleted_row(letters):
    assert await letters.get_by_id(2) is None
    with pytest.raises(NotFoundError):
        await letters.get_one(2)
    assert await letters.get_one_or_none(text="t2") is None
    assert [1, 3] == ids(await letters.get_many([1, 2, 3]))
    assert [1, 3] == ids(await letters.list())
    assert 2 == await letters.count()
    assert not await letters.exists(text="t2")
    assert [1, 3] == ids((await letters.paginate()).items)
    assert [1, 3] == ids([letter async for letter in letters.stream()])


async def test_every_read_of_many_can_include_deleted_rows(letters):
    assert [1, 2, 3] == ids(await letters.list(include_deleted=True))
    assert 3 == await letters.count(include_deleted=True)
    assert await letters.exists(include_deleted=True, text="t2")
    assert [1, 2, 3] == ids((await letters.paginate(include_deleted=True)).items)
    found = [letter async for letter in letters.stream(include_deleted=True)]
    assert [1, 2, 3] == ids(found)


async def test_no_write_changes_a_deleted_row(letters):
    before = (await raw(letters.session, Letter))[2]
    with pytest.raises(NotFoundError):
        await letters.update(2, {"text": "x"})
    with pytest.raises(NotFoundError) as missing:
        await letters.bulk_update([{"id": 1, "text": "x"}, {"id": 2, "text": "y"}])
    assert 2 == missing.value.id
    assert not await letters.delete(2)
    assert 0 == await letters.bulk_delete([2])
    assert 0 == await letters.delete_where(text="t2")
    with pytest.raises(DuplicateError, match=r"Letter \(id: 2\) exists already"):
        await letters.bulk_upsert([{"id": 1, "text": "x"}, {"id": 2, "text": "y"}])

    after = await raw(letters.session, Letter)
    assert (before, "t1") == (after[2], after[1].text)


async def test_rows_that_are_new_meet_no_deleted_one(letters):
    await letters.session.execute(
        sa.text("SELECT nextval('letters_id_seq') FROM range(9)")
    )
    assert 1 == await letters.bulk_upsert([{"text": "new"}])
    assert 3 == await letters.count()


@pytest.mark.parametrize("is_held", [True, False])
async def test_an_upsert_does_not_bring_a_deleted_row_back(letters, is_held):
    """
    Whether the session still has an object for it or not.
    """
    held = await letters.list(include_deleted=True)
    if not is_held:
        letters.session.expunge_all()
    with pytest.raises(DuplicateError) as caught:
        await letters.upsert({"id": 2, "text": "x"})
    assert caught.value.key in ("id: 2", "2")  # ours, and DuckDB's
    assert 3 == len(held)


async def test_deleting_counts_as_a_change(letters):
    letter = await letters.get_one(1)
    before = letter.updated_at

    assert await letters.delete(1)

    assert letter.is_deleted
    assert (2, True) == (letter.version, letter.updated_at > before)


async def test_a_deleted_row_can_be_restored(letters):
    restored = await letters.restore(2)

    assert not restored.is_deleted
    assert restored is await letters.get_by_id(2)
    assert restored is await letters.restore(2)  # again
    with pytest.raises(NotFoundError):
        await letters.restore(9)


async def test_a_deleted_row_can_be_purged(letters):
    assert await letters.purge(2)
    assert await letters.purge(1)
    assert not await letters.purge(2)
    assert {3} == set(await raw(letters.session, Letter))
    with pytest.raises(NotFoundError):
        await letters.restore(2)


async def test_many_are_deleted_softly(letters):
    letter, told = await letters.get_one(1), []

    deleted = await letters.bulk_delete(
        [1, 2, 3, 4, 1], progress=lambda *args: told.append(args)
    )

    assert (2, [(2, 2)]) == (deleted, told)
    assert (True, 2) == (letter.is_deleted, letter.version)
    assert 0 == await letters.count()
    assert 3 == await letters.count(include_deleted=True)
    assert 0 == await letters.bulk_delete([])


async def test_those_that_meet_filters_are_deleted_softly(letters):
    assert 1 == await letters.delete_where(text="t3")
    assert 1 == await letters.delete_all()
    assert 0 == await letters.delete_all()
    assert 3 == len(await raw(letters.session, Letter))


async def test_a_stale_version_is_not_deleted(letters):
    letter = await letters.get_one(1)
    await letters.session.execute(
        sa.update(Letter).where(Letter.id == 1).values(version=9),
        execution_options={"synchronize_session": False},
    )
    with pytest.raises(StaleRecordError):
        await letters.delete(letter.id)


# --- base_query ---------------------------------------------------------------------


async def test_no_read_finds_what_base_query_leaves_out(bills):
    assert await bills.get_by_id(92) is None
    assert await bills.get_one_or_none(number=20) is None
    assert [91] == ids(await bills.get_many([91, 92]))
    assert [91] == ids(await bills.list())
    assert [91] == ids(await bills.list(include_deleted=True))
    assert 1 == await bills.count()
    assert not await bills.exists(number=20)
    assert [91] == ids((await bills.paginate()).items)
    assert [91] == ids([bill async for bill in bills.stream()])


async def test_no_write_changes_what_base_query_leaves_out(bills):
    before = await raw(bills.session, Bill)
    with pytest.raises(NotFoundError):
        await bills.update(92, {"number": 1})
    with pytest.raises(NotFoundError):
        await bills.bulk_update([{"id": 91, "number": 1}, {"id": 92, "number": 2}])
    with pytest.raises(DuplicateError, match="number: 20"):
        await bills.bulk_upsert([{"tenant": "ours", "number": 20}], match=["number"])
    with pytest.raises(DuplicateError, match="id: 92"):
        await bills.bulk_upsert([{"id": 92, "tenant": "ours", "number": 30}])
    assert not await bills.delete(92)
    assert not await bills.purge(92)
    assert 0 == await bills.delete_where(number=20)
    assert 0 == await bills.bulk_delete([92])

    assert before == await raw(bills.session, Bill)


async def test_what_base_query_shows_can_be_changed(bills):
    assert 11 == (await bills.update(91, {"number": 11})).number
    assert 1 == await bills.bulk_update([{"id": 91, "number": 12}])
    assert 2 == await bills.bulk_upsert(
        [{"id": 91, "tenant": "ours", "number": 13}, {"tenant": "ours", "number": 40}]
    )
    assert 13 == (await bills.get_one(91)).number
    assert 1 == await bills.bulk_upsert(
        [{"tenant": "ours", "number": 13}], match=["number"]
    )
    other = await bills.get_one_or_none(number=40)
    assert 2 == await bills.bulk_delete([91, 92, other.id])
    assert {92} == set(await raw(bills.session, Bill))


async def test_an_upsert_does_not_take_what_base_query_leaves_out(bills):
    with pytest.raises(DuplicateError):
        await bills.upsert({"id": 92, "tenant": "ours", "number": 30})
