"""
Pictures of reports: what they show, in the words of Vega-Lite.

Source: https://vega.github.io/vega-lite/docs/
"""

from __future__ import annotations

import asyncio
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from project_architect_db.errors import ConfigurationError

Spec: TypeAlias = Mapping[str, Any]
"""A Vega-Lite view without its data."""

MOST_ROWS = 10_000
"""In a picture: nobody sees more."""

MOST_LINES = 40
"""Of names below each other, for the same reason."""

_WIDTH, _HEIGHT, _STEP = 640, 300, 20


def field(name: str, kind: str, title: str | None = None, **more: Any) -> Spec:
    """
    One channel of a view.

    Args:
        name: Of the field of the rows.
        kind: ``"Q"`` for numbers, ``"T"`` for times, ``"N"`` for names, ``"O"`` for
            what has an order.
        title: What stands beside the axis; by default the name, with spaces.
        more: Further properties of the channel.
    """
    kinds = {"Q": "quantitative", "T": "temporal", "N": "nominal", "O": "ordinal"}
    title = name.replace("_", " ") if title is None else title
    return {"field": name, "type": kinds[kind], "title": title, **more}


def view(mark: str | Spec, **channels: Spec) -> Spec:
    """
    A view: what stands for a row, and which of its fields say where and how.

    Its height is set where its `y` is no name; else each name has 20 pixels, or `step`
    of them, and the first 40 names are shown.

    Example:
        >>> from project_architect_db.analytics.charts import field, view
        >>> bars = view("bar", x=field("projects", "Q"), y=field("status", "N"))
        >>> print(bars["mark"], sorted(bars["encoding"]))
        bar ['x', 'y']
    """
    return {"mark": mark, "encoding": channels}


@dataclass(frozen=True, slots=True)
class Chart:
    """
    A picture of a report.

    Attributes:
        spec: What it shows, data and all, in Vega-Lite, for a front end to draw.

    Example:
        >>> from project_architect_db.testing import temporary_database
        >>> async with temporary_database() as engine:
        ...     report = await AnalyticsRepository(engine).status_distribution()
        ...     chart = report.plot()
        >>> print(chart.spec["title"])
        {'text': 'Projects by status'}
    """

    spec: Mapping[str, Any]

    @classmethod
    def of(cls, title: str, spec: Spec, rows: Sequence[Mapping[str, Any]]) -> Chart:
        """
        The picture of some rows, whose times are text.
        """
        shown = _first(spec, rows[:MOST_ROWS])
        told = {"text": title}
        if len(shown) < len(rows):
            told["subtitle"] = f"the first {len(shown):,} of {len(rows):,} rows"
        spec = dict(spec)
        step = spec.pop("step", _STEP)
        has_lines = _lines_of(spec) is not None
        return cls({
            "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
            "title": told, "background": "white", "data": {"values": shown},
            "width": _WIDTH, "height": {"step": step} if has_lines else _HEIGHT,
            **spec,
        })  # fmt: skip

    def svg(self) -> str:
        """
        The picture alone, with all it needs inside; takes 50 ms, the first one 500.

        Raises:
            ConfigurationError: vl-convert is not installed.
        """
        svg: str = _renderer().vegalite_to_svg(json.dumps(self.spec))
        return svg

    def html(self) -> str:
        """
        The picture as a page of its own.
        """
        title = html.escape(self.spec["title"]["text"])
        return (
            f'<!doctype html><html lang="en"><meta charset="utf-8">'
            f"<title>{title}</title><body>{self.svg()}</body></html>"
        )

    async def save(self, path: str | Path) -> Path:
        """
        Write the picture into a file: an ``.html`` page, or an ``.svg``.

        Raises:
            ConfigurationError: The name of the file ends otherwise, or vl-convert is
                not installed.
        """
        path = Path(path)
        make = {".svg": self.svg, ".html": self.html}.get(path.suffix.lower())
        if make is None:
            raise ConfigurationError(f"{path.name}: pictures end in .svg or .html")
        await asyncio.to_thread(_write, path, make)
        return path

    def _repr_html_(self) -> str:
        """
        In a notebook, the picture itself.
        """
        return self.svg()


def _lines_of(spec: Spec) -> str | None:
    """
    The field whose values stand below each other as names, if there is one.
    """
    channel: Spec = spec.get("encoding", {}).get("y", {})
    return channel["field"] if channel.get("type") in ("nominal", "ordinal") else None


def _first(spec: Spec, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """
    The rows that have room.
    """
    name = _lines_of(spec)
    if name is None or not rows or name not in rows[0]:
        return list(rows)
    names = list(dict.fromkeys(row[name] for row in rows))
    kept = set(names[:MOST_LINES])
    return [row for row in rows if row[name] in kept]


def _write(path: Path, make: Any) -> None:
    path.write_text(make(), encoding="utf-8")


def _renderer() -> Any:
    try:
        import vl_convert
    except ImportError as error:
        raise ConfigurationError(
            "pictures need vl-convert: pip install 'project-architect-db[charts]'"
        ) from error
    return vl_convert
