"""Kernels on a tile: 2**k amplitudes in every lane, real and imaginary parts apart.

A rotation on (flip, select) pairs the amplitudes i and i ^ flip; psi_0 is the one whose select parity is even. With
U = a - i (b X + c Y + d Z) the kernels come in twos: forward applies U to psi; backward applies U† to psi and lambda
and adds up Im <lambda|P|psi> for the letters P that the rotation has, which is half the gradient of its angle.
"""

from __future__ import annotations

import numpy as np

from backends.statevector.lanes import blend, compiled, crossed, fill, load, odd, spread, store, zeros


@compiled
def even_member(j, flip, select):
    """Return the member of the j-th pair whose select parity is even (of either, where select & flip is even)."""
    low = (flip & -flip) - 1
    i = ((j & ~low) << 1) | (j & low)
    return i ^ flip if odd(i & select) and odd(flip & select) else i


@compiled
def rotation(coefficients, o):
    """Return a, b, c, d."""
    return load(coefficients, o), load(coefficients, o + 1), load(coefficients, o + 2), load(coefficients, o + 3)


@compiled
def undone(u):
    """Return U†."""
    a, b, c, d = u
    return a, -b, -c, -d


@compiled
def apply_general(u, psi):
    """psi_0 <- (a - id) psi_0 - (c + ib) psi_1;  psi_1 <- (c - ib) psi_0 + (a + id) psi_1."""
    a, b, c, d = u
    r0, i0, r1, i1 = psi
    return (
        a * r0 + d * i0 - c * r1 + b * i1,
        a * i0 - d * r0 - c * i1 - b * r1,
        a * r1 - d * i1 + c * r0 + b * i0,
        a * i1 + d * r1 + c * i0 - b * r0,
    )


@compiled
def apply_real(u, psi):
    """psi_0 <- a psi_0 - c psi_1;  psi_1 <- c psi_0 + a psi_1."""
    a, _, c, _ = u
    r0, i0, r1, i1 = psi
    return a * r0 - c * r1, a * i0 - c * i1, a * r1 + c * r0, a * i1 + c * i0


@compiled
def slopes_of_general(v, psi, lam):
    """Add the slopes of X, Y and Z."""
    vx, vy, vz = v
    r0, i0, r1, i1 = psi
    p0, q0, p1, q1 = lam
    return (
        vx + p0 * i1 - q0 * r1 + p1 * i0 - q1 * r0,
        vy + p1 * r0 + q1 * i0 - p0 * r1 - q0 * i1,
        vz + p0 * i0 - q0 * r0 - p1 * i1 + q1 * r1,
    )


@compiled
def slopes_of_real(v, psi, lam):
    """Add the slope of Y."""
    vx, vy, vz = v
    r0, i0, r1, i1 = psi
    p0, q0, p1, q1 = lam
    return vx, vy + (p1 * r0 + q1 * i0 - p0 * r1 - q0 * i1), vz


@compiled
def load_pair(re, im, i, k):
    """Return psi_0 and psi_1 from i and k: real part, imaginary part, of the one, then of the other."""
    return load(re, i), load(im, i), load(re, k), load(im, k)


@compiled
def store_pair(re, im, i, k, psi):
    """Write psi_0 and psi_1 to i and k."""
    store(re, i, psi[0])
    store(im, i, psi[1])
    store(re, k, psi[2])
    store(im, k, psi[3])


@compiled
def store_slopes(slopes, o, v):
    """Write the slopes of X, Y and Z."""
    for k in range(3):
        store(slopes, o + k, v[k])


