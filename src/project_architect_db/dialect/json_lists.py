"""
JSON lists, changed and read in part: the whole list stays in the database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, ColumnElement, Integer, String, case, cast, func, literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_JSON = JSON()


def json_length(column: Any) -> ColumnElement[int]:
    """
    How many items a list has.
    """
    return func.json_array_length(column, type_=Integer())


def json_appended(column: Any, items: Sequence[Any]) -> ColumnElement[Any]:
    """
    The list with these items at its end.

    One is inserted, which takes DuckDB a third less time than joining two lists.
    """
    if len(items) == 1:
        return func.json_insert(column, "$[#]", literal(items[0], _JSON), type_=_JSON)
    lists = [
        func.json_extract(part, "$[*]") for part in (column, literal(items, _JSON))
    ]
    return func.to_json(func.list_concat(*lists), type_=_JSON)


def json_changed(
    column: Any, position: int, changes: Mapping[str, Any]
) -> ColumnElement[Any]:
    """
    The list with some keys of one item changed; those that become `None` go.

    Values are replaced as a whole, whatever is inside of them. An item that is no
    object becomes one. There has to be one at that position.
    """
    path = f"$[{int(position)}]"
    # JSON Merge Patch (RFC 7396) would merge objects inside, and take their nulls for
    # orders to delete; so the old keys go first, and the new ones follow as text.
    item = func.json_merge_patch(func.json_extract(column, path), literal({}, _JSON))
    gone = literal(dict.fromkeys(changes), _JSON)
    kept: ColumnElement[Any] = func.json_merge_patch(item, gone)
    new = {name: value for name, value in changes.items() if value is not None}
    if new:
        start = func.left(cast(kept, String), -1)  # without its brace
        text = start + case((start == "{", ""), else_=",")
        kept = text + func.substr(cast(literal(new, _JSON), String), 2)
    return func.json_set(column, path, cast(kept, _JSON), type_=_JSON)


def json_slice(column: Any, start: int, stop: int) -> ColumnElement[Any]:
    """
    The items from `start`, counted from 0, up to but not including `stop`.
    """
    items = func.json_extract(column, "$[*]")
    return func.to_json(func.list_slice(items, start + 1, stop), type_=_JSON)


def json_items(column: Any) -> tuple[ColumnElement[Any], ColumnElement[int]]:
    """
    Each item in a row of its own, and its position, counted from 0.
    """
    items = func.json_extract(column, "$[*]")
    position = func.generate_subscripts(items, 1, type_=Integer()) - 1
    return func.unnest(items, type_=_JSON), position
