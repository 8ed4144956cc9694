"""backends/extrapolation.py: fits against NumPy's and SciPy's, and errors against many draws."""

import numpy as np
import pytest
import torch
from scipy.optimize import curve_fit
from tolerances import close

from backends.extrapolation import exponential, linear, quadratic, richardson

S = (0.01, 0.02, 0.05, 0.1)


def values(shape=(3,), seed=0):
    return torch.tensor(np.random.default_rng(seed).uniform(0.2, 1, (4, *shape)))


@pytest.mark.parametrize(("fit", "degree"), [(linear, 1), (quadratic, 2), (richardson, 3)])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_polynomials_are_those_of_least_squares(fit, degree, shape):
    found, y = fit(S, values(shape)), values(shape)
    expected = np.polynomial.polynomial.polyfit(S, y.reshape(4, -1).numpy(), degree)[0].reshape(shape)
    assert close(found.values, expected, 1e-9) and found.stderr is None


def test_richardson_is_lagranges_polynomial_at_zero():
    weights = [np.prod([b / (b - a) for b in (1, 3, 5) if b != a]) for a in (1, 3, 5)]
    found = richardson((1, 3, 5), torch.eye(3, dtype=torch.float64))
    assert close(found.values, weights, 1e-12) and close(found.values, [1.875, -1.25, 0.375], 1e-12)


@pytest.mark.parametrize("sign", [1, -1])
def test_an_exponential_is_found_exactly(sign):
    s = torch.tensor(S, dtype=torch.float64)[:, None]
    y = sign * torch.tensor([0.5, 2.0]) * (-s * torch.tensor([3.0, 20.0])).exp()
    assert close(exponential(S, y).values, sign * torch.tensor([0.5, 2.0]), 1e-12)


def test_an_exponential_of_scattered_values_is_the_line_of_logarithms():
    (a,), (y,) = exponential(S, values((1,))).values.tolist(), values((1,)).T.log().numpy()
    (_, offset), _ = curve_fit(lambda s, slope, offset: slope * s + offset, S, y)
    assert abs(np.log(a) - offset) < 1e-6


def test_where_no_exponential_fits_a_line_stands_in():
    y = torch.tensor([[0.5, 0.5, 0.5, 0.0], [0.4, -0.1, 0.2, 0.0], [0.3, 0.1, 0.1, 0.0], [0.2, 0.1, 0.05, 0.0]])
    errors = torch.tensor([0.01, 0.01, 0.03, 0.01]).expand(4, 4)
    fits, line = exponential(S, y, errors), linear(S, y, errors)
    assert torch.equal(fits.values[1:], line.values[1:]) and torch.equal(fits.stderr[1:], line.stderr[1:])
    assert abs(fits.values[0] - line.values[0]) > 0.01  # the first alone is a curve
    assert exponential(S, y).values[2] != line.values[2]  # of exact values, 0.05 is far enough from 0
    assert exponential(S, y).values.isfinite().all()


@pytest.mark.parametrize("fit", [linear, quadratic, richardson, exponential])
def test_standard_errors_are_those_of_many_draws(fit):
    rng, errors = np.random.default_rng(1), np.array([0.01, 0.02, 0.01, 0.03])
    true = 0.8 * np.exp(-4 * np.array(S))
    drawn = torch.tensor(true[:, None] + errors[:, None] * rng.normal(size=(4, 20_000)))
    stderr = fit(S, torch.tensor(true), torch.tensor(errors)).stderr
    assert abs(fit(S, drawn).values.std() / stderr - 1) < 0.03
