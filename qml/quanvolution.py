"""Quanvolution: a circuit that slides over images as the kernel of a convolution does."""

from __future__ import annotations

from collections.abc import Callable
from math import pi
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from backends import Backend
from circuits import RX, Circuit, inputs, z_each
from circuits.observables import Readout, as_readout
from circuits.templates import basic_entangler
from qml.checks import whole
from qml.init import uniform_
from qml.layer import QuantumLayer, checked_circuit
from qml.movable import OneCircuit

PADDING_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}

Pair = tuple[int, int]


class Quanvolution2d(OneCircuit):
    """A circuit in the place of a convolution's kernel, (*, in_channels, H, W) -> (*, out_channels, H', W').

    The values of a patch, channel by channel and row by row, are the features of the circuit, and its readouts are the
    channels of the output: frozen in Henderson et al. (arXiv:1904.04767), trained in Senokosov et al.
    (arXiv:2304.09224). All positions share the weights, and all patches of a batch run in one call of the backend.
    Arguments and shapes are those of torch.nn.Conv2d; ``groups`` and ``bias`` are refused.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the image, and number of readouts.
    kernel_size, stride, dilation : int or (int, int)
        Of the patch; a pair is (height, width).
    padding : int, (int, int), "same" or "valid"
        Added on each side of the image.
    circuit : Circuit, optional
        Of ``in_channels * height * width`` features. If not given, one qubit per value: RX(π x), then n_layers times RY
        on each qubit and a ring of CX, for values in [0, 1].
    observables : sequence of observables, optional
        One per output channel, as QuantumLayer takes them; Z on the first out_channels qubits if not given.
    n_layers : int, optional
        Layers of the circuit that is used where none is given ("reps"); 2 if not given.
    backend : Backend, optional
        Where the circuit runs; the exact simulator if not given.
    frozen : bool
        Whether the circuit keeps the weights it is drawn with; gradients still reach the image.
        ``requires_grad_()`` thaws it.
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
    init : callable, optional
        Fills the weights in place; uniform on [0, 2π) if not given.
    groups : int
        1: a circuit reads all channels of a patch.
    bias : bool
        False: a layer behind it has one.
    device : torch.device, optional
        Of the weights.
    dtype : torch.dtype, optional
        Of the weights: float32 or float64; torch's default if not given.

    Attributes
    ----------
    quantum : QuantumLayer
        From a patch to its readouts; ``quantum.weights`` are the weights.

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If a size is out of range, or circuit and readouts do not fit the sizes.

    Examples
    --------
    >>> layer = Quanvolution2d(1, 4, kernel_size=2, stride=2)
    >>> layer(torch.rand(32, 1, 14, 14)).shape
    torch.Size([32, 4, 7, 7])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair | str = 0,
        dilation: int | Pair = 1,
        *,
        circuit: Circuit | None = None,
        observables: Any = None,
        n_layers: int | None = None,
        backend: Backend | None = None,
        frozen: bool = False,
        padding_mode: str = "zeros",
        init: Callable[[Tensor], Any] = uniform_,
        groups: int = 1,
        bias: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        _refuse(groups, bias)
        self.in_channels = whole("in_channels", in_channels, 1)
        self.out_channels = whole("out_channels", out_channels, 1)
        self.kernel_size = _pair("kernel_size", kernel_size, 1)
        self.stride, self.dilation = _pair("stride", stride, 1), _pair("dilation", dilation, 1)
        self.padding, self.padding_mode = padding, padding_mode
        self._pads = self._padding()
        circuit = self._circuit(circuit, n_layers)
        readout = _readout(observables, out_channels, circuit.n_qubits)
        self.quantum = QuantumLayer(circuit, readout, backend, init=init, device=device, dtype=dtype)
        self.quantum.requires_grad_(not frozen)

    def forward(self, x: Tensor) -> Tensor:
        """Return the readouts of every patch, as an image.

        Parameters
        ----------
        x : Tensor, shape (batch, in_channels, H, W) or (in_channels, H, W)

        Returns
        -------
        Tensor, shape (batch, out_channels, H', W') or (out_channels, H', W')

        Raises
        ------
        TypeError
            If the image is no tensor of floating point numbers.
        ValueError
            If its shape is wrong.
        """
        images = F.pad(batched(x, self.in_channels), self._pads, PADDING_MODES[self.padding_mode])
        reach = [d * (k - 1) + 1 for k, d in zip(self.kernel_size, self.dilation, strict=True)]
        size = [(n - r) // s + 1 for n, r, s in zip(images.shape[-2:], reach, self.stride, strict=True)]
        if min(size) < 1:
            raise ValueError(
                f"got an image of {tuple(x.shape[-2:])}, expected at least {tuple(reach)} after padding: "
                "give larger images, a smaller kernel or more padding"
            )
        patches = F.unfold(images, self.kernel_size, self.dilation, stride=self.stride).mT
        y = self.quantum(patches).mT.unflatten(-1, size)
        return y if x.ndim == 4 else y[0]

    def extra_repr(self) -> str:
        """Return what ``print(layer)`` shows beside the circuit."""
        changed = {"padding": 0, "dilation": (1, 1), "padding_mode": "zeros"}
        options = [
            f", {name}={getattr(self, name)!r}" for name, usual in changed.items() if getattr(self, name) != usual
        ]
        sizes = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        return sizes + "".join(options)

    def _circuit(self, circuit: Circuit | None, n_layers: int | None) -> Circuit:
        height, width = self.kernel_size
        n_values = self.in_channels * height * width
        if circuit is None:
            return _default_circuit(n_values, whole("n_layers", 2 if n_layers is None else n_layers, 1))
        if n_layers is not None:
            raise ValueError(f"got a circuit and n_layers={n_layers}, expected one of them: leave n_layers out")
        if checked_circuit(circuit).n_inputs != n_values:
            raise ValueError(
                f"got a circuit of {circuit.n_inputs} features for patches of {self.in_channels} × {height} × {width} "
                f"values, expected {n_values}: one feature per value"
            )
        return circuit

    def _padding(self) -> list[int]:
        """Return left, right, top and bottom, as torch.nn.functional.pad takes them."""
        if self.padding_mode not in PADDING_MODES:
            known = ", ".join(map(repr, PADDING_MODES))
            raise ValueError(f"got padding_mode={self.padding_mode!r}, expected one of {known}")
        if self.padding == "same":
            if self.stride != (1, 1):
                raise ValueError(f"got padding='same' with stride={self.stride}, expected stride=1: pad by numbers")
            totals = [d * (k - 1) for k, d in zip(self.kernel_size, self.dilation, strict=True)]
            return [side for total in reversed(totals) for side in (total // 2, total - total // 2)]
        if isinstance(self.padding, str) and self.padding != "valid":
            raise ValueError(f"got padding={self.padding!r}, expected numbers, 'same' or 'valid'")
        height, width = (0, 0) if isinstance(self.padding, str) else _pair("padding", self.padding, 0)
        return [width, width, height, height]


def _default_circuit(n_qubits: int, n_layers: int) -> Circuit:
    pixels = [RX(pi * value, qubit) for qubit, value in enumerate(inputs(n_qubits))]
    return Circuit(n_qubits, pixels, n_inputs=n_qubits) + basic_entangler(n_qubits, n_layers, "Y")


def _readout(observables: Any, out_channels: int, n_qubits: int) -> Readout:
    if observables is None and out_channels > n_qubits:
        raise ValueError(
            f"got out_channels={out_channels} for a circuit of {n_qubits} qubits, expected at most {n_qubits}: "
            "give observables, or the outputs of several layers to torch.cat"
        )
    readout = z_each(out_channels) if observables is None else as_readout(observables)
    if len(readout) != out_channels:
        raise ValueError(f"got {len(readout)} readouts for out_channels={out_channels}, expected one per channel")
    return readout


def _refuse(groups: Any, bias: Any) -> None:
    if groups != 1:
        raise ValueError(
            f"got groups={groups!r}, expected 1, as a circuit reads all channels: use one Quanvolution2d per group"
        )
    if bias:
        raise ValueError(f"got bias={bias!r}, expected False: follow with a layer that has one, such as BatchNorm2d")


def _pair(name: str, value: Any, least: int) -> Pair:
    height, width = value if isinstance(value, tuple | list) and len(value) == 2 else (value, value)
    return whole(name, height, least), whole(name, width, least)


def batched(x: Any, channels: int) -> Tensor:
    """Return images as (batch, channels, H, W), or raise what is wrong with them."""
    if not isinstance(x, Tensor) or not x.is_floating_point():
        found = f"of dtype {x.dtype}" if isinstance(x, Tensor) else f"of type {type(x).__name__}"
        raise TypeError(f"got an image {found}, expected a tensor of floating point numbers: call .float() or / 255")
    if x.ndim not in (3, 4) or x.shape[-3] != channels:
        shapes = f"(batch, {channels}, H, W) or ({channels}, H, W)"
        raise ValueError(f"got images of shape {tuple(x.shape)}, expected {shapes}: channels come before rows")
    return x if x.ndim == 4 else x[None]
