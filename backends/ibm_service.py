"""IBM's service as the journal sees it: every question is answered in finite time, or by one clear line.

The library waits for ever for a service that does not answer, sends the API key itself when the login service is
down, and says the same failure in many ways; what cures that is here.
"""

from __future__ import annotations

import contextvars
import copy
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import numpy as np
from qiskit.providers.exceptions import QiskitBackendNotFoundError
from qiskit_ibm_runtime import QiskitRuntimeService
from qiskit_ibm_runtime.exceptions import RuntimeJobNotFound
from requests import ConnectionError as RequestsConnectionError
from requests import PreparedRequest, Response, Session
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.auth import AuthBase

from backends.ibm_failures import NOT_JSON, LoginFailed, one_line, status_of, translated
from backends.jobs import Failed, Gone, Lost, Refused, Result

T = TypeVar("T")

#: Seconds to connect, and between two signs of life of an answer.
TIMEOUT = (5.0, 30.0)

#: The same for the answer to a submission, which is long in coming: the service reads and checks the job first.
SUBMIT_TIMEOUT = (5.0, 120.0)

#: Seconds after which a question is given up, whatever the library does: with the time-out of a submission, less than
#: the journal gives a process without a sign of life.
DEADLINE = 400.0

_STATUS = {
    "INITIALIZING": "queued",
    "QUEUED": "queued",
    "VALIDATING": "queued",
    "RUNNING": "running",
    "DONE": "done",
    "ERROR": "failed",
    "CANCELLED": "cancelled",
}
_THREAD = "ibm-service"
_GIVEN_UP: contextvars.ContextVar[threading.Event | None] = contextvars.ContextVar("given_up", default=None)


class ServiceClient:
    """Client of the journal for jobs on a device of IBM's service, or on one of the library's fake devices.

    Parameters
    ----------
    service : QiskitRuntimeService or None
        None for a fake device: its jobs live and end with this process.
    submit : callable, optional
        Takes a list of tags, submits the job and returns it as IBM's library knows it. Without it nothing can be
        submitted.
    instance : str, optional
        The instance (CRN) of the device, where its jobs are looked up; the one that the service used last if not
        given.
    deadline : float
        Seconds after which a question counts as lost.
    """

    def __init__(
        self,
        service: QiskitRuntimeService | None,
        submit: Callable[[list[str]], Any] | None = None,
        instance: str | None = None,
        deadline: float = DEADLINE,
    ) -> None:
        self.service, self.instance, self.deadline = service, instance, deadline
        self._submit = submit
        self._jobs: dict[str, Any] = {}
        self._tags: dict[str, list[str]] = {}

    def submit(self, tag: str) -> str:
        """Submit the job under a tag and return its id."""
        submit = self._submit
        if submit is None:
            raise Refused("got a job to submit, expected none: this client only looks after jobs that were submitted")
        job_id = self._keep(self._ask(lambda: submit([tag]), "submitting the job"))
        self._tags.setdefault(tag, []).append(job_id)
        return job_id

    def find(self, tag: str) -> list[str]:
        """Return the ids of all jobs with a tag, newest first."""
        service = self.service
        if service is None:
            return self._tags.get(tag, [])[::-1]
        search = {"job_tags": [tag], "instance": self.instance}
        jobs = self._ask(lambda: service.jobs(**search), "looking up the job by its tag")
        return [self._keep(job) for job in jobs]

    def status(self, job_id: str) -> str:
        """Return ``queued``, ``running``, ``done``, ``failed`` or ``cancelled``."""
        job = self._job(job_id)
        found = self._ask(job.status, f"asking for the status of job {job_id}")
        return _STATUS.get(str(getattr(found, "name", found)).upper(), "running")

    def fetch(self, job_id: str) -> Result:
        """Return the result of a job that is done.

        Raises
        ------
        Failed
            If it failed or was cancelled; with the seconds that it was billed, where known.
        """
        try:
            return self._result(job_id)
        except Failed as failed:
            failed.seconds = self._seconds(job_id)
            raise

    def cancel(self, job_id: str) -> None:
        """Cancel a job that has not ended."""
        self._ask(self._job(job_id).cancel, f"cancelling job {job_id}")

    def _result(self, job_id: str) -> Result:
        state = self.status(job_id)
        if state == "cancelled":
            raise Failed(f"job {job_id} was cancelled")
        read = _read_local if self.service is None else _read
        job = self._job(job_id)
        values, stderr = self._ask(lambda: read(job, job_id), f"fetching the result of job {job_id}")
        return Result(values, stderr, self._seconds(job_id))

    def _seconds(self, job_id: str) -> float | None:
        """Return the seconds that a job was billed; None as long as that is open."""
        if self.service is None or job_id not in self._jobs:
            return None
        with suppress(Lost, Refused):
            usage = self._ask(self._jobs[job_id].metrics, f"asking for the costs of job {job_id}").get("usage") or {}
            seconds = usage.get("qpu_charge_time_seconds")
            if usage.get("status", "pending") != "pending" and seconds is not None:
                return float(seconds)
        return None

    def _job(self, job_id: str) -> Any:
        service = self.service
        if job_id not in self._jobs:
            if service is None:
                raise Gone(f"job {job_id} ran on this machine and ended with the process that ran it")
            self._keep(self._ask(lambda: self._looked_up(service, job_id), f"looking up job {job_id}"))
        return self._jobs[job_id]

    def _looked_up(self, service: QiskitRuntimeService, job_id: str) -> Any:
        """Return a job; it is unknown only where the instance of the device answers and does not know it."""
        try:
            return service.job(job_id)
        except RuntimeJobNotFound:
            service.jobs(limit=1, instance=self.instance)
            return service.job(job_id)

    def _keep(self, job: Any) -> str:
        job_id = str(job.job_id())
        self._jobs.setdefault(job_id, job)
        return job_id

    def _ask(self, question: Callable[[], T], doing: str) -> T:
        return ask(question, doing, self.service, self.deadline)


