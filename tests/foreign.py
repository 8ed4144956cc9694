"""Whole-circuit matrices from PennyLane and Qiskit, qubit 0 leftmost."""

import numpy as np
import pennylane as qp
from qiskit.quantum_info import Operator


def pennylane_unitary(function, n_qubits):
    """Matrix of a PennyLane function without arguments."""
    return qp.matrix(function, wire_order=range(n_qubits))()


def qiskit_unitary(circuit):
    """Matrix of a Qiskit circuit or gate, its qubits reversed to our order."""
    return Operator(circuit).reverse_qargs().data


def equal_up_to_phase(a, b, tolerance=1e-10):
    """Whether two unitaries or states agree up to a global phase."""
    overlap = np.vdot(a, b)
    return np.allclose(a * (overlap / abs(overlap)), b, rtol=0, atol=tolerance)
