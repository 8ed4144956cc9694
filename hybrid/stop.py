"""How a command ends that cannot go on: one line on stderr, and an exit code."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hybrid.compare import Comparison, Plan

AGAIN = "the same command goes on where it was"


class Stop(Exception):
    """The end of a command: one line to say on stderr, and the exit code."""

    def __init__(self, message: object, code: int) -> None:
        super().__init__(" ".join(str(message).split()))
        self.code = code


@contextmanager
def wrong_input() -> Iterator[None]:
    """End the command where the user's input is at fault."""
    try:
        yield
    except (ValueError, ImportError, OSError) as error:
        raise Stop(error, 2) from error


@contextmanager
def resumable(kept: Callable[[], str], *errors: type[Exception]) -> Iterator[None]:
    """Let Ctrl-C end what runs and say what is kept; errors of the types given end the command with their own line."""
    try:
        with _interrupts():
            yield
    except KeyboardInterrupt:
        raise Stop(f"Interrupted: {kept()}; {AGAIN}.", 130) from None
    except errors as error:
        raise Stop(error, 1) from error


def trained(plan: Plan, run: Callable[[Plan], Comparison], what: str) -> Comparison:
    """Run a plan of :mod:`hybrid.compare` or :mod:`hybrid.robustness`; what is kept of it is called `what`."""
    from backends.jobs import JobError
    from hybrid.checkpoints import CheckpointError
    from hybrid.records import n_finished

    def kept() -> str:
        return f"{n_finished(plan.out, plan.units)} of {len(plan.units)} {what} are kept in {plan.out}"

    with resumable(kept, FloatingPointError, JobError, CheckpointError):
        return run(plan)


@contextmanager
def kept_in(out: Path) -> Iterator[None]:
    """Say where finished results are kept when a file cannot be written or a worker is lost."""
    try:
        yield
    except OSError as error:
        raise Stop(f"{str(error).rstrip('.')}. What is finished is kept in {out}; {AGAIN}.", 1) from error


@contextmanager
def _interrupts() -> Iterator[None]:
    """Let Ctrl-C be an exception, so that what runs can be stopped and counted."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