def connect(**account: Any) -> QiskitRuntimeService:
    """Return IBM's service, logged in with a saved account; nothing is saved.

    Parameters
    ----------
    **account
        As QiskitRuntimeService takes it, for example ``name="mine"``; the default account if not given.

    Raises
    ------
    Lost
        If the login or the service cannot be reached.
    Refused
        If the login is not accepted.
    """
    secrets = [str(account.get("token") or ""), os.environ.get("QISKIT_IBM_TOKEN", "")]
    service = _watched(lambda: QiskitRuntimeService(**account), "logging in", DEADLINE / 3, secrets)
    protect(service)
    return service


def ask(
    question: Callable[[], T], doing: str, service: QiskitRuntimeService | None = None, deadline: float = DEADLINE
) -> T:
    """Return the answer to a question to IBM's library, which may be long in coming but comes, or Lost.

    Parameters
    ----------
    question : callable
    doing : str
        What is tried, as in "while submitting the job".
    service : QiskitRuntimeService, optional
        The service that is asked.
    deadline : float
        Seconds after which the question counts as lost.

    Raises
    ------
    Lost
        If there is no answer.
    Refused
        If the answer is no, also after a second login.
    Failed
        If a job ended without a result.
    """
    if service is None:
        return _watched(question, doing, deadline, [])

    def again() -> T:
        protect(service)
        try:
            return question()
        except Exception as error:
            if not _second_chance(service, error):
                raise
            return question()

    return _watched(again, doing, deadline, list(_secrets(service)))


def protect(service: QiskitRuntimeService) -> None:
    """Set time-outs on all connections of a service, and let none send the API key in place of a token.

    The library has no setting for either. Where its inside is not as it was in version 0.51, nothing is done and the
    deadline of :func:`ask` alone keeps a question from lasting for ever.
    """
    for session in _sessions(service):
        session.adapters = OrderedDict((prefix, _patient(adapter)) for prefix, adapter in session.adapters.items())
        if hasattr(session.auth, "tm") and hasattr(session.auth, "crn"):
            session.auth = _Login(session.auth)


class _Patient(HTTPAdapter):
    """Transport that waits so long and no longer, and sends nothing more for a question that was given up."""

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        given_up = _GIVEN_UP.get()
        if given_up is not None and given_up.is_set():
            raise RequestsConnectionError("given up")
        timeout = SUBMIT_TIMEOUT if request.method == "POST" else TIMEOUT
        return super().send(request, *args, **{**options, "timeout": timeout})


def _patient(adapter: BaseAdapter) -> BaseAdapter:
    if isinstance(adapter, HTTPAdapter) and not isinstance(adapter, _Patient):
        return _Patient(max_retries=adapter.max_retries)
    return adapter


