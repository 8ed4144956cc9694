"""A service whose jobs are files in a folder, so that they outlive whoever submits them; and runs that are killed.

As a program it kills a run at every step it takes, statement by statement, restarts it, and prints what came of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import sys
import uuid
from pathlib import Path

import numpy as np

from backends import jobs_store
from backends.jobs import Journal, Lost, Request, Result

N_STEPS = 2


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self, now=1000.0):
        self.now = now

    def time(self):
        return self.now

    monotonic = time

    def sleep(self, seconds):
        self.now += seconds


class DiskService:
    """Every method tells ``step`` before and after it takes effect; ``step`` may kill the process or drop the line."""

    def __init__(self, folder, step=lambda name: None, n_polls=1):
        self.folder, self.step, self.n_polls = Path(folder), step, n_polls
        self.folder.mkdir(exist_ok=True)

    def submit(self, tag):
        self.step("submit: not taken")
        job_id = uuid.uuid4().hex
        self.write(job_id, {"tag": tag, "cancelled": False})
        self.step("submit: taken")
        return job_id

    def find(self, tag):
        self.step("find")
        return [job_id for job_id in self.job_ids if self.read(job_id)["tag"] == tag]

    def status(self, job_id):
        self.step("status")
        job = self.read(job_id)
        self.n_polls -= 1
        if job["cancelled"]:
            return "cancelled"
        return "done" if self.n_polls < 0 else "queued"

    def fetch(self, job_id):
        self.step("fetch: not sent")
        rng = np.random.default_rng(int(self.read(job_id)["tag"][1:], 16))
        result = Result(rng.normal(size=(2, 3)), rng.random((2, 3)), 1.5)
        self.step("fetch: sent")
        return result

    def cancel(self, job_id):
        self.step("cancel")
        self.write(job_id, self.read(job_id) | {"cancelled": True})

    def read(self, job_id):
        return json.loads((self.folder / job_id).read_text())

    def write(self, job_id, job):
        new = self.folder / f".{uuid.uuid4().hex}"
        new.write_text(json.dumps(job))
        new.replace(self.folder / job_id)

    @property
    def job_ids(self):
        return sorted(file.name for file in self.folder.glob("[!.]*"))

    @property
    def tags(self):
        return [self.read(job_id)["tag"] for job_id in self.job_ids]


def request(position=0, content=b"", **fields):
    known = {"label": "run", "chunk": 0, "device": "disk", "rows": 2, "shots": 10, "options": {"level": 1}}
    return Request(position=position, content=content, **{**known, **fields})


def run_all(journal, make_client, clock=None):
    """A run whose every step depends on the result of the one before, as in training; returns the last result."""
    journal, content = Journal(journal, clock or Clock()), b"first"
    for position in range(N_STEPS):
        values, stderr, _ = journal.run(request(position, content), make_client)
        content = hashlib.sha256(values.tobytes() + stderr.tobytes()).digest()
    return content.hex()


class Steps:
    """Names the steps of a process, and does something at the one of the given number."""

    def __init__(self, at=None, act=None):
        self.names, self.at, self.act = [], at, act

    def __call__(self, name):
        self.names.append(name)
        if len(self.names) - 1 == self.at:
            self.act()


def die():
    os.kill(os.getpid(), 9)


def lose():
    raise Lost("the line was cut")


def traced(step):
    """Make each SQL statement a step; sqlite3 tells before it begins."""
    connect = sqlite3.connect

    def connected(*arguments, **options):
        db = connect(*arguments, **options)
        db.set_trace_callback(lambda sql: step(" ".join(sql.split()[:2])))
        return db

    jobs_store.sqlite3 = type("traced", (), {**vars(sqlite3), "connect": staticmethod(connected)})


def in_child(work):
    """Run in a process of its own; return how it ended (minus the signal) and what it returned."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(write, work().encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as stream:
        found = stream.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), found


def attempt(folder, at=None, journal=None):
    """Run in a child that dies at a step; return how it ended, and its result or the steps it took."""

    def work():
        steps = Steps(at, die)
        traced(steps)
        found = run_all(folder / "jobs.sqlite", lambda: DiskService(folder / "service", steps))
        return json.dumps({"result": found, "steps": steps.names})

    return in_child(work)


def kill_everywhere(folder):
    """For every step of an undisturbed run: a run killed there, and the run after it."""
    (folder / "calm").mkdir()
    _, printed = attempt(folder / "calm")
    calm = json.loads(printed)
    outcomes = []
    for at in range(len(calm["steps"])):
        place = folder / str(at)
        place.mkdir()
        killed, _ = attempt(place, at)
        ended, printed = attempt(place)
        with sqlite3.connect(place / "jobs.sqlite") as db:
            sound = db.execute("PRAGMA integrity_check").fetchone()[0]
            states = [state for (state,) in db.execute("SELECT state FROM jobs")]
        tags = DiskService(place / "service").tags
        outcomes.append([killed, ended, json.loads(printed)["result"], len(tags), len(set(tags)), sound, states])
    return {"calm": calm, "outcomes": outcomes}


if __name__ == "__main__":
    print(json.dumps(kill_everywhere(Path(sys.argv[1]))))
