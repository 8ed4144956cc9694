"""hybrid/data.py against files made here byte by byte, scikit-learn's own loaders, and real files where they are."""

from __future__ import annotations

import gzip
import hashlib
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets

from hybrid.data import SKLEARN, Dataset, from_arrays, load, split

REAL = Path(__file__).resolve().parents[2] / "shared" / "data"

IMAGES = np.arange(12 * 2 * 3, dtype=np.uint8).reshape(12, 2, 3)
LABELS = np.array([3, 7] * 6, dtype=np.uint8)


def real(name):
    path = REAL / name
    if not path.exists():
        pytest.skip(f"no real data at {path}")
    return path


def idx(array, code=0x08):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape) + array.tobytes()


def idx_folder(folder, compress=False, test="t10k"):
    folder.mkdir(exist_ok=True)
    for part, n in (("train", 12), (test, 4)):
        for kind, array, dims in (("images", IMAGES[:n], 3), ("labels", LABELS[:n], 1)):
            name = f"{part}-{kind}-idx{dims}-ubyte"
            if compress:
                (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
            else:
                (folder / name).write_bytes(idx(array))
    return folder


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("name", SKLEARN)
def test_sklearn_sets_are_scikit_learns_own(name):
    X, y = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)
    dataset = load(name)
    assert (dataset.X.dtype, dataset.y.dtype) == (np.float32, np.int64)
    np.testing.assert_array_equal(dataset.X, X.astype(np.float32))
    np.testing.assert_array_equal(dataset.y, y)
    assert dataset.X_test is None and dataset.y_test is None
    assert dataset.n_classes == len(np.unique(y)) and dataset.n_features == X.shape[1]
    assert dataset.image_shape == ((8, 8) if name == "digits" else None)


def test_class_names():
    assert load("iris").class_names == ("setosa", "versicolor", "virginica")


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("test", ["t10k", "test"])
def test_idx_folder(tmp_path, compress, test):
    dataset = load(idx_folder(tmp_path / "tiny", compress, test))
    np.testing.assert_array_equal(dataset.X, IMAGES.reshape(12, 6))
    np.testing.assert_array_equal(dataset.y, [0, 1] * 6)
    np.testing.assert_array_equal(dataset.X_test, IMAGES[:4].reshape(4, 6))
    np.testing.assert_array_equal(dataset.y_test, [0, 1, 0, 1])
    assert (dataset.name, dataset.class_names, dataset.image_shape) == ("tiny", ("3", "7"), (2, 3))


@pytest.mark.parametrize(("code", "dtype"), [(0x09, "i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8")])
def test_idx_types_other_than_bytes(tmp_path, code, dtype):
    folder = idx_folder(tmp_path / "typed")
    values = (np.arange(72).reshape(12, 2, 3) - 5).astype(dtype)
    (folder / "train-images-idx3-ubyte").write_bytes(idx(values, code))
    np.testing.assert_array_equal(load(folder).X, np.arange(72, dtype=np.float32).reshape(12, 6) - 5)


def test_idx_without_a_test_part(tmp_path):
    folder = idx_folder(tmp_path / "train-only")
    for file in folder.glob("t10k*"):
        file.unlink()
    assert load(folder).X_test is None


@pytest.mark.parametrize(
    "keys",
    [("train_images", "train_labels", "test_images", "test_labels"), ("x_train", "y_train", "x_test", "y_test")],
)
def test_npz(tmp_path, keys):
    labels = LABELS[:, None] if keys[0] == "train_images" else LABELS
    arrays = dict(zip(keys, (IMAGES, labels, IMAGES[:4], labels[:4]), strict=True))
    dataset = load(npz(tmp_path / "tiny.npz", **arrays, class_names=np.array(["no", "yes"])))
    np.testing.assert_array_equal(dataset.X, IMAGES.reshape(12, 6))
    np.testing.assert_array_equal(dataset.y_test, [0, 1, 0, 1])
    assert (dataset.name, dataset.class_names, dataset.image_shape) == ("tiny", ("no", "yes"), (2, 3))


