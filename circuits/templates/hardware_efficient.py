"""Hardware-efficient ansatz: rotations a device has, entangled along its wires."""

from __future__ import annotations

from collections.abc import Sequence

from circuits.angles import weights
from circuits.circuit import Circuit
from circuits.gates import TABLE
from circuits.templates._checks import check_choice, check_count
from circuits.templates._pairs import Pairs, entangled_pairs

ROTATIONS, ENTANGLERS = ("RX", "RY", "RZ"), ("CX", "CZ")


def hardware_efficient(
    n_qubits: int,
    n_layers: int,
    rotations: Sequence[str] = ("RY", "RZ"),
    entanglement: str | Pairs = "linear",
    entangler: str = "CX",
    final_rotations: bool = True,
) -> Circuit:
    """Return ``R(w_L) prod_l U_ent R(w_l)`` with R a column of rotations (Kandala et al., arXiv:1704.05018).

    The paper has rotations Z, X, Z and its device's own entangler. With the defaults the gates of Qiskit's
    ``efficient_su2``, with ``rotations=["RY"]`` of ``real_amplitudes``, both at ``entanglement="linear"``.

    Parameters
    ----------
    n_qubits : int
    n_layers : int
        L, number of layers ("reps").
    rotations : sequence of {"RX", "RY", "RZ"}
        Rotations of every qubit, in the order they act.
    entanglement : {"linear", "ring", "brick", "full"} or sequence of (int, int)
        Pairs (control, target), in order: a chain; the chain closed by (n-1, 0); even then odd neighbours (Qiskit's
        "pairwise"); every i < j; or your own, for example [(2, 3), (1, 2), (0, 1)] for "reverse_linear".
    entangler : {"CX", "CZ"}
    final_rotations : bool
        Whether a last column of rotations follows the last entanglers.

    Returns
    -------
    Circuit
        n_inputs = 0; weights of shape (n_layers + final_rotations, len(rotations), n_qubits), radians.

    Raises
    ------
    ValueError
        If a count is less than 1, no rotation is given, or a name or pair is not one of those above.
    """
    _check(n_qubits, n_layers, rotations, entangler)
    pairs = entangled_pairs("entanglement", entanglement, n_qubits)
    gates, entangle = [TABLE[name] for name in rotations], TABLE[entangler]
    w = weights(n_layers + bool(final_rotations), len(gates), n_qubits)
    columns = [
        [gate(w[layer, k, q], q) for k, gate in enumerate(gates) for q in range(n_qubits)] for layer in range(len(w))
    ]
    entangling = [entangle(*pair) for pair in pairs]
    ops = [(column, entangling) for column in columns[:n_layers]]
    return Circuit(n_qubits, [ops, columns[n_layers:]], n_weights=w.size)


def _check(n_qubits: int, n_layers: int, rotations: Sequence[str], entangler: str) -> None:
    check_count("n_qubits", n_qubits)
    check_count("n_layers", n_layers)
    check_count("len(rotations)", len(rotations))
    for name in rotations:
        check_choice("rotations", name, ROTATIONS)
    check_choice("entangler", entangler, ENTANGLERS)
