"""qml/fast_weights.py against a plain PennyLane loop, step by step and sample by sample."""

import copy
import doctest
import pickle

import pennylane as qp
import pytest
import torch
from dense_backend import DenseBackend
from torch.func import functional_call

from backends import PennyLane
from circuits import z_each
from qml import FastWeightProgrammer, fast_weights

SMALL = {"n_qubits": 3, "n_layers": 2, "latent_size": 4}


def programmer(input_size=1, output_size=1, **settings):
    torch.manual_seed(0)
    return FastWeightProgrammer(input_size, output_size, dtype=torch.float64, **settings)


def sequence(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def plain_loop(model, x, theta, n_qubits, n_layers, n_readout):
    """One sequence (T, features) through the paper's equations."""

    @qp.qnode(qp.device("default.qubit", wires=n_qubits))
    def fast(features, angles):
        for q in range(n_qubits):
            qp.Hadamard(q)
        for q, feature in enumerate(features):
            qp.RY(feature, q)
        for layer in angles:
            for start in (0, 1):
                for q in range(start, n_qubits - 1, 2):
                    qp.CNOT((q, q + 1))
            for q, angle in enumerate(layer):
                qp.RY(angle, q)
        return [qp.expval(qp.Z(q)) for q in range(n_readout)]

    outputs = []
    for step in x:
        h = model.encoder(step)
        theta = theta + torch.outer(model.layer_programmer(h), model.qubit_programmer(h))
        read = torch.stack([torch.as_tensor(z) for z in fast(step.numpy(), theta.detach().numpy())])
        outputs.append(model.readout(read))
    return torch.stack(outputs), theta


@pytest.mark.parametrize(
    ("input_size", "output_size", "n_qubits", "n_layers", "n_readout"),
    [(1, 1, 8, 2, 4), (3, 2, 4, 3, 1), (2, 1, 2, 1, 2), (1, 3, 1, 2, 1)],
)
def test_it_is_a_plain_pennylane_loop(input_size, output_size, n_qubits, n_layers, n_readout):
    model = programmer(input_size, output_size, n_qubits=n_qubits, n_layers=n_layers, n_readout=n_readout)
    x, start = sequence(4, 2, input_size), sequence(2, n_layers, n_qubits)
    with torch.no_grad():
        found, theta = model(x, start)
        for i in range(2):
            expected, last = plain_loop(model, x[:, i], start[i], n_qubits, n_layers, n_readout)
            torch.testing.assert_close(found[:, i], expected, rtol=0, atol=1e-10)
            torch.testing.assert_close(theta[i], last, rtol=0, atol=1e-10)


def test_the_papers_size():
    model = FastWeightProgrammer(1, 1)
    assert sum(p.numel() for p in model.parameters()) == 111
    assert all(p.requires_grad for p in model.parameters())
    layer = model.fast_programmer
    assert (layer.circuit.n_qubits, layer.in_features, layer.out_features, layer.weights.numel()) == (8, 17, 4, 0)
    assert layer.observables == z_each(8)[:4]


def test_few_qubits_are_all_read():
    assert FastWeightProgrammer(1, 1, n_qubits=3).fast_programmer.out_features == 3


def test_all_steps_are_one_call_and_the_last_output_takes_one_row_per_sequence():
    backend = DenseBackend()
    model = programmer(backend=backend, **SMALL).requires_grad_(False)
    model(sequence(5, 2, 1))
    model(sequence(5, 2, 1), last_only=True)
    assert backend.calls == [10, 2]


def test_the_last_output_is_the_last_of_all():
    model, x, start = programmer(2, **SMALL), sequence(6, 3, 2), sequence(3, 2, 3)
    (every, theta), (last, same) = model(x, start), model(x, start, last_only=True)
    torch.testing.assert_close(last, every[-1], rtol=0, atol=1e-13)
    torch.testing.assert_close(same, theta, rtol=0, atol=1e-13)


@pytest.mark.parametrize("cuts", [(1,), (3,), (1, 2, 5)])
def test_a_sequence_in_parts_is_a_sequence_at_once(cuts):
    model, x = programmer(**SMALL), sequence(6, 2, 1)
    whole, theta = model(x)
    parts, state = [], None
    for part in torch.tensor_split(x, cuts):
        output, state = model(part, state)
        parts.append(output)
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=1e-13)
    torch.testing.assert_close(state, theta, rtol=0, atol=1e-13)


@pytest.mark.parametrize("last_only", [False, True])
def test_gradients_through_time(last_only):
    model = programmer(2, n_qubits=2, n_layers=1, latent_size=2)
    names, values = zip(*model.named_parameters(), strict=True)

    def call(x, theta, *parameters):
        return functional_call(model, dict(zip(names, parameters, strict=True)), (x, theta, last_only))

    inputs = [sequence(3, 2, 2), sequence(2, 1, 2), *(v.detach().clone() for v in values)]
    assert torch.autograd.gradcheck(call, [v.requires_grad_() for v in inputs])


