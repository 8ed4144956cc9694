"""The stand-in service for tests: the fixture `service` starts it, leads qiskit-ibm-runtime there, and controls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from service import API, API_KEY, CRN

_open = build_opener(ProxyHandler({})).open


class Service:
    """The stand-in as tests see it; it runs in a process of its own."""

    api_key, crn = API_KEY, CRN

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process, self.port = None, 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What leads a process to the stand-in, and nowhere else."""
        return {
            "IAM_URL": self.url,
            "GLOBAL_SEARCH_URL": self.url,
            "GLOBAL_CATALOG_URL": f"{self.url}/catalog",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            "QISKIT_IBM_TOKEN": API_KEY,
            "QISKIT_IBM_INSTANCE": CRN,
            "QISKIT_IBM_URL": f"{self.url}/experimental{API}",  # "experimental": taken as it is
            "QISKIT_IBM_CHANNEL": "ibm_quantum_platform",
        }

    def start(self) -> None:
        """Start it, or start it again: same port, same jobs."""
        command = [sys.executable, str(Path(__file__).with_name("service.py"))]
        command += ["--state", str(self.folder), "--port", str(self.port)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def kill(self) -> None:
        """Kill it as kill -9 does."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def restart(self) -> None:
        self.kill()
        self.start()

    def reset(self) -> None:
        """Forget all jobs, requests, faults and settings."""
        self._control("POST", "/reset", {})

    def settings(self, **settings) -> None:
        """Change settings; see `service.SETTINGS`."""
        self._control("POST", "/settings", settings)

    def fault(self, match: str, kind: str, n: int | None = 1, **more) -> None:
        """Let the next `n` requests whose path contains `match` go wrong; see `service.State.take_fault`."""
        self._control("POST", "/faults", {"match": match, "kind": kind, "n": n, **more})

    def heal(self) -> None:
        """End all faults."""
        self.settings(faults=[])

    def hold(self, status: str = "Queued") -> None:
        """Let jobs stay in that status, "Queued" or "Running"."""
        self.settings(hold=status)

    def release(self) -> None:
        """Let held jobs go on."""
        self.settings(hold=None)

    def fail(self, reason: str, code: int, status: str = "Failed") -> None:
        """Let the next job end so; status "Failed" or "Cancelled"."""
        failures = self._control("GET")["settings"]["failures"]
        self.settings(failures=[*failures, {"reason": reason, "code": code, "status": status}])

    def log_out(self) -> None:
        """Refuse all tokens given so far."""
        self.settings(login=1 + self._control("GET")["settings"]["login"])

    @property
    def jobs(self) -> list[dict]:
        """All jobs ever created and not deleted, in that order."""
        return self._control("GET")["jobs"]

    def tagged(self, tag: str) -> list[dict]:
        return [job for job in self.jobs if tag in job["tags"]]

    def requests(self, contains: str = "") -> list[str]:
        """Requests that came in, "METHOD path fault", in order."""
        return [line for line in self._control("GET")["requests"] if contains in line]

    def until(self, condition, seconds: float = 60.0):
        """Ask until a condition holds, and return what it gave."""
        end = time.monotonic() + seconds
        while not (found := condition()):
            if time.monotonic() > end:
                raise TimeoutError(f"{condition} did not hold within {seconds} s; requests: {self.requests()[-5:]}")
            time.sleep(0.01)
        return found

    def connect(self, **options):
        """Return a connected QiskitRuntimeService."""
        from qiskit_ibm_runtime import QiskitRuntimeService

        defaults = {"channel": "ibm_quantum_platform", "token": API_KEY, "instance": CRN}
        url = f"{self.url}/experimental{API}"
        return QiskitRuntimeService(**{**defaults, "url": url, **options})

    def _control(self, method: str, path: str = "", body: dict | None = None):
        data = None if body is None else json.dumps(body).encode()
        with _open(Request(f"{self.url}/control{path}", data, method=method), timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None


@contextmanager
def running(folder: Path):
    """Give the stand-in, running."""
    service = Service(folder)
    service.start()
    try:
        yield service
    finally:
        service.kill()


@pytest.fixture(scope="session")
def service_process(tmp_path_factory):
    with running(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture
def service(service_process, monkeypatch, tmp_path):
    """A service without jobs and faults; the account of whoever runs the tests is out of sight."""
    if service_process.process is None:
        service_process.start()
    service_process.reset()
    for name in [name for name in os.environ if name.startswith(("QISKIT_", "QE_"))]:
        monkeypatch.delenv(name)
    for name, value in service_process.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    return service_process
