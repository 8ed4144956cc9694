"""Running a job of the stand-in service on a fake device; what comes out depends on the content of the job alone.

`answers` says how: "exact" without noise, expectation values exact, counts as near to the probabilities as whole
numbers can be; "shots" without noise, samples drawn; "device" with the noise of the fake device, samples drawn.
Samples come from a seed made of the circuits, the values and the options of the job.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
from qiskit.primitives import BackendEstimatorV2, BitArray, DataBin, PrimitiveResult, SamplerPubResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit_aer import AerSimulator
from qiskit_aer.primitives import EstimatorV2 as AerEstimatorV2
from qiskit_aer.primitives import SamplerV2 as AerSamplerV2
from qiskit_ibm_runtime import fake_provider
from qiskit_ibm_runtime.fake_provider.executor import run_quantum_program as runner
from qiskit_ibm_runtime.json import RuntimeDecoder, RuntimeEncoder
from qiskit_ibm_runtime.options_models.simulator import SimulatorOptions
from qiskit_ibm_runtime.quantum_program.params_converters import QUANTUM_PROGRAM_PARAMS_CONVERTERS


def execute(program_id: str, params: str, device: str, answers: str) -> str:
    """Return the text that the service gives as the result."""
    warnings.simplefilter("ignore")
    backend = getattr(fake_provider, f"Fake{device.capitalize()}V2")() if answers == "device" else AerSimulator()
    if program_id == "executor":
        return _executor(json.loads(params), backend, answers)
    content = json.loads(params, cls=RuntimeDecoder)
    run = {"estimator": _estimator, "sampler": _sampler}[program_id]
    return json.dumps(run(content, backend, answers), cls=RuntimeEncoder)


def _estimator(content: dict, backend, answers: str) -> PrimitiveResult:
    options = content.get("options", {})
    shots = options.get("default_shots")
    default = 1 / np.sqrt(shots) if shots else options.get("default_precision") or 1 / 64
    pubs = [EstimatorPub.coerce(tuple(pub), default) for pub in content["pubs"]]
    described = [(_circuit(p.circuit), _values(p), str(p.observables.tolist()), p.precision) for p in pubs]
    if answers == "exact":
        exact = [EstimatorPub(p.circuit, p.observables, p.parameter_values, 0.0) for p in pubs]
        return AerEstimatorV2(options={"backend_options": {"method": "statevector"}}).run(exact).result()
    return BackendEstimatorV2(backend=backend, options={"seed_simulator": _seed(described)}).run(pubs).result()


def _sampler(content: dict, backend, answers: str) -> PrimitiveResult:
    shots = content.get("options", {}).get("default_shots") or 4096
    pubs = [SamplerPub.coerce(tuple(pub), shots) for pub in content["pubs"]]
    seed = _seed([(_circuit(pub.circuit), _values(pub), pub.shots) for pub in pubs])
    return (_Nearest if answers == "exact" else AerSamplerV2).from_backend(backend, seed=seed).run(pubs).result()


def _executor(content: dict, backend, answers: str) -> str:
    converter = QUANTUM_PROGRAM_PARAMS_CONVERTERS[content["schema_version"]]
    program, _ = converter.decoder(converter.model(**content))
    for item in program.items:
        if hasattr(item, "samplex"):
            item.samplex.finalize()
    options = SimulatorOptions(seed_simulator=_seed([program.shots, *map(_item, program.items)]))
    with patch.object(runner, "AerSamplerV2", _Nearest if answers == "exact" else AerSamplerV2):
        result = runner.run_quantum_program(backend, program, options)
    return _encoded(result, content["schema_version"])


def _encoded(result, version: str) -> str:
    from ibm_quantum_schemas.common import CompressedTensorModel
    from ibm_quantum_schemas.executor.version_2_0 import models
    from qiskit_ibm_runtime.quantum_program.converters.converters_2_0 import passthrough_data_to_2_0

    if version != "v2.0":
        raise ValueError(f"got schema {version}, expected v2.0")
    data = [
        {"results": {k: CompressedTensorModel.from_numpy(v) for k, v in item.items()}, "metadata": {}}
        for item in result
    ]
    return models.QuantumProgramResultModel(
        data=data,
        metadata={"chunk_timing": []},
        passthrough_data=passthrough_data_to_2_0(result.passthrough_data),
        semantic_role=result._semantic_role,
    ).model_dump_json()


class _Nearest:
    """A sampler that draws nothing: the counts nearest to the probabilities, in the order of the outcomes."""

    def __init__(self) -> None:
        self.simulator = AerSimulator(method="statevector")

    @classmethod
    def from_backend(cls, backend, seed=None):
        return cls()

    def run(self, pubs):
        results = [self._result(pub) for pub in pubs]
        return SimpleNamespace(result=lambda: PrimitiveResult(results))

    def _result(self, pub: SamplerPub) -> SamplerPubResult:
        probabilities = self._probabilities(pub)
        outcomes = np.stack([np.repeat(np.arange(len(p)), nearest(p, pub.shots)) for p in probabilities])
        bits = (outcomes[:, :, None] >> np.arange(pub.circuit.num_clbits)) & 1  # (rows, shots, clbits), clbit 0 first
        bits = bits.reshape(*pub.shape, pub.shots, -1).astype(bool)
        place = {bit: k for k, bit in enumerate(pub.circuit.clbits)}
        arrays = {
            register.name: BitArray.from_bool_array(bits[..., [place[bit] for bit in register]], order="little")
            for register in pub.circuit.cregs
        }
        return SamplerPubResult(DataBin(**arrays, shape=pub.shape), {})

    def _probabilities(self, pub: SamplerPub) -> np.ndarray:
        """Return the probabilities of the outcomes, (rows, 2**clbits), clbit 0 the lowest bit."""
        circuit, measured = _without_measurements(pub.circuit)
        circuit.save_probabilities([measured[bit] for bit in pub.circuit.clbits])
        rows = pub.parameter_values.as_array(pub.circuit.parameters).reshape(pub.size, pub.circuit.num_parameters)
        binds = [{p: rows[:, k].tolist() for k, p in enumerate(pub.circuit.parameters)}] if rows.shape[1] else None
        result = self.simulator.run(circuit, parameter_binds=binds, shots=1).result()
        found = np.array([result.data(k)["probabilities"] for k in range(len(rows) if binds else 1)])
        return np.broadcast_to(found, (len(rows), found.shape[1]))


def _without_measurements(circuit):
    """Return the circuit without its measurements, which must come last, and the qubit of each classical bit."""
    measured = {ins.clbits[0]: ins.qubits[0] for ins in circuit.data if ins.operation.name == "measure"}
    bare = circuit.copy_empty_like()
    for ins in circuit.data:
        if ins.operation.name not in ("measure", "barrier"):
            bare.append(ins.operation, ins.qubits, ins.clbits)
    return bare, measured


def nearest(probabilities: np.ndarray, shots: int) -> np.ndarray:
    """Return whole numbers of sum `shots` nearest to `shots * probabilities`."""
    ideal = np.round(np.clip(probabilities, 0, 1) * shots, 9)
    counts = np.floor(ideal).astype(int)
    rest = np.argsort(counts - ideal, kind="stable")[: shots - counts.sum()]
    counts[rest] += 1
    return counts


def _seed(description) -> int:
    return 1 + int(hashlib.sha256(repr(description).encode()).hexdigest()[:7], 16)


def _circuit(circuit) -> list:
    """Describe a circuit by what it does: its name and the identities of its parameters change from run to run."""
    place = {bit: k for k, bit in enumerate(circuit.qubits)}
    return [
        (i.operation.name, [str(p) for p in i.operation.params if not hasattr(p, "data")], [place[q] for q in i.qubits])
        for i in circuit.data
    ]


def _values(pub) -> tuple:
    rows = pub.parameter_values.as_array(pub.circuit.parameters)
    return rows.shape, rows.tobytes()


def _item(item) -> tuple:
    arguments = item.samplex_arguments if hasattr(item, "samplex") else {"values": item.circuit_arguments}
    described = [np.asarray(arguments[name]).tolist() for name in sorted(arguments, key=_by_number)]
    return _circuit(item.circuit), described, getattr(item, "shape", None)


def _by_number(name: str) -> tuple:
    """Sort "basis9" before "basis10": the library numbers names on and on while a process runs."""
    stem = name.rstrip("0123456789")
    return stem, int(name[len(stem) :] or 0)
