"""
Rows that have been checked already, for the bulk methods that would check them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from project_architect_db.orm.fields import Fields

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from project_architect_db.orm.incoming import Data, Given


class CheckedFields(Fields):
    """
    The fields of a model whose rows are what these fields have made of them.

    Args:
        fields: That have checked the rows.
    """

    def __init__(self, fields: Fields) -> None:
        vars(self).update(vars(fields))

    def for_create(self, rows: Sequence[Data], *, first: int | None = 0) -> list[Any]:
        """
        The rows as they are.
        """
        del first
        return [*rows]

    for_update = for_create

    def for_upsert(self, rows: Sequence[Any], *, first: int | None = 0) -> list[Given]:
        """
        The rows as they are, each with its names.
        """
        del first
        return [*rows]


class NotedFields(Fields):
    """
    The fields of a model, and somebody who is told of rows that come one by one.

    Args:
        fields: That check the rows.
        note: Called with some checked rows, and the number of the first of them.
    """

    def __init__(
        self, fields: Fields, note: Callable[[Sequence[Any], int], None]
    ) -> None:
        vars(self).update(vars(fields))
        self._note = note

    def for_create(self, rows: Sequence[Data], *, first: int | None = 0) -> list[Any]:
        """
        The rows with the values they are stored with.
        """
        checked = super().for_create(rows, first=first)
        self._note(checked, first or 0)
        return checked
