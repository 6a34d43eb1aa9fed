"""One request while the runtime answers it: its text so far, its runs, how it ends.

In:  pieces, the end of a run.     Out: new text, then an `Outcome`.
Threads: the step thread's alone. Times are monotonic seconds. An answer with a schema is told when
it is valid and not before: nothing of it can be taken back once it was sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edged.engine.frames import Limits, Outcome
from edged.engine.rkllm.events import Ended, Figures, Piece
from edged.engine.rkllm.json_answer import Invalid
from edged.engine.rkllm.request import Request
from edged.engine.sequence import Ending
from edged.engine.text import AnswerText

# One that was not valid is run once more.
RUNS_MAX = 2


@dataclass(slots=True, eq=False)
class Answering:
    """A request that has the runtime.

    Attributes:
        granted: the limits it was started under.
        heard_s: when the runtime was last heard of, or told to go on.
        run_s: when the present run began.
        stop_by_s: when a run that is to end must have ended; None while it may run.
        is_held: whether it waits to be let go on: the runtime in its callback, or its second run.
        is_unbegun: whether that run has not begun: nothing computes, and nothing can be aborted.
        text: what the model wrote in this run.
        confidence: of the last token, where the runtime tells one.
        told: what the daemon was told, or will be.
        ending: how it ends, once that is decided.
    """

    request: Request
    granted: Limits
    run_s: float
    heard_s: float = field(init=False)
    text: AnswerText = field(init=False)
    n_runs: int = 1
    n_tokens: int = 0
    ttft_s: float | None = None
    confidence: float | None = None
    prefill_s: float = 0.0
    generate_s: float = 0.0
    prompt_tokens: int = 0
    told: str = ""
    stop_by_s: float | None = None
    is_held: bool = False
    is_unbegun: bool = False
    ending: Ending | None = None

    def __post_init__(self) -> None:
        self.heard_s = self.run_s
        self.text = AnswerText(self.request.work.sampling.stop)

    @property
    def is_over(self) -> bool:
        """Whether the run has nothing more to say: a stop word came, or the end is decided."""
        return self.text.is_stopped or self.ending is not None

    def take(self, piece: Piece, now_s: float) -> str:
        """Take a token; return the text that is certain and may be told."""
        if self.stop_by_s is not None:
            return ""
        self.heard_s = now_s
        self.is_held = True
        self.n_tokens += 1
        self.confidence = piece.confidence
        self.ttft_s = self.ttft_s or now_s - self.request.arrived_s
        new = self.text.add(piece.text)
        return self._tell(new) if self.request.check is None else ""

    def end(self, ended: Ended) -> str:
        """Take the end of a run; return text to be told. `ending` stays None: run it again."""
        self._count(ended.figures)
        if self.ending is not None:
            return ""
        tail, is_stopped = self.text.finish(), self.text.is_stopped
        is_empty = not self.text.text.strip() and self.request.order.saves is None
        if ended.problem and not is_stopped:
            self.ending = Ending("failed", "engine_failed", f"{ended.problem}; ask again")
        elif is_empty:
            # Source: rknn-llm issues: too little memory gives no text and no error.
            self.ending = Ending("failed", "engine_failed", "the runtime answered with nothing")
        elif self.request.check is not None:
            return self._end_checked()
        else:
            is_cut = self._is_at_cap and not is_stopped
            self.ending = Ending("length" if is_cut else "stop")
            return self._tell(tail)
        return ""

    def again(self) -> None:
        """Make ready for the second run, which waits to be let begin."""
        self.n_runs += 1
        self.n_tokens = 0
        self.text = AnswerText(self.request.work.sampling.stop)
        self.stop_by_s = None
        self.is_held = self.is_unbegun = True

    def begin(self, now_s: float) -> None:
        """Note that a run begins."""
        self.is_held = self.is_unbegun = False
        self.run_s = self.heard_s = now_s

    def outcome(self, now_s: float) -> Outcome:
        """Return how it ended; only once `ending` is set."""
        ending = self.ending or Ending("cancelled")
        return Outcome(
            id=self.request.work.id,
            finish=ending.finish,
            text=self.told,
            reason=ending.reason,
            detail=ending.detail,
            prompt_tokens=self.prompt_tokens,
            output_tokens=self.n_tokens,
            ttft_s=self.ttft_s,
            total_s=now_s - self.request.arrived_s,
            prefill_s=self.prefill_s or None,
            decode_s=self.generate_s or None,
            confidence=self.confidence,
            context_tokens=self.granted.context_tokens,
            sequences=1,
        )

    @property
    def _is_at_cap(self) -> bool:
        return self.n_tokens >= self.request.order.tokens_max

    def _end_checked(self) -> str:
        try:
            answer = self.request.answer(self.text.text)
        except Invalid as invalid:
            if self.n_runs < RUNS_MAX:
                return ""
            reason = "cap" if self._is_at_cap else "invalid_answer"
            detail = f"{invalid}, in each of {self.n_runs} runs; make the schema simpler"
            self.ending = Ending("failed", reason, detail)
            return ""
        self.ending = Ending("schema")
        return self._tell(answer)

    def _count(self, figures: Figures) -> None:
        self.prompt_tokens = figures.prefill_tokens or self.prompt_tokens
        self.prefill_s += figures.prefill_s
        self.generate_s += figures.generate_s

    def _tell(self, text: str) -> str:
        self.told += text
        return text
