"""Quantum recurrent cells and layers, against a plain loop of PennyLane circuits and the shapes of torch's own."""

import copy
import io
import math
import pickle

import numpy as np
import pennylane as qp
import pytest
import torch
from dense_backend import DenseBackend
from tolerances import close
from torch import nn
from torch.func import functional_call
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

import backends
from qml import QGRU, QLSTM, QRNN, QGRUCell, QLSTMCell, QRNNCell
from qml.init import uniform_

CELLS = {"rnn": QRNNCell, "lstm": QLSTMCell, "gru": QGRUCell}
LAYERS = {"rnn": QRNN, "lstm": QLSTM, "gru": QGRU}
TORCH = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}

kinds = pytest.mark.parametrize("kind", LAYERS)


def build(of, kind, *sizes, seed=0, **options):
    """A cell or a layer in double precision, its angles all over the circle."""
    torch.manual_seed(seed)
    return of[kind](*sizes, **{"dtype": torch.float64, "init": uniform_} | options)


def draw(*shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).uniform(-2, 2, shape))


def parts(state):
    return state if isinstance(state, tuple) else (state,)


def whole(states):
    return states[0] if len(states) == 1 else tuple(states)


def states_of(module, *batch, seed=1):
    """A state to begin with, as the module takes it."""
    return whole([draw(*batch, size, seed=seed + k) for k, size in enumerate(module.state_sizes)])


def every_close(a, b):
    return all(close(s, t) for s, t in zip(parts(a), parts(b), strict=True))


# The plain loop: NumPy and PennyLane, written from the papers.


def block(weights, v):
    """<Z> of every qubit after the VQC of the papers, for one sample."""
    n = len(v)

    @qp.qnode(qp.device("default.qubit", wires=n), interface=None)
    def circuit():
        for q in range(n):
            qp.Hadamard(q)
            qp.RY(math.atan(v[q]), q)
            qp.RZ(math.atan(v[q] * v[q]), q)
        for layer in weights.reshape(-1, n, 3):
            for distance in (1, 2):
                for q in range(n):
                    if (q + distance) % n != q:
                        qp.CNOT([q, (q + distance) % n])
            for q in range(n):
                qp.Rot(*layer[q], q)
        return [qp.expval(qp.Z(q)) for q in range(n)]

    return np.array(circuit())


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def plain_rnn(w, x, h):
    h = np.tanh(block(w["block"], [*x, *h])[: len(h)])
    return h, (h,)


def plain_gru(w, x, h):
    v, n = [*x, *h], len(h)
    r, z = sigmoid(block(w["reset_gate"], v)[:n]), sigmoid(block(w["update_gate"], v)[:n])
    candidate = np.tanh(block(w["candidate"], [*x, *(r * h)])[:n])
    h = (1 - z) * candidate + z * h
    return h, (h,)


def plain_lstm(w, x, h, c):
    v = [*x, *h]
    f, i = sigmoid(block(w["forget_gate"], v)), sigmoid(block(w["input_gate"], v))
    g, o = np.tanh(block(w["candidate"], v)), sigmoid(block(w["output_gate"], v))
    c = f * c + i * g
    u = o * np.tanh(c)
    return block(w["to_output"], u), (block(w["to_hidden"], u)[: len(h)], c)


PLAIN = {"rnn": plain_rnn, "lstm": plain_lstm, "gru": plain_gru}


def plain_weights(cell):
    return {name: layer.weights.detach().numpy() for name, layer in cell.named_children()}


def plain_cell(kind, cell, x, states):
    """Output and states of a batch, sample by sample."""
    rows = [PLAIN[kind](plain_weights(cell), *sample) for sample in zip(x, *states, strict=True)]
    return np.array([y for y, _ in rows]), [np.array(s) for s in zip(*(new for _, new in rows), strict=True)]


