"""What is tried on the machine, one function for each thing, and what it must come to.

In: a `Machine` on which the guide was followed.  Out: a sentence for the summary, or an error.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping

from tools.arm64.emulation import Arm64Error
from tools.arm64.machine import Done, Machine

OPT, CONFIG = "/opt/edged", "/etc/edged/edged.toml"
PYTHON = f"{OPT}/.venv/bin/python"
EDGED = f"{OPT}/.venv/bin/edged"
# Where the wheels of the tests, and those for any Arm processor, are put.
TEST_WHEELS, OLD_WHEELS = "/root/arm64-dev", "/root/arm64-v8.0"
# QEMU's names of an RK3576's cores, which know neither dot products nor half precision.
OLD_CORES = ("cortex-a72", "cortex-a53")
# Source: sysexits.h, EX_UNAVAILABLE and EX_CONFIG, as edged.errors has them.
UNUSABLE, WRONG_CONFIG = 69, 78
UNIT_TESTS = "not slow and not broker and not model"
# tests/conftest.py has the profile. A test that takes long is handed to whoever has nothing left.
FOR_EMULATION = (
    "--hypothesis-profile=emulated",
    "--numprocesses=auto",
    "--dist=worksteal",
    "--durations=30",
)
# Left out, each with the reason; all others run.
BOOKS = "QEMU writes a process's /proc/PID/stat itself, without processor time"
JOURNAL = "journalctl --sync gets no answer from a journald under QEMU"
GROUPS = "systemd starts no manager, not even to try, where no control groups are mounted"
LEFT_OUT = {
    "tests/test_tidy.py": "looks at the text of this project, which is the same there",
    "tests/test_dock_mini_data.py": "looks at the text that the model was trained on",
    "tests/test_wheelhouse.py": "is about the computer that makes the wheels, which the guide did",
    "tests/test_board_use.py::test_the_cpu_time_of_a_process_grows": BOOKS,
    "tests/test_board_use.py::test_the_cpu_time_is_that_of_the_kernel": BOOKS,
    "tests/test_journal.py::test_journalctl_finds_a_prompt_by_its_id_in_a_real_journal": JOURNAL,
    "tests/test_journal.py::test_a_real_journald_takes_a_line_that_no_datagram_can_hold": JOURNAL,
    "tests/test_firmware_common.py::test_systemd_takes_the_watchdogs_settings": GROUPS,
    "tests/test_firmware_common.py::"
    "test_systemd_does_say_something_about_a_setting_that_is_none": GROUPS,
}
UNIT_TESTS_S_MAX = 3600.0

# Source: rknnlite/api/rknn_lite.py of rknn-toolkit-lite2: what each call gives without an NPU.
RKNN = """
import pathlib, tempfile
from rknnlite.api import RKNNLite

lite = RKNNLite()
with tempfile.TemporaryDirectory() as folder:
    junk = pathlib.Path(folder, "junk.rknn")
    junk.write_bytes(b"junk" * 64)
    told = {
        "missing file": lite.load_rknn(folder + "/none.rknn"),
        "junk file": lite.load_rknn(str(junk)),
        "start": lite.init_runtime(),
        "version": lite.get_sdk_version(),
    }
    try:
        told["devices"] = lite.list_devices()
    except RuntimeError:  # it wants librknnrt.so, or a device on USB
        told["devices"] = "refused"
    lite.release()
print("told:", told)
"""


def doctor(machine: Machine) -> str:
    """`edged doctor` finds nothing that keeps edged from answering."""
    done = machine.run(f"{EDGED} doctor --json --config {CONFIG}", name="doctor")
    report = json.loads(last_line(done, "{"))
    levels = [one["level"] for one in report["findings"]]
    expect(done.code == 0 and report["works"], f"edged doctor: {done.text}")
    return f"works; {levels.count('ok')} ok, {levels.count('warning')} warnings"


def toolkit(machine: Machine) -> str:
    """The real rknn-toolkit-lite2 is imported, and says what it says on a board without an NPU."""
    done = machine.run(f"{PYTHON} -c {shlex.quote(RKNN)}", name="toolkit")
    said = last_line(done, "told:")
    expect("'missing file': -1" in said and "'junk file': 0" in said, done.text)
    expect("'start': -1" in said and "'version': None" in said, done.text)
    return said.removeprefix("told: ").strip("{}").replace("'", "")


def prompts(machine: Machine) -> str:
    """20 prompts through the shipped model, on the instructions of an RK3588's fast cores."""
    return demo(machine, 1884, {})


