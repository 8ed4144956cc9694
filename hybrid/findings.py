"""Report an experiment from its records: the paper's claim and figures, ours beside them, and the verdict.

Tables for the terminal, Markdown, a self-contained HTML page and plots; and one page for many experiments.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid import claims, pages, statistics
from hybrid.claims import score
from hybrid.experiment import LEVELS, Results, Row
from hybrid.records import write_atomically
from hybrid.statistics import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.table import Table

#: Okabe and Ito's colours, one per kind of row.
_COLOURS = {"quantum": "#0072B2", "control": "#CC79A7", "classical": "#D55E00", "trivial": "#000000"}

#: Tells rows of one kind apart where they are lines.
_DASHES = ("-", "--", "-.", ":")

_NOT_GIVEN = "not given"

_SCOPE = (
    "The data of a task are the same for every seed; seeds differ in first weights, frozen random weights and the "
    "order of the data alone. So intervals and tests are about other seeds on these data, not about other data."
)
_TESTS = (
    "Tests are t-tests, two-sided and paired by seed; a row that does not depend on the seed is a constant, against "
    "which the others are tested. The p-values of all claims are corrected together by Holm's method, and so are "
    "those of each quantum row against all controls and classical rows, over all tasks; intervals are not: each stands "
    "for itself."
)
_WORDS = (
    "A claim is reproduced on a task if the difference is significant, reproduced in direction if it only has the "
    "right sign, and else not reproduced. The quantum layer is said to contribute an advantage only where its row is "
    "significantly better than every control and classical row; named is the best of those."
)

#: What every report says of its intervals and tests.
READING = (_SCOPE, _TESTS, _WORDS)


def write(results: Results) -> list[Path]:
    """Write ``report.md``, ``report.html`` and the plots beside the records.

    Parameters
    ----------
    results
        What :func:`hybrid.experiment.run` returns.

    Returns
    -------
    list of Path
        The files; each is written whole or not at all.
    """
    plots = {"scores.png": scores_plot(results)}
    if any(_traces(results, task) for task in results.tasks):
        plots["predictions.png"] = predictions_plot(results)
    if results.experiment.drawing is not None:
        plots["drawing.png"] = results.experiment.drawing(results)
    if any(_curves(results, task) for task in results.tasks):
        plots["curves.png"] = curves_plot(results)
    return pages.write(results.plan.out, "findings", plots, {**_section(results), **_details(results)})


def write_page(found: Sequence[Results], file: Path) -> Path:
    """Write one Markdown page with a section for each experiment, whose own reports must be written already."""
    sections = [_linked(results, file.parent) for results in found]
    per = [said for results in found for said in _per(results)]
    write_atomically(file, pages.render("papers.md.jinja", sections=sections, reading=(*READING, *per)))
    return file


def tables(results: Results) -> Iterator[Table]:
    """Yield the table of every task for a terminal, to be printed with rich."""
    from rich.table import Table

    for task in results.tasks:
        shown = Table(title=f"{results.experiment.name}, {task}")
        paper = ("paper",) if results.experiment.published else ()
        for i, column in enumerate(("row", results.experiment.metric, *paper, "parameters", "seconds")):
            shown.add_column(column, justify="right" if i else "left")
        for row in results.rows(task):
            shown.add_row(*_short(results, task, row), style="bold" if row.kind == "quantum" else None)
        shown.caption = "parameters: quantum + classical (frozen); seconds: training + prediction"
        yield shown


def verdict(results: Results) -> list[str]:
    """Return the sentences of an experiment's verdict; of a single seed, first that it is too few."""
    few = len(results.plan.seeds) == 1 and results.experiment.per is None
    alone = "One seed: no interval and no test, so this is a direction at best. Run three seeds or more."
    return [alone] * few + results.experiment.verdict(results)