def _single(apply):
    """Make the kernel of a rotation."""

    @compiled
    def kernel(re, im, size, flip, select, coefficients, o):
        u = rotation(coefficients, o)
        for j in range(size // 2):
            i = even_member(j, flip, select)
            k = i ^ flip
            store_pair(re, im, i, k, apply(u, load_pair(re, im, i, k)))

    return kernel


def _single_back(apply, add):
    """Make the kernel that undoes a rotation on psi and lambda, and takes its slopes."""

    @compiled
    def kernel(re, im, lr, li, size, flip, select, coefficients, o, slopes, s):
        u = undone(rotation(coefficients, o))
        v = zeros(re), zeros(re), zeros(re)
        for j in range(size // 2):
            i = even_member(j, flip, select)
            k = i ^ flip
            psi, lam = load_pair(re, im, i, k), load_pair(lr, li, i, k)
            v = add(v, psi, lam)
            store_pair(re, im, i, k, apply(u, psi))
            store_pair(lr, li, i, k, apply(u, lam))
        store_slopes(slopes, s, v)

    return kernel


general, real_y = _single(apply_general), _single(apply_real)
general_back = _single_back(apply_general, slopes_of_general)
real_y_back = _single_back(apply_real, slopes_of_real)


@compiled
def two(masks, first):
    """Return flips, selects and pivots of two rows of masks."""
    k = first + 1
    return (masks[first, 0], masks[k, 0]), (masks[first, 1], masks[k, 1]), (masks[first, 5], masks[k, 5])


@compiled
def three(masks, first):
    """Return flips, selects and pivots of three rows of masks."""
    k, m = first + 1, first + 2
    flips, selects = (masks[first, 0], masks[k, 0], masks[m, 0]), (masks[first, 1], masks[k, 1], masks[m, 1])
    return flips, selects, (masks[first, 5], masks[k, 5], masks[m, 5])


@compiled
def corner(j, flips, selects, pivots):
    """Return the member of the j-th group whose select parities are all even."""
    for pivot in pivots:
        j = ((j & -pivot) << 1) | (j & (pivot - 1))
    i = j
    for m in range(len(flips)):
        i = i ^ flips[m] if odd(j & selects[m]) else i
    return i


def _pair(apply):
    """Make the kernel of two rotations on two qubits: each group of four amplitudes is loaded and stored once."""

    @compiled
    def kernel(re, im, size, masks, first, coefficients, o, z):
        u, w = rotation(coefficients, 4 * o), rotation(coefficients, 4 * z)
        (f, g), selects, pivots = two(masks, first)
        for j in range(size // 4):
            i = corner(j, (f, g), selects, pivots)
            a, b = load_pair(re, im, i, i ^ f), load_pair(re, im, i ^ g, i ^ f ^ g)
            a, b = apply(u, a), apply(u, b)
            store_pair(re, im, i, i ^ g, apply(w, (a[0], a[1], b[0], b[1])))
            store_pair(re, im, i ^ f, i ^ f ^ g, apply(w, (a[2], a[3], b[2], b[3])))

    return kernel


def _pair_back(apply, add):
    """Make the kernel that undoes two rotations on psi and lambda, and takes their slopes."""

    @compiled
    def kernel(re, im, lr, li, size, masks, first, coefficients, slopes, o, z):
        u, w = undone(rotation(coefficients, 4 * o)), undone(rotation(coefficients, 4 * z))
        (f, g), selects, pivots = two(masks, first)
        v, x = (zeros(re), zeros(re), zeros(re)), (zeros(re), zeros(re), zeros(re))
        for j in range(size // 4):
            i = corner(j, (f, g), selects, pivots)
            k, m, n = i ^ f, i ^ g, i ^ f ^ g
            a, b = load_pair(re, im, i, k), load_pair(re, im, m, n)
            c, d = load_pair(lr, li, i, k), load_pair(lr, li, m, n)
            v = add(add(v, a, c), b, d)
            a, b, c, d = apply(u, a), apply(u, b), apply(u, c), apply(u, d)
            a, b = (a[0], a[1], b[0], b[1]), (a[2], a[3], b[2], b[3])
            c, d = (c[0], c[1], d[0], d[1]), (c[2], c[3], d[2], d[3])
            x = add(add(x, a, c), b, d)
            store_pair(re, im, i, m, apply(w, a))
            store_pair(re, im, k, n, apply(w, b))
            store_pair(lr, li, i, m, apply(w, c))
            store_pair(lr, li, k, n, apply(w, d))
        store_slopes(slopes, 3 * o, v)
        store_slopes(slopes, 3 * z, x)

    return kernel


both_general, both_real = _pair(apply_general), _pair(apply_real)
both_general_back = _pair_back(apply_general, slopes_of_general)
both_real_back = _pair_back(apply_real, slopes_of_real)


@compiled
def real(u, x0, x1):
    """x_0 <- a x_0 - c x_1;  x_1 <- c x_0 + a x_1, of real or of imaginary parts."""
    a, c = u
    return a * x0 - c * x1, a * x1 + c * x0


@compiled
def real_four(u, x):
    """Apply a real rotation to four pairs: 0 and 1, 2 and 3, 4 and 5, 6 and 7."""
    x0, x1, x2, x3, x4, x5, x6, x7 = x
    return (*real(u, x0, x1), *real(u, x2, x3), *real(u, x4, x5), *real(u, x6, x7))


@compiled
def slope_four(v, x, p):
    """Add the slope of Y on four pairs."""
    x0, x1, x2, x3, x4, x5, x6, x7 = x
    p0, p1, p2, p3, p4, p5, p6, p7 = p
    v = v + p1 * x0 - p0 * x1 + p3 * x2 - p2 * x3
    return v + p5 * x4 - p4 * x5 + p7 * x6 - p6 * x7


@compiled
def next_qubit(x):
    """Bring the pairs of the next of three qubits together: the lowest bit of a number of eight becomes the highest."""
    x0, x1, x2, x3, x4, x5, x6, x7 = x
    return x0, x2, x4, x6, x1, x3, x5, x7


@compiled
def load_eight(x, i, f, g, h):
    """Return the amplitudes of a group of three qubits, the first the lowest bit."""
    k = i ^ h
    return (
        load(x, i), load(x, i ^ f), load(x, i ^ g), load(x, i ^ f ^ g),
        load(x, k), load(x, k ^ f), load(x, k ^ g), load(x, k ^ f ^ g),
    )  # fmt: skip


@compiled
def store_eight(x, i, f, g, h, values):
    """Write what :func:`load_eight` returned."""
    k = i ^ h
    store(x, i, values[0])
    store(x, i ^ f, values[1])
    store(x, i ^ g, values[2])
    store(x, i ^ f ^ g, values[3])
    store(x, k, values[4])
    store(x, k ^ f, values[5])
    store(x, k ^ g, values[6])
    store(x, k ^ f ^ g, values[7])


@compiled
def three_real(re, im, size, masks, first, coefficients, o, z, y):
    """Apply three real rotations on three qubits; real and imaginary parts do not mix, and go one after the other."""
    u, v, w = real_parts(coefficients, o), real_parts(coefficients, z), real_parts(coefficients, y)
    (f, g, h), selects, pivots = three(masks, first)
    for j in range(size // 8):
        i = corner(j, (f, g, h), selects, pivots)
        for part in (re, im):
            x = real_four(u, load_eight(part, i, f, g, h))
            x = real_four(w, next_qubit(real_four(v, next_qubit(x))))
            store_eight(part, i, f, g, h, next_qubit(x))


@compiled
def undo_three(part, lam, size, masks, first, rotations, slopes):
    """Undo three real rotations on the real or the imaginary parts of psi and lambda, and add to their slopes."""
    (u, v, w), (su, sv, sw) = rotations, slopes
    (f, g, h), selects, pivots = three(masks, first)
    for j in range(size // 8):
        i = corner(j, (f, g, h), selects, pivots)
        x, p = load_eight(part, i, h, g, f), load_eight(lam, i, h, g, f)
        sw = slope_four(sw, x, p)
        x, p = next_qubit(real_four(w, x)), next_qubit(real_four(w, p))
        sv = slope_four(sv, x, p)
        x, p = next_qubit(real_four(v, x)), next_qubit(real_four(v, p))
        su = slope_four(su, x, p)
        store_eight(part, i, h, g, f, next_qubit(real_four(u, x)))
        store_eight(lam, i, h, g, f, next_qubit(real_four(u, p)))
    return su, sv, sw


@compiled
def three_real_back(re, im, lr, li, size, masks, first, coefficients, slopes, o, z, y):
    """Undo :func:`three_real` on psi and lambda, the last rotation first; slopes of Y."""
    u, v, w = real_parts(coefficients, o), real_parts(coefficients, z), real_parts(coefficients, y)
    rotations, slope = ((u[0], -u[1]), (v[0], -v[1]), (w[0], -w[1])), (zeros(re), zeros(re), zeros(re))
    slope = undo_three(re, lr, size, masks, first, rotations, slope)
    su, sv, sw = undo_three(im, li, size, masks, first, rotations, slope)
    for at, slope in ((o, su), (z, sv), (y, sw)):
        store_slopes(slopes, 3 * at, (zeros(re), slope, zeros(re)))


@compiled
def real_parts(coefficients, o):
    """Return a and c of a rotation."""
    return load(coefficients, 4 * o), load(coefficients, 4 * o + 2)


@compiled
def flip_x(re, im, size, flip, sign, coefficients, o):
    """psi_i <- a psi_i - i s b psi_(i^flip), s = -1 where ``sign`` selects i: exp(-i tau P) of an X-like word."""
    a, b = load(coefficients, o), load(coefficients, o + 1)
    for j in range(size // 2):
        i = even_member(j, flip, 0)
        k = i ^ flip
        s = -b if odd(i & sign) else b
        r0, i0, r1, i1 = load(re, i), load(im, i), load(re, k), load(im, k)
        store(re, i, a * r0 + s * i1)
        store(im, i, a * i0 - s * r1)
        store(re, k, a * r1 + s * i0)
        store(im, k, a * i1 - s * r0)


@compiled
def flip_x_back(re, im, lr, li, size, flip, sign, coefficients, o, slopes, v):
    """Undo :func:`flip_x` on psi and lambda; slope of X."""
    a, b = load(coefficients, o), load(coefficients, o + 1)
    vx = zeros(re)
    for j in range(size // 2):
        i = even_member(j, flip, 0)
        k = i ^ flip
        minus = odd(i & sign)
        s = -b if minus else b
        r0, i0, r1, i1 = load(re, i), load(im, i), load(re, k), load(im, k)
        p0, q0, p1, q1 = load(lr, i), load(li, i), load(lr, k), load(li, k)
        here = (p0 * i1 - q0 * r1) + (p1 * i0 - q1 * r0)
        vx = vx - here if minus else vx + here
        store(re, i, a * r0 - s * i1)
        store(im, i, a * i0 + s * r1)
        store(re, k, a * r1 - s * i0)
        store(im, k, a * i1 + s * r0)
        store(lr, i, a * p0 - s * q1)
        store(li, i, a * q0 + s * p1)
        store(lr, k, a * p1 - s * q0)
        store(li, k, a * q1 + s * p0)
    store(slopes, v, vx)
    store(slopes, v + 1, zeros(re))
    store(slopes, v + 2, zeros(re))


@compiled
def phase_z(re, im, size, select, coefficients, o):
    """psi_i <- (a - i s d) psi_i, s = -1 where ``select`` selects i."""
    a, d = load(coefficients, o), load(coefficients, o + 3)
    for i in range(size):
        s = -d if odd(i & select) else d
        r, m = load(re, i), load(im, i)
        store(re, i, a * r + s * m)
        store(im, i, a * m - s * r)


@compiled
def phase_z_back(re, im, lr, li, size, select, coefficients, o, slopes, v):
    """Undo :func:`phase_z` on psi and lambda; slope of Z."""
    a, d = load(coefficients, o), load(coefficients, o + 3)
    vz = zeros(re)
    for i in range(size):
        minus = odd(i & select)
        s = -d if minus else d
        r, m, p, q = load(re, i), load(im, i), load(lr, i), load(li, i)
        here = p * m - q * r
        vz = vz - here if minus else vz + here
        store(re, i, a * r - s * m)
        store(im, i, a * m + s * r)
        store(lr, i, a * p - s * q)
        store(li, i, a * q + s * p)
    store(slopes, v, zeros(re))
    store(slopes, v + 1, zeros(re))
    store(slopes, v + 2, vz)


@compiled
def across(re, im, size, flip, coefficients, o):
    """Apply a rotation whose pairs are two lanes: psi <- (a - id) psi - (c + ib) psi', psi' from lane ^ flip.

    In lanes that its mask selects c and d have the other sign.
    """
    u = rotation(coefficients, o)
    for i in range(size):
        turn_lanes(re, im, i, u, flip)


@compiled
def across_back(re, im, lr, li, size, flip, coefficients, o, slopes, v):
    """Undo :func:`across` on psi and lambda; slopes of X, Y and Z, the two latter with the other sign there too."""
    u = undone(rotation(coefficients, o))
    vx, vy, vz = zeros(re), zeros(re), zeros(re)
    for i in range(size):
        r0, i0, p0, q0 = load(re, i), load(im, i), load(lr, i), load(li, i)
        r1, i1 = crossed(r0, flip), crossed(i0, flip)
        vx, vy, vz = vx + p0 * i1 - q0 * r1, vy - p0 * r1 - q0 * i1, vz + p0 * i0 - q0 * r0
        turn_lanes(re, im, i, u, flip)
        turn_lanes(lr, li, i, u, flip)
    store_slopes(slopes, v, (vx, vy, vz))


@compiled
def turn_lanes(re, im, i, u, flip):
    """Apply a rotation to the lanes of one register."""
    a, b, c, d = u
    r0, i0 = load(re, i), load(im, i)
    r1, i1 = crossed(r0, flip), crossed(i0, flip)
    store(re, i, a * r0 + d * i0 - c * r1 + b * i1)
    store(im, i, a * i0 - d * r0 - c * i1 - b * r1)


@compiled
def phase_table(table, n_bits, shift, masks, first, last, coefficients):
    """Fill a table with the products of a - i s d over Z words, s = -1 where the word selects the entry's number.

    It is doubled whenever a word selects one more bit.
    """
    fill(table, 0, 64 // table.itemsize, 1)
    store(table, 1, zeros(table))
    size = 1
    for k in range(first, last):
        word = masks[k, 1] >> shift
        while size <= word:
            size = doubled(table, size)
        a, d = load(coefficients, 4 * masks[k, 0]), load(coefficients, 4 * masks[k, 0] + 3)
        for j in range(size):
            s = -d if odd(j & word) else d
            r, m = load(table, 2 * j), load(table, 2 * j + 1)
            store(table, 2 * j, a * r + s * m)
            store(table, 2 * j + 1, a * m - s * r)
    while size < 1 << n_bits:
        size = doubled(table, size)


@compiled
def doubled(table, size):
    """Repeat the entries of a table; return how many there are then."""
    for j in range(2 * size):
        store(table, 2 * size + j, load(table, j))
    return 2 * size


@compiled
def phase_tables(room, live, masks, first, count, coefficients):
    """Return the tables of the lower and of the upper half of the coordinates of many Z words, and where upper begin.

    In ``masks`` come the rotations' numbers and what they select in either half, those of the lower half first; then
    what every coordinate flips (see :mod:`~.halves`).
    """
    low, upper, n_lanes = live >> 1, first, 64 // room.itemsize
    while upper < first + count and masks[upper, 1] < 1 << low:
        upper += 1
    middle, end = 2 * n_lanes << low, (2 * n_lanes << low) + (2 * n_lanes << (live - low))
    below, above = room[:middle], room[middle:end]
    phase_table(below, low, 0, masks, first, upper, coefficients)
    phase_table(above, live - low, low, masks, upper, first + count, coefficients)
    return below, above, upper


@compiled
def coordinate_flips(live, masks, first):
    """Return what the numbers of the lower and of the upper half of the coordinates flip, whose rows begin at first."""
    return group_offsets(masks, first, live >> 1), group_offsets(masks, first + (live >> 1), live - (live >> 1))


@compiled
def phases(re, im, live, masks, first, count, coefficients, room):
    """psi_i <- prod_k (a_k - i s_k d_k) psi_i over many Z words: an entry of one table times one of another."""
    below, above, _ = phase_tables(room, live, masks, first, count, coefficients)
    flips, far_flips = coordinate_flips(live, masks, first + count)
    for y in range(len(far_flips)):
        u, w = load(above, 2 * y), load(above, 2 * y + 1)
        for x in range(len(flips)):
            i, a, b = far_flips[y] ^ flips[x], load(below, 2 * x), load(below, 2 * x + 1)
            c, s = a * u - b * w, a * w + b * u
            r, m = load(re, i), load(im, i)
            store(re, i, c * r - s * m)
            store(im, i, c * m + s * r)


@compiled
def phases_back(re, im, lr, li, live, masks, first, count, coefficients, slopes, room):
    """Undo :func:`phases` on psi and lambda; slopes of Z.

    The sums of Im conj(lambda_i) psi_i over the other half of the coordinates are all that the slopes of a half need.
    """
    below, above, upper = phase_tables(room, live, masks, first, count, coefficients)
    flips, far_flips = coordinate_flips(live, masks, first + count)
    sums, far_sums = room_of_sums(room[len(below) + len(above) :], len(below) // 2, len(above) // 2)
    for y in range(len(far_flips)):
        u, w, here = load(above, 2 * y), load(above, 2 * y + 1), zeros(re)
        for x in range(len(flips)):
            i, a, b = far_flips[y] ^ flips[x], load(below, 2 * x), load(below, 2 * x + 1)
            c, s = a * u - b * w, a * w + b * u
            r, m, p, q = load(re, i), load(im, i), load(lr, i), load(li, i)
            slope = p * m - q * r
            here = here + slope
            store(sums, x, load(sums, x) + slope)
            store(re, i, c * r + s * m)
            store(im, i, c * m - s * r)
            store(lr, i, c * p + s * q)
            store(li, i, c * q - s * p)
        store(far_sums, y, here)
    walsh(sums, len(flips))
    walsh(far_sums, len(far_flips))
    for k in range(first, first + count):
        slope = load(sums, masks[k, 1]) if k < upper else load(far_sums, masks[k, 1] >> (live >> 1))
        store_slopes(slopes, 3 * masks[k, 0], (zeros(re), zeros(re), slope))


@compiled
def room_of_sums(room, lower, upper):
    """Return room for sums over either half of the coordinates, so many numbers each; those of the lower half are 0."""
    fill(room, 0, lower, 0)
    return room[:lower], room[lower : lower + upper]


@compiled
def z_words(re, im, live, masks, first, count, diagonal, values, room):
    """Read many Z words, each from the sums of |psi_i|**2 over the half of the coordinates that it does not select."""
    low, n_lanes = live >> 1, 64 // re.itemsize
    flips, far_flips = coordinate_flips(live, masks, first + count)
    sums, far_sums = room_of_sums(room, n_lanes << low, n_lanes << (live - low))
    for y in range(len(far_flips)):
        here = zeros(re)
        for x in range(len(flips)):
            i = far_flips[y] ^ flips[x]
            r, m = load(re, i), load(im, i)
            density = r * r + m * m
            here = here + density
            store(sums, x, load(sums, x) + density)
        store(far_sums, y, here)
    walsh(sums, len(flips))
    walsh(far_sums, len(far_flips))
    for k in range(first, first + count):
        word = masks[k, 1]
        store(values, diagonal[masks[k, 0]], load(sums, word) if word < len(flips) else load(far_sums, word >> low))


@compiled
def z_words_back(re, im, lr, li, live, masks, first, count, diagonal, weights, room):
    """Add sum_k g_k P_k psi to lambda, P_k Z words: the diagonal is an entry of one table plus one of another."""
    low, n_lanes = live >> 1, 64 // re.itemsize
    flips, far_flips = coordinate_flips(live, masks, first + count)
    below, above = room_of_sums(room, n_lanes << low, n_lanes << (live - low))
    fill(above, 0, len(above), 0)
    for k in range(first, first + count):
        word = masks[k, 1]
        table, entry = (below, word) if word < len(flips) else (above, word >> low)
        store(table, entry, load(table, entry) + load(weights, diagonal[masks[k, 0]]))
    walsh(below, len(flips))
    walsh(above, len(far_flips))
    for y in range(len(far_flips)):
        far = load(above, y)
        for x in range(len(flips)):
            i, d = far_flips[y] ^ flips[x], far + load(below, x)
            store(lr, i, load(lr, i) + d * load(re, i))
            store(li, i, load(li, i) + d * load(im, i))


@compiled
def minus(re, im, size, masks, first, count, signs):
    """psi_i <- s psi_i, s the row of ``signs`` whose number is made of the select parities of i."""
    for i in range(size):
        row = 0
        for m in range(count):
            row |= odd(i & masks[first + m, 1]) << m
        s = load(signs, row)
        store(re, i, s * load(re, i))
        store(im, i, s * load(im, i))


@compiled
def lane_signs(signs, masks, first, count, outer, n_lanes):
    """Fill ``signs``: -1 for the rows and lanes where every mask selects."""
    for row in range(1 << count):
        for lane in range(n_lanes):
            all_odd = True
            for m in range(count):
                parity = (row >> m) ^ (masks[first + m, 2] >> lane) ^ odd(masks[first + m, 3] & outer)
                all_odd = all_odd and parity & 1 == 1
            signs[row * n_lanes + lane] = -1 if all_odd else 1


@compiled
def controlled(re, im, size, masks, first, count, parts):
    """psi_0 <- p psi_0 + q psi_1;  psi_1 <- q psi_0 + r psi_1, with p, q, r by the parities of the controls."""
    flip, select = masks[first, 0], masks[first, 1]
    for j in range(size // 2):
        i = even_member(j, flip, select)
        k = i ^ flip
        row = 0
        for m in range(1, count):
            row |= odd(i & masks[first + m, 1]) << (m - 1)
        p, q, r = load(parts, 3 * row), load(parts, 3 * row + 1), load(parts, 3 * row + 2)
        r0, i0, r1, i1 = load(re, i), load(im, i), load(re, k), load(im, k)
        store(re, i, p * r0 + q * r1)
        store(im, i, p * i0 + q * i1)
        store(re, k, q * r0 + r * r1)
        store(im, k, q * i0 + r * i1)


@compiled
def control_parts(parts, masks, first, count, outer, hadamard, n_lanes):
    """Fill p, q, r: of X or H where all controls select, else of the identity."""
    part = 0.5**0.5 if hadamard else 0.0
    for row in range(1 << (count - 1)):
        for lane in range(n_lanes):
            turned = (masks[first, 2] >> lane ^ odd(masks[first, 3] & outer)) & 1
            all_odd = True
            for m in range(1, count):
                parity = (row >> (m - 1)) ^ (masks[first + m, 2] >> lane) ^ odd(masks[first + m, 3] & outer)
                all_odd = all_odd and parity & 1 == 1
            at = 3 * row * n_lanes + lane
            parts[at] = (-part if turned else part) if all_odd else 1
            parts[at + n_lanes] = (part if hadamard else 1) if all_odd else 0
            parts[at + 2 * n_lanes] = (part if turned else -part) if all_odd else 1


@compiled
def dense(re, im, size, masks, first, count, matrix, block):
    """Multiply the 2**count amplitudes of every group by a matrix of :func:`lane_matrix`; ``block`` is scratch."""
    if count == 2:
        dense_fours(re, im, size >> 2, masks, first, matrix)
    elif count == 3:
        dense_eights(re, im, size >> 3, masks, first, matrix)
    else:
        dense_groups(re, im, size >> count, 1 << count, masks[first : first + count], matrix, block)


@compiled
def dense_fours(re, im, n_groups, masks, first, matrix):
    """Multiply every group of four amplitudes of two qubits, which stay in registers."""
    (f, g), selects, pivots = two(masks, first)
    for j in range(n_groups):
        i = corner(j, (f, g), selects, pivots)
        k, m, n = i ^ g, i ^ f, i ^ f ^ g
        psi = (*load_pair(re, im, i, k), *load_pair(re, im, m, n))
        (a, b), (c, d) = times_four(matrix, 0, psi), times_four(matrix, 8, psi)
        store_pair(re, im, i, k, (a, b, c, d))
        (a, b), (c, d) = times_four(matrix, 16, psi), times_four(matrix, 24, psi)
        store_pair(re, im, m, n, (a, b, c, d))


@compiled
def times_four(matrix, at, psi):
    """Return a row of the matrix, which begins at ``at``, times four amplitudes: short sums, which wait for less."""
    r0, i0, r1, i1, r2, i2, r3, i3 = psi
    u0, u1, u2, u3 = load(matrix, at), load(matrix, at + 1), load(matrix, at + 2), load(matrix, at + 3)
    w0, w1, w2, w3 = load(matrix, at + 4), load(matrix, at + 5), load(matrix, at + 6), load(matrix, at + 7)
    return (
        (u0 * r0 + u1 * r1 + u2 * r2 + u3 * r3) - (w0 * i0 + w1 * i1 + w2 * i2 + w3 * i3),
        (u0 * i0 + u1 * i1 + u2 * i2 + u3 * i3) + (w0 * r0 + w1 * r1 + w2 * r2 + w3 * r3),
    )


@compiled
def dense_eights(re, im, n_groups, masks, first, matrix):
    """Multiply every group of eight amplitudes of three qubits, which stay in registers.

    Three real products make a complex one: (u + iw)(r + im) = u (r + m) - m (u + w) + i (u (r + m) + r (w - u)).
    """
    (f, g, h), selects, pivots = three(masks, first)
    offsets = group_offsets(masks, first, 3)
    for j in range(n_groups):
        i = corner(j, (f, g, h), selects, pivots)
        r, m = load_eight(re, i, h, g, f), load_eight(im, i, h, g, f)
        s = sum_of_eight(r, m)
        for y in range(8):
            k, at = i ^ offsets[y], 24 * y
            same = times_eight(matrix, at, s)
            store(re, k, same - times_eight(matrix, at + 16, m))
            store(im, k, same + times_eight(matrix, at + 8, r))


@compiled
def sum_of_eight(r, m):
    """Return r + m."""
    r0, r1, r2, r3, r4, r5, r6, r7 = r
    m0, m1, m2, m3, m4, m5, m6, m7 = m
    return r0 + m0, r1 + m1, r2 + m2, r3 + m3, r4 + m4, r5 + m5, r6 + m6, r7 + m7


@compiled
def times_eight(matrix, at, x):
    """Return the sum of eight numbers of the matrix, which begin at ``at``, times x."""
    x0, x1, x2, x3, x4, x5, x6, x7 = x
    low = load(matrix, at) * x0 + load(matrix, at + 1) * x1 + load(matrix, at + 2) * x2 + load(matrix, at + 3) * x3
    low, at = low + load(matrix, at + 4) * x4, at + 5
    return low + load(matrix, at) * x5 + load(matrix, at + 1) * x6 + load(matrix, at + 2) * x7


@compiled
def dense_groups(re, im, n_groups, dim, masks, matrix, block):
    """Multiply every group of amplitudes, two rows of the matrix at a time."""
    flips, selects, pivots, offsets = masks[:, 0], masks[:, 1], masks[:, 5], group_offsets(masks, 0, len(masks))
    for j in range(n_groups):
        base = corner(j, flips, selects, pivots)
        for x in range(dim):
            store(block, 2 * x, load(re, base ^ offsets[x]))
            store(block, 2 * x + 1, load(im, base ^ offsets[x]))
        for y in range(0, dim, 2):
            r0, i0, r1, i1 = zeros(re), zeros(re), zeros(re), zeros(re)
            for x in range(dim):
                at = 2 * y * dim + x
                p, q = load(block, 2 * x), load(block, 2 * x + 1)
                u, w = load(matrix, at), load(matrix, at + dim)
                r0 = r0 + u * p - w * q
                i0 = i0 + u * q + w * p
                u, w = load(matrix, at + 2 * dim), load(matrix, at + 3 * dim)
                r1 = r1 + u * p - w * q
                i1 = i1 + u * q + w * p
            store(re, base ^ offsets[y], r0)
            store(im, base ^ offsets[y], i0)
            store(re, base ^ offsets[y + 1], r1)
            store(im, base ^ offsets[y + 1], i1)


@compiled
def group_offsets(masks, first, count):
    """Return where the amplitudes of a group are, from its first one; the first mask is the leading bit."""
    offsets = np.empty(1 << count, np.int64)
    offsets[0] = 0
    for m in range(count):
        for x in range(1 << m):
            offsets[x | 1 << m] = offsets[x] ^ masks[first + count - 1 - m, 0]
    return offsets


@compiled
def lane_matrix(lane_entries, entries, at, adjoint, masks, first, count, outer):
    """Fill ``lane_entries`` with a matrix for every lane: rows and columns change places where a mask selects it.

    A row holds its real parts u, then its imaginary parts w; of three qubits u, then w - u, then u + w.
    """
    dim, turned = 1 << count, 0
    for m in range(count):
        turned |= odd(masks[first + m, 3] & outer) << (count - 1 - m)
    for y in range(dim):
        for x in range(dim):
            row, column = (x ^ turned, y ^ turned) if adjoint else (y ^ turned, x ^ turned)
            u, w = spread(entries[0], at + row * dim + column), spread(entries[1], at + row * dim + column)
            store_entry(lane_entries, y, x, dim, u, -w if adjoint else w)
    for m in range(count):
        if masks[first + m, 2]:
            exchange_entries(lane_entries, dim, 1 << (count - 1 - m), masks[first + m, 2])


@compiled
def store_entry(lane_entries, y, x, dim, u, w):
    """Write an entry of :func:`lane_matrix`."""
    at = y * parts_of(dim) * dim + x
    store(lane_entries, at, u)
    if dim == 8:
        store(lane_entries, at + dim, w - u)
        store(lane_entries, at + 2 * dim, u + w)
    else:
        store(lane_entries, at + dim, w)


@compiled
def parts_of(dim):
    """Return how many numbers an entry of :func:`lane_matrix` has."""
    return 3 if dim == 8 else 2


@compiled
def exchange_entries(lane_entries, dim, bit, lanes):
    """Exchange in some lanes the rows of a matrix, and its columns, whose numbers differ in a bit."""
    parts = parts_of(dim)
    for y in range(dim):
        for k in range(parts * dim):
            if not k & bit:
                one, other = parts * dim * y + k, parts * dim * (y ^ bit) + (k ^ bit)
                a, b = load(lane_entries, one), load(lane_entries, other)
                store(lane_entries, one, blend(a, b, lanes))
                store(lane_entries, other, blend(b, a, lanes))


@compiled
def word_masks(masks, first):
    """Return what a Pauli word flips and selects, which lanes it exchanges, and whether it has an odd number of Y."""
    flip, select, lanes = masks[first, 0], masks[first, 1], masks[first, 4]
    return flip, select, lanes, odd(flip & select) ^ (masks[first, 2] >> lanes & 1)


@compiled
def word_value(re, im, size, masks, first):
    """Return <psi|P|psi> of a Pauli word, lane by lane: the sum over i of s Re or s Im conj(psi_i) psi_(i^flip)."""
    flip, select, lanes, y_like = word_masks(masks, first)
    value = zeros(re)
    for j in range(size >> 1 if flip else size):
        i = even_member(j, flip, 0)
        r0, i0, r1, i1 = load_pair(re, im, i, i ^ flip)
        if lanes:
            r1, i1 = crossed(r1, lanes), crossed(i1, lanes)
        here = r0 * i1 - i0 * r1 if y_like else r0 * r1 + i0 * i1
        value = value - here if odd(i & select) else value + here
    return value + value if flip else value


@compiled
def word_back(re, im, lr, li, size, masks, first, weights, o):
    """Add g P psi to lambda, P a Pauli word: lambda_i <- lambda_i + g s psi_(i^flip), times -i where P is like Y."""
    flip, select, lanes, y_like = word_masks(masks, first)
    g = load(weights, o)
    for i in range(size):
        r, m = load(re, i ^ flip), load(im, i ^ flip)
        if lanes:
            r, m = crossed(r, lanes), crossed(m, lanes)
        if y_like:
            r, m = m, -r
        s = -g if odd(i & select) else g
        store(lr, i, load(lr, i) + s * r)
        store(li, i, load(li, i) + s * m)


@compiled
def densities(re, im, size, p):
    """p_i <- |psi_i|**2."""
    for i in range(size):
        r, m = load(re, i), load(im, i)
        store(p, i, r * r + m * m)


@compiled
def walsh(p, size):
    """Walsh-Hadamard transform in place: p_s <- sum_i (-1)**|s & i| p_i, the expectation of every Z word at once."""
    step = 1
    while 4 * step <= size:  # two bits at a time
        for j in range(size // 4):
            i = ((j & -step) << 2) | (j & (step - 1))
            a, b = load(p, i), load(p, i + step)
            c, d = load(p, i + 2 * step), load(p, i + 3 * step)
            store(p, i, (a + b) + (c + d))
            store(p, i + step, (a - b) + (c - d))
            store(p, i + 2 * step, (a + b) - (c + d))
            store(p, i + 3 * step, (a - b) - (c - d))
        step *= 4
    if step < size:
        for i in range(step):
            a, b = load(p, i), load(p, i + step)
            store(p, i, a + b)
            store(p, i + step, a - b)


@compiled
def diagonal_back(re, im, lr, li, size, p):
    """Add p_i psi_i to lambda_i."""
    for i in range(size):
        d = load(p, i)
        store(lr, i, load(lr, i) + d * load(re, i))
        store(li, i, load(li, i) + d * load(im, i))
