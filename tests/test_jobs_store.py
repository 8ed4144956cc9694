"""backends/jobs_store.py: a file that is no whole journal is named in one line and left as it is, byte for byte."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import shutil
import sqlite3
import tempfile
import warnings
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from disk_service import Clock, DiskService, in_child, request, run_all

from backends import jobs_store
from backends.jobs import Journal, JournalError
from backends.owners import Owner


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A journal with a run in it."""
    path = tmp_path_factory.mktemp("whole") / "jobs.sqlite"
    run_all(path, lambda: DiskService(path.parent / "service"))
    return path


@pytest.fixture
def path(tmp_path, whole):
    """A copy of it."""
    return Path(shutil.copy(whole, tmp_path / "jobs.sqlite"))


@pytest.fixture
def service(tmp_path):
    return DiskService(tmp_path / "service")


def content(path):
    return hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns


def refused(path, service, message):
    """Check that whoever reads or writes the journal gets the message, in one line, and that the file stays."""
    before = content(path)
    writes = (lambda journal: journal.store.claim(request(99), Owner.here(), 0.0),)
    for use in (*writes, Journal.entries, Journal.spent, lambda journal: journal.run(request(99), lambda: service)):
        with pytest.raises(JournalError, match=message) as caught:
            use(Journal(path, Clock()))
        assert "\n" not in str(caught.value) and str(path) in str(caught.value)
        assert str(caught.value).endswith("it was left as it is")
    assert content(path) == before
    assert service.tags == [], "and nothing is submitted"


# --- files that are no journal --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", [b"My notes.\n", b"x" * 5000, b"SQLite format 3\0", b"SQLite format 3\0" + bytes(5000)]
)
def test_a_file_of_another_kind(tmp_path, service, text):
    path = tmp_path / "notes.txt"
    path.write_bytes(text)
    refused(
        path, service, r"got the journal .*, which is none \(.*\), expected a journal of jobs: move it away, or give"
    )


def test_an_empty_file(tmp_path, service):
    path = tmp_path / "jobs.sqlite"
    path.touch()
    refused(path, service, r"which is cut short, expected a whole journal: move it away, or give another path")


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_database_of_another_program(tmp_path, service, mode):
    path = tmp_path / "history.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA journal_mode = {mode}")
        db.execute("CREATE TABLE visits (url)")
        db.commit()
        refused(path, service, r"which belongs to another program, expected a journal of jobs: give another path")
    refused(path, service, "which belongs to another program")


def test_what_another_program_has_yet_to_write_back_is_left_to_it(tmp_path, service):
    """Its last changes lie in a second file since it was killed; a connection that may write would move them."""
    with closing(sqlite3.connect(tmp_path / "source")) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE visits (url)")
        db.commit()
        for end in ("", "-wal"):
            shutil.copy(tmp_path / f"source{end}", tmp_path / f"history.sqlite{end}")
    log = content(tmp_path / "history.sqlite-wal")
    refused(tmp_path / "history.sqlite", service, "which belongs to another program")
    assert content(tmp_path / "history.sqlite-wal") == log


def test_a_journal_of_a_newer_version(path, service):
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {jobs_store.SCHEMA + 1}")
    message = r"which a newer version has written \(schema 2\), expected schema 1: bring hybridqml up to date, or give"
    refused(path, service, message)


def test_a_journal_that_is_cut_anywhere(path, service, whole):
    size = whole.stat().st_size
    cuts = {*range(1, size, 512), *range(1, 200, 13), size - 1, size - 100, size - 4096}
    for cut in sorted(cuts):
        path.write_bytes(whole.read_bytes()[:cut])
        refused(path, service, "which is cut short|which is damaged or cut short|which is none")


def test_a_journal_with_a_damaged_page(path, service, whole):
    data = bytearray(whole.read_bytes())
    data[4096 : 2 * 4096] = bytes(4096)
    path.write_bytes(data)
    before = content(path)
    message = r"which is damaged or cut short \(database disk image is malformed\), expected a whole one: move it away"
    with pytest.raises(JournalError, match=message):
        Journal(path).run(request(99), lambda: service)
    assert content(path) == before


def test_a_result_that_is_damaged(path):
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE jobs SET result = substr(result, 1, 100)")
        db.commit()
    before = content(path)
    entry = Journal(path).entries()[0]
    with pytest.raises(JournalError, match=rf"whose result of {entry.key} is damaged \(.*\), expected a whole one"):
        Journal(path).result(entry.key)
    assert content(path) == before


def test_a_bit_that_flipped_in_a_result_is_noticed(path):
    with closing(sqlite3.connect(path)) as db:
        (stored,) = db.execute("SELECT result FROM jobs WHERE position = 0").fetchone()
        at = stored.index(np.load(__import__("io").BytesIO(stored))["values"].tobytes())
        db.execute("UPDATE jobs SET result = ?", (stored[:at] + bytes([stored[at] ^ 1]) + stored[at + 1 :],))
        db.commit()
    entry = Journal(path).entries()[0]
    with pytest.raises(JournalError, match=rf"whose result of {entry.key} is damaged"):
        Journal(path).result(entry.key)


