import math
import sys
from functools import partial

import dense
import numpy as np
import pytest
import torch
from dense_backend import DenseBackend
from tolerances import atol, close
from torch import nn
from torch.func import functional_call, grad, hessian, jacrev, stack_module_state, vmap

from backends import Statevector
from circuits import CX, RX, RY, Circuit, Probabilities, inputs, pauli, weights
from qml import QuantumLayer, init

x, w = inputs(2), weights(3)
CIRCUIT = Circuit(2, [RX(x[0], 0), RY(x[1] * w[2], 1), CX(0, 1), RY(w[0], 0), RX(w[1], 1)], 2, 3)
READOUT = ("Z0", 0.5 * pauli("X0 Z1") + pauli("Y1"))

gradients = pytest.mark.parametrize("gradient", ["adjoint", "backprop"])

# torch.func loads decompositions that torch itself still compiles in the old way.
torch_func = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")


def double_layer(gradient="adjoint"):
    torch.manual_seed(0)
    return QuantumLayer(CIRCUIT, READOUT, Statevector(gradient), dtype=torch.float64)


def features(*batch):
    return torch.tensor(np.random.default_rng(0).uniform(-2, 2, (*batch, 2)))


# Making one.


def test_defaults():
    layer = QuantumLayer(CIRCUIT)
    assert layer.backend == Statevector() and layer.observables == (pauli("Z0"), pauli("Z1"))
    assert (layer.in_features, layer.out_features) == (2, 2)
    assert isinstance(layer.weights, nn.Parameter) and layer.weights.shape == (3,)
    assert [name for name, _ in layer.named_parameters()] == ["weights"]


@pytest.mark.parametrize(
    "observables, readout, width",
    [
        ("Z0 Z1", "expectation", 1),
        (pauli("Z0") + pauli("X1"), "expectation", 1),
        (["Z0", pauli("X1"), "Y0"], "expectation", 3),
        (None, "probabilities", 4),
        (Probabilities((1,)), "probabilities", 2),
        (Probabilities((1, 0)), "expectation", 4),
    ],
)
def test_readouts(observables, readout, width):
    layer = QuantumLayer(CIRCUIT, observables, readout=readout)
    assert layer.out_features == width and layer(torch.zeros(5, 2)).shape == (5, width)


def test_probabilities_of_all_qubits_lead_with_qubit_0():
    layer = QuantumLayer(CIRCUIT, readout="probabilities", dtype=torch.float64)
    want = dense.probabilities(CIRCUIT, [0.3, 0.7], layer.weights.detach(), (0, 1))
    assert close(layer(torch.tensor([0.3, 0.7], dtype=torch.float64)), want)


def test_weights_are_drawn_from_the_whole_circle():
    layer = QuantumLayer(Circuit(1, [], n_weights=4000))
    assert 0 <= layer.weights.min() < 0.05 and 2 * math.pi - 0.05 < layer.weights.max() <= 2 * math.pi


def test_reset_parameters_draws_again_and_keeps_the_parameter():
    layer = QuantumLayer(CIRCUIT)
    parameter, before = layer.weights, layer.weights.detach().clone()
    layer.reset_parameters()
    assert layer.weights is parameter and not torch.equal(parameter, before) and parameter.requires_grad


def test_init_of_ones_choice():
    assert QuantumLayer(CIRCUIT, init=partial(nn.init.constant_, val=0.5)).weights.tolist() == [0.5] * 3
    many = QuantumLayer(Circuit(1, [], n_weights=4000), init=init.normal_).weights
    assert abs(many.mean()) < 0.01 and abs(many.std() - 0.1) < 0.01


def test_dtype_and_device():
    layer = QuantumLayer(CIRCUIT, dtype=torch.float64, device="cpu")
    assert layer.weights.dtype == torch.float64 and layer.weights.device.type == "cpu"
    assert QuantumLayer(CIRCUIT, device="meta").weights.is_meta


