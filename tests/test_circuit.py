import copy
import doctest
import os
import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import dense
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import KINDS, QUICK, random_circuits, values

import circuits
from circuits import (
    CCX,
    CP,
    CRX,
    CX,
    RX,
    RY,
    RZ,
    RZX,
    SWAP,
    Circuit,
    H,
    PauliRot,
    Rot,
    amplitudes,
    inputs,
    unitary,
    weights,
)

x, w = inputs(2), weights(3)
CIRCUIT = Circuit(2, [RX(x[0], 0), CX(0, 1), RY(w[0] * x[1], 1), RZ(w[2], 0)], n_inputs=2, n_weights=3)
seeds = st.integers(0, 2**32 - 1)


# Properties of random circuits


@QUICK
@given(random_circuits(with_amplitudes=True), seeds)
def test_the_norm_is_kept(circuit, seed):
    assert np.isclose(np.linalg.norm(dense.state(circuit, *values(circuit, seed))), 1, rtol=0, atol=1e-12)


@QUICK
@given(random_circuits(), seeds)
def test_a_circuit_and_its_inverse_cancel(circuit, seed):
    point = values(circuit, seed)
    whole = dense.unitary(circuit + circuit.inverse(), *point)
    assert np.allclose(whole, np.eye(2**circuit.n_qubits), rtol=0, atol=1e-12)
    assert circuit.inverse().inverse() == circuit


@QUICK
@given(random_circuits(with_amplitudes=True))
def test_json_gives_an_equal_circuit_back(circuit):
    again = Circuit.from_json(circuit.to_json())
    assert again == circuit
    assert again.ops == circuit.ops
    assert (again.n_qubits, again.n_inputs, again.n_weights) == (circuit.n_qubits, circuit.n_inputs, circuit.n_weights)


@QUICK
@given(random_circuits(with_amplitudes=True), st.booleans())
def test_pickle_keeps_the_hash(circuit, hashed_before):
    if hashed_before:
        hash(circuit)
    for again in (pickle.loads(pickle.dumps(circuit)), copy.deepcopy(circuit)):
        assert again == circuit
        assert hash(again) == hash(circuit)
        assert again.ops == circuit.ops


@QUICK
@given(random_circuits(n_qubits=(1, 3)), seeds, st.integers(0, 1), st.integers(0, 2), st.integers(0, 2))
def test_shift_moves_qubits_features_and_weights(circuit, seed, qubits, n_inputs, n_weights):
    x, w = values(circuit, seed)
    moved = circuit.shift(qubits, n_inputs, n_weights)
    assert (moved.n_qubits, moved.n_inputs, moved.n_weights) == (
        circuit.n_qubits + qubits,
        circuit.n_inputs + n_inputs,
        circuit.n_weights + n_weights,
    )
    junk = np.full(2, np.nan)  # what the shifted circuit must not read
    x, w = np.concatenate([junk[:n_inputs], x]), np.concatenate([junk[:n_weights], w])
    expected = np.kron(np.eye(2**qubits), dense.unitary(circuit, *values(circuit, seed)))
    assert np.allclose(dense.unitary(moved, x, w), expected, rtol=0, atol=1e-12)


@QUICK
@given(random_circuits(), seeds)
def test_separable_circuits_give_product_states(circuit, seed):
    local = circuit.separable()
    assert (local.n_inputs, local.n_weights) == (circuit.n_inputs, circuit.n_weights)
    psi = dense.state(local, *values(circuit, seed)).reshape((2,) * circuit.n_qubits)
    for q in range(circuit.n_qubits):
        second = np.linalg.svd(np.moveaxis(psi, q, 0).reshape(2, -1), compute_uv=False)[1:]
        assert np.all(second < 1e-12)


@QUICK
@given(random_circuits(max_ops=4), random_circuits(max_ops=4))
def test_equality_is_equality_of_content(a, b):
    same = (a.n_qubits, a.n_inputs, a.n_weights, a.ops) == (b.n_qubits, b.n_inputs, b.n_weights, b.ops)
    assert (a == b) == same


