"""One process, several threads and processes: the same numbers, no hang, kernels compiled once."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch

from backends.statevector import engine, threads
from circuits import CX, RX, RY, Circuit, inputs, weights
from qml import QuantumLayer

ROOT = Path(__file__).parents[1]
TIMEOUT = 120  # seconds

x, w = inputs(9), weights(9)
CIRCUIT = Circuit(9, [[[RX(x[q], q), RY(w[q], q), CX(q, (q + 4) % 9)] for q in range(9)]] * 2, 9, 9)


@pytest.fixture
def two_threads(monkeypatch):
    """Every pass is shared by two threads, however small."""
    monkeypatch.setattr(engine, "WORTH_A_THREAD", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def made(seed=0):
    """A layer and samples."""
    torch.manual_seed(seed)
    return QuantumLayer(CIRCUIT), torch.randn(40, 9, requires_grad=True)


def trained(seed=0):
    """Outputs and gradients of a layer, as arrays."""
    layer, samples = made(seed)
    y = layer(samples)
    y.square().sum().backward()
    return [t.detach().numpy().copy() for t in (y, samples.grad, layer.weights.grad)]


def same(found, wanted):
    return all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))


# Sharing.


@pytest.mark.parametrize("n_tasks", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("n_threads", [1, 2, 4, 9])
def test_every_task_is_run_once(n_tasks, n_threads):
    ranges = []
    threads.share(lambda first, last, _: ranges.append((first, last)), n_tasks, n_threads, np.zeros(1))
    assert ranges[0] == (0, 0)  # a first call compiles, on no tasks
    assert sorted(k for first, last in ranges for k in range(first, last)) == list(range(n_tasks))
    assert len(ranges) - 1 <= max(1, min(n_tasks, n_threads))


@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_of_any_thread_arrives(failing):
    def function(first, last, _):
        if first <= failing < last:
            raise FloatingPointError

    with pytest.raises(FloatingPointError):
        threads.share(function, 2, 2, np.zeros(1))


def test_passes_are_shared(two_threads, monkeypatch):
    names, pool = set(), ThreadPoolExecutor(1, "counted")

    def named(function):
        return lambda *arguments: (names.add(threading.current_thread().name), function(*arguments))

    for name in ("forward", "backward"):
        monkeypatch.setattr(engine.sweeps, name, named(getattr(engine.sweeps, name)))
    monkeypatch.setattr(threads, "_pool", lambda: pool)
    trained()
    pool.shutdown()
    assert len(names) == 2 and "counted_0" in names


def test_two_callers_at_once(two_threads):
    alone, meet = [trained(seed) for seed in (0, 1)], threading.Barrier(2, timeout=TIMEOUT)

    def run(seed):
        meet.wait()
        return [trained(seed) for _ in range(5)]

    with ThreadPoolExecutor(2) as pool:
        for found, wanted in zip(pool.map(run, (0, 1)), alone, strict=True):
            assert all(same(each, wanted) for each in found)


# Processes.


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_a_fork_computes_and_so_does_its_parent(two_threads):
    wanted = trained()  # threads are live
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        with open(writer, "wb") as pipe:
            pipe.write(b"same" if same(trained(), wanted) else b"other")
        os._exit(0)
    os.close(writer)
    assert same(trained(), wanted)
    alarm = threading.Timer(TIMEOUT, os.kill, [child, 9])
    alarm.start()
    with open(reader, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    alarm.cancel()
    assert answer == b"same"


def test_processes_of_joblib():
    wanted = [trained(seed) for seed in (0, 1)]
    try:
        found = joblib.Parallel(2, "loky", timeout=TIMEOUT)(joblib.delayed(trained)(seed) for seed in (0, 1))
    finally:
        joblib.externals.loky.get_reusable_executor().shutdown(wait=True)
    assert all(same(a, b) for a, b in zip(found, wanted, strict=True))


# Kernels on the disk.


def run(code, **environment):
    """Run Python code in a new process; return what it printed and what it said on stderr."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONPATH": path, **{k: str(v) for k, v in environment.items()}}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=TIMEOUT
    )
    assert not done.returncode, done.stderr
    return done.stdout, done.stderr


def test_a_second_process_compiles_nothing():
    trained()
    code = """
from backends.statevector import threads
threads.PATIENCE = 60  # a slow disk is no compiler
import test_threads
test_threads.trained()
from backends.statevector import sweeps
names = [name for name, f in vars(sweeps).items() if hasattr(f, "stats") and f.stats.cache_path]
used = [name for name in names if getattr(sweeps, name).signatures]
print(*used, sum(len(getattr(sweeps, name).stats.cache_misses) for name in used))
"""
    out, err = run(code)
    assert {"forward", "backward"} <= set(out.split()) and out.split()[-1] == "0" and not err
