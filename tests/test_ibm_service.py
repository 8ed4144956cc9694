"""What a user meets when IBM's service, or the way there, fails: one clear line, in finite time, without the key."""

import copy
import logging
import threading
import time
import traceback
from typing import ClassVar

import numpy as np
import pytest

pytest.importorskip("qiskit_ibm_runtime")

import urllib3
from qiskit_ibm_runtime import EstimatorV2, QiskitRuntimeService
from qiskit_ibm_runtime.accounts import AccountNotFoundError
from qiskit_ibm_runtime.executor_estimator import Estimator
from qiskit_ibm_runtime.fake_provider import FakeManilaV2
from service_jobs import ROWS, example, expected, submit

from backends import ibm_service
from backends.ibm_service import ServiceClient, ask, connect, protect
from backends.jobs import Failed, Gone, Lost, Refused

KINDS = {"legacy": EstimatorV2, "client": Estimator}


@pytest.fixture(autouse=True)
def quiet(service, capfd, caplog, monkeypatch):
    """The key is in no output and no log; the library says nothing; its pauses between tries take no time."""
    monkeypatch.setattr(urllib3.util.retry.Retry, "get_backoff_time", lambda self: 0.0)
    yield
    out, err = capfd.readouterr()
    assert out == err == ""
    assert not caplog.get_records("call")


@pytest.fixture
def device(service):
    return connect().backend("ibm_manila")


@pytest.fixture
def client(device):
    return client_of(device)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(ibm_service, "TIMEOUT", (0.2, 0.2))
    monkeypatch.setattr(ibm_service, "SUBMIT_TIMEOUT", (0.2, 0.2))


def client_of(device, kind="legacy", **options):
    return ServiceClient(device.service, lambda tags: submit(device, KINDS[kind], tags=tags), **options)


def ended(client, job_id):
    """Wait for the end of a job and return its status."""
    end = time.monotonic() + 60
    while (status := client.status(job_id)) in ("queued", "running"):
        assert time.monotonic() < end
    return status


def raised(kind, question, *words):
    """The one line that a question ends with."""
    with pytest.raises(kind) as caught:
        question()
    assert type(caught.value) is kind
    line, trace = str(caught.value), "".join(traceback.format_exception(caught.value))
    assert "\n" not in line and len(line) < 500
    assert "stand-in-api-key" not in trace and "eyJ" not in trace
    assert trace.count("Traceback") == 1
    for word in words:
        assert word in line
    return line


class TestResults:
    @pytest.mark.parametrize("kind", KINDS)
    def test_both_generations(self, service, device, kind):
        client = client_of(device, kind)
        job_id = client.submit("q1")
        assert ended(client, job_id) == "done"
        found = client.fetch(job_id)
        np.testing.assert_allclose(found.values, expected(), atol=8 / 2048)
        assert found.stderr.shape == found.values.shape and found.seconds == 2.0
        assert found.values.dtype == found.stderr.dtype == np.float64

    @pytest.mark.parametrize("kind", KINDS)
    def test_another_process_finds_and_fetches(self, service, device, kind):
        client = client_of(device, kind)
        job_id = client.submit("q1")
        ended(client, job_id)
        other = ServiceClient(connect())
        assert other.find("q1") == [job_id] and other.find("q2") == []
        assert other.status(job_id) == "done"
        assert np.array_equal(other.fetch(job_id).values, client.fetch(job_id).values)

    def test_costs_that_are_open(self, service, client):
        service.settings(billing="pending")
        job_id = client.submit("q1")
        ended(client, job_id)
        assert client.fetch(job_id).seconds is None

    def test_a_result_is_not_lost_with_its_costs(self, service, client):
        job_id = client.submit("q1")
        ended(client, job_id)
        service.fault("/metrics", "drop", n=None)
        assert client.fetch(job_id).seconds is None

    def test_status_of_every_state(self, service, client):
        service.hold("Queued")
        job_id = client.submit("q1")
        assert client.status(job_id) == "queued"
        service.hold("Running")
        service.until(lambda: client.status(job_id) == "running")
        client.cancel(job_id)
        assert client.status(job_id) == "cancelled"

    def test_a_client_that_only_looks_after_jobs(self, service):
        raised(Refused, lambda: ServiceClient(connect()).submit("q1"), "expected none: this client only looks after")

    @pytest.mark.parametrize("kind", KINDS)
    def test_fake_devices(self, kind):
        local = ServiceClient(None, lambda tags: submit(FakeManilaV2(), KINDS[kind], shots=10_000, level=None))
        job_id = local.submit("q1")
        assert local.find("q1") == [job_id] and local.find("q2") == []
        assert ended(local, job_id) == "done"
        found = local.fetch(job_id)
        np.testing.assert_allclose(found.values, expected(), atol=0.3)
        assert found.stderr.shape == (3, 3) and found.seconds is None
        raised(Gone, lambda: ServiceClient(None).status(job_id), "ended with the process that ran it")

    def test_fake_device_that_fails(self):
        class Job:
            def job_id(self):
                return "j1"

            def status(self):
                return "ERROR"

            def result(self):
                raise MemoryError("not\nenough")

        local = ServiceClient(None, lambda tags: Job())
        assert local.status(local.submit("q1")) == "failed"
        raised(Failed, lambda: local.fetch("j1"), "job j1 failed: not enough")


