"""Fused programs as whole-space matrices, built from their bit masks alone."""

import dense
import numpy as np

from circuits import Circuit


def parity(bits):
    """0 or 1 for every integer of an array: whether its number of ones is odd."""
    return np.bitwise_count(np.asarray(bits)) & 1


def word(flip, select, n_qubits):
    """The Hermitian Pauli word |i> -> (-1)**|select & i| |i ^ flip>, times i where that alone is not Hermitian."""
    i = np.arange(2**n_qubits)
    out = np.zeros((len(i), len(i)), complex)
    out[i ^ flip, i] = (1j if parity(flip & select) else 1) * (1 - 2.0 * parity(select & i))
    return out


def turn_word(op, letter, n_qubits):
    """The Pauli word of a letter on the mask of a fused rotation."""
    flip, select = op.masks[0]
    if parity(flip & select):  # a qubit of its own
        flip, select = {"X": (flip, 0), "Y": (flip, select), "Z": (0, select)}[letter]
    return word(flip, select, n_qubits)


def op_matrix(op, matrices, taus, n_qubits):
    """Matrix of a fused gate at the numeric tau of every slot."""
    out, i = np.eye(2**n_qubits, dtype=complex), np.arange(2**n_qubits)
    if op.kind == "turns":
        for turn in op.turns:
            tau = taus[turn.slot]
            out = (np.cos(tau) * np.eye(len(i)) - 1j * np.sin(tau) * turn_word(op, turn.letter, n_qubits)) @ out
        return out
    values = [parity(select & i) for _, select in op.masks]
    if op.kind == "sign":
        return np.diag(1.0 - 2 * np.prod(values, 0))
    if op.kind == "controlled":
        (flip, select), chosen = op.masks[0], np.prod(values[1:], 0)
        x, z = word(flip, 0, n_qubits), word(0, select, n_qubits)
        return np.diag(1 - chosen) + ((x + z) / np.sqrt(2) if op.index else x) * chosen
    out, matrix = 0 * out, matrices[op.index]
    column = sum(value << (len(values) - 1 - m) for m, value in enumerate(values))
    for row in range(len(matrix)):
        change = np.zeros_like(i)
        for m, (flip, _) in enumerate(op.masks):
            change ^= flip * ((row ^ column) >> (len(values) - 1 - m) & 1)
        out[i ^ change, i] = matrix[row, column]
    return out


def is_gate(op):
    """Whether a fused operation changes the state; others read it."""
    return op.kind not in ("word", "diagonal")


def start_state(circuit, order, x, w):
    """Amplitudes of the start state, the qubits of its index in the given order."""
    registers = Circuit(circuit.n_qubits, [op for op in circuit.ops if op.gate.kind == "amplitudes"], len(x), len(w))
    return dense.state(registers, x, w).reshape((2,) * circuit.n_qubits).transpose(order).ravel()


def readouts(program, circuit, x, w):
    """Readouts of a fused program: expectations of the observables or probabilities of the outcomes."""
    n, x, w = program.n_qubits, np.asarray(x, float), np.asarray(w, float)
    taus = [float(slot.evaluate(x, w)) for slot in program.slots]
    psi = start_state(circuit, program.order, x, w)
    for op in filter(is_gate, program.ops):
        psi = op_matrix(op, program.matrices, taus, n) @ psi
    if program.outcomes:
        outcome = sum(parity(select & np.arange(2**n)) << k for k, select in enumerate(reversed(program.outcomes)))
        return np.bincount(outcome, abs(psi) ** 2, 2 ** len(program.outcomes))
    values = [(psi.conj() @ word(p.flip, p.select, n) @ psi).real for p in program.words]
    columns = zip(program.columns, program.constants, strict=True)
    return np.array([constant + sum(c * values[k] for k, c in column) for column, constant in columns])
