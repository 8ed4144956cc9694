import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import QUICK, random_angles, random_circuits, values
from tolerances import atol, close

from backends.angles import angle_map, trainable_columns
from circuits import CX, RX, RY, RZ, Circuit, H, Rot, amplitudes, inputs, weights

X, W = inputs(3), weights(4)

EXPRESSIONS = {
    "constant": X[0] * 0 + 0.7,
    "zero": X[0] - X[0],
    "feature": X[1],
    "affine": 2 * X[0] - 0.5 * W[3] + 0.25,
    "product": X[0] * W[0] * X[2] - W[1],
    "square": X[2] ** 3 - 2 * X[0] ** 2,
    "pair": (np.pi - X[0]) * (np.pi - X[1]),
    "function": np.sin(X[0]) + W[0] * np.tanh(X[1]),
    "nested": np.exp(np.sin(X[0] * W[1]) - np.cos(X[0] * W[1]) ** 2),
    "function of a function of a sum": np.arctan(2 + X[0] * np.sqrt(1 + W[2] ** 2)),
    "function of a number and a feature": np.sin(W[0] + 0 * X[0]) * np.log(3 + X[1]),
}


def circuit_of(*angles, n_inputs=3, n_weights=4):
    return Circuit(1, [RX(angle, 0) for angle in angles], n_inputs=n_inputs, n_weights=n_weights)


def plain(circuit, x, w):
    """Every angle by NumPy, (*, n_angles)."""
    batch = np.broadcast_shapes(x.shape[:-1], w.shape[:-1])
    columns = [np.broadcast_to(angle.evaluate(x, w), batch) for angle in circuit.angles]
    return np.stack(columns, -1) if columns else np.zeros((*batch, 0))


def rows(*shape, seed=0, low=-2.0):
    return torch.tensor(np.random.default_rng(seed).uniform(low, 2.0, shape))


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_one_expression_is_what_numpy_gives(name):
    circuit, x, w = circuit_of(EXPRESSIONS[name]), rows(5, 3), rows(5, 4, seed=1)
    assert close(angle_map(circuit)(x, w), plain(circuit, x.numpy(), w.numpy()), 1e-13)


def test_all_expressions_at_once_keep_their_places():
    circuit, x, w = circuit_of(*EXPRESSIONS.values()), rows(5, 3), rows(5, 4, seed=1)
    assert close(angle_map(circuit)(x, w), plain(circuit, x.numpy(), w.numpy()), 1e-13)


@QUICK
@given(st.lists(random_angles(X, W), max_size=5), st.integers(0, 99))
def test_random_expressions_are_what_numpy_gives(angles, seed):
    circuit, x, w = circuit_of(*angles), rows(3, 3, seed=seed), rows(3, 4, seed=seed + 1)
    assert close(angle_map(circuit)(x, w), plain(circuit, x.numpy(), w.numpy()), 1e-12)


@QUICK
@given(random_circuits(with_amplitudes=True), st.integers(0, 99))
def test_columns_follow_the_operations(circuit, seed):
    x, w = (torch.tensor(v)[None] for v in values(circuit, seed))
    assert close(angle_map(circuit)(x, w), plain(circuit, x.numpy(), w.numpy()), 1e-12)


@pytest.mark.parametrize(
    "name, numpy_name",
    [("arcsin", "arcsin"), ("arccos", "arccos"), ("log", "log"), ("tan", "tan"), ("abs", "absolute")],
)
def test_functions_have_the_meaning_numpy_gives_them(name, numpy_name):
    angle = abs(X[0] - 1) if name == "abs" else getattr(np, numpy_name)(X[0])
    x = rows(9, 1, low=0.1) / 2.1
    values_by_numpy = getattr(np, numpy_name)(x.numpy() - (name == "abs"))
    assert close(angle_map(circuit_of(angle, n_inputs=1, n_weights=0))(x, rows(9, 0)), values_by_numpy, 1e-14)


def test_a_repeated_function_is_computed_once():
    circuit = circuit_of(np.sin(X[0]), 2 * np.sin(X[0]) + W[0], np.sin(X[0]) * np.sin(X[0]), np.cos(np.sin(X[0])))
    assert [name for name, _ in angle_map(circuit).of_features] == ["sin", "cos"]


