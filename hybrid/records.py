"""One finished unit of a comparison or an experiment is one JSON file, named by what determines its result."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

SCHEMA = 2

Record = dict[str, Any]

_FIELDS = {
    "schema": int,
    "key": str,
    "unit": dict,
    "data": str,
    "test_accuracy": float,
    "n_train": int,
    "n_pool": int,  # samples that the training ones were drawn from
    "n_test": int,
    "resampled": bool,
    "parameters": dict,
    "seconds": float,
    "history": list,
    "predictions": list,
    "versions": dict,
}


class RecordError(ValueError):
    """A record on disk is damaged or is not what its name says; it is left untouched."""


@dataclass(frozen=True)
class Keyed:
    """What determines one result: the hash of its fields names the record.

    Attributes
    ----------
    schema
        What the record's form is called; it counts in the hash.
    contents
        What a record must have, and of which type.
    """

    schema: ClassVar[Any]
    contents: ClassVar[dict[str, type]]

    @property
    def key(self) -> str:
        """The sha256 of all fields and the schema, as 64 hexadecimal digits: the name of the record."""
        return _key(self.schema, asdict(self))


@dataclass(frozen=True)
class Unit(Keyed):
    """Everything that determines one result of a comparison (model × data × seed).

    Parameters
    ----------
    model, variant
        The row: a hybrid's name with ``hybrid``, one of its controls or ``mlp``; or a baseline of its own.
    source
        The sha256 of all that the model is built from and of the code that trains it, so that after an edit it is
        trained again.
    n_parameters
        Size that an MLP is matched to; None for the others.
    data
        Fingerprint of the data set.
    seed, epochs, lr, batch_size, test_size, n_train
        As given to :func:`hybrid.compare.compare`.
    backend
        Name of the backend.
    """

    schema = SCHEMA
    contents = _FIELDS

    model: str
    variant: str
    source: str
    n_parameters: int | None
    data: str
    seed: int
    epochs: int
    lr: float
    batch_size: int
    test_size: float
    n_train: int | None
    backend: str

    @property
    def row(self) -> tuple[str, str]:
        """The row of the comparison that this unit belongs to, whatever its seed."""
        return self.model, self.variant


def label(model: str, variant: str) -> str:
    """Name a row in words: ``qcnn``, ``qcnn, removed``, ``logistic_regression``."""
    return model if variant in ("hybrid", "baseline") else f"{model}, {variant}"


def path(out: Path, unit: Keyed) -> Path:
    """Return where the record of a unit lies."""
    return out / "units" / f"{unit.key}.json"


def checkpoint(out: Path, unit: Keyed) -> Path:
    """Return where the training of a unit keeps its checkpoint until the record is written."""
    return out / "units" / f"{unit.key}.checkpoint"


def write(out: Path, unit: Keyed, record: Record) -> None:
    """Write the record of a finished unit and remove its checkpoint; a record that is already there stays as it is."""
    if not finished(out, unit):
        write_atomically(path(out, unit), json.dumps(record, allow_nan=False).encode())
    checkpoint(out, unit).unlink(missing_ok=True)


def finished(out: Path, unit: Keyed) -> bool:
    """Say whether a unit has its record."""
    return path(out, unit).exists()


def n_finished(out: Path, units: Iterable[Keyed]) -> int:
    """Count the units that have a record."""
    return sum(finished(out, unit) for unit in units)


def check(out: Path, units: Iterable[Keyed]) -> None:
    """Read the records that are there already.

    Raises
    ------
    RecordError
        If one is damaged or holds another unit.
    """
    for unit in units:
        if finished(out, unit):
            read(out, unit)


def read(out: Path, unit: Keyed) -> Record:
    """Read the record of a finished unit.

    Raises
    ------
    RecordError
        If the file is damaged or holds another unit.
    """
    file = path(out, unit)
    try:
        record = json.loads(file.read_bytes())
    except ValueError as error:
        raise _not_a_record(file, f"it is not complete JSON ({error})") from error
    if not isinstance(record, dict) or any(
        not isinstance(record.get(key), kind) for key, kind in unit.contents.items()
    ):
        raise _not_a_record(file, "it lacks what a record has")
    if record["schema"] != unit.schema or {record["key"], _key(unit.schema, record["unit"])} != {file.stem}:
        raise _not_a_record(file, "its content belongs under another name")
    return record


def write_atomically(file: Path, content: bytes) -> None:
    """Write a whole file or nothing: into a neighbour first, which then takes its place.

    Raises
    ------
    OSError
        Naming the file, which is as it was.
    """
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, file)
    except OSError as error:
        raise OSError(f"Cannot write {file} ({error.strerror or error}): make room for it.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _key(schema: Any, fields: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps({"schema": schema, **fields}, sort_keys=True).encode()).hexdigest()


def _not_a_record(file: Path, why: str) -> RecordError:
    return RecordError(
        f"{file} is not the record of a finished unit: {why}. It was left as it is; "
        "move it away to train that unit again."
    )
