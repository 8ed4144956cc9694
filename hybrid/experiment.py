"""Reproduce a paper: run every row of its table, and rows that it should have had, on every task and seed.

A paper is one file ``hybrid/experiments/<name>.py`` with one function ``experiment()`` that returns an
:class:`Experiment`: what the paper claims, its tasks, the rows, and settings for three levels. A row is a function
from a :class:`Case` to an :class:`Outcome`; it owes nothing to the others, so rows run side by side in any order.

A finished trial (task × row × seed) is one record on disk, named by all that determines it, the row's source text
included: an experiment that was stopped, however rudely, goes on where it was.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np

import backends
from backends import Backend
from hybrid import checks, experiments, progress, records, running, training, units, workers
from hybrid.claims import Claim, sentences
from hybrid.fingerprint import fingerprint
from hybrid.progress import Tell
from hybrid.records import Keyed, Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEVELS = ("quick", "default", "full")

#: What a row is: has a trained or frozen circuit; lacks only that; a classical model; or hardly a model at all.
KINDS = ("quantum", "control", "classical", "trivial")

_PARAMETERS = "quantum", "classical", "frozen"
_SECONDS = "training", "prediction"


@dataclass(frozen=True)
class Case:
    """What a row is run on: one task, one seed.

    Parameters
    ----------
    task
        Name of the task.
    seed
        For the first weights and all else that is random; 0 for a row that is not seeded. Torch's own generator is
        seeded with it already.
    settings
        Those of the level, without the seeds.
    backend
        Name of the backend for quantum layers, for :meth:`make_backend`.
    data
        What ``--data`` names, for experiments that read data.
    tell
        To be called as ``tell(epoch, n_epochs)``, for the progress.
    checkpoint
        For one call of :func:`hybrid.training.fit`, the longest; None where the output folder is out of reach.
    """

    task: str
    seed: int
    settings: Mapping[str, Any]
    backend: str
    data: Path | None
    tell: Tell
    checkpoint: Path | None

    def make_backend(self) -> Backend:
        """Return a new backend for quantum layers; its shots, if it draws any, are those of the seed."""
        return backends.get(self.backend, self.seed)


@dataclass(frozen=True)
class Outcome:
    """What a row returns.

    Parameters
    ----------
    score
        Value of the experiment's metric on the test part.
    parameters
        How many parameters, ``{"quantum": …, "classical": …, "frozen": …}`` as
        :func:`hybrid.units.count_parameters` counts them: the first two are trained.
    seconds
        ``{"training": …, "prediction": …}``.
    extra
        More to keep, as JSON has it. ``target`` and ``prediction``, two lists of numbers of one length, are drawn, and
        so is ``curve``, ``{"x": […], "y": […]}``, of how it was learnt: every seed of a row has the same x.

    Raises
    ------
    ValueError
        If it is not of this form.
    """

    score: float
    parameters: Mapping[str, int]
    seconds: Mapping[str, float]
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, expected in (("parameters", _PARAMETERS), ("seconds", _SECONDS)):
            if set(getattr(self, name)) != set(expected):
                raise ValueError(
                    f"got {name} {dict(getattr(self, name))}, expected {', '.join(expected)}: give them all"
                )
        try:
            json.dumps(dict(self.extra), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"got extra, {error}, expected what JSON can hold: finite numbers, .tolist()") from error
        target, prediction = (self.extra.get(name, []) for name in ("target", "prediction"))
        if len(target) != len(prediction):
            raise ValueError(f"got {len(target)} targets and {len(prediction)} predictions, expected as many of both")
        x, y = (self.extra.get("curve", {"x": [], "y": []})[name] for name in "xy")
        if len(x) != len(y):
            raise ValueError(f"got {len(x)} x and {len(y)} y of a curve, expected as many of both")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Parameters
    ----------
    name
        As it is printed.
    kind
        One of ``quantum``, ``control``, ``classical``, ``trivial``.
    run
        A function of a module, or a :class:`functools.partial` of one.
    seeded
        False for a row whose result does not depend on the seed: it is run once per task, and is a constant in tests.
    tasks
        The tasks it can be run on; None for all.
    """

    name: str
    kind: str
    run: Callable[[Case], Outcome]
    seeded: bool = True
    tasks: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"got kind={self.kind!r} for the row {self.name!r}, expected one of {', '.join(KINDS)}")


