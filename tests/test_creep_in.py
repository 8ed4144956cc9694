import copy
import io
import pickle

import numpy as np
import pennylane as qp
import pytest
import torch
from scipy.linalg import expm
from test_special_unitary import by_hand
from tolerances import close
from torch import nn

from qml import DataReUploadingLinear, FlippedQuanv3x3

torch_func = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")


def draw(*shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).normal(size=shape))


def made(layer, *arguments, **options):
    torch.manual_seed(0)
    return layer(*arguments, dtype=torch.float64, **options)


def n_parameters(*layers):
    return sum(p.numel() for layer in layers for p in layer.parameters())


def adam(layer, x, steps):
    optimizer = torch.optim.Adam(layer.parameters(), 5e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        layer(x).square().mean().backward()
        optimizer.step()


# FlippedQuanv3x3.


@pytest.mark.parametrize("unitary", [True, False])
@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (1, 3, 3, 3), (0, 3, 4, 4), (3, 6, 5)], ids=str)
def test_the_convolution_is_the_expectation_value(shape, unitary):
    layer = made(FlippedQuanv3x3, 3, 2, unitary=unitary)
    adam(layer, draw(1, 3, 5, 5), 3)  # off the unitaries, if it may
    found = layer(draw(*shape))
    assert found.shape == nn.Conv2d(3, 2, 3)(torch.zeros(shape)).shape
    assert close(layer.expectation(draw(*shape)), found, 1e-12)


def test_flipped_quanvolution_is_pennylanes_expectation_of_a_hermitian():
    layer, image = made(FlippedQuanv3x3, 2, 3), draw(1, 2, 4, 5)
    angles, bias = (p.detach().numpy() for p in (layer.unitaries.angles, layer.bias))

    @qp.qnode(qp.device("default.qubit", wires=2))
    def value(theta, observable):
        qp.QubitUnitary(expm(1j * by_hand(theta, 2)), wires=(0, 1))
        return qp.expval(qp.Hermitian(observable, wires=(0, 1)))

    wanted = np.empty((1, 3, 2, 3))
    for o, i, j in np.ndindex(3, 2, 3):
        padded = np.zeros((2, 4, 4))
        padded[:, :3, :3] = image[0, :, i : i + 3, j : j + 3]
        each = [value(angles[o, c], (padded[c] + padded[c].T) / 2) for c in range(2)]
        wanted[0, o, i, j] = np.mean(each) + bias[o]
    assert close(layer(image), wanted)


def test_kernels_are_what_a_state_allows():
    """Symmetric, positive, of rank at most 2 and of trace at most 1/C: much less than a convolution's."""
    kernel = made(FlippedQuanv3x3, 4, 6).kernel().detach()
    values = torch.linalg.eigvalsh(kernel)
    assert torch.equal(kernel, kernel.mT) and kernel.shape == (6, 4, 3, 3)
    assert values[..., 0].abs().max() < 1e-12 and values.min() > -1e-12
    assert values.sum(-1).max() <= 1 / 4 and values[..., 1].max() > 1e-3


def test_flipped_quanvolution_is_linear_in_its_input():
    layer, zero = made(FlippedQuanv3x3, 1, 2), torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    a, b = draw(1, 1, 4, 4), draw(1, 1, 4, 4, seed=1)
    assert close(layer(2 * a - b) - layer(zero), 2 * layer(a) - layer(b) - layer(zero), 1e-12)


def test_flipped_quanvolution_differentiates():
    layer = made(FlippedQuanv3x3, 2, 1)

    def function(image, angles, bias):
        return torch.func.functional_call(layer, {"unitaries.angles": angles, "bias": bias}, image)

    parameters = [p.detach().requires_grad_() for p in (layer.unitaries.angles, layer.bias)]
    assert torch.autograd.gradcheck(function, (draw(1, 2, 3, 4).requires_grad_(), *parameters))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: FlippedQuanv3x3(0, 1), ValueError, "got in_channels=0, expected an integer of at least 1"),
        (lambda: FlippedQuanv3x3(1, 1.0), ValueError, "got out_channels=1.0, expected an integer"),
        (
            lambda: FlippedQuanv3x3(1, 1)(torch.zeros(1, 1, 2, 5)),
            ValueError,
            r"got an image of \(2, 5\), expected at le",
        ),
        (lambda: FlippedQuanv3x3(1, 1)(torch.zeros(1, 2, 5, 5)), ValueError, r"got images of shape \(1, 2, 5, 5\)"),
        (
            lambda: FlippedQuanv3x3(1, 1)(torch.zeros(1, 1, 5, 5).int()),
            TypeError,
            "got images torch.int32 on cpu, expected torch.float32 on cpu as the parameters: call",
        ),
    ],
)
def test_flipped_quanvolution_refuses(call, error, text):
    with pytest.raises(error, match=text):
        call()


