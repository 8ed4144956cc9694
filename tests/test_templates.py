import doctest
import functools
import importlib
import inspect
import itertools
import pkgutil
import re

import dense
import numpy as np
import pennylane as qp
import pytest
import qiskit.circuit.library as ql
import torch
from foreign import equal_up_to_phase, pennylane_unitary, qiskit_unitary
from scipy.linalg import expm
from strategies import haar_unitary

from backends import Statevector
from circuits import CX, RX, RY, Circuit, pauli, templates, z_each
from circuits.templates import (
    CONTROLLED_ROT,
    RY_CX,
    SU4,
    amplitude_encoding,
    angle_encoding,
    basic_entangler,
    boolean_function,
    data_reuploading,
    fast_weight_circuit,
    few_data_qcnn,
    hadamard_cascade,
    hardware_efficient,
    interleaved_block_encoding,
    iqp,
    iqp_ansatz,
    kept_qubits,
    mps,
    qcnn,
    readout_qubit,
    recurrent_block,
    reed_muller,
    sim9,
    sim14,
    simplified_two_design,
    single_qubit_reuploading,
    strongly_entangling,
    tree_tensor_network,
    zz_feature_map,
)

NAMES = [module.name for module in pkgutil.iter_modules(templates.__path__) if not module.name.startswith("_")]
SMALL = {"n_qubits": 3, "n_layers": 2, "n_features": 16}
PAIRED = (
    "few_data_qcnn",
    "qcnn",
    "readout_qubit",
    "tree_tensor_network",
    "mps",
    "sim14",
    "iqp_ansatz",
)  # of pairs of qubits, at least one


def function(name):
    return getattr(importlib.import_module(f"circuits.templates.{name}"), name)


def build(name, **changes):
    """The template with only its required arguments, small."""
    parameters = inspect.signature(function(name)).parameters.values()
    required = {p.name: SMALL[p.name] for p in parameters if p.default is inspect.Parameter.empty}
    return function(name)(**{**required, **changes})


def values(circuit, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(-2, 2, circuit.n_inputs), rng.uniform(-2, 2, circuit.n_weights)


def draw(shape, seed=0):
    return np.random.default_rng(seed).uniform(-2, 2, shape)


def same(circuit, foreign, x=(), w=()):
    """Equality of whole unitaries up to a global phase."""
    return equal_up_to_phase(dense.unitary(circuit, np.ravel(x), np.ravel(w)), foreign)


# What every template does: a new file is tested the moment it exists.


@pytest.mark.parametrize("name", NAMES)
def test_a_template_is_a_function_of_its_files_name(name):
    assert name in templates.__all__
    assert getattr(templates, name) is function(name)
    assert isinstance(build(name), Circuit)


@pytest.mark.parametrize("name", NAMES)
def test_the_docstring_opens_with_formula_and_source(name):
    text = inspect.getdoc(function(name))
    first = text.split("\n\n")[0]
    assert re.search(r"``.+``|PennyLane", first)
    assert re.search(r"arXiv:\d{4}\.\d{4,5}", first)
    assert all(f"{section}\n---" in text for section in ("Parameters", "Returns", "Raises"))
    assert "n_inputs" in text
    assert ("reps" in text) == ("n_layers" in inspect.signature(function(name)).parameters)
    assert all(f"\n{p} : " in text or f"{p}, " in text for p in inspect.signature(function(name)).parameters)


@pytest.mark.parametrize("name", NAMES)
def test_templates_come_back_from_json(name):
    circuit = build(name)
    assert Circuit.from_json(circuit.to_json()) == circuit == build(name)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "amplitude_encoding"])
