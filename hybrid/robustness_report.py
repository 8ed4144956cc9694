"""Report robust accuracies from their records: tables, Markdown, a self-contained HTML page, plots."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hybrid import pages, statistics
from hybrid.compare import Comparison, Row
from hybrid.records import label
from hybrid.report import COLOURS, VARIANTS, scope
from hybrid.robustness import HARDENING_STEPS, Attacked, scored
from hybrid.statistics import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.table import Table


class Line(NamedTuple):
    """One row under one attack: robust accuracies ``(n_seeds, n_radii)``, clean ones first, and their intervals."""

    row: Row
    hardened: bool
    values: np.ndarray
    found: list[Interval]
    constant: bool

    @property
    def name(self) -> str:
        """What it is called in words; marked where some seed predicts one class only."""
        return label(*self.row) + ", hardened" * self.hardened + " (constant)" * self.constant


def write(found: Comparison) -> list[Path]:
    """Write ``report.md``, ``report.html`` and ``curves.png`` beside the records.

    Parameters
    ----------
    found
        What :func:`hybrid.robustness.run` returns.

    Returns
    -------
    list of Path
        The files; each is written whole or not at all.
    """
    return pages.write(found.out, "robustness", {"curves.png": curves_plot(found)}, _content(found))


def lines(found: Comparison, method: str) -> list[Line]:
    """Return the lines of one attack, each row followed by its hardened one."""
    parts = [scored(found, method, hardened) for hardened in (False, True)]
    return [
        _line(part, row, method, hardened)
        for row in found.rows
        for hardened, part in enumerate(parts)
        if row in part.rows
    ]


def tables(found: Comparison) -> Iterator[Table]:
    """Yield the table of every attack for a terminal, to be printed with rich; intervals are in the report."""
    from rich.table import Table

    for method in _unit(found).methods:
        shown = Table(title=_title(found, method))
        for i, column in enumerate(_header(found)):
            shown.add_column(column, justify="right" if i else "left")
        for line in lines(found, method):
            means = [f"{100 * each.mean:.1f}" for each in line.found]
            shown.add_row(line.name, *means, style="bold" if line.row[1] == "hybrid" else None)
        yield shown


def sentences(found: Comparison) -> list[str]:
    """Say in plain words whether the quantum part makes a model robust, what hardening does, and what is constant."""
    unit = _unit(found)
    said = [sentence for method in unit.methods for sentence in _verdicts(found, method)]
    if unit.hardened is None and any(each.hardened is not None for each in _units(found)):
        said += [_hardening(found, method, model) for method in unit.methods for model in found.hybrids]
    return said + _constants(found)


def curves_plot(found: Comparison) -> Figure:
    """Plot robust accuracy by radius, mean over seeds: a column for each hybrid, a row for each attack."""
    methods, models = _unit(found).methods, found.hybrids
    figure = pages.figure(2.4 + 4.2 * len(models), 0.8 + 3.2 * len(methods))
    axes = figure.subplots(len(methods), len(models), sharex=True, sharey=True, squeeze=False)
    for i, method in enumerate(methods):
        every = lines(found, method)
        for j, model in enumerate(models):
            for line in reversed([each for each in every if each.row[0] == model or each.row[1] == "baseline"]):
                _draw(axes[i, j], _radii(found), line)
            axes[i, j].set_title(f"{model}, {method}", loc="left", fontweight="bold")
            axes[i, j].grid(alpha=0.3)
        axes[i, 0].set_ylabel("robust accuracy, %")
    for each in axes[-1]:
        each.set_xlabel(f"eps ({_norm(found)}; pixels from 0 to 1)")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles[::-1], names[::-1], loc="outside right center", frameon=False)
    title = "mean over seeds; band: lowest to highest seed of the hybrid"
    figure.suptitle(f"{found.records[0]['data']}: {title}", x=0.01, ha="left")
    return figure


def _draw(axes: Axes, radii: tuple[float, ...], line: Line) -> None:
    colour, values = COLOURS[line.row[1]], 100 * line.values
    width = 2.6 if line.row[1] == "hybrid" else 1.4
    name = VARIANTS[line.row[1]] + ", hardened" * line.hardened
    style = "--" if line.hardened else "-"
    axes.plot(radii, values.mean(0), style, color=colour, linewidth=width, marker=".", label=name)
    if line.row[1] == "hybrid":
        axes.fill_between(radii, values.min(0), values.max(0), color=colour, alpha=0.15, linewidth=0)


def _line(part: Comparison, row: Row, method: str, hardened: bool | int) -> Line:
    curves = [record["curves"][method] for record in part.of(row)]
    values = np.array([curve["accuracy"] for curve in curves])
    rho = statistics.correlation(part)
    found = [statistics.interval(column, rho, 0, 1) for column in values.T]
    return Line(row, bool(hardened), values, found, any(curve["constant"] is not None for curve in curves))


def _verdicts(found: Comparison, method: str) -> Iterator[str]:
    low, high = _unit(found).eps[0], _unit(found).eps[-1]
    radii = f"at eps = {low:g}" if low == high else f"averaged over eps from {low:g} to {high:g}"
    for hardened in (False, True):
        part = scored(found, method, hardened)
        for verdict in statistics.verdicts(part) if part.units else ():
            yield f"{'Hardened, under' if hardened else 'Under'} {method}, {radii}: {verdict.sentence}"


def _hardening(found: Comparison, method: str, model: str) -> str:
    """Say what hardening does to a hybrid, paired by seed."""
    plain, hard = (scored(found, method, hardened) for hardened in (False, True))
    row, rho = (model, "hybrid"), statistics.correlation(plain)
    gain = hard.accuracies(row) - plain.accuracies(row)
    clean = np.mean([_clean(each, method) for each in hard.of(row)])
    clean -= np.mean([_clean(each, method) for each in plain.of(row)])
    return (
        f"Hardening changes the mean robust accuracy of {model} under {method} by {statistics.points(gain.mean())} "
        f"points ({statistics.p_value(statistics.paired_p(gain, rho))}, not corrected) and its clean accuracy by "
        f"{statistics.points(float(clean))} points."
    )


def _clean(record: dict[str, Any], method: str) -> float:
    return float(record["curves"][method]["accuracy"][0])


def _constants(found: Comparison) -> list[str]:
    """Name the rows that predict one class whatever the sample: their curves are flat and say nothing."""
    method = _unit(found).methods[0]
    seeds: dict[str, list[str]] = {}
    for unit, record in zip(_units(found), found.records, strict=True):
        if record["curves"][method]["constant"] is not None:
            seeds.setdefault(unit.label, []).append(str(unit.seed))
    return [
        f"{name} predicts one class for every sample (seed {', '.join(which)}): its curve is the share of that class, "
        "and says nothing about robustness."
        for name, which in seeds.items()
    ]


def _content(found: Comparison) -> dict[str, Any]:
    methods = _unit(found).methods
    return {
        "title": f"Does the quantum part make it robust? {found.records[0]['data']}",
        "verdicts": sentences(found),
        "header": _header(found),
        "tables": {
            _title(found, method): [
                {"cells": _cells(line), "hybrid": line.row[1] == "hybrid"} for line in lines(found, method)
            ]
            for method in methods
        },
        "reading": (_ROBUST, _PIXELS, _ROWS, scope(found), _TESTS),
        "settings": _settings(found),
    }


_ROBUST = (
    "Robust accuracy: share of the attacked samples that stay correct in the whole ball of radius eps, as far as the "
    "attack can tell; a stronger one may find less. At eps 0 it is the clean accuracy. A sample fooled at one radius "
    "counts as fooled at every larger one. Mean over the seeds and 95 % interval."
)
_PIXELS = (
    "Pixels go from 0 to 1 (the least and the greatest value of all images; of a table, of each feature in the train "
    "part), and the models scale them to mean 0 and variance 1 inside, so an attack sees the pixels and keeps to their "
    "bounds. Images have one mean and one variance for all pixels, where a comparison has those of each: a pixel that "
    "hardly varies would be scaled up so much that the attack found the scaling and not the model."
)
_ROWS = (
    "All rows share splits, scaling, optimiser, schedule, order of the data and attacked samples, seed by seed. "
    "Hardened rows were trained on half the loss of the samples, half that of PGD's adversarial samples, made anew for "
    f"the model of every step ({HARDENING_STEPS} steps), and are attacked anew themselves. Plain logistic regression "
    "is scikit-learn's, with its L2 penalty; hardened it is a linear layer, trained as all other rows."
)
_TESTS = (
    "The verdicts are those of a comparison, with the mean robust accuracy over the radii above 0 in the place of the "
    "test accuracy: tests are paired by seed and two-sided, and the p-values of one hybrid are corrected together by "
    "Holm's method. A row that is less accurate on clean samples keeps less for that alone: see the curves. Where "
    "gradients are estimated from shots an attack is weaker than it could be: that is no robustness."
)


def _settings(found: Comparison) -> dict[str, str]:
    first, unit = found.records[0], _unit(found)
    hardened = dict.fromkeys(each.hardened for each in _units(found) if each.hardened is not None)
    return {
        "command": found.command or "called from Python",
        "data": f"{first['data']}, {first['n_train']} training and {first['n_test']} test samples",
        "attacked": f"{first['n_attacked']} test samples",
        "fingerprint of the data": unit.data,
        "attacks": f"{', '.join(unit.methods)}; {_norm(found)}; eps {', '.join(f'{each:g}' for each in unit.eps)}",
        "pgd": f"{unit.n_steps} steps of 2.5 eps / {unit.n_steps}, from the sample; random restarts: {unit.restarts}",
        "pixels attacked": "all" if unit.above is None else f"those above {unit.above:g}",
        "hardened": ", ".join(f"against pgd with eps {each:g}" for each in hardened) or "none",
        "seeds": ", ".join(map(str, dict.fromkeys(each.seed for each in found.units))),
        "epochs": str(unit.epochs),
        "optimiser": f"Adam, learning rate {unit.lr:g}, batches of {unit.batch_size}",
        "backend": unit.backend,
        **{name: pages.distinct(found.records, name) for name in first["versions"]},
    }


def _title(found: Comparison, method: str) -> str:
    first = found.records[0]
    return f"{first['data']}, {method}, {_norm(found)}: robust accuracy of {first['n_attacked']} samples, %"


def _header(found: Comparison) -> tuple[str, ...]:
    return ("model", *(f"eps {radius:g}" if radius else "clean" for radius in _radii(found)))


def _cells(line: Line) -> tuple[str, ...]:
    return (line.name, *map(_percent, line.found))


def _percent(found: Interval) -> str:
    mean = f"{100 * found.mean:.1f}"
    if np.isnan(found.half):
        return mean
    if np.isclose(found.mean - found.low, found.high - found.mean):
        return f"{mean} ± {100 * found.half:.1f}"
    return f"{mean} [{round(100 * found.low, 1):g}, {round(100 * found.high, 1):g}]"


def _radii(found: Comparison) -> tuple[float, ...]:
    return 0.0, *_unit(found).eps


def _norm(found: Comparison) -> str:
    return {"inf": "L∞", "2": "L2"}[_unit(found).norm]


def _units(found: Comparison) -> list[Attacked]:
    return [unit for unit in found.units if isinstance(unit, Attacked)]


def _unit(found: Comparison) -> Attacked:
    return _units(found)[0]
