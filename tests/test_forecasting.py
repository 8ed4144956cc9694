"""hybrid/forecasting.py against windows and scales written out by hand."""

import doctest

import numpy as np
import pytest

from hybrid import forecasting
from hybrid.forecasting import Scaler, nrmse, stream, windows
from hybrid.series import Series, load

COUNT = Series("count", np.arange(20.0))
WAVY = Series("wavy", np.sin(np.arange(30.0)) + np.arange(30), np.cos(np.arange(30.0)))


@pytest.mark.parametrize("horizon", [1, 3])
@pytest.mark.parametrize("size", [1, 4])
def test_windows_and_what_follows_them(size, horizon):
    task = windows(COUNT, size, 0.5, horizon)
    found = task.scaler.restore(np.concatenate([task.X, task.X_test]))
    follow = task.scaler.restore(np.concatenate([task.y, task.y_test]))
    starts = range(20 - size - horizon + 1)
    np.testing.assert_allclose(found, [[i + k for k in range(size)] for i in starts], rtol=0, atol=1e-12)
    np.testing.assert_allclose(follow, [i + size - 1 + horizon for i in starts], rtol=0, atol=1e-12)
    assert len(task.y) == len(starts) // 2


def test_the_papers_division():
    task = windows(load("damped_shm"))
    assert task.X.shape == (158, 4) and task.X_test.shape == (78, 4)


def test_windows_are_scaled_by_the_train_part_alone():
    task = windows(COUNT, 4, 0.5)
    assert len(task.y) == 8  # which know the values 0 to 11
    assert task.scaler == Scaler(0, 11)
    assert task.X.min() == -1 and task.y.max() == 1 and task.y_test.max() == pytest.approx(2 * 19 / 11 - 1)
    other = Series("count", np.where(np.arange(20) < 12, np.arange(20.0), -1000.0))
    np.testing.assert_array_equal(windows(other, 4, 0.5).X, task.X)


@pytest.mark.parametrize("horizon", [1, 4])
def test_a_whole_series(horizon):
    task = stream(COUNT, 0.5, horizon)
    restored = [task.scaler.restore(part) for part in (task.inputs[:, 0], task.known, task.targets)]
    for found, first in zip(restored, (0, 0, horizon), strict=True):
        np.testing.assert_allclose(found, np.arange(first, first + 20 - horizon), rtol=0, atol=1e-12)
    assert task.n_train == (20 - horizon) // 2
    assert task.scaler == Scaler(0, task.n_train + horizon - 1)
    assert list(task.y) == list(task.targets[: task.n_train])
    assert list(task.y_test) == list(task.targets[task.n_train :])


