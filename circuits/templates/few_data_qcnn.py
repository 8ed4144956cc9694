"""The QCNN of PennyLane's demonstration on generalisation from few data, a baseline for image classifiers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from circuits.angles import weights
from circuits.circuit import Circuit
from circuits.gates import CP, CRY, RXX, RYY, RZZ, U3, Op, PauliRot
from circuits.templates._checks import check_count
from circuits.templates._pairs import brick


def few_data_qcnn(n_qubits: int, n_levels: int = 1) -> Circuit:
    """Return ``A P_L C_L … P_1 C_1``: convolutions, poolings, any unitary (after Caro et al., arXiv:2111.05292).

    The circuit of PennyLane's demonstration "Generalization in QML from few training data", of which arXiv:2407.14055
    made its QCNN on top of ``amplitude_encoding``:

    - C_l, convolution, on even then odd neighbours: RXX, RYY, RZZ, U3⊗U3, with the same angles everywhere; in C_1 a
      U3⊗U3 comes before them on even neighbours.
    - P_l, pooling: every second qubit is measured, and at outcome 1 turns the qubit before it by U3; deferred to the
      end, a U3 that it controls.
    - A on the kept qubits 0, 2**n_levels, 2 * 2**n_levels, …, the ones to read out: a rotation about every Pauli word,
      in PennyLane's order.

    Parameters
    ----------
    n_qubits : int
        At least 2.
    n_levels : int
        L; before each there are at least two qubits.

    Returns
    -------
    Circuit
        n_inputs = 0. Weights in radians: 15 of C_1 and 3 of P_1; 9 and 3 of each further level; 4**kept - 1 of A. The
        demonstration counts 15 for every C_l, of which no gate uses six.

    Raises
    ------
    ValueError
        If a count is out of range.
    """
    check_count("n_qubits", n_qubits, least=2)
    check_count("n_levels", n_levels, most=(n_qubits - 1).bit_length())
    kept = range(0, n_qubits, 2**n_levels)
    w = weights(6 + 12 * n_levels + 4 ** len(kept) - 1)
    before, levels, last = w[:6], w[6 : 6 + 12 * n_levels].reshape(n_levels, 12), w[6 + 12 * n_levels :]
    ops: list[object] = []
    for number, level in enumerate(levels):
        active = range(0, n_qubits, 2**number)
        ops += _convolution(level[:9], active, before if number == 0 else None), _pooling(level[9:], active)
    ops += (PauliRot(angle, word, *kept) for angle, word in zip(last, _words(len(kept)), strict=True))
    return Circuit(n_qubits, ops, n_weights=len(w))


def _convolution(w: np.ndarray, active: Sequence[int], before: np.ndarray | None) -> Iterator[Op]:
    for i, j in brick(len(active)):
        pair = active[i], active[j]
        if before is not None and i % 2 == 0:
            yield from _local(before, pair)
        yield from (gate(angle, *pair) for gate, angle in zip((RXX, RYY, RZZ), w[:3], strict=True))
        yield from _local(w[3:], pair)


def _local(w: np.ndarray, pair: tuple[int, int]) -> Iterator[Op]:
    for (theta, phi, lam), qubit in zip(w.reshape(2, 3), pair, strict=True):
        yield from U3(theta, phi, lam, qubit)


def _pooling(w: np.ndarray, active: Sequence[int]) -> Iterator[Op]:
    theta, phi, lam = w
    for kept, measured in zip(active[::2], active[1::2], strict=False):
        yield from (CP(lam, measured, kept), CRY(theta, measured, kept), CP(phi, measured, kept))


def _words(n_qubits: int) -> list[str]:
    """Return all Pauli words but the identity as PennyLane's ArbitraryUnitary orders them, a Gray code in base 4."""
    digits = [[(i // 4**q - i // 4 ** (q + 1)) % 4 for q in range(n_qubits)] for i in range(1, 4**n_qubits)]
    return ["".join("IXYZ"[digit] for digit in word) for word in digits]
