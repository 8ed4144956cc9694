import inspect
import pickle
import pkgutil
import resource
from contextlib import nullcontext

import dense
import numpy as np
import pytest
import torch
from dense_backend import DenseBackend, read_out
from hypothesis import given
from hypothesis import strategies as st
from problems import PROBLEMS
from reference_states import pennylane_state, qiskit_state
from strategies import QUICK, haar_unitary, random_circuits
from tolerances import atol, close
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from backends import Backend, Statevector
from backends.statevector.adjoint import readouts
from backends.statevector.torch_ops import COMPLEX
from circuits import (
    CX,
    CZ,
    RX,
    RY,
    RZ,
    Circuit,
    H,
    PauliRot,
    Probabilities,
    amplitudes,
    inputs,
    pauli,
    templates,
    unitary,
    weights,
    z_each,
)
from circuits.gates import TABLE

GRADIENTS = ("adjoint", "backprop")
NO_WEIGHTS = torch.zeros(0, dtype=torch.float64)


def tensors(circuit, seed, *batch, dtype=torch.float64):
    """Features (*batch, n_inputs) and weights (n_weights,)."""
    rng = np.random.default_rng(seed)
    x, w = rng.uniform(-2, 2, (*batch, circuit.n_inputs)), rng.uniform(-2, 2, circuit.n_weights)
    return torch.tensor(x, dtype=dtype), torch.tensor(w, dtype=dtype)


def scramble(n, seed):
    """Fixed gates that leave no amplitude zero and no symmetry."""
    turns = iter(np.random.default_rng(seed).uniform(0.3, 2.8, 2 * n))
    return [[RY(next(turns), q), RZ(next(turns), q)] for q in range(n)] + [CX(q, q + 1) for q in range(n - 1)]


def words_of(circuit, seed, n_terms=3):
    """A random sum of Pauli words, and one word."""
    rng = np.random.default_rng(seed)
    letters = rng.choice(list("IXYZ"), (n_terms + 1, circuit.n_qubits))
    words = [pauli(" ".join(f"{p}{q}" for q, p in enumerate(row))) for row in letters]
    return sum(rng.normal() * word for word in words[1:]), words[0]


# States: every gate, every template, random circuits; against matrices, PennyLane and Qiskit.

x, w = inputs(4), weights(2)
QUBITS = (2, 0, 3)

OPS = {
    **{name: gate(*[w[0]] * gate.n_angles, *QUBITS[: gate.n_qubits]) for name, gate in TABLE.items()},
    "PauliRot Y": PauliRot(w[0], "Y", 2),
    "PauliRot XY": PauliRot(w[0], "XY", 3, 1),
    "PauliRot ZIX": PauliRot(w[0], "ZIX", 3, 2, 0),
    "PauliRot YXZY": PauliRot(w[0], "YXZY", 2, 0, 1, 3),
    "unitary on 1": unitary(haar_unitary(1, 0), 2),
    "unitary on 2": unitary(haar_unitary(2, 0), 3, 1),
    "unitary on 3": unitary(haar_unitary(3, 0), 3, 0, 2),
}


def check_state(circuit, seed, references=(dense.state, pennylane_state, qiskit_state)):
    x, w = tensors(circuit, seed)
    found = Statevector().state(circuit, x, w)
    for reference in references:
        assert close(found, reference(circuit, x.numpy(), w.numpy())), reference.__name__


@pytest.mark.parametrize("name", OPS)
def test_every_gate(name):
    pytest.importorskip("pennylane")
    pytest.importorskip("qiskit")
    check_state(Circuit(4, [scramble(4, 1), OPS[name], scramble(4, 2)], n_weights=1), seed=0)


@pytest.mark.parametrize("name", sorted(m.name for m in pkgutil.iter_modules(templates.__path__) if m.name[0] != "_"))
def test_every_template(name):
    pytest.importorskip("pennylane")
    pytest.importorskip("qiskit")
    template = getattr(templates, name)
    parameters = inspect.signature(template).parameters
    sizes = {"n_layers": 2} if "n_layers" in parameters else {}
    if "n_features" in parameters and parameters["n_features"].default is inspect.Parameter.empty:
        sizes["n_features"] = 16
    check_state(template(4, **sizes), seed=0)


