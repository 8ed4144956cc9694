"""Ours: QuantumLayer on its default backend."""

from __future__ import annotations

import numpy as np
import torch

import circuits
from benchmarks.adapters._torch import Step, differentiated, leaf, threads
from benchmarks.workloads import Workload
from circuits import Circuit, inputs, pauli, weights
from qml import QuantumLayer

__all__ = ["prepare", "threads"]


def circuit(workload: Workload) -> Circuit:
    """Return the workload in this project's own terms."""
    slots = {"x": inputs(workload.n_qubits), "w": weights(workload.n_weights)}
    names = {"CNOT": "CX"}
    ops = [
        getattr(circuits, names.get(name, name))(*([slots[slot[0]][slot[1]]] if slot else []), *qubits)
        for name, qubits, slot in workload.gates
    ]
    return Circuit(workload.n_qubits, ops, workload.n_qubits, workload.n_weights)


def prepare(workload: Workload, x: np.ndarray, w: np.ndarray, device: str = "cpu") -> Step:
    observables = [pauli(f"Z{q}") for q in workload.readout]
    layer = QuantumLayer(circuit(workload), observables, device=device, dtype=torch.float32)
    layer.weights.data.copy_(torch.as_tensor(w))
    return differentiated(layer, leaf(x, device), layer.weights)