# --- files that cannot be used --------------------------------------------------------------------------------------


@contextmanager
def ordinary_user():
    """Root may do everything: be somebody else for a while."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder():
    """A folder that every user can reach."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


def test_a_journal_that_must_not_be_read(open_folder, whole, service):
    path = Path(shutil.copy(whole, open_folder))
    path.chmod(0)
    before = path.stat()
    message = (
        r"which cannot be opened \(unable to open database file\), expected a file to read and write: give another"
    )
    with ordinary_user(), pytest.raises(JournalError, match=message):
        Journal(path).run(request(99), lambda: service)
    assert path.stat() == before


def test_a_journal_that_is_read_only_can_be_read(open_folder, whole, service):
    path = Path(shutil.copy(whole, open_folder))
    path.chmod(0o444)
    before = content(path)
    message = r"which is read-only \(attempt to write a readonly database\), expected one that can be written"
    with ordinary_user():
        assert len(Journal(path).entries()) == 2 and Journal(path).spent() == 3.0
        with pytest.raises(JournalError, match=message):
            Journal(path, Clock()).run(request(99), lambda: service)
    assert content(path) == before and service.tags == []


def test_a_folder_that_must_not_be_written(open_folder, service):
    (open_folder / "closed").mkdir(mode=0o755)
    path = open_folder / "closed" / "sub" / "jobs.sqlite"
    with ordinary_user(), pytest.raises(JournalError, match=r"which cannot be opened \(Permission denied\), expected"):
        Journal(path, Clock()).run(request(), lambda: service)
    assert service.tags == []


def test_a_folder_in_place_of_the_file(tmp_path, service):
    with pytest.raises(JournalError, match=r"which is a folder or a device, expected a file: give another path"):
        Journal(tmp_path, Clock()).run(request(), lambda: service)
    with pytest.raises(JournalError, match=r"which cannot be opened \(Not a directory|which cannot be opened \(File"):
        (tmp_path / "file").touch()
        Journal(tmp_path / "file" / "jobs.sqlite", Clock()).run(request(), lambda: service)


def test_a_rollback_journal_that_was_left_alone(tmp_path, service):
    """SQLite would play it back into whatever file has the name now."""
    left = tmp_path / "jobs.sqlite-journal"
    left.write_bytes(b"what a killed process left")
    with pytest.raises(
        JournalError, match=r"got .*-journal without .*/jobs.sqlite, expected both or none: move it away"
    ):
        Journal(tmp_path / "jobs.sqlite", Clock()).run(request(), lambda: service)
    assert left.read_bytes() == b"what a killed process left" and not (tmp_path / "jobs.sqlite").exists()


def test_a_folder_without_hard_links(tmp_path, service, monkeypatch):
    def refuse(*paths):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(
        JournalError, match=r"which cannot be opened \(Operation not permitted\), expected .*: give another"
    ):
        Journal(tmp_path / "jobs.sqlite", Clock()).run(request(), lambda: service)
    assert [file.name for file in tmp_path.iterdir()] == ["service"], "nothing is left behind"


def test_a_journal_that_others_hold(path, service, monkeypatch):
    monkeypatch.setattr(jobs_store, "BUSY", 0.0)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        with pytest.raises(JournalError, match=r"which others have held for 60 s \(database is locked\), expected"):
            Journal(path, Clock()).run(request(99), lambda: service)
    assert service.tags == []
    Journal(path, Clock()).run(request(99), lambda: service)


# --- disks that are full --------------------------------------------------------------------------------------------


