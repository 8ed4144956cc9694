import pickle
from dataclasses import FrozenInstanceError

import dense
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import QUICK, numbers

from circuits import Observable, Probabilities, pauli, z_each
from circuits.observables import as_readout

words = st.dictionaries(st.integers(0, 2), st.sampled_from("IXYZ")).map(
    lambda letters: " ".join(f"{p}{q}" for q, p in letters.items())
)
sums = st.lists(st.tuples(numbers(), words), max_size=4)


def by_hand(terms):
    """The matrix of a sum of words on three qubits, from the text alone."""
    total = np.zeros((8, 8), complex)
    for coefficient, text in terms:
        letters = {int(part[1:]): part[0] for part in text.split()}
        total += coefficient * dense.word([letters.get(q, "I") for q in range(3)])
    return total


def build(terms):
    return sum((c * pauli(text) for c, text in terms), start=0 * pauli(""))


@QUICK
@given(sums, sums, numbers())
def test_arithmetic_is_that_of_the_matrices(a, b, factor):
    total = build(a) - factor * build(b) + 0.5
    expected = by_hand(a) - factor * by_hand(b) + 0.5 * np.eye(8)
    assert np.allclose(dense.observable_matrix(total, 3), expected, rtol=0, atol=1e-12)


@QUICK
@given(sums)
def test_the_order_of_writing_does_not_matter(terms):
    forwards, backwards = build(terms), build(terms[::-1])
    assert forwards == backwards
    assert pickle.loads(pickle.dumps(forwards)) == forwards


def test_words_name_qubits_by_number():
    assert pauli("Z0 X2") == pauli("X2 Z0")
    assert pauli("X2 I1 Z0") == pauli("Z0 X2")
    assert pauli("Z0").terms == ((((0, "Z"),), 1.0),)
    assert pauli("").terms == (((), 1.0),)
    assert pauli("X10").n_qubits == 11
    assert pauli("").n_qubits == 0


def test_equal_sums_are_equal_and_hash_alike():
    left, right = pauli("Z0") + 2 * pauli("X1"), pauli("X1") * 2 + pauli("Z0")
    assert left == right
    assert hash(left) == hash(right)
    assert pauli("Z0") - pauli("Z0") == 0 * pauli("X1")
    assert (pauli("Z0") - pauli("Z0")).terms == ()
    assert -pauli("Z0") == -1.0 * pauli("Z0")


def test_numbers_count_for_the_identity():
    projector = (1 - pauli("Z0")) * 0.5
    assert np.allclose(dense.observable_matrix(projector, 1), np.diag([0, 1]), rtol=0, atol=0)
    assert sum(z_each(2)) == pauli("Z0") + pauli("Z1")
    assert pauli("X0") + 2 == 2 + pauli("X0") == pauli("X0") + 2 * pauli("")


def test_z_each_is_one_column_per_qubit():
    assert z_each(3) == (pauli("Z0"), pauli("Z1"), pauli("Z2"))


def test_text_reads_as_the_sum():
    assert repr(0.5 * pauli("Z0 Z1") - pauli("X0")) == "-1 X0 + 0.5 Z0 Z1"
    assert repr(pauli("")) == "1 I"
    assert repr(pauli("X0") * 0) == "0"


def test_observables_are_immutable():
    with pytest.raises(FrozenInstanceError):
        pauli("Z0").terms = ()


@pytest.mark.parametrize("word", ["Z", "0", "Z0X1", "A0", "z0", "Z-1", "Z 0"])
def test_a_word_is_letters_with_numbers(word):
    with pytest.raises(ValueError, match=r"expected letters with qubit numbers: pauli\('Z0 X2'\)"):
        pauli(word)


def test_a_qubit_occurs_once_in_a_word():
    with pytest.raises(ValueError, match="got a qubit twice in 'Z0 X0', expected each once"):
        pauli("Z0 X0")


@pytest.mark.parametrize("operation", [lambda o: o + "Z1", lambda o: o * o, lambda o: "2" * o, lambda o: o - None])
def test_arithmetic_with_other_things_is_a_type_error(operation):
    with pytest.raises(TypeError):
        operation(pauli("Z0"))


def test_probabilities_of_some_qubits():
    readout = Probabilities((2, 0))
    assert len(readout) == 4
    assert readout.n_qubits == 3
    assert Probabilities([np.int64(2), 0]) == readout
    assert hash(Probabilities([2, 0])) == hash(readout)


@pytest.mark.parametrize("qubits", [(), (1, 1), (-1, 0)])
def test_probabilities_need_different_qubits(qubits):
    with pytest.raises(ValueError, match="to read out, expected at least one, all different, from 0 up"):
        Probabilities(qubits)


def test_everything_that_can_be_read_out():
    z0 = pauli("Z0")
    assert as_readout(z0) == as_readout("Z0") == as_readout([z0]) == as_readout(["Z0"]) == (z0,)
    assert as_readout(o for o in z_each(2)) == z_each(2)
    assert as_readout(Probabilities((0,))) == Probabilities((0,))


@pytest.mark.parametrize("readout", [3, None, [1.0], {"Z0": 1}.items()])
def test_other_things_cannot_be_read_out(readout):
    with pytest.raises(TypeError, match=r"as an observable, expected pauli\('Z0 X2'\), such a string or a sum"):
        as_readout(readout)


def test_a_readout_is_not_empty():
    with pytest.raises(ValueError, match=r"got no observables, expected at least one: z_each\(n_qubits\)"):
        as_readout([])


def test_observables_are_built_by_pauli():
    assert isinstance(pauli("Z0"), Observable)


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_coefficients_are_finite(factor):
    with pytest.raises(ValueError, match=r"got the coefficient (nan|inf) of an observable, expected a finite number"):
        factor * pauli("Z0")
