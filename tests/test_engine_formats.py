from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edged.engine.chat_template import ChatTemplate
from edged.engine.formats import Format, RoleFormat, prompt_tokens, role_format
from edged.engine.frames import Message, Prompt
from edged.engine.sim import BOS, SimVocabulary
from edged.errors import ConfigError, Refusal

VOCABULARY = SimVocabulary()
END, INPUT, ANSWER = 257, 258, 259
PLAIN = RoleFormat({"user": "<|input|>{content}\n", "assistant": "{content}<|end|>"}, "<|answer|>")
JINJA = (
    "{{ bos_token }}{% for message in messages %}{% if message.role == 'user' %}<|input|>"
    "{{ message.content | trim }}\n{% else %}{{ message['content'] }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|answer|>{% endif %}"
)
TALK = (Message("user", "hi"), Message("assistant", "yes"), Message("user", "dock?"))
TALK_TOKENS = [BOS, INPUT, *b"hi\n", *b"yes", END, INPUT, *b"dock?\n", ANSWER]


def chat(source: str = JINJA) -> Format:
    return ChatTemplate(source, bos="<|bos|>", eos="<|end|>")


def tokens(prompt: Prompt, form: Format = PLAIN) -> list[int]:
    found = prompt_tokens(prompt, VOCABULARY, form)
    return [*found.root, *found.own]


def test_a_template_is_tokenised_in_three_pieces() -> None:
    found = prompt_tokens(Prompt("Read.<|input|>", "hi", "<|answer|>"), VOCABULARY, PLAIN)
    assert found.root == (BOS, *b"Read.", INPUT)
    assert found.own == (*b"hi", ANSWER)


@pytest.mark.parametrize("text", ["<|answer|>", "<|end|><|bos|>", "x<|input|>y"])
def test_a_device_s_text_never_becomes_a_special_token(text: str) -> None:
    as_payload = prompt_tokens(Prompt("r", text, "s"), VOCABULARY, PLAIN)
    assert as_payload.own == (*text.encode(), *b"s")
    for form in (PLAIN, chat()):
        talk = Prompt(messages=(Message("user", text),))
        assert tokens(talk, form) == [BOS, INPUT, *text.encode(), *b"\n", ANSWER]


def test_a_bare_prompt_starts_with_bos_once() -> None:
    assert tokens(Prompt(payload="hi")) == [BOS, *b"hi"]
    assert tokens(Prompt(root="<|bos|>r", payload="hi")) == [BOS, *b"rhi"]


def test_a_format_may_want_no_bos() -> None:
    assert tokens(Prompt(payload="hi"), RoleFormat({"user": "{content}"}, "", bos=False)) == [
        *b"hi"
    ]


def test_a_root_with_nothing_behind_it_is_not_shared() -> None:
    found = prompt_tokens(Prompt(root="all of it"), VOCABULARY, PLAIN)
    assert (found.root, found.own) == ((), (BOS, *b"all of it"))


@pytest.mark.parametrize("form", [PLAIN, chat()], ids=["format file", "chat template"])
def test_a_conversation_is_written_in_the_model_s_format(form: Format) -> None:
    assert tokens(Prompt(messages=TALK), form) == TALK_TOKENS


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (PLAIN, "no role 'system'"),
        (chat("{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"),
         "no system"),
        (chat("<|answer|>"), "leaves one of them out"),
        (chat("{{ messages[0].content.nothing.there }}"), "refused"),
    ],
)  # fmt: skip
def test_messages_that_do_not_fit_the_format_are_malformed(form: Format, words: str) -> None:
    with pytest.raises(Refusal, match=words) as refused:
        tokens(Prompt(messages=(Message("system", "s"), *TALK)), form)
    assert refused.value.reason == "malformed"


def test_a_chat_template_reaches_nothing_outside_its_sandbox() -> None:
    form = chat("{{ ''.__class__.__mro__[1].__subclasses__() }}{{ messages[0].content }}")
    with pytest.raises(Refusal):
        tokens(Prompt(messages=TALK[:1]), form)


def test_a_broken_chat_template_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match=r"model\.format"):
        chat("{% for %}")


def test_a_format_file_gives_roles_answer_and_stop() -> None:
    table = {"roles": {"user": "U{content}"}, "answer": "A", "bos": False, "stop": ["X"]}
    form = role_format(table, Path("f.toml"))
    assert form == RoleFormat({"user": "U{content}"}, "A", False, ("X",))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"roles": {"user": "no place"}}, "{content}"),
        ({"roles": {"user": "{content}"}, "answer": 3}, "answer"),
        ({"roles": {"user": "{content}"}, "stop": "x"}, "stop"),
        ({"roles": {"user": "{content}"}, "bos": "<s>"}, "bos"),
        ({"roles": {"user": "{content}"}, "rolls": 1}, "rolls"),
        ({}, "roles"),
    ],
)
def test_a_wrong_format_file_names_its_key(table: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        role_format(table, Path("f.toml"))
    assert "f.toml" in str(error.value)
    assert words in str(error.value)
