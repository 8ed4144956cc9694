"""Report a comparison from its records: a table for the terminal, Markdown, a self-contained HTML page and plots."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid import pages, statistics
from hybrid.compare import Comparison, Row
from hybrid.records import label
from hybrid.statistics import Contrast, Interval, Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.table import Table

HEADER = ("model", "test accuracy, %", "quantum par.", "classical par.", "seconds")

VARIANTS = {
    "hybrid": "hybrid",
    "removed": "quantum layer removed",
    "linear": "linear + tanh in its place",
    "separable": "entanglers off",
    "frozen": "quantum weights frozen",
    "surrogate": "classical surrogate",
    "mlp": "MLP of the same size",
    "baseline": "logistic regression",
}

# Okabe and Ito's colours, which colour-blind readers can tell apart; one per variant in all plots.
COLOURS = {
    "hybrid": "#0072B2",
    "removed": "#999999",
    "linear": "#E69F00",
    "separable": "#009E73",
    "frozen": "#CC79A7",
    "surrogate": "#56B4E9",
    "mlp": "#D55E00",
    "baseline": "#000000",
}


def write(comparison: Comparison) -> list[Path]:
    """Write ``report.md``, ``report.html`` and the plots as PNG files beside the records.

    Parameters
    ----------
    comparison
        What :func:`hybrid.compare.compare` returns.

    Returns
    -------
    list of Path
        The files; each is written whole or not at all.

    Raises
    ------
    ValueError
        For the comparison of an audit, which was tuned otherwise than a report says.
    """
    if any(variant == "surrogate" for _, variant in comparison.rows):
        raise ValueError(
            "got the comparison of an audit, expected one of hybrid.compare: write an audit with audit.write(folder)"
        )
    plots = {
        "accuracy.png": accuracy_plot(comparison),
        "differences.png": differences_plot(comparison),
        "learning_curves.png": learning_curves(comparison),
    }
    return pages.write(comparison.out, "report", plots, _content(comparison))


def table(comparison: Comparison) -> Table:
    """Return the table of all rows for a terminal, to be printed with rich."""
    from rich.table import Table

    first = comparison.records[0]
    shown = Table(title=f"{first['data']}: {first['n_train']} training and {first['n_test']} test samples")
    for i, column in enumerate(HEADER):
        shown.add_column(column, justify="right" if i else "left", no_wrap=i < 2)
    for row, cells in zip(comparison.rows, row_cells(comparison), strict=True):
        last = comparison.rows.index(row) == len(comparison.rows) - 1 or row[1] == "mlp"
        shown.add_row(*cells, end_section=last, style="bold" if row[1] == "hybrid" else None)
    return shown


def accuracy_plot(comparison: Comparison) -> Figure:
    """Plot the mean test accuracy of every row with its 95 % interval, and every seed as a dot, grouped by hybrid."""
    figure = pages.figure(8, 1.2 + 0.34 * (len(comparison.rows) + len(comparison.hybrids)))
    axes = figure.add_subplot()
    ticks: list[tuple[float, str]] = []
    y = 0.0
    for row in comparison.rows:
        y -= 1.7 if row[1] in ("hybrid", "baseline") and ticks else 1.0
        ticks.append((y, _name(row)))
        _draw_accuracy(axes, comparison, row, y)
    axes.set_yticks([place for place, _ in ticks], [name for _, name in ticks])
    for tick, row in zip(axes.get_yticklabels(), comparison.rows, strict=True):
        tick.set_fontweight("bold" if row[1] in ("hybrid", "baseline") else "normal")
    axes.set_xlim(*_limits(comparison))
    axes.set_xlabel("test accuracy, %")
    axes.set_title(f"{_data(comparison)}: mean and 95 % interval, one dot per seed", loc="left")
    axes.grid(axis="x", alpha=0.3)
    return figure


def differences_plot(comparison: Comparison) -> Figure:
    """Plot each hybrid minus every row it is tested against, paired by seed: what the verdicts rest on."""
    found = {model: statistics.contrasts(comparison, model) for model in comparison.hybrids}
    figure = pages.figure(8, 1.2 + 0.42 * sum(1 + len(contrasts) for contrasts in found.values()))
    panels = figure.subplots(len(found), sharex=True, squeeze=False)[:, 0]
    for axes, (model, contrasts) in zip(panels, found.items(), strict=True):
        for y, contrast in enumerate(contrasts):
            _draw_difference(axes, comparison, model, contrast, y)
        axes.set_yticks(range(len(contrasts)), [VARIANTS[contrast.row[1]] for contrast in contrasts])
        axes.set_ylim(len(contrasts) - 0.5, -0.6)
        axes.axvline(0, color="black", linewidth=1)
        axes.grid(axis="x", alpha=0.3)
        axes.set_title(f"{model} minus …", loc="left", fontweight="bold")
    panels[-1].set_xlabel("percentage points of test accuracy; mean and 95 % interval, one dot per seed")
    return figure


def learning_curves(comparison: Comparison) -> Figure:
    """Plot training loss and test accuracy by epoch, mean over seeds, one column per hybrid."""
    from matplotlib.ticker import LogLocator

    n = len(comparison.hybrids)
    figure = pages.figure(2.2 + 4.2 * n, 6)
    axes = figure.subplots(2, n, sharex=True, sharey="row", squeeze=False)
    for column, model in enumerate(comparison.hybrids):
        rows = [row for row in comparison.rows if row[0] == model or row[1] == "baseline"]
        for row in reversed(rows):
            _draw_curves(axes[:, column], comparison, row)
        axes[0, column].set_title(model, loc="left", fontweight="bold")
        axes[1, column].set_xlabel("epoch")
    axes[0, 0].set_ylabel("training loss (cross-entropy)")
    axes[1, 0].set_ylabel("test accuracy, %")
    axes[0, 0].set_yscale("log")
    axes[0, 0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes[0, 0].yaxis.set_major_formatter("{x:g}")
    axes[0, 0].yaxis.set_minor_formatter("")
    for each in axes.flat:
        each.grid(alpha=0.3)
        each.locator_params(axis="x", integer=True)
    handles, names = axes[1, 0].get_legend_handles_labels()
    figure.legend(handles[::-1], names[::-1], loc="outside right center", frameon=False)
    title = "mean over seeds; band: lowest to highest seed of the hybrid"
    figure.suptitle(f"{_data(comparison)}: {title}", x=0.01, ha="left")
    return figure


def _draw_accuracy(axes: Axes, comparison: Comparison, row: Row, y: float) -> None:
    colour, found = COLOURS[row[1]], _percent(statistics.accuracy(comparison, row))
    pages.draw_mean(axes, 100 * comparison.accuracies(row), found, y, y - 0.22, colour)
    if row[1] == "baseline":
        axes.axvline(found.mean, color=colour, linestyle=":", linewidth=1, zorder=0)


def _draw_difference(axes: Axes, comparison: Comparison, model: str, contrast: Contrast, y: float) -> None:
    values = 100 * (comparison.accuracies((model, "hybrid")) - comparison.accuracies(contrast.row))
    pages.draw_mean(axes, values, _percent(contrast.difference), y, y + 0.22, COLOURS[contrast.row[1]])


def _percent(found: Interval) -> Interval:
    return Interval(100 * found.mean, 100 * found.low, 100 * found.high)


def _draw_curves(axes: Iterable[Axes], comparison: Comparison, row: Row) -> None:
    top, bottom = axes
    colour, name = COLOURS[row[1]], VARIANTS[row[1]]
    if row[1] == "baseline":
        bottom.axhline(100 * comparison.accuracies(row).mean(), color=colour, linestyle=":", linewidth=1.4, label=name)
        return
    style: dict[str, Any] = {"color": colour, "linewidth": 2.6 if row[1] == "hybrid" else 1.4, "label": name}
    for each, key, scale in ((top, "train_loss", 1), (bottom, "valid_accuracy", 100)):
        curves = scale * np.array([[epoch[key] for epoch in record["history"]] for record in comparison.of(row)])
        epochs = np.arange(1, curves.shape[1] + 1)
        each.plot(epochs, curves.mean(axis=0), marker="o" if len(epochs) == 1 else None, **style)
        if row[1] == "hybrid":
            each.fill_between(epochs, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.15, linewidth=0)


def _limits(comparison: Comparison) -> tuple[float, float]:
    values = np.concatenate([comparison.accuracies(row) for row in comparison.rows])
    found = [statistics.accuracy(comparison, row) for row in comparison.rows]
    low = np.nanmin([values.min(), *(each.low for each in found)])
    high = np.nanmax([values.max(), *(each.high for each in found)])
    margin = 0.03 * max(high - low, 0.02)
    return 100 * max(low - margin, -0.005), 100 * min(high + margin, 1.005)


def _content(comparison: Comparison) -> dict[str, Any]:
    found = statistics.verdicts(comparison)
    return {
        "title": f"Does the quantum part help? {_data(comparison)}",
        "verdicts": found,
        "header": HEADER,
        "rows": [
            {"cells": cells, "hybrid": row[1] == "hybrid"}
            for row, cells in zip(comparison.rows, row_cells(comparison), strict=True)
        ],
        "contrasts": {verdict.model: contrast_cells(verdict) for verdict in found},
        "variants": {name: text for name, text in VARIANTS.items() if name not in ("hybrid", "surrogate", "baseline")},
        "nothing_said": any(contrast.says_nothing for verdict in found for contrast in verdict.contrasts),
        "scope": scope(comparison),
        "settings": _settings(comparison),
    }


def row_cells(comparison: Comparison) -> list[tuple[str, ...]]:
    """Return the cells of every row under :data:`HEADER`."""
    return [(label(*row), _accuracy(comparison, row), *_sizes(comparison, row)) for row in comparison.rows]


def _accuracy(comparison: Comparison, row: Row) -> str:
    found = statistics.accuracy(comparison, row)
    mean = f"{100 * found.mean:.1f}"
    if np.isnan(found.half):
        return mean
    if np.isclose(found.mean - found.low, found.high - found.mean):
        return f"{mean} ± {100 * found.half:.1f}"
    return f"{mean} [{round(100 * found.low, 1):g}, {round(100 * found.high, 1):g}]"


def _sizes(comparison: Comparison, row: Row) -> tuple[str, str, str]:
    found = comparison.of(row)
    counts, seconds = found[0]["parameters"], np.mean([record["seconds"] for record in found])
    quantum = f"{counts['frozen']} frozen" if counts["frozen"] else f"{counts['quantum']:,}"
    return quantum, f"{counts['classical']:,}", f"{seconds:.1f}"


def contrast_cells(verdict: Verdict) -> list[tuple[str, ...]]:
    """Return name, difference, interval and p-value of everything that a hybrid is tested against."""
    return [
        (
            label(*contrast.row),
            statistics.points(contrast.difference.mean),
            "–"
            if np.isnan(contrast.difference.low)
            else f"{statistics.points(contrast.difference.low)} to {statistics.points(contrast.difference.high)}",
            statistics.p_value(contrast.p_holm),
        )
        for contrast in verdict.contrasts
    ]


def scope(comparison: Comparison) -> str:
    """Say what intervals and tests are about: the cases of :func:`hybrid.statistics.correlation`."""
    n_train, n_pool = (comparison.records[0][name] for name in ("n_train", "n_pool"))
    if comparison.resampled:
        return (
            "Every seed splits the same data anew, so results of different seeds are not independent: intervals and "
            "tests use the corrected variance of Nadeau and Bengio (2003). They are wide with few seeds, as they "
            "should be."
        )
    if n_train == n_pool:
        return (
            "The test part is the official one: intervals and tests are about other seeds on this test part, not "
            "about other test data."
        )
    others = "training samples" if 2 * n_train <= n_pool else "draws from this training part"
    return (
        f"The test part is the official one, and every seed draws {n_train:,} of {n_pool:,} training samples anew; "
        "because these draws overlap, the variance is corrected as Nadeau and Bengio (2003) do for test parts. "
        f"Intervals and tests are about other {others} on this test part, not about other test data."
    )


def _settings(comparison: Comparison) -> dict[str, str]:
    first, unit = comparison.records[0], comparison.units[0]
    seeds = dict.fromkeys(each.seed for each in comparison.units)
    divided = "another split for each seed" if comparison.resampled else "the official test part"
    if first["n_train"] < first["n_pool"]:
        divided += f"; training samples drawn from {first['n_pool']:,} for each seed"
    settings = {
        "command": comparison.command or "called from Python",
        "data": f"{first['data']}, {first['n_train']} training and {first['n_test']} test samples ({divided})",
        "fingerprint of the data": unit.data,
        "seeds": ", ".join(map(str, seeds)),
        "epochs": str(unit.epochs),
        "optimiser": f"Adam, learning rate {unit.lr:g}, batches of {unit.batch_size}",
        "backend": unit.backend,
    }
    return settings | {name: pages.distinct(comparison.records, name) for name in first["versions"]}


def _name(row: Row) -> str:
    return row[0] if row[1] == "hybrid" else VARIANTS[row[1]]


def _data(comparison: Comparison) -> str:
    return str(comparison.records[0]["data"])
