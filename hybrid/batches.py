"""The order of the data: from a generator of its own, so that it is the same for every model at the same seed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from skorch.dataset import Dataset
from torch import Tensor
from torch.utils.data import DataLoader


def shuffled(dataset: Dataset, seed: int, **settings: Any) -> DataLoader[Any]:
    """Return a loader of batches in another order at every pass; all orders follow from the seed."""
    return DataLoader(dataset, shuffle=True, generator=torch.Generator().manual_seed(seed), **settings)


class Batches:
    """The same batches, which know where they are, and may begin in the middle of a pass.

    Attributes
    ----------
    order : Tensor
        State of the generator at the beginning of the pass.
    """

    order: Tensor

    def __init__(self) -> None:
        self._start: Tensor | None = None
        self._n_skipped = 0

    def begin(self, order: Tensor, n_skipped: int) -> None:
        """Give the next pass an order, and leave out its first batches."""
        self._start, self._n_skipped = order, n_skipped

    def __call__(self, dataset: Dataset, seed: int, **settings: Any) -> Batches:
        """Take the data, as skorch makes a loader."""
        self.loader = shuffled(dataset, seed, **settings)
        if self._start is not None:
            self.loader.generator.set_state(self._start)
            self._start = None
        return self

    def __iter__(self) -> Iterator[Any]:
        self.order = self.next_order
        n_skipped, self._n_skipped = self._n_skipped, 0
        return islice(self.loader, n_skipped, None)

    @property
    def next_order(self) -> Tensor:
        """State of the generator between two passes."""
        state: Tensor = self.loader.generator.get_state()
        return state

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the data, and the generator, which not every version of torch can pickle."""
        return {"_start": None, "_n_skipped": 0}
