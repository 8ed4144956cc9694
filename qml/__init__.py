"""Quantum layers for torch: circuits that train with the rest of a model."""

from qml import init
from qml.creep_in import DataReUploadingLinear, FlippedQuanv3x3
from qml.draw import draw
from qml.hamiltonian import HamiltonianReuploading
from qml.layer import QuantumLayer
from qml.parallel import ParallelCircuits
from qml.quanvolution import Quanvolution2d
from qml.special_unitary import SpecialUnitary

__all__ = [
    "DataReUploadingLinear",
    "FlippedQuanv3x3",
    "HamiltonianReuploading",
    "ParallelCircuits",
    "QuantumLayer",
    "Quanvolution2d",
    "SpecialUnitary",
    "draw",
    "init",
]