def test_npz_validation_part_is_left_aside(tmp_path):
    arrays = {"train_images": IMAGES, "train_labels": LABELS, "val_images": IMAGES, "val_labels": LABELS}
    dataset = load(npz(tmp_path / "tiny.npz", **arrays))
    assert len(dataset.X) == 12 and dataset.X_test is None


def test_folder_is_where_a_relative_path_starts(tmp_path):
    idx_folder(tmp_path / "tiny")
    assert load("tiny", folder=tmp_path).name == "tiny"


def test_openml_is_fetched_by_scikit_learn(monkeypatch):
    asked = []

    def fetch_openml(name, **options):
        asked.append((name, options["as_frame"]))
        return sklearn.utils.Bunch(data=np.arange(20.0).reshape(10, 2), target=np.array(["a", "b"] * 5, dtype=object))

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch_openml)
    dataset = load("openml:tiny")
    assert asked == [("tiny", False)]
    assert (dataset.name, dataset.class_names) == ("tiny", ("a", "b"))
    np.testing.assert_array_equal(dataset.y, [0, 1] * 5)


def test_openml_with_missing_labels(monkeypatch):
    bunch = sklearn.utils.Bunch(data=np.zeros((3, 2)), target=np.array(["a", "b", None], dtype=object))
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", lambda name, **options: bunch)
    with pytest.raises(ValueError, match=r"tiny has labels of type object: expected numbers or text; remove the samp"):
        load("openml:tiny")


def test_openml_out_of_reach(monkeypatch):
    def fetch_openml(name, **options):
        raise OSError("no route to host.")

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch_openml)
    with pytest.raises(ValueError, match=r"OpenML has not delivered 'tiny': no route to host. Check the name"):
        load("openml:tiny")


def test_fingerprint_is_of_the_content_alone(tmp_path):
    first = load(idx_folder(tmp_path / "one"))
    same = load(idx_folder(tmp_path / "two", compress=True))
    assert first.fingerprint == same.fingerprint and len(first.fingerprint) == 64
    changed = IMAGES.copy()
    changed[0, 0, 0] += 1
    (tmp_path / "one" / "train-images-idx3-ubyte").write_bytes(idx(changed))
    assert load(tmp_path / "one").fingerprint != first.fingerprint


def test_fingerprint_sees_where_one_array_ends_and_the_next_begins():
    X, y = np.zeros((2, 2), np.float32), np.array([0, 1])
    one, other = (Dataset("x", X.reshape(shape), y, None, None, ("0", "1"), None) for shape in ((2, 2), (4, 1)))
    assert one.fingerprint != other.fingerprint


# --- split ---------------------------------------------------------------------------------------------------------


def test_split_is_stratified_seeded_and_complete():
    dataset = load("iris")
    one, again, other = split(dataset, 0), split(dataset, 0), split(dataset, 1)
    assert one.resampled and one.X.shape == (120, 4) and one.X_test.shape == (30, 4)
    np.testing.assert_array_equal(np.bincount(one.y_test), [10, 10, 10])
    np.testing.assert_array_equal(one.X_test, again.X_test)
    assert not np.array_equal(one.X_test, other.X_test)
    together = np.concatenate([one.X, one.X_test])
    np.testing.assert_array_equal(np.sort(together, axis=0), np.sort(dataset.X, axis=0))


def test_rows_keep_their_labels():
    dataset = load("digits")
    known = {hashlib.sha256(x.tobytes()).digest(): y for x, y in zip(dataset.X, dataset.y, strict=True)}
    parts = split(dataset, 3, n_train=200)
    for x, y in zip(np.concatenate([parts.X, parts.X_test]), np.concatenate([parts.y, parts.y_test]), strict=True):
        assert known[hashlib.sha256(x.tobytes()).digest()] == y


