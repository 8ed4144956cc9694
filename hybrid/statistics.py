r"""Intervals, paired tests and a plain verdict for a comparison.

Over n seeds the mean of accuracies (or of paired differences) d has the variance

    s² (1/n + ρ),   s² the variance of d over the seeds, n - 1 degrees of freedom for Student's t,

where ρ = c / (1 - c) makes up for a correlation c between the results of two seeds, which share data (Nadeau and
Bengio, "Inference for the generalization error", Machine Learning 52, 2003); see :func:`correlation` for c. The
p-values of one hybrid against all its controls and baselines are corrected together by Holm's method.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybrid.compare import Comparison, Row
from hybrid.records import label

LEVEL = 0.05
POWER = 0.8
MAX_SEEDS = 1000

# What the quantum part must beat before it is said to help, and how to say it.
REQUIRED = {
    "removed": "the net without it",
    "linear": "a linear layer in its place",
    "mlp": "an MLP of the same size",
}


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % t-interval; the ends are NaN where the seeds give none (one seed, or no variance).

    It ends where the possible values end, so the mean need not lie in its middle.
    """

    mean: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half the width."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Contrast:
    """One hybrid against one other row, paired by seed: accuracy of the hybrid minus accuracy of the other.

    `p` and `p_holm` are two-sided, raw and Holm-corrected over all contrasts of the hybrid; NaN where there is no
    test. `n_needed` is the number of seeds that would show a difference of one point (80 % power, the first step of
    Holm's method); infinite where no number of seeds would, NaN where the variance is unknown.
    """

    row: Row
    difference: Interval
    p: float
    p_holm: float
    n_needed: float

    @property
    def says_nothing(self) -> bool:
        """Whether the interval covers every possible difference."""
        return self.difference.low <= -1 and self.difference.high >= 1

    @property
    def better(self) -> bool:
        """Whether the hybrid is significantly better."""
        return self.p_holm < LEVEL and self.difference.mean > 0

    @property
    def worse(self) -> bool:
        """Whether the hybrid is significantly worse."""
        return self.p_holm < LEVEL and self.difference.mean < 0


@dataclass(frozen=True)
class Verdict:
    """What a comparison says about one hybrid: `outcome` is ``helps``, ``hurts``, ``no evidence`` or ``one seed``."""

    model: str
    outcome: str
    sentence: str
    contrasts: tuple[Contrast, ...]


def interval(values: np.ndarray, rho: float = 0.0, least: float = -np.inf, most: float = np.inf) -> Interval:
    """Return the mean of one value per seed and its 95 % t-interval.

    Parameters
    ----------
    values
        One number per seed, ``(n_seeds,)``.
    rho
        What :func:`correlation` returns: 0 if the values are independent.
    least, most
        The range of possible values, where the interval ends at the latest.

    Returns
    -------
    Interval
        With NaN ends for a single seed and for values that are all the same.
    """
    from scipy.stats import t

    mean, error = float(np.mean(values)), _error(values, rho)
    half = float(t.ppf(1 - LEVEL / 2, len(values) - 1)) * error if error > 0 else np.nan
    low, high = np.clip([mean - half, mean + half], least, most).tolist()
    return Interval(mean, low, high)


def paired_p(differences: np.ndarray, rho: float = 0.0) -> float:
    """Return the two-sided p-value of the corrected paired t-test, NaN for one seed or differences all the same.

    Parameters
    ----------
    differences
        One paired difference per seed, ``(n_seeds,)``.
    rho
        As for :func:`interval`; with 0 this is the ordinary paired t-test.
    """
    from scipy.stats import t

    error = _error(differences, rho)
    return float(2 * t.sf(abs(np.mean(differences)) / error, len(differences) - 1)) if error > 0 else np.nan


def holm(p: list[float]) -> list[float]:
    """Correct p-values by Holm's method; a missing one (NaN) stays missing and counts as 1 for the others.

    (The k-th smallest of n, from 0, is multiplied by n - k, and is no smaller than those before it. The function of
    statsmodels collects the garbage of the whole process at every call, which takes longer than an experiment's page.)
    """
    values = np.nan_to_num(p, nan=1.0)
    order = np.argsort(values)
    corrected = np.empty(len(values))
    corrected[order] = np.maximum.accumulate((len(values) - np.arange(len(values))) * values[order]).clip(max=1)
    return [float("nan") if np.isnan(raw) else float(value) for raw, value in zip(p, corrected, strict=True)]


