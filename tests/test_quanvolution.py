import copy
import inspect
import io
import pickle

import dense
import numpy as np
import pennylane as qp
import pytest
import torch
from dense_backend import DenseBackend
from tolerances import close
from torch import nn

from backends import Statevector
from circuits import CX, RX, RY, Circuit, inputs, pauli, weights
from qml import QuantumLayer, Quanvolution2d

PADS = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}

# torch.func loads decompositions that torch itself still compiles in the old way.
torch_func = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")


# torch's own convolution, not ours.
copied_by_torch = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")


def kernel(n_values):
    """A circuit of two qubits that takes any number of values, each at an angle and a place of its own."""
    x, w = inputs(n_values), weights(2)
    ops = [((RX, RY)[i % 2]((1 + i / 7) * value, i % 2), CX(0, 1)) for i, value in enumerate(x)]
    return Circuit(2, [RY(w[0], 0), ops, RX(w[1], 1)], n_values, 2)


def images(*shape, seed=0, dtype=torch.float64):
    return torch.tensor(np.random.default_rng(seed).uniform(0, 1, shape), dtype=dtype)


def made(*arguments, **options):
    torch.manual_seed(0)
    return Quanvolution2d(*arguments, dtype=torch.float64, **options)


def by_hand(layer, image, kernel_size, stride=(1, 1), pad=(0, 0), dilation=(1, 1), mode="zeros"):
    """Output for one image (C, H, W), patch by patch, each on dense matrices."""
    padded = np.pad(image.numpy(), [(0, 0), *[(p, p) for p in pad]], mode=PADS[mode])
    w = layer.quantum.weights.detach().numpy()
    reach = [d * (k - 1) for k, d in zip(kernel_size, dilation, strict=True)]
    rows, columns = (range(0, n - r, s) for n, r, s in zip(padded.shape[1:], reach, stride, strict=True))
    out = np.empty((layer.out_channels, len(rows), len(columns)))
    for i, top in enumerate(rows):
        for j, left in enumerate(columns):
            patch = padded[:, top : top + reach[0] + 1 : dilation[0], left : left + reach[1] + 1 : dilation[1]]
            out[:, i, j] = dense.expectation(layer.circuit, patch.ravel(), w, layer.quantum.observables)
    return out


# Values.


@pytest.mark.parametrize("n_layers", [None, 1, 3])
def test_the_default_circuit_is_the_one_described(n_layers):
    layer = made(1, 4, 2, 2, n_layers=n_layers)
    depth = n_layers or 2

    @qp.qnode(qp.device("default.qubit", wires=4))
    def circuit(patch, w):
        for q in range(4):
            qp.RX(np.pi * patch[q], wires=q)
        for row in w:
            for q in range(4):
                qp.RY(row[q], wires=q)
            for q in range(4):
                qp.CNOT(wires=[q, (q + 1) % 4])
        return [qp.expval(qp.PauliZ(q)) for q in range(4)]

    image, w = images(1, 1, 4, 4), layer.quantum.weights.detach().numpy().reshape(depth, 4)
    patches = image[0, 0].reshape(2, 2, 2, 2).permute(0, 2, 1, 3).reshape(4, 4).numpy()
    wanted = np.array([circuit(patch, w) for patch in patches]).T.reshape(1, 4, 2, 2)
    assert close(layer(image), wanted)
    assert sum(p.numel() for p in layer.parameters()) == 4 * depth


@pytest.mark.parametrize(
    ("kernel_size", "stride", "pad", "dilation", "mode"),
    [
        ((2, 2), (1, 1), (0, 0), (1, 1), "zeros"),
        ((2, 2), (2, 2), (0, 0), (1, 1), "zeros"),
        ((1, 3), (2, 1), (0, 1), (1, 1), "zeros"),
        ((2, 1), (1, 2), (1, 0), (3, 1), "zeros"),
        ((2, 2), (1, 2), (1, 2), (1, 2), "reflect"),
        ((2, 2), (1, 1), (2, 1), (1, 1), "replicate"),
        ((2, 2), (2, 1), (1, 1), (2, 1), "circular"),
    ],
)
def test_every_patch_goes_through_the_circuit(kernel_size, stride, pad, dilation, mode):
    circuit = kernel(2 * kernel_size[0] * kernel_size[1])
    layer = made(
        *(2, 3, kernel_size, stride, pad, dilation),
        circuit=circuit,
        observables=["Z0", "X1", pauli("Z0 Z1") - 0.5],
        padding_mode=mode,
    )
    batch = images(2, 2, 4, 5)
    each = [by_hand(layer, image, kernel_size, stride, pad, dilation, mode) for image in batch]
    assert close(layer(batch), np.array(each))