def test_a_driven_series_is_forecast_from_its_input():
    task = stream(WAVY, 0.5)
    u = WAVY.inputs[:-1]
    low, high = u[: task.n_train].min(), u[: task.n_train].max()
    np.testing.assert_allclose(task.inputs, 2 * (u - low) / (high - low) - 1, rtol=0, atol=1e-12)
    np.testing.assert_allclose(task.scaler.restore(task.targets), WAVY.values[1:], rtol=0, atol=1e-12)
    np.testing.assert_allclose(task.scaler.restore(task.known), WAVY.values[:-1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", [windows, stream])
def test_errors_are_in_the_series_own_units(make):
    task = make(WAVY, train=0.5)
    y = task.scaler.restore(task.y_test)
    assert task.nrmse(task.y_test) == 0
    assert task.nrmse((task.y_test + 0.1)[:, None]) == pytest.approx(0.1 * np.ptp(task.scaler) / 2 / y.std())
    assert task.nrmse(np.full(len(y), task.y_test.mean())) == pytest.approx(1)


def test_nrmse_by_hand():
    assert nrmse([0, 2], [1, 2]) == pytest.approx(np.sqrt(0.5))


@pytest.mark.parametrize("make", [windows, stream])
def test_validation_divides_the_train_part(make):
    task = make(WAVY, train=0.8)
    inner = task.validation(0.25)
    n = len(task.y)
    assert len(inner.y) == int(0.75 * n) and len(inner.y) + len(inner.y_test) == n
    np.testing.assert_array_equal(np.concatenate([inner.y, inner.y_test]), task.y)
    np.testing.assert_array_equal(np.concatenate(inner.lags(1)), task.lags(1)[0])
    assert inner.scaler == task.scaler and inner.name == task.name


@pytest.mark.parametrize("make", [windows, stream])
def test_the_last_known_value_is_the_one_before_the_target(make):
    task = make(WAVY, train=0.5)
    values = task.scaler.restore(task.last_known)
    np.testing.assert_allclose(values, WAVY.values[-1 - len(values) : -1], rtol=0, atol=1e-12)


def test_lags_of_windows_and_of_a_whole_series_are_the_same_values():
    cut, whole = windows(COUNT, 4, 0.5), stream(COUNT, 0.5)
    assert (cut.longest_lag, whole.longest_lag) == (4, 4)
    for task in (cut, whole):
        train, test = (task.scaler.restore(part) for part in task.lags(3))
        for rows, y in ((train, task.y[-len(train) :]), (test, task.y_test)):
            expected = task.scaler.restore(y)[:, None] - [3, 2, 1]
            np.testing.assert_allclose(rows, expected, rtol=0, atol=1e-12)
    assert len(whole.lags(3)[0]) == whole.n_train - 2


def test_lags_of_several_inputs():
    series = Series("driven", np.arange(9.0), np.stack([np.arange(9.0), np.arange(9.0) ** 2], axis=1))
    task = stream(series, 0.5)
    rows = task.lags(2)[1]
    assert rows.shape == (4, 4)
    np.testing.assert_allclose(sorted(rows[0]), sorted(task.inputs[3:5].ravel()), rtol=0, atol=1e-12)


def test_the_example_runs():
    found = doctest.DocTestParser().get_doctest(forecasting.__doc__, vars(forecasting) | {"load": load}, "", None, 0)
    assert doctest.DocTestRunner().run(found, out=lambda text: None).attempted == 2


CONSTANT_FIRST = Series("flat", np.maximum(np.arange(20.0), 15))
CONSTANT_LAST = Series("flat", np.minimum(np.arange(20.0), 5))
CONSTANT_INPUT = Series("driven", np.arange(20.0), np.maximum(np.arange(20.0), 15))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: windows(COUNT, 20),
            "got size=20 and horizon=1 for count, expected a series of at least 24 values, it has 20: take shorter",
        ),
        (lambda: windows(COUNT, 17), "expected a series of at least 21 values, it has 20"),
        (
            lambda: windows(COUNT, 16, 0.1),
            "got a first part of 0.1 of 4 steps of count, expected a share that leaves",
        ),
        (lambda: windows(COUNT, 0), "got size=0, expected an integer of at least 1: pass size=1"),
        (lambda: windows(COUNT, 2.0), "got size=2.0, expected an integer"),
        (lambda: windows(COUNT, 4, horizon=0), "got horizon=0, expected an integer of at least 1"),
        (
            lambda: stream(COUNT, horizon=30),
            "got size=1 and horizon=30 for count, expected a series of at least 34",
        ),
        (lambda: stream(COUNT, 1.0), "got a first part of 1 of 19 steps of count, expected a share that leaves two or"),
        (lambda: stream(COUNT, np.nan), "got a first part of nan of 19 steps"),
        (lambda: stream(COUNT, -0.5), "got a first part of -0.5 of 19 steps"),
        (lambda: stream(COUNT, 0.5).validation(0.01), "got a first part of 0.99 of 9 steps of count"),
        (lambda: windows(COUNT).validation(1.0), "got a first part of 0 of 10 steps of count"),
        (lambda: windows(CONSTANT_FIRST, 4, 0.5), "flat: got a train part that is constant, expected one that varies"),
        (lambda: stream(CONSTANT_FIRST, 0.5), "flat: got a train part that is constant"),
        (lambda: stream(CONSTANT_INPUT, 0.5), "the input of driven: got a train part that is constant"),
        (
            lambda: stream(CONSTANT_LAST).nrmse(np.zeros(7)),
            "got 7 targets without any variation, expected some",
        ),
        (lambda: nrmse([], []), "got 0 targets without any variation"),
        (lambda: nrmse([1, 2], [1]), r"got forecasts of shape \(1,\), expected \(2,\): one per target"),
        (lambda: windows(COUNT).nrmse(np.zeros((6, 2))), r"got forecasts of shape \(6, 2\), expected \(6,\)"),
        (lambda: nrmse([1, 2], [1, np.nan]), "got 1 forecasts that are NaN or infinite, expected none: train with"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
