"""
SQLAlchemy's expressions in DuckDB's SQL.

DuckDB speaks PostgreSQL's dialect for the most part, so SQLAlchemy's PostgreSQL
compiler is the parent; here is what differs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlalchemy import Sequence, cast, exc
from sqlalchemy import types as sqltypes
from sqlalchemy.dialects.postgresql.base import (
    PGCompiler,
    PGIdentifierPreparer,
    PGTypeCompiler,
)
from sqlalchemy.sql.compiler import DDLCompiler
from sqlalchemy.sql.schema import IdentityOptions

if TYPE_CHECKING:
    from sqlalchemy import Column, Table
    from sqlalchemy.sql import ddl

# SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'
RESERVED_WORDS = set(
    """
    all analyse analyze and anti any array as asc asof asymmetric at authorization
    between bigint binary bit boolean both by case cast char character check
    coalesce collate collation column columns concurrently constraint create cross
    dec decimal default deferrable desc describe distinct do else end except exists
    extract false fetch float for foreign freeze from full generated glob group
    grouping grouping_id having ilike in initially inner inout int integer intersect
    interval into is isnull join lambda lateral leading left like limit map national
    natural nchar none not notnull null nullif numeric offset on only or order out
    outer overlaps overlay pivot pivot_longer pivot_wider placing position
    positional precision primary qualify real references returning right row select
    semi setof show similar smallint some struct substring summarize symmetric table
    tablesample then time timestamp to trailing treat trim true try_cast tuple union
    unique unpack unpivot using values varchar variadic verbose when where window
    with xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces
    xmlparse xmlpi xmlroot xmlserialize xmltable
    """.split()  # noqa: SIM905 - a hundred and fifty lines less
)


class DuckDBCompiler(PGCompiler):
    """
    Statements.
    """

    def for_update_clause(self, select: Any, **kw: Any) -> str:
        """
        Nothing: the write gate lets one writer in, which reads the latest state.
        """
        return ""

    def visit_bitwise_xor_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """
        ``a ^ b`` is a function; ``^`` is the power.
        """
        left, right = (self.process(side, **kw) for side in (binary.left, binary.right))
        return f"xor({left}, {right})"

    def _json_extract(self, binary: Any, *, in_cast: bool, **kw: Any) -> str:
        if not in_cast and binary.type._type_affinity is not sqltypes.JSON:
            return self.process(cast(binary, binary.type), _cast_applied=True, **kw)
        function = "json_extract_string" if in_cast else "json_extract"
        left, right = (self.process(side, **kw) for side in (binary.left, binary.right))
        return f"{function}({left}, {right})"

    def visit_json_getitem_op_binary(
        self, binary: Any, operator: Any, _cast_applied: bool = False, **kw: Any
    ) -> str:
        """
        ``column["key"]``; functions bind tighter than any operator around them.
        """
        return self._json_extract(binary, in_cast=_cast_applied, **kw)

    visit_json_path_getitem_op_binary = visit_json_getitem_op_binary

    def _regexp_match(self, base_op: str, binary: Any, operator: Any, kw: Any) -> str:
        # DuckDB's ~ has to match the whole string, PostgreSQL's any part of it.
        flags = binary.modifiers["flags"]
        arguments = [self.process(binary.left, **kw), self.process(binary.right, **kw)]
        if flags:
            arguments.append(self.render_literal_value(flags, sqltypes.STRINGTYPE))
        negation = "NOT " if base_op.startswith("!") else ""
        return f"{negation}regexp_matches({', '.join(arguments)})"

    def visit_now_func(self, fn: Any, **kw: Any) -> str:
        """
        ``func.now()``, without parentheses usable as a default as well.
        """
        return "CURRENT_TIMESTAMP"


class DuckDBDDLCompiler(DDLCompiler):
    """
    CREATE, DROP and ALTER.
    """

    def visit_create_table(self, create: ddl.CreateTable, **kw: Any) -> str:
        """
        The implicit sequence of an integer key, then the table.
        """
        text = super().visit_create_table(create, **kw)
        sequence = self.implicit_sequence(create.element)
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
        sequence = self.implicit_sequence(drop.element)
        if sequence is None:
            return text
        return f"{text};\nDROP SEQUENCE IF EXISTS {self._sequence_name(sequence)}"

    def _sequence_text(self, sequence: Sequence) -> str:
        options = self.get_identity_options(sequence)
        return f"{self._sequence_name(sequence)} {options}".rstrip()

    def _sequence_name(self, sequence: Sequence) -> str:
        return self.preparer.format_sequence(sequence)

    def implicit_sequence(self, table: Table) -> Sequence | None:
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
            sequence = self.implicit_sequence(table)
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


class DuckDBTypeCompiler(PGTypeCompiler):
    """
    Types.
    """

    def process(self, type_: Any, **kw: Any) -> str:
        """
        The SQL of a type; duckdb-engine's nested ones need the preparer.
        """
        kw.setdefault("identifier_preparer", self.dialect.identifier_preparer)
        return super().process(type_, **kw)

    def visit_VARCHAR(self, type_: Any, **kw: Any) -> str:
        """
        DuckDB neither enforces nor remembers a length.
        """
        return "VARCHAR" + (f' COLLATE "{type_.collation}"' if type_.collation else "")

    visit_string = visit_text = visit_unicode = visit_unicode_text = visit_VARCHAR
    visit_NVARCHAR = visit_CHAR = visit_NCHAR = visit_TEXT = visit_CLOB = visit_VARCHAR

    def visit_enum(self, type_: Any, **kw: Any) -> str:
        """
        SQLAlchemy's Enum is a VARCHAR here.
        """
        return "VARCHAR"

    def visit_ENUM(self, type_: Any, identifier_preparer: Any = None, **kw: Any) -> str:
        """
        DuckDB's ENUM, spelled out in the column.
        """
        literals = (
            self.dialect.statement_compiler(self.dialect, None).render_literal_value(
                member, sqltypes.String()
            )
            for member in type_.enums
        )
        return f"ENUM({', '.join(literals)})"

    def visit_FLOAT(self, type_: Any, **kw: Any) -> str:
        """
        DuckDB's FLOAT has 32 bits, Python's 64.
        """
        return "FLOAT" if type_.precision and type_.precision <= 24 else "DOUBLE"

    def visit_DOUBLE(self, type_: Any, **kw: Any) -> str:
        """
        64 bits.
        """
        return "DOUBLE"

    visit_double = visit_DOUBLE_PRECISION = visit_DOUBLE

    def visit_NUMERIC(self, type_: Any, **kw: Any) -> str:
        """
        DECIMAL has 18 digits, 3 of them decimals, unless told otherwise.
        """
        if type_.precision is None:
            return "DECIMAL" if type_.scale is None else f"DECIMAL(38, {type_.scale})"
        return f"DECIMAL({type_.precision}, {type_.scale or 0})"

    visit_DECIMAL = visit_NUMERIC

    def visit_large_binary(self, type_: Any, **kw: Any) -> str:
        """
        BLOB.
        """
        return "BLOB"

    visit_BLOB = visit_BINARY = visit_VARBINARY = visit_BYTEA = visit_large_binary

    def visit_TIMESTAMP(self, type_: Any, **kw: Any) -> str:
        """
        With a time zone: an instant, kept in UTC.
        """
        return "TIMESTAMP WITH TIME ZONE" if type_.timezone else "TIMESTAMP"

    visit_datetime = visit_DATETIME = visit_TIMESTAMP

    def visit_TIME(self, type_: Any, **kw: Any) -> str:
        """
        A time of day.
        """
        return "TIME WITH TIME ZONE" if type_.timezone else "TIME"

    def visit_INTERVAL(self, type_: Any, **kw: Any) -> str:
        """
        A timedelta.
        """
        return "INTERVAL"

    def visit_JSONB(self, type_: Any, **kw: Any) -> str:
        """
        PostgreSQL's JSONB is plain JSON here.
        """
        return "JSON"

    visit_json_path = visit_JSONPATH = visit_json_str_index = visit_VARCHAR

    def visit_fixed_array(self, type_: Any, **kw: Any) -> str:
        """
        ``item[size]``.
        """
        return f"{self.process(type_.item_type, **kw)}[{type_.size}]"

    def _own_name(self, type_: Any, **kw: Any) -> str:
        return str(type_.__visit_name__)

    visit_VARIANT = visit_BIGNUM = visit_TIME_NS = _own_name
    visit_TIMESTAMP_S = visit_TIMESTAMP_MS = visit_TIMESTAMP_NS = _own_name

    def visit_BIT(self, type_: Any, **kw: Any) -> str:
        """
        A string of bits, of any length.
        """
        return "BIT"


class DuckDBIdentifierPreparer(PGIdentifierPreparer):
    """
    Names: DuckDB compares them without regard to case, and keeps it.
    """

    reserved_words = RESERVED_WORDS
