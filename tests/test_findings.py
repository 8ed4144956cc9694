"""hybrid/findings.py: what the files say, that they stand alone, and that nothing else is touched."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from planted_results import results
from rich.console import Console
from webpage import PNG, Page

from hybrid import claims, findings, records
from hybrid.claims import Claim

KINDS = {"QRNN": "quantum", "no circuit": "control", "AR": "trivial"}
SCORES = {
    ("NARMA5", "QRNN"): [0.30, 0.31, 0.32],
    ("NARMA5", "no circuit"): [0.50, 0.52, 0.51],
    ("NARMA5", "AR"): 0.0123,
    ("laser", "QRNN"): [0.1, 0.2, 0.9],
    ("laser", "no circuit"): [0.50, 0.51, 0.52],
}
OPTIONS = {
    "published": {"QRNN": {"laser": "0.777"}, "their GRU": {"laser": "0.888"}},
    "claims": (Claim("QRNNs are better", "QRNN", "no circuit"),),
    "least": 0.0,
    "extra": {
        "QRNN": {"target": [0.0, 1.0, 2.0], "prediction": [0.5, 1.5, 2.5]},
        "no circuit": {"target": [0.0, 1.0, 2.0], "prediction": [9.0, 9.0, 9.0]},
    },
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    found = results(SCORES, KINDS, out=tmp_path_factory.mktemp("findings"), **OPTIONS)
    return found, findings.write(found)


def test_four_files_and_nothing_else(written):
    found, files = written
    names = {"report.md", "report.html", "scores.png", "predictions.png"}
    assert {file.name for file in files} == {file.name for file in found.plan.out.iterdir()} == names
    assert all(file.read_bytes().startswith(PNG) for file in files if file.suffix == ".png")


def test_without_predictions_there_is_no_plot_of_them(tmp_path):
    findings.write(results(SCORES, KINDS, out=tmp_path))
    assert {file.name for file in tmp_path.iterdir()} == {"report.md", "report.html", "scores.png"}


def test_the_markdown_says_what_was_found_and_how(written):
    found, _ = written
    text = (found.plan.out / "report.md").read_text()
    for expected in (
        "# A planted paper",
        "arXiv:0000.00001; quick settings (small enough for minutes, not the paper's), 3 seeds",
        "> It <works>.",
        "- command: `qml run planted --quick`",
        "- run: 2024-01-01T00:00:00+00:00 to 2024-01-03T00:00:00+00:00",
        "- seeds: 0, 1, 2",
        "- epochs: 7",
        "- torch: 2.13.0",
        "not about other data",
        "corrected together by Holm's method",
        *(f"- {sentence}" for sentence in claims.sentences(found)),
        *findings.READING,
    ):
        assert expected in text, expected


def test_the_tables_have_every_row_with_ours_and_the_papers_numbers(written):
    found, _ = written
    lines = (found.plan.out / "report.md").read_text().splitlines()
    assert "| **QRNN** | 0.31 ± 0.025 | not given | 24 | 4 | 1,200 | 14 | 0.25 |" in lines, (
        "0.0248 = 4.303 · 0.01 / 3^½"
    )
    assert "| AR | 0.0123 | not given | 24 | 4 | 1,200 | 14 | 0.25 |" in lines
    assert "| **QRNN** | 0.4 [0, 1.48] | 0.777 | 24 | 4 | 1,200 | 14 | 0.25 |" in lines, "an error is not negative"
    assert "| their GRU | – | 0.888 |  |  |  |  |  |" in lines
    assert sum(line.startswith(("| **QRNN", "| no circuit", "| AR", "| their")) for line in lines) == 3 + 2 + 2


def test_bars_in_names_do_not_break_tables(tmp_path):
    found = results({("laser", "|E|, QRNN"): [0.1, 0.2, 0.3]}, {"|E|, QRNN": "quantum"}, out=tmp_path)
    plan = replace(found.plan, experiment=replace(found.experiment, metric="test |E|"))
    findings.write(replace(found, plan=plan))
    lines = (tmp_path / "report.md").read_text().splitlines()
    header = next(line for line in lines if line.startswith("| row"))
    row = next(line for line in lines if "QRNN" in line and line.startswith("| **"))
    assert header.startswith(r"| row | test \|E\| |") and row.startswith(r"| **\|E\|, QRNN** | 0.2")
    assert len({len(re.split(r"(?<!\\)\|", line)) for line in (header, row)}) == 1


def attacked(**options):
    figures = {"hit": {key: value / 2 if isinstance(value, float) else SCORES[key] for key, value in SCORES.items()}}
    figures["hit"]["NARMA5", "QRNN"] = [0.1, 0.2, 0.9]
    return results(SCORES, KINDS, figures=figures, also={"under attack": "hit"}, **OPTIONS | options)


def test_further_figures_have_a_column_each_with_intervals(tmp_path):
    found = attacked(out=tmp_path)
    findings.write(found)
    lines = (tmp_path / "report.md").read_text().splitlines()
    heading = "| row | test NRMSE | under attack | paper | quantum | classical | frozen | train, s | predict, s |"
    assert lines.count(heading) == 2 and lines[lines.index(heading) + 1].count("---") == 9
    assert "| **QRNN** | 0.31 ± 0.025 | 0.4 [0, 1.48] | not given | 24 | 4 | 1,200 | 14 | 0.25 |" in lines
    assert "| AR | 0.0123 | 0.00615 | not given | 24 | 4 | 1,200 | 14 | 0.25 |" in lines
    assert "| their GRU | – | – | 0.888 |  |  |  |  |  |" in lines
    assert any(line.startswith("test NRMSE, under attack, lower is better: mean over the seeds") for line in lines)
    assert shown(found) == shown(results(SCORES, KINDS, **OPTIONS)), "the terminal is too narrow for them"


def test_a_figure_that_a_row_lacks_is_an_error(tmp_path):
    message = r"got no 'hit' in the extra of 'QRNN' on NARMA5, expected a number: return it in the Outcome"
    with pytest.raises(ValueError, match=message):
        findings.write(results(SCORES, KINDS, out=tmp_path, also={"under attack": "hit"}))


def of_patients(**options):
    """Two seeds of three patients each: the seeds are averaged, and intervals are over the patients."""
    scores = {("t", "QRNN"): [0.3, 0.5], ("t", "AR"): 0.2}
    figures = {
        "scores": {("t", "QRNN"): [[0.1, 0.3, 0.5], [0.3, 0.5, 0.7]], ("t", "AR"): 0.2},
        "hit": {("t", "QRNN"): [[0.0, 0.1, 0.2], [0.0, 0.1, 0.2]], ("t", "AR"): 0.2},
    }
    found = results(scores, {"QRNN": "quantum", "AR": "trivial"}, figures=figures, **options)
    for record in found.of("t", "AR"):
        record["extra"] |= {"scores": [0.1, 0.2, 0.3], "hit": [0.3, 0.2, 0.1]}
    return found


def test_intervals_and_tests_may_be_over_something_else_than_seeds(tmp_path):
    found = of_patients(out=tmp_path, per="patient", also={"under attack": "hit"}, lower_is_better=False)
    np.testing.assert_allclose(found.scores("t", "QRNN"), [0.2, 0.4, 0.6])
    np.testing.assert_allclose(found.scores("t", "AR", "hit"), [0.3, 0.2, 0.1])
    (contrast,) = claims.against_the_rest(found, "QRNN")
    assert any("no advantage that these patients can show" in text for text in claims.sentences(found))
    assert contrast.gain.mean == pytest.approx(0.2) and contrast.p_holm == pytest.approx(0.0742, abs=1e-4), "t = 2√3"
    findings.write(found)
    text = (tmp_path / "report.md").read_text()
    assert "| **QRNN** | 0.4 ± 0.5 | 0.1 ± 0.25 |" in text and "| AR | 0.2 ± 0.25 | 0.2 ± 0.25 |" in text
    assert "mean over the patients and 95 % interval" in text and "are over the patients of the test part" in text
    assert findings.scores_plot(found).axes[0].get_xlabel().endswith("dots: patients")
    findings.write_page([found, found], tmp_path / "papers.md")
    assert (tmp_path / "papers.md").read_text().count("Otherwise in planted") == 2


def test_one_seed_of_many_patients_is_not_too_few(tmp_path):
    found = of_patients(per="patient")
    assert len(found.plan.seeds) == 2
    one = replace(found, plan=replace(found.plan, seeds=(0,)))
    assert not any(text.startswith("One seed") for text in findings.verdict(one))


def test_a_row_without_a_score_for_each_patient_is_an_error():
    message = "got no 'scores' in the extra of 'QRNN' on NARMA5, expected a list with one number per patient: return it"
    with pytest.raises(ValueError, match=message):
        results(SCORES, KINDS, per="patient").scores("NARMA5", "QRNN")


def test_a_drawing_of_the_experiments_own_is_in_the_report(tmp_path, written):
    findings.write(results(SCORES, KINDS, out=tmp_path, drawing=findings.scores_plot))
    assert (tmp_path / "drawing.png").read_bytes() == (tmp_path / "scores.png").read_bytes()
    assert "![Drawing](drawing.png)" in (tmp_path / "report.md").read_text()
    Page(tmp_path / "report.html").check([tmp_path / "scores.png", tmp_path / "drawing.png"])
    assert "drawing" not in (written[0].plan.out / "report.md").read_text().lower()


def test_contrasts_are_in_a_table(written):
    found, _ = written
    lines = (found.plan.out / "report.md").read_text().splitlines()
    contrasts = claims.against_the_rest(found, "QRNN")
    (line,) = [line for line in lines if line.startswith("| NARMA5 | no circuit | ")]
    assert line.startswith("| NARMA5 | no circuit | +0.2 | +0.175 to +0.225 | p = ")
    assert len([line for line in lines if line.startswith(("| NARMA5 |", "| laser |"))]) == len(contrasts) == 3


def test_a_mean_of_gains_that_cancel_is_0(tmp_path):
    scores = {("t", "QRNN"): [0.1, 0.2, 0.0], ("t", "AR"): [0.0, 0.0, 0.3]}  # 0.1 + 0.2 - 0.3 is not quite 0
    findings.write(results(scores, {"QRNN": "quantum", "AR": "trivial"}, out=tmp_path))
    lines = (tmp_path / "report.md").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("| t | AR | ")]
    assert line.startswith("| t | AR | 0 | ")


def test_the_html_page_is_well_formed_escaped_and_loads_nothing(written):
    found, _ = written
    page = Page(found.plan.out / "report.html")
    page.check([found.plan.out / "scores.png", found.plan.out / "predictions.png"])
    assert "It &lt;works&gt;." in page.text and "<works>" not in page.text
    for sentence in claims.sentences(found):
        assert sentence in page.text
    assert page.text.count("<td>0.777</td>") == 1 and page.text.count("<tr") == 5 + 4 + 4


def test_figures_that_are_not_given_are_said_to_be_so(tmp_path):
    findings.write(results(SCORES, KINDS, out=tmp_path))
    for name in ("report.md", "report.html"):
        text = (tmp_path / name).read_text()
        assert "The paper's figures for these tasks are not given." in text and "not given |" not in text


def test_one_seed_is_said_to_be_too_few(tmp_path):
    scores = {key: value if isinstance(value, float) else value[:1] for key, value in SCORES.items()}
    found = results(scores, KINDS, out=tmp_path, **OPTIONS)
    findings.write(found)
    alone = "One seed: no interval and no test, so this is a direction at best. Run three seeds or more."
    assert findings.verdict(found)[0] == alone and alone in (tmp_path / "report.md").read_text()
    assert "1 seed\n" in (tmp_path / "report.md").read_text()


def test_a_verdict_of_ones_own(tmp_path):
    found = results(SCORES, KINDS, out=tmp_path, verdict=lambda results: [f"{len(results.records)} records."])
    assert findings.verdict(found) == ["13 records."]


def shown(found):
    console = Console(width=80)
    with console.capture() as captured:
        for table in findings.tables(found):
            console.print(table)
    return captured.get()


def test_the_terminal_tables_have_no_column_for_figures_that_are_not_given(written):
    assert "paper" in shown(written[0]) and "paper" not in shown(results(SCORES, KINDS))


def test_the_terminal_tables_fit_80_columns(written):
    text = shown(written[0])
    assert max(map(len, text.splitlines())) <= 80 and "…" not in text
    assert "24 + 4 (1,200)" in text and "14 + 0.25" in text and "0.777" in text and "0.4 [0, 1.48]" in text


# --- plots -----------------------------------------------------------------------------------------------------------


def test_the_plot_of_scores_shows_means_intervals_and_seeds(written):
    found, _ = written
    panels = findings.scores_plot(found).axes
    assert [axes.get_title(loc="left") for axes in panels] == ["NARMA5", "laser"]
    assert [tick.get_text() for tick in panels[0].get_yticklabels()] == ["QRNN", "no circuit", "AR"]
    assert [axes.get_xscale() for axes in panels] == ["log", "linear"], "0.0123 to 0.52"
    point, _, (bars,) = panels[1].containers[0].lines
    assert point.get_xdata()[0] == pytest.approx(0.4)
    half = 4.302653 * np.std([0.1, 0.2, 0.9], ddof=1) / 3**0.5
    np.testing.assert_allclose(bars.get_segments()[0][:, 0], [0, 0.4 + half])
    np.testing.assert_allclose(panels[1].collections[0].get_offsets()[:, 0], [0.1, 0.2, 0.9])


@pytest.mark.parametrize(("lower_is_better", "best"), [(True, "QRNN"), (False, "other QRNN")])
def test_the_plot_of_predictions_shows_the_best_rows_that_have_some(lower_is_better, best):
    kinds = {"QRNN": "quantum", "other QRNN": "quantum", **KINDS}
    traces = {name: {"target": [0.0, 1.0], "prediction": [0.5, i]} for i, name in enumerate(kinds) if name != "AR"}
    scores = {("t", row): [value, value + 0.1] for row, value in zip(kinds, (0.1, 0.3, 0.5, 0.2), strict=True)}
    (axes,) = findings.predictions_plot(results(scores, kinds, extra=traces, lower_is_better=lower_is_better)).axes
    lines = {line.get_label(): line.get_ydata() for line in axes.get_lines()}
    assert list(lines) == ["target", best, "no circuit"]
    np.testing.assert_array_equal(lines[best], traces[best]["prediction"])


def curved(**options):
    curves = {name: {"curve": {"x": [10, 20], "y": [i, 2.0 * i]}} for i, name in enumerate(("QRNN", "no circuit"), 1)}
    found = results(SCORES, KINDS, extra=curves, curves=("step", "mean return"), **options)
    for i, record in enumerate(found.of("laser", "QRNN")):
        record["extra"] = {"curve": {"x": [10, 20], "y": [[0.1, 0.2, 0.9][i], 7.0]}}
    return found


def test_the_plot_of_curves_shows_means_and_intervals_of_the_rows_that_have_one():
    panels = findings.curves_plot(curved()).axes
    assert [axes.get_title(loc="left") for axes in panels] == ["NARMA5", "laser"]
    assert [panels[1].get_xlabel(), panels[1].get_ylabel()] == ["step", "mean return"]
    lines = {line.get_label(): line for line in panels[1].get_lines()}
    assert list(lines) == ["QRNN", "no circuit"]
    assert [line.get_linestyle() for line in lines.values()] == ["-", "--"]
    np.testing.assert_allclose(lines["QRNN"].get_xydata(), [[10, 0.4], [20, 7.0]])
    half = 4.302653 * np.std([0.1, 0.2, 0.9], ddof=1) / 3**0.5
    (band,) = panels[1].collections[0].get_paths()
    found = band.vertices[:, 1][band.vertices[:, 0] == 10]
    np.testing.assert_allclose([found.min(), found.max()], [0.4 - half, 0.4 + half], rtol=1e-6)
    assert set(band.vertices[:, 1][band.vertices[:, 0] == 20]) == {7.0}, "seeds that agree have no interval"


def test_a_report_shows_the_curves(tmp_path):
    files = findings.write(curved(out=tmp_path))
    assert {file.name for file in files} == {"report.md", "report.html", "scores.png", "curves.png"}
    assert "![Learning curves](curves.png)" in (tmp_path / "report.md").read_text()
    Page(tmp_path / "report.html").check([tmp_path / "scores.png", tmp_path / "curves.png"])


# --- one page for all ------------------------------------------------------------------------------------------------


def test_one_page_has_a_section_for_each_experiment(tmp_path, written):
    other = results(SCORES, KINDS, out=tmp_path / "runs" / "other-quick", **OPTIONS | {"title": "Another paper"})
    other.plan.out.mkdir(parents=True)
    findings.write(other)
    page = findings.write_page([written[0], other], tmp_path / "runs" / "papers.md")
    text = page.read_text()
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# The papers, run again", "## A planted paper", "## Another paper",
    ]  # fmt: skip
    assert "![Scores](other-quick/scores.png)" in text and "(other-quick/report.md)" in text
    assert text.count("| **QRNN** | 0.31 ± 0.025 |") == 2 and text.count(claims.sentences(other)[0]) == 2
    assert text.count(findings.READING[0]) == 1


def test_a_page_that_cannot_be_written_leaves_the_old_one(written, tmp_path, monkeypatch):
    found, files = written
    page = findings.write_page([found], tmp_path / "papers.md")
    before = [file.read_bytes() for file in (*files, page)]

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(records.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        findings.write(found)
    with pytest.raises(OSError, match="disk full"):
        findings.write_page([found], page)
    assert [file.read_bytes() for file in (*files, page)] == before
    assert len(list(found.plan.out.iterdir())) == 4 and list(tmp_path.iterdir()) == [page]
