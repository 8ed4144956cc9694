"""A training that was killed goes on at the step where it was, and ends with the very same weights.

A checkpoint holds all that the next step depends on: weights, the optimiser's memory, torch's random numbers, the
order of the data, the place in it, and how many evaluations every quantum layer's backend has counted. With the last
one a backend that keeps its jobs in a journal finds those of the steps after the checkpoint, instead of submitting
them again.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.history import History
from torch import Tensor, nn

from backends.planning import innermost
from hybrid.batches import Batches
from hybrid.records import write_atomically
from qml import QuantumLayer

#: Seconds of training between two checkpoints where a step costs nothing but time.
PAUSE = 1.0

_HEAD = b"hybridqml checkpoint 1\n"


class CheckpointError(ValueError):
    """A checkpoint on disk is damaged or belongs to another training; it is left untouched."""


class Watch(Protocol):
    """Who keeps the history of a training: one dict per finished epoch, and the seconds of the current one."""

    history: list[dict[str, float]]
    seconds: float


class Checkpoints(Callback):
    """Writes checkpoints of a training, and takes one up.

    Parameters
    ----------
    path : Path
        The file.
    settings : dict
        What the training depends on beside the model, as JSON has it: a checkpoint of others is refused.
    batches : Batches
        What the net trains on.
    watch : Watch
        Whose history belongs to the training; it is called before this one.
    every : int, optional
        Steps between two checkpoints, one at the end of every epoch included. If not given, every step where a
        backend counts its evaluations (in an attribute ``position``), because there a step may wait and cost money;
        elsewhere the end of an epoch, unless the last checkpoint is less than a second old.
    """

    def __init__(
        self, path: Path, settings: dict[str, Any], batches: Batches, watch: Watch, every: int | None = None
    ) -> None:
        self.path, self.settings, self.batches, self.watch, self.every = path, settings, batches, watch, every
        self.begun: list[dict[str, Any]] = []  # batches of an epoch that was begun before
        self.written = time.monotonic()

    def resume(self, net: NeuralNet) -> int:
        """Put an initialised net where its checkpoint left it, if there is one; return the number of finished epochs.

        Raises
        ------
        CheckpointError
            If the checkpoint is damaged or belongs to another training.
        """
        self.settings = self.settings | {"model": _model(net.module_)}
        if self.every is None and is_numbered(net.module_):
            self.every = 1
        state = read(self.path)
        if state is None:
            return 0
        _check(self.path, json.loads(state["settings"]), self.settings)
        self._restore(net, state)
        return len(net.history)

    def on_epoch_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Count the batches of an epoch that was begun before."""
        net.history[-1]["batches"].extend(self.begun)
        self.begun = []

    def on_batch_end(self, net: NeuralNet, training: bool = False, **kwargs: Any) -> None:
        """Write a checkpoint after so many steps."""
        if training and self.every and len(net.history[-1, "batches"]) % self.every == 0:
            self._write(net, [*net.history], self.batches.order)

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Write a checkpoint, unless the last one is too young for it to save much."""
        if self.every or time.monotonic() - self.written >= PAUSE:
            self._write(net, [*net.history, {"batches": []}], self.batches.next_order)

    def _write(self, net: NeuralNet, rows: list[dict[str, Any]], order: Tensor) -> None:
        state = {
            "settings": json.dumps(self.settings),
            "module": net.module_.state_dict(),
            "optimizer": net.optimizer_.state_dict(),
            "random": torch.get_rng_state(),
            "order": order,
            "rows": json.dumps(rows, default=float),
            "history": json.dumps(self.watch.history),
            "seconds": self.watch.seconds,
            "counters": {name: value for name, _, _, value in _counters(net.module_)},
        }
        write(self.path, state)
        self.written = time.monotonic()

    def _restore(self, net: NeuralNet, state: dict[str, Any]) -> None:
        net.module_.load_state_dict(state["module"])
        net.optimizer_.load_state_dict(state["optimizer"])
        *rows, current = json.loads(state["rows"])
        net.history_ = History(rows)
        self.begun = current["batches"]
        self.batches.begin(state["order"], len(self.begun))
        self.watch.history, self.watch.seconds = json.loads(state["history"]), state["seconds"]
        for name, owner, attribute, _ in _counters(net.module_):
            setattr(owner, attribute, state["counters"][name])
        torch.set_rng_state(state["random"])


def read(path: Path) -> dict[str, Any] | None:
    """Read a checkpoint; None if there is none.

    Raises
    ------
    CheckpointError
        If it is damaged.
    """
    try:
        content = path.read_bytes()
        head, digest, body = content[: len(_HEAD)], content[len(_HEAD) :][:32], content[len(_HEAD) + 32 :]
        if head != _HEAD or digest != hashlib.sha256(body).digest():
            raise ValueError("it is cut short, changed, or of another version")
        return torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    except FileNotFoundError:
        return None
    except Exception as error:  # whatever torch raises
        reason = getattr(error, "strerror", None) or error
        raise _refused(path, f"which cannot be read ({reason})", "a whole one") from error


def write(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint whole or not at all.

    Raises
    ------
    OSError
        If it cannot be written; an older one is as it was.
    """
    stream = io.BytesIO()
    torch.save(state, stream)
    body = stream.getvalue()
    write_atomically(path, _HEAD + hashlib.sha256(body).digest() + body)


