"""
Changing a table: by ALTER TABLE where DuckDB can, by building it anew where it cannot.

DuckDB alters a table only while nothing depends on it: no index, no trigger. It can
neither drop a constraint nor add a CHECK or a generated column. And it creates no
index, UNIQUE constraint or key over rows that were updated since some transaction
still can see them as they were, be it the same transaction (duckdb-facts §5).

A new table with the rows of the old one knows none of that: it is made under a
temporary name, takes the name of the old one, and then gets its indexes. All of it
happens in the transaction of the migration, so an error leaves the old table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.util.concurrency import await_

from project_architect_db.dialect.alembic_writer import (
    Step,
    TableWriter,
    comment_on,
)
from project_architect_db.errors import UnsupportedOperationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from project_architect_db.dialect.alembic_tables import ColumnPart, TableParts

TEMPORARY = "_alembic_tmp_"

_INDEXES = """
    SELECT index_name FROM duckdb_indexes() WHERE database_name = current_database()
    AND table_name = $1 AND schema_name = coalesce($2, current_schema())
"""


class _NotByAlterError(Exception):
    """
    DuckDB's ALTER TABLE has no word for it.
    """


class TableChanger:
    """
    Makes tables what they are wanted to be.
    """

    def __init__(self, connection: Connection, run: Callable[[str], object]) -> None:
        self._connection = connection
        self._run = run
        self.write = TableWriter(connection.dialect.identifier_preparer)

    def change(
        self, old: TableParts, new: TableParts, *,
        using: Mapping[str, str] | None = None, then: Sequence[Step] = (),
    ) -> None:  # fmt: skip
        """
        Make the old table the new one; columns of the same name are the same.

        Args:
            old: The table as it is.
            new: The table as it is wanted.
            using: Expressions for the columns whose values are not just cast.
            then: What to do with it afterwards: to rename it, for example.

        Raises:
            UnsupportedOperationError: It has to be built anew, and FOREIGN KEYs
                forbid that. Nothing has been done then.
        """
        using = using or {}
        try:
            steps = [*_Alterations(self.write, old, new, using).steps(), *then]
        except _NotByAlterError:
            self._rebuild(old, new, using, then)
            return
        if self._is_possible(old, new, steps):
            self._run_all(steps)
        else:
            self._rebuild(old, new, using, then)

    def _is_possible(
        self, old: TableParts, new: TableParts, steps: Sequence[Step]
    ) -> bool:
        stays = any(index in new.indexes for index in old.indexes)
        if any(s.alone for s in steps) and (
            stays or old.triggers or old.referred_by or self._has_lost_an_index(old)
        ):
            return False
        return not (any(s.settled for s in steps) and self._has_updates(old))

    def _has_lost_an_index(self, table: TableParts) -> bool:
        """
        Whether this transaction has dropped one, which counts until COMMIT.
        """
        driver: Any = self._connection.connection.driver_connection
        committed = await_(driver.ask_committed(_INDEXES, (table.name, table.schema)))
        left = {index.name for index in table.indexes}
        return any(name not in left for (name,) in committed)

    def _has_updates(self, table: TableParts) -> bool:
        """
        Whether DuckDB still keeps updated values beside the original ones.
        """
        name = self.write.name(table).replace("'", "''")
        rows = self._connection.exec_driver_sql(
            f"SELECT bool_or(has_updates) FROM pragma_storage_info('{name}')"
        )
        return bool(rows.scalar())

    def _rebuild(
        self, old: TableParts, new: TableParts, using: Mapping[str, str],
        then: Sequence[Step],
    ) -> None:  # fmt: skip
        _refuse_foreign_keys(old, new)
        write, temporary = self.write, new._replace(name=TEMPORARY + new.name)
        self._run(write.create_table(temporary))
        self._run(write.copy(old, temporary, using))
        self._run(f"DROP TABLE {write.name(old)}")
        self._run(write.rename_table(temporary, new.name))
        for sql in write.comments(new):
            self._run(sql)
        for index in new.indexes:
            self._run_all(write.create_index(new, index))
        self._run_all(then)
        for sql in new.triggers:
            self._run(sql)

    def _run_all(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self._run(step.sql)


def _refuse_foreign_keys(old: TableParts, new: TableParts) -> None:
    """
    Refuse what DuckDB cannot do, or what leaves its catalog in disorder.

    A table that others refer to cannot be dropped; and when one that refers to others
    is renamed, nothing can be deleted from those any more (duckdb-facts §1).
    """
    if old.referred_by:
        raise UnsupportedOperationError(
            f"{old.name} would have to be built anew for this, which its FOREIGN KEYs "
            f"from {', '.join(old.referred_by)} forbid; drop them before, with "
            "op.drop_constraint(…, type_='foreignkey')"
        )
    if any(constraint.kind == "FOREIGN KEY" for constraint in new.constraints):
        raise UnsupportedOperationError(
            f"{old.name} would have to be built anew for this, and DuckDB cannot do "
            "that with a FOREIGN KEY; drop it before, with op.drop_constraint(…, "
            "type_='foreignkey'), or declare it when the table is created"
        )


class _Alterations:
    """
    What ALTER TABLE can do to make one table another.
    """

    def __init__(
        self, write: TableWriter, old: TableParts, new: TableParts,
        using: Mapping[str, str],
    ) -> None:  # fmt: skip
        self._write, self._old, self._new, self._using = write, old, new, using
        self._alter = f"ALTER TABLE {write.name(old)}"

    def steps(self) -> Iterator[Step]:
        """
        The statements, in their order.

        Raises:
            _NotByAlterError: There are none.
        """
        before = {column.name: column for column in self._old.columns}
        after = {column.name: column for column in self._new.columns}
        yield from self._drop_indexes()
        for name in before.keys() - after.keys():
            yield self._drop_column(before[name])
        for name, column in after.items():
            if name not in before:
                yield from self._add_column(column)
            elif column != before[name]:
                yield from self._change_column(before[name], column)
        yield from self._constraints()
        if self._old.comment != self._new.comment:
            name = self._write.name(self._new)
            yield Step(comment_on("TABLE", name, self._new.comment))

    def _drop_indexes(self) -> Iterator[Step]:
        for index in self._old.indexes:
            if index not in self._new.indexes:
                name = self._write.in_schema(self._old, index.name)
                yield Step(f"DROP INDEX {name}")

    def _constraints(self) -> Iterator[Step]:
        if any(c not in self._new.constraints for c in self._old.constraints):
            raise _NotByAlterError
        for constraint in self._new.constraints:
            if constraint in self._old.constraints:
                continue
            if constraint.kind not in {"PRIMARY KEY", "UNIQUE"}:
                raise _NotByAlterError
            yield Step(f"{self._alter} ADD {constraint.sql}", alone=True, settled=True)

    def _drop_column(self, column: ColumnPart) -> Step:
        self._require_free(column)
        quoted = self._write.quote(column.name)
        return Step(f"{self._alter} DROP COLUMN {quoted}", alone=True)

    def _require_free(self, column: ColumnPart) -> None:
        """
        Nothing may be made of the column; indexes not even in this transaction.
        """
        others = (other for other in self._old.columns if other != column)
        if (
            self._old.indexes
            or any(column.name in c.columns for c in self._old.constraints)
            or any(other.generated is not None for other in others)
        ):
            raise _NotByAlterError

    def _add_column(self, column: ColumnPart) -> Iterator[Step]:
        if column.generated is not None:
            raise _NotByAlterError
        text = self._write.column(column)
        yield Step(f"{self._alter} ADD COLUMN {text}", alone=not column.nullable)
        if column.comment is not None:
            yield self._comment(column)

    def _comment(self, column: ColumnPart) -> Step:
        name = f"{self._write.name(self._old)}.{self._write.quote(column.name)}"
        return Step(comment_on("COLUMN", name, column.comment))

    def _change_column(self, was: ColumnPart, column: ColumnPart) -> Iterator[Step]:
        alter = f"{self._alter} ALTER COLUMN {self._write.quote(column.name)}"
        if was.generated != column.generated:
            raise _NotByAlterError
        if was.type != column.type:
            yield self._change_type(alter, was, column)
        if was.default != column.default:
            change = f"SET DEFAULT ({column.default})"
            yield Step(f"{alter} {change if column.default else 'DROP DEFAULT'}")
        if was.nullable != column.nullable:
            change = "DROP" if column.nullable else "SET"
            yield Step(
                f"{alter} {change} NOT NULL", alone=True, settled=not column.nullable
            )
        if was.comment != column.comment:
            yield self._comment(column)

    def _change_type(self, alter: str, was: ColumnPart, column: ColumnPart) -> Step:
        if was.generated is not None:
            raise _NotByAlterError
        self._require_free(was)
        using = self._using.get(column.name)
        text = f"{alter} TYPE {column.type}" + (f" USING {using}" if using else "")
        return Step(text, alone=True)
