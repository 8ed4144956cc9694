"""hybrid/series.py against other integrators, closed forms and real files, and what it says of bad input."""

import sys

import numpy as np
import pytest
from statsmodels.datasets.sunspots import load_pandas
from timeseries import reference, write

from hybrid import series
from hybrid.series import Series, files, load, mackey_glass, narma, read_csv

compiles_reservoirpy = pytest.mark.filterwarnings("ignore:invalid escape sequence")  # in its docstrings


# --- the series ----------------------------------------------------------------------------------------------------


def test_the_pendulum_swings_as_a_small_step_integrator_says():
    def flow(state):
        return np.array([state[1], -0.15 * state[1] - 9.81 * np.sin(state[0])])

    state, found, n = np.array([0.0, 3.0]), [], 50
    step = 20 / 239 / n
    for _ in range(240):
        found.append(state[1])
        for _ in range(n):
            k1 = flow(state)
            k2 = flow(state + step / 2 * k1)
            k3 = flow(state + step / 2 * k2)
            state = state + step / 6 * (k1 + 2 * k2 + 2 * k3 + flow(state + step * k3))
    np.testing.assert_allclose(load("damped_shm").values, found, rtol=0, atol=1e-8)


def test_bessel_is_its_integral():
    x, tau = np.linspace(2, 100, 256), 2 * np.pi * np.arange(400) / 400
    expected = np.cos(2 * tau - x[:, None] * np.sin(tau)).mean(axis=1)
    np.testing.assert_allclose(load("bessel").values, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("order", [1, 5, 10])
def test_narma_of_the_paper(order):
    found = narma(order, 120)
    u = 0.1 * (np.prod([np.sin(2 * np.pi * f * np.arange(120) / 100) for f in (2.11, 3.73, 4.11)], axis=0) + 1)
    np.testing.assert_allclose(found.inputs[:, 0], u, rtol=0, atol=1e-14)
    y = {k: 0.0 for k in range(-order, 1)}
    for k in range(119):
        past = u[k - order + 1] if k >= order - 1 else 0.0
        y[k + 1] = 0.3 * y[k] + 0.05 * y[k] * sum(y[k - j] for j in range(order)) + 1.5 * past * u[k] + 0.1
    np.testing.assert_allclose(found.values, [y[k] for k in range(120)], rtol=0, atol=1e-14)


def test_narma_with_random_input_starts_with_as_many_zeros_as_its_order():
    found = narma(3, 50, seed=4)
    np.testing.assert_array_equal(found.inputs[:, 0], np.random.RandomState(4).uniform(0, 0.5, 50))
    u, y = found.inputs[:, 0], found.values
    assert list(y[:3]) == [0, 0, 0]
    for t in range(2, 49):
        expected = 0.3 * y[t] + 0.05 * y[t] * (y[t] + y[t - 1] + y[t - 2]) + 1.5 * u[t - 2] * u[t] + 0.1
        assert y[t + 1] == pytest.approx(expected, rel=1e-14)


def test_narma_is_the_one_on_disk():
    expected = read_csv(reference("narma10.csv"), "y", ["u"])
    found = narma(10, 5000, seed=0)
    np.testing.assert_array_equal(found.inputs, expected.inputs)
    np.testing.assert_allclose(found.values, expected.values, rtol=0, atol=1e-12)


@pytest.mark.parametrize("tau", [17, 30])
def test_mackey_glass_is_the_one_on_disk(tau):
    expected = read_csv(reference(f"mackey_glass_tau{tau}.csv")).values
    np.testing.assert_allclose(mackey_glass(tau).values, expected, rtol=0, atol=1e-12)


def test_mackey_glass_flows_as_tiny_straight_steps_say():
    lag, fine = 17, 2000  # tiny steps in one delay
    x = [1.2] * (fine + 1)
    step = 1.7 / fine
    for _ in range(10 * fine):
        x.append(x[-1] + step * (0.2 * x[-1 - fine] / (1 + x[-1 - fine] ** 10) - 0.1 * x[-1]))
    coarse = series._mackey_glass(lag)
    found = [next(coarse) for _ in range(10 * lag + 1)]
    np.testing.assert_allclose(found[::lag], x[fine::fine], rtol=0, atol=2e-4)


def test_a_longer_series_begins_with_the_shorter_one():
    np.testing.assert_array_equal(mackey_glass(n_steps=40).values[:30], mackey_glass(n_steps=30).values)
    np.testing.assert_array_equal(narma(10, 400).values[:300], load("narma10").values)


@compiles_reservoirpy
def test_the_laser_of_reservoirpy_is_the_one_on_disk():
    pytest.importorskip("reservoirpy")
    found = load("santa_fe")
    assert len(found) == 10_093 and list(found.values[:6]) == [86, 141, 95, 41, 22, 21]
    expected = load("santa_fe", reference("santafe_laser.csv"))
    assert found.fingerprint == expected.fingerprint and found.name == expected.name == "santa_fe"


def test_the_laser_without_reservoirpy(monkeypatch):
    monkeypatch.delitem(sys.modules, "reservoirpy.datasets", raising=False)
    monkeypatch.setitem(sys.modules, "reservoirpy", None)
    message = r"santa_fe needs reservoirpy: pip install 'hybridqml\[sequences\]', or give the path of a CSV file"
    with pytest.raises(ModuleNotFoundError, match=message):
        load("santa_fe")


def test_sunspots_are_those_of_statsmodels_and_on_disk():
    found = load("sunspots")
    np.testing.assert_array_equal(found.values, load_pandas().data["SUNACTIVITY"])
    expected = load("sunspots", reference("sunspots_yearly.csv"))
    assert found.fingerprint == expected.fingerprint


# --- files ---------------------------------------------------------------------------------------------------------


def test_a_folder_or_a_file_with_data(tmp_path):
    write(tmp_path / "sunspots_yearly.csv", "year,n\n1700,1\n1701,2\n")
    assert list(load("sunspots", tmp_path).values) == [1, 2]
    monthly = write(tmp_path / "sunspots_monthly.csv", "month,n\n1,3\n2,4\n")
    assert list(load("sunspots", tmp_path).values) == [3, 4]
    assert list(load("sunspots", monthly).values) == [3, 4]
    assert list(load("bessel", tmp_path).values) == list(load("bessel").values)
    with pytest.raises(ValueError, match=r"has no santafe_laser\.csv, expected a folder with it, or a CSV file"):
        load("santa_fe", tmp_path)
    (tmp_path / "timeseries").mkdir()
    laser = write(tmp_path / "timeseries" / "santafe_laser.csv", "n\n5\n6\n")
    assert list(load("santa_fe", tmp_path).values) == [5, 6]
    assert files("santa_fe", tmp_path) == [laser] and files("santa_fe", laser) == [laser]
    assert files("sunspots", tmp_path)[0] == monthly and files("bessel", tmp_path) == files("bessel", laser) == []


def test_any_csv_file(tmp_path):
    path = write(tmp_path / "mine.csv", "\ufefft,u,v,y\n0,1,2,3\n1,4,5,6.5\n\n2,7,8,1e1\n")
    found = load(path)
    assert found.name == "mine" and found.inputs is None and list(found.values) == [3, 6.5, 10]
    driven = read_csv(path, "u", ["v", "t"])
    assert list(driven.values) == [1, 4, 7] and driven.inputs.tolist() == [[2, 0], [5, 1], [8, 2]]


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    known = r"damped_shm, bessel, narma5, narma10, mackey_glass, santa_fe, sunspots, or the path of a CSV file"
    for name in ("bessell", tmp_path / "absent.csv"):
        with pytest.raises(ValueError, match=rf"got the series '.*(bessell|absent\.csv)', expected one of {known}"):
            load(name)
    assert series.names() == known.split(", or")[0].split(", ")


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("a,b\n1,2\n3,4\n", "c", r"has no column 'c', expected one of a, b: name one of these"),
        (
            "a,b\n1,2\n3,\n",
            None,
            r"has '' in column 'b' of data line 2, expected a number: fill it in or",
        ),
        ("a,b\n1,2\n3\n", None, r"has '' in column 'b' of data line 2"),
        ("a,b\n1,x\n3,4\n", "b", r"has 'x' in column 'b' of data line 1"),
        ("1,2\n3,4\n", None, r"begins with 1,2, expected a line with the names of the columns: add one"),
        ("", None, r"begins with nothing, expected a line with the names of the columns"),
        ("a\n", None, r"got values of shape \(0,\) and type float64, expected numbers of shape \(T,\)"),
        ("a\n1\ninf\n", None, r"broken: got 1 NaN or infinite values, expected none"),
        ('a\n"1\n', None, r"is not a readable CSV file \(unexpected end of data\): download or export it again"),
        (b"a\n\xff\xfe1\n", None, r"is not a readable CSV file \('utf-8' codec"),
        (b"a\n1\x00\n", None, r"is not a readable CSV file|has '1\\x00' in column 'a'"),
    ],
)
def test_broken_files(tmp_path, text, column, message):
    path = write(tmp_path / "broken.csv", text)
    with pytest.raises(ValueError, match=message) as caught:
        read_csv(path, column)
    assert len(str(caught.value).splitlines()) == 1 and "broken" in str(caught.value)


