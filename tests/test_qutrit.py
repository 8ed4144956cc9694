"""qml/qutrit.py: the rotation and the overlap against SciPy and PennyLane, the filter against loops over pixels."""

from __future__ import annotations

import copy
import itertools
import pickle

import numpy as np
import pytest
import torch
from scipy.linalg import expm
from tolerances import close

from qml import QutritFilter
from qml.qutrit import BOUNDS, neighbourhoods, overlap, rotation

SPIN_Y = np.array([[0, -1j, 0], [1j, 0, -1j], [0, 1j, 0]]) / np.sqrt(2)
ANGLES = torch.linspace(-4, 4, 9, dtype=torch.float64)


def images(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


# --- the qutrit ------------------------------------------------------------------------------------------------------


def test_the_rotation_is_that_of_a_spin_1():
    expected = [expm(-1j * float(angle) * SPIN_Y) for angle in ANGLES]
    assert close(rotation(ANGLES).to(torch.complex128), torch.tensor(np.array(expected)), 1e-12)


def test_rotations_add_up():
    a, b = ANGLES[:, None], ANGLES.flip(0)[None, :] / 3
    assert close(rotation(a) @ rotation(b), rotation(a + b), 1e-12)
    assert close(rotation(a).mT @ rotation(a), torch.eye(3, dtype=torch.float64).expand(9, 1, 3, 3), 1e-12)


def test_the_overlap_is_that_of_a_simulated_qutrit():
    qp = pytest.importorskip("pennylane")
    device = qp.device("default.qutrit", wires=1)
    differences = torch.linspace(-1, 1, 9, dtype=torch.float64)

    white = torch.tensor(2 * np.pi / 3, dtype=torch.float64)

    @qp.qnode(device)
    def probabilities(weight):
        qp.QutritBasisState(np.array([1]), wires=0)
        qp.QutritUnitary(rotation(weight).numpy(), wires=0)
        qp.QutritUnitary(rotation(white).numpy().T, wires=0)
        return qp.probs(wires=0)

    weights = white * (1 - differences.abs())
    found = torch.tensor(np.array([probabilities(weight)[1] for weight in weights]))
    assert close(overlap(differences) ** 2, found)
    assert close(overlap(differences), (rotation(white).mT @ rotation(weights))[:, 1, 1], 1e-12)
    assert close(overlap(torch.tensor([0.0, 0.75, 1.0]).double()), torch.tensor([1.0, 0.0, -0.5]))


# --- the filter ------------------------------------------------------------------------------------------------------


def update(image, sharpness, steepness, bounds, normalised):
    """One update, pixel by pixel."""
    height, width = image.shape
    found = np.empty_like(image)
    for r in range(height):
        for c in range(width):
            around = [
                image[min(max(r + i, 0), height - 1), min(max(c + j, 0), width - 1)]
                for i in (-1, 0, 1)
                for j in (-1, 0, 1)
            ]
            weights = [max(0, np.cos(2 * np.pi / 3 * abs(each - image[r, c]))) ** sharpness for each in around]
            z = np.dot(weights, around) / (sum(weights) if normalised else 1)
            steps = [
                (high - low) / (1 + np.exp(-steepness * (z - (low + high) / 2)))
                for low, high in itertools.pairwise(bounds)
            ]
            found[r, c] = sum(steps)
    return found


@pytest.mark.parametrize("n_rounds", [1, 2])
@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize(("sharpness", "steepness", "bounds"), [(8, 40, BOUNDS), (1.5, 7, (0, 0.3, 1))])
def test_the_filter_is_what_loops_compute(n_rounds, normalised, sharpness, steepness, bounds):
    given = images(5, 7)
    expected = given.numpy()
    for _ in range(2 * n_rounds):
        expected = update(expected, sharpness, steepness, bounds, normalised)
    found = QutritFilter(n_rounds, sharpness, steepness, bounds, normalised=normalised)(given)
    assert close(found, expected)


def test_all_leading_dimensions():
    layer, given = QutritFilter(), images(2, 3, 6, 5)
    found = layer(given)
    assert found.shape == given.shape and layer(given[:0]).shape == (0, 3, 6, 5)
    assert close(found[1, 2], layer(given[1, 2])) and close(layer(given.float()).double(), found, 1e-4)
    assert close(layer(given.flip(-1)), found.flip(-1)) and close(layer(given.mT), found.mT)


def test_another_kernel_takes_the_place_of_the_overlap():
    given = images(4, 4)
    layer = QutritFilter(1, steepness=15, kernel=torch.ones_like)
    z = given
    for _ in range(2):
        padded = np.pad(z.numpy(), 1, "edge")
        mean = sum(padded[i : i + 4, j : j + 4] for i in range(3) for j in range(3)) / 9
        low, high = np.array(BOUNDS[:-1]), np.array(BOUNDS[1:])
        z = torch.tensor(((high - low) / (1 + np.exp(-15 * (mean[..., None] - (low + high) / 2)))).sum(-1))
    assert close(layer(given), z)


def test_noise_goes_and_an_edge_stays():
    clean = torch.where(torch.arange(32) < 16, 0.35, 0.8).expand(32, 32)
    noisy = clean + 0.05 * torch.randn(32, 32, generator=torch.Generator().manual_seed(0))
    found = QutritFilter(sharpness=8, steepness=20)(noisy)
    halves = found[:, :16], found[:, 16:]
    assert all(half.std() < 0.03 for half in halves) and halves[1].min() - halves[0].max() > 0.3
    without = QutritFilter(normalised=False)(noisy)
    assert without.min() > 0.99, "sums in place of means wash the image out"


def test_gradients_reach_the_image():
    given = images(3, 4).requires_grad_()
    assert torch.autograd.gradcheck(QutritFilter(1, sharpness=2, steepness=5), given)


def test_nothing_is_trained_and_it_can_be_copied():
    layer, given = QutritFilter(3, 4, 25), images(4, 5)
    assert not layer.state_dict() and repr(layer) == "QutritFilter(n_rounds=3, sharpness=4, steepness=25)"
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), layer.double()):
        assert close(other(given), layer(given))


def test_neighbourhoods_outside_the_image():
    given = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert neighbourhoods(given)[:, 0, 0].tolist() == [1, 1, 2, 1, 1, 2, 3, 3, 4]
    assert neighbourhoods(given, "constant")[:, 0, 0].tolist() == [0, 0, 0, 0, 1, 2, 0, 3, 4]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"n_rounds": 0}, "got n_rounds=0, expected"),
        ({"sharpness": 0}, "got sharpness=0, expected a positive number"),
        ({"steepness": -1}, "got steepness=-1, expected a finite number of at least 0"),
        ({"bounds": (0, 0.5, 0.5, 1)}, r"got bounds \(0.0, 0.5, 0.5, 1.0\), expected numbers that ascend from 0 to 1"),
        ({"bounds": (0.1, 1)}, "expected numbers that ascend from 0 to 1: "),
        ({"bounds": ()}, r"got bounds \(\), expected"),
    ],
)
def test_wrong_options(options, text):
    with pytest.raises(ValueError, match=text):
        QutritFilter(**options)


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        (np.zeros((2, 2)), TypeError, "got images of type ndarray, expected a tensor of floating point numbers"),
        (torch.zeros(2, 2, dtype=torch.uint8), TypeError, r"got images of dtype torch.uint8, .*: call .float\(\) or"),
        (torch.zeros(5), ValueError, r"got images of shape \(5,\), expected \(\*, H, W\), grey: average the channels"),
    ],
)
def test_wrong_images(given, error, text):
    with pytest.raises(error, match=text):
        QutritFilter()(given)
