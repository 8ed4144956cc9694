"""Fixtures that keep what IBM's backend keeps on disk in a temporary folder, and real accounts out of sight."""

import os

import pytest


@pytest.fixture
def own_folders(tmp_path, monkeypatch):
    """Temporary folders for transpiled circuits and the journal; no account."""
    from qiskit_ibm_runtime.accounts import management

    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    for name in [name for name in os.environ if name.startswith("QISKIT_IBM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(management, "_DEFAULT_ACCOUNT_CONFIG_JSON_FILE", str(tmp_path / "accounts.json"))
    return tmp_path
