"""Every error that edged expects, and who deals with it.

    EdgedError
      ConfigError      config, models   -> __main__: prints it, exit 78 (systemd does not restart)
      EngineUnusable   engine process   -> __main__ of the engine: prints it, exit 69
      EngineStuck      engine process   -> the same, and the next one may serve
      Refusal          contract, admission, engine intake -> intake: publishes `refused`
      EngineLost       engine/client    -> daemon: requeue what ran, start the engine again
      BrokerGone       mqtt             -> mqtt: reconnects; work already spooled goes on
      SpoolUnwritable  spool.file       -> spool: refuses prompts, tries outcomes again
      SpoolDamaged     spool.file       -> __main__: prints it, exit 74; the next start recovers
      MeterLost        board meters     -> power/governor: the forecast speaks, `state` says why
      KnobRefused      board knobs      -> power/caps: pauses hold the watts, `state` says why
      AdminRefused     admin, helm      -> admin/server: answers with reason and detail; a command
                                           prints it, exit 1
      AdminUnreachable admin/client     -> __main__: prints it, exit 1
      StoreRefused     store            -> activation: what is in force stays, `state` says why;
                                           a command prints it, exit 1

Anything else is a bug: the process ends with 70 and the spool recovers.
"""

from __future__ import annotations

from typing import Literal

EXIT_CONFIG = 78
EXIT_ENGINE_UNUSABLE = 69
EXIT_BUG = 70
# Source: sysexits.h, EX_IOERR.
EXIT_SPOOL_DAMAGED = 74

# Why an order is not carried out.
AdminReason = Literal["malformed", "not_allowed", "other_board", "busy", "unusable"]


class EdgedError(Exception):
    """An expected failure; its text says what, why, and what to do."""


class ConfigError(EdgedError):
    """The configuration, or something it points to, cannot be used as it is."""


class EngineUnusable(EdgedError):
    """The engine cannot serve: model missing, broken or too large for the memory."""


class EngineStuck(EdgedError):
    """A compute runtime does not come back; only another process can go on."""


class EngineLost(EdgedError):
    """The engine process went away or broke the frame protocol."""


class BrokerGone(EdgedError):
    """The connection to the broker ended before the operation was acknowledged."""


class SpoolUnwritable(EdgedError):
    """The spool cannot be written now: disk full, read-only, or held by somebody else."""


class SpoolDamaged(EdgedError):
    """The spool holds something that SQLite cannot read."""


class MeterLost(EdgedError):
    """The meter does not answer now."""


class KnobRefused(EdgedError):
    """The kernel does not let a clock be capped."""


class StoreRefused(EdgedError):
    """A bundle that does not come onto this board, or is not made active."""


class AdminUnreachable(EdgedError):
    """No daemon answers on the admin socket, or this user may not ask it."""


class AdminRefused(EdgedError):
    """An order of the admin socket that is not carried out.

    Attributes:
        reason: one of `AdminReason`.
        detail: a sentence naming what, why and what to do.
    """

    def __init__(self, reason: AdminReason, detail: str) -> None:
        super().__init__(detail)
        self.reason: AdminReason = reason
        self.detail = detail


class Refusal(EdgedError):
    """A prompt that gets no place in the spool.

    Attributes:
        reason: one of the closed list in `contract.REASONS`.
        detail: a sentence naming key, value and limit.
        retry_after_s: when trying again can help, s; None when it cannot.
    """

    def __init__(self, reason: str, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.retry_after_s = retry_after_s