@dataclass(frozen=True)
class Experiment:
    """One paper.

    Parameters
    ----------
    name
        The file's name, with dashes.
    title, arxiv
        Of the paper.
    claim
        What the paper claims, in its own words.
    metric, lower_is_better
        What a score is, as ``"test NRMSE"``, and which way is better.
    tasks, rows
        What is run.
    levels
        Settings for ``quick`` (minutes), ``default`` and ``full`` (the paper's), each with ``seeds``, their number.
    published
        The paper's figures, ``{row: {task: "0.12"}}``; what is missing is printed as not given. A row that is none of
        ours has a line of its own.
    claims
        What the claim says of the rows, to be tested.
    verdict
        Turns the results into sentences; by default what is left of each claim, and what the quantum layer of each
        quantum row contributes, both from the tests.
    data
        What ``--data`` may name; None for an experiment that reads no data.
    needs_data
        Tasks that are run only where data are named; they are left out where none are, unless asked for by name.
    files
        A function of a task and what ``--data`` names, to the files that the task reads of it. A task of `needs_data`
        that has none there is left out as well. If not given, every task reads all of it.
    check
        Called with tasks, settings and data before anything is run: raises ValueError or ImportError where something
        is missing.
    packages
        Packages whose versions matter beside those of all experiments.
    least, most
        The range of possible scores, where intervals end at the latest.
    also
        Further figures of the score's kind, in its range and with its better end, ``{"under attack": "attacked"}``: the
        heading of a column, and the name of the number in the ``extra`` of an outcome.
    per
        What intervals and tests are over, such as ``"patient"``, where it is not seeds: the ``extra`` of every outcome
        has a score for each, a list called ``scores``, and such lists for the further figures as well, all in one
        order. Their means over the seeds are what is compared.
    drawing
        Draws one more figure for the report, ``drawing.png``.
    curves
        What x and y are of the ``curve`` that outcomes have in their ``extra``.
    evaluate
        What ``--evaluate`` does, for an experiment whose trained rows can be run on another backend: a function of the
        plan and of the backend's name, that yields lines to print. It raises ValueError where nothing is trained yet.
    """

    name: str
    title: str
    arxiv: str
    claim: str
    metric: str
    lower_is_better: bool
    tasks: tuple[str, ...]
    rows: tuple[Row, ...]
    levels: Mapping[str, Mapping[str, Any]]
    published: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()
    verdict: Callable[[Results], list[str]] = sentences
    data: str | None = None
    needs_data: tuple[str, ...] = ()
    files: Callable[[str, Path], Sequence[Path]] | None = None
    check: Callable[[tuple[str, ...], Mapping[str, Any], Path | None], None] | None = None
    packages: tuple[str, ...] = ()
    least: float = -math.inf
    most: float = math.inf
    also: Mapping[str, str] = field(default_factory=dict)
    per: str | None = None
    drawing: Callable[[Results], Figure] | None = None
    curves: tuple[str, str] = ("x", "y")
    evaluate: Callable[[Plan, str], Iterator[str]] | None = None

    def __post_init__(self) -> None:
        if set(self.levels) != set(LEVELS) or not all("seeds" in level for level in self.levels.values()):
            raise ValueError(f"got levels {list(self.levels)}, expected {', '.join(LEVELS)}, each with 'seeds'")
        for what, names in (("rows", [row.name for row in self.rows]), ("tasks", list(self.tasks))):
            if not names or len(set(names)) < len(names):
                raise ValueError(f"got the {what} {names}, expected one or more, each with a name of its own")
        rows = [row.name for row in self.rows]
        for claim in self.claims:
            _known("row", (claim.row, claim.other), rows)
            if claim.of is not None:
                _known("figure", (claim.of,), self.also.values())
        named = [*(row.tasks for row in self.rows), *(claim.tasks for claim in self.claims), *self.published.values()]
        named.append(self.needs_data or None)
        for tasks in named:
            _known("task", self.tasks if tasks is None else tasks, self.tasks)


