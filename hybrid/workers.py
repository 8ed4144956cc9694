"""Run calls side by side: on processes of this machine or on a Dask cluster, both through joblib."""

from __future__ import annotations

import importlib
import logging
import os
import re
import signal
import threading
import time
import warnings
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError
from contextlib import ExitStack, contextmanager, nullcontext
from multiprocessing import resource_tracker
from typing import Any

import joblib


def results(
    calls: Iterable[Any], n_jobs: int, scheduler: str | None = None, shared: Any = None
) -> Generator[Any, None, None]:
    """Yield the results of calls as they come; calls are drawn one by one, when a worker is free.

    Closing the generator cancels what still runs.

    Parameters
    ----------
    calls
        Made with :func:`joblib.delayed`.
    n_jobs
        Processes on this machine; 1 stays in this one.
    scheduler
        Address of a Dask scheduler to use instead.
    shared
        An argument that many calls have in common, sent to each Dask worker once.

    Raises
    ------
    OSError
        If the scheduler does not answer, or workers are lost.
    """
    spawns = scheduler is None and n_jobs > 1
    with _lost(scheduler), _pool(n_jobs, scheduler, shared) as parallel, ExitStack() as stack:
        with _unheard() if spawns else nullcontext():
            found = stack.enter_context(_closing(parallel(calls)))
        for result in found:  # noqa: UP028 ("yield from" would close it before the warnings are silenced)
            yield result


def check_scheduler(address: str) -> None:
    """Check the form of a scheduler's address, and that Dask is installed.

    Raises
    ------
    ValueError
        If it is not an address.
    ImportError
        If a package is missing, naming the extra that brings it.
    """
    if not re.fullmatch(r"(tcp|tls|wss?)://\S+:\d+", address):
        raise ValueError(f"scheduler is {address!r}: expected the address of one, such as tcp://10.0.0.1:8786.")
    _distributed()


@contextmanager
def _pool(n_jobs: int, scheduler: str | None, shared: Any) -> Iterator[joblib.Parallel]:
    settings = {"n_jobs": n_jobs, "return_as": "generator_unordered", "batch_size": 1, "pre_dispatch": "n_jobs"}
    if scheduler is None:
        with joblib.parallel_config("loky", initializer=_follow, initargs=(os.getpid(),)):
            yield joblib.Parallel(**settings)
    else:
        distributed = _distributed()
        with (
            _quiet(logging.getLogger("distributed.client")),  # which logs the traceback of what _lost says
            distributed.Client(scheduler, set_as_default=False, timeout=10) as client,
            joblib.parallel_config("dask", client=client, scatter=[shared]),
        ):
            yield joblib.Parallel(**settings)


@contextmanager
def _lost(scheduler: str | None) -> Iterator[None]:
    """Say in one line that workers were lost."""
    try:
        yield
    except BrokenExecutor as error:
        raise ChildProcessError(
            "A worker process died, killed or out of memory: if it happens again, use fewer jobs (--jobs)."
        ) from error
    except CancelledError as error:
        raise ConnectionError(
            f"The Dask cluster at {scheduler} has lost its scheduler or a worker: see that they run."
        ) from error


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _closing(found: Generator[Any, None, None]) -> Iterator[Generator[Any, None, None]]:
    """Close it at the end without a word: joblib warns of cancelled tasks, but they are meant to be."""
    try:
        yield found
    finally:
        with warnings.catch_warnings(), _feeding_unheard():
            warnings.simplefilter("ignore", UserWarning)
            found.close()


@contextmanager
def _feeding_unheard() -> Iterator[None]:
    """Let the thread that feeds loky's processes end without a traceback, where tasks are cancelled under its hands."""
    before = threading.excepthook

    def hook(found: threading.ExceptHookArgs) -> None:
        if found.thread is None or found.thread.name != "ExecutorManagerThread":
            before(found)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


@contextmanager
def _unheard() -> Iterator[None]:
    """Start processes that never hear Ctrl-C, which a terminal sends to all; here it is heard at the end.

    Processes and threads inherit which signals are blocked, from their first instruction on.
    """
    resource_tracker.ensure_running()  # it unblocks Ctrl-C when it starts
    heard: list[int] = []
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, lambda number, _: heard.append(number)) if main else None
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if main:
            signal.signal(signal.SIGINT, before)
        for number in heard[:1]:
            signal.raise_signal(number)


def _follow(parent: int) -> None:
    """End when the process that started this one is killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _distributed() -> Any:
    try:
        return importlib.import_module("distributed")
    except ImportError as error:
        raise ImportError(
            "A Dask scheduler needs the packages dask and distributed, which are not installed: "
            "pip install 'hybridqml[dask]'."
        ) from error
