"""
Answers of analytics: never stale, computed once, and stopped when nobody waits.
"""

from __future__ import annotations

import asyncio
import random
import threading
from contextlib import aclosing
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import delete, insert, text, update

from project_architect_db import (
    Activity,
    ClosedError,
    Conversation,
    ConversationRepository,
    DatabaseEngine,
    Document,
    DocumentRepository,
    InvalidQuestionError,
    Project,
    ProjectRepository,
    QueryTimeoutError,
    RepositoryRepository,
)
from project_architect_db.analytics.answering import Answering
from project_architect_db.analytics.cache import AnswerCache
from project_architect_db.analytics.questions import Question
from project_architect_db.analytics.repository import AnalyticsRepository
from project_architect_db.engine import watching
from project_architect_db.testing import temporary_database

AT = datetime(2026, 7, 1, 12, tzinfo=UTC)
LONG_AGO = date(2020, 1, 1)
SLOW = "SELECT sum(sqrt(a.range * b.range)) FROM range(1000000) a, range(1000000) b"


@pytest.fixture
async def engine():
    async with temporary_database() as engine:
        yield engine


@pytest.fixture
def analytics(engine):
    return AnalyticsRepository(engine)


async def add_project(engine, name="apollo", **columns):
    async with engine.transaction() as session:
        projects = ProjectRepository(session)
        return await projects.create({"name": name, "project_idea": "moon", **columns})


def asking(analytics, sql, tables=("projects",), **options):
    """
    A question of any SQL, and how often it was asked of the database.
    """
    asked = []

    async def compute(session):
        asked.append(sql)
        return (await session.execute(text(sql), execution_options=options)).all()

    question = Question(
        asker=analytics, name="any", key=(sql,), tables=frozenset(tables),
        compute=compute,
    )  # fmt: skip
    return question, asked


# --- how long an answer holds -----------------------------------------------------


@pytest.mark.slow
async def test_an_answer_is_kept_until_one_of_its_tables_is_written(engine, analytics):
    await add_project(engine)
    first = await analytics.status_distribution()
    assert await analytics.status_distribution() is first
    async with engine.transaction() as session:
        await session.execute(insert(Activity).values(entity="a", action="b"))
    assert await analytics.status_distribution() is first
    await add_project(engine, "gemini")
    assert [
        (row.status, row.projects) for row in await analytics.status_distribution()
    ] == [("draft", 2)]
    assert (analytics.statistics.hits, analytics.statistics.misses) == (2, 2)


async def test_sql_of_unknown_effect_ends_all_answers(engine, analytics):
    await add_project(engine)
    await analytics.status_distribution()
    async with engine.transaction() as session:
        await session.execute(text("UPDATE projects SET status = 'active'"))
    assert [row.status for row in await analytics.status_distribution()] == ["active"]


async def test_what_was_rolled_back_changes_nothing(engine, analytics):
    await add_project(engine)
    first = await analytics.status_distribution()
    with pytest.raises(ZeroDivisionError):
        async with engine.transaction() as session:
            await session.execute(update(Project).values(status="active"))
            raise ZeroDivisionError
    assert await analytics.status_distribution() is first


async def test_a_database_that_was_closed_may_have_been_written_by_others(tmp_path):
    path = tmp_path / "a.duckdb"
    async with DatabaseEngine(path) as keeper:
        await keeper.create_all()
        analytics = AnalyticsRepository(keeper)
        await add_project(keeper)
        first = await analytics.status_distribution()
        await keeper.engine.dispose()
        await keeper._writer.dispose()
        while keeper._database.is_open:  # it is closed on threads
            await asyncio.sleep(0.01)
        again = await analytics.status_distribution()
    assert again == first
    assert analytics.statistics.misses == 2


async def test_an_engine_is_opened_by_the_first_question(tmp_path):
    engine = DatabaseEngine(tmp_path / "a.duckdb")
    try:
        assert engine.commits is None
        question, _ = asking(AnalyticsRepository(engine), "SELECT 42")
        assert await question == [(42,)]
    finally:
        await engine.close()


