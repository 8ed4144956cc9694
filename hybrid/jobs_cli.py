"""The command ``qml jobs``: what has become of the jobs of a service; nothing here submits any."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid.stop import Stop

if TYPE_CHECKING:
    from backends.jobs import Client, Entry, Journal

app = typer.Typer(
    help="List, show, resume, cancel and export the jobs of a service.",
    rich_markup_mode="markdown",
    add_completion=False,
)

Place = Annotated[Path | None, typer.Option("--journal", help="The journal.", show_default="in the user's data folder")]
Label = Annotated[str | None, typer.Option(help="Only the jobs of this run.", show_default="all")]
Key = Annotated[str, typer.Argument(help="Key of a job, or its beginning.")]

_TEXTS = ("when", "key", "label", "device", "state", "job id")
_COLUMNS = ("when", "key", "label", "device", "position", "rows", "shots", "state", "job id", "billed s")


@app.callback(invoke_without_command=True)
def jobs(context: typer.Context) -> None:
    """List, show, resume, cancel and export the jobs of a service: 'qml jobs' alone lists them."""
    if context.invoked_subcommand is None:
        list_jobs()


@app.command("list")
def list_jobs(
    journal: Place = None,
    label: Label = None,
    pending: Annotated[bool, typer.Option("--pending", help="Only jobs without a result that may still come.")] = False,
) -> None:
    """List the jobs, oldest first."""
    with _one_line():
        kept = _journal(journal)
        entries = [entry for entry in kept.entries(label) if entry.is_pending or not pending]
        _print_table(entries)
        print(f"{_counted(entries)}; {kept.spent(label):.1f} s spent{f' by {label}' if label else ''}; {kept.path}")


@app.command("show")
def show(key: Key, journal: Place = None) -> None:
    """Show all that is known of a job."""
    with _one_line():
        from hybrid.jobs_export import described

        kept = _journal(journal)
        entry = kept.entry(key)
        result = kept.result(entry.key)
        facts = described(entry) | {"result": None if result is None else f"{result.values.shape}"}
        for name, value in facts.items():
            print(f"{name:<10} {'' if value is None else value}")


@app.command("resume")
def resume(
    key: Annotated[str | None, typer.Argument(help="Key of a job, or its beginning.", show_default="all")] = None,
    journal: Place = None,
    label: Label = None,
) -> None:
    """Ask the service for the results of jobs that were left, and keep those that are there."""
    with _one_line():
        kept = _journal(journal)
        entries = [kept.entry(key)] if key else kept.entries(label)
        pending = [entry for entry in entries if entry.is_pending]
    lost = [entry for entry in pending if not _collect(kept, entry, _clients())]
    if lost:
        raise Stop(f"{len(lost)} of {_counted(pending)} could not be asked for; the same command asks again.", 1)
    if not pending:
        print(f"Nothing is pending among {_counted(entries)}.")


@app.command("cancel")
def cancel(key: Key, journal: Place = None) -> None:
    """Cancel a job that has not ended."""
    with _one_line():
        kept = _journal(journal)
        entry = kept.entry(key)
        if entry.is_pending:
            _say(kept.cancel(entry, _clients()(entry)))
        else:
            raise Stop(f"Job {entry.key} is {entry.state}: there is nothing to cancel.", 2)


@app.command("export")
def export(
    folder: Annotated[Path, typer.Argument(help="A new folder.")], journal: Place = None, label: Label = None
) -> None:
    """Write the jobs as JSON and CSV and their results as NPZ into a new folder, whole or not at all."""
    with _one_line():
        from hybrid.jobs_export import write

        for file in write(_journal(journal), folder, label):
            print(file)


@contextmanager
def _one_line() -> Iterator[None]:
    from backends.jobs import Failed, JobError, Lost, Refused

    try:
        yield
    except JobError as error:
        raise Stop(error, 1 if isinstance(error, Lost | Refused | Failed) else 2) from error
    except (ValueError, OSError) as error:
        raise Stop(error, 2) from error


def _journal(path: Path | None) -> Journal:
    from backends.jobs import Journal

    if path is not None and not path.exists():
        raise FileNotFoundError(f"There is no journal at {path}: expected the path of one.")
    return Journal(path)


def _clients() -> Callable[[Entry], Client]:
    """Return what makes the clients; one for each device, because a client logs in."""
    from backends import jobs

    made: dict[str, Client] = {}

    def client(entry: Entry) -> Client:
        if entry.device not in made:
            made[entry.device] = jobs.client_for(entry)
        return made[entry.device]

    return client


def _collect(journal: Journal, entry: Entry, client: Callable[[Entry], Client]) -> bool:
    from backends.jobs import JobError

    try:
        _say(journal.collect(entry, client(entry)))
    except JobError as error:
        print(f"{entry.key}: {' '.join(str(error).split())}")
        return False
    return True


def _say(entry: Entry) -> None:
    from backends.jobs import where

    job = f", job {entry.job_id}" if entry.job_id else ""
    print(f"{entry.key}: {where(entry)}{job}: {entry.state}{f' ({entry.note})' if entry.note else ''}")


def _print_table(entries: list[Entry]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name in _TEXTS else "right", overflow="fold")
    for entry in entries:
        table.add_row(*_row(entry))
    width = None if sys.stdout.isatty() else 1000  # a program that reads it wants whole lines
    Console(markup=False, highlight=False, width=width).print(table)


def _row(entry: Entry) -> tuple[str, ...]:
    when = datetime.fromtimestamp(entry.created).isoformat(" ", "minutes")
    position = f"{entry.position}" + (f".{entry.chunk + 1}" if entry.chunk else "")
    shots = "exact" if entry.shots is None else f"{entry.shots}"
    billed = "" if entry.seconds is None else f"{entry.seconds:.1f}"
    size = position, f"{entry.rows}", shots
    return when, entry.key[:9], entry.label, entry.device, *size, entry.state, entry.job_id or "", billed


def _counted(entries: list[Entry]) -> str:
    return f"{len(entries)} job{'' if len(entries) == 1 else 's'}"
