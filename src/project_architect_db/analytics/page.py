"""
Reports as one page that can be sent to somebody: no script, no network.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from project_architect_db.analytics.reports import Report

SECTIONS: Mapping[str, Sequence[str]] = {
    "Projects": (
        "status_distribution", "status_over_time", "project_trends", "completion",
        "complexity", "project_cohorts", "lifecycle", "utilisation",
        "compare_outcomes",
    ),
    "Conversations": (
        "phase_funnel", "phase_durations", "phase_transitions", "bottlenecks",
        "message_patterns", "messages_over_time", "message_heatmap",
    ),
    "Documents": (
        "document_creation", "document_content", "document_access",
        "document_duplicates", "top_terms",
    ),
    "Repositories": (
        "repository_health", "repository_activity", "commits_over_time",
        "contributions", "bus_factor", "build_success", "build_problems",
    ),
}  # fmt: skip
"""The questions of a whole report, by what they are about."""

SHOWN_ROWS = 50
"""Of each table."""

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1d2433; background: #f5f6f8;
    margin: 0 auto; max-width: 72rem; padding: 2rem 1rem; }
h1 { margin: 0; } h2 { margin: 2.5rem 0 1rem; } h3 { margin: 0 0 .75rem; }
header p { color: #5b6577; margin: .25rem 0 1.5rem; }
.tiles { display: grid; gap: .75rem;
    grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); }
.tiles div, section { background: #fff; border: 1px solid #dfe3ea; border-radius: .5rem;
    padding: .75rem 1rem; }
.tiles b { display: block; font-size: 1.375rem; }
section { margin: 0 0 1rem; overflow-x: auto; padding: 1.25rem; }
section svg { height: auto; max-width: 100%; }
summary { color: #3056c8; cursor: pointer; margin-top: .5rem; }
table { border-collapse: collapse; font-size: .875rem; margin-top: .5rem; }
th, td { border-bottom: 1px solid #e8ebf0; padding: .25rem .75rem; text-align: left; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
"""


def page(
    title: str, told: str, totals: Mapping[str, int],
    sections: Mapping[str, Sequence[Report[Any]]],
) -> str:  # fmt: skip
    """
    The page, in HTML.

    Args:
        title: What it is about.
        told: In one line: which period, and as of when.
        totals: The numbers at its top.
        sections: Reports under their headings; those without rows are named only.
    """
    return "".join(_parts(title, told, totals, sections))


def _parts(
    title: str, told: str, totals: Mapping[str, int],
    sections: Mapping[str, Sequence[Report[Any]]],
) -> Iterator[str]:  # fmt: skip
    yield (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<header><h1>{html.escape(title)}</h1><p>{html.escape(told)}</p></header>"
        '<div class="tiles">'
    )
    for name, number in totals.items():
        yield f"<div><b>{number:,}</b>{html.escape(name)}</div>"
    yield "</div>"
    for heading, reports in sections.items():
        yield f"<h2>{html.escape(heading)}</h2>"
        for report in reports:
            yield from _section(report)
    yield "</body></html>\n"


def _section(report: Report[Any]) -> Iterator[str]:
    yield f'<section id="{report.name}">'
    if not report:
        yield f"<h3>{html.escape(report.title)}</h3>Nothing to tell.</section>"
        return
    yield report.plot().svg()
    rows = "1 row" if len(report) == 1 else f"{len(report):,} rows"
    yield f"<details><summary>{rows}</summary><table><tr>"
    classes = [' class="n"' * isinstance(v, int | float) for v in report[0]]
    for name, class_ in zip(report.columns, classes, strict=True):
        yield f"<th{class_}>{heading(name)}</th>"
    yield "</tr>"
    for row in report.rows[:SHOWN_ROWS]:
        cells = (
            f"<td{class_}>{html.escape(shown(name, value))}</td>"
            for name, value, class_ in zip(report.columns, row, classes, strict=True)
        )
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</table>"
    if len(report) > SHOWN_ROWS:
        yield f"<p>and {len(report) - SHOWN_ROWS:,} more</p>"
    yield "</details></section>"


def heading(name: str) -> str:
    """
    The name of a column, for people; `shown` has the unit.
    """
    return name.removesuffix("_seconds").replace("_", " ")


def shown(name: str, value: Any) -> str:
    """
    A value of a row, for people.

    Args:
        name: Of its column: what ends in ``seconds``, ``share`` or ``rate`` is one.
        value: What the row has.

    Example:
        >>> from project_architect_db.analytics.page import shown
        >>> print(shown("projects", 1234), shown("share", 0.123))
        1,234 12.3 %
        >>> print(shown("median_seconds", 100_000.0), shown("tags", ("a", "b")))
        1.16 days a, b
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        if name.endswith("seconds"):
            return _duration(value)
        if name.endswith(("share", "rate")):
            return f"{100 * value:.3g} %"
    for kind, text in _TEXTS.items():
        if isinstance(value, kind):
            return text(value)
    return "" if value is None else str(value)


def _duration(seconds: float) -> str:
    for unit, length in {"days": 86_400, "hours": 3_600, "minutes": 60}.items():
        if abs(seconds) >= length:
            return f"{_number(seconds / length)} {unit}"
    return f"{_number(seconds)} seconds"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _time(value: datetime) -> str:
    is_day = not (value.hour or value.minute or value.second)
    return f"{value:%Y-%m-%d}" if is_day else f"{value:%Y-%m-%d %H:%M}"


_TEXTS: Mapping[type[Any], Callable[[Any], str]] = {
    bool: lambda value: "yes" if value else "no",
    int: lambda value: f"{value:,}",
    float: _number,
    datetime: _time,
    tuple: lambda value: ", ".join(map(str, value)),
}
