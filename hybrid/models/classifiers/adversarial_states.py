"""The classifier of Ren et al. (arXiv:2204.01738) on quantum data, and how a quantum state is attacked.

A sample is a state |ψ>, its real parts, then its imaginary ones, and behind them three angles for every qubit, zeros:
RX, RY and RZ by these turn the state before anything else is done to it. They are all that an attack may change, so
radii are in radians, and what is attacked stays a state that errors in its preparation could have made. The circuit is
the paper's with weights alone in its rotations. Classical rivals take <Z> of every qubit of the turned state.

A start state has real amplitudes: a qubit in front, |0>|Re ψ> + |1>|Im ψ>, makes room for complex ones, of which

    <ψ|O|ψ> = <1 ⊗ O> - <Y ⊗ O>.
"""

from __future__ import annotations

import numpy as np

from circuits import CX, RX, RY, RZ, Circuit, Observable, inputs, pauli, weights
from circuits.gates import Gate, Op
from circuits.templates import amplitude_encoding
from hybrid.models.classifiers.adversarial_qnn import Samples

N_BLOCKS, _COLUMNS = 4, (RX, RZ, RX)

_TURNS = RX, RY, RZ


def samples(states: np.ndarray, n_qubits: int) -> np.ndarray:
    """Return states (n, 2**n_qubits) as samples, float32 (n, 2**(n_qubits + 1) + 3 n_qubits)."""
    angles = np.zeros((len(states), len(_TURNS) * n_qubits))
    return np.concatenate([states.real, states.imag, angles], 1).astype(np.float32)


def changeable(n_qubits: int) -> np.ndarray:
    """Return which values of a sample an attack may change: the angles."""
    n_amplitudes = 2 ** (n_qubits + 1)
    return np.arange(n_amplitudes + len(_TURNS) * n_qubits) >= n_amplitudes


def turned(n_features: int, n_qubits: int) -> Circuit:
    """Return the circuit without weights that prepares a sample: the state, turned."""
    angles = inputs(n_features)[2 ** (n_qubits + 1) :].reshape(len(_TURNS), n_qubits)
    turns = Circuit(n_qubits, [_column(*pair) for pair in zip(_TURNS, angles, strict=True)], n_inputs=n_features)
    return amplitude_encoding(n_qubits + 1) + turns.shift(qubits=1)


def circuit(n_features: int, n_qubits: int) -> Circuit:
    """Return the circuit of a sample: :func:`turned`, then 4 blocks of RX, RZ, RX on every qubit and bricks of CX."""
    w = weights(N_BLOCKS, len(_COLUMNS), n_qubits)
    bricks = [CX(q, q + 1) for first in (0, 1) for q in range(first, n_qubits - 1, 2)]
    blocks = [[[_column(*pair) for pair in zip(_COLUMNS, block, strict=True)], bricks] for block in w]
    return turned(n_features, n_qubits) + Circuit(n_qubits, blocks, n_weights=w.size).shift(qubits=1)


def _column(gate: Gate, angles: np.ndarray) -> list[Op]:
    return [gate(angle, q) for q, angle in enumerate(angles)]


def z_each(n_qubits: int) -> tuple[Observable, ...]:
    """Return Z of every qubit of the state."""
    return tuple(pauli(f"Z{q + 1}") - pauli(f"Y0 Z{q + 1}") for q in range(n_qubits))


STATES = Samples(circuit, z_each, turned)
