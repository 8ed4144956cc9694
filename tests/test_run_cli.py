"""The command ``qml run`` as a user runs it: killed, interrupted, run twice at once, and with wrong input."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest
from commands import CTRL_C, INTERRUPTED, KILL, STOP, content, finish, on_import, start
from planted_experiments import toy_paper

from backends.jobs import Failed
from hybrid import experiment, experiments

FOLDER = str(Path(toy_paper.__file__).parent)
N_TRIALS = 16
AGAIN = "the same command goes on where it was"

#: Puts the toy paper among the experiments, also in the processes that the command starts.
PLANT = f"import hybrid.experiments\nhybrid.experiments.__path__.append({FOLDER!r})\n"


def toy(out, jobs=1):
    return ["run", "toy-paper", "--quick", "--out", str(out), "--jobs", str(jobs)]


def launch(folder, *arguments, begin=""):
    return start(*arguments, begin=PLANT + begin, folder=folder)


def scores(out):
    """The score and the predictions of every record."""
    records = [json.loads(both[0]) for both in content(out).values()]
    return {(r["unit"]["task"], r["unit"]["row"], r["unit"]["seed"]): (r["score"], r["extra"]) for r in records}


@pytest.fixture
def planted(monkeypatch):
    monkeypatch.setattr(experiments, "__path__", [FOLDER])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What the toy paper gives when nobody disturbs it."""
    out = tmp_path_factory.mktemp("undisturbed")
    experiment.run(experiment.plan(toy_paper.experiment(), "quick", out=out, jobs=1), show=False)
    return scores(out)


# --- stopping and going on -----------------------------------------------------------------------------------------


def test_stopped_at_several_moments_it_goes_on_and_finds_the_same_numbers(tmp_path, undisturbed):
    out, kept = tmp_path / "out", {}
    for n_records, kill, jobs in ((2, KILL, 2), (3, CTRL_C, 1), (1, KILL, 1)):
        begin = STOP.format(n_records=n_records, kill=kill)
        code, _, stderr = finish(launch(tmp_path / "begin", *toy(out, jobs), begin=begin))
        found = content(out)
        assert code == (130 if kill is CTRL_C else -signal.SIGKILL), stderr
        assert len(found) == len(kept) + n_records
        assert {name: found[name] for name in kept} == kept, "a finished record was touched"
        kept = found
    code, stdout, stderr = finish(launch(tmp_path / "begin", *toy(out)))
    final = content(out)
    assert {name: final[name] for name in kept} == kept
    assert len(stderr.splitlines()) == N_TRIALS - len(kept), "a finished trial was run again"
    assert scores(out) == undisturbed
    assert code == 0 and "persistence" in stdout
    names = {path.name for path in out.iterdir()}
    assert names == {"units", "report.md", "report.html", "scores.png", "predictions.png"}


def test_ctrl_c_says_what_is_kept(tmp_path, undisturbed):
    out = tmp_path / "out"
    begin = STOP.format(n_records=2, kill=CTRL_C)
    code, stdout, stderr = finish(launch(tmp_path / "begin", *toy(out), begin=begin))
    assert (code, stdout) == (130, "")
    *said, last = stderr.splitlines()
    assert last == f"qml: Interrupted: 2 of {N_TRIALS} runs are kept in {out}; {AGAIN}."
    assert [line[:6] for line in said] == [f" {i}/{N_TRIALS} " for i in (1, 2)]
    found = scores(out)
    assert len(found) == 2 and all(undisturbed[key] == value for key, value in found.items())


@pytest.mark.parametrize("module", ["hybrid.experiment", "hybrid.experiments.toy_paper"])
def test_ctrl_c_while_it_starts(module, tmp_path):
    process = launch(tmp_path / "begin", *toy(tmp_path / "out"), begin=on_import(module, "raise_signal(2)"))
    assert finish(process) == (130, "", INTERRUPTED)
    assert not (tmp_path / "out").exists()


