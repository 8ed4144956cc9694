"""Quantum layers for torch: circuits that train with the rest of a model."""

from qml import init
from qml.draw import draw
from qml.fast_weights import FastWeightProgrammer
from qml.layer import QuantumLayer
from qml.recurrent import QGRU, QLSTM, QRNN, QGRUCell, QLSTMCell, QRNNCell

__all__ = [
    "QGRU",
    "QLSTM",
    "QRNN",
    "FastWeightProgrammer",
    "QGRUCell",
    "QLSTMCell",
    "QRNNCell",
    "QuantumLayer",
    "draw",
    "init",
]
