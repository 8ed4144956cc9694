"""Circuits of a readout qubit: the quantum neural network of Farhi and Neven, and any Boolean function in its form."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from circuits.angles import inputs, weights
from circuits.circuit import Circuit
from circuits.gates import RX, Op, PauliRot, X
from circuits.templates._checks import check_choice, check_count

WORDS = tuple(map("".join, itertools.product("XYZ", repeat=2)))

Monomial = tuple[int, ...]


def readout_qubit(
    n_qubits: int, n_layers: int, words: Sequence[str] = ("ZX", "XX"), bias: bool = False, encode: bool = True
) -> Circuit:
    """Return ``U_L … U_1 |z>|1>, U_l = prod_j exp(i θ_lj Σ_l)`` (Farhi and Neven, arXiv:1802.06002).

    The last qubit is the readout r, the others hold the data; Σ_l is a Pauli word of data qubit j and of r. Read out
    Y on qubit n_qubits - 1: its sign is the label. Layers of ZX alone are diagonal in the data and give
    ``<Y_r> = -sin 2(θ_0 + sum_j θ_j (1 - 2 z_j))``. Where all words have X on r, as the paper's, all gates commute
    with X_r, and on strings of bits ``<Y_r>`` is the imaginary part of a product of 2 × 2 matrix elements: other words
    are needed for what is hard to simulate.

    Parameters
    ----------
    n_qubits : int
        With the readout; at least 2.
    n_layers : int
        L ("reps"); the paper has 6 on images.
    words : sequence of str
        Pauli words of the layers, in turn: first the letter on the data qubit, then that on the readout.
    bias : bool
        Whether a first gate ``exp(i θ_0 X_r)`` is there.
    encode : bool
        Whether bits are encoded, by RX(π z_j); otherwise put a start state of the data qubits before.

    Returns
    -------
    Circuit
        n_inputs = n_qubits - 1 or 0: bits, 0 or 1. Weights in radians: θ_0 with a bias, then shape (n_layers,
        n_qubits - 1).

    Raises
    ------
    ValueError
        If a count is out of range or a word is not one of two letters X, Y, Z.
    """
    check_count("n_qubits", n_qubits, least=2)
    check_count("n_layers", n_layers)
    check_count("len(words)", len(words))
    for word in words:
        check_choice("words", word, WORDS)
    n, first = n_qubits - 1, int(bool(bias))
    w = weights(first + n_layers * n)
    ops = [RX(-2 * angle, n) for angle in w[:first]]
    for word, layer in zip(itertools.cycle(words), w[first:].reshape(n_layers, n), strict=False):
        ops += [PauliRot(-2 * angle, word, j, n) for j, angle in enumerate(layer)]
    start = [*_bits(n), X(n)] if encode else [X(n)]
    return Circuit(n_qubits, [start, ops], n if encode else 0, len(w))


def boolean_function(truth: Sequence[int]) -> Circuit:
    """Return ``exp(-i π/4 X_r) prod_m exp(-i π/2 B_m1 … B_mk X_r)``, m the monomials of b (arXiv:1802.06002).

    B = (1 - Z)/2 is a bit, and b = XOR of products of bits its Reed-Muller form (:func:`reed_muller`). Then
    ``<Y_r> = 1 - 2 b(z)`` exactly. All gates commute: those of equal Pauli words are one, so there are up to 2**n.

    Parameters
    ----------
    truth : sequence of int, length 2**n
        b of every z, 0 or 1, the bit of qubit 0 leading.

    Returns
    -------
    Circuit
        n_qubits = n + 1, the last the readout; n_inputs = n bits, n_weights = 0.

    Raises
    ------
    ValueError
        If the length is no power of two from 2 on, or a value is another.
    """
    monomials = reed_muller(truth)
    n = len(truth).bit_length() - 1
    phases: Counter[Monomial] = Counter({(): math.pi / 4})
    for monomial in monomials:
        for size in range(len(monomial) + 1):
            for word in itertools.combinations(monomial, size):
                phases[word] += math.pi / 2 * (-1) ** size / 2 ** len(monomial)
    ops = [PauliRot(2 * phase, "Z" * len(word) + "X", *word, n) for word, phase in sorted(phases.items()) if phase]
    return Circuit(n + 1, [_bits(n), X(n), ops], n)


def reed_muller(truth: Sequence[int]) -> tuple[Monomial, ...]:
    """Return the monomials, as the bits that they multiply, whose XOR is a Boolean function.

    Parameters
    ----------
    truth : sequence of int, length 2**n
        As in :func:`boolean_function`.

    Raises
    ------
    ValueError
        As :func:`boolean_function`.
    """
    values = np.asarray(truth)
    n = values.size.bit_length() - 1
    if values.shape != (2**n,) or n < 1 or not np.isin(values, (0, 1)).all():
        raise ValueError(f"got a truth table of shape {values.shape}, expected 2**n values 0 or 1: [0, 1, 1, 0] is XOR")
    table = values.astype(int).reshape((2,) * n)
    for axis in range(n):  # Möbius' transform: 1 takes 0 along, bit by bit
        low, high = np.moveaxis(table, axis, 0)
        table = np.stack([low, low ^ high], axis)
    return tuple(tuple(np.flatnonzero(index).tolist()) for index in np.argwhere(table))


def _bits(n: int) -> tuple[Op, ...]:
    return tuple(RX(math.pi * x, q) for q, x in enumerate(inputs(n)))
