"""One process, several threads and processes: the same numbers, no hang, kernels compiled once."""

import io
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
import torch
from numba import typeof
from torch import nn

from backends.statevector import engine, threads
from benchmarks.cliffs import gate_cases, other_cases, step
from circuits import CX, RX, RY, Circuit, inputs, weights
from qml import QuantumLayer

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


def trained(seed=0):
    """Outputs and gradients of a layer, as arrays."""
    source = torch.Generator().manual_seed(seed)  # its own: threads would share torch's
    layer = QuantumLayer(CIRCUIT, init=lambda weights: nn.init.normal_(weights, generator=source))
    samples = torch.randn(40, 9, generator=source, requires_grad=True)
    y = layer(samples)
    y.square().sum().backward()
    return [t.detach().numpy().copy() for t in (y, samples.grad, layer.weights.grad)]


def same(found, wanted):
    return all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))


class Pass:
    """Stands for a compiled function: a plain one, and what is done when it is compiled."""

    def __init__(self, function, at_first=lambda: None):
        self.function, self.at_first, self.signatures = function, at_first, []

    def compile(self, signature):
        self.at_first()
        self.signatures.append(signature)
        return self.function


# Sharing.


@pytest.mark.parametrize("n_tasks", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("n_threads", [1, 2, 4, 9])
def test_every_task_is_run_once(n_tasks, n_threads):
    ranges = []
    threads.share(Pass(lambda first, last, _: ranges.append((first, last))), n_tasks, n_threads, np.zeros(1))
    assert sorted(k for first, last in ranges for k in range(first, last)) == list(range(n_tasks))
    assert len(ranges) <= max(1, min(n_tasks, n_threads))


def test_a_pass_is_compiled_once_for_each_dtype():
    function = Pass(lambda *_: None)
    for dtype in (np.float32, np.float64) * 2:
        threads.share(function, 1, 1, np.zeros(1, dtype))
    assert [str(signature[2].dtype) for signature in function.signatures] == ["float32", "float64"]


@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_of_any_thread_arrives(failing):
    def function(first, last, _):
        if first <= failing < last:
            raise FloatingPointError

    with pytest.raises(FloatingPointError):
        threads.share(Pass(function), 2, 2, np.zeros(1))


def test_passes_are_shared(two_threads, monkeypatch):
    names, pool = set(), ThreadPoolExecutor(1, "counted")

    def named(function):
        return Pass(lambda *arguments: (names.add(threading.current_thread().name), function(*arguments)))

    for name in ("forward", "backward"):
        monkeypatch.setattr(engine.sweeps, name, named(getattr(engine.sweeps, name)))
    monkeypatch.setattr(threads, "_pool", lambda: pool)
    trained()
    pool.shutdown()
    assert len(names) == 2 and "counted_0" in names


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_arrays_of_a_pass_are_of_the_same_types_at_every_call(dtype, monkeypatch):
    """Passes are called without a look at their arguments, so another layout would be read as this one."""
    seen = {}

    def looking(function, n_tasks, n_threads, *arguments):
        found = tuple(typeof(argument) for argument in arguments)
        assert seen.setdefault(function, found) == found
        threads.share(function, n_tasks, n_threads, *arguments)

    monkeypatch.setattr(engine, "share", looking)
    for case in (*gate_cases(), *other_cases()):
        for n, batch in ((4, 7), (9, 1), (10, 18)):
            if case.least <= n <= case.most:
                step(case, n, batch, dtype)()
    assert {function.__name__ for function in seen} >= {"forward", "backward", "slot_values", "slot_slopes"}


def test_two_callers_at_once(two_threads):
    alone, meet = [trained(seed) for seed in (0, 1)], threading.Barrier(2, timeout=TIMEOUT)

    def run(seed):
        meet.wait()
        return [trained(seed) for _ in range(5)]

    with ThreadPoolExecutor(2) as pool:
        for found, wanted in zip(pool.map(run, (0, 1)), alone, strict=True):
            assert all(same(each, wanted) for each in found)


# Processes.


def shared():
    """How many of four tasks are run, by four threads of this process's own."""
    done = []
    threads.share(Pass(lambda first, last, _: done.extend(range(first, last))), 4, 4, np.zeros(1))
    return len(done)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_a_fork_computes_and_so_does_its_parent(two_threads):
    wanted = trained()  # threads are live
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        with open(writer, "wb") as pipe:
            pipe.write(b"same" if same(trained(), wanted) and shared() == 4 else b"other")
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


# The first call.


class Told(io.StringIO):
    """A stream that knows when something was said."""

    def __init__(self):
        super().__init__()
        self.told = threading.Event()

    def flush(self):
        self.told.set()


@pytest.fixture
def say_again():
    """The message is said once in a process; here, once in a test."""
    threads._say_once.cache_clear()
    yield
    threads._say_once.cache_clear()


@pytest.fixture
def compiling(request):
    """Whether something was not found on the disk so far, here as the test wants it."""
    before = threads.compiling.is_set()
    (threads.compiling.set if request.param else threads.compiling.clear)()
    yield request.param
    (threads.compiling.set if before else threads.compiling.clear)()


@pytest.mark.parametrize("compiling", [True, False], indirect=True)
def test_a_long_wait_for_the_compiler_is_explained_once(monkeypatch, say_again, compiling):
    monkeypatch.setattr(sys, "stderr", stderr := Told())
    monkeypatch.setattr(threads, "PATIENCE", 0.0)
    for _ in range(2):  # two functions
        threads.share(Pass(lambda *_: None, _wait_for_timers), 0, 1, np.zeros(1))
    said = "Compiling the simulator's kernels, once on this machine and for this precision"
    assert stderr.getvalue().startswith(said) == compiling
    assert stderr.getvalue().count("\n") == compiling


def _wait_for_timers():
    for timer in threading.enumerate():
        if isinstance(timer, threading.Timer):
            timer.join()


def test_a_short_wait_is_not(monkeypatch, say_again):
    monkeypatch.setattr(sys, "stderr", stderr := Told())
    monkeypatch.setattr(threads, "PATIENCE", 60.0)
    before = threading.active_count()
    threads.share(Pass(lambda *_: None), 0, 1, np.zeros(1))
    _wait_for_timers()  # it was cancelled
    assert threading.active_count() <= before and not stderr.getvalue()