def test_dtype_follows_torch_s_default():
    torch.set_default_dtype(torch.float64)
    try:
        assert QuantumLayer(CIRCUIT).weights.dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_no_weights():
    layer = QuantumLayer(Circuit(1, [RX(x[0], 0)], 1))
    assert layer.weights.shape == (0,) and close(layer(torch.zeros(2, 1)), torch.ones(2, 1))


def test_printed():
    sizes = "in_features=2, out_features=2, n_qubits=2, n_weights=3"
    assert repr(QuantumLayer(CIRCUIT)) == f"QuantumLayer({sizes}, backend=Statevector(gradient='adjoint'))"


def test_shown_in_a_notebook():
    pytest.importorskip("qiskit")
    page = QuantumLayer(CIRCUIT)._repr_html_()
    assert page.startswith("<pre") and "in_features=2" in page and "q_1" in page


def test_shown_in_a_notebook_without_qiskit(monkeypatch):
    monkeypatch.setitem(sys.modules, "qiskit.circuit", None)
    monkeypatch.delitem(sys.modules, "backends.qiskit_convert", raising=False)
    page = QuantumLayer(CIRCUIT)._repr_html_()
    assert page.startswith("<pre") and "in_features=2" in page and "q_1" not in page


@pytest.mark.parametrize("init", [torch.zeros_like, lambda w: torch.zeros(w.shape), lambda w: None])
def test_an_init_that_fills_nothing(init):
    with pytest.raises(ValueError, match="got an init that leaves weights unset, expected one that fills in place"):
        QuantumLayer(CIRCUIT, init=init)


@pytest.mark.parametrize("dtype", [torch.float16, torch.complex64, torch.int64])
def test_weights_of_another_dtype(dtype):
    with pytest.raises(
        TypeError, match=f"got dtype={dtype} for a quantum layer, expected torch.float32 or torch.float"
    ):
        QuantumLayer(CIRCUIT, dtype=dtype)


def test_between_layers_under_autocast():
    model = nn.Sequential(nn.Linear(2, 2), QuantumLayer(CIRCUIT))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half, values = model[0](torch.ones(3, 2)), model(torch.ones(3, 2))
    assert half.dtype == torch.bfloat16 and values.dtype == torch.float32
    assert torch.equal(values, model[1](half.float()))


def test_weights_written_by_hand_are_loaded():
    layer, weights = QuantumLayer(CIRCUIT), torch.linspace(0, 1, CIRCUIT.n_weights)
    nn.Sequential(layer).load_state_dict({"0.weights": weights})
    assert torch.equal(layer.weights, weights)


def test_a_foreign_extra_state():
    layer = QuantumLayer(CIRCUIT)
    with pytest.raises(ValueError, match="got a checkpoint of circuit 'mine', expected one of circuit"):
        layer.load_state_dict({"weights": layer.weights, "_extra_state": "mine"})


def test_first_run_under_another_default_device():
    circuit = Circuit(1, [RX(0.4242 * inputs(1)[0], 0)], n_inputs=1)
    layer, x = QuantumLayer(circuit), torch.ones(1, 1)
    torch.set_default_device("meta")
    try:
        value = layer(x)
    finally:
        torch.set_default_device(None)
    assert value.item() == pytest.approx(math.cos(0.4242), abs=1e-6)


# Refusals.


def test_no_inputs_where_there_are_features():
    with pytest.raises(ValueError, match=r"got no inputs, expected a tensor of shape \(\*, 2\): one row per sample"):
        QuantumLayer(CIRCUIT)()


def test_circuit_of_another_library():
    qiskit = pytest.importorskip("qiskit")
    text = "got QuantumCircuit as a circuit, expected circuits.Circuit: convert with backends.from_qiskit"
    with pytest.raises(TypeError, match=text):
        QuantumLayer(qiskit.QuantumCircuit(2))


@pytest.mark.parametrize("wrong, name", [(None, "NoneType"), (lambda x, w: None, "function"), ("qcnn", "str")])
def test_something_else_as_a_circuit(wrong, name):
    with pytest.raises(TypeError, match=f"got {name} as a circuit, expected circuits.Circuit"):
        QuantumLayer(wrong)


