"""Time series: computed ones, measured ones that libraries hold, and CSV files, all as one :class:`Series`, unscaled.

:mod:`hybrid.forecasting` makes tasks of them.
"""

from __future__ import annotations

import csv
import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from circuits.checks import whole

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Series:
    """A time series, unscaled.

    Parameters
    ----------
    name : str
        Used in reports.
    values : array, shape (T,)
        What is to be forecast; kept as float64.
    inputs : array, shape (T,) or (T, n_inputs), optional
        What drives it: ``values[t + 1]`` follows from the inputs up to t. Kept as float64 (T, n_inputs).

    Raises
    ------
    ValueError
        If the shapes are wrong, or values are missing, infinite or all the same.
    """

    name: str
    values: Array
    inputs: Array | None = None

    def __post_init__(self) -> None:
        vars(self)["values"] = _checked(self.name, "values", self.values, 1)
        if self.inputs is not None:
            columns = np.asarray(self.inputs)
            columns = columns[:, None] if columns.ndim == 1 else columns
            vars(self)["inputs"] = _checked(f"the input of {self.name}", "inputs", columns, 2)
            _check_lengths(self.name, len(columns), len(self))

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, steps: slice) -> Series:
        """Return a part of the series, with its inputs: ``series[:1000]``."""
        if not isinstance(steps, slice):
            raise TypeError(f"got {self.name}[{steps!r}], expected a slice: series[:1000], or series.values[{steps!r}]")
        return replace(self, values=self.values[steps], inputs=None if self.inputs is None else self.inputs[steps])

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 of shapes and values, as 64 hexadecimal digits: equal for equal content, whatever the name."""
        digest = hashlib.sha256()
        for array in (self.values, self.inputs):
            digest.update(b"none" if array is None else str(array.shape).encode() + np.ascontiguousarray(array).data)
        return digest.hexdigest()


def damped_shm() -> Series:
    """Return the angular velocity of a damped pendulum, ``θ'' = -0.15 θ' - 9.81 sin θ`` (arXiv:2402.17760).

    240 points on [0, 20], from θ = 0, θ' = 3.
    """
    from scipy.integrate import solve_ivp

    times = np.linspace(0, 20, 240)
    found = solve_ivp(_pendulum, (0, 20), (0.0, 3.0), t_eval=times, method="DOP853", rtol=1e-12, atol=1e-12)
    return Series("damped_shm", found.y[1])


def bessel() -> Series:
    """Return the Bessel function ``J_2`` at 256 points on [2, 100] (arXiv:2402.17760)."""
    from scipy.special import jv

    return Series("bessel", jv(2, np.linspace(2, 100, 256)))


def narma(order: int, n_steps: int = 300, seed: int | None = None) -> Series:
    """Return ``y_{t+1} = 0.3 y_t + 0.05 y_t Σ_{j<n} y_{t-j} + 1.5 u_{t-n+1} u_t + 0.1``, with its input u.

    Atiya and Parlos, IEEE Trans. Neural Networks 11, 697 (2000). It starts from zeros, and needs some steps to settle.

    Parameters
    ----------
    order : int
        n, how far back it reads.
    n_steps : int
        Length of the series.
    seed : int, optional
        Of an input uniform on [0, 0.5), ``numpy.random.RandomState(seed)``, the first n values being 0. If not given,
        the input is ``0.1 (sin(2π 2.11 t/100) sin(2π 3.73 t/100) sin(2π 4.11 t/100) + 1)``, as in arXiv:2211.02612,
        input and values being 0 before it begins.

    Raises
    ------
    ValueError
        If a number is out of range, or the series diverges.
    """
    whole("order", order)
    whole("n_steps", n_steps, order + 1)
    u = _sines(n_steps) if seed is None else np.random.RandomState(seed).uniform(0, 0.5, n_steps)
    values = np.fromiter(_narma(order, u, 0 if seed is None else order - 1), float)
    if not values.max() < 10:  # NaN too
        raise ValueError(f"got order={order} and seed={seed}, with which NARMA diverges: take another seed or order")
    return Series(f"narma{order}", values, u)


def mackey_glass(tau: float = 17.0, n_steps: int = 5000) -> Series:
    """Return ``dx/dt = 0.2 x(t-τ) / (1 + x(t-τ)^10) - 0.1 x`` at t = 1000, 1001, … (Science 197, 287 (1977)).

    x = 1.2 up to t = 0; Runge-Kutta of order 4 with step 0.1, the delayed value at a half step being the mean of its
    neighbours. The series is chaotic for τ > 16.8: another way of rounding leads elsewhere after a while.

    Parameters
    ----------
    tau : float
        Delay, a multiple of 0.1.
    n_steps : int
        Length of the series.

    Raises
    ------
    ValueError
        If a number is out of range.
    """
    whole("n_steps", n_steps)
    lag = round(10 * tau) if np.isfinite(tau) else 0
    if lag < 1 or abs(lag - 10 * tau) > 1e-9:
        raise ValueError(f"got tau={tau}, expected a positive multiple of 0.1, the step of the integration: tau=17")
    values = list(islice(_mackey_glass(lag), 10_000, 10_000 + 10 * n_steps, 10))
    return Series(f"mackey_glass_{tau:g}", np.array(values))


def santa_fe(path: str | Path | None = None) -> Series:
    """Return the intensity of a far-infrared laser, 10,093 steps: set A of the Santa Fe competition, continued.

    Parameters
    ----------
    path : path, optional
        A CSV file, its last column; if not given, what the package reservoirpy holds.

    Raises
    ------
    ModuleNotFoundError
        If no path is given and reservoirpy is not installed.
    ValueError
        If the file is broken.
    """
    if path is not None:
        return replace(read_csv(path), name="santa_fe")
    try:
        from reservoirpy.datasets import santafe_laser
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "santa_fe needs reservoirpy: pip install 'hybridqml[sequences]', or give the path of a CSV file",
            name=error.name,
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its file open
        return Series("santa_fe", santafe_laser()[:, 0])


def sunspots(path: str | Path | None = None) -> Series:
    """Return the sunspot numbers: yearly from 1700 to 2008, or those of a file.

    Parameters
    ----------
    path : path, optional
        A CSV file, its last column, as of the monthly numbers; if not given, what the package statsmodels holds.

    Raises
    ------
    ValueError
        If the file is broken.
    """
    if path is not None:
        return replace(read_csv(path), name="sunspots")
    from statsmodels.datasets.sunspots import load_pandas

    return Series("sunspots", load_pandas().data["SUNACTIVITY"].to_numpy())


#: The series that are computed.
GENERATED: dict[str, Callable[[], Series]] = {
    "damped_shm": damped_shm,
    "bessel": bessel,
    "narma5": partial(narma, 5),
    "narma10": partial(narma, 10),
    "mackey_glass": mackey_glass,
}

#: The series that were measured, and the files that a folder with data may hold of each, best first.
MEASURED: dict[str, tuple[Callable[[str | Path | None], Series], tuple[str, ...]]] = {
    "santa_fe": (santa_fe, ("santafe_laser.csv",)),
    "sunspots": (sunspots, ("sunspots_monthly.csv", "sunspots_yearly.csv", "sunspots.csv")),
}


def names() -> list[str]:
    """Return the names that :func:`load` knows."""
    return [*GENERATED, *MEASURED]


def load(name: str | Path, data: str | Path | None = None) -> Series:
    """Return a series by name, or from a CSV file.

    Parameters
    ----------
    name : str or path
        One of :func:`names`, or the path of a CSV file, whose last column is read.
    data : path, optional
        A folder with CSV files, there or in a folder ``timeseries`` in it, or one such file, to read a measured series
        from; if not given, the packages that hold them are asked.

    Raises
    ------
    ValueError
        If the name is unknown, or a file is missing or broken.
    """
    if name in GENERATED:
        return GENERATED[str(name)]()
    if name in MEASURED:
        return MEASURED[str(name)][0](None if data is None else _file(str(name), Path(data)))
    if Path(name).suffix == ".csv" and Path(name).is_file():
        return read_csv(name)
    raise ValueError(f"got the series {str(name)!r}, expected one of {', '.join(names())}, or the path of a CSV file")


def files(name: str, data: Path) -> list[Path]:
    """Return the files that :func:`load` finds for a series, best first; none for a series that is computed."""
    if name in GENERATED or data.is_file():
        return [] if name in GENERATED else [data]
    places = (data / folder / file for file in MEASURED[name][1] for folder in ("", "timeseries"))
    return [place for place in places if place.is_file()]


def read_csv(path: str | Path, column: str | None = None, inputs: Sequence[str] = ()) -> Series:
    """Return a column of a CSV file that has a header line; the name is the file's.

    Parameters
    ----------
    path : path
        Commas between the columns, decimal points, UTF-8.
    column : str, optional
        Name of the column; the last one if not given.
    inputs : sequence of str
        Names of the columns that drive it.

    Raises
    ------
    ValueError
        If the file is not such a file, lacks a column, or has a value that is not a number.
    OSError
        If it cannot be read.
    """
    path = Path(path)
    header, *lines = _lines(path)
    wanted = [header[-1] if column is None else column, *inputs]
    if missing := [name for name in wanted if name not in header]:
        raise ValueError(f"{path} has no column {missing[0]!r}, expected one of {', '.join(header)}: name one of these")
    found = np.array([_numbers(path, number, line, header, wanted) for number, line in enumerate(lines, 1)])
    found = found.reshape(-1, len(wanted))
    return Series(path.stem, found[:, 0], found[:, 1:] if inputs else None)


def _pendulum(t: float, state: Array) -> tuple[float, float]:
    angle, velocity = state
    return velocity, -0.15 * velocity - 9.81 * np.sin(angle)


def _sines(n_steps: int) -> Array:
    turns = 2 * np.pi * np.arange(n_steps) / 100
    return 0.1 * (np.sin(2.11 * turns) * np.sin(3.73 * turns) * np.sin(4.11 * turns) + 1)


def _narma(order: int, u: Array, start: int) -> Iterator[float]:
    """Yield zeros up to y[start], then what follows."""
    last, past_u = [0.0] * order, np.concatenate([np.zeros(order - 1), u])
    yield from [0.0] * (start + 1)
    for t in range(start, len(u) - 1):
        y = 0.3 * last[-1] + 0.05 * last[-1] * np.sum(last) + 1.5 * past_u[t] * u[t] + 0.1
        last = [*last[1:], y if y < 1e6 else np.nan]  # what diverges does so without warnings
        yield last[-1]


def _mackey_glass(lag: int, step: float = 0.1) -> Iterator[float]:
    """Yield x(0), x(step), …, of the delay lag * step."""
    past = [1.2] * (lag + 1)  # a ring of the values one delay back
    for now in _ring(lag + 1):
        yield (x := past[now])
        delayed, next_delayed = past[(now + 1) % (lag + 1)], past[(now + 2) % (lag + 1)]
        halfway = (delayed + next_delayed) / 2
        k1 = _flow(x, delayed)
        k2 = _flow(x + step / 2 * k1, halfway)
        k3 = _flow(x + step / 2 * k2, halfway)
        k4 = _flow(x + step * k3, next_delayed)
        past[(now + 1) % (lag + 1)] = x + step * (k1 + 2 * k2 + 2 * k3 + k4) / 6


def _ring(size: int) -> Iterator[int]:
    while True:
        yield from range(size)


def _flow(x: float, delayed: float) -> float:
    return 0.2 * delayed / (1 + delayed**10) - 0.1 * x


# --- files ---------------------------------------------------------------------------------------------------------


def _file(name: str, data: Path) -> Path:
    if found := files(name, data):
        return found[0]
    raise ValueError(
        f"{data} has no {' or '.join(MEASURED[name][1])}, expected a folder with it, or a CSV file: give its path"
    )


def _lines(path: Path) -> list[list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            lines = [line for line in csv.reader(stream, strict=True) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a readable CSV file ({error}): download or export it again") from error
    if not lines or all(_is_number(cell) for cell in lines[0]):
        found = ",".join(lines[0]) if lines else "nothing"
        raise ValueError(f"{path} begins with {found}, expected a line with the names of the columns: add one")
    return lines


def _numbers(path: Path, number: int, line: list[str], header: list[str], wanted: list[str]) -> list[float]:
    cells = dict(zip(header, line, strict=False))
    for name in wanted:
        if not _is_number(cells.get(name, "")):
            raise ValueError(
                f"{path} has {cells.get(name, '')!r} in column {name!r} of data line {number}, "
                "expected a number: fill it in or remove the line"
            )
    return [float(cells[name]) for name in wanted]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


# --- checks --------------------------------------------------------------------------------------------------------


def _checked(what: str, argument: str, values: Any, ndim: int) -> Array:
    found = np.asarray(values)
    shape = "(T,)" if ndim == 1 else "(T, n_inputs)"
    if found.dtype.kind not in "iuf" or found.ndim != ndim or found.size == 0:
        raise ValueError(
            f"{what}: got {argument} of shape {found.shape} and type {found.dtype}, expected numbers of shape {shape}, "
            "T at least 1: pass a NumPy array"
        )
    found = found.astype(float)
    if bad := np.count_nonzero(~np.isfinite(found)):
        raise ValueError(f"{what}: got {bad} NaN or infinite values, expected none: fill them in or remove these steps")
    if (np.ptp(found, axis=0) == 0).any():
        raise ValueError(f"{what}: got the same value {found.flat[0]:g} at every step, expected a series that varies")
    return found


def _check_lengths(name: str, n_inputs: int, n_values: int) -> None:
    if n_inputs != n_values:
        raise ValueError(
            f"{name}: got {n_inputs} steps of input for {n_values} values, expected one per value: cut one"
        )
