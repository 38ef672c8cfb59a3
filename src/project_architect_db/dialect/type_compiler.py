"""
The names of types in DuckDB's SQL.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import types as sqltypes
from sqlalchemy.dialects.postgresql.base import PGTypeCompiler

from project_architect_db.dialect.types import DECIMALS


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
        All the digits there are, unless told otherwise.
        """
        if type_.precision is None:
            scale = DECIMALS if type_.scale is None else type_.scale
            return f"DECIMAL(38, {scale})"
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
