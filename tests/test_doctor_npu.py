"""`npu-ggml` of the doctor: the library of llama.cpp's backend, and what its device executed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.doctor import npu_backend
from edged.doctor.finding import Finding
from edged.doctor.npu_backend import NpuBackend
from edged.doctor.root import Root
from edged.engine.ggml.sidecar import HEADERS, Sidecar, write_sidecar
from tests.broker import Mosquitto
from tests.daemon_fixtures import BOARD, Asker, Daemon
from tests.doctor_fixtures import config, examined, says
from tests.npu_fixtures import stand_in

SIDECAR = Sidecar(
    binding="0.3.36", ggml_commit="0c1e57098", headers="h", library="l", links={}, source="s"
)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "libggml-npu.so"
    path.write_bytes(b"\x7fELF")
    return path


def judged(library: Path) -> Finding:
    settings = config({"npu": {"library": str(library)}})
    return npu_backend.judge(npu_backend.look(settings, {}))[0]


def test_without_a_library_the_cpu_computes_alone() -> None:
    (found,) = npu_backend.judge(npu_backend.look(config({}), {}))
    assert (found.level, "CPU alone" in found.says) == ("ok", True)


def test_a_library_without_a_sidecar_is_an_error(library: Path) -> None:
    found = judged(library)
    assert (found.level, "tools/build-npu-backend" in str(found.mend)) == ("error", True)


def test_a_library_of_the_pinned_ggml_is_well(library: Path) -> None:
    write_sidecar(library, HEADERS, [], "ggml-rknpu2")
    found = judged(library)
    assert (found.level, "ggml-rknpu2" in found.says) == ("ok", True)


def test_what_the_device_executed_is_told() -> None:
    serving = {"device": "RKNPU", "matmuls": 1234, "weights_share": 0.78}
    seen = NpuBackend(Path("/x.so"), SIDECAR, "", serving, asked=True)
    assert "RKNPU has executed 1234" in npu_backend.judge(seen)[1].says


def test_an_engine_that_runs_without_it_is_a_warning() -> None:
    seen = NpuBackend(Path("/x.so"), SIDECAR, "", None, asked=True)
    assert npu_backend.judge(seen)[1].level == "warning"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.mark.broker
@pytest.mark.model
@pytest.mark.slow
def test_state_and_doctor_tell_what_the_device_of_a_serving_board_has_executed(
    broker: Mosquitto, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sections = {
        "npu": {"library": str(stand_in(tmp_path_factory.getbasetemp()))},
        "rkllm": {"lock": str(tmp_path / "npu.lock")},
    }
    prompt = {"template": "dock-event", "input": "forklift hit pallet 48213 at dock 6, 12 crushed"}
    served = Daemon(tmp_path / "d", broker, backend="llama", sections=sections)
    with served as daemon, Asker(broker) as device:
        daemon.wait_for_log("connected to the broker")
        device.listen()
        device.ask(prompt, "p-1")
        assert device.outcome("p-1")["event"] == "done"
        device.subscribe(f"{BOARD}/state")
        said = device.next(lambda reply: (reply.get("outcomes") or {}).get("done") == 1)
        report = examined(daemon.config, Root())
    npu = said["engine"]["npu"]
    assert (npu["device"], npu["matmuls"] > 0) == ("BLAS", True)
    assert "BLAS has executed" in says(report.findings, "npu-ggml")
