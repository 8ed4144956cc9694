"""The dense oracle as a backend that can only evaluate, counting what it is asked for."""

import dense
import torch

from backends import Capabilities, EvaluatingBackend, ParameterShift
from circuits import Circuit, Op, Probabilities, inputs


class DenseBackend(EvaluatingBackend):
    """Whole-space matrices, one sample after the other; ``calls`` lists the rows of every evaluation."""

    def __init__(self, gradient=None, max_qubits=6, together=False):
        super().__init__(gradient or ParameterShift(), together)
        self.max_qubits = max_qubits
        self.calls = []

    @property
    def capabilities(self):
        return Capabilities(self.gradient.name, True, self.max_qubits, ("cpu",), frozenset({"amplitudes"}))

    def evaluate(self, circuit, angles, observables):
        assert angles.dtype == torch.float64 and not angles.requires_grad and len(angles) >= 1
        self.calls.append(len(angles))
        free = free_angles(circuit)
        return torch.tensor([read_out(free, row, observables) for row in angles.tolist()], dtype=torch.float64)

    def __repr__(self):
        return "DenseBackend()"


def free_angles(circuit):
    """The circuit with a feature of its own for every angle."""
    column = iter(inputs(len(circuit.angles)))
    ops = [Op(op.gate, op.qubits, tuple(next(column) for _ in op.angles)) for op in circuit.ops]
    return Circuit(circuit.n_qubits, ops, n_inputs=len(circuit.angles))


def read_out(circuit, x, readout, w=()):
    """Dense readout of one sample, a list of floats."""
    if isinstance(readout, Probabilities):
        return dense.probabilities(circuit, x, w, readout.qubits).tolist()
    return dense.expectation(circuit, x, w, readout).tolist()
