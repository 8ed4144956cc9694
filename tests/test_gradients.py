import copy
import itertools
import pickle

import numpy as np
import pytest
import torch
from dense_backend import DenseBackend
from problems import PROBLEMS
from tolerances import close

from backends import Estimate, FiniteDifference, ParameterShift, Spsa, Statevector
from backends.gradients import deferred
from circuits import (
    CP,
    CRX,
    CRY,
    CRZ,
    CX,
    RX,
    RXX,
    RY,
    Circuit,
    H,
    P,
    PauliRot,
    amplitudes,
    inputs,
    pauli,
    weights,
    z_each,
)

x, w = inputs(2), weights(3)

# Angles: 0 and 3 of features, 1, 2 and 3 of weights, 4 of neither.
CIRCUIT = Circuit(2, [RX(x[0], 0), RY(w[0], 0), CRX(w[1], 0, 1), RXX(x[1] * w[2], 0, 1), RY(0.3, 1)], 2, 3)
READOUT = (pauli("Z0"), 0.5 * pauli("X0 Z1") - pauli("Y1"))
ESTIMATORS = [FiniteDifference(), Spsa(seed=0)]


def tensors(*batch, seed=0, grad="xw"):
    rng = np.random.default_rng(seed)
    x, w = (torch.tensor(rng.uniform(-2, 2, shape)) for shape in ((*batch, 2), (3,)))
    return x.requires_grad_("x" in grad), w.requires_grad_("w" in grad)


def exact(x, w, circuit=CIRCUIT, readout=READOUT):
    """Gradient of the sum of all outputs by back-propagation through torch operations."""
    x, w = (t.detach().clone().requires_grad_() for t in (x, w))
    return torch.autograd.grad(Statevector("backprop").expectation(circuit, x, w, readout).sum(), (x, w))


def estimated(gradient, x, w):
    return torch.autograd.grad(DenseBackend(gradient).expectation(CIRCUIT, x, w, READOUT).sum(), (x, w))


def derivatives(backend, circuit, order):
    """The first derivatives of a readout in the only weight of a circuit."""
    angle, values = torch.tensor([0.6], dtype=torch.float64, requires_grad=True), []
    value = backend.expectation(circuit, None, angle, (pauli("Z0") + pauli("X1") - pauli("Y0 Z1"),)).sum()
    for _ in range(order):
        value = torch.autograd.grad(value, angle, create_graph=True)[0].sum()
        values.append(value.item())
    return values


# Parameter shift: exact.


@pytest.mark.parametrize("gate", [RX, P, CRX, CRY, CRZ, CP, RXX], ids=lambda g: g.name)
def test_shift_is_exact_to_third_order(gate):
    before, after = [RY(0.4, 0), RX(0.9, 0), RY(0.7, 1), RX(0.5, 1)], [RX(0.4, 0), CX(0, 1)]
    circuit = Circuit(2, [before, gate(w[0], *range(gate.n_qubits)), after], 0, 1)
    found, want = (derivatives(backend, circuit, 3) for backend in (DenseBackend(), Statevector("backprop")))
    assert close(found, want) and min(map(abs, want)) > 0.01


def test_shift_is_exact_for_a_pauli_word():
    circuit = Circuit(3, [H(0), H(1), H(2), PauliRot(w[0], "ZYZ", 2, 0, 1)], 0, 1)
    angle = torch.tensor([0.6], dtype=torch.float64, requires_grad=True)
    value = DenseBackend().expectation(circuit, None, angle, (pauli("X0"),))
    assert close(value, angle.cos())
    assert close(torch.autograd.grad(value.sum(), angle)[0], -angle.sin())


@pytest.mark.parametrize("problem", [p for p in PROBLEMS if p.circuit.angles], ids=lambda p: p.name)
def test_shift_against_backprop(problem):
    x, w = map(torch.tensor, problem.sample(0, 2))
    x.requires_grad_(problem.name not in ("amplitudes", "amplitudes then gates"))
    w.requires_grad_()

    def slopes(backend):
        value = backend.expectation(problem.circuit, x, w, problem.readout).square().sum()
        return torch.autograd.grad(value, [t for t in (x, w) if t.requires_grad], allow_unused=True)

    found, want = slopes(DenseBackend()), slopes(Statevector("backprop"))
    assert all(b is None or close(a, b) for a, b in zip(found, want, strict=True))


