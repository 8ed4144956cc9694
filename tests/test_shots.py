"""Shots to readouts: bases, values, standard errors and seeds, against exact distributions."""

import copy
import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import QUICK

from backends.shots import Seeds, bases, checked_shots, drawn, estimate, expected, taken, words
from circuits import Observable, Probabilities, pauli, z_each

READOUT = (pauli("Z0"), pauli("Z0 Z1") + 0.5 * pauli("Z1") - 0.25, pauli("X0 Z1") - 2.0 * pauli("Y2"), pauli(""))
P = np.random.default_rng(7).dirichlet(np.ones(8), 3)  # outcomes of three qubits, for three rows


def sampled(probabilities, shots, rng):
    """Bits (rows, shots, n) drawn from outcome probabilities (rows, 2**n), first qubit leading."""
    n = int(np.log2(probabilities.shape[1]))
    outcomes = np.stack([rng.choice(2**n, shots, p=p) for p in probabilities])
    return ((outcomes[..., None] >> np.arange(n)[::-1]) & 1).astype(np.uint8)


def sign(word, basis):
    """The value of a word at every outcome of a basis, leading bit first."""
    places = [[qubit for qubit, _ in basis].index(qubit) for qubit, _ in word]
    return np.array([(-1.0) ** sum(bits[k] for k in places) for bits in itertools.product((0, 1), repeat=len(basis))])


# Bases.


def test_words_that_agree_share_a_basis():
    assert bases(z_each(5)) == (tuple((q, "Z") for q in range(5)),)
    found = bases((pauli("X0 X1"), pauli("Z0"), pauli("X1") + pauli("Z0 Z2"), pauli("Y2"), pauli("")))
    assert found == (((0, "X"), (1, "X"), (2, "Y")), ((0, "Z"), (2, "Z")))
    assert bases((pauli(""), Observable(()))) == ()


def test_probabilities_are_read_in_the_order_asked_for():
    assert bases(Probabilities((2, 0))) == (((2, "Z"), (0, "Z")),)


letters = st.dictionaries(st.integers(0, 4), st.sampled_from("XYZ"), max_size=4)


@QUICK
@given(st.lists(letters, min_size=1, max_size=12))
def test_every_word_is_in_a_basis(found):
    readout = tuple(pauli(" ".join(f"{letter}{q}" for q, letter in sorted(word.items()))) for word in found)
    all_bases = bases(readout)
    for word in words(readout):
        assert any(set(word) <= set(basis) for basis in all_bases)
    assert all(len({q for q, _ in basis}) == len(basis) for basis in all_bases)


# Values.


def test_values_are_the_averages_of_the_shots():
    bits = np.array([[[0, 0], [0, 1], [1, 1], [1, 0]], [[0, 0], [0, 0], [0, 0], [1, 1]]], dtype=np.uint8)
    readout = (pauli("Z0"), 2 * pauli("Z0 Z1") + 1.0, pauli("Z1") - pauli("Z0"))
    values, stderr = estimate(readout, [taken(bits)], 2, 4)
    assert np.allclose(values, [[0, 1, 0], [0.5, 3, 0]])
    for row, each in enumerate(bits.astype(int)):  # the spread of each observable over single shots
        z0, z1 = 1 - 2 * each[:, 0], 1 - 2 * each[:, 1]
        single = np.stack([z0, 2 * z0 * z1 + 1.0, z1 - z0])
        assert np.allclose(stderr[row], single.std(axis=1, ddof=1) / 2)
    assert stderr[1, 1] == 0.0  # all shots agree


def test_many_shots_come_to_the_expected_values():
    readout = READOUT
    basis = bases(readout)
    assert len(basis) == 2 and [len(b) for b in basis] == [3, 2]
    exact = expected(readout, [P, P[:, ::2] + P[:, 1::2]], 3)
    rng = np.random.default_rng(0)
    samples = [taken(sampled(p, 40_000, rng)) for p in (P, P[:, ::2] + P[:, 1::2])]
    values, stderr = estimate(readout, samples, 3, 40_000)
    assert (abs(values - exact) < 5 * stderr + 1e-12).all() and stderr.max() < 0.02
    assert np.allclose(values[:, 3], 1.0) and (stderr[:, 3] == 0).all()


def test_expected_values_against_sums_over_outcomes():
    basis = ((0, "X"), (1, "Z"), (3, "Y"))
    readout = (pauli("X0 Y3") - 0.5 * pauli("Z1"), pauli("X0 Z1 Y3") + 3.0)
    assert bases(readout) == (basis,)
    by_hand = [P @ (sign(((0, "X"), (3, "Y")), basis) - 0.5 * sign(((1, "Z"),), basis)), 3.0 + P @ sign(basis, basis)]
    assert np.allclose(expected(readout, [P], 3), np.stack(by_hand, axis=1))


def test_frequencies():
    bits = sampled(P, 1000, np.random.default_rng(1))
    values, stderr = estimate(Probabilities((0, 1, 2)), [taken(bits)], 3, 1000)
    counts = np.array([[(row @ [4, 2, 1] == outcome).sum() for outcome in range(8)] for row in bits])
    assert np.allclose(values, counts / 1000) and np.allclose(values.sum(1), 1)
    assert np.allclose(stderr, np.sqrt(values * (1 - values) / 999))
    assert np.array_equal(expected(Probabilities((0, 1, 2)), [P], 3), P)