def plain_layers(kind, rnn, x, states):
    """Outputs (length, batch, size) and last states of a stack; a QLSTM reads input_size outputs of the one below."""
    final = []
    for number, cell in enumerate(rnn.cells):
        outputs, now = [], [s[number] for s in states]
        for step in x:
            y, now = plain_cell(kind, cell, step[:, : cell.input_size], now)
            outputs.append(y)
        x, final = outputs, [*final, now]
    return np.array(x), [np.array(s) for s in zip(*final, strict=True)]


@kinds
@pytest.mark.parametrize(("sizes", "n_layers"), [((1, 3), 2), ((2, 1), 1), ((1, 1), 3)])
def test_a_cell_is_a_loop_of_pennylane_circuits(kind, sizes, n_layers):
    cell = build(CELLS, kind, *sizes, n_layers=n_layers)
    x, state = draw(3, sizes[0]), states_of(cell, 3)
    y, new = cell(x, state)
    want, states = plain_cell(kind, cell, x.numpy(), [s.numpy() for s in parts(state)])
    assert close(y, want) and every_close(new, whole(states))


@kinds
@pytest.mark.parametrize("num_layers", [1, 2])
def test_a_layer_is_a_loop_over_steps(kind, num_layers):
    rnn = build(LAYERS, kind, 1, 2, num_layers)
    x, hx = draw(3, 2, 1), states_of(rnn, num_layers, 2)
    y, new = rnn(x, hx)
    want, states = plain_layers(kind, rnn, x.numpy(), [s.numpy() for s in parts(hx)])
    assert close(y, want) and every_close(new, whole(states))


@kinds
def test_the_state_begins_with_zeros(kind):
    rnn, cell = build(LAYERS, kind, 2, 2, 2), build(CELLS, kind, 2, 2)
    zeros = whole([torch.zeros(2, 3, size, dtype=torch.float64) for size in rnn.state_sizes])
    assert torch.equal(rnn(draw(4, 3, 2))[0], rnn(draw(4, 3, 2), zeros)[0])
    assert torch.equal(cell(draw(3, 2))[0], cell(draw(3, 2), cell.initial_state((3,)))[0])
    first = parts(cell.initial_state((4, 5), like=torch.zeros(1)))
    assert [(s.shape, s.dtype) for s in first] == [((4, 5, size), torch.float32) for size in cell.state_sizes]


# Gradients through time.


def through_time(kind, num_layers):
    """A function of the input, the states and the weights, and points to differentiate it at."""
    rnn = build(LAYERS, kind, 1, 1 if num_layers > 1 else 2, num_layers, n_layers=1)
    parameters = {name: p.detach().clone() for name, p in rnn.named_parameters()}
    points = [draw(3, 2, 1), *parts(states_of(rnn, num_layers, 2)), *parameters.values()]
    n_states = len(rnn.state_sizes)

    def function(x, *rest):
        weights = dict(zip(parameters, rest[n_states:], strict=True))
        y, new = functional_call(rnn, weights, (x, whole(rest[:n_states])))
        return y, *parts(new)

    return function, [p.requires_grad_() for p in points]


@kinds
@pytest.mark.parametrize("num_layers", [1, 2])
def test_gradients_through_time(kind, num_layers):
    assert torch.autograd.gradcheck(*through_time(kind, num_layers))


def test_second_derivatives_through_time():
    assert torch.autograd.gradgradcheck(*through_time("gru", 1), fast_mode=True)


@kinds
def test_backward_reaches_inputs_states_and_every_weight(kind):
    rnn = build(LAYERS, kind, 1, 2)
    x, hx = draw(3, 2, 1).requires_grad_(), states_of(rnn, 1, 2)
    tensors = [x, *(s.requires_grad_() for s in parts(hx)), *rnn.parameters()]
    y, _ = rnn(x, hx)
    y.square().sum().backward()
    assert all(t.grad is not None and t.grad.abs().max() > 1e-6 for t in tensors)


# Shapes and return values are torch's.


