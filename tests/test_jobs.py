"""backends/jobs.py: no job is lost and none is paid for twice, whoever dies, wherever, and whatever the line drops."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import disk_service
import numpy as np
import pytest
from disk_service import Clock, DiskService, Steps, lose, request, run_all
from test_owners import gone

from backends import jobs, jobs_store
from backends.jobs import Failed, Gone, JobError, Journal, Lost, Refused, Result, Unfinished
from backends.owners import Owner

ROOT = Path(__file__).parents[1]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def journal(tmp_path, clock):
    return Journal(tmp_path / "jobs.sqlite", clock)


@pytest.fixture
def service(tmp_path):
    return DiskService(tmp_path / "service")


def states(journal):
    return [entry.state for entry in journal.entries()]


def nobody():
    raise AssertionError("no client is needed")


# --- what a request is ----------------------------------------------------------------------------------------------


def test_a_key_is_a_tag_that_depends_on_everything_but_the_estimate():
    base = request(3, b"content")
    changes = [
        {"label": "other"}, {"position": 4}, {"chunk": 1}, {"device": "other"}, {"content": b"other"}, {"rows": 3},
        {"shots": None}, {"options": {"level": 2}},
    ]  # fmt: skip
    keys = {base.key, *(replace(base, **change).key for change in changes)}
    assert len(keys) == 1 + len(changes)
    assert all(re.fullmatch("q[0-9a-f]{24}", key) for key in keys)
    assert replace(base, estimate=5.0).key == base.key
    assert request(3, b"content", options={"b": 1, "a": 2}).key == request(3, b"content", options={"a": 2, "b": 1}).key


def test_the_key_stays_what_it_was():
    fields = {
        "label": "run", "position": 0, "chunk": 0, "device": "disk", "content": "", "rows": 2, "shots": 10,
        "options": {"level": 1},
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
    assert request().key == f"q{digest[:24]}", "or journals of earlier versions would be paid for again"


# --- an undisturbed job ---------------------------------------------------------------------------------------------


def test_a_result_is_kept_and_given_again_bit_for_bit_without_a_network(journal, service):
    first = journal.run(request(), lambda: service)
    again = Journal(journal.path, Clock()).run(request(), nobody)
    expected = np.random.default_rng(int(request().key[1:], 16)).normal(size=(2, 3))
    np.testing.assert_array_equal(first.values, expected)
    np.testing.assert_array_equal(again.values, first.values)
    np.testing.assert_array_equal(again.stderr, first.stderr)
    assert (again.seconds, again.values.dtype) == (1.5, np.float64)
    assert service.tags == [request().key]


def test_a_result_without_errors_and_seconds(journal, service):
    service.fetch = lambda job_id: Result(np.arange(3.0))
    journal.run(request(), lambda: service)
    values, stderr, seconds = journal.run(request(), nobody)
    assert values.tolist() == [0, 1, 2] and stderr is None and seconds is None


def test_equal_questions_at_two_positions_are_two_jobs(journal, service):
    one, other = (journal.run(request(position), lambda: service).values for position in (0, 1))
    assert len(service.tags) == 2 and not np.array_equal(one, other)


def test_what_happens_is_told(journal, service):
    told = []
    service.n_polls = 2
    journal.run(request(), lambda: service, on_event=told.append)
    assert [event.kind for event in told] == ["submitted", "queued", "queued", "done"]
    assert {event.job_id for event in told} == {journal.entries()[0].job_id}
    journal.run(request(), nobody, on_event=told.append)
    assert told[-1] == ("done", request(), None, "")


def test_questions_come_at_growing_distances(journal, service, clock):
    at = []
    service.n_polls, service.step = 6, lambda name: at.append(clock.now) if name == "status" else None
    journal.run(request(), lambda: service, poll=(2.0, 5.0))
    np.testing.assert_allclose(np.diff(at), [2, 3, 4.5, 5, 5, 5])


def test_an_entry_says_what_was_asked(journal, service, clock):
    journal.run(request(7, estimate=3.0), lambda: service)
    (entry,) = journal.entries()
    assert (entry.key, entry.label, entry.position, entry.device) == (request(7).key, "run", 7, "disk")
    assert (entry.rows, entry.shots, entry.options, entry.state) == (2, 10, {"level": 1}, "done")
    assert (entry.estimate, entry.seconds, entry.created, entry.owner) == (3.0, 1.5, 1000.0, None)
    assert (
        journal.entry(entry.key[:6]) == entry and journal.entries("other") == [] and journal.entries("run") == [entry]
    )


@pytest.mark.parametrize("key", ["", "q", "x", "%", "q_"])
def test_a_key_that_names_no_entry(journal, service, key):
    run_all(journal.path, lambda: service)
    with pytest.raises(
        JobError, match=rf"got {key!r}, expected the key of one job or its beginning, found .*: see 'qml"
    ):
        journal.entry(key)


# --- processes that are killed --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_killed_at_every_step_a_run_goes_on_with_the_same_jobs(tmp_path):
    """Statement by statement and request by request; tests/disk_service.py kills with signal 9."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, disk_service.__file__, tmp_path], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    steps = found["calm"]["steps"]
    once = {"submit: not taken", "submit: taken", "fetch: not sent", "fetch: sent"}
    assert {name: n for name, n in Counter(steps).items() if name in once} == dict.fromkeys(once, disk_service.N_STEPS)
    assert steps.count("COMMIT") == 3 * disk_service.N_STEPS, "write-ahead, job id, result"
    n = disk_service.N_STEPS
    assert len(found["outcomes"]) == len(steps)
    for step, outcome in zip(steps, found["outcomes"], strict=True):
        assert outcome == [-9, 0, found["calm"]["result"], n, n, "ok", ["done"] * n], step


