"""
How related objects come with those of a query.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.orm import Load, selectinload
from sqlalchemy.orm.interfaces import ORMOption

from project_architect_db.orm.query_fields import unknown, visible

_EAGER = ("joined", "selectin", "subquery", "immediate")


def seen(relationship: Any, target: Any, *, include_deleted: bool) -> Any:
    """
    A relationship to the rows that are not softly deleted, or to all of them.
    """
    hidden = [] if include_deleted else visible(target)
    return relationship.and_(*hidden) if hidden else relationship


def selected(
    model: type[Any], names: Iterable[Any], *, include_deleted: bool
) -> list[ORMOption]:
    """
    Have relationships loaded by a query for each of them.

    Raises:
        UnknownFieldError: There is none of that name.
    """
    known = inspect(model).relationships
    options: list[ORMOption] = []
    for name in names:
        if name not in known:
            raise unknown(model, str(name), known.keys())
        along, target = getattr(model, name), known[name].mapper.class_
        shown = seen(along, target, include_deleted=include_deleted)
        options.append(selectinload(shown))
    return options


def in_parts(model: type[Any]) -> list[ORMOption]:
    """
    Have collections loaded by a query for each part, where a model says by a join.

    The rows of such a join cannot be cut into parts without cutting an object in two.
    """
    found: list[ORMOption] = []
    waiting: list[tuple[Any, tuple[Any, ...]]] = [(inspect(model), ())]
    while waiting:
        mapper, path = waiting.pop()
        passed = [mapper, *(attribute.parent for attribute in path)]
        for relationship in mapper.relationships:
            if relationship.lazy not in _EAGER:
                continue
            attribute = getattr(mapper.class_, relationship.key)
            is_join = relationship.lazy == "joined" and relationship.uselist
            # SQLAlchemy, too, loads no further where it comes to a model again.
            is_end = any(each.isa(relationship.mapper) for each in passed)
            if is_join or relationship.lazy == "subquery":
                found.append(_nested(path, attribute, is_loaded=not is_end))
            if not is_end:
                waiting.append((relationship.mapper, (*path, attribute)))
    return found


def _nested(path: tuple[Any, ...], attribute: Any, *, is_loaded: bool) -> ORMOption:
    option = Load(inspect(path[0] if path else attribute).parent)
    for step in path:
        option = option.defaultload(step)
    return option.selectinload(attribute) if is_loaded else option.lazyload(attribute)
