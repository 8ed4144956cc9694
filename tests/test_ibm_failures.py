"""What an error of IBM's library means; how it comes about is tested in test_ibm_service."""

import json

import pytest

pytest.importorskip("qiskit_ibm_runtime")

import requests
from qiskit.providers.exceptions import QiskitBackendNotFoundError
from qiskit_ibm_runtime.accounts import AccountNotFoundError
from qiskit_ibm_runtime.accounts.exceptions import InvalidAccountError
from qiskit_ibm_runtime.api.exceptions import RequestsApiError
from qiskit_ibm_runtime.exceptions import (
    IBMInputValueError,
    IBMNotAuthorizedError,
    IBMRuntimeError,
    RuntimeInvalidStateError,
    RuntimeJobFailureError,
    RuntimeJobMaxTimeoutError,
    RuntimeJobNotFound,
    RuntimeJobTimeoutError,
)

from backends.ibm_failures import LoginFailed, one_line, status_of, translated
from backends.jobs import Failed, Lost, Refused


def because(error, cause):
    error.__cause__ = cause
    return error


def hidden(error, context):
    """As `raise error from None` leaves it."""
    error.__context__, error.__suppress_context__ = context, True
    return error


SAID = "400 Client Error: Bad Request for url: https://quantum.cloud.ibm.com/api/v1/jobs. too many tags, code 1204."
DOWN = "503 Server Error: Service Unavailable for url: https://quantum.cloud.ibm.com/api/v1/jobs"
UNKNOWN = (
    "got an unknown job while trying, expected one of this account: log in with the account and instance that "
    "submitted it, or run it under another label to submit it anew"
)
NOBODY = (
    "got 'not authorized' (401) while trying, expected a valid login: check the API key and the instance of the account"
)
NETWORK = "check the network and try again"
BUSY = "expected an answer: it is busy, try again later"


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (
            RuntimeJobMaxTimeoutError("Error code 1305; limit"),
            Failed,
            "got no result while trying: the job ran longer than it may, Error code 1305; limit",
        ),
        (
            RuntimeJobFailureError("Unable to retrieve job result. Error code 1; x"),
            Failed,
            "got no result while trying: the job failed, Error code 1; x",
        ),
        (
            RuntimeInvalidStateError("no"),
            Refused,
            "got a job that has ended while trying, expected one that goes on: leave it",
        ),
        (
            RuntimeJobTimeoutError("late"),
            Lost,
            "got no result while trying, expected that the job has ended: wait for it",
        ),
        (RuntimeJobNotFound("Job not found: x"), Refused, UNKNOWN),
        (IBMNotAuthorizedError("401"), Refused, NOBODY),
        (
            hidden(IBMRuntimeError(f"Failed to run program: {SAID}"), RequestsApiError(SAID, 400)),
            Refused,
            "got a refusal (400) of IBM's service while trying: too many tags, code 1204.",
        ),
        (RequestsApiError("too many", 429), Lost, f"got status 429 of IBM's service while trying, {BUSY}"),
        (RequestsApiError(f"maintenance {DOWN}"), Lost, f"got status 503 of IBM's service while trying, {BUSY}"),
        (
            because(InvalidAccountError("valid API token"), requests.ConnectionError("Failed to resolve 'iam'")),
            Lost,
            f"got no answer of IBM Cloud's login while trying (unknown host): {NETWORK}",
        ),
        (
            because(RequestsApiError("x"), because(LoginFailed("no token"), ConnectionRefusedError("refused"))),
            Lost,
            f"got no answer of IBM Cloud's login while trying (connection refused): {NETWORK}",
        ),
        (
            because(RequestsApiError("x"), requests.exceptions.SSLError("certificate verify failed")),
            Lost,
            f"got no answer of IBM's service while trying (certificate not accepted): {NETWORK}",
        ),
        (
            RequestsApiError("too many 500 error responses"),
            Lost,
            f"got no answer of IBM's service while trying (service down): {NETWORK}",
        ),
        (
            requests.ReadTimeout("Read timed out."),
            Lost,
            f"got no answer of IBM's service while trying (time-out): {NETWORK}",
        ),
        (
            json.JSONDecodeError("x", "y", 0),
            Lost,
            "got an answer that is not of IBM's service while trying: look for a proxy or a login page",
        ),
        (
            requests.JSONDecodeError("x", "y", 0),
            Lost,
            "got an answer that is not of IBM's service while trying: look for a proxy or a login page",
        ),
        (
            QiskitBackendNotFoundError("No backend matches"),
            Refused,
            "got a device that this account does not have while trying: 'qml backends' lists those it has",
        ),
        (IBMInputValueError("no\nsuch gate"), Refused, "got what IBM's library refuses while trying: no such gate"),
        (ValueError("x"), Refused, "got what IBM's library refuses while trying: x"),
    ],
)
def test_meaning(error, kind, text):
    found = translated(error, "trying")
    assert type(found) is kind and str(found) == text


@pytest.mark.parametrize(
    "error", [KeyError("x"), TypeError("y"), FileNotFoundError("z"), Lost("lost"), AccountNotFoundError("none")]
)
def test_what_is_no_failure_of_the_service_stays_as_it_is(error):
    assert translated(error, "trying") is error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RequestsApiError(SAID, 400), 400),
        (RequestsApiError(f"x {DOWN}"), 503),
        (hidden(IBMRuntimeError("x"), because(RequestsApiError("x"), IBMNotAuthorizedError("x"))), 401),
        (RequestsApiError("reset"), None),
        (ValueError("404 ways"), None),
    ],
)
def test_status(error, status):
    assert status_of(error) == status


def test_long_texts_are_cut():
    found = str(translated(ValueError("long " * 1000), "trying"))
    assert found.endswith("...") and len(found) < 400


@pytest.mark.parametrize("text", ["apikey=abc", "Bearer abc", "Auth: apikey abc", "x eyJhbGc.eyJpYXQ.c2ln"])
def test_signs_of_secrets_are_struck_out(text):
    assert "***" in one_line(text) and "abc" not in one_line(text) and "eyJ" not in one_line(text)


def test_known_secrets_are_struck_out():
    assert str(translated(ValueError("key s3cret\nhere"), "trying", ["s3cret", ""])).endswith(": key *** here")
