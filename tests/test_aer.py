"""Aer as a backend: exact, noisy and with shots, against dense matrices, Kraus operators and PennyLane."""

import dense
import numpy as np
import pytest
import torch
from problems import PROBLEMS
from strategies import haar_unitary
from tolerances import ACROSS, close

pytest.importorskip("qiskit_aer")


from backends import Aer
from backends import aer as module
from circuits import (
    CRX,
    CX,
    RX,
    RY,
    RZ,
    Circuit,
    H,
    Observable,
    PauliRot,
    Probabilities,
    inputs,
    pauli,
    unitary,
    weights,
    z_each,
)
from circuits.gates import TABLE

X, W = inputs(2), weights(3)
CIRCUIT = Circuit(
    3,
    [RY(X[0], 0), RX(X[0] * X[1], 1), CRX(W[0], 0, 1), CX(1, 2), RY(W[1] * X[1] + W[0], 0), RZ(W[2], 2), H(2)],
    n_inputs=2,
    n_weights=3,
)
READ = (
    pauli("Z0"),
    0.5 * pauli("X0 Y1") - pauli("Z1") + 0.25 * pauli(""),
    pauli("X2") + pauli("Y2 Z0"),
    Observable(()),
)
READOUTS = {"sums": READ, "one": (pauli("Z1"),), "probabilities": Probabilities((2, 0))}


def sample(rows, seed=0):
    """Features (rows, 2) and weights (3,), float64."""
    rng = np.random.default_rng(seed)
    return torch.tensor(rng.uniform(-2, 2, (rows, 2))), torch.tensor(rng.uniform(-2, 2, 3))


def oracle(circuit, x, w, readout):
    """Dense matrices, row by row."""
    if isinstance(readout, Probabilities):
        return np.array([dense.probabilities(circuit, row, w, readout.qubits) for row in np.asarray(x)])
    return np.array([dense.expectation(circuit, row, w, readout) for row in np.asarray(x)])


def all_gates():
    """Every gate of the table, on turned qubits, between rotations that make all of them matter."""
    angle = iter(weights(3 * len(TABLE)))
    ops = [RY(0.4 + q, q) for q in range(3)]
    for gate in TABLE.values():
        ops += [gate(*[next(angle)] * gate.n_angles, *(2, 0, 1)[: gate.n_qubits]), RX(next(angle), 1)]
    ops += [PauliRot(next(angle), "XYZ", 1, 2, 0), unitary(haar_unitary(2, seed=3), 2, 0)]
    return Circuit(3, ops, n_weights=3 * len(TABLE))


# Exact values.


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("method", module.MOST_QUBITS)
def test_every_method_agrees_with_dense_matrices(method, readout):
    x, w = sample(5)
    backend, read = Aer(method), READOUTS[readout]
    assert close(backend.expectation(CIRCUIT, x, w, read), oracle(CIRCUIT, x, w, read), 1e-9)
    assert backend.last_stderr is None and backend.capabilities.exact


@pytest.mark.parametrize("problem", [p for p in PROBLEMS if "amplitudes" not in p.name], ids=lambda p: p.name)
def test_closed_forms(problem):
    """Through the state, and through the outcomes in every basis, as where there is noise."""
    x, w = problem.sample(1, 2)
    for backend in (Aer(), Aer(noise={"readout": 0})):
        values = backend.expectation(problem.circuit, torch.tensor(x), torch.tensor(w), problem.readout)
        assert close(values, problem.answer(x, w), ACROSS)


@pytest.mark.parametrize("backend", [Aer(), Aer("density_matrix"), Aer(noise={"readout": 0})], ids=repr)
def test_every_gate(backend):
    circuit = all_gates()
    w = torch.tensor(np.random.default_rng(2).uniform(-2, 2, (3, circuit.n_weights)))
    observables = (*z_each(3), pauli("X0 Y1 Z2"))
    expected = [dense.expectation(circuit, (), row, observables) for row in w.numpy()]
    assert close(backend.expectation(circuit, None, w, observables), expected, ACROSS)


def test_shots_scatter_about_the_exact_value():
    x, w = sample(4)
    for readout in READOUTS.values():
        backend = Aer(shots=5000, seed=1)
        values = backend.expectation(CIRCUIT, x, w, readout)
        stderr, exact = backend.last_stderr.numpy(), oracle(CIRCUIT, x, w, readout)
        assert values.shape == stderr.shape == exact.shape
        assert (abs(values.numpy() - exact) < 5 * stderr + 1e-9).all() and not close(values, exact, 1e-6)
