"""qml/tensor_network.py: against the whole circuit of all letters, in dense matrices, PennyLane and shots."""

import copy
import itertools
import pickle
from functools import partial

import dense
import numpy as np
import pennylane as qp
import pytest
import torch
from tolerances import close

import backends
from backends.statevector.matrix import circuit_matrix
from circuits import CRX, CX, Circuit, H, Probabilities, weights
from circuits.templates import angle_encoding, hardware_efficient, sim9, sim14
from qml import QuantumLayer, QuantumTensorNetwork
from qml.init import uniform_
from qml.tensor_network import merge, path, pauli_vector, tree

LAYOUTS, SHARINGS, BOXES, REDUCTIONS = (
    ("tree", "path"), ("uniform", "hierarchical"), ("sim14", "sim9", "iqp"), ("discard", "postselect"),
)  # fmt: skip


def made(length, *arguments, n_letters=5, **options):
    torch.manual_seed(0)
    return QuantumTensorNetwork(n_letters, length, *arguments, **{"init": uniform_, "dtype": torch.float64, **options})


def drawn(*shape, n_letters=5):
    return torch.randint(n_letters, shape, generator=torch.Generator().manual_seed(1))


def words(n_qubits):
    return ["".join(letters) for letters in itertools.product("IXYZ", repeat=n_qubits)]


def whole(network, tokens):
    """Return the expectation values at the root from the state of all qubits, 2**(length * n_qubits) amplitudes."""
    circuit, root = network.circuit()
    x, w = network.letters[tokens].flatten().tolist(), network.boxes.flatten().tolist()
    psi = dense.state(circuit, x, w).reshape((2,) * circuit.n_qubits)
    others = [q for q in range(circuit.n_qubits) if q not in root]
    columns = psi.transpose([*root, *others]).reshape(2 ** len(root), -1)
    kept = columns if network.reduce == "discard" else columns[:, :1]
    rho = kept @ kept.conj().T / np.vdot(kept, kept).real
    return np.array([np.trace(dense.word(word) @ rho).real for word in words(network.n_qubits)])


# --- against the whole circuit


@pytest.mark.parametrize("reduce", REDUCTIONS)
@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("sharing", SHARINGS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_root_is_that_of_the_whole_circuit(layout, sharing, box, reduce):
    for length, n_qubits in ((2, 1), (4, 1), (5, 1), (7, 1), (2, 2), (3, 2)):
        network = made(length, layout, sharing, box, reduce, n_qubits)
        tokens = drawn(2, length)
        found = network.root(tokens)
        assert close(found, np.array([whole(network, sample) for sample in tokens]))
        p = (1 + found[:, 3]) / 2
        assert close(network(tokens), torch.stack([p, 1 - p], -1))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_bonds_of_three_qubits(layout):
    network, tokens = made(2, layout, n_qubits=3), drawn(2)
    assert close(network.root(tokens), whole(network, tokens))


@pytest.mark.parametrize(("layout", "kept"), [("tree", [0, 4, 6]), ("path", [0, 1, 2])])
def test_pennylane_mixed_states_agree(layout, kept):
    """Letters, boxes and partial traces written out once more, in another library, on four letters."""
    network, tokens = made(4, layout, "hierarchical"), drawn(4)
    letters, boxes = (t.detach().numpy() for t in (network.letters[tokens], network.boxes))
    pairs = {"tree": [(0, 1, 0), (2, 3, 0), (0, 2, 1)], "path": [(0, 1, 0), (0, 2, 1), (0, 3, 2)]}[layout]

    @qp.qnode(qp.device("default.mixed", wires=4))
    def circuit():
        for wire, (a, b, c) in enumerate(letters):
            qp.RX(a, wire)
            qp.RZ(b, wire)
            qp.RX(c, wire)
        for i, j, level in pairs:
            w = boxes[level]
            for first, second, up, down in ((w[0], w[1], w[2], w[3]), (w[4], w[5], w[6], w[7])):
                qp.RY(first, i)
                qp.RY(second, j)
                qp.CRX(up, (j, i))
                qp.CRX(down, (i, j))
            qp.ResetError(1.0, 0.0, wires=j)  # what is given up is forgotten
        return qp.probs(wires=0)

    assert close(network(tokens), circuit())


def test_the_circuit_runs_on_other_backends():
    network, tokens = made(3, "path", "hierarchical"), drawn(4, 3)
    circuit, root = network.circuit()
    layer = QuantumLayer(circuit, Probabilities(root[-1:]), dtype=torch.float64)
    with torch.no_grad():
        layer.weights.copy_(network.boxes.flatten())
    x = network.letters[tokens].flatten(-2)
    assert close(layer(x), network(tokens))
    pytest.importorskip("qiskit_aer")
    assert close(layer.to_backend(backends.Aer(shots=20_000, seed=1))(x), network(tokens), 0.02)


# --- channels


@pytest.mark.parametrize("n_qubits", [1, 2])
@pytest.mark.parametrize("box", BOXES)
def test_channels_are_completely_positive_and_preserve_the_trace(box, n_qubits):
    """Trace: the first row is that of the identity. Positive: no negative eigenvalue of the Choi matrix."""
    for reduce in REDUCTIONS:
        network = made(4, "tree", "hierarchical", box, reduce, n_qubits)
        for tensor in network.channels().flatten(-2).detach().numpy():
            trace = tensor[0]
            assert close(trace, np.eye(len(trace))[0]) if reduce == "discard" else trace[0] < 1
            out, given = (np.array([dense.word(word) for word in words(n)]) for n in (n_qubits, 2 * n_qubits))
            choi = np.einsum("sp,sab,pdc->acbd", tensor, out, given, optimize=True).reshape(8**n_qubits, -1)
            assert np.linalg.eigvalsh(choi)[0] > -1e-10


def test_states_of_letters_are_pure():
    found = made(4).states()
    assert found.shape == (5, 4) and close(found[:, 0], np.ones(5)) and close(found.square().sum(1), 2 * np.ones(5))
    assert close(made(4, n_qubits=2).states().square().sum(1), 4 * np.ones(5))


def test_a_pauli_vector_has_the_traces_with_all_words():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(2, 8, 8)) + 1j * rng.normal(size=(2, 8, 8))
    matrix = matrix + matrix.conj().transpose(0, 2, 1)
    expected = [[np.trace(dense.word(word) @ each).real for word in words(3)] for each in matrix]
    assert close(pauli_vector(torch.tensor(matrix)), np.array(expected))