@kinds
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("shape", [(5, 3, 2), (1, 1, 2), (5, 2)])
def test_shapes_are_torchs(kind, given, num_layers, batch_first, shape):
    ours = build(LAYERS, kind, 2, 2, num_layers, batch_first=batch_first)
    theirs = TORCH[kind](2, 2, num_layers, batch_first=batch_first, dtype=torch.float64)
    x = draw(*shape)
    batch = () if x.ndim == 2 else (shape[1 - batch_first],)
    torch_hx = torch.zeros(num_layers, *batch, 2, dtype=torch.float64)
    y, state = ours(x, states_of(ours, num_layers, *batch) if given else None)
    want, torch_state = theirs(x, (torch_hx, torch_hx) if given and kind == "lstm" else torch_hx if given else None)
    assert y.shape == (*want.shape[:-1], ours.output_size) and y.dtype == want.dtype
    assert type(state) is type(torch_state)
    leading = [s.shape[:-1] for s in parts(torch_state)]
    assert [s.shape for s in parts(state)] == [(*lead, n) for lead, n in zip(leading, ours.state_sizes, strict=True)]


@kinds
def test_batch_first_and_no_batch_are_views_of_the_same(kind):
    rnn, first = build(LAYERS, kind, 2, 2, 2), build(LAYERS, kind, 2, 2, 2, batch_first=True)
    x, hx = draw(4, 3, 2), states_of(rnn, 2, 3)
    (y, new), (y_first, new_first) = rnn(x, hx), first(x.transpose(0, 1), hx)
    assert close(y, y_first.transpose(0, 1)) and every_close(new, new_first)
    y_one, new_one = rnn(x[:, 1], whole([s[:, 1] for s in parts(hx)]))
    assert close(y_one, y[:, 1]) and every_close(new_one, whole([s[:, 1] for s in parts(new)]))


@kinds
def test_sizes(kind):
    rnn, cell = build(LAYERS, kind, 2, 3, 2), build(CELLS, kind, 2, 3)
    wide = 5 if kind == "lstm" else 3
    assert (cell.input_size, cell.hidden_size, cell.output_size) == (2, 3, wide)
    assert (rnn.input_size, rnn.hidden_size, rnn.output_size, rnn.num_layers) == (2, 3, wide, 2)
    assert cell.state_sizes == rnn.state_sizes == ((3, 5) if kind == "lstm" else (3,))


@kinds
@pytest.mark.parametrize("batch", [(), (1,), (0,), (2, 3)])
def test_a_cell_takes_any_leading_dimensions(kind, batch):
    cell = build(CELLS, kind, 1, 2)
    x, state = draw(*batch, 1), states_of(cell, *batch)
    y, new = cell(x, state)
    flat, flat_new = cell(x.reshape(-1, 1), whole([s.reshape(-1, s.shape[-1]) for s in parts(state)]))
    assert y.shape == (*batch, cell.output_size) and close(y.reshape(flat.shape), flat)
    assert every_close(whole([s.reshape(-1, s.shape[-1]) for s in parts(new)]), flat_new)


@kinds
def test_an_empty_batch(kind):
    rnn = build(LAYERS, kind, 1, 2)
    y, state = rnn(torch.zeros(4, 0, 1, dtype=torch.float64))
    assert y.shape == (4, 0, rnn.output_size) and parts(state)[0].shape == (1, 0, 2)


@pytest.mark.parametrize(("kind", "count"), [("rnn", 24), ("lstm", 144), ("gru", 72)])
def test_as_many_weights_as_in_the_papers(kind, count):
    assert sum(p.numel() for p in LAYERS[kind](1, 3).parameters()) == count


def test_the_qlstm_with_its_head_has_149_parameters():
    rnn = QLSTM(1, 3)
    assert sum(p.numel() for p in nn.ModuleList([rnn, nn.Linear(rnn.output_size, 1)]).parameters()) == 149


# Packed sequences.


