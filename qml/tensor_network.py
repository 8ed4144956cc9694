"""Quantum tensor networks on sequences of letters, exactly and without 2**length: channels from bond to bond.

A state of q qubits is the real vector of the expectation values ``r_P = Tr(P ρ)`` of its 4**q Pauli words, of which the
identity's is 1. A box U that merges two states and gives up every second qubit is then a real tensor:

    r'_S = sum_PQ T_SPQ r_P s_Q,      T_SPQ = 4**-q Tr[U† (S ⊗ D) U (P ⊗ Q)]

with S on the qubits that are kept, and on the others D = 1 where they are discarded, or |0…0><0…0| where they are
post-selected: ``r'`` is then divided by ``r'_1``, the probability of that outcome. A network is simulated, whatever its
length; its circuit, for a device, has q qubits a letter.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from functools import lru_cache, partial, reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from backends.identity import constants
from backends.statevector.matrix import circuit_matrix
from circuits import RX, RZ, Circuit, Op, inputs, weights
from circuits.gates import PAULIS
from circuits.templates import iqp_ansatz, sim9, sim14
from qml.checks import whole
from qml.init import normal_

Qubits = tuple[int, ...]

BOXES: dict[str, Callable[[int], Circuit]] = {"sim14": sim14, "sim9": sim9, "iqp": iqp_ansatz}
SHARINGS = ("uniform", "hierarchical")
REDUCTIONS = ("discard", "postselect")

#: The tensor of a box has 64**3 entries then.
MAX_QUBITS = 3


def merge(box: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Return ``sum_jk box[i, j, k] left[j] right[k]`` for vectors (*, d) and a box (d, d, d)."""
    return (left[..., :, None] * right[..., None, :]).flatten(-2) @ box.flatten(-2).mT


def path(tokens: Tensor, letters: Tensor, boxes: Tensor, post_selected: bool = False) -> Tensor:
    """Return ``h_L`` of ``h_1 = s_1, h_t = merge(h_{t-1}, s_t)``.

    Steps are linear in h, so they are multiplied with each other, neighbours first: log L products instead of L.

    Parameters
    ----------
    tokens : Tensor, int64, shape (*, L)
    letters : Tensor, shape (n_letters, d)
        The vector of each letter.
    boxes : Tensor, shape (1 or L - 1, d, d, d)
        One for all steps, or one each.
    post_selected : bool
        Whether to divide by the first entry, which then is 1.

    Returns
    -------
    Tensor, shape (*, d)
    """
    of_letters = torch.einsum("bijk,nk->bnij", boxes, letters)
    offsets = len(letters) * torch.arange(len(boxes), device=tokens.device)
    steps = F.embedding(tokens[..., 1:] + offsets, of_letters.flatten(0, 1).flatten(-2))
    steps = steps.unflatten(-1, boxes.shape[-2:])
    while steps.shape[-3] > 1:
        steps = _halved(steps, lambda first, second: second @ first, -3)
        steps = steps / steps[..., :1, :1] if post_selected else steps
    start = F.embedding(tokens[..., 0], letters)[..., None]
    state = (steps[..., 0, :, :] @ start if steps.shape[-3] else start)[..., 0]
    return state / state[..., :1] if post_selected else state


def tree(tokens: Tensor, letters: Tensor, boxes: Tensor, post_selected: bool = False) -> Tensor:
    """Return the root of the binary tree that merges neighbours, level by level; a last one without partner goes on.

    Parameters and result are those of :func:`path`, but that boxes are (1 or n_levels, d, d, d), n_levels = ⌈log2 L⌉.
    """
    states = F.embedding(tokens, letters)
    for box in boxes.expand(n_levels(tokens.shape[-1]), -1, -1, -1):
        states = _halved(states, partial(merge, box), -2)
        states = states / states[..., :1] if post_selected else states
    return states[..., 0, :]


LAYOUTS = {"tree": tree, "path": path}


def n_levels(length: int) -> int:
    """Return the number of levels of a binary tree of so many leaves."""
    return (length - 1).bit_length()


