"""
Queries for objects: what they find, in what order, and how it comes.
"""

from __future__ import annotations

import datetime as dt
import enum
import json
import uuid
from base64 import urlsafe_b64encode
from decimal import Decimal

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    joinedload,
    mapped_column,
    relationship,
    synonym,
)

from project_architect_db import (
    DatabaseEngine,
    InvalidStatementError,
    UnknownFieldError,
)
from project_architect_db.errors import InvalidDataError, NotFoundError
from project_architect_db.orm.filters import all_of, any_of, none_of
from project_architect_db.orm.query import QueryBuilder

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Base(DeclarativeBase):
    pass


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


class Team(Base):
    __tablename__ = "teams"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    parent_id: Mapped[int | None] = mapped_column(sa.ForeignKey("teams.id"))
    deleted_at: Mapped[dt.datetime | None] = mapped_column(
        sa.DateTime(timezone=True), info={"softly_deleted": True}
    )

    parent: Mapped[Team | None] = relationship(remote_side=[id])
    tasks: Mapped[list[Task]] = relationship(back_populates="team")


class Task(Base):
    __tablename__ = "tasks"

    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int | None] = mapped_column(sa.ForeignKey("teams.id"))
    name: Mapped[str] = mapped_column(sa.String(50))
    note: Mapped[str | None]
    level: Mapped[Level]
    state: Mapped[str] = mapped_column(sa.Enum("open", "done"))
    rank: Mapped[int | None]
    score: Mapped[float]
    price: Mapped[Decimal] = mapped_column(sa.Numeric(10, 2))
    is_urgent: Mapped[bool]
    token: Mapped[uuid.UUID]
    due: Mapped[dt.date | None]
    created_at: Mapped[dt.datetime] = mapped_column(sa.DateTime(timezone=True))
    seen_at: Mapped[dt.datetime | None]
    deleted_at: Mapped[dt.datetime | None] = mapped_column(
        sa.DateTime(timezone=True), info={"softly_deleted": True}
    )
    title = synonym("name")

    team: Mapped[Team | None] = relationship(back_populates="tasks")

    @hybrid_property
    def shout(self):
        return self.name + "!"


def day(number):
    return dt.datetime(2026, 1, number, tzinfo=dt.UTC)


def token(number):
    return uuid.UUID(int=number)


def task(number, name, **values):
    defaults = {
        "id": number, "name": name, "level": Level.LOW, "state": "open",
        "rank": number, "score": number / 2, "price": Decimal(number),
        "is_urgent": False, "token": token(number), "created_at": day(number),
    }  # fmt: skip
    return Task(**defaults | values)


NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)


def rows():
    """
    Two teams and a deleted one; five tasks and a deleted one.
    """
    return [
        Team(id=1, name="red"),
        Team(id=2, name="blue", parent_id=1),
        Team(id=3, name="gone", parent_id=1),
        task(1, "alpha", team_id=1, note="50% off", due=dt.date(2026, 1, 1)),
        task(2, "Beta", team_id=2, rank=None, level=Level.HIGH, is_urgent=True),
        task(3, "gamma", team_id=2, note="a_b", state="done", due=dt.date(2026, 1, 3)),
        task(4, "delta", team_id=3, rank=2, seen_at=dt.datetime(2026, 1, 4, 12)),
        task(5, "it's ünï; --", rank=None, note=""),
        task(6, "ghost", team_id=1, deleted_at=NOW),
    ]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database():
    async with DatabaseEngine(":memory:", metadata=Base.metadata) as engine:
        await engine.create_all()
        async with engine.transaction() as session:
            session.add_all(rows()[:3])
            await session.flush()
            session.add_all(rows()[3:])
        async with engine.transaction() as session:
            await session.execute(
                sa.update(Team).where(Team.id == 3).values(deleted_at=NOW)
            )
        yield engine


@pytest_asyncio.fixture(loop_scope="module")
async def session(database):
    async with database.session() as session:
        yield session


@pytest_asyncio.fixture(loop_scope="module")
async def tasks(session):
    return QueryBuilder(Task, session)


async def ids(query):
    return [item.id for item in await query.order_by("id").all()]


