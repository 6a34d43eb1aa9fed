"""The store of one board: installs bundles, and leads a choice from the proposal to its end.

In:  bundles, orders, what a trial found.     Out: files in slots, changes of the register.
Blocking. A bundle is verified when it comes, and again before it is tried.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from edged.errors import StoreRefused
from edged.lock import only_holder
from edged.store.about import Kind
from edged.store.bundle import SIGNATURE, Bundle, Piece, read_bundle
from edged.store.register import STARTS_MAX, Choice, Record, Register, Slot, Trial
from edged.store.register_file import RegisterFile
from edged.store.signature import Trust
from edged.store.slots import Told, differences, fill


@dataclass(frozen=True, slots=True)
class Whom:
    """What comes onto this board.

    Attributes:
        trust: whose signatures count.
        allow_unsigned: whether a bundle without one is taken.
    """

    trust: Trust
    allow_unsigned: bool = False


@dataclass(frozen=True, slots=True)
class Store:
    """The store in one state directory."""

    state_dir: Path

    @property
    def file(self) -> RegisterFile:
        """Return the register's file."""
        return RegisterFile(self.state_dir)

    def folder(self, kind: Kind, slot: Slot) -> Path:
        """Return the folder of a slot."""
        return self.state_dir / "models" / kind / slot

    def install(self, bundle: Bundle, told: Told) -> Slot:
        """Copy a bundle into the free slot; return which.

        Raises:
            StoreRefused: an older version than was active, no room, or damaged on the way.
        """
        with self._one_at_a_time():
            register = self.file.read()
            _check_version(register, bundle)
            slot = register.free(bundle.kind)
            self.file.change(lambda now: now.without(bundle.kind, slot))
            self._make_folders(bundle.kind)
            pieces = _with_signature(bundle)
            fill(self.folder(bundle.kind, slot), pieces, told)
            record = _record(bundle, pieces)
            self.file.change(lambda now: now.with_record(bundle.kind, slot, record))
        return slot

    def verify(self, kind: Kind, slot: Slot, whom: Whom, at: datetime | None = None) -> Record:
        """Return the record of a slot whose every byte and whose signature were looked at again.

        Args:
            kind: what stands there.
            slot: which.
            whom: whose signatures count.
            at: when certificates have to be valid; None: when it was installed.

        Raises:
            StoreRefused: half-written, tampered with, or signed by nobody trusted any more.
        """
        record, folder = self._record(kind, slot), self.folder(kind, slot)
        found = differences(folder, record.files)
        if found:
            raise StoreRefused(f"{folder}: {'; '.join(found[:5])}; install {record.title} again")
        if record.signer is None:
            if not whom.allow_unsigned:
                raise StoreRefused(
                    f"{record.title} in slot {slot} is unsigned, and store.allow_unsigned = false"
                )
            return record
        judged = at or datetime.fromtimestamp(record.installed_s, UTC)
        bundle = read_bundle(kind, folder, whom.trust, judged, allow_unsigned=False)
        if bundle.root != record.root:
            raise StoreRefused(f"{folder}: signed is another bundle than was installed")
        return record

    def propose(
        self, kind: Kind, slot: Slot | None, whom: Whom, by: str, order: str | None = None
    ) -> Trial:
        """Have a slot be tried; None: the only one that is not active, or the higher version.

        Raises:
            StoreRefused: it cannot be, and why.
        """
        register = self.file.read()
        chosen = slot or candidate(register, kind)
        record = self.verify(kind, chosen, whom)
        if record.version < register.floor(kind, record.name):
            raise StoreRefused(
                f"{record.title} is older than version {register.floor(kind, record.name)}, which "
                "was active here; roll back to it, or install a newer one"
            )
        return self._begin(kind, lambda now: now.proposed(kind, chosen), by, order, record.title)

    def propose_rollback(self, kind: Kind, whom: Whom, by: str, order: str | None = None) -> Trial:
        """Have what was active before be tried again, whatever its version.

        Raises:
            StoreRefused: nothing was, or it is not whole any more.
        """
        register = self.file.read()
        choice = register.previous.get(kind)
        if choice is None:
            raise StoreRefused(f"there is no earlier {kind} to roll back to")
        slots: tuple[tuple[Kind, Slot | None], ...] = (
            ("model", choice.model),
            ("templates", choice.templates),
        )
        for of, slot in slots:
            if slot is not None:
                self.verify(of, slot, whom)
        record = register.record(kind, choice)
        title = "as configured" if record is None else record.title
        return self._begin(kind, lambda now: now.previous[kind], by, order, title)

    def _begin(
        self,
        kind: Kind,
        choice: Callable[[Register], Choice],
        by: str,
        order: str | None,
        title: str,
    ) -> Trial:
        def becomes(now: Register) -> Register:
            if now.trial is not None:
                raise StoreRefused(f"{now.trial.title} is being tried; wait for its end")
            wanted = choice(now)
            if wanted == now.active:
                raise StoreRefused(f"{title} is active already")
            return replace(now, trial=Trial(kind, wanted, title, by, order))

        trial = self.file.change(becomes).trial
        assert trial is not None, "it was just begun"
        return trial

    def commit(self) -> Register:
        """End the trial: it serves."""
        return self.file.change(lambda now: _with_trial(now).committed())

    def fall_back(self, detail: str) -> Register:
        """End the trial: what was active stays."""
        return self.file.change(lambda now: _with_trial(now).fallen_back(detail))

    def starting(self) -> tuple[Choice, Trial | None]:
        """Return what an engine has to load now, and the trial that it belongs to, if any.

        A trial that ended the engine, or met with the end of the power, too often is over.
        """
        register = self.file.read()
        trial = register.trial
        if trial is None or trial.kind != "model" or trial.problem is not None:
            return register.active, None
        if trial.starts >= STARTS_MAX:
            self.failed(f"the engine ended {trial.starts} times while it loaded {trial.title}")
            return register.active, None
        counted = replace(trial, starts=trial.starts + 1)
        self.file.change(lambda now: replace(now, trial=counted))
        return trial.choice, counted

    def failed(self, problem: str) -> None:
        """Note why the model that is tried cannot be loaded."""

        def becomes(now: Register) -> Register:
            return replace(now, trial=now.trial and replace(now.trial, problem=problem))

        self.file.change(becomes)

    def _record(self, kind: Kind, slot: Slot) -> Record:
        record = self.file.read().slots.get(kind, {}).get(slot)
        if record is None:
            raise StoreRefused(
                f"slot {slot} holds no whole bundle of kind {kind}; install one: an installation "
                "that was interrupted goes on"
            )
        return record

    def _make_folders(self, kind: Kind) -> None:
        """Make what slots lie in, so that edged's user can read what root installs."""
        models = self.state_dir / "models"
        try:
            for path in (models, models / kind):
                path.mkdir(exist_ok=True)
                path.chmod(0o755)
        except OSError as error:
            raise StoreRefused(
                f"{error.filename}: {error.strerror}; run it as root or as edged's user"
            ) from error

    def _one_at_a_time(self) -> AbstractContextManager[None]:
        return only_holder(
            self.state_dir / "install.lock",
            lambda holder: StoreRefused(f"process {holder} is installing; wait for its end"),
        )


