import copy
import io
import pickle

import numpy as np
import pennylane as qp
import pytest
import torch
from dense_backend import DenseBackend
from tolerances import close
from torch import nn

from circuits import CX, RX, RY, Circuit, inputs, weights
from circuits.templates import angle_encoding, strongly_entangling
from qml import ParallelCircuits, QuantumLayer

x, w = inputs(2), weights(3)
CIRCUIT = Circuit(2, [RX(x[0], 0), RY(x[1] * w[2], 1), CX(0, 1), RY(w[0], 0), RX(w[1], 1)], 2, 3)


def made(circuit=CIRCUIT, n_circuits=3, *arguments, **options):
    torch.manual_seed(0)
    return ParallelCircuits(circuit, n_circuits, *arguments, dtype=torch.float64, **options)


def features(*shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).uniform(-2, 2, shape))


def test_the_quantum_part_of_hqnn_parallel():
    """Four circuits of five qubits as PennyLane's own layers write them (arXiv:2304.09224)."""
    circuit = angle_encoding(5) + strongly_entangling(5, 3)
    layer = made(circuit, 4, [f"Y{q}" for q in range(5)])

    @qp.qnode(qp.device("default.qubit", wires=5))
    def theirs(chunk, w):
        qp.AngleEmbedding(chunk, range(5), "X")
        qp.StronglyEntanglingLayers(w, range(5), ranges=(1, 2, 3))
        return [qp.expval(qp.PauliY(q)) for q in range(5)]

    samples, w = features(2, 20), layer.quantum.weights.detach().numpy().reshape(4, 3, 5, 3)
    wanted = [[theirs(row[5 * k : 5 * k + 5], w[k]) for k in range(4)] for row in samples.numpy()]
    assert close(layer(samples), np.array(wanted).reshape(2, 20))
    assert sum(p.numel() for p in layer.parameters()) == 180


@pytest.mark.parametrize("batch", [(), (1,), (4,), (0,), (2, 3), (2, 0)], ids=str)
def test_each_chunk_has_a_circuit_with_weights_of_its_own(batch):
    layer, samples = made(CIRCUIT, 3, ["Z0", "Y1", "X0"]), features(*batch, 6)
    alone = QuantumLayer(CIRCUIT, ["Z0", "Y1", "X0"], dtype=torch.float64)
    each = [alone(chunk, own) for chunk, own in zip(samples.chunk(3, -1), layer.quantum.weights, strict=True)]
    assert (layer.in_features, layer.out_features) == (6, 9)
    assert close(layer(samples), torch.cat(each, -1), 1e-12)
    assert not torch.equal(*layer.quantum.weights[:2])


def test_probabilities():
    layer = made(CIRCUIT, 2, readout="probabilities")
    found = layer(features(3, 4))
    assert found.shape == (3, 8) and close(found.reshape(3, 2, 4).sum(-1), torch.ones(3, 2), 1e-12)


def test_all_circuits_of_a_batch_are_one_call():
    backend = DenseBackend()
    layer = made(backend=backend)
    with torch.no_grad():
        layer(features(4, 6))
    assert backend.calls == [4 * 3]


def test_another_backend_gives_the_same_values_and_gradients():
    layer, samples = made(), features(2, 6).requires_grad_()
    leaves = samples, layer.quantum.weights
    before = layer(samples)
    wanted = torch.autograd.grad(before.square().sum(), leaves)
    assert layer.to_backend(DenseBackend()) is layer
    after = layer(samples)
    found = torch.autograd.grad(after.square().sum(), leaves)
    assert close(after, before) and all(close(a, b) for a, b in zip(found, wanted, strict=True))


def test_gradcheck():
    layer = made(CIRCUIT, 2)

    def function(samples, w):
        return torch.func.functional_call(layer, {"quantum.weights": w}, samples)

    arguments = features(2, 4).requires_grad_(), layer.quantum.weights.detach().requires_grad_()
    assert torch.autograd.gradcheck(function, arguments)
    assert torch.autograd.gradgradcheck(function, arguments)


def test_chunks_do_not_meet():
    layer = made(CIRCUIT, 2)
    jacobian = torch.autograd.functional.jacobian(layer, features(4))
    assert jacobian[:2, 2:].abs().max() == jacobian[2:, :2].abs().max() == 0
    assert jacobian[:2, :2].abs().max() > 0.1 < jacobian[2:, 2:].abs().max()


def reloaded(layer):
    buffer = io.BytesIO()
    torch.save(layer.state_dict(), buffer)
    other = ParallelCircuits(CIRCUIT, 3, dtype=torch.float64)
    other.load_state_dict(torch.load(io.BytesIO(buffer.getvalue()), weights_only=True))
    return other


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), reloaded])
def test_copies_give_the_same_and_are_their_own(copied):
    layer, samples = made(), features(2, 6)
    before, other = layer(samples).detach(), copied(layer)
    assert torch.equal(other(samples), before)
    with torch.no_grad():
        other.quantum.weights.add_(1.0)
    assert torch.equal(layer(samples), before) and not close(other(samples), before, 1e-3)


def test_a_checkpoint_of_another_number_of_circuits_is_refused():
    with pytest.raises(RuntimeError, match=r"size mismatch for quantum\.weights"):
        made(CIRCUIT, 2).load_state_dict(made(CIRCUIT, 3).state_dict())


def test_manual_seed_init_dtype_and_device():
    assert torch.equal(made().quantum.weights, made().quantum.weights)
    assert made(init=nn.init.zeros_).quantum.weights.tolist() == [[0.0] * 3] * 3
    assert ParallelCircuits(CIRCUIT, 2, device="meta").quantum.weights.is_meta
    assert made().float()(torch.zeros(6)).dtype == torch.float32


def test_it_trains_between_other_layers():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), ParallelCircuits(CIRCUIT, 3), nn.Linear(6, 2))
    samples, y = torch.rand(8, 4), torch.arange(8) % 2
    optimizer, losses = torch.optim.Adam(model.parameters(), 0.1), []
    for _ in range(4):
        optimizer.zero_grad()
        losses.append(nn.functional.cross_entropy(model(samples), y))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0]
    assert (model[1].quantum.weights.grad.abs().amax(-1) > 0).all()


def test_printed():
    layer = ParallelCircuits(CIRCUIT, 3)
    assert layer.extra_repr() == "in_features=6, out_features=6, n_circuits=3" and layer.circuit == CIRCUIT


@pytest.mark.parametrize("n_circuits", [0, -1, 2.0, True, None])
def test_wrong_numbers_of_circuits(n_circuits):
    with pytest.raises(ValueError, match=f"got n_circuits={n_circuits}, expected an integer of at least 1"):
        ParallelCircuits(CIRCUIT, n_circuits)


@pytest.mark.parametrize(
    ("samples", "error", "text"),
    [
        (
            torch.zeros(2, 5),
            ValueError,
            r"got features of shape \(2, 5\), expected \(\*, 6\): there are 3 circuits of 2",
        ),
        (torch.tensor(1.0), ValueError, r"got features of shape \(\), expected \(\*, 6\)"),
        ([0.0] * 6, TypeError, "got features of type list, expected a tensor: torch.as_tensor"),
        (torch.zeros(2, 6).double(), TypeError, "got inputs torch.float64 on cpu and weights torch.float32"),
    ],
)
def test_wrong_features(samples, error, text):
    with pytest.raises(error, match=text):
        ParallelCircuits(CIRCUIT, 3)(samples)
