"""A circuit divided at cut wires, and how the readouts of its fragments make up those of the whole.

``ρ = ½ Σ_P Tr(P ρ) P`` on every cut wire, P in I, X, Y, Z (Peng et al., arXiv:1904.00102): before the cut P is
measured, behind it P is prepared, as a combination of the states |0>, |1>, |+> and |+i> (the preparations, in this
order): ``I = 0 + 1``, ``X = 2(+) - 0 - 1``, ``Y = 2(+i) - 0 - 1``, ``Z = 0 - 1``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np

from circuits import RY, RZ, Circuit, Observable, inputs
from circuits.gates import Op
from circuits.observables import Word

#: Number of an operation and a qubit: the wire of the qubit is cut just before the operation.
Place = tuple[int, int]
Wire = tuple[int, int]  # a qubit, and how many times it was cut before

_LETTERS = "IXYZ"
#: Angles of RY and RZ that prepare |0>, |1>, |+> and |+i>.
_PREPARATIONS = [(0.0, 0.0), (math.pi, 0.0), (math.pi / 2, 0.0), (math.pi / 2, math.pi / 2)]
#: I, X, Y and Z, each from the four preparations.
_COMBINED = np.array([[1.0, 1, 0, 0], [-1, -1, 2, 0], [-1, -1, 0, 2], [1, -1, 0, 0]])


@dataclass(frozen=True)
class Fragment:
    """One part of a divided circuit, of the same features and weights.

    Parameters
    ----------
    wires : tuple of (qubit, cuts before)
        One per qubit of the fragment.
    entering : tuple of int
        Numbers of the cuts that its wires begin behind.
    leaving : tuple of (cut, qubit of the fragment)
        The cuts that its wires end at.
    ending : tuple of (qubit of the circuit, qubit of the fragment)
        Wires that end where the circuit does.
    circuit : Circuit
        Its operations.
    prepared : Circuit
        The same after the preparations, two further features per entering cut: the first operations, RY and RZ.
    """

    wires: tuple[Wire, ...]
    entering: tuple[int, ...]
    leaving: tuple[tuple[int, int], ...]
    ending: tuple[tuple[int, int], ...]
    circuit: Circuit
    prepared: Circuit

    @cached_property
    def qubits(self) -> tuple[int, ...]:
        """The qubits of the whole circuit that it has a part of."""
        return tuple(sorted({qubit for qubit, _ in self.wires}))

    @property
    def preparations(self) -> np.ndarray:
        """The angles of every preparation, float64 (4**entering, 2 * entering), in radians."""
        every = list(itertools.product(_PREPARATIONS, repeat=len(self.entering)))
        return np.array(every, dtype=float).reshape(len(every), 2 * len(self.entering))

    @property
    def combined(self) -> np.ndarray:
        """The Pauli words behind the cuts from preparations, float64 (4**entering, 4**entering)."""
        return reduce(np.kron, [_COMBINED] * len(self.entering), np.ones((1, 1)))


@dataclass(frozen=True)
class Layout:
    """Fragments, what is read of each, and which products of those make up the readouts of the whole.

    ``readout = (Π_f V_f[:, columns[f]]) @ matrix``, where V_f has a column for each Pauli word behind the entering cuts
    of fragment f and each word read of it, the last running fastest.

    Parameters
    ----------
    places : tuple of Place
    fragments : tuple of Fragment
    words : tuple of tuple of Observable
        One Pauli word each, what is read of every fragment.
    columns : tuple of array of int, (n_products,)
    matrix : array, float64 (n_products, n_observables)
    """

    places: tuple[Place, ...]
    fragments: tuple[Fragment, ...]
    words: tuple[tuple[Observable, ...], ...]
    columns: tuple[np.ndarray, ...]
    matrix: np.ndarray


def divided(circuit: Circuit, places: Iterable[Place], max_qubits: int) -> tuple[Fragment, ...]:
    """Return the fragments of a circuit that is cut at places; parts that touch no cut are put together where they fit.

    Parameters
    ----------
    circuit : Circuit
    places : iterable of Place
    max_qubits : int
        Of parts that are put together; one that is wider as it is stays so.
    """
    cuts = sorted(places)

    def wire(position: int, qubit: int) -> Wire:
        return qubit, sum(q == qubit and at <= position for at, q in cuts)

    used = [(op, tuple(wire(k, q) for q in op.qubits)) for k, op in enumerate(circuit.ops)]
    ends = [(wire(at - 1, q), wire(at, q)) for at, q in cuts]
    wires = {wire(-1, q) for q in range(circuit.n_qubits)} | {behind for _, behind in ends}
    groups = _packed(_connected(wires, [on for _, on in used]), set(itertools.chain(*ends)), max_qubits)
    return tuple(_fragment(circuit, tuple(sorted(group)), used, ends) for group in groups)


def layout(circuit: Circuit, places: Iterable[Place], observables: tuple[Observable, ...], max_qubits: int) -> Layout:
    """Return how the readouts of a circuit are made of those of its fragments; products that vanish are left out.

    Parameters
    ----------
    circuit, places, max_qubits
        As for :func:`divided`.
    observables : tuple of Observable
    """
    cuts = tuple(sorted(places))
    fragments = divided(circuit, cuts, max_qubits)
    read: list[dict[Word, int]] = [{} for _ in fragments]  # words and their numbers
    products, coefficients = [], []
    for word, each in _coefficients(observables).items():
        for letters in itertools.product(_LETTERS, repeat=len(cuts)):
            factors = [_factor(fragment, word, letters) for fragment in fragments]
            if not any(behind and not own for behind, own in factors):  # a traceless start that is not measured
                products.append([(b, read[f].setdefault(own, len(read[f]))) for f, (b, own) in enumerate(factors)])
                coefficients.append(each / 2 ** len(cuts))
    each_fragment = zip(read, zip(*products, strict=True), strict=True)
    columns = tuple(np.array([b * len(found) + own for b, own in column]) for found, column in each_fragment)
    words = tuple(tuple(Observable(((word, 1.0),)) for word in found) for found in read)
    return Layout(cuts, fragments, words, columns, np.array(coefficients))


def compatible(words: Sequence[Observable]) -> np.ndarray:
    """Return whether two words can be read from the same shots, bool (n_words, n_words): no qubit in two letters."""
    letters = [dict(observable.terms[0][0]) for observable in words]
    return np.array([[all(b.get(q, p) == p for q, p in a.items()) for b in letters] for a in letters])


def _connected(wires: Iterable[Wire], links: Iterable[tuple[Wire, ...]]) -> list[set[Wire]]:
    """Return the wires in groups that operations connect, the first qubits first."""
    groups = [{wire} for wire in sorted(wires)]
    for link in links:
        joined = [group for group in groups if group & set(link)]
        if len(joined) > 1:
            groups = [group for group in groups if group not in joined] + [set().union(*joined)]
    return sorted(groups, key=min)


def _packed(groups: list[set[Wire]], ends: set[Wire], most: int) -> list[set[Wire]]:
    """Return the groups, those without an end of a cut put to the first others with room: fewer runs, no more shots."""
    packed = [group for group in groups if group & ends]
    for group in (group for group in groups if not group & ends):
        home = next((other for other in packed if len(other) + len(group) <= most), None)
        if home is None:
            packed.append(set(group))
        else:
            home |= group
    return packed


def _fragment(
    circuit: Circuit,
    wires: tuple[Wire, ...],
    used: list[tuple[Op, tuple[Wire, ...]]],
    ends: list[tuple[Wire, Wire]],
) -> Fragment:
    place = {wire: k for k, wire in enumerate(wires)}
    entering = tuple(c for c, (_, behind) in enumerate(ends) if behind in place)
    leaving = tuple((c, place[before]) for c, (before, _) in enumerate(ends) if before in place)
    ending = tuple((wire[0], k) for wire, k in place.items() if wire not in {before for before, _ in ends})
    own = [Op(op.gate, tuple(place[wire] for wire in on), op.angles) for op, on in used if on[0] in place]
    x = inputs(circuit.n_inputs + 2 * len(entering))[circuit.n_inputs :]
    starts = [place[ends[c][1]] for c in entering]
    prepare = [gate(x[2 * k + i], q) for k, q in enumerate(starts) for i, gate in enumerate((RY, RZ))]
    alone = Circuit(len(wires), own, circuit.n_inputs, circuit.n_weights)
    prepared = Circuit(len(wires), [prepare, own], circuit.n_inputs + len(x), circuit.n_weights)
    return Fragment(wires, entering, leaving, ending, alone, prepared)


def _coefficients(observables: tuple[Observable, ...]) -> dict[Word, np.ndarray]:
    """Return the coefficient of every word in each observable, the identity's too if it is zero."""
    terms = [dict(observable.terms) for observable in observables]
    every = sorted({(), *itertools.chain(*terms)})
    return {word: np.array([each.get(word, 0.0) for each in terms]) for word in every}


def _factor(fragment: Fragment, word: Word, letters: Sequence[str]) -> tuple[int, Word]:
    """Return the number of the Pauli word behind a fragment's entering cuts, and the word that is read of it."""
    behind = reduce(lambda number, c: 4 * number + _LETTERS.index(letters[c]), fragment.entering, 0)
    of_circuit = dict(word)
    own = [(k, letters[c]) for c, k in fragment.leaving if letters[c] != "I"]
    own += [(k, of_circuit[q]) for q, k in fragment.ending if q in of_circuit]
    return behind, tuple(sorted(own))