@pytest.mark.parametrize("wrong, name", [("statevector", "str"), (Statevector, "type"), (nn.Linear(2, 2), "Linear")])
def test_something_else_as_a_backend(wrong, name):
    with pytest.raises(TypeError, match=rf"got {name} as a backend, expected one of .*backends.get\('statevector'\)"):
        QuantumLayer(CIRCUIT, backend=wrong)


def test_a_refused_backend_changes_nothing():
    layer = QuantumLayer(CIRCUIT)
    with pytest.raises(ValueError, match="got a circuit of 2 qubits, expected at most 1 on DenseBackend"):
        layer.to_backend(DenseBackend(max_qubits=1))
    assert layer.backend == Statevector()


def test_unknown_readout():
    with pytest.raises(ValueError, match="got readout='state', expected 'expectation' or 'probabilities'"):
        QuantumLayer(CIRCUIT, readout="state")


def test_observables_with_probabilities():
    with pytest.raises(TypeError, match="got observables='Z0' with readout='probabilities', expected Probab"):
        QuantumLayer(CIRCUIT, "Z0", readout="probabilities")


@pytest.mark.parametrize("wrong", [[], ()])
def test_no_observables(wrong):
    with pytest.raises(ValueError, match=r"got no observables, expected at least one: z_each\(n_qubits\)"):
        QuantumLayer(CIRCUIT, wrong)


@pytest.mark.parametrize(
    "wrong, name", [(["Z0", 3], "int"), (np.eye(2), "ndarray"), ([Probabilities((0,))], "Probabilities")]
)
def test_something_else_as_an_observable(wrong, name):
    with pytest.raises(TypeError, match=rf"got {name} as an observable, expected pauli\('Z0 X2'\)"):
        QuantumLayer(CIRCUIT, wrong)


def test_a_misspelt_observable():
    with pytest.raises(ValueError, match="got the Pauli word 'ZZ', expected letters with qubit numbers"):
        QuantumLayer(CIRCUIT, "ZZ")


# torch.func, on the backend that is differentiable in torch.


@torch_func
@gradients
def test_vmap(gradient):
    layer, samples = double_layer(gradient), features(3, 4)
    assert close(vmap(layer)(samples[0]), layer(samples[0]), atol(torch.float64))
    assert close(vmap(vmap(layer))(samples), layer(samples), atol(torch.float64))
    assert close(vmap(layer, in_dims=1, out_dims=1)(samples), layer(samples), atol(torch.float64))


@torch_func
@gradients
def test_jacobians(gradient):
    layer, samples = double_layer(gradient), features(3)
    want = torch.stack([torch.autograd.functional.jacobian(layer, sample) for sample in samples])
    assert close(vmap(jacrev(layer))(samples), want)
    assert close(torch.autograd.functional.jacobian(layer, samples[0], vectorize=True), want[0])


@torch_func
@gradients
def test_second_derivatives(gradient):
    layer, sample = double_layer(gradient), features()
    want = torch.stack([torch.autograd.functional.hessian(lambda s, o=o: layer(s)[o], sample) for o in (0, 1)])
    assert want.abs().max() > 0.1
    assert close(jacrev(jacrev(layer))(sample), want)
    assert close(vmap(jacrev(jacrev(layer)))(features(2))[0], jacrev(jacrev(layer))(features(2)[0]))


@torch_func
@gradients
def test_forward_mode(gradient):
    layer, sample = double_layer(gradient), features()
    assert close(torch.func.jacfwd(layer)(sample), jacrev(layer)(sample))
    assert close(hessian(layer)(sample), jacrev(jacrev(layer))(sample))


