"""A training on IBM's service is killed, or cut off, everywhere: no job is lost, none is paid for twice."""

import gc
import multiprocessing.forkserver
import os
import pickle
import signal
import sys

import numpy as np
import pytest
import torch

pytest.importorskip("qiskit_ibm_runtime")

import ibm_training
import urllib3
from ibm_folders import own_folders  # noqa: F401
from ibm_training import N_STEPS, train

from backends import ZNE, Record, Replay, ibm, ibm_jobs, jobs
from backends.planning import OverBudget
from circuits import Probabilities, pauli, z_each
from circuits.templates import hardware_efficient
from qml import QuantumLayer

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
    monkeypatch.setattr(jobs, "SETTLE", 0.05)
    monkeypatch.setitem(jobs.Journal.run.__kwdefaults__, "poll", (0.02, 0.1))
    monkeypatch.setattr(urllib3.util.retry.Retry, "get_backoff_time", lambda self: 0.0)
    return service


@pytest.fixture
def store(tmp_path):
    return tmp_path / "jobs.sqlite"


@pytest.fixture(scope="module")
def start(service_process, tmp_path_factory):
    """Return a function that starts the training in a process of its own, forked from one that has imported it all."""
    cache = str(tmp_path_factory.mktemp("cache"))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ibm_training"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # the server of Python 3.11 finds nothing without
        multiprocessing.forkserver.ensure_running()

    def started(folder, kill=None, by_skorch=False):
        environment = {**service_process.environment, "XDG_CACHE_HOME": cache, "XDG_DATA_HOME": str(folder)}
        process = context.Process(target=ibm_training.main, args=(environment, folder, kill, by_skorch))
        process.start()
        process.out = folder / "weights.pt"
        return process

    return started


@pytest.fixture(scope="module")
def undisturbed(start, service_process, tmp_path_factory):
    """The weights of a training that nothing happens to."""
    service_process.start() if service_process.process is None else service_process.reset()
    return finished(start(tmp_path_factory.mktemp("undisturbed")))


def finished(process):
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


# Killed.


@pytest.mark.parametrize("place", PLACES)
def test_killed_anywhere_it_goes_on_with_the_same_jobs(service, start, tmp_path, undisturbed, place):
    killed(start(tmp_path, (*PLACES[place], 2)))
    assert len(service.jobs) <= 2
    assert torch.equal(finished(start(tmp_path)), undisturbed)
    assert one_job_per_step(service)


def test_killed_with_checkpoints_it_goes_on_at_the_step_where_it_was(service, start, tmp_path):
    """Also where the journal alone would not do: the first steps are not even asked for again."""
    (tmp_path / "undisturbed").mkdir()
    expected = finished(start(tmp_path / "undisturbed", by_skorch=True))
    service.reset()
    for place in ("when the service has it", "in the queue", "before its result is kept"):
        folder = tmp_path / place
        folder.mkdir()
        killed(start(folder, (*PLACES[place], 2), by_skorch=True))
        assert torch.equal(finished(start(folder, by_skorch=True)), expected)
        assert one_job_per_step(service)
        positions = [entry.position for entry in jobs.Journal(folder / "jobs.sqlite").entries()]
        assert positions == list(range(N_STEPS))
        service.reset()


def test_killed_again_and_again(service, start, tmp_path, undisturbed):
    for place in PLACES.values():
        killed(start(tmp_path, (*place, 1)))
    assert torch.equal(finished(start(tmp_path)), undisturbed)
    assert one_job_per_step(service)


def test_a_job_that_waits_in_the_queue_is_found_there(service, start, tmp_path, undisturbed):
    service.hold()
    killed(start(tmp_path, ("backends.ibm_service", "ServiceClient.status", "after", 3)))
    assert [job["status"] for job in service.jobs] == ["Queued"]
    again = start(tmp_path)
    service.release()
    assert torch.equal(finished(again), undisturbed) and one_job_per_step(service)


def test_the_service_is_killed_and_comes_back(service, start, tmp_path, undisturbed):
    service.hold()
    killed(start(tmp_path, ("backends.ibm_service", "ServiceClient.status", "after", 3)))
    service.restart()
    service.release()
    assert torch.equal(finished(start(tmp_path)), undisturbed) and one_job_per_step(service)


def test_two_processes_share_a_journal(service, start, tmp_path, undisturbed):
    first, second = start(tmp_path), start(tmp_path)
    assert torch.equal(finished(first), undisturbed) and torch.equal(finished(second), undisturbed)
    assert one_job_per_step(service)


# Cut off.