@pytest.mark.parametrize("reference", [dense.state, pennylane_state, qiskit_state])
def test_random_circuits(reference):
    if reference is not dense.state:
        pytest.importorskip(reference.__name__.removesuffix("_state"))

    @QUICK
    @given(random_circuits(with_amplitudes=True), st.integers(0, 99))
    def check(circuit, seed):
        check_state(circuit, seed, [reference])

    check()


@pytest.mark.parametrize("name", ["CRX", "RZZ", "ISWAP", "PauliRot YXZY", "unitary on 3"])
def test_single_precision(name):
    circuit = Circuit(4, [scramble(4, 1), OPS[name], scramble(4, 2)], n_weights=1)
    x, w = tensors(circuit, 0, dtype=torch.float32)
    found = Statevector().state(circuit, x, w)
    assert found.dtype == torch.complex64
    assert close(found, dense.state(circuit, x.numpy(), w.numpy()), atol(torch.float32))


# Readouts.


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
def test_closed_forms(problem, gradient):
    x, w = problem.sample(0, 2, 3)
    found = Statevector(gradient).expectation(problem.circuit, torch.tensor(x), torch.tensor(w), problem.readout)
    assert close(found, problem.answer(x, w), atol(torch.float64))


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
def test_closed_forms_with_weights_of_every_sample(problem):
    x, _ = problem.sample(0, 3, 1)
    w = np.random.default_rng(1).normal(size=(2, problem.circuit.n_weights))
    found = Statevector().expectation(problem.circuit, torch.tensor(x), torch.tensor(w), problem.readout)
    assert close(found, problem.answer(x, w), atol(torch.float64))


@QUICK
@given(random_circuits(with_amplitudes=True, max_ops=5), st.integers(0, 99))
def test_sums_of_words(circuit, seed):
    x, w = tensors(circuit, seed)
    observables = (*words_of(circuit, seed), 0.5 * pauli("") - 2 * pauli("Z0"))
    found = Statevector().expectation(circuit, x, w, observables)
    assert close(found, dense.expectation(circuit, x.numpy(), w.numpy(), observables))


@pytest.mark.parametrize("qubits", [(0,), (3,), (1, 2), (2, 1), (3, 0, 2), (0, 1, 2, 3), (3, 1, 0, 2)])
def test_probabilities(qubits):
    circuit = Circuit(4, [scramble(4, 1), OPS["unitary on 3"], OPS["CRX"]], n_weights=1)
    x, w = tensors(circuit, 0, 2)
    found = Statevector().expectation(circuit, x, w, Probabilities(qubits))
    assert close(found, [dense.probabilities(circuit, [], w.numpy(), qubits)] * 2)
    assert close(found.sum(-1), [1.0, 1.0])


# Batches.


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_batch_equals_loop(gradient):
    @QUICK
    @given(random_circuits(with_amplitudes=True), st.integers(0, 99))
    def check(circuit, seed):
        (x, w), readout = tensors(circuit, seed, 3), words_of(circuit, seed)
        backend = Statevector(gradient)
        each = [backend.expectation(circuit, row, w, readout) for row in x]
        assert close(backend.expectation(circuit, x, w, readout), torch.stack(each), atol(torch.float64))

    check()


@QUICK
@given(random_circuits(with_amplitudes=True), st.integers(0, 99))
def test_weights_of_every_sample_equal_a_loop(circuit, seed):
    (x, _), readout = tensors(circuit, seed, 3), words_of(circuit, seed)
    w = tensors(Circuit(1, [], n_inputs=circuit.n_weights), seed + 1, 3)[0]
    each = [Statevector().expectation(circuit, *row, readout) for row in zip(x, w, strict=True)]
    assert close(Statevector().expectation(circuit, x, w, readout), torch.stack(each), atol(torch.float64))


CIRCUIT = Circuit(3, [scramble(3, 0), RX(x[0], 0), RY(w[0] * x[1], 1), CX(0, 1), CZ(1, 2), RZ(w[1], 1), H(1)], 2, 2)


