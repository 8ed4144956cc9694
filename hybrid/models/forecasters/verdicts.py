"""What verdicts on time series say beside the tested claims: which row is the best, and whether a linear model is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from hybrid.claims import score
from hybrid.experiment import Results


def plainly(results: Results) -> list[str]:
    """Say which row is the best on each task, and where a linear model beats every quantum row."""
    best = {name: _best(results, name) for name in results.tasks}
    winners = [f"{row} on {', '.join(tasks)}" for row, tasks in _grouped(best).items()]
    quantum = [row.name for row in results.experiment.rows if row.kind == "quantum"]
    n_won = sum(row in quantum for row in best.values())
    said = [
        f"Lowest mean error of all rows: {'; '.join(winners)}. A quantum row has it on {n_won} of {len(best)} tasks."
    ]
    linear = [row.name for row in results.experiment.rows if row.name.startswith("AR(")]
    return said + [sentence for row in linear if (sentence := _beats(results, row, quantum))]


def epochs(results: Results, pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Say which of two rows needs fewer epochs, by the median over seeds on each task, and to get where."""
    return [sentence for pair in pairs if (sentence := _faster(results, *pair))]


def _best(results: Results, name: str) -> str:
    return min(results.rows(name), key=lambda row: results.scores(name, row.name).mean()).name


def _grouped(best: Mapping[str, str]) -> dict[str, list[str]]:
    return {row: [name for name in best if best[name] == row] for row in dict.fromkeys(best.values())}


def _beats(results: Results, linear: str, quantum: Sequence[str]) -> str:
    """Say how many quantum rows a linear model beats on each task, and which ones it does not."""
    said = [_beaten(results, name, linear, quantum) for name in results.tasks if results.of(name, linear)]
    what = "least squares with a closed-form solution, beats by the mean error"
    return f"{linear}, {what} {'; '.join(said)}." if said else ""


def _beaten(results: Results, name: str, linear: str, quantum: Sequence[str]) -> str:
    mine = results.scores(name, linear).mean()
    means = {row: results.scores(name, row).mean() for row in quantum if results.of(name, row)}
    better = [f"{row}: {score(mean)}" for row, mean in means.items() if mean <= mine]
    if not better:
        best = min(means, key=lambda row: means[row])
        return f"every quantum row on {name} ({score(mine)}; the best of them, {best}: {score(means[best])})"
    n_beaten = len(means) - len(better)
    return f"{n_beaten} of {len(means)} quantum rows on {name} ({score(mine)}; not {', '.join(better)})"


def _faster(results: Results, row: str, other: str) -> str:
    tasks = [name for name in results.tasks if results.of(name, row) and results.of(name, other)]
    medians = {name: (_median(results, name, row), _median(results, name, other)) for name in tasks}
    n_fewer = sum(mine < others for mine, others in medians.values())
    said = ", ".join(
        f"{name} ({mine:g} against {others:g}, at errors of {_mean(results, name, row)} against "
        f"{_mean(results, name, other)})"
        for name, (mine, others) in medians.items()
    )
    what = f"Epochs until the training loss is within 10 % of its lowest: {row} needs fewer than {other}"
    return f"{what} on {n_fewer} of {len(tasks)} tasks: {said}. A closed-form readout needs none." if tasks else ""


def _median(results: Results, name: str, row: str) -> float:
    return float(np.median([record["extra"]["epochs"] for record in results.of(name, row)]))


def _mean(results: Results, name: str, row: str) -> str:
    return score(results.scores(name, row).mean())
