"""The stand-in of the IBM Quantum service: qiskit-ibm-runtime takes it for the service, and every fault is one."""

import ast
import http.client
import json
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest

pytest.importorskip("qiskit_ibm_runtime")

from qiskit import QuantumCircuit
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime import Batch, EstimatorV2, SamplerV2, Session
from qiskit_ibm_runtime.api.exceptions import RequestsApiError
from qiskit_ibm_runtime.exceptions import (
    IBMNotAuthorizedError,
    RuntimeInvalidStateError,
    RuntimeJobFailureError,
    RuntimeJobMaxTimeoutError,
    RuntimeJobNotFound,
)
from qiskit_ibm_runtime.executor_estimator import Estimator
from qiskit_ibm_runtime.executor_sampler import Sampler
from service_jobs import ROWS, expected, submit


def values(job):
    return job.result(poll_interval=0.1, timeout=60)[0].data.evs


@pytest.fixture
def device(service):
    return service.connect().backend("ibm_manila")


class Browser:
    """Plain requests, without the retries of the library."""

    def __init__(self, service, timeout=10.0):
        self.service, self.timeout = service, timeout
        form = urlencode({"apikey": service.api_key})
        self.token = json.loads(self.ask("POST", "/identity/token", form)[2])["access_token"]

    def ask(self, method, path, body=None, headers={}):  # noqa: B006
        connection = http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=self.timeout)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read().decode()
        finally:
            connection.close()

    def api(self, method, path, content=None):
        body = None if content is None else json.dumps(content)
        return self.ask(method, f"/api/v1{path}", body, {"Authorization": f"Bearer {self.token}"})

    def post_job(self):
        return self.api("POST", "/jobs", {"program_id": "estimator", "backend": "ibm_manila", "params": {}, "tags": []})


@pytest.fixture
def browser(service):
    service.hold("Queued")  # its jobs are empty
    return Browser(service)


class TestAnswers:
    def test_only_running_a_job_needs_more_than_the_standard_library(self):
        tree = ast.parse(Path(__file__).with_name("service.py").read_text())
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        names = {node.module for node in imports if isinstance(node, ast.ImportFrom)}
        names |= {alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names}
        assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names | {"service_execute"}

    @pytest.mark.parametrize(("kind", "tolerance"), [(EstimatorV2, 1e-12), (Estimator, 8 / 2048)])
    def test_exact_answers_equal_the_states(self, device, kind, tolerance):
        np.testing.assert_allclose(values(submit(device, kind)), expected(), atol=tolerance)

    @pytest.mark.parametrize("kind", [EstimatorV2, Estimator])
    @pytest.mark.parametrize("answers", ["shots", "device"])
    def test_samples_depend_on_the_content_alone(self, service, device, kind, answers):
        service.settings(answers=answers)
        first, again = values(submit(device, kind)), values(submit(device, kind, tags=["other"]))
        service.restart()
        after = values(submit(service.connect().backend("ibm_manila"), kind))
        other = values(submit(device, kind, rows=ROWS + 1e-9))
        assert np.array_equal(first, again) and np.array_equal(first, after)
        assert not np.array_equal(first, other)
        assert 0 < np.abs(first - expected()).max() < {"shots": 0.1, "device": 0.5}[answers]

    @pytest.mark.parametrize("kind", [SamplerV2, Sampler])
    def test_samplers(self, device, kind):
        circuit = QuantumCircuit(2)
        circuit.h(0)
        circuit.cx(0, 1)
        circuit.measure_all()
        isa = generate_preset_pass_manager(optimization_level=1, backend=device, seed_transpiler=1).run(circuit)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            sampler = kind(mode=device)
        result = sampler.run([isa], shots=100).result(poll_interval=0.1)
        assert result[0].data.meas.get_counts() == {"00": 50, "11": 50}

    def test_a_later_process_reads_the_same_result(self, service, device):
        job = submit(device, Estimator)
        again = service.connect().job(job.job_id())
        assert np.array_equal(values(job), values(again))


