"""The command ``qml jobs``: what it says of a journal, and what it asks the service."""

from __future__ import annotations

import csv
import json
import os
import re
import sys

import numpy as np
import pytest
from disk_service import Clock, DiskService, request

from backends import jobs
from backends.jobs import Failed, Journal, Lost
from hybrid.cli import main


@pytest.fixture
def service(tmp_path):
    return DiskService(tmp_path / "service")


def stop(event):
    if event.kind == "queued":
        raise KeyboardInterrupt


@pytest.fixture
def journal(tmp_path, service):
    """A run with one job that is done, and one that was left in the queue; a job of another run."""
    journal = Journal(tmp_path / "jobs.sqlite", Clock(1_790_000_000.0))
    journal.run(request(0, estimate=2.0), lambda: service)
    service.n_polls = 1
    with pytest.raises(KeyboardInterrupt):
        journal.run(request(1, chunk=1, estimate=2.0), lambda: service, on_event=stop)
    journal.run(request(0, label="[other]", shots=None), lambda: service)
    return journal


@pytest.fixture
def qml(monkeypatch, capsys, journal, service):
    """Run ``qml jobs`` on that journal: exit code, stdout, stderr."""
    monkeypatch.setattr(jobs, "client_for", lambda entry: service)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["qml", "jobs", *map(str, arguments), "--journal", str(journal.path)])
        with pytest.raises(SystemExit) as stopped:
            main()
        return stopped.value.code, *capsys.readouterr()

    return call


def table(text):
    """The cells of the printed table, by the place of the column's name."""
    head, *lines = text.splitlines()[:-1]
    return re.split(r"\s{2,}", head.strip()), [re.split(r"\s{2,}", line.strip()) for line in lines]


def test_list(qml, journal, service):
    code, out, err = qml("list")
    assert (code, err) == (0, "")
    names, (first, second, third) = table(out)
    assert names == ["when", "key", "label", "device", "position", "rows", "shots", "state", "job id", "billed s"]
    done, left, _ = journal.entries()
    assert first[1:] == [done.key[:9], "run", "disk", "0", "2", "10", "done", done.job_id, "1.5"]
    assert second[1:] == [left.key[:9], "run", "disk", "1.2", "2", "10", "queued", left.job_id]
    assert third[2:7] == ["[other]", "disk", "0", "2", "exact"]
    assert re.fullmatch(r"2026-09-2\d \d\d:\d\d", first[0])
    assert out.splitlines()[-1] == f"3 jobs; 5.0 s spent; {journal.path}"


def test_list_of_one_run_and_of_what_is_pending(qml, journal):
    _, out, _ = qml("list", "--label", "run", "--pending")
    assert [row[7] for row in table(out)[1]] == ["queued"]
    assert out.splitlines()[-1] == f"1 job; 3.5 s spent by run; {journal.path}"


def test_jobs_alone_lists_those_of_the_usual_place(monkeypatch, capsys, journal):
    monkeypatch.setattr(jobs, "default_path", lambda: journal.path)
    monkeypatch.setattr(sys, "argv", ["qml", "jobs"])
    with pytest.raises(SystemExit, match="0"):
        main()
    assert "3 jobs" in capsys.readouterr().out


def test_show(qml, journal, service):
    entry = journal.entries()[0]
    code, out, _ = qml("show", entry.key[:10])
    facts = dict(line.split(maxsplit=1) for line in out.splitlines() if len(line.split()) > 1)
    assert code == 0 and facts["key"] == entry.key and facts["job_id"] == entry.job_id
    assert (facts["estimate"], facts["seconds"], facts["result"], facts["state"]) == ("2.0", "1.5", "(2, 3)", "done")
    assert facts["options"] == "{'level': 1}"


def test_resume_fetches_what_is_finished(qml, journal, service):
    entry = journal.entries()[1]
    code, out, _ = qml("resume")
    assert (code, out) == (0, f"{entry.key}: run, position 1, part 2, job {entry.job_id}: done\n")
    expected = service.fetch(entry.job_id).values
    np.testing.assert_array_equal(journal.result(entry.key).values, expected)
    assert len(service.tags) == 3, "nothing is submitted"
    assert qml("resume") == (0, "Nothing is pending among 3 jobs.\n", "")


def test_resume_of_one_job_and_of_one_run(qml, journal, service):
    service.n_polls = 1
    done, left, _ = journal.entries()
    assert qml("resume", done.key) == (0, "Nothing is pending among 1 job.\n", "")
    assert qml("resume", "--label", "[other]") == (0, "Nothing is pending among 1 job.\n", "")
    assert qml("resume", left.key[:12])[1].endswith(": queued\n")
    assert qml("resume", "--label", "run")[1].endswith(": done\n")


