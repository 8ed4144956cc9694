"""Circuit to fused operations over bit masks: CNOTs cost nothing, runs of rotations are one operation.

The state is kept as amplitudes of an index i, and every qubit q as two masks: its value is the parity of
``select_q & i``, and flipping it is ``i ^ flip_q``. A CX or a SWAP then only changes masks

    CX(c, t):  select_t ^= select_c,   flip_c ^= flip_t

and a Pauli word P is again a flip, a sign and a phase, whatever CXs came before:

    P|i> = i**n_Y (-1)**|select & i|  |i ^ flip>,   flip = xor of its X and Y, select = xor of its Y and Z

So every rotation is ``exp(-i tau P)`` of one of three letters on a pair (flip, select): "X" flips (select is a sign
mask), "Y" flips and selects, "Z" selects. Rotations of equal pairs fuse into one operation, past everything they
commute with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from circuits import Angle, Circuit, Observable, Op, Probabilities
from circuits.angles import as_angle
from circuits.observables import Readout

Mask = tuple[int, int]  # flip, select

#: From so many qubits on turns about Z are kept apart, to run together: smaller states are in the first cache, where an
#: operation costs its arithmetic alone.
APART_QUBITS = 8

#: How many words may be passed on the way to the next turn about Z.
_LATE = 128


@dataclass(frozen=True)
class Turn:
    """A rotation ``exp(-i tau P)``: the letter of P on its operation's masks, and the number of tau among the slots."""

    letter: str
    slot: int


@dataclass(eq=False)
class Fused:
    """An operation of the fused program.

    Parameters
    ----------
    kind : str
        ``"turns"`` (rotations on one mask); ``"sign"`` (minus where every mask selects: CZ, CCZ); ``"controlled"``
        (X or H, ``index`` 0 or 1, on the first mask where all others select: CCX, CH); ``"dense"`` (the
        matrix of number ``index`` on virtual qubits, first mask leftmost); ``"word"`` (readout of the Pauli word of
        number ``index``); ``"diagonal"`` (readout of the words without flips, all at once).
    masks : list of (flip, select)
    turns : list of Turn
        In order of time.
    index : int
        For turns, the place among the operations that turn.
    """

    kind: str
    masks: list[Mask]
    turns: list[Turn] = field(default_factory=list)
    index: int = -1

    @property
    def letters(self) -> str:
        """The letters of the turns, each once."""
        return "".join(sorted({turn.letter for turn in self.turns}))

    @property
    def proper(self) -> bool:
        """Whether the mask is a qubit of its own: what it flips, it selects."""
        flip, select = self.masks[0]
        return odd(flip & select)

    @property
    def flips(self) -> list[int]:
        """The flips it makes, one per mask."""
        return [flip for flip, _ in self.masks] if self.letters != "Z" else [0]

    @property
    def words(self) -> list[Mask]:
        """Pauli words that generate the operation: who commutes with them commutes with it."""
        if self.kind == "dense" or (self.kind == "controlled" and self.index):
            return [word for flip, select in self.masks for word in ((flip, 0), (0, select))]
        if self.kind == "controlled":
            return [(self.masks[0][0], 0), *self.masks[1:]]
        if self.kind != "turns":
            return self.masks
        return [self.word(letter) for letter in self.letters]

    def word(self, letter: str) -> Mask:
        """The Pauli word of a letter of its turns."""
        flip, select = self.masks[0]
        return (flip * (letter != "Z"), select * (letter != "X")) if self.proper else (flip, select)

    def takes(self, letter: str, word: Mask) -> bool:
        """Whether a rotation of that letter and word can become one more turn of this operation."""
        return self.kind == "turns" and word == self.word(letter)


@dataclass(frozen=True)
class Word:
    """A Pauli word of the readout, ``sign`` times the letter on its masks."""

    flip: int
    select: int
    sign: float