def _with_trial(register: Register) -> Register:
    """Return a register with a trial in it.

    Raises:
        StoreRefused: somebody put another one in its place.
    """
    if register.trial is None:
        raise StoreRefused("store.json was changed during a trial")
    return register


def _check_version(register: Register, bundle: Bundle) -> None:
    floor = register.floor(bundle.kind, bundle.about.name)
    if bundle.about.version < floor:
        raise StoreRefused(
            f"{bundle.about.name} version {bundle.about.version} is older than version {floor}, "
            "which was active on this board; sign it again with a higher version if it is meant"
        )


def candidate(register: Register, kind: Kind) -> Slot:
    """Return the slot that somebody means who names none."""
    active = register.active.model if kind == "model" else register.active.templates
    there = {slot: item for slot, item in register.slots.get(kind, {}).items() if slot != active}
    if not there:
        raise StoreRefused(f"no {kind} stands in a slot that is not active; install one first")
    return max(there, key=lambda slot: (there[slot].version, there[slot].installed_s))


def _with_signature(bundle: Bundle) -> list[Piece]:
    """Return the pieces with the signature, by which the slot can be verified again."""
    if bundle.signature is None:
        return list(bundle.pieces)
    digest = hashlib.sha256(bundle.signature).hexdigest()
    others = (piece for piece in bundle.pieces if piece.name != SIGNATURE)
    return [*others, Piece(SIGNATURE, digest, bundle.signature)]


def _record(bundle: Bundle, pieces: list[Piece]) -> Record:
    return Record(
        name=bundle.about.name,
        version=bundle.about.version,
        root=bundle.root,
        files={piece.name: piece.sha256 for piece in pieces},
        signer=bundle.signer,
        installed_s=time.time(),
        model_file=bundle.about.file if bundle.kind == "model" else None,
        has_templates=any(piece.name.startswith("templates/") for piece in pieces),
    )
