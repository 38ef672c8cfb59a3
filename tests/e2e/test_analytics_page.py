"""
The guide of analytics: every question with its real answer and picture.

``python tests/e2e/test_analytics_page.py`` writes them anew.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func

from project_architect_db import AnalyticsRepository, DatabaseEngine, Document
from project_architect_db.analytics.page import SECTIONS, heading, shown
from project_architect_db.testing import seed

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = DOCS / "guides" / "analytics.md"
PICTURES = DOCS / "images" / "analytics"
MARK = "<!-- questions -->\n"
AT = datetime(2026, 6, 1, tzinfo=UTC)
ROWS = 5

CALLS = {
    "bottlenecks": "limit=20",
    "document_access": "limit=20",
    "document_duplicates": "limit=20",
    "lifecycle": "limit=12",
    "repository_activity": "limit=20",
    "top_terms": 'granularity="year", limit=5',
    "time_series": """
    Document.created_at,
    func.sum(Document.size),
    by=Document.kind,
    top=3,
    granularity="quarter",
    fill=0,
    window=2,
    compare="year",
""",
    "seasonality": 'Document.created_at, by="weekday"',
}
"""What they are asked with, beside their defaults."""

TIMED = {
    "status_over_time", "project_trends", "messages_over_time", "document_creation",
    "commits_over_time", "build_success",
}  # fmt: skip
"""Those that are told by month."""


def calls() -> dict[str, str]:
    """
    The source of each call, by the name of its question.
    """
    sources = {}
    for name in (*(n for names in SECTIONS.values() for n in names), *CALLS):
        parameters = inspect.signature(getattr(AnalyticsRepository, name)).parameters
        given = [CALLS[name]] if name in CALLS else []
        given += ['granularity="month"'] if name in TIMED else []
        given += ["at=at"] if "at" in parameters and name not in sources else []
        sources.setdefault(name, f"await analytics.{name}({', '.join(given)})")
    return sources


async def answers() -> dict[str, object]:
    """
    What they answer for the data of the guide.
    """
    with tempfile.TemporaryDirectory() as folder:
        async with DatabaseEngine(Path(folder, "app.duckdb")) as engine:
            await engine.create_all()
            await seed(engine, rows=20_000)
            names = {"analytics": AnalyticsRepository(engine), "at": AT}
            names |= {"Document": Document, "func": func}
            return {
                name: await eval(source.removeprefix("await "), names)
                for name, source in calls().items()
            }


def told(name: str, source: str, report: object) -> str:
    """
    The text about a question.
    """
    method = getattr(AnalyticsRepository, name)
    about = inspect.getdoc(method).split("\n\n")[0].replace("\n", " ")
    columns = report.columns
    lines = [
        f"### {name}", "", about, "", "```python", f"report = {source}", "```", "",
        "| " + " | ".join(heading(column) for column in columns) + " |",
        "|" + "---|" * len(columns),
    ]  # fmt: skip
    for row in report[:ROWS]:
        cells = [shown(column, v) for column, v in zip(columns, row, strict=True)]
        lines.append(
            "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
        )
    if len(report) > ROWS:
        lines += ["", f"… and {len(report) - ROWS:,} more."]
    return "\n".join(
        [*lines, "", f"![{report.title}](../images/analytics/{name}.svg)", ""]
    )


def generated(reports: dict[str, object]) -> str:
    """
    The text about all questions.
    """
    sources = calls()
    sections = {**SECTIONS, "Any model over time": ("time_series", "seasonality")}
    parts = []
    for title, names in sections.items():
        parts.append(f"\n## {title}\n")
        parts += ["\n" + told(name, sources[name], reports[name]) for name in names]
    end = "\nAt the end of the program:\n\n```python\nawait engine.close()\n```\n"
    return "".join([*parts, end])


@pytest.fixture(scope="module")
def reports():
    return asyncio.run(answers())


def test_the_guide_shows_what_questions_really_answer(reports):
    text = GUIDE.read_text(encoding="utf-8")
    assert text.partition(MARK)[2] == generated(reports)


def test_each_question_has_a_picture_of_its_answer(reports):
    assert {file.stem for file in PICTURES.iterdir()} == set(reports)
    for name, report in reports.items():
        svg = (PICTURES / f"{name}.svg").read_text(encoding="utf-8")
        assert report.title in re.sub(r"&amp;", "&", svg), name


def write() -> None:
    """
    Write what the tests compare.
    """
    reports = asyncio.run(answers())
    head = GUIDE.read_text(encoding="utf-8").partition(MARK)[0]
    GUIDE.write_text(head + MARK + generated(reports), encoding="utf-8")
    PICTURES.mkdir(parents=True, exist_ok=True)
    for file in PICTURES.iterdir():
        file.unlink()
    for name, report in reports.items():
        (PICTURES / f"{name}.svg").write_text(report.plot().svg(), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(write())