# DataReUploadingLinear.


def reuploaded(x, angles, n_qubits):
    """The paper's state from exponentials of scipy, for one sample."""
    dim = 2**n_qubits
    matrix = np.concatenate([x, np.zeros(dim * dim - len(x))]).reshape(dim, dim)
    upload = expm(1j * (matrix + matrix.T) / 2 / len(angles))
    state = np.full(dim, dim**-0.5, complex)
    for theta in angles:
        state = expm(1j * by_hand(theta, n_qubits)) @ upload @ state
    return abs(state) ** 2


@pytest.mark.parametrize(
    ("n_features", "n_outputs", "n_qubits"), [(16, 4, 2), (11, 3, 2), (3, 2, 1), (20, 2, 3), (1, 5, 3)]
)
def test_reuploading_is_the_papers(n_features, n_outputs, n_qubits):
    layer, samples = made(DataReUploadingLinear, n_features, n_outputs, 3), draw(4, n_features)
    assert layer.n_qubits == n_qubits
    angles = layer.unitaries.angles.detach().numpy()
    p = np.array([reuploaded(sample, angles, n_qubits) for sample in samples.numpy()])
    assert close(layer.probabilities(samples), p)
    assert close(layer(samples), p[:, :n_outputs] + layer.bias.detach().numpy())


@pytest.mark.parametrize("batch", [(), (1,), (0,), (2, 3)], ids=str)
def test_reuploading_takes_any_leading_dimensions(batch):
    layer, samples = made(DataReUploadingLinear, 9, 3, 2), draw(*batch, 9)
    each = [layer(sample) for sample in samples.reshape(-1, 9)]
    assert layer(samples).shape == (*batch, 3)
    assert not each or close(layer(samples), torch.stack(each).reshape(*batch, 3), 1e-12)


def test_real_angles_stay_probabilities_in_training_and_the_published_ones_do_not():
    """The reproduction's trap: with complex angles the "probabilities" of the published layer grow without bound."""
    samples = draw(5, 16)
    real, published = made(DataReUploadingLinear, 16, 4, 3), made(DataReUploadingLinear, 16, 4, 3, unitary=False)
    assert close(real(samples), published(samples), 1e-12)
    for layer in real, published:
        adam(layer, samples, 10)
    assert close(real.probabilities(samples).sum(-1), torch.ones(5), 1e-12)
    assert (published.probabilities(samples).sum(-1) - 1).abs().min() > 1e-2


def test_reuploading_is_not_linear():
    layer, a, b = made(DataReUploadingLinear, 16, 4, 3), draw(16), draw(16, seed=1)
    zero = layer(torch.zeros(16, dtype=torch.float64))
    assert not close(layer(a + b) - zero, layer(a) + layer(b) - 2 * zero, 1e-2)


def test_parameters_are_those_published():
    """Levels 1 and 2 of the paper on MNIST."""
    convolutions = FlippedQuanv3x3(1, 32), FlippedQuanv3x3(32, 16)
    assert n_parameters(*convolutions, nn.Linear(12544, 10)) == 133_658
    head = DataReUploadingLinear(12544, 10, 10)
    assert head.n_qubits == 7 and head.unitaries.angles.numel() == 163_830
    assert n_parameters(*convolutions, head) == 172_048


def test_a_trained_scale():
    plain, scaled = (made(DataReUploadingLinear, 4, 2, 1, scale=s) for s in (None, 10.0))
    sample = draw(4)
    assert plain.scale is None and n_parameters(scaled) == n_parameters(plain) + 1
    assert close(scaled(sample) - scaled.bias, 10 * (plain(sample) - plain.bias), 1e-12)
    scaled(sample).sum().backward()
    assert close(scaled.scale.grad, plain(sample).sum() - plain.bias.sum(), 1e-12)


@pytest.mark.parametrize("n_features", [4, 3])
def test_reuploading_differentiates(n_features):
    """Also where eigenvalues of the data are equal, as those of padded or of zero images are."""
    layer = made(DataReUploadingLinear, n_features, 2, 2, n_qubits=2)

    def function(x, angles, bias):
        return torch.func.functional_call(layer, {"unitaries.angles": angles, "bias": bias}, x)

    parameters = [p.detach().requires_grad_() for p in (layer.unitaries.angles, layer.bias)]
    samples = torch.cat([draw(1, n_features), torch.zeros(1, n_features).double()])
    assert torch.autograd.gradcheck(function, (samples.requires_grad_(), *parameters))