@dataclass(frozen=True, eq=False)
class FusedProgram:
    """A circuit and its readout as fused operations.

    Parameters
    ----------
    n_qubits : int
    order : tuple of int
        Qubit of every bit of the start state's index, the highest first; start registers lead.
    n_start : int
        Number of qubits in start registers; the others start in 0.
    ops : tuple of Fused
        Gates, then readouts, in order of time.
    slots : tuple of Angle
        The tau of the turns: angle times half the coefficient of its Pauli word, and constants.
    matrices : tuple of ndarray
        Of the dense operations.
    words : tuple of Word
        Pauli words of all observables, each once.
    columns : tuple of tuple of (int, float)
        For every observable its words and their coefficients.
    constants : tuple of float
        For every observable the coefficient of the identity.
    diagonal : tuple of int
        Numbers of the words of the operation ``"diagonal"``, in the order of its masks.
    outcomes : tuple of int
        For probabilities: select of every measured qubit, the leading one first.
    """

    n_qubits: int
    order: tuple[int, ...]
    n_start: int
    ops: tuple[Fused, ...]
    slots: tuple[Angle, ...]
    matrices: tuple[np.ndarray, ...]
    words: tuple[Word, ...]
    columns: tuple[tuple[tuple[int, float], ...], ...]
    constants: tuple[float, ...]
    diagonal: tuple[int, ...]
    outcomes: tuple[int, ...]


def fuse(circuit: Circuit, observables: Readout) -> FusedProgram:
    """Return the fused program of a circuit and its readout."""
    order = start_order(circuit)
    builder = _Builder(circuit.n_qubits, order)
    for op in circuit.ops:
        if op.gate.kind != "amplitudes":
            builder.add(op)
    builder.read(observables)
    ops = _seen(builder.ops, [(0, select) for select in builder.outcomes])
    ops = apart(ops) if circuit.n_qubits >= APART_QUBITS else ops
    for number, rotation in enumerate(op for op in ops if op.kind == "turns"):
        rotation.index = number
    return FusedProgram(
        circuit.n_qubits,
        order,
        len(_registers(circuit)),
        tuple(ops),
        tuple(builder.slots),
        tuple(builder.matrices),
        tuple(builder.words.values()),
        tuple(builder.columns),
        tuple(builder.constants),
        tuple(builder.diagonal),
        tuple(builder.outcomes),
    )


def start_order(circuit: Circuit) -> tuple[int, ...]:
    """Return the qubits in the order the start state has them: those of start registers, then the others."""
    first = _registers(circuit)
    return (*first, *(q for q in range(circuit.n_qubits) if q not in first))


def _registers(circuit: Circuit) -> list[int]:
    return [q for op in circuit.ops if op.gate.kind == "amplitudes" for q in op.qubits]


def odd(mask: int) -> bool:
    """Whether the number of ones is odd."""
    return mask.bit_count() % 2 == 1


def commute(ours: Sequence[Mask], theirs: Sequence[Mask]) -> bool:
    """Whether every Pauli word of the one commutes with every one of the other."""
    return not any(((f & t).bit_count() + (s & g).bit_count()) % 2 for f, s in ours for g, t in theirs)


def _seen(ops: list[Fused], read: Sequence[Mask]) -> list[Fused]:
    """Leave out every gate and turn that no readout sees: one that commutes with all that comes after it.

    ``read`` are the words that are read at the end and are no operation.
    """
    kept: list[Fused] = []
    later = dict.fromkeys(read)
    for op in reversed(ops):
        while op.turns and commute([op.word(op.turns[-1].letter)], list(later)):
            op.turns.pop()
        words = op.words
        if op.kind in ("word", "diagonal") or not commute(words, list(later)):
            kept.append(op)
            later |= dict.fromkeys(words)
    return kept[::-1]


def apart(ops: Sequence[Fused]) -> list[Fused]:
    """Take turns about Z off operations with one letter besides, and bring them together.

    So those of a whole layer, where they follow each other, cost as much as two (see :mod:`~.tiles`).
    """
    placed: list[Fused] = []
    rest = [part for op in ops for part in _parts(op)]
    while rest:
        for wanted in (_about_z, _not_about_z):
            taken, rest = brought_forward(rest, wanted, _LATE)
            placed += taken
    return placed


