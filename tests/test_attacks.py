"""hybrid/attacks.py: against the closed forms of linear classifiers and of one qubit, and against what goes wrong."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from circuits import RX, Circuit, inputs
from hybrid.attacks import Attack, Normalised, as_module, fgsm, pgd, robust_accuracy
from hybrid.training import classifier
from qml import QuantumLayer

RNG = np.random.default_rng(0)
X = RNG.uniform(0.3, 0.7, (60, 6)).astype(np.float32)  # far from the bounds
W = RNG.normal(size=(2, 6))
B = np.array([(W[1] - W[0]).sum() / 2, 0])  # so that as many samples are of one class as of the other
Y = ((X @ (W[1] - W[0]) > B[0]) != (RNG.random(60) < 0.05)).astype(int)
DUAL = {"inf": 1, "2": 2}


def linear(weight=W, bias=B, dtype=torch.float64):
    layer = nn.Linear(weight.shape[1], len(weight), dtype=dtype)
    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(weight))
        layer.bias.copy_(torch.as_tensor(bias))
    return layer


def lead(x, weight=W, bias=B, y=Y):
    """By how much the right one of two logits leads."""
    return (x @ (weight[1] - weight[0]) + bias[1] - bias[0]) * np.where(y == 1, 1, -1)


class Sines(nn.Module):
    """A classifier whose loss has many hills."""

    def forward(self, x):
        height = torch.sin(25 * x).sum(1)
        return torch.stack([height, -height], 1)


# --- closed forms --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attack", [fgsm, pgd, partial(pgd, restarts=0, n_steps=7)])
def test_linear_linf_is_a_step_along_the_sign_of_the_weights(attack):
    found = attack(0.1)(linear(), X, Y)
    expected = X + 0.1 * np.sign(W[1] - W[0]) * np.where(Y == 1, -1, 1)[:, None]
    assert np.abs(found - expected).max() < 1e-6


@pytest.mark.parametrize("attack", [fgsm, pgd, partial(pgd, restarts=0, n_steps=7)])
def test_linear_l2_is_a_step_along_the_weights(attack):
    found = attack(0.1, norm="2")(linear(), X, Y)
    towards = (W[1] - W[0]) / np.linalg.norm(W[1] - W[0])
    assert np.abs(found - (X + 0.1 * towards * np.where(Y == 1, -1, 1)[:, None])).max() < 1e-6


def test_linear_linf_at_the_bounds_is_cut_there():
    x = np.round(X)
    found = pgd(0.3)(linear(), x, Y)
    expected = np.clip(x + 0.3 * np.sign(W[1] - W[0]) * np.where(Y == 1, -1, 1)[:, None], 0, 1)
    assert np.abs(found - expected).max() < 1e-6


@pytest.mark.parametrize("norm", ["inf", "2"])
@pytest.mark.parametrize("attack", [fgsm, pgd])
def test_linear_robust_accuracy_is_the_share_of_margins_above_eps_times_the_dual_norm(norm, attack):
    eps = [0.02, 0.05, 0.1, 0.2]
    found = robust_accuracy(linear(), X, Y, eps, attack, norm=norm)
    slope = np.linalg.norm(W[1] - W[0], ord=DUAL[norm])
    assert found.eps == (0.0, *eps)
    assert found.accuracy == tuple((lead(X) > each * slope).mean() for each in (0, *eps))
    assert len(set(found.accuracy)) > 2 and found.mean == pytest.approx(np.mean(found.accuracy[1:]))


def test_many_linear_classes_are_never_more_robust_than_their_certificate():
    weight = np.random.default_rng(1).normal(size=(4, 6))
    bias = -weight.sum(1) / 2
    y = (X @ weight.T + bias).argmax(1)
    for norm, dual in DUAL.items():
        found = robust_accuracy(linear(weight, bias), X, y, [0.05], norm=norm, restarts=3)
        gaps = (X @ weight.T + bias)[np.arange(60), y][:, None] - (X @ weight.T + bias)
        reach = 0.05 * np.linalg.norm(weight[None] - weight[y][:, None], ord=dual, axis=2)
        certified = ((gaps > reach) | (reach == 0)).all(1).mean()
        assert certified <= found.accuracy[1] <= certified + 0.05 and certified < 1


def test_gradients_of_samples_come_through_a_circuit():
    """<Z> = cos x after RX(x): the right side is left where |x| passes π/2."""
    (x,) = inputs(1)
    layer = QuantumLayer(Circuit(1, [RX(x, 0)], n_inputs=1, n_weights=0))
    module = nn.Sequential(layer, linear(np.array([[5.0], [-5.0]]), np.zeros(2), torch.float32))
    samples = np.linspace(0.1, 3.0, 30, dtype=np.float32)[:, None]
    y = (samples[:, 0] > math.pi / 2).astype(int)
    found = robust_accuracy(module, samples, y, [0.25, 0.5], bounds=None)
    assert found.accuracy == tuple(np.mean(abs(samples - math.pi / 2) > each) for each in (0, 0.25, 0.5))


def test_confident_classifiers_are_attacked_along_the_right_gradient():
    """In float32 a softmax rounds to 1 where the lead is 25, and the weights of the right class drop out."""
    module = linear(np.array([[50.0, 0], [0, 50]]), np.zeros(2), torch.float32)
    x = np.array([[0.9, 0.4]], np.float32)
    assert np.allclose(pgd(0.1)(module, x, [0]), [[0.8, 0.5]])
    assert np.allclose(pgd(0.1, "2")(module, x, [0]), x + 0.1 * np.array([[-1, 1]]) / math.sqrt(2))


# --- balls, bounds, masks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["inf", "2"])
@pytest.mark.parametrize("eps", [0.0, 0.05, 0.7])
def test_adversarial_samples_stay_in_the_ball_and_in_the_bounds(norm, eps):
    x = RNG.random((20, 1, 4, 4)).astype(np.float32)
    module = nn.Sequential(nn.Flatten(), Sines())
    found = pgd(eps, norm, restarts=3)(module, x, np.zeros(20))
    change = (found - x).reshape(20, -1).astype(float)
    assert np.linalg.norm(change, ord=float(norm), axis=1).max() <= eps * (1 + 1e-5)
    assert found.shape == x.shape and found.min() >= 0 and found.max() <= 1
    assert eps > 0 or (found == x).all()


def test_random_starts_fill_the_ball_evenly():
    x = torch.zeros(4000, 3)
    cube = Attack(0.5)._noise(x, torch.Generator().manual_seed(0))
    ball = Attack(0.5, "2")._noise(x, torch.Generator().manual_seed(0)).norm(dim=1)
    assert cube.abs().max() <= 0.5 and abs(cube.abs().mean() - 0.25) < 0.01
    assert ball.max() <= 0.5 and abs(((ball / 0.5) ** 3).mean() - 0.5) < 0.02


@pytest.mark.parametrize("norm", ["inf", "2"])
def test_a_mask_keeps_pixels_as_they_are_and_the_rest_has_the_whole_ball(norm):
    mask = X > 0.5
    found = pgd(0.1, norm)(linear(), X, Y, mask=mask)
    slope = mask * (W[1] - W[0])
    towards = np.sign(slope) if norm == "inf" else slope / np.linalg.norm(slope, axis=1, keepdims=True).clip(1e-9)
    assert (found == X)[~mask].all()
    assert np.abs(found - (X - 0.1 * towards * np.where(Y == 1, 1, -1)[:, None])).max() < 1e-6
    curve, full = (robust_accuracy(linear(), X, Y, [0.1], mask=each, norm=norm).accuracy for each in (mask, None))
    assert full[1] < curve[1] < curve[0]


def test_scaled_values_are_not_attacked_as_if_they_were_pixels():
    """Bounds of 0 and 1 on standardised values destroy an image, which was once published as an attack."""
    mean, std = X.mean(0), X.std(0)
    module = linear(dtype=torch.float32)
    with pytest.raises(ValueError) as error:
        pgd(0.1)(module, (X - mean) / std, Y)
    assert str(error.value) == (
        f"got samples from {((X - mean) / std).min():.3g} to {((X - mean) / std).max():.3g}, expected pixels from 0 to "
        "1: attack the pixels themselves and put the scaling into the model, Normalised(model, mean, std), or give the "
        "bounds of your data"
    )
    inside = Normalised(module, mean, std)
    clean = (module(torch.tensor((X - mean) / std)).argmax(1).numpy() == Y).mean()
    assert robust_accuracy(inside, X, Y, [0.01]).accuracy[0] == pytest.approx(clean)
    assert (pgd(0.0)(inside, X, Y) == X).all()
    assert np.abs(fgsm(0.01)(inside, X, Y) - X).max() == pytest.approx(0.01, rel=1e-4)
    assert np.isfinite(pgd(0.1, bounds=None)(module, (X - mean) / std, Y)).all()


# --- strength ------------------------------------------------------------------------------------------------------


def test_robust_accuracy_starts_at_the_clean_one_and_never_rises():
    x = RNG.random((80, 6))
    y = Sines()(torch.tensor(x)).argmax(1).numpy()
    y[:8] = 1 - y[:8]
    for attack in (fgsm, pgd):
        found = robust_accuracy(Sines(), x, y, [0.3, 0.01, 0.1, 0.0, 0.02], attack)
        assert found.eps == (0.0, 0.01, 0.02, 0.1, 0.3) and found.accuracy[0] == 0.9
        assert list(found.accuracy) == sorted(found.accuracy, reverse=True) and found.accuracy[-1] < 0.9


def test_restarts_make_no_attack_weaker_and_find_the_way_off_a_plateau():
    x = RNG.random((80, 6))
    y = Sines()(torch.tensor(x)).argmax(1).numpy()
    few, many = (robust_accuracy(Sines(), x, y, [0.03, 0.06], restarts=n).accuracy for n in (0, 5))
    assert all(strong <= weak for strong, weak in zip(many, few, strict=True))

    class Bowl(nn.Module):  # flat at the sample itself
        def forward(self, x):
            return torch.cat([0 * x + 0.01, (x - 0.5) ** 2], 1)

    centre = np.full((1, 1), 0.5)
    assert robust_accuracy(Bowl(), centre, [0], [0.2], restarts=0).accuracy == (1.0, 1.0)
    assert robust_accuracy(Bowl(), centre, [0], [0.2], restarts=1).accuracy == (1.0, 0.0)


def test_a_constant_prediction_is_reported_as_one():
    always_one = linear(np.zeros((2, 6)), np.array([0.0, 1.0]))
    found = robust_accuracy(always_one, X, Y, [0.1, 0.5])
    assert found.constant == 1 and set(found.accuracy) == {Y.mean()}
    assert robust_accuracy(linear(), X, Y, [0.1]).constant is None
    assert robust_accuracy(linear(), X[Y == 1], Y[Y == 1], [0.1]).constant is None  # who knows


def test_the_seed_fixes_the_random_starts_and_torch_is_left_alone():
    x, y, attack = RNG.random((20, 6)), np.zeros(20, int), pgd(0.1, restarts=2)
    before = torch.get_rng_state()
    first, again, other = (attack(Sines(), x, y, seed=seed) for seed in (0, 0, 1))
    assert (first == again).all() and (first != other).any()
    assert (torch.get_rng_state() == before).all()
    attack(Sines(), x, y, seed=None)
    assert (torch.get_rng_state() != before).any()


# --- classifiers of all kinds --------------------------------------------------------------------------------------


def test_the_classifier_is_as_it_was():
    module = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Dropout(), nn.Linear(5, 2))
    module[0].requires_grad_(False)
    module[1].eval()
    state = {name: value.clone() for name, value in module.state_dict().items()}
    robust_accuracy(module, X, Y, [0.1])
    assert all((value == state[name]).all() for name, value in module.state_dict().items())
    assert all(weight.grad is None for weight in module.parameters())
    assert [weight.requires_grad for weight in module.parameters()] == [False] * 2 + [True] * 4
    assert [part.training for part in module.modules()] == [True, True, False, True, True]


def test_samples_come_back_as_they_were_given():
    assert isinstance(pgd(0.1)(linear(), torch.tensor(X), torch.tensor(Y)), torch.Tensor)
    found = pgd(0.1)(linear(), X.tolist(), Y.tolist())
    assert isinstance(found, np.ndarray) and found.dtype == np.float64
    assert pgd(0.1)(linear(), X[:0], Y[:0]).shape == (0, 6)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_linear_classifiers_and_pipelines_of_scikit_learn_are_taken_as_they_are(n_classes):
    y = np.digitize(X[:, 0], [0.4, 0.55])[: len(X)].clip(0, n_classes - 1)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    for found in (pipeline, pipeline[-1]):
        logits = as_module(found)(torch.tensor(X)).detach().numpy()
        chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        assert np.abs(chances - found.predict_proba(X)).max() < 1e-5
    fooled = fgsm(0.1)(pipeline, X, y)
    assert pipeline.score(fooled, y) < pipeline.score(X, y)
    assert robust_accuracy(pipeline, X, y, [0.1], fgsm).accuracy[1] == pytest.approx(pipeline.score(fooled, y))


def test_a_skorch_net_is_attacked_through_its_module():
    net = classifier(partial(nn.Linear, 6, 2), max_epochs=2, verbose=0).fit(X, Y.astype(np.int64))
    assert (fgsm(0.1)(net, X, Y) == fgsm(0.1)(net.module_, X, Y)).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_the_same_samples_are_found():
    module, x = Normalised(Sines(), 0.1, 2.0), RNG.random((20, 6))
    module.register_parameter("scale", nn.Parameter(torch.ones((), dtype=torch.float64)))
    attack, y = pgd(0.1, "2", restarts=2), np.zeros(20, int)
    there = attack(module.to("cuda"), torch.tensor(x, device="cuda"), torch.tensor(y))
    assert there.is_cuda
    np.testing.assert_allclose(attack(module.cpu(), x, y), there.cpu().numpy(), atol=1e-9)


# --- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eps": -1}, "got eps=-1, expected a radius from 0: eps=0.1"),
        ({"eps": "1"}, "got eps='1', expected a radius from 0: eps=0.1"),
        ({"eps": math.nan}, "got eps=nan, expected a radius from 0: eps=0.1"),
        ({"eps": 1, "norm": "1"}, "got norm='1', expected one of 'inf', '2': norm='inf'"),
        ({"eps": 1, "n_steps": 0}, "got n_steps=0, expected an integer of at least 1: pass n_steps=1, for example"),
        (
            {"eps": 1, "restarts": 1.5},
            "got restarts=1.5, expected an integer of at least 0: pass restarts=0, for example",
        ),
        ({"eps": 1, "bounds": (1, 0)}, "got bounds=(1, 0), expected the smaller one first: bounds=(0.0, 1.0)"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError) as error:
        Attack(**settings)
    assert str(error.value) == message


class Detached(nn.Linear):
    def forward(self, x):
        return super().forward(x).detach()


@pytest.mark.parametrize(
    ("module", "y", "options", "message"),
    [
        (
            linear(),
            Y[:-1],
            {},
            (
                "got classes of shape (59,) for samples of shape (60, 6), expected one class for each "
                "sample: y of shape (n,)"
            ),
        ),
        (
            linear(),
            Y + 1,
            {},
            ("got classes from 1 to 2 for a classifier with 2 logits, expected 0 to 1: number them as in training"),
        ),
        (
            nn.Flatten(0),
            Y,
            {},
            (
                "got an output of shape (360,) for 60 samples, expected logits of shape (n, n_classes): "
                "give the module a last layer as wide as there are classes, two at least"
            ),
        ),
        (
            Detached(6, 2),
            Y,
            {},
            (
                "got a classifier whose logits do not depend on the samples through torch, expected "
                "gradients: leave detach, no_grad and NumPy out of its forward pass"
            ),
        ),
        (linear(), Y, {"mask": np.ones(6)}, "got a mask of torch.float64, expected truth values: mask=X > 0.05"),
        (
            linear(),
            Y,
            {"mask": X[:, :4] > 0},
            (
                "got a mask of shape (60, 4) for samples of shape (60, 6), expected one "
                "value for each pixel: mask=X > 0.05"
            ),
        ),
    ],
)
def test_what_does_not_fit(module, y, options, message):
    with pytest.raises(ValueError) as error:
        pgd(0.1)(module, X, y, **options)
    assert str(error.value) == message


def test_no_radius_and_no_sample():
    with pytest.raises(ValueError) as error:
        robust_accuracy(linear(), X, Y, [0.0])
    assert str(error.value) == "got 0 radii above 0 and 60 samples, expected one or more of each: eps=[0.1]"


def test_classifiers_without_gradients_are_refused():
    with pytest.raises(TypeError) as error:
        pgd(0.1)(RandomForestClassifier(n_estimators=2).fit(X, Y), X, Y)
    assert str(error.value) == (
        "got a classifier of type RandomForestClassifier, expected a torch module that gives logits, a fitted skorch "
        "net, a fitted linear classifier of scikit-learn or a pipeline of StandardScaler and one of these: write it as "
        "a torch module, or fit it first"
    )
    with pytest.raises(ValueError) as error:
        as_module(LogisticRegression().fit(X, Y + 3))
    assert str(error.value) == (
        "got a classifier of the classes 3, 4, expected 0, 1, …: number them with "
        "np.unique(y, return_inverse=True)[1] and fit it again"
    )


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        (
            0,
            [1, 0],
            (
                "got std from 0 to 1, expected finite positive numbers: take them from the train part, with 1 as "
                "the std of a constant feature"
            ),
        ),
        (
            math.inf,
            1,
            (
                "got mean from inf to inf, expected finite numbers: take them from the train part, with 1 as the "
                "std of a constant feature"
            ),
        ),
    ],
)
def test_wrong_scaling(mean, std, message):
    with pytest.raises(ValueError) as error:
        Normalised(linear(), mean, std)
    assert str(error.value) == message
