"""Tree tensor network: pairs of qubits merge until one is left."""

from __future__ import annotations

from circuits.circuit import Circuit
from circuits.templates._blocks import RY_CX, check_block, place_each
from circuits.templates._checks import check_count


def tree_tensor_network(n_qubits: int, block: Circuit = RY_CX) -> Circuit:
    """Return ``prod_levels ⊗_pairs U(w_pair)``, a binary tree (Grant et al., arXiv:1804.03680).

    Also Huggins et al. (arXiv:1803.11537); the order of PennyLane's TTN. The second qubit of a pair goes on to the
    next level, the first is not used again; a last qubit without a partner goes on as it is. Read out the root, qubit
    n_qubits - 1.

    Parameters
    ----------
    n_qubits : int
        At least 2; need not be a power of two.
    block : Circuit
        U on two qubits, with weights and no features: ``CX (RY⊗RY)`` if not given, ``SU4`` for any unitary.

    Returns
    -------
    Circuit
        n_inputs = 0; weights of shape (n_qubits - 1, block.n_weights), level by level from the leaves, radians.

    Raises
    ------
    ValueError
        If ``n_qubits`` is less than 2 or ``block`` is not a circuit on two qubits without features.
    """
    check_count("n_qubits", n_qubits, least=2)
    check_block("block", block)
    pairs: list[tuple[int, int]] = []
    active = list(range(n_qubits))
    while len(active) > 1:
        pairs += zip(active[::2], active[1::2], strict=False)
        active = active[1::2] + active[-1:] * (len(active) % 2)
    return Circuit(n_qubits, place_each(block, pairs), n_weights=len(pairs) * block.n_weights)