def test_a_damaged_file_is_a_series_or_one_line(tmp_path):
    rng, whole = np.random.default_rng(0), b"t,y\n0,1.5\n1,2.5\n2,-3e2\n3,4\n"
    for _ in range(300):
        content = bytearray(whole)
        for place in rng.integers(len(content), size=3):
            content[place] = rng.integers(256)
        path = write(tmp_path / "damaged.csv", bytes(content[: rng.integers(len(content) + 1)]))
        try:
            assert isinstance(read_csv(path), Series)
        except ValueError as error:
            assert len(str(error).splitlines()) == 1


def test_an_absent_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.csv"):
        read_csv(tmp_path / "absent.csv")


# --- what a series is ----------------------------------------------------------------------------------------------


def test_values_are_kept_as_float64_and_inputs_as_columns():
    found = Series("mine", [1, 2, 4], np.array([3, 2, 1], np.float32))
    assert found.values.dtype == found.inputs.dtype == np.float64
    assert found.inputs.shape == (3, 1) and len(found) == 3


def test_a_part_of_a_series():
    part = Series("mine", [1, 2, 4, 8], [5, 6, 7, 8])[1:3]
    assert list(part.values) == [2, 4] and part.inputs.tolist() == [[6], [7]] and part.name == "mine"
    with pytest.raises(TypeError, match=r"got mine\[2\], expected a slice: series\[:1000\], or series\.values\[2\]"):
        Series("mine", [1, 2, 4])[2]