@kinds
@pytest.mark.parametrize("lengths", [(4, 3, 3, 1), (1, 4, 2), (2, 2)])
def test_packed_sequences_are_run_each_to_its_own_end(kind, lengths):
    rnn = build(LAYERS, kind, 2, 2, 2)
    sequences, hx = [draw(n, 2, seed=k) for k, n in enumerate(lengths)], states_of(rnn, 2, len(lengths))
    packed, new = rnn(pack_sequence(sequences, enforce_sorted=False), hx)
    outputs, found = pad_packed_sequence(packed)
    assert found.tolist() == list(lengths)
    for k, (x, n) in enumerate(zip(sequences, lengths, strict=True)):
        y, last = rnn(x, whole([s[:, k] for s in parts(hx)]))
        assert close(outputs[:n, k], y) and not outputs[n:, k].any()
        assert every_close(whole([s[:, k] for s in parts(new)]), last)


@kinds
def test_packed_sequences_of_equal_length_are_a_batch(kind):
    rnn, x = build(LAYERS, kind, 2, 2), draw(3, 4, 2)
    packed, new = rnn(pack_sequence(list(x.unbind(1))))
    y, want = rnn(x)
    assert close(pad_packed_sequence(packed)[0], y) and every_close(new, want)


def test_packed_sequences_come_back_as_torchs():
    """In the order and with the indices of torch.nn.RNN, also for gradients: padding does not reach them."""
    x = [draw(n, 1, seed=n).requires_grad_() for n in (1, 3, 2)]
    packed = pack_sequence(x, enforce_sorted=False)
    ours, theirs = build(LAYERS, "rnn", 1, 2)(packed)[0], nn.RNN(1, 2, dtype=torch.float64)(packed)[0]
    assert all(torch.equal(a, b) for a, b in zip(ours[1:], theirs[1:], strict=True))
    ours.data.sum().backward()
    assert all(sequence.grad.shape == sequence.shape and sequence.grad.abs().min() > 0 for sequence in x)


# Frozen.


@kinds
def test_frozen_circuits_keep_their_weights_and_pass_gradients_on(kind):
    frozen, free = (build(LAYERS, kind, 1, 2, 2, frozen=frozen) for frozen in (True, False))
    assert all(torch.equal(a, b) for a, b in zip(frozen.parameters(), free.parameters(), strict=True))
    gradients = []
    for rnn in (frozen, free):
        x, hx = draw(3, 2, 1).requires_grad_(), states_of(rnn, 2, 2)
        inputs = [x, *(s.requires_grad_() for s in parts(hx))]
        rnn(x, hx)[0].square().sum().backward()
        gradients.append([t.grad for t in inputs])
    assert all(p.grad is None and not p.requires_grad for p in frozen.parameters())
    assert all(p.grad is not None for p in free.parameters() if p.requires_grad)
    assert all(close(a, b) and a.abs().max() > 1e-6 for a, b in zip(*gradients, strict=True))


@kinds
def test_frozen_circuits_need_no_graph_and_can_be_thawed(kind):
    rnn, cell = build(LAYERS, kind, 1, 2, frozen=True), build(CELLS, kind, 1, 2, frozen=True)
    assert not rnn(draw(3, 2, 1))[0].requires_grad and not cell(draw(2, 1))[0].requires_grad
    assert rnn.requires_grad_()(draw(3, 2, 1))[0].requires_grad


# Streaming.


@kinds
@pytest.mark.parametrize("num_layers", [1, 2])
def test_chunks_of_a_sequence_equal_one_pass(kind, num_layers):
    rnn, x = build(LAYERS, kind, 2, 2, num_layers), draw(7, 3, 2)
    outputs, state = [], None
    for chunk in x.split((1, 3, 2, 1)):
        y, state = rnn(chunk, state)
        outputs.append(y)
    want, last = rnn(x)
    assert torch.equal(torch.cat(outputs), want) and every_close(state, last)


@kinds
def test_steps_of_a_cell_equal_a_layer(kind):
    rnn, x = build(LAYERS, kind, 2, 2), draw(4, 3, 2)
    outputs, state = [], rnn.cells[0].initial_state((3,))
    for step in x:
        y, state = rnn.cells[0](step, state)
        outputs.append(y)
    want, last = rnn(x)
    assert torch.equal(torch.stack(outputs), want) and every_close(state, whole([s[0] for s in parts(last)]))


