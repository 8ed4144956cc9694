"""One thread per test process: the suite runs one process per core, and waiting threads would slow each other down."""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # read when NumPy and torch are first imported
