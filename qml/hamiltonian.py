"""Images as Hamiltonians: a state evolves for trained times under the image itself (Wang et al., arXiv:2407.14055)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from qml.checks import whole
from qml.special_unitary import SpecialUnitary, like_parameters, squared_moduli, symmetric_part

Evolution = Callable[[Tensor, Tensor], Tensor]  # (time, state) -> state


class HamiltonianReuploading(nn.Module):
    """Outcome probabilities of ``prod_l V_l exp(-i t_l S/2) |+>^n``, images (*, 2^n, 2^n) -> (*, out_features).

    An image M enters n_layers times, as ``S = (M + M^T)/2`` for a trained time t_l each, before V_l: unitaries
    ``exp(i sum_k θ_k P_k)`` on blocks of qubits, one after the other. The antisymmetric half of an image is lost.
    Evolution under a dense image is no circuit (:mod:`qml.special_unitary`): plain torch, for simulation only.

    ``spectrum`` decomposes the images once, before training; ``forward`` takes what it returns in the place of images,
    and a step then costs no decomposition.

    Parameters
    ----------
    n_qubits : int
        n, for images of 2^n × 2^n pixels.
    n_layers : int
        How often the image enters ("reps").
    out_features : int, optional
        How many probabilities are returned, the first ones; all if not given.
    blocks : sequence of sequences of int, optional
        Qubits of the unitaries of a layer in the order they act, equally many each: neighbours (0, 1), (1, 2), … if not
        given, ``[range(n_qubits)]`` for one unitary on all.
    n_measured : int, optional
        Read the first qubits only and leave the others out; all if not given.
    shared : bool
        Whether the unitaries of a layer have one set of angles, as in the published code, by mistake.
    device : torch.device, optional
        Of the parameters.
    dtype : torch.dtype, optional
        Of the parameters; torch's default if not given.

    Attributes
    ----------
    times : Parameter, shape (n_layers,)
        Standard normal.
    unitaries : SpecialUnitary
        Of shape (n_layers, blocks), or (n_layers, 1) if shared; standard normal angles.

    Raises
    ------
    ValueError
        If a size is out of range or the blocks are not of equally many different qubits.

    Examples
    --------
    >>> model = HamiltonianReuploading(3, n_layers=15)
    >>> model(model.spectrum(torch.rand(32, 8, 8))).shape
    torch.Size([32, 8])
    """

    def __init__(
        self,
        n_qubits: int,
        n_layers: int,
        out_features: int | None = None,
        *,
        blocks: Sequence[Iterable[int]] | None = None,
        n_measured: int | None = None,
        shared: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.n_qubits, self.n_layers = whole("n_qubits", n_qubits, 1), whole("n_layers", n_layers, 1)
        self.n_measured = _at_most("n_measured", n_measured, n_qubits)
        self.out_features = _at_most("out_features", out_features, 2**self.n_measured)
        self.blocks = _checked_blocks(blocks, n_qubits)
        options: dict[str, Any] = {"device": device, "dtype": dtype}
        self.times = nn.Parameter(torch.randn(n_layers, **options))
        n_sets = 1 if shared else len(self.blocks)
        self.unitaries = SpecialUnitary(len(self.blocks[0]), n_layers, n_sets, **options)

    def spectrum(self, images: Tensor) -> Tensor:
        """Return eigenvalues and eigenvectors of the symmetric part of images, packed as one tensor.

        Parameters
        ----------
        images : Tensor, shape (*, 2**n_qubits, 2**n_qubits), of any floating point dtype

        Returns
        -------
        Tensor, shape (*, 2**n_qubits, 2**n_qubits + 1)
            Eigenvalues in the first column, eigenvectors in the others. It carries no gradient to the images.

        Raises
        ------
        ValueError
            If the shape is wrong.
        """
        self._check(images)
        values, vectors = torch.linalg.eigh(symmetric_part(images.detach()))
        return torch.cat([values[..., None], vectors], -1)

    def forward(self, x: Tensor) -> Tensor:
        """Return probabilities of outcomes.

        Parameters
        ----------
        x : Tensor, shape (*, 2**n_qubits, 2**n_qubits), or as ``spectrum`` returns it
            Of the dtype of the parameters. An image that needs a gradient has an exact one, by matrix exponentials.

        Returns
        -------
        Tensor, shape (*, out_features)

        Raises
        ------
        TypeError
            If the images are no tensor of the dtype and device of the parameters.
        ValueError
            If the shape is wrong.
        """
        x = like_parameters("images", x, self.times)
        evolve = self._evolution(x)
        dim = 2**self.n_qubits
        state = torch.full((*x.shape[:-2], dim), dim**-0.5, dtype=x.dtype.to_complex(), device=x.device)
        for time, unitaries in zip(self.times, self.unitaries(), strict=True):
            state = evolve(time, state)
            for qubits, unitary in zip(self.blocks, unitaries.expand(len(self.blocks), -1, -1), strict=True):
                state = _apply(unitary, qubits, state, self.n_qubits)
        outcomes = squared_moduli(state).unflatten(-1, (2**self.n_measured, -1)).sum(-1)
        return outcomes[..., : self.out_features]

    def extra_repr(self) -> str:
        """Return what ``print(layer)`` shows beside the unitaries."""
        return f"{self.n_qubits}, n_layers={self.n_layers}, out_features={self.out_features}, blocks={self.blocks}"

    def _evolution(self, x: Tensor) -> Evolution:
        if x.shape[-2:] == (2**self.n_qubits, 2**self.n_qubits + 1):
            return _by_spectrum(x)
        self._check(x)
        differentiated = x.requires_grad and torch.is_grad_enabled()
        return _by_exponential(symmetric_part(x)) if differentiated else _by_spectrum(self.spectrum(x))

    def _check(self, images: Tensor) -> None:
        dim = 2**self.n_qubits
        if images.shape[-2:] != (dim, dim):
            raise ValueError(
                f"got images of shape {tuple(images.shape)}, expected (*, {dim}, {dim}): fill them up with "
                "torch.nn.functional.pad, without a dimension for channels"
            )


def _by_spectrum(spectrum: Tensor) -> Evolution:
    values, vectors = spectrum[..., 0], spectrum[..., 1:].to(spectrum.dtype.to_complex())

    def evolve(time: Tensor, state: Tensor) -> Tensor:
        turned = torch.exp(-0.5j * time * values)[..., None] * (vectors.mT @ state[..., None])
        return (vectors @ turned)[..., 0]

    return evolve


def _by_exponential(hamiltonian: Tensor) -> Evolution:
    """Evolve by matrix exponentials: gradients of eigenvectors do not exist where eigenvalues are equal."""

    def evolve(time: Tensor, state: Tensor) -> Tensor:
        return (torch.matrix_exp(-0.5j * time * hamiltonian) @ state[..., None])[..., 0]

    return evolve


def _apply(unitary: Tensor, qubits: tuple[int, ...], state: Tensor, n_qubits: int) -> Tensor:
    """Return the state, (*, 2**n_qubits), after a unitary on some qubits."""
    axes, last = [q - n_qubits for q in qubits], list(range(-len(qubits), 0))
    parts = state.unflatten(-1, [2] * n_qubits).movedim(axes, last)
    turned = (parts.flatten(last[0]) @ unitary.mT).unflatten(-1, [2] * len(qubits))
    return turned.movedim(last, axes).flatten(-n_qubits)


def _at_most(name: str, value: int | None, most: int) -> int:
    if value is not None and whole(name, value, 1) > most:
        raise ValueError(f"got {name}={value}, expected at most {most}: read fewer, or use more qubits")
    return most if value is None else value


def _checked_blocks(blocks: Sequence[Iterable[int]] | None, n_qubits: int) -> tuple[tuple[int, ...], ...]:
    if blocks is None:
        return tuple((q, q + 1) for q in range(n_qubits - 1)) or ((0,),)
    found = tuple(tuple(block) for block in blocks)
    known = all(set(block) <= set(range(n_qubits)) and len(set(block)) == len(block) for block in found)
    if not found or not found[0] or not known or len({len(block) for block in found}) != 1:
        raise ValueError(
            f"got blocks={list(found)}, expected equally many different qubits from 0 to {n_qubits - 1} in each: "
            "[(0, 1), (1, 2)], for example"
        )
    return found
