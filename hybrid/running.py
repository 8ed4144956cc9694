"""Run the units that have no record yet, side by side, and keep the record of each as soon as it is there."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol, TypeVar

from hybrid import progress, records, workers
from hybrid.records import Keyed, Record

U = TypeVar("U", bound=Keyed)
U_co = TypeVar("U_co", bound=Keyed, covariant=True)


class Plan(Protocol[U_co]):
    """What is to be run: units in order, the folder of their records, and where they run."""

    @property
    def units(self) -> Sequence[U_co]: ...  # noqa: D102
    @property
    def out(self) -> Path: ...  # noqa: D102
    @property
    def jobs(self) -> int: ...  # noqa: D102
    @property
    def scheduler(self) -> str | None: ...  # noqa: D102


def finish(
    plan: Plan[U],
    call: Callable[[U, Path], Any],
    labels: dict[str, str],
    said: Callable[[Record], str],
    show: bool,
    shared: Any = None,
) -> tuple[Record, ...]:
    """Run the units of a plan that have no record yet, and return the records of all, in the same order.

    Parameters
    ----------
    plan
        The units, and where they run.
    call
        Makes the call of a unit, with :func:`joblib.delayed`, given the unit and the folder where it tells its epoch;
        it returns what :func:`attempt` returns.
    labels
        What to call each unit, by its key.
    said
        What to say of a finished unit.
    show
        Show the progress on stderr.
    shared
        As for :func:`hybrid.workers.results`.
    """
    n_done = records.n_finished(plan.out, plan.units)
    if n_done < len(plan.units):
        with (
            progress.Display(labels, n_done, show) as display,
            closing(_results(plan, call, display.folder, shared)) as results,
        ):
            for unit, record in results:
                records.write(plan.out, unit, record)
                display.finished(unit.key, said(record))
    return tuple(records.read(plan.out, unit) for unit in plan.units)


def attempt(unit: U, name: str, folder: Path, work: Callable[[], Record]) -> tuple[U, Record | Exception]:
    """Do the work of one unit; an error is returned, not raised, with its traceback as a note.

    (Of an error raised on a worker, joblib's Dask backend tells nobody.)
    """
    try:
        return unit, work()
    except Exception as error:
        error.add_note(f"{name}:\n{traceback.format_exc()}")
        return unit, error
    finally:
        progress.forget(folder, unit.key)


def _results(
    plan: Plan[U], call: Callable[[U, Path], Any], folder: Path, shared: Any
) -> Generator[tuple[U, Record], None, None]:
    calls = (call(unit, folder) for unit in plan.units if not records.finished(plan.out, unit))
    n_jobs = max(1, min(plan.jobs, len(plan.units) - records.n_finished(plan.out, plan.units)))
    with closing(workers.results(calls, n_jobs, plan.scheduler, shared=shared)) as outcomes:
        for unit, outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
            yield unit, outcome
