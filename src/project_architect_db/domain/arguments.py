"""
What methods are given besides data, checked before any SQL.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from project_architect_db.errors import InvalidDataError
from project_architect_db.orm.query_values import fitting

if TYPE_CHECKING:
    from sqlalchemy.orm import InstrumentedAttribute

MOST = 2**63
"""No LIMIT, OFFSET or position of DuckDB's is that large."""


def require_number(value: object, *, model: str, field: str) -> int:
    """
    A limit, an offset or a position: a number from 0 on.

    Raises:
        InvalidDataError: It is none.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value < MOST:
        if value >= 0:
            return value
        problem = "it must not be negative"
    else:
        problem = f"expected a number from 0, not {value!r}"
    raise InvalidDataError(problem, model=model, field=field, value=value)


def require_text(value: object, *, model: str, field: str) -> str:
    """
    A text that a database can be asked for.

    Raises:
        InvalidDataError: It is none, or has half a surrogate pair.
    """
    problem = f"expected text, not {type(value).__name__}"
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            problem = str(error)
        else:
            return value
    raise InvalidDataError(problem, model=model, field=field, value=value)


def require_fitting(
    value: Any, column: InstrumentedAttribute[Any], *, model: str, field: str
) -> Any:
    """
    A value as a column compares with it; see `fitting`.

    Raises:
        InvalidDataError: No row has such a value.
    """
    try:
        return fitting(value, column.type)
    except ValueError as error:
        raise InvalidDataError(
            str(error), model=model, field=field, value=value
        ) from error


def require_folder(value: object, *, model: str, field: str) -> None:
    """
    Raise for what cannot be the path of a folder.

    Raises:
        InvalidDataError: It is neither text nor a path.
    """
    if not isinstance(value, str | os.PathLike):
        raise InvalidDataError(
            f"expected the path of a folder, not {type(value).__name__}",
            model=model, field=field, value=value,
        )  # fmt: skip
