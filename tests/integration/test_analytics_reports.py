"""
Reports of analytics: rows, columns, files and pictures.
"""

from __future__ import annotations

import asyncio
import csv
import json
import sys
import xml.etree.ElementTree as ET
from datetime import UTC, date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from project_architect_db import ConfigurationError, Report
from project_architect_db.analytics import charts, reports
from project_architect_db.analytics.charts import Chart, field, view
from project_architect_db.analytics.questions import Query
from project_architect_db.analytics.repository import AnalyticsRepository
from project_architect_db.analytics.scope import Scope
from project_architect_db.testing import temporary_database


class Sale(NamedTuple):
    """
    A row of every kind of field.
    """

    bucket: datetime
    shop: str | None
    count: int
    share: float | None
    open: bool
    ids: tuple[int, ...] | None


SCOPE = Scope.of({"zone": "Europe/Berlin", "since": date(2026, 3, 1)})
ROWS = (
    Sale(SCOPE.moment(datetime(2026, 3, 29)), 'ä, "b"', 2, 0.5, True, (1, 2)),
    Sale(SCOPE.moment(datetime(2026, 3, 30)), None, 0, None, False, None),
)  # fmt: skip
VIEW = view("bar", x=field("count", "Q"), y=field("shop", "N"))


def report(rows=ROWS):
    return Report("sales", "Sales <by> day", tuple(rows), Sale, SCOPE, VIEW)


def test_a_report_is_a_sequence_of_its_rows():
    assert list(report()) == list(ROWS)
    assert (len(report()), report()[1], report()[:1]) == (2, ROWS[1], ROWS[:1])
    assert repr(report()) == "<Report sales: 2 rows>"
    assert report() == report()
    assert report() != report(ROWS[:1])
    assert report().columns == ("bucket", "shop", "count", "share", "open", "ids")


def test_a_report_cannot_be_changed():
    with pytest.raises(AttributeError):
        report().rows = ()


def test_a_json_api_can_answer_with_it():
    told = json.loads(json.dumps(report().to_dict()))
    assert told == {
        "name": "sales", "title": "Sales <by> day", "granularity": "day",
        "zone": "Europe/Berlin", "since": "2026-03-01T00:00:00+01:00", "until": None,
        "columns": ["bucket", "shop", "count", "share", "open", "ids"],
        "rows": [
            {
                "bucket": "2026-03-29T00:00:00+01:00", "shop": 'ä, "b"', "count": 2,
                "share": 0.5, "open": True, "ids": [1, 2],
            },
            {
                "bucket": "2026-03-30T00:00:00+02:00", "shop": None, "count": 0,
                "share": None, "open": False, "ids": None,
            },
        ],
    }  # fmt: skip


@pytest.mark.parametrize("rows", [ROWS, ()])
def test_columns_have_types_even_without_rows(rows, monkeypatch):
    monkeypatch.setattr(reports, "ROWS_AT_A_TIME", 1)
    table = report(rows).to_arrow()
    assert table.schema == pa.schema({
        "bucket": pa.timestamp("us", "Europe/Berlin"), "shop": pa.string(),
        "count": pa.int64(), "share": pa.float64(), "open": pa.bool_(),
        "ids": pa.list_(pa.int64()),
    })  # fmt: skip
    assert table.num_rows == len(rows)
    assert table["bucket"].to_pylist() == [row.bucket for row in rows]


def test_a_polars_frame():
    frame = report().to_polars()
    assert frame.schema["bucket"] == pl.Datetime("us", "Europe/Berlin")
    assert frame["count"].to_list() == [2, 0]


def test_a_pandas_frame():
    pytest.importorskip("pandas")
    assert report().to_pandas()["count"].to_list() == [2, 0]


@pytest.mark.parametrize("name", ["polars", "pandas"])
def test_a_library_that_is_missing_is_named(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigurationError, match=f"pip install {name}"):
        getattr(report(), f"to_{name}")()


async def test_files(tmp_path):
    path = await report().to_csv(tmp_path / "a.csv")
    with path.open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [
            ["bucket", "shop", "count", "share", "open", "ids"],
            ["2026-03-29T00:00:00+01:00", 'ä, "b"', "2", "0.5", "True", "[1, 2]"],
            ["2026-03-30T00:00:00+02:00", "", "0", "", "False", ""],
        ]
    await report().to_json(tmp_path / "a.json")
    told = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(told) == json.loads(json.dumps(report().to_dict()))
    await report().to_parquet(str(tmp_path / "a.parquet"))
    assert pq.read_table(tmp_path / "a.parquet").equals(report().to_arrow())
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "a.csv", "a.json", "a.parquet",
    ]  # fmt: skip


async def test_files_of_an_empty_report(tmp_path):
    await report(()).to_json(tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text())["rows"] == []
    await report(()).to_parquet(tmp_path / "a.parquet")
    assert pq.read_table(tmp_path / "a.parquet").num_rows == 0