SHAPES = [
    {},
    {"stride": 2},
    {"stride": (2, 3), "padding": 1},
    {"kernel_size": (3, 2), "padding": (2, 0), "dilation": (1, 2)},
    {"padding": "same"},
    {"kernel_size": (2, 4), "padding": "same", "dilation": (3, 1)},
    {"padding": "valid", "stride": 3},
    {"kernel_size": 1},
    {"kernel_size": [3, 1], "padding": [1, 1], "padding_mode": "circular"},
    {"padding": 2, "padding_mode": "reflect"},
    {"padding": 3, "padding_mode": "replicate"},
]


@copied_by_torch
@pytest.mark.parametrize("batch", [(3,), (1,), (0,), ()], ids=str)
@pytest.mark.parametrize("options", SHAPES, ids=str)
def test_shapes_are_those_of_conv2d(options, batch):
    options = {"kernel_size": 3, **options}
    convolution = nn.Conv2d(2, 2, **options)
    n_values = 2 * convolution.kernel_size[0] * convolution.kernel_size[1]
    layer = Quanvolution2d(2, 2, **options, circuit=kernel(n_values))
    batch = torch.rand(*batch, 2, 7, 8)
    found = layer(batch)
    assert found.shape == convolution(batch).shape and found.dtype == torch.float32


@copied_by_torch
@pytest.mark.parametrize("kernel_size", [(2, 2), (3, 4)], ids=str)
def test_same_padding_lies_where_conv2d_has_it(kernel_size):
    """A convolution that sums a patch, against a circuit whose readout is the cosine of that sum."""
    n_values = kernel_size[0] * kernel_size[1]
    circuit = Circuit(1, [RX(value, 0) for value in inputs(n_values)], n_values)
    total = nn.Conv2d(1, 1, kernel_size, padding="same", bias=False, dtype=torch.float64)
    nn.init.ones_(total.weight)
    layer, batch = made(1, 1, kernel_size, padding="same", circuit=circuit), images(2, 1, 5, 5)
    assert close(layer(batch), total(batch).cos())


def test_a_shifted_image_gives_a_shifted_output():
    layer, image = made(1, 2, 2, padding_mode="circular", padding="same"), images(1, 1, 5, 6)
    assert close(layer(image.roll((1, 2), (-2, -1))), layer(image).roll((1, 2), (-2, -1)), 1e-12)


def test_an_image_without_a_batch_is_one_of_a_batch():
    layer, image = made(2, 3, 2, circuit=kernel(8), observables=["Z0", "Z1", "Y0"]), images(2, 4, 4)
    assert close(layer(image), layer(image[None])[0], 1e-14)


def test_arguments_are_named_and_ordered_as_those_of_conv2d():
    ours, theirs = (inspect.signature(c).parameters for c in (Quanvolution2d, nn.Conv2d))
    assert set(theirs) <= set(ours) and list(ours)[:6] == list(theirs)[:6]
    assert all(ours[name].default == theirs[name].default for name in theirs if name != "bias")


# One call.


def test_all_patches_of_a_batch_are_one_call():
    backend = DenseBackend()
    layer = made(1, 2, 2, circuit=kernel(4), backend=backend)
    with torch.no_grad():
        layer(images(3, 1, 4, 3))
    assert backend.calls == [3 * 3 * 2]


def test_a_frozen_layer_asks_for_no_gradient():
    backend = DenseBackend()
    layer = made(1, 2, 2, circuit=kernel(4), backend=backend, frozen=True)
    assert not layer(images(1, 1, 3, 3)).requires_grad
    assert backend.calls == [4]


