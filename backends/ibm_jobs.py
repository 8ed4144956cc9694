"""The jobs of one step on one device: what is sent, where to, and how its answer is read."""

from __future__ import annotations

import hashlib
import json
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from qiskit.providers import BackendV2
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime import Batch, Session
from qiskit_ibm_runtime.fake_provider.fake_backend import FakeBackendV2

from backends.ibm_devices import is_real
from backends.ibm_estimators import Options, estimator
from backends.ibm_service import ServiceClient, ask, read_result
from backends.ibm_transpile import Laid, n_bases, seconds_per_shot
from backends.jobs import JobError, Lost, Result
from backends.planning import Cost
from backends.qiskit_fold import folded
from circuits import Circuit, Observable

#: Executions (circuits times shots) and rows of one job, well within the limits of IBM's service.
MOST_EXECUTIONS, MOST_ROWS = 5_000_000, 2000

#: Jobs of one step that are under way at once: a device runs about so many beside each other.
AT_ONCE = 5

T = TypeVar("T")


class Step(NamedTuple):
    """A circuit and what is measured of it, ready for a device."""

    circuit: Circuit
    laid: Laid
    observables: tuple[Observable, ...]
    operators: list[list[SparsePauliOp]]
    options: Options
    per_row: int  # circuits
    seconds: float  # per shot of every fold
    folds: tuple[int, ...] = (1,)

    @classmethod
    def of(
        cls,
        circuit: Circuit,
        laid: Laid,
        observables: tuple[Observable, ...],
        device: BackendV2,
        options: Options,
        folds: tuple[int, ...] = (1,),
    ) -> Step:
        """Return a step of a transpiled circuit, one PUB for each fold: how often its entangling gates are repeated.

        Raises
        ------
        ValueError
            If one row alone passes the limits of a job.
        """
        operators = laid.operators(observables, circuit.n_qubits)
        per_row = n_bases(operators) * len(options.noise_factors) * len(folds)
        seconds = sum(seconds_per_shot(folded(laid.circuit, factor), device) for factor in folds)
        return cls(circuit, laid, observables, operators, options, per_row, seconds, folds).checked()

    def checked(self) -> Step:
        """Return the step itself, if a job can hold one row of it."""
        shots = self.options.shots
        if self._executions > MOST_EXECUTIONS:
            raise ValueError(
                f"got shots={shots} of {self.per_row} circuits a row, expected at most "
                f"{MOST_EXECUTIONS:,} executions in one job: use shots={MOST_EXECUTIONS // (self._executions // shots)}"
            )
        return self

    def chunks(self, rows: np.ndarray) -> list[np.ndarray]:
        """Return rows of ``circuit.angles`` as the jobs take them: each within its limits."""
        size = self.most_rows
        found = rows[:, list(self.laid.columns)] if self.laid.columns else rows[:1, :0]  # then all rows are one circuit
        return np.split(found, range(size, len(found), size))

    @property
    def most_rows(self) -> int:
        """Rows that one job holds."""
        return min(MOST_ROWS, MOST_EXECUTIONS // self._executions)

    def cost(self, rows: int) -> Cost:
        """Return what so many rows need."""
        sent = rows if self.laid.columns else 1
        circuits = sent * self.per_row
        jobs = -(-sent // self.most_rows)
        return Cost(rows, circuits, circuits * self.options.shots, jobs, sent * self.seconds_per_row)

    @property
    def described(self) -> dict[str, Any]:
        """The options as plain data, to tell one measurement from another."""
        folding = {} if self.folds == (1,) else {"folds": list(self.folds)}
        return self.options.as_dict() | folding

    @property
    def seconds_per_row(self) -> float:
        """Estimated time on the QPU: a circuit whose gates the service repeats counts as often as they are."""
        return self._bases * sum(self.options.noise_factors) * self.options.shots * self.seconds

    @property
    def _factors(self) -> tuple[float, ...]:
        """Factors by which gates are repeated, by us or by the service: never by both."""
        return tuple(own * fold for own in self.options.noise_factors for fold in self.folds)

    @property
    def _bases(self) -> int:
        return self.per_row // len(self._factors)

    @property
    def _executions(self) -> int:
        return int(self._bases * sum(self._factors) * self.options.shots)


class Mode:
    """Where jobs are submitted to: the device, a batch or a session, opened by the first job that is."""

    def __init__(self, device: BackendV2, kind: str) -> None:
        self.device, self.kind = device, kind
        self._opened: Any = None
        self._lock = threading.Lock()

    def get(self) -> Any:
        """Return what an Estimator takes as its mode."""
        with self._lock:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def close(self) -> None:
        """Take no more jobs; those that were submitted go on."""
        opened, self._opened = self._opened, None
        if not isinstance(opened, Session):  # a batch is one too
            return
        try:
            ask(opened.close, f"closing the {self.kind}", getattr(self.device, "service", None))
        except JobError as error:
            if self.kind == "session":  # of a batch only jobs are billed, and it ends by itself
                warnings.warn(
                    f"session {opened.session_id} is still open, and billed until it ends: {error}", stacklevel=2
                )

    def leave(self) -> None:
        """Close it at the end of a program, where nothing can be said and no thread begins."""
        if isinstance(self._opened, Session):
            with suppress(Exception):
                self._opened.close()

    def _open(self) -> Any:
        match self.kind:
            case "batch":
                return Batch(backend=self.device)
            case "session":
                return Session(backend=self.device)
        return self.device


@dataclass(frozen=True)
class Part:
    """One job: some rows of a step."""

    step: Step
    device: BackendV2
    seed: int
    rows: np.ndarray  # in the order of the transpiled circuit's parameters
    limit: float | None = None  # seconds of QPU time

    @property
    def seconds(self) -> float:
        """Estimated time on the QPU."""
        return len(self.rows) * self.step.seconds_per_row

    def content(self, seed: int | None) -> bytes:
        """Return the sha256 of all that determines the result, but not of how the circuit is laid out this day."""
        readout = repr([o.terms for o in self.step.observables])
        options = json.dumps(self.step.described, sort_keys=True)
        text = "\n".join([self.step.circuit.fingerprint, readout, options, str(seed), str(self.step.laid.columns)])
        return hashlib.sha256(text.encode() + self.rows.tobytes()).digest()

    def submit(self, mode: Any, tags: list[str]) -> Any:
        """Hand the job in and return it, as IBM's library knows it."""
        made = estimator(self.step.options, mode, self.device, self.seed, tags, self.limit)
        values = (self.rows,) if self.step.laid.columns else ()
        circuits = [folded(self.step.laid.circuit, factor) for factor in self.step.folds]
        return made.run([(circuit, self.step.operators, *values) for circuit in circuits])

    def measure(self) -> Result:
        """Return the result of a fake device, simulated here and now."""
        if len(self.step.folds) > 1:  # all PUBs of a job would have the same luck, which devices have not
            return _joined([part.measure() for part in self._single()])
        alone = self.step.options.generation(self.device) == "client"
        return Result(*read_result(self.submit(simulator(self.device) if alone else self.device, []).result()))

    def _single(self) -> Iterator[Part]:
        """Yield a part for each fold, with a seed of its own."""
        seeds = np.random.SeedSequence(self.seed).generate_state(len(self.step.folds))
        for fold, seed in zip(self.step.folds, seeds, strict=True):
            yield replace(self, step=self.step._replace(folds=(fold,)), seed=1 + int(seed) // 2)


def _joined(results: list[Result]) -> Result:
    """Return the results of several PUBs as those of one job."""
    values, stderr = zip(*((found.values, found.stderr) for found in results), strict=True)
    return Result(np.concatenate(values), np.concatenate(stderr))


@lru_cache(maxsize=8)
def simulator(device: BackendV2) -> BackendV2:
    """Return what simulates a fake device, on all cores: as it comes, it runs one circuit after the other."""
    if not isinstance(device, FakeBackendV2):
        return device
    return AerSimulator.from_backend(device, max_parallel_experiments=torch.get_num_threads())


class Local:
    """Client of a fake device: a job is simulated when its result is fetched, and again if that was lost."""

    def __init__(self, part: Part) -> None:
        self.part = part

    def submit(self, tag: str) -> str:
        """Return the id of a job that is simulated later."""
        return f"local-{tag}"

    def find(self, tag: str) -> list[str]:
        """Return the id of the job: it can always be simulated."""
        return [self.submit(tag)]

    def status(self, job_id: str) -> str:
        """Return that the result can be fetched."""
        return "done"

    def fetch(self, job_id: str) -> Result:
        """Simulate the job; the same seed gives the same result."""
        return self.part.measure()

    def cancel(self, job_id: str) -> None:
        """Do nothing: nothing runs before it is fetched."""


class Elsewhere(Local):
    """Client of a fake device for who does not know the job: only the program that asked for it simulates it."""

    def __init__(self) -> None:
        """Know nothing."""

    def find(self, tag: str) -> list[str]:
        """Return none."""
        return []

    def status(self, job_id: str) -> str:
        """Say who has the result."""
        raise Lost(f"job {job_id} is simulated by the program that asked for it: run that again")


def client(part: Part, mode: Mode) -> Any:
    """Return what the journal asks about a job: IBM's service, or this machine."""
    if not is_real(part.device):
        return Local(part)
    return service_client(part.device, lambda tags: part.submit(mode.get(), tags))


def service_client(device: BackendV2, submit: Callable[[list[str]], Any] | None = None) -> Any:
    """Return the client of a real device; without ``submit`` it only finds, fetches and cancels."""
    return ServiceClient(device.service, submit, getattr(device, "_instance", None))


def together(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Return the results of calls that wait, some at a time, in threads that no interrupt and no exit waits for."""
    if len(calls) == 1:
        return [calls[0]()]
    turns, futures = threading.Semaphore(AT_ONCE), [Future[T]() for _ in calls]
    for call, future in zip(calls, futures, strict=True):
        threading.Thread(target=_fulfil, args=(call, future, turns), daemon=True).start()
    return [future.result() for future in futures]


def _fulfil(call: Callable[[], T], future: Future[T], turns: threading.Semaphore) -> None:
    with turns:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)
