"""
Defaults that Python makes, as SQLAlchemy has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Column


def is_of_python(default: Any) -> bool:
    """
    Whether a default, or what an UPDATE sets, is a value or a function.
    """
    return default is not None and bool(default.is_scalar or default.is_callable)


def as_function(default: Any) -> Callable[[Any], Any]:
    """
    The function that makes it, of a context.
    """
    value = default.arg
    return value if default.is_callable else lambda _: value


class Context:
    """
    What a default with a parameter is given.

    Attributes:
        current_parameters: The values of the row, by the keys of columns.
    """

    def __init__(
        self, columns: Mapping[str, Column[Any]], row: Mapping[str, Any]
    ) -> None:
        self._columns = columns
        self._row = row

    @property
    def current_parameters(self) -> dict[str, Any]:  # noqa: D102 - see above
        return {c.key: self._row.get(name) for name, c in self._columns.items()}

    def get_current_parameters(
        self,
        isolate_multiinsert_groups: bool = True,  # noqa: ARG002, FBT001, FBT002
    ) -> dict[str, Any]:
        """
        The same; the signature is SQLAlchemy's.
        """
        return self.current_parameters