def test_two_at_once_on_one_folder(tmp_path, undisturbed):
    processes = [launch(tmp_path / "begin", *toy(tmp_path / "out")) for _ in range(2)]
    outputs = [finish(process) for process in processes]
    assert [code for code, _, _ in outputs] == [0, 0], outputs
    assert scores(tmp_path / "out") == undisturbed
    assert not list(tmp_path.glob("out/**/*.tmp"))


# --- output --------------------------------------------------------------------------------------------------------


def test_without_a_name_the_experiments_are_listed(run, planted):
    line = "  toy-paper  Toy waves: two tasks, rows of all kinds, done in a blink."
    assert run("run") == (0, f"Experiments, for 'qml run NAME --quick':\n{line}\n", "")


@pytest.mark.parametrize(
    ("option", "folder", "seeds"),
    [(["--quick"], "toy-paper-quick", 2), ([], "toy-paper", 3), (["--full"], "toy-paper-full", 5)],
)
def test_the_default_output_folder_and_what_is_printed(option, folder, seeds, tmp_path, run, planted):
    run.chdir(tmp_path)
    code, stdout, stderr = run("run", "toy-paper", *option, "--task", "beat", "--jobs", "1")
    out = tmp_path / "runs" / folder
    assert code == 0 and len(content(out)) == 3 * seeds + 1 == len(stderr.splitlines())
    assert "toy-paper, beat" in stdout and "sine" not in stdout
    text = " ".join(stdout.split())
    assert "The paper claims: Toys of <two> qubits learn waves. “the circuit is better than persistence”" in text
    assert "The quantum layer of frozen circuit contributes " in text
    assert stdout.rstrip().endswith(f"Report: {out / 'report.html'}")
    assert (
        f"- command: `{' '.join(['qml', 'run', 'toy-paper', *option, '--task beat --jobs 1'])}`"
        in (out / "report.md").read_text()
    )


def test_options_reach_the_rows(tmp_path, run, planted):
    (tmp_path / "data").write_text("10")
    options = ["--data", str(tmp_path / "data"), "--backend", "statevector:backprop", "--seeds", "1"]
    assert run(*toy(tmp_path), *options)[0] == 0
    records = [json.loads(both[0]) for both in content(tmp_path).values()]
    assert {record["unit"]["backend"] for record in records} == {"statevector:backprop"}
    assert {record["unit"]["seed"] for record in records} == {0, None}
    assert all(9 <= target <= 11 for record in records for target in record["extra"].get("target", []))


@pytest.fixture
def two(tmp_path, monkeypatch):
    """Two experiments; the other one reads no data."""
    folder = tmp_path / "experiments"
    folder.mkdir()
    source = Path(toy_paper.__file__).read_text()
    (folder / "toy_paper.py").write_text(source)
    other = source.replace('name="toy-paper"', 'name="other-paper"').replace(
        'data="a file with a number to add"', "data=None"
    )
    (folder / "other_paper.py").write_text(other.replace("Waves on Toys", "Other Waves"))
    monkeypatch.setattr(experiments, "__path__", [str(folder)])
    importlib.invalidate_caches()


def test_all_experiments_and_one_page(tmp_path, run, two):
    (tmp_path / "data").write_text("1")
    arguments = ["run", "--all", "--quick", "--seeds", "1", "--jobs", "1", "--out", str(tmp_path / "runs")]
    code, stdout, _ = run(*arguments, "--data", str(tmp_path / "data"))
    page = tmp_path / "runs" / "papers.md"
    assert code == 0 and stdout.rstrip().endswith(f"All: {page}")
    assert {path.name for path in page.parent.iterdir()} == {"papers.md", "toy-paper-quick", "other-paper-quick"}
    text = page.read_text()
    assert re.findall("^## .*", text, re.MULTILINE) == ["## Other Waves", "## Waves on Toys"]
    for link in re.findall(r"\]\((.*?)\)", text):
        assert (page.parent / link).exists(), link
    assert run(*arguments, "--data", str(tmp_path / "data"))[2] == "", "nothing is run again"