async def test_an_old_answer_will_do_where_it_may_be_old(engine, analytics):
    await add_project(engine)
    first = await analytics.status_distribution()
    await add_project(engine, "gemini")
    assert await analytics.status_distribution().within(60) is first
    assert await analytics.status_distribution().within(0) is not first


async def test_forgotten_answers_are_asked_again(engine, analytics):
    first = await analytics.status_distribution()
    analytics.clear()
    assert analytics.statistics.answers == 0
    assert await analytics.status_distribution() is not first


async def test_the_oldest_answers_make_room(engine):
    analytics = AnalyticsRepository(engine, cache=AnswerCache(most_answers=2))
    questions = [asking(analytics, f"SELECT {number}")[0] for number in range(3)]
    for question in (*questions[:2], questions[0], questions[2]):
        await question
    await questions[0]  # it was asked later than the other one
    statistics = analytics.statistics
    assert (statistics.answers, statistics.evicted) == (2, 1)
    assert (statistics.hits, statistics.misses) == (2, 3)


async def test_an_answer_larger_than_the_cache_is_not_kept(engine):
    analytics = AnalyticsRepository(engine, cache=AnswerCache(most_rows=10))
    large, asked = asking(analytics, "SELECT * FROM range(11)")
    small, _ = asking(analytics, "SELECT * FROM range(6)")
    other, _ = asking(analytics, "SELECT * FROM range(5)")
    await large
    await large
    assert len(asked) == 2
    await small
    await other
    assert (analytics.statistics.answers, analytics.statistics.rows) == (1, 5)


async def test_an_older_snapshot_does_not_replace_a_newer_answer(engine, analytics):
    log = engine.commits
    cache = AnswerCache()
    cache.keep("key", "new", frozenset({"a"}), 2)
    cache.keep("key", "old", frozenset({"a"}), 1)
    assert cache.known("key", log) == ("new",)


# --- one computation --------------------------------------------------------------


async def test_those_who_ask_at_the_same_time_wait_for_one_computation(
    engine, analytics
):
    question, asked = asking(analytics, "SELECT count(*) FROM range(3000000)")
    answers = await asyncio.gather(*(analytics.answer(question) for _ in range(20)))
    assert len(asked) == 1
    assert all(answer is answers[0] for answer in answers)
    assert (analytics.statistics.misses, analytics.statistics.joined) == (1, 19)


async def test_who_asks_after_a_commit_does_not_get_what_was_begun_before(
    engine, analytics
):
    sql = f"SELECT (SELECT count(*) FROM projects), ({SLOW.replace('1000000', '6000')})"
    question, asked = asking(analytics, sql)
    before = asyncio.ensure_future(question.asker.answer(question))
    while not asked:
        await asyncio.sleep(0)
    await add_project(engine)
    after = await question
    assert len(asked) == 2
    assert after[0][0] == 1
    await before


async def test_a_question_that_nobody_waits_for_is_stopped(engine, analytics):
    question, _ = asking(analytics, SLOW)
    tasks = [asyncio.create_task(analytics.answer(question)) for _ in range(2)]
    while not engine.running():
        await asyncio.sleep(0.01)
    tasks[0].cancel()
    await asyncio.wait(tasks[:1])
    assert engine.running()
    tasks[1].cancel()
    await asyncio.wait(tasks)
    assert engine.running() == []
    assert all(task.cancelled() for task in tasks)


async def test_an_error_is_raised_for_all_who_wait_and_not_kept(engine, analytics):
    question, asked = asking(analytics, "SELECT error('no')")
    asking_twice = (analytics.answer(question) for _ in range(2))
    results = await asyncio.gather(*asking_twice, return_exceptions=True)
    assert len({type(result) for result in results}) == 1
    assert len(asked) == 1
    with pytest.raises(type(results[0]), match="no"):
        await question
    assert len(asked) == 2


async def test_only_so_many_are_asked_of_the_database_at_once(engine):
    analytics = Answering(engine, at_once=1)
    running = []

    def counted(number):
        async def compute(session):
            running.append(number)
            assert len(running) == 1
            await session.execute(text("SELECT count(*) FROM range(100000)"))
            running.remove(number)

        return Question(
            asker=analytics, name="any", key=(number,), tables=frozenset(),
            compute=compute,
        )  # fmt: skip

    await asyncio.gather(*(counted(number) for number in range(5)))