@torch_func
def test_vmap():
    layer, samples = made(DataReUploadingLinear, 4, 2, 2), draw(3, 4)
    assert close(torch.func.vmap(layer)(samples), layer(samples), 1e-12)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: DataReUploadingLinear(0, 1), "got in_features=0, expected an integer of at least 1"),
        (lambda: DataReUploadingLinear(4, None), "got out_features=None, expected an integer"),
        (lambda: DataReUploadingLinear(4, 2, 0), "got n_layers=0, expected"),
        (lambda: DataReUploadingLinear(4, 2, 1, 0), "got n_qubits=0, expected"),
        (
            lambda: DataReUploadingLinear(17, 4, 1, 2),
            "got n_qubits=2 for 17 features and 4 outputs, expected at least 3",
        ),
        (lambda: DataReUploadingLinear(4, 9, 1, 3), "got n_qubits=3 for 4 features and 9 outputs, expected at least 4"),
        (lambda: DataReUploadingLinear(4**7 + 1, 2), "got n_qubits=8, expected 1 to 7"),
        (lambda: DataReUploadingLinear(4, 2, scale=float("nan")), "got scale=nan, expected a finite number"),
        (
            lambda: DataReUploadingLinear(4, 2)(torch.zeros(1, 2, 2)),
            r"got features of shape \(1, 2, 2\), expected \(\*, 4",
        ),
    ],
)
def test_reuploading_refuses(call, text):
    with pytest.raises(ValueError, match=text):
        call()


# Both as modules.


@pytest.mark.parametrize("layer", [FlippedQuanv3x3(1, 1), DataReUploadingLinear(5, 1)], ids=lambda m: type(m).__name__)
def test_features_of_another_kind(layer):
    with pytest.raises(TypeError, match=r"got (images|features) of type ndarray, expected a tensor: torch\.as_tensor"):
        layer(np.zeros((1, 5, 5)))
    with pytest.raises(TypeError, match=r"got (images|features) torch\.float64 on cpu, expected torch\.float32 on cpu"):
        layer(torch.zeros(1, 5, 5).double())


def test_under_autocast():
    layer = DataReUploadingLinear(4, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = layer(torch.ones(3, 4, dtype=torch.bfloat16))
    assert found.dtype == torch.float32 and torch.equal(found, layer(torch.ones(3, 4)))


MAKE = {
    "flipped": lambda **options: made(FlippedQuanv3x3, 1, 2, **options),
    "reuploading": lambda **options: made(DataReUploadingLinear, 9, 2, 2, scale=2.0, **options),
}
SAMPLES = {"flipped": draw(2, 1, 4, 4), "reuploading": draw(2, 9)}


def reloaded(layer):
    buffer = io.BytesIO()
    torch.save(layer.state_dict(), buffer)
    other = copy.deepcopy(layer)
    for parameter in other.parameters():
        nn.init.zeros_(parameter)
    other.load_state_dict(torch.load(io.BytesIO(buffer.getvalue()), weights_only=True))
    return other


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), reloaded])
@pytest.mark.parametrize("unitary", [True, False])
@pytest.mark.parametrize("name", MAKE)
def test_copies_give_the_same_and_are_their_own(name, unitary, copied):
    layer, samples = MAKE[name](unitary=unitary), SAMPLES[name]
    before, other = layer(samples).detach(), copied(layer)
    assert torch.equal(other(samples), before)
    with torch.no_grad():
        other.unitaries.angles.add_(1.0)
    assert torch.equal(layer(samples), before) and not close(other(samples), before, 1e-3)


@pytest.mark.parametrize("unitary", [True, False])
@pytest.mark.parametrize("name", MAKE)
def test_single_precision(name, unitary):
    layer, samples = MAKE[name](unitary=unitary), SAMPLES[name]
    wanted = layer(samples)
    found = layer.float()(samples.float())
    assert found.dtype == torch.float32 and close(found, wanted, 1e-4)


@pytest.mark.parametrize("name", MAKE)
def test_manual_seed_and_printed(name):
    first, second = MAKE[name](), MAKE[name]()
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert "SpecialUnitary(" in repr(first) and "unitary=False" in repr(MAKE[name](unitary=False))