@dataclass(frozen=True)
class Trial(Keyed):
    """Everything that determines one result of an experiment.

    Parameters
    ----------
    experiment, task, row
        Their names.
    source
        The sha256 of all that the row's function depends on.
    data
        The sha256 of the data; None where none are read.
    seed
        None for a row that is not seeded.
    settings
        Those of the level, without the seeds.
    backend
        Name of the backend.
    """

    schema = 1
    contents = {  # noqa: RUF012 (no field)
        "schema": int, "key": str, "unit": dict, "score": float, "parameters": dict, "seconds": dict, "extra": dict,
        "versions": dict, "finished": str,
    }  # fmt: skip

    experiment: str
    task: str
    row: str
    source: str
    data: str | None
    seed: int | None
    settings: dict[str, Any]
    backend: str

    @property
    def label(self) -> str:
        """What the trial is called in words."""
        return f"{self.task}: {self.row}" + ("" if self.seed is None else f", seed {self.seed}")


@dataclass(frozen=True)
class Plan:
    """A checked experiment, ready to run: its trials in order, by task, row and seed."""

    experiment: Experiment
    level: str
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    units: tuple[Trial, ...]
    data: Path | None
    out: Path
    jobs: int
    scheduler: str | None
    command: str | None
    left_out: tuple[str, ...] = ()  # for want of data


@dataclass(frozen=True)
class Results:
    """A finished experiment: its plan, and the record of each trial, in the same order."""

    plan: Plan
    records: tuple[Record, ...]

    @property
    def experiment(self) -> Experiment:
        """What was run."""
        return self.plan.experiment

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that were run."""
        return self.plan.tasks

    def rows(self, task: str) -> list[Row]:
        """Return the rows that a task has."""
        return [row for row in self.experiment.rows if (task, row.name) in self._found]

    def of(self, task: str, row: str) -> list[Record]:
        """Return the records of a row on a task, in the order of the seeds; one for a row that is not seeded."""
        return self._found.get((task, row), [])

    def scores(self, task: str, row: str, of: str | None = None) -> np.ndarray:
        """Return the scores of a row on a task, float64 ``(n_seeds,)``, or ``(1,)`` for a row that is not seeded.

        Another figure of the row than its score is named by `of`, as in ``extra``. Where the experiment says what
        intervals are ``per``, there is one for each of these, the mean over the seeds.

        Raises
        ------
        ValueError
            If the row has no such figure.
        """
        found, per = self.of(task, row), self.experiment.per
        name = "scores" if of is None and per is not None else of
        if name is not None and any(name not in record["extra"] for record in found):
            what = "a number" if per is None else f"a list with one number per {per}"
            raise ValueError(
                f"got no {name!r} in the extra of {row!r} on {task}, expected {what}: return it in the Outcome"
            )
        values = [record["score"] if name is None else record["extra"][name] for record in found]
        return np.array(values, dtype=float) if per is None else np.mean(values, axis=0)

    @cached_property
    def _found(self) -> dict[tuple[str, str], list[Record]]:
        found: dict[tuple[str, str], list[Record]] = {}
        for unit, record in zip(self.plan.units, self.records, strict=True):
            found.setdefault((unit.task, unit.row), []).append(record)
        return found


def load(name: str) -> Experiment:
    """Return the experiment of a file of ``hybrid/experiments``, by its name with dashes.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    _known("experiment", (name,), experiments.names())
    return importlib.import_module(f"hybrid.experiments.{name.replace('-', '_')}").experiment()