# Modules of torch.


@kinds
@pytest.mark.parametrize("way", ["deepcopy", "pickle", "state_dict", "file"])
def test_copies(kind, way):
    rnn, x = build(LAYERS, kind, 1, 2, 2), draw(3, 2, 1)
    if way in ("state_dict", "file"):
        other, state = build(LAYERS, kind, 1, 2, 2, seed=1), rnn.state_dict()
        if way == "file":
            torch.save(state, file := io.BytesIO())
            file.seek(0)
            state = torch.load(file)
        assert not torch.equal(other(x)[0], rnn(x)[0])
        other.load_state_dict(state)
    else:
        other = copy.deepcopy(rnn) if way == "deepcopy" else pickle.loads(pickle.dumps(rnn))
    assert torch.equal(other(x)[0], rnn(x)[0])
    with torch.no_grad():
        next(other.parameters()).add_(1)
    assert not torch.equal(other(x)[0], rnn(x)[0])


def test_a_checkpoint_of_another_circuit():
    with pytest.raises(ValueError, match=r"got a checkpoint of circuit \w+, expected one of circuit"):
        QRNN(1, 3).load_state_dict(QRNN(1, 3, n_layers=3).state_dict())


@kinds
def test_weights_are_small_and_follow_the_seed(kind):
    torch.manual_seed(7)
    first, second = LAYERS[kind](2, 6), LAYERS[kind](2, 6)
    torch.manual_seed(7)
    again = LAYERS[kind](2, 6)
    for a, b, c in zip(first.parameters(), second.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, c) and not torch.equal(a, b)
        assert abs(a.mean()) < 0.01 and 0.005 < a.std() < 0.015


@kinds
def test_dtype_and_device(kind):
    rnn = LAYERS[kind](1, 2, 2, device="cpu", dtype=torch.float64)
    assert {p.dtype for p in rnn.parameters()} == {torch.float64}
    assert LAYERS[kind](1, 2)(torch.zeros(3, 2, 1))[0].dtype == torch.float32
    assert rnn.float()(torch.zeros(3, 2, 1))[0].dtype == torch.float32
    assert all(p.is_meta for p in LAYERS[kind](1, 2, device="meta").parameters())