class TestJobs:
    def test_tags_and_search(self, service, device):
        service.hold("Queued")
        ids = [submit(device, tags=tags).job_id() for tags in (["a"], ["a", "b"], ["c"])]
        found = service.connect().jobs(job_tags=["a"], limit=None)
        assert [job.job_id() for job in found] == [ids[1], ids[0]]
        assert [job["id"] for job in service.tagged("b")] == [ids[1]]
        assert [job.job_id() for job in service.connect().jobs(limit=1, skip=1)] == [ids[1]]
        assert len(service.connect().jobs(pending=True)) == 3 and not service.connect().jobs(pending=False)

    def test_search_may_lag(self, service, device):
        service.hold("Queued")
        submit(device, tags=["a"])
        service.settings(search_lag=1)
        connected = service.connect()
        assert [len(connected.jobs(job_tags=["a"])) for _ in range(2)] == [0, 1]

    def test_least_busy(self, service):
        service.settings(queue={"ibm_manila": 3})
        assert service.connect().least_busy().name == "ibm_lima"

    def test_metrics_and_usage(self, service, device):
        job = submit(device)
        values(job)
        assert job.metrics()["usage"] == {"status": "final", "qpu_charge_time_seconds": 2.0}
        assert service.connect().usage()["usage_consumed_seconds"] == 2.0

    def test_status_from_queue_to_end(self, service, device):
        service.hold("Queued")
        job = submit(device)
        assert job.status() == "QUEUED"
        service.hold("Running")
        service.until(lambda: job.status() == "RUNNING")
        service.release()
        values(job)
        assert job.status() == "DONE"

    def test_cancel_and_delete(self, service, device):
        service.hold("Queued")
        job = submit(device)
        job.cancel()
        with pytest.raises(RuntimeInvalidStateError, match="was cancelled"):
            service.connect().job(job.job_id()).result()
        with pytest.raises(RuntimeInvalidStateError, match="has ended"):
            job.cancel()
        service.connect().delete_job(job.job_id())
        with pytest.raises(RuntimeJobNotFound):
            service.connect().job(job.job_id())

    @pytest.mark.parametrize(
        ("status", "code", "error"),
        [
            ("Failed", 1517, RuntimeJobFailureError),
            ("Cancelled", 1305, RuntimeJobMaxTimeoutError),
            ("Cancelled", 1302, RuntimeInvalidStateError),
        ],
    )
    def test_failures(self, service, device, status, code, error):
        service.fail("the fridge is warm", code, status)
        job = submit(device)
        with pytest.raises(error, match="cancelled" if code == 1302 else f"{code}; the fridge is warm"):
            values(job)

    @pytest.mark.parametrize("mode", [Session, Batch])
    def test_sessions(self, service, device, mode):
        with mode(backend=device) as opened:
            job = submit(device, mode=opened)
            values(job)
            assert opened.details()["accepting_jobs"]
        assert service.jobs[0]["session_id"] == opened.session_id

    def test_threads_submit_at_once(self, service, device):
        with ThreadPoolExecutor(4) as pool:
            jobs = list(pool.map(lambda k: submit(device, tags=[f"t{k}"]), range(4)))
        assert len({job.job_id() for job in jobs}) == 4 and all(len(service.tagged(f"t{k}")) == 1 for k in range(4))


class TestKill:
    def test_a_job_outlives_kill_while_the_client_waits(self, service, device):
        service.hold("Running")
        job = submit(device, tags=["kept"])
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(values, job)
            service.restart()
            service.release()
            np.testing.assert_allclose(waiting.result(), expected(), atol=1e-12)
        assert len(service.tagged("kept")) == 1

    def test_results_faults_and_requests_outlive_kill(self, service, device):
        job = submit(device)
        found = values(job)
        service.fault("/results", "status", status=404)
        before = service.requests("/jobs")
        service.restart()
        with pytest.raises(RequestsApiError, match="404"):
            job.result()
        assert np.array_equal(values(job), found)
        assert service.requests("/jobs")[: len(before)] == before


class TestFaults:
    @pytest.mark.parametrize(
        ("kind", "error", "taken"),
        [
            ("drop", ConnectionError, 0),
            ("drop_after", ConnectionError, 1),
            ("hang", TimeoutError, 0),
            ("hang_after", TimeoutError, 1),
            ("cut", http.client.IncompleteRead, 1),
        ],
    )
    def test_answers_that_do_not_arrive(self, service, browser, kind, error, taken):
        service.fault("/jobs$", kind, method="POST")
        browser.timeout = 0.3
        with pytest.raises(error):
            browser.post_job()
        assert len(service.jobs) == taken
        browser.timeout = 10.0
        assert browser.post_job()[0] == 200

    def test_status_with_and_without_retry_after(self, service, browser):
        service.fault("/jobs$", "status", status=429, retry_after=7, message="slow down")
        service.fault("/jobs$", "status", status=503)
        first, second = browser.post_job(), browser.post_job()
        assert first[0] == 429 and first[1]["Retry-After"] == "7" and "slow down" in first[2]
        assert second[0] == 503 and "Retry-After" not in second[1]
        assert not service.jobs

    def test_page_of_a_proxy(self, service, browser):
        service.fault("/backends", "text")
        assert "log in" in browser.api("GET", "/backends")[2]

    def test_number_method_and_place_of_faults(self, service, browser):
        service.fault("/backends$", "status", n=2, skip=1, status=500, method="GET")
        assert browser.api("POST", "/backends")[0] == 404
        assert [browser.api("GET", "/backends")[0] for _ in range(4)] == [200, 500, 500, 200]
        service.fault("/backends$", "status", n=None, status=500)
        assert {browser.api("GET", "/backends")[0] for _ in range(5)} == {500}
        service.heal()
        assert browser.api("GET", "/backends")[0] == 200

    def test_reset_forgets(self, service, browser):
        browser.post_job()
        service.reset()
        assert not service.jobs and not service.requests() and browser.api("GET", "/jobs")[0] == 200


class TestLogin:
    def test_wrong_key(self, service, browser):
        assert browser.ask("POST", "/identity/token", "apikey=wrong")[0] == 400

    def test_an_old_token_is_refused(self, service, device):
        service.log_out()
        with pytest.raises(IBMNotAuthorizedError):
            device.status()

    def test_an_expired_token_is_renewed_silently(self, service):
        service.settings(token_life=-10)
        device = service.connect().backend("ibm_manila")
        before = len(service.requests("/identity/token"))
        device.status()
        assert len(service.requests("/identity/token")) > before

    def test_outage_of_the_login_makes_the_library_send_the_key(self, service):
        service.settings(token_life=-10)
        device = service.connect().backend("ibm_manila")
        service.fault("/identity/token", "drop")
        with pytest.warns(UserWarning, match="API Key will be used"), pytest.raises(IBMNotAuthorizedError):
            device.status()
        assert service.requests("API key sent")
