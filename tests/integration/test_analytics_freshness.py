"""
Answers of analytics that follow the present, other threads, and what SQL hides.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import (
    DateTime,
    Text,
    cast,
    func,
    insert,
    literal_column,
    select,
    text,
    type_coerce,
    update,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from project_architect_db import (
    Conversation,
    Document,
    InvalidQuestionError,
    InvalidStatementError,
    Project,
    ProjectRepository,
    QueryTimeoutError,
)
from project_architect_db.analytics import present
from project_architect_db.analytics.cache import AnswerCache
from project_architect_db.analytics.questions import Question
from project_architect_db.analytics.repository import AnalyticsRepository
from project_architect_db.analytics.watching import _wake
from project_architect_db.dialect.commit_log import EVERYTHING, CommitLog
from project_architect_db.engine import watching
from project_architect_db.testing import temporary_database

BUSY = "SELECT sum(sqrt(a.range * b.range)) FROM range(6000) a, range(6000) b"


class Own(DeclarativeBase):
    pass


class Visit(Own):
    __tablename__ = "visits"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class LateVisit(Own):
    __tablename__ = "late_visits"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


@pytest.fixture
async def engine():
    async with temporary_database() as engine:
        yield engine


@pytest.fixture
def analytics(engine):
    return AnalyticsRepository(engine)


async def add_project(engine):
    async with engine.transaction() as session:
        projects = ProjectRepository(session)
        return await projects.create({"name": "apollo", "project_idea": "moon"})


def question_of(analytics, compute, tables=()):
    return Question(
        asker=analytics, name="any", key=(compute,), tables=frozenset(tables),
        compute=compute,
    )  # fmt: skip


async def busy(session):
    return (await session.execute(text(BUSY))).all()


# --- the present ------------------------------------------------------------------


@pytest.fixture
def later(monkeypatch):
    """
    Lets time go by.
    """
    now = present.utc_now

    def go_by(**time):
        monkeypatch.setattr(present, "utc_now", lambda: now() + timedelta(**time))

    return go_by


async def test_a_question_that_is_asked_again_later_is_of_that_time(
    engine, analytics, later
):
    await add_project(engine)
    question = analytics.compare_outcomes().within(600).timeout(30)
    (first,) = await question
    assert (await question)[0] is first
    later(days=60)
    (row,) = await question
    assert ("active", "stalled") == (first.outcome, row.outcome)
    fixed = analytics.compare_outcomes(at=datetime.now(UTC) + timedelta(seconds=5))
    assert ["active"] == [row.outcome for row in await fixed]
    moved = question.of_this_minute()
    assert (600, 30) == (moved.max_age, moved.limit)


async def test_a_watcher_is_told_of_what_happens_after_it_came(
    engine, analytics, later
):
    async with aclosing(analytics.watch(analytics.lifecycle(), every=0)) as watched:
        assert len(await anext(watched)) == 0
        later(minutes=5)
        await add_project(engine)
        assert len(await anext(watched)) == 1


async def test_that_time_goes_by_is_no_news(engine, analytics, later):
    await add_project(engine)
    # Its own period begins with a day, and this may be the last minute of one.
    before = await analytics.dashboard(since=date(2020, 1, 1))
    later(minutes=1)
    after = await analytics.dashboard(since=date(2020, 1, 1))
    assert before.at < after.at
    assert before == after


# --- one computation --------------------------------------------------------------


@pytest.mark.slow
async def test_who_asks_when_the_last_one_has_left_is_not_cancelled(analytics):
    question = question_of(analytics, busy)
    first = asyncio.create_task(analytics.answer(question))
    while not analytics._engine.running():
        await asyncio.sleep(0.001)
    first.cancel()
    await asyncio.sleep(0)
    assert len(await question) == 1
    assert first.cancelled() or first.cancelling()


@pytest.mark.slow
async def test_who_has_no_patience_ends_nothing_for_others(analytics):
    question = question_of(analytics, busy)
    hasty, patient = await asyncio.gather(
        analytics.answer(question.timeout(0.001)), analytics.answer(question),
        return_exceptions=True,
    )  # fmt: skip
    assert isinstance(hasty, QueryTimeoutError)
    assert len(patient) == 1


async def test_progress_is_told_to_who_joins(analytics, monkeypatch):
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.01)
    question, told = question_of(analytics, busy), ([], [])
    await asyncio.gather(*(
        analytics.answer(question.report_progress(each.append)) for each in told
    ))  # fmt: skip
    assert analytics.statistics.joined == 1
    assert told[0]
    assert told[0] == told[1]


@pytest.mark.slow
def test_one_repository_is_asked_from_the_loops_of_several_threads():
    errors, counts = [], []

    async def ask(analytics):
        for _ in range(5):
            questions = [
                analytics.status_distribution(granularity=each)
                for each in ("day", "week", "month")
            ]
            try:
                answers = await asyncio.gather(*map(analytics.answer, questions * 2))
                counts.extend(answer[0].projects for answer in answers)
            except Exception as error:
                errors.append(error)
            analytics.clear()

    async def main():
        async with temporary_database() as engine:
            await add_project(engine)
            analytics = AnalyticsRepository(engine, at_once=1)
            threads = [
                threading.Thread(target=asyncio.run, args=(ask(analytics),))
                for _ in range(3)
            ]
            for thread in threads:
                thread.start()
            await ask(analytics)
            while any(thread.is_alive() for thread in threads):
                await asyncio.sleep(0.01)

    asyncio.run(main())
    assert errors == []
    assert set(counts) == {1}


@pytest.mark.parametrize(
    ("options", "argument"),
    [({"at_once": 0}, "at_once"), ({"timeout": -1}, "timeout")],
)
async def test_a_repository_that_could_answer_nothing(engine, options, argument):
    with pytest.raises(InvalidQuestionError) as caught:
        AnalyticsRepository(engine, **options)
    assert caught.value.argument == argument
    assert AnalyticsRepository(engine, timeout=None)._timeout is None


# --- one snapshot -----------------------------------------------------------------


async def add_both(engine):
    async with engine.transaction() as session:
        project = Project(name="a", project_idea="b")
        session.add(project)
        await session.flush()
        await session.execute(insert(Conversation).values(
            project_id=project.id, title="c", messages=[]
        ))  # fmt: skip


def totals(board):
    return board.totals["projects"], board.totals["conversations"]


async def test_a_dashboard_takes_no_part_of_another_snapshot(engine, monkeypatch):
    """
    Two are asked; between parts of the first one, a commit is seen by the second.
    """
    analytics = AnalyticsRepository(engine)
    ask, seen = analytics.part, []

    async def part(session, query):
        report = await ask(session, query)
        if query.name == "statuses" and not seen:
            seen.append("a commit")
            await add_both(engine)
            seen.append(totals(await analytics.dashboard(limit=5)))
        return report

    monkeypatch.setattr(analytics, "part", part)
    assert totals(await analytics.dashboard(limit=6)) == (0, 0)
    assert seen[1] == (1, 1)


async def test_a_dashboard_takes_no_part_that_a_commit_has_just_ended(
    engine, monkeypatch
):
    """
    One part is known; the commit that ends it is in the snapshot, and noted later.
    """
    analytics = AnalyticsRepository(engine)
    await analytics.dashboard(limit=5)
    log, ask, late = engine.commits, analytics.part, []

    async def part(session, query):
        if query.name == "statuses" and not late:
            monkeypatch.setattr(log, "append", lambda *given: late.append(given) or 0)
            await add_both(engine)
            monkeypatch.undo()
        report = await ask(session, query)
        if query.name == "statuses" and len(late) == 1:
            late.append(None)
            log.append(*late[0])
        return report

    analytics.part = part
    assert totals(await analytics.dashboard(limit=6)) == (1, 1)


# --- what SQL hides ---------------------------------------------------------------


@pytest.fixture
async def visits():
    async with temporary_database(metadata=Own.metadata) as engine:
        async with engine.transaction() as session:
            await session.execute(text("DROP TABLE late_visits"))
            await session.execute(
                text("CREATE VIEW late_visits AS SELECT * FROM visits WHERE id > 1")
            )
            at = datetime(2026, 1, 1, tzinfo=UTC)
            await session.execute(insert(Visit), [{"at": at}, {"at": at}])
        yield engine


async def add_visit(engine):
    async with engine.transaction() as session:
        await session.execute(insert(Visit).values(at=datetime(2026, 1, 1, tzinfo=UTC)))


async def test_an_answer_of_a_view_is_not_kept(visits):
    analytics = AnalyticsRepository(visits)
    (before,) = await analytics.time_series(LateVisit.at)
    await add_visit(visits)
    (after,) = await analytics.time_series(LateVisit.at)
    assert (1.0, 2.0) == (before.value, after.value)
    first = await analytics.time_series(Visit.at)
    assert await analytics.time_series(Visit.at) is first


@pytest.mark.parametrize(
    "condition",
    [
        Visit.at < func.now(),
        Visit.at < func.current_timestamp(),
        cast(func.random(), DateTime(timezone=True)).is_(None),
        literal_column("(SELECT count(*) FROM visits)") > 0,
        type_coerce(text("at > '2000-01-01'"), Text).self_group() != "",
    ],
)
def test_sql_that_says_something_else_each_time_reads_everything(condition):
    analytics = AnalyticsRepository(None)
    assert EVERYTHING in analytics.time_series(Visit.at, where=condition).tables


async def test_what_depends_on_the_present_is_asked_each_time(visits):
    analytics = AnalyticsRepository(visits)
    question = analytics.time_series(Visit.at, where=Visit.at < func.now())
    first = await question
    assert await question is not first
    assert analytics.statistics.answers == 0


async def test_values_and_subqueries_of_known_tables_are_kept(visits):
    analytics = AnalyticsRepository(visits)
    ids = select(Visit.id).where(Visit.id > 1)
    question = analytics.time_series(Visit.at, where=Visit.id.in_(ids))
    assert question.tables == {"visits"}
    assert await question is await question


def test_everything_was_written_by_the_last_commit():
    log, cache = CommitLog(), AnswerCache()
    log.append(frozenset({"a"}))
    log.append(None)
    log.append(frozenset({"b"}))
    assert log.last_write([EVERYTHING]) == 3
    assert log.last_write(["a"]) == 2
    cache.keep("key", 1, frozenset({"a", EVERYTHING}), 3)
    assert cache.known("key", log) is None


async def test_a_listener_that_fails_fails_no_commit(engine, analytics):
    watched = analytics.watch(analytics.status_distribution(), every=0)
    await anext(watched)

    class Gone:
        def call_soon_threadsafe(self, call):
            raise RuntimeError("Event loop is closed")

    _wake(Gone(), asyncio.Event())
    await add_project(engine)
    assert len(await anext(watched)) == 1
    await watched.aclose()


@pytest.mark.slow
async def test_very_many_rows_are_made_while_others_go_on(engine, analytics):
    async with engine.transaction() as session:
        await session.execute(text(
            "INSERT INTO projects (name, project_idea, status, created_at, updated_at) "
            "VALUES ('a', 'b', 'draft', now(), now())"
        ))  # fmt: skip
        await session.execute(text(
            "INSERT INTO documents (project_id, title, kind, size, lines, created_at, "
            "updated_at) SELECT 1, 't' || range, 'text', 1, 1, "
            "TIMESTAMPTZ '2026-01-01 00:00:00+00' + to_days(range::INTEGER), now() "
            "FROM range(3000)"
        ))  # fmt: skip
    report = await analytics.time_series(Document.created_at)
    assert len(report) == 3_000
    async with engine.transaction() as session:
        await session.execute(update(Document).values(size=2))
    assert await analytics.time_series(Document.created_at) == report


async def test_a_table_that_is_gone_is_said_to_be(engine, analytics):
    assert [] == [*await analytics.document_creation()]
    async with engine.transaction() as session:
        await session.execute(text("DROP TABLE documents"))
    with pytest.raises(InvalidStatementError, match="documents"):
        await analytics.document_creation()
