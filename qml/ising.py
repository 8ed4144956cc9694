"""Fujii and Nakajima's reservoir: qubits coupled at random in a transverse field, driven through one of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from qml.checks import generator, real, whole
from qml.reservoir import Reservoir

MAX_QUBITS = 10  # a density matrix of 16 MiB, and one observable of that size for every state


class IsingReservoir(Reservoir):
    """Qubits in a transverse field, coupled at random, that take the series in through qubit 0.

    At each step the input s in [0, 1] replaces the state of qubit 0, ``rho -> |s><s| (x) Tr_0 rho`` with
    ``|s> = sqrt(1-s)|0> + sqrt(s)|1>``; then all evolve for a time tau under
    ``H = sum_{i<j} J_ij X_i X_j + h sum_i Z_i``, J_ij uniform on [-J/2, J/2]. The states are <Z_i> of all qubits at the
    times tau/V, 2 tau/V, ..., tau: V virtual nodes. Fujii and Nakajima, Phys. Rev. Applied 8, 024030 (2017),
    arXiv:1602.08159; their sum over i and j is taken over pairs here, once each. The values are exact: a device would
    repeat the series for each virtual node and shot, because what is measured is lost.

    Parameters
    ----------
    n_qubits : int
        2 to 10; time and memory grow as 4**n_qubits.
    input_size : int
        Series that drive the reservoir together, each through a qubit of its own, the first ones.
    output_size : int
        Targets of the readout.
    n_virtual_nodes : int
        V above; there are ``V * n_qubits`` states, the qubits of the earliest time first.
    coupling, field, tau : float
        J, h and tau above: hyper-parameters that decide how long the reservoir remembers.
    input_range : (float, float)
        Lowest and highest input, mapped to 0 and 1.
    washout : int
        First steps that ``fit_ridge`` leaves out.
    seed : int, optional
        Of the couplings; torch's own generator draws them if not given.

    Attributes
    ----------
    couplings : Tensor, shape (n_qubits, n_qubits), float64
        J_ij above the diagonal; part of ``state_dict``.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its bounds.

    Examples
    --------
    >>> u = torch.rand(300, 1)
    >>> reservoir = IsingReservoir(4, n_virtual_nodes=5, washout=50, seed=0).fit_ridge(u, u.roll(1, 0))
    >>> reservoir.states(u)[0].shape, reservoir.predict(u).shape
    (torch.Size([300, 20]), torch.Size([300, 1]))
    """

    def __init__(
        self,
        n_qubits: int = 5,
        *,
        input_size: int = 1,
        output_size: int = 1,
        n_virtual_nodes: int = 5,
        coupling: float = 1.0,
        field: float = 0.5,
        tau: float = 2.0,
        input_range: tuple[float, float] = (0.0, 1.0),
        washout: int = 0,
        seed: int | None = None,
    ) -> None:
        self._check_sizes(n_qubits, input_size)
        super().__init__(input_size, n_qubits * whole("n_virtual_nodes", n_virtual_nodes, 1), output_size, washout)
        self.n_qubits, self.n_virtual_nodes = n_qubits, n_virtual_nodes
        self.coupling, self.field = real("coupling", coupling), real("field", field)
        self.tau = real("tau", tau, least=0.0)
        self.input_range = _checked_range(input_range)
        uniform = torch.rand(n_qubits, n_qubits, dtype=torch.float64, generator=generator(seed))
        self._couple((coupling * (uniform - 0.5)).triu(1))

    @staticmethod
    def _check_sizes(n_qubits: int, input_size: int) -> None:
        whole("input_size", input_size, 1)
        if not input_size < whole("n_qubits", n_qubits, 2) <= MAX_QUBITS:
            raise ValueError(
                f"got n_qubits={n_qubits} for {input_size} inputs, expected {input_size + 1} to {MAX_QUBITS}: "
                "one qubit takes in each input, and the others remember"
            )

    @property
    def couplings(self) -> Tensor:
        """J_ij of ``X_i X_j`` above the diagonal, (n_qubits, n_qubits)."""
        return self._couplings

    def _settings(self) -> dict[str, float]:
        low, high = self.input_range
        sizes = {"n_qubits": self.n_qubits, "input_size": self.input_size, "n_virtual_nodes": self.n_virtual_nodes}
        return {**sizes, "coupling": self.coupling, "field": self.field, "tau": self.tau, "low": low, "high": high}

    def get_extra_state(self) -> Tensor:
        """Return settings and couplings for ``state_dict``; ``.float()`` leaves them, and so the system, alone."""
        return torch.cat([torch.tensor([*self._settings().values()], dtype=torch.float64), self.couplings.flatten()])

    def set_extra_state(self, state: Tensor) -> None:
        """Take over the couplings of a checkpoint.

        Raises
        ------
        ValueError
            If it is of a reservoir with other settings.
        """
        expected = self._settings()
        found = dict(zip(expected, state.tolist(), strict=False))
        if found != expected:
            other = [name for name in expected if found.get(name) != expected[name]]
            raise ValueError(
                f"got a checkpoint with {_listed(found, other)}, expected {_listed(expected, other)}: "
                "build the reservoir with the settings it was saved with"
            )
        self._couple(state[len(expected) :].double().cpu().reshape(self.n_qubits, self.n_qubits))

    def _couple(self, couplings: Tensor) -> None:
        self._couplings = couplings.clone()
        self._evolution, self._observables = self._matrices()

    def frozen(self) -> list[Any]:
        """Return the couplings: all else is given once, at construction."""
        return [self.couplings]

    def _matrices(self) -> tuple[Tensor, Tensor]:
        """U(tau), and rows of the observables U(v tau/V)^+ Z_i U(v tau/V), real and imaginary parts in turn."""
        z = _z_signs(self.n_qubits)
        energies, vectors = torch.linalg.eigh(self._hamiltonian(z))
        times = self.tau * torch.arange(1, self.n_virtual_nodes + 1, dtype=torch.float64) / self.n_virtual_nodes
        phases = torch.exp(-1j * times[:, None, None] * energies)
        evolutions = (vectors * phases) @ vectors.to(phases.dtype).mH
        observables = evolutions.mH[:, None] @ (z[None, :, :, None] * evolutions[:, None])
        return evolutions[-1], torch.view_as_real(observables).flatten(0, 1).flatten(1)

    def _hamiltonian(self, z: Tensor) -> Tensor:
        """H as a real matrix; X_i X_j flips the bits i and j of the index."""
        index = torch.arange(2**self.n_qubits)
        matrix = torch.diag(self.field * z.sum(0))
        for i, j in zip(*torch.triu_indices(self.n_qubits, self.n_qubits, 1).tolist(), strict=True):
            flipped = index ^ (1 << self.n_qubits - 1 - i) ^ (1 << self.n_qubits - 1 - j)
            matrix[index, flipped] += self.couplings[i, j]
        return matrix

    def run(self, u: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return <Z_i> at the virtual nodes, and the density matrix (*, 2**n_qubits, 2**n_qubits) after the last."""
        evolution, observables = self._evolution.to(u.device), self._observables.to(u.device)
        rho = self._checked_state(u, state)
        states = []
        for projector in self._injected(u):
            rho = _replaced(rho, projector)
            states.append(torch.view_as_real(rho).flatten(-3) @ observables.mT)
            rho = evolution @ rho @ evolution.mH
        return torch.stack(states), rho

    def _injected(self, u: Tensor) -> Tensor:
        """Density matrices of the qubits that take in the inputs, at every step."""
        low, high = self.input_range
        if ((u < low) | (u > high)).any():
            raise ValueError(
                f"got inputs from {u.min():.6g} to {u.max():.6g}, expected {low:g} to {high:g}: "
                "give input_range, with room for what comes later"
            )
        s = ((u.double() - low) / (high - low)).clamp(0, 1)  # single precision may round past an end
        qubits = torch.stack([(1 - s).sqrt(), s.sqrt()], -1)
        psi = qubits[..., 0, :]
        for k in range(1, self.input_size):
            psi = (psi[..., :, None] * qubits[..., k, None, :]).flatten(-2)
        return psi[..., :, None] * psi[..., None, :]

    def _checked_state(self, u: Tensor, state: Tensor | None) -> Tensor:
        shape = (*u.shape[1:-1], 2**self.n_qubits, 2**self.n_qubits)
        if state is None:
            state = torch.zeros(shape, dtype=torch.complex128, device=u.device)
            state[..., 0, 0] = 1
        if not isinstance(state, Tensor) or state.shape != shape or state.dtype != torch.complex128:
            found = f"{tuple(state.shape)} and {state.dtype}" if isinstance(state, Tensor) else type(state).__name__
            raise ValueError(
                f"got a state of {found}, expected density matrices of {shape} and complex128: "
                "give what states() returned for as many sequences, or None"
            )
        return state

    def extra_repr(self) -> str:
        """Return what ``print(reservoir)`` shows."""
        return (
            f"n_qubits={self.n_qubits}, input_size={self.input_size}, n_virtual_nodes={self.n_virtual_nodes}, "
            f"coupling={self.coupling:g}, field={self.field:g}, tau={self.tau:g}, input_range={self.input_range}"
        )


