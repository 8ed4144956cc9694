"""Fragments of circuits, put together by NumPy and dense matrices alone, against the whole circuit's dense matrix."""

import dense
import numpy as np
import pytest

from backends.fragments import compatible, divided, layout
from circuits import CRY, CX, RX, RY, RZ, RZZ, Circuit, H, inputs, pauli, weights, z_each

x, w = inputs(3), weights(6)

#: Three qubits, two layers: operations 3 and 4, and 7 and 8, are on two of them.
TWICE = [RX(x[q] * w[q], q) for q in range(3)] + [CX(0, 1), RZZ(w[3], 1, 2), RY(w[4], 1), RZ(x[1], 2)]
TWICE = Circuit(3, [*TWICE, CRY(w[5], 0, 1), CX(2, 1)], 3, 6)
READOUT = (*z_each(3), pauli("X0 Y2"), 0.5 * pauli("Y0 X1 Z2") - 0.25 * pauli("X1") + 2, 0 * pauli("Z0"))


def rebuilt(circuit, places, observables, x, w, max_qubits=3):
    """Readouts of one sample, from dense readouts of every fragment after every preparation."""
    parts, product = layout(circuit, places, observables, max_qubits), 1.0
    for fragment, words, columns in zip(parts.fragments, parts.words, parts.columns, strict=True):
        rows = [np.concatenate([x, angles]) for angles in fragment.preparations]
        read = np.array([dense.expectation(fragment.prepared, row, w, words) for row in rows])
        product = product * (fragment.combined @ read).ravel()[columns]
    return product @ parts.matrix


@pytest.mark.parametrize(
    "places",
    [
        [],
        [(4, 1)],
        [(7, 0)],
        [(5, 1)],
        [(4, 1), (8, 2)],
        [(4, 1), (7, 1)],  # one wire twice
        [(4, 1), (5, 1), (8, 2)],
        [(0, 0)],  # before the first operation
    ],
    ids=str,
)
def test_the_whole_circuit_is_rebuilt(places):
    """Whether or not the cuts divide it: a fragment may also begin where it ends."""
    rng = np.random.default_rng(0)
    x, w = rng.uniform(-3, 3, 3), rng.uniform(-3, 3, 6)
    expected = dense.expectation(TWICE, x, w, READOUT)
    np.testing.assert_allclose(rebuilt(TWICE, places, READOUT, x, w), expected, rtol=0, atol=1e-12)


def chain(n):
    return Circuit(n, [[RY(0.3 + q, q) for q in range(n)], [CX(q, q + 1) for q in range(n - 1)]])


def test_a_cut_divides_wires_and_operations():
    first, second = divided(chain(5), [(7, 2)], 3)
    assert first.wires == ((0, 0), (1, 0), (2, 0)) and second.wires == ((2, 1), (3, 0), (4, 0))
    assert (first.leaving, first.entering, second.leaving, second.entering) == (((0, 2),), (), (), (0,))
    assert [repr(op) for op in second.circuit.ops] == ["RY(3.3, 1)", "RY(4.3, 2)", "CX(0, 1)", "CX(1, 2)"]
    assert [repr(op) for op in second.prepared.ops[:2]] == ["RY(x[0], 0)", "RZ(x[1], 0)"]
    assert first.circuit == first.prepared and second.prepared.n_inputs == 2


def test_preparations_are_those_of_the_four_states():
    (second,) = (each for each in divided(chain(2), [(2, 1)], 2) if each.entering)
    states = [dense.state(Circuit(1, [RY(a, 0), RZ(b, 0)])) for a, b in second.preparations]
    zero, one, plus, turned = (np.outer(s, s.conj()) for s in states)
    np.testing.assert_allclose(plus, np.full((2, 2), 0.5), atol=1e-15)
    np.testing.assert_allclose(turned, [[0.5, -0.5j], [0.5j, 0.5]], atol=1e-15)
    words = np.einsum("ps,sij->pij", second.combined, [zero, one, plus, turned])
    paulis = np.eye(2), [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], np.diag([1, -1])
    np.testing.assert_allclose(words, paulis, atol=1e-15)


def test_parts_without_cuts_share_fragments_where_they_fit():
    apart = Circuit(8, [H(q) for q in range(8)])
    assert [fragment.qubits for fragment in divided(apart, (), 5)] == [(0, 1, 2, 3, 4), (5, 6, 7)]
    beside = chain(5).shift(n_qubits=7)
    assert [fragment.qubits for fragment in divided(beside, [(7, 2)], 5)] == [(0, 1, 2, 5, 6), (2, 3, 4)]


def test_what_is_before_a_cut_needs_nothing_from_behind_it():
    """<Z0> is read once, of the first fragment alone; <Z4> takes X, Y and Z of the cut wire."""
    before = layout(chain(5), [(7, 2)], (pauli("Z0"),), 3)
    assert before.words == ((pauli(""), pauli("Z0")), (pauli(""),)) and len(before.matrix) == 2
    behind = layout(chain(5), [(7, 2)], (pauli("Z4"),), 3)
    assert set(behind.words[0]) == {pauli(""), pauli("X2"), pauli("Y2"), pauli("Z2")}
    assert set(behind.words[1]) == {pauli(""), pauli("Z2")}


def test_words_are_compatible_where_no_qubit_has_two_letters():
    found = compatible([pauli("X0 Z1"), pauli("X0"), pauli("Y0"), pauli("")])
    assert found.astype(int).tolist() == [[1, 1, 0, 1], [1, 1, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1]]
