"""Hadamard cascade: one feature per qubit, Hadamards and a chain of CX."""

from __future__ import annotations

from circuits.angles import inputs
from circuits.circuit import Circuit
from circuits.gates import CX, RY, H
from circuits.templates._checks import check_choice, check_count
from circuits.templates._pairs import linear


def hadamard_cascade(n_qubits: int, hadamard: str = "first") -> Circuit:
    """Return ``prod_q CX(q, q + 1) H ⊗_q RY(x_q)``, q = 0 acting first: the map of Sarkar (arXiv:2408.03351).

    "A Hadamard gate" is read as one on qubit 0, which the paper does not say; ``"all"`` is the other reading. The chain
    permutes basis states, qubit q takes the parity of qubits 0 to q: outcome probabilities are those of independent
    coins in another order. One is ``P(1) = (1 - sin x_q)/2`` after a Hadamard, equal for x and π - x, and
    ``sin²(x_q/2)`` without, equal for x and -x.

    Parameters
    ----------
    n_qubits : int
        Number of qubits and of features, each an angle in radians.
    hadamard : {"first", "all"}
        Which qubits have a Hadamard.

    Returns
    -------
    Circuit
        n_inputs = n_qubits, n_weights = 0.

    Raises
    ------
    ValueError
        If ``n_qubits`` is less than 1 or ``hadamard`` is another name.
    """
    check_count("n_qubits", n_qubits)
    check_choice("hadamard", hadamard, ("first", "all"))
    rotations = [RY(x, q) for q, x in enumerate(inputs(n_qubits))]
    superposed = [H(q) for q in range(n_qubits if hadamard == "all" else 1)]
    return Circuit(n_qubits, [rotations, superposed, [CX(*pair) for pair in linear(n_qubits)]], n_inputs=n_qubits)
