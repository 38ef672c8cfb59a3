"""
Which rows a statement wrote, as far as it says so itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlalchemy import BindParameter
from sqlalchemy.sql.elements import BinaryExpression, BooleanClauseList
from sqlalchemy.sql.operators import and_, eq, in_op

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import Column

    from project_architect_db.dialect.execution import DuckDBExecutionContext


def keys_written(
    context: DuckDBExecutionContext, columns: Sequence[Column[Any]]
) -> set[Any] | None:
    """
    The keys of the rows it wrote these columns of; `None` where only the table knows.

    Some more keys may be among them, but none is missing.

    Args:
        context: Of an INSERT, UPDATE or DELETE that has run.
        columns: Of its table; the first one is the key.
    """
    key, *others = columns
    if context.isinsert:
        return _keys_inserted(context, key)
    if context.rowcount == 0:
        return set()
    if context.isupdate:
        if _sets(context, key):
            return None
        if not any(_sets(context, column) for column in others):
            return set()
    return _keys_compared(context, key)


def _keys_inserted(
    context: DuckDBExecutionContext, key: Column[Any]
) -> set[Any] | None:
    statement: Any = context.invoked_statement
    compiled = context.compiled
    if statement.select is not None or statement._multi_values:
        return None
    upsert = getattr(statement, "_post_values_clause", None)
    if upsert is not None and not _finds_by(upsert, key):
        return None
    bind = compiled.binds.get(key.key)
    if bind is not None and bind._is_crud:
        return {row[key.key] for row in context.compiled_parameters}
    for place, entry in enumerate(compiled._result_columns):
        if key in entry.objects:
            rows = context.returned_rows()
            return None if rows is None else {row[place] for row in rows}
    return None


def _finds_by(upsert: Any, key: Column[Any]) -> bool:
    """
    Whether an upsert changes no other row than the one with the key it says.
    """
    target = [getattr(c, "key", c) for c in upsert.inferred_target_elements or ()]
    changed: Any = getattr(upsert, "update_values_to_set", None) or ()
    changed = {getattr(name, "key", name) for name in dict(changed)}
    return not changed or (target == [key.key] and key.key not in changed)


def _sets(context: DuckDBExecutionContext, column: Column[Any]) -> bool:
    """
    Whether an UPDATE may set the column: SQLAlchemy leaves no space before the ``=``.
    """
    name = re.escape(context.identifier_preparer.format_column(column))
    return re.search(rf"(?<!\w){name}=", context.statement) is not None


def _keys_compared(
    context: DuckDBExecutionContext, key: Column[Any]
) -> set[Any] | None:
    """
    The keys that its WHERE says, and perhaps some more conditions.
    """
    compiled = context.compiled
    for clause in _conjuncts(compiled.statement._where_criteria):
        if (
            isinstance(clause, BinaryExpression)
            and isinstance(clause.right, BindParameter)
            and clause.left._deannotate() is key
        ):
            name = compiled.bind_names.get(clause.right)
            if clause.operator is eq:
                return {row[name] for row in context.compiled_parameters}
            if clause.operator is in_op:
                (row,) = context.compiled_parameters
                return {row[each] for each in context._expanded_parameters[name]}
    return None


def _conjuncts(clauses: Iterable[Any]) -> Iterator[Any]:
    """
    The conditions of a WHERE that all have to be met.
    """
    for clause in clauses:
        if isinstance(clause, BooleanClauseList) and clause.operator is and_:
            yield from _conjuncts(clause.clauses)
        else:
            yield clause
