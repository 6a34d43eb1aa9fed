"""What is asked in each workload, in which order and how much of it at once.

In:  a workload's name and the number of the repetition.     Out: `Ask`s.
Pure: the same repetition asks the same of every peer. "Cold" is a template that nobody has seen:
each repetition has its own. "Warm" is one that was just used, by the warm-up asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edged.bench import script
from edged.bench.script import Form
from edged.engine.frames import Prompt

# A root number of its own for each repetition, workload and template.
_TEMPLATES_MAX, _WORKLOADS_MAX = 10, 20


@dataclass(frozen=True, slots=True)
class Ask:
    """One prompt.

    Attributes:
        schema: JSON Schema as JSON text; None for free text.
        answer: the right one; of free text, it begins with what is answered.
    """

    prompt: Prompt
    form: Form
    schema: str | None
    max_tokens: int
    answer: str

    @property
    def text(self) -> str:
        """The whole prompt, for a peer that knows no templates."""
        return self.prompt.root + self.prompt.payload + self.prompt.suffix


@dataclass(frozen=True, slots=True)
class Workload:
    """A kind of load.

    Attributes:
        prompts: of each template, in the measured part.
        at_once: how many wait for their answer at the same time; None: all.
        is_long: whether the payload fills most of the context; `long_words` then says how.
        long_words: length of each payload beyond the usual, in steps of 16 words.
    """

    name: str
    form: Form
    prompts: int
    is_cold: bool
    templates: int = 1
    at_once: int | None = None
    is_long: bool = False
    long_words: int = 0


WORKLOADS = (
    Workload("json-cold", "json", 16, is_cold=True),
    Workload("json-warm", "json", 64, is_cold=False),
    Workload("compact-cold", "compact", 16, is_cold=True),
    Workload("compact-warm", "compact", 64, is_cold=False),
    Workload("text-cold", "text", 16, is_cold=True),
    Workload("text-warm", "text", 64, is_cold=False),
    Workload("templates-4x16", "json", 16, is_cold=False, templates=4),
    Workload("single", "json", 8, is_cold=False, at_once=1),
    Workload("long-input", "json", 8, is_cold=False, is_long=True),
)
NAMES = tuple(workload.name for workload in WORKLOADS)
QUICK_PROMPTS = 2


def chosen(names: Sequence[str], *, is_quick: bool) -> list[Workload]:
    """Return the workloads of these names, all when there are none; quick ones ask little."""
    wanted = [item for item in WORKLOADS if not names or item.name in names]
    return [replace(item, prompts=QUICK_PROMPTS) for item in wanted] if is_quick else wanted


def measured(workload: Workload, repetition: int) -> list[Ask]:
    """Return what is asked under the clock, templates taking turns."""
    first = 1000 + repetition * workload.prompts * workload.templates
    return [
        _ask(
            workload, _root_number(workload, repetition, place % workload.templates), first + place
        )
        for place in range(workload.prompts * workload.templates)
    ]


def warm_up(workload: Workload, repetition: int) -> list[Ask]:
    """Return what is asked before the clock runs: 16 prompts of each template, or nothing."""
    if workload.is_cold:
        return []
    count = workload.templates * min(16, workload.prompts)
    return [
        _ask(workload, _root_number(workload, repetition, place % workload.templates), place)
        for place in range(count)
    ]


def lengthened(workload: Workload, room_tokens: int, prompt_tokens: Sequence[int]) -> Workload:
    """Return it with payloads that fill the context.

    Args:
        workload: a long one.
        room_tokens: of the context, for the prompt.
        prompt_tokens: of its prompts with 0 and with 1 step of words more.
    """
    least, one_more = prompt_tokens
    steps = max(0, room_tokens - least) // max(1, one_more - least)
    return replace(workload, long_words=steps)


def as_json(ask: Ask) -> Ask:
    """Return what asks for the same record as a JSON object: what a peer can be asked."""
    if ask.form != "compact":
        return ask
    prompt = replace(ask.prompt, suffix=script.suffix("json"))
    return replace(ask, prompt=prompt, form="json", answer=script.answer("json"))


def _root_number(workload: Workload, repetition: int, template: int) -> int:
    # A warm template is the same in every repetition.
    own = NAMES.index(workload.name) * _TEMPLATES_MAX + template
    cold = (repetition + 1) * _TEMPLATES_MAX * _WORKLOADS_MAX if workload.is_cold else 0
    # Spread over all six digits, each number once: what two templates share is a few tokens.
    return (own + cold) * 7919 + 100_003


def _ask(workload: Workload, root_number: int, number: int) -> Ask:
    form = workload.form
    prompt = Prompt(
        script.root(root_number),
        script.payload(number, workload.long_words),
        script.suffix(form),
    )
    schema = None if form == "text" else script.SCHEMA
    return Ask(prompt, form, schema, script.max_tokens(form), script.answer(form))