@pytest.fixture
def image_paper(tmp_path, monkeypatch):
    """An experiment that reads the files of one task, and needs them for it."""
    folder = tmp_path / "experiments"
    folder.mkdir()
    known = 'data="a folder", needs_data=("beat",), files=lambda task, data: list(data.glob(f"{task}.txt"))'
    source = Path(toy_paper.__file__).read_text().replace('data="a file with a number to add"', known)
    (folder / "toy_paper.py").write_text(source.replace("float(Path(case.data).read_text())", "0.0"))
    monkeypatch.setattr(experiments, "__path__", [str(folder)])
    sys.modules.pop("hybrid.experiments.toy_paper", None)
    importlib.invalidate_caches()
    yield
    sys.modules.pop("hybrid.experiments.toy_paper", None)


def test_tasks_without_data_are_left_out_and_named(tmp_path, run, image_paper):
    quick = ["--quick", "--seeds", "1", "--jobs", "1", "--out"]
    code, stdout, stderr = run("run", "toy-paper", *quick, str(tmp_path / "one"))
    assert code == 0 and "beat" not in stdout
    said, _, where = stderr.splitlines()[0].partition(" (")
    assert said == "toy-paper: left out for want of data: beat"
    assert where == "--data names a folder; 'qml data' lists what can be fetched)"
    assert "- data: none read; left out for want of data: beat\n" in (tmp_path / "one" / "report.md").read_text()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "beat.txt").write_text("1")
    code, stdout, stderr = run("run", "toy-paper", *quick, str(tmp_path / "two"), "--data", str(tmp_path / "data"))
    assert code == 0 and "beat" in stdout and "left out" not in stderr
    assert re.search(r"^- data: data, beat sha256 \w{64}$", (tmp_path / "two" / "report.md").read_text(), re.MULTILINE)


def test_a_folder_of_data_goes_to_the_experiments_that_read_some_of_it(tmp_path, run, image_paper):
    options = ["--quick", "--seeds", "1", "--jobs", "1", "--data", str(tmp_path)]
    code, _, stderr = run("run", "toy-paper", *options, "--out", str(tmp_path / "one"))
    message = f"qml: got the data {tmp_path}, of which toy-paper reads nothing, expected a folder.\n"
    assert (code, stderr) == (2, message)
    assert run("run", "--all", *options, "--out", str(tmp_path / "all"))[0] == 0
    run.setenv("QML_DATA", str(tmp_path))
    assert run("run", "toy-paper", *options[:-2], "--out", str(tmp_path / "one"))[0] == 0
    (tmp_path / "beat.txt").write_text("1")
    assert run("run", "toy-paper", *options[:-2], "--out", str(tmp_path / "two"))[1].count("beat") > 0


def test_ctrl_c_counts_the_runs_of_all_experiments(tmp_path, run, two):
    calls, real = [], experiment.run

    def interrupted(plan):
        if calls:
            raise KeyboardInterrupt
        calls.append(plan)
        return real(plan)

    run.setattr(experiment, "run", interrupted)
    code, _, stderr = run("run", "--all", "--quick", "--seeds", "1", "--jobs", "1", "--out", str(tmp_path / "runs"))
    assert (code, stderr.splitlines()[-1]) == (
        130, f"qml: Interrupted: 9 of 18 runs are kept in {tmp_path / 'runs'}; {AGAIN}.",
    )  # fmt: skip