LOOKUPS = {
    "equality": ({"name": "alpha"}, [1]),
    "several at once": ({"state": "open", "is_urgent": False}, [1, 4, 5]),
    "NULL": ({"rank": None}, [2, 5]),
    "is NULL": ({"rank__isnull": True}, [2, 5]),
    "is not NULL": ({"rank__isnull": False}, [1, 3, 4]),
    "not equal, NULL is": ({"rank__ne": 1}, [2, 3, 4, 5]),
    "not NULL": ({"rank__ne": None}, [1, 3, 4]),
    "less": ({"rank__lt": 2}, [1]),
    "at most": ({"rank__lte": 2}, [1, 4]),
    "more": ({"rank__gt": 2}, [3]),
    "at least": ({"rank__gte": 2}, [3, 4]),
    "between": ({"rank__between": (1, 2)}, [1, 4]),
    "in": ({"rank__in": [1, 2]}, [1, 4]),
    "in, with NULL": ({"rank__in": {1, None}}, [1, 2, 5]),
    "in nothing": ({"rank__in": ()}, []),
    "not in": ({"rank__not_in": [1, 2]}, [2, 3, 5]),
    "not in nothing": ({"rank__not_in": []}, [1, 2, 3, 4, 5]),
    "not in, with NULL": ({"rank__not_in": [None, 1]}, [3, 4]),
    "contains": ({"name__contains": "lph"}, [1]),
    "contains a percent": ({"note__contains": "%"}, [1]),
    "contains an underscore": ({"note__contains": "_"}, [3]),
    "contains, any case": ({"name__icontains": "BET"}, [2]),
    "starts with": ({"name__startswith": "B"}, [2]),
    "starts with, any case": ({"name__istartswith": "b"}, [2]),
    "ends with": ({"name__endswith": "--"}, [5]),
    "ends with, any case": ({"name__iendswith": "TA"}, [2, 4]),
    "like": ({"name__like": "_e%"}, [2, 4]),
    "ilike": ({"name__ilike": "b%"}, [2]),
    "not ASCII": ({"name__contains": "ünï"}, [5]),
    "a synonym": ({"title": "alpha"}, [1]),
    "a hybrid property": ({"shout__startswith": "gamma!"}, [3]),
    "a member of an enum": ({"level": Level.HIGH}, [2]),
    "the name of a member": ({"level__in": ["HIGH"]}, [2]),
    "an enum of texts": ({"state": "done"}, [3]),
    "the value of a member": ({"level": "high"}, [2]),
    "text for an integer": ({"id": "3"}, [3]),
    "text for a boolean": ({"is_urgent": "true"}, [2]),
    "an integer for a boolean": ({"is_urgent": 1}, [2]),
    "text for a decimal": ({"price__lte": "1.00"}, [1]),
    "an integer for a float": ({"score__gte": 2}, [4, 5]),
    "a decimal": ({"price": Decimal("3.00")}, [3]),
    "a float for a decimal": ({"price__lt": 1.5}, [1]),
    "a UUID": ({"token": token(4)}, [4]),
    "a UUID in text": ({"token": str(token(4))}, [4]),
    "a date": ({"due": dt.date(2026, 1, 3)}, [3]),
    "a date in text": ({"due__lte": "2026-01-02"}, [1]),
    "a time": ({"created_at": day(3)}, [3]),
    "a time in text": ({"created_at__gt": "2026-01-04T00:00:00Z"}, [5]),
    "a time in another zone": (
        {"created_at": day(3).astimezone(dt.timezone(dt.timedelta(hours=5)))}, [3],
    ),
    "a time without a zone is UTC": ({"created_at": dt.datetime(2026, 1, 3)}, [3]),
    "a date is its midnight": ({"created_at__lt": dt.date(2026, 1, 2)}, [1]),
    "a naive column": ({"seen_at": dt.datetime(2026, 1, 4, 12, tzinfo=dt.UTC)}, [4]),
    "a related field": ({"team__name": "blue"}, [2, 3]),
    "no deleted relative": ({"team__name": "gone"}, []),
    "two steps": ({"team__parent__name": "red"}, [2, 3]),
    "no relative": ({"team": None}, [4, 5]),
    "some relative": ({"team__isnull": False}, [1, 2, 3]),
    "no relative either": ({"team__isnull": True}, [4, 5]),
}  # fmt: skip


