"""TorchQuantum: its functional gates on one device state for the whole batch."""

from __future__ import annotations

import numpy as np
import torch

try:
    import torchvision  # noqa: F401
except RuntimeError:  # torchvision for CUDA beside torch for the CPU: TorchQuantum only wants its data sets
    for operator in ("nms", "qnms"):
        torch.library.define(f"torchvision::{operator}", "(Tensor boxes, Tensor scores, float threshold) -> Tensor")
import torchquantum as tq

from benchmarks.adapters._torch import Step, differentiated, leaf, threads, z_of_states
from benchmarks.workloads import Workload

__all__ = ["prepare", "threads"]


def prepare(workload: Workload, x: np.ndarray, w: np.ndarray, device: str = "cpu") -> Step:
    weights = leaf(w, device)

    def function(x: torch.Tensor) -> torch.Tensor:
        state = tq.QuantumDevice(n_wires=workload.n_qubits, bsz=len(x), device=device)
        for name, qubits, slot in workload.gates:
            if slot is None:
                tq.functional.cnot(state, wires=list(qubits))
            else:
                angle = x[:, slot[1] : slot[1] + 1] if slot[0] == "x" else weights[slot[1]].view(1, 1)
                getattr(tq.functional, name.lower())(state, wires=qubits[0], params=angle)
        return z_of_states(state.states, workload.readout)

    return differentiated(function, leaf(x, device), weights)
