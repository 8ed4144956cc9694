"""TensorCircuit-NG on torch, vmap over the batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorcircuit as tc
import torch

from benchmarks.adapters._torch import Step, differentiated, leaf, threads, z_of_states
from benchmarks.workloads import Workload

__all__ = ["prepare", "threads"]


def circuit(workload: Workload, x: Any, w: Any) -> Any:
    """Return the circuit of one sample, on whichever library TensorCircuit computes with."""
    circuit = tc.Circuit(workload.n_qubits)
    for name, qubits, slot in workload.gates:
        if slot is None:
            circuit.cnot(*qubits)
        else:
            getattr(circuit, name.lower())(*qubits, theta=(x if slot[0] == "x" else w)[slot[1]])
    return circuit


def prepare(workload: Workload, x: np.ndarray, w: np.ndarray, device: str = "cpu") -> Step:
    tc.set_backend("pytorch")
    leaves = leaf(x, device), leaf(w, device)
    states = torch.vmap(lambda x, w: circuit(workload, x, w).state(), (0, None))
    shape = len(x), *(2,) * workload.n_qubits
    return differentiated(
        lambda x: z_of_states(states(x, leaves[1]).reshape(shape), workload.readout), leaves[0], leaves[1]
    )
