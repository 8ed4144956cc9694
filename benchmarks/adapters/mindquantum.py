"""MindQuantum: the Jacobian of its simulator in complex64, several samples at a time."""

from __future__ import annotations

import os
from collections.abc import Callable

import mindquantum as mq
import numpy as np
from mindquantum.core.circuit import Circuit
from mindquantum.core.gates import RX, RY, RZ, X
from mindquantum.core.operators import Hamiltonian, QubitOperator
from mindquantum.simulator import Simulator

from benchmarks.workloads import Workload

GATES = {"RX": RX, "RY": RY, "RZ": RZ}


def threads() -> int:
    return len(os.sched_getaffinity(0))


def prepare(
    workload: Workload, x: np.ndarray, w: np.ndarray, device: str = "cpu"
) -> Callable[[], tuple[np.ndarray, ...]]:
    x, w = np.asarray(x, "float32"), np.asarray(w, "float32")
    hamiltonians = [Hamiltonian(QubitOperator(f"Z{q}")).astype(mq.complex64) for q in workload.readout]
    simulator = Simulator("mqvector", workload.n_qubits, dtype=mq.complex64)
    jacobian = simulator.get_expectation_with_grad(hamiltonians, circuit(workload), parallel_worker=threads())

    def step() -> tuple[np.ndarray, ...]:
        y, by_x, by_w = (np.real(a) for a in jacobian(x, w))
        return y, np.einsum("bo,bow->w", 2 * y, by_w), np.einsum("bo,box->bx", 2 * y, by_x)

    return step


def circuit(workload: Workload) -> Circuit:
    """Return the circuit: the simulator takes its inputs and weights in the order of their first use, x0, x1, ..."""
    result = Circuit()
    for name, qubits, slot in workload.gates:
        if slot is None:
            result += X.on(qubits[1], qubits[0])
        else:
            gate = Circuit([GATES[name](f"{slot[0]}{slot[1]}").on(qubits[0])])
            result += gate.as_encoder() if slot[0] == "x" else gate.as_ansatz()
    return result
