r"""Local depolarising noise, exactly: circuits on the Pauli components of their density matrix.

    ρ = 2^-n Σ_P r_P P,    r' = D R r,    R_ij = 2^-k Tr(P_i U P_j U†),    D = diag(1, 1 - p, …, 1 - p)

for a gate U on k qubits, after which their state is replaced by the fully mixed one with probability p, as
``backends.Aer(noise="depolarizing:p")`` does. Here it is plain torch, so that noise can be attacked as it is: one pass
gives the gradient of all pixels, for which Aer runs the circuit twice for each.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, reduce

import numpy as np
import torch
from torch import Tensor

from backends.angles import angle_map
from backends.base import Capabilities, rows
from circuits import Circuit, Observable, Probabilities
from circuits.gates import PAULIS, Gate
from circuits.observables import Readout, Word

#: There are 4**n components for each sample, and for each gate where there is a gradient.
MOST_QUBITS = 8


@dataclass(frozen=True)
class Depolarized:
    """A backend that depolarises the qubits of every gate after it.

    Expectation values only, of circuits of fixed gates and of rotations whose generator is half a Pauli word.

    Parameters
    ----------
    rate : float
        p, from 0 to 1.
    """

    rate: float

    @property
    def capabilities(self) -> Capabilities:
        """What the backend can do."""
        return Capabilities("backprop", True, MOST_QUBITS, ("cpu",), limit="it keeps 4**n numbers for each gate")

    def expectation(self, circuit: Circuit, inputs: Tensor | None, weights: Tensor, observables: Readout) -> Tensor:
        """Return the readout of every sample; see :class:`backends.Backend`.

        Raises
        ------
        ValueError
            If a gate is none of these, or probabilities are read.
        """
        if isinstance(observables, Probabilities):
            raise ValueError("got probabilities to read, expected observables such as Z0: use backends.Aer(noise=...)")
        x, w, shape = rows(self, circuit, inputs, weights)
        angles = angle_map(circuit)(x, w.expand(len(x), -1)).unbind(1)
        state = self._evolved(circuit, angles, _zeros(circuit.n_qubits).to(x).expand(len(x), -1))
        values = [_read(state, each, circuit.n_qubits) for each in observables]
        return torch.stack(values, 1).reshape(*shape, len(values))

    def _evolved(self, circuit: Circuit, angles: tuple[Tensor, ...], state: Tensor) -> Tensor:
        """Apply the gates; those of one qubit wait, multiplied, for one of several, or for the end."""
        waiting: dict[int, Tensor] = {}
        columns = iter(angles)
        for op in circuit.ops:
            map_ = self._noisy(_transfer(op.gate, next(columns) if op.angles else None, state))
            if len(op.qubits) == 1:
                (qubit,) = op.qubits
                waiting[qubit] = map_ @ waiting[qubit] if qubit in waiting else map_
            else:
                state = _apply(_apply_each(state, waiting, circuit.n_qubits), map_, op.qubits)
                waiting.clear()
        return _apply_each(state, waiting, circuit.n_qubits)

    def _noisy(self, transfer: Tensor) -> Tensor:
        kept = torch.full_like(transfer[..., :1], 1 - self.rate)
        kept[..., 0, :] = 1
        return kept * transfer


def _zeros(n_qubits: int) -> Tensor:
    """Return the components of all qubits in |0>, which is (1 + Z) / 2 on each: (4**n,)."""
    one = torch.tensor([1.0, 0, 0, 1])
    return reduce(torch.kron, [one] * n_qubits)


def _transfer(gate: Gate, angle: Tensor | None, like: Tensor) -> Tensor:
    """Return what a gate does to components, (4**k, 4**k), or (rows, 4**k, 4**k) for angles (rows,)."""
    constant, cosine, sine = (torch.as_tensor(part).to(like) for part in _parts(gate))
    if angle is None:
        return constant
    turn = angle[:, None, None]
    return constant + turn.cos() * cosine + turn.sin() * sine


@lru_cache(maxsize=64)
def _parts(gate: Gate) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return R = parts[0] + cos t parts[1] + sin t parts[2]."""
    if gate.kind == "fixed":
        return _matrix(gate.matrix()), np.zeros(()), np.zeros(())
    if gate.frequencies != (1.0,):
        raise ValueError(
            f"got the gate {gate.name}, expected fixed gates and rotations about one Pauli word, as RX: "
            "use backends.Aer(noise=...)"
        )
    start, quarter, half = (_matrix(gate.matrix(angle)) for angle in (0, math.pi / 2, math.pi))
    return (start + half) / 2, (start - half) / 2, quarter - (start + half) / 2


def _matrix(unitary: np.ndarray) -> np.ndarray:
    words = [reduce(np.kron, [PAULIS[p] for p in word]) for word in itertools.product("IXYZ", repeat=_log2(unitary))]
    turned = unitary @ np.array(words) @ unitary.conj().T
    return np.einsum("iab,jba->ij", words, turned).real / len(unitary)


def _log2(unitary: np.ndarray) -> int:
    return len(unitary).bit_length() - 1


def _apply_each(state: Tensor, maps: Mapping[int, Tensor], n_qubits: int) -> Tensor:
    """Apply a map to each of some qubits; every step moves the first qubit to the end, so that nothing is copied."""
    rows = len(state)
    for qubit in range(n_qubits if maps else 0):
        view = state.reshape(rows, 4, -1).mT
        state = (view @ maps[qubit].mT if qubit in maps else view).reshape(rows, -1)
    return state


def _apply(state: Tensor, transfer: Tensor, qubits: tuple[int, ...]) -> Tensor:
    """Apply a map to qubits of components (rows, 4**n)."""
    k, n_qubits = len(qubits), (state.shape[1].bit_length() - 1) // 2
    axes, last = [qubit + 1 for qubit in qubits], list(range(-k, 0))
    view = state.reshape(len(state), *[4] * n_qubits).movedim(axes, last)
    found = view.reshape(len(state), -1, 4**k) @ transfer.mT
    return found.reshape(view.shape).movedim(last, axes).reshape(state.shape)


def _read(state: Tensor, observable: Observable, n_qubits: int) -> Tensor:
    values = [coefficient * state[:, _place(word, n_qubits)] for word, coefficient in observable.terms]
    return torch.stack(values).sum(0)


def _place(word: Word, n_qubits: int) -> int:
    return sum("IXYZ".index(letter) * 4 ** (n_qubits - 1 - qubit) for qubit, letter in word)