@contextmanager
def files_that_cannot_grow(path, room=0):
    """No file of this process may be longer than this one is, as on a disk without room."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


LONG = {"options": {"name": "x" * 20_000}}  # an entry that needs new pages


def test_without_room_for_the_entry_nothing_is_submitted(path, service):
    with files_that_cannot_grow(path), pytest.raises(JournalError, match=r"which cannot be read or written \(disk I/O"):
        Journal(path, Clock()).run(request(99, **LONG), lambda: service)
    assert service.tags == [] and len(Journal(path).entries()) == 2


def test_without_room_for_the_result_it_is_returned_with_a_warning(path, service):
    fetch = service.fetch

    def large(job_id):
        found = fetch(job_id)
        return found._replace(values=np.tile(found.values, (5000, 1)))

    service.fetch = large
    journal, asked = Journal(path, Clock()), request(99)
    with (
        files_that_cannot_grow(path, room=8192),
        pytest.warns(UserWarning, match="position 99: could not keep its result"),
    ):
        found = journal.run(asked, lambda: service)
    np.testing.assert_array_equal(found.values, large(service.job_ids[0]).values)
    entry = journal.entry(asked.key)
    assert (entry.state, entry.job_id) == ("queued", service.job_ids[0]), "the job is known, and can be fetched again"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(journal.run(asked, lambda: service).values, found.values)
    assert len(service.tags) == 1


@pytest.mark.parametrize("code", ["FULL", "IOERR_WRITE"])
def test_without_room_for_the_id_the_result_is_returned_and_the_job_found_by_its_tag(path, service, monkeypatch, code):
    def full(*arguments):
        with jobs_store.Store(path)._said():
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorname = f"SQLITE_{code}"
            raise error

    monkeypatch.setattr(jobs_store.Store, "submitted", full)
    monkeypatch.setattr(jobs_store.Store, "finish", full)
    monkeypatch.setattr(jobs_store.Store, "release", full)
    journal = Journal(path, Clock())
    with pytest.warns(UserWarning) as caught:
        found = journal.run(request(99), lambda: service)
    reasons = {"FULL": "which cannot grow (database or disk is full), expected room for it on the disk: make room"}
    reason = reasons.get(code, "which cannot be read or written (database or disk is full)")
    (job_id,) = service.job_ids
    for warned, what in zip(caught, [f"the id of job {job_id}", "its result"], strict=True):
        assert f"run, position 99: could not keep {what}: got the journal {path}, {reason}" in str(warned.message)
    monkeypatch.undo()  # there is room again: the entry is still owned, by a call that has ended
    np.testing.assert_array_equal(journal.run(request(99), lambda: service).values, found.values)
    assert len(service.tags) == 1


# --- what is made ---------------------------------------------------------------------------------------------------


def test_the_file_says_what_it_is(whole):
    with closing(sqlite3.connect(whole)) as db:
        assert db.execute("PRAGMA application_id").fetchone()[0].to_bytes(4) == b"qmlj"
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert [file.name for file in whole.parent.iterdir()] in (["jobs.sqlite", "service"], ["service", "jobs.sqlite"])


def test_a_transaction_waits_for_the_disk(path):
    with closing(jobs_store.Store(path)._open("rw", "DEFERRED")) as db:
        assert db.execute("PRAGMA synchronous").fetchone() == (3,), "EXTRA: also for the folder's entry"


def test_it_is_made_in_folders_that_are_not_there_yet(tmp_path, service):
    path = tmp_path / "a" / "b c" / "50%?#.sqlite"
    Journal(path, Clock()).run(request(), lambda: service)
    assert Journal(path).entries()[0].state == "done"


def test_a_process_killed_in_the_middle_of_a_transaction_leaves_the_journal_as_before(path, whole):
    """What it has written already is undone by the next one, also if that only reads."""

    def work():
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA cache_size = 1")
            db.execute("BEGIN IMMEDIATE")
            db.execute("UPDATE jobs SET label = 'other', note = hex(zeroblob(100000))")
            os.kill(os.getpid(), 9)

    assert in_child(work)[0] == -9
    assert path.read_bytes() != whole.read_bytes()
    assert [entry.label for entry in Journal(path).entries()] == ["run", "run"]
    assert path.read_bytes() == whole.read_bytes()


def test_a_result_survives_that_somebody_removes_the_file_meanwhile(tmp_path, service):
    journal = Journal(tmp_path / "jobs.sqlite", Clock())
    service.step = lambda name: journal.path.unlink() if name == "fetch: sent" else None
    found = journal.run(request(), lambda: service)
    service.step = lambda name: None
    (entry,) = journal.entries()
    assert (entry.state, entry.job_id) == ("done", service.job_ids[0])
    np.testing.assert_array_equal(journal.result(entry.key).values, found.values)


def test_a_result_that_is_there_stays(path):
    entry = Journal(path).entries()[0]
    before = Journal(path).result(entry.key)
    Journal(path).store.finish(entry, "other", before._replace(values=before.values + 1), 0.0)
    np.testing.assert_array_equal(Journal(path).result(entry.key).values, before.values)
    Journal(path).store.fail(entry.key, entry.job_id, "failed", "too late", None, 0.0)
    assert Journal(path).entries()[0].state == "done"


def test_late_news_of_an_older_job_changes_nothing(tmp_path):
    store = jobs_store.Store(tmp_path / "jobs.sqlite")
    mine = Owner.here()
    store.claim(request(), mine, 0.0)
    store.submitted(request().key, "old", 1.0)
    store.fail(request().key, "old", "failed", "broken", 1.0, 2.0)
    store.claim(request(), mine, 3.0)
    store.submitted(request().key, "new", 4.0)
    store.fail(request().key, "old", "failed", "broken", 1.0, 5.0)
    store.seen(request().key, "old", "running", 5.0)
    (entry,) = store.entries()
    assert (entry.state, entry.job_id, entry.dead, entry.before) == ("queued", "new", ("old",), 1.0)
