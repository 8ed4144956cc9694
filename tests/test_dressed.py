import copy
import math

import dense
import numpy as np
import pytest
import torch
from dense_backend import DenseBackend
from tolerances import close
from torch import nn

from backends import Statevector
from circuits import CRX, CX, RX, RY, RZZ, Circuit, H, Probabilities, inputs, pauli, weights, z_each
from circuits.templates import data_reuploading, qcnn, strongly_entangling, zz_feature_map
from circuits.templates.qcnn import kept_qubits
from hybrid.dressed import CONTROLS, Dressed
from qml import QuantumLayer

x, w = inputs(3), weights(4)
CIRCUIT = Circuit(
    3,
    [[RX(x[q], q) for q in range(3)], CX(0, 1), RY(w[0], 1), RZZ(w[1], 1, 2), CRX(w[2], 2, 0), H(2), RY(w[3], 0)],
    3,
    4,
)
READOUT = (pauli("Z0"), pauli("Z1 Z2"))
ALL = [None, *CONTROLS]


def dressed(control, seed=0, backend=None):
    torch.manual_seed(seed)
    return Dressed(5, 4, CIRCUIT, READOUT, control, backend)


def samples(*batch):
    return torch.tensor(np.random.default_rng(0).normal(size=(*batch, 5)), dtype=torch.float32)


@pytest.mark.parametrize("control", ALL)
@pytest.mark.parametrize("batch", [(), (1,), (7,), (2, 3), (0,)], ids=str)
def test_logits_of_every_sample(control, batch):
    assert dressed(control)(samples(*batch)).shape == (*batch, 4)


def test_it_is_linear_tanh_circuit_linear():
    model = dressed(None).double()
    angles = math.pi / 2 * torch.tanh(samples(3).double() @ model.encoder.weight.T + model.encoder.bias)
    core = [dense.expectation(CIRCUIT, row, model.core.weights.detach(), READOUT) for row in angles.detach().numpy()]
    assert close(model(samples(3).double()), torch.tensor(np.array(core)) @ model.decoder.weight.T + model.decoder.bias)


@pytest.mark.parametrize("control", ALL)
def test_every_control_starts_from_the_same_encoder(control):
    whole, model = dressed(None, seed=3), dressed(control, seed=3)
    assert torch.equal(model.encoder.weight, whole.encoder.weight)
    assert torch.equal(model.encoder.bias, whole.encoder.bias)
    assert not torch.equal(dressed(control, seed=4).encoder.weight, whole.encoder.weight)


@pytest.mark.parametrize("control", ["frozen", "separable"])
def test_controls_with_a_circuit_start_from_the_same_weights(control):
    whole, model = dressed(None).state_dict(), dressed(control).state_dict()
    assert all(torch.equal(whole[name], model[name]) for name in whole if not name.endswith("extra_state"))


@pytest.mark.parametrize("control", ALL)
def test_backend_is_passed_on(control):
    backend = DenseBackend()
    model = dressed(control, backend=backend)
    model(samples(2))
    assert bool(backend.calls) == isinstance(model.core, QuantumLayer)
    assert not isinstance(model.core, QuantumLayer) or dressed(control).core.backend == Statevector()


def trained(model, n_steps=3):
    """The model after a few steps, every step on all parameters that are trained."""
    model, generator = copy.deepcopy(model), torch.Generator().manual_seed(0)
    targets = torch.randint(0, 4, (7,), generator=generator)
    optimizer = torch.optim.Adam(model.parameters(), 0.1)
    for _ in range(n_steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(samples(7)), targets).backward()
        optimizer.step()
    return model


@pytest.mark.parametrize("control", ALL)
def test_what_is_trained_moves_and_what_is_frozen_does_not(control):
    before = dressed(control)
    after = dict(trained(before).named_parameters())
    moved = {name: not torch.equal(value, after[name]) for name, value in before.named_parameters()}
    assert moved == {name: not (control == "frozen" and name == "core.weights") for name in moved}


def test_frozen_weights_are_random_and_not_among_the_trained():
    model = dressed("frozen")
    assert isinstance(model.core, QuantumLayer) and model.core.circuit == CIRCUIT
    assert not any(parameter.requires_grad for parameter in model.core.parameters())
    assert not torch.equal(model.core.weights, dressed("frozen", seed=1).core.weights)


def test_frozen_weights_stay_frozen_on_reset():
    model = dressed("frozen")
    model.core.reset_parameters()
    assert not model.core.weights.requires_grad


