"""Share the tasks of a compiled pass among threads of this process."""

from __future__ import annotations

import itertools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from numba import typeof

from backends.statevector.disk import compiling

#: Seconds after which a wait is explained.
PATIENCE = 1.0

_entries: dict[tuple[Any, ...], Callable[..., None]] = {}


def share(function: Callable[..., None], n_tasks: int, n_threads: int, *arguments: Any) -> None:
    """Call ``function(first, last, *arguments)`` on ranges that cover all tasks, on up to so many threads.

    The arrays among the arguments are contiguous and can be written; all floating-point ones have the dtype of the
    last. So one compiled function serves all, and is called without a look at its arguments, which costs as much as a
    few gates.
    """
    key = function, arguments[-1].dtype
    entry = _entries.get(key) or _entries.setdefault(key, _entry(function, arguments))
    if n_threads < 2 or n_tasks < 2:
        entry(0, n_tasks, *arguments)
        return
    n_parts = min(n_threads, n_tasks)
    bounds = [part * n_tasks // n_parts for part in range(n_parts + 1)]
    others = [_pool().submit(entry, *pair, *arguments) for pair in itertools.pairwise(bounds[1:])]
    entry(0, bounds[1], *arguments)
    for other in others:
        other.result()


def _entry(function: Any, arguments: tuple[Any, ...]) -> Callable[..., None]:
    """Return a pass compiled for arguments of these types, or read from the disk."""
    with _patience():
        return function.compile(tuple(typeof(argument) for argument in (0, 0, *arguments)))


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, (os.cpu_count() or 1) - 1), "statevector")


def _after_fork() -> None:
    """Start anew in a child: threads do not survive a fork, and torch would wait for its own for ever."""
    _pool.cache_clear()
    torch.set_num_threads(1)


os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def _patience() -> Iterator[None]:
    """Say what the wait is for, when it takes longer than a second and is not for the disk."""
    timer = threading.Timer(PATIENCE, lambda: compiling.is_set() and _say_once())
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@cache
def _say_once() -> None:
    text = "Compiling the simulator's kernels, once on this machine and for this precision: some 20 seconds."
    print(text, file=sys.stderr, flush=True)
