"""A small job for the stand-in service, and what it must give."""

import warnings

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp, Statevector
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime import EstimatorV2

ROWS = np.random.default_rng(1).uniform(-np.pi, np.pi, (3, 3))
WORDS = ("ZII", "XXI", "IYZ")


def example():
    t = ParameterVector("t", 3)
    circuit = QuantumCircuit(3)
    for q in range(3):
        circuit.ry(t[q], q)
    circuit.cx(0, 1)
    circuit.rx(t[0], 2)
    circuit.cx(1, 2)
    return circuit


def expected():
    states = [Statevector(example().assign_parameters(row)) for row in ROWS]
    return np.array([[state.expectation_value(SparsePauliOp(word)).real for state in states] for word in WORDS])


def submit(backend, kind=EstimatorV2, rows=ROWS, shots=2048, tags=(), mode=None, level=0):
    isa = generate_preset_pass_manager(optimization_level=1, backend=backend, seed_transpiler=1).run(example())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # EstimatorV2: while it is there it is tested
        estimator = kind(mode=mode or backend)
    if level is not None:
        estimator.options.resilience_level = level
    estimator.options.default_shots = shots
    estimator.options.environment.job_tags = list(tags)
    return estimator.run([(isa, [[SparsePauliOp(word).apply_layout(isa.layout)] for word in WORDS], rows)])