def purities(circuit, seed):
    """Purity of the reduced state of every qubit, 1 where it is not entangled with the others."""
    rng = np.random.default_rng(seed)
    psi = dense.state(circuit, rng.uniform(-2, 2, circuit.n_inputs), rng.uniform(-2, 2, circuit.n_weights))
    split = [np.moveaxis(psi.reshape((2,) * circuit.n_qubits), q, 0).reshape(2, -1) for q in range(circuit.n_qubits)]
    return np.array([np.trace(m @ m.conj().T @ m @ m.conj().T).real for m in split])


ENTANGLING = {
    "controlled gates and rotations": CIRCUIT,
    "qcnn": qcnn(4),
    "re-uploading": data_reuploading(3, n_layers=2),
    "feature map and ansatz": zz_feature_map(3) + strongly_entangling(3, n_layers=2),
}


@pytest.mark.parametrize("name", ENTANGLING)
def test_separable_has_no_entanglement(name):
    circuit = ENTANGLING[name]
    model = Dressed(5, 4, circuit, z_each(circuit.n_qubits), "separable")
    assert purities(circuit, 0).min() < 0.99
    for seed in range(3):
        assert close(purities(model.core.circuit, seed), np.ones(circuit.n_qubits))
    assert model.core.weights.shape == (circuit.n_weights,) and model.core.in_features == circuit.n_inputs


def reached(core, n_inputs):
    """Which inputs move any output of a core."""
    angles = torch.linspace(-1, 1, n_inputs)
    return (torch.autograd.functional.jacobian(core, angles).abs() > 1e-4).any(0)


@pytest.mark.parametrize(
    ("circuit", "readout", "n_outputs"),
    [
        (qcnn(8, 4), [pauli(f"Z{q}") for q in kept_qubits(8, 4)], 8),
        (qcnn(5), [pauli("Z0")], 5),
        (data_reuploading(3, n_layers=2, scaling=False), z_each(3), 3),
        (data_reuploading(3, n_layers=2, scaling=False), [pauli("Z0") + pauli("X2")], 2),
        (data_reuploading(3, n_layers=2, scaling=False), "Z0 Z1 Z2", 1),
        (data_reuploading(3, n_layers=2, scaling=False), Probabilities((2,)), 3),
        (data_reuploading(3, n_layers=2, scaling=False), Probabilities((0, 2, 1)), 8),
    ],
)
def test_separable_loses_no_feature(circuit, readout, n_outputs):
    torch.manual_seed(0)
    model = Dressed(5, 4, circuit, readout, "separable")
    assert model.core.out_features == model.decoder.in_features == n_outputs
    assert reached(model.core, circuit.n_inputs).all()


def test_what_the_hybrid_reads_is_read_in_the_separable_control_first():
    model = Dressed(5, 4, qcnn(4, 2), [pauli("X0"), pauli("Z2")], "separable")
    assert model.core.observables == (pauli("X0"), pauli("Z2"), pauli("Z1"), pauli("Z3"))


@pytest.mark.parametrize("control", ALL)
@pytest.mark.parametrize("readout", ["Z0 Z1", pauli("X0"), Probabilities((0, 1))])
def test_a_readout_of_any_kind(control, readout):
    assert Dressed(5, 4, CIRCUIT, readout, control)(samples(7)).shape == (7, 4)


def test_linear_is_a_linear_layer_and_tanh_of_the_circuit_s_width():
    core = dressed("linear").core
    assert [type(part) for part in core] == [nn.Linear, nn.Tanh]
    assert (core[0].in_features, core[0].out_features) == (CIRCUIT.n_inputs, len(READOUT))


def test_removed_leaves_two_linear_layers():
    model = dressed("removed")
    assert isinstance(model.core, nn.Identity) and model.decoder.in_features == CIRCUIT.n_inputs
    found = model(samples(3))
    assert close(found, model.decoder(math.pi / 2 * model.encoder(samples(3)).tanh()), 1e-6)


@pytest.mark.parametrize("control", ["removed", "linear"])
def test_controls_without_a_circuit_have_no_quantum_layer(control):
    assert not any(isinstance(module, QuantumLayer) for module in dressed(control).modules())


def test_unknown_control():
    text = "got control='entangled', expected one of removed, linear, separable, frozen or None"
    with pytest.raises(ValueError, match=text):
        dressed("entangled")
