"""
How the commands of ``migrate`` show what they found and did.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from project_architect_db.cli.common import print_facts, print_json, print_table, shown

if TYPE_CHECKING:
    from project_architect_db.engine.migrations.results import (
        DryRun,
        Migrated,
        MigrationCheck,
        Revision,
    )


def show_migrated(done: Migrated, *, as_json: bool) -> None:
    """
    Where the database is now, and what has run.
    """
    if as_json:
        print_json(done.as_dict())
        return
    facts = {"Revision": ids_of(done.after)}
    if done.revisions:
        facts["Before"] = ids_of(done.before)
    else:
        facts["Migrations"] = "nothing to do"
    if done.backup is not None:
        facts["Backup"] = shown(done.backup)
    print_facts(facts)
    _show_applied(done.revisions)


def show_dry_run(tried: DryRun, *, as_json: bool) -> None:
    """
    What ran on the copy; exits with 1 if it failed.
    """
    if as_json:
        print_json(tried.as_dict())
    else:
        _show_rehearsal(tried)
    if tried.problem is not None:
        raise typer.Exit(1)


def show_check(checked: MigrationCheck, *, as_json: bool) -> None:
    """
    What was found; exits with 1 if anything is wrong.
    """
    tried = checked.dry_run
    if as_json:
        print_json(checked.as_dict())
    else:
        print_facts({
            "Database": checked.status.database,
            "Revision": ids_of(checked.status.current),
            "Newest": ids_of(checked.status.heads),
        })  # fmt: skip
        _show_rehearsal(tried)
        for difference in tried.drift:
            print_facts({"Drift": difference})
    if not checked.ok:
        raise typer.Exit(1)


def _show_rehearsal(tried: DryRun) -> None:
    differs = "models and database differ" if tried.drift else "ok"
    print_facts({
        "Tried": f"{_count(len(tried.revisions))} in {tried.seconds:.2f} s",
        "Result": tried.problem or differs,
    })  # fmt: skip
    _show_applied(tried.revisions)
    changed = [
        (name, _rows(rows.before), _rows(rows.after))
        for name, rows in tried.tables.items()
    ]
    if changed:
        print()
        print_table("Rows", ("table", "before", "after"), changed)


def _count(number: int) -> str:
    return f"{number} migration" if number == 1 else f"{number} migrations"


def _rows(count: int | None) -> str:
    return "–" if count is None else f"{count:,}"


def _show_applied(revisions: Any) -> None:
    if revisions:
        print()
        print_table(
            "Migrations", ("revision", "what", "seconds"),
            [(r.id, r.message, f"{r.seconds:.2f}") for r in revisions],
        )  # fmt: skip


def show_revisions(title: str, revisions: Sequence[Revision]) -> None:
    """
    Migrations, as their files say.
    """
    print_table(
        title, ("revision", "after", "what"),
        [(r.id, ids_of(r.after), r.message) for r in revisions],
    )  # fmt: skip


def ids_of(ids: tuple[str, ...]) -> str:
    """
    Revisions in a line.
    """
    return ", ".join(ids) or "none"
