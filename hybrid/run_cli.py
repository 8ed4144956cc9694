"""The command ``qml run``: run a published experiment again, and say what is left of its claim."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid import listing, options
from hybrid.catalogue import VARIABLE
from hybrid.stop import kept_in, resumable, wrong_input

if TYPE_CHECKING:
    from hybrid.experiment import Plan, Results


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("run")(run)


def run(
    name: Annotated[str | None, typer.Argument(help="An experiment; without it they are listed.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Run all experiments and write one page, papers.md.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Small settings: a few minutes.")] = False,
    full: Annotated[bool, typer.Option("--full", help="The paper's settings: hours.")] = False,
    seeds: Annotated[int | None, typer.Option(help="Number of seeds.", show_default="the level's")] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="File or folder, for experiments that read data.", show_default="none", envvar=VARIABLE),
    ] = None,
    backend: options.Backend = "statevector",
    out: Annotated[
        Path | None, typer.Option(help="Output folder; with --all one for all.", show_default="runs/<name>[-<level>]")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Runs at once.", show_default="number of cores")] = None,
    scheduler: options.Scheduler = None,
    task: Annotated[str | None, typer.Option(help="Only these tasks, comma-separated.", show_default="all")] = None,
    evaluate: Annotated[
        str | None,
        typer.Option(help="Run what is trained on another backend, as aer:shots=1024,noise=manila, and train nothing."),
    ] = None,
) -> None:
    """Run a published experiment again, with the rows that it should have had, and say what is left of its claim.

    Stop it whenever you like: the same command goes on where it was, and what is finished is kept.
    """
    if name is None and not every and evaluate is None:
        return _list()
    with wrong_input():
        level, tasks = _level(quick, full), _tasks(task, every)
        replay = None if evaluate is None else _replay(name, every)
        given = {"seeds": seeds, "tasks": tasks, "backend": backend, "jobs": jobs, "scheduler": scheduler}
        folders = _folders(name, every, level, out)
        plans = [_plan(each, level, folder, data, every, given) for each, folder in folders.items()]
    for plan in plans:
        _say_what_is_left_out(plan)
    if replay is not None:
        return _print_lines(partial(replay, plans[0], evaluate))
    _finish(plans, (out or Path("runs")).absolute() if every else None)


def _list() -> None:
    from hybrid import experiments

    listing.show("Experiments, for 'qml run NAME --quick'", listing.summaries(experiments))


def _level(quick: bool, full: bool) -> str:
    if quick and full:
        raise ValueError("got --quick and --full, expected one of them: leave one out.")
    return "quick" if quick else "full" if full else "default"


def _tasks(task: str | None, every: bool) -> list[str] | None:
    if task is not None and every:
        raise ValueError("got --task with --all, expected one experiment: name it instead of --all.")
    return None if task is None else [name.strip() for name in task.split(",") if name.strip()]


def _replay(name: str | None, every: bool) -> Callable[..., Iterator[str]]:
    """Return what --evaluate does."""
    from hybrid import experiment, experiments

    if name is None or every:
        raise ValueError("got --evaluate without an experiment, or with --all, expected one: qml run NAME --evaluate …")
    found = experiment.load(name).evaluate
    if found is None:
        able = ", ".join(each for each in experiments.names() if experiment.load(each).evaluate is not None)
        raise ValueError(f"got --evaluate for {name}, which keeps nothing to run again, expected one of {able}.")
    return found


def _print_lines(lines: Callable[[], Iterator[str]]) -> None:
    from backends.jobs import JobError

    with wrong_input(), resumable(lambda: "what devices have measured is kept", JobError):
        for line in lines():
            print(line, flush=True)


def _command() -> str:
    """Return the command line; without --evaluate, as that runs what the rest of it trains."""
    words = sys.argv[1:]
    if "--evaluate" in words:
        place = words.index("--evaluate")
        words = words[:place] + words[place + 2 :]
    return shlex.join(["qml", *(word for word in words if not word.startswith("--evaluate="))])


def _folders(name: str | None, every: bool, level: str, out: Path | None) -> dict[str, Path]:
    """Return the output folder of every experiment that is to be run."""
    from hybrid import experiments

    if name is not None and every:
        raise ValueError(f"got {name!r} and --all, expected one of them: leave one out.")
    if name is not None and out is not None:
        return {name: out}
    suffix = "" if level == "default" else f"-{level}"
    return {each: (out or Path("runs")) / f"{each}{suffix}" for each in ([name] if name else experiments.names())}


def _plan(name: str, level: str, out: Path, data: Path | None, every: bool, given: Mapping[str, Any]) -> Plan:
    """Check everything before anything is run; data that are for all experiments may be of no use to this one."""
    from hybrid import experiment

    found = experiment.load(name)
    for_all = every or str(data) == os.environ.get(VARIABLE)
    if for_all and data is not None and data.exists() and not experiment.reads(found, data):
        data = None
    return experiment.plan(found, level, out=out, data=data, command=_command(), **given)


def _say_what_is_left_out(plan: Plan) -> None:
    if plan.left_out:
        where = "--data names a folder; 'qml data' lists what can be fetched"
        named = f"{plan.experiment.name}: left out for want of data: {', '.join(plan.left_out)}"
        print(f"{named} ({where})", file=sys.stderr)


def _finish(plans: list[Plan], root: Path | None) -> None:
    from hybrid import findings

    out = root or plans[0].out
    with kept_in(out):
        found = []
        for plan in plans:
            found.append(_run(plan, plans, out))
            _report(found[-1])
        if root is not None:
            print(f"\nAll: {findings.write_page(found, root / 'papers.md')}")


def _run(plan: Plan, plans: list[Plan], out: Path) -> Results:
    from backends.jobs import JobError
    from hybrid import experiment, records

    def kept() -> str:
        n_finished = sum(records.n_finished(each.out, each.units) for each in plans)
        return f"{n_finished} of {sum(len(each.units) for each in plans)} runs are kept in {out}"

    # A row reads its data and needs its packages when it runs, so these may be wrong input too.
    with resumable(kept, FloatingPointError, JobError, ValueError, ImportError):
        return experiment.run(plan)


def _report(results: Results) -> None:
    from rich.console import Console

    from hybrid import findings

    files = findings.write(results)
    console = Console()
    for table in findings.tables(results):
        console.print(table)
    console.print(f"\nThe paper claims: {results.experiment.claim}", highlight=False, markup=False)
    for sentence in findings.verdict(results):
        console.print(f"\n{sentence}", highlight=False, markup=False)
    print(f"\nReport: {next(file for file in files if file.suffix == '.html')}")
