"""A Dask cluster in this process."""

from __future__ import annotations

import warnings

import pytest


@pytest.fixture(scope="module")
def scheduler():
    distributed = pytest.importorskip("distributed", reason="the Dask test needs the package distributed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # distributed warns of ports and of its own clean-up
        with distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None, protocol="tcp"
        ) as cluster:
            yield cluster.scheduler_address