def scores_plot(results: Results) -> Figure:
    """Plot the mean score of every row with its 95 % interval, and every seed as a dot, one panel per task."""
    n_rows = max(len(results.rows(task)) for task in results.tasks)
    figure = pages.figure(8, 0.6 + len(results.tasks) * (1.0 + 0.34 * n_rows))
    panels = figure.subplots(len(results.tasks), squeeze=False)[:, 0]
    for axes, task in zip(panels, results.tasks, strict=True):
        _draw_scores(axes, results, task)
    direction = "lower" if results.experiment.lower_is_better else "higher"
    panels[-1].set_xlabel(
        f"{results.experiment.metric} ({direction} is better); mean and 95 % interval, dots: {_over(results)}"
    )
    figure.legend(handles=_legend(results), loc="outside upper right", ncols=len(_COLOURS), frameon=False)
    return figure


def predictions_plot(results: Results) -> Figure:
    """Plot the target with the predictions of the best quantum row and of the best other one, for the first seed."""
    tasks = [task for task in results.tasks if _traces(results, task)]
    figure = pages.figure(8, 0.4 + 2.2 * len(tasks))
    for axes, task in zip(figure.subplots(len(tasks), squeeze=False)[:, 0], tasks, strict=True):
        traces = _traces(results, task)
        axes.plot(traces[0][1]["target"], color="#999999", linewidth=3, label="target")
        for row, extra in traces:
            axes.plot(extra["prediction"], color=_COLOURS[row.kind], linewidth=1.2, label=row.name)
        axes.set_title(task, loc="left", fontweight="bold")
        axes.legend(loc="upper right", fontsize="small")
        axes.grid(alpha=0.3)
    axes.set_xlabel("step of the test part (first seed)")
    return figure


def curves_plot(results: Results) -> Figure:
    """Plot how the rows that have a curve learnt, one panel per task: mean over the seeds with its 95 % interval."""
    tasks = [task for task in results.tasks if _curves(results, task)]
    figure = pages.figure(8, 0.4 + 3.6 * len(tasks))
    for axes, task in zip(figure.subplots(len(tasks), squeeze=False)[:, 0], tasks, strict=True):
        for i, (row, x, y) in enumerate(_curves(results, task)):
            _draw_curve(axes, row, x, y, _DASHES[i % len(_DASHES)])
        axes.set_title(task, loc="left", fontweight="bold")
        axes.set_ylabel(results.experiment.curves[1])
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small", frameon=False)
        axes.grid(alpha=0.3)
    axes.set_xlabel(results.experiment.curves[0])
    return figure


def _draw_curve(axes: Axes, row: Row, x: np.ndarray, y: np.ndarray, dashes: str) -> None:
    found = [statistics.interval(values) for values in y.T]
    mean = np.array([each.mean for each in found])
    axes.plot(x, mean, color=_COLOURS[row.kind], linestyle=dashes, linewidth=1.4, label=row.name)
    ends = [np.array([getattr(each, end) for each in found]) for end in ("low", "high")]
    low, high = (np.where(np.isnan(end), mean, end) for end in ends)
    axes.fill_between(x, low, high, color=_COLOURS[row.kind], alpha=0.1, linewidth=0)


def _curves(results: Results, task: str) -> list[tuple[Row, np.ndarray, np.ndarray]]:
    """Return the rows that have a curve, with x, (n,), and y of every seed, (n_seeds, n)."""
    found = []
    for row in results.rows(task):
        curves = [record["extra"]["curve"] for record in results.of(task, row.name) if "curve" in record["extra"]]
        if curves:
            found.append((row, np.array(curves[0]["x"]), np.array([curve["y"] for curve in curves])))
    return found


def _draw_scores(axes: Axes, results: Results, task: str) -> None:
    rows = results.rows(task)
    for y, row in enumerate(rows):
        values, found = results.scores(task, row.name), _interval(results, task, row)
        pages.draw_mean(axes, values, found, y, y + 0.22, _COLOURS[row.kind])
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_title(task, loc="left", fontweight="bold")
    axes.grid(axis="x", alpha=0.3)
    every = np.concatenate([results.scores(task, row.name) for row in rows])
    if every.min() > 0 and every.max() > 20 * every.min():
        axes.set_xscale("log", nonpositive="clip")


