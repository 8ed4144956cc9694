"""Pages of results: Markdown, self-contained HTML and plots, all written whole or not at all."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid.records import Record, write_atomically
from hybrid.statistics import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def write(out: Path, template: str, plots: Mapping[str, Figure], content: Mapping[str, Any]) -> list[Path]:
    """Write ``report.md``, ``report.html`` and plots into a folder.

    Parameters
    ----------
    out
        The folder.
    template
        Name of the templates ``<template>.md.jinja`` and ``<template>.html.jinja``.
    plots
        Figures by the names of their files.
    content
        What the templates use, beside ``images``, the source of every image.
    """
    images = {name: png(figure) for name, figure in plots.items()}
    sources = {name: f"data:image/png;base64,{base64.b64encode(image).decode()}" for name, image in images.items()}
    files = {
        **images,
        "report.md": render(f"{template}.md.jinja", images={name: name for name in images}, **content),
        "report.html": render(f"{template}.html.jinja", images=sources, **content),
    }
    for name, data in files.items():
        write_atomically(out / name, data)
    return [out / name for name in files]


def figure(width: float, height: float) -> Figure:
    """Return an empty figure, without a window or a change of matplotlib's settings."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def png(figure: Figure) -> bytes:
    """Return a figure as a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def render(template: str, **content: Any) -> bytes:
    """Render a template of this folder; HTML is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=template.endswith(".html.jinja"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["row"] = _row
    return environment.get_template(template).render(**content).encode()


def _row(cells: Iterable[Any], bold: bool = False) -> str:
    """Return a line of a Markdown table, the first cell bold if that is asked for."""
    first, *others = (str(cell).replace("|", r"\|") for cell in cells)
    return f"| {' | '.join([f'**{first}**' if bold else first, *others])} |"


def draw_mean(axes: Axes, values: np.ndarray, found: Interval, y: float, dots: float, colour: str) -> None:
    """Draw a mean with its interval at the height `y`, and every value as a dot at `dots`."""
    axes.scatter(values, np.full(len(values), dots), s=14, color=colour, alpha=0.6, linewidths=0)
    ends = None if np.isnan(found.half) else np.array([[found.mean - found.low], [found.high - found.mean]])
    axes.errorbar(found.mean, y, xerr=ends, fmt="D", color=colour, markersize=6, capsize=3, linewidth=1.6)


def distinct(records: Iterable[Record], package: str) -> str:
    """Name the versions of a package found in records; more than one where an upgrade came in between."""
    return ", ".join(dict.fromkeys(record["versions"].get(package, "unknown") for record in records))
