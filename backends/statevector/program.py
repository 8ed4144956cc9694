"""Circuit to program: a short list of blocks, each one matrix on a few qubits; plain Python, compiled once.

Neighbouring operations are merged into blocks of at most two qubits (a fixed gate on more qubits is a block of its
own size; a rotation about a longer Pauli word is first written with CX and one RZ). No matrix exponential is needed:
for a Pauli word P

    exp(-i c t P) = cos(c t) 1 - i sin(c t) P

so every operation is ``cos(c t) A + sin(c t) B + C`` with constant A, B, C, and a block is the product of its
operations. A block leaves its qubits as the last axes of the state; the order of the axes is followed here, so that
each block costs one transposition and one matrix product.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from backends.statevector.fusion import start_order
from circuits import CX, RZ, SX, Circuit, H, Op, SXdg
from circuits.gates import pauli_matrix

Axes = tuple[int, ...]


@dataclass(frozen=True)
class Factor:
    """The matrix ``cos(scale t) A + sin(scale t) B + C`` on its qubits, t the angle of ``column`` (None: C alone)."""

    qubits: tuple[int, ...]
    column: int | None
    scale: float
    terms: np.ndarray  # A, B, C: complex (3, dim, dim)


@dataclass(eq=False)
class Block:
    """Factors on the same few qubits, applied one after the other as a single matrix."""

    qubits: tuple[int, ...]
    factors: list[Factor] = field(default_factory=list)


@dataclass(frozen=True)
class Layout:
    """How a state (rows, 2**n) is viewed so that some qubits become its last axes."""

    split: Axes  # shape of the view, without rows
    permute: Axes  # order of the view's axes, rows first
    dim: int  # 2**(number of last qubits)


@dataclass(frozen=True)
class Step:
    """A block in its place: the layout it needs, and where its matrix is found."""

    layout: Layout
    group: int
    index: int


@dataclass(frozen=True, eq=False)
class Group:
    """Blocks of one size whose matrices are computed together; short ones are padded with identities."""

    columns: np.ndarray  # (blocks, length)
    scales: np.ndarray  # (blocks, length)
    terms: np.ndarray  # A, B, C: (3, blocks, length, dim, dim)
    per_sample: bool  # False: angles of weights alone, one matrix for all samples of a batch that share them


@dataclass(frozen=True, eq=False)
class Program:
    """A compiled circuit.

    The state starts as the product of ``registers`` (columns of their amplitudes) and zeros; ``order`` is the qubit
    of every axis of the final state.
    """

    n_qubits: int
    registers: tuple[tuple[int, ...], ...]
    steps: tuple[Step, ...]
    groups: tuple[Group, ...]
    order: Axes


@lru_cache(maxsize=256)
def compile_circuit(circuit: Circuit, shared_weights: bool = True) -> Program:
    """Return the program of a circuit.

    Parameters
    ----------
    circuit : Circuit
    shared_weights : bool
        Whether all samples have the same weights, so that gates of weights alone have one matrix.
    """
    blocks = merge(factors(circuit))
    kind = "x" if shared_weights else "xw"
    varying = {k for k, angle in enumerate(circuit.angles) if any(name in kind for name, _ in angle.slots)}
    groups, places = _group(blocks, varying)
    registers, order = _start(circuit)
    steps = []
    for block, place in zip(blocks, places, strict=True):
        layout, order = arrange(order, block.qubits)
        steps.append(Step(layout, *place))
    return Program(circuit.n_qubits, registers, tuple(steps), groups, order)


def factors(circuit: Circuit) -> Iterator[Factor]:
    """Return every operation but the start states as matrices on its own qubits, in order."""
    column = 0
    for op in circuit.ops:
        if op.gate.kind == "fixed":
            yield _fixed(op)
        elif op.gate.kind == "rotation":
            for coefficient, word in op.gate.generator:
                yield from _rotation(op.qubits, column, coefficient, word)
        column += len(op.angles)


def merge(parts: Iterator[Factor]) -> list[Block]:
    """Merge neighbouring factors into blocks of at most two qubits; a factor on more qubits is a block of its own.

    A factor joins the block that was last on all its qubits; else it opens a block and takes in the blocks that were
    last on some of its qubits and on no others.
    """
    blocks: dict[Block, None] = {}
    latest: dict[int, Block] = {}
    for part in parts:
        nearby = dict.fromkeys(latest[q] for q in part.qubits if q in latest)
        touched = [b for b in nearby if max(len(b.qubits), len(part.qubits)) <= 2]
        home = next((b for b in touched if all(latest.get(q) is b for q in part.qubits)), None)
        if home is None:
            inside = [b for b in touched if all(q in part.qubits and latest[q] is b for q in b.qubits)]
            home = Block(part.qubits, [f for b in inside for f in b.factors])
            for b in inside:
                del blocks[b]
            blocks[home] = None
            latest |= dict.fromkeys(part.qubits, home)
        home.factors.append(part)
    return list(blocks)


def arrange(order: Axes, qubits: tuple[int, ...]) -> tuple[Layout, Axes]:
    """Return the layout that brings ``qubits`` last, and the order of the qubits after it."""
    split: list[int] = []
    targets: dict[int, int] = {}
    others: list[int] = []
    for axis, qubit in enumerate(order):
        if qubit in qubits:
            targets[qubit] = len(split)
            split.append(2)
        elif axis and order[axis - 1] not in qubits:
            split[-1] *= 2
        else:
            others.append(len(split))
            split.append(2)
    permute = (0, *(1 + a for a in others), *(1 + targets[q] for q in qubits))
    return Layout(tuple(split), permute, 2 ** len(qubits)), (*(q for q in order if q not in qubits), *qubits)


def _fixed(op: Op) -> Factor:
    matrix = op.gate.matrix()
    return Factor(op.qubits, None, 0.0, np.stack([0 * matrix, 0 * matrix, matrix]))


def _rotation(qubits: tuple[int, ...], column: int, coefficient: float, word: str) -> Iterator[Factor]:
    support = [(q, letter) for q, letter in zip(qubits, word, strict=True) if letter != "I"]
    if len(support) > 2:
        yield from _long_rotation(support, column, coefficient)
        return
    # The identity word (a phase) is kept on the first qubit: states are exact, not up to a phase.
    kept = support or [(qubits[0], "I")]
    matrix = pauli_matrix("".join(letter for _, letter in kept))
    terms = np.stack([np.eye(len(matrix)), -1j * matrix, 0 * matrix])
    yield Factor(tuple(q for q, _ in kept), column, coefficient, terms)


def _long_rotation(support: list[tuple[int, str]], column: int, coefficient: float) -> Iterator[Factor]:
    """Turn every letter to Z, gather the parity on the last qubit, rotate there, and undo both."""
    to_z = {"X": H, "Y": SX}
    back = {"X": H, "Y": SXdg}
    qubits = [q for q, _ in support]
    ladder = [CX(a, b) for a, b in itertools.pairwise(qubits)]
    before = [to_z[p](q) for q, p in support if p in to_z] + ladder
    after = ladder[::-1] + [back[p](q) for q, p in support if p in back]
    yield from map(_fixed, before)
    yield from _rotation((qubits[-1],), column, coefficient, RZ.generator[0][1])
    yield from map(_fixed, after)


def _group(blocks: list[Block], varying: set[int]) -> tuple[tuple[Group, ...], list[tuple[int, int]]]:
    """Collect blocks of equal size and kind; return the groups and, per block, its group and its place there."""
    members: dict[tuple[int, bool], list[Block]] = {}
    places = []
    for block in blocks:
        key = len(block.qubits), any(f.column in varying for f in block.factors)
        group = members.setdefault(key, [])
        places.append((list(members).index(key), len(group)))
        group.append(block)
    return tuple(_stack(group, per_sample) for (_, per_sample), group in members.items()), places


def _stack(blocks: list[Block], per_sample: bool) -> Group:
    dim = 2 ** len(blocks[0].qubits)
    length = 2 ** (max(len(b.factors) for b in blocks) - 1).bit_length()
    columns, scales = np.zeros((2, len(blocks), length))
    terms = np.zeros((3, len(blocks), length, dim, dim), complex)
    terms[2] = np.eye(dim)
    for i, block in enumerate(blocks):
        for k, factor in enumerate(block.factors):
            columns[i, k], scales[i, k] = factor.column or 0, factor.scale
            terms[:, i, k] = [_embed(matrix, factor.qubits, block.qubits) for matrix in factor.terms]
    return Group(columns.astype(np.int64), scales, terms, per_sample)


def _embed(matrix: np.ndarray, qubits: tuple[int, ...], block: tuple[int, ...]) -> np.ndarray:
    """Return a matrix on ``qubits`` as one on the qubits of a block, in the block's order."""
    rest = [q for q in block if q not in qubits]
    wide = np.kron(matrix, np.eye(2 ** len(rest))).reshape((2,) * (2 * len(block)))
    axes = [[*qubits, *rest].index(q) for q in block]
    return wide.transpose(axes + [a + len(block) for a in axes]).reshape(2 ** len(block), -1)


def _start(circuit: Circuit) -> tuple[tuple[tuple[int, ...], ...], Axes]:
    """Return the columns of every amplitude register, and the qubits in the order the start state has them."""
    registers: list[tuple[int, ...]] = []
    column = 0
    for op in circuit.ops:
        if op.gate.kind == "amplitudes":
            registers.append(tuple(range(column, column + len(op.angles))))
        column += len(op.angles)
    return tuple(registers), start_order(circuit)