def test_every_parameter_is_trained():
    model = programmer()
    model(sequence(5, 2, 1), last_only=True)[0].square().sum().backward()
    assert all(p.grad.abs().max() > 1e-9 for p in model.parameters() if p.numel())


def test_batches_first_single_sequences_and_empty_batches():
    model, first = programmer(**SMALL), programmer(batch_first=True, **SMALL)
    x = sequence(5, 3, 1)
    output, theta = model(x)
    assert output.shape == (5, 3, 1) and theta.shape == (3, 2, 3)
    swapped, same = first(x.transpose(0, 1))
    assert torch.equal(swapped, output.transpose(0, 1)) and torch.equal(same, theta)
    assert torch.equal(first(x.transpose(0, 1), last_only=True)[0], model(x, last_only=True)[0])
    for single in (model(x[:, 1]), first(x[:, 1])):
        assert single[0].shape == (5, 1) and single[1].shape == (2, 3)
        torch.testing.assert_close(single[0], output[:, 1], rtol=0, atol=1e-13)
    assert model(x[:, 1], last_only=True)[0].shape == (1,)
    assert model(x[:, :0])[0].shape == (5, 0, 1) and model(x[:, :0], last_only=True)[0].shape == (0, 1)


def test_on_another_backend():
    model, x = programmer(**SMALL), sequence(3, 2, 1)
    expected = model(x)[0]
    assert model.to_backend(PennyLane("default.qubit")) is model
    torch.testing.assert_close(model(x)[0], expected, rtol=0, atol=1e-10)


def test_single_precision():
    model = FastWeightProgrammer(1, 1, **SMALL)
    output, theta = model(torch.zeros(2, 3, 1))
    assert output.dtype == theta.dtype == torch.float32


def test_copies_and_checkpoints():
    model, x = programmer(**SMALL), sequence(3, 2, 1)
    other = programmer(**SMALL)
    for parameter in other.parameters():
        torch.nn.init.zeros_(parameter)
    other.load_state_dict(model.state_dict())
    for same in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), other):
        assert torch.equal(same(x)[0], model(x)[0])


def test_the_example_runs():
    found = doctest.DocTestFinder().find(FastWeightProgrammer, globs=vars(fast_weights) | {"torch": torch})
    assert [doctest.DocTestRunner().run(test).failed for test in found if test.examples] == [0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"input_size": 9}, r"got n_features=9, expected an integer from 1 to 8"),
        ({"input_size": 0}, r"got n_features=0, expected an integer from 1 to 8"),
        ({"n_qubits": 0}, r"got n_qubits=0, expected an integer of at least 1"),
        ({"n_layers": 0}, r"got n_layers=0, expected an integer of at least 1"),
        ({"output_size": 0}, r"got output_size=0, expected an integer of at least 1: pass output_size=1, for example"),
        ({"latent_size": 2.0}, r"got latent_size=2\.0, expected an integer of at least 1"),
        ({"n_readout": 9}, r"got n_readout=9, expected an integer from 1 to 8"),
        ({"n_readout": 0}, r"got n_readout=0, expected an integer from 1 to 8"),
    ],
)
def test_wrong_sizes(settings, message):
    with pytest.raises(ValueError, match=message):
        FastWeightProgrammer(**{"input_size": 1, "output_size": 1, **settings})


@pytest.mark.parametrize(
    ("x", "theta", "message"),
    [
        ((5, 2, 2), None, r"got a sequence of shape \(5, 2, 2\), expected \(T, N, 1\) or \(T, 1\): features come last"),
        ((5,), None, r"got a sequence of shape \(5,\), expected \(T, N, 1\)"),
        ((0, 2, 1), None, r"got a sequence of shape \(0, 2, 1\), expected one step or more"),
        ((0, 1), None, r"got a sequence of shape \(0, 1\), expected one step or more"),
        ((5, 2, 1), (2, 3), r"got theta of shape \(2, 3\), expected \(2, 2, 3\): pass what the last call returned, or"),
        ((5, 1), (1, 2, 3), r"got theta of shape \(1, 2, 3\), expected \(2, 3\)"),
    ],
)
def test_wrong_shapes(x, theta, message):
    model = programmer(**SMALL)
    with pytest.raises(ValueError, match=message):
        model(sequence(*x), None if theta is None else sequence(*theta))


def test_wrong_shapes_with_batches_first():
    model = programmer(batch_first=True, **SMALL)
    with pytest.raises(ValueError, match=r"expected \(N, T, 1\) or \(T, 1\)"):
        model(sequence(2, 5, 3))
    with pytest.raises(ValueError, match=r"got a sequence of shape \(2, 0, 1\), expected one step or more"):
        model(sequence(2, 0, 1))
