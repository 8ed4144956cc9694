"""Interleaved block encoding: pixels and weights added in the same rotations, many per qubit."""

from __future__ import annotations

import math

from circuits.angles import inputs, weights
from circuits.circuit import Circuit
from circuits.gates import CX, RX, RZ
from circuits.templates._checks import check_count
from circuits.templates._pairs import brick


def interleaved_block_encoding(n_qubits: int, n_features: int, n_blocks: int = 4, scale: float = 2.0) -> Circuit:
    """Return ``prod_blocks CX_brick prod_columns ⊗_q R(c x_j + π + θ_j)`` (Ren et al., arXiv:2204.01738).

    The features fill columns of rotations, one per qubit, the last column up with zeros; columns alternate RX, RZ, RX,
    …. The columns are split into blocks of one length, the first with the remainder, and CX on even, then on odd
    neighbours end each block: 256 pixels on 10 qubits are blocks of 8, 6, 6 and 6 columns with 36 CX. The paper scales
    images to unit L2 norm and reads Z on qubit ``n_qubits // 2 - 1``. Where the last column is RZ, as in the paper,
    readouts of Z do not depend on its features and weights.

    Parameters
    ----------
    n_qubits : int
    n_features : int
        D, for example the pixels of an image.
    n_blocks : int
        At most the number of columns, ceil(n_features / n_qubits).
    scale : float
        c, radians per unit of a feature.

    Returns
    -------
    Circuit
        n_inputs = n_features; as many weights θ as rotations, n_qubits * ceil(n_features / n_qubits), in radians.

    Raises
    ------
    ValueError
        If a count is out of range.
    """
    check_count("n_qubits", n_qubits)
    check_count("n_features", n_features)
    n_columns = -(-n_features // n_qubits)
    check_count("n_blocks", n_blocks, most=n_columns)
    angles = weights(n_columns * n_qubits) + math.pi
    angles[:n_features] = angles[:n_features] + scale * inputs(n_features)
    ends = range(n_columns, 0, -(n_columns // n_blocks))[:n_blocks]  # of blocks, in columns, from the last one
    entangle = [CX(*pair) for pair in brick(n_qubits)]
    columns = [
        ([(RX, RZ)[number % 2](angle, q) for q, angle in enumerate(column)], entangle if number + 1 in ends else ())
        for number, column in enumerate(angles.reshape(n_columns, n_qubits))
    ]
    return Circuit(n_qubits, columns, n_features, len(angles))