class _Login(AuthBase):
    """Login by token alone: without one the request fails instead of carrying the API key."""

    def __init__(self, login: Any) -> None:
        self.login = login
        with suppress(AttributeError):
            login.tm.http_config = {**login.tm.http_config, "timeout": TIMEOUT}

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        try:
            token = self.login.tm.get_token()
        except Exception as error:
            self.login.tm.request_time = 0  # or the next question waits a minute for an answer to this one
            raise LoginFailed("no token") from error
        request.headers.update({"Service-CRN": self.login.crn, "Authorization": f"Bearer {token}"})
        return request

    def __deepcopy__(self, memo: dict[int, Any]) -> _Login:
        return _Login(copy.deepcopy(self.login, memo))

    def log_out(self) -> None:
        """Ask for a new token next time."""
        self.login.tm.expire_time = self.login.tm.refresh_time = self.login.tm.request_time = 0


def _second_chance(service: QiskitRuntimeService, error: Exception) -> bool:
    """Whether the question may have another answer: after a new login, or where the library hides a lost answer."""
    if isinstance(error, QiskitBackendNotFoundError):
        service.usage()  # raises if the service is not there at all
        return True
    return status_of(error) == 401 and _log_out(service)


def _log_out(service: QiskitRuntimeService) -> bool:
    """Forget the tokens of a service; False if that cannot be done."""
    logins = [session.auth for session in _sessions(service) if isinstance(session.auth, _Login)]
    for login in logins:
        login.log_out()
    return bool(logins)


def _sessions(service: QiskitRuntimeService) -> Iterator[Session]:
    """Give the connections inside of a service."""
    clients = [getattr(service, "_active_api_client", None), *getattr(service, "_api_clients", {}).values()]
    found = {id(session): session for client in clients if (session := getattr(client, "_session", None)) is not None}
    yield from (session for session in found.values() if isinstance(session, Session))


def _secrets(service: QiskitRuntimeService) -> Iterator[str]:
    with suppress(Exception):
        yield str((service.active_account() or {}).get("token") or "")
    for session in _sessions(service):
        if isinstance(session.auth, _Login):
            yield str(session.auth.login.tm.access_token or "")


def _watched(question: Callable[[], T], doing: str, deadline: float, secrets: list[str]) -> T:
    """Return an answer, or raise what its failure means; a question that takes too long is left behind."""
    answers: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
    given_up = threading.Event()

    def run() -> None:
        _GIVEN_UP.set(given_up)
        try:
            answers.put((question(), None))
        except BaseException as error:
            answers.put((None, error))

    threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True, name=_THREAD).start()
    try:
        answer, error = answers.get(timeout=deadline)
    except Empty:
        given_up.set()
        raise Lost(f"got no answer of IBM's service within {deadline:g} s while {doing}: try again") from None
    if error is None:
        return answer
    meaning = translated(error, doing, secrets)
    if meaning is error:
        raise error
    raise meaning from None


def _read(job: Any, job_id: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Download a result; a job that has not ended is not waited for."""
    try:
        return read_result(job.result(timeout=0))
    except NOT_JSON:
        raise
    except (TypeError, AttributeError):  # no result, or not even JSON
        raise Lost(
            f"got a page that is not the result of job {job_id}: look for a proxy or a login page, and try again"
        ) from None
    except ValueError as error:
        raise Refused(
            f"got a result of job {job_id} that qiskit-ibm-runtime cannot read ({one_line(str(error))}): update it and "
            "ask again"
        ) from None


def _read_local(job: Any, job_id: str) -> tuple[np.ndarray, np.ndarray | None]:
    try:
        return read_result(job.result())
    except Exception as error:
        raise Failed(f"job {job_id} failed: {one_line(str(error))}") from None


def read_result(result: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Return expectation values and standard errors of a job, (PUBs * n_observables, rows)."""
    found = [pub.data for pub in result]
    known = all(getattr(data, "stds", None) is not None for data in found)
    stderr = np.concatenate([np.asarray(data.stds, float) for data in found]) if known else None
    return np.concatenate([np.asarray(data.evs, float) for data in found]), stderr


class _Quiet(logging.Filter):
    """Drops the warning of each try: in the end there is an answer, or one line of ours."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.threadName != _THREAD or record.levelno != logging.WARNING


def _hush() -> None:
    if "QISKIT_IBM_RUNTIME_LOG_LEVEL" not in os.environ:
        logging.getLogger("qiskit_ibm_runtime").setLevel(logging.CRITICAL)
    logging.getLogger("urllib3.connectionpool").addFilter(_Quiet())


_hush()