def _about_z(op: Fused) -> bool:
    return op.letters == "Z"


def _not_about_z(op: Fused) -> bool:
    return op.letters != "Z"


def brought_forward(
    ops: Sequence[Fused], wanted: Callable[[Fused], bool], most: int
) -> tuple[list[Fused], list[Fused]]:
    """Take every operation that is wanted and may come next, past up to so many words; return those taken, the rest."""
    taken: list[Fused] = []
    rest: list[Fused] = []
    late: list[Mask] = []
    for number, op in enumerate(ops):
        if len(late) > most:
            return taken, [*rest, *ops[number:]]
        if wanted(op) and commute(op.words, late):
            taken.append(op)
        else:
            rest.append(op)
            late += op.words
    return taken, rest


def _parts(op: Fused) -> list[Fused]:
    """Return the turns about Z at both ends of an operation and what is between, or itself if that has more letters."""
    ends = [k for k, turn in enumerate(op.turns) if turn.letter != "Z"]
    if not ends:
        return [op]
    turns = op.turns
    pieces = turns[: ends[0]], turns[ends[0] : ends[-1] + 1], turns[ends[-1] + 1 :]
    parts = [Fused("turns", op.masks, piece) for piece in pieces if piece]
    return parts if len(Fused("turns", op.masks, pieces[1]).letters) == 1 else [op]


