"""Amplitudes of plain features against torch's own division and its gradient."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import QUICK

from backends.statevector.starts import plain_start
from circuits import RX, Circuit, amplitudes, inputs, weights
from circuits.templates import amplitude_encoding

X = inputs(4)


def gradient(start, x, g):
    found = np.zeros_like(x)
    start.add_gradients(*start(x), g, found)
    return found


@QUICK
@given(st.integers(1, 3), st.integers(1, 8), st.integers(0, 99))
def test_padded_features(n_qubits, n_features, seed):
    n_features = min(n_features, 2**n_qubits)
    start = plain_start(amplitude_encoding(n_qubits, n_features), np.float64)
    rng = np.random.default_rng(seed)
    x, g = rng.normal(size=(5, n_features)), rng.normal(size=(5, 2**n_qubits))
    leaf = torch.tensor(x, requires_grad=True)
    padded = torch.cat([leaf, torch.zeros(5, 2**n_qubits - n_features)], 1)
    expected = padded / padded.norm(dim=1, keepdim=True)
    np.testing.assert_allclose(start(x)[0], expected.detach(), atol=1e-14)
    expected.backward(torch.tensor(g))
    np.testing.assert_allclose(gradient(start, x, g), leaf.grad, atol=1e-12)


def test_factors_constants_and_order():
    circuit = Circuit(3, [amplitudes([2 * X[3], 0.5, X[0] + 1, -X[1]], 2, 0), RX(X[2] * X[3], 1)], 4)
    start = plain_start(circuit, np.float32)
    x = np.array([[0.3, -0.2, 9.0, 0.7]], np.float32)
    values = np.array([1.4, 0.5, 1.3, 0.2])
    found, norms = start(x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], values / np.linalg.norm(values), rtol=1e-6)
    np.testing.assert_allclose(norms, [[np.linalg.norm(values)]], rtol=1e-6)
    assert gradient(start, x, np.ones((1, 4), np.float32))[0, 2] == 0


@pytest.mark.parametrize(
    "ops",
    [
        [RX(X[0], 0)],
        [amplitudes([X[0], X[1]], 0), amplitudes([X[2], X[3]], 1)],
        [amplitudes([X[0], X[0]], 0)],
        [amplitudes([X[0] * X[1], 1.0], 0)],
        [amplitudes([X[0], np.sin(X[1])], 0)],
        [amplitudes([X[0], weights(1)[0]], 0)],
        [amplitudes([X[0] + X[1], X[2]], 0)],
    ],
)
def test_others_are_left_to_torch(ops):
    assert plain_start(Circuit(2, ops, 4, 1), np.float64) is None


def test_no_features_at_all_are_nan():
    found, norms = plain_start(amplitude_encoding(1), np.float64)(np.zeros((1, 2)))
    assert np.isnan(found).all() and norms == 0
    assert np.isnan(gradient(plain_start(amplitude_encoding(1), np.float64), np.zeros((1, 2)), np.ones((1, 2)))).all()
