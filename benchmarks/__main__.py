"""
``python -m benchmarks``: measure every mark, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
import sqlalchemy
from rich.console import Console
from rich.table import Table

from benchmarks import (
    analytics_marks,
    domain_marks,
    operations_marks,
    peers,
    repository_marks,
)
from benchmarks import marks as engine_marks
from benchmarks.measure import Mark, peak_mib
from project_architect_db import run

MEASURES = {
    **engine_marks.MEASURES,
    **repository_marks.MEASURES,
    **domain_marks.MEASURES,
    **analytics_marks.MEASURES,
    **operations_marks.MEASURES,
    **peers.MEASURES,
}

REDUCED = 0.1
"""The share of rounds of a reduced run."""
SLACK = 1.6
"""How much a ratio of a reduced run may be over its limit: it tells regressions,
not marks, and the machine is anybody's. Times and stalls are only printed then."""


def main() -> int:
    """
    Run the benchmarks; the exit code says whether all marks were met.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--reduced",
        action="store_true",
        help="fewer rounds, ratios only; no peers, no millions of rows",
    )
    parser.add_argument("--only", choices=MEASURES, action="append", default=[])
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return _measure(options.only[0], REDUCED if options.reduced else 1.0)
    marks: list[Mark] = []
    left_out = {*peers.MEASURES, *analytics_marks.AT_SCALE} if options.reduced else {}
    for name in options.only or [name for name in MEASURES if name not in left_out]:
        marks += _in_a_process(name, reduced=options.reduced)
    _show(marks)
    if not (peers.MEASURES or options.only or options.reduced):
        print(peers.HOW_TO_INSTALL)
    if options.json:
        facts = {
            "python": platform.python_version(),
            "duckdb": duckdb.__version__,
            "sqlalchemy": sqlalchemy.__version__,
            "marks": [mark.as_dict() for mark in marks],
        }
        options.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    if options.reduced:
        return int(any(m.unit == "×" and not m.is_within(SLACK) for m in marks))
    return int(not all(mark.met for mark in marks))


def _measure(name: str, share: float) -> int:
    with tempfile.TemporaryDirectory() as folder:
        marks = run(MEASURES[name](Path(folder), share))
    for mark in marks:
        mark.peak_mib = peak_mib()
    print(json.dumps([{**vars(mark)} for mark in marks]))
    return 0


def _in_a_process(name: str, *, reduced: bool) -> list[Mark]:
    command = [sys.executable, "-m", "benchmarks", "--inside", "--only", name]
    done = subprocess.run(
        command + ["--reduced"] * reduced, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr}")
    return [Mark(**mark) for mark in json.loads(done.stdout.splitlines()[-1])]


def _show(marks: list[Mark]) -> None:
    console = Console(width=140 if not sys.stdout.isatty() else None)
    console.print(_table_of_marks([mark for mark in marks if mark.limit]))
    if compared := [mark for mark in marks if mark.peers]:
        console.print(_table_of_peers(compared))


def _table_of_marks(marks: list[Mark]) -> Table:
    table = Table(title="Marks")
    for name in (
        "what",
        "ours",
        "yardstick",
        "value",
        "limit",
        "met",
        "SQLAlchemy alone",
        "peak memory",
    ):
        table.add_column(name, justify="left" if name == "what" else "right")
    for mark in marks:
        table.add_row(
            mark.name,
            "" if mark.ours is None else f"{mark.ours:.2f} ms",
            "" if mark.yardstick is None else f"{mark.yardstick:.2f} ms {mark.beside}",
            f"{mark.value:.2f} {mark.unit}",
            f"{'≥ ' * mark.is_least}{mark.limit:g} {mark.unit}",
            "yes" if mark.met else "no",
            "" if mark.floor is None else f"{mark.floor:.2f} {mark.unit}",
            f"{mark.peak_mib:.0f} MiB",
        )
    return table


def _table_of_peers(marks: list[Mark]) -> Table:
    """
    The times of all, and how many times that of ours the others take.
    """
    table = Table(title="Peers, and how many times ours they take")
    for name in ("what", "ours", *marks[0].peers):
        table.add_column(name, justify="left" if name == "what" else "right")
    for mark in marks:
        ours = mark.ours or 0.0
        others = [f"{t:.2f} ms, {t / ours:.2f} ×" for t in mark.peers.values()]
        table.add_row(mark.name, f"{ours:.2f} ms", *others)
    return table


if __name__ == "__main__":
    sys.exit(main())
