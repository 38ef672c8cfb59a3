"""
How DuckDB has run a query: `EXPLAIN ANALYZE` as data.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from project_architect_db.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.ext.asyncio import AsyncSession

_NO_CODE = re.compile(r"""'(?:[^']|'')*'|"[^"]*"|--[^\n]*|/\*.*?\*/""", re.DOTALL)
_WRAPPERS = ("RESULT_COLLECTOR", "EXPLAIN_ANALYZE", "QUERY")
_TOLD = (
    "Table", "Type", "Function", "Filters", "Join Type", "Conditions", "Groups",
    "Aggregates", "Top", "Order By", "Expressions",
)  # fmt: skip
"""Of what DuckDB tells about a step, what says why it is there."""


@dataclass(frozen=True, slots=True)
class PlanStep:
    """
    One step of a plan, and those it gets its rows from.

    Attributes:
        name: Of DuckDB's operator, in words: ``hash join``.
        facts: Such as ``Table`` and ``Filters``, as DuckDB tells them.
        rows: It gave; `None` if it was not run.
        expected: Rows, as the optimizer estimated.
        seconds: Of all threads together; `None` if it was not run.
        children: The steps below it.
    """

    name: str
    facts: dict[str, str]
    rows: int | None
    expected: int | None
    seconds: float | None
    children: tuple[PlanStep, ...]

    def walk(self) -> Iterator[PlanStep]:
        """
        It, and all steps below it.
        """
        yield self
        for child in self.children:
            yield from child.walk()


async def explain_query(
    session: AsyncSession, statement: str, values: dict[str, Any] | None = None
) -> PlanStep:
    """
    Run a statement, and say how; the session is rolled back, so nothing is changed.

    Args:
        session: Where to run it.
        statement: SQL, one statement.
        values: Of its parameters.

    Raises:
        InvalidStatementError: It is no SQL, or of tables that are not there.
        ConfigurationError: There are several statements.

    Example:
        >>> async with DatabaseEngine(":memory:") as engine:
        ...     await engine.create_all()
        ...     async with engine.session() as session:
        ...         step = await explain_query(session, "SELECT name FROM projects")
        >>> step.name, step.rows
        ('seq scan', 0)
    """
    statement = statement.rstrip("; \t\r\n")
    if ";" in _NO_CODE.sub("", statement):
        raise ConfigurationError("one statement can be explained at a time")
    given = tuple((values or {}).values())
    try:
        # DuckDB has none to tell for some queries that it ran.
        roots = await _roots(
            session, f"EXPLAIN (ANALYZE, FORMAT json) {statement}", given
        ) or await _roots(session, f"EXPLAIN (FORMAT json) {statement}", given)
    finally:
        await session.rollback()
    return _unwrapped(_step(roots[0]))


async def _roots(session: AsyncSession, sql: str, values: tuple[Any, ...]) -> list[Any]:
    connection = await session.connection()
    rows: Any = await connection.exec_driver_sql(
        sql, values, execution_options={"timeout": None, "operation": "explain"}
    )
    found = json.loads(rows.all()[-1][1])
    return found if isinstance(found, list) else found.get("operator") or []


def _unwrapped(step: PlanStep) -> PlanStep:
    wrappers = [name.lower().replace("_", " ") for name in _WRAPPERS]
    while step.name in wrappers and len(step.children) == 1:
        step = step.children[0]
    return step


def _step(found: dict[str, Any]) -> PlanStep:
    told = found.get("extra_info", {})
    expected = str(told.get("Estimated Cardinality", "")).lstrip("~")
    return PlanStep(
        name=found["name"].strip().lower().replace("_", " "),
        facts={name: _text(told[name]) for name in _TOLD if told.get(name)},
        rows=found.get("intermediate_rows"),
        expected=int(expected) if expected.isdigit() else None,
        seconds=found.get("timing"),
        children=tuple(_step(child) for child in found.get("children", ())),
    )


def _text(told: Any) -> str:
    return ", ".join(map(str, told)) if isinstance(told, list) else str(told)
