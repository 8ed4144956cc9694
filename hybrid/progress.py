"""Live progress on stderr: a bar over the units and, for each unit that runs, how far it is.

A running unit tells it through a small file in a temporary folder, which works from any process of the machine.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress_bar import ProgressBar
from rich.table import Table

Tell = Callable[..., None]
"""Called as ``tell(epoch, n_epochs)``."""


class Display:
    """Shows what runs; on a terminal as bars that vanish at the end, elsewhere as one line per finished unit.

    Parameters
    ----------
    labels
        What to call each unit, by its key.
    n_done
        Units that were finished before.
    show
        False shows nothing.
    """

    def __init__(self, labels: dict[str, str], n_done: int, show: bool = True) -> None:
        self.labels, self.n_total, self.n_done, self.show = labels, len(labels), n_done, show
        # A notebook's stderr calls itself a terminal, but cannot redraw lines.
        terminal = False if "ipykernel" in sys.modules else None
        self.console = Console(stderr=True, force_jupyter=False, force_terminal=terminal)
        self.units = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
            console=self.console,
        )
        self.task = self.units.add_task("units", total=self.n_total, completed=n_done)
        self.stack = ExitStack()

    def __enter__(self) -> Self:
        self.folder = Path(self.stack.enter_context(TemporaryDirectory(prefix="qml-", ignore_cleanup_errors=True)))
        if self.show and self.console.is_terminal:
            live = Live(get_renderable=self._render, console=self.console, transient=True, refresh_per_second=5)
            self.stack.enter_context(live)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stack.close()

    def finished(self, key: str, result: str) -> None:
        """Count one unit as finished; `result` is said after its label."""
        self.n_done += 1
        self.units.update(self.task, completed=self.n_done)
        if self.show and not self.console.is_terminal:
            line = f"{self.n_done:>{len(str(self.n_total))}}/{self.n_total}  {self.labels[key]}: {result}"
            self.console.print(line, highlight=False, soft_wrap=True)

    def _render(self) -> RenderableType:
        running = Table.grid(padding=(0, 1))
        for key, epoch, total in running_units(self.folder):
            bar = ProgressBar(total=total, completed=epoch, width=20)
            running.add_row(f"  {self.labels.get(key, key)}", bar, f"epoch {epoch}/{total}" if total else "")
        if not running.rows:
            running.add_row("  starting …")
        return Group(self.units.get_renderable(), running)


def teller(folder: Path, key: str) -> Tell:
    """Return what a running unit tells its epoch with, and of how many; it does nothing where the folder is away."""

    def tell(epoch: int, total: int = 0) -> None:
        with suppress(OSError):
            (folder / key).write_text(f"{epoch}/{total}")

    return tell


def forget(folder: Path, key: str) -> None:
    """Take a unit that has ended off the list of running ones."""
    with suppress(OSError):
        (folder / key).unlink()


def running_units(folder: Path) -> list[tuple[str, int, int]]:
    """Return key, epoch and number of epochs of every running unit; zeros where the file is just being written."""
    units = []
    with suppress(OSError):
        for file in sorted(folder.iterdir()):
            epoch, _, total = file.read_text().partition("/")
            known = epoch.isdigit() and total.isdigit()
            units.append((file.name, int(epoch), int(total)) if known else (file.name, 0, 0))
    return units
