"""Noise by hand: a density matrix, Kraus operators after every gate, and bits that flip. Shares no code with Aer."""

import itertools

import dense
import numpy as np

from circuits import CX, H, Probabilities, Sdg

TURNS = {"X": (H,), "Y": (Sdg, H), "Z": ()}


def depolarizing(rate, n_qubits):
    """Kraus operators that replace a state by the fully mixed one with probability `rate`."""
    words = list(itertools.product("IXYZ", repeat=n_qubits))
    weight = [rate / len(words) + (1 - rate) * (k == 0) for k in range(len(words))]  # the first is the identity
    return [np.sqrt(p) * dense.word(word) for p, word in zip(weight, words, strict=True)]


def amplitude_damping(rate):
    return [np.diag([1, np.sqrt(1 - rate)]), np.array([[0, np.sqrt(rate)], [0, 0]])]


def apply(rho, operators, qubits, n_qubits):
    """Sum of K rho K^+ over operators on some qubits."""
    whole = [dense.embed(k, qubits, n_qubits) for k in operators]
    return sum(k @ rho @ k.conj().T for k in whole)


def run(circuit, x, w, kraus, turns=()):
    """The density matrix after the circuit and the turns, with the operators `kraus(gate)` after every gate."""
    n = circuit.n_qubits
    rho = np.zeros((2**n, 2**n), complex)
    rho[0, 0] = 1
    for op in (*circuit.ops, *turns):
        angles = [float(angle.evaluate(np.asarray(x, float), np.asarray(w, float))) for angle in op.angles]
        rho = apply(rho, [dense.op_matrix(op, angles)], op.qubits, n)
        rho = apply(rho, kraus(op.gate), op.qubits, n)
    return rho


def outcomes(rho, qubits, n_qubits, flips):
    """Probabilities of what is read on some qubits, first one leading; flips[true, read] for each."""
    joint = np.real(np.diag(rho)).reshape((2,) * n_qubits)
    kept = sorted(qubits)
    joint = joint.sum(tuple(q for q in range(n_qubits) if q not in qubits))
    joint = joint.transpose([kept.index(q) for q in qubits]).ravel()
    return joint @ dense.kron(*[flips] * len(qubits))


def flip(rate):
    return np.array([[1 - rate, rate], [rate, 1 - rate]])


def read_out(circuit, x, w, readout, kraus, flips):
    """Readouts of one sample: each word by a measurement of its own."""
    n = circuit.n_qubits
    if isinstance(readout, Probabilities):
        return outcomes(run(circuit, x, w, kraus), readout.qubits, n, flips)
    return np.array([sum(c * _word(circuit, x, w, word, kraus, flips) for word, c in o.terms) for o in readout])


def _word(circuit, x, w, word, kraus, flips):
    if not word:
        return 1.0
    turns = [gate(q) for q, letter in word for gate in TURNS[letter]]
    read = outcomes(run(circuit, x, w, kraus, turns), [q for q, _ in word], circuit.n_qubits, flips)
    return read @ [(-1) ** bin(outcome).count("1") for outcome in range(len(read))]


def by_size(rate, one=None):
    """Depolarizing noise after every gate, on its qubits; of another rate on one qubit, where it is given."""
    return lambda gate: depolarizing(rate if one is None or gate.n_qubits > 1 else one, gate.n_qubits)


def after_two(rate):
    """Amplitude damping on both qubits of a CX, in turn."""
    pair = [np.kron(a, b) for a in amplitude_damping(rate) for b in amplitude_damping(rate)]
    return lambda gate: pair if gate == CX else [np.eye(2**gate.n_qubits)]