def test_the_strategy_reaches_every_kind():
    seen = set()

    @QUICK
    @given(random_circuits(with_amplitudes=True))
    def collect(circuit):
        seen.update(op.gate.name if op.gate.name in KINDS else op.gate.kind for op in circuit.ops)

    collect()
    assert seen == {*KINDS, "amplitudes"}


# Identity


def test_the_hash_is_the_same_in_another_process():
    code = (
        "import pickle, sys; c = pickle.load(sys.stdin.buffer);"
        "print(hash(c), c.fingerprint, c in {c}, hash(type(c).from_json(c.to_json())))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(circuits.__file__).parents[1]), "PYTHONHASHSEED": "7"}
    fresh = Circuit(CIRCUIT.n_qubits, CIRCUIT.ops, 2, 3)  # pickled before its hash is computed
    done = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(fresh), capture_output=True, env=environment, check=True
    )
    assert done.stdout.decode().split() == [str(hash(CIRCUIT)), CIRCUIT.fingerprint, "True", str(hash(CIRCUIT))]


@pytest.mark.parametrize(
    "other",
    [
        Circuit(3, CIRCUIT.ops, 2, 3),
        Circuit(2, CIRCUIT.ops, 3, 3),
        Circuit(2, CIRCUIT.ops, 2, 4),
        Circuit(2, CIRCUIT.ops[::-1], 2, 3),
        Circuit(2, [*CIRCUIT.ops[:-1], RZ(w[1], 0)], 2, 3),
    ],
)
def test_other_content_is_another_circuit(other):
    assert other != CIRCUIT
    assert other.fingerprint != CIRCUIT.fingerprint


def test_a_circuit_differs_from_other_things():
    assert CIRCUIT != "circuit"
    assert len({CIRCUIT, replace(CIRCUIT), Circuit.from_json(CIRCUIT.to_json())}) == 1


def test_circuits_are_immutable():
    with pytest.raises(FrozenInstanceError):
        CIRCUIT.n_qubits = 5
    with pytest.raises(TypeError, match="does not support item assignment"):
        CIRCUIT.ops[0] = H(0)


def test_text_shows_the_sizes():
    assert repr(CIRCUIT) == f"Circuit(n_qubits=2, 4 ops, n_inputs=2, n_weights=3, {CIRCUIT.fingerprint[:8]})"


# Building


def test_nested_operations_are_flattened():
    nested = Circuit(2, [Rot(0.1, 0.2, 0.3, 0), [[H(1)], (CX(0, 1),)], (RX(a, q) for q, a in enumerate(x))], 2)
    assert [op.gate.name for op in nested.ops] == ["RZ", "RY", "RZ", "H", "CX", "RX", "RX"]
    assert Circuit(1, H(0)) == Circuit(1, [H(0)])
    assert Circuit(1, []).ops == ()


def test_sizes_of_numpy_are_plain_integers():
    circuit = Circuit(np.int64(2), CIRCUIT.ops, np.prod((1, 2)), np.int32(3))
    assert circuit == CIRCUIT
    assert type(circuit.n_weights) is int


def test_angles_come_in_the_order_of_the_operations():
    assert CIRCUIT.angles == (x[0], w[0] * x[1], w[2])


def test_start_states_on_different_qubits_may_follow_each_other():
    circuit = Circuit(3, [amplitudes([x[0], x[1]], 2), H(0), amplitudes([1, 0], 1), CX(1, 2)], 2)
    assert len(circuit.angles) == 4


def test_sum_reads_the_same_features_and_weights():
    total = Circuit(1, [RX(x[0], 0)], 1) + Circuit(1, [RY(w[1], 0), RX(x[0], 0)], 1, 2)
    assert (total.n_inputs, total.n_weights) == (1, 2)
    assert total.angles == (x[0], w[1], x[0])


def test_sum_with_a_shift_has_weights_of_its_own():
    layer = Circuit(1, [RY(w[0], 0)], n_weights=1)
    assert (layer + layer.shift(weights=1)).angles == (w[0], w[1])


def test_shift_places_a_circuit_among_more_qubits():
    placed = Circuit(2, [CX(0, 1)]).shift(qubits=1, n_qubits=4)
    assert placed == Circuit(4, [CX(1, 2)])


