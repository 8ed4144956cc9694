"""Any PennyLane device as a backend."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import pennylane as qp
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from backends.base import Capabilities, Estimate, EvaluatingBackend
from backends.gradients import Gradient, as_gradient
from backends.pennylane_convert import measurements, operations
from backends.shots import bases, checked_shots, estimate, taken
from circuits import Circuit
from circuits.observables import Readout, Word

#: Numbers of a batch of states that are simulated together: 4 MiB at 16 bytes each, fastest where they stay in cache.
NUMBERS_AT_ONCE = 2**18

#: Bits of samples that are held at once: 256 MiB as PennyLane has them.
BITS_AT_ONCE = 2**25

_IMPORTED_IN = os.getpid()

_TURN = threading.Lock()  # a device that was given serves one thread at a time: devices keep their state in themselves


class PennyLane(EvaluatingBackend):
    """Run circuits on a PennyLane device; all samples and shifted samples of a call go to it together.

    Parameters
    ----------
    device : str or qp.devices.Device
        A name, for example ``"lightning.qubit"``, of which devices are made as circuits need them, or a device with
        wires 0, 1, …, which is used as it is.
    shots : int, optional
        For each sample and each basis; exact if not given. Words that agree letter by letter share one basis, and the
        gates that turn qubits into it are gates of the circuit, for a device with noise too.
    diff_method : {"parameter-shift", "best", "finite-diff", "spsa"} or Gradient, optional
        Parameter shift, exact to any order, if not given.
    seed : int, optional
        Of the shots: two backends with one seed give the same numbers, call by call. Copies start anew.
    **device_options
        Passed to ``qp.device``.

    Raises
    ------
    TypeError
        If ``device`` is neither a name nor a device, or a device comes with a seed or options.
    ValueError
        If the device, an option, ``shots`` or ``diff_method`` is not known, or the device's wires are not 0, 1, ….
    """

    def __init__(
        self,
        device: str | qp.devices.Device = "default.qubit",
        shots: int | None = None,
        diff_method: str | Gradient | None = None,
        seed: int | None = None,
        **device_options: Any,
    ) -> None:
        super().__init__(as_gradient(diff_method, seed))
        self.device = device
        self.options = device_options | ({} if seed is None else {"seed": seed})
        trial = _checked_device(device, self.options)
        self.shots = checked_shots(trial.shots.total_shots if shots is None else shots)
        self._n_wires = _n_wires(trial) if device is trial or "wires" in self.options else None
        self._live = threading.local()  # devices made here, for each thread its own

    @property
    def capabilities(self) -> Capabilities:
        """What the backend can do."""
        most = self._n_wires or (14 if self._name == "default.mixed" else 30)
        return Capabilities(self.gradient.name, self.shots is None, most, ("cpu", "cuda"), frozenset({"amplitudes"}))

    def evaluate(self, circuit: Circuit, angles: Tensor, observables: Readout) -> Tensor | Estimate:
        """Return the readouts of every row; see :class:`backends.EvaluatingBackend`."""
        turn = nullcontext() if isinstance(self.device, str) else _TURN
        with np.errstate(invalid="ignore"), _threads(), turn:  # a start state of zeros gives NaN
            if self.shots is not None:
                return Estimate(*map(torch.from_numpy, self._sampled(circuit, angles.numpy(), observables, self.shots)))
            (values,) = self._execute(circuit, angles.numpy(), [([], measurements(observables))], _rows)
            return torch.from_numpy(values)

    def _sampled(self, circuit: Circuit, angles: np.ndarray, readout: Readout, shots: int) -> tuple[np.ndarray, ...]:
        """Return values and standard errors, piece by piece where the samples of all rows would be many."""
        size = max(1, BITS_AT_ONCE // (shots * circuit.n_qubits))
        pieces = [
            self._piece(circuit, rows, readout, shots) for rows in np.split(angles, range(size, len(angles), size))
        ]
        return tuple(map(np.concatenate, zip(*pieces, strict=True)))

    def _piece(self, circuit: Circuit, angles: np.ndarray, readout: Readout, shots: int) -> tuple[np.ndarray, ...]:
        """Return values and standard errors, from the same shots for all words that agree."""
        ends = [(_turns(basis), [qp.sample(wires=[qubit for qubit, _ in basis])]) for basis in bases(readout)]
        found = self._execute(circuit, angles, ends, _bits)
        return estimate(readout, list(map(taken, found)), len(angles), shots)

    def _execute(self, circuit: Circuit, angles: np.ndarray, ends: list[Any], read: Any) -> list[np.ndarray]:
        """Return what every end of the circuit, gates and measurements, gives for all rows, in one call."""
        tapes = [list(self._tapes(circuit, angles, *end)) for end in ends]
        flat = tuple(itertools.chain.from_iterable(tapes))
        results = iter(qp.execute(flat, self._live_device(circuit.n_qubits), diff_method=None) if flat else ())
        return [np.concatenate([read(tape, next(results)) for tape in each]) for each in tapes]

    def _tapes(self, circuit: Circuit, angles: np.ndarray, gates: list[Any], measured: list[Any]) -> Iterator[Any]:
        """Yield tapes of many rows each, which PennyLane splits where a device cannot take them."""
        size = max(1, NUMBERS_AT_ONCE >> circuit.n_qubits * (2 if self._name == "default.mixed" else 1))
        for rows in np.split(angles, range(size, len(angles), size)):
            equal = (rows == rows[0]).all(0)  # angles of weights alone, mostly: one number is cheaper than a column
            values = [column[0] if same else column for column, same in zip(rows.T, equal, strict=True)]
            tape = qp.tape.QuantumScript([*operations(circuit, values), *gates], measured, shots=self.shots)
            yield from [tape] * (len(rows) if equal.all() else 1)

    @property
    def _name(self) -> str:
        return self.device if isinstance(self.device, str) else self.device.name

    def _live_device(self, n_qubits: int) -> qp.devices.Device:
        """Return the device for a number of qubits, made once in each thread of each process."""
        if not isinstance(self.device, str):
            return self.device
        live, key = self._live.__dict__, f"{os.getpid()}:{n_qubits}"
        if key not in live:
            live[key] = qp.device(self.device, **{"wires": n_qubits} | self.options)
        return live[key]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_live"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _live=threading.local())

    def __repr__(self) -> str:
        return f"PennyLane({self._name!r}, shots={self.shots}, gradient={self.gradient.name!r})"


def _checked_device(device: Any, options: dict[str, Any]) -> qp.devices.Device:
    """Return the device, or a small one of that name, made to see that the name and the options are right."""
    if isinstance(device, qp.devices.Device):
        if options:
            raise TypeError(f"got a device together with {options}, expected it alone: give them to qp.device(...)")
        return device
    if not isinstance(device, str):
        raise TypeError(f"got {type(device).__name__} as a device, expected a name or what qp.device(...) returns")
    if device not in qp.plugin_devices:
        known = ", ".join(sorted(qp.plugin_devices))
        raise ValueError(f"got the device {device!r}, expected one of {known}: install the plugin that has it")
    try:
        return qp.device(device, **{"wires": 1} | options)
    except Exception as error:  # whatever the plugin raises
        text = " ".join(str(error).split())
        raise ValueError(f"got the device {device!r} with options {options}, which it refuses: {text}") from error


def _n_wires(device: qp.devices.Device) -> int | None:
    """Return the number of a device's wires, None where it takes any."""
    if device.wires is None:
        return None
    if list(device.wires) != list(range(len(device.wires))):
        raise ValueError(f"got a device with the wires {list(device.wires)}, expected 0, 1, …: make it with wires=n")
    return len(device.wires)


