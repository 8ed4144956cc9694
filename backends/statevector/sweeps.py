"""Whole passes over a batch, made of the kernels: what a training step calls, a few compiled functions in all.

Each pass works on tasks ``first`` to ``last`` and holds no Python object, so that threads can share the tasks. A task
never depends on who runs it, and sums over tasks are left to the caller, in the order of the tasks: results are the
same for any number of threads.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from backends.statevector.disk import kept
from backends.statevector.kernels import (
    across,
    across_back,
    both_general,
    both_general_back,
    both_real,
    both_real_back,
    control_parts,
    controlled,
    dense,
    densities,
    diagonal_back,
    flip_x,
    flip_x_back,
    general,
    general_back,
    lane_matrix,
    lane_signs,
    minus,
    phase_z,
    phase_z_back,
    phases,
    phases_back,
    real_y,
    real_y_back,
    three_real,
    three_real_back,
    walsh,
    word_back,
    word_value,
    z_words,
    z_words_back,
)
from backends.statevector.kinds import (
    ACROSS,
    CONTROLLED,
    DENSE,
    FLIP_X,
    GENERAL,
    LINES,
    NEIGHBOURS,
    PHASE_Z,
    PHASES,
    REAL_Y,
    SIGN,
    SQUARES,
    WORD,
    Z_WORDS,
)
from backends.statevector.lanes import (
    aligned,
    compiled,
    fill,
    flush_subnormals,
    load,
    odd,
    restore_subnormals,
    room_for,
    spread,
    store,
    sum_of,
    total,
    transpose,
)
from backends.statevector.turns import fuse_turns, not_finite, split_slopes


class Tables(NamedTuple):
    """A segment: its operations and masks, and the offsets of its tiles; see :class:`~.tiles.Segment`."""

    ops: np.ndarray
    masks: np.ndarray
    signs: np.ndarray  # (n_masks, lanes) flat, -1 where a mask selects a lane
    local: np.ndarray
    lanes: np.ndarray
    outer: np.ndarray
    lines: np.ndarray  # int64, where a tile keeps its registers until the way back; empty if the states lie in order
    entry: int  # amplitudes that are not 0 at the start
    layout: int


class Output(NamedTuple):
    """What is read: words of the observables, or outcomes."""

    n_words: int
    diagonal: np.ndarray  # int64, numbers of the words that are read together
    columns: np.ndarray  # int64 (n_pairs, 2), observable and word
    coefficients: np.ndarray  # (n_pairs,)
    constants: np.ndarray  # (n_observables,)
    low: np.ndarray  # int64, outcome of the lower half of an index; empty without probabilities
    high: np.ndarray  # int64, of the upper half


class Dense(NamedTuple):
    """Entries of the matrices, real and imaginary, one after the other, and where each begins."""

    entries: np.ndarray  # (2, n_entries)
    starts: np.ndarray  # int64
    widest: int  # most entries of lane tables that an operation needs


# --- a tile -----------------------------------------------------------------------------------------------------------


@compiled
def turn(re, im, size, masks, first, kind, coefficients, o):
    """Apply a rotation; its coefficients begin at o."""
    flip, select = masks[first, 0], masks[first, 1]
    if kind == GENERAL:
        general(re, im, size, flip, select, coefficients, o)
    elif kind == FLIP_X:
        flip_x(re, im, size, flip, select, coefficients, o)
    elif kind == REAL_Y:
        real_y(re, im, size, flip, select, coefficients, o)
    else:
        phase_z(re, im, size, select, coefficients, o)


@compiled
def turn_back(re, im, lr, li, size, masks, first, kind, coefficients, o, slopes, v):
    """Undo a rotation on psi and lambda; its slopes go to v."""
    flip, select = masks[first, 0], masks[first, 1]
    if kind == GENERAL:
        general_back(re, im, lr, li, size, flip, select, coefficients, o, slopes, v)
    elif kind == FLIP_X:
        flip_x_back(re, im, lr, li, size, flip, select, coefficients, o, slopes, v)
    elif kind == REAL_Y:
        real_y_back(re, im, lr, li, size, flip, select, coefficients, o, slopes, v)
    else:
        phase_z_back(re, im, lr, li, size, select, coefficients, o, slopes, v)


@compiled
def forward_tile(re, im, tables, outer, coefficients, values, output, matrices, n_lanes, p, scratch):
    """Run the operations of a segment on a tile; ``p`` and ``scratch`` are room to work in."""
    ops, masks, diagonal, t = tables.ops, tables.masks, output.diagonal, 0  # a field costs more than a small operation
    while t < len(ops):
        kind, first, count, index, live, together = ops[t]
        size = 1 << live
        if together and kind == REAL_Y and ops[t + 1, 5]:
            t += 2
            three_real(re, im, size, masks, first, coefficients, index, ops[t - 1, 3], ops[t, 3])
        elif together:
            t += 1
            pair = first, coefficients, index, ops[t, 3]
            if kind == GENERAL:
                both_general(re, im, size, masks, *pair)
            else:
                both_real(re, im, size, masks, *pair)
        elif kind <= PHASE_Z:
            turn(re, im, size, masks, first, kind, coefficients, 4 * index)
        elif kind == ACROSS:
            across(re, im, size, masks[first, 4], coefficients, 4 * index)
        elif kind == PHASES:
            phases(re, im, live, masks, first, count, coefficients, p)
        elif kind == SIGN:
            lane_signs(scratch, masks, first, count, outer, n_lanes)
            minus(re, im, size, masks, first, count, scratch)
        elif kind == CONTROLLED:
            control_parts(scratch, masks, first, count, outer, index, n_lanes)
            controlled(re, im, size, masks, first, count, scratch)
        elif kind == DENSE:
            table, block = dense_room(scratch, count, n_lanes)
            lane_matrix(table, matrices.entries, matrices.starts[index], False, masks, first, count, outer)
            dense(re, im, size, masks, first, count, table, block)
        elif kind == WORD:
            store(values, index, word_value(re, im, size, masks, first))
        elif kind == Z_WORDS:
            z_words(re, im, live, masks, first, count, diagonal, values, p)
        else:
            densities(re, im, size, p)
            walsh(p, size)
            for k in range(count):
                store(values, diagonal[k], load(p, masks[first + k, 1]))
        t += 1


@compiled
def backward_tile(re, im, lr, li, tables, outer, coefficients, slopes, weights, output, matrices, n_lanes, p, scratch):
    """Run the operations of a segment backwards on psi and lambda; gather the slopes of its rotations."""
    ops, masks, diagonal, t = tables.ops, tables.masks, output.diagonal, len(tables.ops) - 1
    while t >= 0:
        kind, first, count, index, live, _ = ops[t]
        size = 1 << live
        if t > 1 and ops[t - 1, 5] and ops[t - 2, 5]:
            t -= 2
            three = ops[t, 1], coefficients, slopes, ops[t, 3], ops[t + 1, 3], index
            three_real_back(re, im, lr, li, size, masks, *three)
        elif t and ops[t - 1, 5]:
            t -= 1
            pair = ops[t, 1], coefficients, slopes, ops[t, 3], index
            if kind == GENERAL:
                both_general_back(re, im, lr, li, size, masks, *pair)
            else:
                both_real_back(re, im, lr, li, size, masks, *pair)
        elif kind <= PHASE_Z:
            turn_back(re, im, lr, li, size, masks, first, kind, coefficients, 4 * index, slopes, 3 * index)
        elif kind == ACROSS:
            across_back(re, im, lr, li, size, masks[first, 4], coefficients, 4 * index, slopes, 3 * index)
        elif kind == PHASES:
            phases_back(re, im, lr, li, live, masks, first, count, coefficients, slopes, p)
        elif kind == SIGN:
            lane_signs(scratch, masks, first, count, outer, n_lanes)
            for r, m in ((re, im), (lr, li)):
                minus(r, m, size, masks, first, count, scratch)
        elif kind == CONTROLLED:
            control_parts(scratch, masks, first, count, outer, index, n_lanes)
            for r, m in ((re, im), (lr, li)):
                controlled(r, m, size, masks, first, count, scratch)
        elif kind == DENSE:
            table, block = dense_room(scratch, count, n_lanes)
            lane_matrix(table, matrices.entries, matrices.starts[index], True, masks, first, count, outer)
            for r, m in ((re, im), (lr, li)):
                dense(r, m, size, masks, first, count, table, block)
        elif kind == WORD:
            word_back(re, im, lr, li, size, masks, first, weights, index)
        elif kind == Z_WORDS:
            z_words_back(re, im, lr, li, live, masks, first, count, diagonal, weights, p)
        else:
            fill(p, 0, size * n_lanes, 0)
            for k in range(count):
                at = masks[first + k, 1]
                store(p, at, load(p, at) + load(weights, diagonal[k]))
            walsh(p, size)
            diagonal_back(re, im, lr, li, size, p)
        t -= 1


@compiled
def changes_sign(kind, letter):
    """Whether psi_0 and psi_1, where they change places, turn the sign of a letter (0 to 2 for X, Y, Z).

    They do of Y and Z, and of X where the mask of a flip is a sign.
    """
    return letter == 0 if kind == FLIP_X else letter > 0


@compiled
def dense_room(scratch, count, n_lanes):
    """Return room for the matrix of a dense operation in every lane, and for a group of amplitudes."""
    n_entries = 3 * n_lanes << 2 * count
    return scratch[:n_entries], scratch[n_entries:]


# --- lanes are samples ------------------------------------------------------------------------------------------------


@compiled
def begin_samples(re, im, tile, n_samples, start, n_lanes):
    """Fill a tile with the start states of its samples; lanes without a sample have |0...0>."""
    fill(re, 0, len(re), 0)
    fill(im, 0, len(im), 0)
    for lane in range(n_lanes):
        row = tile * n_lanes + lane
        if start.shape[0] and row < n_samples:
            for b in range(start.shape[1]):
                re[b * n_lanes + lane] = start[row, b]
        else:
            re[lane] = 1


@compiled
def outcome(i, output):
    """Return the outcome that a basis state counts for."""
    return output.low[i & (len(output.low) - 1)] ^ output.high[i // len(output.low)]


@compiled
def read_samples(re, im, local, tile, n_samples, trig, n_rows, values, output, y, p, bad):
    """Fill the readouts of the samples of a tile; NaN where an angle is not finite."""
    n_lanes = len(bad)
    store(bad, 0, not_finite(tile, n_rows, trig))
    if len(output.low):
        fill(p, 0, y.shape[1] * n_lanes, 0)
        for i in range(len(local)):
            at = outcome(local[i], output)
            r, m = load(re, i), load(im, i)
            store(p, at, load(p, at) + r * r + m * m)
    for lane in range(min(n_lanes, n_samples - tile * n_lanes)):
        row = tile * n_lanes + lane
        for o in range(y.shape[1]):
            y[row, o] = (p[o * n_lanes + lane] if len(output.low) else output.constants[o]) + bad[lane]
        for k in range(len(output.columns)):
            value = values[output.columns[k, 1] * n_lanes + lane]
            y[row, output.columns[k, 0]] += output.coefficients[k] * value


@compiled
def begin_back(re, im, lr, li, local, tile, n_samples, output, gy, weights, p, n_lanes):
    """Fill lambda for outcomes, and the gradients of the words, from those of the readouts."""
    n_here = min(n_lanes, n_samples - tile * n_lanes)
    for numbers in (lr, li, weights):
        fill(numbers, 0, len(numbers), 0)
    if len(output.low):
        fill(p, 0, gy.shape[1] * n_lanes, 0)
        for lane in range(n_here):
            for b in range(gy.shape[1]):
                p[b * n_lanes + lane] = gy[tile * n_lanes + lane, b]
        for i in range(len(local)):
            g = load(p, outcome(local[i], output))
            store(lr, i, g * load(re, i))
            store(li, i, g * load(im, i))
    for k in range(len(output.columns)):
        for lane in range(n_here):
            g = output.coefficients[k] * gy[tile * n_lanes + lane, output.columns[k, 0]]
            weights[output.columns[k, 1] * n_lanes + lane] += g


@compiled
def end_back(lr, tile, n_samples, partial, gs, shared, n_lanes):
    """Add up what the samples of a tile share, and take the gradients of their start states out of lambda."""
    n_here = min(n_lanes, n_samples - tile * n_lanes)
    for slot in range(shared.shape[1]):
        shared[tile, slot] = sum_of(partial, slot * n_lanes, n_here)
    if len(gs):
        for lane in range(n_here):
            for b in range(gs.shape[1]):
                gs[tile * n_lanes + lane, b] = 2 * lr[b * n_lanes + lane]


# --- lanes are amplitudes ---------------------------------------------------------------------------------------------


@compiled
def signed(lanes, turned, tables, k, outer):
    """Return lanes with another sign where the k-th mask selects a lane or the tile, if they are to be ``turned``."""
    if not turned:
        return lanes
    lanes = lanes * load(tables.signs, k)
    return -lanes if odd(tables.masks[k, 3] & outer) else lanes


@compiled
def has(kind, part):
    """Whether a kind of rotation has a coefficient: a, or that of X, Y or Z (1 to 3)."""
    letter = 1 if kind == FLIP_X else 2 if kind == REAL_Y else 3
    return part == 0 or kind in (GENERAL, ACROSS) or part == letter


@compiled
def words(tables, t):
    """Return which rows of masks an operation of a table reads words of, from the first to before the last."""
    kind, first, count = tables.ops[t, 0], tables.ops[t, 1], tables.ops[t, 2]
    return first, first + count if kind >= WORD else first


@compiled
def word_of(tables, output, t, k):
    """Return the number of the word on the k-th row of masks, which operation t reads."""
    kind, first, _, index, _, _ = tables.ops[t]
    if kind == WORD:
        return index
    return output.diagonal[tables.masks[k, 0] if kind == Z_WORDS else k - first]


@compiled
def rotations(tables, t):
    """Return which rows of masks an operation of a table has rotations on, from the first to before the last."""
    kind, first, count = tables.ops[t, 0], tables.ops[t, 1], tables.ops[t, 2]
    return first, first + count if kind <= PHASES else first


@compiled
def number_of(tables, t, k):
    """Return the number of the rotation on the k-th row of masks, which operation t has."""
    return tables.masks[k, 0] if tables.ops[t, 0] == PHASES else tables.ops[t, 3]


@compiled
def spread_row(row, outer, tables, n_rotations, all_coefficients, coefficients):
    """Spread the coefficients of one row over the lanes, psi_0 and psi_1 changing places where a mask selects."""
    for t in range(len(tables.ops)):
        kind = tables.ops[t, 0]
        for k in range(*rotations(tables, t)):
            o = number_of(tables, t, k)
            for part in range(4):
                if has(kind, part):
                    value = spread(all_coefficients, (row * n_rotations + o) * 4 + part)
                    turned = part > 0 and changes_sign(kind, part - 1)
                    store(coefficients, 4 * o + part, signed(value, turned, tables, k, outer))


@compiled
def spread_words(outer, tables, output, gw, weights):
    """Spread the gradients of the words of one row over the lanes."""
    for t in range(len(tables.ops)):
        for k in range(*words(tables, t)):
            word = word_of(tables, output, t, k)
            store(weights, word, signed(spread(gw, word), True, tables, k, outer))


@compiled
def sum_words(outer, tables, output, values, sums):
    """Add up the values of the words over the lanes."""
    for t in range(len(tables.ops)):
        for k in range(*words(tables, t)):
            word = word_of(tables, output, t, k)
            sums[word] += total(signed(load(values, word), True, tables, k, outer))


@compiled
def sum_slopes(outer, tables, slopes, sums):
    """Add up the slopes of the rotations over the lanes, (n_rotations, 3)."""
    for t in range(len(tables.ops)):
        kind = tables.ops[t, 0]
        for k in range(*rotations(tables, t)):
            o = number_of(tables, t, k)
            for part in range(3):
                if has(kind, part + 1):
                    slope = signed(load(slopes, 3 * o + part), changes_sign(kind, part), tables, k, outer)
                    sums[o, part] += total(slope)


@compiled
def read_tile(source, base, tables, layout, outer, size, tile):
    """Copy the first ``size`` amplitudes of a tile out of a state; the others are 0."""
    n_lanes, start = len(tables.lanes), tables.outer[outer]
    fill(tile, size * n_lanes, len(tile), 0)
    for first in range(0, size, n_lanes if layout == SQUARES else 1):
        if layout == LINES:
            store(tile, first, load(source, (base + (tables.lines[first] ^ start)) // n_lanes))
        elif layout == NEIGHBOURS:
            store(tile, first, load(source, (base + (tables.local[first] ^ start)) // n_lanes))
        elif layout == SQUARES:
            for lane in range(n_lanes):
                at = tables.local[first] ^ start ^ tables.lanes[lane]
                store(tile, first + lane, load(source, (base + at) // n_lanes))
            transpose(tile, first)
        else:
            for lane in range(n_lanes):
                tile[first * n_lanes + lane] = source[base + (tables.local[first] ^ start ^ tables.lanes[lane])]


@compiled
def write_tile(target, base, tables, layout, outer, size, tile):
    """Copy the first ``size`` amplitudes of a tile into a state; what it holds is lost."""
    n_lanes, start = len(tables.lanes), tables.outer[outer]
    for first in range(0, size, n_lanes if layout == SQUARES else 1):
        if layout == LINES:
            store(target, (base + (tables.lines[first] ^ start)) // n_lanes, load(tile, first))
        elif layout == NEIGHBOURS:
            store(target, (base + (tables.local[first] ^ start)) // n_lanes, load(tile, first))
        elif layout == SQUARES:
            transpose(tile, first)
            for lane in range(n_lanes):
                at = tables.local[first] ^ start ^ tables.lanes[lane]
                store(target, (base + at) // n_lanes, load(tile, first + lane))
        else:
            for lane in range(n_lanes):
                target[base + (tables.local[first] ^ start ^ tables.lanes[lane])] = tile[first * n_lanes + lane]


@compiled
def only_reads(tables):
    """Whether a segment leaves psi as it is: it has words at most."""
    for t in range(len(tables.ops)):  # noqa: SIM110 - that would be a generator
        if tables.ops[t, 0] < WORD:
            return False
    return True


# --- both -------------------------------------------------------------------------------------------------------------


@kept
def forward(
    first, last, n_samples, tables, leading, turns, n_rows, trig, output, matrices, start, coefficients, sr, si, sums, y
):
    """Run a segment.

    Where lanes are samples a task is a tile of them: y takes its readouts, and sr, si its final states, (tiles,
    amplitudes, lanes) flat, unless they are empty. Where lanes are amplitudes a task is a tile (row, outer) of the
    states sr, si, (rows, 2**n) flat; ``coefficients``, (rows, n_rotations, 4) flat, are those of all rotations, and
    ``sums``, (rows, outer, words), takes the values of the words. ``leading`` marks the first segment of states that
    start in |0...0>. Where there are ``tables.lines`` only this segment's way back reads the states: each tile keeps
    its registers as they are, on addresses of its own.
    """
    n_lanes, n_outer, by_samples = 64 // y.itemsize, len(tables.outer), len(tables.lanes) == 1
    size, n_rotations = len(tables.local), len(turns.starts) - 1
    length = size * n_lanes
    keep = by_samples and len(sr) > 0
    re_room, im_room, _, _ = room_for(0 if keep else length, y)
    p = aligned(max(length, y.shape[1] * n_lanes), y)
    own, values = aligned(4 * n_rotations * n_lanes, y), aligned(output.n_words * n_lanes, y)
    scratch, bad = aligned(matrices.widest, y), aligned(n_lanes, y)
    there = only_reads(tables) and tables.entry == size and not leading
    layout = LINES if len(tables.lines) else tables.layout
    before = flush_subnormals()
    for task in range(first, last):
        row, outer = task // n_outer, task % n_outer
        base = task * length if by_samples else row * (len(sr) // n_samples)
        re, im = (sr[base : base + length], si[base : base + length]) if keep else (re_room, im_room)
        if by_samples:
            fuse_turns(0, n_rotations, task, n_rows, turns, trig, own)
            begin_samples(re, im, task, n_samples, start, n_lanes)
        else:
            spread_row(row, outer, tables, n_rotations, coefficients, own)
            for state, tile in ((sr, re), (si, im)):
                read_tile(state, base, tables, tables.layout, outer, 0 if leading else tables.entry, tile)
            if leading:
                re[0] = 1
        forward_tile(re, im, tables, outer, own, values, output, matrices, n_lanes, p, scratch)
        if by_samples:
            read_samples(re, im, tables.local, task, n_samples, trig, n_rows, values, output, y, p, bad)
        else:
            sum_words(outer, tables, output, values, sums[row, outer])
            for state, tile in ((sr, re), (si, im)):
                if not there:
                    write_tile(state, base, tables, layout, outer, size, tile)
    restore_subnormals(before)


@kept
def backward(
    first, last, n_samples, tables, leading, turns, n_rows, trig, output, matrices, fresh, coefficients,
    sr, si, lr, li, gy, gw, sums, rows, gs, shared
):  # fmt: skip
    """Run a segment backwards.

    Where lanes are samples, from the readouts' gradients gy to those of the slots, ``rows`` (tiles, n_rows, lanes) flat
    and ``shared`` (tiles, n_shared), and of the start states, gs. Where lanes are amplitudes, psi (sr, si) and lambda
    (lr, li) change in place, gw has the gradients of the words, and ``sums`` (rows, outer, n_rotations, 3) takes the
    slopes of the rotations. ``fresh`` says that lambda is still 0. Of the leading segment's states nothing is asked any
    more.
    """
    n_lanes, n_outer, by_samples = 64 // gy.itemsize, len(tables.outer), len(tables.lanes) == 1
    size, n_rotations = len(tables.local), len(turns.starts) - 1
    length = size * n_lanes
    re, im, pr, pi = room_for(length, gy)
    p, own = aligned(max(length, gy.shape[1] * n_lanes), gy), aligned(4 * n_rotations * n_lanes, gy)
    slopes, weights = aligned(3 * n_rotations * n_lanes, gy), aligned(output.n_words * n_lanes, gy)
    scratch, partial = aligned(matrices.widest, gy), aligned(shared.shape[1] * n_lanes, gy)
    there, n_slopes = only_reads(tables), 0 if fresh else size
    layout = LINES if len(tables.lines) else tables.layout
    before = flush_subnormals()
    for task in range(first, last):
        row, outer = task // n_outer, task % n_outer
        base = task * length if by_samples else row * (len(sr) // n_samples)
        if by_samples:
            for i in range(size):
                store(re, i, load(sr, task * size + i))
                store(im, i, load(si, task * size + i))
            fuse_turns(0, n_rotations, task, n_rows, turns, trig, own)
            begin_back(re, im, pr, pi, tables.local, task, n_samples, output, gy, weights, p, n_lanes)
        else:
            psi, slope = (layout, size), (tables.layout, n_slopes)
            for state, tile, (order, count) in ((sr, re, psi), (si, im, psi), (lr, pr, slope), (li, pi, slope)):
                read_tile(state, base, tables, order, outer, count, tile)
            spread_row(row, outer, tables, n_rotations, coefficients, own)
            spread_words(outer, tables, output, gw[row], weights)
        backward_tile(re, im, pr, pi, tables, outer, own, slopes, weights, output, matrices, n_lanes, p, scratch)
        if by_samples:
            fill(partial, 0, len(partial), 0)
            split_slopes(0, n_rotations, task, n_rows, turns, trig, slopes, rows, partial)
            end_back(pr, task, n_samples, partial, gs, shared, n_lanes)
        else:
            sum_slopes(outer, tables, slopes, sums[row, outer])
            for state, tile, unchanged in ((sr, re, there), (si, im, there), (lr, pr, False), (li, pi, False)):
                if not leading and not unchanged:
                    write_tile(state, base, tables, tables.layout, outer, tables.entry, tile)
    restore_subnormals(before)


@kept
def read_rows(first, last, n_rows, trig, output, sr, si, sums, y):
    """Fill the readouts of rows first to last whose lanes were amplitudes; NaN where an angle is not finite.

    ``sums``, (rows, outer, words), has the values of the words, tile by tile.
    """
    n_lanes, size = 64 // y.itemsize, len(sr) // len(y)
    bad = aligned(n_lanes, y)
    for row in range(first, last):
        store(bad, 0, not_finite(row // n_lanes, n_rows, trig))
        for o in range(y.shape[1]):
            y[row, o] = bad[row % n_lanes] + (0 if len(output.low) else output.constants[o])
        for k in range(len(output.columns)):
            for outer in range(sums.shape[1]):
                y[row, output.columns[k, 0]] += output.coefficients[k] * sums[row, outer, output.columns[k, 1]]
        for i in range(size if len(output.low) else 0):
            at = row * size + i
            y[row, outcome(i, output)] += sr[at] * sr[at] + si[at] * si[at]


@kept
def rows_back(first, last, output, sr, si, lr, li, gw, gy):
    """Fill the gradients of the words, (rows, words), for rows first to last, or lambda where outcomes are read.

    lambda_i <- g psi_i, g the gradient of the outcome of i.
    """
    size = len(sr) // len(gy)
    for row in range(first, last):
        fill(gw[row], 0, gw.shape[1], 0)
        for k in range(len(output.columns)):
            gw[row, output.columns[k, 1]] += output.coefficients[k] * gy[row, output.columns[k, 0]]
        for i in range(size if len(output.low) else 0):
            at, g = row * size + i, gy[row, outcome(i, output)]
            lr[at] = g * sr[at]
            li[at] = g * si[at]
