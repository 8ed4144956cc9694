"""Who works on something that others may see: one call in one process of one machine; and whether it has ended."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

#: Calls of this process that have not ended.
_going_on: set[str] = set()


@dataclass(frozen=True)
class Owner:
    """One call.

    Parameters
    ----------
    machine : str
        Its name, its start, and the space that its process numbers count in (containers have their own).
    pid : int
    started : str
        When the process started: numbers of processes are used again.
    call : str
        Tells the calls of one process from each other.
    """

    machine: str
    pid: int
    started: str
    call: str

    @classmethod
    def here(cls) -> Owner:
        """Return a new call of this process, which goes on until :meth:`end`."""
        owner = cls(_machine(), os.getpid(), _started(os.getpid()), uuid.uuid4().hex)
        _going_on.add(owner.call)
        return owner

    def end(self) -> None:
        """End the call."""
        _going_on.discard(self.call)

    @classmethod
    def from_json(cls, text: str) -> Owner:
        """Read what :meth:`to_json` wrote."""
        return cls(**json.loads(text))

    def to_json(self) -> str:
        """Write it as text."""
        return json.dumps(asdict(self))

    @property
    def is_here(self) -> bool:
        """Whether it runs, or ran, where this process can see it."""
        return self.machine == _machine()

    @property
    def has_ended(self) -> bool:
        """Whether it, or its process, has ended, of a call that :attr:`is_here`."""
        mine = self.pid == os.getpid()
        return _started(self.pid) != self.started or (mine and self.call not in _going_on)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.machine.split()[0]}"


@lru_cache(maxsize=1)
def _machine() -> str:
    boot, space = "", ""
    with suppress(OSError):  # files of Linux
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        space = os.readlink("/proc/self/ns/pid")
    return f"{platform.node() or 'unknown'} {boot} {space}".strip()


def _started(pid: int) -> str:
    """Return when a process started, in the system's own words; nothing if it is no more, or is only not yet reaped."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if state in "ZX" else fields[18]
    except OSError:
        return "" if Path("/proc/self").exists() else _started_by_ps(pid)


def _started_by_ps(pid: int) -> str:
    done = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = done.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else started.strip()
