"""
`report`, as a manager gets it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import xml.etree.ElementTree as ET

import pytest
from command_runner import run_command

from project_architect_db import DatabaseEngine
from project_architect_db.analytics.page import SECTIONS, page, shown
from project_architect_db.analytics.repository import AnalyticsRepository
from project_architect_db.cli.report import QUESTIONS
from project_architect_db.testing import seed


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """
    A folder with a database that has something of everything, and an empty one.
    """
    folder = tmp_path_factory.mktemp("report")

    async def make():
        async with DatabaseEngine(folder / "app.duckdb") as engine:
            await engine.create_all()
            await seed(engine, rows=2_000)
        async with DatabaseEngine(folder / "empty.duckdb") as engine:
            await engine.create_all()

    asyncio.run(make())
    return folder


@pytest.fixture
def command(folder):
    """
    Run the command in that folder, and return what it exits with and prints.
    """

    def run(*arguments):
        environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "COLUMNS": "80"}
        done = run_command(("report", *arguments), cwd=folder, env=environment)
        assert "\x1b" not in done.stdout + done.stderr
        return done

    return run


def test_a_terminal_is_told_of_everything(command):
    code, printed, complaints = command("-d", "app.duckdb")
    assert (0, "") == (code, complaints)
    assert max(map(len, printed.splitlines())) <= 80
    assert printed.startswith("Projects")
    told = printed.replace("\n", "")
    assert [name for name in QUESTIONS if f"({name})" not in told] == []


def test_rows_of_many_columns_are_side_by_side(command):
    code, printed, _ = command("repository_health", "-d", "app.duckdb")
    lines = printed.splitlines()
    (first,) = (n for n, line in enumerate(lines) if "(repository_health)" in line)
    assert code == 0
    assert lines[first + 1].split() == ["1", "2", "3"]
    assert lines[first + 2].startswith("repository id  ")
    code, printed, _ = command("status_distribution", "-d", "app.duckdb")
    assert "status" in printed.splitlines()[-5]


def test_a_script_gets_all_rows(command):
    code, printed, _ = command(
        "status_distribution", "commits_over_time", "--json", "-d", "app.duckdb",
        "--granularity", "month", "--zone", "Europe/Berlin", "--since", "2026-01-01",
        "--until", "2026-04-01",
    )  # fmt: skip
    assert code == 0
    found = json.loads(printed)
    assert set(found["reports"]) == {"status_distribution", "commits_over_time"}
    told = found["reports"]["commits_over_time"]
    assert told["since"] == "2026-01-01T00:00:00+01:00"
    assert [row["bucket"][:10] for row in told["rows"]] == [
        "2026-01-01", "2026-02-01", "2026-03-01",
    ]  # fmt: skip
    assert found["totals"]["projects"] > 0


@pytest.mark.slow
def test_one_page_has_everything_inside(command, folder):
    code, printed, complaints = command("--html", "r.html", "-d", "app.duckdb")
    assert (0, "") == (code, complaints)
    assert "r.html" in printed
    text = (folder / "r.html").read_text(encoding="utf-8")
    assert text.count("<svg") == len(QUESTIONS)
    assert [name for name in QUESTIONS if f'<section id="{name}">' not in text] == []
    assert "<script" not in text
    links = set(re.findall(r"(?:https?:)?//[\w.]+", text))
    assert links <= {"http://www.w3.org"}
    assert "All there is, as of" in text


def test_a_page_of_some_questions_in_a_period(command, folder):
    options = ("--since", "2026-01-01", "--until", "2026-03-01", "-p", "1")
    code, _, _ = command(
        "bus_factor", "--html", "s.html", "-d", "app.duckdb", *options, "--json"
    )
    assert code == 0
    text = (folder / "s.html").read_text(encoding="utf-8")
    assert "<h2>Repositories</h2>" in text
    assert "<h2>Projects</h2>" not in text
    assert "Since 2026-01-01 until 2026-03-01" in text


def test_nothing_to_tell(command, folder):
    code, printed, _ = command("-d", "empty.duckdb")
    assert code == 0
    assert "nothing to tell" in printed
    code, _, _ = command("--html", "e.html", "-d", "empty.duckdb")
    assert code == 0
    assert "Nothing to tell." in (folder / "e.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("bus_faktor",), "did you mean bus_factor?"),
        (("zzz",), "there is no 'zzz'"),
        (("--zone", "Mars/Base"), "no time zone"),
        (("--since", "2026-02-01", "--until", "2026-01-01"), "ends before it begins"),
    ],
)
def test_a_question_that_makes_no_sense_is_one_line(command, arguments, told):
    code, printed, complaints = command(*arguments, "-d", "app.duckdb")
    assert (2, "") == (code, printed)
    assert complaints.startswith("Error: ")
    assert told in complaints
    assert complaints.count("\n") == 1


def test_no_database_is_one_line(command):
    code, _, complaints = command("-d", "none.duckdb")
    assert code == 1
    assert "there is no database" in complaints


def test_a_page_that_cannot_be_written_is_one_line(command):
    code, _, complaints = command(
        "bus_factor", "--html", "no/such/r.html", "-d", "app.duckdb"
    )
    assert code == 2
    assert complaints.startswith("Error: the page cannot be written: ")


def test_the_questions_of_a_report_need_nothing_else():
    assert len(QUESTIONS) == len(set(QUESTIONS))
    assert [n for n in QUESTIONS if not hasattr(AnalyticsRepository, n)] == []
    assert sum(map(len, SECTIONS.values())) == len(QUESTIONS)


def test_text_from_the_database_is_no_html(command):
    text = page("<b>", "a & b", {"x<y": 1}, {"<i>": []})
    assert "<b>" not in text.replace("<b>1</b>", "")
    assert "a &amp; b" in text
    assert "x&lt;y" in text
    assert "<i>" not in text


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("a", None, ""), ("a", True, "yes"), ("a", False, "no"), ("a", 1234, "1,234"),
        ("a", 0.12345, "0.123"), ("a", 1234.5, "1,234"), ("a", (1, 2), "1, 2"),
        ("a", "x", "x"), ("rate", 1.0, "100 %"), ("share", None, ""),
        ("seconds", 59.0, "59 seconds"), ("p90_seconds", 90, "1.5 minutes"),
        ("seconds", 7200.0, "2 hours"), ("seconds", 8.64e7, "1,000 days"),
    ],
)  # fmt: skip
def test_values_are_shown_as_people_say_them(name, value, expected):
    assert shown(name, value) == expected


@pytest.mark.slow
def test_pictures_on_a_page_are_well_formed(command, folder):
    command("phase_funnel", "--html", "p.html", "-d", "app.duckdb")
    text = (folder / "p.html").read_text(encoding="utf-8")
    (svg,) = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    ET.fromstring(svg)
