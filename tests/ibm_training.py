"""A short training on IBM's service, in a process that kills itself at a given place."""

import importlib
import os
import signal

import torch
import torch._dynamo  # what optimizers import late, here before processes are forked

import backends
from backends import ibm, jobs  # noqa: F401 (likewise)
from circuits import z_each
from circuits.templates import data_reuploading
from hybrid import training
from qml import QuantumLayer

N_STEPS = 3


def backend(store, device="ibm_manila", **options):
    """Return the device with settings that make the stand-in quick."""
    settings = {"shots": 100, "label": "a run", "estimator": "legacy", "store": store, **options}
    return backends.IBM(device, **settings)


def model(backend, n_outputs=1):
    """Return a small hybrid model."""
    circuit = data_reuploading(2, n_layers=1)
    layer = QuantumLayer(circuit, z_each(2), backend)
    return torch.nn.Sequential(torch.nn.Linear(3, circuit.n_inputs), layer, torch.nn.Linear(2, n_outputs))


def weights_of(trained):
    return torch.cat([parameter.detach().flatten() for parameter in trained.parameters()])


def fit(backend, checkpoint):
    """Return the weights after as many steps by skorch, with checkpoints."""
    x, y = torch.randn(4 * N_STEPS, 3, generator=torch.Generator().manual_seed(0)), torch.arange(4 * N_STEPS) % 2
    options = {"epochs": 1, "batch_size": 4, "checkpoint": checkpoint}
    return weights_of(training.fit(lambda: model(backend, 2), x.numpy(), y.numpy(), **options).net.module_)


def train(backend):
    """Return the weights after some steps, each of which is one job."""
    torch.manual_seed(0)
    trained = model(backend)
    x, y = torch.randn(4, 3), torch.randn(4, 1)
    optimizer = torch.optim.Adam(trained.parameters(), 0.1)
    for _ in range(N_STEPS):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(trained(x), y).backward()
        optimizer.step()
    return weights_of(trained)


def in_a_hurry():
    """Ask often: the stand-in answers at once."""
    jobs.SETTLE = 0.05
    jobs.Journal.run.__kwdefaults__["poll"] = (0.02, 0.1)


def main(environment, folder, kill, by_skorch=False):
    """Train in this process; ``kill`` is None or (module, class.method, "before" or "after", which call)."""
    os.environ.update(environment)
    torch.set_num_threads(1)
    in_a_hurry()
    if kill is not None:
        _plant(*kill)
    device = backend(folder / "jobs.sqlite")
    torch.save(fit(device, folder / "checkpoint") if by_skorch else train(device), folder / "weights.pt")


def _plant(module, path, when, number):
    """Let the process die, as by kill -9, before or after the n-th call of a method."""
    owner_name, _, name = path.rpartition(".")
    owner = getattr(importlib.import_module(module), owner_name)
    method, calls = getattr(owner, name), iter(range(1, 1000))

    def dying(*given, **named):
        last = next(calls) == number
        if last and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        found = method(*given, **named)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(owner, name, dying)