@pytest.mark.parametrize("circuit", [sim14(3, 2), hardware_efficient(4, 1), Circuit(2, [H(0), CX(1, 0)])])
def test_the_matrix_of_a_circuit(circuit):
    w = np.random.default_rng(0).normal(size=(2, 3, circuit.n_weights))
    expected = [[dense.unitary(circuit, w=each) for each in row] for row in w]
    assert close(circuit_matrix(circuit, torch.tensor(w)), np.array(expected))


# --- layouts, with numbers of any kind


def by_hand(layout, tokens, letters, boxes):
    """Merge with Python's loops."""
    vectors, level = [letters[token] for token in tokens], 0
    while len(vectors) > 1:
        n = 1 if layout == "path" else len(vectors) // 2
        box = boxes[min(level, len(boxes) - 1)]
        vectors = [np.einsum("ijk,j,k", box, *vectors[2 * i : 2 * i + 2]) for i in range(n)] + vectors[2 * n :]
        level += 1
    return vectors[0]


@pytest.mark.parametrize("length", [1, 2, 3, 6, 9])
@pytest.mark.parametrize(("layout", "function"), [("path", path), ("tree", tree)])
def test_layouts_merge_in_order(layout, function, length):
    rng = np.random.default_rng(length)
    letters, boxes = rng.normal(size=(4, 3)), rng.normal(size=(9, 3, 3, 3))
    tokens = rng.integers(4, size=(2, length))
    for some in (boxes[:1], boxes[: length - 1 if layout == "path" else (length - 1).bit_length()]):
        if len(some):
            found = function(*map(torch.tensor, (tokens, letters, some)))
            expected = np.array([by_hand(layout, sample, letters, some) for sample in tokens])
            assert close(found / torch.tensor(expected), np.ones(expected.shape), 1e-9)


