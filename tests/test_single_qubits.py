"""The layer of unentangled qubits: its closed form against the circuit, PennyLane and dense matrices."""

from __future__ import annotations

import copy
import itertools
import pickle

import dense
import numpy as np
import pennylane as qp
import pytest
import torch
from dense_backend import DenseBackend
from tolerances import ACROSS, atol, close

from backends import Statevector
from circuits import pauli
from circuits.templates import single_qubit_reuploading
from qml import SingleQubits
from qml.movable import Movable

# n_qubits, n_layers, n_features, and which of these enter each qubit.
HANDS = {
    (1, 1, 1): [[0]],
    (2, 3, 2): [[0, 1]] * 2,
    (4, 1, 3): [[0, 1, 2]] * 4,
    (3, 2, 6): [[0, 1, 2], [3, 4, 5], [0, 1, 2]],
    (2, 2, 8): [[0, 1, 2, 6, 7], [3, 4, 5]],
    (1, 2, 5): [[0, 1, 2, 3, 4]],
}

each_size = pytest.mark.parametrize("size", HANDS, ids=str)


def made(*size, **options):
    torch.manual_seed(0)
    return SingleQubits(*size, **{"dtype": torch.float64, **options})


def features(*shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).uniform(-2, 2, shape))


def z(layer, x):
    return layer.bloch_vectors(x)[..., 2]


@each_size
def test_the_closed_form_is_the_circuit_with_its_gradients(size):
    layer, x = made(*size), features(7, size[2]).requires_grad_()
    leaves = x, layer.quantum.weights
    values = [z(layer, x), layer(x)]
    found, wanted = (torch.autograd.grad((y * torch.arange(1, size[0] + 1)).sum(), leaves) for y in values)
    assert close(*values, ACROSS) and all(close(a, b, ACROSS) for a, b in zip(found, wanted, strict=True))


@each_size
def test_the_closed_form_is_pennylanes(size):
    n_qubits, n_layers, n_features = size
    layer, x = made(*size), features(3, n_features)

    @qp.qnode(qp.device("default.qubit", wires=n_qubits))
    def theirs(x, angles):
        for q in range(n_qubits):
            qp.Hadamard(q)
            for layer in angles:
                for i, gate in zip(HANDS[size][q], itertools.cycle([qp.RZ, qp.RY, qp.RZ]), strict=False):
                    gate(x[i], q)
                qp.RX(layer[q], q)
        return [qp.expval(each(q)) for q in range(n_qubits) for each in (qp.PauliX, qp.PauliY, qp.PauliZ)]

    angles = layer.quantum.weights.detach().numpy().reshape(n_layers, n_qubits)
    wanted = np.array([theirs(row, angles) for row in x.numpy()]).reshape(3, n_qubits, 3)
    assert close(layer.bloch_vectors(x), wanted)


@each_size
def test_the_closed_form_is_that_of_dense_matrices(size):
    layer, x = made(*size), features(size[2])
    words = [pauli(f"{letter}{q}") for q in range(size[0]) for letter in "XYZ"]
    weights = layer.quantum.weights.detach().numpy()
    wanted = dense.expectation(layer.circuit, x.numpy(), weights, words)
    assert close(layer.bloch_vectors(x), np.reshape(wanted, (size[0], 3)))


def test_one_layer_is_two_functions_of_the_features():
    """The reason why four qubits with one layer say no more than two numbers, which need no angles."""
    layer, x = made(4, 1, 3), features(50, 3)
    a, b, c = x.T
    y, height = c.sin() * b.cos() * a.cos() + c.cos() * a.sin(), -b.sin() * a.cos()
    angles = layer.quantum.weights
    assert close(layer(x), height[:, None] * angles.cos() + y[:, None] * angles.sin())
    assert torch.linalg.matrix_rank(layer(x)) == 2


def test_more_layers_tell_the_qubits_apart():
    assert torch.linalg.matrix_rank(made(4, 2, 3)(features(50, 3))) == 4


def test_gradients_of_both_orders():
    layer, x = made(2, 2, 4), features(3, 4).requires_grad_()
    assert torch.autograd.gradcheck(layer.bloch_vectors, x) and torch.autograd.gradgradcheck(layer.bloch_vectors, x)


@pytest.mark.parametrize("batch", [(), (1,), (0,), (5,), (2, 3), (2, 0)], ids=str)
def test_any_leading_dimensions(batch):
    layer, x = made(3, 2, 4), features(*batch, 4)
    assert layer.bloch_vectors(x).shape == (*batch, 3, 3) and layer(x).shape == (*batch, 3)
    assert close(z(layer, x), layer(x))
    one_by_one = [layer.bloch_vectors(row) for row in x.reshape(-1, 4)]
    assert close(
        layer.bloch_vectors(x).reshape(-1, 3, 3), torch.stack(one_by_one) if one_by_one else torch.zeros(0, 3, 3)
    )


def test_vectors_are_of_length_one_and_outputs_within_bounds():
    layer, x = made(3, 4, 5), 100 * features(200, 5)
    assert close(layer.bloch_vectors(x).norm(dim=-1), torch.ones(200, 3), 1e-12)
    assert layer(x).abs().max() <= 1 + 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtypes(dtype):
    layer, x = made(3, 2, dtype=dtype), features(5, 3).to(dtype)
    assert layer.bloch_vectors(x).dtype == layer(x).dtype == dtype
    assert close(z(layer, x), layer(x), 10 * atol(dtype))


def test_trained_weights_move_to_another_backend():
    layer, x = made(2, 2, 3), features(4, 3)
    before, backend = layer(x), DenseBackend()
    assert isinstance(layer.quantum.backend, Statevector) and isinstance(layer, Movable)
    assert layer.to_backend(backend) is layer
    with torch.no_grad():
        assert close(layer(x), before) and backend.calls == [4]
    assert close(z(layer, x), before)


def test_copies_pickles_state_and_seed():
    layer, x = made(2, 2, 3), features(4, 3)
    other = SingleQubits(2, 2, 3, dtype=torch.float64)
    other.load_state_dict(layer.state_dict())
    for each in (other, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), made(2, 2, 3)):
        assert torch.equal(each(x), layer(x)) and torch.equal(each.bloch_vectors(x), layer.bloch_vectors(x))
    assert layer.circuit == single_qubit_reuploading(2, 2, 3)
    assert [layer.in_features, layer.out_features, layer.quantum.weights.numel()] == [3, 2, 4]
    assert repr(layer).startswith("SingleQubits(\n  2, n_layers=2, n_features=3")


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (torch.zeros(4, 2), ValueError, r"got features of shape \(4, 2\), expected \(\*, 3\): one angle per feature"),
        (torch.tensor(1.0), ValueError, r"got features of shape \(\), expected \(\*, 3\)"),
        (torch.zeros(4, 3).double(), TypeError, r"got features torch.float64 on cpu, expected torch.float32 on cpu"),
        ([0.0, 0.0, 0.0], TypeError, r"got features of type list, expected a tensor"),
    ],
)
def test_wrong_features(x, error, message):
    with pytest.raises(error, match=message):
        SingleQubits(2, 1, dtype=torch.float32).bloch_vectors(x)


@pytest.mark.parametrize("name", ["n_qubits", "n_layers", "n_features"])
def test_wrong_sizes(name):
    with pytest.raises(ValueError, match=f"got {name}=0, expected an integer of at least 1"):
        SingleQubits(**{"n_qubits": 2, "n_layers": 1, name: 0})
