"""How a command ends that cannot go on: one line on stderr, and an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


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