@pytest.mark.parametrize(
    "x_shape, w_shape, shape",
    [
        ((2,), (2,), ()),
        ((5, 2), (2,), (5,)),
        ((2,), (5, 2), (5,)),
        ((5, 1, 2), (4, 2), (5, 4)),
        ((0, 2), (2,), (0,)),
        ((3, 0, 2), (2,), (3, 0)),
        ((1, 2), (0, 2), (0,)),
    ],
)
def test_leading_dimensions_broadcast(x_shape, w_shape, shape):
    x, w = torch.zeros(x_shape), torch.zeros(w_shape)
    assert Statevector().expectation(CIRCUIT, x, w, z_each(2)).shape == (*shape, 2)
    assert Statevector().state(CIRCUIT, x, w).shape == (*shape, 8)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_an_empty_batch_has_gradients_of_zero(gradient):
    x, w = torch.zeros(0, 2, requires_grad=True), torch.ones(2, requires_grad=True)
    Statevector(gradient).expectation(CIRCUIT, x, w, z_each(2)).sum().backward()
    assert x.grad.shape == (0, 2) and close(w.grad, torch.zeros(2))


def test_no_inputs():
    circuit = Circuit(1, [RX(w[0], 0)], n_weights=2)
    found = Statevector().expectation(circuit, None, torch.tensor([[0.3, 0.0], [0.5, 0.0]]), z_each(1))
    assert close(found, torch.tensor([[0.3], [0.5]]).cos(), atol(torch.float32))


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("ops", [[], [H(0)], [amplitudes([x[0], 0.5], 1)]], ids=["nothing", "no angle", "start state"])
def test_circuits_with_nothing_to_train(ops, gradient):
    circuit, features = Circuit(2, ops, n_inputs=2), torch.tensor([[0.6, 0.8]], dtype=torch.float64)
    features.requires_grad_()
    found = Statevector(gradient).expectation(circuit, features, NO_WEIGHTS, z_each(2))
    assert close(found, [dense.expectation(circuit, [0.6, 0.8], [], z_each(2))])
    if any(angle.constant is None for angle in circuit.angles):
        found.sum().backward()
        assert features.grad.abs().max() > 0.1
    elif found.requires_grad:
        found.sum().backward()
        assert not features.grad.any()


# Gradients.


def jacobian(backend, circuit, x, w, readout):
    return torch.autograd.functional.jacobian(lambda a, b: backend.expectation(circuit, a, b, readout), (x, w))