@pytest.mark.parametrize("name", LOOKUPS)
async def test_a_lookup_finds_its_rows(tasks, name):
    lookups, expected = LOOKUPS[name]

    found = tasks.filter(**lookups)

    assert (expected, len(expected)) == (await ids(found), await found.count())
    others = [1, 2, 3, 4, 5]
    for id_ in expected:
        others.remove(id_)
    assert others == await ids(tasks.exclude(**lookups))


async def test_lookups_along_a_collection_are_about_one_row(session):
    teams = QueryBuilder(Team, session)

    assert [2] == await ids(teams.filter(tasks__name="Beta", tasks__rank=None))
    assert [] == await ids(teams.filter(tasks__name="Beta", tasks__rank=3))
    assert [2] == await ids(teams.filter(tasks__name="Beta").filter(tasks__rank=3))
    assert [] == await ids(teams.filter(tasks__name="ghost"))
    assert [1] == await ids(teams.include_deleted().filter(tasks__name="ghost"))
    assert [2] == await ids(teams.filter(parent__name="red"))


async def test_groups_are_composed(tasks):
    either = any_of(Task.id == 1, rank=None)

    assert [1, 2, 5] == await ids(tasks.filter(either))
    assert [3, 4] == await ids(tasks.filter(~either))
    assert [3, 4] == await ids(tasks.filter(none_of(Task.id == 1, rank=None)))
    assert [1] == await ids(tasks.filter(either & all_of(name="alpha")))
    assert [1, 2, 4, 5] == await ids(tasks.filter(either | (Task.id == 4)))
    assert [5] == await ids(tasks.filter(any_of(all_of(id__gt=3, rank=None), id=9)))
    assert [] == await ids(tasks.filter(any_of()))
    assert [1, 2, 3, 4, 5] == await ids(tasks.filter(all_of()).filter())
    assert [1, 2, 3, 4, 5] == await ids(tasks.exclude())
    assert [1, 4] == await ids(
        tasks.exclude(any_of(rank=None), id__ne=9).filter(id__ne=3)
    )


async def test_groups_join_conditions_of_sqlalchemy(tasks, session):
    either = any_of(rank=None)

    assert [1, 2, 5] == await ids(tasks.filter((Task.id == 1) | either))
    assert [2] == await ids(tasks.filter((Task.id < 3) & either))
    assert [2] == await ids(tasks.filter(sa.and_(Task.id < 3, sa.or_(either))))
    assert [1] == await ids(tasks.filter((Task.id < 3) & ~either))
    by_team = (Task.id == 9) | any_of(team__name="gone")
    assert [] == await ids(tasks.filter(by_team))
    assert [4] == await ids(tasks.include_deleted().filter(by_team))
    with pytest.raises(InvalidDataError, match=r"only the filter\(\) of a query"):
        await session.execute(sa.select(Task).where((Task.id == 1) | either))


async def test_long_chains_of_groups_are_no_deep_ones(tasks):
    either, both, late = any_of(id=1), all_of(id=1), Task.id == 1
    for number in range(400):  # of which each was some frames
        either |= any_of(id=number % 3)
        both &= all_of(id__ne=-number)
        late |= any_of(id=number % 3)

    assert [1, 2] == await ids(tasks.filter(either))
    assert [1] == await ids(tasks.filter(both))
    assert [1, 2] == await ids(tasks.filter(late))


async def test_groups_that_are_nested_too_deeply_are_refused(tasks):
    def nested(count):
        group = all_of(id=1)
        for number in range(count):
            group = ~((~group | any_of(id=-number)) & all_of(id__gt=0))
        return group

    assert [1] == await ids(tasks.filter(nested(24)))
    for count in (25, 2_000):
        with pytest.raises(InvalidDataError, match="nested at most 50 deep"):
            tasks.filter(nested(count))


