"""PennyLane's TorchLayer on default.qubit, backpropagation, the batch broadcast, in a loop over the steps."""

from __future__ import annotations

import numpy as np
import pennylane as qp
import torch
from torch import Tensor

from benchmarks.adapters._torch import Step, differentiated, leaf, threads
from benchmarks.adapters.pennylane_default import layer_of
from benchmarks.workloads import Workload

__all__ = ["prepare", "threads"]


def prepare(workload: Workload, x: np.ndarray, w: np.ndarray, device: str = "cpu") -> Step:
    machine = qp.device("default.qubit", wires=workload.n_qubits)
    layer = layer_of(workload, w, machine, None, diff_method="backprop").to(device)

    def unrolled(x: Tensor) -> Tensor:
        h, outputs = x.new_zeros(x.shape[1], len(workload.readout)), []
        for step in x:
            v = torch.cat([step, h], -1)
            h = torch.tanh(layer(torch.cat([v.arctan(), v.square().arctan()], -1)).reshape(h.shape))
            outputs.append(h)
        return torch.stack(outputs)

    return differentiated(unrolled, leaf(x, device), layer.w)