def digest(*arrays: np.ndarray) -> str:
    """Return the sha256 of arrays, as hexadecimal digits."""
    parts = (part for array in arrays for part in (f"{array.dtype} {array.shape} ".encode(), array.tobytes()))
    return hashlib.sha256(b"".join(parts)).hexdigest()


def is_numbered(module: nn.Module) -> bool:
    """Whether a quantum layer's backend counts its evaluations, as one that submits jobs does."""
    return any(attribute == "position" for _, _, attribute, _ in _counters(module))


class _Counter(NamedTuple):
    name: str
    owner: Any
    attribute: str
    value: int


def _counters(module: nn.Module) -> Iterator[_Counter]:
    """Yield what the backends of quantum layers count: evaluations, seeds of shots, draws of an estimated gradient."""
    for name, layer in module.named_modules():
        if isinstance(layer, QuantumLayer):
            for path in ("position", "seeds.calls", "gradient.calls"):
                owner, attribute = _owner(innermost(layer.backend), path), path.rpartition(".")[2]
                if isinstance(value := getattr(owner, attribute, None), int):
                    yield _Counter(f"{name}.{path}", owner, attribute, value)


def _owner(backend: Any, path: str) -> Any:
    """Return the object whose attribute a path of one or two names ends with."""
    part = path.rpartition(".")[0]
    return getattr(backend, part, None) if part else backend


def _model(module: nn.Module) -> str:
    """Return the sha256 of a model's parts and first weights; a backend counts by its kind, whatever its options."""
    parts = [f"{name} {_described(part)}" for name, part in module.named_modules()]
    parts += [f"{name} {_content(value)}" for name, value in module.state_dict().items()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _content(value: Any) -> str:
    if not isinstance(value, Tensor):
        return repr(value)
    content = value.detach().cpu().reshape(-1).view(torch.uint8).numpy()
    return f"{value.dtype} {tuple(value.shape)} {digest(content)}"


def _described(part: nn.Module) -> str:
    own = type(part.backend).__name__ if isinstance(part, QuantumLayer) else part.extra_repr()
    return f"{type(part).__qualname__} {re.sub(' at 0x[0-9a-f]+', '', own)}"


def _check(path: Path, found: dict[str, Any], expected: dict[str, Any]) -> None:
    for name, value in expected.items():
        if found.get(name) != value:
            raise _refused(path, f"which has another {name} ({_short(found.get(name))})", _short(value))


def _short(value: Any) -> str:
    return value[:8] if isinstance(value, str) and len(value) == 64 else repr(value)  # a hash is long


def _refused(path: Path, found: str, expected: str) -> CheckpointError:
    return CheckpointError(
        f"got the checkpoint {path}, {found}, expected {expected}: remove it to train from the beginning, or give "
        "another path; it was left as it is"
    )
