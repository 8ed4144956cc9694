"""A training on IBM's service is killed, or cut off, everywhere: no job is lost, none is paid for twice."""

import multiprocessing
import signal
import time
import warnings

import pytest
import torch

pytest.importorskip("qiskit_ibm_runtime")

import ibm_training
from ibm_folders import own_folders  # noqa: F401
from ibm_training import N_STEPS, train

import backends
from backends import jobs
from backends.ibm_transpile import folder
from backends.planning import OverBudget
from circuits import z_each
from circuits.templates import hardware_efficient
from qml import QuantumLayer

LIBRARY = "qiskit_ibm_runtime.qiskit_runtime_service", "QiskitRuntimeService.job"

# Where the second step of the training is killed.
PLACES = {
    "before it is written ahead": ("backends.jobs_store", "Store.claim", "before"),
    "when it is written ahead": ("backends.jobs_store", "Store.claim", "after"),
    "before the submission": ("backends.ibm_service", "ServiceClient.submit", "before"),
    "when the service has it": ("backends.ibm_service", "ServiceClient.submit", "after"),
    "when its id is kept": ("backends.jobs_store", "Store.submitted", "after"),
    "in the queue": ("backends.ibm_service", "ServiceClient.status", "before"),
    "when it has run": ("backends.ibm_service", "ServiceClient.fetch", "before"),
    "when its result is here": ("backends.ibm_service", "ServiceClient.fetch", "after"),
    "before its result is kept": ("backends.jobs_store", "Store.finish", "before"),
    "when its result is kept": ("backends.jobs_store", "Store.finish", "after"),
    "before the backward pass": ("torch", "Tensor.backward", "before"),
    "after the backward pass": ("torch", "Tensor.backward", "after"),
}


@pytest.fixture
def service(service, own_folders, monkeypatch):  # noqa: F811
    for name, value in service.environment.items():
        monkeypatch.setenv(name, value)
    return service


@pytest.fixture
def hurry(monkeypatch):
    monkeypatch.setattr(jobs, "SETTLE", 0.05)
    monkeypatch.setitem(jobs.Journal.run.__kwdefaults__, "poll", (0.02, 0.1))


@pytest.fixture(scope="module")
def undisturbed(service_process, tmp_path_factory):
    """The weights of a training that nothing happens to."""
    service_process.reset()
    process = start(service_process, tmp_path_factory.mktemp("undisturbed"))
    return ended(process)


@pytest.fixture(scope="module")
def processes():
    """Processes that begin with everything imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ibm_training"])
    return context


def start(service, tmp_path, kill=None):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ibm_training"])
    out = tmp_path / "weights.pt"
    environment = {**service.environment, "XDG_CACHE_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    process = context.Process(target=ibm_training.main, args=(environment, tmp_path / "jobs.sqlite", out, kill))
    process.start()
    process.out = out
    return process


def ended(process):
    process.join(120)
    assert process.exitcode == 0
    return torch.load(process.out)


def killed(process):
    process.join(120)
    assert process.exitcode == -signal.SIGKILL and not process.out.exists()


def tags(service):
    return [tag for job in service.jobs for tag in job["tags"]]


def one_job_per_step(service):
    return len(service.jobs) == len(set(tags(service))) == N_STEPS


@pytest.mark.parametrize("place", PLACES)
def test_killed_anywhere_it_goes_on_with_the_same_jobs(service, tmp_path, undisturbed, place):
    killed(start(service, tmp_path, (*PLACES[place], 2)))
    assert len(service.jobs) <= 2
    assert torch.equal(ended(start(service, tmp_path)), undisturbed)
    assert one_job_per_step(service)