class TestLostSubmissions:
    @pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 521, 522, 524])
    def test_server_errors(self, service, client, status):
        service.fault("/jobs$", "status", n=6, status=status, method="POST")
        raised(Lost, lambda: client.submit("q1"), "submitting the job", "IBM's service", "try again")
        assert client.find("q1") == [] and client.submit("q1") == service.tagged("q1")[0]["id"]

    @pytest.mark.parametrize(("kind", "taken"), [("drop", 0), ("drop_after", 1), ("cut", 1)])
    def test_reset_before_and_after_the_service_took_it(self, service, client, kind, taken):
        service.fault("/jobs$", kind, method="POST")
        raised(Lost, lambda: client.submit("q1"), "submitting the job", "connection lost", "check the network")
        assert client.find("q1") == [job["id"] for job in service.tagged("q1")]
        assert len(service.jobs) == taken

    @pytest.mark.parametrize("more", [{}, {"retry_after": 60}])
    def test_too_many_requests(self, service, client, more):
        service.fault("/jobs$", "status", status=429, method="POST", **more)
        raised(Lost, lambda: client.submit("q1"), "429", "submitting the job", "try again later")
        assert not service.jobs

    @pytest.mark.parametrize(("kind", "taken"), [("hang", 0), ("hang_after", 1)])
    def test_silence(self, service, client, impatient, kind, taken):
        service.fault("/jobs$", kind, method="POST")
        raised(Lost, lambda: client.submit("q1"), "submitting the job", "time-out")
        assert len(client.find("q1")) == taken

    def test_what_is_given_up_is_not_submitted_later(self, service, device, monkeypatch):
        monkeypatch.setattr(ibm_service, "TIMEOUT", (0.5, 0.5))
        before = set(threading.enumerate())
        service.fault("/instances/usage", "hang")  # the library asks for it before it submits
        raised(Lost, lambda: client_of(device, deadline=0.1).submit("q1"), "within 0.1 s while submitting the job")
        for thread in set(threading.enumerate()) - before:
            thread.join(30)
        assert service.requests("/instances/usage") and not service.jobs

    def test_a_page_of_somebody_else(self, service, client):
        service.fault("/jobs$", "text", method="POST")
        raised(Lost, lambda: client.submit("q1"), "not of IBM's service", "look for a proxy or a login page")


