"""
What revisions use: the kind of database they run on, and rows in chunks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from alembic import op
from sqlalchemy import ColumnElement, TableClause, column, func, select
from sqlalchemy import table as table_clause

from project_architect_db.errors import MigrationError, UnsupportedOperationError
from project_architect_db.settings import DatabaseSettings, Environment

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 100_000


def in_environment(*names: Environment) -> bool:
    """
    Whether the database is one of these: ``dev``, ``test``, ``staging``, ``prod``.

    It is what ``--environment``, `DatabaseEngine.migrate` or the setting `environment`
    says; where nothing says so, it is none of them.

    Raises:
        MigrationError: There is no such kind.

    Example:
        In a revision::

            if in_environment("dev", "test"):
                op.bulk_insert(users, [{"name": "ada"}])
    """
    if unknown := set(names) - set(get_args(Environment)):
        raise MigrationError(
            f"there is no environment {sorted(unknown)}; there are "
            f"{', '.join(get_args(Environment))}"
        )
    return _environment() in names


def _environment() -> str | None:
    attributes = _attributes()
    if "environment" in attributes:
        found: str | None = attributes["environment"]
        return found
    return DatabaseSettings().environment  # `alembic` runs on its own


def _attributes() -> dict[str, Any]:
    config: Any = op.get_context().config
    return {} if config is None else config.attributes


class Chunk(NamedTuple):
    """
    Some rows of a table, which are next to each other in the order of its key.

    Attributes:
        first: The key of the first one.
        last: And of the last one.
        rows: How many.
    """

    first: Any
    last: Any
    rows: int

    def holds(self, key: ColumnElement[Any]) -> ColumnElement[bool]:
        """
        The condition for these rows.
        """
        return key.between(self.first, self.last)


def in_chunks(
    table: str, *, key: str = "id", size: int = CHUNK, schema: str | None = None
) -> Iterator[Chunk]:
    """
    Go through a table in a revision, so many rows at a time, and tell the progress.

    All chunks are in the one transaction of the revision: it still does all or nothing.

    Args:
        table: Its name.
        key: A column without NULLs that is unique; it must not be changed meanwhile.
        size: Rows in a chunk.
        schema: Its schema, if not the default one.

    Raises:
        UnsupportedOperationError: There is no database, only ``--sql``.

    Example:
        In a revision::

            for chunk in in_chunks("books", size=50_000):
                op.execute(
                    sa.update(books)
                    .where(chunk.holds(books.c.id))
                    .values(length=sa.func.length(books.c.title))
                )
    """
    if op.get_context().as_sql:
        raise UnsupportedOperationError(
            "rows are read in chunks from the database itself; run this migration there"
        )
    progress = _attributes().get("progress", lambda *_: None)
    done, total = 0, _count(table, schema)
    progress(table, done, total)
    for chunk in _chunks(table_clause(table, column(key), schema=schema), size):
        yield chunk
        done += chunk.rows
        progress(table, done, total)


def _count(table: str, schema: str | None) -> int:
    rows = select(func.count()).select_from(table_clause(table, schema=schema))
    return op.get_bind().scalar(rows) or 0


def _chunks(table: TableClause, size: int) -> Iterator[Chunk]:
    (key,) = table.c
    left, last = select(key).order_by(key).limit(size), None
    while True:
        some = (left if last is None else left.where(key > last)).subquery()
        (found,) = some.c
        ends = select(func.min(found), func.max(found), func.count())
        first, last, rows = op.get_bind().execute(ends).one()
        if not rows:
            return
        yield Chunk(first, last, rows)