def test_the_official_split_is_used_whatever_the_seed(tmp_path):
    dataset = load(idx_folder(tmp_path / "tiny"))
    for seed in (0, 1):
        parts = split(dataset, seed)
        assert not parts.resampled
        assert parts.X is dataset.X and parts.X_test is dataset.X_test


def test_n_train_draws_a_stratified_part_of_the_train_part(tmp_path):
    dataset = load("digits")
    parts = split(dataset, 0, n_train=100)
    assert len(parts.y) == 100 and len(parts.y_test) == 360
    assert np.ptp(np.bincount(parts.y)) <= 1
    official = load(idx_folder(tmp_path / "tiny"))
    assert split(official, 0, n_train=12).X is official.X
    few = split(official, 0, n_train=6)
    np.testing.assert_array_equal(np.bincount(few.y), [3, 3])
    assert few.X_test is official.X_test and not few.resampled


# --- errors --------------------------------------------------------------------------------------------------------


def test_unknown_name_lists_the_valid_ones(tmp_path):
    with pytest.raises(
        ValueError, match=r"Unknown data set 'digit': expected one of breast_cancer, digits, iris, wine"
    ):
        load("digit")
    with pytest.raises(ValueError, match=r"There is no folder and no \.npz file at .*absent"):
        load(tmp_path / "absent")


def test_folder_without_idx_files(tmp_path):
    with pytest.raises(ValueError, match=r"No MNIST-type files in .*: expected train-images-idx3-ubyte"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx(IMAGES)[:-1], r"holds 71 bytes of values, but its header promises 72 \(shape \(12, 2, 3\)\)"),
        (idx(IMAGES) + b"\0", r"holds 73 bytes of values, but its header promises 72"),
        (b"\x89PNG\r\n", r"is not an IDX file: it begins with the bytes 89 50 4e 47, expected 00 00"),
        (b"\0\0\x08", r"is not an IDX file: it begins with the bytes 00 00 08"),
        (b"\0\0\x08\x03\0\0", r"is not an IDX file"),
        (b"", r"is not an IDX file: it begins with the bytes \(none\)"),
    ],
)
def test_broken_idx(tmp_path, content, message):
    folder = idx_folder(tmp_path / "tiny")
    (folder / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load(folder)


@pytest.mark.parametrize("content", [b"not gzip", gzip.compress(idx(IMAGES))[:-9]], ids=["foreign", "cut off"])
def test_broken_gzip(tmp_path, content):
    folder = idx_folder(tmp_path / "tiny", compress=True)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"is not a complete gzip file .*: download it again"):
        load(folder)


@pytest.mark.parametrize("content", [b"", b"not a zip file", b"PK\x03\x04 cut off"])
def test_broken_npz(tmp_path, content):
    (tmp_path / "broken.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.npz is not a readable \.npz file .*: download it again"):
        load(tmp_path / "broken.npz")