def test_the_write_ahead_comes_before_the_job_and_its_id_before_the_wait(journal, service):
    seen = []

    def look(name):
        seen.append((name, states(journal), [entry.job_id is not None for entry in journal.entries()]))

    service.step = look
    journal.run(request(), lambda: service)
    assert seen == [
        ("submit: not taken", ["submitting"], [False]),
        ("submit: taken", ["submitting"], [False]),
        ("status", ["queued"], [True]),
        ("status", ["queued"], [True]),
        ("fetch: not sent", ["queued"], [True]),
        ("fetch: sent", ["queued"], [True]),
    ]


# --- lines that drop ------------------------------------------------------------------------------------------------


def n_requests(tmp_path):
    steps = Steps()
    run_all(tmp_path / "calm.sqlite", lambda: DiskService(tmp_path / "calm", steps))
    return len(steps.names)


def test_dropped_at_every_request_a_run_goes_on_with_the_same_jobs(tmp_path):
    calm = run_all(tmp_path / "jobs.sqlite", lambda: DiskService(tmp_path / "service"))
    for at in range(n_requests(tmp_path)):
        place = tmp_path / str(at)
        service = DiskService(place, Steps(at, lose))
        assert run_all(tmp_path / f"{at}.sqlite", lambda service=service: service) == calm
        assert len(service.tags) == len(set(service.tags)) == disk_service.N_STEPS, service.step.names


@pytest.mark.parametrize("name", ["submit: not taken", "submit: taken", "find", "status", "fetch: not sent"])
def test_a_request_that_is_dropped_many_times(journal, service, name):
    dropped = Counter()

    def step(now):
        if now == name and dropped[now] < 40:
            dropped[now] += 1
            lose()

    service.step = step
    if name == "find":
        journal.store.claim(request(), gone(), 0.0)
    if name == "submit: taken":
        service.find = hidden(service, 0)
    journal.run(request(), lambda: service)
    assert dropped == {name: 1 if name == "submit: taken" else 40}
    assert len(service.tags) == 1


def test_a_service_that_cannot_be_reached_at_first(journal, service):
    answers = [Lost("down")] * 3 + [service]

    def connect():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    journal.run(request(), connect)
    assert answers == [] and len(service.tags) == 1


