"""
DuckDB's names of types, as its catalog spells them, in SQLAlchemy's types.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlalchemy import types as sqltypes
from sqlalchemy import util
from sqlalchemy.dialects.postgresql import INTERVAL

from project_architect_db.dialect import types

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.types import TypeEngine

_SIMPLE: dict[str, Callable[[], TypeEngine[Any]]] = {
    "BIGINT": sqltypes.BIGINT,
    "BIGNUM": types.BIGNUM,
    "BIT": types.BIT,
    "BLOB": sqltypes.BLOB,
    "BOOLEAN": sqltypes.BOOLEAN,
    "DATE": sqltypes.DATE,
    "DOUBLE": sqltypes.DOUBLE,
    "FLOAT": sqltypes.REAL,
    "HUGEINT": types.HugeInteger,
    "INTEGER": sqltypes.INTEGER,
    "INTERVAL": INTERVAL,
    "JSON": sqltypes.JSON,
    "NULL": sqltypes.NullType,
    "SMALLINT": sqltypes.SMALLINT,
    "TIME": sqltypes.TIME,
    "TIME WITH TIME ZONE": lambda: sqltypes.TIME(timezone=True),
    "TIMESTAMP": sqltypes.TIMESTAMP,
    "TIMESTAMP WITH TIME ZONE": lambda: sqltypes.TIMESTAMP(timezone=True),
    "TIMESTAMP_MS": types.TIMESTAMP_MS,
    "TIMESTAMP_NS": types.TIMESTAMP_NS,
    "TIMESTAMP_S": types.TIMESTAMP_S,
    "TIME_NS": types.TIME_NS,
    "TINYINT": types.TinyInteger,
    "UBIGINT": types.UBigInteger,
    "UHUGEINT": types.UHugeInteger,
    "UINTEGER": types.UInteger,
    "USMALLINT": types.USmallInteger,
    "UTINYINT": types.UTinyInteger,
    "UUID": sqltypes.UUID,
    "VARCHAR": sqltypes.VARCHAR,
    "VARIANT": types.VARIANT,
}

_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|[()\[\],]|[^\s()\[\],'"]+""")


def type_from_text(text: str, column: str) -> TypeEngine[Any]:
    """
    The type that DuckDB writes so, such as ``STRUCT(a INTEGER, b VARCHAR[])``.

    An unknown one becomes a `NullType`, with a warning that names the column.
    """
    simple = _SIMPLE.get(text)
    return simple() if simple else _TypeParser(text, column).type()


def unquoted(identifier: str) -> str:
    """
    The name that an identifier in SQL stands for.
    """
    if identifier.startswith('"'):
        return identifier[1:-1].replace('""', '"')
    return identifier


class _TypeParser:
    """
    Reads one type from left to right; at the end, every token is empty.
    """

    def __init__(self, text: str, column: str) -> None:
        self._column = column
        self._tokens: list[str] = [*reversed(_TOKEN.findall(text))]

    def _peek(self) -> str:
        return self._tokens[-1] if self._tokens else ""

    def _take(self) -> str:
        return self._tokens.pop() if self._tokens else ""

    def _take_if(self, token: str) -> bool:
        if self._peek() != token:
            return False
        self._take()
        return True

    def type(self) -> TypeEngine[Any]:
        """
        A type, and the brackets of lists and arrays behind it.
        """
        words = [unquoted(self._take())]
        while self._peek() not in ("", "(", ")", "[", ","):
            words.append(self._take())
        return self._bracketed(self._named(" ".join(words)))

    def _named(self, name: str) -> TypeEngine[Any]:
        found: TypeEngine[Any]
        match name:
            case "DECIMAL":
                precision, scale = map(int, self._arguments())
                found = sqltypes.DECIMAL(precision, scale)
            case "ENUM":
                members = (t[1:-1].replace("''", "'") for t in self._arguments())
                found = types.ENUM(*members)
            case "STRUCT":
                found = types.Struct(self._fields())
            case "UNION":
                found = types.Union(self._fields())
            case "MAP":
                found = types.Map(*[self.type() for _ in self._list()])
            case _ if name in _SIMPLE:
                found = _SIMPLE[name]()
            case _:
                util.warn(f"Did not recognize type {name!r} of column {self._column!r}")
                self._skip_arguments()
                found = sqltypes.NullType()
        return found

    def _list(self) -> Iterator[None]:
        """
        Once for each item between parentheses, which the caller then takes.
        """
        self._take()
        yield
        while self._take_if(","):
            yield
        self._take()

    def _arguments(self) -> list[str]:
        return [self._take() for _ in self._list()]

    def _fields(self) -> dict[str, Any]:
        return {unquoted(self._take()): self.type() for _ in self._list()}

    def _skip_arguments(self) -> None:
        depth = 0
        while self._peek() == "(" or (depth and self._tokens):
            depth += {"(": 1, ")": -1}.get(self._take(), 0)

    def _bracketed(self, item: TypeEngine[Any]) -> TypeEngine[Any]:
        """
        ``item[]`` is a list, ``item[3]`` an array of three.
        """
        dimensions = 0
        while self._take_if("["):
            size = self._take()
            if size == "]":
                dimensions += 1
                continue
            self._take()
            item = types.FixedArray(_list_of(item, dimensions), int(size))
            dimensions = 0
        return _list_of(item, dimensions)


def _list_of(item: TypeEngine[Any], dimensions: int) -> TypeEngine[Any]:
    return sqltypes.ARRAY(item, dimensions=dimensions) if dimensions else item