# --- wrong input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["toy"], r"Unknown experiment 'toy': expected one of toy-paper\."),
        (["toy-paper", "--task", "sine,cosine"], r"Unknown task 'cosine': expected one of sine, beat\."),
        (["toy-paper", "--task", ","], r"No task given: expected one or more of sine, beat\."),
        (["toy-paper", "--quick", "--full"], r"got --quick and --full, expected one of them: leave one out\."),
        (["toy-paper", "--all"], r"got 'toy-paper' and --all, expected one of them: leave one out\."),
        (["--all", "--task", "sine"], r"got --task with --all, expected one experiment: name it instead of --all\."),
        (["toy-paper", "--seeds", "0"], r"seeds is 0: expected a number of seeds from 1, or a list .*"),
        (["toy-paper", "--jobs", "-1"], r"got jobs=-1, expected an integer of at least 1: pass jobs=1, for example"),
        (["toy-paper", "--backend", "aerr"], r".*'aerr', expected one of statevector, .*"),
        (["toy-paper", "--data", "nowhere"], r"got the data nowhere, which is not there, expected a file with a .*\."),
        (["toy-paper", "--out", "FILE"], r"Cannot write to the output folder .*FILE \(.*\): choose another one\."),
        (["toy-paper", "--scheduler", "here"], r"scheduler is 'here': expected the address of one, such as .*"),
        (["toy-paper", "--slow"], r"No such option: --slow.*"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(arguments, message, tmp_path, run, planted):
    (tmp_path / "FILE").write_text("")
    run.chdir(tmp_path)
    code, stdout, stderr = run("run", *arguments)
    assert code == 2 and stdout == ""
    assert re.fullmatch(f"qml: {message}\n", stderr), stderr
    assert [path.name for path in tmp_path.iterdir()] == ["FILE"]


def test_a_damaged_record_is_one_line(tmp_path, run, planted):
    assert run(*toy(tmp_path))[0] == 0
    victim = sorted(tmp_path.glob("units/*.json"))[0]
    victim.write_bytes(victim.read_bytes()[:50])
    code, stdout, stderr = run(*toy(tmp_path))
    assert (code, stdout, len(stderr.splitlines())) == (2, "", 1)
    assert stderr.startswith(f"qml: {victim} is not the record of a finished unit")
    assert len(victim.read_bytes()) == 50


def test_data_that_a_row_cannot_read_are_one_line(tmp_path, run, planted):
    (tmp_path / "data").write_text("no number")
    code, _, stderr = run(*toy(tmp_path / "out"), "--data", str(tmp_path / "data"))
    assert (code, stderr) == (1, "qml: could not convert string to float: 'no number'\n")


@pytest.mark.parametrize(
    "error",
    [FloatingPointError("The score of a is nan"), Failed("job d1 failed"), ImportError("pip install reservoirpy")],
)
def test_what_ends_a_run_is_one_line(error, tmp_path, run, planted):
    def fail(*_):
        raise error

    run.setattr(experiment, "run", fail)
    assert run(*toy(tmp_path)) == (1, "", f"qml: {error}\n")


@pytest.mark.parametrize("name", ["report.md", "scores.png"])
def test_a_folder_in_the_place_of_a_report_is_one_line(name, tmp_path, run, planted):
    (tmp_path / name).mkdir()
    code, _, stderr = run(*toy(tmp_path))
    assert code == 1 and len(content(tmp_path)) == N_TRIALS
    kept = f"What is finished is kept in {tmp_path}; {AGAIN}."
    (line,) = stderr.splitlines()[N_TRIALS:]
    assert line == f"qml: Cannot write {tmp_path / name} (Is a directory): make room for it. {kept}"


def test_a_full_disk_is_one_line(tmp_path, run, planted):
    def full(_):
        raise OSError(28, os.strerror(28))

    run.setattr(os, "fsync", full)
    code, _, stderr = run(*toy(tmp_path))
    kept = f"What is finished is kept in {re.escape(str(tmp_path))}; {AGAIN}."
    assert code == 1
    assert re.fullmatch(rf"qml: Cannot write .*\.json \(No space left on device\): make room for it\. {kept}\n", stderr)