@pytest.mark.parametrize("kind", ["drop", "drop_after"])
def test_cut_off_at_every_request_it_goes_on_with_the_same_jobs(service, store, undisturbed, kind):
    device = ibm_training.backend(store).device
    for number in range(100):
        service.reset()
        service.fault(".", kind, skip=number)
        assert torch.equal(train(ibm_training.backend(store, device, label=f"run {number}")), undisturbed), number
        assert one_job_per_step(service), number
        if not service.requests(kind):
            break
    assert 3 * N_STEPS < number < 100  # the training asks so often


def test_the_line_is_down_for_a_while(service, store, undisturbed):
    device = ibm_training.backend(store).device
    service.fault("jobs", "drop", n=30, method="GET")
    assert torch.equal(train(ibm_training.backend(store, device)), undisturbed)
    assert one_job_per_step(service) and len(service.requests("drop")) == 30


# Jobs.


def test_a_step_of_32_samples_and_24_weights_is_one_job(service, store):
    circuit = hardware_efficient(4, n_layers=2)
    assert circuit.n_weights == 24
    backend = ibm_training.backend(store)
    layer, exact = (QuantumLayer(circuit, z_each(4), b, dtype=torch.float64) for b in (backend, None))
    exact.load_state_dict(layer.state_dict())
    for made in (layer, exact):
        made(torch.zeros(32, 0).double()).square().sum().backward()
    assert len(service.jobs) == 1 and backend.transpiles == 1
    assert torch.allclose(layer.weights.grad, exact.weights.grad, atol=1e-4)
    assert len(jobs.Journal(store).entries()) == 1 and jobs.Journal(store).entries()[0].rows == 32 * (1 + 2 * 24)


def test_by_the_estimator_in_the_client(service, store):
    backend = ibm_training.backend(store, estimator="auto", shots=4000)
    layer, exact = (
        QuantumLayer(hardware_efficient(2, n_layers=1), [pauli("Z0"), pauli("X0 X1")], b) for b in (backend, None)
    )
    exact.load_state_dict(layer.state_dict())
    assert torch.allclose(layer(torch.zeros(2, 0)), exact(torch.zeros(2, 0)), atol=0.01)
    assert 0 < layer.last_stderr.max() <= 1 / np.sqrt(4000) + 1e-6
    assert [job["program_id"] for job in service.jobs] == ["executor"]


def test_probabilities_from_the_service(service, store):
    circuit = hardware_efficient(2, n_layers=1)
    layer, exact = (QuantumLayer(circuit, Probabilities((1, 0)), b) for b in (ibm_training.backend(store), None))
    exact.load_state_dict(layer.state_dict())
    assert torch.allclose(layer(), exact(), atol=1e-5) and layer.last_stderr.shape == (4,)


@pytest.mark.parametrize("estimator", ["legacy", "client"])
def test_all_factors_of_an_extrapolation_are_one_job(service, store, estimator):
    """Exact answers are the same at every factor; who mixed up the PUBs or their rows would extrapolate others."""
    backend = ZNE(ibm_training.backend(store, estimator=estimator, shots=4000), extrapolate="richardson")
    circuit = hardware_efficient(2, n_layers=1)
    layer, exact = (
        QuantumLayer(circuit, [pauli("Z0"), pauli("X0 X1")], b, dtype=torch.float64) for b in (backend, None)
    )
    exact.load_state_dict(layer.state_dict())
    weights = torch.linspace(0, 3, 3, dtype=torch.float64)[:, None] + layer.weights.detach()
    with torch.no_grad():
        assert torch.allclose(layer(None, weights), exact(None, weights), atol=1e-4 if estimator == "legacy" else 0.02)
    assert len(service.jobs) == len(jobs.Journal(store).entries()) == 1 and backend.backend.transpiles == 1
    assert jobs.Journal(store).entries()[0].options["folds"] == [1, 3, 5]


@pytest.mark.parametrize("mode", ["job", "batch", "session"])
def test_many_rows_are_jobs_beside_each_other(service, store, monkeypatch, mode):
    monkeypatch.setattr(ibm_jobs, "MOST_ROWS", 3)
    backend = ibm_training.backend(store, mode=mode)
    layer, exact = (QuantumLayer(hardware_efficient(2, n_layers=1), backend=b) for b in (backend, None))
    exact.load_state_dict(layer.state_dict())
    layer.eval()
    for _ in range(2):
        assert torch.allclose(layer(torch.zeros(8, 0)), exact(torch.zeros(8, 0)), atol=1e-5)
    backend.close()
    assert len(service.jobs) == 6
    assert len({job["session_id"] for job in service.jobs}) == {"job": 2, "batch": 2, "session": 1}[mode]
    assert None not in {job["session_id"] for job in service.jobs}
    opened = [line for line in service.requests("sessions") if line.startswith("POST")]
    closed = [line for line in service.requests("sessions/") if line.startswith("PATCH")]
    assert len(opened) == len(closed) == len({job["session_id"] for job in service.jobs})


