"""Quantum recurrent networks: cells made of variational circuits, and layers called as torch.nn.RNN, LSTM and GRU.

Every circuit is one ``recurrent_block`` on the qubits of ``v = [x, h]``, read as <Z> of its first qubits. Circuits that
read the same v run in one call of the backend: one job per step of the sequence, where a call is a job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from backends import Backend
from circuits import z_each
from circuits.templates import recurrent_block
from qml.init import normal_
from qml.layer import QuantumLayer

State = Tensor | tuple[Tensor, ...]
Init = Callable[[Tensor], Any]


def small_(tensor: Tensor) -> Tensor:
    """Fill a tensor with normal angles of standard deviation 0.01, as the authors of the QLSTM do."""
    return normal_(tensor, 0.01)


class QuantumCell(nn.Module):
    """One step of a sequence, ``cell(x, state) -> (output, state)``: what all cells share.

    Parameters
    ----------
    input_size : int
        Features of a step.
    hidden_size : int
        Entries of h; the circuits have input_size + hidden_size qubits.
    n_layers : int
        Layers of each circuit ("reps").
    backend : Backend, optional
        Where the circuits run; the exact simulator if not given.
    frozen : bool
        Whether the weights of the circuits stay as drawn; gradients still go through to the inputs and the state.
        ``cell.requires_grad_()`` thaws them.
    init : callable, optional
        Fills the weights in place; normal angles of standard deviation 0.01 if not given.
    device, dtype : optional
        Of the weights.

    Attributes
    ----------
    input_size, hidden_size, output_size : int
        Last dimensions of x, h and the output.
    state_sizes : tuple of int
        Last dimension of each tensor of the state. A state of one tensor is that tensor, of two a pair.

    Raises
    ------
    ValueError
        If a size is less than 1.
    """

    blocks: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        n_layers: int = 2,
        backend: Backend | None = None,
        frozen: bool = False,
        init: Init = small_,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        _check_size("input_size", input_size)
        _check_size("hidden_size", hidden_size)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.output_size, self.state_sizes = self._sizes()
        circuit, readout = recurrent_block(input_size + hidden_size, n_layers), z_each(max(self.state_sizes))
        for name in self.blocks:
            self.add_module(name, QuantumLayer(circuit, readout, backend, init=init, device=device, dtype=dtype))
        self.requires_grad_(not frozen)

    def _sizes(self) -> tuple[int, tuple[int, ...]]:
        return self.hidden_size, (self.hidden_size,)

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return output and state after one step, of tensors that fit; the state is a tuple here, always."""
        raise NotImplementedError

    def initial_state(self, batch_shape: Iterable[int] = (), like: Tensor | None = None) -> State:
        """Return the state before the first step: zeros of shape (*batch_shape, size).

        Parameters
        ----------
        batch_shape : sequence of int
            Leading dimensions of the inputs.
        like : Tensor, optional
            Of the dtype and device wanted; the weights' if not given.
        """
        like = next(self.parameters()) if like is None else like
        return _outside(tuple(like.new_zeros(*batch_shape, size) for size in self.state_sizes))

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return output and state after one step.

        Parameters
        ----------
        x : Tensor, shape (*, input_size)
        state : Tensor or pair of Tensors, shapes (*, state_sizes[k]), optional
            Zeros if not given.

        Returns
        -------
        output : Tensor, shape (*, output_size)
        state : Tensor or pair of Tensors

        Raises
        ------
        TypeError
            If a dtype or a device differs from the weights'.
        ValueError
            If a shape is wrong.
        """
        y, new = self.step(x, _inside(self.initial_state(x.shape[:-1], x) if state is None else state))
        return y, _outside(new)


def _inside(state: State) -> tuple[Tensor, ...]:
    return (state,) if isinstance(state, Tensor) else tuple(state)


def _outside(state: tuple[Tensor, ...]) -> State:
    return state[0] if len(state) == 1 else state


def _together(v: Tensor, *layers: QuantumLayer) -> tuple[Tensor, ...]:
    """Return what circuits of one form read from the same features, in one call."""
    weights = torch.stack([layer.weights for layer in layers])
    return layers[0](v, weights.reshape(len(layers), *[1] * (v.ndim - 1), -1)).unbind()


class QRNNCell(QuantumCell):
    """``h' = tanh(V(v))`` with ``v = [x, h]`` (Chen et al., arXiv:2211.02612)."""

    blocks = ("block",)
    block: QuantumLayer

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return output and state after one step."""
        h = torch.tanh(self.block(torch.cat([x, *state], -1)))
        return h, (h,)


class QGRUCell(QuantumCell):
    """``h' = (1 - z) n + z h`` with r = σ(V1(v)), z = σ(V2(v)), n = tanh(V3([x, r h])) (arXiv:2211.02612)."""

    blocks = ("reset_gate", "update_gate", "candidate")
    reset_gate: QuantumLayer
    update_gate: QuantumLayer
    candidate: QuantumLayer

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return output and state after one step."""
        (h,) = state
        gates = _together(torch.cat([x, h], -1), self.reset_gate, self.update_gate)
        r, z = map(torch.sigmoid, gates)
        n = torch.tanh(self.candidate(torch.cat([x, r * h], -1)))
        h = n + z * (h - n)
        return h, (h,)


class QLSTMCell(QuantumCell):
    """``c' = f c + i g``, ``u = o tanh(c')``, ``h' = V5(u)``, output ``V6(u)`` (Chen et al., arXiv:2009.01783)."""

    blocks = ("forget_gate", "input_gate", "candidate", "output_gate", "to_hidden", "to_output")
    forget_gate: QuantumLayer
    input_gate: QuantumLayer
    candidate: QuantumLayer
    output_gate: QuantumLayer
    to_hidden: QuantumLayer
    to_output: QuantumLayer

    def _sizes(self) -> tuple[int, tuple[int, ...]]:
        width = self.input_size + self.hidden_size
        return width, (self.hidden_size, width)

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return output and state after one step."""
        h, c = state
        v = torch.cat([x, h], -1)
        f, i, g, o = _together(v, self.forget_gate, self.input_gate, self.candidate, self.output_gate)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h, y = _together(torch.sigmoid(o) * torch.tanh(c), self.to_hidden, self.to_output)
        return y, (h[..., : self.hidden_size], c)


def _check_size(name: str, size: Any) -> None:
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ValueError(f"got {name}={size!r}, expected an integer of at least 1: pass {name}=1, for example")
