"""Circuits in the gates of a device: transpiled once per circuit and device, and kept on disk."""

from __future__ import annotations

import hashlib
import io
import os
import re
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import platformdirs
from qiskit import qasm3, qpy
from qiskit.circuit import QuantumCircuit
from qiskit.exceptions import QiskitError
from qiskit.providers import BackendV2
from qiskit.quantum_info import PauliList, SparsePauliOp
from qiskit.transpiler import Target, generate_preset_pass_manager

from backends.ibm_devices import target_of
from backends.qiskit_estimator import operator, prepared
from circuits import Circuit, Observable

_LEVEL, _SEED = 2, 1

#: Seconds between two shots where a device does not say: IBM's default.
REP_DELAY = 250e-6


class Laid(NamedTuple):
    """A circuit in the gates of a device, and which of ``circuit.angles`` each of its parameters is."""

    circuit: QuantumCircuit
    columns: tuple[int, ...]
    fresh: bool  # transpiled now, not read from the disk

    def operators(self, observables: Sequence[Observable], n_qubits: int) -> list[list[SparsePauliOp]]:
        """Return the observables on the qubits of the device, as a column of a PUB."""
        return [[operator(o, n_qubits).apply_layout(self.circuit.layout)] for o in observables]


def transpiled(circuit: Circuit, device: BackendV2) -> Laid:
    """Return the circuit in the gates of the device, from the disk if it was transpiled before."""
    target = target_of(device)
    path = folder() / f"{_key(circuit, device, target)}.qpy"
    found = _read(path)
    isa = found or _transpile(circuit, target)
    if found is None:
        _write(path, isa)
    return Laid(isa, tuple(int(re.findall(r"\[(\d+)\]", p.name)[0]) for p in isa.parameters), found is None)


def folder() -> Path:
    """Return where transpiled circuits are kept; it may be emptied at any time."""
    return Path(platformdirs.user_cache_dir("hybridqml")) / "transpiled"


def seconds_per_shot(isa: QuantumCircuit, device: BackendV2) -> float:
    """Return the delay between shots plus the duration of the circuit with its measurement, as the device states them.

    A device that states no durations, such as a plain simulator, counts with the delay alone.
    """
    configuration = getattr(device, "configuration", None)
    stated = getattr(configuration(), "default_rep_delay", None) if callable(configuration) else None
    measured = isa.copy()
    measured.measure_all()
    try:
        duration = measured.estimate_duration(device.target)
    except (QiskitError, TypeError):
        duration = 0.0
    return (REP_DELAY if stated is None else stated) + float(duration)


def files(isa: QuantumCircuit, name: str) -> dict[str, bytes]:
    """Return a circuit as OpenQASM 3, to read, and as QPY, to load."""
    body = io.BytesIO()
    qpy.dump(isa, body)
    return {f"transpiled/{name}.qasm": qasm3.dumps(isa).encode(), f"transpiled/{name}.qpy": body.getvalue()}


def n_bases(operators: Sequence[Sequence[SparsePauliOp]]) -> int:
    """Return how many measurement bases the observables need: qubit-wise commuting words share one."""
    words = {label for (op,) in operators for label in op.paulis.to_labels()}
    return len(PauliList(sorted(words)).group_commuting(qubit_wise=True))


def _transpile(circuit: Circuit, target: Target) -> QuantumCircuit:
    quantum_circuit, _ = prepared(circuit)
    manager = generate_preset_pass_manager(optimization_level=_LEVEL, target=target, seed_transpiler=_SEED)
    return manager.run(quantum_circuit)


def _key(circuit: Circuit, device: BackendV2, target: Target) -> str:
    parts = circuit.fingerprint, device.name, calibration(target), version("qiskit"), str(_LEVEL), str(_SEED)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def calibration(target: Target) -> str:
    """Return the sha256 of all that transpiling looks at: gates, qubits, durations and error rates of this day."""
    return _digest(target)


@lru_cache(maxsize=32)
def _digest(target: Target) -> str:
    rows = sorted(
        (name, repr(qubits), repr(p and (p.duration, p.error)))
        for name in target.operation_names
        for qubits, p in (target[name] or {None: None}).items()
    )
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def _read(path: Path) -> QuantumCircuit | None:
    """Return a kept circuit; None where there is none or it is damaged, so that it is made anew."""
    try:
        data = path.read_bytes()
        digest, body = data[:32], data[32:]
        return qpy.load(io.BytesIO(body))[0] if hashlib.sha256(body).digest() == digest else None
    except (OSError, QiskitError):
        return None


def _write(path: Path, isa: QuantumCircuit) -> None:
    """Keep a circuit, whole or not at all; a disk that takes nothing only costs time later."""
    body = io.BytesIO()
    qpy.dump(isa, body)
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(hashlib.sha256(body.getvalue()).digest() + body.getvalue())
        os.replace(temporary, path)
    except OSError:
        Path(temporary).unlink(missing_ok=True) if temporary else None