def power(n_seeds: int, effect: float, sd: float, rho: float = 0.0, level: float = LEVEL) -> float:
    """Return the probability that the two-sided paired test over `n_seeds` sees a true difference `effect`.

    Parameters
    ----------
    n_seeds
        Number of pairs, from 2.
    effect, sd
        True mean and standard deviation of the paired differences.
    rho
        As for :func:`interval`.
    level
        Level of the test.
    """
    from scipy.stats import nct, t

    df, shift = n_seeds - 1, effect / (sd * np.sqrt(1 / n_seeds + rho))
    critical = t.ppf(1 - level / 2, df)
    wrong_side = np.nan_to_num(nct.cdf(-critical, df, shift))  # SciPy gives NaN for some that are next to nothing
    return float(nct.sf(critical, df, shift) + wrong_side)


def seeds_needed(effect: float, sd: float, rho: float = 0.0, level: float = LEVEL) -> float:
    """Return the smallest number of seeds with a power of 80 %; infinite if 1,000 are not enough, NaN without `sd`."""
    if not sd > 0:
        return np.nan
    low, high = 2, MAX_SEEDS
    if power(high, effect, sd, rho, level) < POWER:
        return np.inf
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle, effect, sd, rho, level) >= POWER else (middle + 1, high)
    return low


def correlation(comparison: Comparison) -> float:
    """Return ρ = c / (1 - c), with c the correlation of the results of two seeds over new data.

    - Every seed splits the data anew: c = n_test / (n_test + n_pool), the share of test samples that two seeds have in
      common; ρ = n_test / n_pool. With n_train = n_pool this is Nadeau and Bengio's, who suppose that the test samples
      matter most. A random n_train < n_pool leaves the test parts as they are and lets the training parts overlap less.
    - An official test part and all of the training part: ρ = 0, the ordinary paired t-test, about other seeds alone.
    - An official test part and a random n_train of n_pool: c = n_train / n_pool, the share of training samples that two
      seeds have in common. Whatever a model makes of its samples, its results correlate by c at most (by c if every
      sample adds its own share; Hoeffding's decomposition), so this is about other training samples. Above c = 1/2
      little is left that two seeds do not share: ρ stays at 1, and it is about other draws from this training part.
    """
    record = comparison.records[0]
    n_train, n_pool = record["n_train"], record["n_pool"]
    if comparison.resampled:
        return record["n_test"] / n_pool
    return min(n_train / (n_pool - n_train), 1.0) if n_train < n_pool else 0.0


def accuracy(comparison: Comparison, row: Row) -> Interval:
    """Return the mean test accuracy of a row and its interval, between 0 and 1."""
    return interval(comparison.accuracies(row), correlation(comparison), 0, 1)


def contrasts(comparison: Comparison, model: str) -> tuple[Contrast, ...]:
    """Test a hybrid against each of its controls and baselines.

    Parameters
    ----------
    comparison
        What :func:`hybrid.compare.compare` returns.
    model
        Name of the hybrid.

    Returns
    -------
    tuple of Contrast
        In the order of the rows, logistic regression last.
    """
    rho, hybrid = correlation(comparison), comparison.accuracies((model, "hybrid"))
    rows = [row for row in comparison.rows if row[1] == "baseline" or (row[0] == model and row[1] != "hybrid")]
    differences = [hybrid - comparison.accuracies(row) for row in rows]
    p = [paired_p(difference, rho) for difference in differences]
    level = LEVEL / len(rows)
    return tuple(
        Contrast(row, interval(d, rho, -1, 1), raw, corrected, seeds_needed(0.01, _deviation(d), rho, level))
        for row, d, raw, corrected in zip(rows, differences, p, holm(p), strict=True)
    )


def verdict(comparison: Comparison, model: str) -> Verdict:
    """Say in plain words whether the quantum part of a hybrid helps.

    It is said to help only if the hybrid is significantly better than the net without the quantum layer, than the net
    with a linear layer in its place, and than an MLP of its size; to hurt if it is significantly worse than one of the
    first two and better than none of the three. Entanglement and the training of the quantum weights are questions of
    their own, answered in clauses of their own.
    """
    found = contrasts(comparison, model)
    if len(comparison.accuracies((model, "hybrid"))) == 1:
        return Verdict(model, "one seed", _one_seed(comparison, model, found), found)
    required = [contrast for contrast in found if contrast.row[1] in REQUIRED]
    better = [contrast for contrast in required if contrast.better]
    worse = [contrast for contrast in required if contrast.worse]
    if len(better) == len(required):
        outcome, sentence = "helps", f"The quantum part of {model} helps: the hybrid is better than {_list(better)}."
    elif not better and any(contrast.row[1] != "mlp" for contrast in worse):
        outcome, sentence = "hurts", f"The quantum part of {model} hurts: the hybrid is worse than {_list(worse)}."
    else:
        outcome, sentence = "no evidence", _no_evidence(comparison, model, required, better, worse)
    return Verdict(model, outcome, " ".join([sentence, *_clauses(found)]), found)