# --- limits -----------------------------------------------------------------------


@pytest.mark.slow
async def test_a_question_that_takes_too_long_is_stopped(engine, analytics):
    question, _ = asking(analytics, SLOW)
    with pytest.raises(QueryTimeoutError):
        await question.timeout(0.05)
    with pytest.raises(QueryTimeoutError):
        await asking(Answering(engine, timeout=0.05), SLOW)[0]
    assert engine.running() == []


@pytest.mark.slow
async def test_a_long_question_says_how_far_it_is(engine, analytics, monkeypatch):
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.01)
    question, _ = asking(analytics, SLOW.replace("1000000", "6000"))
    told = []
    await question.report_progress(told.append)
    assert told
    assert all(0 <= share <= 1 for share in told)


async def test_progress_is_told_of_running_statements_alone(analytics, monkeypatch):
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.01)
    told = []

    async def compute(session):
        await asyncio.sleep(0.1)

    question = Question(
        asker=analytics, name="any", key=("a",), tables=frozenset(), compute=compute
    )
    await question.report_progress(told.append)
    assert told == []


async def test_small_reads_go_on_beside_a_heavy_question(engine, analytics):
    await add_project(engine)
    heavy, _ = asking(analytics, SLOW)
    task = asyncio.create_task(analytics.answer(heavy))
    while not engine.running():
        await asyncio.sleep(0.01)
    async with engine.session() as session:
        assert await session.get(Project, 1) is not None
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize("value", [-1, "3", None, True, float("nan"), float("inf")])
async def test_seconds_are_a_number(analytics, value):
    question = analytics.status_distribution()
    for use in (question.within, question.timeout):
        with pytest.raises(InvalidQuestionError, match="expected a number of seconds"):
            use(value)
    with pytest.raises(InvalidQuestionError, match="every: expected a number"):
        analytics.watch(question, every=value)


async def test_a_question_says_what_it_asks(analytics):
    question = analytics.status_distribution(since=LONG_AGO)
    assert repr(question) == "<Question status_distribution>"
    assert "GROUP BY status" in question.sql
    assert question.tables == {"projects"}
    assert analytics.dashboard(statuses="draft").tables == {
        "activity", "conversations", "documents", "projects", "repositories",
    }  # fmt: skip


# --- watching ---------------------------------------------------------------------


async def test_a_watcher_gets_a_fresh_answer_when_a_commit_has_changed_it(
    engine, analytics
):
    watched = analytics.watch(analytics.status_distribution(), every=0)
    async with aclosing(watched):
        seen = [await anext(watched)]
        await add_project(engine)
        seen.append(await anext(watched))
        async with engine.transaction() as session:
            await session.execute(update(Project).values(status="active"))
        seen.append(await anext(watched))
    assert [[tuple(row)[:2] for row in report] for report in seen] == [
        [], [("draft", 1)], [("active", 1)],
    ]  # fmt: skip


async def test_commits_that_change_no_answer_are_not_told_of(engine, analytics):
    watched = analytics.watch(analytics.status_distribution(), every=0)
    async with aclosing(watched):
        await anext(watched)
        following = asyncio.ensure_future(anext(watched))
        async with engine.transaction() as session:
            await session.execute(insert(Activity).values(entity="a", action="b"))
            await session.execute(update(Project).values(status="active"))
        await asyncio.sleep(0.1)
        assert not following.done()
        await add_project(engine)
        assert len(await following) == 1


async def test_many_commits_are_one_answer(engine, analytics):
    watched = analytics.watch(analytics.status_distribution(), every=0.3)
    async with aclosing(watched):
        await anext(watched)
        for number in range(5):
            await add_project(engine, f"p{number}")
        assert [row.projects for row in await anext(watched)] == [5]


async def test_who_leaves_is_told_of_no_commit_any_more(engine, analytics):
    watched = analytics.watch(analytics.status_distribution(), every=0)
    await anext(watched)
    assert len(engine.commits._listeners) == 1
    await watched.aclose()
    assert engine.commits._listeners == []
    await add_project(engine)