def plan(
    experiment: Experiment,
    level: str = "default",
    *,
    seeds: int | Iterable[int] | None = None,
    tasks: Iterable[str] | None = None,
    backend: str = "statevector",
    data: str | Path | None = None,
    out: str | Path,
    jobs: int | None = None,
    scheduler: str | None = None,
    command: str | None = None,
) -> Plan:
    """Check everything, and the records that are already there, before anything is run.

    Parameters
    ----------
    experiment
        What :func:`load` returns, or your own.
    level
        ``quick``, ``default`` or ``full``.
    seeds
        How many seeds (0, 1, …), or the seeds themselves; the level's number if None.
    tasks
        Names of tasks; all if None.
    backend
        Name of the backend for quantum layers.
    data
        File or folder, for an experiment that reads data.
    out
        Folder for the records; finished trials found there are not repeated.
    jobs
        Trials at once; the number of cores if None. Numbers do not depend on it.
    scheduler
        Address of a Dask scheduler, such as ``tcp://10.0.0.1:8786``, to run on its workers instead.
    command
        The command line to name in reports.

    Returns
    -------
    Plan
        For :func:`run`.

    Raises
    ------
    ValueError
        If a name, a number, the data or the output folder is wrong, or a record found there is damaged.
    TypeError
        If an argument is of another kind, or a row depends on something whose content cannot be read.
    ImportError
        If a package is missing.
    """
    _known("level", (level,), LEVELS)
    path = _data(experiment, data)
    left_out = _without_data(experiment, path) if tasks is None else ()
    chosen = _tasks(experiment, tasks, left_out)
    settings = {name: value for name, value in experiment.levels[level].items() if name != "seeds"}
    numbers = tuple(checks.seeds(experiment.levels[level]["seeds"] if seeds is None else seeds))
    backends.get(backend)
    n_jobs = checks.jobs(jobs)
    if scheduler is not None:
        workers.check_scheduler(scheduler)
    if experiment.check is not None:
        experiment.check(chosen, settings, path)
    contents = {task: _content(experiment, task, path) for task in chosen}
    fields = {"settings": settings, "backend": backend}
    trials = tuple(_trials(experiment, contents, numbers, fields))
    out = checks.writable(out)
    records.check(out, trials)
    return Plan(experiment, level, chosen, numbers, trials, path, out, n_jobs, scheduler, command, left_out)


def run(plan: Plan, show: bool = True) -> Results:
    """Run the trials of a plan that have no record yet, and return the results of all.

    Parameters
    ----------
    plan
        What :func:`plan` returns.
    show
        Show the progress on stderr.

    Returns
    -------
    Results
        To be read with :mod:`hybrid.claims` and written with :mod:`hybrid.findings`.

    Raises
    ------
    FloatingPointError
        If a score is not finite.
    OSError
        If the Dask scheduler does not answer, or workers are lost.
    """
    functions = {row.name: row.run for row in plan.experiment.rows}

    def call(trial: Trial, folder: Path) -> Any:
        checkpoint = records.checkpoint(plan.out, trial)
        packages = plan.experiment.packages
        return joblib.delayed(attempt)(trial, functions[trial.row], plan.data, packages, folder, checkpoint)

    def said(record: Record) -> str:
        return f"{plan.experiment.metric} {record['score']:.3g} in {sum(record['seconds'].values()):.1f} s"

    labels = {trial.key: trial.label for trial in plan.units}
    return Results(plan, running.finish(plan, call, labels, said, show))


