"""hybrid/controls.py: what stands in the place of quantum layers, and what stays as it is."""

import dense
import numpy as np
import pytest
import torch
from tolerances import close
from torch import nn
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

from circuits import CX, RX, RY, Circuit, Probabilities, inputs, pauli, weights
from circuits.templates import data_reuploading
from hybrid import controls
from hybrid.dressed import CONTROLS
from qml import QGRU, QLSTM, QRNN, ParallelCircuits, QuantumLayer, Quanvolution2d

CIRCUIT = data_reuploading(2, n_layers=2)
ALL = [None, *CONTROLS]


def build(readout=None):
    return nn.Sequential(nn.Linear(3, 2), QuantumLayer(CIRCUIT, readout), nn.LazyLinear(2))


def made(control, source=build, seed=0):
    torch.manual_seed(seed)
    return controls.model(source, control)


def samples(*shape):
    return torch.tensor(np.random.default_rng(0).normal(size=shape), dtype=torch.float32)


@pytest.mark.parametrize("control", ALL)
def test_a_model_and_its_build_give_the_same_rows(control):
    whole = build()
    whole(samples(1, 3))
    row = made(control, whole)
    assert row(samples(5, 3)).shape == (5, 2)
    assert torch.equal(row[0].weight, made(None, build)[0].weight), "drawn anew, as the build draws it"
    assert not torch.equal(row[0].weight, whole[0].weight) and len(controls.layers(whole)) == 1, "copied"
    assert not torch.equal(row[0].weight, made(control, whole, seed=1)[0].weight)


def test_removed_is_the_identity_or_a_projection_that_keeps_lengths():
    assert close(made("removed")[1](samples(4, 2)), samples(4, 2), 0)
    narrow, wide = (made("removed", lambda readout=r: build(readout))[1] for r in ("Z0", Probabilities((0, 1))))
    assert close(narrow.body.matrix @ narrow.body.matrix.mT, torch.eye(1), 1e-6)
    assert close(wide(samples(4, 2)).norm(dim=-1), samples(4, 2).norm(dim=-1), 1e-6)
    assert not list(narrow.parameters())


def test_linear_has_the_widths_of_the_circuit_and_is_trained():
    body = made("linear", lambda: build("Z0"))[1].body
    assert [type(part) for part in body] == [nn.Linear, nn.Tanh]
    assert body[0].weight.shape == (1, 2) and body[0].weight.requires_grad


def test_frozen_weights_are_drawn_and_not_trained():
    layer = made("frozen")[1]
    assert isinstance(layer, QuantumLayer) and not layer.weights.requires_grad
    assert torch.equal(layer.weights, made(None)[1].weights)


def test_separable_starts_as_the_readout_of_the_circuit_without_entanglers():
    x, w = inputs(2), weights(2)
    circuit = Circuit(2, [RX(x[0], 0), RX(x[1], 1), CX(0, 1), RY(w[0], 0), RY(w[1], 1)], 2, 2)
    found = made("separable", lambda: nn.Sequential(QuantumLayer(circuit, "X1"))).double()[0]
    assert [type(part) for part in found.body] == [QuantumLayer, nn.Linear], "Z0 is read too"
    local = Circuit(2, [RX(x[0], 0), RX(x[1], 1), RY(w[0], 0), RY(w[1], 1)], 2, 2)
    values = found.body[0].weights.detach().numpy()
    expected = [dense.expectation(local, row, values, (pauli("X1"),)) for row in samples(3, 2).double().numpy()]
    assert close(found(samples(3, 2).double()), np.array(expected))


def test_what_is_shared_stays_shared_and_all_layers_are_replaced():
    layer = QuantumLayer(CIRCUIT)
    row = made("linear", lambda: nn.Sequential(layer, nn.Sequential(layer, QuantumLayer(CIRCUIT))))
    assert row[0] is row[1][0] is not row[1][1] and not controls.layers(row)


@pytest.mark.parametrize("control", ALL)
def test_a_layer_alone_parallel_circuits_and_quanvolution(control):
    assert made(control, lambda: QuantumLayer(CIRCUIT))(samples(3, 2)).shape == (3, 2)
    parallel = made(control, lambda: ParallelCircuits(CIRCUIT, 3))
    assert parallel(samples(5, 6)).shape == (5, 6)
    convolution = made(control, lambda: Quanvolution2d(1, 4, 2, circuit=data_reuploading(4, n_layers=1)))
    assert convolution(samples(5, 1, 4, 4)).shape[:2] == (5, 4)


def test_every_parallel_circuit_has_a_linear_layer_of_its_own():
    row = made("linear", lambda: ParallelCircuits(CIRCUIT, 3))
    parts = row.quantum.body.parts
    expected = [torch.tanh(part[0](chunk)) for part, chunk in zip(parts, samples(5, 6).split(2, -1), strict=True)]
    assert close(row(samples(5, 6)), torch.cat(expected, -1), 1e-6)


