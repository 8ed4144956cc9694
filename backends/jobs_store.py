"""The file of the journal: one row per job in SQLite, made to survive a kill at any statement.

A rollback journal instead of a write-ahead log, because the log needs memory shared between processes, which network
folders do not have; every transaction is on the disk, with its folder, before the next thing happens; every operation
opens the file anew, so that nothing is shared between threads or inherited by a fork. A file that is no journal, or
not a whole one, is found out by a connection that cannot write.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np

from backends.owners import Owner

APPLICATION = int.from_bytes(b"qmlj")
SCHEMA = 1

#: Seconds that a transaction waits for those of other processes.
BUSY = 60.0

#: Seconds without a sign of life, after which an owner on another machine counts as dead: longer than any one request.
STALE = 600.0

#: States of a job that ended without a result, or never began.
ENDED = ("failed", "cancelled", "refused")

_TABLE = f"""
BEGIN;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {SCHEMA};
CREATE TABLE jobs (
    key TEXT PRIMARY KEY,
    label TEXT NOT NULL,
    position INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    device TEXT NOT NULL,
    content TEXT NOT NULL,
    rows INTEGER NOT NULL,
    shots INTEGER,
    options TEXT NOT NULL,
    estimate REAL,                   -- seconds that the job is expected to cost
    state TEXT NOT NULL,
    job_id TEXT,
    dead TEXT NOT NULL DEFAULT '[]', -- ids of jobs of this key that ended without a result
    before REAL NOT NULL DEFAULT 0,  -- seconds that those cost
    seconds REAL,                    -- billed
    note TEXT,
    created REAL NOT NULL,
    updated REAL NOT NULL,
    owner TEXT,                      -- who submits it
    beat REAL,                       -- the owner's last sign of life
    result BLOB
);
CREATE INDEX jobs_by_label ON jobs (label, position, chunk);
COMMIT;
"""


class JobError(Exception):
    """Something about a job, in one line."""


class JournalError(JobError):
    """The file of the journal cannot be used; it was left as it is."""


@dataclass(frozen=True)
class Request:
    """One logical job: what a run wants to know at one position.

    Parameters
    ----------
    label : str
        Name of the run.
    position : int
        Number of the evaluation in the run.
    chunk : int
        Number of the job, of an evaluation that takes several.
    device : str
    content : bytes
        Hash of all that determines the result: circuit, rows, observables.
    rows : int
    shots : int or None
    options : dict
        As JSON has them, without secrets.
    estimate : float, optional
        Seconds that the job is expected to cost; not part of the key.
    """

    label: str
    position: int
    chunk: int
    device: str
    content: bytes
    rows: int
    shots: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    estimate: float | None = field(default=None, compare=False)

    @property
    def key(self) -> str:
        """``q`` and 24 hexadecimal digits: the tag of the job, by which its service finds it again."""
        known = {name: value for name, value in asdict(self).items() if name != "estimate"}
        text = json.dumps(known | {"content": self.content.hex()}, sort_keys=True)
        return "q" + hashlib.sha256(text.encode()).hexdigest()[:24]


class Result(NamedTuple):
    """What a job found: values and standard errors, any shape, and the seconds it was billed, where known."""

    values: np.ndarray
    stderr: np.ndarray | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Entry:
    """One row of the journal; times in seconds since 1970."""

    key: str
    label: str
    position: int
    chunk: int
    device: str
    rows: int
    shots: int | None
    options: dict[str, Any]
    estimate: float | None
    state: str
    job_id: str | None
    dead: tuple[str, ...]
    before: float
    seconds: float | None
    note: str | None
    created: float
    updated: float
    owner: Owner | None
    beat: float | None

    @property
    def is_pending(self) -> bool:
        """Whether a result may still come."""
        return self.state not in (*ENDED, "done")


def where(job: Request | Entry) -> str:
    """Return in words which part of which run a job is."""
    return f"{job.label}, position {job.position}" + (f", part {job.chunk + 1}" if job.chunk else "")


_COLUMNS = ", ".join(column.name for column in fields(Entry))


class Store:
    """The file, which is made at the first write; its methods are one transaction each.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self, label: str | None = None, start: str = "") -> list[Entry]:
        """Return the entries of a run, or of all, whose key begins so, in the order in which they were made."""
        if not self._exists():
            return []
        wanted = "(?1 IS NULL OR label = ?1) AND substr(key, 1, length(?2)) = ?2"
        with self._reading() as db:
            found = db.execute(f"SELECT {_COLUMNS} FROM jobs WHERE {wanted} ORDER BY created, rowid", (label, start))
            return [_entry(row) for row in found]

    def result(self, key: str) -> Result | None:
        """Return the result of an entry, if it has one.

        Raises
        ------
        JournalError
            If the result is damaged.
        """
        if not self._exists():
            return None
        with self._reading() as db:
            row = db.execute("SELECT result, seconds FROM jobs WHERE key = ? AND state = 'done'", (key,)).fetchone()
        try:
            return None if row is None else Result(*_unpacked(row[0]), row[1])
        except Exception as error:  # whatever NumPy and zip files raise
            raise self._refused(f"whose result of {key} is damaged ({error})", "a whole one", _AWAY) from error

    def spent(self, label: str | None = None) -> float:
        """Return the seconds billed to a run, or to all; of jobs that are not yet billed those that they may cost."""
        if not self._exists():
            return 0.0
        with self._reading() as db:
            total = db.execute(f"SELECT TOTAL(before + {_COST}) FROM jobs WHERE ?1 IS NULL OR label = ?1", (label,))
            return float(total.fetchone()[0])

    def claim(self, request: Request, owner: Owner, now: float) -> tuple[Entry, bool]:
        """Write ahead that a job is about to be submitted, unless it was already, or a living owner is at it.

        Returns
        -------
        Entry
            The caller's to submit if it has the caller as its owner.
        bool
            Whether it may have been submitted before, by somebody who died or got no answer.
        """
        with self._writing() as db:
            entry = _insert(db, request, "submitting", now)
            fresh = entry.state in ENDED or (entry.owner is None and entry.beat is None)
            if entry.state in ENDED:
                db.execute(_AGAIN, (request.key,))
            if entry.state in ENDED or (entry.state == "submitting" and not _lives(entry, now)):
                owned = (owner.to_json(), now, now, request.estimate, request.key)
                db.execute("UPDATE jobs SET owner = ?, beat = ?, updated = ?, estimate = ? WHERE key = ?", owned)
            return _get(db, request.key), not fresh

    def beat(self, key: str, owner: Owner, now: float) -> bool:
        """Give a sign of life; False if another owner has taken over."""
        mine = (now, key, owner.to_json())
        with self._writing() as db:
            return db.execute("UPDATE jobs SET beat = ? WHERE key = ? AND owner = ?", mine).rowcount == 1

    def release(self, key: str, owner: Owner) -> None:
        """Let others go on with an entry, if it is this owner's."""
        with self._writing() as db:
            db.execute("UPDATE jobs SET owner = NULL WHERE key = ? AND owner = ?", (key, owner.to_json()))

    def submitted(self, key: str, job_id: str, now: float) -> None:
        """Keep the id of a job that its service has taken."""
        with self._writing() as db:
            known = (job_id, now, key)
            db.execute(
                "UPDATE jobs SET state = 'queued', job_id = ?, updated = ?, owner = NULL "
                "WHERE key = ? AND state = 'submitting'",
                known,
            )

    def seen(self, key: str, job_id: str, state: str, now: float) -> None:
        """Keep the state in which a job that has not ended was seen."""
        with self._writing() as db:
            wanted = "key = ? AND job_id = ? AND state IN ('queued', 'running')"
            db.execute(f"UPDATE jobs SET state = ?, updated = ? WHERE {wanted}", (state, now, key, job_id))

    def finish(self, request: Request | Entry, job_id: str, result: Result, now: float) -> None:
        """Keep a result, and that there is one; a result that is already there stays."""
        packed = _packed(result)
        with self._writing() as db:
            if isinstance(request, Request):
                _insert(db, request, "running", now)  # in case somebody has removed the file
            done = (job_id, packed, result.seconds, now, request.key)
            db.execute(
                "UPDATE jobs SET state = 'done', job_id = ?, result = ?, seconds = ?, updated = ?, owner = NULL, "
                "note = NULL WHERE key = ? AND state != 'done'",
                done,
            )

    def fail(self, key: str, job_id: str | None, state: str, note: str, seconds: float | None, now: float) -> None:
        """Keep that a job has ended without a result, or was refused; another job of that key is none of it."""
        with self._writing() as db:
            wanted = "key = ? AND job_id IS ? AND state NOT IN ('done', 'failed', 'cancelled')"
            dead = db.execute(f"SELECT dead FROM jobs WHERE {wanted}", (key, job_id)).fetchone()
            if dead is not None:
                ids = json.dumps([*json.loads(dead[0]), *([job_id] if job_id else [])])
                known = (state, note, seconds, ids, now, key)
                db.execute(
                    "UPDATE jobs SET state = ?, note = ?, seconds = ?, dead = ?, updated = ?, owner = NULL "
                    "WHERE key = ?",
                    known,
                )

    def _exists(self) -> bool:
        with self._said():
            if self.path.exists() and not self.path.is_file():
                raise self._refused("which is a folder or a device", "a file", _OTHER)
            return self.path.exists()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._said(), closing(self._open_to_read()) as db:
            yield db

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._said():
            if not self._exists():
                self._create()
            self._open_to_read().close()  # before a connection that may write: a file that is no journal is left alone
            with closing(self._open("rw", "IMMEDIATE")) as db:
                yield db
                db.execute("COMMIT")

    def _open_to_read(self) -> sqlite3.Connection:
        try:
            return self._open("ro", "DEFERRED")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_READONLY_ROLLBACK":
                raise
            return self._open("rw", "DEFERRED")  # a process was killed: what it left is undone first

    def _open(self, mode: str, kind: str) -> sqlite3.Connection:
        db = sqlite3.connect(f"file:{quote(str(self.path))}?mode={mode}", uri=True, timeout=BUSY, isolation_level=None)
        try:
            db.execute("PRAGMA synchronous = EXTRA")
            db.execute("PRAGMA fullfsync = ON")  # of macOS, whose fsync does not wait for the disk
            db.execute(f"BEGIN {kind}")
            self._check(db)
        except BaseException:
            db.close()
            raise
        return db

    def _check(self, db: sqlite3.Connection) -> None:
        read = {name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")}
        size = self.path.stat().st_size
        if not size or size % db.execute("PRAGMA page_size").fetchone()[0]:
            raise self._refused("which is cut short", "a whole journal", _AWAY)
        if read["application_id"] != APPLICATION:
            raise self._refused("which belongs to another program", "a journal of jobs", _OTHER)
        if read["user_version"] > SCHEMA:
            found = f"which a newer version has written (schema {read['user_version']})"
            raise self._refused(found, f"schema {SCHEMA}", "bring hybridqml up to date, or give another path")

    def _create(self) -> None:
        """Make the file whole or not at all, and never over another one."""
        left = self.path.with_name(f"{self.path.name}-journal")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if left.exists() and not self.path.exists():
                raise JournalError(f"got {left} without {self.path}, expected both or none: move it away too")
            with TemporaryDirectory(dir=self.path.parent, prefix=".jobs-") as folder:
                new = Path(folder) / self.path.name
                with closing(sqlite3.connect(new)) as db:
                    db.executescript(_TABLE)
                with suppress(FileExistsError):  # another process was faster
                    os.link(new, self.path)
        except OSError as error:
            raise self._unopened(error) from error

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Say in one line what SQLite or the system has against the file."""
        try:
            yield
        except OSError as error:
            raise self._unopened(error) from error
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "")
            found, expected, remedy = next((line for start, line in _REASONS.items() if name.startswith(start)), _ELSE)
            raise self._refused(f"{found} ({error})", expected, remedy) from error

    def _unopened(self, error: OSError) -> JournalError:
        return self._refused(f"which cannot be opened ({error.strerror or error})", "a file to read and write", _OTHER)

    def _refused(self, found: str, expected: str, remedy: str) -> JournalError:
        return JournalError(
            f"got the journal {self.path}, {found}, expected {expected}: {remedy}; it was left as it is"
        )


_AWAY = "move it away, or give another path"
_OTHER = "give another path"

# Beginning of an error's name -> what is wrong, what is expected, what to do.
_REASONS = {
    "SQLITE_NOTADB": ("which is none", "a journal of jobs", _AWAY),
    "SQLITE_CORRUPT": ("which is damaged or cut short", "a whole one", _AWAY),
    "SQLITE_READONLY": (
        "which is read-only",
        "one that can be written",
        "change its permissions, or give another path",
    ),
    "SQLITE_CANTOPEN": ("which cannot be opened", "a file to read and write", _OTHER),
    "SQLITE_FULL": ("which cannot grow", "room for it on the disk", "make room, and run the same command again"),
    "SQLITE_IOERR": ("which cannot be read or written", "a disk that works and has room", "see to the disk"),
    "SQLITE_BUSY": (f"which others have held for {BUSY:g} s", "short use", "see that no process hangs, and try again"),
}
_ELSE = ("which SQLite cannot use", "a journal of jobs", _AWAY)

# What a job costs or may still cost.
_COST = (
    "CASE WHEN seconds IS NOT NULL THEN seconds WHEN state IN ('refused', 'cancelled') THEN 0 "
    "ELSE COALESCE(estimate, 0) END"
)

_AGAIN = (
    f"UPDATE jobs SET before = before + {_COST}, state = 'submitting', seconds = NULL, job_id = NULL, note = NULL "
    "WHERE key = ?"
)


def _insert(db: sqlite3.Connection, request: Request, state: str, now: float) -> Entry:
    """Make the entry of a request unless there is one; return it."""
    row = {
        "key": request.key,
        "label": request.label,
        "position": request.position,
        "chunk": request.chunk,
        "device": request.device,
        "content": request.content.hex(),
        "rows": request.rows,
        "shots": request.shots,
        "options": json.dumps(request.options, sort_keys=True),
        "estimate": request.estimate,
        "state": state,
        "created": now,
        "updated": now,
    }
    values = ", ".join(f":{name}" for name in row)
    db.execute(f"INSERT INTO jobs ({', '.join(row)}) VALUES ({values}) ON CONFLICT DO NOTHING", row)
    return _get(db, request.key)


def _get(db: sqlite3.Connection, key: str) -> Entry:
    return _entry(db.execute(f"SELECT {_COLUMNS} FROM jobs WHERE key = ?", (key,)).fetchone())


def _entry(row: tuple[Any, ...]) -> Entry:
    values = dict(zip((column.name for column in fields(Entry)), row, strict=True))
    owner = None if values["owner"] is None else Owner.from_json(values["owner"])
    return Entry(
        **values | {"options": json.loads(values["options"]), "dead": tuple(json.loads(values["dead"])), "owner": owner}
    )


def _lives(entry: Entry, now: float) -> bool:
    """Whether somebody is at an entry; of another machine's processes only their signs of life are known."""
    if entry.owner is None:
        return False
    return not entry.owner.has_ended if entry.owner.is_here else now - (entry.beat or 0) < STALE


def _packed(result: Result) -> bytes:
    stream = io.BytesIO()
    arrays = {name: value for name, value in result._asdict().items() if name != "seconds" and value is not None}
    np.savez(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def _unpacked(packed: bytes) -> tuple[np.ndarray, np.ndarray | None]:
    with np.load(io.BytesIO(packed)) as arrays:
        return arrays["values"], arrays.get("stderr")
