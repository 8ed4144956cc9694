"""``python -m benchmarks.roofline THREADS``: what this machine can do, as JSON.

Peak float32 multiply-adds per second from registers and the first cache, and memory bandwidth of ``a = b + s c`` on
arrays four times as large as the last cache. In a process of its own, since the width of the vectors is chosen when
Numba is first imported.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import timing
from benchmarks.contestants import ROOT

CHAIN = 16  # dependent multiply-adds per number: enough to hide load and store, few enough for eight chains in flight
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


def machine(threads: int) -> dict[str, float]:
    """Return ``flops`` and ``bytes`` per second on some cores, measured in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.roofline", str(threads)]
    environment = {**os.environ, "NUMBA_CPU_FEATURES": _features()}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def bound(flops: float, bytes_: float, peaks: dict[str, float]) -> float:
    """Return the least time in seconds: of the arithmetic or of the memory traffic, whichever takes longer."""
    return max(flops / peaks["flops"], bytes_ / peaks["bytes"])


def last_cache() -> int:
    """Return the size of the largest cache in bytes, 32 MiB where the system does not say."""
    sizes = [path.read_text().strip() for path in CACHES.glob("index*/size")]
    return max((int(size[:-1]) * {"K": 2**10, "M": 2**20}[size[-1]] for size in sizes), default=2**25)


def _features() -> str:
    """Return the features of the CPU without the preference for half-width vectors that LLVM has for some."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    return features.flatten() + (",-prefer-256-bit" if features.get("avx512f") else "")


def kernels() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return ``multiply_add(a, factor, summand, repeats)`` and ``triad(a, b, c, s)``, both in place."""
    from numba import njit

    @njit(nogil=True, fastmath={"contract"})
    def multiply_add(a, factor, summand, repeats):
        for _ in range(repeats):
            for i in range(a.size):
                value = a[i]
                for _ in range(CHAIN):
                    value = value * factor + summand
                a[i] = value

    @njit(nogil=True, fastmath=True)
    def triad(a, b, c, s):
        for i in range(a.size):
            a[i] = b[i] + s * c[i]

    return multiply_add, triad


def measure(threads: int, seconds: float = 0.5, n_bytes: int | None = None) -> dict[str, float]:
    """Return ``flops`` and ``bytes`` per second of this process on some threads, the best of several repeats."""
    multiply_add, triad = kernels()
    small = [np.zeros(1024, np.float32) for _ in range(threads)]
    size = (4 * last_cache() if n_bytes is None else n_bytes) // (12 * threads)
    large = [[np.zeros(size, np.float32) for _ in range(3)] for _ in range(threads)]
    half, repeats = np.float32(0.5), 20_000
    with ThreadPoolExecutor(threads) as pool:
        compute = _best(lambda: list(pool.map(lambda a: multiply_add(a, half, half, repeats), small)), seconds)
        stream = _best(lambda: list(pool.map(lambda abc: triad(*abc, half), large)), seconds)
    return {"flops": 2 * CHAIN * 1024 * repeats * threads / compute, "bytes": 12 * size * threads / stream}


def _best(function: Callable[[], Any], seconds: float) -> float:
    function()  # compiles
    return min(timing.repeated(function, seconds)) / 1e3


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
