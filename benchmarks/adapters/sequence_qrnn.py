"""Ours: QRNN on its default backend."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.adapters._torch import Step, differentiated, leaf, threads
from benchmarks.workloads import Workload
from qml import QRNN

__all__ = ["prepare", "threads"]


def prepare(workload: Workload, x: np.ndarray, w: np.ndarray, device: str = "cpu") -> Step:
    n_layers = workload.n_weights // (3 * workload.n_qubits)
    rnn = QRNN(x.shape[-1], len(workload.readout), n_layers=n_layers, device=device, dtype=torch.float32)
    weights = rnn.cells[0].block.weights
    weights.data.copy_(torch.as_tensor(w))
    return differentiated(lambda x: rnn(x)[0], leaf(x, device), weights)
