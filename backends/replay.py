"""Runs kept in one file: what a backend measured, given back offline bit for bit."""

from __future__ import annotations

import io
import json
import os
import platform
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, is_dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from backends.base import Capabilities, Estimate, EvaluatingBackend
from backends.gradients import FiniteDifference, Gradient, ParameterShift, Spsa
from backends.planning import innermost
from circuits import Circuit, Probabilities
from circuits.observables import Readout

FORMAT, VERSION = "hybridqml record", 1

#: Radians within which rows count as the recorded ones: other machines round otherwise, shots resolve far less.
SAME = 1e-5

_GRADIENTS: dict[str, Any] = {g.__name__: g for g in (ParameterShift, FiniteDifference, Spsa)}
_PACKAGES = ("hybridqml", "numpy", "torch", "qiskit", "qiskit-aer", "qiskit-ibm-runtime", "pennylane")


class RecordError(ValueError):
    """A file is not a record, or has not what is asked for."""


@runtime_checkable
class Detailed(Protocol):
    """A backend that can say how and where it runs a circuit."""

    def details(self, circuit: Circuit) -> dict[str, bytes]:
        """Return files about a circuit and the device, by name."""
        ...


@dataclass(frozen=True)
class Call:
    """One evaluation: what was asked, and what was measured."""

    circuit: str  # fingerprint
    readout: str
    angles: np.ndarray
    values: np.ndarray
    stderr: np.ndarray | None

    @property
    def asked(self) -> tuple[str, str, bytes]:
        """What makes a call the same one."""
        return self.circuit, self.readout, self.angles.tobytes()

    def equals(self, other: Call) -> bool:
        """Whether another call asked the same and measured the same."""
        return self.asked == other.asked and np.array_equal(self.values, other.values)

    def to_bytes(self) -> bytes:
        """Return the arrays as an npz file."""
        arrays: dict[str, Any] = {"angles": self.angles, "values": self.values, "stderr": self.stderr}
        file = io.BytesIO()
        np.savez_compressed(file, **{name: array for name, array in arrays.items() if array is not None})
        return file.getvalue()


class Record(EvaluatingBackend):
    """Run on a backend and keep all that it measures in one file, for :class:`Replay`.

    The file is a zip archive, written whole after every call: the raw results, the circuits, what the backend tells of
    its device and its transpiled circuits, and the versions of the libraries. A run that is started again with the same
    file adds to it what is new.

    Parameters
    ----------
    backend : EvaluatingBackend
        Any but the simulator, which needs no record.
    file : path

    Raises
    ------
    TypeError
        If ``backend`` is none that can be recorded.
    RecordError
        If there is a file that is no record; it is left as it is.
    """

    def __init__(self, backend: EvaluatingBackend, file: Path | str) -> None:
        if not isinstance(backend, EvaluatingBackend):
            raise TypeError(
                f"got {type(backend).__name__} to record, expected a backend that measures, such as backends.IBM(...): "
                "the simulator gives the same numbers again"
            )
        super().__init__(backend.gradient, backend.together)
        self.backend, self.file = backend, Path(file).absolute()
        self._archive = _Archive.read(self.file) if self.file.exists() else _Archive(_description(backend), {}, [])

    @property
    def capabilities(self) -> Capabilities:
        """What the recorded backend can do."""
        return self.backend.capabilities

    @property
    def position(self) -> int:
        """How many measurements the recorded backend made, where it counts them."""
        return int(innermost(self.backend).position)

    @position.setter
    def position(self, value: int) -> None:
        innermost(self.backend).position = value

    def evaluate(self, circuit: Circuit, angles: Tensor, observables: Readout) -> Tensor | Estimate:
        """Return the readouts of every row, after they are in the file; see :class:`backends.EvaluatingBackend`."""
        found = self.backend.evaluate(circuit, angles, observables)
        values, stderr = found if isinstance(found, Estimate) else (found, None)
        arrays = angles.numpy().copy(), values.numpy().copy(), None if stderr is None else stderr.numpy().copy()
        call = Call(circuit.fingerprint, _readout(observables), *arrays)
        if not any(call.equals(known) for known in self._archive.calls):
            self._archive.add(circuit, call, self.backend)
            self._archive.write(self.file)
        return found

    def __repr__(self) -> str:
        return f"Record({self.backend!r}, {self.file.name!r})"


