"""PennyLane's TorchLayer on lightning.qubit, adjoint differentiation."""

from __future__ import annotations

import os

import numpy as np

from benchmarks.adapters._torch import Step
from benchmarks.adapters.pennylane_default import torch_layer
from benchmarks.workloads import Workload


def threads() -> int:
    return int(os.environ.get("OMP_NUM_THREADS", 0)) or len(os.sched_getaffinity(0))


def prepare(workload: Workload, x: np.ndarray, w: np.ndarray, device: str = "cpu") -> Step:
    on_device = workload.n_qubits > 10  # whether the device multiplies by the outer gradient: the faster of the two
    return torch_layer(workload, x, w, device, "lightning.qubit", diff_method="adjoint", device_vjp=on_device)
