"""
Reports as one page that can be sent to somebody: no script, no network.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
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
    grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); }
.tiles div, section { background: #fff; border: 1px solid #dfe3ea; border-radius: .5rem;
    padding: .75rem 1rem; }
.tiles b { display: block; font-size: 1.5rem; }
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
    yield f"<details><summary>{len(report):,} rows</summary><table><tr>"
    numbers = [isinstance(value, int | float) for value in report[0]]
    for name, is_number in zip(report.columns, numbers, strict=True):
        yield f"<th{_class(is_number)}>{name.replace('_', ' ')}</th>"
    yield "</tr>"
    for row in report.rows[:SHOWN_ROWS]:
        cells = (
            f"<td{_class(is_number)}>{html.escape(shown(value))}</td>"
            for value, is_number in zip(row, numbers, strict=True)
        )
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</table>"
    if len(report) > SHOWN_ROWS:
        yield f"<p>and {len(report) - SHOWN_ROWS:,} more</p>"
    yield "</details></section>"


def _class(is_number: bool) -> str:
    return ' class="n"' if is_number else ""


def shown(value: Any) -> str:
    """
    A value of a row, for people.

    Example:
        >>> from project_architect_db.analytics.page import shown
        >>> [shown(value) for value in (1234, 0.123456, None, ("a", "b"), True)]
        ['1,234', '0.1235', '', 'a, b', 'yes']
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"  # noqa: PLR2004
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d}" if _is_midnight(value) else f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, tuple):
        return ", ".join(map(shown, value))
    return str(value)


def _is_midnight(value: datetime) -> bool:
    return not (value.hour or value.minute or value.second)
