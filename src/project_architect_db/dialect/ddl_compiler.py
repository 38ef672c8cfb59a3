"""
CREATE, DROP and COMMENT in DuckDB's SQL.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Sequence, exc, func, select
from sqlalchemy import types as sqltypes
from sqlalchemy.sql.compiler import DDLCompiler
from sqlalchemy.sql.schema import IdentityOptions

if TYPE_CHECKING:
    from sqlalchemy import Column, Select, Table
    from sqlalchemy.sql import ddl


class DuckDBDDLCompiler(DDLCompiler):
    """
    CREATE, DROP and ALTER.
    """

    def visit_create_table(self, create: ddl.CreateTable, **kw: Any) -> str:
        """
        The implicit sequence of an integer key, then the table.
        """
        text = super().visit_create_table(create, **kw)
        sequence = implicit_sequence(create.element)
        if sequence is None:
            return text
        prefixes = {prefix.upper() for prefix in create.element._prefixes}
        kind = "TEMP SEQUENCE" if prefixes & {"TEMP", "TEMPORARY"} else "SEQUENCE"
        return (
            f"CREATE {kind} IF NOT EXISTS {self._sequence_text(sequence)};"
            f"{text.rstrip()}"
        )

    def visit_drop_table(self, drop: ddl.DropTable, **kw: Any) -> str:
        """
        The table, then the implicit sequence that it kept alive.
        """
        text = super().visit_drop_table(drop, **kw)
        sequence = implicit_sequence(drop.element)
        if sequence is None:
            return text
        return f"{text};\nDROP SEQUENCE IF EXISTS {self._sequence_name(sequence)}"

    def _sequence_text(self, sequence: Sequence) -> str:
        options = self.get_identity_options(sequence)
        return f"{self._sequence_name(sequence)} {options}".rstrip()

    def _sequence_name(self, sequence: Sequence) -> str:
        return self.preparer.format_sequence(sequence)

    def get_identity_options(self, identity_options: Any) -> str:
        """
        The options of a sequence; DuckDB has no CACHE.
        """
        text = super().get_identity_options(identity_options)
        return re.sub(r"CACHE \d+ ?", "", text).rstrip()

    def get_column_default_string(self, column: Column[Any]) -> str | None:
        """
        DuckDB has no SERIAL and no IDENTITY: a key counts with its own sequence.
        """
        table = column.table
        if table is not None and implicit_sequence_column(table) is column:
            sequence = implicit_sequence(table)
            return self.sql_compiler.process(sequence.next_value())  # type: ignore[union-attr]
        return super().get_column_default_string(column)

    def get_column_specification(self, column: Column[Any], **kw: Any) -> str:
        """
        DuckDB takes no NOT NULL, nor any other constraint, on a computed column.
        """
        text = super().get_column_specification(column, **kw)
        return text if column.computed is None else text.removesuffix(" NOT NULL")

    def visit_computed_column(self, generated: Any, **kw: Any) -> str:
        """
        Computed columns are computed when read; DuckDB cannot store them.
        """
        if generated.persisted is True:
            raise exc.CompileError(
                "DuckDB computes generated columns when they are read; "
                "leave `persisted` out, or False"
            )
        expression = self.sql_compiler.process(
            generated.sqltext, include_table=False, literal_binds=True
        )
        return f"GENERATED ALWAYS AS ({expression}) VIRTUAL"

    def create_table_constraints(
        self, table: Table, _include_foreign_key_constraints: Any = None, **kw: Any
    ) -> str:
        """
        Foreign keys stay in the metadata unless `emit_foreign_keys` is on.

        With them, a referenced row can neither be updated in an indexed column
        nor deleted together with its children (duckdb-facts §1).
        """
        if not self.dialect.emit_foreign_keys:  # type: ignore[attr-defined]
            _include_foreign_key_constraints = ()
        return super().create_table_constraints(
            table, _include_foreign_key_constraints, **kw
        )

    def define_constraint_cascades(self, constraint: Any) -> str:
        """
        Nothing: DuckDB knows neither ON DELETE nor ON UPDATE actions.
        """
        return ""

    define_constraint_deferrability = define_constraint_cascades
    define_constraint_match = define_constraint_cascades

    def visit_set_table_comment(self, create: Any, **kw: Any) -> str:
        """
        COMMENT ON TABLE.
        """
        return self._comment("TABLE", self.preparer.format_table(create.element),
                             create.element.comment)  # fmt: skip

    def visit_drop_table_comment(self, drop: Any, **kw: Any) -> str:
        """
        COMMENT ON TABLE … IS NULL.
        """
        return self._comment("TABLE", self.preparer.format_table(drop.element), None)

    def visit_set_column_comment(self, create: Any, **kw: Any) -> str:
        """
        COMMENT ON COLUMN.
        """
        name = self.preparer.format_column(
            create.element, use_table=True, use_schema=True
        )
        return self._comment("COLUMN", name, create.element.comment)

    def visit_drop_column_comment(self, drop: Any, **kw: Any) -> str:
        """
        COMMENT ON COLUMN … IS NULL.
        """
        name = self.preparer.format_column(
            drop.element, use_table=True, use_schema=True
        )
        return self._comment("COLUMN", name, None)

    def _comment(self, kind: str, name: str, comment: str | None) -> str:
        text = (
            "NULL"
            if comment is None
            else self.sql_compiler.render_literal_value(comment, sqltypes.String())
        )
        return f"COMMENT ON {kind} {name} IS {text}"


def implicit_sequence(table: Table) -> Sequence | None:
    """
    The sequence that counts the keys of a table which names none itself.
    """
    column = implicit_sequence_column(table)
    if column is None:
        return None
    return Sequence(
        f"{table.name}_{column.name}_seq",
        schema=table.schema,
        **(IdentityOptions._as_dict(column.identity) if column.identity else {}),
    )


def next_keys(table: Table, count: int) -> Select[int]:
    """
    A query for that many new values of a key that counts by itself.
    """
    column = table.autoincrement_column
    default = None if column is None else column.default
    own = default if isinstance(default, Sequence) else None
    sequence = own or cast("Sequence", implicit_sequence(table))
    rows = func.range(count).table_valued("number")
    return select(sequence.next_value()).select_from(rows)


def implicit_sequence_column(table: Table) -> Column[Any] | None:
    """
    The column that counts by itself: an integer key, or one with `Identity()`.
    """
    for column in table.columns:
        if column.identity is not None:
            return column
    counting: Column[Any] | None = table.autoincrement_column
    if (
        counting is None
        or (counting.default is not None and not _is_optional(counting.default))
        or counting.server_default is not None
        or (counting.foreign_keys and counting.autoincrement == "auto")
    ):
        return None
    return counting


def _is_optional(default: Any) -> bool:
    return bool(default.is_sequence and default.optional)