@kinds
def test_under_autocast(kind):
    rnn, x = LAYERS[kind](1, 2), torch.linspace(-1, 1, 6).reshape(3, 2, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, state = rnn(x.bfloat16())
        again, _ = rnn(x.bfloat16(), whole([s.bfloat16() for s in parts(state)]))
        step, _ = rnn.cells[0](x[0].bfloat16())
    assert y.dtype == again.dtype == step.dtype == torch.float32
    assert torch.equal(y, rnn(x.bfloat16().float())[0]) and torch.equal(step, y[0])


def test_printed():
    assert repr(QGRU(2, 3, 2, batch_first=True)).startswith("QGRU(\n  2, 3, num_layers=2, batch_first=True\n  (cells)")
    cell = repr(QRNNCell(1, 3))
    assert cell.startswith("QRNNCell(\n  1, 3\n  (block): QuantumLayer(in_features=4, out_features=3, n_qubits=4")


@kinds
def test_a_sample_that_is_no_number_spoils_its_own_sequence_from_there_on(kind):
    rnn, x = build(LAYERS, kind, 1, 2, 2), draw(4, 3, 1)
    want, _ = rnn(x)
    x[2, 1] = torch.nan
    y, state = rnn(x)
    assert torch.equal(y[:, [0, 2]], want[:, [0, 2]]) and torch.equal(y[:2], want[:2])
    assert y[2:, 1].isnan().all() and all(s[:, 1].isnan().all() for s in parts(state))


# Backends.


@kinds
def test_on_a_pennylane_device(kind):
    ours = build(LAYERS, kind, 1, 2, 2)
    theirs = build(LAYERS, kind, 1, 2, 2, backend=backends.PennyLane("default.qubit"))
    x, weights = draw(2, 2, 1), list(ours.parameters())
    pairs = [(rnn(x)[0], list(rnn.parameters())) for rnn in (ours, theirs)]
    gradients = [torch.autograd.grad(y.square().sum(), w) for y, w in pairs]
    assert close(pairs[0][0], pairs[1][0]) and len(weights) == len(gradients[1])
    assert all(close(a, b) for a, b in zip(*gradients, strict=True))


@kinds
def test_to_another_backend(kind):
    rnn, x = build(LAYERS, kind, 1, 1, 2), draw(2, 1, 1)
    want, _ = rnn(x)
    backend = DenseBackend()
    assert rnn.to_backend(backend) is rnn
    assert close(rnn(x)[0], want) and backend.calls
    cell = build(CELLS, kind, 1, 1).to_backend(backend)
    assert all(layer.backend is backend for layer in cell.children())


@pytest.mark.parametrize(("kind", "calls"), [("rnn", [3]), ("gru", [6, 3]), ("lstm", [12, 6])])
def test_circuits_that_read_the_same_are_one_call(kind, calls):
    backend = DenseBackend()
    with torch.no_grad():
        build(CELLS, kind, 1, 1, backend=backend)(draw(3, 1))
    assert backend.calls == calls


@pytest.mark.parametrize(
    ("kind", "moved", "calls"), [("gru", "update_gate", [3]), ("lstm", "input_gate", [3]), ("lstm", "to_output", [3])]
)
def test_a_circuit_that_is_moved_alone_runs_where_it_was_moved(kind, moved, calls):
    cell, x = build(CELLS, kind, 1, 1), draw(3, 1)
    weights = list(cell.parameters())
    want, _ = cell(x)
    alone = DenseBackend()
    getattr(cell, moved).to_backend(alone)
    found, _ = cell(x)
    assert alone.calls == calls and close(found, want)
    gradients = [torch.autograd.grad(y.square().sum(), weights) for y in (want, found)]
    assert all(close(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda cell: pickle.loads(pickle.dumps(cell))])
def test_copies_run_together_too(copied):
    cell = copied(build(CELLS, "lstm", 1, 1))
    assert len({id(layer.backend) for layer in cell.children()}) == 1


# What does not fit.


@kinds
@pytest.mark.parametrize(
    ("call", "kind_of_error", "message"),
    [
        (
            lambda rnn: rnn(draw(3, 2, 2)),
            ValueError,
            r"got an input of shape \(3, 2, 2\), expected \(\*, 1\): the last",
        ),
        (lambda rnn: rnn(draw()), ValueError, r"got an input of shape \(\), expected \(\*, 1\)"),
        (
            lambda rnn: rnn(draw(1)),
            ValueError,
            r"got an input of shape \(1,\), expected \(length, batch, 1\), or \(length, 1\) of one sample: add",
        ),
        (lambda rnn: rnn(draw(2, 2, 2, 1)), ValueError, r"got an input of shape \(2, 2, 2, 1\), expected \(length, ba"),
        (
            lambda rnn: rnn(draw(0, 2, 1)),
            ValueError,
            r"got an input of shape \(0, 2, 1\), a sequence of no steps, expected at least one: leave it out",
        ),
        (lambda rnn: rnn(draw(0, 1)), ValueError, "a sequence of no steps"),
        (lambda rnn: rnn([[1.0]]), TypeError, r"got an input of type list, expected a tensor: torch.as_tensor\(...\)"),
        (
            lambda rnn: rnn(draw(3, 2, 1).float()),
            TypeError,
            "got an input torch.float32 on cpu, expected torch.float64 on cpu as the weights: call .to",
        ),
        (
            lambda rnn: rnn(torch.ones(3, 2, 1, dtype=torch.long)),
            TypeError,
            "got an input torch.int64 on cpu, expected",
        ),
        (
            lambda rnn: rnn(pack_sequence([draw(2, 3)])),
            ValueError,
            r"got an input of shape \(2, 3\), expected \(\*, 1\)",
        ),
        (lambda rnn: rnn(draw(3, 2, 1), [[0.0]]), TypeError, "got a state of type list, expected a tensor"),
        (lambda rnn: rnn(draw(3, 2, 1), states_of(rnn, 1, 4)), ValueError, r"got a state of shape \(1, 4, 2\)"),
        (
            lambda rnn: rnn(draw(3, 1), states_of(rnn, 1, 1)),
            ValueError,
            r"got a state of shape \(1, 1, 2\).* expected \(1",
        ),
        (
            lambda rnn: rnn(pack_sequence([draw(2, 1)]), states_of(rnn, 1, 2)),
            ValueError,
            r"got a state of shape \(1, 2, 2",
        ),
        (
            lambda rnn: rnn(draw(3, 2, 1), whole([s.float() for s in parts(states_of(rnn, 1, 2))])),
            TypeError,
            "got a state torch.float32 on cpu, expected torch.float64 on cpu as the weights",
        ),
        (
            lambda rnn: rnn.cells[0](draw(3, 2)),
            ValueError,
            r"got an input of shape \(3, 2\), expected \(\*, 1\): the last",
        ),
        (lambda rnn: rnn.cells[0](draw(3, 1), states_of(rnn, 2)), ValueError, r"got a state of shape \(2, 2\)"),
        (lambda rnn: rnn.to_backend("aer"), TypeError, "got str as a backend, expected one of the package backends"),
    ],
)
def test_wrong_calls_are_named(kind, call, kind_of_error, message):
    with pytest.raises(kind_of_error, match=message):
        call(build(LAYERS, kind, 1, 2))


def test_a_state_of_another_number_of_tensors():
    x, zeros = draw(3, 2, 1), torch.zeros(1, 2, 2, dtype=torch.float64)
    message = (
        r"got a state of shape \(1, 2, 2\), expected \(1, 2, 2\) and \(1, 2, 3\): pass the state that an earlier call"
    )
    with pytest.raises(ValueError, match=message):
        build(LAYERS, "lstm", 1, 2)(x, zeros)
    with pytest.raises(
        ValueError, match=r"got a state of shape \(1, 2, 2\) and \(1, 2, 2\), expected \(1, 2, 2\): pass"
    ):
        build(LAYERS, "rnn", 1, 2)(x, (zeros, zeros))


@kinds
def test_sequences_of_no_steps_with_the_batch_first(kind):
    with pytest.raises(ValueError, match=r"got an input of shape \(2, 0, 1\), a sequence of no steps"):
        build(LAYERS, kind, 1, 2, batch_first=True)(draw(2, 0, 1))
    with pytest.raises(ValueError, match=r"expected \(batch, length, 1\), or \(length, 1\) of one sample"):
        build(LAYERS, kind, 1, 2, batch_first=True)(draw(1))


@kinds
@pytest.mark.parametrize("size", [0, -1, 1.0, True, None])
def test_wrong_sizes_are_named(kind, size):
    for name in ("input_size", "hidden_size"):
        with pytest.raises(ValueError, match=f"got {name}={size!r}, expected an integer of at least 1: pass {name}=1"):
            CELLS[kind](**{"input_size": 1, "hidden_size": 1, name: size})
    with pytest.raises(ValueError, match=f"got num_layers={size!r}, expected an integer of at least 1"):
        LAYERS[kind](1, 1, size)
    with pytest.raises(ValueError, match=f"got n_layers={size!r}, expected an integer of at least 1"):
        LAYERS[kind](1, 1, n_layers=size)


@kinds
@pytest.mark.parametrize("argument", ["bias", "nonlinearity", "dropout", "bidirectional", "proj_size"])
def test_arguments_of_torch_that_have_no_meaning_here(kind, argument):
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{argument}'"):
        LAYERS[kind](1, 1, **{argument: 1})