def test_merge_is_a_sum_over_both():
    box, left, right = torch.randn(2, 2, 2), torch.randn(3, 1, 2), torch.randn(3, 5, 2)
    expected = torch.einsum("ijk,nmj,nmk->nmi", box, left.expand(3, 5, 2), right)
    torch.testing.assert_close(merge(box, left, right), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_post_selection_of_long_sequences_does_not_underflow(layout):
    """The probability of 2,000 zeros is below the least number of single precision."""
    network = made(2001, layout, reduce="postselect").float()
    found = network.root(drawn(3, 2001))
    assert torch.isfinite(found).all() and (found[:, 0] == 1).all() and found.abs().max() < 1.001
    assert torch.equal(network.forward(drawn(3, 2001)).sum(-1).round(decimals=5), torch.ones(3))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_kept_with_probability_0_is_not_a_number(layout):
    network = made(2, layout, box=lambda n: Circuit(n, []), reduce="postselect", init=torch.nn.init.zeros_)
    with torch.no_grad():
        network.letters[1, 0] = torch.pi  # letter 1 is |1>, and a second one is never 0
    found = network(torch.tensor([[0, 0], [1, 0], [0, 1]]))
    assert close(found[:2], np.array([[1, 0], [0, 1]])) and found[2].isnan().all()


# --- gradients, types and sizes


@pytest.mark.parametrize("reduce", REDUCTIONS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradcheck(layout, reduce):
    network, tokens = made(3, layout, "hierarchical", reduce=reduce, n_letters=2), drawn(2, 3, n_letters=2)

    def function(letters, boxes):
        return torch.func.functional_call(network, {"letters": letters, "boxes": boxes}, (tokens,))

    angles = tuple(p.detach().clone().requires_grad_() for p in network.parameters())
    assert torch.autograd.gradcheck(function, angles)
    assert torch.autograd.gradgradcheck(function, angles)


def test_an_ensemble_of_networks_by_vmap():
    network, tokens = made(4), drawn(3, 4)
    many = torch.stack([network.boxes.detach(), network.boxes.detach() + 0.1])

    def function(boxes):
        return torch.func.functional_call(network, {"boxes": boxes}, (tokens,))

    found = torch.func.vmap(function)(many)
    assert found.shape == (2, 3, 2) and close(found[0], network(tokens)) and not close(found[0], found[1])


@pytest.mark.parametrize("n_qubits", [1, 2])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_single_precision(layout, n_qubits):
    network, tokens = made(40, layout, "hierarchical", n_qubits=n_qubits), drawn(4, 40)
    wanted = network(tokens).detach()
    found = network.float()(tokens)
    assert found.dtype == torch.float32 and close(found, wanted, 1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_autocast_does_not_narrow(layout):
    network, tokens = made(4, layout).float(), drawn(2, 4)
    wanted = network(tokens)
    with torch.autocast("cpu", torch.bfloat16):
        found = network(tokens)
    assert found.dtype == torch.float32 and torch.equal(found, wanted)


@pytest.mark.parametrize("shape", [(4,), (0, 4), (1, 4), (2, 3, 4)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_leading_dimensions(layout, shape):
    network, tokens = made(4, layout), drawn(*shape)
    found = network(tokens)
    each = [network(sample) for sample in tokens.reshape(-1, 4)]
    assert found.shape == (*shape[:-1], 2)
    assert not each or close(found.reshape(-1, 2), torch.stack(each).detach())


def test_published_numbers_of_parameters():
    """3 angles for each of 20 letters and one for padding, and 8 of Sim-14 a box (arXiv:2403.06890, 2308.07865)."""

    def count(*arguments, **options):
        return sum(p.numel() for p in QuantumTensorNetwork(21, *arguments, **options).parameters())

    assert count(64) == count(64, "path") == 71
    assert count(64, "tree", "hierarchical") == 63 + 8 * 6 and count(65, "tree", "hierarchical") == 63 + 8 * 7
    assert count(93, "path", "hierarchical") == 63 + 8 * 92
    assert count(64, box="sim9") == 63 + 2 and count(64, box="iqp") == 63 + 1
    assert count(64, n_qubits=2) == 21 * 8 + 16


def test_padding_is_a_letter_at_the_end():
    network = made(6, "path", "hierarchical", padding=4)
    short = drawn(3, 4)
    full = torch.cat([short, torch.full((3, 2), 4)], 1)
    assert torch.equal(network(short), network(full))


def test_order_matters_and_entanglers_off_leaves_the_first_letter_alone():
    a, b = torch.tensor([0, 1, 2, 3]), torch.tensor([0, 3, 2, 1])
    for layout in LAYOUTS:
        assert not close(made(4, layout)(a), made(4, layout)(b), 1e-3)
        off = made(4, layout, box=lambda n: sim14(n).separable())
        assert close(off(a), off(b)) and not close(off(a), off(torch.tensor([1, 0, 2, 3])), 1e-3)


def test_a_box_of_your_own():
    w = weights(1)
    network = made(4, box=lambda n: Circuit(n, [H(0), CRX(w[0], 0, 1)], n_weights=1))
    assert network.boxes.shape == (1, 1) and close(network.root(drawn(4)), whole(network, drawn(4)))
    assert made(4, box=partial(sim14, n_layers=2)).boxes.shape == (1, 16)


def test_angles_are_small_and_drawn_from_torch_s_generator_and_copied():
    many = QuantumTensorNetwork(300, 300, "path", "hierarchical")
    assert all(abs(p.std() - 0.1) < 0.01 and abs(p.mean()) < 0.01 for p in many.parameters())
    network, tokens = made(4), drawn(2, 4)
    assert torch.equal(made(4).letters, network.letters) and 0 <= network.letters.min() < network.letters.max() < 6.3
    for other in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert torch.equal(other(tokens), network(tokens))
    other = made(4, init=torch.nn.init.zeros_)
    assert other.boxes.abs().max() == 0
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(tokens), network(tokens))
    assert QuantumTensorNetwork(5, 4, device="meta").letters.is_meta
    boxes = network.boxes.detach().clone()
    torch.manual_seed(7)
    network.reset_parameters()
    assert not torch.equal(boxes, network.boxes)


def test_printed():
    assert repr(QuantumTensorNetwork(5, 4)) == (
        "QuantumTensorNetwork(n_letters=5, length=4, n_qubits=1, layout='tree', sharing='uniform', reduce='discard')"
    )


# --- what is wrong


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "ring"}, "got layout='ring', expected one of 'tree', 'path': layout='tree'"),
        ({"sharing": "none"}, "got sharing='none', expected one of 'uniform', 'hierarchical'"),
        ({"reduce": "trace"}, "got reduce='trace', expected one of 'discard', 'postselect'"),
        ({"box": "sim15"}, "got box='sim15', expected one of 'sim14', 'sim9', 'iqp': box='sim14'"),
        ({"box": angle_encoding}, r"got the box Circuit\(n_qubits=2, .*, expected a Circuit on 2 qubits without feat"),
        ({"box": lambda n: sim9(n + 1)}, r"got the box Circuit\(n_qubits=3.*, expected a Circuit on 2 qubits"),
        ({"box": lambda n: None}, "got the box None, expected a Circuit on 2 qubits without features: box=sim14"),
        ({"n_qubits": 4}, "got n_qubits=4, expected an integer from 1 to 3"),
        ({"n_qubits": 0}, "got n_qubits=0, expected an integer from 1 to 3"),
        ({"length": 1}, "got length=1, expected an integer of at least 2"),
        ({"n_letters": 0}, "got n_letters=0, expected an integer of at least 1"),
        ({"padding": 5}, "got padding=5, expected an integer from 0 to 4"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        QuantumTensorNetwork(**{"n_letters": 5, "length": 4, **options})


@pytest.mark.parametrize(
    ("tokens", "padding", "error", "message"),
    [
        (torch.rand(2, 4), None, TypeError, "got tokens of torch.float32, expected integers: number the letters, tok"),
        ([[0, 1, 2, 3]], None, TypeError, "got tokens of list, expected integers"),
        (
            torch.zeros(2, 3).long(),
            None,
            ValueError,
            r"got tokens of shape \(2, 3\), expected \(\*, 4\): give padding=",
        ),
        (
            torch.zeros(2, 5).long(),
            4,
            ValueError,
            r"got tokens of shape \(2, 5\), expected \(\*, 4\) or shorter: cut th",
        ),
        (
            torch.zeros(2, 0).long(),
            4,
            ValueError,
            r"got tokens of shape \(2, 0\), expected \(\*, 4\) or shorter: leave",
        ),
        (torch.tensor(3), None, ValueError, r"got tokens of shape \(\), expected \(\*, 4\)"),
        (
            torch.tensor([0, 1, 2, 5]),
            None,
            ValueError,
            "got tokens from 0 to 5, expected 0 to 4: give n_letters, and n",
        ),
        (torch.tensor([0, 1, 2, -1]), None, ValueError, "got tokens from -1 to 2, expected 0 to 4"),
    ],
)
def test_wrong_tokens_are_named(tokens, padding, error, message):
    with pytest.raises(error, match=message):
        made(4, padding=padding)(tokens)
