"""Compare hybrid models with their controls and with classical baselines, on equal terms.

Every hybrid brings five rows more: the quantum layer removed; replaced by linear + tanh of the same width; its
entanglers off; its quantum weights frozen; and an MLP with as many trainable parameters. Logistic regression is the
trivial baseline of all. All rows see the same splits, the same scaling (fitted on the train part alone), the same
optimiser, schedule and order of the data, seed by seed; so differences can be tested in pairs.

A finished unit (model × data × seed) is one record on disk: a comparison that was stopped, however rudely, goes on
where it was.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from torch import nn

from circuits.checks import whole
from hybrid import checks, models, records, running, workers
from hybrid.baselines import logistic_regression, mlp
from hybrid.data import Dataset, split
from hybrid.dressed import CONTROLS
from hybrid.fingerprint import fingerprint
from hybrid.records import Record, Unit

Build = Callable[..., Any]
Row = tuple[str, str]


@dataclass(frozen=True)
class Plan:
    """A checked comparison, ready to run: its units in order, and how to build the model of each row."""

    dataset: Dataset
    units: tuple[Unit, ...]
    builds: Mapping[Row, Build]
    out: Path
    jobs: int
    scheduler: str | None
    command: str | None


@dataclass(frozen=True)
class Comparison:
    """A finished comparison: its units, and the record of each, in the same order."""

    out: Path
    command: str | None
    units: tuple[Unit, ...]
    records: tuple[Record, ...]

    @property
    def rows(self) -> list[Row]:
        """The rows ``(model, variant)``, hybrids first, each followed by its controls."""
        return list(dict.fromkeys(unit.row for unit in self.units))

    @property
    def hybrids(self) -> list[str]:
        """Names of the hybrid models."""
        return [model for model, variant in self.rows if variant == "hybrid"]

    @property
    def resampled(self) -> bool:
        """Whether every seed has its own split; False with an official test part."""
        return bool(self.records[0]["resampled"])

    def of(self, row: Row) -> list[Record]:
        """Return the records of one row, in the order of the seeds."""
        return [record for unit, record in zip(self.units, self.records, strict=True) if unit.row == row]

    def accuracies(self, row: Row) -> np.ndarray:
        """Return the test accuracies of one row, float64 ``(n_seeds,)`` between 0 and 1."""
        return np.array([record["test_accuracy"] for record in self.of(row)])


def compare(
    dataset: Dataset,
    models: Iterable[str] | Mapping[str, Build] | None = None,
    *,
    seeds: int | Iterable[int] = 3,
    epochs: int = 20,
    lr: float = 0.01,
    batch_size: int = 32,
    test_size: float = 0.2,
    n_train: int | None = None,
    backend: str = "statevector",
    out: str | Path,
    jobs: int | None = None,
    scheduler: str | None = None,
    show: bool = True,
) -> Comparison:
    """Train every hybrid model, its controls and its baselines, and return their records.

    Parameters
    ----------
    dataset
        What :func:`hybrid.data.load` returns.
    models
        Names of hybrid models (files of ``hybrid/models``), all of them if None; or your own, as a mapping from name to
        ``build(n_features, n_classes, *, control=None, backend=None)``, where `control` is None or one of
        ``removed``, ``linear``, ``separable``, ``frozen``. A model is known by its name and by all that its build
        depends on, see :mod:`hybrid.fingerprint`; a changed one is trained again.
    seeds
        How many seeds (0, 1, …), or the seeds themselves.
    epochs, lr, batch_size
        Passes through the train part, Adam's learning rate and samples per step, for every model alike.
    test_size
        Share of the test part where the data set has no official one.
    n_train
        Use only so many training samples.
    backend
        Name of the backend for the quantum layers, as :func:`backends.get` takes it.
    out
        Folder for the records; finished units found there are not repeated.
    jobs
        Units to train at once; the number of cores if None. Numbers do not depend on it.
    scheduler
        Address of a Dask scheduler, such as ``tcp://10.0.0.1:8786``, to train on its workers instead.
    show
        Show the progress on stderr.

    Returns
    -------
    Comparison
        To be read with :mod:`hybrid.statistics` and written with :mod:`hybrid.report`.

    Raises
    ------
    ValueError
        If a name, a number or the output folder is wrong, or a record found there is damaged.
    TypeError
        If an argument is of another kind, or a build depends on something whose content cannot be read.
    ImportError
        If a scheduler is given and Dask is not installed.
    FloatingPointError
        If the loss of a model is not finite.
    """
    planned = plan(
        dataset,
        models,
        seeds=seeds,
        epochs=epochs,
        lr=lr,
        batch_size=batch_size,
        test_size=test_size,
        n_train=n_train,
        backend=backend,
        out=out,
        jobs=jobs,
        scheduler=scheduler,
    )
    return run(planned, show)


def plan(
    dataset: Dataset,
    models: Iterable[str] | Mapping[str, Build] | None = None,
    *,
    seeds: int | Iterable[int],
    epochs: int,
    lr: float,
    batch_size: int,
    test_size: float,
    n_train: int | None,
    backend: str,
    out: str | Path,
    jobs: int | None = None,
    scheduler: str | None = None,
    command: str | None = None,
) -> Plan:
    """Check everything that :func:`compare` takes, and the records that are already there, before any training.

    Parameters
    ----------
    command
        The command line to name in reports.
    dataset, models, seeds, epochs, lr, batch_size, test_size, n_train, backend, out, jobs, scheduler
        As for :func:`compare`.

    Returns
    -------
    Plan
        For :func:`run`.

    Raises
    ------
    ValueError, TypeError, ImportError
        As :func:`compare`.
    """
    checks.kind("dataset", dataset, Dataset, "what hybrid.data.load returns, as load('iris')")
    checks.kind("backend", backend, str, "its name, as backend='statevector'")
    hybrids, seeds = resolve(models), checks.seeds(seeds)
    fields = {
        "data": dataset.fingerprint,
        "epochs": whole("epochs", epochs),
        "lr": checks.positive("lr", checks.number("lr", lr)),
        "batch_size": whole("batch_size", batch_size),
        "test_size": checks.number("test_size", test_size),
        "n_train": None if n_train is None else whole("n_train", n_train),
        "backend": backend,
    }
    jobs = checks.jobs(jobs)
    split(dataset, seeds[0], fields["test_size"], fields["n_train"])
    if scheduler is not None:
        workers.check_scheduler(scheduler)
    rows = {unit: build for unit, build in _rows(dataset, hybrids, fields)}
    units = tuple(replace(unit, seed=seed) for unit in rows for seed in seeds)
    out = checks.writable(out)
    records.check(out, units)
    builds = {unit.row: build for unit, build in rows.items()}
    return Plan(dataset, units, builds, out, jobs, scheduler, command)


def run(plan: Plan, show: bool = True) -> Comparison:
    """Train the units of a plan that have no record yet, and return the comparison.

    Parameters
    ----------
    plan
        What :func:`plan` returns.
    show
        Show the progress on stderr.

    Returns
    -------
    Comparison
        With the records of all units.

    Raises
    ------
    FloatingPointError
        If the loss of a model is not finite.
    OSError
        If the Dask scheduler does not answer, or workers are lost.
    """
    from hybrid import units

    def call(unit: Unit, folder: Path) -> Any:
        checkpoint = records.checkpoint(plan.out, unit)
        return joblib.delayed(units.attempt)(unit, plan.builds[unit.row], plan.dataset, folder, checkpoint)

    def said(record: Record) -> str:
        return f"{100 * record['test_accuracy']:.1f} % in {record['seconds']:.1f} s"

    labels = {unit.key: f"{records.label(*unit.row)}, seed {unit.seed}" for unit in plan.units}
    found = running.finish(plan, call, labels, said, show, shared=plan.dataset)
    return Comparison(plan.out, plan.command, plan.units, found)


def n_finished(plan: Plan) -> int:
    """Count the units of a plan that have a record."""
    return records.n_finished(plan.out, plan.units)


def resolve(chosen: Iterable[str] | Mapping[str, Build] | None) -> dict[str, Build]:
    """Return the builds of the chosen hybrid models by name; all of them if None.

    Raises
    ------
    ValueError
        If a name is unknown, or none is given.
    TypeError
        If it is no list of names and no mapping from names to functions.
    """
    known = models.names()
    chosen = known if chosen is None else chosen
    if isinstance(chosen, str) or not isinstance(chosen, Iterable):
        raise TypeError(
            f"models is of type {type(chosen).__name__}: expected a list of names or a mapping; "
            f"write models=['{known[0]}'] or models={{'mine': build}}."
        )
    found = dict(chosen) if isinstance(chosen, Mapping) else {name: _published(name, known) for name in chosen}
    if not found:
        raise ValueError(f"No model given: expected one or more of {', '.join(known)}, or {{'mine': build}}.")
    for name, build in found.items():
        _check_build(name, build)
    return found


def _published(name: str, known: Sequence[str]) -> Build:
    if name not in known:
        raise ValueError(f"Unknown model {name!r}: expected one of {', '.join(known)}.")
    return importlib.import_module(f"hybrid.models.{name}").build


def _check_build(name: Any, build: Any) -> None:
    if not isinstance(name, str):
        raise TypeError(f"models has the name {name!r}: expected a string; write {{'mine': build}}.")
    if not callable(build) or isinstance(build, nn.Module):
        raise TypeError(
            f"models[{name!r}] is of type {type(build).__name__}: expected the function that builds the model, "
            "build(n_features, n_classes, *, control=None, backend=None)."
        )


def _rows(dataset: Dataset, hybrids: Mapping[str, Build], fields: Mapping[str, Any]) -> Iterator[tuple[Unit, Build]]:
    """Yield a unit (with seed 0) and the build for every row, hybrids first, each followed by its controls."""
    from hybrid import units

    for name, build in hybrids.items():
        unit = Unit(name, "hybrid", fingerprint(build), n_parameters=None, seed=0, **fields)
        n_parameters = units.n_trainable(unit, build, dataset.n_features, dataset.n_classes)
        for variant in ("hybrid", *CONTROLS):
            yield replace(unit, variant=variant), build
        yield replace(unit, variant="mlp", source=fingerprint(mlp.build), n_parameters=n_parameters), mlp.build
    build = logistic_regression.build
    yield Unit("logistic_regression", "baseline", fingerprint(build), n_parameters=None, seed=0, **fields), build
