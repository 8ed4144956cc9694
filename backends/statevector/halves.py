"""Many Z words at once: rows of tables for rotations about Z and for readouts.

Take ``live`` selects that are independent; the parities of a local index with them are its coordinates, a lower half
and an upper one. A word that selects coordinates of one half alone is a function of that half: so the phases of many
such words are an entry of one small table times an entry of another, and sums over one half give the slopes, or the
expectations, of all words of the other.
"""

from __future__ import annotations

from collections.abc import Iterator

from backends.statevector import kinds
from backends.statevector.bits import extended, inside, reduced, solver

#: Numbers of a table's row; of a word: its number, what it selects of local coordinates, lanes, outer ones; and 0, 0.
Row = tuple[int, ...]
Bases = tuple[list[int], list[int]]  # selects that span the lower and the upper half, as far as words need them

#: Bits of an index from which on words share tables: less are done before tables are filled.
TABLE_BITS = 7

#: The most readouts by halves that are cheaper than one Walsh transform of all.
FEW_GROUPS = 2


def phases(words: list[Row], live: int) -> Iterator[tuple[list[Row], list[Row]]]:
    """Return rows of operations and of masks for rotations about Z, those together that halves allow."""
    for taken, bases in _groups(words, live):
        if len(taken) > 1 and live >= TABLE_BITS:
            yield [(kinds.PHASES, 0, len(taken), -1, live, 0)], rows(taken, bases, live)
        else:
            yield (
                [(kinds.PHASE_Z, k, 1, word[0], live, 0) for k, word in enumerate(taken)],
                [(0, *w[1:]) for w in taken],
            )


def z_words(masks: list[Row], live: int) -> Iterator[tuple[list[Row], list[Row]]]:
    """Return rows of operations and of masks for readouts of Z words: by halves, or all by one transform."""
    groups = list(_groups([(k, *mask[1:]) for k, mask in enumerate(masks)], live))
    if live < TABLE_BITS or len(groups) > FEW_GROUPS:
        yield [(kinds.DIAGONAL, 0, len(masks), -1, live, 0)], masks
        return
    for taken, bases in groups:
        yield [(kinds.Z_WORDS, 0, len(taken), -1, live, 0)], rows(taken, bases, live)


def _groups(words: list[Row], live: int) -> Iterator[tuple[list[Row], Bases]]:
    """Return all words in groups, each with the bases of its halves."""
    while words:
        taken, words, bases = _halves(words, live)
        yield taken, bases


def _halves(words: list[Row], live: int) -> tuple[list[Row], list[Row], Bases]:
    """Return the words taken, the rest, and the bases.

    A word is taken if its select is in the span of a half, or independent of both: then it enlarges the half that has
    more room.
    """
    taken, rest = [], []
    bases: Bases = [], []
    sizes = live >> 1, live - (live >> 1)
    for word in words:
        known = any(inside(word[1], reduced(basis)) for basis in bases)
        if not known and inside(word[1], reduced([*bases[0], *bases[1]])):
            rest.append(word)
            continue
        taken.append(word)
        if not known:
            max(zip(sizes, bases, strict=True), key=lambda half: half[0] - len(half[1]))[1].append(word[1])
    return taken, rest, bases


def rows(words: list[Row], bases: Bases, live: int) -> list[Row]:
    """Return rows of masks: the words, then what changes each coordinate.

    Of a word: its number, the coordinates that add up to its select, lanes and outer coordinates; those of the lower
    half lead. Of a coordinate: the local index that changes it alone; the lower half comes first, and of each half the
    highest.
    """
    low = live >> 1
    units = [1 << b for b in range(live)]
    below = bases[0] + extended(bases[0] + bases[1], units, low - len(bases[0]))
    above = bases[1] + extended(below + bases[1], units, live - low - len(bases[1]))
    solve = solver([*below, *above])
    selected = sorted(((number, solve(select), *rest) for number, select, *rest in words), key=lambda word: word[1])
    of_units = [solve(unit) for unit in units]
    order = *range(low)[::-1], *range(low, live)[::-1]
    return [*selected, *((sum((of_units[b] >> k & 1) << b for b in range(live)), 0, 0, 0, 0, 0) for k in order)]
