"""hybrid/fetching.py against a server on loopback that fails on demand, and an OpenML that is made here."""

from __future__ import annotations

import hashlib
import io
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
from sklearn.utils import Bunch

from hybrid import catalogue, fetching
from hybrid.catalogue import KNOWN
from hybrid.data import load


def content():
    buffer, labels = io.BytesIO(), np.arange(20)[:, None] % 2
    X = np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)
    np.savez(buffer, train_images=X, train_labels=labels, test_images=X, test_labels=labels)
    return buffer.getvalue()


WHOLE = content()


class Server(ThreadingHTTPServer):
    """Answers every request with `status` and the first `n` bytes of what it promises."""

    daemon_threads = True
    status, n, promised, requests = 200, None, WHOLE, 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/files/breastmnist.npz"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests += 1
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.promised)))
        self.end_headers()
        self.wfile.write(self.server.promised[: self.server.n])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Nothing is on disk, and scikit-learn's data home is a folder of the test."""
    monkeypatch.delenv(catalogue.VARIABLE, raising=False)
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path / "home"))
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    return tmp_path / "home" / "hybridqml"


@pytest.fixture
def server(home, monkeypatch):
    with Server(("127.0.0.1", 0), Handler) as found:
        threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True).start()
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "127.0.0.1")
        md5 = {"breastmnist.npz": hashlib.md5(WHOLE).hexdigest()}
        monkeypatch.setitem(KNOWN, "breastmnist", replace(KNOWN["breastmnist"], source=found.url, md5=md5))
        yield found
        found.shutdown()


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_set_is_fetched_once_and_said_to_be(server, home, capsys):
    first, again = load("breastmnist"), load("breastmnist")
    assert server.requests == 1 and files(home) == ["breastmnist.npz"]
    assert (home / "breastmnist.npz").read_bytes() == WHOLE
    assert first.fingerprint == again.fingerprint and first.X.shape == (20, 784)
    said = capsys.readouterr()
    assert said.out == "" and said.err == f"Fetching breastmnist from {server.url}, once; it is kept in {home}\n"


def test_the_cache_is_a_data_folder(server, home):
    fetching.fetch("breastmnist")
    assert catalogue.find("breastmnist", home) == home / "breastmnist.npz"
    assert load("breastmnist", folder=home).name == "breastmnist"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"n": 300}, r"(300 bytes with the md5 \w{32} instead of \w{32}|IncompleteRead\(300 bytes)"),
        ({"n": 0}, r"(0 bytes with the md5 d41d8cd98f00b204e9800998ecf8427e|IncompleteRead\(0 bytes)"),
        ({"promised": WHOLE[:-1] + b"x"}, rf"{len(WHOLE)} bytes with the md5"),
        ({"promised": b"<html>busy</html>"}, "17 bytes with the md5"),
        ({"status": 404}, "HTTP Error 404"),
        ({"status": 503}, "HTTP Error 503"),
    ],
    ids=["half", "nothing", "one byte", "a page", "404", "503"],
)
def test_what_is_not_the_official_file_is_never_kept(server, home, change, why):
    vars(server).update(change)
    expected = (
        rf"^got no breastmnist from {server.url} \({why}.*\), expected it whole: try again, or put breastmnist\.np"
    )
    with pytest.raises(ValueError, match=expected) as caught:
        load("breastmnist")
    assert "\n" not in str(caught.value) and not home.exists()
    vars(server).update(n=None, status=200, promised=WHOLE)
    assert load("breastmnist").n_classes == 2, "the next time it is fetched"


def test_a_damaged_file_in_the_cache_is_fetched_again(server, home):
    home.mkdir(parents=True)
    (home / "breastmnist.npz").write_bytes(WHOLE[:-5])
    assert load("breastmnist").note.endswith("156 test images")
    assert server.requests == 1 and (home / "breastmnist.npz").read_bytes() == WHOLE


def test_without_a_network_it_is_one_line_that_says_what_to_do(server, home):
    server.server_close()
    server.shutdown()
    with pytest.raises(ValueError, match=r"Connection refused.*put breastmnist\.npz into a folder and let QML_DATA or"):
        load("breastmnist")


@pytest.mark.parametrize("name", ["cifar100", "mednist"])
def test_sets_that_are_not_fetched(home, name):
    message = rf"^got {name}, which is not fetched, expected it on disk: put {name}/{name}\.npz into a folder and let "
    with pytest.raises(ValueError, match=message):
        load(name)


# --- OpenML ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def openml(home, monkeypatch):
    """An OpenML with ten images of 2 × 2 pixels, the last four the test part, of two classes."""
    asked = []
    bunch = Bunch(data=np.arange(40.0).reshape(10, 4), target=np.array([*"0101010011"], dtype=object))

    def fetch_openml(name, **options):
        asked.append((name, options))
        if isinstance(bunch.data, Exception):
            raise bunch.data
        return bunch

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch_openml)
    small = replace(KNOWN["mnist"], shape=(2, 2), n_train=6, test_counts=(2, 2))
    monkeypatch.setitem(KNOWN, "mnist", small)
    return asked, bunch


def test_a_set_of_openml_is_parsed_once_with_its_official_test_part(openml, home):
    asked, _ = openml
    found, again = load("mnist"), load("mnist")
    assert asked == [("mnist_784", {"version": 1, "as_frame": False})] and files(home) == ["mnist/mnist.npz"]
    assert found.fingerprint == again.fingerprint and found.note == ""
    assert (found.name, found.image_shape, found.X.shape, found.X_test.shape) == ("mnist", (2, 2), (6, 4), (4, 4))
    np.testing.assert_array_equal(np.concatenate([found.X, found.X_test]), np.arange(40).reshape(10, 4))
    assert found.y.tolist() == [0, 1] * 3 and found.y_test.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"data": OSError("no route to host")}, "no route to host"),
        (
            {"target": np.array([*"0011010111"], dtype=object)},
            r"its last images have the class counts \(1, 3\), not \(2, 2",
        ),
        ({"data": np.zeros((10, 5))}, "cannot reshape array of size 50"),
        ({"target": np.array(["cat"] * 10, dtype=object)}, "invalid literal for int"),
    ],
)
def test_what_is_not_the_official_set_is_never_kept(openml, home, change, why):
    _, bunch = openml
    bunch.update(change)
    with pytest.raises(
        ValueError, match=rf"^got no mnist from OpenML \({why}.*\), expected it whole: try again, or put"
    ):
        load("mnist")
    assert not home.exists()


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_fetches_and_says_where(run, server, home):
    code, stdout, _ = run("data", "breastmnist")
    assert code == 0 and stdout.splitlines() == [
        f"breastmnist: {home / 'breastmnist.npz'}",
        f"For the experiments: qml run --all --data {home}",
    ]


def test_the_command_refuses_unknown_names_before_it_fetches(run, server):
    code, stdout, stderr = run("data", "breastmnist,minst")
    assert (code, stdout) == (2, "") and server.requests == 0
    assert stderr == f"qml: Unknown image set 'minst': expected one of {', '.join(KNOWN)}.\n"


def test_the_command_says_in_which_way_a_set_is_not_the_official_one(run, tmp_path):
    Path(tmp_path / "breastmnist.npz").write_bytes(WHOLE)
    run.chdir(tmp_path)
    code, _, stderr = run("compare", "breastmnist", "--models", "none")
    assert code == 2 and stderr.splitlines()[0].startswith(
        "Note: breastmnist.npz holds 20 of 546 training and 20 of 156"
    )