def hidden(service, n):
    """A service that does not show a job under its tag at the first n questions."""
    shown = service.find

    def find(tag):
        nonlocal n
        n -= 1
        return [] if n >= 0 else shown(tag)

    return find


def test_a_job_that_its_service_shows_late_is_adopted(journal, service, clock):
    asked = []
    service.find, service.step = hidden(service, 1), Steps(1, lose)
    find = service.find
    service.find = lambda tag: asked.append(clock.now) or find(tag)
    told = []
    journal.run(request(), lambda: service, on_event=told.append)
    assert len(service.tags) == 1 and "adopted" in [event.kind for event in told]
    assert np.diff(asked).tolist() == [jobs.SETTLE], "it is asked twice, with a pause"


def test_a_job_that_did_not_arrive_is_submitted_anew(journal, service):
    service.step = Steps(0, lose)
    journal.run(request(), lambda: service)
    assert service.step.names[:4] == ["submit: not taken", "find", "find", "submit: not taken"]
    assert len(service.tags) == 1


# --- who is at it ---------------------------------------------------------------------------------------------------


def test_an_owner_that_died_is_taken_over(journal, service):
    journal.store.claim(request(), gone(), 0.0)
    service.step = Steps()
    journal.run(request(), lambda: service)
    assert service.step.names[:3] == ["find", "find", "submit: not taken"], "it may have been submitted"


def test_an_owner_that_lives_is_waited_for(journal, service):
    journal.store.claim(request(), Owner.here(), 0.0)
    told = []
    with pytest.raises(Unfinished):
        journal.run(request(), lambda: service, timeout=1000.0, on_event=told.append)
    assert service.tags == []
    assert {event.kind for event in told} == {"waiting"}
    assert told[0].text == f"process {os.getpid()} on {os.uname().nodename} is about to submit it"


def test_an_owner_elsewhere_lives_as_long_as_it_gives_signs(journal, service, clock):
    elsewhere = replace(Owner.here(), machine="elsewhere")
    journal.store.claim(request(), elsewhere, clock.now)
    told = []
    start = clock.now
    journal.run(request(), lambda: service, on_event=told.append, timeout=10_000.0)
    waited = sum(event.kind == "waiting" for event in told)
    assert len(service.tags) == 1 and waited > 1 and clock.now - start >= jobs_store.STALE
    assert told[0].text == f"process {os.getpid()} on elsewhere is about to submit it"


def test_who_was_taken_over_while_it_slept_submits_nothing(journal, service, clock):
    """Its answer is lost, and before its next try another machine takes the entry for abandoned."""
    other = replace(Owner.here(), machine="elsewhere")
    steps = Steps(0, lose)

    def step(name):
        if name == "find" and "find" not in steps.names:
            with sqlite3.connect(journal.path) as db:
                db.execute("UPDATE jobs SET owner = ?, beat = ?", (other.to_json(), clock.now))
        steps(name)

    service.step, told, start = step, [], clock.now
    journal.run(request(), lambda: service, on_event=told.append)
    assert [event.kind for event in told].count("waiting") > 1 and clock.now - start > jobs_store.STALE
    assert len(service.tags) == 1


def test_threads_that_share_a_journal_submit_once(journal, service):
    """The first one stays inside of its submission until the second has seen that it is at it."""
    begun, seen, results = threading.Event(), threading.Event(), []
    submit = service.submit
    service.submit = lambda tag: (begun.set(), seen.wait(), submit(tag))[-1]

    def work(on_event):
        found = Journal(journal.path).run(request(), lambda: service, poll=(0.001, 0.001), on_event=on_event)
        results.append(found.values.tolist())

    first = threading.Thread(target=work, args=(lambda event: None,))
    second = threading.Thread(target=work, args=(lambda event: seen.set() if event.kind == "waiting" else None,))
    first.start()
    begun.wait()
    second.start()
    first.join()
    second.join()
    assert len(service.tags) == 1 and len(results) == 2 and results[0] == results[1]


