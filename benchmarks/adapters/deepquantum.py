"""DeepQuantum: weights and inputs as encoded data of a circuit that is built once."""

from __future__ import annotations

import deepquantum as dq
import numpy as np
import torch

from benchmarks.adapters._torch import Step, differentiated, leaf, threads, z_of_states
from benchmarks.workloads import Workload

__all__ = ["prepare", "threads"]


def prepare(workload: Workload, x: np.ndarray, w: np.ndarray, device: str = "cpu") -> Step:
    circuit = dq.QubitCircuit(workload.n_qubits)
    for name, qubits, slot in workload.gates:
        if slot is None:
            circuit.cnot(*qubits)
        else:
            getattr(circuit, name.lower())(*qubits, encode=True)
    circuit.to(device)
    weights, n = leaf(w, device), workload.n_qubits
    columns = [slot[1] + (n if slot[0] == "w" else 0) for _, _, slot in workload.gates if slot]

    def function(x: torch.Tensor) -> torch.Tensor:
        states = circuit(data=torch.cat([x, weights.expand(len(x), -1)], 1)[:, columns])
        return z_of_states(states.reshape(len(x), *(2,) * n), workload.readout)

    return differentiated(function, leaf(x, device), weights)
