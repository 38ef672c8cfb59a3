"""
Whatever comes in by a query runs no SQL but ours, and is found as it is.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime as dt
import enum
import json
import uuid
from decimal import Decimal
from functools import partial
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from project_architect_db import ArchitectError, DatabaseEngine, UnknownFieldError
from project_architect_db.errors import InvalidDataError
from project_architect_db.orm.query import QueryBuilder
from project_architect_db.orm.repository import BaseRepository


def is_utf8(text):
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


FULL = [pytest.mark.storm, pytest.mark.timeout(1800)]
PIECES = ["'", '"', ";", "--", "/*", "*/", "\\", "%", "%s", "%(a)s", "%%", "_", "__",
          "/", "$", "$1", "$.", "[", "]", "[*]", "(", ")", ":x", "?", "\0", "\n", "{}",
          "\u2028", "\u0130", "\U0001f600", "e\u0301", ",", ".", " ", "-", "0",
          "DROP TABLE texts", "text", "data", "id"]  # fmt: skip
TEXTS = (
    st.text(max_size=12)
    | st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
    | st.sampled_from(
        ["'; DROP TABLE texts; --", '"; DROP TABLE texts; --', "\ud800", "text__",
         "%(id_1)s", "__[POSTCOMPILE_id_1]", "-text", "--text", "$.a", '$."', "$.a[*]",
         "5", "true", "null", '"a"', "[1]", "NaN", "1e999", "x" * 300, "data__a",
         "parent__text", "parent"]
    )
)  # fmt: skip
VALUES = TEXTS | st.none() | st.booleans() | st.integers() | st.floats() | st.binary(
    max_size=5
) | st.decimals() | st.datetimes() | st.dates() | st.times() | st.uuids() | st.lists(
    TEXTS, max_size=3
) | st.dictionaries(TEXTS, TEXTS, max_size=2)  # fmt: skip
OPERATORS = [
    "", "exact", "ne", "lt", "lte", "gt", "gte", "in", "not_in", "isnull", "between",
    "contains", "icontains", "startswith", "iendswith", "like", "ilike", "has_key",
]  # fmt: skip


class Kind(enum.Enum):
    plain = 1
    odd = 2


class Base(DeclarativeBase):
    pass


class Text(Base):
    __tablename__ = "texts"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    number: Mapped[int | None]
    ratio: Mapped[float | None]
    price: Mapped[Decimal | None] = mapped_column(sa.Numeric(12, 3))
    flag: Mapped[bool | None]
    token: Mapped[uuid.UUID | None]
    kind: Mapped[Kind | None]
    blob: Mapped[bytes | None]
    day: Mapped[dt.date | None]
    hour: Mapped[dt.time | None]
    moment: Mapped[dt.datetime | None] = mapped_column(sa.DateTime(timezone=True))
    data: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    parent_id: Mapped[int | None] = mapped_column(sa.ForeignKey("texts.id"))

    parent: Mapped[Text | None] = relationship(remote_side=[id])


COLUMNS = sa.inspect(Text).column_attrs.keys()
OURS = ("SELECT", "INSERT INTO texts (", "UPDATE texts SET ", "DELETE FROM texts ",
        "BEGIN", "COMMIT", "ROLLBACK")  # fmt: skip
NAMES = [*COLUMNS, "data__a", "data__a__0", "other", "parent__text", "parent__data__a"]
KNOWN = {*COLUMNS, "parent", "n", *OPERATORS}


class Texts(BaseRepository[Text]):
    pass


@pytest.fixture(scope="module")
def runner():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def database(runner):
    engine = DatabaseEngine(":memory:", metadata=Base.metadata)
    runner.run(fill(engine))
    statements: set[str] = set()
    engine.on_query(lambda query: statements.add(query.statement))
    yield engine
    runner.run(engine.close())
    for statement in statements:
        assert statement.startswith(OURS)
        assert 1 == len(duckdb.extract_statements(statement))


async def fill(engine):
    await engine.create_all()
    async with engine.transaction() as session:
        session.add(Text(id=1, text="other", data={"other": "x"}))
        session.add(Text(id=2, text="", data={}, parent_id=1))


def hostile(every_day, **strategies):
    """
    Have a test run with so many examples every day, and with 10,000 in the storm.
    """
    examples = [pytest.param(every_day, id="some"),
                pytest.param(10_000, id="full", marks=FULL)]  # fmt: skip

    def decorate(check):
        @pytest.mark.parametrize("examples", examples)
        def test(database, runner, examples):
            async def in_a_session(values):
                async with database.session() as session:
                    await check(session, **values)
                    assert 2 == await QueryBuilder(Text, session).count()

            def all_examples(values):
                runner.run(in_a_session(values))

            all_examples.__name__ = check.__name__
            limited = settings(max_examples=examples, deadline=None)
            limited(given(st.fixed_dictionaries(strategies))(all_examples))()

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return test

    return decorate


async def run_all(*calls, is_known=True):
    """
    Each call is refused; or it is about a name that is known, and its query runs.
    """
    for call in calls:
        try:
            query = call()
        except (UnknownFieldError, InvalidDataError):
            continue
        assert is_known, query.to_sql()
        await query.limit(1).all()


@hostile(20, text=TEXTS.filter(is_utf8), key=TEXTS.filter(is_utf8))
async def test_a_text_is_found_as_it_is(session, text, key):
    data = {"list": [text], "key": key, "a": {key: text}}
    texts = Texts(session)
    await texts.create({"id": 3, "text": text, "data": data})
    await texts.bulk_create([{"id": 4, "text": text, "data": data}])
    session.expunge_all()

    found = QueryBuilder(Text, session).filter(id__gte=3, text=text)
    assert data == await found.scalar("data")
    quoted = key.replace("\\", r"\\").replace('"', r"\"")
    meets = found.filter(
        text__in=[text], text__contains=text, text__startswith=text,
        text__iendswith=text, text__between=(text, text), data__key__exact=key,
        data__list__contains=text, data__list__0=text, data__a__has_key=key,
    ).search(text).filter_json("data", "$.list[*]", text)  # fmt: skip
    assert 2 == await meets.filter_json("data", f'$.a."{quoted}"', text).count()
    assert 0 == await found.filter(text__ne=text).count()
    assert 2 == len(await texts.list(text=text, id__gte=3, data__key__exact=key))
    page = await found.order_by("text").paginate(1)
    page = await found.order_by("text").paginate(1, cursor=page.next_cursor)
    assert [(4, text, data)] == [(each.id, each.text, each.data) for each in page.items]
    rows = found.group_by("text").aggregate(n=func.count())
    assert [(text, 2)] == await rows.order_by("-text").all()

    await texts.update(3, {"text": text + key, "data": {key: [text]}})
    await texts.bulk_update([{"id": 4, "text": text + key, "data": {key: [text]}}])
    session.expunge_all()
    both = await texts.list(text=text + key, id__gte=3)
    assert 2 * [{key: [text]}] == [each.data for each in both]
    assert 2 == await texts.bulk_delete([3, 4])


@hostile(100, name=st.sampled_from(NAMES), op=st.sampled_from(OPERATORS), value=VALUES)
async def test_any_value_is_taken_or_refused(session, name, op, value):
    lookup = f"{name}__{op}".removesuffix("__")
    texts = QueryBuilder(Text, session)
    await run_all(
        lambda: texts.filter(**{lookup: value}),
        lambda: texts.exclude(**{lookup: value}),
        lambda: texts.filter_by_date_range(name, value, value),
        lambda: texts.order_by(name).after(value, 0),
        lambda: texts.limit(value).offset(value),
        lambda: texts.search(value, name),
    )


@hostile(100, name=TEXTS, value=VALUES)
async def test_any_name_is_known_or_refused(session, name, value):
    texts = QueryBuilder(Text, session)
    joined = texts.join("parent")
    rows = texts.group_by("id")
    await run_all(
        lambda: texts.filter(**{name: value}),
        lambda: texts.filter(**{f"text__{name}": value}),
        lambda: texts.filter(**{f"parent__{name}": value}),
        lambda: texts.order_by(name),
        lambda: texts.order_by(f"-{name}"),
        lambda: joined.order_by(f"parent__{name}"),
        lambda: texts.distinct(name),
        lambda: texts.group_by(name),
        lambda: rows.aggregate(n=func.count()).order_by(name),
        lambda: texts.search("x", name),
        lambda: texts.filter_by_date_range(name, None, value),
        lambda: texts.filter_json(name, "$.a", value),
        lambda: texts.filter_json("data", "$.a", value, name),
        lambda: texts.load(name),
        lambda: texts.join(name),
        is_known=name.removeprefix("-").partition("__")[0] in KNOWN,
    )


@hostile(20, path=TEXTS, value=VALUES)
async def test_any_path_is_taken_or_refused(session, path, value):
    texts = QueryBuilder(Text, session)
    written = [path, f"$.{path}", f'$."{path}"', f"$[*].{path}", f"$.a[{path}]"]
    keys = f"data__{path}"
    await run_all(
        *(partial(texts.filter_json, "data", each, value) for each in written),
        lambda: texts.filter(**{keys: value}),
        lambda: texts.filter(**{f"{keys}__in": [value]}),
        lambda: texts.join("parent").filter(**{f"parent__{keys}": value}),
        lambda: texts.order_by(keys),
        lambda: texts.order_by(f"-{keys}"),
        lambda: texts.distinct(keys),
        lambda: texts.group_by(keys).aggregate(n=func.count()).order_by(f"-{keys}"),
    )
    with contextlib.suppress(UnknownFieldError, InvalidDataError):
        assert await texts.scalar(keys) is None


@hostile(20, text=TEXTS)
async def test_any_text_in_an_aggregate_is_a_value_or_a_label(session, text):
    texts = QueryBuilder(Text, session).filter(id=1)
    with contextlib.suppress(InvalidDataError):
        labelled = texts.aggregate(**{text: func.count()}).order_by(f"-{text}")
        assert {text: 1} == (await labelled.one())._mapping
    if is_utf8(text):
        rows = texts.aggregate(n=func.max(func.concat("<", text, ">")))
        assert f"<{text}>" == await rows.having(func.max(Text.text) != text).scalar()
    for part in (text, "data"), (Text.data, text), ("data", f"$.{text}"):
        with contextlib.suppress(ArchitectError):
            await texts.aggregate(n=func.sum(func.json_extract(*part))).one()
        await session.rollback()


@hostile(50, text=TEXTS, value=VALUES, number=VALUES)
async def test_any_cursor_and_number_is_taken_or_refused(session, text, value, number):
    texts = QueryBuilder(Text, session)
    given_values = json.dumps([["text", "id"], [text, str(number)]]).encode()
    for cursor in (text, base64.urlsafe_b64encode(given_values).decode()):
        with pytest.raises(InvalidDataError):
            await texts.order_by("text").paginate(1, cursor=cursor)
    await run_all(
        lambda: texts.limit(number),
        lambda: texts.offset(number),
        lambda: texts.order_by("text").after(text, value),
        lambda: texts.order_by("-text").after(value, number),
    )


@hostile(40, name=TEXTS, value=VALUES)
async def test_any_id_and_record_is_taken_or_refused(session, name, value):
    texts = Texts(session)
    row = {"text": "", "data": {}, name: value}
    for call in (
        lambda: texts.get_by_id(value),
        lambda: texts.get_many([value]),
        lambda: texts.delete(value),
        lambda: texts.bulk_delete([value]),
        lambda: texts.list(**{name: value}),
        lambda: texts.exists(**{name: value}),
        lambda: texts.delete_where(**{name: value}),
        lambda: texts.paginate(order_by=[name]),
        lambda: texts.create(row),
        lambda: texts.create({"text": value, "data": {name: value}}),
        lambda: texts.update(1, {name: value}),
        lambda: texts.upsert(row, match=[name]),
        lambda: texts.bulk_create([row]),
        lambda: texts.bulk_update([{"id": 1, name: value}]),
        lambda: texts.bulk_upsert([row], match=[name]),
    ):
        with contextlib.suppress(ArchitectError):
            await call()
        await session.rollback()


@pytest.mark.parametrize("key", ["%(", "%(id_1)s", "__[POSTCOMPILE_id_1]", "\ud800"])
def test_what_sqlalchemy_takes_for_a_parameter_is_no_label(key):
    texts = QueryBuilder(Text, AsyncSession()).filter(id__in=[1])
    with pytest.raises(InvalidDataError, match="can be called that"):
        texts.aggregate(**{key: func.count()})
    with pytest.raises(InvalidDataError):
        texts.group_by(f"data__{key}")


def test_an_integer_that_no_decimal_has_is_refused(database, runner):
    async def count(price):
        async with database.session() as session:
            return await QueryBuilder(Text, session).filter(price__lt=price).count()

    assert 0 == runner.run(count(10**35 - 1))
    with pytest.raises(InvalidDataError, match="more than 35 digits"):
        runner.run(count(10**35))