async def test_a_watcher_that_is_cancelled_leaves(engine, analytics):
    async def follow():
        async with aclosing(analytics.watch(analytics.status_distribution())) as all_:
            async for _ in all_:
                pass

    task = asyncio.create_task(follow())
    while not engine.commits._listeners:
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    assert engine.commits._listeners == []


def test_a_watcher_whose_loop_is_gone_disturbs_no_writer(tmp_path):
    path = tmp_path / "a.duckdb"

    async def write(engine):
        await engine.create_all()
        analytics = AnalyticsRepository(engine)
        watched = analytics.watch(analytics.status_distribution())
        await anext(watched)
        return watched

    async def main():
        async with DatabaseEngine(path) as engine:
            kept = []
            loop = asyncio.new_event_loop()
            thread = threading.Thread(
                target=lambda: kept.append(loop.run_until_complete(write(engine)))
            )
            await asyncio.to_thread(lambda: (thread.start(), thread.join()))
            loop.close()
            await add_project(engine)
            assert len(engine.commits._listeners) == 1

    asyncio.run(main())


async def test_a_watcher_hears_of_the_end_of_its_database(tmp_path):
    async with DatabaseEngine(tmp_path / "a.duckdb") as engine:
        await engine.create_all()
        analytics = AnalyticsRepository(engine)
        watched = analytics.watch(analytics.status_distribution(), every=0)
        await anext(watched)
        following = asyncio.ensure_future(anext(watched))
    with pytest.raises(ClosedError):
        await following


# --- the dashboard ----------------------------------------------------------------


async def fill(engine):
    """
    Something of everything.
    """
    async with engine.transaction() as session:
        projects = ProjectRepository(session, actor="ada")
        first = await projects.create({"name": "a", "project_idea": "b"})
        second = await projects.create({"name": "c", "project_idea": "d"})
        await projects.update(second.id, {"status": "active"})
        conversations = ConversationRepository(session, actor="bob")
        made = await conversations.create({"project_id": first.id, "title": "t"})
        await conversations.add_message(made.id, {"content": "hello"})
        await DocumentRepository(session).create(
            {"project_id": first.id, "title": "t", "content": "12345"}
        )
        repositories = RepositoryRepository(session)
        kept = await repositories.create({"project_id": first.id, "name": "r"})
        await repositories.record_build(kept.id, {"status": "passed"})
        await repositories.record_build(kept.id, {"status": "failed"})
    return first


async def test_a_dashboard_shows_everything_from_one_snapshot(engine, analytics):
    await fill(engine)
    shown = await analytics.dashboard()
    assert shown.totals == {
        "projects": 2, "conversations": 1, "documents": 1, "bytes": 5,
        "repositories": 1, "commits": 0, "events": 9, "builds": 2,
    }  # fmt: skip
    assert {tuple(row) for row in shown.statuses} == {("draft", 1), ("active", 1)}
    assert [tuple(row) for row in shown.phases] == [("discovery", 1)]
    assert [tuple(row) for row in shown.kinds] == [("text", 1, 5)]
    assert [tuple(row) for row in shown.repositories] == [("failed", 1, 0)]
    assert [tuple(row)[1:] for row in shown.builds] == [(1, 1)]
    assert [tuple(row) for row in shown.projects] == [(1, 7), (2, 2)]
    assert [tuple(row) for row in shown.people] == [("ada", 3), ("bob", 2)]
    assert len(shown.recent) == 9
    assert shown.to_dict()["statuses"]["rows"] == [
        {"status": "active", "projects": 1}, {"status": "draft", "projects": 1},
    ]  # fmt: skip


async def test_a_dashboard_of_nothing(analytics):
    shown = await analytics.dashboard()
    assert set(shown.totals.values()) == {0}
    assert len(shown) == 0


async def test_a_dashboard_is_limited_like_all_questions(engine, analytics):
    first = await fill(engine)
    shown = await analytics.dashboard(projects=first.id, limit=1)
    assert shown.totals["projects"] == 1
    assert len(shown.projects) == len(shown.people) == len(shown.recent) == 1
    later = await analytics.dashboard(since=datetime.now(UTC) + timedelta(days=1))
    assert (later.totals["events"], later.totals["projects"]) == (0, 2)
    past = await analytics.dashboard(until=LONG_AGO)
    assert past.totals["events"] == 0
    with pytest.raises(InvalidQuestionError, match="limit: expected a whole number"):
        analytics.dashboard(limit=0)


