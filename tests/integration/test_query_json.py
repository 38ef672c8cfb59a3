"""
Queries that look into JSON.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy import func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from project_architect_db import DatabaseEngine, Project, UnknownFieldError
from project_architect_db.errors import InvalidDataError
from project_architect_db.orm.filters import any_of
from project_architect_db.orm.query import QueryBuilder

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Base(DeclarativeBase):
    pass


class Plan(Base):
    __tablename__ = "plans"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    data: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON)


PLANS = {
    1: {"framework": "FastAPI", "score": 3, "tags": ["a", "b"], "done": True},
    2: {"framework": "Django", "score": 4.5, "tags": ["b", 5, None], "done": False},
    3: {"framework": 5, "score": "high", "tags": "a", "done": "true", "big": 2**60},
    4: {"framework": "5", "score": -7, "tags": [], "a": {"b": {"c": 1}}},
    5: {"framework": None, "score": [3], "items": [{"n": 1}, {"n": "x"}, 7]},
    6: {"framework": {"name": "x"}, "tags": {"a": 1}, "in": "key", "a b": "q\"'\\"},
    7: ["top", {"framework": "FastAPI"}],
    8: None,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database():
    async with DatabaseEngine(":memory:", metadata=Base.metadata) as engine:
        await engine.create_all()
        async with engine.transaction() as session:
            session.add_all(
                Plan(id=id_, name=f"plan {id_}", data=data)
                for id_, data in PLANS.items()
            )
            session.add(Plan(id=9, name="plan 9", data=sa.null()))
            await session.flush()
            spaced = (
                '{"spaced" : [ 1,  {"b": 2} ], "framework": "Flask", "nested": [1,[2]]}'
            )
            statement = sa.text("INSERT INTO plans VALUES (10, 'plan 10', :data)")
            await session.execute(statement, {"data": spaced})
        yield engine


@pytest_asyncio.fixture(loop_scope="module")
async def plans(database):
    async with database.session() as session:
        yield QueryBuilder(Plan, session)


async def ids(query):
    return [item.id for item in await query.order_by("id").all()]


LOOKUPS = {
    "text": ({"data__framework": "FastAPI"}, [1]),
    "text like a number": ({"data__framework": "5"}, [4]),
    "a number like text": ({"data__framework": 5}, [3]),
    "a number": ({"data__score": 3}, [1]),
    "a float": ({"data__score": 4.5}, [2]),
    "a float like an integer": ({"data__score": 3.0}, [1]),
    "more": ({"data__score__gt": 3}, [2]),
    "at least": ({"data__score__gte": 3}, [1, 2]),
    "less, and not rounded": ({"data__score__lt": 4.4}, [1, 4]),
    "between": ({"data__score__between": [-7, 3]}, [1, 4]),
    "text after": ({"data__score__gt": "a"}, [3]),
    "a large integer": ({"data__big": 2**60}, [3]),
    "another large integer": ({"data__big": 2**60 + 1}, []),
    "less than a large integer": ({"data__big__lt": 2**60 + 1}, [3]),
    "true": ({"data__done": True}, [1]),
    "false": ({"data__done": False}, [2]),
    "true as text": ({"data__done": "true"}, [3]),
    "null or missing": ({"data__done": None}, [4, 5, 6, 7, 8, 9, 10]),
    "is there": ({"data__done__isnull": False}, [1, 2, 3]),
    "is not there": ({"data__framework__isnull": True}, [5, 7, 8, 9]),
    "not equal": ({"data__framework__ne": "FastAPI"}, [2, 3, 4, 5, 6, 7, 8, 9, 10]),
    "in": ({"data__framework__in": ["Django", "5", 5]}, [2, 3, 4]),
    "in, with null": ({"data__framework__in": ["Django", None]}, [2, 5, 7, 8, 9]),
    "in nothing": ({"data__framework__in": []}, []),
    "not in": ({"data__done__not_in": [True, False, None]}, [3]),
    "part of text": ({"data__framework__contains": "ang"}, [2]),
    "part of text, any case": ({"data__framework__icontains": "FAST"}, [1]),
    "beginning": ({"data__framework__startswith": "F"}, [1, 10]),
    "pattern": ({"data__framework__like": "_jan%"}, [2]),
    "an item": ({"data__tags__contains": "a"}, [1, 3]),
    "an item that is a number": ({"data__tags__contains": 5}, [2]),
    "an item that is null": ({"data__tags__contains": None}, [2]),
    "items": ({"data__tags__contains": ["b", "a"]}, [1]),
    "an object among the items": ({"data__items__contains": {"n": 1}}, [5]),
    "no such object": ({"data__items__contains": {"n": 2}}, []),
    "a list among the items": ({"data__spaced__contains": [[1]]}, []),
    "a list inside of a list": ({"data__nested__contains": [2]}, [10]),
    "a list that is no item": ({"data__nested__contains": [1, 2]}, []),
    "an object in a list in the top": (
        {"data__contains": {"framework": "FastAPI"}},
        [1, 7],
    ),
    "an object is no item of an object": ({"data__a__contains": {"c": 1}}, []),
    "an entry": ({"data__contains": {"done": True}}, [1]),
    "a key": ({"data__has_key": "items"}, [5]),
    "a key further down": ({"data__a__has_key": "b"}, [4]),
    "an index": ({"data__tags__0": "a"}, [1]),
    "an index of the top": ({"data__0": "top"}, [7]),
    "further down": ({"data__a__b__c": 1}, [4]),
    "a list": ({"data__tags": ["a", "b"]}, [1]),
    "a tuple": ({"data__tags": ("a", "b")}, [1]),
    "an object": ({"data__a": {"b": {"c": 1}}}, [4]),
    "spaces make no difference": ({"data__spaced": [1, {"b": 2}]}, [10]),
    "the whole": ({"data": PLANS[7]}, [7]),
    "no JSON at all": ({"data": None}, [8, 9]),
    "some JSON": ({"data__isnull": False}, [1, 2, 3, 4, 5, 6, 7, 10]),
    "a key named like an operator": ({"data__in__exact": "key"}, [6]),
    "a key with a space": ({"data__a b": "q\"'\\"}, [6]),
    "a missing key": ({"data__nothing__at__all": 1}, []),
}


@pytest.mark.parametrize("name", LOOKUPS)
async def test_a_lookup_into_json_finds_its_rows(plans, name):
    lookups, expected = LOOKUPS[name]

    assert expected == await ids(plans.filter(**lookups))
    others = [id_ for id_ in range(1, 11) if id_ not in expected]
    assert others == await ids(plans.exclude(**lookups))


PATHS = {
    "text": (("$.framework", "FastAPI"), [1]),
    "the top": (("$", PLANS[7]), [7]),
    "an index": (("$.tags[0]", "a"), [1]),
    "from the end": (("$.tags[-1]", "b"), [1]),
    "from the end, as in SQLite": (("$.tags[#-1]", "b"), [1]),
    "an index of the top": (("$[1].framework", "FastAPI"), [7]),
    "a quoted key": (('$."a b"', "q\"'\\"), [6]),
    "an operator": (("$.score", 4, "gte"), [2]),
    "a key": (("$.a", "b", "has_key"), [4]),
    "missing": (("$.nothing", None), list(range(1, 11))),
    "any item": (("$.tags[*]", "b"), [1, 2]),
    "any item is a number": (("$.tags[*]", 5), [2]),
    "any item is null": (("$.tags[*]", None), [2]),
    "any item of a list": (("$.tags[*]", ["x", "a"], "in"), [1]),
    "any item is more": (("$.tags[*]", 4, "gt"), [2]),
    "any item starts with": (("$.tags[*]", "A", "istartswith"), [1]),
    "any item is another": (("$.tags[*]", "b", "ne"), [1, 2]),
    "inside of any item": (("$.items[*].n", "x"), [5]),
    "an index after any item": (("$.items[*][0]", "x"), []),
}


@pytest.mark.parametrize("name", PATHS)
async def test_a_path_finds_its_rows(plans, name):
    arguments, expected = PATHS[name]

    assert expected == await ids(plans.filter_json("data", *arguments))
    assert expected == await ids(plans.filter_json(Plan.data, *arguments))


async def test_conditions_into_json_can_be_grouped(plans):
    either = any_of(data__score__gt=3, data__framework="FastAPI")

    assert [1, 2] == await ids(plans.filter(either))
    assert [1, 2] == await ids(plans.filter(either, data__done__isnull=False))


@pytest.mark.parametrize(
    "path",
    ["", "framework", "$framework", "$.", "$..a", "$.a.", "$.a[", "$.a[x]", "$.a[]",
     "$.*", "$ .a", "$.a b", '$."a', "$.a;", "$[*", "$[99999999999]", "$.a'"],
)  # fmt: skip
async def test_a_wrong_path_is_refused(plans, path):
    with pytest.raises(InvalidDataError, match=r"Plan\.data: .* is no path") as raised:
        plans.filter_json("data", path, 1)
    assert ("data", path) == (raised.value.field, raised.value.value)


@pytest.mark.parametrize("path", [5, None, ["a"], b"$.a"])
async def test_what_is_no_path_is_refused(plans, path):
    with pytest.raises(InvalidDataError, match=r"Plan\.data: expected a path such as"):
        plans.filter_json("data", path, 1)
    with pytest.raises(UnknownFieldError, match="'data__5'"):
        plans.filter_json("data", "$.a", 1, 5)


@pytest.mark.parametrize(
    ("path", "value", "op"),
    [
        ("$.a", [1, 2**127], "in"),
        ("$.a", dt.date(2026, 1, 1), "exact"),
        ("$.a", {1, 2}, "contains"),
        ("$.a", True, "gt"),
        ("$.a", None, "gt"),
        ("$.a", [1], "lte"),
        ("$.a", 2**127, "exact"),
        ("$.a", "text", "in"),
        ("$.a", 5, "startswith"),
        ("$.a", 5, "has_key"),
        ("$.a", "\ud800", "exact"),
        ("$.a", ["\ud800"], "exact"),
        ("$.a", 1, "between"),
        ("$.a", (1, 2, 3), "between"),
        ('$.a[*].""', 1, "exact"),
        ('$[*]."*"', 1, "exact"),
        ('$."\ud800"', 1, "exact"),
    ],
)
async def test_a_wrong_value_is_refused(plans, path, value, op):
    with pytest.raises(InvalidDataError, match=r"^Plan\.data") as raised:
        plans.filter_json("data", path, value, op)
    assert isinstance(raised.value.__cause__, (TypeError, ValueError))


async def test_a_value_that_contains_itself_is_refused(plans):
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(InvalidDataError):
        plans.filter(data__a=endless)


async def test_what_is_no_json_is_refused(plans):
    with pytest.raises(InvalidDataError, match=r"Plan\.name: is no JSON column"):
        plans.filter_json("name", "$.a", 1)
    with pytest.raises(UnknownFieldError, match=r"'data__contain'.*'data__contains'"):
        plans.filter_json("data", "$.a", 1, "contain")
    with pytest.raises(UnknownFieldError, match=r"'dat'.*did you mean 'data'"):
        plans.filter_json("dat", "$.a", 1)
    with pytest.raises(UnknownFieldError):
        plans.filter_json(Project.architecture, "$.a", 1)
    with pytest.raises(UnknownFieldError, match="name__x"):
        plans.order_by("name__x")


async def test_values_in_json_order_and_group(plans):
    few = plans.filter(id__in=[1, 2, 3, 4])
    by_score = few.order_by("data__score")
    assert [4, 1, 2, 3] == [plan.id for plan in await by_score.all()]
    down = few.filter(id__ne=3).order_by("-data__score")
    assert [2, 1, 4] == [plan.id for plan in await down.all()]
    groups = few.group_by("data__framework").aggregate(n=func.count())
    assert [("5", 2), ("Django", 1), ("FastAPI", 1)] == (
        await groups.order_by("data__framework").all()
    )
    assert 3 == await few.distinct("data__framework").count()
    assert "FastAPI" == await few.order_by("id").scalar("data__framework")
    with pytest.raises(InvalidDataError, match="plain columns"):
        await plans.order_by("data").paginate(5)


AGGREGATES = {
    "a name": (func.avg(func.json_extract("data", "$.score")), 0.1666667),
    "a column": (func.avg(func.json_extract(Plan.data, "$.score")), 0.1666667),
    "brackets": (func.avg(Plan.data["score"]), 0.1666667),
    "text": (func.sum(func.json_extract_string("data", "$.score")), 0.5),
    "a maximum": (func.max(func.json_extract("data", "$.score")), 4.5),
    "a quantile": (func.quantile_cont(func.json_extract("data", "$.score"), 0.5), 3),
    "some rows": (
        func.sum(func.json_extract("data", "$.score")).filter(Plan.id < 3), 7.5,
    ),
    "in an expression": (func.abs(func.min(Plan.data["score"])), 7),
    "no number": (func.count(func.json_extract("data", "$.framework")), 7),
    "a longer way": (
        func.sum(func.json_array_length(func.json_extract("data", "$.tags"))), 5,
    ),
    "another text": (func.max(func.json_extract('{"a":5}', "$.a")), 5),
}  # fmt: skip


@pytest.mark.parametrize("name", AGGREGATES)
async def test_json_is_aggregated_as_numbers(plans, name):
    expression, expected = AGGREGATES[name]

    found = await plans.aggregate([expression.label("found")]).first()

    assert pytest.approx(expected) == found.found


async def test_text_stays_text_in_aggregates(plans):
    framework = func.json_extract_string("data", "$.framework")

    row = await plans.aggregate(
        last=func.max(framework), first=func.min(framework), usual=func.mode(framework)
    ).one()

    # one of the frameworks is an object, as text
    assert ('{"name":"x"}', "5", "5") == tuple(row)
    words = func.json_extract_path_text("data", "$.score")
    assert "high" == await plans.filter(id__lt=5).aggregate(func.max(words)).scalar()


async def test_a_name_is_a_column_wherever_an_expression_stands(plans):
    framework = func.json_extract_string("data", "$.framework")
    score = func.json_extract("data", "$.score")

    assert [1] == await ids(plans.filter(framework == "FastAPI"))
    assert [1, 3, 4] == await ids(plans.filter(any_of(framework == "5", id=1)))
    assert [2] == await ids(plans.filter(id__lt=3).exclude(framework == "FastAPI"))
    few = plans.filter(id__in=[1, 2])
    assert [1, 2] == [p.id for p in await few.order_by(score).all()]
    assert [2, 1] == [p.id for p in await few.order_by(score.desc()).all()]
    assert "Django" == await few.order_by("-id").scalar(framework)
    assert 2 == await few.distinct(framework).count()
    rows = few.group_by(framework).aggregate(n=func.count())
    by_framework = rows.having(func.max(framework) > "E").order_by(framework)
    assert [("FastAPI", 1)] == await by_framework.all()
    named = few.group_by(framework, Plan.name, func.lower(framework))
    both = named.aggregate(same=framework, n=func.count()).having(Plan.name != "x")
    assert ("Django", "plan 2", "django", "Django", 1) == (
        await both.order_by(framework, Plan.name).first()
    )
    with pytest.raises(UnknownFieldError, match=r"'dada'.*did you mean 'data'"):
        plans.filter(func.json_extract_string("dada", "$.framework") == "x")
    with pytest.raises(UnknownFieldError, match=r"'dada'.*did you mean 'data'"):
        plans.order_by(func.json_extract("dada", "$.framework"))
    assert 10 == await plans.filter(func.json_type("null") == "NULL").count()


async def test_many_values_are_looked_up_at_once(plans):
    numbers = [*range(4_000), 2**60, 2.5]
    texts = [str(number) for number in range(4_000)]

    for values, expected in [(numbers, [3]), (texts, [4]), (numbers + texts, [3, 4])]:
        query = plans.filter(data__framework__in=values)
        assert expected == await ids(query)
        assert query.to_sql().count(" OR ") <= 4
    assert [3] == await ids(plans.filter(data__big__in=[2**60, None, 7], id=3))
    assert [5, 6] == await ids(plans.filter(data__score__in=[[3]]).order_by("id")) + (
        await ids(plans.filter(data__framework__in=[{"name": "x"}, [1]]))
    )


async def test_a_name_in_a_json_function_is_a_column(plans):
    with pytest.raises(UnknownFieldError, match=r"'dada'.*did you mean 'data'"):
        plans.aggregate(func.json_extract("dada", "$.score"))
    groups = plans.filter(id__lt=3).group_by(func.json_extract_string("data", "$.done"))
    many = groups.having(func.max(func.json_extract("data", "$.score")) > 4)
    assert [("false", 1)] == await many.aggregate(func.count()).all()


async def test_the_examples_of_issue_6_run_as_written():
    start_date, end_date = dt.date(2026, 1, 1), dt.date(2027, 1, 1)
    async with DatabaseEngine(":memory:") as engine:
        await engine.create_all()
        async with engine.transaction() as session:
            for number, framework in enumerate(["FastAPI", "Django", "FastAPI"]):
                architecture = {"framework": framework, "complexity_score": number}
                session.add(Project(
                    name=f"project {number}", project_idea="x", status="active",
                    architecture=architecture,
                    created_at=dt.datetime(2026, 1, 1 + number, tzinfo=dt.UTC),
                ))  # fmt: skip
            session.add(Project(name="draft", project_idea="x"))
        async with engine.session() as session:
            # fmt: off
            projects = await (QueryBuilder(Project, session)
                .filter(status="active")
                .filter_by_date_range("created_at", start_date, end_date)
                .filter_json("architecture", "$.framework", "FastAPI")
                .order_by(Project.created_at.desc())
                .limit(50)
                .all())

            # Aggregation support
            metrics = await (QueryBuilder(Project, session)
                .filter(status="active")
                .aggregate([
                    func.count().label("total"),
                    func.avg(func.json_extract("architecture", "$.complexity_score")).label("avg_complexity")  # noqa: E501 - as in issue #6
                ])
                .first())
            # fmt: on

    assert ["project 2", "project 0"] == [project.name for project in projects]
    assert (3, 1.0) == (metrics.total, metrics.avg_complexity)
