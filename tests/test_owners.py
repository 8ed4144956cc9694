"""backends/owners.py: a process that has ended is told from one that lives, and from a later one of its number."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace

from backends import owners
from backends.owners import Owner


def gone():
    """An owner whose process has ended."""
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    owner = replace(Owner.here(), pid=process.pid, started=owners._started(process.pid) or "1", call="dead")
    process.wait()
    return owner


def test_an_owner_lives_as_long_as_its_process():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = replace(Owner.here(), pid=process.pid, started=owners._started(process.pid))
    assert owner.is_here and owner.started and not owner.has_ended
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert owner.has_ended, "also before anybody has asked how it ended"
    process.communicate()
    assert owner.has_ended
    assert replace(Owner.here(), started="earlier").has_ended, "the number of a process may be used again"
    assert Owner.from_json(owner.to_json()) == owner and str(owner).startswith(f"process {process.pid} on ")


def test_when_a_process_started_is_also_known_from_ps():
    assert re.fullmatch(r"\w+ +\w+ +\d+ [\d:]+ \d+", owners._started_by_ps(os.getpid()))
    assert owners._started_by_ps(os.getpid()) == owners._started_by_ps(os.getpid())
    assert owners._started_by_ps(gone().pid) == ""


def test_calls_of_one_process_are_told_from_each_other():
    one, other = Owner.here(), Owner.here()
    assert one != other and (one.machine, one.pid, one.started) == (other.machine, other.pid, other.started)


def test_a_call_ends_before_its_process():
    one, other = Owner.here(), Owner.here()
    one.end()
    assert one.has_ended and not other.has_ended
    assert Owner.from_json(one.to_json()).has_ended and not Owner.from_json(other.to_json()).has_ended


def test_a_process_on_another_machine_is_not_here():
    assert not replace(Owner.here(), machine="elsewhere").is_here
    assert len(Owner.here().machine.split()) == 3 or sys.platform != "linux", "name, boot and space of process numbers"
