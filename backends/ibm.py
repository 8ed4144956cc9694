"""IBM's devices as a backend: all rows of a training step are one job."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from qiskit.providers import BackendV2
from scipy.linalg import hadamard
from torch import Tensor

from backends.base import Capabilities, Estimate, EvaluatingBackend
from backends.gradients import Gradient, ParameterShift
from backends.ibm_devices import LEAST_BUSY, find, is_real, properties
from backends.ibm_estimators import Options
from backends.ibm_jobs import Elsewhere, Mode, Part, Step, client, service_client, together
from backends.ibm_transpile import Laid, files, transpiled
from backends.jobs import Client, Entry, Journal, Request, Result
from backends.jobs_store import ENDED
from backends.planning import Cost, check_budget
from backends.qiskit_estimator import constants, z_words
from circuits import Circuit, Observable, Probabilities
from circuits.observables import Readout

#: Qubits whose probabilities can be read: as many as products of Z that are one for each outcome.
MOST_QUBITS = 10

_MODES = ("job", "batch", "session")


class IBM(EvaluatingBackend):
    """Run circuits on a device of IBM, or on one of its fake devices, which are simulated here with their noise.

    All rows of a training step, shifted ones included, are one job (several where it would pass the service's limits).
    A circuit is transpiled once per device and kept on disk. Every job of a real device goes through a journal: a
    killed program that is started again finds its jobs and pays for none twice.

    Parameters
    ----------
    device : str or BackendV2
        ``"ibm_..."`` or ``"least_busy"`` (where a run of this label began before, its device), through a saved account;
        a fake device such as ``"manila"``; or an object of Qiskit.
    shots : int
        Per row, measurement basis and noise factor.
    mode : {"job", "batch", "session"}
        ``"batch"`` groups the jobs of a step, ``"session"`` keeps the device for the whole run, until :meth:`close`
        (not on open plans, and waiting is billed).
    resilience_level : {0, 1, 2}
        IBM's error mitigation: none; of the readout; and zero-noise extrapolation with twirling.
    zne : bool or sequence of float
        Zero-noise extrapolation, or its noise factors.
    extrapolator : str or sequence of str, optional
        Of the zero-noise extrapolation, for example ``"linear"``.
    twirling : bool, optional
        Of gates and measurements; as the resilience level says if not given.
    dynamical_decoupling : bool or {"XX", "XpXm", "XY4"}
        Pulses while qubits wait.
    estimator : {"auto", "client", "legacy"}
        Generation of IBM's Estimator. ``"auto"`` is the newer one, which mitigates in the client, and on fake devices
        too wide for it the older one, which adds up the errors of a sum's words: an upper bound.
    budget_seconds : float, optional
        QPU time that all runs of this label may use, or without a label this backend: as billed, or as estimated where
        that is not known yet.
    label : str, optional
        Names a run. The n-th measurement under a label is made once, whatever process asks for it: a program that is
        started again gets what it measured before. For new measurements take another label; runs without one share the
        label ``"default"``.
    store : path, optional
        The journal; in the user's data folder if not given. Fake devices keep one if ``label`` or ``store`` is given.
    seed : int, optional
        Of fake devices: the same seed gives the same numbers, call by call.
    gradient : Gradient, optional
        ``ParameterShift()`` if not given; ``Spsa()`` needs fewer circuits.
    account : str, optional
        Name of a saved account; the default one if not given.

    Attributes
    ----------
    position : int
        How many measurements were made; set it to that of a checkpoint to go on from there.
    transpiles : int
        How many circuits were transpiled, not read from the disk.

    Raises
    ------
    TypeError
        If ``device`` is neither a name nor a device.
    ValueError
        If an option is not known, there is no such device, or no account to reach it.
    """

    def __init__(
        self,
        device: str | BackendV2 = "least_busy",
        shots: int = 4096,
        mode: Literal["job", "batch", "session"] = "job",
        resilience_level: int = 0,
        *,
        zne: bool | Sequence[float] = False,
        extrapolator: str | Sequence[str] | None = None,
        twirling: bool | None = None,
        dynamical_decoupling: bool | str = False,
        estimator: Literal["auto", "client", "legacy"] = "auto",
        budget_seconds: float | None = None,
        label: str | None = None,
        store: Path | str | None = None,
        seed: int | None = None,
        gradient: Gradient | None = None,
        account: str | None = None,
    ) -> None:
        super().__init__(ParameterShift() if gradient is None else gradient, together=True)
        self.options = Options(shots, resilience_level, zne, extrapolator, twirling, dynamical_decoupling, estimator)
        _check(mode, budget_seconds, seed)
        self.mode, self.budget_seconds, self.seed = mode, budget_seconds, seed
        self.label, self.store, self.account = label, store, account
        self.position = self.transpiles = 0
        self._used = self._before = 0.0  # seconds: where no journal counts; under the label, by others without one
        self._entropy = _entropy(seed, label)
        self._known: _Live | None = _Live(find(self._begun(device), account))
        self._named: str | BackendV2 = self.device.name if is_real(self.device) else device
        self.options.generation(self.device)
        self._before = self.spent() if budget_seconds is not None and label is None else 0.0

    @property
    def device(self) -> BackendV2:
        """The device, as Qiskit knows it."""
        return self._live.device

    @property
    def device_name(self) -> str:
        """The name of the device."""
        return str(self.device.name)

    @property
    def shots(self) -> int:
        """Shots per row, measurement basis and noise factor."""
        return self.options.shots

    @property
    def capabilities(self) -> Capabilities:
        """What the backend can do."""
        return Capabilities(self.gradient.name, False, self.device.num_qubits, ("cpu", "cuda"))

    def evaluate(self, circuit: Circuit, angles: Tensor, observables: Readout) -> Estimate:
        """Return the readouts of every row; see :class:`backends.EvaluatingBackend`.

        Raises
        ------
        OverBudget
            If the jobs would cost more than what is left of ``budget_seconds``; nothing is sent.
        """
        return self.evaluate_folded(circuit, angles, observables, (1,))[0]

    def check_folding(self) -> None:
        """Raise ValueError if the service extrapolates already; see :class:`backends.zne.NoiseScaling`."""
        if self.options.noise_factors != (1.0,):
            level, zne = self.options.resilience_level, self.options.zne
            raise ValueError(
                f"got IBM with resilience_level={level}, zne={zne!r} to extrapolate again, expected one extrapolation: "
                "use IBM alone, or leave zne out and the level at 0 or 1"
            )

    def evaluate_folded(
        self, circuit: Circuit, angles: Tensor, observables: Readout, factors: Sequence[int]
    ) -> list[Estimate]:
        """Return the readouts of every row at each factor, from one job; see :class:`backends.zne.NoiseScaling`.

        Raises
        ------
        OverBudget
            If the jobs would cost more than what is left of ``budget_seconds``; nothing is sent.
        """
        found = self._read(circuit, angles.numpy(), _words(observables), tuple(factors))
        if isinstance(observables, Probabilities):
            found = [self._probabilities(*each) for each in found]
        self.position += 1
        return [Estimate(*map(torch.from_numpy, each)) for each in found]

    def cost(self, circuit: Circuit, observables: Readout, rows: int, factors: Sequence[int] = (1,)) -> Cost:
        """Return what one evaluation of so many rows needs; nothing is sent.

        The estimate of QPU time is rows × bases × shots × (delay between shots + duration of the circuit), at each of
        the factors, or times those of the service, without what it adds for the start of a job.
        """
        words = _words(observables)
        _, measured = constants(words)
        step = self._step(circuit, [words[k] for k in measured], tuple(factors)) if measured else None
        return Cost(rows, 0, 0, 0, 0.0) if step is None else step.cost(rows)

    def spent(self) -> float:
        """Return the seconds of QPU time that count for the budget: as billed, or as estimated until that is known."""
        return self._used if self._journal is None else self._journal.spent(self._label) - self._before

    def details(self, circuit: Circuit) -> dict[str, bytes]:
        """Return the device's properties and the transpiled circuit as files, for :class:`backends.Record`."""
        laid = self._laid(circuit)
        return {"device.json": properties(self.device), **files(laid.circuit, circuit.fingerprint)}

    def close(self) -> None:
        """End the session, if there is one; jobs that are under way go on."""
        if self._live.session is not None:
            self._live.session.close()
            self._live.session = None

    def _read(
        self, circuit: Circuit, rows: np.ndarray, observables: tuple[Observable, ...], factors: tuple[int, ...]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return values and standard errors (rows, n_observables) at each factor; a number needs no measurement."""
        numbers, measured = constants(observables)
        shape = len(factors), len(rows), len(observables)
        values, stderr = np.broadcast_to(numbers, shape).copy(), np.zeros(shape)
        if measured:
            step = self._step(circuit, [observables[k] for k in measured], factors)
            for whole, found in zip((values, stderr), self._measure(step, rows), strict=True):
                whole[:, :, measured] = np.stack(np.split(found, len(factors), axis=1))
        return list(zip(values, stderr, strict=True))

    def _measure(self, step: Step, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        chunks = step.chunks(rows)
        results = self._run([Part(step, self.device, self._seed(k), part) for k, part in enumerate(chunks)])
        values = np.concatenate([result.values.T for result in results])
        errors = [np.zeros_like(r.values.T) if r.stderr is None else r.stderr.T for r in results]
        shape = len(rows), values.shape[1]
        return np.broadcast_to(values, shape), np.broadcast_to(np.concatenate(errors), shape)

    def _run(self, parts: list[Part]) -> list[Result]:
        """Return the results of the jobs of one step, which are sent only if the budget is enough for all."""
        if self._journal is None:
            self._check_budget(parts)
            self._used += sum(part.seconds for part in parts)
            return [part.measure() for part in parts]
        requests = [self._request(k, part) for k, part in enumerate(parts)]
        left = self._check_budget([p for p, r in zip(parts, requests, strict=True) if self._is_new(r)])
        with self._mode(len(parts)) as mode:
            clients = [partial(client, replace(part, limit=left), mode) for part in parts]
            calls = [partial(self._journal.run, *pair) for pair in zip(requests, clients, strict=True)]
            return together(calls) if is_real(self.device) else [call() for call in calls]

    def _is_new(self, request: Request) -> bool:
        """Whether a job is still to be paid for: the journal has none that ended well or is under way."""
        assert self._journal is not None
        known = self._journal.entries(self._label) if self.budget_seconds is not None else []
        return request.key not in {entry.key for entry in known if entry.state not in ENDED}

    def _request(self, chunk: int, part: Part) -> Request:
        content, options = part.content(self.seed), part.step.described
        names = self._label, self.position, chunk, self.device_name
        return Request(*names, content, len(part.rows), self.shots, options, part.seconds)

    def _check_budget(self, parts: Iterable[Part]) -> float | None:
        """Return the seconds of QPU time that are left, if they are enough for jobs."""
        if self.budget_seconds is None:
            return None
        spent = self.spent()
        check_budget(sum(part.seconds for part in parts), spent, self.budget_seconds, self.shots)
        return self.budget_seconds - spent

    def _step(self, circuit: Circuit, observables: Sequence[Observable], factors: tuple[int, ...]) -> Step:
        steps, key = self._live.steps, (circuit, tuple(observables), factors)
        if key not in steps:
            steps[key] = Step.of(circuit, self._laid(circuit), key[1], self.device, self.options, factors)
        return steps[key]

    def _laid(self, circuit: Circuit) -> Laid:
        laid = self._live.laid
        if circuit not in laid:
            laid[circuit] = transpiled(circuit, self.device)
            self.transpiles += laid[circuit].fresh
        return laid[circuit]

    def _seed(self, chunk: int) -> int:
        """Return a seed for a job's simulation, at least 1: IBM's library takes 0 for none."""
        return 1 + int(np.random.SeedSequence([self._entropy, self.position, chunk]).generate_state(1)[0]) // 2

    @contextmanager
    def _mode(self, n_jobs: int) -> Iterator[Mode]:
        """Give what the jobs of one step are submitted to; several jobs share a batch."""
        if self.mode == "session":
            if self._live.session is None:
                self._live.session = Mode(self.device, "session")
                weakref.finalize(self._live, self._live.session.leave)  # at the end of the program, too
            yield self._live.session
            return
        mode = Mode(self.device, "batch" if self.mode == "batch" or n_jobs > 1 else "job")
        try:
            yield mode
        finally:
            mode.close()

    def _probabilities(self, words: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return probabilities from products of Z, with binomial errors, or an upper bound where they are mitigated."""
        size = words.shape[1]
        values = words @ hadamard(size) / size
        if self.options.mitigates:
            return values, np.tile(errors.sum(1, keepdims=True) / size, (1, size))
        clipped = values.clip(0, 1)
        return values, np.sqrt(clipped * (1 - clipped) / self.shots)

    def _begun(self, device: Any) -> Any:
        """Return the device on which a run with a label began, where any would do: there its jobs are."""
        if device != LEAST_BUSY or self.label is None:
            return device
        entries = Journal(self.store).entries(self.label)
        return entries[-1].device if entries else device

    @property
    def _label(self) -> str:
        return "default" if self.label is None else self.label

    @property
    def _live(self) -> _Live:
        if self._known is None:
            self._known = _Live(find(self._named, self.account))
        return self._known

    @property
    def _journal(self) -> Journal | None:
        if self._keeps and self._live.journal is None:
            self._live.journal = Journal(self.store)
        return self._live.journal

    @property
    def _keeps(self) -> bool:
        return self.label is not None or self.store is not None or is_real(self.device)

    def __getstate__(self) -> dict[str, Any]:
        state = vars(self) | {"_known": None}  # what is live belongs to its process, and may hold a token
        if not self._keeps:  # of others a copy goes on where the jobs are
            state |= {"position": 0, "_entropy": _entropy(self.seed, None)}
        return state

    def __repr__(self) -> str:
        return f"IBM({self.device_name!r}, shots={self.shots}, gradient={self.gradient.name!r})"


def client_for(entry: Entry) -> Client:
    """Return a client of the device that an entry of the journal names; it finds, fetches and cancels."""
    device = find(entry.device)
    return service_client(device) if is_real(device) else Elsewhere()


class _Live:
    """What no copy takes along: the device, what is transpiled for it, the journal and the session."""

    def __init__(self, device: BackendV2) -> None:
        self.device = device
        self.laid: dict[Circuit, Laid] = {}
        self.steps: dict[tuple[Circuit, tuple[Observable, ...], tuple[int, ...]], Step] = {}
        self.journal: Journal | None = None
        self.session: Mode | None = None


def _words(observables: Readout) -> tuple[Observable, ...]:
    if isinstance(observables, Probabilities) and len(observables.qubits) > MOST_QUBITS:
        raise ValueError(
            f"got the probabilities of {len(observables.qubits)} qubits, expected of at most {MOST_QUBITS} on IBM: "
            "read fewer of them, as observables=Probabilities((0, 1))"
        )
    return z_words(observables.qubits) if isinstance(observables, Probabilities) else observables


def _entropy(seed: int | None, label: str | None) -> int:
    """Return what the seeds of a run come from: its seed, else its label, else chance."""
    if seed is not None:
        return seed
    return int.from_bytes(os.urandom(8) if label is None else sha256(label.encode()).digest()[:8])


def _check(mode: Any, budget_seconds: Any, seed: Any) -> None:
    if mode not in _MODES:
        raise ValueError(f"got mode={mode!r}, expected 'job', 'batch' or 'session'")
    number = isinstance(budget_seconds, int | float) and not isinstance(budget_seconds, bool)
    if budget_seconds is not None and not (number and budget_seconds > 0):
        raise ValueError(f"got budget_seconds={budget_seconds!r}, expected a number > 0, or None for no limit")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0):
        raise ValueError(f"got seed={seed!r}, expected an integer >= 0, or None")
