"""Linear algebra over bits against brute force."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from strategies import QUICK

from backends.statevector.bits import (
    combinations,
    common,
    dual,
    extended,
    independent,
    inside,
    pivots,
    reduced,
    solver,
)


def span(vectors):
    """Every sum of bit vectors."""
    found = {0}
    for vector in vectors:
        found |= {vector ^ other for other in found}
    return found


VECTORS = st.lists(st.integers(0, 63), max_size=8)


@QUICK
@given(VECTORS)
def test_reduced_basis(vectors):
    basis = reduced(vectors)
    assert span(basis) == span(vectors) and len(span(basis)) == 2 ** len(basis)
    leading = [1 << (vector.bit_length() - 1) for vector in basis]
    assert all((vector & bit != 0) == (i == j) for i, vector in enumerate(basis) for j, bit in enumerate(leading))
    assert basis == reduced(vectors[::-1]) == sorted(basis)


@QUICK
@given(VECTORS, st.randoms(use_true_random=False))
def test_solve_says_which_vectors_add_up(vectors, random):
    basis = reduced(vectors)
    random.shuffle(basis)
    if len(basis) > 1:
        basis[0] ^= basis[1]  # a basis that is not reduced
    solve = solver(basis)
    for subset in range(2 ** len(basis)):
        total = 0
        for j, vector in enumerate(basis):
            total ^= vector * (subset >> j & 1)
        assert solve(total) == subset


@QUICK
@given(VECTORS, VECTORS, st.integers(0, 6))
def test_extend_adds_vectors_in_their_order(vectors, others, count):
    basis, wanted = reduced(vectors), []
    for vector in others:
        if len(wanted) < count and vector not in span(basis + wanted):
            wanted.append(vector)
    assert extended(basis, others, count) == wanted


@QUICK
@given(VECTORS)
def test_one_member_of_every_group_has_none_of_the_pivots(vectors):
    vectors = independent(vectors)
    bits = pivots(vectors)
    assert len(bits) == len(vectors) and bits == sorted(bits) and all(bit.bit_count() == 1 for bit in bits)
    groups = {frozenset(i ^ vector for vector in span(vectors)) for i in range(64)}
    assert all(sum(not member & sum(bits) for member in group) == 1 for group in groups)


@QUICK
@given(VECTORS, VECTORS)
def test_common_spans_what_two_bases_both_span(ours, theirs):
    found = common(independent(ours), theirs)
    assert span(found) == span(ours) & span(theirs) and len(span(found)) == 2 ** len(found)


@QUICK
@given(VECTORS, st.integers(0, 63))
def test_inside_is_in_the_span(vectors, vector):
    assert inside(vector, reduced(vectors)) == (vector in span(vectors))


@QUICK
@given(VECTORS, st.integers(0, 63))
def test_combinations_and_what_a_vector_selects_of_them(vectors, select):
    sums = [
        np.bitwise_xor.reduce([v for k, v in enumerate(vectors) if n >> k & 1] or [0]) for n in range(2 ** len(vectors))
    ]
    assert combinations(vectors).tolist() == sums
    of_basis = dual(select, vectors)
    assert all((select & s).bit_count() % 2 == (of_basis & n).bit_count() % 2 for n, s in enumerate(sums))