@torch_func
@gradients
def test_a_circuit_first_run_inside_a_transform(gradient):
    circuit = Circuit(1, [RX(np.sin(0.1234 * inputs(1)[0]), 0)], n_inputs=1)
    layer, sample = QuantumLayer(circuit, "Y0", Statevector(gradient)), torch.tensor([0.7], dtype=torch.float64)
    layer.double()
    want = -0.1234 * torch.cos(0.1234 * sample) * torch.cos(torch.sin(0.1234 * sample))
    assert close(torch.func.jacfwd(layer)(sample)[0], want)  # what it keeps must not belong to this transform
    assert close(vmap(torch.func.jacfwd(layer))(sample[None])[0, 0], want)
    assert close(jacrev(layer)(sample)[0], want)


@torch_func
def test_vmap_of_a_backend_outside_of_torch():
    layer = QuantumLayer(Circuit(1, [RX(inputs(1)[0], 0)], n_inputs=1), backend=DenseBackend())
    with pytest.raises(TypeError, match=r"got a call inside torch.vmap, .* give the layer the whole batch"):
        vmap(layer)(torch.zeros(2, 1))


@torch_func
@gradients
def test_functional_call_and_gradients_per_sample(gradient):
    layer, samples = double_layer(gradient), features(3)
    parameters = {name: value.detach() for name, value in layer.named_parameters()}

    def loss(parameters, sample):
        return functional_call(layer, parameters, (sample,)).square().sum()

    each = vmap(grad(loss), in_dims=(None, 0))(parameters, samples)["weights"]
    for sample, found in zip(samples, each, strict=True):
        assert close(found, torch.autograd.grad(layer(sample).square().sum(), layer.weights)[0])


@torch_func
@gradients
def test_an_ensemble(gradient):
    layers, samples = [double_layer(gradient) for _ in range(3)], features(4)
    for layer in layers:
        layer.reset_parameters()
    parameters, buffers = stack_module_state(layers)

    def call(parameters, buffers):
        return functional_call(layers[0], (parameters, buffers), (samples,))

    found = vmap(call)(parameters, buffers)
    assert close(found, torch.stack([layer(samples) for layer in layers]), atol(torch.float64))
    assert not close(found[0], found[1], 0.01)


# Around it.


def test_a_network_that_programmes_the_circuit_for_every_sample():
    layer, network, samples = double_layer(), nn.Linear(2, 3).double(), features(5)
    layer(samples, network(samples)).sum().backward()
    assert network.weight.grad.abs().min() > 0 and layer.weights.grad is None


def test_a_penalty_on_the_gradient_trains():
    layer, samples = double_layer(), features(5).requires_grad_()
    (slopes,) = torch.autograd.grad(layer(samples).sum(), samples, create_graph=True)
    slopes.square().sum().backward()
    assert layer.weights.grad.abs().min() > 0


def test_checkpointing_recomputes_the_same():
    layer, samples = double_layer(), features(5).requires_grad_()
    want = torch.autograd.grad(layer(samples).sum(), samples)[0]
    value = torch.utils.checkpoint.checkpoint(layer, samples, use_reentrant=False)
    assert torch.equal(torch.autograd.grad(value.sum(), samples)[0], want)


def gradients_of(model, samples):
    model(samples).square().mean().backward()
    return [parameter.grad for parameter in model.parameters()]


def train_replica(rank, folder, model, samples):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    replica = nn.parallel.DistributedDataParallel(model)
    torch.save(gradients_of(replica, samples[rank::2]), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_replicas_have_the_gradient_of_the_whole_batch(tmp_path):
    model, samples = nn.Sequential(nn.Linear(2, 2).double(), double_layer()), features(6)
    torch.multiprocessing.spawn(train_replica, (tmp_path, model, samples), nprocs=2)
    want = gradients_of(model, samples)
    for rank in (0, 1):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert all(close(a, b) and b.abs().max() > 0 for a, b in zip(found, want, strict=True))


def test_a_layer_that_only_predicts_measures_nothing_for_a_gradient():
    layer = QuantumLayer(CIRCUIT, backend=DenseBackend(together=True))
    layer.eval()(torch.zeros(3, layer.in_features))
    layer.train()(torch.zeros(3, layer.in_features))
    first, second = layer.backend.calls
    assert first == 3 < second and layer.last_stderr is None