class Replay(EvaluatingBackend):
    """Give back what :class:`Record` kept, offline and bit for bit, with gradients.

    Rows are found by their values, within 1e-5 radians; where the same rows were measured several times, the results
    come in that order, and then from the start again.

    Parameters
    ----------
    file : path
    gradient : Gradient, optional
        Only where the recorded one is a class of your own.

    Raises
    ------
    RecordError
        If the file is no record, or is damaged; and from a call that was not recorded.
    """

    def __init__(self, file: Path | str, gradient: Gradient | None = None) -> None:
        self.file = Path(file).absolute()
        self.archive = _Archive.read(self.file)
        about = self.archive.about
        super().__init__(_gradient(about["gradient"], self.file) if gradient is None else gradient, about["together"])
        self._next: dict[tuple[str, str, bytes], int] = defaultdict(int)

    @property
    def capabilities(self) -> Capabilities:
        """What the recorded backend could do."""
        known = self.archive.about["capabilities"]
        kinds = frozenset(known["simulator_kinds"])
        return Capabilities(self.gradient.name, known["exact"], known["max_qubits"], tuple(known["devices"]), kinds)

    def evaluate(self, circuit: Circuit, angles: Tensor, observables: Readout) -> Estimate:
        """Return the recorded readouts of every row; see :class:`backends.EvaluatingBackend`.

        Raises
        ------
        RecordError
            If these rows of this circuit were not recorded; the message says what was.
        """
        calls = self._calls(circuit, angles.numpy(), _readout(observables))
        number = self._next[calls[0].asked]
        self._next[calls[0].asked] += 1
        call = calls[number % len(calls)]
        stderr = None if call.stderr is None else torch.from_numpy(call.stderr.copy())
        return Estimate(torch.from_numpy(call.values.copy()), stderr)

    def _calls(self, circuit: Circuit, angles: np.ndarray, readout: str) -> list[Call]:
        """Return the calls that asked for this, in the order in which they were made."""
        own = [call for call in self.archive.calls if call.circuit == circuit.fingerprint]
        alike = [call for call in own if call.readout == readout and call.angles.shape == angles.shape]
        distances = [np.abs(call.angles - angles).max(initial=0.0) for call in alike]
        if min(distances, default=np.inf) > SAME:
            raise RecordError(self._missing(circuit, angles, readout, own))
        nearest = alike[int(np.argmin(distances))].asked
        return [call for call in alike if call.asked == nearest]

    def _missing(self, circuit: Circuit, angles: np.ndarray, readout: str, own: list[Call]) -> str:
        """Say what is not in the file, and what is."""
        name = f"circuit {circuit.fingerprint[:8]}"
        if not own:
            held = ", ".join(dict.fromkeys(call.circuit[:8] for call in self.archive.calls)) or "none"
            return f"got {name}, which was not recorded, expected one of {self.file.name}: {held}"
        if readout not in {call.readout for call in own}:
            return (
                f"got a readout of {name} that was not recorded, expected the one in {self.file.name}: {own[0].readout}"
            )
        sizes = ", ".join(dict.fromkeys(str(len(call.angles)) for call in own))
        return (
            f"got {len(angles)} rows of {name} that were not recorded, expected those of the {len(own)} calls in "
            f"{self.file.name} (rows: {sizes}): same inputs, weights and order as in the recorded run"
        )

    def __repr__(self) -> str:
        return f"Replay({self.file.name!r}, of {self.archive.about['backend']})"


@dataclass
class _Archive:
    """What is in the file: a description, further files by name, and the calls in order."""

    about: dict[str, Any]
    files: dict[str, bytes]
    calls: list[Call]

    def add(self, circuit: Circuit, call: Call, backend: EvaluatingBackend) -> None:
        name = f"circuits/{circuit.fingerprint}.json"
        if name not in self.files:
            self.files[name] = circuit.to_json().encode()
            device = innermost(backend)
            self.files.update(device.details(circuit) if isinstance(device, Detailed) else {})
        self.files[f"calls/{len(self.calls):06}.npz"] = call.to_bytes()
        self.calls.append(call)

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        listing = [{"circuit": call.circuit, "readout": call.readout} for call in self.calls]
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        try:
            with os.fdopen(descriptor, "wb") as raw, zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as file:
                file.writestr("record.json", json.dumps({**self.about, "calls": listing}, indent=1))
                for name, data in self.files.items():
                    file.writestr(name, data)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    @classmethod
    def read(cls, path: Path) -> _Archive:
        """Return what is in a file.

        Raises
        ------
        RecordError
            If it is no record, of a newer version, or damaged.
        """
        try:
            with zipfile.ZipFile(path) as file:
                files = {name: file.read(name) for name in file.namelist()}
            about = json.loads(files.pop("record.json"))
            calls = list(_calls(about.pop("calls"), files))
        except (OSError, zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
            text = " ".join(str(error).split())
            raise RecordError(
                f"got {path}, which cannot be read as a record ({text}), expected a file of Record"
            ) from error
        if (about.get("format"), about.get("version")) != (FORMAT, VERSION):
            raise RecordError(
                f"got {path} of {about.get('format')!r} {about.get('version')}, expected {FORMAT!r} {VERSION}: "
                "read it with the version of hybridqml that wrote it"
            )
        return cls(about, files, calls)


def _calls(listing: list[dict[str, str]], files: dict[str, bytes]) -> Iterator[Call]:
    for number, entry in enumerate(listing):
        with np.load(io.BytesIO(files[f"calls/{number:06}.npz"]), allow_pickle=False) as found:
            arrays = found["angles"], found["values"], found.get("stderr")
        yield Call(entry["circuit"], entry["readout"], *arrays)


def _description(backend: EvaluatingBackend) -> dict[str, Any]:
    capabilities = asdict(backend.capabilities)
    return {
        "format": FORMAT,
        "version": VERSION,
        "backend": repr(backend),
        "gradient": _described(backend.gradient),
        "together": backend.together,
        "capabilities": capabilities | {"simulator_kinds": sorted(capabilities["simulator_kinds"])},
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES},
    }


def _described(gradient: Gradient) -> dict[str, Any]:
    own = type(gradient).__name__ in _GRADIENTS and is_dataclass(gradient)
    return {"class": type(gradient).__name__, "options": asdict(gradient) if own else None}  # type: ignore[call-overload]


def _gradient(described: dict[str, Any], file: Path) -> Gradient:
    if described["options"] is None:
        raise RecordError(
            f"got {file.name}, recorded with the gradient {described['class']}, expected one of "
            f"{', '.join(_GRADIENTS)}: give yours as Replay(file, gradient=...)"
        )
    return _GRADIENTS[described["class"]](**described["options"])


def _readout(observables: Readout) -> str:
    if isinstance(observables, Probabilities):
        return f"probabilities {observables.qubits}"
    return repr([o.terms for o in observables])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
