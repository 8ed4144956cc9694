"""Published circuits, one file each: feature maps (no weights), ansätze (no features), and circuits with both.

Combine them with ``+``; ``shift(weights=...)`` gives the second part weights of its own:

>>> circuit = zz_feature_map(3) + hardware_efficient(3, n_layers=2)
"""

from circuits.templates._blocks import CONTROLLED_ROT, RY_CX, SU4
from circuits.templates.amplitude_encoding import amplitude_encoding
from circuits.templates.angle_encoding import angle_encoding
from circuits.templates.basic_entangler import basic_entangler
from circuits.templates.data_reuploading import data_reuploading
from circuits.templates.fast_weight_circuit import fast_weight_circuit
from circuits.templates.few_data_qcnn import few_data_qcnn
from circuits.templates.hadamard_cascade import hadamard_cascade
from circuits.templates.hardware_efficient import hardware_efficient
from circuits.templates.interleaved_block_encoding import interleaved_block_encoding
from circuits.templates.iqp import iqp
from circuits.templates.iqp_ansatz import iqp_ansatz
from circuits.templates.mps import mps
from circuits.templates.qcnn import kept_qubits, qcnn
from circuits.templates.readout_qubit import boolean_function, readout_qubit, reed_muller
from circuits.templates.recurrent_block import recurrent_block
from circuits.templates.sim9 import sim9
from circuits.templates.sim14 import sim14
from circuits.templates.simplified_two_design import simplified_two_design
from circuits.templates.single_qubit_reuploading import single_qubit_reuploading
from circuits.templates.strongly_entangling import strongly_entangling
from circuits.templates.tree_tensor_network import tree_tensor_network
from circuits.templates.zz_feature_map import zz_feature_map

__all__ = [
    "CONTROLLED_ROT",
    "RY_CX",
    "SU4",
    "amplitude_encoding",
    "angle_encoding",
    "basic_entangler",
    "boolean_function",
    "data_reuploading",
    "fast_weight_circuit",
    "few_data_qcnn",
    "hadamard_cascade",
    "hardware_efficient",
    "interleaved_block_encoding",
    "iqp",
    "iqp_ansatz",
    "kept_qubits",
    "mps",
    "qcnn",
    "readout_qubit",
    "recurrent_block",
    "reed_muller",
    "sim9",
    "sim14",
    "simplified_two_design",
    "single_qubit_reuploading",
    "strongly_entangling",
    "tree_tensor_network",
    "zz_feature_map",
]
