"""Circuit 14 of Sim, Johnson and Aspuru-Guzik's comparison: RY and two rings of CRX, one each way."""

from __future__ import annotations

from circuits.angles import weights
from circuits.circuit import Circuit
from circuits.gates import CRX, RY
from circuits.templates._checks import check_count


def sim14(n_qubits: int, n_layers: int = 1) -> Circuit:
    """Return ``[prod_i CRX(i-1, i-2) ⊗_q RY prod_i CRX(i-1, i) ⊗_q RY]^L``, circuit 14 of arXiv:1905.10876.

    By Sim, Johnson and Aspuru-Guzik. CRX(c, t) has control c and target t, indices are mod n, and i = 0
    acts first, as in Harvey et al. (arXiv:2308.07865), whose tensor networks merge with it.

    Parameters
    ----------
    n_qubits : int
        At least 2.
    n_layers : int
        L, how often the layer is repeated ("reps").

    Returns
    -------
    Circuit
        n_inputs = 0; weights of shape (n_layers, 4, n_qubits), radians: RY, CRX, RY, CRX.

    Raises
    ------
    ValueError
        If ``n_qubits`` is less than 2 or ``n_layers`` less than 1.
    """
    check_count("n_qubits", n_qubits, least=2)
    check_count("n_layers", n_layers)
    layers = []
    for first, forth, second, back in weights(n_layers, 4, n_qubits):
        layers += [RY(angle, q) for q, angle in enumerate(first)]
        layers += [CRX(angle, (i - 1) % n_qubits, i) for i, angle in enumerate(forth)]
        layers += [RY(angle, q) for q, angle in enumerate(second)]
        layers += [CRX(angle, (i - 1) % n_qubits, (i - 2) % n_qubits) for i, angle in enumerate(back)]
    return Circuit(n_qubits, layers, n_weights=4 * n_layers * n_qubits)