def _legend(results: Results) -> list[Any]:
    from matplotlib.lines import Line2D

    kinds = dict.fromkeys(row.kind for row in results.experiment.rows)
    return [Line2D([], [], marker="D", linestyle="", color=_COLOURS[kind], label=kind) for kind in kinds]


def _traces(results: Results, task: str) -> list[tuple[Row, dict[str, Any]]]:
    """Return the best quantum row and the best other one that have predictions, with what they keep."""
    known = [row for row in _ranked(results, task) if "prediction" in results.of(task, row.name)[0]["extra"]]
    best = [next((row for row in known if (row.kind == "quantum") == quantum), None) for quantum in (True, False)]
    return [(row, results.of(task, row.name)[0]["extra"]) for row in best if row is not None]


def _ranked(results: Results, task: str) -> list[Row]:
    sign = 1 if results.experiment.lower_is_better else -1
    return sorted(results.rows(task), key=lambda row: sign * results.scores(task, row.name).mean())


def _section(results: Results) -> dict[str, Any]:
    experiment = results.experiment
    return {
        "title": experiment.title,
        "experiment": experiment,
        "level": _level(results),
        "header": _header(results),
        "tables": [_table(results, task) for task in results.tasks],
        "legend": _explained(results),
        "verdicts": verdict(results),
    }


def _linked(results: Results, root: Path) -> dict[str, Any]:
    folder = Path(os.path.relpath(results.plan.out, root)).as_posix()
    return {**_section(results), "folder": folder, "images": {"scores.png": f"{folder}/scores.png"}}


def _details(results: Results) -> dict[str, Any]:
    tested = {
        row.name: [_contrast_cells(contrast) for contrast in claims.against_the_rest(results, row.name)]
        for row in results.experiment.rows
        if row.kind == "quantum"
    }
    contrasts = {row: lines for row, lines in tested.items() if lines}
    return {"contrasts": contrasts, "reading": (*READING, *_per(results)), "settings": _settings(results)}


def _explained(results: Results) -> str:
    direction = "lower" if results.experiment.lower_is_better else "higher"
    figures = ", ".join((results.experiment.metric, *results.experiment.also))
    return (
        f"{figures}, {direction} is better: mean over the {_over(results)} and 95 % interval (± half its width, "
        "or [low, high] where it ends at the end of the possible); a row that does not depend on the seed is run once. "
        "Parameters: quantum and classical ones are trained, frozen ones are not. Seconds: on one core, mean over the "
        "seeds."
    )


def _over(results: Results) -> str:
    return f"{results.experiment.per or 'seed'}s"


def _per(results: Results) -> list[str]:
    """Say what intervals and tests are over, where it is not seeds."""
    if (per := results.experiment.per) is None:
        return []
    said = (
        f"Otherwise in {results.experiment.name}: its intervals and tests are over the {per}s of the test part, and "
        f"paired by {per}; the scores of a {per} are averaged over the seeds first. So they are about other {per}s."
    )
    return [said]


def _level(results: Results) -> str:
    level, levels = results.plan.level, {"quick": "small enough for minutes, not the paper's", "full": "the paper's"}
    seeds = len(results.plan.seeds)
    return f"{level} settings{f' ({levels[level]})' if level in levels else ''}, {seeds} seed{'s' * (seeds > 1)}"


def _header(results: Results) -> tuple[str, ...]:
    published = ("paper",) if results.experiment.published else ()
    figures = (results.experiment.metric, *results.experiment.also)
    return ("row", *figures, *published, "quantum", "classical", "frozen", "train, s", "predict, s")


