"""Trainings that are killed at every step they take, on the simulator and on a service whose jobs are files.

As a program it trains undisturbed, then once for every step from the middle of the first epoch into the second, with a
kill there and a run after it, and prints what came of each.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import numpy as np
import torch
from disk_service import Clock, DiskService, Steps, die, in_child
from torch import nn

from backends import Capabilities, Estimate, EvaluatingBackend, ParameterShift, Statevector
from backends.jobs import Journal, Request, Result
from circuits import CX, RX, RY, Circuit, inputs, weights
from hybrid import checkpoints, training
from qml import QuantumLayer

EPOCHS, N_SAMPLES, BATCH_SIZE = 2, 5, 3
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(N_SAMPLES, 3)).astype(np.float32), np.arange(N_SAMPLES) % 2
a = inputs(4)
ANGLES = Circuit(2, [RX(a[0], 0), RX(a[1], 1), CX(0, 1), RY(a[2], 0), RY(a[3], 1)], n_inputs=4, n_weights=0)
VALID = RNG.normal(size=(3, 3)).astype(np.float32), np.arange(3) % 2


class Service(DiskService):
    """Computes a job when it is submitted: exact values, and shot noise that follows from its tag alone."""

    def __init__(self, folder, step, job=None):
        super().__init__(folder, step)
        self.job = job

    def write(self, job_id, content):
        rng = np.random.default_rng(int(content["tag"][1:], 16))
        values = self.job() + rng.normal(scale=0.01, size=self.job().shape)
        super().write(job_id, content | {"values": values.tolist()})

    def fetch(self, job_id):
        self.step("fetch: not sent")
        result = Result(np.array(self.read(job_id)["values"]))
        self.step("fetch: sent")
        return result


class Numbered(EvaluatingBackend):
    """A backend that submits a job for every evaluation and counts them."""

    capabilities = Capabilities(gradient="parameter-shift", exact=False, max_qubits=5, devices=("cpu",))

    def __init__(self, folder, step=lambda name: None):
        super().__init__(ParameterShift(), together=True)
        self.folder, self.step, self.position = folder, step, 0

    def evaluate(self, circuit, angles, observables):
        content = hashlib.sha256(angles.numpy().tobytes()).digest()
        request = Request("run", self.position, 0, "disk", content, len(angles))

        def job():
            return Statevector().expectation(ANGLES, angles, angles.new_zeros(0), observables).numpy()

        journal = Journal(self.folder / "jobs.sqlite", Clock())
        values = journal.run(request, lambda: Service(self.folder / "service", self.step, job)).values
        self.position += 1
        return Estimate(torch.from_numpy(values))


class Told:
    """Tells a step; copies, as the one that warms up, keep still."""

    def __init__(self, step):
        self.step = step

    def __call__(self, name):
        self.step(name)

    def __deepcopy__(self, memo):
        return Told(lambda name: None)


class Spied(nn.Module):
    """A model with dropout, so that it needs torch's random numbers; its steps are told."""

    def __init__(self, backend, step):
        super().__init__()
        x, w = inputs(2), weights(2)
        ops = [RX(x[0], 0), RX(x[1], 1), CX(0, 1), RY(w[0], 0), RY(w[1], 1)]
        circuit = Circuit(2, ops, n_inputs=2, n_weights=2)
        self.layers = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.3), QuantumLayer(circuit, backend=backend))
        self.step = Told(step)

    def forward(self, x):
        self.step("forward" if self.training else "watched")
        return self.layers(x)


def train(folder, kind, step):
    """Train in this process; return the weights and losses to the last bit."""
    backend = Statevector() if kind == "statevector" else Numbered(folder, step)
    real = checkpoints.write_atomically

    def told(path, content):
        step("checkpoint: not written")
        real(path, content)
        step("checkpoint: written")

    with mock.patch.object(checkpoints, "write_atomically", told):
        fitted = training.fit(
            lambda: Spied(backend, step), X, Y, epochs=EPOCHS, lr=0.1, batch_size=BATCH_SIZE, valid=VALID,
            checkpoint=folder / "run.checkpoint", every=1 if kind == "statevector" else None,
        )  # fmt: skip
    predictions = fitted.net.predict_proba(VALID[0])
    losses = [{name: value for name, value in row.items() if name != "seconds"} for row in fitted.history]
    state = [value.numpy().tobytes() for value in fitted.net.module_.state_dict().values()]
    return hashlib.sha256(b"".join(state) + predictions.tobytes() + json.dumps(losses).encode()).hexdigest()


def warm_up():
    """Do once what a process does once, so that no child need do it; on one thread, of which a child inherits all."""
    with TemporaryDirectory() as folder:
        train(Path(folder), "numbered", lambda name: None)


def attempt(folder, kind, at=None):
    def work():
        steps = Steps(at, die)
        return json.dumps({"result": train(folder, kind, steps), "steps": steps.names})

    return in_child(work)


def kill_everywhere(folder, kind):
    (folder / "calm").mkdir()
    calm = json.loads(attempt(folder / "calm", kind)[1])
    outcomes = []
    written = [at for at, name in enumerate(calm["steps"]) if name == "checkpoint: written"]
    for at in range(written[0], written[2] + 2):
        place = folder / str(at)
        place.mkdir()
        killed, _ = attempt(place, kind, at)
        ended, printed = attempt(place, kind)
        tags = DiskService(place / "service").tags
        again = json.loads(printed)
        n_steps = again["steps"].count("forward")
        outcomes.append([calm["steps"][at], killed, ended, again["result"], n_steps, len(tags), len(set(tags))])
    return {"calm": calm, "outcomes": outcomes}


if __name__ == "__main__":
    torch.set_num_threads(1)
    warm_up()
    print(json.dumps(kill_everywhere(Path(sys.argv[1]), sys.argv[2])))
