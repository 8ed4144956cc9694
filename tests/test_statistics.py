"""hybrid/statistics.py against SciPy, statsmodels, simulation, and comparisons with a planted truth."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from planted import comparison, one_hybrid
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from hybrid import statistics
from hybrid.statistics import holm, interval, paired_p, power, seeds_needed, verdict

DATA = np.random.default_rng(0).standard_normal(7) + 0.5


def test_interval_is_students():
    low, high = scipy.stats.t.interval(0.95, 6, loc=DATA.mean(), scale=scipy.stats.sem(DATA))
    found = interval(DATA)
    assert (found.mean, found.low, found.high) == pytest.approx((DATA.mean(), low, high))


def test_uncorrected_test_is_scipys_paired_t_test():
    a, b = DATA, np.random.default_rng(1).standard_normal(7)
    assert paired_p(a - b) == pytest.approx(scipy.stats.ttest_rel(a, b).pvalue)


def test_corrected_test_is_that_of_nadeau_and_bengio():
    # Ten values, test part a quarter of the train part, worked through with the formula of their section 3.
    d = np.array([0.5, 0.1, 0.3, 0.7, 0.2, 0.4, 0.6, 0.3, 0.5, 0.4])
    t = 0.4 / np.sqrt((1 / 10 + 90 / 360) * (0.3 / 9))
    assert paired_p(d, 90 / 360) == pytest.approx(2 * scipy.stats.t.cdf(-t, 9))
    assert interval(d, 90 / 360).half == pytest.approx(2.262157 * 0.4 / t, rel=1e-6)


def resampled_differences(random, n_seeds, share=0.2, n=400):
    """Differences between two equally good models that err at random on a data set split anew for every seed."""
    error_one, error_two = random.random(n) < 0.2, random.random(n) < 0.2
    splits = [random.permutation(n)[: int(share * n)] for _ in range(n_seeds)]
    return np.array([error_two[s].mean() - error_one[s].mean() for s in splits])


def test_the_correction_is_needed_and_enough():
    random = np.random.default_rng(0)
    trials = [resampled_differences(random, 10) for _ in range(300)]
    plain = np.mean([paired_p(d) < 0.05 for d in trials])
    corrected = np.mean([paired_p(d, 0.25) < 0.05 for d in trials])
    assert plain > 0.15
    assert corrected < 0.09


# --- coverage: a learner that draws a threshold from its training samples, against a fixed threshold ------------------

TRIALS = 600


def samples(random, *shape):
    """Samples of two classes that overlap: values and classes."""
    classes = random.integers(0, 2, shape)
    return classes - 0.5 + random.standard_normal(shape), classes


def thresholds(values, classes):
    """Halfway between the means of both classes, over the last axis."""
    ones, zeros = classes.sum(-1).clip(1), (1 - classes).sum(-1).clip(1)
    return ((values * classes).sum(-1) / ones + (values * (1 - classes)).sum(-1) / zeros) / 2


def differences(threshold, values, classes):
    """Accuracies of thresholds minus that of the threshold 0.3, on the same samples (last axis)."""
    return (((values > threshold[..., None]) == classes) * 1.0 - ((values > 0.3) == classes)).mean(-1)


def drawn(random, parts, n_draws, n):
    """Draw n of the samples of every trial, so many times: (trials, n_draws, n), and what is not drawn."""
    values, classes = parts
    order = random.random((len(values), n_draws, values.shape[-1])).argsort(-1)
    taken, left = order[..., :n], order[..., n:]
    return [[np.take_along_axis(of[:, None], at, -1) for of in (values, classes)] for at in (taken, left)]


def coverage(found, truth, rho):
    """How often the interval over the seeds, (trials, n_seeds), holds the truth, where there is one."""
    low, high = np.array([(i.low, i.high) for i in (interval(d, rho) for d in found)]).T
    return np.mean((low <= truth) & (truth <= high), where=~np.isnan(low))


def factor(**sizes):
    return statistics.correlation(comparison(one_hybrid([0.9, 0.8]), **sizes))


@pytest.mark.parametrize(("n_train", "n_pool"), [(80, 80), (10, 160), (40, 160), (120, 160)])
def test_intervals_cover_the_truth_when_every_seed_splits_anew(n_train, n_pool):
    random, n_test = np.random.default_rng(0), n_pool // 4
    data = samples(random, TRIALS, n_pool + n_test)
    test, rest = drawn(random, data, 5, n_test)
    learned = thresholds(*(part[..., :n_train] for part in rest))
    new = thresholds(*samples(random, 20_000, n_train))
    right = (scipy.stats.norm.cdf(new + 0.5) + scipy.stats.norm.sf(new - 0.5)) / 2
    truth = right.mean() - (scipy.stats.norm.cdf(0.8) + scipy.stats.norm.sf(-0.2)) / 2
    rho = factor(resampled=True, n_train=n_train, n_pool=n_pool, n_test=n_test)
    assert rho == 0.25
    assert 0.93 < coverage(differences(learned, *test), truth, rho) < 0.995


@pytest.mark.parametrize(("n_train", "rho"), [(20, 1 / 4), (35, 7 / 13), (50, 1.0)])
def test_intervals_cover_the_truth_when_every_seed_draws_training_samples(n_train, rho):
    random = np.random.default_rng(1)
    test = [part[:, None] for part in samples(random, TRIALS, 200)]
    pool, _ = drawn(random, samples(random, TRIALS, 100), 5, n_train)
    truth = differences(thresholds(*samples(random, TRIALS, 200, n_train)), *test).mean(-1)
    assert factor(n_train=n_train, n_pool=100, n_test=200) == pytest.approx(rho)
    found = differences(thresholds(*pool), *test)
    assert 0.93 < coverage(found, truth, rho) < 0.995
    assert coverage(found, truth, 0.0) < 0.9, "uncorrected"


def test_intervals_cover_other_draws_when_most_training_samples_are_drawn():
    random = np.random.default_rng(2)
    test, data = [part[:, None] for part in samples(random, TRIALS, 200)], samples(random, TRIALS, 100)
    found, truth = (thresholds(*drawn(random, data, n_draws, 90)[0]) for n_draws in (5, 60))
    rho = factor(n_train=90, n_pool=100, n_test=200)
    assert rho == 1
    assert coverage(differences(found, *test), differences(truth, *test).mean(-1), rho) > 0.94


def test_an_official_test_part_with_all_training_samples_is_about_seeds_alone():
    assert factor(n_train=800, n_pool=800) == 0


# --- tests and power -------------------------------------------------------------------------------------------------


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@pytest.mark.parametrize("n", [0, 1, 5, 40])
def test_holm_is_that_of_statsmodels(n):
    p = np.random.default_rng(n).choice([0.0, 0.001, 0.01, 0.04, 0.2, 0.9, 1.0], n)  # with ties
    assert holm(list(p)) == pytest.approx(list(multipletests(p, method="holm")[1]) if n else [])


def test_holm_counts_a_missing_test_as_no_evidence():
    corrected = holm([0.01, float("nan"), 0.03])
    assert corrected[0] == pytest.approx(0.03) and corrected[2] == pytest.approx(0.06)
    assert np.isnan(corrected[1])


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.5, 0.5], [0.1 + 0.2, 0.3, 0.3]])
def test_no_interval_and_no_test_without_variance(values):
    found = interval(np.array(values))
    assert found.mean == pytest.approx(np.mean(values)) and np.isnan([found.low, found.high, found.half]).all()
    assert np.isnan(paired_p(np.array(values)))


@pytest.mark.parametrize("n_seeds", [2, 3, 10, 100])
@pytest.mark.parametrize("effect", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("level", [0.05, 0.05 / 6])
def test_power_is_that_of_statsmodels(n_seeds, effect, level):
    expected = TTestPower().power(effect, n_seeds, level)
    assert power(n_seeds, 2 * effect, 2.0, level=level) == pytest.approx(expected, abs=1e-6)


def test_power_of_the_corrected_test_by_simulation():
    random, n, rho, trials = np.random.default_rng(2), 8, 0.25, 4000
    shared = np.sqrt(rho / (1 + rho)) * random.standard_normal((trials, 1))
    # A shared part with the covariance that the correction supposes: s² estimates the rest of the variance alone.
    d = 1.5 + np.sqrt(rho) * shared / np.sqrt(rho / (1 + rho)) + random.standard_normal((trials, n))
    found = np.mean([paired_p(row, rho) < 0.05 for row in d])
    assert found == pytest.approx(power(n, 1.5, 1.0, rho), abs=0.03)


def test_seeds_needed_is_that_of_statsmodels():
    for effect in (0.4, 0.8, 2.0):
        assert seeds_needed(effect, 1.0) == np.ceil(TTestPower().solve_power(effect, power=0.8, alpha=0.05))


def test_seeds_needed_is_the_first_number_that_is_enough():
    n = seeds_needed(0.01, 0.004, 0.25, 0.05 / 6)
    assert power(n, 0.01, 0.004, 0.25, 0.05 / 6) >= 0.8 > power(n - 1, 0.01, 0.004, 0.25, 0.05 / 6)


def test_seeds_needed_at_the_ends():
    assert seeds_needed(0.01, 0.1, rho=0.25) == np.inf
    assert np.isnan(seeds_needed(0.01, 0.0)) and np.isnan(seeds_needed(0.01, float("nan")))
    assert seeds_needed(0.01, 1e-7) == 2


# --- verdicts on a planted truth -----------------------------------------------------------------------------------

NOISE = 0.003 * np.random.default_rng(3).standard_normal((8, 6))
HYBRID = 0.9 + NOISE[7]


def planted(resampled=False, **shifts):
    """A hybrid at 90 % whose other rows differ from it by the given shifts (minus: the hybrid is better)."""
    names = ("removed", "linear", "separable", "frozen", "mlp", "baseline")
    rows = {name: HYBRID + shifts.get(name, 0.0) + NOISE[i] for i, name in enumerate(names)}
    return comparison(one_hybrid(HYBRID, **rows), resampled=resampled)


ALL = {"removed": -0.05, "linear": -0.05, "mlp": -0.05}


@pytest.mark.parametrize("resampled", [False, True])
def test_a_real_effect_is_found(resampled):
    found = verdict(planted(resampled, **ALL), "planted")
    assert found.outcome == "helps"
    assert found.sentence.startswith(
        "The quantum part of planted helps: the hybrid is better than the net without it (+5."
    )
    assert "a linear layer in its place (+" in found.sentence and "and an MLP of the same size (+" in found.sentence


@pytest.mark.parametrize("missing", ["removed", "linear", "mlp"])
def test_one_control_that_does_as_well_is_enough_for_no_evidence(missing):
    found = verdict(planted(**{**ALL, missing: 0.0}), "planted")
    assert found.outcome == "no evidence"
    assert "which is not enough" in found.sentence


def test_entanglement_and_training_are_questions_of_their_own():
    found = verdict(planted(**ALL, separable=-0.05, frozen=0.05), "planted")
    assert found.outcome == "helps"
    assert "Entanglement helps (+5" in found.sentence and "Training the quantum weights hurts (−5" in found.sentence
    same = verdict(planted(**ALL), "planted")
    assert "Entanglement makes no difference that these seeds can show" in same.sentence


def test_logistic_regression_is_named_but_does_not_decide():
    found = verdict(planted(**ALL, baseline=0.05), "planted")
    assert found.outcome == "helps"
    assert "Against logistic_regression: −5" in found.sentence


@pytest.mark.parametrize("control", ["removed", "linear"])
def test_harm_is_said(control):
    found = verdict(planted(**{control: 0.05}), "planted")
    assert found.outcome == "hurts"
    assert found.sentence.startswith("The quantum part of planted hurts: the hybrid is worse than ")


def test_a_better_mlp_alone_does_not_mean_harm():
    found = verdict(planted(mlp=0.05), "planted")
    assert found.outcome == "no evidence"
    assert "It is worse than an MLP of the same size (−5" in found.sentence


def test_better_than_one_and_worse_than_another():
    found = verdict(planted(removed=-0.05, linear=0.05), "planted")
    assert found.outcome == "no evidence"
    assert "It beats the net without it" in found.sentence and "It is worse than a linear layer" in found.sentence


def test_no_effect_is_rejected_with_the_best_control_and_the_power():
    found = verdict(planted(linear=0.003), "planted")
    contrast = next(contrast for contrast in found.contrasts if contrast.row[1] == "linear")
    mean = 100 * (HYBRID + 0.003 + NOISE[1]).mean()
    assert found.outcome == "no evidence"
    assert f"the best control is a linear layer in its place ({mean:.1f} %), difference" in found.sentence
    assert f"about {contrast.n_needed} seeds would be needed to see a difference of 1 point" in found.sentence
    sd = NOISE[1].std(ddof=1)
    expected = TTestPower().solve_power(0.01 / sd, power=0.8, alpha=0.05 / 6)
    assert contrast.n_needed == np.ceil(expected)


def test_effects_are_seldom_found_where_there_are_none():
    random = np.random.default_rng(4)
    outcomes = []
    for _ in range(15):
        rows = {name: 0.9 + 0.01 * random.standard_normal(5) for name in ("removed", "linear", "mlp")}
        outcomes.append(
            verdict(comparison(one_hybrid(0.9 + 0.01 * random.standard_normal(5), **rows)), "planted").outcome
        )
    assert outcomes.count("helps") == 0
    assert outcomes.count("no evidence") >= 13


def test_contrasts_against_scipy_and_hand_made_holm():
    data = planted(removed=-0.004, linear=0.002)
    found = statistics.contrasts(data, "planted")
    hybrid = data.accuracies(("planted", "hybrid"))
    raw = np.array([scipy.stats.ttest_rel(hybrid, data.accuracies(contrast.row)).pvalue for contrast in found])
    np.testing.assert_allclose([contrast.p for contrast in found], raw)
    order = np.argsort(raw)
    steps = np.maximum.accumulate(raw[order] * np.arange(6, 0, -1)).clip(max=1)
    np.testing.assert_allclose(np.array([contrast.p_holm for contrast in found])[order], steps)
    assert [contrast.row[1] for contrast in found] == ["removed", "linear", "separable", "frozen", "mlp", "baseline"]


def test_resampled_splits_use_the_correction():
    fixed, resampled = (statistics.contrasts(planted(flag), "planted")[0] for flag in (False, True))
    assert resampled.difference.half / fixed.difference.half == pytest.approx(np.sqrt((1 / 6 + 0.25) / (1 / 6)))


def test_one_seed():
    rows = {name: [0.88] for name in ("removed", "linear", "separable", "frozen", "mlp")}
    found = verdict(comparison(one_hybrid([0.9], **rows, baseline=[0.95])), "planted")
    assert found.outcome == "one seed"
    assert found.sentence == (
        "One seed: no interval and no test, so nothing can be said about the quantum part of planted "
        "(90.0 %; best other row: logistic_regression, 95.0 %). Run three seeds or more."
    )


def test_the_same_difference_in_every_seed_is_not_a_test():
    hybrid = np.array([0.90, 0.91, 0.92])
    rows = {name: hybrid - 0.01 for name in ("removed", "linear", "separable", "frozen", "mlp", "baseline")}
    found = verdict(comparison(one_hybrid(hybrid, **rows)), "planted")
    assert found.outcome == "no evidence"
    assert "difference +1.0 points in every seed, so no interval and no test" in found.sentence
    assert "more seeds are needed to know how much it varies" in found.sentence


def test_two_hybrids_are_judged_apart():
    both = {**one_hybrid(HYBRID, model="one"), **one_hybrid(HYBRID, model="two", removed=HYBRID - 0.05 + NOISE[0])}
    assert [found.model for found in statistics.verdicts(comparison(both))] == ["one", "two"]
    assert {contrast.row[0] for contrast in statistics.contrasts(comparison(both), "one")} == {
        "one",
        "logistic_regression",
    }


TINY = {name: [0.9, 0.1] for name in ("removed", "linear", "separable", "frozen", "mlp", "baseline")}


def test_intervals_end_where_the_possible_ends():
    tiny = comparison(one_hybrid([0.2, 0.9], **TINY), resampled=True, n_train=3, n_pool=4, n_test=2)
    found = statistics.contrasts(tiny, "planted")[0]
    half = 12.706 * np.std([-0.7, 0.8], ddof=1)  # times (1/2 + 2/4)^½
    assert interval(np.array([-0.7, 0.8]), 0.5).half == pytest.approx(half, rel=1e-4)
    assert (found.difference.mean, found.difference.low, found.difference.high) == (pytest.approx(0.05), -1, 1)
    assert found.says_nothing
    accuracy = statistics.accuracy(tiny, ("planted", "hybrid"))
    assert (accuracy.mean, accuracy.low, accuracy.high) == (pytest.approx(0.55), 0, 1)


def test_one_end_beyond_the_possible_still_says_something():
    rows = {**TINY, "removed": [0.0, 0.04]}
    found = statistics.contrasts(comparison(one_hybrid([0.90, 1.0], **rows)), "planted")[0]
    assert found.difference.high == 1 and found.difference.low == pytest.approx(0.93 - 12.706 * 0.03, rel=1e-4)
    assert not found.says_nothing


def test_an_interval_over_all_that_is_possible_says_nothing():
    found = verdict(comparison(one_hybrid([0.2, 0.9], **TINY)), "planted")
    text = (
        "difference +5.0 points [−100.0, +100.0] (all that is possible: the data say nothing), Holm-corrected p = 1.00"
    )
    assert text in found.sentence
    assert "say nothing" not in verdict(planted(**ALL), "planted").sentence


@pytest.mark.parametrize(
    ("value", "text"), [(0.0123, "+1.2"), (-0.008, "−0.8"), (-0.0001, "0.0"), (0.0, "0.0"), (0.1, "+10.0")]
)
def test_points(value, text):
    assert statistics.points(value) == text


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.0001, "p < 0.001"),
        (0.0412, "p = 0.041"),
        (0.0502, "p = 0.050"),
        (0.4123, "p = 0.41"),
        (1.0, "p = 1.00"),
        (np.nan, "no test"),
    ],
)
def test_p_value(p, text):
    assert statistics.p_value(p) == text


def test_a_surrogate_is_tested_but_not_required():
    hybrid = np.array([0.9, 0.91, 0.89, 0.9])
    rows = {("m", "hybrid"): hybrid}
    rows |= {("m", name): hybrid - 0.2 + 0.002 * np.array([0, 1, -1, 0]) for name in ("removed", "linear")}
    found = verdict(comparison(rows | {("m", "surrogate"): hybrid + 0.05 + 0.001 * np.array([1, 0, -1, 0])}), "m")
    assert found.outcome == "helps"
    assert "Against its classical surrogate: −5.0 points [" in found.sentence
