"""A peer for the benchmarks' worker: outputs are x·w, and it misbehaves as a workload's name or FAKE_PEER says."""

import os
import sys
import threading

STEPS = [0]  # since they were last counted
BEHAVIOUR = os.environ.get("FAKE_PEER", "right")


def threads():
    return 3


def counts():
    found = {"circuits": STEPS[0] * 2, "pubs": STEPS[0], "jobs": STEPS[0], "transpiles": 0}
    STEPS[0] = 0
    return found


def prepare(workload, x, w, device="cpu"):
    print("noise on stdout")
    if workload.name == "raises":
        raise ValueError("no such gate")
    if workload.name == "dies":
        sys.stderr.write("out of luck\n\n")
        sys.stderr.flush()
        os._exit(3)
    if workload.name == "hangs":
        threading.Event().wait()
    factor, left = 2.0 if BEHAVIOUR == "wrong" else 1.0, [1] if BEHAVIOUR == "tires" else []

    def step():
        if BEHAVIOUR == "tires" and not left:
            raise RuntimeError("tired")
        left.clear()
        STEPS[0] += 1
        return x * w, w, factor * x

    return step
