import json

import pytest

pytest.importorskip("qiskit_ibm_runtime")

from ibm_folders import own_folders  # noqa: F401
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime import QiskitRuntimeService
from qiskit_ibm_runtime.fake_provider import FakeFractionalBackend, FakeManilaV2

from backends import ibm_devices
from backends.qiskit_estimator import prepared
from circuits import RZZ, Circuit, H, inputs

pytestmark = pytest.mark.usefixtures("own_folders")


@pytest.mark.parametrize("name", ["manila", "fake_manila", "FakeManilaV2", "Manila"])
def test_a_fake_device_by_its_names(name):
    assert ibm_devices.find(name).name == "fake_manila"
    assert not ibm_devices.is_real(ibm_devices.find(name))


def test_every_fake_device_has_a_short_name():
    assert {"manila", "lima", "sherbrooke", "torino"} <= set(ibm_devices.fakes()) and len(ibm_devices.fakes()) > 60


def test_a_device_object_is_itself():
    for device in (FakeManilaV2(), AerSimulator()):
        assert ibm_devices.find(device) is device


def test_a_name_that_is_almost_right():
    with pytest.raises(ValueError, match="got the fake device 'manilla', expected for example manila"):
        ibm_devices.find("manilla")


@pytest.mark.parametrize("device", [3, None, FakeManilaV2])
def test_neither_a_name_nor_a_device(device):
    with pytest.raises(TypeError, match=r"got \w+ as a device, expected a name such as 'manila', 'ibm_torino' or"):
        ibm_devices.find(device)


@pytest.mark.parametrize("name", ["ibm_torino", "least_busy"])
def test_a_real_device_needs_an_account(name):
    with pytest.raises(ValueError, match=r"got no saved account, expected one .*or use a fake device such as"):
        ibm_devices.find(name)
    with pytest.raises(ValueError, match="got no saved account of the name 'mine'"):
        ibm_devices.find(name, account="mine")


def test_accounts_are_listed_without_their_tokens():
    assert ibm_devices.accounts() == []
    crn = "crn:v1:bluemix:public:quantum-computing:us-east:a/0:x::"
    QiskitRuntimeService.save_account(token="never-shown", instance=crn, channel="ibm_quantum_platform", name="mine")
    assert ibm_devices.accounts() == [("mine", "ibm_quantum_platform", crn)]
    assert "never-shown" not in repr(ibm_devices.accounts())


def test_fractional_gates_are_left_out_where_a_shift_would_leave_their_range():
    device = FakeFractionalBackend()
    assert "rzz" in device.target.operation_names
    circuit = Circuit(2, [H(0), H(1), RZZ(inputs(1)[0], 0, 1)], 1)
    manager = generate_preset_pass_manager(1, target=ibm_devices.target_of(device), seed_transpiler=1)
    assert "rzz" not in manager.run(prepared(circuit)[0]).count_ops()
    assert set(device.target.operation_names) - set(ibm_devices.target_of(device).operation_names) == {"rzz"}
    assert ibm_devices.target_of(FakeManilaV2()).operation_names == FakeManilaV2().target.operation_names


def test_properties_are_json():
    known = json.loads(ibm_devices.properties(FakeManilaV2()))
    assert (known["name"], known["n_qubits"]) == ("fake_manila", 5) and known["calibration"]["qubits"]
    assert json.loads(ibm_devices.properties(AerSimulator()))["calibration"] is None
