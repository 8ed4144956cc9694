import json

import numpy as np
import pytest
from strategies import haar_unitary

from circuits import CCX, CRX, RX, Circuit, H, PauliRot, amplitudes, inputs, unitary, weights
from circuits.gates import TABLE
from circuits.serialize import VERSION, decode_angle, decode_op, encode_angle, encode_op

x, w = inputs(2), weights(2)


def through_json(data):
    return json.loads(json.dumps(data))


@pytest.mark.parametrize("gate", TABLE.values(), ids=repr)
def test_every_gate_comes_back(gate):
    op = gate(*[x[0] * w[1]] * gate.n_angles, *range(gate.n_qubits)[::-1])
    assert decode_op(through_json(encode_op(op))) == op


@pytest.mark.parametrize(
    "op",
    [
        PauliRot(w[0], "XIY", 2, 0, 1),
        unitary(haar_unitary(2, seed=1), 1, 0),
        amplitudes([x[0], 0.25, w[1], x[0] * x[1]], 0, 3),
    ],
    ids=lambda op: op.gate.name,
)
def test_gates_with_content_come_back(op):
    assert decode_op(through_json(encode_op(op))) == op


@pytest.mark.parametrize("number", [0.1 + 0.2, np.pi, 1e-300, -1 / 3, 1.7976931348623157e308, 5e-324])
def test_floats_keep_every_bit(number):
    angle = number * x[0] + 1 / 3
    assert decode_angle(through_json(encode_angle(angle))) == angle


def test_nested_functions_come_back():
    angle = 2 * np.sin(x[0] + 3 * np.exp(-w[1])) * w[0] - np.arctan(x[1]) ** 2
    assert decode_angle(through_json(encode_angle(angle))) == angle


def test_the_format_is_fixed():
    """Fingerprints name stored results: a change here needs a new version."""
    circuit = Circuit(2, [H(0), CRX(2 * x[1] * w[0] + np.sin(x[0]) - 1, 0, 1)], n_inputs=2, n_weights=1)
    text = (
        '{"circuit":1,"n_qubits":2,"n_inputs":2,"n_weights":1,"ops":[{"gate":"H","qubits":[0]},'
        '{"gate":"CRX","qubits":[0,1],"angles":[[[-1.0],[2.0,["w",0],["x",1]],[1.0,["sin",[[1.0,["x",0]]]]]]]}]}'
    )
    assert circuit.to_json() == text
    assert Circuit.from_json(text) == circuit
    assert circuit.fingerprint == "181d4cfa6e608387ae84058ce86257f296a192896c83bd4b76ae9c7d87ca162e"


def test_extreme_circuits_come_back():
    for circuit in (Circuit(1, []), Circuit(3, [CCX(2, 0, 1)], n_inputs=5, n_weights=7)):
        assert Circuit.from_json(circuit.to_json()) == circuit


@pytest.mark.parametrize("text", ["[]", "{}", '{"circuit": 99, "ops": []}', "3"])
def test_another_format_is_refused(text):
    with pytest.raises(ValueError, match=rf"expected {VERSION}: write it again with Circuit.to_json\(\)"):
        Circuit.from_json(text)


def test_an_unknown_gate_is_named():
    with pytest.raises(ValueError, match=r"got the gate 'XYZ', expected one of I, X, .*the file is of a newer version"):
        decode_op({"gate": "XYZ", "qubits": [0]})


@pytest.mark.parametrize(
    "change", [{"qubits": [0, 1]}, {"qubits": []}, {"angles": []}, {"angles": [[[1.0]], [[1.0]]]}], ids=str
)
def test_a_damaged_operation_is_refused(change):
    with pytest.raises(TypeError, match=r"expected RX\(angle, qubit0\)"):
        decode_op({**encode_op(RX(0.5, 0)), **change})


def test_a_damaged_text_is_refused():
    with pytest.raises(ValueError, match=r"got a text that is not JSON \(.*\), expected what Circuit.to_json wrote"):
        Circuit.from_json('{"circuit":1,')


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"ops": None}, "not iterable"),
        ({"ops": [{"gate": "RX", "qubits": [0], "angles": [[[float("nan")]]]}]}, "expected a finite real number"),
        ({"ops": [{"gate": "RX", "qubits": [0], "angles": [[["1"]]]}]}, "expected a finite real number"),
        ({"ops": [{"gate": "RX", "qubits": [0], "angles": [[[1.0, ["load", [[1.0]]]]]]}]}, r"got the factor load\("),
        ({"ops": [{"gate": "RX", "qubits": [0], "angles": [[[1.0, ["x", -1]]]]}]}, r"got the factor x\(-1\)"),
        ({"ops": [{"gate": "unitary", "qubits": [0], "matrix": [[5, 0], [0, 0], [0, 0], [5, 0]]}]}, "expected a unit"),
        ({"ops": [{"gate": "unitary", "qubits": [0], "matrix": [[1, 0]]}]}, "cannot reshape"),
    ],
)
def test_damaged_content_is_refused(change, why):
    data = {"circuit": 1, "n_qubits": 1, "n_inputs": 1, "n_weights": 0, "ops": []}
    with pytest.raises(ValueError, match=f"got a circuit that cannot be read: the text is damaged; .*{why}"):
        Circuit.from_json(json.dumps({**data, **change}))


def test_angles_are_read_into_normal_form():
    terms = [[1.0, ["w", 0], ["x", 0]], [0.5, ["x", 0]], [0.5, ["x", 0]]]
    assert decode_angle(terms) == inputs(1)[0] * weights(1)[0] + inputs(1)[0]


def test_a_circuit_without_a_field_is_refused():
    with pytest.raises(ValueError, match=r"got a circuit without 'n_inputs', expected all its fields: the text is dam"):
        Circuit.from_json('{"circuit":1,"n_qubits":1,"n_weights":0,"ops":[]}')
