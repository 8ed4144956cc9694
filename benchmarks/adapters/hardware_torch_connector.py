"""qiskit-machine-learning's TorchConnector of an EstimatorQNN, transpiled beforehand: its fastest way.

BackendEstimatorV2 hands all PUBs of a call to the simulator at once. Aer's own EstimatorV2, which draws no shots but
adds Gaussian noise, and the local mode of IBM's client-side Estimator run PUB after PUB: eight to ten times as long.
A pass manager given to EstimatorQNN transpiles the circuit of every PUB again in each backward pass.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.primitives import BackendEstimatorV2
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import StagedPassManager, generate_preset_pass_manager
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel
from qiskit_ibm_runtime.fake_provider import FakeManilaV2
from qiskit_machine_learning.connectors import TorchConnector
from qiskit_machine_learning.neural_networks import EstimatorQNN

from benchmarks.adapters._hardware import (
    SEED,
    SHOTS,
    Step,
    counts,
    differentiated,
    experiments,
    handed_in,
    transpiled,
    watch,
)
from benchmarks.adapters._torch import threads
from benchmarks.workloads import Workload

__all__ = ["counts", "prepare", "threads"]

#: Level and seed of transpiling, for each machine those of ours.
TRANSPILING = {"aer": (1, 0), "fake": (2, 1)}


@cache
def estimator(machine: str) -> BackendEstimatorV2:
    """Return the estimator of a machine, watched."""
    watch(StagedPassManager, "run", transpiled)
    watch(AerSimulator, "run", experiments)
    watch(BackendEstimatorV2, "run", handed_in)
    fake = FakeManilaV2()
    simulator = fake if machine == "fake" else AerSimulator(noise_model=NoiseModel.from_backend(fake))
    simulator.set_options(max_parallel_experiments=threads()) if machine == "aer" else None
    return BackendEstimatorV2(backend=simulator, options={"default_precision": SHOTS**-0.5, "seed_simulator": SEED})


def circuit(workload: Workload) -> tuple[QuantumCircuit, dict[str, Any]]:
    """Return the workload in Qiskit's terms, and its parameters."""
    found = QuantumCircuit(workload.n_qubits)
    slots = {"x": ParameterVector("x", workload.n_qubits), "w": ParameterVector("w", workload.n_weights)}
    for name, qubits, slot in workload.gates:
        angle = [slots[slot[0]][slot[1]]] if slot else []
        getattr(found, {"CNOT": "cx"}.get(name, name.lower()))(*angle, *qubits)
    return found, slots


def prepare(workload: Workload, x: np.ndarray, w: np.ndarray, device: str = "aer") -> Step:
    primitive, (made, slots), (level, seed) = estimator(device), circuit(workload), TRANSPILING[device]
    isa = generate_preset_pass_manager(level, backend=FakeManilaV2(), seed_transpiler=seed).run(made)
    words = [SparsePauliOp.from_sparse_list([("Z", [q], 1.0)], workload.n_qubits) for q in workload.readout]
    network = EstimatorQNN(
        circuit=isa,
        estimator=primitive,
        observables=[word.apply_layout(isa.layout) for word in words],
        input_params=list(slots["x"]),
        weight_params=list(slots["w"]),
        default_precision=SHOTS**-0.5,
    )
    layer = TorchConnector(network, initial_weights=w)
    return differentiated(layer, workload, x, layer.weight)