async def test_a_file_that_cannot_be_completed_leaves_the_one_before(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("before")
    broken = report([*ROWS, Sale(datetime(2026, 1, 1), "x", object(), 1.0, True, None)])
    with pytest.raises(TypeError):
        await broken.to_json(path)
    assert [each.name for each in tmp_path.iterdir()] == ["a.json"]
    assert path.read_text() == "before"


# --- pictures ---------------------------------------------------------------------


def test_a_picture_has_all_it_needs_inside():
    chart = report().plot()
    svg = chart.svg()
    assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert "Sales &lt;by&gt; day" in svg
    page = chart.html()
    assert "<title>Sales &lt;by&gt; day</title>" in page
    assert svg in page
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org/", "")
    assert chart._repr_html_() == svg


def test_a_picture_has_the_clocks_of_the_zone():
    values = report().plot().spec["data"]["values"]
    assert [row["bucket"] for row in values] == [
        "2026-03-29T00:00:00", "2026-03-30T00:00:00",
    ]  # fmt: skip


async def test_one_file_is_written_by_many_at_once(tmp_path):
    path = tmp_path / "a.json"
    await asyncio.gather(*(report().to_json(path) for _ in range(20)))
    assert [each.name for each in tmp_path.iterdir()] == ["a.json"]
    assert len(json.loads(path.read_text())["rows"]) == 2


async def test_a_picture_is_saved_by_the_name_of_its_file(tmp_path):
    chart = report().plot()
    assert await chart.save(tmp_path / "a.svg") == tmp_path / "a.svg"
    assert (tmp_path / "a.svg").read_text() == chart.svg()
    await chart.save(str(tmp_path / "a.HTML"))
    assert (tmp_path / "a.HTML").read_text() == chart.html()
    with pytest.raises(ConfigurationError, match=r"a\.png: pictures end in \.svg or"):
        await chart.save(tmp_path / "a.png")


def test_a_picture_of_very_many_rows_shows_the_first_ones(monkeypatch):
    monkeypatch.setattr(charts, "MOST_ROWS", 1)
    spec = report().plot().spec
    assert len(spec["data"]["values"]) == 1
    assert spec["title"]["subtitle"] == "the first 1 of 2 rows"


def test_names_below_each_other_have_room_for_each(monkeypatch):
    assert report().plot().spec["height"] == {"step": 20}
    spec = Chart.of("t", {**VIEW, "step": 40}, []).spec
    assert spec["height"] == {"step": 40}
    assert "step" not in spec
    numbers = view("bar", y=field("count", "Q"))
    assert Chart.of("t", numbers, []).spec["height"] == 300
    folded = view("bar", y=field("key", "N"))
    assert len(Chart.of("t", folded, [{"a": 1}, {"a": 2}]).spec["data"]["values"]) == 2
    monkeypatch.setattr(charts, "MOST_LINES", 1)
    spec = report((*ROWS, ROWS[0])).plot().spec
    assert [row["count"] for row in spec["data"]["values"]] == [2, 2]
    assert spec["title"]["subtitle"] == "the first 2 of 3 rows"


def test_pictures_name_what_they_need(monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(ConfigurationError, match=r"project-architect-db\[charts\]"):
        report().plot().svg()


# --- from the database ------------------------------------------------------------


async def test_rows_of_the_database_become_those_of_a_report():
    query = Query(
        name="any", title="Any", row=Sale, tables=("projects",), scope=SCOPE, view=VIEW,
        sql="""
            SELECT TIMESTAMP '2026-03-30', 'a', 1, 0.5::DOUBLE, true, [:first, 2]
            UNION ALL SELECT TIMESTAMP '2026-03-30', NULL, 2, NULL, false, NULL
            UNION ALL SELECT NULL, 'b', 3, NULL, false, []
            UNION ALL SELECT TIMESTAMP '2026-03-30', 'c', 4, 'inf'::DOUBLE, true, []
            ORDER BY 3
        """,
        values={"first": 1, "unused": 2},
        finish=lambda rows: [row for row in rows if row.count < 5],
    )  # fmt: skip
    async with temporary_database() as engine:
        told = await query.asked_by(AnalyticsRepository(engine))
    day = datetime(2026, 3, 29, 22, tzinfo=UTC)
    assert told.rows == (
        Sale(day, "a", 1, 0.5, True, (1, 2)),
        Sale(day, None, 2, None, False, None),
        Sale(day, "c", 4, None, True, ()),
    )  # not what was at no time
    assert told.scope.zone == ZoneInfo("Europe/Berlin")


def test_the_tables_of_a_query_are_those_of_its_filters_too():
    def tables(scope):
        return Query(
            name="any", title="", row=Sale, tables=("activity",), scope=scope,
            view=VIEW, sql="", values={"ids": [1]},
        ).all_tables  # fmt: skip

    assert tables(SCOPE) == {"activity"}
    assert tables(Scope.of({"statuses": "draft"})) == {"activity", "projects"}