async def test_text_is_searched(tasks):
    assert [2, 4] == await ids(tasks.search("TA"))
    assert [1] == await ids(tasks.search("0% O"))
    assert [] == await ids(tasks.search("0% O", "name"))
    assert [2, 3] == await ids(tasks.search("BLU", "name", "team__name"))
    assert [1, 2, 3, 4, 5] == await ids(tasks.search(""))
    with pytest.raises(UnknownFieldError, match=r"'nam'.*did you mean 'name'"):
        tasks.search("", "nam")
    with pytest.raises(UnknownFieldError, match="rank__icontains"):
        tasks.search("x", "rank")
    with pytest.raises(InvalidDataError, match="expected str, not int"):
        tasks.search(5)


@pytest.mark.parametrize(
    ("field", "start", "end", "expected"),
    [
        ("created_at", day(2), day(4), [2, 3]),
        (Task.created_at, dt.date(2026, 1, 2), dt.date(2026, 1, 4), [2, 3]),
        ("created_at", dt.datetime(2026, 1, 2), None, [2, 3, 4, 5]),
        ("created_at", None, "2026-01-02", [1]),
        ("created_at", None, None, [1, 2, 3, 4, 5]),
        ("created_at", day(4), day(2), []),
        ("due", dt.date(2026, 1, 1), dt.date(2026, 1, 3), [1]),
        ("due", dt.datetime(2026, 1, 1), dt.datetime(2026, 1, 3), [1]),
        ("due", dt.datetime(2026, 1, 1, 1), dt.datetime(2026, 1, 3, 1), [3]),
        ("due", dt.datetime.min, dt.datetime.max, [1, 3]),
        ("due", "2026-01-02", None, [3]),
        ("due", "2026-01-01T00:00:00", "2026-01-03T00:00:01+00:00", [1, 3]),
        ("due", "2026-01-02T23:00:00-05:00", None, []),
        ("due", None, dt.date.max, [1, 3]),
        ("seen_at", day(4), day(5), [4]),
    ],
)
async def test_a_range_of_dates_has_its_start_and_not_its_end(
    tasks, field, start, end, expected
):
    assert expected == await ids(tasks.filter_by_date_range(field, start, end))


async def test_a_range_of_dates_compares_the_bare_column(tasks):
    sql = tasks.filter_by_date_range("created_at", day(2), day(4)).to_sql()

    assert "tasks.created_at >= '2026-01-02" in sql
    assert "tasks.created_at < '2026-01-04" in sql


async def test_what_is_no_range_of_dates_is_refused(tasks):
    beyond = dt.datetime.min.replace(tzinfo=dt.timezone(dt.timedelta(hours=1)))
    for name in ("due", "created_at"):
        with pytest.raises(InvalidDataError, match=name):
            tasks.filter_by_date_range(name, beyond, None)
    with pytest.raises(InvalidDataError, match=r"Task\.name__lt"):
        tasks.filter_by_date_range("name", None, day(1))
    with pytest.raises(InvalidDataError, match=r"Task\.due__gte"):
        tasks.filter_by_date_range("due", "2026-01-01 and later", None)
    with pytest.raises(UnknownFieldError, match="'due_at'"):
        tasks.filter_by_date_range("due_at", None, None)
    with pytest.raises(UnknownFieldError, match=r"'Team\.name'"):
        tasks.filter_by_date_range(Team.name, None, None)


async def test_softly_deleted_rows_are_hidden(tasks, session):
    assert (5, 6) == (await tasks.count(), await tasks.include_deleted().count())
    assert [4] == await ids(tasks.include_deleted().filter(team__name="gone"))
    assert [1, 2] == await ids(QueryBuilder(Team, session))


async def test_related_rows_are_joined(tasks, session):
    by_team = tasks.join("team").order_by("-team__name", "id")

    assert [1, 2, 3] == [t.id for t in await by_team.all()]
    assert [1] == await ids(tasks.join(Task.team).filter(Team.name == "red"))
    assert [2, 3] == await ids(
        tasks.join("team").join("team__parent").order_by("team__parent__name")
    )
    assert [2, 3] == await ids(tasks.join(Task.team).join(Team.parent))
    assert [1, 2, 3, 4, 5] == await ids(tasks.join("team", outer=True))
    assert [1, 2, 3, 4, 6] == await ids(tasks.include_deleted().join("team"))
    assert [2, 3] == await ids(tasks.join("team").join("team").filter(Team.id == 2))
    assert [1, 2] == await ids(QueryBuilder(Team, session).join("tasks"))
    assert 2 == await QueryBuilder(Team, session).join("tasks").count()


