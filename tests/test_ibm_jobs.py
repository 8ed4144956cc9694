import threading

import numpy as np
import pytest
import torch

pytest.importorskip("qiskit_ibm_runtime")

from ibm_folders import own_folders  # noqa: F401
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime.fake_provider import FakeManilaV2

from backends.ibm_estimators import Options
from backends.ibm_jobs import MOST_EXECUTIONS, MOST_ROWS, Elsewhere, Local, Mode, Part, Step, together
from backends.ibm_transpile import transpiled
from backends.jobs import Lost
from circuits import CX, RX, RY, Circuit, inputs, pauli

pytestmark = pytest.mark.usefixtures("own_folders")

X = inputs(2)
CIRCUIT = Circuit(2, [RX(X[0], 0), CX(0, 1), RY(X[1], 1)], 2)
DEVICE = FakeManilaV2()


def step(*words, **options):
    observables = tuple(pauli(word) for word in words or ("Z0",))
    return Step.of(CIRCUIT, transpiled(CIRCUIT, DEVICE), observables, DEVICE, Options(**options))


def part(rows, seed=1, **options):
    return Part(step(**options), DEVICE, seed, np.asarray(rows, float))


@pytest.mark.parametrize(
    ("options", "words", "most"),
    [
        ({"shots": 100}, ("Z0",), MOST_ROWS),
        ({"shots": 4096}, ("Z0",), 1220),
        ({"shots": 4096}, ("Z0", "X0"), 610),
        ({"shots": 4096, "zne": (1, 3, 5)}, ("Z0",), 135),
        ({"shots": 5_000_000}, ("Z0",), 1),
    ],
)
def test_chunks_stay_within_the_limits_of_a_job(options, words, most):
    made = step(*words, **options)
    rows = np.arange(2 * (2 * most + 1), dtype=float).reshape(-1, 2)
    chunks = made.chunks(rows)
    assert [len(chunk) for chunk in chunks] == [most, most, 1]
    assert np.array_equal(np.concatenate(chunks), rows[:, list(made.laid.columns)])
    factors = sum(Options(**options).noise_factors)
    assert most * len(words) * factors * made.options.shots <= MOST_EXECUTIONS == 5_000_000
    assert made.cost(len(rows)).jobs == 3


def test_content_tells_measurements_apart_and_not_days():
    base = part([[0.1, 0.2]]).content(None)
    assert part([[0.1, 0.2]], seed=9).content(None) == base  # the seed follows from label and position
    others = [
        part([[0.1, 0.3]]).content(None),
        part([[0.1, 0.2]]).content(3),
        part([[0.1, 0.2]], shots=5).content(None),
        part([[0.1, 0.2]], twirling=True).content(None),
        Part(step("Z1"), DEVICE, 1, np.array([[0.1, 0.2]])).content(None),
    ]
    assert len({base, *others}) == 6


def test_a_local_job_is_simulated_when_it_is_fetched_and_again_the_same(monkeypatch):
    client = Local(part([[0.1, 0.2]], shots=200))
    job_id = client.submit("tag")
    assert client.find("tag") == [job_id] and client.status(job_id) == "done"
    first, again = client.fetch(job_id), Local(client.part).fetch(job_id)
    assert first.values.shape == first.stderr.shape == (1, 1) and first.seconds is None
    assert np.array_equal(first.values, again.values)
    assert client.cancel(job_id) is None


def test_a_fake_device_is_simulated_on_all_cores_with_the_numbers_of_one(monkeypatch):
    seen, run = [], AerSimulator.run
    monkeypatch.setattr(AerSimulator, "run", lambda self, *a, **k: seen.append(self.options) or run(self, *a, **k))
    rows = [[0.1, 0.2], [1.0, 2.0]]
    here = part(rows, shots=50).measure()
    as_it_comes = part(rows, shots=50).submit(DEVICE, []).result()[0].data
    assert [options.max_parallel_experiments for options in seen] == [torch.get_num_threads(), None]
    assert np.array_equal(here.values, as_it_comes.evs)
    assert np.array_equal(here.stderr, as_it_comes.stds)


def test_others_cannot_simulate_a_local_job():
    client = Elsewhere()
    assert client.find("tag") == []
    with pytest.raises(Lost, match="job local-x is simulated by the program that asked for it: run that again"):
        client.status("local-x")


def test_a_mode_is_opened_by_the_first_job_and_once(monkeypatch):
    from backends import ibm_jobs

    opened, closed = [], []

    class Batch(ibm_jobs.Session):
        def __init__(self, backend):
            opened.append(backend)

        def close(self):
            closed.append(self)

    monkeypatch.setattr(ibm_jobs, "Batch", Batch)
    monkeypatch.setattr(ibm_jobs, "Session", Batch)
    for kind in ("batch", "session"):
        unused, mode = Mode(DEVICE, kind), Mode(DEVICE, kind)
        unused.close()
        assert mode.get() is mode.get() and type(mode.get()) is Batch
        mode.close()
        mode.close()
    assert opened == [DEVICE, DEVICE] and len(closed) == 2
    assert Mode(DEVICE, "job").get() is DEVICE


def test_calls_wait_together_in_order():
    first, second = threading.Event(), threading.Event()

    def one():
        assert second.wait(60)
        return 1

    def two():
        second.set()
        return 2

    assert together([one, two]) == [1, 2] and not first.is_set()
    assert together([lambda: 3]) == [3]


def test_an_error_of_one_of_them_is_raised():
    def wrong():
        raise ValueError("of the second")

    with pytest.raises(ValueError, match="of the second"):
        together([lambda: 1, wrong, lambda: 3])
