"""Hybrid model with data re-uploading: linear, re-uploading circuit (Pérez-Salinas et al., arXiv:1907.02085), linear.

The features are compressed to a few angles, which enter the circuit anew in every layer; the Z value of each qubit
goes to a linear layer.
"""

from __future__ import annotations

from backends import Backend
from circuits import z_each
from circuits.templates import data_reuploading
from hybrid.dressed import Dressed


def build(
    n_features: int,
    n_classes: int,
    *,
    control: str | None = None,
    backend: Backend | None = None,
    n_qubits: int = 4,
    n_layers: int = 3,
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
    n_qubits, n_layers : int
        Size of the circuit ("reps").
    """
    circuit = data_reuploading(n_qubits, n_layers=n_layers, scaling=False)  # the encoder scales the features
    return Dressed(n_features, n_classes, circuit, z_each(n_qubits), control, backend)
