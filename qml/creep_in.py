"""The quantum layers of "Let the Quantum Creep In" (Wang et al., arXiv:2409.17583), each in the place of a usual one.

Both are made of exponentials of all Pauli words (:mod:`qml.special_unitary`): plain torch, for simulation only.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from qml.checks import real, whole
from qml.quanvolution import batched
from qml.special_unitary import SpecialUnitary, like_parameters, squared_moduli, symmetric_part


class FlippedQuanv3x3(nn.Module):
    """A 3×3 convolution whose data is the observable, (*, in_channels, H, W) -> (*, out_channels, H - 2, W - 2).

    ``y_o = (1/C) sum_c <ψ_oc| (M_c + M_c^T)/2 |ψ_oc> + b_o`` with ``|ψ_oc> = exp(i sum_k θ_ock P_k)|00>`` on two qubits
    and M_c the patch of channel c, filled up with zeros to 4×4 at the right and the bottom. An expectation value is
    linear in its observable, so this is a convolution with the kernels ``Re(conj(ψ) ψ^T)[:3, :3] / C``: symmetric, of
    rank at most 2 and trace at most 1/C, whatever θ. ``forward`` computes it so; ``expectation`` as it is written.

    Parameters
    ----------
    in_channels, out_channels : int
    unitary : bool
        Whether the angles are real. False is the published code, whose training leaves the unitaries, see
        :class:`qml.SpecialUnitary`.
    device : torch.device, optional
        Of the parameters.
    dtype : torch.dtype, optional
        Of the parameters; torch's default if not given.

    Attributes
    ----------
    unitaries : SpecialUnitary
        Of shape (out_channels, in_channels), standard normal angles.
    bias : Parameter, shape (out_channels,)
        Standard normal.

    Raises
    ------
    ValueError
        If a number of channels is less than 1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        unitary: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_channels = whole("in_channels", in_channels, 1)
        self.out_channels = whole("out_channels", out_channels, 1)
        options: dict[str, Any] = {"device": device, "dtype": dtype}
        self.unitaries = SpecialUnitary(2, out_channels, in_channels, unitary=unitary, **options)
        self.bias = nn.Parameter(torch.randn(out_channels, **options))

    def kernel(self) -> Tensor:
        """Return the kernels of the equivalent convolution, (out_channels, in_channels, 3, 3)."""
        psi = self._states()[..., :3]
        return (psi.conj()[..., :, None] * psi[..., None, :]).real / self.in_channels

    def forward(self, x: Tensor) -> Tensor:
        """Return the image of expectation values.

        Parameters
        ----------
        x : Tensor, shape (batch, in_channels, H, W) or (in_channels, H, W), of the dtype of the parameters

        Returns
        -------
        Tensor, shape (batch, out_channels, H - 2, W - 2) or (out_channels, H - 2, W - 2)

        Raises
        ------
        TypeError
            If the image is no tensor of the dtype and device of the parameters.
        ValueError
            If its shape is wrong.
        """
        y = F.conv2d(self._images(x), self.kernel(), self.bias)
        return y if x.ndim == 4 else y[0]

    def expectation(self, x: Tensor) -> Tensor:
        """Return what ``forward`` returns, slowly, as expectation values of one observable per patch and channel."""
        images = self._images(x)
        height, width = images.shape[-2] - 2, images.shape[-1] - 2
        patches = F.unfold(images, 3).mT.unflatten(-1, (self.in_channels, 3, 3))
        observables = symmetric_part(F.pad(patches, (0, 1, 0, 1)))
        psi = self._states()
        values = torch.einsum("oci,nlcij,ocj->nol", psi.conj(), observables.to(psi.dtype), psi).real
        y = (values / self.in_channels + self.bias[:, None]).unflatten(-1, (height, width))
        return y if x.ndim == 4 else y[0]

    def extra_repr(self) -> str:
        """Return what ``print(layer)`` shows beside the unitaries."""
        return f"{self.in_channels}, {self.out_channels}"

    def _states(self) -> Tensor:
        return self.unitaries()[..., 0]

    def _images(self, x: Tensor) -> Tensor:
        images = batched(like_parameters("images", x, self.bias), self.in_channels)
        if min(images.shape[-2:]) < 3:
            raise ValueError(f"got an image of {tuple(x.shape[-2:])}, expected at least (3, 3): pad it or leave it out")
        return images