def linear(body, v):
    return np.tanh(v @ body[0].weight.detach().numpy().T + body[0].bias.detach().numpy())


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def rnn(cell, x, h):
    h = np.tanh(linear(cell.block.body, np.append(x, h)))
    return h, (h,)


def gru(cell, x, h):
    r, z = (sigmoid(linear(gate.body, np.append(x, h))) for gate in (cell.reset_gate, cell.update_gate))
    h = (1 - z) * np.tanh(linear(cell.candidate.body, np.append(x, r * h))) + z * h
    return h, (h,)


def lstm(cell, x, h, c):
    gates = cell.forget_gate, cell.input_gate, cell.candidate, cell.output_gate
    f, i, g, o = (linear(gate.body, np.append(x, h)) for gate in gates)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    u = sigmoid(o) * np.tanh(c)
    return linear(cell.to_output.body, u), (linear(cell.to_hidden.body, u)[: len(h)], c)


RECURRENT = {QRNN: rnn, QGRU: gru, QLSTM: lstm}


@pytest.mark.parametrize("kind", RECURRENT, ids=lambda kind: kind.__name__)
def test_a_recurrent_layer_keeps_its_equations(kind):
    row = made("linear", lambda: kind(2, 3, dtype=torch.float64))
    series = samples(4, 2).double()
    states = tuple(np.zeros(size) for size in row.state_sizes)
    for step, y in zip(series.numpy(), row(series)[0], strict=True):
        expected, states = RECURRENT[kind](row.cells[0], step, *states)
        assert close(y, expected)


@pytest.mark.parametrize("kind", RECURRENT, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("control", ALL)
def test_recurrent_layers_and_packed_sequences(kind, control):
    row = made(control, lambda: kind(2, 3, num_layers=2, dtype=torch.float64))
    long, short = samples(5, 2).double().requires_grad_(), samples(3, 2).double()
    packed, _ = row(pack_sequence([long, short]))
    outputs, lengths = pad_packed_sequence(packed)
    assert lengths.tolist() == [5, 3] and outputs.dtype == torch.float64
    assert close(outputs[:, 0], row(long)[0]) and close(outputs[:3, 1], row(short)[0])
    outputs.sum().backward()
    trained = [parameter for parameter in row.parameters() if parameter.requires_grad]
    assert bool(trained) == (control in (None, "linear", "separable"))
    assert all(tensor.grad is not None for tensor in (long, *trained))


def test_pretrained_weights_stay():
    model = nn.Sequential(nn.Linear(3, 2).requires_grad_(False), nn.Linear(2, 2), QuantumLayer(CIRCUIT))
    row = made(None, model)
    assert torch.equal(row[0].weight, model[0].weight) and not torch.equal(row[1].weight, model[1].weight)


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale, self.layer = nn.Parameter(torch.ones(2)), QuantumLayer(CIRCUIT)


@pytest.mark.parametrize(
    ("source", "kind", "text"),
    [
        (nn.Linear(2, 2), ValueError, "got a model without a qml.QuantumLayer, expected .* Quanvolution2d, QRNN"),
        (lambda: 3, TypeError, "got a function that returns int as a model, expected a torch model or a function"),
        ("model", TypeError, "got str as a model, expected a torch model or a function"),
        (
            Scaled(),
            ValueError,
            "parameter 'scale' cannot be drawn anew .* expected Scaled.reset_parameters: give",
        ),
        (QuantumLayer(Circuit(1, [RX(weights(1)[0], 0)], 0, 1)), ValueError, "got a circuit without features, .* > 0"),
    ],
    ids=["classical", "a function of a number", "text", "no reset", "no features"],
)
def test_what_has_no_controls(source, kind, text):
    with pytest.raises(kind, match=text):
        controls.model(source)


def test_weights_in_three_dimensions():
    layer = QuantumLayer(CIRCUIT)
    layer.weights = nn.Parameter(torch.zeros(2, 2, CIRCUIT.n_weights))
    with pytest.raises(ValueError, match=r"got a QuantumLayer with weights of shape \(2, 2, \d+\), expected"):
        controls.model(lambda: layer)


def test_weights_from_elsewhere():
    text = "got a QuantumLayer called with weights from elsewhere, expected its own"
    with pytest.raises(ValueError, match=text):
        made("linear", lambda: QuantumLayer(CIRCUIT))(samples(3, 2), torch.zeros(CIRCUIT.n_weights))


def test_unknown_control():
    with pytest.raises(ValueError, match="got control='mlp', expected one of removed, linear, separable, frozen"):
        made("mlp")