def test_many_threads_at_once(tmp_path):
    service, results = DiskService(tmp_path / "service"), []

    def work():
        fast = Clock()
        fast.sleep = lambda seconds: threading.Event().wait(0.001)
        results.append(run_all(tmp_path / "jobs.sqlite", lambda: DiskService(tmp_path / "service"), fast))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 6 and len(set(results)) == 1
    assert len(service.tags) == len(set(service.tags)) == disk_service.N_STEPS


PROCESS = """
import json, sys
from pathlib import Path
import disk_service
from disk_service import DiskService, request
from backends.jobs import Journal

folder, me = Path(sys.argv[1]), sys.argv[2]

class Slow(DiskService):
    def submit(self, tag):
        print("submitting", flush=True)
        sys.stdin.readline()
        return super().submit(tag)

def told(event):
    if event.kind == "waiting":
        print("waiting", flush=True)

journal = Journal(folder / "jobs.sqlite")
found = journal.run(request(), lambda: Slow(folder / "service"), poll=(0.001, 0.01), on_event=told)
print(found.values.tolist(), flush=True)
"""


def process(tmp_path, *, start=PROCESS):
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", start, str(tmp_path), "x"], env=environment, **pipes)


@pytest.mark.parametrize("dies", [False, True])
def test_processes_that_share_a_journal_submit_once(tmp_path, dies):
    """The second one waits for the first; if the first dies, it takes over."""
    one = process(tmp_path)
    assert one.stdout.readline() == "submitting\n"
    other = process(tmp_path)
    assert other.stdout.readline() == "waiting\n"
    if dies:
        one.kill()
        one.communicate()
        lines = iter(other.stdout.readline, "")
        assert next(line for line in lines if line != "waiting\n") == "submitting\n"
        last, _ = other.communicate("go\n")
    else:
        found, _ = one.communicate("go\n")
        last = "".join(line for line in other.communicate()[0].splitlines(True) if line != "waiting\n")
        assert found == last
    assert len(json.loads(last)) == 2
    assert len(DiskService(tmp_path / "service").tags) == 1


# --- jobs that end badly --------------------------------------------------------------------------------------------


def test_a_refusal_is_kept_and_the_next_run_submits_anew(journal, service):
    answers = [Refused("got 0 shots, expected at least 1")]
    submit = service.submit
    service.submit = lambda tag: (_ for _ in ()).throw(answers.pop()) if answers else submit(tag)
    with pytest.raises(Refused, match="got 0 shots"):
        journal.run(request(estimate=9.0), lambda: service)
    (entry,) = journal.entries()
    assert (entry.state, entry.note, entry.owner) == ("refused", "got 0 shots, expected at least 1", None)
    assert journal.spent() == 0
    journal.run(request(), lambda: service)
    assert states(journal) == ["done"] and len(service.tags) == 1


def failing(service, seconds=None, kind=Failed):
    """Let the job fail that is there now."""
    (bad,) = service.job_ids
    status, fetch = service.status, service.fetch

    def fetch_or_fail(job_id):
        if job_id == bad:
            failed = kind("the device was recalibrated")
            failed.seconds = seconds
            raise failed
        return fetch(job_id)

    service.status = lambda job_id: "failed" if job_id == bad else status(job_id)
    service.fetch = fetch_or_fail
    return bad


@pytest.mark.parametrize(("billed", "spent"), [(0.5, 0.5), (None, 9.0)])
def test_a_job_that_failed_is_kept_with_its_cost_and_not_adopted_again(journal, service, billed, spent):
    service.step = lambda name: failing(service, billed) if name == "submit: taken" else None
    with pytest.raises(Failed, match="the device was recalibrated"):
        journal.run(request(estimate=9.0), lambda: service)
    (entry,) = journal.entries()
    assert (entry.state, entry.note, entry.dead) == ("failed", "the device was recalibrated", (entry.job_id,))
    assert journal.spent() == spent
    service.step = Steps(1, lose)  # of the second job too the answer is lost, so that both are found by the tag
    journal.run(request(estimate=9.0), lambda: service)
    assert len(service.tags) == 2 and states(journal) == ["done"]
    assert journal.spent() == spent + 1.5