class DataReUploadingLinear(nn.Module):
    """A layer in the place of a linear one, (*, in_features) -> (*, out_features), that is not linear in its input.

    ``y_i = s |<i|φ>|^2 + b_i`` with ``|φ> = V_L W … V_2 W V_1 W |+>^n``, ``W = exp(i S/L)`` and
    ``V_l = exp(i sum_k θ_lk P_k)``: x, filled up with zeros, is a 2^n × 2^n matrix M row by row, and S its symmetric
    part (M + M^T)/2. The values ``|<i|φ>|^2`` are probabilities: not negative, of sum at most 1.

    Parameters
    ----------
    in_features, out_features : int
    n_layers : int
        L, how often the data enter ("reps"); S/L each time.
    n_qubits : int, optional
        n; the least with 4^n >= in_features and 2^n >= out_features if not given.
    unitary : bool
        Whether the angles are real. False is the published code, whose training leaves the unitaries, see
        :class:`qml.SpecialUnitary`: what it reads are no probabilities then, and a large part of the published gain is
        owed to that.
    scale : float, optional
        Where s, trained like b, starts; without it, as published, s = 1 and the outputs differ little from b.
    device : torch.device, optional
        Of the parameters.
    dtype : torch.dtype, optional
        Of the parameters; torch's default if not given.

    Attributes
    ----------
    unitaries : SpecialUnitary
        V_1 to V_L, standard normal angles.
    bias : Parameter, shape (out_features,)
        Standard normal.
    scale : Parameter of one number, or None

    Raises
    ------
    ValueError
        If a size is out of range.
    """

    scale: nn.Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        n_layers: int = 10,
        n_qubits: int | None = None,
        *,
        unitary: bool = True,
        scale: float | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_features = whole("in_features", in_features, 1)
        self.out_features = whole("out_features", out_features, 1)
        self.n_layers, self.n_qubits = whole("n_layers", n_layers, 1), self._n_qubits(n_qubits)
        options: dict[str, Any] = {"device": device, "dtype": dtype}
        self.unitaries = SpecialUnitary(self.n_qubits, n_layers, unitary=unitary, **options)
        self.bias = nn.Parameter(torch.randn(out_features, **options))
        start = None if scale is None else nn.Parameter(torch.full((), real("scale", scale), **options))
        self.register_parameter("scale", start)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output for every sample.

        Parameters
        ----------
        x : Tensor, shape (*, in_features), of the dtype of the parameters

        Returns
        -------
        Tensor, shape (*, out_features)

        Raises
        ------
        TypeError
            If the features are no tensor of the dtype and device of the parameters.
        ValueError
            If the last dimension is wrong.
        """
        p = self.probabilities(x)[..., : self.out_features]
        return (p if self.scale is None else self.scale * p) + self.bias

    def probabilities(self, x: Tensor) -> Tensor:
        """Return ``|<i|φ>|^2`` of all basis states, (*, 2**n_qubits)."""
        x = like_parameters("features", x, self.bias)
        if not x.ndim or x.shape[-1] != self.in_features:
            raise ValueError(
                f"got features of shape {tuple(x.shape)}, expected (*, {self.in_features}): flatten images"
            )
        dim = 2**self.n_qubits
        matrix = F.pad(x, (0, dim * dim - self.in_features)).unflatten(-1, (dim, dim))
        upload = torch.matrix_exp(1j * symmetric_part(matrix) / self.n_layers)
        state = upload.new_full((*x.shape[:-1], dim), dim**-0.5)
        for unitary in self.unitaries():
            state = (upload @ state[..., None])[..., 0] @ unitary.mT
        return squared_moduli(state)

    def extra_repr(self) -> str:
        """Return what ``print(layer)`` shows beside the unitaries."""
        return f"in_features={self.in_features}, out_features={self.out_features}, n_layers={self.n_layers}"

    def _n_qubits(self, given: int | None) -> int:
        least = max(((self.in_features - 1).bit_length() + 1) // 2, (self.out_features - 1).bit_length(), 1)
        if given is not None and whole("n_qubits", given, 1) < least:
            raise ValueError(
                f"got n_qubits={given} for {self.in_features} features and {self.out_features} outputs, expected at "
                f"least {least}: there are 4**n_qubits entries and 2**n_qubits probabilities"
            )
        return least if given is None else given