@QUICK
@given(random_circuits(n_qubits=(1, 3), max_ops=5), st.integers(0, 99))
def test_adjoint_is_backprop_is_parameter_shift(circuit, seed):
    (x, w), readout = tensors(circuit, seed, 2), words_of(circuit, seed)
    found = [jacobian(b, circuit, x, w, readout) for b in (Statevector(), Statevector("backprop"), DenseBackend())]
    scale = max([1.0, *(t.abs().max().item() for t in found[1] if t.numel())])
    assert all(close(a, b, 1e-10 * scale) for other in found[1:] for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize(
    "readout", [(*words_of(CIRCUIT, 0), pauli("Z0")), Probabilities((2, 0))], ids=["words", "probs"]
)
def test_first_and_second_derivatives(gradient, readout):
    def function(x, w):
        return Statevector(gradient).expectation(CIRCUIT, x, w, readout)

    x, w = (t.requires_grad_() for t in tensors(CIRCUIT, 0, 2))
    assert torch.autograd.gradcheck(function, (x, w))
    assert torch.autograd.gradgradcheck(function, (x, w))
    w = tensors(CIRCUIT, 1, 2)[0].requires_grad_()
    assert torch.autograd.gradcheck(function, (x, w))
    assert torch.autograd.gradgradcheck(function, (x, w))


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_derivatives_of_a_start_state_by_its_amplitudes(gradient):
    circuit = Circuit(3, [amplitudes(x, 2, 0), RY(w[0], 1), CX(0, 1), RX(w[1], 2)], 4, 2)

    def function(x, w):
        return Statevector(gradient).expectation(circuit, x, w, (*words_of(circuit, 3), pauli("Z2")))

    features, angles = (t.requires_grad_() for t in tensors(circuit, 0, 2))
    assert torch.autograd.gradcheck(function, (features, angles))
    assert torch.autograd.gradgradcheck(function, (features, angles))


def test_derivatives_of_two_start_states():
    circuit = Circuit(2, [amplitudes(x[:2], 1), amplitudes(x[2:], 0), RY(w[0], 1), CX(1, 0)], 4, 1)
    features, angles = (t.requires_grad_() for t in tensors(circuit, 0, 2))

    def function(x, w):
        return Statevector().expectation(circuit, x, w, z_each(2))

    assert torch.autograd.gradcheck(function, (features, angles))


def test_third_derivative():
    angle = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    value = Statevector().expectation(Circuit(1, [RX(x[0], 0)], 1), angle, NO_WEIGHTS, z_each(1)).sum()
    for wanted in (-np.sin(0.3), -np.cos(0.3), np.sin(0.3)):
        (value,) = torch.autograd.grad(value.sum(), angle, create_graph=True)
        assert close(value, [wanted])


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_state_is_differentiable(gradient):
    def function(x, w):
        return torch.view_as_real(Statevector(gradient).state(CIRCUIT, x, w))

    assert torch.autograd.gradcheck(function, tuple(t.requires_grad_() for t in tensors(CIRCUIT, 0, 2)))


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_single_precision_gradients(gradient):
    x, w = tensors(CIRCUIT, 0, 3)
    single = jacobian(Statevector(gradient), CIRCUIT, x.float(), w.float(), z_each(3))
    double = jacobian(Statevector(gradient), CIRCUIT, x, w, z_each(3))
    assert all(a.dtype == torch.float32 and close(a, b, 1e-5) for a, b in zip(single, double, strict=True))


def saved_states(gradient, n_layers):
    """How many tensors of the size of the states torch keeps for the backward pass."""
    layer = [[RY(w[0], q), RX(x[0], q)] for q in range(7)], [CX(q, q + 1) for q in range(6)]
    circuit, kept = Circuit(7, [layer] * n_layers, 1, 1), set()

    def keep(tensor):
        if tensor.numel() == 3 * 2**7:
            kept.add(tensor.untyped_storage().data_ptr())
        return tensor

    features, angles = (t.requires_grad_() for t in tensors(circuit, 0, 3))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        Statevector(gradient).expectation(circuit, features, angles, (pauli("Z5"),))
    return len(kept)


def test_adjoint_keeps_no_more_states_of_a_deeper_circuit():
    assert saved_states("adjoint", 2) == saved_states("adjoint", 12) <= 3
    assert saved_states("backprop", 12) > saved_states("backprop", 2) > 3


# Borders.


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_nan_in_a_sample_is_nan_in_its_row_alone(gradient):
    x, w = tensors(CIRCUIT, 0, 3)
    want = Statevector(gradient).expectation(CIRCUIT, x, w, z_each(3))
    x[1, 0] = torch.nan
    found = Statevector(gradient).expectation(CIRCUIT, x.requires_grad_(), w, z_each(3))
    assert found[1].isnan().all() and close(found[[0, 2]], want[[0, 2]], atol(torch.float64))
    found.sum().backward()
    assert x.grad[1].isnan().all() and x.grad[[0, 2]].isfinite().all()


def test_amplitudes_of_zero_norm_are_nan():
    circuit = Circuit(1, [amplitudes(x[:2], 0)], 2)
    found = Statevector().expectation(circuit, torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torch.zeros(0), z_each(1))
    assert found[0].isnan() and found[1] == 1


def test_too_large_a_batch_is_refused_before_anything_is_allocated():
    circuit, before = Circuit(30, [H(q) for q in range(30)], n_inputs=1), resource.getrusage(resource.RUSAGE_SELF)
    wanted = r"got 4096 samples of 30 qubits, which need [\d,]{14,} bytes, expected at most [\d,]+: use a smaller batch"
    with pytest.raises(MemoryError, match=wanted):
        Statevector().expectation(circuit, torch.zeros(4096, 1), torch.zeros(0), z_each(30))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before.ru_maxrss + 2**17


def test_trained_after_a_first_call_in_inference_mode():
    circuit = Circuit(2, [RX(x[0], 0), CX(0, 1), RY(0.8125, 1)], 1)
    features = torch.tensor([[0.3]], requires_grad=True)
    with torch.inference_mode():
        Statevector().expectation(circuit, features, torch.zeros(0), (pauli("X0 X1"), pauli("Z1")))
    Statevector().expectation(circuit, features, torch.zeros(0), (pauli("X0 X1"), pauli("Z1"))).sum().backward()
    assert features.grad.isfinite().all()


def test_autocast_leaves_the_precision_alone():
    x, w = tensors(CIRCUIT, 0, 3, dtype=torch.float32)
    want = Statevector().expectation(CIRCUIT, x, w, z_each(3))
    with torch.autocast("cpu", torch.bfloat16):
        found = Statevector().expectation(CIRCUIT, x, w, z_each(3))
    assert found.dtype == torch.float32 and close(found, want, 0)


def test_unknown_gradient():
    with pytest.raises(ValueError, match="got gradient='shift', expected 'adjoint' or 'backprop'"):
        Statevector("shift")


def test_it_is_a_backend_and_plain_data():
    backend = Statevector("backprop")
    assert isinstance(backend, Backend) and backend.capabilities.exact and backend.capabilities.gradient == "backprop"
    assert pickle.loads(pickle.dumps(backend)) == backend == eval(repr(backend))


def test_oracle_backend_agrees_with_the_oracle():
    x, w = tensors(CIRCUIT, 0)
    want = [read_out(CIRCUIT, x.numpy(), z_each(3), w.numpy())]
    assert close(DenseBackend().expectation(CIRCUIT, x[None], w, z_each(3)), want)


class Operations(TorchDispatchMode):
    """Counts what torch runs, and keeps the devices and dtypes of the results."""

    def __init__(self):
        super().__init__()
        self.count, self.devices, self.dtypes = 0, set(), set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.count += 1
        for t in pytree.tree_leaves(result):
            if isinstance(t, torch.Tensor):
                self.devices.add(t.device.type)
                self.dtypes.add(t.dtype)
        return result


def operations(gradient, batch, dtype, device):
    """What a training step of torch operations runs."""
    readout = (*words_of(CIRCUIT, 0), pauli("Z0"))
    shapes = (batch, CIRCUIT.n_inputs), (CIRCUIT.n_weights,)
    x, w = (torch.ones(shape, dtype=dtype, device=device, requires_grad=True) for shape in shapes)
    readouts(CIRCUIT, readout, gradient, x, w)  # constants go to the device once
    with Operations() as found:
        readouts(CIRCUIT, readout, gradient, x, w).sum().backward()
    assert x.grad.device.type == w.grad.device.type == device and x.grad.dtype == w.grad.dtype == dtype
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gradient", GRADIENTS)
def test_torch_operations_stay_on_the_device_and_in_the_dtype_of_their_tensors(gradient, dtype, monkeypatch):
    """On tensors without numbers, where every look at one from Python, and every other device, is an error."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # knows no such device
    found = operations(gradient, 5, dtype, "meta")
    assert found.devices == {"meta"} and found.dtypes <= {dtype, COMPLEX[dtype], torch.bool, torch.int64}


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_torch_operations_take_the_whole_batch_at_once(gradient):
    few, many = (operations(gradient, batch, torch.float32, "cpu").count for batch in (2, 200))
    assert few == many


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("gradient", GRADIENTS)
def test_on_a_gpu(gradient):
    readout = (*words_of(CIRCUIT, 0), pauli("Z0"))
    x, w = tensors(CIRCUIT, 0, 5)
    there = Statevector(gradient).expectation(CIRCUIT, x.cuda(), w.cuda(), readout)
    assert there.is_cuda and close(there.cpu(), Statevector().expectation(CIRCUIT, x, w, readout))
    for a, b in zip(
        jacobian(Statevector(gradient), CIRCUIT, x.cuda(), w.cuda(), readout),
        jacobian(Statevector(), CIRCUIT, x, w, readout),
        strict=True,
    ):
        assert close(a.cpu(), b)