def test_npz_with_a_damaged_array(tmp_path):
    path = npz(tmp_path / "damaged.npz", x_train=IMAGES, y_train=LABELS)
    content = bytearray(path.read_bytes())
    content[180] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged\.npz is not a readable \.npz file \(Bad CRC-32"):
        load(path)


ARRAYS = {
    "x_train": np.linspace(-1, 1, 24).reshape(12, 2),
    "y_train": LABELS,
    "class_names": np.array(["cat", "dog"]),
}


def damaged(rng, content):
    """Change one to three bytes, and cut the end off one time in ten."""
    content = bytearray(content)
    for place in rng.integers(len(content), size=rng.integers(1, 4)):
        content[place] = rng.integers(256)
    return content[: rng.integers(len(content))] if rng.random() < 0.1 else content


def is_a_dataset_or_one_line(path):
    try:
        return isinstance(load(path), Dataset)
    except (ValueError, OSError) as error:
        return len(str(error).splitlines()) == 1


@pytest.mark.filterwarnings("ignore")  # as for a user, whom NumPy warns of some damages
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_damaged_npz_is_a_dataset_or_one_line(tmp_path, save):
    rng, path = np.random.default_rng(0), tmp_path / "tiny.npz"
    save(path, **ARRAYS)
    whole = path.read_bytes()
    for _ in range(200):
        path.write_bytes(damaged(rng, whole))
        assert is_a_dataset_or_one_line(path)


@pytest.mark.filterwarnings("ignore")
def test_damaged_arrays_in_a_sound_npz_are_a_dataset_or_one_line(tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "tiny.npz"
    with zipfile.ZipFile(npz(path, **ARRAYS)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for name in list(members) * 50:
        with zipfile.ZipFile(path, "w") as archive:
            for other, content in members.items():
                archive.writestr(other, bytes(damaged(rng, content)) if other == name else content)
        assert is_a_dataset_or_one_line(path)


@pytest.mark.parametrize("compress", [False, True])
def test_damaged_idx_files_are_a_dataset_or_one_line(tmp_path, compress):
    rng, folder = np.random.default_rng(0), idx_folder(tmp_path / "tiny", compress)
    for file in sorted(folder.iterdir()):
        whole = file.read_bytes()
        for _ in range(50):
            file.write_bytes(damaged(rng, whole))
            assert is_a_dataset_or_one_line(folder)
        file.write_bytes(whole)


def test_npz_of_a_zip_version_from_the_future(tmp_path):
    path = npz(tmp_path / "future.npz", **ARRAYS)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 6] = 99  # "version needed to extract" of the first entry in the directory
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"future\.npz is not a readable \.npz file \(zip file version 9\.9\): download"
    ):
        load(path)


def test_npz_whose_first_byte_is_damaged_is_not_taken_for_python_objects(tmp_path):
    path = npz(tmp_path / "damaged.npz", **ARRAYS)
    path.write_bytes(b"?" + path.read_bytes()[1:])
    with pytest.raises(ValueError, match=r"damaged\.npz is not a readable \.npz file .*: download it again"):
        load(path)


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    folder = idx_folder(tmp_path / "tiny", compress=True)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(PermissionError, match=r"Permission denied: '.*train-images-idx3-ubyte\.gz'"):
        load(folder)


def test_truncated_npz(tmp_path):
    path = npz(tmp_path / "cut.npz", x_train=IMAGES, y_train=LABELS)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"cut\.npz is not a readable \.npz file"):
        load(path)


def test_object_arrays_are_never_unpickled(tmp_path):
    path = npz(tmp_path / "objects.npz", x_train=np.array([{"a": 1}, None]), y_train=LABELS)
    with pytest.raises(ValueError, match=r"holds an array of Python objects, which is never unpickled"):
        load(path)


def test_npz_with_other_keys(tmp_path):
    path = npz(tmp_path / "other.npz", images=IMAGES, labels=LABELS)
    with pytest.raises(ValueError, match=r"holds the arrays images, labels: expected train_images and train_labels"):
        load(path)


