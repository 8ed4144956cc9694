"""hybrid/checks.py: what is taken, and what is refused in one line; comparisons test the texts."""

from __future__ import annotations

import joblib
import numpy as np
import pytest

from hybrid import checks


def test_seeds():
    assert checks.seeds(3) == [0, 1, 2] and checks.seeds([5, 3, 5]) == [5, 3]
    assert [type(seed) for seed in checks.seeds(np.arange(2))] == [int, int]


def test_jobs():
    assert checks.jobs(None) == joblib.cpu_count() and checks.jobs(np.int8(3)) == 3


def number(value):
    return checks.number("lr", value)


def kind(value):
    return checks.kind("x", value, int, "a number")


@pytest.mark.parametrize(
    ("check", "value", "error", "message"),
    [
        (checks.seeds, "01", ValueError, r"^seeds is '01': expected a number of seeds from 1, or a list of numbers"),
        (checks.jobs, 0, ValueError, r"^jobs is 0: expected a positive number\.$"),
        (checks.jobs, 1.5, TypeError, r"^jobs is 1\.5: expected a whole number, such as jobs=10\.$"),
        (number, True, TypeError, r"^lr is True: expected a number, such as lr=0\.1\.$"),
        (kind, "", TypeError, r"^x is of type str: expected a number\.$"),
    ],
)
def test_what_is_refused(check, value, error, message):
    with pytest.raises(error, match=message):
        check(value)


def test_an_output_folder_is_made_with_its_folder_of_records(tmp_path):
    assert checks.writable(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b" / "units").is_dir() and not list((tmp_path / "a" / "b" / "units").iterdir())
