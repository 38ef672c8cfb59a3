"""
Sessions and transactions keep SQLAlchemy's promises, and ours on top.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from contextvars import ContextVar
from itertools import pairwise

import pytest
import pytest_asyncio
from database_support import made_anew
from sqlalchemy import ForeignKey, event, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    aliased,
    joinedload,
    mapped_column,
    relationship,
    subqueryload,
)
from sqlalchemy.util.concurrency import await_

from project_architect_db import (
    ArchitectSession,
    ClosedError,
    ConstraintError,
    DatabaseEngine,
    DuplicateError,
    InvalidStatementError,
    NestedTransactionError,
    RetryableError,
    SessionInUseError,
    SessionManager,
    StaleSnapshotError,
    StatementError,
    TransactionAbortedError,
    UnsupportedOperationError,
    WriteTimeoutError,
)
from project_architect_db.engine.off_loop import HEAVY, run_off_loop
from project_architect_db.engine.session import OBJECTS_AT_A_TIME
from project_architect_db.garbage_collector import collector

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Model(DeclarativeBase):
    pass


class Note(Model):
    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(default="x")
    slug: Mapped[str | None] = mapped_column(unique=True)
    tags: Mapped[list[Tag]] = relationship(back_populates="note", lazy="selectin")


class Tag(Model):
    __tablename__ = "tags"

    id: Mapped[int] = mapped_column(primary_key=True)
    note_id: Mapped[int] = mapped_column(ForeignKey("notes.id"))
    note: Mapped[Note] = relationship(back_populates="tags", lazy="raise")


COUNT = select(func.count()).select_from(Note)
ONE = text("SELECT 1")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database():
    async with DatabaseEngine(
        ":memory:", metadata=Model.metadata, write_timeout=2, pool_timeout=2
    ) as engine:
        await engine.create_all()
        yield engine


@pytest_asyncio.fixture(loop_scope="module")
async def engine(database):
    """
    The database of all tests here, with nothing in it.
    """
    return await made_anew(database)


async def count(engine):
    async with engine.session() as session:
        return await session.scalar(COUNT)


async def assert_writable(engine):
    """
    The gate is open: nothing has leaked it.
    """
    async with asyncio.timeout(1), engine.transaction() as session:
        session.add(Note())


# --- transactions ---------------------------------------------------------------


async def test_a_transaction_commits_on_exit(engine):
    async with engine.transaction() as session:
        note = Note(text="a")
        session.add(note)
    assert note.id == 1
    assert note.text == "a"  # still loaded: nothing expires on commit
    assert await count(engine) == 1


async def test_a_transaction_rolls_back_when_an_error_leaves_the_block(engine):
    with pytest.raises(ZeroDivisionError):
        async with engine.transaction() as session:
            session.add(Note())
            await session.flush()
            raise ZeroDivisionError
    assert await count(engine) == 0
    await assert_writable(engine)


async def test_a_transaction_without_statements_takes_nothing(engine):
    async with engine.transaction(), asyncio.timeout(1):
        await asyncio.create_task(assert_writable(engine))


async def test_a_transaction_reads_its_own_writes_and_others_do_not(engine):
    async with engine.transaction() as session:
        await session.execute(insert(Note).values(text="a"))
        assert await session.scalar(COUNT) == 1
        assert await count(engine) == 0
    assert await count(engine) == 1


async def test_a_transaction_inside_a_transaction_is_refused_with_its_place(engine):
    async with engine.transaction() as session:
        await session.execute(ONE)
        with pytest.raises(NestedTransactionError, match=r"test_sessions\.py"):
            async with engine.transaction():
                pytest.fail("it began")
        with pytest.raises(NestedTransactionError) as caught:
            async with session.begin():
                pytest.fail("it began")
        assert "test_sessions.py" in caught.value.opened_at
        session.add(Note())
    assert await count(engine) == 1


async def test_a_transaction_inside_one_that_did_nothing_yet_is_refused(engine):
    """
    Whatever they do first, one of the two would wait for the other.
    """
    async with engine.transaction() as session:
        with pytest.raises(NestedTransactionError, match=r"test_sessions\.py"):
            async with engine.transaction():
                pytest.fail("it began")
        session.add(Note())
    async with engine.transaction() as session:
        session.add(Note())
    assert await count(engine) == 2


async def test_commit_inside_a_transaction_is_refused(engine):
    async with engine.transaction() as session:
        session.add(Note())
        with pytest.raises(UnsupportedOperationError, match="when its block ends"):
            await session.commit()
    assert await count(engine) == 1


async def test_close_inside_a_transaction_is_refused_so_that_nothing_is_lost(engine):
    async with engine.transaction() as session:
        session.add(Note())
        with pytest.raises(UnsupportedOperationError, match=r"leave close\(\) out"):
            async with session:
                await session.flush()
    assert await count(engine) == 1


async def test_a_transaction_may_be_given_up_by_rollback(engine):
    async with engine.transaction() as session:
        session.add(Note())
        await session.flush()
        await session.rollback()
        with pytest.raises(ClosedError, match="rolled back"):
            await session.execute(ONE)
    assert await count(engine) == 0
    await assert_writable(engine)


async def test_a_rollback_before_the_first_statement_leaks_no_gate(engine):
    async with engine.transaction() as session:
        await session.rollback()
        with pytest.raises(ClosedError):
            await session.execute(ONE)
    await assert_writable(engine)


async def test_a_session_used_after_its_transaction_is_refused(engine):
    async with engine.transaction() as unused:
        pass
    async with engine.transaction() as used:
        await used.execute(ONE)
    for session in (unused, used):
        for use in (
            lambda s: s.execute(ONE),
            lambda s: s.scalars(COUNT),
            lambda s: s.get(Note, 1),
            lambda s: s.commit(),
            lambda s: s.connection(),
        ):
            with pytest.raises(ClosedError):
                await use(session)
        await assert_writable(engine)


async def test_a_swallowed_error_makes_the_commit_fail(engine):
    with pytest.raises(TransactionAbortedError) as caught:
        async with engine.transaction() as session:
            session.add(Note(text="lost"))
            await session.flush()
            with pytest.raises(InvalidStatementError):
                await session.execute(text("SELECT nothing"))
    assert "nothing" in str(caught.value)
    assert caught.value.__cause__ is not None
    assert await count(engine) == 0
    await assert_writable(engine)


async def test_a_swallowed_flush_error_makes_the_commit_fail(engine):
    async with engine.transaction() as session:
        session.add(Note(slug="a"))
    with pytest.raises(TransactionAbortedError):
        async with engine.transaction() as session:
            session.add(Note(slug="a"))
            with pytest.raises(DuplicateError):
                await session.flush()
    with pytest.raises(TransactionAbortedError):
        async with engine.transaction() as session:
            session.add(Note(slug="a"))
            with pytest.raises(DuplicateError):
                await session.flush()
            with pytest.raises(TransactionAbortedError, match="slug: a") as caught:
                await session.execute(ONE)
            assert isinstance(caught.value.original, DuplicateError)
    assert await count(engine) == 1


async def test_an_error_of_the_final_flush_rolls_back(engine):
    with pytest.raises(DuplicateError, match='duplicate key "a"') as caught:
        async with engine.transaction() as session:
            session.add_all([Note(slug="a"), Note(slug="a")])
    assert caught.value.__cause__ is not None
    assert await count(engine) == 0
    await assert_writable(engine)


async def test_a_transaction_that_gets_no_connection_gives_the_gate_back(tmp_path):
    async with DatabaseEngine(tmp_path / "x.duckdb", metadata=Model.metadata) as engine:
        await engine.create_all()
        await engine._writer.dispose()

        @event.listens_for(engine._writer.sync_engine, "do_connect")
        def fail(*_):
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            async with engine.transaction() as session:
                await session.execute(ONE)
        with pytest.raises(ZeroDivisionError):
            async with engine.transaction() as session:
                session.add(Note())
        event.remove(engine._writer.sync_engine, "do_connect", fail)
        await assert_writable(engine)


async def test_waiting_for_another_writer_times_out_and_names_it(engine):
    engine.sessions.write_timeout = 0.05

    async def other():
        async with engine.transaction() as session:
            await session.execute(ONE)

    async with engine.transaction() as session:
        await session.execute(ONE)
        with pytest.raises(WriteTimeoutError, match=r"test_sessions\.py") as caught:
            await asyncio.create_task(other())
    assert caught.value.waited >= 0.05
    assert "in test_waiting_for_another_writer" in caught.value.opened_at
    await assert_writable(engine)


async def test_a_cancelled_transaction_writes_nothing(engine):
    reached = asyncio.Event()

    async def work():
        async with engine.transaction() as session:
            session.add(Note())
            await session.flush()
            reached.set()
            await asyncio.sleep(10)

    task = asyncio.create_task(work())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await count(engine) == 0
    await assert_writable(engine)


@pytest.mark.parametrize("how", ["transaction", "commit", "begin"])
async def test_a_cancellation_during_commit_is_raised_after_it(engine, how):
    hooks = []

    def prepare(session):
        sync = session.sync_session
        # The next thing that is awaited is COMMIT itself.
        event.listen(sync, "before_commit", lambda _: asyncio.current_task().cancel())
        event.listen(sync, "after_commit", lambda _: hooks.append("ran"))

    async def work():
        if how == "transaction":
            async with engine.transaction() as session:
                await session.execute(insert(Note))
                prepare(session)
        elif how == "commit":
            async with engine.session() as session:
                await session.execute(insert(Note))
                prepare(session)
                await session.commit()
        else:
            async with engine.session() as session, session.begin():
                await session.execute(insert(Note))
                prepare(session)

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(work())
    assert hooks == ["ran"]
    assert await count(engine) == 1
    await assert_writable(engine)


# --- sessions -------------------------------------------------------------------


async def test_a_session_commits_what_it_is_told_to(engine):
    async with engine.session() as session:
        session.add(Note(text="a"))
        await session.commit()
        session.add(Note(text="b"))
        await session.flush()
        await session.rollback()
        assert await session.scalar(COUNT) == 1
        session.add(Note(text="c"))
    assert await count(engine) == 1


async def test_begin_in_a_session_is_a_transaction(engine):
    async with engine.session() as session:
        async with session.begin():
            session.add(Note(slug="a"))
        with pytest.raises(DuplicateError):
            async with session.begin():
                session.add(Note(slug="a"))
        with pytest.raises(TransactionAbortedError):
            async with session.begin():
                session.add(Note())
                with pytest.raises(InvalidStatementError):
                    await session.execute(text("INSERT INTO nothing VALUES (1)"))
                await session.execute(insert(Note))
        with pytest.raises(TransactionAbortedError):
            async with session.begin():
                session.add(Note(slug="a"))
                with pytest.raises(DuplicateError):
                    await session.flush()
        with pytest.raises(DuplicateError):
            async with session.begin():
                session.add_all(many(slug="a"))
        transaction = await session.begin()
        session.add(Note(slug="b"))
        await transaction.commit()
        transaction = await session.begin()
        session.add(Note(slug="c"))
        await transaction.rollback()
        assert await session.scalar(COUNT) == 2
        with pytest.raises(NestedTransactionError, match=r"test_sessions\.py"):
            await session.begin()


async def test_a_session_that_read_before_another_commit_may_not_write(engine):
    async with engine.session() as session:
        await session.scalar(COUNT)
        await assert_writable(engine)
        with pytest.raises(StaleSnapshotError, match="run_in_transaction"):
            await session.execute(insert(Note))
    assert await count(engine) == 1


async def test_a_session_belongs_to_one_task_at_a_time(engine):
    async with engine.session() as session:
        for other in (
            lambda: session.execute(ONE),
            lambda: session.scalar(COUNT),
            session.commit,
        ):
            results = await asyncio.gather(
                session.execute(ONE), other(), return_exceptions=True
            )
            errors = [r for r in results if isinstance(r, Exception)]
            assert errors
            assert {type(error) for error in errors} == {SessionInUseError}
            await session.rollback()


async def test_a_session_that_waits_for_a_connection_cannot_be_closed_by_another():
    async with (
        DatabaseEngine(":memory:", pool_size=1, max_overflow=0) as engine,
        engine.session() as other,
    ):
        async with engine.session() as session:
            await session.execute(ONE)
            task = asyncio.create_task(other.scalar(ONE))
            await asyncio.sleep(0.01)
            with pytest.raises(SessionInUseError, match="a session of its own"):
                await other.close()
        assert await task == 1


async def test_a_closed_session_is_refused(engine):
    session = engine.session()
    await session.execute(ONE)
    await session.close()
    for use in (
        lambda: session.execute(ONE),
        lambda: session.stream(ONE),
        lambda: session.get(Note, 1),
        lambda: session.run_sync(lambda s: s.execute(ONE)),
    ):
        with pytest.raises(ClosedError, match="open another one"):
            await use()
    for add in (lambda: session.add(Note()), lambda: session.add_all([Note()])):
        with pytest.raises(ClosedError, match="open another one"):
            add()
    await session.close()


async def test_tasks_that_write_through_one_session_are_told(engine):
    async def write(session):
        await session.commit()

    async def flush(session):
        await session.flush()

    for work in (write, flush):
        async with engine.session() as session:
            session.add(Note())
            results = await asyncio.gather(
                *(work(session) for _ in range(4)), return_exceptions=True
            )
            errors = {type(r) for r in results if r is not None}
            assert errors
            assert errors <= {SessionInUseError, ClosedError}, results
            await session.rollback()
    await assert_writable(engine)


async def test_a_transaction_is_ended_once(engine):
    async with engine.session() as session:
        transaction = await session.begin()
        await transaction.commit()
        with pytest.raises(ClosedError, match="has ended already"):
            await transaction.commit()


async def test_rows_are_counted(engine):
    one = insert(Note.__table__).values(slug="a")
    again = upsert(Note.__table__).values(slug="a").on_conflict_do_nothing()
    async with engine.transaction() as session:
        assert (await session.execute(one)).rowcount == 1
        assert (await session.execute(again)).rowcount == 0


async def test_savepoints_are_refused_before_they_reach_the_database(engine):
    async with engine.transaction() as session:
        session.add(Note())
        with pytest.raises(UnsupportedOperationError, match="savepoints"):
            session.begin_nested()
        with pytest.raises(UnsupportedOperationError, match="savepoints"):
            await session.run_sync(lambda s: s.begin_nested())
    assert await count(engine) == 1


async def test_other_mistakes_keep_the_words_of_sqlalchemy(engine):
    async with engine.session() as session:
        with pytest.raises(InvalidRequestError, match="not persisted"):
            await session.delete(Note())
        with pytest.raises(InvalidStatementError):
            await session.execute(text("SELECT * FROM nowhere"))
        assert await session.scalar(COUNT) == 0


async def test_a_forgotten_session_is_reported_with_its_place():
    async with DatabaseEngine(":memory:") as engine:
        session = engine.session()
        await session.execute(ONE)
        with pytest.warns(ResourceWarning, match=r"test_sessions\.py") as caught:  # noqa: PT031
            del session
            gc.collect()
        assert len(caught) == 1
        assert engine.stats()["connections_in_use"] == 0
        engine.session()  # without a statement there is nothing to close
        gc.collect()
        session = engine.session()
        await session.begin()
        with pytest.warns(ResourceWarning, match="never closed"):
            del session


async def test_progress_belongs_to_the_session_alone(engine):
    async with engine.session() as session:
        await session.execute(ONE)
        assert session.progress is None
    async with engine.session() as other:
        statement = text("SELECT count(*) FROM range(100_000_000_000) t(i) WHERE i%7=3")
        task = asyncio.create_task(other.execute(statement))
        while other.progress is None:
            await asyncio.sleep(0.001)
        assert session.progress is None
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_stream_passes_rows_while_it_is_read(engine):
    async with engine.session() as session:
        rows = await session.stream(text("SELECT i FROM range(5000) t(i)"))
        assert [row.i async for row in rows] == list(range(5000))
        scalars = await session.stream_scalars(text("SELECT 1"))
        assert await scalars.all() == [1]


@pytest_asyncio.fixture(loop_scope="module")
async def loaded(engine):
    """
    3,000 notes with a tag each; and how many notes have been built since.
    """
    async with engine.transaction() as session:
        ids = range(1, 3001)
        await session.execute(insert(Note), [{"id": id} for id in ids])
        await session.execute(insert(Tag), [{"id": id, "note_id": id} for id in ids])
    built = []

    def count(note, _):
        built.append(1)

    event.listen(Note, "load", count)
    yield built
    event.remove(Note, "load", count)


async def test_objects_of_a_stream_are_built_in_batches_with_their_children(
    engine, loaded
):
    async with engine.session() as session:
        notes = await session.stream_scalars(select(Note))
        note = await anext(notes)
        assert len(note.tags) == 1
        assert len(loaded) == OBJECTS_AT_A_TIME
        assert 2999 == len([note async for note in notes if len(note.tags) == 1])
    assert len(loaded) == 3000


@pytest.mark.parametrize("where", ["statement", "call"])
async def test_the_batches_of_a_stream_may_have_any_size(engine, loaded, where):
    batches = {"yield_per": 7}
    statement = select(Note)
    if where == "statement":
        statement = statement.execution_options(**batches)
    options = batches if where == "call" else {}
    async with engine.session() as session:
        result = await session.stream(statement, execution_options=options)
        await result.fetchone()
        assert len(loaded) == 7


@pytest.mark.parametrize("load", [joinedload, subqueryload])
async def test_what_needs_all_rows_at_once_gets_them(engine, loaded, load):
    async with engine.session() as session:
        notes = await session.stream_scalars(select(Note).options(load(Note.tags)))
        if load is joinedload:
            notes = notes.unique()
        assert {len(note.tags) async for note in notes} == {1}
    assert len(loaded) == 3000


async def test_a_stream_of_nonsense_is_refused(engine):
    async with engine.session() as session:
        with pytest.raises(InvalidRequestError, match="know how to join"):
            await session.stream(select(Note).join(aliased(Note)))


# --- relationships --------------------------------------------------------------


async def test_children_come_with_their_parents_and_never_by_surprise(engine):
    async with engine.transaction() as session:
        session.add(Note(tags=[Tag(), Tag()]))
    async with engine.session() as session:
        note = (await session.scalars(select(Note))).one()
        assert len(note.tags) == 2
        tag = (await session.scalars(select(Tag).limit(1))).one()
    async with engine.session() as session:
        tag = (await session.scalars(select(Tag).limit(1))).one()
        with pytest.raises(InvalidRequestError, match="lazy='raise'"):
            tag.note  # noqa: B018


# --- run_in_transaction ---------------------------------------------------------


async def test_run_in_transaction_returns_what_the_function_does(engine):
    async def work(session):
        session.add(Note())
        await session.flush()
        return await session.scalar(COUNT)

    assert await engine.run_in_transaction(work) == 1
    assert await count(engine) == 1


@pytest.mark.parametrize(("conflicts", "succeeds"), [(0, True), (2, True), (3, False)])
async def test_run_in_transaction_tries_again_after_a_conflict(
    engine, conflicts, succeeds
):
    tries = 0

    async def work(session):
        nonlocal tries
        tries += 1
        session.add(Note())
        await session.flush()
        if tries <= conflicts:
            raise StaleSnapshotError
        return "done"

    running = engine.run_in_transaction(work, retries=2)
    if succeeds:
        assert await running == "done"
    else:
        with pytest.raises(RetryableError):
            await running
    assert tries == min(conflicts + 1, 3)
    assert await count(engine) == int(succeeds)


async def test_run_in_transaction_passes_other_errors_on_at_once(engine):
    tries = 0

    async def work(session):
        nonlocal tries
        tries += 1
        await session.execute(text("SELECT nothing"))

    with pytest.raises(InvalidStatementError):
        await engine.run_in_transaction(work)
    assert tries == 1


# --- large flushes --------------------------------------------------------------


@pytest.fixture
def flush_threads():
    """
    The names of the threads on which notes were flushed.
    """
    threads = set()

    def remember(mapper, connection, target):
        threads.add(threading.current_thread().name)

    event.listen(Note, "before_insert", remember)
    yield threads
    event.remove(Note, "before_insert", remember)


def many(**values):
    return [Note(**values) for _ in range(HEAVY)]


async def by_flush(engine):
    async with engine.transaction() as session:
        session.add_all(many())
        await session.flush()


async def by_the_end(engine):
    async with engine.transaction() as session:
        session.add_all(many())


async def by_autoflush(engine):
    async with engine.transaction() as session:
        session.add_all(many())
        assert await session.scalar(COUNT) == HEAVY


async def by_commit(engine):
    async with engine.session() as session:
        session.add_all(many())
        await session.commit()


async def by_begin(engine):
    async with engine.session() as session, session.begin():
        session.add_all(many())


async def by_explicit_begin(engine):
    async with engine.session() as session:
        transaction = await session.begin()
        session.add_all(many())
        await transaction.commit()


LARGE_FLUSHES = [
    by_flush, by_the_end, by_autoflush, by_commit, by_begin, by_explicit_begin,
]  # fmt: skip


@pytest.mark.parametrize("flush", LARGE_FLUSHES, ids=lambda f: f.__name__)
async def test_a_large_flush_runs_off_the_loop(engine, flush_threads, flush):
    await flush(engine)
    assert flush_threads == {"session-flush"}
    assert await count(engine) == HEAVY
    assert gc.isenabled()


async def test_a_small_flush_stays_on_the_loop(engine, flush_threads):
    async with engine.transaction() as session:
        session.add_all(many()[:-1])
    assert flush_threads == {threading.current_thread().name}


async def test_the_loop_goes_on_while_much_is_flushed(engine):
    ticks = [asyncio.get_running_loop().time()]

    async def tick():
        while True:
            await asyncio.sleep(0)
            ticks.append(asyncio.get_running_loop().time())

    ticker = asyncio.create_task(tick())
    async with engine.transaction() as session:
        session.add_all(many())
        await session.flush()
    ticker.cancel()
    assert len(ticks) > 20
    longest = max(later - earlier for earlier, later in pairwise(ticks))
    assert longest < ticks[-1] - ticks[0]


async def test_keys_and_relations_are_there_after_a_large_flush(engine):
    notes = [Note(tags=[Tag()]) for _ in range(HEAVY)]
    async with engine.transaction() as session:
        session.add_all(notes)
        await session.flush()
        assert sorted(note.id for note in notes) == list(range(1, HEAVY + 1))
    assert all(note.tags[0].note_id == note.id for note in notes)


async def test_large_updates_and_deletes_are_flushed_too(engine):
    async with engine.transaction() as session:
        session.add_all(many())
    async with engine.transaction() as session:
        for note in await session.scalars(select(Note)):
            note.text = "changed"
    async with engine.transaction() as session:
        assert await session.scalar(COUNT.where(Note.text == "changed")) == HEAVY
        for note in await session.scalars(select(Note)):
            await session.delete(note)
    assert await count(engine) == 0


async def test_events_of_a_large_flush_see_the_context_of_the_task(engine):
    variable = ContextVar("variable", default="unset")
    seen = set()

    def look(session, *_):
        seen.add(variable.get())
        variable.set("inside")

    variable.set("outside")
    event.listen(Session, "before_flush", look)
    try:
        await by_flush(engine)
    finally:
        event.remove(Session, "before_flush", look)
    assert seen == {"outside"}


async def test_an_error_of_a_large_flush_arrives_and_rolls_back(engine):
    with pytest.raises(DuplicateError):
        async with engine.transaction() as session:
            session.add_all(many(slug="same"))
            await session.flush()
    with pytest.raises(DuplicateError):
        async with engine.transaction() as session:
            session.add_all(many(slug="same"))
    assert await count(engine) == 0
    assert gc.isenabled()
    await assert_writable(engine)


async def test_an_error_in_an_event_of_a_large_flush_arrives(engine):
    def fail(mapper, connection, target):
        raise ZeroDivisionError

    event.listen(Note, "before_insert", fail)
    try:
        with pytest.raises(ZeroDivisionError):
            await by_flush(engine)
    finally:
        event.remove(Note, "before_insert", fail)
    assert await count(engine) == 0
    await assert_writable(engine)


@pytest.mark.parametrize("delay", [0.0, 0.001, 0.005, 0.02])
async def test_a_large_flush_can_be_cancelled(engine, delay):
    before = threading.active_count()
    task = asyncio.create_task(by_flush(engine))
    await asyncio.sleep(delay)
    task.cancel()
    results = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert await count(engine) == 0
    assert gc.isenabled()
    await assert_writable(engine)
    async with asyncio.timeout(2):
        while any(t.name == "session-flush" for t in threading.enumerate()):
            await asyncio.sleep(0.005)
    assert threading.active_count() <= before + 2


async def test_an_insert_of_many_rows_runs_off_the_loop(engine):
    rows = [{"text": str(number)} for number in range(HEAVY)]
    seen = set()

    def remember(*_):
        seen.add(threading.current_thread().name)

    event.listen(engine._writer.sync_engine, "before_cursor_execute", remember)
    async with engine.transaction() as session:
        await session.execute(insert(Note), rows)
        ids = await session.scalars(
            insert(Note).returning(Note.id, sort_by_parameter_order=True),
            rows,
            execution_options={"synchronize_session": False},
        )
        assert ids.all() == list(range(HEAVY + 1, 2 * HEAVY + 1))
        result = await session.execute(
            insert(Note).returning(Note.id), rows, execution_options={"yield_per": None}
        )
        assert len(result.all()) == HEAVY
    event.remove(engine._writer.sync_engine, "before_cursor_execute", remember)
    assert seen == {"session-flush"}
    assert await count(engine) == 3 * HEAVY


async def test_the_collector_works_while_a_large_flush_waits_for_its_turn(engine):
    async with engine.transaction() as session:
        await session.execute(ONE)
        task = asyncio.create_task(by_flush(engine))
        while not engine.stats()["writers_waiting"]:
            await asyncio.sleep(0.001)
        assert gc.isenabled()
    await task
    assert await count(engine) == HEAVY


async def test_the_collector_is_paused_once_for_all_and_restored():
    assert gc.isenabled()
    with collector.paused():
        assert not gc.isenabled()
        with pytest.raises(ZeroDivisionError), collector.paused():
            raise ZeroDivisionError
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.disable()
    try:
        with collector.paused():
            pass
        assert not gc.isenabled()  # as it was
    finally:
        gc.enable()


async def test_off_the_loop_means_on_a_thread_of_its_own():
    assert await run_off_loop(threading.current_thread) is not threading.main_thread()
    with pytest.raises(ZeroDivisionError):
        await run_off_loop(lambda: 1 / 0)


@pytest.mark.parametrize("then", ["return", "await a coroutine", "await a future"])
async def test_what_runs_off_the_loop_ends_before_its_cancellation(then):
    ended, future = [], asyncio.get_running_loop().create_future()

    def work():
        try:
            time.sleep(0.05)
            if then != "return":
                await_(future if "future" in then else asyncio.sleep(0))
        finally:
            ended.append(True)

    task = asyncio.create_task(run_off_loop(work))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]
    assert gc.isenabled()


# --- the manager alone ----------------------------------------------------------


async def test_the_manager_works_over_any_engine_of_ours():
    engine = create_async_engine("duckdb+async://")
    manager = SessionManager(engine, write_timeout=0.05)

    async def write():
        async with manager.transaction() as session:
            await session.execute(insert(Note))

    async with manager.transaction() as session:
        connection = await session.connection()
        await connection.run_sync(Model.metadata.create_all)
    async with manager.transaction() as session:
        session.add(Note())
        await session.flush()
        with pytest.raises(WriteTimeoutError):
            await asyncio.create_task(write())
    async with manager.session() as session:
        assert isinstance(session, ArchitectSession)
        assert await session.scalar(COUNT) == 1
    await engine.dispose()


async def test_the_manager_alone_raises_our_errors_too():
    engine = create_async_engine("duckdb+async://")
    manager = SessionManager(engine)
    async with manager.transaction() as session:
        connection = await session.connection()
        await connection.run_sync(Model.metadata.create_all)
        session.add(Note(slug="a"))
    with pytest.raises(DuplicateError):
        async with manager.transaction() as session:
            session.add(Note(slug="a"))
    async with manager.session() as session:
        with pytest.raises(InvalidStatementError, match="nothing"):
            await session.execute(text("SELECT nothing"))
    await engine.dispose()


async def test_the_manager_works_over_other_databases(tmp_path):
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'x.sqlite'}")
    manager = SessionManager(engine)
    async with manager.transaction() as session:
        connection = await session.connection()
        await connection.run_sync(Model.metadata.create_all)
    async with manager.transaction() as session:
        session.add_all(many())
        assert session.progress is None
    with pytest.raises(ZeroDivisionError):
        async with manager.transaction() as session:
            await session.execute(insert(Note))
            raise ZeroDivisionError
    async with manager.session() as session:
        assert await session.scalar(COUNT) == HEAVY
        assert session.progress is None
        session.add(Note(slug="a"))
        await session.commit()
    await engine.dispose()


async def test_our_session_class_works_in_a_maker_of_the_users(engine):
    maker = async_sessionmaker(engine.engine, class_=ArchitectSession)
    async with maker() as session:
        session.add_all(many())
        await session.commit()
        assert await session.scalar(COUNT) == HEAVY
        assert session.progress is None


async def test_a_plain_connection_gets_the_gate_and_our_errors(engine):
    async with engine.engine.begin() as connection:
        await connection.execute(insert(Note).values(slug="a"))
    async with engine.engine.connect() as connection:
        with pytest.raises(DuplicateError) as caught:
            await connection.execute(insert(Note).values(slug="a"))
    assert isinstance(caught.value, ConstraintError | StatementError)
    assert caught.value.statement is not None
    assert await count(engine) == 1


async def test_updates_of_core_and_orm_meet_the_identity_map(engine):
    async with engine.transaction() as session:
        note = Note(text="a")
        session.add(note)
        await session.flush()
        await session.execute(update(Note).values(text="b"))
        assert note.text == "b"
        await session.refresh(note)
        merged = await session.merge(Note(id=note.id, text="c"))
        assert merged is note
        assert await session.get_one(Note, note.id) is note
