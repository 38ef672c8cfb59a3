"""
Values of Python as a table in a statement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import ARRAY, func, literal, select

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import ColumnElement, Subquery


def values_table(
    columns: Sequence[ColumnElement[Any]], rows: Iterable[Sequence[Any]]
) -> Subquery:
    """
    Rows with values for these columns, called ``value_0``, ``value_1`` and so on.

    However many there are, each column is one parameter, so the statement stays the
    same and is parsed once.
    """
    lists = [list(values) for values in zip(*rows, strict=True)]
    return select(
        *(
            func.unnest(literal(values, ARRAY(column.type)), type_=column.type).label(
                f"value_{number}"
            )
            for number, (column, values) in enumerate(zip(columns, lists, strict=True))
        )
    ).subquery("given")