def test_the_inverse_undoes_a_template(name):
    circuit = build(name)
    whole = dense.unitary(circuit + circuit.inverse(), *values(circuit))
    assert np.allclose(whole, np.eye(8), rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_qubits", [2, 3, 4])
@pytest.mark.parametrize("name", NAMES)
def test_every_feature_and_weight_is_used(name, n_qubits):
    circuit = build(name, n_qubits=n_qubits)
    used = {slot for angle in circuit.angles for slot in angle.slots}
    stated = {("x", i) for i in range(circuit.n_inputs)} | {("w", j) for j in range(circuit.n_weights)}
    assert used == stated != set()


@pytest.mark.parametrize("n_qubits", [0, -1, 1.0, "3", None, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_number_of_qubits_is_required(name, n_qubits):
    with pytest.raises(ValueError, match=rf"got n_qubits={n_qubits!r}, expected an integer of at least \d: pass n_qub"):
        build(name, n_qubits=n_qubits)


@pytest.mark.parametrize("name", [n for n in NAMES if "n_layers" in inspect.signature(function(n)).parameters])
def test_a_number_of_layers_is_required(name):
    with pytest.raises(ValueError, match="got n_layers=0, expected an integer of at least 1: pass n_layers=1"):
        build(name, n_layers=0)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in PAIRED])
def test_one_qubit_is_enough_where_nothing_needs_two(name):
    circuit = build(name, n_qubits=1)
    assert all(op.qubits == (0,) for op in circuit.ops)


@pytest.mark.parametrize("name", PAIRED)
def test_pairs_need_two_qubits(name):
    assert build(name, n_qubits=2).n_qubits == 2
    with pytest.raises(ValueError, match="got n_qubits=1, expected an integer of at least 2"):
        build(name, n_qubits=1)


def test_the_examples_in_the_docstring_run():
    assert doctest.testmod(templates).failed == 0
    assert doctest.testmod(templates).attempted > 0


# Feature maps


@pytest.mark.parametrize("rotation", ["X", "Y", "Z"])
def test_angle_encoding_is_pennylanes(rotation):
    x = draw(3)
    foreign = pennylane_unitary(lambda: qp.AngleEmbedding(x, range(3), rotation), 3)
    assert same(angle_encoding(3, rotation), foreign, x)
    assert angle_encoding(3) == angle_encoding(3, "X")


@pytest.mark.parametrize(("n_qubits", "n_features"), [(2, None), (3, 5), (3, 8), (1, 1)])
def test_amplitude_encoding_is_the_normalised_vector(n_qubits, n_features):
    circuit = amplitude_encoding(n_qubits, n_features)
    x = draw(circuit.n_inputs)
    expected = np.zeros(2**n_qubits)
    expected[: len(x)] = x / np.linalg.norm(x)
    assert np.allclose(dense.state(circuit, x), expected, rtol=0, atol=1e-14)

    @qp.qnode(qp.device("default.qubit", wires=n_qubits))
    def foreign():
        qp.AmplitudeEmbedding(x, range(n_qubits), pad_with=0.0, normalize=True)
        return qp.state()

    assert np.allclose(dense.state(circuit, x), foreign(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_features", [0, 5])
def test_amplitude_encoding_holds_two_to_the_n_features(n_features):
    with pytest.raises(ValueError, match=f"got n_features={n_features}, expected an integer from 1 to 4"):
        amplitude_encoding(2, n_features)


@pytest.mark.parametrize("pairs", [None, [(0, 1), (2, 0)], []])
@pytest.mark.parametrize("n_layers", [1, 3])
def test_iqp_is_pennylanes(n_layers, pairs):
    x = draw(3)
    foreign = pennylane_unitary(lambda: qp.IQPEmbedding(x, range(3), n_layers, pairs), 3)
    assert same(iqp(3, n_layers, pairs), foreign, x)


@pytest.mark.parametrize("n_qubits", [2, 3, 4])
@pytest.mark.parametrize("n_layers", [1, 2])
@pytest.mark.parametrize(
    ("entanglement", "theirs"), [("full", "full"), ("linear", "linear"), ("brick", "pairwise"), ("ring", "circular")]
)
def test_zz_feature_map_is_qiskits(n_qubits, n_layers, entanglement, theirs):
    x = draw(n_qubits)
    foreign = ql.zz_feature_map(n_qubits, n_layers, theirs).assign_parameters(x)
    assert same(zz_feature_map(n_qubits, n_layers, entanglement), qiskit_unitary(foreign), x)


def test_zz_feature_map_of_one_qubit_is_qiskits_z_feature_map():
    foreign = ql.z_feature_map(1, 3).assign_parameters([0.4])
    assert same(zz_feature_map(1, 3), qiskit_unitary(foreign), [0.4])


def test_zz_feature_map_has_qiskits_defaults():
    foreign = ql.zz_feature_map(3).assign_parameters(draw(3))
    assert same(zz_feature_map(3), qiskit_unitary(foreign), draw(3))


@pytest.mark.parametrize("hadamard", ["first", "all"])
@pytest.mark.parametrize("n_qubits", [1, 2, 5])
def test_hadamard_cascade_is_the_papers_in_pennylane(n_qubits, hadamard):
    x = draw(n_qubits)

    def foreign():
        qp.AngleEmbedding(x, range(n_qubits), "Y")
        for qubit in range(n_qubits if hadamard == "all" else 1):
            qp.Hadamard(qubit)
        for qubit in range(n_qubits - 1):
            qp.CNOT([qubit, qubit + 1])

    assert same(hadamard_cascade(n_qubits, hadamard), pennylane_unitary(foreign, n_qubits), x)
    assert hadamard_cascade(n_qubits) == hadamard_cascade(n_qubits, "first")


@pytest.mark.parametrize("hadamard", ["first", "all"])
def test_hadamard_cascade_tosses_independent_coins(hadamard):
    """Qubit q has the parity of coins 0 to q, with P(1) = (1 - sin x)/2 after a Hadamard, sin²(x/2) without."""
    x = draw(4)
    coins = np.where([True] + 3 * [hadamard == "all"], (1 - np.sin(x)) / 2, np.sin(x / 2) ** 2)
    expected = np.zeros((2,) * 4)
    for outcome in itertools.product((0, 1), repeat=4):
        expected[tuple(np.cumsum(outcome) % 2)] = np.prod(np.where(outcome, coins, 1 - coins))
    found = np.abs(dense.state(hadamard_cascade(4, hadamard), x)) ** 2
    assert np.allclose(found, expected.ravel(), rtol=0, atol=1e-12)


# Ansätze


@pytest.mark.parametrize("rotation", ["X", "Y", "Z"])
@pytest.mark.parametrize("n_qubits", [1, 2, 4])
def test_basic_entangler_is_pennylanes(n_qubits, rotation):
    w, gate = draw((3, n_qubits)), getattr(qp, f"R{rotation}")
    foreign = pennylane_unitary(lambda: qp.BasicEntanglerLayers(w, range(n_qubits), gate), n_qubits)
    assert same(basic_entangler(n_qubits, 3, rotation), foreign, w=w)


def test_amplitudes_and_a_basic_entangler_are_the_layer_of_a_published_cnn():
    """The circuit of arXiv:2509.13353: 16 features on 4 qubits, 8 weights, Z of each qubit."""
    circuit, x, w = amplitude_encoding(4) + basic_entangler(4, 2), draw(16), draw((2, 4), seed=1)

    @qp.qnode(qp.device("default.qubit", wires=4))
    def foreign():
        qp.AmplitudeEmbedding(x, range(4), normalize=True)
        qp.BasicEntanglerLayers(w, range(4))
        return [qp.expval(qp.PauliZ(q)) for q in range(4)]

    assert (circuit.n_inputs, circuit.n_weights) == (16, 8)
    assert np.allclose(dense.expectation(circuit, x, w.ravel(), z_each(4)), foreign(), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("n_qubits", "ranges"), [(1, None), (2, None), (4, None), (4, [2, 3, 1, 5, -1])])
def test_strongly_entangling_is_pennylanes(n_qubits, ranges):
    w = draw((5, n_qubits, 3))
    foreign = pennylane_unitary(lambda: qp.StronglyEntanglingLayers(w, range(n_qubits), ranges), n_qubits)
    assert same(strongly_entangling(n_qubits, 5, ranges), foreign, w=w)


@pytest.mark.parametrize("n_qubits", [1, 2, 3, 5])
def test_simplified_two_design_is_pennylanes(n_qubits):
    first, rest = draw(n_qubits), draw((2, n_qubits - 1, 2), seed=1)
    foreign = pennylane_unitary(lambda: qp.SimplifiedTwoDesign(first, rest, range(n_qubits)), n_qubits)
    assert same(simplified_two_design(n_qubits, 2), foreign, w=np.concatenate([first, rest.ravel()]))


@pytest.mark.parametrize("n_qubits", [1, 2, 3, 4])
def test_sim9_is_circuit_9_in_pennylane(n_qubits):
    w = draw((2, n_qubits))

    def foreign():
        for layer in w:
            for q in range(n_qubits):
                qp.Hadamard(q)
            for q in range(n_qubits - 1):
                qp.CZ((q, q + 1))
            qp.AngleEmbedding(layer, range(n_qubits), "X")

    assert same(sim9(n_qubits, 2), pennylane_unitary(foreign, n_qubits), w=w)
    assert sim9(n_qubits) == sim9(n_qubits, n_layers=1)


#: Control and target of the rings of circuit 14 as in arXiv:2308.07865, first to act first.
RINGS = {
    2: ([(1, 0), (0, 1)], [(1, 0), (0, 1)]),
    3: ([(2, 0), (0, 1), (1, 2)], [(2, 1), (0, 2), (1, 0)]),
    4: ([(3, 0), (0, 1), (1, 2), (2, 3)], [(3, 2), (0, 3), (1, 0), (2, 1)]),
}


@pytest.mark.parametrize("n_qubits", RINGS)
def test_sim14_is_circuit_14_in_pennylane(n_qubits):
    w = draw((2, 4, n_qubits))

    def foreign():
        for layer in w:
            for ring, turns, angles in zip(RINGS[n_qubits], layer[::2], layer[1::2], strict=True):
                qp.AngleEmbedding(turns, range(n_qubits), "Y")
                for pair, angle in zip(ring, angles, strict=True):
                    qp.CRX(angle, pair)

    assert same(sim14(n_qubits, 2), pennylane_unitary(foreign, n_qubits), w=w)
    assert sim14(n_qubits) == sim14(n_qubits, n_layers=1)


@pytest.mark.parametrize("n_qubits", [2, 3, 4])
def test_iqp_ansatz_is_that_of_language_processing_in_pennylane(n_qubits):
    w = draw((2, n_qubits - 1))

    def foreign():
        for layer in w:
            for q in range(n_qubits):
                qp.Hadamard(q)
            for q, angle in enumerate(layer):
                qp.CRZ(angle, (q + 1, q))

    assert same(iqp_ansatz(n_qubits, 2), pennylane_unitary(foreign, n_qubits), w=w)
    assert iqp_ansatz(n_qubits) == iqp_ansatz(n_qubits, n_layers=1)


PATTERNS = [
    ("linear", "linear"),
    ("full", "full"),
    ("brick", "pairwise"),
    ("ring", [[0, 1], [1, 2], [2, 3], [3, 0]]),
    ([(2, 3), (1, 2), (0, 1)], "reverse_linear"),
]


@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize(("entanglement", "theirs"), PATTERNS, ids=str)
def test_hardware_efficient_is_qiskits_efficient_su2(entanglement, theirs, final):
    circuit = hardware_efficient(4, 2, entanglement=entanglement, final_rotations=final)
    foreign = ql.efficient_su2(4, entanglement=theirs, reps=2, skip_final_rotation_layer=not final)
    w = draw(circuit.n_weights)
    assert same(circuit, qiskit_unitary(foreign.assign_parameters(w)), w=w)


@pytest.mark.parametrize(("entanglement", "theirs"), PATTERNS, ids=str)
def test_hardware_efficient_is_qiskits_real_amplitudes(entanglement, theirs):
    circuit = hardware_efficient(4, 2, ["RY"], entanglement)
    w = draw(circuit.n_weights)
    foreign = ql.real_amplitudes(4, theirs, 2).assign_parameters(w)
    assert same(circuit, qiskit_unitary(foreign), w=w)


@pytest.mark.parametrize("n_qubits", [1, 2, 3])
def test_hardware_efficient_with_other_gates_is_qiskits_n_local(n_qubits):
    circuit = hardware_efficient(n_qubits, 2, ("RZ", "RX", "RZ"), entangler="CZ")
    blocks = "cz" if n_qubits > 1 else []
    w = draw(circuit.n_weights)
    foreign = ql.n_local(n_qubits, ["rz", "rx", "rz"], blocks, "linear", 2).assign_parameters(w)
    assert same(circuit, qiskit_unitary(foreign), w=w)


def test_a_ring_of_two_couples_once():
    assert hardware_efficient(2, 1, entanglement="ring") == hardware_efficient(2, 1, entanglement="linear")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: angle_encoding(2, "W"), "got rotation='W', expected one of 'X', 'Y', 'Z': write the name as listed"),
        (lambda: angle_encoding(2, "XY"), "got rotation='XY', expected one of"),
        (lambda: basic_entangler(2, 1, "RX"), "got rotation='RX', expected one of 'X', 'Y', 'Z'"),
        (lambda: qcnn(4, encoding="A"), "got encoding='A', expected one of"),
        (lambda: hardware_efficient(2, 1, ["RY", "H"]), "got rotations='H', expected one of 'RX', 'RY', 'RZ'"),
        (lambda: hardware_efficient(2, 1, []), r"got len\(rotations\)=0, expected an integer of at least 1"),
        (lambda: hardware_efficient(2, 1, entangler="CY"), "got entangler='CY', expected one of 'CX', 'CZ'"),
        (
            lambda: hardware_efficient(2, 1, entanglement="circular"),
            r"got entanglement='circular', expected one of 'linear', 'ring', 'brick', 'full': or list the pairs",
        ),
        (lambda: zz_feature_map(2, entanglement=None), "got entanglement=None, expected one of"),
        (
            lambda: zz_feature_map(2, 1, [(0, 2)]),
            r"got \(0, 2\) in entanglement, expected two different qubits from 0 t",
        ),
        (lambda: iqp(3, pairs=[(1, 1)]), r"got \(1, 1\) in pairs, expected two different qubits"),
        (lambda: iqp(3, pairs=[0, 1]), "got 0 in pairs, expected two different qubits"),
        (lambda: iqp(3, pairs=[(0, 1, 2)]), r"got \(0, 1, 2\) in pairs"),
        (lambda: strongly_entangling(3, 2, [1]), "got 1 ranges for n_layers=2, expected one per layer"),
        (lambda: strongly_entangling(3, 1, [3]), "got the range 3 on 3 qubits, expected no multiple of 3"),
        (lambda: data_reuploading(2, 1, 0), "got n_features=0, expected an integer of at least 1"),
        (lambda: fast_weight_circuit(2, 1, 3), "got n_features=3, expected an integer from 1 to 2"),
        (lambda: hadamard_cascade(2, "last"), "got hadamard='last', expected one of 'first', 'all': write the"),
        (lambda: few_data_qcnn(5, 0), "got n_levels=0, expected an integer from 1 to 3"),
        (lambda: few_data_qcnn(5, 4), "got n_levels=4, expected an integer from 1 to 3"),
        (lambda: interleaved_block_encoding(2, 0), "got n_features=0, expected an integer of at least 1"),
        (lambda: interleaved_block_encoding(2, 5), "got n_blocks=4, expected an integer from 1 to 3"),
        (lambda: interleaved_block_encoding(2, 5, 0), "got n_blocks=0, expected an integer from 1 to 3"),
        (lambda: qcnn(4, 4), "got n_final=4, expected an integer from 1 to 3"),
        (lambda: kept_qubits(4, 0), "got n_final=0, expected an integer from 1 to 3"),
        (lambda: mps(3, block=CX), "got block=CX, expected a Circuit on 2 qubits: circuits.templates.SU4, for example"),
        (lambda: tree_tensor_network(3, Circuit(3, [])), "got block on 3 qubits with 0 features, expected 2 qubits"),
        (lambda: qcnn(4, pooling=angle_encoding(2)), "got pooling on 2 qubits with 2 features, expected 2 qubits and"),
        (lambda: readout_qubit(3, 1, ["ZI"]), "got words='ZI', expected one of 'XX', 'XY'"),
        (lambda: readout_qubit(3, 1, []), r"got len\(words\)=0, expected an integer of at least 1"),
        (lambda: boolean_function([0, 1, 1]), r"got a truth table of shape \(3,\), expected 2\*\*n values 0 or 1: "),
        (lambda: boolean_function([1]), r"got a truth table of shape \(1,\), expected 2\*\*n values"),
        (lambda: reed_muller([0, 2]), r"got a truth table of shape \(2,\), expected 2\*\*n values 0 or 1"),
        (lambda: qcnn(4, convolution="SU4"), "got convolution='SU4', expected a Circuit on 2 qubits"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Single qubits


@pytest.mark.parametrize("entangle", [True, False])
@pytest.mark.parametrize("n_features", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("n_qubits", [1, 2, 3])
def test_single_qubit_reuploading_is_pennylanes(n_qubits, n_features, entangle):
    circuit = single_qubit_reuploading(n_qubits, 2, n_features, entangle)
    x, w = draw(n_features), draw((2, n_qubits), seed=1)
    pairs = {1: [], 2: [(0, 1)], 3: [(0, 1), (1, 2), (2, 0)]}[n_qubits]
    threes = [[0, 1, 2][:n_features], [3, 4, 5][: n_features - 3], [6, 7][: n_features - 6]]
    first, second, third = threes[0], threes[1] if n_features > 3 else [], threes[2] if n_features > 6 else []
    hands = {
        1: [first + second + third],
        2: [first + third, second or first],
        3: [first, second or first, third or first],
    }[n_qubits]

    def theirs():
        for q in range(n_qubits):
            qp.Hadamard(q)
        for layer in w:
            for q, own in enumerate(hands):
                for i, which in enumerate(own):
                    (qp.RY if i % 3 == 1 else qp.RZ)(x[which], q)
            for pair in pairs if entangle else []:
                qp.CZ(pair)
            for q in range(n_qubits):
                qp.RX(layer[q], q)

    assert same(circuit, pennylane_unitary(theirs, n_qubits), x, w)


def test_the_entanglers_of_single_qubits_reach_readouts_of_z():
    x, w = draw(3), draw(3, seed=1)
    one, other = (single_qubit_reuploading(3, 1, entangle=on) for on in (True, False))
    found, apart = (dense.expectation(circuit, x, w, z_each(3)) for circuit in (one, other))
    assert np.abs(np.subtract(found, apart)).min() > 1e-3


# Data re-uploading, against matrices written from the paper


def paper_unitary(a, b, c):
    return dense.rz(b) @ dense.ry(a) @ dense.rz(c)


def paper_reuploading(x, theta, scale, entangle=True):
    """The paper's circuit: theta (layers, qubits, unitaries, 3), scale (layers, qubits, features)."""
    n_layers, n_qubits, n_unitaries, _ = theta.shape
    padded = np.zeros((n_layers, n_qubits, 3 * n_unitaries))
    padded[..., : len(x)] = scale * x
    angles = theta + padded.reshape(theta.shape)
    pairs = {1: [[], []], 2: [[(0, 1)]] * 2, 3: [[(0, 1)], [(1, 2)]], 4: [[(0, 1), (2, 3)], [(1, 2), (0, 3)]]}[n_qubits]
    total = np.eye(2**n_qubits)
    for number, layer in enumerate(angles):
        columns = [np.linalg.multi_dot([np.eye(2), *[paper_unitary(*u) for u in q[::-1]], np.eye(2)]) for q in layer]
        total = dense.kron(*columns) @ total
        for pair in pairs[number % 2] if entangle and number < n_layers - 1 else []:
            total = dense.embed(dense.FIXED["CZ"], pair, n_qubits) @ total
    return total


@pytest.mark.parametrize("entangle", [True, False])
@pytest.mark.parametrize("n_features", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("n_qubits", [1, 2, 3, 4])
def test_data_reuploading_is_the_papers(n_qubits, n_features, entangle):
    n_layers, n_unitaries = 4, -(-n_features // 3)
    circuit = data_reuploading(n_qubits, n_layers, n_features, entangle=entangle)
    x, theta = draw(n_features), draw((n_layers, n_qubits, n_unitaries, 3), seed=1)
    scale = draw((n_layers, n_qubits, n_features), seed=2)
    w = np.concatenate([theta.ravel(), scale.ravel()])
    assert (circuit.n_inputs, circuit.n_weights) == (n_features, len(w))
    assert same(circuit, paper_reuploading(x, theta, scale, entangle), x, w)


def test_data_reuploading_without_scaling_takes_features_as_angles():
    circuit, x, theta = data_reuploading(2, 3, 4, scaling=False), draw(4), draw((3, 2, 2, 3), seed=1)
    assert same(circuit, paper_reuploading(x, theta, 1.0), x, theta)


def test_data_reuploading_is_pennylanes_rot():
    x, theta = draw(3), draw((2, 3), seed=1)

    def foreign():
        for a, b, c in theta + x:
            qp.Rot(c, a, b, wires=0)

    assert same(data_reuploading(1, 2, 3, scaling=False), pennylane_unitary(foreign, 1), x, theta)


def test_data_reuploading_takes_as_many_features_as_qubits_by_default():
    assert data_reuploading(3, n_layers=2) == data_reuploading(3, 2, n_features=3, scaling=True, entangle=True)


def test_data_reuploading_has_as_many_frequencies_as_layers():
    """A feature uploaded L times gives a trigonometric polynomial of degree L (arXiv:2008.08605)."""
    circuit = data_reuploading(1, 3, n_features=1, scaling=False)
    w = draw(circuit.n_weights)
    grid = 2 * np.pi * np.arange(16) / 16
    f = [(abs(dense.state(circuit, [t], w)) ** 2) @ [1, -1] for t in grid]
    spectrum = abs(np.fft.rfft(f)) / 16
    assert np.all(spectrum[:4] > 1e-3)
    assert np.all(spectrum[4:] < 1e-14)


# Fast weights, against PennyLane


@pytest.mark.parametrize(("n_qubits", "n_layers", "n_features"), [(1, 1, 1), (2, 3, 1), (3, 2, None), (4, 1, 2)])
def test_fast_weight_circuit_is_the_papers(n_qubits, n_layers, n_features):
    circuit = fast_weight_circuit(n_qubits, n_layers, n_features)
    x, theta = draw(n_features or n_qubits), draw((n_layers, n_qubits), seed=1)

    def foreign():
        for q in range(n_qubits):
            qp.Hadamard(q)
        qp.AngleEmbedding(x, range(len(x)), "Y")
        for layer in theta:
            for start in (0, 1):
                for q in range(start, n_qubits - 1, 2):
                    qp.CNOT((q, q + 1))
            qp.AngleEmbedding(layer, range(n_qubits), "Y")

    assert (circuit.n_inputs, circuit.n_weights) == (len(x) + theta.size, 0)
    assert same(circuit, pennylane_unitary(foreign, n_qubits), np.concatenate([x, theta.ravel()]))


# The block of recurrent networks


@pytest.mark.parametrize("n_qubits", [1, 2, 3, 4, 5])
def test_recurrent_block_is_the_papers_in_pennylane(n_qubits):
    x, w = draw(n_qubits), draw((3, n_qubits, 3), seed=1)

    def foreign():
        for q in range(n_qubits):
            qp.Hadamard(q)
            qp.RY(np.arctan(x[q]), q)
            qp.RZ(np.arctan(x[q] ** 2), q)
        for layer in w:
            for q in range(n_qubits) if n_qubits > 1 else ():
                qp.CNOT([q, (q + 1) % n_qubits])
            for q in range(n_qubits) if n_qubits > 2 else ():
                qp.CNOT([q, (q + 2) % n_qubits])
            for q in range(n_qubits):
                qp.Rot(*layer[q], q)

    assert same(recurrent_block(n_qubits, 3), pennylane_unitary(foreign, n_qubits), x, w)


def test_recurrent_block_has_the_papers_numbers_by_default():
    circuit = recurrent_block(4)
    assert circuit == recurrent_block(4, n_layers=2) and (circuit.n_inputs, circuit.n_weights) == (4, 24)


# Interleaved block encoding, against matrices written from the paper


@pytest.mark.parametrize(
    ("n_qubits", "n_features", "n_blocks", "lengths"),
    [(5, 64, 4, [4, 3, 3, 3]), (3, 7, 2, [2, 1]), (2, 12, 1, [6]), (4, 12, 3, [1, 1, 1]), (1, 5, 4, [2, 1, 1, 1])],
)
def test_interleaved_block_encoding_is_the_papers(n_qubits, n_features, n_blocks, lengths):
    circuit = interleaved_block_encoding(n_qubits, n_features, n_blocks, scale=1.5)
    x, theta = draw(n_features), draw((sum(lengths), n_qubits), seed=1)
    angles = 1.5 * np.append(x, np.zeros(theta.size - n_features)).reshape(theta.shape) + np.pi + theta
    brick = [(q, q + 1) for start in (0, 1) for q in range(start, n_qubits - 1, 2)]
    total, columns = np.eye(2**n_qubits), enumerate(angles)
    for length in lengths:
        for number, column in itertools.islice(columns, length):
            total = dense.kron(*[(dense.rx, dense.rz)[number % 2](angle) for angle in column]) @ total
        for pair in brick:
            total = dense.embed(dense.FIXED["CX"], pair, n_qubits) @ total
    assert (circuit.n_inputs, circuit.n_weights) == (n_features, theta.size)
    assert same(circuit, total, x, theta)


def test_interleaved_block_encoding_of_the_papers_size():
    circuit = interleaved_block_encoding(10, 256)
    names = [name for name, _ in itertools.groupby(op.gate.name for op in circuit.ops)]
    lengths = [len(list(block)) for is_cx, block in itertools.groupby(names, lambda n: n == "CX") if not is_cx]
    assert (circuit.n_weights, lengths) == (260, [8, 6, 6, 6])
    assert sum(op.gate.name == "CX" for op in circuit.ops) == 36
    assert circuit == interleaved_block_encoding(10, 256, n_blocks=4, scale=2.0)


def test_a_last_column_of_rz_does_not_reach_readouts_of_z():
    circuit = interleaved_block_encoding(3, 12)
    x, w = values(circuit)
    before = dense.expectation(circuit, x, w, z_each(3))
    x[9:], w[9:] = 0.3, -0.7
    assert np.allclose(dense.expectation(circuit, x, w, z_each(3)), before, rtol=0, atol=1e-12)
    x[8] = 0.3
    assert not np.allclose(dense.expectation(circuit, x, w, z_each(3)), before, rtol=0, atol=1e-3)


# The QCNN on few data, against PennyLane, which really measures


def pennylanes_few_data_qcnn(state, n_qubits, first, levels, last):
    """Probabilities of the kept qubits; ``first`` (6,), ``levels`` (L, 12), ``last`` (4**kept - 1,)."""

    @qp.qnode(qp.device("default.qubit"))
    def circuit():
        qp.StatePrep(state, wires=range(n_qubits))
        wires = list(range(n_qubits))
        for number, w in enumerate(levels):
            for start in (0, 1):
                for i in range(start, len(wires) - 1, 2):
                    pair = wires[i], wires[i + 1]
                    if number == 0 and start == 0:
                        qp.U3(*first[:3], wires=pair[0])
                        qp.U3(*first[3:], wires=pair[1])
                    for gate, angle in zip((qp.IsingXX, qp.IsingYY, qp.IsingZZ), w[:3], strict=True):
                        gate(angle, wires=pair)
                    qp.U3(*w[3:6], wires=pair[0])
                    qp.U3(*w[6:9], wires=pair[1])
            for i in range(1, len(wires), 2):
                qp.cond(qp.measure(wires[i]), qp.U3)(*w[9:], wires=wires[i - 1])
            wires = wires[::2]
        qp.ArbitraryUnitary(last, wires=wires)
        return qp.probs(wires=wires)

    return circuit()


@pytest.mark.parametrize(
    ("n_qubits", "n_levels", "kept"), [(6, 1, (0, 2, 4)), (5, 2, (0, 4)), (4, 2, (0,)), (2, 1, (0,))]
)
def test_few_data_qcnn_is_pennylanes(n_qubits, n_levels, kept):
    circuit = few_data_qcnn(n_qubits, n_levels)
    state = haar_unitary(n_qubits, seed=0)[0]
    w = draw(circuit.n_weights)
    shared = 6 + 12 * n_levels
    wanted = pennylanes_few_data_qcnn(state, n_qubits, w[:6], w[6:shared].reshape(n_levels, 12), w[shared:])
    final = (abs(dense.unitary(circuit, w=w) @ state) ** 2).reshape((2,) * n_qubits)
    found = final.sum(tuple(q for q in range(n_qubits) if q not in kept)).ravel()
    assert np.allclose(found, wanted, rtol=0, atol=1e-10)


def test_few_data_qcnn_has_the_published_numbers_of_weights():
    assert few_data_qcnn(6).n_weights == 81
    assert few_data_qcnn(10, 2).n_weights == 99 - 6  # six of the published ones turn nothing


# Two-qubit blocks


def derivatives(circuit, w):
    """U† dU/dw_j of a circuit's matrix by central differences, one row per weight."""
    h, u = 1e-5, dense.unitary(circuit, w=w)
    steps = h * np.eye(len(w))
    return [(u.conj().T @ (dense.unitary(circuit, w=w + s) - dense.unitary(circuit, w=w - s)) / (2 * h)) for s in steps]


def test_su4_reaches_every_two_qubit_unitary():
    """Its 15 weights move it in all 15 directions of su(4)."""
    tangents = np.array(derivatives(SU4, draw(15))).reshape(15, -1)
    singular = np.linalg.svd(np.hstack([tangents.real, tangents.imag]), compute_uv=False)
    assert singular[-1] > 1e-3
    assert abs(abs(np.linalg.det(dense.unitary(SU4, w=draw(15)))) - 1) < 1e-12


def test_controlled_rot_is_pennylanes():
    w = draw(3)
    assert same(CONTROLLED_ROT, pennylane_unitary(lambda: qp.CRot(*w, wires=(0, 1)), 2), w=w)


def test_ry_cx_is_two_rotations_and_a_cx():
    expected = dense.FIXED["CX"] @ np.kron(dense.ry(0.3), dense.ry(-0.8))
    assert same(RY_CX, expected, w=[0.3, -0.8])


# QCNN, against one that really measures


def two_qubit(w):
    """The 15-weight block from exponentials."""

    def local(a, b, c):
        return dense.rx(c) @ dense.ry(b) @ dense.rx(a)

    w = np.reshape(w, (5, 3))
    coupling = np.linalg.multi_dot([dense.two_qubit_rotation(p * 2)(t) for p, t in zip("XYZ", w[2], strict=True)])
    return np.kron(local(*w[3]), local(*w[4])) @ coupling @ np.kron(local(*w[0]), local(*w[1]))


def measured_qcnn(rho, n_qubits, n_final, w):
    """Density matrix after a QCNN whose pooled qubits are measured and rotated upon, one after another."""
    w, active = list(w), list(range(n_qubits))

    def take(k):
        return [w.pop(0) for _ in range(k)]

    def apply(rho, matrix, qubits):
        whole = dense.embed(matrix, qubits, n_qubits)
        return whole @ rho @ whole.conj().T

    while len(active) > n_final:
        convolution = two_qubit(take(15))
        for start in (0, 1):
            for i in range(start, len(active) - 1, 2):
                rho = apply(rho, convolution, active[i : i + 2])
        a, b, c = take(3)
        conditional = [np.eye(2), dense.rz(c) @ dense.ry(b) @ dense.rz(a)]
        for kept, measured in zip(active[0::2], active[1::2], strict=False):
            branches = [apply(rho, np.diag([1 - m, m]), [measured]) for m in (0, 1)]
            rho = sum(apply(branch, v, [kept]) for branch, v in zip(branches, conditional, strict=True))
        active = active[::2]
    if len(active) == 1:
        a, b, c = take(3)
        return apply(rho, dense.rx(c) @ dense.ry(b) @ dense.rx(a), active)
    for pair in itertools.combinations(active, 2):
        rho = apply(rho, two_qubit(take(15)), pair)
    assert not w
    return rho


def reduced(rho, kept, n_qubits):
    """Partial trace onto the kept qubits."""
    tensor, labels = rho.reshape((2,) * 2 * n_qubits), list(range(2 * n_qubits))
    columns = [n_qubits + q if q in kept else q for q in range(n_qubits)]
    out = [*kept, *(n_qubits + q for q in kept)]
    return np.einsum(tensor, labels[:n_qubits] + columns, out).reshape(2 ** len(kept), -1)


@pytest.mark.parametrize(("n_qubits", "n_final"), [(2, 1), (3, 1), (3, 2), (4, 1), (4, 2), (5, 1), (5, 3)])
def test_qcnn_agrees_with_real_measurements(n_qubits, n_final):
    circuit = qcnn(n_qubits, n_final)
    x, w = values(circuit)
    kept = kept_qubits(n_qubits, n_final)
    psi = dense.state(circuit, x, w)
    start = dense.kron(*[dense.ry(t)[:, :1] for t in x]).ravel()
    expected = measured_qcnn(np.outer(start, start), n_qubits, n_final, w)
    ours = reduced(np.outer(psi, psi.conj()), kept, n_qubits)
    assert np.allclose(ours, reduced(expected, kept, n_qubits), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("n_qubits", "n_final", "kept"),
    [
        (2, 1, (0,)),
        (3, 1, (0,)),
        (5, 2, (0, 4)),
        (5, 3, (0, 2, 4)),
        (8, 1, (0,)),
        (8, 2, (0, 4)),
        (8, 3, (0, 4)),
        (8, 4, (0, 2, 4, 6)),
        (7, 4, (0, 2, 4, 6)),
    ],
)
def test_every_second_qubit_is_pooled_away(n_qubits, n_final, kept):
    assert kept_qubits(n_qubits, n_final) == kept
    circuit = qcnn(n_qubits, n_final)
    levels = next(k for k in range(1, 4) if -(-n_qubits // 2**k) <= n_final)
    last = 15 * len(kept) * (len(kept) - 1) // 2 or 3
    assert circuit.n_weights == 18 * levels + last


@pytest.mark.parametrize("encoding", ["X", "Y", "Z"])
def test_qcnn_encodes_one_feature_per_qubit(encoding):
    assert qcnn(4, encoding=encoding) == angle_encoding(4, encoding) + qcnn(4, encoding=None)
    assert qcnn(4, encoding=None).n_inputs == 0


def test_qcnn_takes_other_blocks():
    conditional = Circuit(2, [RX(0.5, 1), CX(0, 1)])
    circuit = qcnn(4, encoding=None, convolution=RY_CX, pooling=conditional)
    assert circuit.n_weights == 2 * (2 + 0) + 3
    assert [op.gate.name for op in circuit.ops[:9]] == ["RY", "RY", "CX"] * 3
    assert [op.qubits for op in circuit.ops[9:13]] == [(0,), (1, 0), (2,), (3, 2)]


matrix = functools.cache(dense.op_matrix)


def evolve(circuit, x, w):
    """State vector by tensor contraction, quick enough for eight qubits."""
    psi = np.zeros((2,) * circuit.n_qubits, complex)
    psi.flat[0] = 1
    for op in circuit.ops:
        angles = tuple(float(a.evaluate(x, w)) for a in op.angles)
        k = len(op.qubits)
        gate = matrix(op, angles).reshape((2,) * 2 * k)
        psi = np.moveaxis(np.tensordot(gate, psi, (range(k, 2 * k), op.qubits)), range(k), op.qubits)
    return psi


def gradient(circuit, readout_qubits, x, w):
    """Gradient with respect to the weights of a random sum of Paulis on the given qubits, central differences."""
    k = len(readout_qubits)
    rng = np.random.default_rng(3)
    observable = sum(rng.normal() * dense.word(letters) for letters in itertools.product("IXYZ", repeat=k))

    def value(w):
        psi = np.moveaxis(evolve(circuit, x, w), readout_qubits, range(k)).reshape(2**k, -1)
        return np.einsum("ia,ij,ja->", psi.conj(), observable, psi).real

    h = 1e-4
    return np.array([(value(w + s) - value(w - s)) / (2 * h) for s in h * np.eye(len(w))])


@pytest.mark.parametrize(("n_qubits", "n_final"), [(2, 1), (3, 1), (5, 2), (7, 1), (8, 4)])
def test_every_weight_of_a_qcnn_moves_the_kept_qubits(n_qubits, n_final):
    circuit = qcnn(n_qubits, n_final)
    slopes = gradient(circuit, kept_qubits(n_qubits, n_final), *values(circuit, seed=1))
    assert np.all(abs(slopes) > 1e-8)


def test_every_weight_of_a_qcnn_moves_z_of_the_kept_qubit():
    circuit = qcnn(4)
    x, w = values(circuit, seed=1)
    h = 1e-4
    z = [
        [(abs(evolve(circuit, x, w + s)[i]) ** 2).sum() for i in (0, 1)]
        for e in np.eye(len(w))
        for s in (h * e, -h * e)
    ]
    slopes = np.diff(np.array(z).reshape(-1, 2, 2) @ [1, -1], axis=1)
    assert np.all(abs(slopes) / (2 * h) > 1e-8)


@pytest.mark.parametrize("n_qubits", [2, 3, 5, 8])
@pytest.mark.parametrize("template", [tree_tensor_network, mps])
def test_every_weight_of_a_tensor_network_moves_its_last_qubit(template, n_qubits):
    circuit = template(n_qubits)
    slopes = gradient(circuit, (n_qubits - 1,), *values(circuit, seed=1))
    assert np.all(abs(slopes) > 1e-8)


def test_data_reuploading_loses_only_the_first_turn_of_zero():
    circuit = data_reuploading(2, 2, n_features=3, scaling=False)
    slopes = gradient(circuit, (0, 1), *values(circuit))
    assert list(np.flatnonzero(abs(slopes) < 1e-8)) == [2, 5]


# Tensor networks


def foreign_block(block):
    """A block as PennyLane wants it: (weights, wires)."""
    return lambda weights, wires: qp.QubitUnitary(dense.unitary(block, w=weights), wires=wires)


@pytest.mark.parametrize("block", [RY_CX, SU4], ids=["RY_CX", "SU4"])
@pytest.mark.parametrize("n_qubits", [2, 4, 8])
def test_tree_tensor_network_is_pennylanes(n_qubits, block):
    w = draw((n_qubits - 1, block.n_weights))
    foreign = pennylane_unitary(lambda: qp.TTN(range(n_qubits), 2, foreign_block(block), block.n_weights, w), n_qubits)
    assert same(tree_tensor_network(n_qubits, block), foreign, w=w)


@pytest.mark.parametrize(
    ("n_qubits", "pairs"),
    [
        (3, [(0, 1), (1, 2)]),
        (5, [(0, 1), (2, 3), (1, 3), (3, 4)]),
        (6, [(0, 1), (2, 3), (4, 5), (1, 3), (3, 5)]),
        (7, [(0, 1), (2, 3), (4, 5), (1, 3), (5, 6), (3, 6)]),
    ],
)
def test_a_tree_of_any_size_ends_at_the_last_qubit(n_qubits, pairs):
    block = Circuit(2, [CX(0, 1)])
    assert tree_tensor_network(n_qubits, block) == Circuit(n_qubits, [CX(*pair) for pair in pairs])


@pytest.mark.parametrize("block", [RY_CX, SU4], ids=["RY_CX", "SU4"])
@pytest.mark.parametrize("n_qubits", [2, 3, 5])
def test_mps_is_pennylanes(n_qubits, block):
    w = draw((n_qubits - 1, block.n_weights))
    foreign = pennylane_unitary(lambda: qp.MPS(range(n_qubits), 2, foreign_block(block), block.n_weights, w), n_qubits)
    assert same(mps(n_qubits, block), foreign, w=w)


def test_a_block_of_fixed_gates_has_no_weights():
    circuit = mps(3, Circuit(2, [RY(0.5, 0), CX(0, 1)]))
    assert circuit.n_weights == 0
    assert same(circuit, dense.unitary(Circuit(3, [RY(0.5, 0), CX(0, 1), RY(0.5, 1), CX(1, 2)])))


# A readout qubit, against its closed forms


def strings(n):
    return np.array(list(itertools.product((0, 1), repeat=n)))


def read(circuit, bits, w=()):
    """<Y> of the last qubit."""
    return dense.expectation(circuit, bits, np.array(w), [pauli(f"Y{circuit.n_qubits - 1}")]).item()


def labels(circuit):
    n = circuit.n_inputs
    found = Statevector().expectation(
        circuit, torch.tensor(strings(n) * 1.0), torch.zeros(0).double(), (pauli(f"Y{n}"),)
    )
    return found[:, 0].numpy()


def xor_of_products(monomials, bits):
    return sum(all(bits[i] for i in monomial) for monomial in monomials) % 2


def test_every_function_of_3_bits_is_read_from_its_reed_muller_form():
    for truth in itertools.product((0, 1), repeat=8):
        monomials = reed_muller(truth)
        assert [xor_of_products(monomials, bits) for bits in strings(3)] == list(truth)
        assert np.allclose(labels(boolean_function(truth)), 1 - 2 * np.array(truth), rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_random_functions_of_8_bits_are_read_from_their_reed_muller_form(seed):
    truth = np.random.default_rng(seed).integers(0, 2, 256)
    monomials = reed_muller(truth)
    assert [xor_of_products(monomials, bits) for bits in strings(8)] == list(truth)
    assert np.allclose(labels(boolean_function(truth)), 1 - 2 * truth, rtol=0, atol=1e-12)


def test_boolean_functions_of_few_monomials_have_few_gates():
    parity = strings(6).sum(1) % 2
    assert reed_muller(parity) == tuple((i,) for i in reversed(range(6)))
    assert len(boolean_function(parity).ops) == 6 + 1 + 6 + 1
    assert reed_muller([0, 0, 0, 1]) == ((0, 1),) and reed_muller([1, 1]) == ((),) and reed_muller([0, 0]) == ()


def test_boolean_function_is_a_product_of_its_monomials_gates():
    """The gates of the formula as matrices, one for each monomial."""
    truth = np.random.default_rng(5).integers(0, 2, 8)
    bit, one, turn = np.diag([0, 1]), np.eye(2), np.array([[0, 1], [1, 0]])
    state = np.kron(np.eye(8), [[0], [1]])  # every string, with the readout in |1>
    found = expm(-0.25j * np.pi * np.kron(np.eye(8), turn)) @ state
    for monomial in reed_muller(truth):
        factors = [bit if j in monomial else one for j in range(3)]
        found = expm(-0.5j * np.pi * functools.reduce(np.kron, [*factors, turn])) @ found
    y = np.kron(np.eye(8), [[0, -1j], [1j, 0]])
    assert np.allclose(np.diag(found.conj().T @ y @ found), 1 - 2 * truth)


def test_layers_of_zx_are_the_sine_of_a_sum():
    w = draw(5)
    for bits in strings(4):
        phase = w[0] + w[1:] @ (1 - 2 * bits)
        assert read(readout_qubit(5, 1, ["ZX"], bias=True), bits, w) == pytest.approx(-np.sin(2 * phase))


def test_readout_qubit_is_the_papers():
    """exp(iθΣ) as matrices: ZX layers, then XX layers."""
    circuit, w, bits = readout_qubit(4, 3), draw((3, 3)), (1, 0, 1)
    letters = {"X": np.array([[0, 1], [1, 0]]), "Z": np.diag([1, -1])}
    state = np.zeros(16, complex)
    state[0b1011] = 1
    for layer, word in zip(w, ("ZX", "XX", "ZX"), strict=True):
        for j, angle in enumerate(layer):
            factors = [letters[word[0]] if q == j else np.eye(2) for q in range(3)]
            state = expm(1j * angle * functools.reduce(np.kron, [*factors, letters[word[1]]])) @ state
    y = np.kron(np.eye(8), [[0, -1j], [1j, 0]])
    assert read(circuit, bits, w.ravel()) == pytest.approx((state.conj() @ y @ state).real)
    assert readout_qubit(17, 6).n_weights == 96 and readout_qubit(3, 1, encode=False).n_inputs == 0


def test_the_comparison_can_fail():
    """Another unitary, or another order of qubits, is not the same up to a phase."""
    u = haar_unitary(2, 0)
    assert equal_up_to_phase(u, 1j * u)
    assert not equal_up_to_phase(u, haar_unitary(2, 1))
    assert not equal_up_to_phase(dense.unitary(Circuit(2, [CX(0, 1)])), dense.unitary(Circuit(2, [CX(1, 0)])))