def verdicts(comparison: Comparison) -> list[Verdict]:
    """Return the verdict on every hybrid of a comparison."""
    return [verdict(comparison, model) for model in comparison.hybrids]


def points(value: float) -> str:
    """Write a difference of accuracies in percentage points with its sign, as ``+1.2``, ``−0.8`` or ``0.0``."""
    rounded = round(100 * value, 1)
    return f"{rounded:+.1f}".replace("-", "−") if rounded else "0.0"


def p_value(p: float) -> str:
    """Write a p-value as ``p = 0.041``, ``p < 0.001`` or ``no test``."""
    return "no test" if np.isnan(p) else "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.0995 else f"p = {p:.2f}"


def _no_evidence(
    comparison: Comparison, model: str, required: list[Contrast], better: list[Contrast], worse: list[Contrast]
) -> str:
    best = max(required, key=lambda contrast: comparison.accuracies(contrast.row).mean())
    beats = f" It beats {_list(better)}, which is not enough." if better else ""
    loses = f" It is worse than {_list(worse)}." if worse else ""
    return (
        f"No evidence that the quantum part of {model} helps: the best control is {REQUIRED[best.row[1]]} "
        f"({100 * comparison.accuracies(best.row).mean():.1f} %), difference {_difference(best)}, "
        f"{_needed(best)}.{beats}{loses}"
    )


def _one_seed(comparison: Comparison, model: str, found: tuple[Contrast, ...]) -> str:
    best = max(found, key=lambda contrast: comparison.accuracies(contrast.row)[0])
    return (
        f"One seed: no interval and no test, so nothing can be said about the quantum part of {model} "
        f"({100 * comparison.accuracies((model, 'hybrid'))[0]:.1f} %; best other row: {label(*best.row)}, "
        f"{100 * comparison.accuracies(best.row)[0]:.1f} %). Run three seeds or more."
    )


def _clauses(found: tuple[Contrast, ...]) -> list[str]:
    subjects = {"separable": "Entanglement", "frozen": "Training the quantum weights"}
    clauses = [f"{subjects[c.row[1]]} {_effect(c)}." for c in found if c.row[1] in subjects]
    others = {"baseline": "{0}", "surrogate": "its classical surrogate"}
    return clauses + [
        f"Against {others[c.row[1]].format(label(*c.row))}: {_difference(c)}." for c in found if c.row[1] in others
    ]


def _effect(contrast: Contrast) -> str:
    no = "makes no difference that these seeds can show"
    found = "helps" if contrast.better else "hurts" if contrast.worse else no
    return f"{found} ({_difference(contrast)})"


def _list(contrasts: list[Contrast]) -> str:
    items = [
        f"{REQUIRED[c.row[1]]} ({points(c.difference.mean)} points, Holm-corrected {p_value(c.p_holm)})"
        for c in contrasts
    ]
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _difference(contrast: Contrast) -> str:
    """Write a difference with its interval and p-value; where there is none, because all seeds agree, say so."""
    d = contrast.difference
    if np.isnan(contrast.p_holm):
        return f"{points(d.mean)} points in every seed, so no interval and no test"
    ends = f"[{points(d.low)}, {points(d.high)}]"
    nothing = " (all that is possible: the data say nothing)" if contrast.says_nothing else ""
    return f"{points(d.mean)} points {ends}{nothing}, Holm-corrected {p_value(contrast.p_holm)}"


def _needed(contrast: Contrast) -> str:
    if np.isnan(contrast.n_needed):
        return "more seeds are needed to know how much it varies"
    if np.isinf(contrast.n_needed):
        return "even 1,000 seeds would not show a difference of 1 point"
    return f"about {contrast.n_needed:.0f} seeds would be needed to see a difference of 1 point"


def _deviation(values: np.ndarray) -> float:
    """Standard deviation over the seeds; 0 where they differ by rounding only, NaN for one seed."""
    return float("nan") if len(values) < 2 else 0.0 if np.ptp(values) < 1e-9 else float(np.std(values, ddof=1))


def _error(values: np.ndarray, rho: float) -> float:
    return _deviation(values) * float(np.sqrt(1 / len(values) + rho))