def test_shift_passes_gradcheck_and_gradgradcheck():
    circuit = Circuit(2, [RX(x[0], 0), RY(w[0] * x[1], 1), CRX(w[1] + w[2], 0, 1)], 2, 3)

    def function(x, w):
        return DenseBackend().expectation(circuit, x, w, READOUT)

    assert torch.autograd.gradcheck(function, tensors())
    assert torch.autograd.gradgradcheck(function, tensors())


# What is evaluated.


@pytest.mark.parametrize(
    "grad, rows",
    [
        ("x", 2 + 2),  # RX, RXX: two terms each
        ("w", 2 + 4 + 2),  # RY, CRX with four terms, RXX
        ("xw", 2 + 2 + 4 + 2),
    ],
)
def test_shift_evaluates_what_is_trained_in_one_call(grad, rows):
    backend = DenseBackend()
    value = backend.expectation(CIRCUIT, *tensors(5, grad=grad), READOUT)
    assert backend.calls == [5]
    value.sum().backward()
    assert backend.calls == [5, 5 * rows]


@pytest.mark.parametrize("gradient, rows", [(FiniteDifference(), 2 * 4), (Spsa(), 2), (Spsa(n_directions=3), 6)])
def test_estimators_evaluate_in_one_call(gradient, rows):
    backend = DenseBackend(gradient)
    backend.expectation(CIRCUIT, *tensors(5), READOUT).sum().backward()
    assert backend.calls == [5, 5 * rows]


@pytest.mark.parametrize("gradient", [ParameterShift(), *ESTIMATORS])
def test_nothing_more_is_evaluated_without_gradients(gradient):
    backend = DenseBackend(gradient)
    with torch.no_grad():
        found = backend.expectation(CIRCUIT, *tensors(5), READOUT)
    assert not found.requires_grad
    assert not backend.expectation(CIRCUIT, *tensors(5, grad=""), READOUT).requires_grad
    assert backend.calls == [5, 5]


@pytest.mark.parametrize("gradient", [ParameterShift(), *ESTIMATORS])
def test_nothing_is_evaluated_for_weights_that_no_gate_uses(gradient):
    backend, angle = DenseBackend(gradient), torch.zeros(3, dtype=torch.float64, requires_grad=True)
    circuit = Circuit(1, [RX(0.3, 0)], n_weights=3)
    backend.expectation(circuit, None, angle, z_each(1)).sum().backward()
    assert backend.calls == [1] and close(angle.grad, np.zeros(3))


@pytest.mark.parametrize("gradient", [ParameterShift(), *ESTIMATORS])
def test_circuits_without_angles_and_empty_batches(gradient):
    backend = DenseBackend(gradient)
    assert close(backend.expectation(Circuit(1, [H(0)], 2, 3), *tensors(2), (pauli("X0"),)), np.ones((2, 1)))
    x, w = tensors(0)
    backend.expectation(CIRCUIT, x, w, READOUT).sum().backward()
    assert backend.calls == [2] and x.grad.shape == (0, 2) and close(w.grad, np.zeros(3))


@pytest.mark.parametrize("gradient", [ParameterShift(), *ESTIMATORS, Spsa()])
def test_two_backward_passes_agree(gradient):
    x, w = tensors(3)
    value = DenseBackend(gradient).expectation(CIRCUIT, x, w, READOUT).sum()
    first, second = (torch.autograd.grad(value, (x, w), retain_graph=True) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("gradient", "n_rows"), [(ParameterShift(), 2 * 11), (FiniteDifference(), 2 * 9), (Spsa(), 2 * 3)]
)
def test_together_is_one_evaluation_with_the_same_gradient(gradient, n_rows):
    x, w = tensors(2)
    apart, together = DenseBackend(copy.copy(gradient)), DenseBackend(copy.copy(gradient), together=True)
    torch.manual_seed(5)
    want = torch.autograd.grad(apart.expectation(CIRCUIT, x, w, READOUT).sum(), (x, w))
    torch.manual_seed(5)
    found = torch.autograd.grad(together.expectation(CIRCUIT, x, w, READOUT).sum(), (x, w))
    assert together.calls == [n_rows] and len(apart.calls) == 2
    assert all(torch.equal(a, b) for a, b in zip(found, want, strict=True))


