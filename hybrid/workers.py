"""Run calls side by side: on processes of this machine or on a Dask cluster, both through joblib."""

from __future__ import annotations

import importlib
import os
import re
import signal
import threading
import time
import warnings
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
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
        If the scheduler does not answer.
    """
    with _pool(n_jobs, scheduler, shared) as parallel:
        found = parallel(calls)
        try:
            for result in found:  # noqa: UP028 ("yield from" would close it before the warnings are silenced)
                yield result
        finally:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # joblib warns of cancelled tasks: they are meant to be
                found.close()


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
        with (
            _distributed().Client(scheduler, set_as_default=False, timeout=10) as client,
            joblib.parallel_config("dask", client=client, scatter=[shared]),
        ):
            yield joblib.Parallel(**settings)


def _follow(parent: int) -> None:
    """Leave Ctrl-C, which a terminal sends to every process, to the main process; end when that one is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

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
