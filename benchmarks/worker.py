"""``python -m benchmarks.worker MODULE``: one contestant in a process of its own, so that each has its own libraries.

Every line on stdin is a request ``{"call": method, "arguments": {...}}``; every line on stdout answers one, with
``{"result": ...}`` or ``{"error": text}``. It sleeps in between. Whatever the library prints goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import IO, Any

import numpy as np

from benchmarks import peak, timing
from benchmarks.workloads import from_json

RESULTS = ("outputs", "weight gradients", "input gradients")  # the last is left out where inputs have none


class Worker:
    """Answers requests with an adapter: any object with ``prepare`` and ``threads``, and ``counts`` for hardware."""

    def __init__(self, adapter: Any) -> None:
        self.adapter = adapter
        self.step: Callable[[], Any] | None = None

    def prepare(self, workload: dict[str, Any], x: list, w: list, device: str = "cpu") -> dict[str, Any]:
        """Build the step of a workload and run it once: its time, its results as lists, the threads."""
        self.step = None  # frees the memory of the last one
        spec, arrays = from_json(workload), (np.array(x, "float32"), np.array(w, "float32"))

        def first() -> Any:
            self.step = self.adapter.prepare(spec, *arrays, device=device)
            return self.step()

        milliseconds, results = timing.once(first)
        lists = {name: _list(array) for name, array in zip(RESULTS, results, strict=False)}
        return {"first_ms": milliseconds, "results": lists, "threads": self.adapter.threads()}

    def measure(self, seconds: float) -> dict[str, Any]:
        """Repeat the step: the times, and how many cores were busy on average."""
        wall, busy = time.perf_counter(), time.process_time()
        times = timing.repeated(self.step, seconds)
        return {"times_ms": times, "cores": (time.process_time() - busy) / (time.perf_counter() - wall)}

    def counts(self) -> dict[str, int]:
        """Return what the adapter handed in since it was last asked."""
        return self.adapter.counts()

    def peak(self, workload: dict[str, Any], x: list, w: list) -> dict[str, int]:
        """Return by how many bytes the process grows at most during the first step of a workload, and in one more.

        The first one plans the circuit too. The other runs in a thread of its own, which no buffers are kept for.
        """
        self.step = self.adapter.prepare(from_json(workload), np.array(x, "float32"), np.array(w, "float32"))
        first = peak.growth(self.step)
        with ThreadPoolExecutor(1) as fresh:
            return {"first": first, "step": peak.growth(lambda: fresh.submit(self.step).result())}


def serve(worker: Worker, requests: Iterable[str], replies: IO[str]) -> None:
    """Answer every request until there are no more."""
    for line in requests:
        print(json.dumps(_answer(worker, json.loads(line))), file=replies, flush=True)


def _answer(worker: Worker, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"result": getattr(worker, request["call"])(**request["arguments"])}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def _list(array: Any) -> list:
    return np.asarray(array.cpu() if hasattr(array, "cpu") else array).tolist()


def main() -> None:
    """Serve the adapter whose module is named on the command line."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(Worker(import_module(sys.argv[1])), sys.stdin, replies)


if __name__ == "__main__":
    main()
