"""What a reservoir remembers and computes: memory capacity and information-processing capacity, with plots."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from qml.checks import real, whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

#: A product of Legendre polynomials as (delay, degree) of each factor: ((0, 1), (3, 2)) is P_1(u(t)) P_2(u(t-3)).
Term: TypeAlias = tuple[tuple[int, int], ...]

SMALLEST = 1e-14  # relative: weaker directions are rounding, whatever the tolerance
CHUNK = 512  # targets fitted at once
EVEN = 1e-6  # how unlikely an uneven spread of inputs must be to be refused


@dataclass(frozen=True, eq=False)
class Capacity:
    """How much of each target the states hold, a number between 0 and 1.

    Attributes
    ----------
    terms : tuple of ((delay, degree), ...)
        The targets, products of Legendre polynomials of delayed inputs.
    fitted : ndarray, shape (len(terms),)
        Squared correlation of each target with its linear reconstruction from the states.
    threshold : float
        What ``fitted`` reaches by chance.
    n_states : int
        Linearly independent states: the most that ``total`` can be with endless data.
    n_samples : int
    """

    terms: tuple[Term, ...]
    fitted: Array
    threshold: float
    n_states: int
    n_samples: int

    @property
    def values(self) -> Array:
        """Capacities, zero where chance explains them."""
        return np.where(self.fitted > self.threshold, self.fitted, 0.0)

    @property
    def total(self) -> float:
        """Sum of ``values``."""
        return float(self.values.sum())

    def by_delay(self) -> dict[int, float]:
        """Return the capacity of the targets whose oldest input is each delay."""
        return self._sums([max(delay for delay, _ in term) for term in self.terms])

    def by_degree(self) -> dict[int, float]:
        """Return the capacity of the targets of each total degree: 1 is linear memory."""
        return self._sums([sum(degree for _, degree in term) for term in self.terms])

    def _sums(self, labels: list[int]) -> dict[int, float]:
        found = np.array(labels)
        return {label: float(self.values[found == label].sum()) for label in sorted(set(labels))}


def memory_capacity(
    states: Any,
    inputs: Any,
    max_delay: int,
    washout: int = 0,
    *,
    tolerance: float = 1e-10,
    significance: float = 1e-4,
) -> Capacity:
    """Return how much of the input of k steps ago the states hold linearly, for k = 1, ..., max_delay.

    ``MC = sum_k r_k^2``, with r_k the correlation of u(t-k) and its least squares reconstruction from the states at t,
    bias included (Jaeger 2001). It is the linear part of ``information_processing_capacity`` without delay 0, and at
    most the number of states where inputs are independent; inputs that foretell each other raise it for free.

    Fit and correlation use the same samples, all of them: nothing is held out. So each r_k^2 of n states and N samples
    is about n/N too high where nothing is remembered; values that chance explains count as zero, as in Dambre et al.
    (2012). The threshold is twice the quantile of ``chi^2_n / N`` at ``significance``: twice, because high powers of
    the inputs vary more than that law has it.

    Parameters
    ----------
    states : Tensor or array, shape (T, n_states)
        As ``reservoir.states(u)`` returns them for one series.
    inputs : Tensor or array, shape (T,) or (T, 1)
        The series that drove them, best drawn evenly and independently.
    max_delay : int
    washout : int
        First steps left out; so are the first max_delay ones, which have no input so old.
    tolerance : float
        Directions of the states that vary less than this, relative to the strongest, hold nothing. Simulated states
        hold traces of inputs down to rounding, which no device would show: raise it to the noise of the readout.
    significance : float
        Probability of taking chance for capacity, for one target.

    Returns
    -------
    Capacity
        ``.total`` is MC, ``.by_delay()`` its curve.

    Raises
    ------
    ValueError
        If shapes differ, numbers are not finite, a series does not vary, or there are too few steps.

    Examples
    --------
    >>> u = np.random.default_rng(0).uniform(-1, 1, 1000)
    >>> delay_line = np.stack([np.roll(u, k) for k in (1, 2, 3)], axis=1)
    >>> round(memory_capacity(delay_line, u, max_delay=10, washout=3).total, 6)
    3.0
    """
    x, u = _checked(states, inputs)
    start = _start(len(u), max_delay, washout)
    terms = tuple(((delay, 1),) for delay in range(1, max_delay + 1))
    return _capacity(x[start:], _powers(u, start, max_delay, 1), terms, tolerance, significance)


def information_processing_capacity(
    states: Any,
    inputs: Any,
    max_delay: int,
    max_degree: int,
    washout: int = 0,
    *,
    tolerance: float = 1e-10,
    significance: float = 1e-4,
) -> Capacity:
    """Return how much of every polynomial of the inputs up to a delay and degree the states hold.

    Targets are all products of Legendre polynomials ``prod_i P_{d_i}(u(t-i))`` with delays from 0 to max_delay and
    degrees that sum to 1 up to max_degree: orthogonal functions of independent, evenly spread inputs. With endless data
    the capacities of all such functions add up to at most the number of states, and to all of it where the system
    forgets its start. Dambre, Verstraeten, Schrauwen and Massar, Scientific Reports 2, 514 (2012).

    All samples are used for fit and correlation, and what chance explains is set to zero, as in ``memory_capacity``;
    what stays is still up to n/N too high.

    Parameters
    ----------
    states : Tensor or array, shape (T, n_states)
    inputs : Tensor or array, shape (T,) or (T, 1)
        Independent and evenly distributed between any two bounds; their extremes are mapped to -1 and 1.
    max_delay, max_degree : int
        There are ``comb(max_delay + 1 + max_degree, max_degree) - 1`` targets.
    washout, tolerance, significance
        As in ``memory_capacity``.

    Returns
    -------
    Capacity

    Raises
    ------
    ValueError
        As ``memory_capacity``, and if the inputs are not evenly spread.
    """
    x, u = _checked(states, inputs)
    start = _start(len(u), max_delay, washout)
    _refuse_uneven(u)
    terms = tuple(_terms(tuple(range(max_delay + 1)), whole("max_degree", max_degree, 1)))
    return _capacity(x[start:], _powers(u, start, max_delay, max_degree), terms, tolerance, significance)


def plot_memory_capacity(capacities: Capacity | Mapping[str, Capacity]) -> Figure:
    """Plot the capacity of each delay as a curve, with what is chance below the dotted line.

    Parameters
    ----------
    capacities : Capacity, or mapping of names to capacities
        One curve each.

    Returns
    -------
    matplotlib.figure.Figure
    """
    axes = _axes()
    for name, capacity in _named(capacities).items():
        curve = capacity.by_delay()
        label = f"{name}: {capacity.total:.2f} of {capacity.n_states}".removeprefix(": ")
        (line,) = axes.plot(list(curve), list(curve.values()), marker="o", markersize=4, label=label)
        axes.axhline(capacity.threshold, color=line.get_color(), linestyle=":", linewidth=1)
    axes.set_ylim(bottom=0)
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel("delay k, steps")
    axes.set_ylabel("capacity")
    axes.set_title("capacity by delay; in the legend its sum, and the number of states", loc="left")
    axes.legend(frameon=False)
    return axes.figure  # type: ignore[return-value]


def plot_information_processing_capacity(capacities: Capacity | Mapping[str, Capacity]) -> Figure:
    """Plot the total capacity as a bar, split by degree, with the number of states as its bound.

    Parameters
    ----------
    capacities : Capacity, or mapping of names to capacities
        One bar each.

    Returns
    -------
    matplotlib.figure.Figure
    """
    axes, named = _axes(), _named(capacities)
    for place, capacity in enumerate(named.values()):
        _draw_degrees(axes, place, capacity)
        axes.hlines(capacity.n_states, place - 0.45, place + 0.45, colors="black", linestyles="--", linewidth=1)
    axes.set_xticks(range(len(named)), list(named))
    axes.set_xlim(-0.7, len(named) - 0.3)
    axes.set_ylabel("capacity")
    axes.set_title("capacity by degree; dashed: number of states", loc="left")
    handles = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    axes.legend(handles.values(), handles, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return axes.figure  # type: ignore[return-value]


def _draw_degrees(axes: Axes, place: int, capacity: Capacity) -> None:
    bottom = 0.0
    for degree, value in capacity.by_degree().items():
        axes.bar(place, value, 0.6, bottom, color=f"C{degree - 1}", label=f"degree {degree}")
        bottom += value


def _axes() -> Axes:
    from matplotlib.figure import Figure  # only where something is plotted

    axes = Figure(figsize=(7, 4), dpi=120, layout="constrained").add_subplot()
    axes.grid(axis="y", alpha=0.3)
    return axes


def _named(capacities: Capacity | Mapping[str, Capacity]) -> Mapping[str, Capacity]:
    return {"": capacities} if isinstance(capacities, Capacity) else capacities


def _capacity(x: Array, powers: Array, terms: tuple[Term, ...], tolerance: float, significance: float) -> Capacity:
    """Capacities of all terms; the states as an orthonormal basis make each fit a projection."""
    left, s, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    basis = left[:, s > s[0] * max(real("tolerance", tolerance, least=0.0), SMALLEST)]
    n_samples, n_states = basis.shape
    threshold = _threshold(n_states, n_samples, significance)
    chunks = iter(terms)
    fitted = []
    while chunk := list(islice(chunks, CHUNK)):
        y = np.stack([_target(powers, term) for term in chunk], axis=1)
        y -= y.mean(axis=0)
        fitted.append(np.square(basis.T @ y).sum(axis=0) / np.square(y).sum(axis=0))
    return Capacity(terms, np.concatenate(fitted), threshold, n_states, n_samples)


def _target(powers: Array, term: Term) -> Array:
    return np.prod([powers[delay, degree] for delay, degree in term], axis=0)


def _powers(u: Array, start: int, max_delay: int, max_degree: int) -> Array:
    """P_d(u(t-k)) for t from start on, (max_delay + 1, max_degree + 1, samples); u mapped to [-1, 1]."""
    low, high = u.min(), u.max()
    legendre = np.polynomial.legendre.legvander((2 * u - low - high) / (high - low), max_degree).T
    return np.stack([legendre[:, start - delay : len(u) - delay] for delay in range(max_delay + 1)])


def _terms(delays: tuple[int, ...], max_degree: int) -> Iterator[Term]:
    """All choices of delays, rising, and degrees that sum to max_degree at most."""
    for i, delay in enumerate(delays):
        for degree in range(1, max_degree + 1):
            yield ((delay, degree),)
            yield from (((delay, degree), *rest) for rest in _terms(delays[i + 1 :], max_degree - degree))


def _threshold(n_states: int, n_samples: int, significance: float) -> float:
    from scipy.stats import chi2  # slow to load

    if not 0 < significance < 1:
        raise ValueError(f"got significance={significance!r}, expected a probability between 0 and 1: 1e-4")
    needed = 2 * float(chi2.isf(significance, n_states))
    if n_samples <= needed:
        raise ValueError(
            f"got {n_samples} samples after washout and delays for {n_states} states, expected more than {needed:.0f}: "
            "what chance explains could not be told from capacity"
        )
    return needed / n_samples


def _start(steps: int, max_delay: int, washout: int) -> int:
    start = max(whole("max_delay", max_delay, 1), whole("washout", washout, 0))
    if start >= steps:
        raise ValueError(
            f"got washout={washout} and max_delay={max_delay} for {steps} steps, expected less: "
            "shorten them, or give more steps"
        )
    return start


def _checked(states: Any, inputs: Any) -> tuple[Array, Array]:
    x, u = _array("states", states), _array("inputs", inputs)
    if u.ndim == 2 and u.shape[1] == 1:
        u = u[:, 0]
    if u.ndim != 1 or x.ndim != 2 or len(x) != len(u):
        raise ValueError(
            f"got states of shape {x.shape} and inputs of shape {u.shape}, expected (T, n_states) and (T,): "
            "one series, as long as its states"
        )
    if not len(u):
        raise ValueError("got a sequence of length 0, expected at least one step")
    for name, values in (("inputs", u), ("states", x)):
        if not values.size or np.ptp(values, axis=0).max() <= 1e-13 * np.abs(values).max():
            raise ValueError(f"got constant {name}, expected a series that varies: there is nothing to remember")
    return x, u


def _array(name: str, values: Any) -> Array:
    found = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    found = found.astype(np.float64)
    if not np.isfinite(found).all():
        raise ValueError(f"got NaN or infinite {name}, expected finite numbers: fill or drop them")
    return found


def _refuse_uneven(u: Array) -> None:
    """Raise ValueError unless inputs fill their range evenly, by Kolmogorov and Smirnov's distance."""
    low, high = u.min(), u.max()
    distance = np.abs((np.sort(u) - low) / (high - low) - np.linspace(0, 1, len(u))).max()
    if distance > math.sqrt(-math.log(EVEN / 2) / (2 * len(u))):
        raise ValueError(
            f"got inputs that are not evenly spread over their range (distance {distance:.2f}), expected independent "
            "uniform inputs, or the targets are not orthogonal: drive the reservoir with rng.uniform(-1, 1, T)"
        )
