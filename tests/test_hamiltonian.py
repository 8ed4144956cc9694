import copy
import io
import pickle

import numpy as np
import pytest
import torch
from dense import embed
from scipy.linalg import expm
from test_special_unitary import by_hand
from tolerances import close
from torch import nn

from qml import HamiltonianReuploading

torch_func = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")


def images(*shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).uniform(0, 1, shape))


def made(*arguments, **options):
    torch.manual_seed(0)
    return HamiltonianReuploading(*arguments, dtype=torch.float64, **options)


def state(layer, image, blocks):
    """The paper's state of one image, from exponentials of scipy and whole-space matrices."""
    n_qubits, n_layers = layer.n_qubits, layer.n_layers
    times, angles = (p.detach().numpy() for p in (layer.times, layer.unitaries.angles))
    s, psi = (image + image.T) / 2, np.full(2**n_qubits, 2 ** (-n_qubits / 2), complex)
    for time, sets in zip(times, angles, strict=True):
        psi = expm(-0.5j * time * s) @ psi
        for k, qubits in enumerate(blocks):
            unitary = expm(1j * by_hand(sets[k % len(sets)], len(qubits)))
            psi = embed(unitary, qubits, n_qubits) @ psi
    assert len(times) == n_layers
    return psi


BLOCKS = [
    (3, None, [(0, 1), (1, 2)]),  # the paper's digits
    (3, [range(3)], [(0, 1, 2)]),  # one unitary on all, as its MNIST
    (4, [(0, 1), (2, 3), (1, 2)], [(0, 1), (2, 3), (1, 2)]),  # bricks
    (3, [(2, 0)], [(2, 0)]),
    (2, [[1], [0]], [(1,), (0,)]),
    (1, None, [(0,)]),
]


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("n_qubits", "blocks", "meant"), BLOCKS)
def test_it_is_the_papers(n_qubits, blocks, meant, shared):
    layer, batch = made(n_qubits, 3, blocks=blocks, shared=shared), images(3, 2**n_qubits, 2**n_qubits)
    wanted = np.array([abs(state(layer, image, meant)) ** 2 for image in batch.numpy()])
    assert close(layer(batch), wanted)
    assert close(layer(batch).sum(-1), torch.ones(3), 1e-12)


@pytest.mark.parametrize(("n_measured", "n_outputs"), [(None, None), (None, 5), (2, None), (2, 3), (1, 2)])
def test_qubits_that_are_not_measured_are_traced_out(n_measured, n_outputs):
    layer, batch = made(3, 2, n_outputs, n_measured=n_measured), images(2, 8, 8)
    p = made(3, 2)(batch)
    k = n_measured or 3
    wanted = torch.stack([p[:, [b for b in range(8) if b >> (3 - k) == c]].sum(-1) for c in range(2**k)], -1)
    assert close(layer(batch), wanted[:, : n_outputs or 2**k], 1e-14)
    assert layer.out_features == (n_outputs or 2**k) == layer(batch).shape[-1]


@pytest.mark.parametrize("batch", [(), (1,), (0,), (2, 3)], ids=str)
def test_any_leading_dimensions(batch):
    layer, samples = made(2, 2), images(*batch, 4, 4)
    each = [layer(sample) for sample in samples.reshape(-1, 4, 4)]
    assert layer(samples).shape == (*batch, 4) == layer(layer.spectrum(samples)).shape
    assert not each or close(layer(samples), torch.stack(each).reshape(*batch, 4), 1e-12)


def test_only_the_symmetric_part_of_an_image_counts():
    layer, image = made(2, 2), images(4, 4)
    assert close(layer(image.T), layer(image), 1e-12)
    assert not close(layer(image.flip(0)), layer(image), 1e-2)


# Once per image.


