"""
``analyze``: a database in numbers, and what to do about it.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from project_architect_db.cli.common import (
    DatabaseOption,
    JsonOption,
    interruptible,
    maintained,
    maintenance_settings,
    plain,
    print_facts,
    print_json,
    print_table,
    progress_bar,
    shown,
    size,
)
from project_architect_db.engine import (
    Analysis,
    Finding,
    PlanStep,
    explain_query,
    findings,
    read_slow_queries,
    run,
)
from project_architect_db.engine import analyze as look

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOWN_QUERIES = 10
SHORT = 60


def analyze(
    query: Annotated[
        str | None,
        typer.Option("--query", "-q", metavar="SQL", help="Run it, and show its plan."),
    ] = None,
    log: Annotated[
        Path | None, typer.Option(help="A log with slow queries of the application.")
    ] = None,
    columns: Annotated[
        bool, typer.Option("--columns", help="Show all columns of all tables.")
    ] = False,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Show what a database holds, and what is worth doing.

    With --query, how DuckDB runs a query, instead; what it would change is not kept.

    Example: project-architect-db analyze --database app.duckdb --log app.log

    Example: project-architect-db analyze --query "SELECT * FROM projects"
    """
    with interruptible("nothing was changed."):
        if query is not None:
            _show_plan(run(_plan(database, query)), as_json=as_json)
            return
        slow = read_slow_queries(log) if log is not None else []
        address, settings = maintenance_settings(database)
        with progress_bar() as progress:
            found = run(look(address, progress=progress, **settings))
    found.slow_queries = slow
    todo = findings(found)
    if as_json:
        print_json({**asdict(found), "findings": [asdict(each) for each in todo]})
    else:
        _show(found, todo, columns=columns)


def _show(found: Analysis, todo: list[Finding], *, columns: bool) -> None:
    print_facts({
        "Database": f"{shown(Path(found.database))}, {size(found.file_bytes)}, "
        f"of which {size(found.free_bytes)} free",
        "Log": f"{size(found.wal_bytes)} before it was opened; "
        f"emptied at {found.checkpoint_threshold}",
        "Memory": f"{size(found.memory_bytes)} of {found.memory_limit} used, "
        f"{size(found.spilled_bytes)} spilled, {found.threads} threads",
        "DuckDB": found.duckdb,
    })  # fmt: skip
    print()
    rows = [(t.name, t.rows, size(t.bytes), len(t.columns)) for t in found.tables]
    if rows:
        print_table("Tables", ("table", "rows", "size", "columns"), rows)
    if columns:
        _show_columns(found)
    if found.indexes:
        print()
        print_table("Indexes", ("index", "table", "columns", "used"), [
            (i.name, i.table, ", ".join(i.columns), _use(i.used)) for i in found.indexes
        ])  # fmt: skip
    if found.slow_queries:
        print()
        print_table("Slow queries", ("times", "seconds", "longest", "statement"), [
            (q.times, f"{q.seconds:,.1f}", f"{q.longest:,.1f}", _short(q.statement))
            for q in found.slow_queries[:SHOWN_QUERIES]
        ])  # fmt: skip
    print()
    _show_findings(todo)


def _show_columns(found: Analysis) -> None:
    for table in found.tables:
        if table.rows:
            print()
            print_table(table.name, ("column", "type", "null", "different"), [
                (c.name, c.type, f"{c.nulls:.1%}", c.distinct) for c in table.columns
            ])  # fmt: skip


def _show_findings(todo: list[Finding]) -> None:
    if not todo:
        print("There is nothing to do.")
        return
    table = Table(
        title="What to do", title_justify="left", title_style="bold", box=None,
        header_style="dim", pad_edge=False, show_header=False,
    )  # fmt: skip
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in todo:
        what = f"{_short(finding.subject)} {finding.detail}: {finding.advice}."
        table.add_row(finding.when, plain(what))
    Console().print(table)


def _use(used: bool | None) -> str:
    return {True: "yes", False: "no", None: "not tried"}[used]


def _short(text: str) -> str:
    return text if len(text) <= SHORT else f"{text[: SHORT - 1]}…"


# --- plans ----------------------------------------------------------------------------


async def _plan(database: str | None, query: str) -> PlanStep:
    async with maintained(database) as engine, engine.session() as session:
        return await explain_query(session, query)


def _show_plan(plan: PlanStep, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(plan))
        return
    rows = list(_lines(plan, "", ""))
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("rows", "expected", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("step", overflow="ellipsis", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _lines(step: PlanStep, first: str, others: str) -> Iterator[tuple[Any, ...]]:
    """
    The rows of a table for a step and those below it, with lines between them.
    """
    yield (
        _number(step.rows), _number(step.expected),
        "" if step.seconds is None else f"{step.seconds:.4f}",
        plain(f"{first}{step.name}"),
    )  # fmt: skip
    below = "│ " if step.children else "  "
    for name, value in step.facts.items():
        yield "", "", "", plain(f"{others}{below}  {name.lower()}: {value}")
    for number, child in enumerate(step.children, start=1):
        is_last = number == len(step.children)
        yield from _lines(
            child, others + ("└─ " if is_last else "├─ "),
            others + ("   " if is_last else "│  "),
        )  # fmt: skip


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
