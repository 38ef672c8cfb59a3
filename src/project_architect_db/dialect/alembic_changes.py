"""
One change of one table, from whatever number of Alembic's operations.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from alembic.ddl.impl import DefaultImpl
from sqlalchemy import DDL

from project_architect_db.dialect import alembic_sequences as sequences
from project_architect_db.dialect.alembic_tables import read_table
from project_architect_db.dialect.alembic_views import check_views, views_over
from project_architect_db.dialect.alembic_writer import Step
from project_architect_db.dialect.table_rebuild import TableChanger
from project_architect_db.errors import UnsupportedOperationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection, Table

    from project_architect_db.dialect.alembic_tables import TableParts

    Change = Callable[[TableParts], TableParts]


class _Pending:
    """
    The table of a batch, as it was and as it will be.
    """

    def __init__(self, old: TableParts) -> None:
        self.old = self.new = old
        self.using: dict[str, str] = {}
        self.then: list[Step] = []


class TableChanges(DefaultImpl):
    """
    How operations change a table.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pending: _Pending | None = None
        self.in_batch = False

    @property
    def live(self) -> Connection:
        """
        The database; there is none with ``--sql``.
        """
        assert self.connection is not None  # noqa: S101 - asked after as_sql
        return self.connection

    @property
    def changer(self) -> TableChanger:
        """
        What changes tables there.
        """
        return TableChanger(self.live, self.run)

    def run(self, sql: str) -> None:
        """
        Execute a statement that leaves all rows what they are.

        As DDL, foreign keys need not be checked for it.
        """
        self._exec(DDL(sql.replace("%", "%%")))

    def require_database(self, what: str) -> None:
        """
        Refuse ``--sql`` for what ALTER TABLE cannot do.
        """
        if self.as_sql:
            raise UnsupportedOperationError(
                f"--sql cannot {what}: that takes more than ALTER TABLE, and depends "
                "on what is in the database; run this migration on the database itself"
            )

    def require_transaction(self) -> None:
        """
        Refuse what would be half done if its statements were committed one by one.
        """
        if self.live.get_isolation_level() == "AUTOCOMMIT":
            raise UnsupportedOperationError(
                "changing a table takes several statements, which belong into one "
                "transaction; do it outside of autocommit_block()"
            )

    def change(
        self, name: str, schema: str | None, change: Change,
        *, using: Mapping[str, str] | None = None, then: Sequence[Step] = (),
    ) -> None:  # fmt: skip
        """
        Have a table be what the function makes of it; in a batch, at its end.
        """
        if self._pending is None:
            self.require_transaction()
            self._pending = _Pending(read_table(self.live, name, schema))
        pending = self._pending
        pending.new = change(pending.new)
        pending.using.update(using or {})
        pending.then.extend(then)
        if not self.in_batch:
            self.flush()

    def flush(self) -> None:
        """
        Do what has been asked for so far.
        """
        pending, self._pending = self._pending, None
        if pending is None:
            return
        old, new = pending.old, pending.new
        names = {column.name for column in new.columns}
        loses = any(column.name not in names for column in old.columns)
        views = views_over(self.live, old) if loses else []
        self.changer.change(old, new, using=pending.using, then=pending.then)
        for sql in [*sequences.drop_unused(self.live, old, new)]:
            self.run(sql)
        check_views(self.live, views, old)

    def rename(self, old: TableParts, after: TableParts, sql: str) -> None:
        """
        Rename a table or column, with its indexes out of the way.
        """
        self.require_transaction()
        write = self.changer.write
        # DuckDB loads an index of an opened file when rows are first written, even one
        # that this transaction drops; under the new name it no longer could.
        load = Step(f"DELETE FROM {self.changer.write.name(old)} WHERE false")
        then = [load, Step(sql, alone=True)]
        for index in after.indexes:
            then += write.create_index(after, index)
        then += sequences.rename(self.live, write, old, after)
        self.changer.change(old, old._replace(indexes=()), then=then)

    # --- batches ------------------------------------------------------------------

    def requires_recreate_in_batch(self, batch_op: Any) -> bool:
        """
        Never: the operations of a batch are one change, done here.
        """
        if self.as_sql:
            return False
        batch, batch_op.batch = batch_op.batch, []
        with self._one_change():
            for operation, args, kw in batch:
                getattr(self, operation)(*args, **kw)
        return False

    @contextmanager
    def _one_change(self) -> Iterator[None]:
        self.in_batch = True
        try:
            yield
            self.flush()
        finally:
            self.in_batch, self._pending = False, None

    def prep_table_for_batch(self, batch_impl: Any, table: Table) -> None:
        """
        Refuse ``recreate="always"``, which loses what Alembic does not know of.
        """
        raise UnsupportedOperationError(
            f"leave recreate='always' out for {table.name}: a table is built anew "
            "where it has to be, with all there is to it"
        )