def test_shots_drawn_from_probabilities():
    """As often as their probabilities say, each in its own row, the first qubit as the leading bit."""
    samples = drawn(np.array([*P, np.eye(8)[6]]), 100_000, np.random.default_rng(2))
    values, stderr = estimate(Probabilities((0, 1, 2)), [samples], 4, 100_000)
    assert (abs(values[:3] - P) < 4 * stderr[:3]).all() and np.array_equal(values[3], np.eye(8)[6])
    assert samples.counts.sum() == 4 * 100_000
    assert np.array_equal(estimate(z_each(3), [samples], 4, 100_000)[0][3], [-1, -1, 1])
    rounded = drawn(np.array([[1.0 + 1e-12, -1e-17]]), 10, np.random.default_rng(0))
    assert rounded.counts.tolist() == [10] and rounded.bits.tolist() == [[0]]


def test_numbers_need_no_shots():
    readout = (pauli("") * 0.5, Observable(()))
    assert np.array_equal(expected(readout, [], 3), [[0.5, 0.0]] * 3)
    values, stderr = estimate(readout, [], 3, 10)
    assert np.array_equal(values, [[0.5, 0.0]] * 3) and not stderr.any()


# Standard errors.


def coverage(readout, distributions, exact, shots, n_rows, seed):
    """How often the exact value is within one and two standard errors, and the squared deviation over their squares."""
    rng = np.random.default_rng(seed)
    samples = [taken(sampled(np.tile(p, (n_rows, 1)), shots, rng)) for p in distributions]
    values, stderr = estimate(readout, samples, n_rows, shots)
    off = abs(values - exact)
    return (off < stderr).mean(0), (off < 2 * stderr).mean(0), (off**2).mean(0) / (stderr**2).mean(0)


def test_standard_errors_cover():
    """68 % and 95 % of the time, for single words, sums of correlated words, sums over bases, and frequencies."""
    correlated = np.array([[0.45, 0.05, 0.05, 0.45]])  # two qubits that mostly agree
    readout = (pauli("Z0"), pauli("Z0") + pauli("Z1"), pauli("Z0") - pauli("Z1"), pauli("Z0 Z1"), pauli("X0 X1"))
    readout = (*readout, pauli("X0 X1") + 2 * pauli("Z0 Z1") - pauli("Z1"))
    distributions = [correlated, correlated[:, ::-1].copy()]
    exact = expected(readout, distributions, 1)
    one, two, ratio = coverage(readout, distributions, exact, 400, 4000, 3)
    assert (abs(one - 0.683) < 0.04).all() and (abs(two - 0.954) < 0.02).all()
    assert (abs(ratio - 1) < 0.1).all()
    four = Probabilities((0, 1))
    one, two, ratio = coverage(four, [np.array([[0.3, 0.2, 0.15, 0.35]])], [[0.3, 0.2, 0.15, 0.35]], 1000, 4000, 4)
    assert (abs(one - 0.683) < 0.04).all() and (abs(two - 0.954) < 0.02).all() and (abs(ratio - 1) < 0.1).all()


def test_adding_the_errors_of_words_would_be_wrong():
    """What is tested above tells the right error from the usual mistake, by a factor of two in both directions."""
    z0, z1 = sign(((0, "Z"),), ((0, "Z"), (1, "Z"))), sign(((1, "Z"),), ((0, "Z"), (1, "Z")))
    p = np.array([0.45, 0.05, 0.05, 0.45])

    def variance(values):
        return p @ values**2 - (p @ values) ** 2

    independent = variance(z0) + variance(z1)
    assert variance(z0 + z1) > 1.7 * independent and variance(z0 - z1) < 0.3 * independent


def test_one_shot_has_no_standard_error():
    bits = np.zeros((2, 1, 1), dtype=np.uint8)
    for readout in ((pauli("Z0"),), Probabilities((0,))):
        values, stderr = estimate(readout, [taken(bits)], 2, 1)
        assert (values[:, 0] == 1).all() and np.isnan(stderr).all()


# Seeds and shots.


def test_seeds_are_fresh_at_every_call_and_the_same_in_every_run():
    first, again, other = ([seeds.next() for _ in range(50)] for seeds in (Seeds(3), Seeds(3), Seeds(4)))
    assert first == again and len({*first, *other}) == 100
    assert all(isinstance(seed, int) and 0 <= seed < 2**63 for seed in first)
    assert Seeds(np.int64(3)).next() == first[0]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))], ids=["deepcopy", "pickle"])
def test_copies_start_anew(copied):
    seeds = Seeds(3)
    first = [seeds.next() for _ in range(3)]
    assert [copied(seeds).next(), seeds.next() in first] == [first[0], False]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))], ids=["deepcopy", "pickle"])
def test_without_a_seed_no_two_are_alike(copied):
    seeds = Seeds()
    assert len({seeds.next(), seeds.next(), Seeds().next(), copied(seeds).next()}) == 4


@pytest.mark.parametrize("seed", [-1, 1.5, True, "1"])
def test_error_of_a_seed(seed):
    with pytest.raises(ValueError, match=f"got seed={seed!r}, expected an integer >= 0, or None"):
        Seeds(seed)


@pytest.mark.parametrize("shots", [0, -5, 1.5, True, "100"])
def test_error_of_shots(shots):
    with pytest.raises(ValueError, match=rf"got shots={shots!r}, expected a positive integer, or None for exact"):
        checked_shots(shots)


def test_shots():
    assert checked_shots(None) is None and checked_shots(np.int64(5)) == 5 and type(checked_shots(np.int64(5))) is int
