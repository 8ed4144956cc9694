"""Ours: QuantumLayer on backends with shots."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

import backends
from backends import EvaluatingBackend
from benchmarks.adapters._hardware import (
    DEVICE,
    SEED,
    SHOTS,
    Step,
    counts,
    differentiated,
    executed,
    experiments,
    handed_in,
    transpiled,
    watch,
)
from benchmarks.adapters._torch import threads
from benchmarks.adapters.quantum_layer import circuit
from benchmarks.workloads import Workload
from circuits import pauli
from qml import QuantumLayer

__all__ = ["counts", "prepare", "threads"]


@cache
def backend(machine: str) -> EvaluatingBackend:
    """Return the backend of a machine, watched."""
    if machine == "lightning":
        from pennylane_lightning.lightning_qubit import LightningQubit

        watch(LightningQubit, "execute", executed)
        return backends.PennyLane("lightning.qubit", shots=SHOTS, seed=SEED)
    from qiskit.transpiler import StagedPassManager
    from qiskit_aer import AerSimulator

    watch(StagedPassManager, "run", transpiled)
    watch(AerSimulator, "run", experiments)
    if machine == "aer":
        watch(AerSimulator, "run", handed_in)
        return backends.Aer(shots=SHOTS, noise=DEVICE, seed=SEED)
    from qiskit_ibm_runtime.executor_estimator import Estimator

    watch(Estimator, "run", handed_in)
    return backends.IBM(DEVICE, shots=SHOTS, seed=SEED)


def prepare(workload: Workload, x: np.ndarray, w: np.ndarray, device: str = "aer") -> Step:
    observables = [pauli(f"Z{q}") for q in workload.readout]
    layer = QuantumLayer(circuit(workload), observables, backend=backend(device), dtype=torch.float32)
    layer.weights.data.copy_(torch.as_tensor(w))
    return differentiated(layer, workload, x, layer.weights)