def test_functions_of_one_depth_are_computed_together():
    """Four functions of features in one call, and of weights two: those of a depth of nesting that share a name."""
    circuit = circuit_of(*np.sin(X), np.sin(W[0]), np.cos(np.sin(X[0])), np.sin(X[0] * X[1]), np.sin(np.cos(W[1])))
    found = angle_map(circuit)
    assert [(name, sums.n_angles) for name, sums in found.of_features] == [("sin", 4), ("cos", 1)]
    assert [(name, sums.n_angles) for name, sums in found.of_weights] == [("cos", 1), ("sin", 1), ("sin", 1)]
    x, w = rows(5, 3), rows(5, 4, seed=1)
    assert close(found(x, w), plain(circuit, x.numpy(), w.numpy()), 1e-13)


def test_no_angles_and_no_slots():
    assert angle_map(Circuit(1, [H(0)]))(rows(4, 0), rows(4, 0)).shape == (4, 0)
    numbers = Circuit(2, [Rot(0.1, 0.2, 0.3, 0), CX(0, 1), RZ(0, 1)])
    assert close(angle_map(numbers)(rows(2, 0), rows(2, 0)), [[0.1, 0.2, 0.3, 0.0]] * 2, 0)


def test_unused_slots_stay_unused():
    x, w = rows(2, 3), rows(2, 4)
    x[:, 1], w[:, :3] = torch.nan, torch.nan
    assert close(angle_map(circuit_of(X[0] + X[2], W[3]))(x, w), torch.stack([x[:, 0] + x[:, 2], w[:, 3]], 1), 1e-15)


def test_no_rows():
    assert angle_map(circuit_of(*EXPRESSIONS.values()))(rows(0, 3), rows(0, 4)).shape == (0, len(EXPRESSIONS))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_and_device_follow_the_tensors(dtype):
    circuit, x, w = circuit_of(*EXPRESSIONS.values()), rows(5, 3), rows(5, 4, seed=1)
    found = angle_map(circuit)(x.to(dtype), w.to(dtype))
    assert found.dtype == dtype and found.device == x.device
    assert close(found, plain(circuit, x.numpy(), w.numpy()), 20 * atol(dtype))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu():
    circuit, x, w = circuit_of(*EXPRESSIONS.values()), rows(5, 3), rows(5, 4, seed=1)
    found = angle_map(circuit)(x.cuda(), w.cuda())
    assert found.is_cuda and close(found.cpu(), plain(circuit, x.numpy(), w.numpy()), 1e-12)


def test_derivatives_of_first_and_second_order():
    angles = angle_map(circuit_of(*EXPRESSIONS.values()))
    x, w = rows(2, 3).requires_grad_(), rows(2, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(angles, (x, w))
    assert torch.autograd.gradgradcheck(angles, (x, w))


def test_compiled_in_inference_mode_and_trained_after():
    circuit, x, w = circuit_of(0.625 * X[0] * W[0] + np.sin(W[1])), rows(2, 3), rows(2, 4).requires_grad_()
    with torch.inference_mode():
        angle_map(circuit)(x, w)
    angle_map(circuit)(x, w).sum().backward()
    assert close(w.grad[:, 0], 0.625 * x[:, 0], 1e-15)


def test_compiled_once():
    circuit = circuit_of(X[0])
    assert angle_map(circuit) is angle_map(circuit_of(X[0]))


@pytest.mark.parametrize(
    "x, w, columns", [(True, False, (0, 2, 3)), (False, True, (1, 2)), (True, True, (0, 1, 2, 3)), (False, False, ())]
)
def test_columns_that_depend_on_what_is_trained(x, w, columns):
    circuit = Circuit(1, [RX(X[0], 0), RY(W[0], 0), RX(np.sin(W[1] * X[1]), 0), RZ(X[0] + 1, 0), RZ(1, 0)], 3, 4)
    assert trainable_columns(circuit, x, w) == columns


def test_columns_of_a_start_state():
    circuit = Circuit(1, [amplitudes([X[0], W[0]], 0), RX(X[1], 0)], 3, 4)
    assert trainable_columns(circuit, True, False) == (0, 2)