class TestLostAnswers:
    QUESTIONS = ("find", "status", "fetch", "cancel")
    FAULTS: ClassVar = {
        "connection lost": {"kind": "drop"},
        "service down": {"kind": "status", "status": 500},
        "got status 429 of IBM's service": {"kind": "status", "status": 429},
    }

    @pytest.fixture
    def job_id(self, service, client):
        found = client.submit("q1")
        ended(client, found)
        return found

    @staticmethod
    def question(client, name, job_id):
        return lambda: getattr(client, name)("q1" if name == "find" else job_id)

    @pytest.mark.parametrize("name", ["find", "status", "fetch"])
    def test_three_resets_go_unnoticed(self, service, job_id, name):
        service.fault("/jobs", "drop", n=3, method="GET")
        fresh = ServiceClient(connect())
        assert self.question(fresh, name, job_id)()

    @pytest.mark.parametrize("name", QUESTIONS)
    @pytest.mark.parametrize("fault", FAULTS)
    def test_failures_that_pass(self, service, job_id, name, fault):
        fresh = ServiceClient(connect())
        fresh.status(job_id)
        match = {"find": "/jobs$", "status": "/jobs/\\w+$", "fetch": "/results", "cancel": "/cancel"}[name]
        fresh._jobs.clear()
        service.fault(match, n=None, **self.FAULTS[fault])
        raised(Lost, self.question(fresh, name, job_id), fault)
        service.heal()
        if name == "cancel":
            raised(Refused, self.question(fresh, name, job_id), "has ended")
        else:
            assert self.question(fresh, name, job_id)()

    def test_the_same_job_answers_again(self, service, client):
        service.hold("Queued")
        job_id = client.submit("q1")
        service.fault("/jobs", "drop", n=50)
        for _ in range(8):
            raised(Lost, lambda: client.status(job_id), f"asking for the status of job {job_id}")
        service.release()
        assert ended(client, job_id) == "done" and client.fetch(job_id).seconds == 2.0

    @pytest.mark.parametrize("kind", KINDS)
    def test_pages_of_somebody_else(self, service, device, kind):
        client = client_of(device, kind)
        job_id = client.submit("q1")
        ended(client, job_id)
        for text in ("<html>Please log in</html>", ""):
            service.fault("/results", "text", text=text)
            raised(Lost, lambda: client.fetch(job_id), "not the result of job", "look for a proxy")
        service.fault("/jobs$", "text")
        raised(Lost, lambda: client.find("q1"), "not of IBM's service", "look for a proxy")
        service.fault("/jobs/", "text")
        raised(Lost, lambda: ServiceClient(client.service).status(job_id), "not of IBM's service")

    def test_too_many_requests_with_a_time_to_wait(self, service, job_id):
        fresh = ServiceClient(connect())
        service.fault("/jobs/\\w+$", "status", status=429, retry_after=1)
        assert fresh.status(job_id) == "done"

    @pytest.mark.parametrize("name", QUESTIONS)
    def test_silence(self, service, job_id, impatient, name):
        fresh = ServiceClient(connect())
        service.fault("/jobs", "hang", n=None)
        raised(Lost, self.question(fresh, name, job_id), "time-out")

    def test_silence_where_the_library_is_not_as_it_was(self, service, job_id, monkeypatch):
        monkeypatch.setattr(ibm_service, "_sessions", lambda service: iter(()))
        fresh = ServiceClient(connect(), deadline=0.3)
        service.fault("/jobs", "hang", n=None)
        raised(Lost, lambda: fresh.status(job_id), "no answer of IBM's service within 0.3 s while looking up job")

    def test_a_service_that_is_down(self, service, job_id):
        fresh = ServiceClient(connect())
        service.kill()
        raised(Lost, lambda: fresh.find("q1"), "connection refused")
        service.start()
        assert fresh.find("q1") == [job_id]

    def test_a_result_that_is_cut(self, service, job_id):
        fresh = ServiceClient(connect())
        service.fault("/results", "cut", n=None)
        raised(Lost, lambda: fresh.fetch(job_id), "fetching the result of job", "connection lost")


