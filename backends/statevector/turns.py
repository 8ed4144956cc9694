"""From features and weights to rotations, and from their slopes back to gradients: what surrounds the kernels.

The tau of a turn is a slot, a sum of products of features and weights. Turns of one rotation are multiplied forward,
and the rotation's slopes are split among them on the way back.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from backends.statevector.disk import kept
from backends.statevector.lanes import aligned, compiled, fill, load, spread, store, sum_of, zeros


class Slots(NamedTuple):
    """The tau of all turns: ``sum of coefficient * product of factors``; factor 0 is 1, then features, then weights."""

    starts: np.ndarray  # int64 (n_slots + 1,), first term of every slot; slots that differ between rows come first
    coefficients: np.ndarray  # (n_terms,)
    factors: np.ndarray  # int64 (n_terms, n_factors)
    n_rows: int  # number of slots that differ between rows


class Turns(NamedTuple):
    """The turns of every rotation, in order of time."""

    starts: np.ndarray  # int64 (n_rotations + 1,)
    letters: np.ndarray  # int64 (n_turns,), 0 to 2 for X, Y, Z
    slots: np.ndarray  # int64 (n_turns,)


class Trig(NamedTuple):
    """Cosines and sines of the slots: (tiles, n_rows, lanes), flat, and (n_shared,)."""

    row_cos: np.ndarray
    row_sin: np.ndarray
    cos: np.ndarray
    sin: np.ndarray


# --- angles -----------------------------------------------------------------------------------------------------------


@compiled
def times_factor(product, x, w, first_row, f):
    """Multiply by a factor of a term, for as many rows as ``product`` has: 1, a feature or a weight."""
    if 0 < f <= x.shape[1]:
        for k in range(len(product)):
            product[k] *= x[first_row + k, f - 1]
    elif f > 0:
        for k in range(len(product)):
            product[k] *= w[min(first_row + k, len(w) - 1), f - 1 - x.shape[1]]


@compiled
def slot_value(slot, x, w, first_row, slots, product, total):
    """Fill ``total`` with the values of a slot in consecutive rows; NaN where they are infinite."""
    fill(total, 0, len(total), 0)
    for t in range(slots.starts[slot], slots.starts[slot + 1]):
        fill(product, 0, len(product), slots.coefficients[t])
        for f in slots.factors[t]:
            times_factor(product, x, w, first_row, f)
        for k in range(len(total)):
            total[k] += product[k]
    for k in range(len(total)):
        total[k] += total[k] - total[k]


@kept
def slot_values(first, last, x, w, slots, n_lanes, rows, shared):
    """Fill the slots of tiles first to last, 0 past the last row, and (with the first tile) the shared ones."""
    product = np.empty(n_lanes, rows.dtype)
    for tile in range(first, last):
        row, n_here = tile * n_lanes, min(n_lanes, len(x) - tile * n_lanes)
        for slot in range(slots.n_rows):
            at = (tile * slots.n_rows + slot) * n_lanes
            slot_value(slot, x, w, row, slots, product[:n_here], rows[at : at + n_here])
            fill(rows, at + n_here, at + n_lanes, 0)
    if first == 0 < last:
        for k in range(len(shared)):
            slot_value(slots.n_rows + k, x, w, first, slots, product[:1], shared[k : k + 1])


@compiled
def slot_slope(slot, slope, x, w, first_row, slots, product, gx, gw):
    """Add the gradient of a slot in consecutive rows to those of its features and weights."""
    for t in range(slots.starts[slot], slots.starts[slot + 1]):
        factors = slots.factors[t]
        for k in range(len(factors)):
            if factors[k] > 0:
                for row in range(len(slope)):
                    product[row] = slope[row] * slots.coefficients[t]
                for j in range(len(factors)):
                    if j != k:
                        times_factor(product, x, w, first_row, factors[j])
                column = factors[k] - 1
                target = gx if column < x.shape[1] else gw
                column -= 0 if column < x.shape[1] else x.shape[1]
                for row in range(len(slope)):
                    target[min(row, len(target) - 1), column] += product[row]


@kept
def slot_slopes(first, last, rows, shared, x, w, slots, n_lanes, gx, gw):
    """Turn gradients of slots into those of features (rows, n) and weights (tiles or rows, n)."""
    room = np.empty(n_lanes, rows.dtype)
    for tile in range(first, last):
        row, n_here = tile * n_lanes, min(n_lanes, len(x) - tile * n_lanes)
        target = gw[row : row + n_here] if len(w) > 1 else gw[tile : tile + 1]
        for slot in range(slots.n_rows):
            at = (tile * slots.n_rows + slot) * n_lanes
            slope = rows[at : at + n_here]
            slot_slope(slot, slope, x, w, row, slots, room[:n_here], gx[row : row + n_here], target)
    if first == 0 < last:
        for k in range(len(shared)):
            slot_slope(slots.n_rows + k, shared[k : k + 1], x, w, first, slots, room[:1], gx[:1], gw[:1])


# --- rotations --------------------------------------------------------------------------------------------------------


@compiled
def cyclic(o, letter):
    """Return the places of a letter and of the next two in cyclic order, in a block of three that begins at o."""
    return o + letter, o + (letter + 1) % 3, o + (letter + 2) % 3


@compiled
def trig_of(tile, slot, n_rows, trig):
    """Return cosine and sine of a slot, lane by lane."""
    if slot < n_rows:
        return load(trig.row_cos, tile * n_rows + slot), load(trig.row_sin, tile * n_rows + slot)
    return spread(trig.cos, slot - n_rows), spread(trig.sin, slot - n_rows)


@compiled
def fuse_turns(first, last, tile, n_rows, turns, trig, coefficients):
    """Fill a, b, c, d of rotations U = a - i (b X + c Y + d Z): each the product of its turns, the first rightmost.

    A turn (cos - i sin P) from the left, with P, Q, R in cyclic order, is

        a <- cos a - sin p;  p <- cos p + sin a;  q <- cos q - sin r;  r <- cos r + sin q
    """
    for u in range(first, last):
        o = 4 * (u - first)
        for part in range(4):
            store(coefficients, o + part, zeros(coefficients))
        for t in range(turns.starts[u], turns.starts[u + 1]):
            cos, sin = trig_of(tile, turns.slots[t], n_rows, trig)
            p, q, r = cyclic(o + 1, turns.letters[t])
            if t == turns.starts[u]:
                store(coefficients, o, cos)
                store(coefficients, p, sin)
            else:
                va, vp, vq, vr = (
                    load(coefficients, o),
                    load(coefficients, p),
                    load(coefficients, q),
                    load(coefficients, r),
                )
                store(coefficients, o, cos * va - sin * vp)
                store(coefficients, p, cos * vp + sin * va)
                store(coefficients, q, cos * vq - sin * vr)
                store(coefficients, r, cos * vr + sin * vq)


@compiled
def split_slopes(first, last, tile, n_rows, turns, trig, slopes, rows, partial):
    """Give every turn its part of the slopes v_P = Im <lambda|P|psi> of its rotation: dL/dtau = 2 v of its letter.

    From one turn to the one before it, the slopes of the two other letters (P, Q, R in cyclic order) turn:

        q <- cos(2 tau) q + sin(2 tau) r;  r <- cos(2 tau) r - sin(2 tau) q
    """
    for u in range(first, last):
        for t in range(turns.starts[u + 1] - 1, turns.starts[u] - 1, -1):
            slot = turns.slots[t]
            p, q, r = cyclic(3 * (u - first), turns.letters[t])
            slope = load(slopes, p)
            if slot < n_rows:
                at = tile * n_rows + slot
                store(rows, at, load(rows, at) + slope + slope)
            else:
                store(partial, slot - n_rows, load(partial, slot - n_rows) + slope + slope)
            if t > turns.starts[u]:
                cos, sin = trig_of(tile, slot, n_rows, trig)
                double_cos, double_sin = cos * cos - sin * sin, cos * sin + cos * sin
                vq, vr = load(slopes, q), load(slopes, r)
                store(slopes, q, double_cos * vq + double_sin * vr)
                store(slopes, r, double_cos * vr - double_sin * vq)


@compiled
def not_finite(tile, n_rows, trig):
    """Return NaN in the lanes where an angle is NaN or infinite, else 0: no angle is ever ignored."""
    total = zeros(trig.cos)
    for slot in range(n_rows):
        cos = load(trig.row_cos, tile * n_rows + slot)
        total = total + (cos - cos)
    for slot in range(len(trig.cos)):
        cos = spread(trig.cos, slot)
        total = total + (cos - cos)
    return total


@kept
def fuse_rows(first, last, n_samples, turns, n_rows, trig, coefficients):
    """Fill a, b, c, d of every rotation, (rows, n_rotations, 4) flat, for the rows of tiles first to last."""
    n_lanes, n_rotations = 64 // coefficients.itemsize, len(turns.starts) - 1
    room = aligned(4 * n_lanes, coefficients)
    for tile in range(first, last):
        for u in range(n_rotations):
            fuse_turns(u, u + 1, tile, n_rows, turns, trig, room)
            for row in range(tile * n_lanes, min(n_samples, (tile + 1) * n_lanes)):
                for part in range(4):
                    coefficients[(row * n_rotations + u) * 4 + part] = room[part * n_lanes + row % n_lanes]


@kept
def split_rows(first, last, n_samples, turns, n_rows, trig, slopes, rows, shared):
    """Give every turn its part of the slopes, (rows, outer, n_rotations, 3); sums over lanes into ``shared``."""
    n_lanes, n_rotations = 64 // slopes.itemsize, len(turns.starts) - 1
    room, partial = aligned(3 * n_lanes, slopes), aligned(shared.shape[1] * n_lanes, slopes)
    fill(room, 0, len(room), 0)
    for tile in range(first, last):
        fill(partial, 0, len(partial), 0)
        for u in range(n_rotations):
            for row in range(tile * n_lanes, min(n_samples, (tile + 1) * n_lanes)):
                for part in range(3):
                    room[part * n_lanes + row % n_lanes] = 0
                    for outer in range(slopes.shape[1]):
                        room[part * n_lanes + row % n_lanes] += slopes[row, outer, u, part]
            split_slopes(u, u + 1, tile, n_rows, turns, trig, room, rows, partial)
        for slot in range(shared.shape[1]):
            shared[tile, slot] = sum_of(partial, slot * n_lanes, min(n_lanes, n_samples - tile * n_lanes))