def test_shift_renumbers_inside_functions():
    circuit = Circuit(1, [RX(np.sin(x[0] * np.exp(w[1])), 0)], 1, 2)
    assert circuit.shift(inputs=1, weights=1).angles == (np.sin(x[1] * np.exp(w[2])),)


@pytest.mark.parametrize(
    ("op", "local"),
    [
        ([CX(0, 1)], []),
        ([CCX(0, 1, 2)], []),
        ([unitary(np.eye(4), 0, 1)], []),
        ([H(2)], [H(2)]),
        ([SWAP(0, 2)], [SWAP(0, 2)]),
        ([CRX(w[0], 2, 1)], [RX(w[0], 1)]),
        ([CP(w[0], 0, 2)], [RZ(w[0], 2)]),
        ([RZX(x[0], 0, 1)], [RX(x[0], 1)]),
        ([PauliRot(x[0] * w[0], "YXI", 2, 1, 0)], [RX(x[0] * w[0], 1)]),
        ([PauliRot(w[0], "IY", 0, 1)], [RY(w[0], 1)]),
        ([amplitudes([x[0], x[1]], 0)], [amplitudes([x[0], x[1]], 0)]),
    ],
)
def test_separable_keeps_the_local_part(op, local):
    assert Circuit(3, op, 2, 3).separable() == Circuit(3, local, 2, 3)


# Errors at the border


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Circuit(0, []), "got n_qubits=0, expected an integer of at least 1"),
        (lambda: Circuit(2.0, []), "got n_qubits=2.0, expected an integer of at least 1"),
        (lambda: Circuit(1, [], -1), "got n_inputs=-1, expected an integer of at least 0"),
        (lambda: Circuit(1, [], 0, (2, 4)), r"got n_weights=\(2, 4\), .*: for a shape, its product"),
        (lambda: Circuit(2, [H(2)]), r"got H\(2\) on 2 qubits, expected qubits 0 to 1"),
        (lambda: Circuit(2, [CX(0, -1)]), r"got CX\(0, -1\) on 2 qubits"),
        (lambda: Circuit(1, [RX(x[1], 0)], 1), r"got x\[1\] in .* with n_inputs=1, expected n_inputs > 1: state it"),
        (lambda: Circuit(1, [RX(np.sin(w[0]), 0)]), r"got w\[0\] in .* with n_weights=0, expected n_weights > 0"),
        (lambda: CIRCUIT.shift(inputs=-1), r"got x\[-1\] in "),
        (lambda: CIRCUIT.shift(qubits=1, n_qubits=2), "on 2 qubits, expected qubits 0 to 1"),
        (
            lambda: Circuit(1, [H(0), amplitudes([x[0], x[1]], 0)], 2),
            r"got a start state on qubits \(0,\) after other gates, expected it before them",
        ),
        (lambda: CIRCUIT + Circuit(3, []), r"got circuits on 2 and 3 qubits, .*: place one with shift\(qubits="),
        (lambda: Circuit(1, [amplitudes([1, 0], 0)]).inverse(), "got the inverse of a start state"),
    ],
)
def test_bad_values_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    ("ops", "message"),
    [
        ([0.5], r"got float 0.5 among the operations, expected gate\(angle, \*qubits\)$"),
        ("RX", "got str 'RX' among the operations"),
        ([[H]], r"got Gate H among the operations, .*; H is a gate: call it, H\(qubit0\)"),
        ([RX], r"RX is a gate: call it, RX\(angle, qubit0\)"),
    ],
)
def test_only_operations_are_operations(ops, message):
    with pytest.raises(TypeError, match=message):
        Circuit(1, ops)


def test_circuits_add_to_circuits_only():
    with pytest.raises(TypeError, match="unsupported operand"):
        CIRCUIT + H(0)


@pytest.mark.parametrize("module", [circuits, circuits.angles, circuits.circuit, circuits.gates, circuits.observables])
def test_the_examples_in_the_docstrings_are_right(module):
    outcome = doctest.testmod(module, extraglobs={"np": np})
    assert outcome.failed == 0
