"""Fetch image sets by name from the network, once: they are kept in a folder of scikit-learn's data home.

What arrives is checked before it is written, and written whole or not at all: no half file is ever found there.
"""

from __future__ import annotations

import io
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np

from hybrid import catalogue
from hybrid.records import write_atomically

_CHUNK = 1 << 16
_TIMEOUT = 30.0  # seconds without an answer


def cache() -> Path:
    """Return the folder in which fetched sets are kept; it can be named as a data folder."""
    from sklearn.datasets import get_data_home

    return Path(get_data_home()) / "hybridqml"


def fetch(name: str) -> Path:
    """Return the file of a set in the cache, fetched if it is not there yet.

    Raises
    ------
    ValueError
        If it cannot be had, or is not what it should be.
    OSError
        If the cache cannot be written to.
    """
    found = catalogue.find(name, cache())
    if found is not None and not catalogue.changed(name, found):
        return found
    source = catalogue.KNOWN[name].source
    if source is None:
        raise ValueError(f"got {name}, which is not fetched, expected it on disk: {_put(name)}")
    openml = source.startswith("openml:")
    content = _openml(name, source.removeprefix("openml:")) if openml else _download(name, source)
    file = cache() / (f"{name}/{name}.npz" if openml else f"{name}.npz")
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, content)
    return file


def _openml(name: str, title: str) -> bytes:
    """Return a set of OpenML as an ``.npz`` file, its official test part the last images."""
    from sklearn.datasets import fetch_openml

    known = catalogue.KNOWN[name]
    with _console(name, "OpenML").status("fetching and parsing it, which takes minutes"):
        try:
            bunch = fetch_openml(title, version=1, as_frame=False)
            X = np.asarray(bunch.data).astype(np.uint8).reshape(-1, *known.shape)
            y = np.asarray(bunch.target).astype(np.uint8)
        except (OSError, ValueError) as error:
            raise _missing(name, "OpenML", error) from error
    n, buffer = known.n_train, io.BytesIO()
    if (counts := tuple(np.bincount(y[n:]).tolist())) != known.test_counts:
        raise _missing(name, "OpenML", f"its last images have the class counts {counts}, not {known.test_counts}")
    np.savez(buffer, x_train=X[:n], y_train=y[:n], x_test=X[n:], y_test=y[n:])
    return buffer.getvalue()


def _download(name: str, url: str) -> bytes:
    """Return the content at an address, if its checksum is the official one."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

    console, content = _console(name, url), io.BytesIO()
    columns = BarColumn(), DownloadColumn(), TransferSpeedColumn()
    shown = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    try:
        with shown, urlopen(url, timeout=_TIMEOUT) as answer:
            task = shown.add_task(name, total=int(answer.headers.get("Content-Length", 0)) or None)
            while chunk := answer.read(_CHUNK):
                content.write(chunk)
                shown.advance(task, len(chunk))
    except (OSError, HTTPException) as error:
        if isinstance(error, HTTPError):
            error.close()
        raise _missing(name, url, error) from error
    expected, found = catalogue.KNOWN[name].md5[f"{name}.npz"], catalogue.md5(content.getvalue())
    if found != expected:
        raise _missing(name, url, f"{content.tell()} bytes with the md5 {found} instead of {expected}")
    return content.getvalue()


def _console(name: str, where: str) -> Any:
    """Say what is fetched, and return the console to show progress on."""
    from rich.console import Console

    console = Console(stderr=True)
    console.print(f"Fetching {name} from {where}, once; it is kept in {cache()}", highlight=False, soft_wrap=True)
    return console


def _missing(name: str, where: str, why: object) -> ValueError:
    return ValueError(
        f"got no {name} from {where} ({' '.join(str(why).split())}), expected it whole: try again, or {_put(name)}"
    )


def _put(name: str) -> str:
    return f"put {catalogue.KNOWN[name].places[0]} into a folder and let {catalogue.VARIABLE} or --data name it"