@pytest.mark.parametrize("backend", [Statevector("backprop"), DenseBackend()], ids=str)
def test_another_backend_gives_the_same(backend):
    layer = made(1, 2, 2, circuit=kernel(4))
    before = layer(images(2, 1, 3, 3))
    assert layer.to_backend(backend) is layer and layer.quantum.backend is backend
    assert close(layer(images(2, 1, 3, 3)), before)


# Gradients.


@pytest.mark.parametrize("mode", ["zeros", "circular"])
def test_gradcheck(mode):
    layer = made(1, 2, 2, 2, 1, circuit=kernel(4), padding_mode=mode)

    def function(image, w):
        return torch.func.functional_call(layer, {"quantum.weights": w}, image)

    arguments = images(2, 1, 3, 3).requires_grad_(), layer.quantum.weights.detach().requires_grad_()
    assert torch.autograd.gradcheck(function, arguments)
    assert torch.autograd.gradgradcheck(function, arguments)


def test_frozen_weights_stay_and_gradients_reach_the_image():
    layer = made(1, 4, 2, frozen=True)
    assert not any(p.requires_grad for p in layer.parameters())
    assert torch.autograd.gradcheck(layer, images(1, 1, 3, 3).requires_grad_())
    assert layer.quantum.weights.grad is None
    layer.requires_grad_()(images(1, 1, 3, 3)).sum().backward()
    assert layer.quantum.weights.grad.abs().sum() > 0


def test_it_trains_between_other_layers():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 1, 3), Quanvolution2d(1, 4, 2, 2), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 2)
    )
    x, y = torch.rand(8, 1, 8, 8), torch.arange(8) % 2
    optimizer, losses = torch.optim.Adam(model.parameters(), 0.05), []
    for _ in range(5):
        optimizer.zero_grad()
        losses.append(nn.functional.cross_entropy(model(x), y))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0]
    assert all(p.grad.abs().max() > 0 for p in model.parameters())


@torch_func
def test_vmap():
    layer, batch = made(1, 2, 2, circuit=kernel(4), padding=1), images(3, 2, 1, 3, 3)
    assert close(torch.func.vmap(layer)(batch), torch.stack([layer(part) for part in batch]), 1e-12)


def test_under_autocast():
    model = nn.Sequential(nn.Conv2d(1, 1, 2), Quanvolution2d(1, 2, 2, circuit=kernel(4)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half, values = model[0](torch.ones(1, 1, 4, 4)), model(torch.ones(1, 1, 4, 4))
    assert half.dtype == torch.bfloat16 and values.dtype == torch.float32
    assert torch.equal(values, model[1](half.float()))


# A module.


def reloaded(layer):
    buffer = io.BytesIO()
    torch.save(layer.state_dict(), buffer)
    other = Quanvolution2d(1, 2, 2, circuit=kernel(4), dtype=torch.float64)
    other.load_state_dict(torch.load(io.BytesIO(buffer.getvalue()), weights_only=True))
    return other


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), reloaded])
def test_copies_give_the_same_and_are_their_own(copied):
    layer, batch = made(1, 2, 2, circuit=kernel(4)), images(2, 1, 3, 3)
    before, other = layer(batch).detach(), copied(layer)
    assert torch.equal(other(batch), before)
    with torch.no_grad():
        other.quantum.weights.add_(1.0)
    assert torch.equal(layer(batch), before) and not close(other(batch), before, 1e-3)


def test_manual_seed_init_dtype_and_device():
    first, second = made(1, 1, 2), made(1, 1, 2)
    assert torch.equal(first.quantum.weights, second.quantum.weights)
    assert made(1, 1, 2, init=nn.init.zeros_).quantum.weights.tolist() == [0.0] * 8
    assert Quanvolution2d(1, 1, 2, device="meta").quantum.weights.is_meta
    assert first.float()(torch.rand(1, 1, 2, 2)).dtype == torch.float32


def test_it_holds_a_quantum_layer_of_a_patch():
    layer = Quanvolution2d(1, 2, 2, circuit=kernel(4))
    assert isinstance(layer.quantum, QuantumLayer) and layer.circuit == kernel(4)
    assert (layer.quantum.in_features, layer.quantum.out_features) == (4, 2)


