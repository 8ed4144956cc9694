"""Z words at once: which go together, against brute force over all local indices."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from masks import parity
from strategies import QUICK

from backends.statevector import kinds
from backends.statevector.halves import phases, z_words


def parities(masks, count, live):
    """What each word of a group of rows selects of every local index, by trying all coordinates."""
    flips, low = [row[0] for row in masks[count : count + live]], live // 2
    changed = np.array([*flips[:low][::-1], *flips[low:][::-1]])
    number = np.arange(2**live)
    local = np.bitwise_xor.reduce((number[:, None] >> np.arange(live) & 1) * changed, 1)
    assert sorted(local.tolist()) == number.tolist()
    return [parity(row[1] & number)[np.argsort(local)] for row in masks[:count]]


words = st.integers(7, 9).flatmap(
    lambda live: st.tuples(st.lists(st.integers(0, 2**live - 1), min_size=1, max_size=14), st.just(live))
)


@QUICK
@given(words)
def test_every_rotation_is_in_one_group_with_its_select(case):
    selects, live = case
    found = {}
    for ops, masks in phases([(10 + k, select, k, 2 * k) for k, select in enumerate(selects)], live):
        for kind, first, count, index, size, together in ops:
            assert size == live and not together
            if kind == kinds.PHASE_Z:
                found[index] = parity(masks[first][1] & np.arange(2**live)), masks[first][2:]
                continue
            assert kind == kinds.PHASES and first == 0 and count > 1
            for row, selected in zip(masks, parities(masks, count, live), strict=False):
                found[row[0]] = selected, row[2:]
    assert sorted(found) == [10 + k for k in range(len(selects))]
    for k, select in enumerate(selects):
        assert np.array_equal(found[10 + k][0], parity(select & np.arange(2**live))) and found[10 + k][1] == (k, 2 * k)


@pytest.mark.parametrize(
    "selects, live, sizes",
    [
        ([1, 2, 4, 8, 16, 32, 64, 128], 8, [8]),
        ([1, 2, 4, 8, 16, 32], 6, [1] * 6),  # few amplitudes
        ([1, 2, 3, 4, 8, 12], 8, [4, 2]),  # 1 and 4 are of one half, 2 and 8 of the other
        ([0, 0, 5, 5], 8, [4]),
        ([77], 8, [1]),
    ],
)
def test_words_of_one_half_go_together(selects, live, sizes):
    ops = [op for rows, _ in phases([(k, s, 0, 0) for k, s in enumerate(selects)], live) for op in rows]
    assert [op[2] for op in ops] == sizes


@pytest.mark.parametrize(
    "live, n_words, kind", [(8, 8, kinds.Z_WORDS), (6, 6, kinds.DIAGONAL), (8, 64, kinds.DIAGONAL)]
)
def test_readouts_of_few_groups_go_by_halves(live, n_words, kind):
    masks = [(0, 1 << k if k < live else 3 * k, 0, 0) for k in range(n_words)]
    groups = list(z_words(masks, live))
    assert {op[0] for ops, _ in groups for op in ops} == {kind}
    assert sum(op[2] for ops, _ in groups for op in ops) == n_words
    assert (groups[0][1] == masks) == (kind == kinds.DIAGONAL)
