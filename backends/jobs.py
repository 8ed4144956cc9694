"""Jobs of a service that are never lost and never paid for twice.

Everything that happens to a job is written to a journal before the next thing is done: that it is about to be
submitted (so that a process that died can be known to have tried), its id before waiting, its result before returning.
A job carries the key of its request as a tag; whose answer was lost is looked up by it before anything is submitted
anew. So a process that was killed anywhere goes on with the same jobs when it is run again, and processes and threads
that share a journal share its jobs.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Protocol, TypeVar

from backends.jobs_store import ENDED, Entry, JobError, JournalError, Request, Result, Store, where
from backends.owners import Owner

__all__ = [
    "Client",
    "Entry",
    "Event",
    "Failed",
    "Gone",
    "JobError",
    "Journal",
    "JournalError",
    "Lost",
    "Refused",
    "Request",
    "Result",
    "Unfinished",
    "client_for",
    "default_path",
    "where",
]

T = TypeVar("T")

#: Seconds after which a service that took a job shows it under its tag.
SETTLE = 5.0


class Lost(JobError):
    """No answer: the question may or may not have arrived; ask again later."""


class Refused(JobError):
    """The service answered no: nothing was submitted."""


class Failed(JobError):
    """The job ended without results; ``seconds`` says what it was billed, where known."""

    seconds: float | None = None


class Gone(Failed):
    """The job ended with the process that ran it, as those of local devices do, and cost nothing: submit it anew."""


class Unfinished(JobError, TimeoutError):
    """The time is up; the job goes on, and so does whoever asks again."""


class Client(Protocol):
    """One device of a service; every method may raise :class:`Lost` or :class:`Refused`."""

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
        """Return the result of a job that is done; of one that failed or was cancelled raise :class:`Failed`."""
        ...

    def cancel(self, job_id: str) -> None:
        """Cancel a job that has not ended."""
        ...


class Event(NamedTuple):
    """What happened to a job.

    ``kind`` is ``submitted``, ``adopted``, ``waiting`` (for another process that submits it), ``lost``, ``done``, or a
    state of the service.
    """

    kind: str
    request: Request
    job_id: str | None
    text: str = ""


class Journal:
    """The journal of all jobs.

    Parameters
    ----------
    path : Path or str, optional
        An SQLite file, made when it is first written; ``jobs.sqlite`` in the user's data folder if not given.
    clock : module or object
        With the functions ``time``, ``monotonic`` and ``sleep`` of the module :mod:`time`.

    Raises
    ------
    JournalError
        From every method, if the file cannot be used; it is left as it is.
    """

    def __init__(self, path: Path | str | None = None, clock: ModuleType | Any = time) -> None:
        self.path = Path(path).absolute() if path is not None else default_path()
        self.store = Store(self.path)
        self.clock = clock

    def run(
        self,
        request: Request,
        make_client: Callable[[], Client],
        *,
        poll: tuple[float, float] = (2.0, 30.0),
        timeout: float = 86_400.0,
        on_event: Callable[[Event], None] = lambda event: None,
    ) -> Result:
        """Return the result of a request, submitting it if nobody has yet.

        Parameters
        ----------
        request : Request
        make_client : callable
            Connects to the service; not called for what is finished.
        poll : tuple of float
            Seconds between two questions: at first, and at most.
        timeout : float
            Seconds after which to give up waiting; the job itself goes on.
        on_event : callable
            Told what happens.

        Returns
        -------
        Result
            The very same arrays whenever it is asked for again.

        Raises
        ------
        Refused
            If the service does not take the job; nothing was submitted.
        Failed
            If the job ended without results; the next run submits it anew.
        Unfinished
            If the time is up.
        JournalError
            If the journal cannot be used; nothing was submitted. Where it fails later, the result is returned all
            the same, with a warning.
        """
        return _Run(self, request, make_client, poll, timeout, on_event).result()

    def entries(self, label: str | None = None) -> list[Entry]:
        """Return the entries of a run, or all, in the order in which they were made."""
        return self.store.entries(label)

    def entry(self, key: str) -> Entry:
        """Return the entry whose key is, or alone begins with, the given one.

        Raises
        ------
        JobError
            If there is none or more than one.
        """
        found = self.store.entries(start=key) if key else []
        if len(found) != 1:
            known = ", ".join(entry.key for entry in found[:3]) or f"none in {self.path}"
            raise JobError(f"got {key!r}, expected the key of one job or its beginning, found {known}: see 'qml jobs'")
        return found[0]

    def result(self, key: str) -> Result | None:
        """Return the result of an entry, if it has one."""
        return self.store.result(key)

    def spent(self, label: str | None = None) -> float:
        """Return the seconds billed to a run, or to all, with the estimates of what is not billed yet."""
        return self.store.spent(label)

    def collect(self, entry: Entry, client: Client) -> Entry:
        """Look once after a job that was left, and keep its id and its result, if they are there; submit nothing."""
        job_id = entry.job_id or self._adopt(entry, client)
        if job_id is not None:
            self._look(entry, job_id, client)
        return self.entry(entry.key)

    def cancel(self, entry: Entry, client: Client) -> Entry:
        """Cancel a job that has not ended.

        Raises
        ------
        JobError
            If it has.
        """
        if not entry.is_pending:
            raise JobError(f"got job {entry.key}, which is {entry.state}, expected one that has not ended: leave it")
        job_id = entry.job_id or self._adopt(entry, client)
        if job_id is not None:
            client.cancel(job_id)
        self.store.fail(entry.key, job_id, "cancelled", "cancelled by you", None, self.clock.time())
        return self.entry(entry.key)

    def _adopt(self, entry: Entry, client: Client) -> str | None:
        found = [job_id for job_id in client.find(entry.key) if job_id not in entry.dead]
        if found:
            self.store.submitted(entry.key, found[0], self.clock.time())
        return found[0] if found else None

    def _look(self, entry: Entry, job_id: str, client: Client) -> None:
        state = "failed"
        try:
            state = client.status(job_id)
            if state in ("queued", "running"):
                self.store.seen(entry.key, job_id, state, self.clock.time())
            else:
                self.store.finish(entry, job_id, client.fetch(job_id), self.clock.time())
        except Failed as failed:
            ended = state if state in ENDED else "failed"
            self.store.fail(entry.key, job_id, ended, str(failed), failed.seconds, self.clock.time())


@dataclass
class _Run:
    """One call of :meth:`Journal.run`."""

    journal: Journal
    request: Request
    make_client: Callable[[], Client]
    poll: tuple[float, float]
    timeout: float
    on_event: Callable[[Event], None]

    def __post_init__(self) -> None:
        self.store, self.clock, self.key = self.journal.store, self.journal.clock, self.request.key
        self.owner = Owner.here()
        self.deadline = self.clock.monotonic() + self.timeout
        self.pause = self.poll[0]
        self.job_id: str | None = None
        self.state = "queued"

    def result(self) -> Result:
        found = self.store.result(self.key)
        if found is None:
            found = self.submitted_and_fetched()
        self.tell("done")
        return found

    def submitted_and_fetched(self) -> Result:
        try:
            return self.fetched(self.submitted())
        except Gone:
            return self.fetched(self.submitted())
        finally:
            self.owner.end()

    @cached_property
    def client(self) -> Client:
        return self.answer(self.make_client)

    def submitted(self) -> str:
        """Return the id of the job, which one process alone submits."""
        self.client  # noqa: B018 (who cannot connect claims nothing)
        while True:
            entry, tried = self.store.claim(self.request, self.owner, self.clock.time())
            self.job_id = self.claimed(entry, tried) if entry.owner == self.owner else entry.job_id
            if self.job_id is not None:
                return self.job_id
            self.wait("waiting", f"{entry.owner} is about to submit it")

    def claimed(self, entry: Entry, tried: bool) -> str | None:
        try:
            return self.submit(entry.dead, tried)
        except Refused as refused:
            self.keep("that it was refused", self.store.fail, self.key, None, "refused", str(refused), 0.0)
            raise
        except BaseException:
            with suppress(JournalError):
                self.store.release(self.key, self.owner)
            raise

    def submit(self, dead: tuple[str, ...], tried: bool) -> str | None:
        """Return the id of the new job, or of the old one if there is one; None if another process has taken over."""
        while True:
            if tried:
                if (found := self.found(dead)) is not None:
                    return self.known(found, "adopted")
                if not self.store.beat(self.key, self.owner, self.clock.time()):
                    return None
            try:
                job_id = self.client.submit(self.key)
            except Lost as lost:
                tried = True
                self.wait("lost", str(lost))
            else:
                return self.known(job_id, "submitted")

    def found(self, dead: tuple[str, ...]) -> str | None:
        """Look the job up by its tag, twice: a service may take some time to show a new one."""
        for pause in (SETTLE, 0.0):
            ids = [job_id for job_id in self.answer(lambda: self.client.find(self.key)) if job_id not in dead]
            if ids:
                return ids[0]
            self.clock.sleep(pause)
        return None

    def known(self, job_id: str, kind: str) -> str:
        self.job_id = job_id
        self.keep(f"the id of job {job_id}", self.store.submitted, self.key, job_id)
        self.tell(kind)
        return job_id

    def fetched(self, job_id: str) -> Result:
        try:
            result = self.awaited(job_id)
        except Failed as failed:
            ended = self.state if self.state in ENDED else "failed"
            self.keep("that it failed", self.store.fail, self.key, job_id, ended, str(failed), failed.seconds)
            raise
        self.keep("its result", self.store.finish, self.request, job_id, result)
        return result

    def awaited(self, job_id: str) -> Result:
        while (state := self.answer(lambda: self.client.status(job_id))) in ("queued", "running"):
            if state != self.state:
                with suppress(JournalError):
                    self.store.seen(self.key, job_id, state, self.clock.time())
            self.state = state
            self.wait(state, state)
        self.state = state
        return self.answer(lambda: self.client.fetch(job_id))

    def answer(self, question: Callable[[], T]) -> T:
        while True:
            try:
                return question()
            except Lost as lost:
                self.wait("lost", str(lost))

    def wait(self, kind: str, text: str) -> None:
        self.tell(kind, text)
        left = self.deadline - self.clock.monotonic()
        if left <= 0:
            raise Unfinished(
                f"got no result of {where(self.request)} within {self.timeout:g} s (last: {text}), expected one: "
                f"{f'job {self.job_id}' if self.job_id else 'its tag'} is kept in {self.journal.path}; run the same "
                f"command again, or 'qml jobs resume {self.key}', to go on"
            )
        self.clock.sleep(min(self.pause, left))
        self.pause = min(1.5 * self.pause, self.poll[1])

    def keep(self, what: str, write: Callable[..., None], *values: Any) -> None:
        """Write something down after the job was submitted, from when on a journal that fails must lose nothing."""
        try:
            write(*values, self.clock.time())
        except JournalError as error:
            warnings.warn(f"{where(self.request)}: could not keep {what}: {error}", stacklevel=2)

    def tell(self, kind: str, text: str = "") -> None:
        self.on_event(Event(kind, self.request, self.job_id, text))


def default_path() -> Path:
    """Return where the journal lies if nothing else is said.

    Raises
    ------
    JobError
        If platformdirs is not installed.
    """
    try:
        from platformdirs import user_data_path
    except ModuleNotFoundError as error:
        raise JobError(
            "the usual place of the journal is found with platformdirs, which is not installed: "
            "pip install 'hybridqml[ibm]', or give a path"
        ) from error
    return user_data_path("hybridqml", appauthor=False) / "jobs.sqlite"


def client_for(entry: Entry) -> Client:
    """Return a client of the device that an entry names, which finds, fetches and cancels but submits nothing.

    Raises
    ------
    JobError
        If the adapter is not installed.
    """
    try:
        adapter = import_module("backends.ibm")
    except ModuleNotFoundError as error:
        raise JobError(f"jobs on {entry.device} need {error.name}: pip install 'hybridqml[ibm]'") from error
    return adapter.client_for(entry)
