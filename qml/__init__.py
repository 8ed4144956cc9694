"""Quantum layers for torch: circuits that train with the rest of a model."""

from qml import init
from qml.draw import draw
from qml.layer import QuantumLayer

__all__ = ["QuantumLayer", "draw", "init"]
