"""
DuckDB's SQL that queries are made of: values in JSON, EXPLAIN, DESCRIBE.

A JSON value has any type, in each row another one. So none of these conditions raises
for a value of another type, and none of them takes the text "5" for the number 5.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import (
    Boolean,
    ClauseElement,
    ColumnElement,
    Double,
    Executable,
    String,
    and_,
    case,
    cast,
    false,
    func,
    literal,
    literal_column,
    or_,
    try_cast,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from project_architect_db.dialect.types import HugeInteger, compact_json, json_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.sql.compiler import SQLCompiler

Condition: TypeAlias = ColumnElement[bool]
Step: TypeAlias = str | int | None
"""A key, an index, or `None` for each item of a list."""

COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}
EXACT_IN_A_DOUBLE = 2**53


class JsonValue:
    """
    The value at a path in a JSON column, as conditions see it.

    Args:
        column: A JSON column, or any JSON expression.
        path: As DuckDB spells it; it is bound, not written into the SQL.
    """

    def __init__(self, column: Any, path: str = "$") -> None:
        _checked(path)
        self._column = column
        self._path = path
        self.text: ColumnElement[str] = func.json_extract_string(
            column, path, type_=String()
        )
        """A string without its quotes, anything else as JSON text."""

    @property
    def _json(self) -> ColumnElement[Any]:
        return func.json_extract(self._column, self._path)

    @property
    def _source(self) -> ColumnElement[str]:
        """
        The JSON text: strings keep their quotes, so that only numbers look like one.
        """
        return cast(self._json, String)

    @property
    def number(self) -> ColumnElement[float]:
        """
        A number; NULL if it is none.
        """
        return try_cast(self._source, Double)

    def _is(self, kind: str) -> Condition:
        return func.json_type(self._column, self._path, type_=String()) == kind

    def is_null(self) -> Condition:
        """
        It is null, or not there.
        """
        return self.text.is_(None)

    def equals(self, value: Any) -> Condition:
        """
        It is this value; objects have to have their keys in the same order.

        Raises:
            TypeError: JSON has no such value; or a `ValueError`.
        """
        if value is None:
            return self.is_null()
        if isinstance(value, bool):
            return self._source == ("true" if value else "false")
        if _is_number(value):
            return self._compare_number(operator.eq, value)
        if isinstance(value, str):
            _checked(value)
            same = self.text == value
            return and_(same, self._is("VARCHAR")) if _reads_as_json(value) else same
        return self._source == JsonValue(literal(_checked(value)))._source

    def is_in(self, values: Sequence[Any]) -> Condition:
        """
        It is one of these values.
        """
        kinds: dict[str, list[Any]] = {}
        found: list[Condition] = []
        for value in values:
            if value is None:
                found.append(self.is_null())
            else:
                kind, bound = self._member(value)
                kinds.setdefault(kind, []).append(bound)
        subjects: dict[str, ColumnElement[Any]] = {
            "text": self.text, "digits": self.text, "json": self._source,
            "number": self.number, "integer": try_cast(self._source, HugeInteger),
        }  # fmt: skip
        for kind, members in kinds.items():
            is_in = subjects[kind].in_(members)
            found.append(self.matches(is_in) if kind == "digits" else is_in)
        return or_(false(), *found)

    def _member(self, value: Any) -> tuple[str, Any]:
        """
        What it is compared as, one list for each kind, and what is bound for it.
        """
        if isinstance(value, bool):
            return "json", "true" if value else "false"
        if _is_number(value):
            return ("integer", value) if _is_large(value) else ("number", float(value))
        text = _checked(value)
        if isinstance(value, str):
            return "digits" if _reads_as_json(value) else "text", value
        return "json", JsonValue(literal(text))._source

    def compare(self, op: str, value: Any) -> Condition:
        """
        It is less (or more) than this number, or this text.

        Raises:
            TypeError: Neither a number nor a text.
        """
        if isinstance(value, str):
            _checked(value)
            return self.matches(COMPARISONS[op](self.text, value))
        if not _is_number(value):
            raise TypeError("only a number or a text is less or more than another")
        return self._compare_number(COMPARISONS[op], value)

    def _compare_number(self, compare: Callable[[Any, Any], Any], value: Any) -> Any:
        if _is_large(value):
            return compare(try_cast(self._source, HugeInteger), value)
        return compare(self.number, float(value))

    def matches(self, condition: Condition) -> Condition:
        """
        A condition on its `text`, which it only meets as a string.
        """
        return and_(condition, self._is("VARCHAR"))

    def contains(self, value: Any) -> Condition:
        """
        It is a list with this item, an object with these entries, or has this text.

        An item is an object with these entries, too; and a list is one with all of
        these items.

        Raises:
            TypeError: JSON has no such value; or a `ValueError`.
        """
        text = _checked(value)
        whole = type_coerce(self._json, JSONB)
        has: Any = whole.contains(cast(literal(text), JSONB))
        if isinstance(value, dict | list | tuple):
            has_item = whole.contains(cast(literal(f"[{text}]"), JSONB))
            return or_(has, and_(self._is("ARRAY"), has_item))
        if not isinstance(value, str):
            return has
        return case(
            (self._is("VARCHAR"), self.text.contains(value, autoescape=True)),
            else_=has,
        )

    def has_key(self, key: str) -> Condition:
        """
        It is an object with this key.
        """
        keys = func.json_keys(self._column, self._path)
        return func.list_contains(keys, key, type_=Boolean())


def json_value(column: Any, keys: Sequence[str | int]) -> JsonValue:
    """
    The value that these keys and indexes lead to.
    """
    if all(isinstance(key, str) and _is_simple(key) for key in keys):
        return JsonValue(column, ".".join(("$", *keys)))  # type: ignore[arg-type]
    return JsonValue(column, json_path(keys))


def _is_simple(key: str) -> bool:
    """
    Whether a path needs no quotes for it; DuckDB is 5 % faster with such a path.
    """
    return key.isascii() and key.isidentifier()


def any_json_value(
    column: Any, steps: Sequence[Step], condition: Callable[[JsonValue], Condition]
) -> Condition:
    """
    One of the values that a path with ``[*]`` in it leads to meets the condition.

    Raises:
        ValueError: DuckDB cannot spell the path.
    """
    _checked(steps)
    path = "$" + "".join(
        # the index is there for the spelling that wildcards need
        "[*]" if step is None else json_path((-1, step)).removeprefix("$[-1]")
        for step in steps
    )
    item = JsonValue(literal_column("json_item"))
    return _AnyItem(func.json_extract(column, path), condition(item))


class _AnyItem(FunctionElement[bool]):
    inherit_cache = True
    name = "any_item"
    type = Boolean()


@compiles(_AnyItem)
def _any_item(element: Any, compiler: SQLCompiler, **kw: Any) -> str:
    items, condition = (compiler.process(part, **kw) for part in element.clauses)
    return f"(len(list_filter({items}, lambda json_item: {condition})) > 0)"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def _is_large(value: Any) -> bool:
    """
    Whether it is an integer that a double rounds.

    Raises:
        TypeError: The database has none that large.
    """
    if not isinstance(value, int) or abs(value) < EXACT_IN_A_DOUBLE:
        return False
    if abs(value) >= 2**127:
        raise TypeError("an integer of more than 128 bits")
    return True


def _reads_as_json(text: str) -> bool:
    """
    Whether a number, a list or the like may have this text, too.
    """
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _checked(value: Any) -> str:
    """
    The JSON text of a value, if JSON has such a value, and UTF-8 its text.
    """
    try:
        text = compact_json(value)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    text.encode()
    return text


class _Prefixed(Executable, ClauseElement):
    """
    A statement behind a keyword.
    """

    inherit_cache = False

    def __init__(self, keyword: str, statement: Any) -> None:
        self.keyword = keyword
        self.statement = statement


@compiles(_Prefixed)
def _prefixed(element: Any, compiler: SQLCompiler, **kw: Any) -> str:
    return f"{element.keyword} {compiler.process(element.statement, **kw)}"


def explained(statement: Any, *, analyze: bool) -> Executable:
    """
    How DuckDB goes about a query; with `analyze`, after running it.

    The rows are pairs, the second of them has the plan in text.
    """
    return _Prefixed("EXPLAIN ANALYZE" if analyze else "EXPLAIN", statement)


def described(statement: Any) -> Executable:
    """
    The names and types of a query's columns, in the first two columns of its rows.
    """
    return _Prefixed("DESCRIBE", statement)
