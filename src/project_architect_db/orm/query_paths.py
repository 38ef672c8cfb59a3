"""
Paths into JSON, as `filter_json` takes them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from project_architect_db.dialect.json_queries import Step

_STEP = re.compile(
    r"""\.(?P<key>[\w-]+) | \."(?P<quoted>(?:[^"\\]|\\.)*)"
    | \[(?P<index>-?\d{1,9})\] | \[\#(?P<last>-\d{1,9})\] | \[(?P<every>\*)\]""",
    re.VERBOSE | re.DOTALL,
)


def json_steps(path: Any) -> list[Step]:
    """
    The steps of a path such as ``$.key[0]."any key"[*]``.

    Raises:
        ValueError: It is no such path.
    """
    if not isinstance(path, str):
        raise ValueError(f"expected a path such as $.key, not {path!r}")  # noqa: TRY004
    steps: list[Step] = []
    position = 1 if path.startswith("$") else len(path) + 1
    while position < len(path) and (found := _STEP.match(path, position)):
        position = found.end()
        key, quoted, index, last, every = found.groups()
        if every:
            steps.append(None)
        elif index or last:
            steps.append(int(index or last))
        else:
            steps.append(key or re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL))
    if position != len(path):
        known = 'is no path such as $.key, $."any key", $.list[0] or $.list[*].key'
        raise ValueError(f"{path!r} {known}")
    return steps