def test_printed():
    assert Quanvolution2d(1, 2, 2).extra_repr() == "1, 2, kernel_size=(2, 2), stride=(1, 1)"
    layer = Quanvolution2d(1, 2, 2, 2, "valid", (1, 2), padding_mode="reflect")
    options = "padding='valid', dilation=(1, 2), padding_mode='reflect'"
    assert layer.extra_repr() == f"1, 2, kernel_size=(2, 2), stride=(2, 2), {options}"


# Refusals.


@pytest.mark.parametrize(
    ("arguments", "options", "text"),
    [
        ((0, 1, 2), {}, "got in_channels=0, expected an integer of at least 1"),
        ((1, True, 2), {}, "got out_channels=True, expected an integer"),
        ((1, 1, (2, 0)), {}, "got kernel_size=0, expected an integer of at least 1"),
        ((1, 1, (2, 2, 2)), {}, r"got kernel_size=\(2, 2, 2\), expected an integer"),
        ((1, 1, 2, 0), {}, "got stride=0, expected"),
        ((1, 1, 2, 1, -1), {}, "got padding=-1, expected an integer of at least 0"),
        ((1, 1, 2, 1, 0, 0), {}, "got dilation=0, expected"),
        ((1, 1, 2, 1, "full"), {}, "got padding='full', expected numbers, 'same' or 'valid'"),
        ((1, 1, 2, 2, "same"), {}, r"got padding='same' with stride=\(2, 2\), expected stride=1: pad by numbers"),
        ((1, 1, 2), {"padding_mode": "mirror"}, "got padding_mode='mirror', expected one of 'zeros', 'reflect'"),
        ((2, 2, 2), {"groups": 2}, "got groups=2, expected 1, as a circuit reads all channels: use one Quanvolution2d"),
        ((1, 1, 2), {"bias": True}, "got bias=True, expected False: follow with a layer that has one"),
        ((1, 1, 2), {"n_layers": 0}, "got n_layers=0, expected"),
        ((1, 5, 2), {}, "got out_channels=5 for a circuit of 4 qubits, expected at most 4: give observables"),
        ((1, 3, 2), {"circuit": kernel(4)}, "got out_channels=3 for a circuit of 2 qubits"),
        ((1, 3, 2), {"observables": ["Z0", "Z1"]}, "got 2 readouts for out_channels=3, expected one per channel"),
        ((1, 1, 2), {"circuit": kernel(4), "n_layers": 2}, "got a circuit and n_layers=2, expected one of them: leave"),
        ((2, 1, 2), {"circuit": kernel(4)}, "got a circuit of 4 features for patches of 2 × 2 × 2 values, expected 8"),
    ],
)
def test_wrong_arguments(arguments, options, text):
    with pytest.raises(ValueError, match=text):
        Quanvolution2d(*arguments, **options)


def test_something_else_as_a_circuit():
    with pytest.raises(TypeError, match=r"got function as a circuit, expected circuits\.Circuit"):
        Quanvolution2d(1, 1, 2, circuit=lambda x: x)


@pytest.mark.parametrize(
    ("image", "error", "text"),
    [
        (
            np.zeros((1, 1, 2, 2)),
            TypeError,
            "got an image of type ndarray, expected a tensor of floating point numbers",
        ),
        (torch.zeros(1, 1, 2, 2, dtype=torch.uint8), TypeError, "got an image of dtype torch.uint8, expected"),
        (torch.zeros(1, 3, 2, 2), ValueError, r"got images of shape \(1, 3, 2, 2\), expected \(batch, 1, H, W\) or"),
        (torch.zeros(2, 2), ValueError, r"got images of shape \(2, 2\), expected .*: channels come before rows"),
        (torch.zeros(1, 1, 1, 1, 2, 2), ValueError, "got images of shape"),
        (torch.zeros(1, 1, 3, 1), ValueError, r"got an image of \(3, 1\), expected at least \(2, 2\) after padding"),
        (torch.zeros(1, 1, 2, 2).double(), TypeError, "got inputs torch.float64 on cpu and weights torch.float32"),
    ],
)
def test_wrong_images(image, error, text):
    with pytest.raises(error, match=text):
        Quanvolution2d(1, 1, 2)(image)
