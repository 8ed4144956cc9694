"""The libraries measured, each as a function from a workload to a training step.

A step takes float32 inputs and weights and returns (outputs, gradient of the weights, gradient of the inputs) of the
loss ``sum of outputs squared``. A library that is not installed is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import torch
from torch import Tensor

from benchmarks.workloads import Workload

Result = tuple[Tensor, Tensor, Tensor]
Step = Callable[[Tensor, Tensor], Result]


def ours(workload: Workload) -> Step:
    """QuantumLayer on the Statevector backend."""
    import circuits
    from circuits import Circuit, inputs, pauli, weights
    from qml import QuantumLayer

    slots = {"x": inputs(workload.n_qubits), "w": weights(workload.n_weights)}
    names = {"CNOT": "CX"}
    ops = [
        getattr(circuits, names.get(name, name))(*([slots[slot[0]][slot[1]]] if slot else []), *qubits)
        for name, qubits, slot in workload.gates
    ]
    circuit = Circuit(workload.n_qubits, ops, workload.n_qubits, workload.n_weights)
    layer = QuantumLayer(circuit, [pauli(f"Z{q}") for q in workload.readout])

    def step(x: Tensor, w: Tensor) -> Result:
        with torch.no_grad():
            layer.weights.copy_(w)
        return _differentiate(layer, layer.weights, x)

    return step


def pennylane_torchlayer(workload: Workload) -> Step:
    """PennyLane's TorchLayer on default.qubit, backpropagation, batched."""
    return _pennylane(workload, "default.qubit", "backprop")


def pennylane_lightning(workload: Workload) -> Step:
    """PennyLane's TorchLayer on lightning.qubit, adjoint differentiation of its device."""
    return _pennylane(workload, "lightning.qubit", "adjoint", device_vjp=True)


def _pennylane(workload: Workload, device: str, diff_method: str, **options: object) -> Step:
    import pennylane as qp

    @qp.qnode(qp.device(device, wires=workload.n_qubits), interface="torch", diff_method=diff_method, **options)
    def function(inputs, w):
        for name, qubits, slot in workload.gates:
            if slot is None:
                getattr(qp, name)(wires=qubits)
            else:
                getattr(qp, name)(inputs[..., slot[1]] if slot[0] == "x" else w[slot[1]], wires=qubits[0])
        return [qp.expval(qp.PauliZ(q)) for q in workload.readout]

    layer = qp.qnn.TorchLayer(function, {"w": (workload.n_weights,)})

    def step(x: Tensor, w: Tensor) -> Result:
        with torch.no_grad():
            layer.w.copy_(w)
        return _differentiate(layer, layer.w, x)

    return step


def _differentiate(layer: torch.nn.Module, weights: Tensor, x: Tensor) -> Result:
    weights.grad = None
    x = x.detach().clone().requires_grad_()
    y = layer(x).reshape(len(x), -1)
    y.square().sum().backward()
    assert weights.grad is not None and x.grad is not None
    return y.detach(), weights.grad, x.grad


#: Name -> (module it needs, adapter); ours first.
CONTESTANTS: dict[str, tuple[str, Callable[[Workload], Step]]] = {
    "QuantumLayer": ("qml", ours),
    "PennyLane default.qubit": ("pennylane", pennylane_torchlayer),
    "PennyLane lightning.qubit": ("pennylane_lightning", pennylane_lightning),
}


def installed() -> dict[str, Callable[[Workload], Step]]:
    """Return the contestants whose library is installed."""
    return {name: adapter for name, (module, adapter) in CONTESTANTS.items() if find_spec(module)}
