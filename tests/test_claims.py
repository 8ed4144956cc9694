"""hybrid/claims.py against SciPy's tests and statsmodels' correction, with scores whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from planted_results import results
from scipy import stats
from statsmodels.stats.multitest import multipletests

from hybrid.claims import Claim, against_the_rest, contrasts, of_claims, score, sentences

KINDS = {"QRNN": "quantum", "no circuit": "control", "LSTM": "classical", "AR": "trivial"}
RANDOM = np.random.default_rng(0)
GOOD, FAIR, BAD = (mean + 0.01 * RANDOM.standard_normal(5) for mean in (0.1, 0.5, 0.9))


def planted(qrnn, other=BAD, lstm=BAD, ar=0.95, **options):
    return results(
        {("t", "QRNN"): qrnn, ("t", "no circuit"): other, ("t", "LSTM"): lstm, ("t", "AR"): ar}, KINDS, **options
    )


# --- tests -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lower_is_better", [True, False])
def test_contrasts_are_paired_tests_and_a_row_without_seeds_is_a_constant(lower_is_better):
    found = against_the_rest(planted(GOOD, FAIR, BAD, 0.3, lower_is_better=lower_is_better), "QRNN")
    sign = -1 if lower_is_better else 1
    p = [stats.ttest_rel(GOOD, FAIR).pvalue, stats.ttest_rel(GOOD, BAD).pvalue, stats.ttest_1samp(GOOD, 0.3).pvalue]
    assert [contrast.other for contrast in found] == ["no circuit", "LSTM", "AR"]
    np.testing.assert_allclose([c.p_holm for c in found], multipletests(p, method="holm")[1], rtol=1e-6)
    means = [sign * (GOOD - other).mean() for other in (FAIR, BAD, 0.3)]
    np.testing.assert_allclose([c.gain.mean for c in found], means)
    assert [c.better for c in found] == [lower_is_better] * 3 and [c.worse for c in found] == [not lower_is_better] * 3
    low, high = stats.ttest_rel(GOOD, FAIR).confidence_interval(0.95)
    ends = (-high, -low) if lower_is_better else (low, high)
    np.testing.assert_allclose((found[0].gain.low, found[0].gain.high), ends)


@pytest.mark.parametrize(
    ("lower_is_better", "mine", "shifted"), [(True, 1.05 * FAIR, 1.1 * FAIR), (False, 0.95 * FAIR, 0.9 * FAIR)]
)
def test_comparable_is_a_test_against_the_margin(lower_is_better, mine, shifted):
    mine = mine + np.array([0.01, -0.01, 0.02, 0.0, 0.01])
    found = planted(mine, FAIR, lower_is_better=lower_is_better)
    (strict,), (margin,) = (contrasts(found, [("t", "QRNN", "no circuit", within, None)]) for within in (0.0, 0.1))
    assert margin.p_holm == pytest.approx(stats.ttest_rel(mine, shifted).pvalue)
    assert strict.outcome == "not reproduced" and margin.outcome == "reproduced"


def test_all_claims_are_corrected_together_over_all_tasks():
    scores = {(task, row): values for task in "ab" for row, values in (("QRNN", GOOD), ("no circuit", BAD))}
    scores["b", "QRNN"] = FAIR
    claims = (Claim("one", "QRNN", "no circuit"), Claim("other", "no circuit", "QRNN", tasks=("b",)))
    found = of_claims(results(scores, KINDS, claims=claims))
    p = [stats.ttest_rel(mine, other).pvalue for mine, other in ((GOOD, BAD), (FAIR, BAD), (BAD, FAIR))]
    assert [[c.task for c in each] for each in found.values()] == [["a", "b"], ["b"]]
    corrected = [c.p_holm for each in found.values() for c in each]
    np.testing.assert_allclose(corrected, multipletests(p, method="holm")[1], rtol=1e-6)


def test_a_claim_about_another_figure_is_tested_on_it():
    scores = {("t", "QRNN"): GOOD, ("t", "no circuit"): BAD}
    extra = {("t", "QRNN"): FAIR, ("t", "no circuit"): GOOD}
    claims = (Claim("it is better", "QRNN", "no circuit"), Claim("under attack too", "QRNN", "no circuit", of="hit"))
    found = results(scores, KINDS, figures={"hit": extra}, also={"under attack": "hit"}, claims=claims)
    (score,), (hit,) = of_claims(found).values()
    p = [stats.ttest_rel(GOOD, BAD).pvalue, stats.ttest_rel(FAIR, GOOD).pvalue]
    np.testing.assert_allclose([score.p_holm, hit.p_holm], multipletests(p, method="holm")[1], rtol=1e-6)
    assert score.outcome == "reproduced" and hit.outcome == "not reproduced" and hit.worse
    assert hit.gain.mean == pytest.approx((GOOD - FAIR).mean())
    said = sentences(found)[1]
    assert said.startswith("“under attack too” (QRNN against no circuit): not reproduced on t (0.501 against 0.1, ")


def test_without_variance_there_is_no_test():
    found = planted(0.2, FAIR, BAD, 0.3)
    contrast = against_the_rest(found, "QRNN")[2]
    assert np.isnan(contrast.p_holm) and contrast.outcome == "reproduced in direction"
    assert contrast.gain.mean == pytest.approx(0.1) and not contrast.better and not contrast.worse


def test_rows_that_a_task_does_not_have_are_left_out():
    scores = {("a", "QRNN"): GOOD, ("a", "AR"): 0.3, ("b", "AR"): 0.3, ("b", "LSTM"): FAIR}
    found = results(scores, KINDS, claims=(Claim("it is better", "QRNN", "LSTM"),))
    assert [(c.task, c.other) for c in against_the_rest(found, "QRNN")] == [("a", "AR")]
    assert not any("it is better" in sentence for sentence in sentences(found))


# --- sentences -------------------------------------------------------------------------------------------------------

CLAIM = (Claim("the QRNN is better than nothing", "QRNN", "no circuit"),)


def close(values):
    """Nearly as good, but not significantly worse or better."""
    return values + np.array([0.02, -0.02, 0.03, -0.03, 0.01])


@pytest.mark.parametrize(
    ("qrnn", "said"),
    [
        (GOOD, "reproduced on t"),
        (FAIR - (close(FAIR) - FAIR) - 0.004, "reproduced in direction on t"),
        (BAD, "not reproduced on t"),
    ],
)
def test_what_is_left_of_a_claim_follows_from_the_scores(qrnn, said):
    sentence = sentences(planted(qrnn, FAIR, claims=CLAIM))[0]
    assert sentence.startswith(f"“the QRNN is better than nothing” (QRNN against no circuit): {said} (")
    assert f"{qrnn.mean():.3g} against {FAIR.mean():.3g}, Holm-corrected p" in sentence


@pytest.mark.parametrize(
    ("qrnn", "others", "said"),
    [
        (GOOD, {}, "an advantage over every control and classical row on t (LSTM: 0.888 against 0.1,"),
        (
            FAIR,
            {"ar": 0.1},
            "no advantage, as a control or classical row is significantly better, on t (AR: 0.1 against",
        ),
        (FAIR, {"other": close(FAIR) - 0.004}, "no advantage that these seeds can show on t (no circuit: 0."),
        (FAIR, {"lstm": GOOD}, "no advantage, as a control or classical row is significantly better, on t (LSTM: 0."),
    ],
)
def test_what_the_quantum_layer_contributes_follows_from_the_scores(qrnn, others, said):
    found = planted(qrnn, **{"lstm": BAD - 0.003, **others})
    (sentence,) = sentences(found)
    assert sentence.startswith(f"The quantum layer of QRNN contributes {said}"), sentence
    assert sentence.endswith("; in brackets the best control or classical row.")


def test_tasks_with_one_outcome_are_said_together():
    scores = {(task, row): values for task in "abc" for row, values in (("QRNN", GOOD), ("AR", 0.3))}
    scores["b", "QRNN"] = BAD
    (sentence,) = sentences(results(scores, KINDS))
    assert (
        "an advantage over every control and classical row on a (AR: 0.3 against" in sentence and ", c (AR" in sentence
    )
    assert "; no advantage, as a control or classical row is significantly better, on b (AR: 0.3 against" in sentence


def test_a_margin_is_said():
    claims = (Claim("they are comparable", "QRNN", "no circuit", within=0.2),)
    assert "(QRNN against no circuit; up to 20 % worse counts)" in sentences(planted(FAIR, FAIR, claims=claims))[0]


def test_one_seed_is_a_direction_at_best():
    found = planted([0.1], [0.5], [0.6], 0.7, claims=CLAIM)
    first, second = sentences(found)
    assert "reproduced in direction on t (0.1 against 0.5, no test)" in first
    assert "no advantage that these seeds can show on t (no circuit: 0.5 against 0.1, no test)" in second


@pytest.mark.parametrize(
    ("value", "text"), [(0.01234, "0.0123"), (9.5e-8, "9.50e-08"), (0.0, "0"), (-3.14159, "-3.14")]
)
def test_scores_have_three_digits(value, text):
    assert score(value) == text
