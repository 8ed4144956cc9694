"""pyqtorch: one run of its circuit in complex64, differentiated by torch."""

from __future__ import annotations

import warnings

import numpy as np
import pyqtorch as pyq
import torch

from benchmarks.adapters._torch import Step, differentiated, leaf, threads, z_of_states
from benchmarks.workloads import Workload

__all__ = ["prepare", "threads"]


def prepare(workload: Workload, x: np.ndarray, w: np.ndarray, device: str = "cpu") -> Step:
    gates = [
        pyq.CNOT(*qubits) if slot is None else getattr(pyq, name)(*qubits, f"{slot[0]}{slot[1]}")
        for name, qubits, slot in workload.gates
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch: complex modules are new
        circuit = pyq.QuantumCircuit(workload.n_qubits, gates).to(device=device, dtype=torch.complex64)
    weights = leaf(w, device)

    def function(x: torch.Tensor) -> torch.Tensor:
        values = {f"x{i}": x[:, i] for i in range(x.shape[1])} | {f"w{j}": t for j, t in enumerate(weights)}
        states = pyq.run(circuit, circuit.init_state(len(x)), values)
        return z_of_states(states.movedim(-1, 0), workload.readout)

    return differentiated(function, leaf(x, device), weights)
