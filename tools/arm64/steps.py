"""What is tried on the machine, one function for each thing, and what it must come to.

In: a `Machine` on which the guide was followed.  Out: a sentence for the summary, or an error.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence

from tools.arm64.emulation import Arm64Error, processes
from tools.arm64.machine import Done, Machine
from tools.arm64.selection import Piece, counts, pytest_words, told

OPT, CONFIG = "/opt/edged", "/etc/edged/edged.toml"
PYTHON = f"{OPT}/.venv/bin/python"
# Wherever the guide put it: of a package or of the checkout.
EDGED = f'"$(command -v edged || echo {OPT}/.venv/bin/edged)"'
# Where the checkout of the tests, their wheels, and the wheels for any Arm processor are put.
CHECKOUT, TEST_WHEELS, OLD_WHEELS = "/root/tested.tar", "/root/arm64-dev", "/root/arm64-v8.0"
SYSTEM_PACKAGES = (
    "python3-venv",
    "libgomp1",
    "mosquitto",
    "mosquitto-clients",
    "device-tree-compiler",
)
# QEMU's names of an RK3576's cores, which know neither dot products nor half precision.
OLD_CORES = ("cortex-a72", "cortex-a53")
# Source: sysexits.h, EX_UNAVAILABLE and EX_CONFIG, as edged.errors has them.
UNUSABLE, WRONG_CONFIG = 69, 78
# Source: pytest, exit codes: some tests failed.
SOME_FAILED = 1
PIECE_S_MAX = 3600.0
# Of a piece: more tests that fail are no accident of a busy machine.
AGAIN_MAX = 10

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


def packages(machine: Machine) -> str:
    """What the tests and the demo want of Debian is there; nothing to do where the guide did it."""
    done = machine.run(
        "apt-get install -y --no-install-recommends " + " ".join(SYSTEM_PACKAGES),
        name="packages",
        has_network=True,
    )
    expect(done.code == 0, done.text[-2000:])
    return "there"


def checkout(machine: Machine, needs: Sequence[str]) -> str:
    """The checkout and an environment with edged and what the tests need, all from wheels."""
    done = machine.run(
        f"""
        if [ ! -e {OPT}/tests ]; then tar -xf {CHECKOUT} -C /opt; fi
        if [ ! -e {PYTHON} ]; then python3 -m venv {OPT}/.venv; fi
        {PYTHON} -m pip install --no-index --find-links {TEST_WHEELS} edged {shlex.join(needs)}
        """,
        name="checkout",
    )
    expect(done.code == 0, done.text[-2000:])
    return "installed without network"


def unit_tests(machine: Machine, piece: Piece) -> str:
    """The unit tests of a piece pass; the few that do not are tried again, and told.

    A test that waits for something has its patience measured on a machine that is not emulated.
    """
    done = run_pytest(machine, pytest_words(piece, processes()), f"unit-tests-{piece.number}")
    found = counts(done.text)
    failed = sum(found.pop(what, 0) for what in ("failed", "error", "errors"))
    expect(found and done.code in (0, SOME_FAILED), done.text[-2000:])
    expect(failed <= AGAIN_MAX, done.text[-2000:])
    if failed:
        words = ["--last-failed", *pytest_words(piece, 1)]
        again = run_pytest(machine, words, f"unit-tests-{piece.number}-again")
        expect(again.code == 0, again.text[-2000:])
        found["passed"] = found.get("passed", 0) + failed
    return told(found) + (f"; {failed} at the second try" if failed else "")


def run_pytest(machine: Machine, words: Sequence[str], name: str) -> Done:
    """Run pytest in the checkout."""
    return machine.run(
        f"cd {OPT} && {shlex.join([PYTHON, '-m', 'pytest', *words])}",
        name=name,
        environment={"PYTHONUNBUFFERED": "1"},
        limit_s=PIECE_S_MAX,
    )


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
