"""
Alembic's operations on DuckDB.

Each of them says how a table is wanted, and `table_rebuild` finds the way there. What
DuckDB cannot do is refused before anything has changed. Without a database (``--sql``)
there is ALTER TABLE alone.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from alembic.autogenerate.render import _repr_type
from alembic.ddl.impl import ComparisonResult
from sqlalchemy import (
    VARCHAR,
    Constraint,
    ForeignKeyConstraint,
    MetaData,
    PrimaryKeyConstraint,
    UniqueConstraint,
)
from sqlalchemy.schema import CreateIndex
from sqlalchemy.sql.elements import conv

from project_architect_db.dialect import alembic_parts as parts
from project_architect_db.dialect import alembic_sequences as sequences
from project_architect_db.dialect import (
    autogenerate_sequences,  # noqa: F401 - Alembic finds it by its decorators
)
from project_architect_db.dialect.alembic_columns import ColumnOperations
from project_architect_db.dialect.alembic_names import find_constraint, no_constraint
from project_architect_db.dialect.alembic_tables import read_table
from project_architect_db.dialect.alembic_views import refuse_views, views_over
from project_architect_db.dialect.alembic_writer import Step
from project_architect_db.dialect.autogenerate import comparison_of, is_running
from project_architect_db.dialect.autogenerate_types import rendered_type
from project_architect_db.dialect.catalog import folded
from project_architect_db.dialect.reflected import escaped
from project_architect_db.errors import InvalidStatementError, UnsupportedOperationError

if TYPE_CHECKING:
    from sqlalchemy import Index, Table

    from project_architect_db.dialect.alembic_tables import TableParts

log = logging.getLogger(__name__)


class DuckDBImpl(ColumnOperations):
    """
    What Alembic asks of a database, found by the name of the dialect.
    """

    __dialect__ = "duckdb"
    transactional_ddl = True

    # --- tables -------------------------------------------------------------------

    def drop_table(self, table: Table, **kw: Any) -> None:
        """
        Drop a table, and the sequence that its key counted with.
        """
        exists = not self.as_sql and self.dialect.has_table(
            self.live, table.name, schema=table.schema
        )
        if not exists:
            super().drop_table(table, **kw)  # DuckDB says so, unless if_exists
            return
        found = read_table(self.live, table.name, table.schema)
        refuse_views(views_over(self.live, found), found)
        super().drop_table(table, **kw)
        for sql in [*sequences.drop_unused(self.live, found, None)]:
            self.run(sql)

    def rename_table(
        self, old_table_name: str, new_table_name: str, schema: str | None = None
    ) -> None:
        """
        Rename a table, and the sequence that its key counts with.
        """
        self.require_database("rename a table, whose sequence is to follow it")
        old = read_table(self.live, old_table_name, schema)
        refuse_views(views_over(self.live, old), old)
        keys = [c for c in old.constraints if c.kind == "FOREIGN KEY"]
        if old.triggers or old.referred_by or keys:
            raise UnsupportedOperationError(
                f"{old.name} has triggers or FOREIGN KEYs, or is referred to by some, "
                "which DuckDB does not rename with it; drop these before"
            )
        after = old._replace(name=new_table_name)
        self.rename(old, after, self.changer.write.rename_table(old, after.name))

    def create_table_comment(self, table: Table) -> None:
        """
        Comment on a table.
        """
        self._comment(table, table.comment)

    def drop_table_comment(self, table: Table) -> None:
        """
        Take the comment away.
        """
        self._comment(table, None)

    def _comment(self, table: Table, comment: str | None) -> None:
        if self.as_sql:
            table.comment = comment
            super().create_table_comment(table)
            return
        self.change(
            table.name, table.schema, lambda found: found._replace(comment=comment)
        )

    # --- constraints --------------------------------------------------------------

    def add_constraint(self, const: Any, **kw: Any) -> None:
        """
        Add a constraint; a FOREIGN KEY only where the dialect emits them.
        """
        if const._create_rule is not None and not const._create_rule(self):
            return
        if self._is_in_metadata_alone(const):
            return
        if not isinstance(const, PrimaryKeyConstraint | UniqueConstraint):
            self.require_database("add a CHECK or FOREIGN KEY constraint")
        if self.as_sql:
            super().add_constraint(const, **kw)
            return

        def change(table: TableParts) -> TableParts:
            part = parts.constraint_part(self.dialect, const)
            if part.kind == "PRIMARY KEY":
                for name in part.columns:
                    table = table.with_column(name, nullable=False)
            return table._replace(constraints=(*table.constraints, part))

        self.change(const.table.name, const.table.schema, change)

    def drop_constraint(self, const: Any, **kw: Any) -> None:
        """
        Drop a constraint, by DuckDB's name for it or the one in the models.
        """
        if self._is_in_metadata_alone(const) and self.as_sql:
            return
        self.require_database("drop a constraint")

        optional = kw.get("if_exists") or self._is_in_metadata_alone(const)

        def change(table: TableParts) -> TableParts:
            models = self.context_opts.get("target_metadata")
            found = find_constraint(table, const, models, self.dialect)
            if found is None and not optional:
                raise no_constraint(table, const)
            left = tuple(part for part in table.constraints if part != found)
            return table._replace(constraints=left)

        self.change(const.table.name, const.table.schema, change)

    def _is_in_metadata_alone(self, const: Constraint) -> bool:
        emits: bool = self.dialect.emit_foreign_keys  # type: ignore[attr-defined]
        return isinstance(const, ForeignKeyConstraint) and not emits

    # --- indexes ------------------------------------------------------------------

    def create_index(self, index: Index, **kw: Any) -> None:
        """
        Create an index, also on rows that this migration has updated.
        """
        table: Any = index.table
        if self.as_sql:
            super().create_index(index, **kw)
        elif not (kw.get("if_not_exists") and self._has_index(index)):
            sql = str(CreateIndex(index).compile(dialect=self.dialect))
            self.change(
                table.name, table.schema, lambda found: found,
                then=[Step(sql, settled=True)],
            )  # fmt: skip

    def _has_index(self, index: Index) -> bool:
        table: Any = index.table
        return self.dialect.has_index(
            self.live, table.name, str(index.name), schema=table.schema
        )

    def drop_index(self, index: Index, **kw: Any) -> None:
        """
        Drop an index.
        """
        table: Any = index.table
        if not self.in_batch:
            super().drop_index(index, **kw)  # its table need not be named
            return

        def change(found: TableParts) -> TableParts:
            name = folded(str(index.name))
            left = tuple(i for i in found.indexes if folded(i.name) != name)
            if len(left) == len(found.indexes) and not kw.get("if_exists"):
                raise InvalidStatementError(f"{found.name} has no index {index.name!r}")
            return found._replace(indexes=left)

        self.change(table.name, table.schema, change)

    # --- autogenerate -------------------------------------------------------------

    def compare_type(self, inspector_column: Any, metadata_column: Any) -> bool:
        """
        Whether DuckDB has one type for the model and another in the database.
        """
        pair = comparison_of(self).columns(metadata_column)
        return pair is not None and pair[0].type != pair[1].type

    def compare_indexes(self, metadata_index: Any, reflected_index: Any) -> Any:
        """
        Whether two indexes of one name are about the same.
        """
        pair = comparison_of(self).tables(metadata_index.table)
        if pair is None:
            return ComparisonResult.Skip("the model cannot be created on its own")
        found, wanted = ({i.name: i for i in table.indexes}[metadata_index.name]
                         for table in pair)  # fmt: skip
        if found._replace(comment=None) == wanted:
            return ComparisonResult.Equal()
        return ComparisonResult.Different(f"{found} to {wanted}")

    def correct_for_autogen_constraints(
        self, conn_uniques: Any, conn_indexes: Any,
        metadata_unique_constraints: Any, metadata_indexes: Any,
    ) -> None:  # fmt: skip
        """
        Call the UNIQUE constraints of the models what DuckDB calls them.
        """
        declared = list(metadata_unique_constraints)
        if not declared:
            return
        copy = declared[0].table.to_metadata(MetaData())
        metadata_unique_constraints.clear()
        for constraint in copy.constraints:
            if isinstance(constraint, UniqueConstraint):
                columns = "_".join(column.name for column in constraint.columns)
                constraint.name = conv(f"{copy.name}_{columns}_key")
                metadata_unique_constraints.add(constraint)

    def correct_for_autogen_foreignkeys(
        self, conn_fks: set[Any], metadata_fks: set[Any]
    ) -> None:
        """
        Leave out what is not emitted: FOREIGN KEYs, or what ON DELETE does.
        """
        if not self.dialect.emit_foreign_keys:  # type: ignore[attr-defined]
            metadata_fks.clear()
        declared = {_columns_of(key): key for key in metadata_fks}
        for key in conn_fks:
            model = declared.get(_columns_of(key))
            if model is not None:
                for option in ("onupdate", "ondelete", "deferrable", "initially"):
                    setattr(key, option, getattr(model, option))

    def autogen_column_reflect(self, inspector: Any, table: Any, column: Any) -> None:
        """
        Call a key that counts by itself an identity: no script names its sequence.

        And tell the collation of a column, which the catalog has no column for.
        """
        if not is_running(self):
            return
        type_ = comparison_of(self).found(table).column(column["name"]).type
        if " COLLATE " in type_:
            column["type"] = VARCHAR(collation=type_.rpartition(" ")[2])
        key = sequences.key_sequence(table, column["name"])
        if str(column["default"]) == sequences.next_value(self.dialect, key):
            column["default"] = None
            column["identity"] = {}

    def render_ddl_sql_expr(
        self, expr: Any, is_server_default: bool = False, **kw: Any
    ) -> str:
        """
        SQL for a script, which hands it to `text()`: no colon may be a parameter.
        """
        return escaped(super().render_ddl_sql_expr(expr, is_server_default, **kw))

    def render_type(self, type_obj: Any, autogen_context: Any) -> Any:
        """
        DuckDB's own types, with the import they need.
        """
        return rendered_type(type_obj, autogen_context, _repr_type) or False


def _columns_of(key: Any) -> tuple[Any, ...]:
    return tuple((e.parent.name, e.target_fullname) for e in key.elements)