def _threads() -> AbstractContextManager[Any]:
    """Return a limit of one thread in a forked process, where the OpenMP threads of lightning would wait for ever."""
    return threadpool_limits(1, user_api="openmp") if os.getpid() != _IMPORTED_IN else nullcontext()


def _turns(basis: Word) -> list[qp.operation.Operator]:
    """Return the gates that turn a basis into that of Z, which is measured."""
    with qp.QueuingManager.stop_recording():
        turns = {"X": lambda q: [qp.H(q)], "Y": lambda q: [qp.adjoint(qp.S(q)), qp.H(q)], "Z": lambda q: []}
        return [gate for qubit, letter in basis for gate in turns[letter](qubit)]


def _bits(tape: qp.tape.QuantumScript, result: Any) -> np.ndarray:
    """Return the samples of a tape, (n_rows, shots, n_measured)."""
    shape = tape.batch_size or 1, tape.shots.total_shots, len(tape.measurements[0].wires)
    return np.asarray(result).astype(np.uint8).reshape(shape)


def _rows(tape: qp.tape.QuantumScript, result: Any) -> np.ndarray:
    """Return the readouts of a tape, float64 (rows, n_readouts)."""
    n_rows = tape.batch_size or 1
    if isinstance(tape.measurements[0], qp.measurements.ProbabilityMP):
        return np.asarray(result, dtype=float).reshape(n_rows, -1)
    columns = result if len(tape.measurements) > 1 else [result]
    return np.stack([np.broadcast_to(np.asarray(column, dtype=float), n_rows) for column in columns], axis=1)
