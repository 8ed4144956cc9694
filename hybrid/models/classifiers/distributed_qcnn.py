"""A hybrid QCNN for medical images whose circuit can be cut (Li et al., arXiv:2501.06225); its controls.

Convolutions, a linear layer to 8 features u = π/2 tanh(f), the circuit
``Π_i CX_i,i+1 RY_i+1(b_i) RY_i(a_i) Π_q RY_q(u_q) H_q`` with <Z> on every qubit, and a linear layer. Known of the
paper's circuit are 8 qubits, H and RY for the features, the matrix-product shape of the kernel, and that it is cut into
4 and 5 qubits; its gates, the range of u and the readout are chosen here. Small convolutions stand for its MobileNetV2,
without batch norm, which in small batches makes so much of a rounding error that equal trainings part.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

import backends
from backends import Backend
from circuits import Circuit, H
from circuits.templates import angle_encoding, mps
from hybrid.models.classifiers.hqnn_parallel import Angles, convolved, flat
from hybrid.models.classifiers.rows import Settings
from qml import QuantumLayer

CONTROLS = ("separable", "frozen", "removed", "linear")

N_QUBITS = 8


def build(
    shape: Sequence[int],
    n_classes: int,
    settings: Settings,
    backend: Backend,
    control: str | None = None,
    max_qubits: int | None = None,
) -> nn.Module:
    """Return the hybrid network in double precision, or one of its controls with the same first weights elsewhere.

    Parameters
    ----------
    shape : (1, H, W)
        Of an image.
    n_classes : int
    settings : mapping
        With ``channels``, two numbers, and ``kernel``, an odd one.
    backend : Backend
        Where the circuit runs.
    control : {"separable", "frozen", "removed", "linear"}, optional
        The circuit without entangling gates; untrained; nothing in its place; a linear layer and tanh in it.
    max_qubits : int, optional
        Of the backend: the circuit is cut into fragments that fit; not cut if not given.

    Raises
    ------
    ValueError
        If the control has another name.
    """
    before = [*convolved(shape, settings, normed=False), nn.Linear(flat(shape, settings), N_QUBITS), Angles()]
    after = nn.Linear(N_QUBITS, n_classes)  # before the core is drawn: every control starts from the same one
    place = backend if max_qubits is None else backends.Cut(backend, max_qubits)
    return nn.Sequential(*before, _core(place, control), after).double()


def circuit() -> Circuit:
    """Return the circuit of 8 features and 14 weights."""
    start = Circuit(N_QUBITS, [H(q) for q in range(N_QUBITS)])
    return start + angle_encoding(N_QUBITS, "Y") + mps(N_QUBITS)


def _core(backend: Backend, control: str | None) -> nn.Module:
    match control:
        case None | "separable" | "frozen":
            chosen = circuit().separable() if control == "separable" else circuit()
            return QuantumLayer(chosen, backend=backend).requires_grad_(control != "frozen")
        case "removed":
            return nn.Identity()
        case "linear":
            return nn.Sequential(nn.Linear(N_QUBITS, N_QUBITS), nn.Tanh())
    raise ValueError(f"got control={control!r}, expected one of {', '.join(CONTROLS)} or None")
