"""Quantum layers for torch: circuits that train with the rest of a model."""

from qml import init
from qml.capacity import (
    information_processing_capacity,
    memory_capacity,
    plot_information_processing_capacity,
    plot_memory_capacity,
)
from qml.draw import draw
from qml.fast_weights import FastWeightProgrammer
from qml.ising import IsingReservoir
from qml.layer import QuantumLayer
from qml.recurrent import QGRU, QLSTM, QRNN, QGRUCell, QLSTMCell, QRNNCell
from qml.reservoir import QuantumReservoir

__all__ = [
    "QGRU",
    "QLSTM",
    "QRNN",
    "FastWeightProgrammer",
    "IsingReservoir",
    "QGRUCell",
    "QLSTMCell",
    "QRNNCell",
    "QuantumLayer",
    "QuantumReservoir",
    "draw",
    "information_processing_capacity",
    "init",
    "memory_capacity",
    "plot_information_processing_capacity",
    "plot_memory_capacity",
]
