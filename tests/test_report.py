"""hybrid/report.py: what the files say, that they stand alone, and that nothing else is touched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from planted import comparison, one_hybrid
from rich.console import Console
from webpage import PNG, Page

from hybrid import records, report, statistics

ROOT = Path(__file__).resolve().parents[1]

ACCURACIES = {
    **one_hybrid([0.90, 0.91, 0.92], model="first", removed=[0.93, 0.95, 0.94]),
    **one_hybrid([0.80, 0.82, 0.81], model="second"),
}
LOGISTIC = ACCURACIES.pop(("logistic_regression", "baseline"))
ACCURACIES[("logistic_regression", "baseline")] = LOGISTIC


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    found = comparison(ACCURACIES, resampled=True, out=tmp_path_factory.mktemp("report"))
    return found, report.write(found)


def test_five_files_and_nothing_else(written):
    found, files = written
    names = {"report.md", "report.html", "accuracy.png", "differences.png", "learning_curves.png"}
    assert {file.name for file in files} == {file.name for file in found.out.iterdir()} == names
    assert all(file.read_bytes().startswith(PNG) for file in files if file.suffix == ".png")


@pytest.mark.parametrize("name", ["report.md", "report.html"])
def test_the_report_says_what_was_found_and_how(written, name):
    found, _ = written
    text = (found.out / name).read_text()
    for verdict in statistics.verdicts(found):
        assert verdict.sentence in text
    for expected in (
        "qml compare planted",
        "800 training and 200 test samples (another split for each seed)",
        "0, 1, 2",
        "Adam, learning rate 0.01, batches of 32",
        "2.13.0",
        "f" * 64,
        "Nadeau and Bengio",
        "entanglers off",
        "are read out too, so that no feature is lost; this control may have a few more classical parameters",
    ):
        assert expected in text, expected


def test_the_markdown_table_has_every_row_with_its_numbers(written):
    found, _ = written
    lines = (found.out / "report.md").read_text().splitlines()
    assert "| **first** | 91.0 ± 3.3 | 12 | 610 | 2.0 |" in lines, "2.5 = 4.303 · 1 · (1/3 + 1/4)^½"
    assert any(line.startswith("| logistic_regression | ") for line in lines)
    assert sum(line.startswith(("| first", "| second", "| **", "| logistic")) for line in lines) == 13 + 2 * 6


def test_differences_are_of_the_hybrid_minus_the_other(written):
    found, _ = written
    assert "| first, removed | −3.0 | " in (found.out / "report.md").read_text()


def test_an_official_test_part_is_described_as_such(tmp_path):
    found = comparison(ACCURACIES, out=tmp_path)
    report.write(found)
    text = (tmp_path / "report.md").read_text()
    assert "(the official test part)" in text and "not about other test data" in text and "Nadeau" not in text


@pytest.mark.parametrize(
    ("n_train", "expected"),
    [
        (300, "draws 300 of 1,000 training samples anew; because these draws overlap, the variance is corrected"),
        (300, "are about other training samples on this test part, not about other test data"),
        (300, "200 test samples (the official test part; training samples drawn from 1,000 for each seed)"),
        (600, "are about other draws from this training part on this test part, not about other test data"),
    ],
)
def test_training_samples_that_are_drawn_are_described_as_such(tmp_path, n_train, expected):
    report.write(comparison(ACCURACIES, n_train=n_train, n_pool=1000, out=tmp_path))
    assert all(expected in (tmp_path / name).read_text() for name in ("report.md", "report.html"))


NOTHING = "An interval from −100 to +100 points covers every possible difference: there the data say nothing."


def test_intervals_end_where_the_possible_ends(tmp_path, written):
    wild = one_hybrid([0.2, 0.9], removed=[0.9, 0.1])
    found = comparison(wild, out=tmp_path)
    report.write(found)
    text = (tmp_path / "report.md").read_text()
    assert "| **planted** | 55.0 [0, 100] |" in text and "| planted, removed | +5.0 | −100.0 to +100.0 |" in text
    assert NOTHING in text and NOTHING in (tmp_path / "report.html").read_text()
    assert NOTHING not in (written[0].out / "report.md").read_text()
    (axes,) = report.differences_plot(found).axes
    np.testing.assert_allclose(axes.containers[0].lines[2][0].get_segments()[0][:, 0], [-100, 100])


def test_the_html_page_is_well_formed_and_loads_nothing(written):
    found, _ = written
    page = Page(found.out / "report.html")
    names = ("accuracy.png", "learning_curves.png", "differences.png")
    page.check([found.out / name for name in names])


def test_names_are_escaped_in_html(tmp_path):
    report.write(comparison(one_hybrid([0.9, 0.8], model="<script>"), out=tmp_path))
    text = (tmp_path / "report.html").read_text()
    assert "<script>" not in text and "&lt;script&gt;" in text


def shown(found):
    console = Console(width=80)
    with console.capture() as captured:
        console.print(report.table(found))
    return captured.get().splitlines()


def test_the_terminal_table_fits_80_columns(written):
    lines = shown(written[0])
    assert max(map(len, lines)) <= 80
    assert any("second, separable" in line for line in lines) and not any("…" in line for line in lines)
    assert sum("0.0" in line or "±" in line for line in lines) == 13


def test_the_terminal_table_fits_with_intervals_that_are_cut():
    lines = shown(comparison(one_hybrid([0.99, 0.98], model="reuploading", removed=[0.97, 0.98])))
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    (line,) = (line for line in lines if "removed" in line)
    assert "│ 97.5 [91.1, 100] │" in line, "6.35 = 12.706 · 0.5"


def test_frozen_parameters_are_named(tmp_path):
    found = comparison(ACCURACIES, out=tmp_path)
    for record in found.of(("first", "frozen")):
        record["parameters"] = {"quantum": 0, "classical": 1610, "frozen": 12}
    assert ("12 frozen", "1,610", "2.0") in [cells[2:] for cells in report.row_cells(found)]


def test_versions_that_changed_on_the_way_are_all_named(tmp_path):
    found = comparison(ACCURACIES, out=tmp_path)
    found.records[5]["versions"] = {"python": "3.11", "torch": "2.99"}
    assert report._settings(found)["torch"] == "2.13.0, 2.99"


@pytest.mark.parametrize("n_seeds", [1, 2])
def test_few_seeds_make_a_report_too(tmp_path, n_seeds):
    few = {row: values[:n_seeds] for row, values in ACCURACIES.items()}
    files = report.write(comparison(few, out=tmp_path))
    assert len(files) == 5
    assert ("One seed" in (tmp_path / "report.md").read_text()) == (n_seeds == 1)


def lines_of(axes):
    return {line.get_label(): line for line in axes.get_lines()}


def test_the_accuracy_plot_shows_means_intervals_and_seeds(written):
    found, _ = written
    axes = report.accuracy_plot(found).axes[0]
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    assert names[0] == "first" and names[6] == "second" and names[-1] == "logistic regression" and len(names) == 13
    assert len(axes.containers) == 13
    for container, row in zip(axes.containers, found.rows, strict=True):
        point, _, bars = container.lines
        interval = statistics.accuracy(found, row)
        assert point.get_xdata()[0] == pytest.approx(100 * interval.mean)
        np.testing.assert_allclose(bars[0].get_segments()[0][:, 0], [100 * interval.low, 100 * interval.high])
    dots = [collection.get_offsets()[:, 0] for collection in axes.collections if len(collection.get_offsets()) == 3]
    np.testing.assert_allclose(sorted(dots[0]), [90, 91, 92])


def test_the_differences_plot_shows_what_is_tested(written):
    found, _ = written
    panels = report.differences_plot(found).axes
    assert [axes.get_title(loc="left") for axes in panels] == ["first minus …", "second minus …"]
    for axes, model in zip(panels, found.hybrids, strict=True):
        for container, contrast in zip(axes.containers, statistics.contrasts(found, model), strict=True):
            point, _, bars = container.lines
            assert point.get_xdata()[0] == pytest.approx(100 * contrast.difference.mean)
            ends = [contrast.difference.low, contrast.difference.high]
            if not np.isnan(ends[0]):
                np.testing.assert_allclose(bars[0].get_segments()[0][:, 0], 100 * np.array(ends))
    dots = panels[0].collections[0].get_offsets()[:, 0]
    np.testing.assert_allclose(dots, [-3, -4, -2])


def test_the_learning_curves_are_those_of_the_records(written):
    found, _ = written
    figure = report.learning_curves(found)
    loss, _, accuracy, _ = figure.axes
    histories = [record["history"] for record in found.of(("first", "removed"))]
    expected = np.mean([[epoch["train_loss"] for epoch in history] for history in histories], axis=0)
    np.testing.assert_allclose(lines_of(loss)["quantum layer removed"].get_ydata(), expected)
    expected = 100 * np.mean([[epoch["valid_accuracy"] for epoch in history] for history in histories], axis=0)
    np.testing.assert_allclose(lines_of(accuracy)["quantum layer removed"].get_ydata(), expected)
    assert len(lines_of(accuracy)) == 7 and len(figure.legends[0].get_texts()) == 7


def test_matplotlib_is_left_as_it_was():
    code = (
        "import sys; sys.path[:0] = ['tests', '.']\n"
        "import hybrid.report\n"
        "assert 'matplotlib' not in sys.modules\n"
        "import matplotlib; before = matplotlib.rcParams.copy()\n"
        "from planted import comparison, one_hybrid\n"
        "found = comparison(one_hybrid([0.9, 0.8]))\n"
        "hybrid.pages.png(hybrid.report.accuracy_plot(found))\n"
        "assert 'matplotlib.pyplot' not in sys.modules and matplotlib.rcParams.copy() == before\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, check=True)


def test_a_report_that_cannot_be_written_leaves_the_old_one(written, monkeypatch):
    found, files = written
    before = [file.read_bytes() for file in files]

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(records.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        report.write(found)
    assert [file.read_bytes() for file in files] == before and len(list(found.out.iterdir())) == 5