async def test_what_cannot_be_joined_is_refused(tasks):
    with pytest.raises(UnknownFieldError, match="did you mean 'team'"):
        tasks.join("taem")
    with pytest.raises(UnknownFieldError, match="team__parent"):
        tasks.join("team__parent")
    with pytest.raises(UnknownFieldError, match="no field '5'"):
        tasks.filter_by_date_range(5, None, None)
    with pytest.raises(UnknownFieldError, match="no field ''"):
        tasks.join("")
    with pytest.raises(UnknownFieldError, match=r"Team\.tasks"):
        tasks.join(Team.tasks)
    with pytest.raises(InvalidDataError, match=r"join\('team'\) has to come first"):
        tasks.order_by("team__name")


async def test_results_come_in_order(tasks):
    async def names(*order):
        return [t.name[:2] for t in await tasks.order_by(*order).all()]

    assert ["Be", "al", "de", "ga", "it"] == await names(Task.name)
    assert ["it", "ga", "de", "al", "Be"] == await names("-name")
    assert ["al", "de", "ga", "it", "Be"] == await names("rank", Task.id.desc())
    query = tasks.order_by("is_urgent").order_by("-name")
    assert [5, 3, 4, 1, 2] == [t.id for t in await query.all()]
    for unknown in ("nam", "-nam", "name__x", "team"):
        with pytest.raises((UnknownFieldError, InvalidDataError)):
            tasks.order_by(unknown)


async def test_results_are_counted_and_cut(tasks):
    ordered = tasks.order_by("id")

    assert [1, 2] == [t.id for t in await ordered.limit(2).all()]
    assert [3, 4] == [t.id for t in await ordered.limit(2).offset(2).all()]
    assert [4, 5] == [t.id for t in await ordered.offset(3).all()]
    assert (2, 1, 0, 5) == (
        await ordered.limit(2).count(),
        await ordered.limit(2).offset(4).count(),
        await ordered.limit(0).count(),
        await ordered.limit(2).limit(None).count(),
    )
    assert (True, False, False, False) == (
        await tasks.exists(), await tasks.filter(id=9).exists(),
        await tasks.limit(0).exists(), await tasks.offset(5).exists(),
    )  # fmt: skip


@pytest.mark.parametrize("count", [-1, True, 1.0, "5", 2**63])
async def test_a_limit_is_a_number_from_0(tasks, count):
    with pytest.raises(InvalidDataError, match=r"Task.limit: expected a number from 0"):
        tasks.limit(count)
    with pytest.raises(InvalidDataError, match=r"Task.offset: expected a number"):
        tasks.offset(count)


async def test_each_result_comes_once(tasks):
    levels = tasks.order_by("level", "-id").distinct("level")

    assert [Level.HIGH, Level.LOW] == [t.level for t in await levels.all()]
    assert [2, 5] == sorted([t.id for t in await levels.all()])
    assert (2, 5) == (await levels.count(), await tasks.distinct().count())
    assert 5 == len(await tasks.distinct().all())


async def test_one_result_is_picked(tasks):
    alpha = tasks.filter(name="alpha")

    assert 1 == (await alpha.one()).id == (await alpha.one_or_none()).id
    assert 1 == (await tasks.order_by("id").first()).id
    assert (None, None, None) == (
        await tasks.filter(id=9).first(), await tasks.limit(0).first(),
        await tasks.filter(id=9).one_or_none(),
    )  # fmt: skip
    with pytest.raises(NotFoundError, match="no Task meets the conditions") as raised:
        await tasks.filter(id=9).one()
    assert "Task" == raised.value.model
    assert isinstance(raised.value.__cause__, sa.exc.NoResultFound)
    with pytest.raises(sa.exc.MultipleResultsFound):
        await tasks.one()


