"""The words that the journal of jobs and its clients have in common."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np


class Lost(Exception):
    """No answer: it may or may not have arrived."""


class Refused(Exception):
    """The service answered no: nothing was submitted."""


class Failed(Exception):
    """The job ended without results; ``seconds`` says what it was billed, where known."""

    seconds: float | None = None


class Gone(Failed):
    """The job ended with the process that ran it, as those of local devices do, and cost nothing: submit it anew."""


class Result(NamedTuple):
    """Values, standard errors, and billed seconds if known."""

    values: np.ndarray
    stderr: np.ndarray | None
    seconds: float | None


class Client(Protocol):
    """One device of a service."""

    def submit(self, tag: str) -> str:
        """Submit the job under a tag and return its id."""
        ...

    def find(self, tag: str) -> list[str]:
        """Return the ids of all jobs with a tag."""
        ...

    def status(self, job_id: str) -> str:
        """Return ``queued``, ``running``, ``done``, ``failed`` or ``cancelled``."""
        ...

    def fetch(self, job_id: str) -> Result:
        """Return the result of a job that is done."""
        ...

    def cancel(self, job_id: str) -> None:
        """Cancel a job that has not ended."""
        ...
