"""The register on the disk: read by daemon, engine and commands, changed by one at a time.

In:  the state directory.     Out: `Register`; changes, whole or not at all over a power cut.
Threads: any; processes: any. What root changes stays the daemon's to change.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from edged.durable import write_durably
from edged.errors import ConfigError, StoreRefused
from edged.store.register import Register

_JSON = TypeAdapter(Register)


@dataclass(frozen=True, slots=True)
class RegisterFile:
    """The register of one state directory."""

    state_dir: Path

    @property
    def path(self) -> Path:
        """Return where it lies."""
        return self.state_dir / "store.json"

    def read(self) -> Register:
        """Return the register; without a file, an empty one.

        Raises:
            ConfigError: the file cannot be read as a register.
        """
        try:
            return _JSON.validate_json(self.path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return Register()  # who needs the state directory says what is wrong with it
        except (OSError, ValidationError) as error:
            raise ConfigError(
                f"{self.path}: cannot be read, so nobody knows what may run ({error}); move it "
                "away: the board then runs what the configuration names, and bundles are to be "
                "installed again"
            ) from error

    def change(self, becomes: Callable[[Register], Register]) -> Register:
        """Put what `becomes` makes of the register in its place, and return it. Blocking.

        Raises:
            StoreRefused: the disk will not, or what `becomes` raises.
            ConfigError: the register cannot be read.
        """
        with self._locked():
            register = becomes(self.read())
            try:
                write_durably(self.path, _JSON.dump_json(register, indent=1).decode() + "\n")
                self._share(self.path)
            except OSError as error:
                raise StoreRefused(f"{self.path}: cannot be written: {error.strerror}") from error
        return register

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the register; a change takes milliseconds, so others wait for it."""
        path = self.state_dir / "store.lock"
        try:
            self.state_dir.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDONLY | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreRefused(
                f"{path}: {error.strerror}; run it as root or as edged's user"
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            self._share(path)
            yield
        finally:
            os.close(handle)

    def _share(self, path: Path) -> None:
        """Give what root made to the owner of the state directory."""
        if os.geteuid() == 0:
            owner = self.state_dir.stat()
            os.chown(path, owner.st_uid, owner.st_gid)
