"""
Whatever comes in by a query runs no SQL but ours, and is found as it is.
"""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from project_architect_db import ArchitectError, DatabaseEngine, UnknownFieldError
from project_architect_db.errors import InvalidDataError
from project_architect_db.orm.query import QueryBuilder

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXTS = st.text(max_size=12) | st.sampled_from(
    ["'; DROP TABLE texts; --", "%", "_", "/%", "\\", '"', "$1", ":x", "?", "\0",
     "\ud800", "__", "text__", "-", "--", "$", "$.a", '$."', "$.a[*]", "5", "true",
     "null", '"a"', "[1]", "NaN", "1e999"]
)  # fmt: skip
VALUES = TEXTS | st.none() | st.booleans() | st.integers() | st.floats() | st.binary(
    max_size=5
) | st.decimals() | st.datetimes() | st.lists(TEXTS, max_size=3) | st.dictionaries(
    TEXTS, TEXTS, max_size=2
)  # fmt: skip
NAMES = ["id", "text", "number", "ratio", "data", "data__a", "data__a__0", "other"]
OPERATORS = [
    "", "exact", "ne", "lt", "lte", "gt", "gte", "in", "not_in", "isnull", "between",
    "contains", "icontains", "startswith", "iendswith", "like", "ilike", "has_key",
]  # fmt: skip


class Base(DeclarativeBase):
    pass


class Text(Base):
    __tablename__ = "texts"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    number: Mapped[int | None]
    ratio: Mapped[float | None]
    data: Mapped[dict[str, Any]] = mapped_column(sa.JSON)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database():
    async with DatabaseEngine(":memory:", metadata=Base.metadata) as engine:
        await engine.create_all()
        async with engine.transaction() as session:
            session.add(Text(id=1, text="other", data={"other": "x"}))
            session.add(Text(id=2, text="", data={}))
        statements: list[str] = []
        engine.on_query(lambda query: statements.append(query.statement))
        yield engine
        for statement in set(statements):
            assert statement.startswith(
                ("SELECT", "INSERT INTO texts", "DELETE", "COMMIT")
            )
            assert "DROP" not in statement


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def texts(database):
    async with database.session() as session:
        yield QueryBuilder(Text, session)


def quickly(examples=100, **strategies):
    return lambda test: settings(max_examples=examples, deadline=None)(
        given(**strategies)(test)
    )


@quickly(60, text=TEXTS, key=TEXTS)
async def test_a_text_is_found_as_it_is(database, text, key):
    try:
        (text + key).encode()
    except UnicodeEncodeError:
        return
    async with database.transaction() as session:
        texts = QueryBuilder(Text, session)
        row = Text(id=3, text=text, data={key: text, "list": [text]})
        session.add(row)
        await session.flush()
        found = texts.filter(id=3)
        assert text == await found.filter(text=text).scalar("text")
        assert await found.filter(text__contains=text).exists()
        assert await found.filter(text__startswith=text, text__iendswith=text).exists()
        assert await found.filter(
            data__list__contains=text, data__list__0=text
        ).exists()
        assert await found.filter_json("data", "$.list[*]", text).exists()
        assert await found.filter(data__has_key=key).exists()
        assert await found.search(text).exists()
        quoted = key.replace("\\", r"\\").replace('"', r"\"")
        path = f'$."{quoted}"'
        assert await found.filter_json("data", path, text).exists() or key == "list"
        assert 1 == await found.filter(text__in=[text], text__ne=text + "x").count()
        session.expunge(row)
        await session.execute(sa.delete(Text).where(Text.id == 3))


@quickly(name=st.sampled_from(NAMES), op=st.sampled_from(OPERATORS), value=VALUES)
async def test_any_value_is_taken_or_refused(texts, name, op, value):
    lookup = f"{name}__{op}".rstrip("_")
    try:
        query = texts.filter(**{lookup: value})
    except (UnknownFieldError, InvalidDataError):
        return
    assert 0 <= await query.count() <= 2
    assert isinstance(query.to_sql(), str)


@quickly(name=TEXTS, value=TEXTS)
async def test_any_name_is_known_or_refused(texts, name, value):
    calls = [
        lambda: texts.filter(**{name: value}),
        lambda: texts.filter(**{f"text__{name}": value}),
        lambda: texts.order_by(name),
        lambda: texts.distinct(name),
        lambda: texts.search(value, name),
        lambda: texts.filter_by_date_range(name, None, value),
        lambda: texts.filter_json(name, "$.a", value),
        lambda: texts.filter_json("data", "$.a", value, name),
        lambda: texts.load(name),
        lambda: texts.join(name),
    ]
    for call in calls:
        try:
            call()
        except (UnknownFieldError, InvalidDataError):
            continue
        assert name.lstrip("-") in {*NAMES, *OPERATORS, "__"}


@quickly(path=TEXTS, value=VALUES, cursor=TEXTS)
async def test_any_path_and_cursor_is_taken_or_refused(texts, path, value, cursor):
    for written in (path, f"$.{path}", f'$."{path}"', f"$[*].{path}"):
        try:
            query = texts.filter_json("data", written, value)
        except InvalidDataError:
            continue
        assert 0 <= await query.count() <= 2
    keys = path.replace("__", "")
    with contextlib.suppress(InvalidDataError):
        assert 0 <= await texts.filter(**{f"data__{keys}__exact": value}).count() <= 2
    with pytest.raises(ArchitectError):
        await texts.paginate(1, cursor=cursor)


async def test_the_table_is_still_there(texts):
    assert 2 == await texts.count()
