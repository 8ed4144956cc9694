"""Quantum recurrent networks: cells made of variational circuits, and layers called as torch.nn.RNN, LSTM and GRU.

Every circuit is one ``recurrent_block`` on the qubits of ``v = [x, h]``, read as <Z> of its first qubits. Circuits that
read the same v run in one call of the backend: one job, where a call is a job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from backends import Backend, Statevector
from circuits import z_each
from circuits.checks import whole
from circuits.templates import recurrent_block
from qml.init import normal_
from qml.layer import QuantumLayer, full_precision
from qml.movable import Movable

States = tuple[Tensor, ...]
State = Tensor | States  # a tensor, or several: as torch's RNN and LSTM have it
Steps = tuple[Tensor, ...]  # one for each step of a sequence
Shape = tuple[int, ...]


def small_(tensor: Tensor) -> Tensor:
    """Fill a tensor with normal angles of standard deviation 0.01, as the authors of the QLSTM do."""
    return normal_(tensor, 0.01)


class QuantumCell(Movable):
    """One step of a sequence, ``cell(x, state) -> (output, state)``: what the quantum cells share.

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
        Whether the circuits keep the weights they are drawn with; gradients still reach the inputs and the state.
        ``requires_grad_()`` thaws them.
    init : callable, optional
        Fills the weights in place; normal angles of standard deviation 0.01 if not given.
    device : torch.device, optional
        Of the weights.
    dtype : torch.dtype, optional
        Of the weights: float32 or float64; torch's default if not given.

    Attributes
    ----------
    input_size, hidden_size, output_size : int
        Last dimensions of x, h and the output.
    state_sizes : tuple of int
        Last dimension of each tensor of the state. A state of one tensor is that tensor, one of two a pair.

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
        init: Callable[[Tensor], Any] = small_,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole("input_size", input_size)
        whole("hidden_size", hidden_size)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.output_size, self.state_sizes = self._sizes()
        circuit, readout = recurrent_block(input_size + hidden_size, n_layers), z_each(max(self.state_sizes))
        backend = Statevector() if backend is None else backend  # one for all: circuits that share it run together
        for name in self.blocks:
            self.add_module(name, QuantumLayer(circuit, readout, backend, init=init, device=device, dtype=dtype))
        self.requires_grad_(not frozen)

    def _sizes(self) -> tuple[int, Shape]:
        """Return the sizes of the output and of each tensor of the state."""
        return self.hidden_size, (self.hidden_size,)

    @property
    def size_above(self) -> int:
        """How many entries of the output a layer on top of this one reads, the first ones."""
        return self.hidden_size

    def step(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        """Return output and state after one step; unchecked, and the state is always a tuple."""
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
        like = _weights(self) if like is None else like
        return _state(tuple(like.new_zeros(*batch_shape, size) for size in self.state_sizes))

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
            If a dtype or a device is not that of the weights.
        ValueError
            If a shape is wrong.
        """
        x = _checked_features(x, self.input_size, _weights(self))
        given = self.initial_state(x.shape[:-1], x) if state is None else state
        y, new = self.step(x, _checked_states(given, x.shape[:-1], self.state_sizes, x))
        return y, _state(new)

    def extra_repr(self) -> str:
        """Return what ``print(cell)`` shows beside the circuits."""
        return f"{self.input_size}, {self.hidden_size}"


class QRNNCell(QuantumCell):
    """``h' = tanh(V(v))``, ``v = [x, h]`` (Chen et al., arXiv:2211.02612).

    Arguments as :class:`qml.recurrent.QuantumCell`.
    """

    blocks = ("block",)
    block: QuantumLayer

    def step(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        """Return output and state after one step; the output is h."""
        h = torch.tanh(self.block(torch.cat([x, *state], -1)))
        return h, (h,)


class QGRUCell(QuantumCell):
    """``h' = (1 - z) n + z h`` (Chen et al., arXiv:2211.02612); arguments as :class:`qml.recurrent.QuantumCell`.

    With ``v = [x, h]``: reset r = σ(V1(v)), update z = σ(V2(v)), candidate n = tanh(V3([x, r h])).
    """

    blocks = ("reset_gate", "update_gate", "candidate")
    reset_gate: QuantumLayer
    update_gate: QuantumLayer
    candidate: QuantumLayer

    def step(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        """Return output and state after one step; the output is h."""
        (h,) = state
        r, z = torch.sigmoid(_together(torch.cat([x, h], -1), self.reset_gate, self.update_gate))
        n = torch.tanh(self.candidate(torch.cat([x, r * h], -1)))
        h = n + z * (h - n)
        return h, (h,)


class QLSTMCell(QuantumCell):
    """``c' = f c + i g``, ``u = o tanh(c')``, ``h' = V5(u)``, output ``V6(u)`` (Chen et al., arXiv:2009.01783).

    With ``v = [x, h]``: f = σ(V1(v)), i = σ(V2(v)), g = tanh(V3(v)), o = σ(V4(v)). c and the output have
    input_size + hidden_size entries. Arguments as :class:`qml.recurrent.QuantumCell`.
    """

    blocks = ("forget_gate", "input_gate", "candidate", "output_gate", "to_hidden", "to_output")
    forget_gate: QuantumLayer
    input_gate: QuantumLayer
    candidate: QuantumLayer
    output_gate: QuantumLayer
    to_hidden: QuantumLayer
    to_output: QuantumLayer

    def _sizes(self) -> tuple[int, Shape]:
        width = self.input_size + self.hidden_size
        return width, (self.hidden_size, width)

    @property
    def size_above(self) -> int:
        """How many entries of the output a layer on top of this one reads: so many that its c is as wide."""
        return self.input_size

    def step(self, x: Tensor, state: States) -> tuple[Tensor, States]:
        """Return output and state (h, c) after one step."""
        h, c = state
        gates = self.forget_gate, self.input_gate, self.candidate, self.output_gate
        f, i, g, o = _together(torch.cat([x, h], -1), *gates)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h, y = _together(torch.sigmoid(o) * torch.tanh(c), self.to_hidden, self.to_output)
        return y, (h[..., : self.hidden_size], c)


class QuantumRecurrent(Movable):
    """A quantum cell run over whole sequences, called as torch.nn.RNN: what QRNN, QLSTM and QGRU share.

    Parameters
    ----------
    input_size : int
        Features of a step.
    hidden_size : int
        Entries of h; circuits of the first layer have input_size + hidden_size qubits.
    num_layers : int
        Layers on top of each other, each reading the outputs of the one below.
    batch_first : bool
        Whether input and output are (batch, length, features) instead of (length, batch, features).
    n_layers, backend, frozen, init, device, dtype
        As :class:`qml.recurrent.QuantumCell`.

    Attributes
    ----------
    cells : ModuleList of QuantumCell
        One for each layer.
    output_size : int
        Last dimension of the output.

    Raises
    ------
    ValueError
        If a size is less than 1.

    Examples
    --------
    >>> rnn = QRNN(1, 3)
    >>> output, h = rnn(torch.zeros(20, 32, 1))
    >>> output, h = rnn(torch.zeros(5, 32, 1), h)  # the next five steps of the same sequences
    >>> output.shape, h.shape
    (torch.Size([5, 32, 3]), torch.Size([1, 32, 3]))
    """

    cell: ClassVar[type[QuantumCell]]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        batch_first: bool = False,
        n_layers: int = 2,
        backend: Backend | None = None,
        frozen: bool = False,
        init: Callable[[Tensor], Any] = small_,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole("num_layers", num_layers)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.num_layers, self.batch_first = num_layers, batch_first
        self.cells = nn.ModuleList()
        for _ in range(num_layers):
            cell = self.cell(
                input_size, hidden_size,
                n_layers=n_layers, backend=backend, frozen=frozen, init=init, device=device, dtype=dtype,
            )  # fmt: skip
            self.cells.append(cell)
            input_size = cell.size_above
        self.output_size, self.state_sizes = cell.output_size, cell.state_sizes

    def forward(self, input: Tensor | PackedSequence, hx: State | None = None) -> tuple[Any, State]:
        """Return the outputs of all steps, and the state after the last.

        Parameters
        ----------
        input : Tensor or PackedSequence, shape (length, batch, input_size)
            (batch, length, input_size) with ``batch_first``; (length, input_size) without a batch.
        hx : Tensor or pair of Tensors, shapes (num_layers, batch, state_sizes[k]), optional
            Where the last call stopped; zeros if not given. No batch where the input has none.

        Returns
        -------
        output : Tensor or PackedSequence, shape as the input's, last dimension output_size
        state : Tensor or pair of Tensors, shapes (num_layers, batch, state_sizes[k])

        Raises
        ------
        TypeError
            If a dtype or a device is not that of the weights.
        ValueError
            If a shape is wrong, or there is no step.
        """
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        x = _checked_features(input, self.input_size, _weights(self.cells[0]))
        _check_sequence(x, self.batch_first)
        time = 1 if self.batch_first and x.ndim == 3 else 0
        steps = x.unbind(time)
        outputs, states = self._run(steps, self._states(hx, steps[0]))
        return torch.stack(outputs, time), _state(states)

    def _forward_packed(self, input: PackedSequence, hx: State | None) -> tuple[PackedSequence, State]:
        x = _checked_features(input.data, self.input_size, _weights(self.cells[0]))
        steps = x.split(input.batch_sizes.tolist())
        states = _permuted(self._states(hx, steps[0]), input.sorted_indices)
        outputs, states = self._run(steps, states)
        packed = PackedSequence(torch.cat(outputs), *input[1:])
        return packed, _state(_permuted(states, input.unsorted_indices))

    def _states(self, hx: State | None, x: Tensor) -> States:
        """Return the states to begin with, for the features of a step."""
        batch = self.num_layers, *x.shape[:-1]
        if hx is None:
            return tuple(x.new_zeros(*batch, size) for size in self.state_sizes)
        return _checked_states(hx, batch, self.state_sizes, x)

    def _run(self, steps: Steps, states: States) -> tuple[Steps, States]:
        """Run layer by layer; states have a leading dimension of layers."""
        final = []
        for cell, *state in zip(self.cells, *states, strict=True):
            steps = steps if cell is self.cells[0] else tuple(y[..., : cell.input_size] for y in steps)
            steps, last = _unroll(cell, steps, tuple(state))
            final.append(last)
        return steps, tuple(map(torch.stack, zip(*final, strict=True)))

    def extra_repr(self) -> str:
        """Return what ``print(rnn)`` shows beside the cells."""
        layers = f", num_layers={self.num_layers}" if self.num_layers > 1 else ""
        return f"{self.input_size}, {self.hidden_size}{layers}" + ", batch_first=True" * self.batch_first


class QRNN(QuantumRecurrent):
    """Layers of :class:`QRNNCell`, called as torch.nn.RNN; arguments as :class:`qml.recurrent.QuantumRecurrent`."""

    cell = QRNNCell


class QGRU(QuantumRecurrent):
    """Layers of :class:`QGRUCell`, called as torch.nn.GRU; arguments as :class:`qml.recurrent.QuantumRecurrent`."""

    cell = QGRUCell


class QLSTM(QuantumRecurrent):
    """Layers of :class:`QLSTMCell`, called as torch.nn.LSTM; arguments as :class:`qml.recurrent.QuantumRecurrent`.

    The state is (h, c). c and the output have input_size + hidden_size entries; a layer reads the first input_size
    outputs of the one below, so that all have as many qubits.
    """

    cell = QLSTMCell


def _unroll(cell: QuantumCell, steps: Steps, states: States) -> tuple[Steps, States]:
    """Run a cell over a sequence; where samples have ended, the last rows, their states wait for the end."""
    outputs, ended = [], []
    for x in steps:
        if x.shape[:-1] != states[0].shape[:-1]:
            ended.append([s[len(x) :] for s in states])
            states = tuple(s[: len(x)] for s in states)
        y, states = cell.step(x, states)
        outputs.append(y)
    last = tuple(map(torch.cat, zip(states, *reversed(ended), strict=True))) if ended else states
    return tuple(outputs), last


def _together(v: Tensor, *layers: Any) -> Tensor:
    """Return what circuits of one form read from the same features, (len(layers), *, n_readouts).

    In one call of the backend, unless one of them was moved to another alone, or something else stands in its place.
    """
    if len({id(getattr(layer, "backend", layer)) for layer in layers}) > 1:
        return torch.stack([layer(v) for layer in layers])
    weights = torch.stack([layer.weights for layer in layers])
    return layers[0](v, weights.reshape(len(layers), *[1] * (v.ndim - 1), -1))


def _weights(cell: nn.Module) -> Tensor:
    """Return weights of a cell, or what says the dtype and device of those whose place something else has taken."""
    return next(chain(cell.parameters(), cell.buffers()))


def _state(states: States) -> State:
    return states[0] if len(states) == 1 else states


def _permuted(states: States, order: Tensor | None) -> States:
    return states if order is None else tuple(s.index_select(1, order) for s in states)


def _checked_features(x: Any, size: int, weights: Tensor) -> Tensor:
    x = full_precision(x, weights)
    _check_tensor("an input", x, weights)
    if not x.ndim or x.shape[-1] != size:
        raise ValueError(
            f"got an input of shape {tuple(x.shape)}, expected (*, {size}): the last dimension is input_size={size}"
        )
    return x


def _check_sequence(x: Tensor, batch_first: bool) -> None:
    size, time = x.shape[-1], 1 if batch_first and x.ndim == 3 else 0
    order = f"(batch, length, {size})" if batch_first else f"(length, batch, {size})"
    if x.ndim not in (2, 3):
        raise ValueError(
            f"got an input of shape {tuple(x.shape)}, expected {order}, or (length, {size}) of one sample: "
            "add the dimension with unsqueeze"
        )
    if not x.shape[time]:
        raise ValueError(
            f"got an input of shape {tuple(x.shape)}, a sequence of no steps, expected at least one: leave it out"
        )


def _checked_states(state: Any, batch: Shape, sizes: Shape, x: Tensor) -> States:
    """Return a state as a tuple of tensors that fit the features of a step."""
    states = tuple(state) if isinstance(state, tuple | list) else (state,)
    states = tuple(full_precision(s, x) for s in states)
    for s in states:
        _check_tensor("a state", s, x)
    found, expected = [tuple(s.shape) for s in states], [(*batch, size) for size in sizes]
    if found != expected:
        raise ValueError(
            f"got a state of shape {' and '.join(map(str, found))}, expected {' and '.join(map(str, expected))}: "
            "pass the state that an earlier call returned, or none to start from zeros"
        )
    return states


def _check_tensor(name: str, tensor: Any, like: Tensor) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"got {name} of type {type(tensor).__name__}, expected a tensor: torch.as_tensor(...)")
    if tensor.dtype != like.dtype or tensor.device != like.device:
        raise TypeError(
            f"got {name} {tensor.dtype} on {tensor.device}, expected {like.dtype} on {like.device} as the weights: "
            "call .to() on one of the two"
        )