class _Builder:
    """Collects fused operations while the masks of the qubits change."""

    def __init__(self, n_qubits: int, order: tuple[int, ...]) -> None:
        self.flip = [1 << (n_qubits - 1 - order.index(q)) for q in range(n_qubits)]
        self.select = list(self.flip)
        self.ops: list[Fused] = []
        self.slots: dict[Angle, int] = {}
        self.matrices: list[np.ndarray] = []
        self.words: dict[Mask, Word] = {}
        self.columns: list[tuple[tuple[int, float], ...]] = []
        self.constants: list[float] = []
        self.diagonal: list[int] = []
        self.outcomes: list[int] = []

    def add(self, op: Op) -> None:
        if op.gate.kind == "rotation":
            for coefficient, word in op.gate.generator:
                self.rotate(word, op.qubits, op.angle * coefficient)
        elif len(op.qubits) == 1:
            for letter, angle in euler(op.gate.matrix()):
                self.rotate(letter, op.qubits, as_angle(angle))
        else:
            FIXED.get(op.gate.name, _Builder.dense)(self, *((op,) if op.gate.name not in FIXED else op.qubits))

    def rotate(self, letters: str, qubits: Sequence[int], angle: Angle) -> None:
        """Add ``exp(-i angle P)``; the word of identities is a phase, which no readout sees."""
        flip, select, sign = self.word(zip(qubits, letters, strict=True))
        if not flip | select:
            return
        letter = "Z" if not flip else "Y" if odd(flip & select) else "X"
        turn = Turn(letter, self.slots.setdefault(angle * sign, len(self.slots)))
        for op in reversed(self.ops):
            if op.takes(letter, (flip, select)):
                op.turns.append(turn)
                return
            if not commute(op.words, [(flip, select)]):
                break
        single = [q for q, letter in zip(qubits, letters, strict=True) if letter != "I"]
        mask = (self.flip[single[0]], self.select[single[0]]) if len(single) == 1 else (flip, select)
        self.ops.append(Fused("turns", [mask], [turn]))

    def word(self, letters: Any) -> tuple[int, int, float]:
        """Return flip, select and sign of a Pauli word ((qubit, letter), ...)."""
        flip = select = n_y = 0
        for q, letter in letters:
            flip ^= self.flip[q] if letter in "XY" else 0
            select ^= self.select[q] if letter in "YZ" else 0
            n_y += letter == "Y"
        return flip, select, -1.0 if n_y % 4 in (2, 3) else 1.0

    def cx(self, control: int, target: int) -> None:
        self.select[target] ^= self.select[control]
        self.flip[control] ^= self.flip[target]

    def swap(self, a: int, b: int) -> None:
        for masks in (self.flip, self.select):
            masks[a], masks[b] = masks[b], masks[a]

    def sign(self, *qubits: int) -> None:
        self.ops.append(Fused("sign", [(0, self.select[q]) for q in qubits]))

    def dense(self, op: Op) -> None:
        masks = [(self.flip[q], self.select[q]) for q in op.qubits]
        self.ops.append(Fused("dense", masks, index=len(self.matrices)))
        self.matrices.append(op.gate.matrix())

    def cy(self, control: int, target: int) -> None:
        self.turn("Z", target, -math.pi / 4)
        self.cx(control, target)
        self.turn("Z", target, math.pi / 4)

    def ch(self, control: int, target: int) -> None:
        self.controlled(1, target, control)

    def ccx(self, a: int, b: int, target: int) -> None:
        self.controlled(0, target, a, b)

    def controlled(self, index: int, target: int, *controls: int) -> None:
        masks = [(self.flip[target], self.select[target]), *((0, self.select[q]) for q in controls)]
        self.ops.append(Fused("controlled", masks, index=index))

    def cswap(self, control: int, a: int, b: int) -> None:
        self.cx(b, a)
        self.ccx(control, a, b)
        self.cx(b, a)

    def iswap(self, a: int, b: int) -> None:
        self.rotate("ZZ", (a, b), as_angle(math.pi / 4))
        self.swap(a, b)

    def turn(self, letter: str, qubit: int, angle: float) -> None:
        self.rotate(letter, (qubit,), as_angle(angle))

    def read(self, observables: Readout) -> None:
        """Add the readout: its Pauli words in terms of the final masks."""
        if isinstance(observables, Probabilities):
            self.outcomes = [self.select[q] for q in observables.qubits]
            return
        for observable in observables:
            self.columns.append(tuple(self._column(observable)))
            self.constants.append(sum(c for word, c in observable.terms if not word))
        numbered = list(enumerate(self.words.values()))
        diagonal = [i for i, word in numbered if not word.flip]
        together = len(diagonal) > 2
        self.ops += [Fused("word", [(w.flip, w.select)], index=i) for i, w in numbered if w.flip or not together]
        if together:
            self.ops.append(Fused("diagonal", [(0, numbered[i][1].select) for i in diagonal]))
            self.diagonal = diagonal

    def _column(self, observable: Observable) -> Iterator[tuple[int, float]]:
        for letters, coefficient in observable.terms:
            if letters:
                flip, select, sign = self.word(letters)
                self.words.setdefault((flip, select), Word(flip, select, sign))
                yield list(self.words).index((flip, select)), coefficient * sign


FIXED: dict[str, Any] = {
    "CX": _Builder.cx,
    "CY": _Builder.cy,
    "CZ": _Builder.sign,
    "CH": _Builder.ch,
    "SWAP": _Builder.swap,
    "ISWAP": _Builder.iswap,
    "CCX": _Builder.ccx,
    "CCZ": _Builder.sign,
    "CSWAP": _Builder.cswap,
}


def euler(matrix: np.ndarray) -> list[tuple[str, float]]:
    """Return a 2×2 unitary, up to its phase, as turns ``exp(-i tau P)``: one where it is one, else Z, Y, Z."""
    special = matrix / np.sqrt(complex(np.linalg.det(matrix)))
    parts = {
        "X": -special[0, 1].imag,
        "Y": special[1, 0].real,
        "Z": -special[0, 0].imag,
    }
    present = [letter for letter, part in parts.items() if abs(part) > 1e-15]
    if not present:
        return []
    if len(present) == 1:
        return [(present[0], math.atan2(parts[present[0]], special[0, 0].real))]
    sum_, difference = np.angle(special[1, 1]), np.angle(special[1, 0])
    middle = math.atan2(abs(special[1, 0]), abs(special[0, 0]))
    return [("Z", (sum_ - difference) / 2), ("Y", middle), ("Z", (sum_ + difference) / 2)]
