"""Gives the clocks back to whoever had them before edged.

In:  the saved file of a state directory.     Out: the caps as they were, and a sentence for each.
Called when the engine stops: by `ExecStopPost=` of its unit, by `edged run` in a shell, else by the
next start. Needs neither the daemon nor its objects. Blocking.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path

from edged.board.knobs.saved import SavedClocks
from edged.board.sysfs import write_number


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of the saved caps, by path below the root.

    Attributes:
        back: have their value from before edged.
        gone: do not exist any more.
        kept: could not be written, with the kernel's reason; they stay in the file.
    """

    back: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    kept: tuple[tuple[str, str], ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """Return what happened, one sentence for each clock."""
        said = [f"{name}: restored" for name in self.back]
        said += [f"{name}: is not there any more" for name in self.gone]
        said += [f"{name}: still capped, {why}; it is tried again" for name, why in self.kept]
        return tuple(said) or ("no clock is capped by edged",)


def restore_clocks(root: Path, saved: SavedClocks) -> Restored:
    """Write back what was saved, and forget it. Never fails: what is left is in `kept`."""
    if not saved.is_there:
        return Restored()
    try:
        with saved.held():
            return give_back(root, saved)
    except OSError as error:
        return Restored(kept=(("state directory", error.strerror or str(error)),))


def give_back(root: Path, saved: SavedClocks, leave: frozenset[str] = frozenset()) -> Restored:
    """Write back what was saved, but for `leave`, which is forgotten; the caller holds the file.

    Raises:
        OSError: the state directory cannot be written.
    """
    counts = {name: count for name, count in saved.read().items() if name not in leave}
    back, gone, kept = [], [], []
    for name, count in counts.items():
        try:
            write_number(root / name, count)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENOTDIR):
                gone.append(name)
            else:
                kept.append((name, error.strerror or str(error)))
        else:
            back.append(name)
    saved.write({name: counts[name] for name, _ in kept})
    return Restored(tuple(back), tuple(gone), tuple(kept))
