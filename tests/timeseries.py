"""Files with time series: those kept beside the repository, and small ones made here."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "timeseries"


def reference(name):
    """Path of a real file; skips the test where it is not there."""
    if not (FOLDER / name).exists():
        pytest.skip(f"no time series at {FOLDER / name}")
    return FOLDER / name


def write(path, content):
    """Write text or bytes, and return the path."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path