async def test_one_value_is_picked(tasks):
    query = tasks.order_by("-id").load("team")

    assert 5 == await query.scalar("id")
    assert "it's ünï; --" == await query.scalar(Task.name)
    assert 5 == await tasks.scalar(sa.func.max(Task.id))
    assert None is await query.limit(0).scalar("id")


async def test_related_objects_are_loaded(database, tasks):
    async with database.session() as session:
        query = QueryBuilder(Task, session).order_by("id").load("team")
        assert ["red", "blue"] == [t.team.name for t in (await query.all())[:2]]
        assert None is (await query.all())[3].team
    async with database.session() as session:
        teams = QueryBuilder(Team, session).load("tasks").order_by("id")
        assert [1, 2] == [len(team.tasks) for team in await teams.all()]
    async with database.session() as session:
        teams = QueryBuilder(Team, session).include_deleted().load("tasks")
        assert [2, 2, 1] == [len(t.tasks) for t in await teams.order_by("id").all()]
    async with database.session() as session:
        query = QueryBuilder(Team, session).options(joinedload(Team.tasks))
        teams = await query.filter(id=2).all()
        assert [[2, 3]] == [sorted(t.id for t in team.tasks) for team in teams]
    with pytest.raises(UnknownFieldError, match="did you mean 'team'"):
        tasks.load("teams")


async def test_results_are_streamed(tasks):
    query = tasks.order_by("id")
    assert [1, 2, 3, 4, 5] == [t.id async for t in query.stream()]
    stream = query.stream()
    async for task in stream:
        assert 1 == task.id
        break
    await stream.aclose()


async def test_a_query_never_changes(tasks):
    before = tasks.to_sql()
    tasks.filter(id=1).order_by("id").limit(1).include_deleted().load("team")
    tasks.join("team").distinct().after(1)

    assert before == tasks.to_sql()


async def test_a_plain_session_does_too(database):
    async with AsyncSession(database.engine) as session:
        query = QueryBuilder(Task, session).filter(team__name="blue").order_by("id")
        assert [2, 3] == [t.id for t in await query.all()]
        assert [2, 3] == [t.id async for t in query.stream()]
        assert 2 == (await query.to_arrow()).num_rows


async def test_plans_and_sql_can_be_read(tasks):
    query = tasks.filter(name="it's", token=token(1), level=Level.LOW).limit(5)

    assert "tasks.name = 'it''s'" in query.to_sql()
    assert "LIMIT 5" in query.to_sql()
    plan = await query.explain()
    assert "Scan" in plan
    assert "tasks" in plan
    assert "Total Time" in await query.explain(analyze=True)
    assert "Scan" in await tasks.aggregate(n=sa.func.count()).explain()


async def test_counting_needs_no_subquery(database, session):
    statements = []
    stop = database.on_query(lambda query: statements.append(query.statement))
    await QueryBuilder(Team, session).filter(name="x").order_by("name").count()
    stop()

    (sql,) = statements
    assert sql.startswith("SELECT count(*)")
    assert 1 == sql.count("SELECT")
    assert "ORDER" not in sql


async def test_who_asks_is_told(database, tasks):
    told = []

    @sa.event.listens_for(database.engine.sync_engine, "before_cursor_execute")
    def note(connection, cursor, statement, parameters, context, many):
        told.append(context.execution_options.get("operation"))

    await tasks.all()
    await tasks.first()
    await tasks.count()
    await tasks.aggregate(n=sa.func.count()).one()
    await tasks.paginate(2)
    async for _ in tasks.stream():
        pass
    sa.event.remove(database.engine.sync_engine, "before_cursor_execute", note)

    assert [
        "QueryBuilder[Task].all", "QueryBuilder[Task].first",
        "QueryBuilder[Task].count", "AggregateQuery[Task].one",
        "QueryBuilder[Task].paginate", "QueryBuilder[Task].stream",
    ] == told  # fmt: skip


# Aggregates


