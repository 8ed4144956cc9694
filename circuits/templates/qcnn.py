"""Quantum convolutional neural network."""

from __future__ import annotations

from collections.abc import Iterator

from circuits.angles import weights
from circuits.circuit import Circuit
from circuits.gates import Op
from circuits.templates._blocks import CONTROLLED_ROT, SU4, check_block, place, place_each, xyx
from circuits.templates._checks import AXES, check_choice, check_count
from circuits.templates._pairs import brick, full
from circuits.templates.angle_encoding import angle_encoding


def qcnn(
    n_qubits: int,
    n_final: int = 1,
    encoding: str | None = "Y",
    convolution: Circuit = SU4,
    pooling: Circuit = CONTROLLED_ROT,
) -> Circuit:
    """Return ``F P_k C_k … P_1 C_1`` after an encoding: convolutions, poolings (Cong et al., arXiv:1810.03787).

    - C_l, convolution: one two-qubit unitary on all neighbours, even pairs then odd pairs, the same everywhere.
    - P_l, pooling: every second qubit is measured, and its outcome decides on a rotation of the qubit before it. The
      measurement is deferred to the end: the rotation is controlled by the qubit, which is not used again. It rotates
      at outcome 1; a rotation common to both outcomes is part of the next convolution. A last qubit without a partner
      is passed on.
    - F, fully connected: any unitary on one or two final qubits, on more a two-qubit unitary per pair.

    C and P repeat, each level with its own weights, until at most ``n_final`` qubits are left: :func:`kept_qubits`,
    the ones to read out. The paper leaves the forms of the unitaries open and pools two of three qubits in its example.

    Parameters
    ----------
    n_qubits : int
        At least 2; need not be a power of two.
    n_final : int
        Most qubits to keep, less than n_qubits.
    encoding : {"X", "Y", "Z"}, optional
        Axis of the angle encoding of n_qubits features in radians; None to leave it out and put your own before.
    convolution : Circuit
        The two-qubit unitary; any one, with 15 weights, if not given.
    pooling : Circuit
        The conditional rotation: its qubit 0 is measured, its qubit 1 is kept; any controlled one, with 3 weights, if
        not given.

    Returns
    -------
    Circuit
        n_inputs = n_qubits or 0. Weights in radians: per level those of the convolution, then of the pooling; last
        those of F, 3 for one final qubit, 15 per pair for more.

    Raises
    ------
    ValueError
        If a count is out of range, ``encoding`` is another name, or a block is not a circuit on two qubits.
    """
    kept = kept_qubits(n_qubits, n_final)
    if encoding is not None:
        check_choice("encoding", encoding, AXES)
    check_block("convolution", convolution)
    check_block("pooling", pooling)
    levels = _levels(n_qubits, n_final)
    per_level = convolution.n_weights + pooling.n_weights
    ops = [_level(active, convolution, pooling, i * per_level) for i, active in enumerate(levels[:-1])]
    n_shared, n_last = per_level * (len(levels) - 1), 15 * len(full(len(kept))) or 3
    ansatz = Circuit(n_qubits, (ops, _fully_connected(kept, n_shared)), n_weights=n_shared + n_last)
    return ansatz if encoding is None else angle_encoding(n_qubits, encoding) + ansatz


def kept_qubits(n_qubits: int, n_final: int = 1) -> tuple[int, ...]:
    """Return the qubits that a QCNN of these sizes keeps to the end: the ones to read out.

    Parameters
    ----------
    n_qubits, n_final : int
        As in :func:`qcnn`.

    Raises
    ------
    ValueError
        If a count is out of range.
    """
    check_count("n_qubits", n_qubits, least=2)
    check_count("n_final", n_final, most=n_qubits - 1)
    return _levels(n_qubits, n_final)[-1]


def _levels(n_qubits: int, n_final: int) -> list[tuple[int, ...]]:
    """Return the qubits in use at each level, first all, last the kept ones."""
    levels = [tuple(range(n_qubits))]
    while len(levels[-1]) > n_final:
        levels.append(levels[-1][::2])
    return levels


def _level(active: tuple[int, ...], convolution: Circuit, pooling: Circuit, first_weight: int) -> Iterator[Op]:
    for i, j in brick(len(active)):
        yield from place(convolution, (active[i], active[j]), first_weight)
    for measured, kept in zip(active[1::2], active[::2], strict=False):
        yield from place(pooling, (measured, kept), first_weight + convolution.n_weights)


def _fully_connected(kept: tuple[int, ...], first_weight: int) -> Iterator[Op]:
    if len(kept) == 1:
        return iter(xyx(weights(first_weight + 3)[first_weight:], kept[0]))
    return place_each(SU4, [(kept[i], kept[j]) for i, j in full(len(kept))], first_weight)