@pytest.fixture
def decompositions(monkeypatch):
    calls, eigh = [], torch.linalg.eigh

    def counted(matrix):
        calls.append(len(matrix))
        return eigh(matrix)

    monkeypatch.setattr(torch.linalg, "eigh", counted)
    return calls


def test_images_are_decomposed_once_before_training(decompositions):
    layer, batch = made(2, 5), images(3, 4, 4)
    spectrum = layer.spectrum(batch)
    assert spectrum.shape == (3, 4, 5) and not spectrum.requires_grad and decompositions == [3]
    for _ in range(3):
        layer(spectrum).sum().backward()
    assert decompositions == [3]
    assert close(layer(batch), layer(spectrum), 1e-14) and decompositions == [3, 3]  # not once per layer


def test_spectra_may_be_mixed_with_other_batches():
    layer, batch = made(2, 2), images(4, 4, 4)
    assert close(layer(layer.spectrum(batch)[[2, 0]]), layer(batch[[2, 0]]), 1e-14)


# Gradients.


def test_parameters_differentiate():
    layer = made(2, 2, blocks=[(0, 1)])
    spectrum = layer.spectrum(images(2, 4, 4))

    def function(times, angles):
        return torch.func.functional_call(layer, {"times": times, "unitaries.angles": angles}, spectrum)

    assert torch.autograd.gradcheck(
        function, [p.detach().requires_grad_() for p in (layer.times, layer.unitaries.angles)]
    )


def test_images_differentiate_also_where_eigenvalues_are_equal():
    layer = made(2, 2)
    border = torch.zeros(4, 4, dtype=torch.float64)
    border[1:3, 1:3] = 0.5
    batch = torch.stack([images(4, 4), border, torch.eye(4, dtype=torch.float64)])
    found = layer(batch.requires_grad_())
    assert close(found, layer(batch.detach()), 1e-12)
    assert torch.autograd.gradcheck(layer, batch)
    slopes = torch.autograd.grad(found[:, 0].sum(), batch)[0]
    assert close(slopes, slopes.mT, 1e-12) and slopes[1].abs().max() > 1e-3


def test_no_grad_takes_the_fast_way(decompositions):
    layer, batch = made(2, 2), images(2, 4, 4).requires_grad_()
    with torch.no_grad():
        layer(batch)
    assert decompositions == [2]


@torch_func
def test_torch_func_differentiates_images():
    layer, image = made(2, 2), torch.zeros(4, 4, dtype=torch.float64)
    wanted = torch.autograd.functional.jacobian(layer, image)
    assert close(torch.func.jacrev(layer)(image), wanted, 1e-12) and wanted.isfinite().all()


# Sizes.


def test_parameters_are_those_published():
    def n_parameters(layer):
        return sum(p.numel() for p in layer.parameters())

    assert n_parameters(HamiltonianReuploading(3, 15)) == 450 + 15
    assert n_parameters(HamiltonianReuploading(3, 15, shared=True)) == 225 + 15  # those that the published code uses
    mnist = HamiltonianReuploading(5, 10, 8, blocks=[range(5)], n_measured=4)
    assert n_parameters(mnist) == 10_230 + 10 and mnist.out_features == 8


def test_every_block_has_angles_of_its_own():
    """In the published code the second block of a layer reads the angles of the first, and its own do nothing."""
    layer = made(3, 2)
    layer(images(2, 8, 8))[:, 0].sum().backward()
    assert layer.unitaries.angles.grad.abs().amax(-1).min() > 1e-3
    assert close(layer.unitaries.angles.grad.abs().amax((0, 1)) > 0, np.ones(15, bool))


def test_it_trains():
    torch.manual_seed(0)
    layer = HamiltonianReuploading(2, 4)
    spectrum, y = layer.spectrum(torch.rand(8, 4, 4)), torch.arange(8) % 4
    optimizer, losses = torch.optim.Adam(layer.parameters(), 0.1), []
    for _ in range(10):
        optimizer.zero_grad()
        losses.append(nn.functional.cross_entropy(10 * layer(spectrum), y))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.8 * losses[0]