async def test_objects_are_aggregated(tasks):
    row = await tasks.filter(rank__ne=None).aggregate(
        [sa.func.count().label("total"), sa.func.sum(Task.rank).label("ranks")],
        mean=sa.func.avg(Task.score),
    ).first()  # fmt: skip

    assert (3, 6, 8 / 6) == (row.total, row.ranks, pytest.approx(row.mean))
    assert 5 == await tasks.aggregate(sa.func.count()).scalar()
    assert (5,) == tuple(await tasks.aggregate(sa.func.max(Task.id)).one())


async def test_rows_are_grouped(tasks):
    by_state = tasks.order_by("id").group_by("state").aggregate(n=sa.func.count())

    assert [("open", 4), ("done", 1)] == await by_state.order_by("-n").all()
    assert [("done", 1)] == await by_state.order_by("n").limit(1).all()
    assert [("open", 4)] == await by_state.having(sa.func.count() > 1).all()
    assert ("open", 4) == await by_state.order_by(Task.state.desc()).first()
    assert None is await by_state.limit(0).first()
    with pytest.raises(NotFoundError):
        await by_state.having(sa.func.count() > 9).one()
    with pytest.raises(sa.exc.MultipleResultsFound):
        await by_state.one()
    with pytest.raises(UnknownFieldError, match="did you mean 'state'"):
        by_state.order_by("stat")
    by_team = tasks.join("team").group_by("team__name", Task.level)
    assert 3 == len(await by_team.aggregate(n=sa.func.count()).all())


@pytest.mark.parametrize(
    ("cut", "arguments"), [("limit", [1]), ("offset", [1]), ("distinct", [])]
)
async def test_a_part_of_the_objects_is_not_aggregated(tasks, cut, arguments):
    with pytest.raises(InvalidDataError, match="aggregates are of all objects"):
        getattr(tasks, cut)(*arguments).aggregate(n=sa.func.count())


async def test_what_is_no_expression_is_not_aggregated(tasks):
    for arguments, named in [(["rank"], {}), ([], {"n": "rank"}), ([5], {})]:
        with pytest.raises(InvalidDataError, match=r"func\.count"):
            tasks.aggregate(*arguments, **named)


async def test_what_is_no_expression_is_refused(tasks):
    rows = tasks.group_by("state").aggregate(n=sa.func.count())
    for call in (
        tasks.filter, tasks.exclude, tasks.order_by, tasks.distinct, tasks.group_by,
        rows.having, rows.order_by, rows.aggregate,
    ):  # fmt: skip
        for wrong in (5, None, True, Task):
            with pytest.raises(
                InvalidDataError, match="expected an expression such as"
            ):
                call(wrong)
    with pytest.raises(InvalidDataError, match=r"Task\.filter: .*not '1=1'"):
        tasks.filter("1=1")
    with pytest.raises(InvalidDataError, match="expected an expression"):
        await tasks.scalar(5)
    assert [1, 2] == await ids(tasks.filter(sa.text("id < 3")))


async def test_a_row_needs_a_column(tasks):
    for query in (tasks, tasks.group_by("state")):
        with pytest.raises(InvalidDataError, match=r"it needs an expression"):
            query.aggregate()
    with pytest.raises(InvalidDataError, match="there is nothing in the row"):
        await tasks.group_by().all()


async def test_names_may_come_in_a_list(tasks):
    ordered = tasks.order_by(["rank", "-id"]).load(["team"]).search("a", ["name"])
    assert [1, 4, 3, 2] == [t.id for t in await ordered.all()]
    assert 2 == await tasks.distinct(["level"]).count()
    rows = tasks.group_by(["state", "level"]).aggregate(n=sa.func.count())
    assert 3 == len(await rows.order_by(["state", "-n"]).all())


async def test_rows_are_named_as_they_were_asked_for(tasks):
    rows = tasks.join("team").group_by("name", "team__name", Task.level)

    row = await rows.aggregate(n=sa.func.count()).order_by("team__name", "name").first()

    assert ("name", "team__name", "level", "n") == row._fields
    assert ("Beta", "blue") == (row.name, row.team__name)


