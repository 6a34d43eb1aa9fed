"""The machine: QEMU without KVM on a disk that forgets, its broker at a port of loopback.

In:  an image.     Out: a machine that runs, images of its disk as a cut now would leave it, and the
cut itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from tools.broker import HOST, free_port
from tools.broker_programs import ROOT
from tools.whole_machine.image import Image
from tools.whole_machine.programs import Programs
from tools.whole_machine.volatile_disk import Cut

MEMORY_MIB = 512


class Machine:
    """A machine; as a context manager it boots, and loses its power at the end at the latest.

    Args:
        image: what it boots from; its disk is changed.
        programs: where QEMU is.
        folder: for socket and console.

    Attributes:
        port: of its broker, on loopback.
    """

    def __init__(self, image: Image, programs: Programs, folder: Path) -> None:
        self.port = free_port()
        self._image = image
        self._programs = programs
        self._socket = folder / "disk.sock"
        self._console = folder / "console.log"
        self._disk: subprocess.Popen[str] | None = None
        self._qemu: subprocess.Popen[bytes] | None = None

    def hold_disk(self, requests: int) -> None:
        """Let the disk stand still after so many requests that left something unflushed."""
        self._order(f"hold {requests}")
        self._answer()

    def release_disk(self) -> None:
        """Let the disk serve again."""
        self._order("release")

    def cut_image(self, target: Path, seed: int) -> Cut:
        """Write what the disk would hold if the power went now, or what it held when it went."""
        self._order(f"cut {target} {seed}")
        return Cut(**json.loads(self._answer()))

    def cut_power(self) -> None:
        """End the machine in the middle of whatever it does; its disk can still be looked at."""
        assert self._qemu is not None
        self._qemu.kill()
        self._qemu.wait()

    @property
    def runs(self) -> bool:
        """Whether the machine is on."""
        return self._qemu is not None and self._qemu.poll() is None

    def __enter__(self) -> Self:
        """Boot."""
        self._socket.unlink(missing_ok=True)
        disk = [sys.executable, "-m", "tools.whole_machine.volatile_disk"]
        self._disk = subprocess.Popen(
            [*disk, str(self._image.disk), str(self._socket)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()
        with self._console.open("ab") as log:
            self._qemu = subprocess.Popen(
                self._command(),
                env=self._programs.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Cut the power, and put the disk away."""
        self.cut_power()
        if self._disk is not None:
            self._disk.kill()
            self._disk.communicate()

    def _order(self, words: str) -> None:
        assert self._disk is not None
        assert self._disk.stdin is not None
        self._disk.stdin.write(f"{words}\n")
        self._disk.stdin.flush()

    def _answer(self) -> str:
        assert self._disk is not None
        assert self._disk.stdout is not None
        return self._disk.stdout.readline()

    def _command(self) -> list[str]:
        """Return QEMU's command line: a console, a disk with a write cache, a network."""
        firmware = [word for folder in self._programs.firmware for word in ("-L", str(folder))]
        return [
            str(self._programs.paths["qemu-system-x86_64"]),
            *firmware,
            *("-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"),
            *("-accel", "tcg", "-cpu", "max", "-m", str(MEMORY_MIB)),
            *("-kernel", str(self._image.kernel), "-initrd", str(self._image.initrd)),
            *("-append", "root=/dev/vda rw console=ttyS0 quiet no_timer_check"),
            # With cache=none QEMU has no cache of its own: each write and flush is the guest's.
            *("-drive", f"file=nbd:unix:{self._socket},format=raw,if=virtio,cache=none"),
            *("-netdev", f"user,id=net,hostfwd=tcp:{HOST}:{self.port}-:1883"),
            *("-device", "virtio-net-pci,netdev=net,romfile="),
            *("-device", "virtio-rng-pci"),
        ]
