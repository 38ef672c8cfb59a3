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

MOST_ROWS = 5_000
"""In a picture: nobody sees more."""

_WIDTH, _HEIGHT = 640, 300


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
        told = {"text": title}
        if len(rows) > MOST_ROWS:
            told["subtitle"] = f"the first {MOST_ROWS:,} of {len(rows):,} rows"
        size: dict[str, Any] = {"width": _WIDTH}
        if "step" not in spec:
            size["height"] = _HEIGHT
        return cls({
            "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
            "title": told, "background": "white",
            "data": {"values": list(rows[:MOST_ROWS])},
            **size, **{name: part for name, part in spec.items() if name != "step"},
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