async def test_rows_are_picked_counted_and_streamed(tasks):
    rows = tasks.group_by("state").aggregate(n=sa.func.count()).order_by("-n")

    assert (2, True) == (await rows.count(), await rows.exists())
    few = rows.having(sa.func.count() > 1)
    assert (1, ("open", 4)) == (await few.count(), await few.one_or_none())
    none = rows.having(sa.func.count() > 9)
    assert (0, False, None) == (
        await none.count(), await none.exists(), await none.one_or_none()
    )  # fmt: skip
    assert (1, 0) == (await rows.limit(1).count(), await rows.offset(2).count())
    with pytest.raises(sa.exc.MultipleResultsFound):
        await rows.one_or_none()
    assert [("open", 4), ("done", 1)] == [row async for row in rows.stream()]
    stream = rows.stream()
    assert ("open", 4) == await anext(stream)
    await stream.aclose()
    levels = tasks.group_by().aggregate(Task.level).distinct()
    assert (2, 2) == (await levels.count(), len(await levels.all()))


async def test_what_makes_no_sense_is_refused_in_our_words(tasks):
    with pytest.raises(InvalidStatementError):
        await tasks.aggregate(Task.id, n=sa.func.count()).all()


# Pages

ORDERS = [
    (), ("id",), ("-id",), ("name",), ("rank",), ("-rank",), ("-rank", "name"),
    (sa.nulls_first(Task.rank.asc()),), (Task.rank.desc().nulls_first(), "-score"),
    (Task.rank.desc().nulls_last(),),
    ("level", "state"), ("price",), ("-created_at",), ("token",), ("due", "is_urgent"),
    ("-seen_at",), ("score",), (Task.note.asc(),),
]  # fmt: skip


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: ",".join(map(str, order)))
@pytest.mark.parametrize("size", [1, 2, 3])
async def test_pages_have_every_object_once_and_in_order(tasks, order, size):
    query = tasks.order_by(*order)
    everything = (await query.paginate(100)).items
    found, cursor = [], None
    while True:
        page = await query.paginate(size, cursor=cursor)
        found += page.items
        assert page.has_more is (page.next_cursor is not None)
        assert size == len(page.items) or not page.has_more
        if not page.has_more:
            break
        cursor = page.next_cursor

    assert [t.id for t in everything] == [t.id for t in found]
    assert [1, 2, 3, 4, 5] == sorted(t.id for t in found)


async def test_a_query_goes_on_after_an_object(tasks):
    query = tasks.order_by("-created_at")

    assert [2, 1] == [t.id for t in await query.after(day(3), 3).all()]
    assert 2 == await query.after("2026-01-03T00:00:00Z", 3).count()
    with pytest.raises(InvalidDataError, match="the values of created_at, id"):
        query.after(day(3))
    with pytest.raises(InvalidDataError, match="created_at: expected datetime"):
        query.after(5, 3)


@pytest.mark.parametrize(
    "order", [sa.func.lower(Task.name), sa.text("name"), Team.name, Task.id + 1],
    ids=str,
)  # fmt: skip
async def test_pages_follow_columns_only(tasks, order):
    with pytest.raises(InvalidDataError, match="plain columns"):
        await tasks.order_by(order).paginate(2)


def cursor_of(value):
    return urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "", "x", "ä", "....", "!" * 8, cursor_of(5), cursor_of([]), cursor_of("ab"),
        cursor_of([["id"], [1]]), cursor_of([["price", "id"], [1]]),
        cursor_of([["price", "id"], 5]), cursor_of([["price", "id"], ["x", 1]]),
        cursor_of([["price", "id"], ["NaN", 1]]),
        cursor_of([["price", "id"], [1, "x"]]),
        cursor_of([["price", "id"], [{}, 1]]),
        cursor_of([["price", "id"], [1, 2**200]]),
        cursor_of([["-price", "id"], ["1", 1]]),
    ],
)  # fmt: skip
async def test_a_changed_cursor_is_refused(tasks, cursor):
    with pytest.raises(InvalidDataError, match=r"Task\.cursor"):
        await tasks.order_by("price").paginate(2, cursor=cursor)


async def test_a_page_has_a_limit_of_its_own(tasks):
    for query, limit in [(tasks, 0), (tasks, -1), (tasks, None), (tasks.limit(5), 2)]:
        with pytest.raises(InvalidDataError):
            await query.paginate(limit)