def test_a_batch_that_cannot_be_closed_ends_by_itself_a_session_is_told_of(service, store, monkeypatch):
    monkeypatch.setattr(ibm_jobs, "MOST_ROWS", 3)
    layers = [
        QuantumLayer(
            hardware_efficient(2, n_layers=1), backend=ibm_training.backend(store, mode=mode, label=mode)
        ).eval()
        for mode in ("batch", "session")
    ]
    service.fault("sessions/", "status", n=None, method="PATCH", status=503)
    for layer in layers:
        layer(torch.zeros(4, 0))
    with pytest.warns(UserWarning, match=r"session \S+ is still open, and billed until it ends: got status 503"):
        layers[1].backend.close()
    layers[1].backend.close()


def test_a_session_ends_with_its_program(service, store):
    layer = QuantumLayer(hardware_efficient(2, n_layers=1), backend=ibm_training.backend(store, mode="session"))
    layer.eval()(torch.zeros(4, 0))
    assert not [line for line in service.requests("sessions/") if line.startswith("PATCH")]
    del layer
    gc.collect()
    assert [line for line in service.requests("sessions/") if line.startswith("PATCH")]


def test_one_job_alone_needs_no_batch(service, store):
    train(ibm_training.backend(store))
    assert {job["session_id"] for job in service.jobs} == {None}
    train(ibm_training.backend(store))
    assert len(service.jobs) == N_STEPS and service.requests("sessions") == []


def test_without_a_label_too_a_run_that_starts_again_pays_nothing(service, store):
    first, again = (train(ibm_training.backend(store, label=None)) for _ in range(2))
    assert torch.equal(first, again) and one_job_per_step(service)


def test_a_label_stays_on_the_device_where_it_began(service, store):
    service.settings(queue={"ibm_manila": 9, "ibm_lima": 0})
    first = ibm_training.backend(store, "least_busy")
    assert first.device_name == "ibm_lima"
    train(first)
    service.settings(queue={"ibm_manila": 0, "ibm_lima": 9})
    assert ibm_training.backend(store, "least_busy").device_name == "ibm_lima"
    assert ibm_training.backend(store, "least_busy", label="another").device_name == "ibm_manila"


# Money.


def test_the_budget_counts_what_was_billed(service, store):
    service.settings(seconds=5.0)
    backend = ibm_training.backend(store, budget_seconds=13.0)
    train(backend)
    assert backend.spent() == 15.0
    text = "with 15 of 13 s used, expected at most 0 s: nothing was sent"
    with pytest.raises(OverBudget, match=text):
        train(backend)
    again = ibm_training.backend(store, budget_seconds=13.0)
    train(again)  # all of it is paid for
    assert len(service.jobs) == N_STEPS


def test_the_budget_limits_the_job_itself(service, store, monkeypatch):
    made, limits = ibm_jobs.estimator, []

    def watched(*given):
        limits.append(made(*given).options.max_execution_time)
        return made(*given)

    monkeypatch.setattr(ibm_jobs, "estimator", watched)
    service.settings(seconds=5.0)
    train(ibm_training.backend(store, budget_seconds=20.5))
    assert limits == [21, 16, 11]


# The key, and what is kept.


def test_the_key_is_kept_nowhere(service, store, tmp_path, capfd, caplog):
    backend = ibm_training.backend(store)
    weights = train(Record(backend, tmp_path / "run.zip"))
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert service.api_key.encode() not in path.read_bytes(), path
    assert service.api_key not in repr(backend) + str(capfd.readouterr()) + caplog.text
    copied = pickle.loads(pickle.dumps(backend))
    assert service.api_key.encode() not in pickle.dumps(backend)
    assert copied.position == N_STEPS and copied.device_name == "ibm_manila"
    assert torch.equal(train(Replay(tmp_path / "run.zip")), weights) and one_job_per_step(service)


def test_who_looks_after_jobs_needs_no_program(service, start, tmp_path, undisturbed):
    service.hold()
    killed(start(tmp_path, ("backends.ibm_service", "ServiceClient.status", "after", 3)))
    service.release()
    journal = jobs.Journal(tmp_path / "jobs.sqlite")
    (entry,) = journal.entries()
    client = ibm.client_for(entry)
    while (entry := journal.collect(entry, client)).is_pending:
        pass
    assert entry.state == "done" and entry.seconds == 2.0
    assert torch.equal(finished(start(tmp_path)), undisturbed) and one_job_per_step(service)


def test_who_looks_after_a_fake_device_is_told_to_run_its_program(service, store):
    ibm_training.backend(store, "manila", estimator="auto")._journal.store.claim(
        jobs.Request("a", 0, 0, "fake_manila", b"", 1), jobs.Owner.here(), 0.0
    )
    journal = jobs.Journal(store)
    (entry,) = journal.entries()
    assert journal.collect(entry, ibm.client_for(entry)).is_pending
