"""Jobs as files that any program reads: ``jobs.json``, ``jobs.csv``, and their results in ``results.npz``."""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from backends.jobs import Entry, Journal
from hybrid.records import write_atomically


def write(journal: Journal, folder: Path, label: str | None = None) -> list[Path]:
    """Write the jobs of a run, or all, into a new folder, which appears when it is whole.

    The arrays of a job are named ``<key>.values`` and ``<key>.stderr``.

    Parameters
    ----------
    journal : Journal
    folder : Path
    label : str, optional

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    ValueError
        If there is something of that name already.
    OSError
        If nothing can be written there.
    """
    if folder.exists():
        raise ValueError(f"got {folder}, which exists, expected a new folder: give another name")
    entries = journal.entries(label)
    files = {"jobs.json": _json(entries), "jobs.csv": _csv(entries), "results.npz": _arrays(journal, entries)}
    folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.absolute().parent, prefix=f".{folder.name}.") as temporary:
        whole = Path(temporary) / "whole"
        whole.mkdir()
        for name, content in files.items():
            write_atomically(whole / name, content)
        os.rename(whole, folder)
    return [folder / name for name in files]


def described(entry: Entry) -> dict[str, Any]:
    """Return what is known of a job as JSON has it."""
    return asdict(entry) | {"dead": list(entry.dead), "owner": entry.owner and str(entry.owner)}


def _json(entries: list[Entry]) -> bytes:
    return json.dumps([described(entry) for entry in entries], indent=1).encode()


def _csv(entries: list[Entry]) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(Entry.__dataclass_fields__))
    writer.writeheader()
    for entry in entries:
        texts = {"options": json.dumps(entry.options, sort_keys=True), "dead": " ".join(entry.dead)}
        writer.writerow(described(entry) | texts)
    return stream.getvalue().encode()


def _arrays(journal: Journal, entries: list[Entry]) -> bytes:
    results = ((entry.key, journal.result(entry.key)) for entry in entries)
    parts = {f"{key}.{name}": getattr(found, name) for key, found in results if found for name in ("values", "stderr")}
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **{name: array for name, array in parts.items() if array is not None})
    return stream.getvalue()