@pytest.mark.parametrize("asked", ["status", "fetch"])
def test_a_job_that_ended_with_its_process_is_submitted_anew_at_once(journal, service, asked):
    with pytest.raises(KeyboardInterrupt):
        journal.run(request(), lambda: service, on_event=interrupt)
    status = service.status
    bad = failing(service, 0.0, Gone)
    if asked == "status":
        service.status = lambda job_id: service.fetch(job_id) and "failed" if job_id == bad else status(job_id)
    journal.run(request(), lambda: service)
    assert states(journal) == ["done"] and len(service.tags) == 2
    assert journal.entries()[0].dead == (bad,) and journal.spent() == 1.5


def test_a_service_that_always_forgets_ends_in_an_error(journal, service):
    service.fetch = lambda job_id: (_ for _ in ()).throw(Gone("gone"))
    with pytest.raises(Gone):
        journal.run(request(), lambda: service)


def interrupt(event):
    if event.kind == "queued":
        raise KeyboardInterrupt


def test_an_interrupt_while_waiting_leaves_the_job_to_be_fetched(journal, service):
    with pytest.raises(KeyboardInterrupt):
        journal.run(request(), lambda: service, on_event=interrupt)
    assert states(journal) == ["queued"]
    journal.run(request(), lambda: service)
    assert len(service.tags) == 1


def test_an_interrupt_while_submitting_leaves_the_entry_to_others(journal, service):
    def stop():
        raise KeyboardInterrupt

    service.step = Steps(1, stop)
    with pytest.raises(KeyboardInterrupt):
        journal.run(request(), lambda: service)
    assert states(journal) == ["submitting"] and journal.entries()[0].owner is None
    journal.run(request(), lambda: service)
    assert len(service.tags) == 1


def test_a_deadline_keeps_the_id_and_says_how_to_go_on(journal, service, clock):
    service.n_polls = 10**6
    start = clock.now
    with pytest.raises(Unfinished) as caught:
        journal.run(request(4), lambda: service, timeout=3600.0)
    (entry,) = journal.entries()
    assert str(caught.value) == (
        f"got no result of run, position 4 within 3600 s (last: queued), expected one: job {entry.job_id} is kept in "
        f"{journal.path}; run the same command again, or 'qml jobs resume {entry.key}', to go on"
    )
    assert isinstance(caught.value, TimeoutError) and clock.now - start == 3600
    service.n_polls = 0
    journal.run(request(4), lambda: service)
    assert len(service.tags) == 1


def test_a_deadline_before_there_is_an_id(journal, service):
    service.step = lambda name: lose() if name in ("submit: taken", "find") else None
    with pytest.raises(Unfinished, match=r"\(last: the line was cut\), expected one: its tag is kept in .*: run|; run"):
        journal.run(request(chunk=1), lambda: service, timeout=60.0)
    service.step = lambda name: None
    journal.run(request(chunk=1), lambda: service)
    assert len(service.tags) == 1


# --- what it costs --------------------------------------------------------------------------------------------------


def test_spent_counts_what_is_billed_and_what_may_be(journal, service):
    journal.run(request(0, estimate=4.0), lambda: service)
    assert journal.spent("run") == 1.5
    with pytest.raises(KeyboardInterrupt):
        service.n_polls = 1
        journal.run(request(1, estimate=4.0), lambda: service, on_event=interrupt)
    assert journal.spent("run") == 5.5
    journal.store.claim(request(2, estimate=8.0), Owner.here(), 0.0)
    journal.store.claim(request(3), Owner.here(), 0.0)
    assert journal.spent("run") == 13.5
    assert journal.spent("other") == 0 and journal.spent() == 13.5


def test_nothing_is_spent_where_there_is_no_journal(journal):
    assert journal.spent() == 0 and journal.entries() == [] and journal.result("q") is None
    assert not journal.path.exists(), "looking makes no file"


# --- looking after jobs that were left ------------------------------------------------------------------------------


def left(journal, service, step=None):
    with pytest.raises(KeyboardInterrupt):
        journal.run(request(), lambda: service, on_event=interrupt)
    return journal.entries()[0]