@pytest.mark.parametrize("gradient", [ParameterShift(), *ESTIMATORS])
def test_together_measures_nothing_for_a_gradient_that_is_not_wanted(gradient):
    backend = DenseBackend(gradient, together=True)
    x, w = tensors(2)
    with torch.no_grad():
        backend.expectation(CIRCUIT, x, w, READOUT)
    backend.expectation(CIRCUIT, *tensors(2, grad=""), READOUT)
    with deferred():
        value = backend.expectation(CIRCUIT, x, w, READOUT).sum()
    assert backend.calls == [2, 2, 2]
    value.backward()
    assert len(backend.calls) == 4 and w.grad.abs().max() > 0.1


def test_together_is_exact_to_second_order():
    backend = DenseBackend(together=True)
    circuit = Circuit(2, [H(0), RX(0.4, 1), CRX(w[0], 0, 1)], n_weights=1)
    found, want = (derivatives(made, circuit, 2) for made in (backend, Statevector("backprop")))
    assert close(found, want)


class Counted(DenseBackend):
    """Says that every readout came from four shots."""

    def evaluate(self, circuit, angles, observables):
        values = super().evaluate(circuit, angles, observables)
        return Estimate(values, ((1 - values**2) / 4).sqrt())


@pytest.mark.parametrize("together", [False, True])
def test_standard_errors_are_those_of_the_readouts(together):
    backend = Counted(together=together)
    x, w = tensors(2, 3)
    value = backend.expectation(CIRCUIT, x, w, (pauli("Z0"), pauli("X1")))
    assert close(backend.last_stderr, ((1 - value.detach() ** 2) / 4).sqrt())
    value.sum().backward()
    assert backend.last_stderr.shape == (2, 3, 2)


class Noisy(DenseBackend):
    """Values that differ from call to call, as those of a machine do."""

    def evaluate(self, circuit, angles, observables):
        values = super().evaluate(circuit, angles, observables)
        return values + torch.randn_like(values)


@pytest.mark.parametrize("gradient", [ParameterShift(), *ESTIMATORS])
def test_two_backward_passes_measure_once(gradient):
    x, w = tensors(2)
    backend = Noisy(gradient)
    value = backend.expectation(CIRCUIT, x, w, READOUT).sum()
    first, second = (torch.autograd.grad(value, (x, w), retain_graph=True) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True)) and len(backend.calls) == 2


def test_the_gradient_of_each_output_is_its_own():
    def jacobian(backend):
        return torch.autograd.functional.jacobian(lambda *xw: backend.expectation(CIRCUIT, *xw, READOUT), tensors(2))

    found, want = jacobian(DenseBackend()), jacobian(Statevector())
    assert all(close(a, b) for a, b in zip(found, want, strict=True))


def test_shifts_made_in_inference_mode_serve_training():
    circuit = Circuit(1, [RX(0.40625, 0)], n_weights=1)  # compiled by no other test; the weight is not used
    angle = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    with torch.inference_mode():
        DenseBackend().expectation(circuit, None, angle, z_each(1))
    value = DenseBackend().expectation(circuit, None, angle, z_each(1)).sum()
    (slope,) = torch.autograd.grad(value, angle, create_graph=True)
    assert close(torch.autograd.grad(slope.sum(), angle)[0], [0.0])


# Estimators: how good.


def test_error_of_finite_differences_falls_with_the_square_of_the_step():
    x, w = tensors(2)
    want = exact(x, w)
    errors = [
        max((a - b).abs().max().item() for a, b in zip(estimated(FiniteDifference(h), x, w), want, strict=True))
        for h in (0.2, 0.1, 0.05)
    ]
    assert all(abs(a / b - 4) < 0.2 for a, b in itertools.pairwise(errors))


def formula(angles):
    """Two readouts of angles (rows, 5), as a circuit has them."""
    c, s = angles.cos(), angles.sin()
    return torch.stack([c[:, 0] * c[:, 1] * s[:, 3], s[:, 0] * c[:, 2] + s[:, 4]], 1)


def slopes_of(gradient, n_rows, columns):
    """Estimated and exact gradients of many equal rows, (n_rows, 5) both."""
    row, found = torch.tensor([0.3, -0.7, 1.1, 0.5, -0.2], dtype=torch.float64), []
    for function in (lambda angles: gradient(formula, CIRCUIT, angles, columns), formula):
        angles = row.repeat(n_rows, 1).requires_grad_()
        found += torch.autograd.grad(function(angles).sum(), angles)
    return found


