"""
The rows of queries as Arrow tables, data frames and files.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import sys
import threading
import uuid
from decimal import Decimal

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from project_architect_db import DatabaseEngine
from project_architect_db.dialect.types import ENUM, Struct
from project_architect_db.errors import ConfigurationError, InvalidDataError
from project_architect_db.orm import export
from project_architect_db.orm.query import QueryBuilder

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Base(DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "rows"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str | None]
    big: Mapped[int | None] = mapped_column(sa.BigInteger)
    ratio: Mapped[float | None]
    price: Mapped[Decimal | None] = mapped_column(sa.Numeric(12, 3))
    flag: Mapped[bool | None]
    token: Mapped[uuid.UUID | None]
    data: Mapped[dict | None] = mapped_column(sa.JSON)
    blob: Mapped[bytes | None]
    day: Mapped[dt.date | None]
    hour: Mapped[dt.time | None]
    naive: Mapped[dt.datetime | None]
    aware: Mapped[dt.datetime | None] = mapped_column(sa.DateTime(timezone=True))
    length: Mapped[dt.timedelta | None] = mapped_column(sa.Interval)
    kind: Mapped[str | None] = mapped_column(ENUM("a", "it's, b", name="kinds"))
    numbers: Mapped[list | None] = mapped_column(sa.ARRAY(sa.Integer))
    tokens: Mapped[list | None] = mapped_column(sa.ARRAY(sa.Uuid))
    struct: Mapped[dict | None] = mapped_column(Struct({"n": sa.Integer}))
    nothing: Mapped[str | None]


TOKEN = uuid.UUID(int=5)
FULL = {
    "id": 1, "text": 'a "b", c\nd', "big": 2**62, "ratio": 0.1,
    "price": Decimal("123456789.125"), "flag": True, "token": TOKEN,
    "data": {"a": [1, None, "ü"]}, "blob": b"\0\xff", "day": dt.date(2026, 1, 2),
    "hour": dt.time(1, 2, 3, 4), "naive": dt.datetime(2026, 1, 2, 3, 4, 5, 6),
    "aware": dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC),
    "length": dt.timedelta(days=1, seconds=2), "kind": "it's, b",
    "numbers": [1, None, 2], "tokens": [TOKEN], "struct": {"n": 5}, "nothing": None,
}  # fmt: skip
EXPORTED = FULL | {
    "token": str(TOKEN), "data": '{"a":[1,null,"ü"]}', "length": "1 day 00:00:02",
    "tokens": f'["{TOKEN}"]', "struct": '{"n":5}',
}  # fmt: skip
TYPES = {
    "id": pa.int32(), "text": pa.string(), "big": pa.int64(), "ratio": pa.float64(),
    "price": pa.decimal128(12, 3), "flag": pa.bool_(), "token": pa.string(),
    "data": pa.string(), "blob": pa.binary(), "day": pa.date32(),
    "hour": pa.time64("us"), "naive": pa.timestamp("us"),
    "aware": pa.timestamp("us", "UTC"), "length": pa.string(), "kind": pa.string(),
    "numbers": pa.list_(pa.int32()), "tokens": pa.string(), "struct": pa.string(),
    "nothing": pa.string(),
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database():
    async with DatabaseEngine(":memory:", metadata=Base.metadata) as engine:
        await engine.create_all()
        async with engine.transaction() as session:
            session.add(Row(**FULL))
            session.add(Row(id=2, text="", data=sa.null()))
        yield engine


@pytest_asyncio.fixture(loop_scope="module")
async def rows(database):
    async with database.session() as session:
        yield QueryBuilder(Row, session).order_by("id")


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(export, "ROWS_AT_A_TIME", 1)
    monkeypatch.setattr(export, "BATCHES_IN_A_ROW_GROUP", 2)


async def test_every_value_arrives_as_it_is(rows):
    table = await rows.to_arrow()

    assert TYPES == dict(zip(table.schema.names, table.schema.types, strict=True))
    full, empty = table.to_pylist()
    assert EXPORTED == full
    assert {"id": 2, "text": ""} == {k: v for k, v in empty.items() if v is not None}


@pytest.mark.parametrize("name", [name for name in FULL if name != "struct"])
async def test_every_value_can_be_filtered_by_and_read_in_sql(rows, name):
    query = rows.filter(**{"id": 1, name: FULL[name]})

    assert "WHERE" in query.to_sql()
    assert [1] == [row.id for row in await query.all()]


async def test_bytes_are_read_behind_the_sql(rows):
    sql = rows.filter(blob=b"\xff").to_sql()

    assert "rows.blob = $1" in sql
    assert sql.endswith(r"-- {'blob_1': b'\xff'}")


async def test_no_rows_have_the_same_types(rows):
    table = await rows.filter(id=9).to_arrow()

    assert (0, list(TYPES.values())) == (table.num_rows, table.schema.types)


async def test_a_parquet_file_has_all_of_it(rows, tmp_path, small_batches):
    path = tmp_path / "rows.parquet"

    assert 2 == await rows.to_parquet(path)
    assert (await rows.to_arrow()).to_pylist() == pa.parquet.read_table(
        path
    ).to_pylist()
    assert [path] == list(tmp_path.iterdir())


async def test_a_parquet_file_without_rows_has_types(rows, tmp_path):
    assert 0 == await rows.filter(id=9).to_parquet(str(tmp_path / "none.parquet"))
    schema = pa.parquet.read_schema(tmp_path / "none.parquet")
    assert list(TYPES.values()) == schema.types


async def test_a_csv_file_has_all_of_it_in_text(rows, tmp_path):
    path = tmp_path / "rows.csv"

    assert 2 == await rows.to_csv(path)
    types = {name: pa.string() for name in TYPES}
    options = pa.csv.ConvertOptions(
        column_types=types, strings_can_be_null=True, quoted_strings_can_be_null=False
    )
    parsing = pa.csv.ParseOptions(newlines_in_values=True)
    found = pa.csv.read_csv(path, convert_options=options, parse_options=parsing)
    full, empty = found.to_pylist()
    assert ('a "b", c\nd', "123456789.125", str(TOKEN), "[1,null,2]", r"\x00\xFF") == (
        full["text"], full["price"], full["token"], full["numbers"], full["blob"],
    )  # fmt: skip
    assert ("2026-01-02 03:04:05.000006Z", "2026-01-02 03:04:05.000006") == (
        full["aware"], full["naive"],
    )  # fmt: skip
    assert ("", None) == (empty["text"], empty["price"])


async def test_a_csv_file_without_rows_has_names(rows, tmp_path):
    assert 0 == await rows.filter(id=9).to_csv(tmp_path / "none.csv")
    assert ",".join(f'"{name}"' for name in TYPES) == (
        (tmp_path / "none.csv").read_text().strip()
    )


async def test_a_failed_export_leaves_the_file_as_it_was(
    rows, database, tmp_path, small_batches
):
    path = tmp_path / "rows.csv"
    path.write_text("as it was")
    bad = Row.text.op("||")("x").cast(sa.Integer)

    with pytest.raises(Exception, match="Could not convert"):
        await rows.aggregate(n=sa.case((Row.id == 1, 1), else_=bad)).to_csv(path)

    assert ["as it was"] == [file.read_text() for file in tmp_path.iterdir()]
    async with database.session() as session:
        assert 2 == await QueryBuilder(Row, session).count()


@pytest.mark.parametrize("method", ["to_parquet", "to_csv"])
async def test_where_no_file_can_be_is_told(rows, tmp_path, method):
    places = [(tmp_path, "is a directory"), (tmp_path / "none" / "x", "No such file"),
              (None, "the path of a file"), (5, "the path of a file")]  # fmt: skip
    for path, problem in places:
        with pytest.raises(InvalidDataError, match=rf"^Row\.path: .*{problem}"):
            await getattr(rows, method)(path)
    assert [] == list(tmp_path.iterdir())


async def test_exports_to_the_same_file_do_not_meet(rows, tmp_path, small_batches):
    path = tmp_path / "rows.parquet"

    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(write(rows, path, number))

    assert [path] == list(tmp_path.iterdir())
    assert 2 == pa.parquet.read_metadata(path).num_rows


async def write(rows, path, number):
    bind = rows._session.get_bind()
    async with AsyncSession(AsyncEngine(bind)) as session:
        assert 2 == await QueryBuilder(Row, session).to_parquet(path), number


async def test_an_integer_that_arrow_does_not_have_is_told(rows):
    large = sa.literal_column("170141183460469231731687303715884105727::HUGEINT")
    query = rows.aggregate(large=func.any_value(large))

    with pytest.raises(InvalidDataError, match=r"Row\.large: .*cast it to String"):
        await query.to_arrow()
    as_text = rows.aggregate(large=func.any_value(sa.cast(large, sa.String)))
    assert [2**127 - 1] == [
        int(n) for n in (await as_text.to_arrow())["large"].to_pylist()
    ]


async def test_columns_are_named_by_their_attributes():
    class Names(DeclarativeBase):
        pass

    class Parent(Names):
        __tablename__ = "parents"

        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str]
        name: Mapped[str] = mapped_column("label")

        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "parent"}

    class Child(Parent):
        __tablename__ = "children"

        id: Mapped[int] = mapped_column(sa.ForeignKey("parents.id"), primary_key=True)
        size: Mapped[int] = mapped_column(deferred=True)

        __mapper_args__ = {"polymorphic_identity": "child"}

    async with DatabaseEngine(":memory:", metadata=Names.metadata) as engine:
        await engine.create_all()
        async with engine.transaction() as session:
            session.add(Child(name="x", size=3))
        async with engine.session() as session:
            table = await QueryBuilder(Child, session).to_arrow()
            groups = QueryBuilder(Parent, session).group_by("name", Parent.kind)
            rows = await groups.aggregate(n=func.count()).order_by("name").to_arrow()

    assert [{"id": 1, "kind": "child", "name": "x", "size": 3}] == table.to_pylist()
    assert [{"name": "x", "kind": "child", "n": 1}] == rows.to_pylist()


@pytest.mark.parametrize("method", ["to_parquet", "to_csv"])
async def test_a_cancelled_export_leaves_no_file(rows, tmp_path, method, monkeypatch):
    monkeypatch.setattr(export, "ROWS_AT_A_TIME", 1)
    monkeypatch.setattr(export, "BATCHES_IN_A_ROW_GROUP", 1)
    writing = asyncio.Event()
    loop = asyncio.get_running_loop()
    batch = export.Export._batch

    def slow_batch(*arguments):
        loop.call_soon_threadsafe(writing.set)
        return batch(*arguments)

    monkeypatch.setattr(export.Export, "_batch", slow_batch)
    task = asyncio.create_task(getattr(rows, method)(tmp_path / "file"))
    await writing.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [] == list(tmp_path.iterdir())
    assert 2 == await rows.count()


async def test_a_cancelled_write_is_waited_for():
    started, go, ended = threading.Event(), threading.Event(), threading.Event()

    def write():
        started.set()
        go.wait()
        ended.set()

    task = asyncio.create_task(export._to_the_end(write))
    await asyncio.to_thread(started.wait)
    task.cancel()
    await asyncio.sleep(0)
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_aggregates_are_exported_too(rows):
    query = rows.group_by("kind").aggregate(
        func.count(), func.sum(Row.id).label("sum"), mean=func.avg(Row.price),
        first=func.any_value(func.json_extract("data", "$.a[0]")),
        day=func.max(func.date_trunc("day", Row.aware)),
    ).order_by("sum")  # fmt: skip
    table = await query.to_arrow()

    assert [
        {"kind": "it's, b", "count": 1, "sum": 1, "mean": 123456789.125, "first": "1",
         "day": dt.datetime(2026, 1, 2, tzinfo=dt.UTC)},
        {"kind": None, "count": 1, "sum": 2, "mean": None, "first": None, "day": None},
    ] == [
        {name.removesuffix("_1"): value for name, value in row.items()}
        for row in table.to_pylist()
    ]  # fmt: skip
    assert pa.decimal128(38, 0) == table.schema.field("sum").type


async def test_what_is_cut_ordered_and_joined_stays_so(rows):
    down = rows.filter(id__gt=0).distinct().limit(1).offset(1)

    assert [2] == (await down.to_arrow()).column("id").to_pylist()


async def test_many_rows_come_in_batches(database, tmp_path):
    async with database.transaction() as session:
        numbers = [{"id": 100 + n, "big": n} for n in range(12_000)]
        await session.execute(sa.insert(Row), numbers)
    async with AsyncSession(database.engine) as session:
        query = QueryBuilder(Row, session).filter(id__gte=100).order_by("-id")
        table = await query.to_arrow()
        assert 12_000 == await query.to_parquet(tmp_path / "many.parquet")
    async with database.transaction() as session:
        await session.execute(sa.delete(Row).where(Row.id >= 100))

    assert list(range(11_999, -1, -1)) == table.column("big").to_pylist()
    assert table == pa.parquet.read_table(tmp_path / "many.parquet")


@pytest.mark.parametrize("package", ["pandas", "polars"])
async def test_a_missing_package_is_named(rows, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigurationError, match=f"pip install {package}"):
        await getattr(rows, f"to_{package}")()


async def test_a_polars_frame_has_the_rows(rows):
    frame = await rows.to_polars()
    assert list(TYPES) == frame.columns
    assert [EXPORTED] == frame.head(1).to_dicts()


async def test_a_pandas_frame_has_the_rows(rows):
    pytest.importorskip("pandas")  # in the extra "frames"
    frame = await rows.to_pandas()
    assert list(TYPES) == list(frame.columns)
    assert [FULL["text"], ""] == list(frame["text"])