# A module.


def reloaded(layer):
    buffer = io.BytesIO()
    torch.save(layer.state_dict(), buffer)
    other = HamiltonianReuploading(2, 2, dtype=torch.float64)
    other.load_state_dict(torch.load(io.BytesIO(buffer.getvalue()), weights_only=True))
    return other


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), reloaded])
def test_copies_give_the_same_and_are_their_own(copied):
    layer, batch = made(2, 2), images(2, 4, 4)
    before, other = layer(batch).detach(), copied(layer)
    assert torch.equal(other(batch), before)
    with torch.no_grad():
        other.times.add_(1.0)
    assert torch.equal(layer(batch), before) and not close(other(batch), before, 1e-3)


def test_manual_seed_dtype_device_and_printed():
    assert all(torch.equal(a, b) for a, b in zip(made(2, 2).parameters(), made(2, 2).parameters(), strict=True))
    single = made(2, 2).float()
    assert single(images(4, 4).float()).dtype == torch.float32
    assert close(single(images(4, 4).float()), made(2, 2)(images(4, 4)), 1e-5)
    assert HamiltonianReuploading(2, 2, device="meta").times.is_meta
    assert made(2, 1).extra_repr() == "2, n_layers=1, out_features=4, blocks=((0, 1),)"


def test_images_of_another_kind():
    layer = HamiltonianReuploading(2, 1)
    with pytest.raises(TypeError, match=r"got images of type ndarray, expected a tensor: torch\.as_tensor"):
        layer(np.zeros((4, 4)))
    with pytest.raises(
        TypeError, match=r"got images torch\.float64 on cpu, expected torch\.float32 on cpu as the param"
    ):
        layer(images(4, 4))
    assert layer.spectrum(images(4, 4)).dtype == torch.float64  # decomposed in double, trained in single


WRONG_BLOCKS = [[], [()], [(0, 1), (2,)], [(0, 3)], [(1, 1)], [(-1, 0)], [(0, "1")]]


@pytest.mark.parametrize("blocks", WRONG_BLOCKS, ids=str)
def test_wrong_blocks(blocks):
    text = "expected equally many different qubits from 0 to 2 in each: "
    with pytest.raises(ValueError, match=text) as caught:
        HamiltonianReuploading(3, 1, blocks=blocks)
    assert str(caught.value).startswith(f"got blocks={blocks}, ")


@pytest.mark.parametrize(
    ("arguments", "options", "text"),
    [
        ((0, 1), {}, "got n_qubits=0, expected an integer of at least 1"),
        ((2, 0), {}, "got n_layers=0, expected"),
        ((2, 1, 5), {}, "got out_features=5, expected at most 4: read fewer, or use more qubits"),
        ((2, 1, 3), {"n_measured": 1}, "got out_features=3, expected at most 2"),
        ((2, 1), {"n_measured": 3}, "got n_measured=3, expected at most 2"),
        ((2, 1), {"n_measured": 0}, "got n_measured=0, expected an integer of at least 1"),
        ((8, 1), {"blocks": [range(8)]}, "got n_qubits=8, expected 1 to 7"),
    ],
)
def test_wrong_sizes(arguments, options, text):
    with pytest.raises(ValueError, match=text):
        HamiltonianReuploading(*arguments, **options)


@pytest.mark.parametrize("call", ["forward", "spectrum"])
@pytest.mark.parametrize("shape", [(4,), (3, 3), (2, 4, 6), (4, 3)], ids=str)
def test_wrong_images(shape, call):
    found = ", ".join(map(str, shape)) + "," * (len(shape) == 1)
    with pytest.raises(ValueError, match=rf"got images of shape \({found}\), expected \(\*, 4, 4\): fill them up with"):
        getattr(HamiltonianReuploading(2, 1), call)(torch.zeros(shape))