@pytest.mark.parametrize("columns", [(0, 1, 2, 3, 4), (1, 3)])
def test_spsa_is_unbiased_in_the_columns_asked_for(columns):
    torch.manual_seed(0)
    found, want = slopes_of(Spsa(step=1e-3), 20000, columns)
    sigma = found.std(0) / len(found) ** 0.5
    asked = torch.zeros(5, dtype=torch.bool).index_fill(0, torch.tensor(columns), True)
    assert ((found.mean(0) - want[0]).abs() < 5 * sigma + 1e-6)[asked].all()
    assert (sigma[asked] > 0.001).all() and not found[:, ~asked].any()


def test_spsa_averages_its_directions():
    torch.manual_seed(0)
    one, many = (slopes_of(Spsa(step=1e-3, n_directions=n), 5000, range(5))[0].var(0) for n in (1, 16))
    assert close(many / one, torch.full((5,), 1 / 16), 0.01)


def test_spsa_draws_a_direction_for_every_row():
    x = torch.full((8, 2), 0.4, dtype=torch.float64, requires_grad=True)
    (slopes, _) = estimated(Spsa(), x, tensors()[1])
    assert len(slopes.unique(dim=0)) > 1


def test_spsa_with_a_seed_repeats_call_by_call():
    x, w = tensors(3)
    first, second = Spsa(seed=7), Spsa(seed=7)
    runs = [[estimated(gradient, x, w)[1] for _ in range(3)] for gradient in (first, second)]
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))
    assert not torch.equal(runs[0][0], runs[0][1])
    assert not torch.equal(runs[0][0], estimated(Spsa(seed=8), x, w)[1])


def test_spsa_without_a_seed_follows_torch():
    x, w = tensors(3)
    torch.manual_seed(0)
    first = estimated(Spsa(), x, w)[1]
    torch.manual_seed(0)
    assert torch.equal(first, estimated(Spsa(), x, w)[1])


def test_spsa_goes_on_where_a_copy_was_made():
    gradient = Spsa(seed=7)
    estimated(gradient, *tensors(3))
    copies = [copy.deepcopy(gradient), pickle.loads(pickle.dumps(gradient))]
    want = estimated(gradient, *tensors(3))[1]
    assert all(torch.equal(estimated(other, *tensors(3))[1], want) for other in copies)


# Refusals.


@pytest.mark.parametrize("gradient", ESTIMATORS, ids=lambda g: g.name)
def test_estimators_refuse_a_second_derivative(gradient):
    x, w = tensors(2)
    value = DenseBackend(gradient).expectation(CIRCUIT, x, w, READOUT).sum()
    text = rf"got create_graph=True with the estimator '{gradient.name}'.*use ParameterShift\(\) or the Statevector"
    with pytest.raises(RuntimeError, match=text):
        torch.autograd.grad(value, w, create_graph=True)


def test_shift_refuses_the_gradient_of_a_start_state():
    circuit = Circuit(1, [amplitudes(x, 0), RY(w[0], 0)], 2, 1)
    features, angle = torch.tensor([0.6, 0.8], dtype=torch.float64), torch.tensor([0.3], dtype=torch.float64)
    angle.requires_grad_()
    DenseBackend().expectation(circuit, features, angle, z_each(1)).sum().backward()
    assert close(angle.grad, [-np.sin(2 * np.arctan2(0.8, 0.6) + 0.3)])
    with pytest.raises(ValueError, match=r"got a gradient with respect to 'amplitudes'.*detach these inputs"):
        DenseBackend().expectation(circuit, features.requires_grad_(), angle, z_each(1))
    with torch.no_grad():
        assert DenseBackend().expectation(circuit, features, angle, z_each(1)).shape == (1,)


@pytest.mark.parametrize("make", [FiniteDifference, Spsa])
@pytest.mark.parametrize("step", [0.0, -0.1, float("nan")])
def test_steps_are_positive(make, step):
    with pytest.raises(ValueError, match=f"got step={step}, expected a positive number of radians"):
        make(step)


def test_spsa_needs_a_direction():
    with pytest.raises(ValueError, match="got n_directions=0, expected at least 1"):
        Spsa(n_directions=0)
