"""
What SQL for one row consists of, so that it can be made into SQL for many.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

ROWS = "__architect_rows__"
"""The name the Arrow table is registered under while its statement runs."""

_NAME = r'"(?:[^"]|"")*"'
_QUOTED = rf"'(?:[^']|'')*'|{_NAME}"

PLACEHOLDER = re.compile(rf"{_QUOTED}|\$(\d+)")
"""A placeholder with its number; a string or a name in quotes without one."""

_TABLE = rf"(?:{_NAME}|[^\s\"(])+"
_INSERT = re.compile(
    rf"\bINSERT\b(?P<how>[^(]*?)\bINTO\s+(?P<table>{_TABLE})"
    rf"\s*(?P<columns>\((?:{_NAME}|[^\")])*\))?\s*(?P<values>VALUES)\s*\(",
    re.IGNORECASE,
)
_TAIL = re.compile(r"\s*(?:;?\s*$|ON\s+CONFLICT\b|RETURNING\b)", re.IGNORECASE)
_UPDATE = re.compile(
    rf"\s*ON\s+CONFLICT\s*(?P<keys>\((?:{_NAME}|[^\")])*\))?"
    rf"(?:{_QUOTED}|[^'\"])*?\bDO\s+UPDATE\b",
    re.IGNORECASE,
)
_BRACKET_OR_COMMA = re.compile(rf"{_QUOTED}|[][(){{}},]")

_DOUBTFUL = re.compile(r"--|/\*|;\s*\S|\$(?!\d)|\w\$|\w''")
"""What a piece of SQL may hide in, with its quoted parts left out: a comment, other
kinds of strings, a second statement."""


def placeholders(sql: str) -> list[int]:
    """
    The numbers of the placeholders in a piece of SQL, from left to right.
    """
    return [int(number) for number in PLACEHOLDER.findall(sql) if number]


def is_plain_insert(sql: str) -> bool:
    """
    Whether a piece of SQL is surely one INSERT, written so that we understand it.
    """
    bare = re.sub(_QUOTED, "''", sql.strip())
    return bare[:6].upper() == "INSERT" and not _DOUBTFUL.search(bare)


class InsertText(NamedTuple):
    """
    An ``INSERT INTO table (columns) VALUES (values)`` and what may follow.

    Attributes:
        sql: All of it.
        head: What comes before VALUES.
        values: The expressions between its parentheses; empty if there are none.
        tail: What comes after them.
        table: The name of the table, in SQL.
        columns: The names of its columns, in SQL; empty if they are not given.
        keys: The columns by which it finds rows to update: empty if it updates
            none, `None` if it does not say.
    """

    sql: str
    head: str
    values: list[str]
    tail: str
    table: str
    columns: list[str]
    keys: list[str] | None

    @classmethod
    def parse(cls, sql: str) -> InsertText:
        """
        The parts of a piece of SQL; all is head if it is no INSERT of one row.
        """
        match = _INSERT.search(sql)
        values, end = _parts(sql, match.end()) if match else ([], 0)
        if match is None or not _TAIL.match(sql, end):
            return cls(sql, sql, [], "", "", [], [])
        update = _UPDATE.match(sql, end)
        keys: list[str] | None = []
        if update or "REPLACE" in match["how"].upper():
            keys = _names(update["keys"]) if update and update["keys"] else None
        return cls(sql, sql[: match.start("values")], values, sql[end:],
                   match["table"], _names(match["columns"] or "()"), keys)  # fmt: skip

    @property
    def template(self) -> str:
        """
        The same for the rows of a table, with all its placeholders.
        """
        values = ", ".join(self.values)
        return f"{self.head}SELECT {values} FROM {ROWS}{self.tail}"

    @property
    def is_named(self) -> bool:
        """
        Whether `targets` are names, and no mere positions.
        """
        return bool(self.columns)

    @property
    def outside(self) -> set[int]:
        """
        The numbers of the placeholders that cannot differ from row to row.
        """
        return {*placeholders(self.head), *placeholders(self.tail)}

    @property
    def inside(self) -> set[int]:
        """
        The numbers of the placeholders among the values, wherever they are.
        """
        return set(placeholders(",".join(self.values or [self.head])))

    @property
    def targets(self) -> dict[int, str]:
        """
        The columns that store a parameter as it is, by the parameter's number.
        """
        columns = self.columns or [f"#{n}" for n in range(1, len(self.values) + 1)]
        return {
            int(value[1:]): column
            for column, value in zip(columns, self.values, strict=False)
            if re.fullmatch(r"\$\d+", value)
        }


def _parts(sql: str, start: int) -> tuple[list[str], int]:
    """
    What stands between a parenthesis and its partner, comma by comma, and its end.
    """
    parts, depth = [], 0
    for match in _BRACKET_OR_COMMA.finditer(sql, start):
        if match[0] in tuple("([{"):
            depth += 1
        elif depth == 0 and match[0] in tuple(",)"):
            parts.append(sql[start : match.start()].strip())
            start = match.end()
            if match[0] == ")":
                return parts, start
        elif match[0] in tuple(")]}"):
            depth -= 1
    return parts, 0


def _names(columns: str) -> list[str]:
    return [name for name in _parts(columns, 1)[0] if name]


def is_name(one: str, other: str) -> bool:
    """
    Whether both are the same name in SQL.
    """
    return one.strip('"').lower() == other.strip('"').lower()


_KEYED = re.compile(
    rf"(?P<head>UPDATE\s+(?P<updated>{_TABLE})\s+SET\s+(?P<set>.*?)"
    rf"|DELETE\s+FROM\s+(?P<deleted>{_TABLE}))\s+WHERE\s+(?P<where>(?:(?!\bWHERE\b).)*)",
    re.IGNORECASE | re.DOTALL,
)
_EQUALS = re.compile(rf"(?:{_TABLE}\.)?({_NAME}|\w+)\s*=\s*\$(\d+)")
_AND = re.compile(r"\s+AND\s+", re.IGNORECASE)


class KeyedText(NamedTuple):
    """
    An UPDATE or DELETE of the one row with certain values in certain columns.

    Attributes:
        sql: All of it.
        head: What comes before WHERE.
        where: The conditions, without parentheses around them.
        table: The name of the table, in SQL.
        targets: The columns that are compared with a parameter or set to it, by the
            parameter's number.
        keys: Those that are compared, in SQL.
    """

    sql: str
    head: str
    where: str
    table: str
    targets: dict[int, str]
    keys: list[str] | None

    @classmethod
    @lru_cache(maxsize=500)
    def parse(cls, sql: str) -> KeyedText | None:
        """
        The parts of a piece of SQL, or `None` if it is something else.
        """
        match = _KEYED.fullmatch(sql.strip())
        if match is None or re.search(r"\bSELECT\b", sql, re.IGNORECASE):
            return None
        conditions = [_EQUALS.fullmatch(part) for part in _AND.split(match["where"])]
        keys = [found for found in conditions if found is not None]
        if len(keys) < len(conditions):
            return None
        settings = _parts(f"({match['set'] or ''})", 1)[0]
        set_ = [found for part in settings if (found := _EQUALS.fullmatch(part))]
        table = match["updated"] or match["deleted"]
        return cls(
            sql, match["head"], match["where"],
            table, {int(found[2]): found[1] for found in (*set_, *keys)},
            [found[1] for found in keys],
        )  # fmt: skip

    @property
    def template(self) -> str:
        """
        The same for the rows of a table, with all its placeholders.
        """
        by = "FROM" if self.head.lstrip()[:6].upper() == "UPDATE" else "USING"
        return f"{self.head} {by} {ROWS} WHERE {self.where}"

    @property
    def is_named(self) -> bool:
        """
        Whether `targets` are names, and no mere positions.
        """
        return True

    @property
    def outside(self) -> set[int]:
        """
        The numbers of the placeholders that cannot differ from row to row.
        """
        return set()

    @property
    def inside(self) -> set[int]:
        """
        The numbers of all placeholders.
        """
        return set(placeholders(self.sql))


_DELETE = re.compile(
    rf".*?\bDELETE\b.*?\bFROM\s+(?P<table>{_TABLE})(?P<using>\s+USING\s)?",
    re.IGNORECASE | re.DOTALL,
)
_RETURNING = re.compile(rf"{_QUOTED}|(\sRETURNING\s)", re.IGNORECASE)


class DeletedRows(NamedTuple):
    """
    What to find out about the rows that a DELETE deletes.

    Attributes:
        columns: Some columns of its table, in SQL.
        rows: Their values, as the database gives them, once it has run.
    """

    columns: Sequence[str]
    rows: list[tuple[Any, ...]]

    def query(self, sql: str) -> str:
        """
        The query for what this DELETE is about to delete, with its placeholders.
        """
        head = cast("re.Match[str]", _DELETE.match(sql))
        found = (m.start(1) for m in _RETURNING.finditer(sql, head.end()) if m[1])
        names = ", ".join(f"{head['table']}.{column}" for column in self.columns)
        tables = head["table"] + (", " if head["using"] else "")
        return f"SELECT {names} FROM {tables}{sql[head.end() : next(found, None)]}"
