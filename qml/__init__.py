"""Quantum layers for torch: circuits that train with the rest of a model."""

from qml import init
from qml.draw import draw
from qml.fast_weights import FastWeightProgrammer
from qml.layer import QuantumLayer

__all__ = ["FastWeightProgrammer", "QuantumLayer", "draw", "init"]
