"""Compiled kernels against whole-space matrices, every lane with numbers of its own."""

from functools import cache

import dense
import masks
import numpy as np
import pytest
from numba import njit
from scipy.linalg import hadamard
from strategies import haar_unitary
from tolerances import close

from backends.statevector import bits, kernels, lanes
from backends.statevector.lanes import blend, crossed, load, odd, spread, store, total, zeros

N_BITS, SIZE = 4, 16
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}

precisions = pytest.mark.parametrize("dtype", TOLERANCE)
seeds = pytest.mark.parametrize("seed", range(6))


@cache
def kernel(name):
    """A kernel, called from Python."""
    called = getattr(kernels, name, None) or getattr(lanes, name)
    return njit(error_model="numpy")(lambda *arguments: called(*arguments))


def numbers(rng, dtype, *shape):
    """Numbers of order one, as many in the last dimension as there are lanes."""
    return rng.normal(size=(*shape, 64 // np.dtype(dtype).itemsize)).astype(dtype)


def states(rng, dtype, count=2):
    """Normalised states (SIZE, lanes) as arrays of real and imaginary parts, flat, and as complex ones."""
    parts = [numbers(rng, dtype, 2, SIZE) for _ in range(count)]
    parts = [p / np.sqrt((p**2).sum((0, 1))) for p in parts]
    return [p.reshape(2, -1).copy() for p in parts], [p[0] + 1j * p[1].astype(complex) for p in parts]


def joined(parts):
    """Complex (SIZE, lanes) of flat real and imaginary parts."""
    return (parts[0] + 1j * parts[1].astype(complex)).reshape(SIZE, -1)


def random_mask(rng, proper):
    """Flip and select, of odd or even overlap."""
    while True:
        flip, select = rng.integers(1, SIZE), rng.integers(0, SIZE)
        if masks.parity(flip & select) == proper:
            return int(flip), int(select)


def virtual_qubits(rng, count):
    """Masks (flip, select) of qubits after random CNOTs, as rows of a table."""
    flip, select = [1 << b for b in range(N_BITS)], [1 << b for b in range(N_BITS)]
    for _ in range(12):
        control, target = rng.permutation(N_BITS)[:2]
        select[target] ^= select[control]
        flip[control] ^= flip[target]
    table = np.zeros((count + 1, 6), np.int64)  # the first row is another operation's
    table[1:, :2] = [(flip[q], select[q]) for q in rng.permutation(N_BITS)[:count]]
    table[1:, 5] = bits.pivots(table[1:, 0].tolist())
    return table


# Lanes.


@njit
def arithmetic(a, b, out):
    x, y = load(a, 1), load(b, 2)
    store(out, 0, x + y)
    store(out, 1, x - y)
    store(out, 2, x * y)
    store(out, 3, -x)
    store(out, 4, zeros(a))
    store(out, 5, spread(b, 3) + x)


@precisions
def test_lanes(dtype):
    a, b = numbers(np.random.default_rng(0), dtype, 2, 3)
    out = numbers(np.random.default_rng(1), dtype, 7)
    before = out.copy()
    arithmetic(a.ravel(), b.ravel(), out.ravel())
    wanted = [a[1] + b[2], a[1] - b[2], a[1] * b[2], -a[1], 0 * a[1], b.ravel()[3] + a[1], before[6]]
    assert np.array_equal(out, np.array(wanted))


@njit
def product_and_sum(a, out):
    x = load(a, 0)
    store(out, 0, x * x - x * x)
    store(out, 1, (x + x) * x + x)


@precisions
def test_a_product_and_a_sum_may_be_one_instruction(dtype):
    a = numbers(np.random.default_rng(0), dtype, 1)
    out = np.empty((2, a.size), dtype)
    product_and_sum(a.ravel(), out.ravel())
    assert np.allclose(out, [0 * a[0], 2 * a[0] ** 2 + a[0]], atol=TOLERANCE[dtype])


@njit
def sum_and_choice(a, b, lanes, out):
    out[0] = total(load(a, 1))
    store(out, 1, blend(load(a, 1), load(b, 1), lanes))


@njit
def exchange(a, flip, out):
    store(out, 1, crossed(load(a, 1), flip))


@precisions
def test_lanes_change_places(dtype):
    a, out = numbers(np.random.default_rng(0), dtype, 2), numbers(np.random.default_rng(1), dtype, 2)
    for flip in range(a.shape[1]):
        exchange(a.ravel(), flip, out.ravel())
        assert np.array_equal(out[1], a[1, np.arange(a.shape[1]) ^ flip])


@precisions
@seeds
def test_sum_of_lanes_and_choice_among_them(seed, dtype):
    rng = np.random.default_rng(seed)
    a, b, out = numbers(rng, dtype, 2), numbers(rng, dtype, 2), numbers(rng, dtype, 2)
    chosen = rng.integers(0, 2, a.shape[1])
    sum_and_choice(a.ravel(), b.ravel(), int((chosen << np.arange(len(chosen))).sum()), out.ravel())
    assert close(out[0, 0], a[1].sum(), TOLERANCE[dtype]) and np.array_equal(out[1], np.where(chosen, b[1], a[1]))


def test_lanes_of_a_slice_that_is_not_aligned():
    a, out = np.arange(40.0)[3:], np.zeros(60)
    arithmetic(a, a, out[5:])
    assert np.array_equal(out[5:13], a[8:16] + a[16:24]) and not out[:5].any() and not out[53:].any()


@njit
def parity(mask):
    return odd(mask)


def test_odd():
    assert [parity(i) for i in (0, 1, 2, 3, 7, 2**62, 2**62 + 1)] == [0, 1, 1, 0, 1, 1, 0]


@seeds
@pytest.mark.parametrize("proper", [False, True])
def test_even_members_are_one_of_every_pair(seed, proper):
    flip, select = random_mask(np.random.default_rng(seed), proper)
    found = [kernel("even_member")(j, flip, select) for j in range(SIZE // 2)]
    assert sorted([*found, *(i ^ flip for i in found)]) == list(range(SIZE))
    assert not proper or not masks.parity(np.array(found) & select).any()


# Rotations: forward is the matrix, back undoes it on both states and finds Im <lambda|P|psi>.


def rotation(kind, flip, select):
    """The letters a kernel turns about, with their words."""
    proper = {"X": (flip, 0), "Y": (flip, select), "Z": (0, select)}
    words = {
        "general": proper,
        "flip_x": {"X": (flip, select)},
        "real_y": {"Y": proper["Y"]},
        "phase_z": {"Z": proper["Z"]},
    }
    return {letter: masks.word(*word, N_BITS) for letter, word in words[kind].items()}


def coefficients_of(rng, dtype, letters):
    """a, b, c, d of a rotation at place 1 among others, (3, 4, lanes); zero for the letters it has not."""
    found = numbers(rng, dtype, 3, 4)
    found[1] *= np.array([True, *(letter in letters for letter in "XYZ")])[:, None]
    found[1] /= np.sqrt((found[1] ** 2).sum(0))
    return found


def expected(coefficients, words, psi):
    """U psi, lane by lane."""
    a, parts = coefficients[1, 0], dict(zip("XYZ", coefficients[1, 1:], strict=True))
    return a * psi - 1j * sum(parts[letter] * (word @ psi) for letter, word in words.items())


@precisions
@seeds
@pytest.mark.parametrize("kind", ["general", "flip_x", "real_y", "phase_z"])
def test_rotations_forward_and_back(kind, seed, dtype):
    rng = np.random.default_rng(seed)
    flip, select = random_mask(rng, kind in ("general", "real_y"))
    words, flips = rotation(kind, flip, select), [] if kind == "phase_z" else [flip]
    coefficients, slopes = coefficients_of(rng, dtype, words), numbers(rng, dtype, 4, 3)
    (psi, lam), (psi_0, lam_0) = states(rng, dtype)
    table, found = (coefficients.ravel(), 4), slopes.copy()
    kernel(kind)(*psi, SIZE, *flips, select, *table)
    kernel(kind)(*lam, SIZE, *flips, select, *table)
    psi_1, lam_1 = (expected(coefficients, words, state) for state in (psi_0, lam_0))
    assert close(joined(psi), psi_1, TOLERANCE[dtype]) and close(joined(lam), lam_1, TOLERANCE[dtype])
    kernel(f"{kind}_back")(*psi, *lam, SIZE, *flips, select, *table, found.ravel(), 6)
    assert close(joined(psi), psi_0, TOLERANCE[dtype]) and close(joined(lam), lam_0, TOLERANCE[dtype])
    wanted = {letter: (lam_1.conj() * (word @ psi_1)).sum(0).imag for letter, word in words.items()}
    slopes[2] = [wanted.get(letter, 0 * slopes[0, 0]) for letter in "XYZ"]
    assert close(found, slopes, TOLERANCE[dtype])  # and nothing else was written


@precisions
@seeds
@pytest.mark.parametrize("kind", ["general", "real"])
def test_two_rotations_forward_and_back(kind, seed, dtype):
    rng = np.random.default_rng(seed)
    table = virtual_qubits(rng, 2)
    sets = [rotation({"real": "real_y"}.get(kind, kind), *table[m, :2].tolist()) for m in (1, 2)]
    blocks, slopes = [coefficients_of(rng, dtype, words) for words in sets], numbers(rng, dtype, 7, 3)
    coefficients = np.concatenate([blocks[0], blocks[1]])  # rotations 1 and 4 are run
    (psi, lam), (psi_0, lam_0) = states(rng, dtype)
    found = slopes.copy()
    for state in (psi, lam):
        kernel(f"both_{kind}")(*state, SIZE, table, 1, coefficients.ravel(), 1, 4)
    psi_1, lam_1 = (expected(blocks[0], sets[0], state) for state in (psi_0, lam_0))
    psi_2, lam_2 = (expected(blocks[1], sets[1], state) for state in (psi_1, lam_1))
    assert close(joined(psi), psi_2, TOLERANCE[dtype]) and close(joined(lam), lam_2, TOLERANCE[dtype])
    back = kernel(f"both_{kind}_back")
    back(*psi, *lam, SIZE, table, 1, coefficients.ravel(), found.ravel(), 1, 4)
    assert close(joined(psi), psi_0, TOLERANCE[dtype]) and close(joined(lam), lam_0, TOLERANCE[dtype])
    for place, words, a, b in ((1, sets[0], psi_1, lam_1), (4, sets[1], psi_2, lam_2)):
        wanted = {letter: (b.conj() * (word @ a)).sum(0).imag for letter, word in words.items()}
        slopes[place] = [wanted.get(letter, 0 * slopes[0, 0]) for letter in "XYZ"]
    assert close(found, slopes, TOLERANCE[dtype])  # and nothing else was written


@precisions
@seeds
def test_three_rotations_forward_and_back(seed, dtype):
    rng = np.random.default_rng(seed)
    table = virtual_qubits(rng, 3)
    sets = [rotation("real_y", *table[m, :2].tolist()) for m in (1, 2, 3)]
    blocks, slopes = [coefficients_of(rng, dtype, "Y") for _ in sets], numbers(rng, dtype, 10, 3)
    coefficients, places = np.concatenate(blocks).ravel(), (1, 4, 7)
    both, steps = states(rng, dtype)
    found = slopes.copy()
    for state in both:
        kernel("three_real")(*state, SIZE, table, 1, coefficients, *places)
    reached = [steps]
    for block, words in zip(blocks, sets, strict=True):
        reached.append([expected(block, words, state) for state in reached[-1]])
    assert all(close(joined(a), b, TOLERANCE[dtype]) for a, b in zip(both, reached[-1], strict=True))
    back = kernel("three_real_back")
    back(*both[0], *both[1], SIZE, table, 1, coefficients, found.ravel(), *places)
    assert all(close(joined(a), b, TOLERANCE[dtype]) for a, b in zip(both, steps, strict=True))
    for place, words, (a, b) in zip(places, sets, reached[1:], strict=True):
        slopes[place] = 0
        slopes[place, 1] = (b.conj() * (words["Y"] @ a)).sum(0).imag
    assert close(found, slopes, TOLERANCE[dtype])


@precisions
@seeds
def test_a_rotation_of_two_lanes_forward_and_back(seed, dtype):
    rng, n_lanes = np.random.default_rng(seed), 64 // np.dtype(dtype).itemsize
    n_bits = n_lanes.bit_length() - 1
    flip, select = (int(k) for k in rng.integers(1, n_lanes, 2))
    select ^= 0 if masks.parity(flip & select) else flip & -flip
    signs = 1 - 2.0 * masks.parity(select & np.arange(n_lanes))
    a, b, c, d = rng.normal(size=4)
    coefficients = np.array([[1 + 0 * signs] * 4, [a + 0 * signs, b + 0 * signs, c * signs, d * signs]])
    coefficients = (coefficients / np.sqrt(a * a + b * b + c * c + d * d)).astype(dtype)
    words = [masks.word(f, s, n_bits).T for f, s in ((flip, 0), (flip, select), (0, select))]
    u = coefficients[1, 0, 0] * np.eye(n_lanes)
    u = u - 1j * sum(k * word for k, word in zip((b, c, d), words, strict=True)) / np.linalg.norm([a, b, c, d])
    (psi, lam), (psi_0, lam_0) = states(rng, dtype)
    slopes = numbers(rng, dtype, 2, 3)
    for state in (psi, lam):
        kernel("across")(*state, SIZE, flip, coefficients.ravel(), 4)
    psi_1, lam_1 = psi_0 @ u, lam_0 @ u
    assert close(joined(psi), psi_1, TOLERANCE[dtype]) and close(joined(lam), lam_1, TOLERANCE[dtype])
    kernel("across_back")(*psi, *lam, SIZE, flip, coefficients.ravel(), 4, slopes.ravel(), 3)
    assert close(joined(psi), psi_0, TOLERANCE[dtype]) and close(joined(lam), lam_0, TOLERANCE[dtype])
    found = (slopes[1] * np.array([1 + 0 * signs, signs, signs])).sum(1)
    wanted = [(lam_1.conj() * (psi_1 @ word)).sum().imag for word in words]
    assert close(found, wanted, 10 * TOLERANCE[dtype])


# Z words by halves of coordinates: which words a table has, and which local index has which coordinates.


def coordinate_table(rng, words):
    """Rows from 1 on for Z words, (number, what it selects of the coordinates), and the parities (words, SIZE)."""
    while True:
        flips = rng.integers(1, SIZE, N_BITS)
        chosen = np.arange(SIZE)[:, None] >> np.arange(N_BITS) & 1
        reached = np.bitwise_xor.reduce(chosen * flips, 1)
        if len(set(reached.tolist())) == SIZE:
            break
    low = N_BITS // 2
    rows = [*words, *((flip, 0) for flip in (*flips[:low][::-1], *flips[low:][::-1]))]
    table = np.zeros((1 + len(rows), 6), np.int64)
    table[1:, :2] = rows
    parities = np.array([masks.parity(select & np.argsort(reached)) for _, select in words])
    return table, parities


WORD_SETS = {
    "one word a coordinate": [(2, 1), (0, 2), (3, 4), (1, 8)],
    "two coordinates of one half": [(1, 1), (0, 3), (2, 12)],
    "none but the upper half": [(0, 8), (1, 12)],
    "none but the lower half": [(1, 3)],
    "a word of lanes alone": [(3, 0), (1, 0), (0, 2)],
}
word_sets = pytest.mark.parametrize("words", WORD_SETS.values(), ids=WORD_SETS)


@precisions
@seeds
@word_sets
def test_phases_of_many_words(words, seed, dtype):
    rng = np.random.default_rng(seed)
    table, parities = coordinate_table(rng, words)
    coefficients = numbers(rng, dtype, 4, 4)
    coefficients /= np.sqrt((coefficients[:, ::3] ** 2).sum(1))[:, None]
    slopes, room = numbers(rng, dtype, 4, 3), numbers(rng, dtype, 3 * SIZE).ravel()
    (psi, lam), (psi_0, lam_0) = states(rng, dtype)
    found = slopes.copy()
    signs = dict(zip((number for number, _ in words), 1 - 2.0 * parities[:, :, None], strict=True))
    factor = np.prod([coefficients[k, 0] - 1j * sign * coefficients[k, 3] for k, sign in signs.items()], 0)
    for state in (psi, lam):
        kernel("phases")(*state, N_BITS, table, 1, len(words), coefficients.ravel(), room)
    psi_1, lam_1 = psi_0 * factor, lam_0 * factor
    assert close(joined(psi), psi_1, TOLERANCE[dtype]) and close(joined(lam), lam_1, TOLERANCE[dtype])
    back = kernel("phases_back")
    back(*psi, *lam, N_BITS, table, 1, len(words), coefficients.ravel(), found.ravel(), room)
    assert close(joined(psi), psi_0, TOLERANCE[dtype]) and close(joined(lam), lam_0, TOLERANCE[dtype])
    for k, sign in signs.items():
        slopes[k] = 0
        slopes[k, 2] = (lam_1.conj() * sign * psi_1).sum(0).imag
    assert close(found, slopes, TOLERANCE[dtype])


@precisions
@seeds
@word_sets
def test_z_words_by_halves(words, seed, dtype):
    rng = np.random.default_rng(seed)
    table, parities = coordinate_table(rng, words)
    diagonal = rng.permutation(5)[:4]
    values, weights = numbers(rng, dtype, 5), numbers(rng, dtype, 5)
    room, found = numbers(rng, dtype, 3 * SIZE).ravel(), values.copy()
    (psi, lam), (psi_0, lam_0) = states(rng, dtype)
    kernel("z_words")(*psi, N_BITS, table, 1, len(words), diagonal, found.ravel(), room)
    kernel("z_words_back")(*psi, *lam, N_BITS, table, 1, len(words), diagonal, weights.ravel(), room)
    signs = 1 - 2.0 * parities[:, :, None]
    for (k, _), sign in zip(words, signs, strict=True):
        values[diagonal[k]] = (sign * abs(psi_0) ** 2).sum(0)
        lam_0 = lam_0 + weights[diagonal[k]] * sign * psi_0
    assert close(found, values, TOLERANCE[dtype]) and close(joined(lam), lam_0, 10 * TOLERANCE[dtype])


# Signs and matrices; a mask may select lanes and outer tiles as well.

OUTER = 0b101


def select_lanes(rng, table, n_lanes):
    """Let the masks select lanes and outer tiles; return their parities (masks, lanes) at the tile OUTER."""
    lanes = rng.integers(0, 2, (len(table), n_lanes))
    table[:, 2] = (lanes << np.arange(n_lanes)).sum(1)
    table[:, 3] = rng.integers(0, 8, len(table))
    return lanes ^ masks.parity(table[:, 3] & OUTER)[:, None]


@precisions
@seeds
@pytest.mark.parametrize("count", [2, 3])
def test_signs(count, seed, dtype):
    rng, n_lanes = np.random.default_rng(seed), 64 // np.dtype(dtype).itemsize
    table = virtual_qubits(rng, count)
    chosen = select_lanes(rng, table, n_lanes)[1:]
    (psi,), (psi_0,) = states(rng, dtype, 1)
    signs = numbers(rng, dtype, 2**count).ravel()
    kernel("lane_signs")(signs, table, 1, count, OUTER, n_lanes)
    kernel("minus")(*psi, SIZE, table, 1, count, signs)
    local = np.array([masks.parity(select & np.arange(SIZE)) for select in table[1:, 1]])
    wanted = psi_0 * (1 - 2.0 * (local[:, :, None] ^ chosen[:, None]).all(0))
    assert close(joined(psi), wanted, 0)


@precisions
@seeds
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("hadamard", [0, 1])
def test_controlled(count, seed, dtype, hadamard):
    rng, n_lanes = np.random.default_rng(seed), 64 // np.dtype(dtype).itemsize
    table = virtual_qubits(rng, count)
    chosen = select_lanes(rng, table, n_lanes)[1:]
    target = dense.HADAMARD if hadamard else dense.SIGMA["X"]
    matrix = np.eye(2**count, dtype=complex)
    matrix[-2:, -2:] = target
    order = [*range(1, count), 0]  # controls first
    (psi,), (psi_0,) = states(rng, dtype, 1)
    table[2:, 0] = 0  # controls flip nothing
    parts = numbers(rng, dtype, 3 * 2 ** (count - 1)).ravel()
    kernel("control_parts")(parts, table, 1, count, OUTER, hadamard, n_lanes)
    kernel("controlled")(*psi, SIZE, table, 1, count, parts)
    for lane in range(n_lanes):
        wanted = virtual_matrix(flipped(matrix, chosen[order, lane]), table[1:][order]) @ psi_0[:, lane]
        assert close(joined(psi)[:, lane], wanted, TOLERANCE[dtype])


@precisions
@seeds
@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("adjoint", [False, True])
def test_dense(count, seed, dtype, adjoint):
    rng, n_lanes, dim = np.random.default_rng(seed), 64 // np.dtype(dtype).itemsize, 2**count
    table = virtual_qubits(rng, count)
    chosen = select_lanes(rng, table, n_lanes)[1:]
    matrix = haar_unitary(count, seed)
    (psi,), (psi_0,) = states(rng, dtype, 1)
    entries = np.concatenate([[9, 9, 9], matrix.ravel()])  # from place 3 on
    entries = np.stack([entries.real, entries.imag]).astype(dtype)
    of_lanes, block = np.empty(3 * dim * dim * n_lanes, dtype), np.empty(2 * dim * n_lanes, dtype)
    kernel("lane_matrix")(of_lanes, entries, 3, adjoint, table, 1, count, OUTER)
    kernel("dense")(*psi, SIZE, table, 1, count, of_lanes, block)
    for lane in range(n_lanes):
        mine = flipped(matrix.conj().T if adjoint else matrix, chosen[:, lane])
        wanted = virtual_matrix(mine, table[1:]) @ psi_0[:, lane]
        assert close(joined(psi)[:, lane], wanted, TOLERANCE[dtype])


def flipped(matrix, parities):
    """A matrix between X on the qubits where a mask selects the lane."""
    change = dense.kron(*(dense.SIGMA["IX"[parity]] for parity in parities))
    return change @ matrix @ change


def virtual_matrix(matrix, table):
    """A matrix on virtual qubits, first mask leftmost, as one on the tile: a sum over Pauli words."""
    out, count = np.zeros((SIZE, SIZE), complex), len(table)
    for letters in np.ndindex(*(4,) * count):
        word = dense.word(["IXYZ"[k] for k in letters])
        term = np.eye(SIZE, dtype=complex) * np.trace(word @ matrix) / 2**count
        for k, (flip, select, *_) in zip(letters, table, strict=True):
            term = term @ masks.word(flip * (k in (1, 2)), select * (k in (2, 3)), N_BITS)
        out += term
    return out


@seeds
def test_one_corner_of_every_group(seed):
    """The member that no mask selects; from tuples and from arrays."""
    rng = np.random.default_rng(seed)
    table = virtual_qubits(rng, 3)
    columns = [table[1:, k] for k in (0, 1, 5)]
    corners = [kernel("corner")(j, *columns) for j in range(SIZE // 8)]
    assert corners == [kernel("corner")(j, *(tuple(c.tolist()) for c in columns)) for j in range(SIZE // 8)]
    assert not masks.parity(np.array(corners)[:, None] & table[1:, 1]).any()
    offsets = kernel("group_offsets")(table, 1, 3).tolist()
    assert sorted(corner ^ offset for corner in corners for offset in offsets) == list(range(SIZE))
    first, second = (int(flip) for flip in table[1:3, 0])
    assert offsets[0b110] == first ^ second  # the first mask is the leading bit


# Readouts.


@njit
def write_word_value(re, im, table, out):
    store(out, 0, kernels.word_value(re, im, len(re) // len(out), table, 1))


def random_word(rng, y_like, flips, n_lanes):
    """Flip and select of amplitudes and lanes together, the amplitudes' bits leading; Y-like or not."""
    high, low = int(rng.integers(1, SIZE)) * ("amplitudes" in flips), int(rng.integers(1, n_lanes)) * ("lanes" in flips)
    flip, select = high * n_lanes + low, int(rng.integers(0, SIZE * n_lanes))
    return flip, select ^ (flip & -flip if masks.parity(flip & select) != y_like else 0)


@precisions
@seeds
@pytest.mark.parametrize("y_like", [False, True], ids=["X", "Y"])
@pytest.mark.parametrize("flips", ["amplitudes", "lanes", "amplitudes and lanes", ""])
def test_words(flips, y_like, seed, dtype):
    """What a word selects of the lanes is no matter of the kernels: it is in the weights, and where lanes are added."""
    rng, n_lanes = np.random.default_rng(seed), 64 // np.dtype(dtype).itemsize
    flip, select = random_word(rng, y_like and bool(flips), flips, n_lanes)
    signs = 1 - 2.0 * masks.parity(select % n_lanes & np.arange(n_lanes))
    table = np.zeros((2, 6), np.int64)
    selected = int(((signs < 0) << np.arange(n_lanes)).sum())
    table[1] = flip // n_lanes, select // n_lanes, selected, 0, flip % n_lanes, 0
    word = masks.word(flip, select, N_BITS + n_lanes.bit_length() - 1)
    (psi, lam), (psi_0, lam_0) = states(rng, dtype)
    read, weights = (word @ psi_0.ravel()).reshape(SIZE, -1), numbers(rng, dtype, 3)
    value, signed = np.empty_like(weights[0]), (weights * signs).astype(dtype)
    write_word_value(*psi, table, value)
    assert close((value * signs).sum(), (psi_0.conj() * read).sum().real, n_lanes * TOLERANCE[dtype])
    kernel("word_back")(*psi, *lam, SIZE, table, 1, signed.ravel(), 2)
    assert close(joined(lam), lam_0 + weights[2] * read, TOLERANCE[dtype])
    assert close(joined(psi), psi_0, 0)


@precisions
def test_diagonal_words_all_at_once(dtype):
    rng = np.random.default_rng(0)
    (psi, lam), (psi_0, lam_0) = states(rng, dtype)
    p = numbers(rng, dtype, SIZE).ravel()
    kernel("densities")(*psi, SIZE, p)
    kernel("walsh")(p, SIZE)
    assert close(p.reshape(SIZE, -1), hadamard(SIZE) @ abs(psi_0) ** 2, TOLERANCE[dtype])
    kernel("diagonal_back")(*psi, *lam, SIZE, p)
    assert close(joined(lam), lam_0 + p.reshape(SIZE, -1) * psi_0, TOLERANCE[dtype])


@precisions
def test_walsh_of_one_amplitude_is_itself(dtype):
    p = numbers(np.random.default_rng(0), dtype, 1).ravel()
    before = p.copy()
    kernel("walsh")(p, 1)
    assert np.array_equal(p, before)


@precisions
def test_transpose(dtype):
    n_lanes = 64 // np.dtype(dtype).itemsize
    tile = numbers(np.random.default_rng(0), dtype, 3 * n_lanes)
    wanted = tile.copy()
    wanted[n_lanes : 2 * n_lanes] = tile[n_lanes : 2 * n_lanes].T
    kernel("transpose")(tile.ravel(), n_lanes)
    assert np.array_equal(tile, wanted)
