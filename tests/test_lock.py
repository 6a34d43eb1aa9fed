"""The file that makes a process the only one."""

from __future__ import annotations

import stat
from pathlib import Path

from edged.errors import ConfigError
from edged.lock import only_holder


def test_a_lock_file_is_its_users_alone(tmp_path: Path) -> None:
    """Whoever may open it may hold the lock, and keep edged from starting."""
    path = tmp_path / "edged.lock"
    with only_holder(path, ConfigError):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
