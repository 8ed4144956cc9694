"""hybrid/catalogue.py and hybrid.data.load by name: where sets are found, what is refused, what is noted."""

from __future__ import annotations

import gzip
import hashlib
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hybrid import catalogue, fetching
from hybrid.catalogue import KNOWN
from hybrid.data import load

REAL = Path(__file__).resolve().parents[2] / "shared" / "data"
N = 20


@pytest.fixture(autouse=True)
def nothing_elsewhere(tmp_path, monkeypatch):
    """Only what a test puts into its own folder is there, and nothing is fetched."""
    monkeypatch.delenv(catalogue.VARIABLE, raising=False)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")

    def fetch(name):
        raise AssertionError(f"{name} is fetched")

    monkeypatch.setattr(fetching, "fetch", fetch)


def images(*shape, n=N):
    return np.random.default_rng(0).integers(0, 256, (n, *shape), np.uint8)


def idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def idx_folder(folder, side=28, compress=False):
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "t10k"):
        for kind, array in (("images-idx3", images(side, side)), ("labels-idx1", np.arange(N, dtype=np.uint8) % 10)):
            content, name = idx(array), f"{part}-{kind}-ubyte"
            path = folder / (f"{name}.gz" if compress else name)
            path.write_bytes(gzip.compress(content) if compress else content)
    return folder


def npz(path, *shape):
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = np.arange(N)[:, None] % 2
    np.savez(path, train_images=images(*shape), train_labels=labels, test_images=images(*shape), test_labels=labels)
    return path


# --- where it is found -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "place"),
    [("mnist", "mnist"), ("mnist", "MNIST/raw"), ("mnist", "."), ("fashion-mnist", "fashion-mnist"),
     ("fashion-mnist", "FashionMNIST/raw")],
)  # fmt: skip
def test_idx_sets_are_found_where_torchvision_and_the_official_archives_put_them(tmp_path, name, place):
    idx_folder(tmp_path / place)
    found = load(name, tmp_path)
    assert (found.name, found.image_shape) == (name, (28, 28))
    np.testing.assert_array_equal(found.X, images(28, 28).reshape(N, -1))


@pytest.mark.parametrize("place", ["breastmnist.npz", "medmnist/breastmnist.npz"])
def test_medmnist_is_found_where_its_package_puts_it(tmp_path, place):
    npz(tmp_path / place, 28, 28)
    assert load("breastmnist", tmp_path).name == "breastmnist"


def test_the_working_directory_comes_first_and_then_the_variable(tmp_path, monkeypatch):
    idx_folder(tmp_path / "data" / "mnist")
    monkeypatch.setenv(catalogue.VARIABLE, str(tmp_path / "data"))
    assert load("mnist").X[0, 0] == images(28, 28)[0, 0, 0]
    np.savez(tmp_path / "data" / "tiny.npz", x_train=images(2, 2), y_train=np.arange(N) % 2)
    assert load("tiny.npz").image_shape == (2, 2)
    path = idx_folder(tmp_path / "empty" / "mnist") / "train-images-idx3-ubyte"
    path.write_bytes(idx(np.zeros((N, 28, 28), np.uint8)))
    assert load("mnist").X.max() == 0
    assert load("mnist", tmp_path / "data").X.max() > 0


def test_the_complete_set_comes_before_a_part_of_it(tmp_path):
    np.savez(
        npz(tmp_path / "cifar10" / "cifar10_subset.npz", 32, 32, 3), x_train=images(3, 32, 32), y_train=[0, 1] * 10
    )
    assert load("cifar10", tmp_path).X_test is None
    npz(tmp_path / "cifar10" / "cifar10.npz", 32, 32, 3)
    assert load("cifar10", tmp_path).X_test is not None


def test_what_is_not_on_disk_is_fetched(tmp_path):
    with pytest.raises(AssertionError, match="mnist is fetched"):
        load("mnist", tmp_path)
    assert catalogue.find("mnist", tmp_path) is None


# --- colour ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_colour_images_become_channels_first(tmp_path, save):
    X = images(32, 32, 3)
    (tmp_path / "cifar10").mkdir()
    save(tmp_path / "cifar10" / "cifar10.npz", x_train=X, y_train=np.arange(N) % 10)
    found = load("cifar10", tmp_path)
    assert found.image_shape == (3, 32, 32)
    restored = found.X.reshape(N, *found.image_shape)
    for channel in range(3):
        np.testing.assert_array_equal(restored[:, channel], X[..., channel])


def test_images_that_have_their_channels_first_stay(tmp_path):
    X = images(3, 4, 3)  # could be read either way: three channels first
    np.savez(tmp_path / "x.npz", x_train=X, y_train=np.arange(N) % 2)
    found = load(tmp_path / "x.npz")
    assert found.image_shape == (3, 4, 3) and np.array_equal(found.X.reshape(X.shape), X)


