"""Matrix product state: a staircase of two-qubit blocks."""

from __future__ import annotations

from circuits.circuit import Circuit
from circuits.templates._blocks import RY_CX, check_block, place_each
from circuits.templates._checks import check_count
from circuits.templates._pairs import linear


def mps(n_qubits: int, block: Circuit = RY_CX) -> Circuit:
    """Return ``U(w_{n-2}) … U(w_1) U(w_0)``, U(w_i) on qubits (i, i+1) (Huggins et al., arXiv:1803.11537).

    The order of PennyLane's MPS with two-qubit blocks: a matrix product state of bond dimension 2. Read out the last
    qubit, n_qubits - 1, which every block reaches.

    Parameters
    ----------
    n_qubits : int
        At least 2.
    block : Circuit
        U on two qubits, with weights and no features: ``CX (RY⊗RY)`` if not given, ``SU4`` for any unitary.

    Returns
    -------
    Circuit
        n_inputs = 0; weights of shape (n_qubits - 1, block.n_weights), radians.

    Raises
    ------
    ValueError
        If ``n_qubits`` is less than 2 or ``block`` is not a circuit on two qubits without features.
    """
    check_count("n_qubits", n_qubits, least=2)
    check_block("block", block)
    pairs = linear(n_qubits)
    return Circuit(n_qubits, place_each(block, pairs), n_weights=len(pairs) * block.n_weights)