def _table(results: Results, task: str) -> dict[str, Any]:
    rows = results.rows(task)
    lines = [{"cells": _cells(results, task, row), "quantum": row.kind == "quantum"} for row in rows]
    known = {row.name for row in results.experiment.rows}
    for name, figures in results.experiment.published.items():
        if name not in known:
            ours = ["–"] * (1 + len(results.experiment.also))
            cells = (name, *ours, figures.get(task, _NOT_GIVEN), *[""] * 5)
            lines.append({"cells": cells, "quantum": False})
    return {"task": task, "lines": lines}


def _cells(results: Results, task: str, row: Row) -> tuple[str, ...]:
    found, published = results.of(task, row.name), results.experiment.published
    counts = found[0]["parameters"]
    seconds = [np.mean([record["seconds"][name] for record in found]) for name in ("training", "prediction")]
    return (
        row.name,
        *(_mean(_interval(results, task, row, of)) for of in (None, *results.experiment.also.values())),
        *([published.get(row.name, {}).get(task, _NOT_GIVEN)] if published else []),
        *(f"{counts[name]:,}" for name in ("quantum", "classical", "frozen")),
        *(f"{each:.2g}" if each < 10 else f"{each:.0f}" for each in seconds),
    )


def _short(results: Results, task: str, row: Row) -> tuple[str, ...]:
    """Return the cells of a row for a terminal, fewer and narrower: the score is the only figure."""
    name, mean, *more, quantum, classical, frozen, training, prediction = _cells(results, task, row)
    paper = ["–" if figure == _NOT_GIVEN else figure for figure in more[len(results.experiment.also) :]]
    parameters = f"{quantum} + {classical}" + (f" ({frozen})" if frozen != "0" else "")
    return name, mean, *paper, parameters, f"{training} + {prediction}"


def _interval(results: Results, task: str, row: Row, of: str | None = None) -> Interval:
    experiment = results.experiment
    return statistics.interval(results.scores(task, row.name, of), 0.0, experiment.least, experiment.most)


def _mean(found: Interval) -> str:
    if np.isnan(found.half):
        return score(found.mean)
    if np.isclose(found.mean - found.low, found.high - found.mean):
        return f"{score(found.mean)} ± {found.half:.2g}"
    return f"{score(found.mean)} [{found.low:.3g}, {found.high:.3g}]"


def _contrast_cells(contrast: claims.Contrast) -> tuple[str, ...]:
    low, high = contrast.gain.low, contrast.gain.high
    return (
        contrast.task,
        contrast.other,
        _signed(contrast.gain.mean),
        "–" if np.isnan(low) else f"{_signed(low)} to {_signed(high)}",
        statistics.p_value(contrast.p_holm),
    )


def _signed(value: float) -> str:
    value = round(value, 12)  # a mean of differences that cancel is not quite 0
    return ("+" if value > 0 else "−" if value < 0 else "") + score(abs(value))


def _data(results: Results) -> str:
    """Name the data with their checksums, and the tasks that were left out for want of them."""
    plan = results.plan
    sums = {trial.task: trial.data for trial in plan.units if trial.data is not None}
    if results.experiment.files is None:
        named = [f"sha256 {each}" for each in dict.fromkeys(sums.values())]
    else:
        named = [f"{task} sha256 {each}" for task, each in sums.items()]
    read = "none read" if plan.data is None or not named else f"{plan.data.name}, {', '.join(named)}"
    return read + (f"; left out for want of data: {', '.join(plan.left_out)}" if plan.left_out else "")


def _settings(results: Results) -> dict[str, str]:
    plan, first = results.plan, results.records[0]
    dates = sorted(record["finished"] for record in results.records)
    return {
        "command": plan.command or "called from Python",
        "run": dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}",
        "level": f"{plan.level} (of {', '.join(LEVELS)})",
        "seeds": ", ".join(map(str, plan.seeds)),
        "backend": first["unit"]["backend"],
        "data": _data(results),
        **{name: str(value) for name, value in first["unit"]["settings"].items()},
        **{name: pages.distinct(results.records, name) for name in first["versions"]},
    }
