"""RNN, LSTM or GRU of torch with a linear readout: for time series, trained, or frozen as a random reservoir.

Its size is given as such, or follows from a number of parameters, so that a quantum network can be compared with a
classical one of its own size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from circuits.checks import whole

#: Kind of network, and how many gates each hidden unit has.
KINDS: dict[str, tuple[Any, int]] = {"RNN": (nn.RNN, 1), "GRU": (nn.GRU, 3), "LSTM": (nn.LSTM, 4)}


class Recurrent(nn.Module):
    """A recurrent layer and a linear readout of its last state: windows (N, w) or (N, w, input_size) -> (N, 1).

    Parameters
    ----------
    kind : {"RNN", "GRU", "LSTM"}
    hidden_size : int
    input_size : int
    frozen : bool
        Whether the recurrent layer keeps its random weights, as a reservoir: the readout alone is trained.

    Attributes
    ----------
    rnn : torch.nn.RNN, GRU or LSTM
    readout : torch.nn.Linear
    """

    def __init__(self, kind: str, hidden_size: int, input_size: int = 1, frozen: bool = False) -> None:
        super().__init__()
        self.rnn = KINDS[kind][0](input_size, hidden_size).requires_grad_(not frozen)
        self.readout = nn.Linear(hidden_size, 1)

    def forward(self, windows: Tensor) -> Tensor:
        """Return the forecast of each window, read step by step from a state of zeros."""
        steps = windows[..., None] if windows.ndim == 2 else windows
        return self.readout(self.states(steps.transpose(0, 1))[0][-1])

    def states(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Return the hidden state after every step, and the last one, with which the next call goes on.

        Parameters
        ----------
        inputs : Tensor, shape (T, input_size) or (T, N, input_size)
        state : optional
            What the last call returned; zeros if not given.

        Returns
        -------
        states : Tensor, shape (T, hidden_size) or (T, N, hidden_size)
        state
            As torch's layer returns it.
        """
        return self.rnn(inputs, state)


def build(
    kind: str,
    *,
    n_parameters: int | None = None,
    hidden_size: int | None = None,
    input_size: int = 1,
    frozen: bool = False,
) -> Recurrent:
    """Return the network.

    Parameters
    ----------
    kind : {"RNN", "GRU", "LSTM"}
    n_parameters : int, optional
        Come closest to this number of parameters, frozen ones and the readout included.
    hidden_size : int, optional
        Have so many hidden units; one of the two must be given.
    input_size : int
        Values that enter in one step.
    frozen : bool
        Whether the recurrent layer keeps its random weights.

    Raises
    ------
    ValueError
        If the kind is unknown, both sizes or none are given, or one is less than 1.
    """
    if kind not in KINDS:
        raise ValueError(f"got kind={kind!r}, expected one of {', '.join(KINDS)}: write the name as listed")
    if (n_parameters is None) == (hidden_size is None):
        raise ValueError(f"got n_parameters={n_parameters}, hidden_size={hidden_size}, expected one of them: give one")
    for name, size in (("n_parameters", n_parameters), ("hidden_size", hidden_size), ("input_size", input_size)):
        whole(name, 1 if size is None else size)
    found = hidden_size or closest_size(kind, n_parameters or 1, input_size)
    return Recurrent(kind, found, input_size, frozen)


def count(kind: str, hidden_size: int, input_size: int = 1) -> int:
    """Return the number of parameters of the network, readout included."""
    per_gate = hidden_size * (input_size + hidden_size + 2)  # torch has two biases
    return KINDS[kind][1] * per_gate + hidden_size + 1


def closest_size(kind: str, n_parameters: int, input_size: int = 1) -> int:
    """Return the number of hidden units, at least 1, that comes closest to a number of parameters."""
    sizes = range(1, 2 + int(torch.tensor(float(n_parameters)).sqrt()))
    return min(sizes, key=lambda size: abs(count(kind, size, input_size) - n_parameters))
