"""The independent oracle: whole-space matrices, written out by hand, multiplied in order. Shares no gate code."""

import numpy as np
from scipy.linalg import expm

SIGMA = {
    "I": np.array([[1, 0], [0, 1]], complex),
    "X": np.array([[0, 1], [1, 0]], complex),
    "Y": np.array([[0, -1j], [1j, 0]], complex),
    "Z": np.array([[1, 0], [0, -1]], complex),
}


def kron(*factors):
    """Tensor product, first factor leftmost."""
    out = np.eye(1)
    for factor in factors:
        out = np.kron(out, factor)
    return out


def word(letters):
    """Matrix of a Pauli word."""
    return kron(*(SIGMA[p] for p in letters))


def controlled(matrix):
    """|0><0| (x) 1 + |1><1| (x) matrix."""
    return kron(np.diag([1, 0]), np.eye(len(matrix))) + kron(np.diag([0, 1]), matrix)


def rx(t):
    return np.array([[np.cos(t / 2), -1j * np.sin(t / 2)], [-1j * np.sin(t / 2), np.cos(t / 2)]])


def ry(t):
    return np.array([[np.cos(t / 2), -np.sin(t / 2)], [np.sin(t / 2), np.cos(t / 2)]])


def rz(t):
    return np.diag([np.exp(-1j * t / 2), np.exp(1j * t / 2)])


def phase(t):
    return np.diag([1, np.exp(1j * t)])


def two_qubit_rotation(letters):
    return lambda t: expm(-0.5j * t * word(letters))


HADAMARD = np.array([[1, 1], [1, -1]]) / np.sqrt(2)
SQRT_X = np.array([[1 + 1j, 1 - 1j], [1 - 1j, 1 + 1j]]) / 2
SWAPPED = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])

FIXED = {
    "I": SIGMA["I"],
    "X": SIGMA["X"],
    "Y": SIGMA["Y"],
    "Z": SIGMA["Z"],
    "H": HADAMARD,
    "S": phase(np.pi / 2),
    "Sdg": phase(-np.pi / 2),
    "T": phase(np.pi / 4),
    "Tdg": phase(-np.pi / 4),
    "SX": SQRT_X,
    "SXdg": SQRT_X.conj().T,
    "CX": controlled(SIGMA["X"]),
    "CY": controlled(SIGMA["Y"]),
    "CZ": np.diag([1, 1, 1, -1]),
    "CH": controlled(HADAMARD),
    "SWAP": SWAPPED,
    "ISWAP": np.array([[1, 0, 0, 0], [0, 0, 1j, 0], [0, 1j, 0, 0], [0, 0, 0, 1]]),
    "CCX": controlled(controlled(SIGMA["X"])),
    "CCZ": np.diag([1, 1, 1, 1, 1, 1, 1, -1]),
    "CSWAP": controlled(SWAPPED),
}

ROTATION = {
    "RX": rx,
    "RY": ry,
    "RZ": rz,
    "P": phase,
    "CRX": lambda t: controlled(rx(t)),
    "CRY": lambda t: controlled(ry(t)),
    "CRZ": lambda t: controlled(rz(t)),
    "CP": lambda t: np.diag([1, 1, 1, np.exp(1j * t)]),
    "RXX": two_qubit_rotation("XX"),
    "RYY": two_qubit_rotation("YY"),
    "RZZ": two_qubit_rotation("ZZ"),
    "RZX": two_qubit_rotation("ZX"),
}


def op_matrix(op, angles):
    """Matrix of one operation on its own qubits, at numeric angles."""
    name = op.gate.name
    if name == "unitary":
        return np.array(op.gate.entries).reshape(2 ** len(op.qubits), -1)
    if name == "PauliRot":
        return expm(-0.5j * angles[0] * word(op.gate.generator[0][1]))
    return ROTATION[name](angles[0]) if angles else FIXED[name]


def embed(matrix, qubits, n_qubits):
    """The matrix on the whole space, element by element: slow and plain."""
    dim, others = 2**n_qubits, [q for q in range(n_qubits) if q not in qubits]
    bits = np.array([[(b >> (n_qubits - 1 - q)) & 1 for q in range(n_qubits)] for b in range(dim)])
    local = sum(bits[:, q] << (len(qubits) - 1 - k) for k, q in enumerate(qubits))
    same = (bits[:, None, others] == bits[None, :, others]).all(-1)
    return np.where(same, matrix[local[:, None], local[None, :]], 0)


def state(circuit, x=(), w=()):
    """Final state vector, complex128 (2**n_qubits,)."""
    x, w = np.asarray(x, float), np.asarray(w, float)
    psi = np.zeros(2**circuit.n_qubits, complex)
    psi[0] = 1
    for op in circuit.ops:
        angles = [float(angle.evaluate(x, w)) for angle in op.angles]
        if op.gate.name == "amplitudes":
            column = np.array(angles) / np.linalg.norm(angles)
            matrix = np.zeros((len(column),) * 2)
            matrix[:, 0] = column
        else:
            matrix = op_matrix(op, angles)
        psi = embed(matrix, op.qubits, circuit.n_qubits) @ psi
    return psi


def unitary(circuit, x=(), w=()):
    """Matrix of the whole circuit."""
    out = np.eye(2**circuit.n_qubits)
    for op in circuit.ops:
        angles = [float(a.evaluate(np.asarray(x, float), np.asarray(w, float))) for a in op.angles]
        out = embed(op_matrix(op, angles), op.qubits, circuit.n_qubits) @ out
    return out


def observable_matrix(observable, n_qubits):
    """Matrix of an observable on the whole space."""
    total = np.zeros((2**n_qubits,) * 2, complex)
    for pauli_word, coefficient in observable.terms:
        letters = dict(pauli_word)
        total += coefficient * word([letters.get(q, "I") for q in range(n_qubits)])
    return total


def expectation(circuit, x, w, observables):
    """<O> for every observable, float64 (n_observables,)."""
    psi = state(circuit, x, w)
    return np.array([(psi.conj() @ observable_matrix(o, circuit.n_qubits) @ psi).real for o in observables])


def probabilities(circuit, x, w, qubits):
    """Outcome probabilities of the named qubits, first one leading, float64 (2**k,)."""
    joint = (abs(state(circuit, x, w)) ** 2).reshape((2,) * circuit.n_qubits)
    others = tuple(q for q in range(circuit.n_qubits) if q not in qubits)
    marginal = joint.sum(others)
    kept = [q for q in range(circuit.n_qubits) if q in qubits]
    return marginal.transpose([kept.index(q) for q in qubits]).ravel()
