"""Results of an experiment with planted scores: as if it had been run, but with a known truth."""

from __future__ import annotations

from pathlib import Path

from hybrid.experiment import Experiment, Plan, Results, Row, Trial

LEVELS = {level: {"seeds": 3, "epochs": 7} for level in ("quick", "default", "full")}


def results(scores, kinds, out=".", extra=None, figures=None, **options):
    """Return results with ``scores[task, row]``, one number per seed; a single float is a row without seeds.

    ``kinds`` gives the kind of every row, in the order of the table; ``figures[name]`` more numbers, as the scores.
    """
    tasks = tuple(dict.fromkeys(task for task, _ in scores))
    seeded = {
        row: not any(key[1] == row and isinstance(value, float) for key, value in scores.items()) for row in kinds
    }
    rows = tuple(Row(name, kind, print, seeded=seeded[name]) for name, kind in kinds.items())
    settings = {"name": "planted", "title": "A planted paper", "arxiv": "arXiv:0000.00001", "claim": "It <works>."}
    settings |= {"metric": "test NRMSE", "lower_is_better": True, "levels": LEVELS}
    experiment = Experiment(tasks=tasks, rows=rows, **settings | options)
    found = [trial for key, value in scores.items() for trial in _trials(*key, value)]
    seeds = tuple(dict.fromkeys(trial.seed for trial, _ in found if trial.seed is not None))
    units = tuple(trial for trial, _ in found)
    plan = Plan(
        experiment, "quick", tasks, seeds, units, None, Path(out).absolute(), 1, None, "qml run planted --quick"
    )
    extras = [{**(extra or {}).get(trial.row, {}), **_figures(trial, figures or {})} for trial, _ in found]
    return Results(plan, tuple(_record(*each, more) for each, more in zip(found, extras, strict=True)))


def _figures(trial, figures):
    values = {name: figure[trial.task, trial.row] for name, figure in figures.items()}
    return {name: value if trial.seed is None else value[trial.seed] for name, value in values.items()}


def _trials(task, row, values):
    fields = {"source": "0" * 64, "data": None, "settings": {"epochs": 7}, "backend": "statevector"}
    seeded = [(None, values)] if isinstance(values, float) else enumerate(values)
    return [(Trial("planted", task, row, seed=seed, **fields), value) for seed, value in seeded]


def _record(trial, score, extra):
    return {
        "schema": trial.schema,
        "key": trial.key,
        "unit": {"backend": trial.backend, "data": None, "settings": trial.settings},
        "score": score,
        "parameters": {"quantum": 24, "classical": 4, "frozen": 1200},
        "seconds": {"training": 12.5 if trial.seed == 0 else 14.5, "prediction": 0.25},
        "extra": extra,
        "versions": {"python": "3.11", "torch": "2.13.0"},
        "finished": f"2024-01-0{1 + (trial.seed or 0)}T00:00:00+00:00",
    }