class TestLogin:
    def test_unreachable_at_the_start(self, service):
        service.fault("/identity/token", "drop", n=None)
        raised(Lost, connect, "no answer of IBM Cloud's login while logging in", "check the network")

    def test_silent_at_the_start(self, service, monkeypatch):
        monkeypatch.setattr(ibm_service, "DEADLINE", 0.9)
        service.fault("/identity/token", "hang", n=None)
        raised(Lost, connect, "within 0.3 s while logging in")

    def test_wrong_key(self, service):
        raised(Refused, lambda: connect(token="wrong"), "400", "check the API key")

    def test_no_account(self, service, monkeypatch, tmp_path):
        monkeypatch.delenv("QISKIT_IBM_TOKEN")
        with pytest.raises(AccountNotFoundError):
            connect(filename=str(tmp_path / "none.json"))

    def test_an_instance_of_somebody_else(self, service):
        crn = service.crn.replace("stand-in", "other")
        raised(Refused, lambda: connect(instance=crn), "does not have access to the instance")

    def test_unreachable_when_a_token_runs_out(self, service):
        service.settings(token_life=-10)  # every request needs a new one
        client = client_of(connect().backend("ibm_manila"))
        service.fault("/identity/token", "drop", n=None)
        raised(Lost, lambda: client.find("q1"), "no answer of IBM Cloud's login while looking up the job by its tag")
        raised(Lost, lambda: client.submit("q1"), "no answer of IBM Cloud's login while submitting the job")
        assert not service.requests("API key sent")
        service.heal()
        assert client.submit("q1") and not service.requests("API key sent")

    def test_login_that_is_busy(self, service):
        service.settings(token_life=-10)
        client = client_of(connect().backend("ibm_manila"))
        service.fault("/identity/token", "status", status=503, n=None)
        raised(Lost, lambda: client.find("q1"), "got status 503 of IBM Cloud's login", "try again later")

    def test_expired_token(self, service):
        service.settings(token_life=-10)
        client = client_of(connect().backend("ibm_manila"))
        assert client.find("q1") == []

    def test_refused_token_means_one_new_login(self, service, client):
        service.log_out()
        before = len(service.requests("/identity/token"))
        job_id = client.submit("q1")
        assert [job["id"] for job in service.jobs] == [job_id]
        assert len(service.requests("/identity/token")) == before + 1

    @pytest.mark.parametrize("status", [401, 403])
    def test_refused_for_good(self, service, client, status):
        service.fault("/jobs", "status", status=status, n=None)
        raised(Refused, lambda: client.find("q1"), f"'not authorized' ({status})", "check the API key")
        assert len(service.requests("GET /experimental/api/v1/jobs")) == (2 if status == 401 else 1)

    def test_a_saved_account_is_used_and_left_as_it_is(self, service, tmp_path, monkeypatch):
        file = tmp_path / "accounts.json"
        url = service.environment["QISKIT_IBM_URL"]
        QiskitRuntimeService.save_account(
            token=service.api_key, instance=service.crn, url=url, filename=str(file), name="mine"
        )
        for name in service.environment:
            if name.startswith("QISKIT_"):
                monkeypatch.delenv(name)
        before = file.read_bytes()
        assert connect(filename=str(file), name="mine").backend("ibm_lima").name == "ibm_lima"
        assert file.read_bytes() == before


class TestRefusals:
    def test_input_that_the_service_refuses(self, service, client):
        service.fault("/jobs$", "status", status=400, message="too many tags", method="POST")
        raised(Refused, lambda: client.submit("q1"), "refusal (400) of IBM's service", "too many tags", "submitting")

    def test_input_that_the_library_refuses(self, device):
        client = ServiceClient(device.service, lambda tags: EstimatorV2(device).run([(example(), "ZII", ROWS)]))
        with pytest.warns(DeprecationWarning):
            raised(Refused, lambda: client.submit("q1"), "what IBM's library refuses", "target")

    def test_option_that_the_library_refuses(self, device):
        client = ServiceClient(device.service, lambda tags: Estimator(device, options={"resilience_level": 9}))
        raised(Refused, lambda: client.submit("q1"), "what IBM's library refuses", "resilience_level")

    def test_unknown_job(self, client):
        raised(Refused, lambda: client.status("nobody"), "unknown job while looking up job nobody", "another label")

    def test_a_job_is_not_unknown_while_the_service_is_half_there(self, service, client):
        service.fault("/jobs/somebody$", "status", status=404)
        service.fault("/jobs$", "drop", n=None)
        raised(Lost, lambda: client.status("somebody"), "connection lost")

    def test_unknown_device(self, device):
        question = lambda: device.service.backend("ibm_atlantis")  # noqa: E731
        raised(Refused, lambda: ask(question, "opening it", device.service), "'qml backends' lists those it has")

    def test_a_device_is_not_unknown_while_the_service_is_down(self, service):
        connected = connect()
        service.fault("/api", "drop", n=None)
        question = lambda: connected.backend("ibm_manila")  # noqa: E731
        raised(Lost, lambda: ask(question, "opening it", connected), "connection lost")
        service.heal()
        service.fault("/configuration", "drop", n=6)
        assert ask(question, "opening it", connected).name == "ibm_manila"

    def test_cancelling_what_has_ended(self, client):
        job_id = client.submit("q1")
        ended(client, job_id)
        raised(Refused, lambda: client.cancel(job_id), "has ended while cancelling", "leave it")

    def test_a_result_of_a_later_version(self, service, device):
        client = client_of(device, "client")
        job_id = client.submit("q1")
        ended(client, job_id)
        service.fault("/results", "text", text='{"schema_version": "v9.9"}')
        raised(Refused, lambda: client.fetch(job_id), "cannot read", "v9.9", "update it")


