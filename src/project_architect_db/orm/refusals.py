"""
Why data was refused, in the words of this library.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn

from project_architect_db.errors import InvalidDataError, UnknownFieldError
from project_architect_db.orm.column_schemas import LAST_CHOICE, problem_with

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import ValidationError

    from project_architect_db.orm.fields import Fields


def refuse(fields: Fields, error: ValidationError, first: int | None) -> NoReturn:
    """
    Raise our error for one of Pydantic's about rows.
    """
    problems = error.errors(include_url=False)
    row = problems[0]["loc"][0]
    # What was misspelt is often what another problem says is missing.
    unknown = [
        p for p in problems if p["loc"][0] == row and p["type"] == "extra_forbidden"
    ]
    problem = (unknown or problems)[0]
    place = problem["loc"][1:]
    name = ".".join(map(str, place))
    index = None if first is None else first + int(row)
    if unknown:
        refuse_unknown(fields, name, index=index, cause=error)
    said = problem["msg"]
    if problem["type"] == LAST_CHOICE:
        said = problem_with(fields.columns[str(place[0])], problem["input"])
    more = len(problems) - 1
    raise InvalidDataError(
        said + (f" (and {more} more problems)" if more else ""),
        model=fields.model.__name__,
        field=name or "*",
        value=None if problem["type"] == "missing" else problem["input"],
        index=index,
    ) from error


def refuse_unknown(
    fields: Fields, name: str, *, index: int | None = None,
    cause: Exception | None = None,
) -> NoReturn:  # fmt: skip
    """
    Raise because a field cannot be written, and say which one may be meant.
    """
    model = fields.model.__name__
    if name in fields.computed or name in fields.columns:
        raise InvalidDataError(
            "the database computes it; leave it out",
            model=model, field=name, value=None, index=index,
        ) from cause  # fmt: skip
    known = [n for n, column in fields.columns.items() if column.computed is None]
    if not name.startswith("_"):
        known = [other for other in known if not other.startswith("_")] or known
    close = difflib.get_close_matches(name, known, n=1)
    raise UnknownFieldError(
        model=model, field=name, suggestion=close[0] if close else None,
        known=known, index=index,
    ) from cause  # fmt: skip


def each_of(fields: Fields, rows: Any) -> Iterator[Any]:
    """
    The rows, or ids, one after the other.

    Raises:
        InvalidDataError: It is one of them, or cannot be iterated.
    """
    problem = None
    if isinstance(rows, str | bytes | dict) or hasattr(rows, "model_fields_set"):
        problem = "expected many, not one: put it into a list"
    elif hasattr(rows, "__aiter__"):
        problem = "collect what is asynchronous first, as in [row async for row in …]"
    elif not hasattr(rows, "__iter__"):
        problem = f"expected a list or another iterable, not {type(rows).__name__}"
    if problem:
        raise InvalidDataError(
            problem, model=fields.model.__name__, field="*", value=rows
        )
    return iter(rows)


def names_of(names: Any) -> tuple[Any, ...]:
    """
    Names of fields; one alone need not be in a list, nor what is none.
    """
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        return (names,)
    return tuple(names)


def match_of(fields: Fields, match: Any) -> tuple[str, ...]:
    """
    The fields that say which record is meant: these, or else its key.

    Raises:
        InvalidDataError: One is no text.
        UnknownFieldError: The model has no such field.
    """
    names = fields.key if match is None else names_of(match)
    for name in names:
        if not isinstance(name, str):
            raise InvalidDataError(
                f"expected names of fields, not {name!r}",
                model=fields.model.__name__, field="match", value=match,
            )  # fmt: skip
    fields.require_known(names)
    return names or fields.key
