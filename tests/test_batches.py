"""hybrid/batches.py: orders that follow from the seed, and passes that begin in their middle."""

from __future__ import annotations

import pickle

import numpy as np
import torch
from skorch.dataset import Dataset
from torch.utils.data import DataLoader, RandomSampler

from hybrid.batches import Batches, shuffled

DATA = Dataset(np.arange(10, dtype=np.float32)[:, None], np.arange(10))


def passes(loader, n):
    return [[batch[1].tolist() for batch in loader] for _ in range(n)]


def test_the_order_is_torchs_own():
    generator = torch.Generator().manual_seed(5)
    sampler = RandomSampler(range(10), generator=generator)
    loader = DataLoader(range(10), 4, sampler=sampler, generator=generator)
    expected = [[batch.tolist() for batch in loader] for _ in range(3)]
    assert passes(shuffled(DATA, 5, batch_size=4), 3) == passes(Batches()(DATA, 5, batch_size=4), 3) == expected
    assert passes(shuffled(DATA, 6, batch_size=4), 1) != expected[:1]


def test_a_pass_begins_in_its_middle_and_the_next_ones_are_whole():
    whole = Batches()
    calm = passes(whole(DATA, 5, batch_size=4), 1)
    order = whole.next_order
    calm += passes(whole, 2)
    again = Batches()
    again.begin(order, 2)
    found = passes(again(DATA, 5, batch_size=4), 2)
    assert found == [calm[1][2:], calm[2]]
    assert torch.equal(again.order, whole.order) and torch.equal(again.next_order, whole.next_order)


def test_a_copy_takes_neither_data_nor_place_along():
    batches = Batches()
    batches.begin(torch.Generator().get_state(), 2)
    passes(batches(DATA, 5, batch_size=4), 1)
    copy = pickle.loads(pickle.dumps(batches))
    assert passes(copy(DATA, 5, batch_size=4), 1) == passes(shuffled(DATA, 5, batch_size=4), 1)
    assert len(pickle.dumps(batches)) < 200