def attempt(
    trial: Trial,
    function: Callable[[Case], Outcome],
    data: Path | None,
    packages: tuple[str, ...],
    folder: Path,
    checkpoint: Path,
) -> tuple[Trial, Record | Exception]:
    """Run one trial in whatever process this is; an error is returned, not raised."""

    def work() -> Record:
        tell = progress.teller(folder, trial.key)
        tell(0)
        kept = checkpoint if checkpoint.parent.is_dir() else None
        case = Case(trial.task, trial.seed or 0, dict(trial.settings), trial.backend, data, tell, kept)
        with training.alone(case.seed):
            outcome = function(case)
        return _record(trial, outcome, packages)

    return running.attempt(trial, trial.label, folder, work)


def _record(trial: Trial, outcome: Outcome, packages: tuple[str, ...]) -> Record:
    if not math.isfinite(outcome.score):
        raise FloatingPointError(
            f"The score of {trial.label} is {outcome.score}: expected a finite number; "
            "look for a training that has diverged."
        )
    return {
        "schema": trial.schema,
        "key": trial.key,
        "unit": asdict(trial),
        "score": float(outcome.score),
        "parameters": {name: int(number) for name, number in outcome.parameters.items()},
        "seconds": {name: float(seconds) for name, seconds in outcome.seconds.items()},
        "extra": dict(outcome.extra),
        "versions": units.versions("scipy", *packages),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _trials(
    experiment: Experiment, contents: Mapping[str, str | None], seeds: tuple[int, ...], fields: Mapping[str, Any]
) -> Iterable[Trial]:
    sources = {row.name: fingerprint(row.run) for row in experiment.rows}
    for task, data in contents.items():
        for row in experiment.rows:
            if row.tasks is None or task in row.tasks:
                for seed in seeds if row.seeded else (None,):
                    yield Trial(experiment.name, task, row.name, sources[row.name], data, seed, **fields)


def _known(what: str, chosen: Iterable[str], known: Iterable[str]) -> None:
    chosen = tuple(chosen)
    for name in chosen:
        if name not in known:
            raise ValueError(f"Unknown {what} {name!r}: expected one of {', '.join(known)}.")
    if not chosen:
        raise ValueError(f"No {what} given: expected one or more of {', '.join(known)}.")


def reads(experiment: Experiment, data: Path) -> bool:
    """Say whether an experiment reads something of what ``--data`` names."""
    if experiment.data is None or experiment.files is None:
        return experiment.data is not None
    return any(experiment.files(task, data) for task in experiment.tasks)


def _without_data(experiment: Experiment, data: Path | None) -> tuple[str, ...]:
    """Return the tasks that need data and have none."""
    files = experiment.files
    return tuple(t for t in experiment.needs_data if data is None or (files is not None and not files(t, data)))


def _tasks(experiment: Experiment, tasks: Iterable[str] | None, left_out: tuple[str, ...]) -> tuple[str, ...]:
    """Return the tasks that are asked for; or all but those left out."""
    wanted = experiment.tasks if tasks is None else tasks
    chosen = tuple(dict.fromkeys(task for task in wanted if task not in left_out))
    _known("task", chosen, experiment.tasks)
    return chosen


def _data(experiment: Experiment, data: str | Path | None) -> Path | None:
    if data is None:
        return None
    path = Path(data).absolute()
    if experiment.data is None:
        raise ValueError(f"got the data {data}, but {experiment.name} reads none: leave --data out.")
    if not path.exists():
        raise ValueError(f"got the data {data}, which is not there, expected {experiment.data}.")
    if not reads(experiment, path):
        raise ValueError(f"got the data {data}, of which {experiment.name} reads nothing, expected {experiment.data}.")
    return path


def _content(experiment: Experiment, task: str, path: Path | None) -> str | None:
    """Return the sha256 of the files that a task reads, with their names; None if it reads none."""
    if path is None:
        return None
    if experiment.files is not None:
        files = {file.name: file for file in experiment.files(task, path)}
        return _sha256(files) if files else None
    within = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return _sha256({file.relative_to(path).as_posix(): file for file in within})


def _sha256(files: Mapping[str, Path]) -> str:
    found = {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()}
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
