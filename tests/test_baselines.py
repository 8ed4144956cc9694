"""hybrid/baselines: parameter counts by hand, convergence, and the folder listing."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from hybrid import baselines, models
from hybrid.baselines import logistic_regression, mlp
from hybrid.data import load


def size(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("n_parameters", [1, 100, 700, 1234, 100_000])
@pytest.mark.parametrize(("n_features", "n_classes"), [(64, 10), (4, 3), (784, 2)])
def test_mlp_comes_closest_to_the_number_of_parameters(n_features, n_classes, n_parameters):
    chosen = size(mlp.build(n_features, n_classes, n_parameters=n_parameters))
    widths = range(1, 20_000)
    possible = [n_features * h + h + h * n_classes + n_classes for h in widths]
    assert abs(chosen - n_parameters) == min(abs(count - n_parameters) for count in possible)


def test_mlp_maps_samples_to_logits():
    model = mlp.build(5, 3)
    assert model(torch.zeros(2, 7, 5)).shape == (2, 7, 3)
    assert model(torch.zeros(0, 5)).shape == (0, 3)


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "wine", "iris"])
def test_logistic_regression_converges(name):
    dataset = load(name)
    X = StandardScaler().fit_transform(dataset.X)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        model = logistic_regression.build(dataset.n_features, dataset.n_classes).fit(X, dataset.y)
    assert model.n_iter_.max() < model.max_iter
    assert model.score(X, dataset.y) > 0.95


def test_logistic_regression_is_multinomial():
    X, y = load("iris").X, load("iris").y
    model = logistic_regression.build(4, 3).fit(X, y)
    logits = torch.from_numpy(X @ model.coef_.T + model.intercept_)
    torch.testing.assert_close(torch.from_numpy(model.predict_proba(X)), logits.softmax(1), check_dtype=False)


def test_logistic_regression_passes_options_on():
    assert logistic_regression.build(4, 3, C=0.1, max_iter=7).get_params()["C"] == 0.1


@pytest.mark.parametrize("package", [baselines, models])
def test_names_are_the_files_of_the_folder(package):
    folder = Path(package.__file__).parent
    assert package.names() == sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
