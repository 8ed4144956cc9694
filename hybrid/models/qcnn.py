"""Hybrid model with a quantum convolutional network: linear, QCNN (Cong et al., arXiv:1810.03787), linear.

The features are compressed to one angle per qubit; convolution and pooling leave ``n_final`` qubits, whose Z values
a linear layer turns into logits.
"""

from __future__ import annotations

from backends import Backend
from circuits import pauli
from circuits.templates import qcnn
from circuits.templates.qcnn import kept_qubits
from hybrid.dressed import Dressed


def build(
    n_features: int,
    n_classes: int,
    *,
    control: str | None = None,
    backend: Backend | None = None,
    n_qubits: int = 8,
    n_final: int = 4,
) -> Dressed:
    """Return the model or one of its controls.

    Parameters
    ----------
    n_features, n_classes : int
        Width of the samples; number of logits.
    control : {"removed", "linear", "separable", "frozen"}, optional
        What replaces the trained circuit, see :mod:`hybrid.dressed`.
    backend : Backend, optional
        Where the circuit runs.
    n_qubits, n_final : int
        Qubits of the circuit, and how many of them pooling leaves.
    """
    observables = [pauli(f"Z{q}") for q in kept_qubits(n_qubits, n_final)]
    return Dressed(n_features, n_classes, qcnn(n_qubits, n_final), observables, control, backend)