@pytest.mark.parametrize(
    ("name", "folder", "files", "before"),
    [("cifar10", "cifar-10-batches-bin", ("data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"), 0),
     ("cifar100", "cifar-100-binary", ("train.bin", "test.bin"), 1)],
)  # fmt: skip
def test_cifars_binary_version(tmp_path, name, folder, files, before):
    """Each image is a byte of its class (of 100: a coarse one before), then red, green and blue, row by row."""
    (tmp_path / folder).mkdir()
    X, y = images(3, 32, 32), np.arange(N) % 10
    rows = [bytes([7] * before + [label]) + image.tobytes() for image, label in zip(X, y, strict=True)]
    for file in files:
        (tmp_path / folder / file).write_bytes(b"".join(rows))
    found = load(name, tmp_path)
    n_train = N * (len(files) - 1)
    assert found.image_shape == (3, 32, 32) and found.X.shape == (n_train, 3072) and found.X_test.shape == (N, 3072)
    np.testing.assert_array_equal(found.X[-N:].reshape(X.shape), X)
    np.testing.assert_array_equal(found.y_test, y)
    (tmp_path / folder / files[-1]).write_bytes(b"".join(rows)[:-1])
    with pytest.raises(ValueError, match=rf"{files[-1]} holds \d+ bytes, expected a multiple of {3073 + before}, one"):
        load(name, tmp_path)
    (tmp_path / folder / files[-1]).unlink()
    with pytest.raises(ValueError, match=rf"in .*{folder}, expected CIFAR's binary files, train and test part: unpack"):
        load(name, tmp_path)


# --- copies ----------------------------------------------------------------------------------------------------------


def test_a_copy_of_another_shape_is_refused(tmp_path):
    idx_folder(tmp_path, side=8)
    with pytest.raises(
        ValueError, match=r"got images of shape \(8, 8\) in .*, expected \(28, 28\) for mnist: is it an"
    ):
        load("mnist", tmp_path)


def test_files_of_another_set_are_refused(tmp_path, monkeypatch):
    file = idx_folder(tmp_path, compress=True) / "t10k-labels-idx1-ubyte.gz"
    md5 = {file.name: hashlib.md5(file.read_bytes()).hexdigest()}
    monkeypatch.setitem(KNOWN, "fashion-mnist", replace(KNOWN["fashion-mnist"], md5=md5))
    with pytest.raises(ValueError, match=r"got .*-labels-.*gz, a file of fashion-mnist, expected mnist: move it to a"):
        load("mnist", tmp_path)


def test_another_checksum_and_another_size_are_noted(tmp_path, monkeypatch):
    file = npz(tmp_path / "breastmnist.npz", 28, 28)
    assert load("breastmnist", tmp_path).note == (
        f"{file} holds 20 of 546 training and 20 of 156 test images; {file} is not the official file, by its md5"
    )
    md5 = {file.name: hashlib.md5(file.read_bytes()).hexdigest()}
    monkeypatch.setitem(KNOWN, "breastmnist", replace(KNOWN["breastmnist"], n_train=N, test_counts=(10, 10), md5=md5))
    assert load("breastmnist", tmp_path).note == ""
    assert load(file).note == "", "of a path nothing is claimed"


def test_a_note_does_not_change_what_data_are(tmp_path):
    file = npz(tmp_path / "breastmnist.npz", 28, 28)
    assert load("breastmnist", tmp_path).fingerprint == load(file).fingerprint


def test_a_half_file_is_never_used(tmp_path):
    file = idx_folder(tmp_path / "mnist", compress=True) / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz is not a complete gzip file .*: download it ag"):
        load("mnist", tmp_path)
    file = npz(tmp_path / "medmnist" / "breastmnist.npz", 28, 28)
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"breastmnist\.npz is not a readable \.npz file"):
        load("breastmnist", tmp_path)


# --- real files ------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data")
@pytest.mark.parametrize("name", KNOWN)
def test_real_sets_by_name(name):
    found, known = load(name, REAL), KNOWN[name]
    assert found.image_shape == known.shape and found.X.min() >= 0 and found.X.max() == 255
    if name in ("mnist", "fashion-mnist", "breastmnist", "pneumoniamnist"):
        assert tuple(np.bincount(found.y_test)) == known.test_counts, "the test part is the official one"
    noted = {"mnist": "", "mednist": "", "breastmnist": "by its md5", "pneumoniamnist": "by its md5"}
    assert found.note.endswith(noted.get(name, "")) and bool(found.note) == (noted.get(name) != "")
    assert len({*known.md5.values()}) == len(known.md5)
