"""
SQLAlchemy's expressions in DuckDB's SQL.

DuckDB speaks PostgreSQL's dialect for the most part, so SQLAlchemy's PostgreSQL
compiler is the parent; here is what differs.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import cast
from sqlalchemy import types as sqltypes
from sqlalchemy.dialects.postgresql.base import PGCompiler, PGIdentifierPreparer

from project_architect_db.dialect.json_operators import (
    EQUALITY,
    INSTEAD_OF_JSONB,
    JSONB,
    is_json,
    is_text,
    no_operator,
    refuse_concatenated_json,
    with_text_as_json,
)

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
        # Text needs no cast: it would make "[a, b]" of what `$.list[*]` finds.
        as_text = in_cast or is_text(binary)
        if not as_text and not is_json(binary):
            return self.process(cast(binary, binary.type), _cast_applied=True, **kw)
        function = "json_extract_string" if as_text else "json_extract"
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

    def visit_binary(self, binary: Any, *args: Any, **kw: Any) -> str:
        """
        Text equals a JSON value by being that JSON string.
        """
        refuse_concatenated_json(binary.operator, binary.left)
        if binary.operator in EQUALITY:
            binary = with_text_as_json(binary)
        return str(super().visit_binary(binary, *args, **kw))

    def visit_expression_clauselist(self, clauselist: Any, **kw: Any) -> str:
        """
        ``a || b || c``.
        """
        refuse_concatenated_json(clauselist.operator, clauselist.clauses[0])
        return str(super().visit_expression_clauselist(clauselist, **kw))

    def visit_custom_op_binary(self, element: Any, operator: Any, **kw: Any) -> str:
        """
        PostgreSQL's operators on JSONB, by functions that mean the same.
        """
        if is_json(element.left):
            if operator.opstring in INSTEAD_OF_JSONB:
                raise no_operator(operator.opstring)
            if translated := JSONB.get(operator.opstring):
                return translated(
                    self._as_json(element.left, **kw),
                    self._as_json(element.right, **kw),
                )
        return str(super().visit_custom_op_binary(element, operator, **kw))

    def _as_json(self, element: Any, **kw: Any) -> str:
        text = self.process(element, **kw)
        return f"CAST({text} AS JSON)" if is_json(element) else f"to_json({text})"

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


class DuckDBIdentifierPreparer(PGIdentifierPreparer):
    """
    Names: DuckDB compares them without regard to case, and keeps it.
    """

    reserved_words = RESERVED_WORDS
