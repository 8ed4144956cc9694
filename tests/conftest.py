"""One thread per test process: the suite runs one process per core, and waiting threads would slow each other down."""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # read when NumPy and torch are first imported

import pytest
from cluster import scheduler  # noqa: F401
from commands import run  # noqa: F401
from service_fixture import service, service_process  # noqa: F401


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session):
    """Compile the simulator's kernels once, before all test processes: some tests read every line of stderr."""
    if hasattr(session.config, "workerinput"):
        return
    import torch

    from backends import Statevector
    from circuits import Probabilities, z_each
    from circuits.templates import hardware_efficient

    for dtype in (torch.float32, torch.float64):
        for n_qubits, readout in ((2, z_each(2)), (9, z_each(9)), (9, Probabilities((0,)))):
            circuit = hardware_efficient(n_qubits, n_layers=1)
            w = torch.zeros(circuit.n_weights, dtype=dtype, requires_grad=True)
            Statevector().expectation(circuit, None, w, readout).sum().backward()