def demo(machine: Machine, port: int, environment: Mapping[str, str]) -> str:
    """Return what tools/demo says of 20 prompts over a mosquitto of its own.

    Raises:
        Arm64Error: one of them got no answer, or one that its schema does not take.
    """
    done = machine.run(
        f"cd {OPT} && .venv/bin/python -m tools.demo_run --port {port}",
        name=f"prompts-{port}",
        environment=environment,
    )
    expect(done.code == 0, f"tools/demo: {done.text[-2000:]}")
    found = re.search(r"\d+ of \d+ answered, \d+ of \d+ schema-valid, \d+ of \d+ right", done.text)
    expect(found is not None, done.text[-2000:])
    assert found is not None
    return found[0]


def old_processor(machine: Machine) -> str:
    """A processor without dot products gets a sentence from engine, check and doctor, no SIGILL."""
    for core in OLD_CORES:
        for command, code in (
            (f"engine --config {CONFIG}", UNUSABLE),
            (f"check {CONFIG}", WRONG_CONFIG),
        ):
            done = machine.run(f"{EDGED} {command}", name="old", environment={"QEMU_CPU": core})
            expect(done.code == code, f"{core}, edged {command}: {done.code}, {done.text}")
            expect("compiled for asimddp, asimdhp, atomics" in done.text, done.text)
        done = machine.run(
            f"{EDGED} doctor --json --config {CONFIG}", name="old", environment={"QEMU_CPU": core}
        )
        report = json.loads(last_line(done, "{"))
        wrong = [one["name"] for one in report["findings"] if one["level"] == "error"]
        expect((done.code, wrong) == (UNUSABLE, ["processor"]), done.text)
    return f"refused in a sentence on {' and '.join(OLD_CORES)}"


def old_wheels(machine: Machine) -> str:
    """With the wheels for any Arm processor the same 20 prompts are answered on an RK3576's cores.

    On the lesser of the two kinds: both have Armv8.0-A, and no instruction differs that is used.
    """
    place = "/opt/v8.0"
    done = machine.run(
        f"{OPT}/.venv/bin/pip install --no-index --find-links {OLD_WHEELS} --no-deps "
        f"--target {place} llama-cpp-python",
        name="old-wheels",
    )
    expect(done.code == 0, done.text)
    return demo(machine, 1885, {"QEMU_CPU": OLD_CORES[-1], "PYTHONPATH": place})


def test_packages(machine: Machine) -> str:
    """What the tests and the demo need beside edged comes from wheels too."""
    done = machine.run(
        f"{OPT}/.venv/bin/pip install --no-index --find-links {TEST_WHEELS} "
        "pytest pytest-xdist hypothesis jsonschema gguf",
        name="test-packages",
    )
    expect(done.code == 0, done.text)
    return "installed without network"


def unit_tests(machine: Machine) -> str:
    """The unit tests pass: those that need neither broker nor engine process."""
    command = [".venv/bin/python", "-m", "pytest", "-m", UNIT_TESTS, *FOR_EMULATION]
    command += [f"--{'deselect' if '::' in test else 'ignore'}={test}" for test in LEFT_OUT]
    done = machine.run(
        f"cd {OPT} && {shlex.join(command)}",
        name="unit-tests",
        environment={"PYTHONUNBUFFERED": "1"},
        limit_s=UNIT_TESTS_S_MAX,
    )
    found = re.search(r"(\d+ (?:passed|failed)[^\n]*) in [\d.]+s", done.text)
    expect(done.code == 0 and found is not None, f"{found[0] if found else done.text[-2000:]}")
    assert found is not None
    return f"{found[1]}; {len(LEFT_OUT)} files or tests left out by name"


def expect(holds: object, said: str) -> None:
    """Refuse what is not as it must be.

    Raises:
        Arm64Error: with what was said instead.
    """
    if not holds:
        raise Arm64Error(said.strip() or "it said nothing")


def last_line(done: Done, beginning: str) -> str:
    """Return the last printed line that begins so.

    Raises:
        Arm64Error: none does.
    """
    lines = [line for line in done.text.splitlines() if line.startswith(beginning)]
    expect(lines, f"exit {done.code}: {done.text}")
    return lines[-1]
