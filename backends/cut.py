"""Wide circuits on backends of few qubits: cut into fragments, measured one by one, put together again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any

import numpy as np
import torch
from qiskit.circuit import QuantumCircuit
from qiskit_addon_cutting.automated_cut_finding import DeviceConstraints, OptimizationParameters, find_cuts
from torch import Tensor

from backends.base import (
    Backend,
    Capabilities,
    Estimate,
    EvaluatingBackend,
    bind,
    check_circuit,
    check_finite,
    check_not_mapped,
    rows,
)
from backends.fragments import Fragment, Layout, Place, divided, layout
from backends.planning import innermost
from backends.shots import bases, checked_shots
from circuits import Circuit, Observable, Probabilities, z_each
from circuits.observables import Readout, as_readout

#: Qubits of a circuit for which cuts are looked for.
MOST_QUBITS = 64

#: What each cut wire multiplies the shots by for the same error, at least and at most about (arXiv:1904.00102): 16 are
#: those of sampled quasi-probabilities, as qiskit-addon-cutting counts them; here every circuit has as many shots, and
#: the variance of a word behind one cut is at most 4.4 times the largest of a word that is not cut.
LEAST_OVERHEAD, OVERHEAD = 4, 16


@dataclass(frozen=True)
class FragmentPlan:
    """What is run of one fragment, per sample: its circuits are preparations times bases."""

    qubits: tuple[int, ...]
    width: int
    preparations: int
    bases: int

    @property
    def circuits(self) -> int:
        """Circuits per sample."""
        return self.preparations * self.bases


@dataclass(frozen=True)
class CutPlan:
    """What cutting a circuit takes; ``print(plan)`` shows it.

    Attributes
    ----------
    places : tuple of (int, int)
        Number of an operation, and the qubit whose wire is cut just before it.
    fragments : tuple of FragmentPlan
        One for a circuit that fits; each is one call of the backend.
    uncut : int
        Circuits per sample without cuts: measurement bases.
    shots : int or None
        Per circuit; None where the backend draws none.
    """

    places: tuple[Place, ...]
    fragments: tuple[FragmentPlan, ...]
    uncut: int
    shots: int | None

    @property
    def circuits(self) -> int:
        """Circuits per sample: measurement bases and preparations of all fragments."""
        return sum(fragment.circuits for fragment in self.fragments)

    @property
    def least_overhead(self) -> int:
        """What the cuts multiply shots by at least, about: 4 for each wire."""
        return int(LEAST_OVERHEAD ** len(self.places))

    @property
    def overhead(self) -> int:
        """What the cuts multiply shots by for the same standard error, at most about: 16 for each wire."""
        return int(OVERHEAD ** len(self.places))

    def __str__(self) -> str:
        cuts = ", ".join(f"qubit {qubit} before operation {at}" for at, qubit in self.places) or "none"
        lines = [f"cut wires: {cuts}", *(_line(fragment) for fragment in self.fragments)]
        drawn = "" if self.shots is None else f" of {self.shots:,} shots each"
        lines.append(f"{self.circuits:,} circuits per sample{drawn}, {self.uncut:,} if it were not cut")
        if self.places:
            lines.append(f"for the same error about {self.least_overhead:,} to {self.overhead:,} times as many shots")
        return "\n".join(lines)


def _line(fragment: FragmentPlan) -> str:
    qubits = ", ".join(map(str, fragment.qubits))
    return f"{fragment.width} qubits ({qubits}): {fragment.preparations} preparations × {fragment.bases} bases"


class Cut:
    """Run circuits that are too wide for a backend: wires are cut, fragments run on it, and readouts are rebuilt.

    ``ρ = ½ Σ_P Tr(P ρ) P`` on every cut wire (Peng et al., arXiv:1904.00102): with k cuts every readout is a sum of up
    to 4^k products of what is read of the fragments, so its gradient, of any order, comes from theirs by the chain
    rule: exact where the backend is exact. Each fragment is one call of the backend, its preparations being rows of it.
    Cuts, of wires alone, are those that qiskit-addon-cutting finds. A circuit that fits is passed on as it is. Wrappers
    that count or keep what is measured belong inside: ``Cut(Record(IBM(...), "run.zip"))``.

    Parameters
    ----------
    backend : Backend
        Where fragments run.
    max_qubits : int
        Of a fragment.
    max_cuts : int
        More cuts are refused: each multiplies shots by up to 16, and what is put together by 4.

    Attributes
    ----------
    last_stderr : Tensor, shape (*, n_readouts), or None
        Standard errors of the last readouts, to first order in those of the fragments; words that could be read from
        the same shots count as fully correlated, so they are upper bounds. None where readouts are exact.

    Raises
    ------
    TypeError
        If ``backend`` is not a backend.
    ValueError
        If a number is out of range.
    """

    def __init__(self, backend: Backend, max_qubits: int = 5, max_cuts: int = 3) -> None:
        if isinstance(backend, type) or not isinstance(backend, Backend):
            raise TypeError(f"got {type(backend).__name__} to cut for, expected a backend: backends.Aer(shots=4096)")
        _check_range("max_qubits", max_qubits, backend.capabilities.max_qubits, f", the most of {backend}")
        _check_range("max_cuts", max_cuts, 5)
        self.backend, self.max_qubits, self.max_cuts = backend, max_qubits, max_cuts
        self.last_stderr: Tensor | None = None

    @property
    def capabilities(self) -> Capabilities:
        """What the backend can do, on more qubits."""
        inner = self.backend.capabilities
        kinds, limit = inner.simulator_kinds, "for wider ones no cuts are looked for"
        return Capabilities(inner.gradient, inner.exact, MOST_QUBITS, inner.devices, kinds, limit)

    def on(self, backend: Backend) -> Cut:
        """Return the same cuts for another backend."""
        return Cut(backend, self.max_qubits, self.max_cuts)

    def plan(self, circuit: Circuit, observables: Any = None) -> CutPlan:
        """Return what cutting a circuit takes; nothing is run.

        Parameters
        ----------
        circuit : Circuit
        observables
            As for :class:`qml.QuantumLayer`; Z on every qubit if not given.

        Raises
        ------
        ValueError
            If the circuit or its readout cannot be cut within the limits; so does :meth:`expectation`, before anything
            is run.
        """
        readout = as_readout(z_each(circuit.n_qubits) if observables is None else observables)
        self._check(circuit, readout)
        uncut, shots = len(bases(readout)), checked_shots(getattr(innermost(self.backend), "shots", None))
        if circuit.n_qubits <= self.max_qubits:
            whole = FragmentPlan(tuple(range(circuit.n_qubits)), circuit.n_qubits, 1, uncut)
            return CutPlan((), (whole,), uncut, shots)
        parts = self._layout(circuit, readout)
        each = tuple(map(_planned, parts.fragments, parts.words))
        return CutPlan(parts.places, each, uncut, shots)

    def expectation(self, circuit: Circuit, inputs: Tensor | None, weights: Tensor, observables: Readout) -> Tensor:
        """Return the readout of every sample; see :class:`backends.Backend`.

        Raises
        ------
        ValueError
            If the circuit or its readout cannot be cut within the limits.
        """
        self._check(circuit, observables)
        x, w, leading = rows(self, circuit, inputs, weights)
        if circuit.n_qubits <= self.max_qubits:
            values = self.backend.expectation(circuit, inputs, weights, observables)
            self.last_stderr = getattr(self.backend, "last_stderr", None)
            return values
        parts = self._layout(circuit, observables)
        if isinstance(self.backend, EvaluatingBackend):  # whose fragments would be paid for one by one
            check_not_mapped(self, inputs, weights)
            check_finite(bind(self, circuit, inputs, weights, observables).angles)
        found = [self._read(*part, x, w) for part in zip(parts.fragments, parts.words, strict=True)]
        shape = *leading, len(observables)
        stderr = _stderr(parts, found)
        self.last_stderr = None if stderr is None else stderr.reshape(shape)
        return _rebuilt(parts, [values for values, _ in found]).reshape(shape)

    def _check(self, circuit: Circuit, readout: Readout) -> None:
        check_circuit(type(self).__name__, self.capabilities, circuit, readout)
        if circuit.n_qubits > self.max_qubits:
            _check_parts(circuit, readout, self.max_qubits)

    def _layout(self, circuit: Circuit, readout: Any) -> Layout:
        places = found_cuts(circuit, self.max_qubits)
        if len(places) > self.max_cuts:
            raise ValueError(
                f"got a circuit of {circuit.n_qubits} qubits that takes {len(places)} cuts to fit on "
                f"{self.max_qubits}, expected at most {self.max_cuts}: raise max_qubits or max_cuts, or use fewer "
                "entangling gates"
            )
        return _laid_out(circuit, places, readout, self.max_qubits)

    def _read(self, fragment: Fragment, words: tuple[Observable, ...], x: Tensor, w: Tensor) -> _Read:
        """Return what is read of a fragment after every preparation, (rows, preparations, words)."""
        shape = len(x), len(fragment.preparations), len(words)
        if isinstance(self.backend, EvaluatingBackend):
            prepared = _Prepared(self.backend, fragment, words)
            values = prepared.expectation(fragment.circuit, x, w, words * shape[1])
            stderr = prepared.last_stderr
            return values.reshape(shape), None if stderr is None else stderr.reshape(shape)
        angles = torch.as_tensor(fragment.preparations).to(x)[:, None].expand(-1, len(x), -1)
        every = torch.cat([x.expand(len(angles), *x.shape), angles], -1)
        return self.backend.expectation(fragment.prepared, every, w, words).movedim(0, 1), None

    def __repr__(self) -> str:
        return f"Cut({self.backend!r}, max_qubits={self.max_qubits})"


_Read = tuple[Tensor, Tensor | None]  # values and standard errors


class _Prepared(EvaluatingBackend):
    """A backend that runs every row after all preparations, in one call; of the rows alone gradients are needed.

    Its readouts are the words after the first preparation, then after the next: (rows, preparations * words).
    """

    def __init__(self, backend: EvaluatingBackend, fragment: Fragment, words: tuple[Observable, ...]) -> None:
        super().__init__(backend.gradient, backend.together)
        self.backend, self.fragment, self.words = backend, fragment, words

    @property
    def capabilities(self) -> Capabilities:
        return self.backend.capabilities

    def evaluate(self, circuit: Circuit, angles: Tensor, observables: Readout) -> Estimate:
        first = torch.from_numpy(self.fragment.preparations)[:, None].expand(-1, len(angles), -1)
        every = torch.cat([first, angles.expand(len(first), *angles.shape)], -1).flatten(0, 1)
        found = self.backend.evaluate(self.fragment.prepared, every, self.words)
        values, stderr = found if isinstance(found, Estimate) else (found, None)
        sizes = len(first), len(angles)
        return Estimate(_side_by_side(values, sizes), None if stderr is None else _side_by_side(stderr, sizes))


def _side_by_side(values: Tensor, sizes: tuple[int, int]) -> Tensor:
    return values.unflatten(0, sizes).movedim(0, 1).flatten(1)


@lru_cache(maxsize=512)
def found_cuts(circuit: Circuit, max_qubits: int) -> tuple[Place, ...]:
    """Return the cuts after which no fragment of a circuit has more qubits; none, where its parts fit anyway.

    They are those of qiskit-addon-cutting, to which every gate on two qubits is a CX, so that no angle needs a value.
    """
    if all(len(fragment.wires) <= max_qubits for fragment in divided(circuit, (), max_qubits)):
        return ()
    links = [(k, op.qubits) for k, op in enumerate(circuit.ops) if len(op.qubits) == 2]
    skeleton = QuantumCircuit(circuit.n_qubits)
    for _, qubits in links:
        skeleton.cx(*qubits)
    found, _ = find_cuts(skeleton, OptimizationParameters(seed=0, gate_lo=False), DeviceConstraints(max_qubits))
    places, number = [], 0
    for step in found.data:
        if step.operation.name == "cx":
            number += 1
        else:
            qubit = found.find_bit(step.qubits[0]).index
            places.append((next(k for k, qubits in links[number:] if qubit in qubits), qubit))
    return tuple(sorted(places))


@lru_cache(maxsize=512)
def _laid_out(
    circuit: Circuit, places: tuple[Place, ...], observables: tuple[Observable, ...], max_qubits: int
) -> Layout:
    return layout(circuit, places, observables, max_qubits)


def _planned(fragment: Fragment, words: tuple[Observable, ...]) -> FragmentPlan:
    return FragmentPlan(fragment.qubits, len(fragment.wires), len(fragment.preparations), len(bases(words)))


def _rebuilt(parts: Layout, values: Sequence[Tensor]) -> Tensor:
    """Return the readouts of the whole circuit, (rows, n_observables)."""
    factors = map(_factors, parts.fragments, parts.columns, values)
    return reduce(torch.mul, factors) @ torch.as_tensor(parts.matrix).to(values[0])


def _factors(fragment: Fragment, columns: np.ndarray, values: Tensor) -> Tensor:
    """Return the factor of every product that a fragment gives, (rows, n_products)."""
    behind = torch.einsum("ps,rsw->rpw", torch.as_tensor(fragment.combined).to(values), values)
    return behind.flatten(1).index_select(1, torch.as_tensor(columns).to(values.device))


def _stderr(parts: Layout, found: Sequence[_Read]) -> Tensor | None:
    """Return standard errors (rows, n_observables), from the slope of every readout in all that was read."""
    errors = [stderr for _, stderr in found if stderr is not None]
    if len(errors) < len(found):
        return None
    with torch.inference_mode(False), torch.enable_grad():
        leaves = [values.detach().clone().requires_grad_() for values, _ in found]
        readouts = _rebuilt(parts, leaves).sum(0)
        slopes = [torch.autograd.grad(each, leaves, retain_graph=True) for each in readouts]
    return torch.stack([_variance(parts, each, errors) for each in slopes], -1).sqrt()


def _variance(parts: Layout, slopes: Sequence[Tensor], errors: Sequence[Tensor]) -> Tensor:
    """Return variances (rows,); words that are never read from the same shots are independent."""
    shares = [(slope * stderr).abs() for slope, stderr in zip(slopes, errors, strict=True)]  # rows, preparations, words
    together = [torch.as_tensor(each).to(shares[0]) for each in parts.together]
    each = [((a @ both) * a).sum((1, 2)) for a, both in zip(shares, together, strict=True)]
    return torch.stack(each).sum(0)


def _check_parts(circuit: Circuit, readout: Readout, max_qubits: int) -> None:
    """Raise ValueError for a circuit that is too wide and that no cuts of wires make narrower."""
    if isinstance(readout, Probabilities):
        raise ValueError(
            f"got probabilities of a circuit of {circuit.n_qubits} qubits, which is cut, expected Pauli words or sums "
            f"of them: read z_each({circuit.n_qubits}), or raise max_qubits to {circuit.n_qubits}"
        )
    for op in circuit.ops:
        if len(op.qubits) > min(2, max_qubits):
            raise ValueError(
                f"got {op.gate.name} on {len(op.qubits)} qubits in a circuit to be cut, expected gates on at most "
                f"{min(2, max_qubits)}: write it in smaller gates, or raise max_qubits to {circuit.n_qubits}"
            )


def _check_range(name: str, value: Any, most: int, of: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise ValueError(f"got {name}={value!r}, expected an integer from 1 to {most}{of}")
