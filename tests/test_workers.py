"""hybrid/workers.py: what becomes of Ctrl-C, and what is said when workers are lost."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import joblib
import psutil
import pytest

from hybrid import workers

ROOT = Path(__file__).resolve().parents[1]
LONG = 600  # seconds: a limit for what hangs, far from what a slow machine needs


def python(code, *folders, **pipes):
    """Start a script that calls a few functions on two workers."""
    path = os.pathsep.join(map(str, (*folders, ROOT)))
    code = f"import os, signal, joblib\nfrom hybrid import workers\n{code}"
    return subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True, **pipes
    )


def test_workers_end_with_the_process_that_started_them():
    process = python(
        "def wait():\n    os.write(1, b'%d\\n' % os.getpid()); signal.pause()\n"  # one write: lines never mix
        "list(workers.results([joblib.delayed(wait)() for _ in range(2)], 2))",
        stderr=subprocess.DEVNULL,
    )
    started = [psutil.Process(int(process.stdout.readline())) for _ in range(2)]
    process.kill()
    process.communicate(timeout=LONG)
    _, alive = psutil.wait_procs(started, timeout=LONG)
    assert not [worker for worker in alive if worker.status() != psutil.STATUS_ZOMBIE]


# --- Ctrl-C --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["at its first line", "later"])
def test_a_worker_never_hears_ctrl_c(tmp_path, when):
    begin = "import _signal, sys\nif 'joblib.externals.loky.backend.popen_loky_posix' in sys.orig_argv:\n"
    (tmp_path / "sitecustomize.py").write_text(begin + "    _signal.raise_signal(2)\n")
    process = python(
        "def work(i):\n    signal.raise_signal(signal.SIGINT); return i\n"
        "print(sorted(workers.results([joblib.delayed(work)(i) for i in range(4)], 2)))",
        *([tmp_path] if when == "at its first line" else []),
        stderr=subprocess.PIPE,
    )
    assert process.communicate(timeout=LONG) == ("[0, 1, 2, 3]\n", "")


@pytest.fixture
def heard():
    """Let Ctrl-C be heard, which a suite run in the background would not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_while_workers_start_is_heard_afterwards(heard):
    went_on = False
    with pytest.raises(KeyboardInterrupt), workers._unheard():
        signal.raise_signal(signal.SIGINT)
        went_on = True
    assert went_on
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


# --- lost workers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "said"), [("ExecutorManagerThread", []), ("other", ["other"])])
def test_the_thread_that_feeds_workers_ends_without_a_traceback(monkeypatch, name, said):
    heard = []
    monkeypatch.setattr(threading, "excepthook", lambda found: heard.append(found.thread.name))

    def running():
        try:
            yield
        finally:  # as loky's, where a task that it is about to hand out has been cancelled
            thread = threading.Thread(target=lambda: {}["work"], name=name)
            thread.start()
            thread.join()

    with workers._closing(running()) as found:
        next(found)
    assert heard == said


def test_a_worker_that_is_killed_is_said_in_one_line_and_the_next_start_anew():
    process = python(
        "def die(i):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "try:\n    list(workers.results([joblib.delayed(die)(i) for i in range(4)], 2))\n"
        "except ChildProcessError as error:\n    print(error)\n"
        "print(sorted(workers.results([joblib.delayed(abs)(i) for i in range(4)], 2)))",
        stderr=subprocess.PIPE,
    )
    message = "A worker process died, killed or out of memory: if it happens again, use fewer jobs (--jobs)."
    assert process.communicate(timeout=LONG) == (f"{message}\n[0, 1, 2, 3]\n", "")


CLUSTER = """
from distributed import LocalCluster
print(LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None,
                   protocol="tcp").scheduler_address, flush=True)
signal.pause()
"""


def run_or_wait(i):
    if i:
        signal.sigwait([signal.SIGUSR1])


def test_a_lost_cluster_is_said_in_one_line():
    pytest.importorskip("distributed", reason="the Dask test needs the package distributed")
    cluster = python(CLUSTER, Path(__file__).parent, stderr=subprocess.DEVNULL)
    scheduler = cluster.stdout.readline().strip()
    logger = logging.getLogger("distributed.client")
    found = workers.results([joblib.delayed(run_or_wait)(i) for i in range(3)], 2, scheduler, shared=b"x" * 10_000)
    try:
        next(found)
        assert not logger.isEnabledFor(logging.ERROR), "it would log the traceback of what is said in one line"
    finally:
        cluster.kill()
        cluster.communicate(timeout=LONG)
    message = f"The Dask cluster at {scheduler} has lost its scheduler or a worker: see that they run."
    with pytest.raises(ConnectionError, match=re.escape(message)):
        next(found)
    assert logger.isEnabledFor(logging.ERROR)
