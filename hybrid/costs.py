"""What the trainings of a comparison cost on a device, before any is started: every evaluation is counted, none run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from backends.planning import NOTHING, Cost, Counting, counted, is_priced
from hybrid import records, units
from hybrid.compare import Plan, Row
from hybrid.data import split
from hybrid.records import Unit
from qml import QuantumLayer


def comparison(plan: Plan) -> dict[Row, Cost]:
    """Return the cost of every row of a comparison with a quantum layer on a device; what is finished costs nothing.

    Raises
    ------
    ValueError
        If the backend runs here and costs nothing.
    """
    costs: dict[Row, Cost] = {}
    one: dict[Row, Cost] = {}
    for unit in plan.units:
        if unit.row not in one:
            one[unit.row] = _of_unit(unit, plan)
        finished = records.finished(plan.out, unit)
        costs[unit.row] = costs.get(unit.row, NOTHING) + (NOTHING if finished else one[unit.row])
    if not any(cost.jobs for cost in one.values()):
        raise ValueError(
            f"got the backend {plan.units[0].backend!r}, which costs nothing, expected a device: ibm:manila"
        )
    return {row: cost for row, cost in costs.items() if one[row].jobs}


def of_training(
    module: nn.Module,
    n_features: int,
    *,
    n_train: int,
    epochs: int,
    batch_size: int,
    n_watched: int = 0,
    n_test: int = 0,
) -> Cost:
    """Return the cost of a training by :func:`hybrid.training.fit`, and of the predictions after it.

    Parameters
    ----------
    module
        What is trained; it is left as it is, but for its gradients.
    n_features
        Width of the samples.
    n_train, epochs, batch_size
        Samples, passes through them, and samples of a step.
    n_watched, n_test
        Samples predicted after every epoch, and after the training.

    Returns
    -------
    Cost
        Nothing, where no layer runs on a device.
    """
    step = _sum_of_batches(module, n_features, n_train, batch_size, train=True)
    watch = _sum_of_batches(module, n_features, n_watched, batch_size, train=False)
    return (step + watch) * epochs + _sum_of_batches(module, n_features, n_test, batch_size, train=False)


def _of_unit(unit: Unit, plan: Plan) -> Cost:
    data = plan.dataset
    parts = split(data, unit.seed, unit.test_size, unit.n_train)
    with torch.random.fork_rng(devices=[]):
        module = units.model(unit, plan.builds[unit.row], data.n_features, data.n_classes)
    if not isinstance(module, nn.Module):
        return NOTHING
    return of_training(
        module,
        data.n_features,
        n_train=len(parts.y),
        epochs=unit.epochs,
        batch_size=unit.batch_size,
        n_watched=min(units.N_WATCHED, len(parts.y_test)),
        n_test=len(parts.y_test),
    )


def _sum_of_batches(module: nn.Module, n_features: int, n_samples: int, batch_size: int, train: bool) -> Cost:
    full, rest = divmod(n_samples, batch_size)
    whole = _of_batch(module, n_features, batch_size, train) * full if full else NOTHING
    return whole + (_of_batch(module, n_features, rest, train) if rest else NOTHING)


def _of_batch(module: nn.Module, n_features: int, n_samples: int, train: bool) -> Cost:
    """Return the cost of one step of training, or of one prediction."""
    with _counting(module) as counters, torch.random.fork_rng(devices=[]), torch.set_grad_enabled(train):
        output = module.train(train)(torch.zeros(n_samples, n_features))
        if output.requires_grad:
            output.sum().backward()
    return sum((counter.cost() for counter in counters), start=NOTHING)


@contextmanager
def _counting(module: nn.Module) -> Iterator[list[Counting]]:
    """Let all layers on devices count what is asked of them instead of asking the devices."""
    layers = [layer for layer in module.modules() if isinstance(layer, QuantumLayer) and is_priced(layer.backend)]
    before = [layer.backend for layer in layers]
    stand_ins = [counted(backend) for backend in before]
    try:
        for layer, (standing_in, _) in zip(layers, stand_ins, strict=True):
            layer.backend = standing_in
        yield [counter for _, counter in stand_ins]
    finally:
        for layer, backend in zip(layers, before, strict=True):
            layer.backend = backend
