"""
Alembic's operations on columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import CheckConstraint, Computed, Identity

from project_architect_db.dialect import alembic_parts as parts
from project_architect_db.dialect import alembic_sequences as sequences
from project_architect_db.dialect.alembic_changes import TableChanges
from project_architect_db.dialect.alembic_tables import read_table
from project_architect_db.dialect.alembic_views import check_views, views_over
from project_architect_db.errors import UnsupportedOperationError

if TYPE_CHECKING:
    from sqlalchemy import Column

    from project_architect_db.dialect.alembic_tables import TableParts


class ColumnOperations(TableChanges):
    """
    Add, drop and alter.
    """

    def add_column(
        self, table_name: str, column: Column[Any], *,
        schema: str | None = None, if_not_exists: bool | None = None, **kw: Any,
    ) -> None:  # fmt: skip
        """
        Add a column, behind the others.
        """
        checks = [c for c in column.constraints if isinstance(c, CheckConstraint)]
        create = sequences.create_implicit(column)
        if checks or create is not None or column.computed is not None:
            self.require_database("add a column that computes, counts or has a CHECK")
        if self.as_sql:
            super().add_column(
                table_name, column, schema=schema, if_not_exists=if_not_exists, **kw
            )
            return

        def change(table: TableParts) -> TableParts:
            if if_not_exists and table.has_column(column.name):
                return table
            if create is not None:
                self._exec(create)
            added = (parts.constraint_part(self.dialect, check) for check in checks)
            return table._replace(
                columns=(*table.columns, parts.column_part(self.dialect, column)),
                constraints=(*table.constraints, *added),
            )

        self.change(table_name, schema, change)

    def create_column_comment(self, column: Column[Any]) -> None:
        """
        Comment on a column; one that a batch adds has its comment already.
        """
        if not self.in_batch:
            super().create_column_comment(column)

    def drop_column(
        self, table_name: str, column: Column[Any], *,
        schema: str | None = None, if_exists: bool | None = None, **kw: Any,
    ) -> None:  # fmt: skip
        """
        Drop a column, and the indexes and constraints that are about it.
        """
        if self.as_sql:
            super().drop_column(
                table_name, column, schema=schema, if_exists=if_exists, **kw
            )
            return

        def change(table: TableParts) -> TableParts:
            if if_exists and not table.has_column(column.name):
                return table
            return table.without_column(column.name, self.dialect)

        self.change(table_name, schema, change)

    def alter_column(
        self, table_name: str, column_name: str, *, schema: str | None = None,
        name: str | None = None, server_default: Any = False,
        autoincrement: bool | None = None, **kw: Any,
    ) -> None:  # fmt: skip
        """
        Change a column; `duckdb_using` is the SQL of its new values.

        `autoincrement` is about MySQL; autogenerate says it everywhere.
        """
        if isinstance(server_default, Computed | Identity):
            self.require_database("have a column compute or count")
        if self.as_sql:
            super().alter_column(
                table_name, column_name, schema=schema, name=name,
                server_default=server_default, **kw,
            )  # fmt: skip
            return
        changes: dict[str, Any] = {}
        if kw.get("nullable") is not None:
            changes["nullable"] = kw["nullable"]
        if kw.get("comment", False) is not False:
            changes["comment"] = kw["comment"]
        if kw.get("type_") is not None:
            changes["type"] = parts.type_sql(self.dialect, kw["type_"])

        def change(table: TableParts) -> TableParts:
            default = self._default(table, column_name, server_default)
            return table.with_column(column_name, **changes, **default)

        using = {column_name: kw["duckdb_using"]} if "duckdb_using" in kw else None
        if changes or using or server_default is not False:
            self.change(table_name, schema, change, using=using)
        if name is not None and name != column_name:
            self._rename_column(table_name, schema, column_name, name)

    def _default(self, table: TableParts, name: str, default: Any) -> dict[str, Any]:
        """
        What changes with the default, which may be an expression or a sequence.
        """
        if default is False:
            return {}
        if isinstance(default, Computed):
            expression = parts.computed_sql(self.dialect, default)
            return {"generated": expression, "default": None, "nullable": True}
        if not isinstance(default, Identity):
            text = parts.default_sql(self.dialect, default)
            return {"generated": None, "default": text}
        column = table.column(name).name
        create = sequences.create_identity(self.live, table, column, default)
        self._exec(create)
        text = sequences.next_value(self.dialect, create.element)
        return {"generated": None, "default": text}

    def _rename_column(
        self, table_name: str, schema: str | None, column_name: str, name: str
    ) -> None:
        self.flush()
        old = read_table(self.live, table_name, schema)
        column, quote = old.column(column_name).name, self.changer.write.quote
        _refuse_renaming(old, column)
        was, quoted = quote(column), quote(name)
        after = old.with_column(column, name=name)._replace(
            indexes=tuple(
                index._replace(
                    expressions=tuple(
                        quoted if expression == was else expression
                        for expression in index.expressions
                    )
                )
                for index in old.indexes
            )
        )
        table = self.changer.write.name(old)
        views = views_over(self.live, old)
        self.rename(old, after, f"ALTER TABLE {table} RENAME COLUMN {was} TO {quoted}")
        check_views(self.live, views, old)


def _refuse_renaming(table: TableParts, column: str) -> None:
    """
    Refuse where SQL that only DuckDB understands would have to change.
    """
    for index in table.indexes:
        if any(e.startswith("(") and column in e for e in index.expressions):
            raise UnsupportedOperationError(
                f"the index {index.name} computes something from {column}; drop it "
                "before renaming the column, and create it anew afterwards"
            )
    keys = [c for c in table.constraints if c.kind == "FOREIGN KEY"]
    if any(column in key.columns for key in keys) or table.referred_by:
        raise UnsupportedOperationError(
            f"{table.name} has a FOREIGN KEY, or is referred to by one, and DuckDB "
            "loses track of it when something is renamed; drop it before, with "
            "op.drop_constraint(…, type_='foreignkey')"
        )