class TestFailedJobs:
    def test_reason(self, service, client):
        service.fail("the fridge\nis warm", 1517)
        job_id = client.submit("q1")
        assert ended(client, job_id) == "failed"
        line = raised(Failed, lambda: client.fetch(job_id), job_id, "Error code 1517; the fridge is warm")
        assert "Traceback" not in line

    def test_ran_too_long(self, service, client):
        service.fail("limit reached", 1305, "Cancelled")
        job_id = client.submit("q1")
        assert ended(client, job_id) == "failed"
        raised(Failed, lambda: client.fetch(job_id), "ran longer than it may", "1305", "limit reached")

    def test_cancelled(self, service, client):
        service.hold("Queued")
        job_id = client.submit("q1")
        client.cancel(job_id)
        raised(Failed, lambda: client.fetch(job_id), f"job {job_id} was cancelled")

    def test_what_it_cost(self, service, client):
        service.fail("the fridge is warm", 1517)
        job_id = client.submit("q1")
        ended(client, job_id)
        with pytest.raises(Failed) as caught:
            client.fetch(job_id)
        assert caught.value.seconds == 0.0

    def test_result_before_the_end(self, service, client):
        service.hold("Queued")
        job_id = client.submit("q1")
        raised(Lost, lambda: client.fetch(job_id), "expected that the job has ended: wait for it")
        service.fault("/jobs/", "text", skip=1)
        raised(Lost, lambda: client.fetch(job_id), "not of IBM's service")


class TestSecrets:
    def test_key_of_the_account_is_struck_out_wherever_it_is(self, service, client):
        service.fault("/jobs$", "status", status=400, message=f"no job for {service.api_key}", method="POST")
        raised(Refused, lambda: client.submit("q1"), "no job for ***")

    def test_no_key_in_the_logs_of_the_libraries(self, service, everything_logged):
        client_of(connect().backend("ibm_manila")).submit("q1")
        assert "saved account" in everything_logged.text and "Method: POST" in everything_logged.text
        assert "stand-in-api-key" not in everything_logged.text and "eyJ" not in everything_logged.text
        everything_logged.clear()

    @pytest.fixture
    def everything_logged(self, caplog, monkeypatch):
        loggers = [logging.getLogger(name) for name in ("qiskit_ibm_runtime", "urllib3", "ibm_cloud_sdk_core")]
        levels = [logger.level for logger in loggers]
        for logger in loggers:
            monkeypatch.setattr(logger, "propagate", False)
            monkeypatch.setattr(logger, "handlers", [caplog.handler])
            logger.setLevel(logging.DEBUG)
        yield caplog
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class TestProtection:
    def test_every_connection_is_protected_once(self, device):
        service = device.service
        sessions = list(ibm_service._sessions(service))
        adapters = [dict(session.adapters) for session in sessions]
        assert adapters and all(isinstance(a, ibm_service._Patient) for each in adapters for a in each.values())
        protect(service)
        assert [dict(session.adapters) for session in sessions] == adapters

    def test_proxies_do_not_take_the_time_out_away(self, service, client, impatient):
        for session in ibm_service._sessions(client.service):
            session.proxies = {"https": "http://127.0.0.1:9"}  # then the library sets no time-out at all
        service.fault("/jobs", "hang", n=None)
        raised(Lost, lambda: client.find("q1"), "time-out")

    def test_copies_log_in_too(self, device):
        login = next(iter(ibm_service._sessions(device.service))).auth
        assert copy.deepcopy(login).login.tm.get_token()
