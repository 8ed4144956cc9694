"""Devices of IBM: its fake ones by short name, real ones through a saved account."""

from __future__ import annotations

import difflib
import inspect
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any, NamedTuple

from qiskit.providers import BackendV2
from qiskit.transpiler import Target
from qiskit_ibm_runtime import IBMBackend, QiskitRuntimeService, fake_provider

from backends import ibm_service
from backends.jobs import JobError, Lost, Refused

LEAST_BUSY = "least_busy"

# A shift leaves the angles that a fractional RZZ takes, 0 to pi/2; of other gates a device can make the same.
FRACTIONAL = "rzz"


class Account(NamedTuple):
    """A saved account, without its token."""

    name: str
    channel: str
    instance: str


@lru_cache(maxsize=1)
def fakes() -> dict[str, type[BackendV2]]:
    """Return the fake devices, short name -> class: ``"manila"`` for ``FakeManilaV2``."""
    found = inspect.getmembers(fake_provider, lambda item: inspect.isclass(item) and issubclass(item, BackendV2))
    return {_short(name): device for name, device in found}


@lru_cache(maxsize=8)
def fake(name: str) -> Any:
    """Return a fake device.

    Parameters
    ----------
    name : str
        For example ``"manila"``; ``"FakeManilaV2"`` and ``"fake_manila"`` are the same.

    Raises
    ------
    ValueError
        If there is none of that name; the message has names like it.
    """
    if _short(name) not in fakes():
        near = difflib.get_close_matches(_short(name), fakes()) or sorted(fakes())
        raise ValueError(f"got the fake device {name!r}, expected for example {', '.join(near[:5])}")
    return fakes()[_short(name)]()


def find(device: Any, account: str | None = None) -> BackendV2:
    """Return a device by name, or the device itself.

    Parameters
    ----------
    device : str or BackendV2
        A fake device as :func:`fake` takes it; ``"ibm_..."`` or ``"least_busy"``, through a saved account; or an
        object of Qiskit.
    account : str, optional
        Name of the saved account; the default one if not given.

    Raises
    ------
    TypeError
        If it is neither a name nor a device.
    ValueError
        If there is no such device, or no account to ask with.
    ConnectionError
        If IBM's service cannot be reached.
    """
    if isinstance(device, BackendV2):
        return _without_fractional(device)
    if not isinstance(device, str):
        raise TypeError(
            f"got {type(device).__name__} as a device, expected a name such as 'manila', 'ibm_torino' or "
            "'least_busy', or a BackendV2 object of Qiskit"
        )
    if device == LEAST_BUSY or device.startswith("ibm"):
        return _real(device, account)
    return fake(device)


def is_real(device: BackendV2) -> bool:
    """Whether jobs on the device go to IBM's service; all others run on this machine."""
    return isinstance(device, IBMBackend)


def target_of(device: BackendV2) -> Target:
    """Return what circuits may use on the device: its target without fractional two-qubit rotations."""
    target = device.target
    if FRACTIONAL not in target.operation_names or None in target[FRACTIONAL]:  # on all qubits alike: a simulator
        return target
    return _less(target, FRACTIONAL)


def properties(device: BackendV2) -> bytes:
    """Return name, size, gates and calibration of a device as JSON."""
    calibration = _calibration(device)
    known = {
        "name": device.name,
        "n_qubits": device.num_qubits,
        "gates": sorted(device.operation_names),
        "calibration": calibration and calibration.to_dict(),
    }
    return json.dumps(known, default=str, indent=1).encode()


def _calibration(device: BackendV2) -> Any:
    """Return a device's calibration, None where it has none or cannot be asked: what it measured counts more."""
    if not is_real(device):
        return device.properties() if hasattr(device, "properties") else None
    with suppress(JobError):
        return ibm_service.ask(device.properties, "asking for the calibration", device.service)
    return None


def accounts() -> list[Account]:
    """Return the saved accounts; their tokens are not read out."""
    saved = QiskitRuntimeService.saved_accounts()
    return [Account(name, entry.get("channel", ""), entry.get("instance", "")) for name, entry in saved.items()]


def connect(account: str | None = None) -> QiskitRuntimeService:
    """Return the service, logged in with a saved account, or with one that environment variables name.

    Raises
    ------
    ValueError
        If there is no such account, or it is not accepted.
    ConnectionError
        If the service cannot be reached.
    """
    saved = [known.name for known in accounts()]
    if not (account in saved or (account is None and (saved or "QISKIT_IBM_TOKEN" in os.environ))):
        which = "no saved account" if account is None else f"no saved account of the name {account!r}"
        raise ValueError(
            f"got {which}, expected one for devices of IBM: save it once with QiskitRuntimeService.save_account("
            "token=..., instance=...), or use a fake device such as IBM('manila')"
        )
    with _at_the_border():
        return ibm_service.connect(name=account)


def described(service: QiskitRuntimeService) -> list[str]:
    """Return a line about each device of an account."""

    def look() -> list[str]:
        return [_line(device) for device in sorted(service.backends(), key=lambda device: str(device.name))]

    with _at_the_border():
        return ibm_service.ask(look, "listing the devices", service)


def _line(device: BackendV2) -> str:
    status = device.status()
    state = "available" if status.operational else f"not available: {status.status_msg}"
    return f"ibm:{device.name} ({device.num_qubits} qubits, {status.pending_jobs} jobs waiting): {state}"


def _real(name: str, account: str | None) -> BackendV2:
    service = connect(account)

    def look_up() -> BackendV2:
        options = {"operational": True, "simulator": False}
        device = service.least_busy(**options) if name == LEAST_BUSY else service.backend(name)
        device.target  # noqa: B018 (what it can do is downloaded here and now)
        return device

    with _at_the_border():
        return ibm_service.ask(look_up, f"looking up the device {name!r}", service)


@contextmanager
def _at_the_border() -> Iterator[None]:
    """Say what goes wrong before any job in the errors of wrong input and lost connections."""
    try:
        yield
    except Refused as refused:
        raise ValueError(str(refused)) from None
    except Lost as lost:
        raise ConnectionError(str(lost)) from None


def _without_fractional(device: BackendV2) -> BackendV2:
    """Return the device as it is without fractional gates, where it comes from IBM's service."""
    if not is_real(device) or FRACTIONAL not in device.target.operation_names:
        return device
    with _at_the_border():
        plain = {"name": device.name, "use_fractional_gates": False}
        return ibm_service.ask(lambda: device.service.backend(**plain), "looking up the device", device.service)


def _less(target: Target, gate: str) -> Target:
    """Return a target without one of its gates."""
    rest = Target(num_qubits=target.num_qubits, dt=target.dt, qubit_properties=target.qubit_properties)
    for name in set(target.operation_names) - {gate}:
        operation = target.operation_from_name(name)
        rest.add_instruction(operation, None if inspect.isclass(operation) else target[name], name=name)
    return rest


def _short(name: str) -> str:
    return name.lower().removeprefix("fake").removeprefix("_").removesuffix("v2")
