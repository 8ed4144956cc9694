"""The two kernels: a block's matrix onto a batch of states, and back with its gradient.

States are (rows, 2**n), matrices (dim, dim) for all rows or (rows, dim, dim) one each.
"""

from __future__ import annotations

from torch import Tensor

from backends.statevector.program import Layout


def gather(state: Tensor, layout: Layout) -> Tensor:
    """Bring the layout's qubits last: (rows, 2**n) -> (rows, 2**n / dim, dim)."""
    view = state.reshape(len(state), *layout.split).permute(layout.permute)
    return view.reshape(len(state), -1, layout.dim)


def scatter(state: Tensor, layout: Layout) -> Tensor:
    """Undo :func:`gather`."""
    inverse = [layout.permute.index(axis) for axis in range(len(layout.permute))]
    shape = [(len(state), *layout.split)[axis] for axis in layout.permute]
    return state.reshape(shape).permute(inverse).reshape(len(state), -1)


def apply(state: Tensor, matrix: Tensor, layout: Layout) -> Tensor:
    """Return ``U psi``; the layout's qubits stay last."""
    return (gather(state, layout) @ matrix.mT).reshape(len(state), -1)


def retreat(pair: Tensor, matrix: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
    """Take psi' and lambda', stacked (2, rows, 2**n), back over a block.

    Returns ``psi = U† psi'`` and ``lambda = U† lambda'``, stacked, and the gradient ``lambda' psi†`` of U.
    """
    after = pair.reshape(*pair.shape[:2], -1, layout.dim)
    before = after @ matrix.conj()
    slope, state = after[1], before[0].conj()
    if matrix.ndim == 2:
        slope, state = slope.reshape(-1, layout.dim), state.reshape(-1, layout.dim)
    return scatter(before.reshape(-1, *after.shape[2:]), layout).reshape(pair.shape), slope.mT @ state