def test_equal_content_has_equal_fingerprints():
    mine = Series("mine", [1, 2, 4], [3, 2, 1])
    assert mine.fingerprint == Series("other", [1.0, 2, 4], [[3], [2], [1]]).fingerprint
    others = [Series("mine", [1, 2, 4]), Series("mine", [1, 2, 4], [3, 2, 0]), Series("mine", [1, 2, 5], [3, 2, 1])]
    assert len({mine.fingerprint, *(other.fingerprint for other in others)}) == 4


@pytest.mark.parametrize(
    ("values", "inputs", "message"),
    [
        (
            [],
            None,
            r"mine: got values of shape \(0,\) and type float64, expected numbers of shape \(T,\), T",
        ),
        ([[1, 2]], None, r"mine: got values of shape \(1, 2\)"),
        (["1", "2"], None, r"mine: got values of shape \(2,\) and type <U1, expected numbers"),
        ([1, np.nan, np.inf], None, r"mine: got 2 NaN or infinite values, expected none: fill them in or remove these"),
        ([2, 2, 2], None, r"mine: got the same value 2 at every step, expected a series that varies"),
        ([1, 2, 3], [1, 2], r"mine: got 2 steps of input for 3 values, expected one per value: cut one"),
        ([1, 2, 3], [1, 2, np.nan], r"the input of mine: got 1 NaN or infinite values"),
        ([1, 2, 3], [1, 1, 1], r"the input of mine: got the same value 1 at every step"),
        ([1, 2, 3], np.zeros((3, 1, 1)), r"the input of mine: got inputs of shape \(3, 1, 1\).*\(T, n_inputs\)"),
    ],
)
def test_bad_series(values, inputs, message):
    with pytest.raises(ValueError, match=message):
        Series("mine", values, inputs)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: narma(0), "got order=0, expected an integer of at least 1: pass order=1"),
        (lambda: narma(10, 10), "got n_steps=10, expected an integer of at least 11: pass n_steps=11"),
        (lambda: narma(5, True), "got n_steps=True, expected an integer"),
        (lambda: narma(30, 2000, seed=0), "got order=30 and seed=0, with which NARMA diverges: take another seed or"),
        (
            lambda: mackey_glass(0),
            r"got tau=0, expected a positive multiple of 0\.1, the step of the integration",
        ),
        (lambda: mackey_glass(17.05), r"got tau=17\.05, expected a positive multiple of 0\.1"),
        (lambda: mackey_glass(np.nan), r"got tau=nan, expected a positive multiple"),
        (lambda: mackey_glass(n_steps=0), "got n_steps=0, expected an integer of at least 1"),
    ],
)
def test_bad_numbers(call, message):
    with pytest.raises(ValueError, match=message):
        call()