def test_a_finished_job_is_collected(journal, service):
    entry = left(journal, service)
    service.n_polls = 1
    assert journal.collect(entry, service).state == "queued"
    assert journal.collect(entry, service).state == "done"
    expected = service.fetch(entry.job_id)
    np.testing.assert_array_equal(journal.run(request(), nobody).values, expected.values)
    assert len(service.tags) == 1


def test_a_running_job_stays(journal, service):
    entry = left(journal, service)
    service.status = lambda job_id: "running"
    assert journal.collect(entry, service).state == "running"


def test_a_job_whose_id_is_not_known_is_collected_by_its_tag(journal, service):
    entry, _ = journal.store.claim(request(), gone(), 0.0)
    assert journal.collect(entry, service).state == "submitting", "nothing is submitted"
    assert service.tags == []
    job_id = service.submit(request().key)
    service.n_polls = 0
    found = journal.collect(entry, service)
    assert (found.state, found.job_id) == ("done", job_id)


@pytest.mark.parametrize("asked", ["status", "fetch"])
def test_a_job_that_failed_meanwhile_is_marked(journal, service, asked):
    entry = left(journal, service)
    failing(service, 2.0)
    if asked == "status":
        service.status = service.fetch
    found = journal.collect(entry, service)
    assert (found.state, found.note, found.seconds) == ("failed", "the device was recalibrated", 2.0)


def test_a_job_is_cancelled_and_the_next_run_submits_another(journal, service):
    entry = left(journal, service)
    found = journal.cancel(entry, service)
    assert (found.state, found.note, found.dead) == ("cancelled", "cancelled by you", (entry.job_id,))
    assert service.read(entry.job_id)["cancelled"]
    message = rf"got job {entry.key}, which is cancelled, expected one that has not ended: leave it"
    with pytest.raises(JobError, match=message):
        journal.cancel(found, service)
    service.n_polls = 0
    journal.run(request(), lambda: service)
    assert len(service.tags) == 2 and states(journal) == ["done"]


def test_a_job_that_others_cancelled(journal, service):
    fetch = service.fetch

    def fetch_or_fail(job_id):
        if service.read(job_id)["cancelled"]:
            raise Failed("it was cancelled")
        return fetch(job_id)

    service.fetch = fetch_or_fail
    service.step = lambda name: service.cancel(service.job_ids[0]) if name == "submit: taken" else None
    with pytest.raises(Failed, match="it was cancelled"):
        journal.run(request(estimate=3.0), lambda: service)
    assert states(journal) == ["cancelled"] and journal.spent() == 0


# --- the adapter ----------------------------------------------------------------------------------------------------


def test_clients_come_from_the_adapter(journal, service, monkeypatch):
    entry, _ = journal.store.claim(request(), gone(), 0.0)
    adapter = type(sys)("backends.ibm")
    adapter.client_for = lambda entry: (service, entry.device)
    monkeypatch.setitem(sys.modules, "backends.ibm", adapter)
    assert jobs.client_for(entry) == (service, "disk")


def test_an_adapter_that_is_not_installed(journal, monkeypatch):
    entry, _ = journal.store.claim(request(), gone(), 0.0)

    def missing(name):
        raise ModuleNotFoundError("No module named 'qiskit_ibm_runtime'", name="qiskit_ibm_runtime")

    monkeypatch.setattr(jobs, "import_module", missing)
    message = r"jobs on disk need qiskit_ibm_runtime: pip install 'hybridqml\[ibm\]'"
    with pytest.raises(JobError, match=message):
        jobs.client_for(entry)


def test_the_usual_place(monkeypatch, tmp_path):
    pytest.importorskip("platformdirs")
    monkeypatch.setattr("platformdirs.user_data_path", lambda name, appauthor: tmp_path / name)
    assert Journal().path == tmp_path / "hybridqml" / "jobs.sqlite"
    monkeypatch.setitem(sys.modules, "platformdirs", None)
    with pytest.raises(
        JobError, match=r"found with platformdirs, which is not installed: pip install 'hybridqml\[ibm\]'"
    ):
        Journal()