class QuantumTensorNetwork(nn.Module):
    """A path or a tree of boxes that merge the letters of a sequence into a few qubits; for simulation only.

    Letters are states ``ρ_s``, and a box is ``B(ρ, σ) = Tr_odd[U(w) (ρ ⊗ σ) U(w)†]``, every second qubit given up. A
    path is ``h_1 = ρ(s_1), h_t = B(h_{t-1}, ρ(s_t))``; a tree merges neighbours level by level. The last qubit that is
    left is measured. Harvey, Yeung and Meichanetzidis, arXiv:2308.07865; on proteins Kundu et al., arXiv:2403.06890.
    Their convolutional networks are trees that have boxes between the pairs of a level too. These entangle every pair
    with its neighbours, so that the states to be merged are no product any more: they are left out.

    One qubit is prepared by ``RX(c) RZ(b) RX(a)``, a first; more by the template of the boxes.

    Parameters
    ----------
    n_letters : int
        Size of the alphabet, with a letter for padding if there is one.
    length : int
        Letters of a sequence.
    layout : {"tree", "path"}
        In a tree, a last state that has no partner goes on as it is.
    sharing : {"uniform", "hierarchical"}
        One box everywhere; or one per level of the tree, or step of the path.
    box : {"sim14", "sim9", "iqp"} or callable
        U of twice as many qubits as a bond has: a name, or a function of the number of qubits that returns a circuit
        without features, as ``partial(sim14, n_layers=2)``.
    reduce : {"discard", "postselect"}
        Whether the qubits that are given up are ignored, or kept only where they are 0. Probabilities are then those
        among what is kept; where nothing is, with probability 0, they are NaN.
    n_qubits : int
        Of a bond and of a letter, 1 to 3.
    padding : int, optional
        The letter that fills shorter sequences up at the end; they are refused if not given.
    init : callable, optional
        Fills the angles in place; normal with a standard deviation of 0.1 if not given, as a long path of random boxes
        forgets what it has read.
    device : torch.device, optional
        Of the angles.
    dtype : torch.dtype, optional
        Of the angles: float32 or float64; torch's default if not given.

    Attributes
    ----------
    letters : Parameter, shape (n_letters, n_angles)
        In radians; 3 for a qubit.
    boxes : Parameter, shape (n_boxes, n_weights)
        In radians.

    Raises
    ------
    ValueError
        If a name or a number is out of range, or a box no circuit of its size without features.

    Examples
    --------
    >>> network = QuantumTensorNetwork(21, 64, sharing="hierarchical")
    >>> network(torch.randint(21, (32, 64))).shape
    torch.Size([32, 2])
    """

    def __init__(
        self,
        n_letters: int,
        length: int,
        layout: str = "tree",
        sharing: str = "uniform",
        box: str | Callable[[int], Circuit] = "sim14",
        reduce: str = "discard",
        n_qubits: int = 1,
        *,
        padding: int | None = None,
        init: Callable[[Tensor], Any] = normal_,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name, value, known in (
            ("layout", layout, LAYOUTS), ("sharing", sharing, SHARINGS), ("reduce", reduce, REDUCTIONS),
        ):  # fmt: skip
            _check_choice(name, value, known)
        self.n_letters, self.length = whole("n_letters", n_letters), whole("length", length, 2)
        self.n_qubits = whole("n_qubits", n_qubits, most=MAX_QUBITS)
        self.padding = None if padding is None else whole("padding", padding, 0, n_letters - 1)
        self.layout, self.sharing, self.reduce, self.init = layout, sharing, reduce, init
        self.letter_circuit, self.box_circuit = _circuits(box, n_qubits)
        n_boxes = (length - 1 if layout == "path" else n_levels(length)) if sharing == "hierarchical" else 1
        made: dict[str, Any] = {"device": device, "dtype": dtype}
        self.letters = nn.Parameter(torch.empty(n_letters, self.letter_circuit.n_weights, **made))
        self.boxes = nn.Parameter(torch.empty(n_boxes, self.box_circuit.n_weights, **made))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new angles with ``init``, from torch's generator."""
        with torch.no_grad():
            self.init(self.letters)
            self.init(self.boxes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the probabilities of 0 and 1 of the last qubit.

        Parameters
        ----------
        tokens : Tensor, int64, shape (*, length), or shorter where there is a letter for padding

        Returns
        -------
        Tensor, shape (*, 2), of the dtype of the angles

        Raises
        ------
        TypeError
            If the tokens are no integers.
        ValueError
            If the shape is wrong, or a token no letter.
        """
        z = self.root(tokens)[..., 3:4]  # the words I…II, I…IX, I…IY, I…IZ come first
        return torch.cat([1 + z, 1 - z], -1) / 2

    def root(self, tokens: Tensor) -> Tensor:
        """Return the expectation values of all Pauli words at the root, (*, 4**n_qubits), in the order I, X, Y, Z."""
        tokens = self._checked(tokens)
        with torch.autocast(tokens.device.type, enabled=False):  # of a long product nothing would be left
            return LAYOUTS[self.layout](tokens, self.states(), self.channels(), self.reduce == "postselect")

    def states(self) -> Tensor:
        """Return the state of each letter, (n_letters, 4**n_qubits) expectation values."""
        ket = circuit_matrix(self.letter_circuit, self.letters)[..., :1]
        return pauli_vector(ket @ ket.mH)

    def channels(self) -> Tensor:
        """Return the tensors of the boxes, (n_boxes, d, d, d) with d = 4**n_qubits: kept, left, right."""
        U = circuit_matrix(self.box_circuit, self.boxes)[:, None]
        kept = _kept(self.n_qubits, self.reduce, U.dtype, U.device)
        d = 4**self.n_qubits
        return pauli_vector(U.mH @ kept @ U).unflatten(-1, (d, d)) / d

    def circuit(self) -> tuple[Circuit, Qubits]:
        """Return the whole circuit, of n_qubits qubits a letter, and those of them that are left at the root.

        Its features are the angles of the letters of a sequence, ``network.letters[tokens].flatten(-2)``, and its
        weights those of the boxes: ``QuantumLayer(circuit, Probabilities(root[-1:]), backend)`` runs it anywhere. What
        is discarded is not measured; for post-selection all other qubits are to be measured and kept where they are 0.
        """
        x = inputs(self.length * self.letter_circuit.n_weights).reshape(self.length, -1)
        w = weights(*self.boxes.shape)
        size = self.n_qubits
        bonds = [tuple(range(size * i, size * (i + 1))) for i in range(self.length)]
        ops = [_placed(self.letter_circuit, bond, angles) for bond, angles in zip(bonds, x, strict=True)]
        level = 0
        while len(bonds) > 1:
            n_pairs = 1 if self.layout == "path" else len(bonds) // 2
            pairs = [bonds[2 * i] + bonds[2 * i + 1] for i in range(n_pairs)]
            ops += [_placed(self.box_circuit, pair, w[min(level, len(w) - 1)]) for pair in pairs]
            bonds = [pair[::2] for pair in pairs] + bonds[2 * n_pairs :]
            level += 1
        return Circuit(size * self.length, ops, x.size, w.size), bonds[0]

    def extra_repr(self) -> str:
        """Return what ``print(network)`` shows."""
        sizes = f"n_letters={self.n_letters}, length={self.length}, n_qubits={self.n_qubits}"
        return f"{sizes}, layout={self.layout!r}, sharing={self.sharing!r}, reduce={self.reduce!r}"

    def _checked(self, tokens: Tensor) -> Tensor:
        if not isinstance(tokens, Tensor) or tokens.dtype not in (torch.int64, torch.int32):
            found = tokens.dtype if isinstance(tokens, Tensor) else type(tokens).__name__
            raise TypeError(f"got tokens of {found}, expected integers: number the letters, tokens.long()")
        n, fits = tokens.shape[-1] if tokens.ndim else 0, self.padding is not None
        if n != self.length and not (fits and 0 < n < self.length):
            expected = f"(*, {self.length})" + " or shorter" * fits
            short = "leave empty ones out" if fits else "give padding=, the letter that fills them up"
            hint = "cut them" if n > self.length else short
            raise ValueError(f"got tokens of shape {tuple(tokens.shape)}, expected {expected}: {hint}")
        if tokens.numel() and not 0 <= tokens.min() <= tokens.max() < self.n_letters:
            raise ValueError(
                f"got tokens from {tokens.min()} to {tokens.max()}, expected 0 to {self.n_letters - 1}: "
                "give n_letters, and number the letters from 0"
            )
        return F.pad(tokens, (0, self.length - n), value=self.padding or 0)


def pauli_vector(matrix: Tensor) -> Tensor:
    """Return ``Tr(P M)`` of all Pauli words P for Hermitian matrices M, lexicographically in I, X, Y, Z.

    Parameters
    ----------
    matrix : Tensor, shape (*, 2**n, 2**n), complex

    Returns
    -------
    Tensor, shape (*, 4**n), real
    """
    n_qubits, batch = matrix.shape[-1].bit_length() - 1, matrix.ndim - 2
    letters = _letters(matrix.dtype, matrix.device)
    total = matrix.unflatten(-1, [2] * n_qubits).unflatten(batch, [2] * n_qubits)
    for left in range(n_qubits, 0, -1):  # row and column of one qubit become a letter, appended at the end
        total = torch.tensordot(total, letters, ([batch, batch + left], [2, 1]))
    return total.real.flatten(batch)


def _halved(states: Tensor, merged: Callable[[Tensor, Tensor], Tensor], dim: int) -> Tensor:
    """Merge neighbours along a dimension; a last one without partner stays."""
    n = states.shape[dim] // 2 * 2
    pairs, rest = states.split([n, states.shape[dim] - n], dim)
    left, right = pairs.unflatten(dim, (-1, 2)).unbind(dim)
    found = merged(left, right)
    return torch.cat([found, rest], dim) if rest.shape[dim] else found


def _circuits(box: str | Callable[[int], Circuit], n_qubits: int) -> tuple[Circuit, Circuit]:
    """Return the checked circuits of a letter and of a box."""
    if isinstance(box, str):
        _check_choice("box", box, BOXES)
    template = BOXES[box] if isinstance(box, str) else box
    a, b, c = weights(3)
    qubit = Circuit(1, [RX(a, 0), RZ(b, 0), RX(c, 0)], n_weights=3)
    found = qubit if n_qubits == 1 else template(n_qubits), template(2 * n_qubits)
    for circuit, size in zip(found, (n_qubits, 2 * n_qubits), strict=True):
        if not isinstance(circuit, Circuit) or (circuit.n_qubits, circuit.n_inputs) != (size, 0):
            raise ValueError(
                f"got the box {circuit!r}, expected a Circuit on {size} qubits without features: box=sim14"
            )
    return found


def _placed(block: Circuit, qubits: Qubits, angles: np.ndarray) -> list[Op]:
    """Return the operations of a block on given qubits, with angles for its weights."""
    none = np.empty(0)
    return [
        Op(op.gate, tuple(qubits[q] for q in op.qubits), tuple(angle.evaluate(none, angles) for angle in op.angles))
        for op in block.ops
    ]


@lru_cache(maxsize=64)
@constants()
def _letters(dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return I, X, Y, Z, complex (4, 2, 2)."""
    return torch.as_tensor(np.array([PAULIS[letter] for letter in "IXYZ"]), dtype=dtype, device=device)


@lru_cache(maxsize=64)
@constants()
def _kept(n_qubits: int, reduction: str, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the words of the qubits that are kept, every second one, times what is asked of the others."""
    other = np.eye(2) if reduction == "discard" else np.diag([1, 0])
    single = [np.kron(PAULIS[letter], other) for letter in "IXYZ"]
    words = [reduce(np.kron, word) for word in itertools.product(single, repeat=n_qubits)]
    return torch.as_tensor(np.array(words), dtype=dtype, device=device)


def _check_choice(name: str, value: Any, known: Iterable[str]) -> None:
    names = tuple(known)
    if value not in names:
        raise ValueError(f"got {name}={value!r}, expected one of {', '.join(map(repr, names))}: {name}={names[0]!r}")
