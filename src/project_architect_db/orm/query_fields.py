"""
The fields that a model has for queries, and the rows of it that they see.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import ColumnElement, and_, event, inspect
from sqlalchemy.ext.hybrid import HybridExtensionType
from sqlalchemy.orm import Mapper, with_loader_criteria
from sqlalchemy.orm.interfaces import ORMOption

from project_architect_db.dialect.foreign_keys import SOFTLY_DELETED
from project_architect_db.errors import InvalidDataError, UnknownFieldError


def fields(model: type[Any]) -> list[str]:
    """
    The names that lookups know: columns, relationships, synonyms, hybrid properties.
    """
    mapper = inspect(model)
    hybrids = [
        name
        for name, descriptor in mapper.all_orm_descriptors.items()
        if descriptor.extension_type is HybridExtensionType.HYBRID_PROPERTY
    ]
    return [*mapper.column_attrs.keys(), *mapper.synonyms.keys(),
            *mapper.relationships.keys(), *hybrids]  # fmt: skip


def column_of(model: type[Any], name: str, entity: Any = None) -> Any:
    """
    The attribute of a model for one of its columns.

    Args:
        model: A mapped class.
        name: Of the field.
        entity: The model, or an alias of it.

    Raises:
        UnknownFieldError: There is none of that name.
        InvalidDataError: It is a hybrid property without an expression for SQL.
    """
    known = [n for n in fields(model) if n not in inspect(model).relationships]
    if name not in known:
        raise unknown(model, name, known)
    cause = None
    try:
        column = getattr(model if entity is None else entity, name)
        if hasattr(column, "type"):
            return column
    except Exception as error:  # noqa: BLE001 - it is the user's code, with a class
        cause = error
    raise InvalidDataError(
        "it is computed in Python; give the hybrid property an .expression for SQL",
        model=model.__name__, field=name, value=name,
    ) from cause  # fmt: skip


def unknown(
    model: type[Any], name: str, known: Iterable[str], *, prefix: str = ""
) -> UnknownFieldError:
    """
    The error for a name that is not known, with the closest one that is.

    Names with a ``_`` at their beginning are known, and not told.

    Args:
        prefix: What stands before all of these names.
    """
    known = [other for other in known if not other.startswith("_")]
    close = difflib.get_close_matches(name, known, 1)
    return UnknownFieldError(
        model=model.__name__,
        field=prefix + name,
        suggestion=prefix + close[0] if close else None,
        known=[prefix + other for other in known],
    )


def visible(entity: Any) -> list[ColumnElement[bool]]:
    """
    That a row is not softly deleted, for a model that has such a column.

    It is the column with the key ``softly_deleted`` in its `info`.
    """
    return [getattr(entity, name).is_(None) for name in _marks(inspect(entity).mapper)]


def _marks(mapper: Any) -> list[str]:
    return [
        attribute.key
        for attribute in mapper.column_attrs
        if SOFTLY_DELETED in getattr(attribute.columns[0], "info", ())  # no expression
    ]


_hiding: WeakKeyDictionary[Any, tuple[ORMOption, ...]] = WeakKeyDictionary()
event.listen(Mapper, "after_configured", _hiding.clear)  # there are new relationships


def hiding(model: type[Any]) -> tuple[ORMOption, ...]:
    """
    What hides softly deleted rows wherever objects of a model lead to them.

    Models that lead to none get none, so that their queries are as fast as before.
    """
    mapper = inspect(model)
    found = _hiding.get(mapper)
    if found is None:
        found = _hiding[mapper] = tuple(
            with_loader_criteria(
                target.class_, and_(*visible(target.class_)), include_aliases=True
            )
            for target in _related(mapper)
        )
    return found


def _related(mapper: Any) -> list[Any]:
    """
    The mappers with softly deleted rows that relationships lead to, however far.
    """
    seen: dict[Any, None] = {}
    waiting = [mapper]
    while waiting:
        for relationship in waiting.pop().relationships:
            target = relationship.mapper
            if target not in seen:
                seen[target] = None
                waiting.append(target)
    marked = (_first_marked(target) for target in seen if _marks(target))
    return list(dict.fromkeys(marked))


def _first_marked(mapper: Any) -> Any:
    """
    The class furthest up that has the column; what is for it is for its subclasses.
    """
    while mapper.inherits is not None and _marks(mapper.inherits):
        mapper = mapper.inherits
    return mapper
