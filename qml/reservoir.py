"""Reservoirs: frozen quantum systems that remember a series, with a linear readout as the one part that is trained."""

from __future__ import annotations

import copy
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from qml.checks import generator, real, whole

CACHED = 8  # sequences whose states a reservoir keeps
ROUNDING = 1e-13  # relative: what varies less does so by rounding
CELL_INTERFACE = ("input_size", "output_size", "initial_state")


class Reservoir(nn.Module, ABC):
    """A frozen system driven by a series, and the linear readout of its states; subclasses say how the system runs.

    Parameters
    ----------
    input_size, state_size, output_size : int
        Features of an input, numbers read from the system at each step, and targets of the readout.
    washout : int
        First steps of a sequence that no readout is fitted to, because the system still remembers its start.

    Attributes
    ----------
    readout : nn.Linear, (*, state_size) -> (*, output_size), float64
        ``fit_ridge`` solves for it; or train it by gradient, on states computed once:
        ``loss_fn(reservoir.readout(states), y)``.
    """

    def __init__(self, input_size: int, state_size: int, output_size: int, washout: int) -> None:
        super().__init__()
        self.input_size, self.state_size = input_size, state_size
        self.washout = whole("washout", washout, 0)
        self.readout = nn.Linear(state_size, whole("output_size", output_size, 1), dtype=torch.float64)
        self._cache: dict[bytes, tuple[Tensor, Any]] = {}

    @abstractmethod
    def run(self, u: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return states and last state of checked inputs; ``states`` calls it once per sequence."""

    @abstractmethod
    def frozen(self) -> list[Any]:
        """Return the tensors and strings that make the system what it is: other states follow from others."""

    def states(self, u: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Return the states of the driven system at every step, computed once per sequence and kept.

        Parameters
        ----------
        u : Tensor or array, shape (T, input_size) or (T, batch, input_size)
            One series, or a batch of series that start alike, for example windows.
        state : optional
            Where the system stands, as a call before returned it; its initial state if not given.

        Returns
        -------
        states : Tensor, shape (T, state_size) or (T, batch, state_size), float64
            Without gradients. Where the backend draws shots, the same draw each time the sequence is asked for.
        state
            Where the system stands now: passing it on continues the series, as if it were one.

        Raises
        ------
        TypeError
            If inputs are not real numbers or require a gradient, or the state is none.
        ValueError
            If the sequence is empty, has another number of features, or is not finite.
        """
        u = _checked_inputs(u, self.input_size)
        key = _digest([u, str(u.device), state, *self.frozen()])
        found = self._cache.pop(key, None)
        if found is None:
            with torch.no_grad():
                found = self.run(u, state)
        self._cache[key] = found  # the one used last stands last
        for oldest in list(self._cache)[:-CACHED]:
            del self._cache[oldest]
        return copy.deepcopy(found)  # what a caller writes into is their own

    def forward(self, u: Tensor, state: Any = None, last_only: bool = False) -> tuple[Tensor, Any]:
        """Return readouts, differentiable in the weights of ``readout``, and the state to go on from.

        Parameters
        ----------
        u, state
            As in ``states``.
        last_only : bool
            Whether to read out the last step only, as for windows.

        Returns
        -------
        y : Tensor, shape (T, output_size) or (T, batch, output_size), without T if ``last_only``
        state
        """
        states, state = self.states(u, state)
        return self.readout((states[-1] if last_only else states).to(self.readout.weight.dtype)), state

    def predict(self, u: Tensor, state: Any = None, last_only: bool = False) -> Tensor:
        """Return readouts as ``forward`` does, without a gradient and without the state."""
        with torch.no_grad():
            return self(u, state, last_only)[0]

    def fit_ridge(
        self, u: Tensor, y: Tensor, alpha: float = 1e-6, washout: int | None = None, last_only: bool = False
    ) -> Self:
        """Set the readout to the ridge regression of targets on states, in closed form and double precision.

        Parameters
        ----------
        u : Tensor or array, shape (T, input_size) or (T, batch, input_size)
        y : Tensor or array, shape (T, output_size) or (T, batch, output_size), without T if ``last_only``
            Target of every step, or of the last step of every sequence.
        alpha : float
            Weight of the penalty on squared readout weights, as in ``sklearn.linear_model.Ridge``; 0 gives the least
            squares of smallest norm. A hyper-parameter: choose it on data held back from the training part.
        washout : int, optional
            Steps left out at the start of every sequence; the reservoir's own if not given.
        last_only : bool

        Returns
        -------
        Reservoir
            Itself.

        Raises
        ------
        TypeError
            If inputs or targets are not real numbers.
        ValueError
            If shapes differ, the washout leaves nothing, numbers are not finite, or a series does not vary.
        """
        x, y = self._samples(u, y, self.washout if washout is None else washout, last_only)
        weight, bias = ridge(x, y, alpha)
        with torch.no_grad():
            self.readout.weight.copy_(weight)
            self.readout.bias.copy_(bias)
        return self

    def _samples(self, u: Tensor, y: Tensor, washout: int, last_only: bool) -> tuple[Tensor, Tensor]:
        """Rows of states and rows of targets, (samples, state_size) and (samples, output_size)."""
        u = _checked_inputs(u, self.input_size)
        y = _checked_targets(y, (*u.shape[1 if last_only else 0 : -1], self.readout.out_features)).to(u.device)
        if whole("washout", washout, 0) >= len(u):
            raise ValueError(f"got washout={washout} for {len(u)} steps, expected less: shorten it, or give more steps")
        _refuse_constant("inputs", u)
        states = self.states(u)[0]
        x, y = (states[-1], y) if last_only else (states[washout:], y[washout:])
        return x.flatten(end_dim=-2), _refuse_constant("targets after the washout", y).flatten(end_dim=-2)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": {}}  # copies and files need not carry what can be computed again


class QuantumReservoir(Reservoir):
    """A recurrent cell with frozen random weights as a reservoir, arXiv:2211.02612.

    The states are the outputs of the cell, of ``cell.output_size`` numbers. Windows are given as a batch, (window
    length, number of windows, features): each starts from the cell's initial state and is read at its last step
    (``last_only=True``), as in the paper. A long series keeps its running state instead, and so remembers further back.

    Parameters
    ----------
    cell : nn.Module
        QRNNCell, QLSTMCell, QGRUCell, or any module with their interface: ``cell(x, state) -> (output, state)``,
        ``cell.initial_state(batch_shape, like=tensor)``, ``input_size`` and ``output_size``. It is copied, in double
        precision, and left as it is.
    output_size : int
        Targets of the readout.
    weight_scale : float, optional
        Standard deviation of the normal weights that the copy is given; None keeps those of ``cell``. The paper does
        not say its own; 0.01 is that of its authors' code for trained cells. A hyper-parameter that matters: search it.
    washout : int
        First steps that ``fit_ridge`` leaves out.
    seed : int, optional
        Of the weights; torch's own generator draws them if not given.

    Raises
    ------
    TypeError, ValueError
        If ``cell`` is no cell, or an argument is out of its bounds.

    Examples
    --------
    >>> reservoir = QuantumReservoir(QRNNCell(1, 3), seed=0)
    >>> windows, y = torch.rand(4, 100, 1), torch.rand(100, 1)  # 100 windows of 4 steps
    >>> reservoir.fit_ridge(windows, y, last_only=True).predict(windows, last_only=True).shape
    torch.Size([100, 1])
    """

    def __init__(
        self,
        cell: Any,
        *,
        output_size: int = 1,
        weight_scale: float | None = 0.01,
        washout: int = 0,
        seed: int | None = None,
    ) -> None:
        cell = _checked_cell(cell)
        super().__init__(cell.input_size, cell.output_size, output_size, washout)
        self.cell: Any = copy.deepcopy(cell).double().requires_grad_(False)
        if weight_scale is not None:
            self._draw(real("weight_scale", weight_scale, least=0.0), generator(seed))

    def _draw(self, scale: float, generator: torch.Generator | None) -> None:
        for weights in self.cell.parameters():  # drawn on the CPU: the same on every device
            weights.copy_(scale * torch.randn(weights.shape, dtype=torch.float64, generator=generator))

    def frozen(self) -> list[Any]:
        """Return the cell's weights, and what it says of itself: circuits and backends."""
        return [repr(self.cell), *self.cell.parameters(), *self.cell.buffers()]

    def run(self, u: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the cell's outputs at every step, and its state after the last."""
        u = u.to(next((weights.dtype for weights in self.cell.parameters()), torch.float64))
        state = self.cell.initial_state(u.shape[1:-1], like=u[0]) if state is None else state
        outputs = []
        for x in u:
            output, state = self.cell(x, state)
            outputs.append(output)
        return torch.stack(outputs).double(), state


def ridge(x: Tensor, y: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Return weight and bias of the ridge regression of y on x, with the bias unpenalised.

    Parameters
    ----------
    x : Tensor, shape (samples, features), float64
    y : Tensor, shape (samples, targets), float64
    alpha : float
        Not negative; at 0, directions of x that are zero to rounding get no weight.

    Returns
    -------
    weight : Tensor, shape (targets, features)
    bias : Tensor, shape (targets,)

    Raises
    ------
    ValueError
        If ``alpha`` is negative or x does not vary.
    """
    real("alpha", alpha, least=0.0)
    mean_x, mean_y = _refuse_constant("states after the washout", x).mean(0), y.mean(0)
    left, s, right = torch.linalg.svd(x - mean_x, full_matrices=False)
    kept = s > s[0] * max(x.shape) * torch.finfo(s.dtype).eps
    gain = torch.where(kept, s / (s.square() + alpha), 0.0)
    weight = ((right.mT * gain) @ (left.mT @ (y - mean_y))).mT
    return weight, mean_y - weight @ mean_x


def _checked_cell(cell: Any) -> Any:
    missing = [name for name in CELL_INTERFACE if not hasattr(cell, name)]
    if missing or not isinstance(cell, nn.Module):
        raise TypeError(
            f"got {type(cell).__name__} as a cell, without {' and '.join(missing) or 'torch.nn.Module'}, "
            "expected a recurrent cell: qml.QRNNCell(input_size, hidden_size)"
        )
    return cell


def _digest(values: Iterable[Any]) -> bytes:
    """A key by content of tensors, tuples of tensors, strings and None."""
    return hashlib.sha256(b"".join(hashlib.sha256(_content(value)).digest() for value in values)).digest()


def _content(value: Any) -> bytes:
    if isinstance(value, tuple | list):
        return _digest(value)
    if isinstance(value, Tensor):
        data = value.detach().cpu().resolve_conj().contiguous().numpy().tobytes()
        return repr((tuple(value.shape), value.dtype)).encode() + data
    if value is None or isinstance(value, str):
        return repr(value).encode()
    raise TypeError(f"got a state of {type(value).__name__}, expected tensors: give what states() returned, or None")


def _as_tensor(values: Any) -> Tensor:
    return values if isinstance(values, Tensor) else torch.tensor(np.asarray(values))


def _checked_numbers(name: str, values: Any) -> Tensor:
    found = _as_tensor(values)
    if found.is_complex() or found.dtype == torch.bool:
        raise TypeError(f"got {name} of {found.dtype}, expected real numbers")
    wrong = ~torch.isfinite(found)
    if wrong.any():
        raise ValueError(
            f"got NaN or infinite {name}, first at {tuple(wrong.nonzero()[0].tolist())}, "
            "expected finite numbers: fill or drop them"
        )
    return found


def _checked_inputs(u: Any, input_size: int) -> Tensor:
    found = _as_tensor(u)
    if found.ndim not in (2, 3) or found.shape[-1] != input_size:
        raise ValueError(
            f"got inputs of shape {tuple(found.shape)}, expected (steps, {input_size}) or "
            f"(steps, batch, {input_size}): features come last, also a single one"
        )
    if not len(found):
        raise ValueError("got a sequence of length 0, expected at least one step")
    if found.requires_grad:
        raise TypeError("got inputs that require a gradient, which reservoirs do not give: pass u.detach()")
    return _checked_numbers("inputs", found)


def _checked_targets(y: Any, shape: tuple[int, ...]) -> Tensor:
    found = _checked_numbers("targets", y)
    if found.shape != shape:
        raise ValueError(
            f"got targets of shape {tuple(found.shape)}, expected {shape}: "
            "the last dimension is output_size, and last_only tells one target per sequence from one per step"
        )
    return found.double()


def _refuse_constant(name: str, values: Tensor) -> Tensor:
    flat = values.flatten(end_dim=-2)
    if not len(flat) or ((flat - flat[0]).abs().amax(0) <= ROUNDING * flat[0].abs()).all():
        raise ValueError(f"got constant {name}, expected a series that varies: there is nothing to fit")
    return values