def test_resume_without_an_answer(qml, journal, service):
    def status(job_id):
        raise Lost("no answer from the service within 30 s")

    service.status = status
    code, out, err = qml("resume")
    assert (code, out) == (1, f"{journal.entries()[1].key}: no answer from the service within 30 s\n")
    assert err == "qml: 1 of 1 job could not be asked for; the same command asks again.\n"


def test_resume_of_a_job_that_failed(qml, journal, service):
    def fetch(job_id):
        raise Failed("the device was recalibrated")

    service.fetch = fetch
    assert qml("resume")[1].endswith(": failed (the device was recalibrated)\n")
    assert journal.entries()[1].state == "failed"


def test_cancel(qml, journal, service):
    done, left, _ = journal.entries()
    code, out, _ = qml("cancel", left.key)
    assert code == 0 and service.read(left.job_id)["cancelled"]
    assert out.endswith(f"job {left.job_id}: cancelled (cancelled by you)\n")
    assert qml("cancel", done.key) == (2, "", f"qml: Job {done.key} is done: there is nothing to cancel.\n")


def test_cancel_without_an_answer_changes_nothing(qml, journal, service):
    def cancel(job_id):
        raise Lost("no answer")

    service.cancel = cancel
    assert qml("cancel", journal.entries()[1].key) == (1, "", "qml: no answer\n")
    assert journal.entries()[1].state == "queued"


def test_export(qml, journal, tmp_path):
    code, out, _ = qml("export", tmp_path / "a" / "out")
    assert code == 0
    assert out.splitlines() == [str(tmp_path / "a" / "out" / name) for name in ("jobs.json", "jobs.csv", "results.npz")]
    written = json.loads((tmp_path / "a" / "out" / "jobs.json").read_text())
    entries = journal.entries()
    assert [row["key"] for row in written] == [entry.key for entry in entries]
    assert written[0]["options"] == {"level": 1} and written[1]["seconds"] is None and written[2]["label"] == "[other]"
    with (tmp_path / "a" / "out" / "jobs.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["job_id"] for row in rows] == [entry.job_id for entry in entries]
    assert rows[0]["options"] == '{"level": 1}' and rows[0]["seconds"] == "1.5"
    with np.load(tmp_path / "a" / "out" / "results.npz") as arrays:
        names = {f"{entries[i].key}.{name}" for i in (0, 2) for name in ("values", "stderr")}
        assert set(arrays) == names
        np.testing.assert_array_equal(arrays[f"{entries[0].key}.values"], journal.result(entries[0].key).values)


def test_export_of_one_run(qml, journal, tmp_path):
    qml("export", tmp_path / "out", "--label", "run")
    assert len(json.loads((tmp_path / "out" / "jobs.json").read_text())) == 2


def test_export_whole_or_not_at_all(qml, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    before = sorted(os.listdir(tmp_path))
    monkeypatch.setattr(os, "fsync", full)
    code, _, err = qml("export", tmp_path / "out")
    assert code == 2 and re.fullmatch(
        r"qml: Cannot write .*jobs.json \(No space left on device\): make room for it.\n", err
    )
    assert sorted(os.listdir(tmp_path)) == before


def test_export_over_something(qml, tmp_path):
    (tmp_path / "out").mkdir()
    message = f"qml: got {tmp_path / 'out'}, which exists, expected a new folder: give another name\n"
    assert qml("export", tmp_path / "out") == (2, "", message)
    assert os.listdir(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["show", "x"],
            r"qml: got 'x', expected the key of one job or its beginning, found none in .*: see 'qml jobs'",
        ),
        (
            ["cancel", "q"],
            r"qml: got 'q', expected the key of one job or its beginning, found q\w+, q\w+, q\w+: see .*",
        ),
        (["nonsense"], r"qml: No such command 'nonsense'. Expected one of list, show, resume, cancel, export."),
    ],
)
def test_wrong_input_is_one_line(qml, arguments, message):
    code, out, err = qml(*arguments)
    assert (code, out) == (2, "") and re.fullmatch(message + "\n", err)


def test_a_journal_that_is_not_there_or_none(monkeypatch, capsys, tmp_path):
    (tmp_path / "notes").write_text("my notes")
    for name, message in (
        ("gone", "There is no journal at .*: expected the path of one."),
        ("notes", "got .*: move .*"),
    ):
        monkeypatch.setattr(sys, "argv", ["qml", "jobs", "list", "--journal", str(tmp_path / name)])
        with pytest.raises(SystemExit, match="2"):
            main()
        assert re.fullmatch(f"qml: {message}\n", capsys.readouterr().err)
    assert sorted(os.listdir(tmp_path)) == ["notes"]
