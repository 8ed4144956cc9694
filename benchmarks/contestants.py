"""Who is measured, and the processes they run in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from benchmarks.workloads import Workload

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = Path(__file__).parent / ".peers"
#: What the number of threads of numerical libraries is read from.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Contestant:
    """A library driven in one way.

    Parameters
    ----------
    name : str
        As in the tables.
    adapter : str
        File in ``benchmarks/adapters``.
    package : str
        Distribution whose version the tables name.
    environment : str
        Folder of ``benchmarks/.peers`` that holds it; "" for the interpreter that runs the benchmark.
    largest : int
        Amplitudes of the batch above which it is left out, because a step takes it many seconds.
    """

    name: str
    adapter: str
    package: str
    environment: str = ""
    largest: int = 2**40

    @property
    def module(self) -> str:
        return f"benchmarks.adapters.{self.adapter}"

    @property
    def python(self) -> Path:
        return ENVIRONMENTS / self.environment / "bin" / "python" if self.environment else Path(sys.executable)

    @property
    def version(self) -> str:
        """The installed version, "" if the library is not there."""
        if self.environment and not (ENVIRONMENTS / self.environment / ".installed").exists():
            return ""
        code = f"from importlib.metadata import version; print(version({self.package!r}))"
        return subprocess.run([self.python, "-c", code], capture_output=True, text=True).stdout.strip()


OURS = Contestant("QuantumLayer", "quantum_layer", "hybridqml")
PEERS = (
    Contestant("TensorCircuit, JAX jit", "tensorcircuit_jax", "tensorcircuit-ng", "tensorcircuit"),
    Contestant(
        "TensorCircuit, JAX jit, own readout", "tensorcircuit_jax_own_readout", "tensorcircuit-ng", "tensorcircuit"
    ),
    Contestant("TensorCircuit, torch", "tensorcircuit_torch", "tensorcircuit-ng", "tensorcircuit"),
    Contestant("PennyLane default.qubit", "pennylane_default", "pennylane"),
    Contestant("PennyLane lightning.qubit", "pennylane_lightning", "pennylane_lightning"),
    Contestant("DeepQuantum", "deepquantum", "deepquantum", "deepquantum"),
    Contestant("TorchQuantum", "torchquantum", "torchquantum", "torchquantum"),
    Contestant("MindQuantum", "mindquantum", "mindquantum", "mindquantum"),
    Contestant("pyqtorch", "pyqtorch", "pyqtorch", "pyqtorch", largest=2**18),
)

_LAYER = Contestant("QuantumLayer", "hardware_quantum_layer", "hybridqml")
_CONNECTOR = Contestant("TorchConnector", "hardware_torch_connector", "qiskit-machine-learning", "qiskit")
#: Machine -> who is measured on it, ours first.
HARDWARE = {
    "aer": (_LAYER, _CONNECTOR),
    "fake": (_LAYER, _CONNECTOR),
    "lightning": (_LAYER, Contestant("TorchLayer", "hardware_torch_layer", "pennylane")),
}


class WorkerError(Exception):
    """A contestant could not do what it was asked to."""


class Process:
    """A worker process, started when first asked and again after its death; closes with its ``with`` block.

    Parameters
    ----------
    module : str
        The adapter.
    python : Path
        Interpreter that has the library.
    threads : int, optional
        Number of threads; the library's own choice if not given.
    patience : float
        Seconds to wait for an answer; then the process is killed.
    **environment : str
        Further environment variables.
    """

    def __init__(
        self,
        module: str,
        python: Path = Path(sys.executable),
        threads: int | None = None,
        patience: float = 300,
        **environment: str,
    ) -> None:
        limits = dict.fromkeys(THREADS, str(threads)) if threads else {}
        self.environment = {**os.environ, **limits, **environment}
        self.command = [str(python), "-m", "benchmarks.worker", module]
        self.patience = patience
        self.process: subprocess.Popen[str] | None = None

    @cached_property
    def log(self) -> Any:
        """What the library prints."""
        return tempfile.TemporaryFile("w+")

    def call(self, method: str, **arguments: Any) -> Any:
        """Return what the worker's method returns.

        Raises
        ------
        WorkerError
            If it raises, dies, or takes longer than ``patience``.
        """
        process = self._running()
        timer = threading.Timer(self.patience, process.kill)
        timer.start()
        try:
            reply = self._exchange(process, {"call": method, "arguments": arguments})
        finally:
            timer.cancel()
        if "error" in reply:
            raise WorkerError(reply["error"])
        return reply["result"]

    def prepare(self, workload: Workload, x: np.ndarray, w: np.ndarray, device: str = "cpu") -> dict[str, Any]:
        """Return time and results of the first step of a workload."""
        return self.call("prepare", workload=asdict(workload), x=x.tolist(), w=w.tolist(), device=device)

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()
            self.process = None

    def __enter__(self) -> Process:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
        self.log.close()

    def _running(self) -> subprocess.Popen[str]:
        if self.process is None:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.log}
            self.process = subprocess.Popen(self.command, cwd=ROOT, env=self.environment, text=True, **pipes)
        return self.process

    def _exchange(self, process: subprocess.Popen[str], request: dict[str, Any]) -> dict[str, Any]:
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass  # it died: the empty answer says so
        line = process.stdout.readline()
        return json.loads(line) if line else {"error": self._last_words()}

    def _last_words(self) -> str:
        status = self.process.wait()
        self.close()
        if status == -9:
            return f"killed, after {self.patience:g} s without an answer or for lack of memory"
        self.log.seek(0)
        lines = self.log.read().split("\n")
        return next((line for line in reversed(lines) if line.strip()), f"died with status {status}")
