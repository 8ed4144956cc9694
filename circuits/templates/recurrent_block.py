"""The variational block of quantum recurrent networks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from circuits.angles import inputs, weights
from circuits.circuit import Circuit
from circuits.gates import CX, RY, RZ, H, Op, Rot
from circuits.templates._checks import check_count


def recurrent_block(n_qubits: int, n_layers: int = 2) -> Circuit:
    """Return ``prod_l [⊗_q Rot(w_lq) R_2 R_1] ⊗_q RZ(arctan x_q²) RY(arctan x_q) H`` (Chen et al., arXiv:2009.01783).

    ``R_r = prod_q CX(q, q + r)``, indices mod n, q = 0 acting first; where q + r is q itself, there is no CX. The
    circuit of the QLSTM, and of the QRNN and QGRU of arXiv:2211.02612. Features may be any real numbers: arctan makes
    angles of them.

    Parameters
    ----------
    n_qubits : int
    n_layers : int
        Entanglers and rotations in a row ("reps"); 2 in the papers.

    Returns
    -------
    Circuit
        n_inputs = n_qubits; weights of shape (n_layers, n_qubits, 3), radians, in the order of ``Rot``: RZ, RY, RZ.

    Raises
    ------
    ValueError
        If a count is less than 1.
    """
    check_count("n_qubits", n_qubits)
    check_count("n_layers", n_layers)
    encoding = [(H(q), RY(np.arctan(x), q), RZ(np.arctan(x**2), q)) for q, x in enumerate(inputs(n_qubits))]
    layers = [
        [_ring(n_qubits, 1), _ring(n_qubits, 2), [Rot(a, b, c, q) for q, (a, b, c) in enumerate(layer)]]
        for layer in weights(n_layers, n_qubits, 3)
    ]
    return Circuit(n_qubits, [encoding, layers], n_qubits, 3 * n_qubits * n_layers)


def _ring(n_qubits: int, distance: int) -> Iterator[Op]:
    """Yield a CX from every qubit to the one at that distance, unless that is the qubit itself."""
    if distance % n_qubits:
        yield from (CX(q, (q + distance) % n_qubits) for q in range(n_qubits))
