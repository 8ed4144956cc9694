"""Play with a trained policy on another backend: one circuit per step of every episode, beside the exact simulator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import backends
from backends import Backend
from backends.planning import innermost, is_priced
from hybrid import records, statistics
from hybrid.experiment import Plan, Row
from hybrid.models.policies import actors, environments
from hybrid.models.policies.actors import Body, Settings
from hybrid.models.policies.rows import GREEDY_SEED
from hybrid.records import Record
from qml import QuantumLayer


def replay(plan: Plan, spec: str) -> Iterator[str]:
    """Replay the best trained policy of the first row, of all seeds, on every task that has one; yield what to print.

    Parameters
    ----------
    plan
        Of the experiment; its trials that are finished are read, none is run. Rows are partials of
        :func:`hybrid.models.policies.rows.trained`.
    spec
        Name of the backend, as in ``aer:shots=1024,noise=manila``.

    Raises
    ------
    ValueError
        If there is no such backend, it cannot run the circuit of one of the policies, or none has been trained.
    """
    backend, row = backends.get(spec), plan.experiment.rows[0]
    found = {task: _best(plan, task, row) for task in plan.tasks}
    if not any(found.values()):
        raise ValueError(
            f"got no trained policy in {plan.out}, expected one of {row.name!r}: train it first with "
            f"{plan.command or 'hybrid.experiment.run'}"
        )
    for task, record in found.items():
        if record is not None:
            _layer(_actor(task, row, record, backends.Statevector())).to_backend(backend)  # refuses what it cannot run
    for task, record in found.items():
        if record is None:
            yield f"{task}: no policy is trained yet"
        else:
            yield from _played(task, row, record, spec, backend)


def actor(task: str, body: Body, settings: Settings, backend: Backend, weights: dict[str, Any]) -> nn.Sequential:
    """Return a trained actor, from the weights that a record has in its ``extra``, on a backend and in eval mode.

    Raises
    ------
    ValueError
        If the weights are of another circuit.
    """
    before = actors.make(task, body, settings, backend)
    n_actions, width = torch.tensor(list(weights.values())[-2]).shape
    made = nn.Sequential(*before, nn.Linear(width, n_actions))
    dtypes = {name: tensor.dtype for name, tensor in made.state_dict().items()}
    made.load_state_dict({name: torch.tensor(each, dtype=dtypes[name]) for name, each in weights.items()})
    return made.eval()


def _best(plan: Plan, task: str, row: Row) -> Record | None:
    trials = [trial for trial in plan.units if (trial.task, trial.row) == (task, row.name)]
    found = [records.read(plan.out, trial) for trial in trials if records.finished(plan.out, trial)]
    return max(found, key=lambda record: record["score"], default=None)


def _actor(task: str, row: Row, record: Record, backend: Backend) -> nn.Sequential:
    body: Body = row.run.keywords["body"]  # type: ignore[attr-defined]
    return actor(task, body, record["unit"]["settings"][task], backend, record["extra"]["actor"])


def _layer(played: nn.Sequential) -> QuantumLayer:
    return next(module for module in played.modules() if isinstance(module, QuantumLayer))


def _played(task: str, row: Row, record: Record, spec: str, backend: Backend) -> Iterator[str]:
    there, here = (_actor(task, row, record, each) for each in (backend, backends.Statevector()))
    n_episodes, n_circuits = record["unit"]["settings"][task]["replayed"], 0
    yield f"{task}: {row.name}, seed {record['unit']['seed']}, the best one; {n_episodes} episodes side by side"
    yield _cost(there, backend, n_episodes, environments.n_steps(task))

    def act(seen: Tensor) -> Tensor:
        nonlocal n_circuits
        n_circuits += len(seen)
        return there(seen)

    returns = environments.play(task, act, n_episodes, GREEDY_SEED)
    yield f"mean return on {spec}: {_mean(returns)}, from {n_circuits:,} circuits"
    yield f"mean return, exact: {_mean(environments.play(task, here, n_episodes, GREEDY_SEED))}"


def _cost(there: nn.Sequential, backend: Any, n_episodes: int, n_steps: int) -> str:
    """Say what a replay takes at most: that of episodes which all run to their end."""
    layer = _layer(there)
    if is_priced(backend):
        return f"At most, {layer.plan(n_episodes, n_steps)}"
    shots, n_circuits = getattr(innermost(backend), "shots", None), n_episodes * n_steps
    drawn = "exact values" if shots is None else f"{shots:,} shots each, {shots * n_circuits:,} together"
    return f"at most {n_episodes} × {n_steps} = {n_circuits:,} circuits of {layer.circuit.n_qubits} qubits, {drawn}"


def _mean(returns: np.ndarray) -> str:
    found = statistics.interval(returns)
    spread = "all the same" if np.isnan(found.half) else f"95 % interval {found.low:.1f} to {found.high:.1f}"
    return f"{found.mean:.1f} ({spread})"