WITH_NAN = np.where(np.arange(24).reshape(12, 2) == 5, np.nan, 1.0)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"x_train": IMAGES[:0], "y_train": LABELS[:0]},
            r"features of shape \(0, 2, 3\): expected at least one sample",
        ),
        ({"x_train": np.float32(1), "y_train": LABELS}, r"features of shape \(\): expected at least one sample"),
        ({"x_train": WITH_NAN, "y_train": LABELS}, r"tiny has 1 NaN or infinite feature values: fill in or remove"),
        ({"x_train": WITH_NAN.astype(str), "y_train": LABELS}, r"features of type <U\d+: expected numbers"),
        (
            {"x_train": IMAGES, "y_train": LABELS[:-1]},
            r"labels of shape \(11,\) for 12 samples: expected one class per",
        ),
        ({"x_train": IMAGES, "y_train": np.eye(12)}, r"labels of shape \(12, 12\) for 12 samples"),
        ({"x_train": IMAGES, "y_train": np.full(12, np.nan)}, r"tiny has NaN or infinite labels: remove the samples"),
        ({"x_train": IMAGES, "y_train": LABELS.astype("V1")}, r"labels of type \|V1: expected numbers or text; remove"),
        (
            {"x_train": IMAGES, "y_train": LABELS, "class_names": "cat, dog"},
            r"tiny has class_names of shape \(\): expected a list of one name per class",
        ),
        ({"x_train": IMAGES, "y_train": LABELS * 0}, r"tiny has one class only, 0: a classifier needs"),
        (
            {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES},
            r"tiny has test features or test labels, but not both: add the missing part",
        ),
        (
            {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:, :1], "y_test": LABELS},
            r"The test part of tiny has samples of shape \(1, 3\), its train part \(2, 3\)",
        ),
        (
            {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES, "y_test": LABELS + 4},
            r"The test part of tiny has the class 11, which the train part lacks",
        ),
        (
            {"x_train": IMAGES, "y_train": LABELS, "x_test": np.full((2, 2, 3), np.inf), "y_test": [3, 7]},
            r"The test part of tiny has 12 NaN or infinite feature values",
        ),
    ],
)
def test_bad_data(tmp_path, arrays, message):
    with pytest.raises(ValueError, match=message):
        load(npz(tmp_path / "tiny.npz", **arrays))


@pytest.mark.parametrize("y", [np.linspace(0, 1, 12), np.linspace(0, 1, 12)[:, None], np.arange(12) + 0.5])
def test_a_quantity_is_not_a_class(tmp_path, y):
    message = r"^tiny has 12 different labels such as 0\.\d+, which is a quantity: expected classes; put it into bins"
    with pytest.raises(ValueError, match=message):
        load(npz(tmp_path / "tiny.npz", x_train=IMAGES, y_train=y))


def test_a_quantity_with_repetitions_is_not_a_class_either(tmp_path):
    arrays = {"x_train": np.zeros((210, 2)), "y_train": np.arange(210) % 21 + 0.5}
    with pytest.raises(ValueError, match=r"tiny has 21 different labels such as 0\.5"):
        load(npz(tmp_path / "tiny.npz", **arrays))


@pytest.mark.parametrize("y", [LABELS / 2, LABELS * 1.0, np.arange(12) % 6.0])
def test_classes_may_be_written_as_floats(tmp_path, y):
    np.testing.assert_array_equal(
        load(npz(tmp_path / "tiny.npz", x_train=IMAGES, y_train=y)).y, np.unique(y, return_inverse=True)[1]
    )


@pytest.mark.parametrize("y", [[0.0, 1.0], [0.3, 0.7], ["a", "b"], [True, False]])
def test_classes_of_a_dataset_are_integers(y):
    X, good = np.zeros((2, 2), np.float32), np.array([0, 1])
    for labels in ((np.array(y), None), (good, np.array(y))):
        with pytest.raises(
            ValueError, match=r"^tiny has labels of type \S+: expected classes as integers from 0; number"
        ):
            Dataset("tiny", X, labels[0], X, labels[1], ("0", "1"), None)


def dataset_with(y):
    y = np.asarray(y)
    return Dataset("tiny", np.zeros((len(y), 2), np.float32), y, None, None, tuple(map(str, range(y.max() + 1))), None)


def test_a_class_with_one_sample_cannot_be_stratified():
    with pytest.raises(ValueError, match=r"Class '1' of tiny has 1 training sample\(s\): a stratified split needs two"):
        split(dataset_with([0] * 20 + [1]), 0)


@pytest.mark.parametrize("test_size", [0.0, 1.0, -0.5, float("nan"), 0.01, 0.99])
def test_test_size_must_leave_every_class_in_both_parts(test_size):
    with pytest.raises(ValueError, match=r"test_size is .*, but iris has 150 samples in 3 classes: give a share from"):
        split(load("iris"), 0, test_size)


