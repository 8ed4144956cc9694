"""Backends: where circuits run. The simulator loads at once, bridges to other libraries when they are asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from backends.base import Backend, Capabilities, Estimate, EvaluatingBackend
from backends.gradients import FiniteDifference, Gradient, ParameterShift, Spsa
from backends.names import get
from backends.replay import Record, Replay
from backends.statevector import Statevector
from backends.zne import ZNE

if TYPE_CHECKING:
    from backends.aer import Aer
    from backends.cut import Cut
    from backends.ibm import IBM
    from backends.pennylane_convert import from_pennylane, to_pennylane
    from backends.pennylane_device import PennyLane
    from backends.qiskit_convert import from_qiskit, to_qiskit
    from backends.qiskit_estimator import QiskitEstimator

# Public name -> file of the bridge, extra that installs it.
_BRIDGES = {
    "Aer": ("aer", "aer"),
    "Cut": ("cut", "cutting"),
    "IBM": ("ibm", "ibm"),
    "PennyLane": ("pennylane_device", "pennylane"),
    "from_pennylane": ("pennylane_convert", "pennylane"),
    "to_pennylane": ("pennylane_convert", "pennylane"),
    "QiskitEstimator": ("qiskit_estimator", "qiskit"),
    "from_qiskit": ("qiskit_convert", "qiskit"),
    "to_qiskit": ("qiskit_convert", "qiskit"),
}

__all__ = [
    "IBM",
    "ZNE",
    "Aer",
    "Backend",
    "Capabilities",
    "Cut",
    "Estimate",
    "EvaluatingBackend",
    "FiniteDifference",
    "Gradient",
    "ParameterShift",
    "PennyLane",
    "QiskitEstimator",
    "Record",
    "Replay",
    "Spsa",
    "Statevector",
    "from_pennylane",
    "from_qiskit",
    "get",
    "to_pennylane",
    "to_qiskit",
]


def __getattr__(name: str) -> Any:
    if name not in _BRIDGES:
        raise AttributeError(f"module 'backends' has no attribute {name!r}")
    module, extra = _BRIDGES[name]
    try:
        return getattr(import_module(f"backends.{module}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("backends"):
            raise
        raise ModuleNotFoundError(
            f"backends.{name} needs {error.name}: pip install 'hybridqml[{extra}]'", name=error.name
        ) from error
