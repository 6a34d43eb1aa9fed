"""`edged doctor`: looks at everything that `edged run` needs, and touches nothing.

In:  the path of a configuration, a root.     Out: `Report`.
It works beside a running engine: no lock is taken, no library loaded, none of the NPU's ioctls
called, nothing written. The broker is asked meanwhile by a thread of its own.
"""

from __future__ import annotations

import re
import threading
import time
from dataclasses import replace
from pathlib import Path

from edged.config import Broker, Config, placed
from edged.doctor import (
    board,
    broker,
    calibrated,
    clocks,
    driver,
    heat,
    libraries,
    locks,
    meters,
    model,
    nodes,
    npu_backend,
    open_files,
    overlays,
    owners,
    processor,
    rkllm_advice,
    sandbox,
    serving,
    settings,
    state,
    wall_clock,
)
from edged.doctor.finding import Finding
from edged.doctor.person import SERVICE_USER, Person, who
from edged.doctor.report import Report
from edged.doctor.root import Root
from edged.engine.rkllm.library import NAME as RKLLM

# Three connections to the broker; a name server that takes longer is not waited for.
BROKER_S = 1.5
SERVICE_STATE = "/var/lib/edged"
# Stands in commands for what `tools/install-firmware-config` calls this board.
BOARD = "BOARD"
# Where the Debian package has what a checkout has beside edged, and what a command calls it.
SHARE = "/usr/share/edged"
_BESIDE = re.compile(r"(?<![\w./-])(?=tools/install-firmware-config|firmware-config/)")


def examine(
    config_file: Path | None,
    root: Root,
    state_dir: Path | None = None,
    person: Person | None = None,
) -> Report:
    """Return what was found on this machine.

    Args:
        config_file: None: the defaults.
        root: where it is looked.
        state_dir: in place of `node.state_dir`.
        person: who would serve; None: who asks, or edged's own user.
    """
    person = person or who(root)
    read = settings.look(config_file)
    placed_config = _placed(read.config, person, state_dir, root)
    asked = _Asked(root, placed_config.broker)
    found = [settings.judge(read)]
    found += _machine(root, placed_config, person)
    found += _engine(root, placed_config, person)
    found += _power(root, placed_config, person)
    found += broker.judge(asked.told(), placed_config.broker.session_expiry_s)
    firmware = board.look(root).firmware or BOARD
    beside = f"{SHARE}/" if root.at(SHARE).is_dir() else ""
    return Report(tuple(_as_it_stands(one, firmware, beside) for one in found))


def _as_it_stands(finding: Finding, firmware: str, beside: str) -> Finding:
    """Return the finding with a command that can be run as it stands: for this board, from here.

    Args:
        finding: with the command as it is in a checkout.
        firmware: what the installer of firmware-config calls this board.
        beside: the folder that `tools` and `firmware-config` lie in, "" for the current one.
    """
    if finding.mend is None:
        return finding
    return replace(finding, mend=_BESIDE.sub(beside, finding.mend.replace(BOARD, firmware)))


def _placed(config: Config, person: Person, state_dir: Path | None, root: Root) -> Config:
    """Return the configuration with the state directory that the units give edged's own user."""
    if state_dir is None and person.name == SERVICE_USER and config.node.state_dir is None:
        state_dir = root.at(SERVICE_STATE)
    return placed(config, state_dir, None)


def _machine(root: Root, config: Config, person: Person) -> list[Finding]:
    """Return what board, processor, kernel, driver, libraries and nodes are good for."""
    needs_llama = config.engine.backend == "llama"
    here = board.look(root)
    is_rkllm = config.engine.backend == "rkllm"
    needs_npu = _needs_npu(config, here)
    found = board.judge(here, needs_npu=needs_npu)
    found.append(processor.judge(processor.look(root), needs_llama=needs_llama))
    if here.driver == "rknpu":
        found.append(driver.judge(driver.look(root), needs_npu=needs_npu))
    if here.is_rockchip or needs_npu:
        runtime = libraries.look(root, RKLLM, config.rkllm.library)
        found.append(libraries.judge_rkllm(runtime, needs_npu=is_rkllm))
        rknn = libraries.look(root, libraries.RKNN)
        is_needed = config.engine.backend == "rknn"
        found.append(libraries.judge_rknn(rknn, is_needed=is_needed))
        found += nodes.judge(nodes.look(root), person, needs_npu=needs_npu)
    return found


def _engine(root: Root, config: Config, person: Person) -> list[Finding]:
    """Return whether an engine runs or could, and whether its model fits."""
    here = board.look(root)
    needs_npu = _needs_npu(config, here)
    is_rkllm = config.engine.backend == "rkllm"
    named = rkllm_advice.judge_name(config.model.path, here.soc) if is_rkllm else []
    held = locks.look(root, config.state_dir, config.npu_lock)
    said = serving.look(config, held.daemon)
    backend = npu_backend.look(config, said)
    is_told = here.is_rockchip or backend.library is not None
    return [
        *(npu_backend.judge(backend) if is_told else []),
        *locks.judge(held, config.npu_lock, person, needs_npu=needs_npu),
        *serving.judge(said),
        *sandbox.judge(sandbox.look(root, config.npu_lock), person, needs_npu=needs_npu),
        open_files.judge(open_files.look(root, held.engine), needs_npu=needs_npu),
        model.judge(model.look(root, config, held.engine)),
        *named,
        state.judge(_state(root, config), person),
    ]


def _needs_npu(config: Config, here: board.Board) -> bool:
    """Return whether what keeps a Rockchip's NPU from serving keeps the engine from it.

    A ggml backend may be one for another NPU: on other machines its trial at the load tells.
    """
    return config.uses_npu and (config.engine.backend != "llama" or here.is_rockchip)


def _state(root: Root, config: Config) -> state.State:
    folder = config.state_dir
    return state.look(folder, is_systemd_s=folder == root.at(SERVICE_STATE))


def _power(root: Root, config: Config, person: Person) -> list[Finding]:
    """Return what watts, clocks, heat and time are like."""
    is_rockchip = board.look(root).is_rockchip
    seen = meters.look(root, config.power)
    return [
        *meters.judge(seen, is_rockchip=is_rockchip),
        *meters.judge_supply(seen, config.power),
        *calibrated.judge(calibrated.look(root, config, seen)),
        *clocks.judge(clocks.look(root, person)),
        *owners.judge(owners.look(root)),
        heat.judge(heat.look(root)),
        *overlays.judge(overlays.look(root)),
        wall_clock.judge(*wall_clock.look()),
    ]


class _Asked:
    """The broker's answer, on its way."""

    def __init__(self, root: Root, settings: Broker) -> None:
        self._where = f"{settings.host}:{settings.port}"
        self._until_s = time.monotonic() + BROKER_S
        self._told: list[broker.Told] = []
        # A daemon thread: a name server that does not answer must not hold up the end.
        self._thread = threading.Thread(target=self._ask, args=(root, settings), daemon=True)
        self._thread.start()

    def _ask(self, root: Root, settings: Broker) -> None:
        self._told.append(broker.look(root, settings))

    def told(self) -> broker.Told:
        """Return what it said, within `BROKER_S` of being asked."""
        self._thread.join(max(0.0, self._until_s - time.monotonic()))
        silent = broker.Told(self._where, f"no answer from {self._where} within {BROKER_S:g} s")
        return self._told[0] if self._told else silent
