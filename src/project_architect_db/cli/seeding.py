"""
``seed``: test data by the million, or the rows of a file.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from project_architect_db.cli.common import (
    DatabaseOption,
    JsonOption,
    interruptible,
    maintained,
    print_facts,
    print_json,
    print_table,
    progress_bar,
)
from project_architect_db.engine import run
from project_architect_db.testing import Seeded, load_rows
from project_architect_db.testing import seed as write
from project_architect_db.testing.seeding import LEAST, MOST, UNTIL


def seed(
    scale: Annotated[
        int,
        typer.Option(
            "--scale", "-n", min=LEAST, max=MOST, metavar="ROWS",
            help="About how many rows, over all tables.",
        ),
    ] = 10_000,
    number: Annotated[
        int,
        typer.Option("--seed", "-s", min=0, help="Another one makes other rows."),
    ] = 0,
    until: Annotated[
        datetime,
        typer.Option(formats=["%Y-%m-%d"], help="When the history ends."),
    ] = UNTIL.replace(tzinfo=None),  # noqa: B008 - a constant
    file: Annotated[
        Path | None,
        typer.Option("--from", help="Rows of a JSON, CSV or Parquet file instead."),
    ] = None,
    table: Annotated[
        str | None, typer.Option(help="The table for the rows of the file.")
    ] = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """
    Fill the tables with realistic test data.

    It is the same in each run with the same options. A run that was broken off has
    left whole batches; the same command goes on with the next one.

    With --from, the rows of a file instead: all of them or none.

    Example: project-architect-db seed --scale 100000 --database app.duckdb

    Example: project-architect-db seed --from plans.csv --table documents
    """
    if (file is None) is not (table is None):
        raise typer.BadParameter("--from and --table go together")
    if file is not None and table is not None:
        _load(file, table, database, as_json=as_json)
        return
    with interruptible("whole batches are kept. The same command goes on."):
        done = run(_seed(database, scale, number, until.replace(tzinfo=UTC)))
    _show(done, as_json=as_json)


async def _seed(
    database: str | None, rows: int, number: int, until: datetime
) -> Seeded:
    async with maintained(database) as engine:
        with progress_bar() as progress:
            progress("rows", 0, rows)
            return await write(
                engine, rows=rows, seed=number, until=until,
                progress=partial(progress, "rows"),
            )  # fmt: skip


def _show(done: Seeded, *, as_json: bool) -> None:
    if as_json:
        print_json({
            "rows": done.rows, "total": done.total, "batches": done.batches,
            "batches_before": done.batches_before, "seconds": round(done.seconds, 3),
        })  # fmt: skip
        return
    if not done.batches:
        print("All of it is there already; another --seed makes other rows.")
        return
    speed = done.total / done.seconds
    facts = {"Rows": f"{done.total:,} in {done.seconds:.1f} s, {speed:,.0f} a second"}
    if done.batches_before:
        facts["Went on"] = f"after {done.batches_before:,} batches that were there"
    print_facts(facts)
    print()
    print_table("Tables", ("table", "rows"), [*done.rows.items()])


def _load(file: Path, table: str, database: str | None, *, as_json: bool) -> None:
    async def load() -> int:
        async with maintained(database) as engine:
            with progress_bar() as progress:
                return await load_rows(
                    engine, file, table=table, progress=partial(progress, "rows")
                )

    with interruptible("no row was added."):
        count = run(load())
    if as_json:
        print_json({"table": table, "rows": count})
    else:
        print_facts({"Table": table, "Rows": f"{count:,}"})
