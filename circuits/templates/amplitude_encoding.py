"""Amplitude encoding: 2**n features in n qubits."""

from __future__ import annotations

from circuits.angles import inputs
from circuits.circuit import Circuit
from circuits.gates import amplitudes
from circuits.templates._checks import check_count


def amplitude_encoding(n_qubits: int, n_features: int | None = None) -> Circuit:
    """Return the start state ``sum_b x_b |b> / |x|``, padded with zeros (Schuld et al., arXiv:1804.00633).

    Runs on simulators only and must come first in a circuit. A sample of only zeros has no state and gives NaN.

    Parameters
    ----------
    n_qubits : int
    n_features : int, optional
        Number of features, at most 2**n_qubits (the default); the other amplitudes are zero.

    Returns
    -------
    Circuit
        n_inputs = n_features, n_weights = 0. Feature b is the amplitude of basis state b, qubit 0 its leading bit.

    Raises
    ------
    ValueError
        If ``n_qubits`` is less than 1, or ``n_features`` less than 1 or more than 2**n_qubits.
    """
    check_count("n_qubits", n_qubits)
    dim = 2**n_qubits
    n_features = dim if n_features is None else n_features
    check_count("n_features", n_features, most=dim)
    values = [*inputs(n_features), *[0.0] * (dim - n_features)]
    return Circuit(n_qubits, [amplitudes(values, *range(n_qubits))], n_inputs=n_features)
