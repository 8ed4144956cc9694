"""Quantum layers for torch: circuits that train with the rest of a model."""

from qml import init
from qml.capacity import (
    information_processing_capacity,
    memory_capacity,
    plot_information_processing_capacity,
    plot_memory_capacity,
)
from qml.creep_in import DataReUploadingLinear, FlippedQuanv3x3
from qml.diagnostics import diagnose
from qml.draw import draw
from qml.fast_weights import FastWeightProgrammer
from qml.hamiltonian import HamiltonianReuploading
from qml.ising import IsingReservoir
from qml.layer import QuantumLayer
from qml.parallel import ParallelCircuits
from qml.quanvolution import Quanvolution2d
from qml.qutrit import QutritFilter
from qml.recurrent import QGRU, QLSTM, QRNN, QGRUCell, QLSTMCell, QRNNCell
from qml.reservoir import QuantumReservoir
from qml.single_qubits import SingleQubits
from qml.special_unitary import SpecialUnitary
from qml.tensor_network import QuantumTensorNetwork

__all__ = [
    "QGRU",
    "QLSTM",
    "QRNN",
    "DataReUploadingLinear",
    "FastWeightProgrammer",
    "FlippedQuanv3x3",
    "HamiltonianReuploading",
    "IsingReservoir",
    "ParallelCircuits",
    "QGRUCell",
    "QLSTMCell",
    "QRNNCell",
    "QuantumLayer",
    "QuantumReservoir",
    "QuantumTensorNetwork",
    "Quanvolution2d",
    "QutritFilter",
    "SingleQubits",
    "SpecialUnitary",
    "diagnose",
    "draw",
    "information_processing_capacity",
    "init",
    "memory_capacity",
    "plot_information_processing_capacity",
    "plot_memory_capacity",
]
