"""
``report``: what happened, in tables or on a page to send to somebody.
"""

from __future__ import annotations

import difflib
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from project_architect_db.analytics.page import SECTIONS, heading, page, shown
from project_architect_db.analytics.present import present
from project_architect_db.analytics.repository import AnalyticsRepository
from project_architect_db.analytics.scope import Filters
from project_architect_db.cli.common import (
    DatabaseOption,
    JsonOption,
    existing,
    interruptible,
    print_facts,
    print_json,
    print_table,
    progress_bar,
)
from project_architect_db.cli.common import shown as shown_path
from project_architect_db.dialect.time_buckets import Granularity
from project_architect_db.engine import run
from project_architect_db.errors import ConfigurationError, InvalidQuestionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from project_architect_db.analytics.dashboard import Dashboard
    from project_architect_db.analytics.reports import Report
    from project_architect_db.engine import DatabaseEngine

SHOWN_ROWS = 10
WIDE, SIDE_BY_SIDE = 8, 3
"""With more columns than that, so many rows are shown side by side."""

EVER = date(1900, 1, 1)

QUESTIONS = tuple(name for names in SECTIONS.values() for name in names)

Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])]


def report(
    questions: Annotated[
        list[str] | None,
        typer.Argument(help="Such as build_success; by default all of them."),
    ] = None,
    since: Day = None,
    until: Day = None,
    granularity: Annotated[
        Granularity, typer.Option(help="Of what is told by time.")
    ] = "week",
    zone: Annotated[
        str, typer.Option(help="Whose days these are, such as Europe/Berlin.")
    ] = "UTC",
    projects: Annotated[
        list[int] | None,
        typer.Option("--project", "-p", help="Only this one; may be given many times."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write a page with pictures instead.")
    ] = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Tell what happened in projects, conversations, documents and repositories.

    With --html, on one page that needs nothing else: open it, or send it.

    Example: project-architect-db report --since 2026-01-01 --html report.html

    Example: project-architect-db report build_success bus_factor --granularity month
    """
    names = _known(questions or QUESTIONS)
    filters = Filters(
        since=since, until=until, granularity=granularity, zone=zone,
        projects=projects or None,
    )  # fmt: skip
    engine = existing(database)
    with interruptible("nothing was written."), progress_bar() as progress:
        board, reports = run(_ask(engine, names, filters, progress))
        if html is not None:
            _write(html, engine.name, board, reports)
    if as_json:
        told = {each.name: each.to_dict() for each in reports}
        print_json({"totals": board.totals, "reports": told})
    elif html is not None:
        print_facts({"Page": shown_path(html.resolve()), "Reports": str(len(reports))})
    else:
        _show(board, reports)


def _known(names: Sequence[str]) -> Sequence[str]:
    for name in names:
        if name not in QUESTIONS:
            close = difflib.get_close_matches(name, QUESTIONS, n=1)
            hint = f"did you mean {close[0]}?" if close else ", ".join(QUESTIONS)
            raise InvalidQuestionError(
                f"there is no {name!r}; {hint}", argument="questions", value=name
            )
    return names


async def _ask(
    engine: DatabaseEngine, names: Sequence[str], filters: Filters,
    progress: Callable[[str, int, int], None],
) -> tuple[Dashboard, list[Report[Any]]]:  # fmt: skip
    async with engine:
        analytics = AnalyticsRepository(engine, timeout=None)
        # Without a period it shows a month, and all of this everything.
        all_of_it = filters.copy()
        all_of_it["since"] = filters["since"] or EVER
        board, reports = await analytics.dashboard(**all_of_it), []
        for number, name in enumerate(names, start=1):
            reports.append(await getattr(analytics, name)(**filters))
            progress("reports", number, len(names))
    return board, reports


def _write(
    path: Path, database: str, board: Dashboard, reports: Sequence[Report[Any]]
) -> None:
    by_name = {each.name: each for each in reports}
    sections = {
        heading: [by_name[name] for name in names if name in by_name]
        for heading, names in SECTIONS.items()
    }
    sections = {heading: found for heading, found in sections.items() if found}
    told = f"{_period(reports)}, as of {present():%Y-%m-%d %H:%M} UTC"
    text = page(Path(database).stem, told, board.totals, sections)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"the page cannot be written: {error}") from error


def _period(reports: Sequence[Report[Any]]) -> str:
    scope = reports[0].scope
    since = f"Since {scope.since:%Y-%m-%d}" if scope.since else "All there is"
    return since + (f" until {scope.until:%Y-%m-%d}" if scope.until else "")


def _show(board: Dashboard, reports: Sequence[Report[Any]]) -> None:
    print_facts(
        {name.capitalize(): f"{number:,}" for name, number in board.totals.items()}
    )
    for each in reports:
        print()
        if not each:
            print_facts({each.title: "nothing to tell"})
            continue
        _show_rows(each)


def _show_rows(report: Report[Any]) -> None:
    """
    Print the first rows below each other; those of many columns side by side.
    """
    is_wide = len(report.columns) > WIDE
    rows = report[: SIDE_BY_SIDE if is_wide else SHOWN_ROWS]
    more = len(report) - len(rows)
    title = f"{report.title} ({report.name})" + (f", {more:,} more" if more else "")
    headings = [heading(name) for name in report.columns]
    if is_wide:
        texts = [
            [label, *(shown(name, value) for value in values)]
            for label, name, values in zip(
                headings, report.columns, zip(*rows, strict=True), strict=True
            )
        ]
        print_table(title, ["", *(f"{n}" for n in range(1, len(rows) + 1))], texts)
        return
    print_table(title, headings, [
        [
            value if _is_count(value) else shown(name, value)
            for name, value in zip(report.columns, row, strict=True)
        ]
        for row in rows
    ])  # fmt: skip


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