@pytest.mark.parametrize("test_size", [0.02, 0.98])
def test_the_limits_that_the_message_names_do_work(test_size):
    assert set(split(load("iris"), 0, test_size).y_test) == {0, 1, 2}


@pytest.mark.parametrize("n_train", [2, 118, 121, -1])
def test_n_train_out_of_range(n_train):
    with pytest.raises(
        ValueError, match=rf"n_train is {n_train}, but iris has 120 training samples in 3 classes: .*117"
    ):
        split(load("iris"), 0, n_train=n_train)


# --- real files ----------------------------------------------------------------------------------------------------


def test_real_mnist():
    dataset = load(real("mnist"))
    assert dataset.X.shape == (60_000, 784) and dataset.X_test.shape == (10_000, 784)
    assert np.bincount(dataset.y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert dataset.X.mean() / 255 == pytest.approx(0.1307, abs=1e-4)
    assert dataset.image_shape == (28, 28)


def test_real_fashion_mnist():
    dataset = load(real("fashion-mnist"))
    assert np.bincount(dataset.y_test).tolist() == [1000] * 10


@pytest.mark.parametrize(
    ("name", "train", "test"),
    [("breastmnist", [147, 399], [42, 114]), ("pneumoniamnist", [1214, 3494], [234, 390])],
)
def test_real_medmnist(name, train, test):
    dataset = load(real(f"medmnist/{name}.npz"))
    assert np.bincount(dataset.y).tolist() == train and np.bincount(dataset.y_test).tolist() == test
    assert dataset.image_shape == (28, 28)


def test_real_mednist():
    dataset = load(real("mednist/mednist_subset.npz"))
    assert dataset.class_names == ("AbdomenCT", "BreastMRI", "CXR", "ChestCT", "Hand", "HeadCT")
    assert dataset.X.shape == (1200, 64 * 64) and dataset.X_test.shape == (240, 64 * 64)


def test_real_colour_images():
    path = real("cifar10/cifar10_subset.npz")
    dataset = load(path)
    assert dataset.image_shape == (3, 32, 32) and dataset.n_classes == 10
    with np.load(path) as archive:
        images = dataset.X.reshape(-1, *dataset.image_shape).transpose(0, 2, 3, 1)
        np.testing.assert_array_equal(images, archive["x_train"])


def test_features_beyond_float32(tmp_path):
    np.savez(tmp_path / "big.npz", train_images=np.array([[1e300], [1.0]]), train_labels=np.array([0, 1]))
    with pytest.raises(ValueError, match="beyond the range of float32: divide them by a constant first"):
        load(tmp_path / "big.npz")


def test_arrays_as_a_data_set():
    X = np.arange(24.0).reshape(4, 2, 3)
    found = from_arrays(X, ["b", "a", "b", "a"], X[:1] + 1, ["a"], name="mine")
    assert (found.name, found.class_names, found.image_shape) == ("mine", ("a", "b"), (2, 3))
    assert found.X.dtype == np.float32 and np.array_equal(found.X, X.reshape(4, 6))
    assert found.y.tolist() == [1, 0, 1, 0] and found.y_test.tolist() == [0]
    assert from_arrays(X.tolist(), [0, 1, 0, 1]).X_test is None


def test_samples_that_are_no_array():
    X = np.ones((4, 2))
    for given in ((X, [0, 1, 0, 1]), [[1.0, 2.0], [3.0]]):
        with pytest.raises(ValueError, match=r"got samples that are no array .*X and y"):
            from_arrays(given, None)


def test_arrays_of_one_class():
    with pytest.raises(ValueError, match="mine has one class only, 3: a classifier needs samples of two or more"):
        from_arrays(np.ones((4, 2)), [3, 3, 3, 3], name="mine")
