"""PennyLane's TorchLayer on lightning.qubit with shots, parameter-shift."""

from __future__ import annotations

from functools import cache

import numpy as np
import pennylane as qp
from pennylane_lightning.lightning_qubit import LightningQubit

from benchmarks.adapters._hardware import SEED, SHOTS, Step, counts, differentiated, executed, watch
from benchmarks.adapters.pennylane_default import layer_of
from benchmarks.adapters.pennylane_lightning import threads
from benchmarks.workloads import Workload

__all__ = ["counts", "prepare", "threads"]

watching = cache(watch)


def prepare(workload: Workload, x: np.ndarray, w: np.ndarray, device: str = "lightning") -> Step:
    watching(LightningQubit, "execute", executed)
    machine = qp.device("lightning.qubit", wires=workload.n_qubits, seed=SEED)
    layer = layer_of(workload, w, machine, SHOTS, diff_method="parameter-shift")
    return differentiated(lambda x: layer(x).reshape(len(x), -1), workload, x, layer.w)
