"""What goes wrong between here and IBM's service, said in one line each: lost, refused or failed."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterable, Iterator

import requests
from qiskit.exceptions import QiskitError
from qiskit.providers.exceptions import QiskitBackendNotFoundError
from qiskit_ibm_runtime.accounts.exceptions import AccountNotFoundError, InvalidAccountError
from qiskit_ibm_runtime.api.exceptions import RequestsApiError
from qiskit_ibm_runtime.exceptions import (
    IBMNotAuthorizedError,
    RuntimeInvalidStateError,
    RuntimeJobFailureError,
    RuntimeJobMaxTimeoutError,
    RuntimeJobNotFound,
    RuntimeJobTimeoutError,
)

from backends.jobs import Failed, Lost, Refused

#: What reading somebody else's answer gives: requests takes simplejson where it is installed.
NOT_JSON = (json.JSONDecodeError, requests.JSONDecodeError)

#: Answers that say nothing about the request itself: the same request may well be answered later.
_PASSING = {408, 425, 429}
_CONNECTION = (
    RequestsApiError,
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    ConnectionError,
    TimeoutError,
    socket.gaierror,
)
_CAUSES = {
    "timed out": "time-out",
    "refused": "connection refused",
    "resolve": "unknown host",
    "certificate": "certificate not accepted",
    "error responses": "service down",
}
_LONGEST = 300  # characters of a text that is not ours
_SECRETS = re.compile(r"(?i)\b(?:apikey|bearer)[ =:]+\S+|\beyJ[\w-]+\.[\w.-]*")


class LoginFailed(requests.ConnectionError):
    """No token could be had."""


def translated(error: BaseException, doing: str, secrets: Iterable[str] = ()) -> BaseException:
    """Return what an error of IBM's library means; one that has nothing to do with the service is returned as it is.

    Parameters
    ----------
    error : BaseException
    doing : str
        What was tried, as in "while submitting the job".
    secrets : iterable of str
        What must not be in the line: API key, tokens.

    Returns
    -------
    Lost
        If there was no answer, or one that may be another one later.
    Refused
        If the answer was no.
    Failed
        If the job ended without a result.
    """
    kind, line = _meaning(error, doing)
    return error if kind is None else kind(one_line(line, secrets))


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status behind an error; None if no answer came."""
    for link in _chain(error):
        if isinstance(link, IBMNotAuthorizedError):
            return 401
        status = getattr(link, "status_code", None)
        if isinstance(status, int) and status > 0:
            return status
        if found := re.match(r".*?\b([45]\d\d) (?:Client|Server) Error", str(link), re.DOTALL):
            return int(found[1])
    return None


def one_line(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text in one line, without secrets."""
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    return _SECRETS.sub("***", " ".join(text.split()))


def _meaning(error: BaseException, doing: str) -> tuple[type[Exception] | None, str]:
    if isinstance(error, Lost | Refused | Failed | AccountNotFoundError):
        return None, ""
    if isinstance(error, RuntimeJobMaxTimeoutError):
        return Failed, f"got no result while {doing}: the job ran longer than it may, {_text(error)}"
    if isinstance(error, RuntimeJobFailureError):
        reason = _text(error).removeprefix("Unable to retrieve job result. ")
        return Failed, f"got no result while {doing}: the job failed, {reason}"
    if isinstance(error, RuntimeInvalidStateError):
        return Refused, f"got a job that has ended while {doing}, expected one that goes on: leave it"
    if isinstance(error, RuntimeJobTimeoutError):
        return Lost, f"got no result while {doing}, expected that the job has ended: wait for it"
    if isinstance(error, RuntimeJobNotFound):
        return Refused, (
            f"got an unknown job while {doing}, expected one of this account: log in with the account and instance "
            "that submitted it, or run it under another label to submit it anew"
        )
    return _answer(error, doing)


def _answer(error: BaseException, doing: str) -> tuple[type[Exception] | None, str]:
    """Return what the answer of the service, or its absence, means."""
    status, partner = status_of(error), "IBM Cloud's login" if _is_login(error) else "IBM's service"
    if status is not None:
        return _said_no(error, doing, status, partner)
    if any(isinstance(link, NOT_JSON) for link in _chain(error)):
        return Lost, f"got an answer that is not of IBM's service while {doing}: look for a proxy or a login page"
    if any(isinstance(link, _CONNECTION) for link in _chain(error)):
        return Lost, f"got no answer of {partner} while {doing} ({_cause(error)}): check the network and try again"
    if isinstance(error, QiskitBackendNotFoundError):
        return Refused, f"got a device that this account does not have while {doing}: 'qml backends' lists those it has"
    if isinstance(error, InvalidAccountError | QiskitError | ValueError):
        return Refused, f"got what IBM's library refuses while {doing}: {_text(error)}"
    return None, ""


def _said_no(error: BaseException, doing: str, status: int, partner: str) -> tuple[type[Exception], str]:
    if status in _PASSING or status >= 500:
        return Lost, f"got status {status} of {partner} while {doing}, expected an answer: it is busy, try again later"
    if status in (401, 403) or _is_login(error):
        return Refused, (
            f"got 'not authorized' ({status}) while {doing}, expected a valid login: check the API key and the "
            "instance of the account"
        )
    return Refused, f"got a refusal ({status}) of {partner} while {doing}: {_text(error)}"


def _is_login(error: BaseException) -> bool:
    return any(
        isinstance(link, LoginFailed | InvalidAccountError) or type(link).__module__.startswith("ibm_cloud_sdk_core")
        for link in _chain(error)
    )


def _cause(error: BaseException) -> str:
    texts = " ".join(str(link) for link in _chain(error)).lower()
    return next((cause for sign, cause in _CAUSES.items() if sign in texts), "connection lost")


def _text(error: BaseException) -> str:
    """Return what the service itself said, or the library."""
    text = str(getattr(error, "message", None) or error)
    said = re.sub(r"^.*? for url: \S+\s*", "", " ".join(text.split()))
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}..."


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Give an error and those it came from, also where the library hides them."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__
