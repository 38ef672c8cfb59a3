"""
A history, divided by its releases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from project_architect_db.domain.git_history import Graph, Tag

UNRELEASED = "Unreleased"


@dataclass(frozen=True, slots=True)
class Stretch:
    """
    The commits between two releases, each after its parents.

    Attributes:
        title: Such as ``v1.0 → v1.1``; ``Up to v1.0`` before the first release and
            ``Unreleased`` after the last.
        phase: ``implementation`` until there is a release, from then on
            ``maintenance``, as in ISO/IEC/IEEE 14764.
        hashes: Of the commits.
    """

    title: str
    phase: str
    hashes: Sequence[str]


def plan_stretches(
    graph: Graph, head: str | None, tags: Iterable[Tag]
) -> list[Stretch]:
    """
    Divide the commits that lead to `head` among the releases, the oldest first.

    A commit is in the stretch of the first release that contains it, as `git log
    v1.0..v1.1` has it. A tag on a branch that was never merged counts as well: it
    divides where its branch has left. One without a commit of its own, such as the
    next tag of that branch, divides nothing.
    """
    position = {commit: number for number, commit in enumerate(graph)}
    wanted = set(_ancestors(graph, head, set()))
    seen: set[str] = set()
    stretches: list[Stretch] = []
    before = None
    for commit, name in [*_releases(graph, tags), (head, None)]:
        found = [each for each in _ancestors(graph, commit, seen) if each in wanted]
        if found:
            found.sort(key=position.__getitem__)
            phase = "maintenance" if before else "implementation"
            stretches.append(Stretch(_title(before, name), phase, found))
            before = name
    return stretches


def is_title(title: str) -> bool:
    """
    Whether a title may be one that `plan_stretches` gave, and nobody has changed.
    """
    return title.startswith((UNRELEASED, "Up to ")) or " → " in title


def _title(before: str | None, name: str | None) -> str:
    if name is None:
        return UNRELEASED
    return f"{before} → {name}" if before else f"Up to {name}"


def _ancestors(graph: Graph, start: str | None, seen: set[str]) -> list[str]:
    """
    The commits that lead to `start`, itself among them, without those already seen.
    """
    found = []
    waiting = [start] if start else []
    while waiting:
        commit = waiting.pop()
        if commit in graph and commit not in seen:
            seen.add(commit)
            found.append(commit)
            waiting.extend(graph[commit])
    return found


def _releases(graph: Graph, tags: Iterable[Tag]) -> list[tuple[str, str]]:
    """
    The commits that have tags, the oldest first, each with the name of one tag.

    A release is younger than those it contains, whatever the clocks said. Of several
    tags, one that somebody signed with a name and a date goes before a light one,
    which may be called `latest`.
    """
    named: dict[str, Tag] = {}
    for tag in sorted(tags, key=lambda tag: (tag.tagger is None, tag.at, tag.name)):
        named.setdefault(tag.hash, tag)
    latest: dict[str, datetime] = {}
    for commit, parents in graph.items():
        times = [latest[parent] for parent in parents if parent in latest]
        if commit in named:
            times.append(named[commit].committed_at)
        if times:
            latest[commit] = max(times)
    tagged = [commit for commit in graph if commit in named]
    return [(commit, named[commit].name) for commit in sorted(tagged, key=latest.get)]  # type: ignore[arg-type]