def _z_signs(n_qubits: int) -> Tensor:
    """Diagonals of Z_i, (n_qubits, 2**n_qubits), qubit 0 the leading bit."""
    bits = torch.arange(2**n_qubits) >> torch.arange(n_qubits - 1, -1, -1)[:, None] & 1
    return 1.0 - 2.0 * bits.double()


def _replaced(rho: Tensor, projector: Tensor) -> Tensor:
    """Projector (x) what is left of rho without its first qubits."""
    front, size = projector.shape[-1], rho.shape[-1]
    split = rho.unflatten(-1, (front, size // front)).unflatten(-3, (front, size // front))
    rest = split.diagonal(dim1=-4, dim2=-2).sum(-1)
    return (projector[..., :, None, :, None] * rest[..., None, :, None, :]).reshape(rho.shape)


def _listed(settings: dict[str, float], names: list[str]) -> str:
    return ", ".join(f"{name}={settings[name]:g}" for name in names if name in settings)


def _checked_range(found: Any) -> tuple[float, float]:
    try:
        low, high = (real("input_range", value) for value in found)
    except (TypeError, ValueError):
        low = high = 0.0
    if not low < high:
        raise ValueError(f"got input_range={found!r}, expected (lowest, highest) input: for example (-1.0, 1.0)")
    return low, high
