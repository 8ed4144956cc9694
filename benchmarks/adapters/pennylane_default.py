"""PennyLane's TorchLayer on default.qubit, backpropagation, the batch broadcast."""

from __future__ import annotations

from typing import Any

import numpy as np
import pennylane as qp
import torch

from benchmarks.adapters._torch import Step, differentiated, leaf, threads
from benchmarks.workloads import Workload

__all__ = ["prepare", "threads"]


def prepare(workload: Workload, x: np.ndarray, w: np.ndarray, device: str = "cpu") -> Step:
    return torch_layer(workload, x, w, device, "default.qubit", diff_method="backprop")


def torch_layer(workload: Workload, x: np.ndarray, w: np.ndarray, device: str, name: str, **options: Any) -> Step:
    layer = layer_of(workload, w, qp.device(name, wires=workload.n_qubits), None, **options).to(device)
    return differentiated(lambda x: layer(x).reshape(len(x), -1), leaf(x, device), layer.w)


def layer_of(workload: Workload, w: np.ndarray, machine: Any, shots: int | None, **options: Any) -> qp.qnn.TorchLayer:
    @qp.set_shots(shots)
    @qp.qnode(machine, interface="torch", **options)
    def function(inputs, w):
        for gate, qubits, slot in workload.gates:
            if slot is None:
                getattr(qp, gate)(wires=qubits)
            else:
                getattr(qp, gate)(inputs[..., slot[1]] if slot[0] == "x" else w[slot[1]], wires=qubits[0])
        return [qp.expval(qp.PauliZ(q)) for q in workload.readout]

    layer = qp.qnn.TorchLayer(function, {"w": (workload.n_weights,)})
    layer.w.data.copy_(torch.as_tensor(w))
    return layer