async def test_of_a_dashboard_only_what_may_have_changed_is_asked_again(
    engine, analytics
):
    await fill(engine)
    asked = []
    stop = engine.on_query(lambda query: asked.append(query.operation))
    before = await analytics.dashboard(at=AT, since=LONG_AGO)
    assert {"analytics.kinds", "analytics.events"} <= set(asked)
    async with engine.transaction() as session:
        await session.execute(insert(Conversation).values(project_id=1, title="u"))
    asked.clear()
    after = await analytics.dashboard(at=AT, since=LONG_AGO)
    stop()
    assert [each for each in asked if each] == ["analytics.phases"]
    assert after.events is before.events
    assert after.totals["conversations"] == 2


async def event(session, id, **columns):
    """
    An event with an id of its own.
    """
    values = {"id": id, "entity": "e", "action": "a", "actor": "x", "occurred_at": AT}
    await session.execute(insert(Activity).values({**values, **columns}))


GROWING = {
    "a new event": lambda session: event(session, 20, occurred_at=AT),
    "one of long ago": lambda session: event(
        session, 20, occurred_at=AT - timedelta(days=900)
    ),
    "one with an id in between": lambda session: event(session, 5),
    "a changed one": lambda session: session.execute(
        update(Activity).where(Activity.id == 10).values(actor="y")
    ),
    "a deleted one": lambda session: session.execute(
        delete(Activity).where(Activity.id == 10)
    ),
    "any SQL": lambda session: session.execute(
        text("UPDATE activity SET actor = 'z' WHERE id = 1")
    ),
    "nothing": lambda session: session.execute(
        insert(Project).values(name="n", project_idea="i")
    ),
}


@pytest.mark.parametrize("name", GROWING)
async def test_sums_that_grow_are_those_of_a_fresh_answer(engine, analytics, name):
    async with engine.transaction() as session:
        await event(session, 1)
        await event(session, 10, project_id=None, actor=None)
    question = {"at": AT, "since": LONG_AGO, "granularity": "month"}
    await analytics.dashboard(**question)
    async with engine.transaction() as session:
        await GROWING[name](session)
    grown = await analytics.dashboard(**question)
    fresh = await AnalyticsRepository(engine).dashboard(**question)
    assert grown == fresh


WRITES = {
    "insert": lambda s, rng: s.execute(
        insert(Activity).values(
            entity="repository", action="build", payload={"status": "passed"},
            occurred_at=AT - timedelta(hours=rng.randrange(3000)),
        )
    ),
    "project": lambda s, rng: ProjectRepository(s).create(
        {"name": f"p{rng.randrange(10**6)}", "project_idea": "i"}
    ),
    "status": lambda s, rng: s.execute(
        update(Project)
        .where(Project.id % 3 == rng.randrange(3))
        .values(status=rng.choice(["draft", "active", "completed"]))
    ),
    "document": lambda s, rng: s.execute(
        insert(Document).values(
            project_id=1, title="t", kind=rng.choice(["code", "text"]), size=3
        )
    ),
    "delete": lambda s, rng: s.execute(
        delete(Project).where(Project.id == rng.randrange(2, 40))
    ),
    "raw": lambda s, rng: s.execute(
        text(f"UPDATE documents SET size = {rng.randrange(9)}")
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("number", range(2))
async def test_after_random_writes_what_is_kept_equals_what_is_asked_anew(
    engine, analytics, number
):
    rng = random.Random(number)
    await add_project(engine)
    for _ in range(12):
        async with engine.transaction() as session:
            for name in rng.sample(sorted(WRITES), rng.randrange(1, 3)):
                await WRITES[name](session, rng)
        asked = [
            lambda a: a.status_distribution(),
            lambda a: a.dashboard(at=AT, since=LONG_AGO),
            lambda a: a.dashboard(at=AT, since=LONG_AGO, statuses="draft"),
        ]
        for ask in rng.sample(asked, 2):
            assert await ask(analytics) == await ask(AnalyticsRepository(engine))
    assert analytics.statistics.misses > 5
