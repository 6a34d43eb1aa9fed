"""The data behind dock-mini: splits that share nothing, rows that obey their schemas and rules."""

import inspect
import json
import random
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged import templates
from tools import train_dock_mini
from tools.dock_mini import (
    cold_chain,
    dataset,
    dock_event,
    label_read,
    labels,
    noise,
    numbers,
    plain,
    pools,
)
from tools.dock_mini.phrase import Phrases, Split, every_phrase, expansions

TEMPLATES = dataset.load_templates()
SEEDS = st.integers(min_value=0, max_value=2**32)
SPLITS = st.sampled_from(Split)


def schema_of(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(TEMPLATES[name].schema)
    return schema


def evaluation_rows(kind: str, name: str) -> list[dataset.Row]:
    return dataset.read_rows(dataset.MODEL_DIR / "eval" / kind / f"{name}.jsonl", name)


def test_every_phrase_has_an_id_of_its_own_and_one_split() -> None:
    phrases = every_phrase(dataset.phrase_groups())
    assert len({phrase.id for phrase in phrases}) == len(phrases)
    assert all(f"/{phrase.split}/" in phrase.id for phrase in phrases)


def test_training_and_evaluation_share_no_phrasing_pattern() -> None:
    ids: dict[Split, set[str]] = {split: set() for split in Split}
    texts: dict[Split, set[str]] = {split: set() for split in Split}
    for group in dataset.phrase_groups():
        for phrase in group:
            ids[phrase.split].add(phrase.id)
            texts[phrase.split].add(f"{group.name}: {phrase.text}")
    assert not ids[Split.TRAIN] & ids[Split.HELD_OUT]
    assert not texts[Split.TRAIN] & texts[Split.HELD_OUT]


@pytest.mark.parametrize("group", dataset.phrase_groups(), ids=lambda group: str(group.name))
def test_training_never_says_what_is_held_out_word_for_word(group: Phrases) -> None:
    rng = random.Random(11)
    held_out = {text.lower() for pattern in group.held_out for text in expansions(pattern)}
    assert held_out.isdisjoint(group.draw(Split.TRAIN, rng).lower() for _ in range(300))


def test_each_phrase_group_has_phrases_in_both_splits() -> None:
    assert all(group.train and group.held_out for group in dataset.phrase_groups())


@pytest.mark.parametrize("kind", pools.KINDS)
def test_training_and_evaluation_share_no_value_pool(kind: str) -> None:
    rng = random.Random(5)
    train, held_out = (pools.pool(kind, split) for split in Split)
    assert train.name != held_out.name
    drawn = [{pool.draw(rng) for _ in range(300)} for pool in (train, held_out)]
    assert all(drawn)
    assert not drawn[0] & drawn[1]


@given(st.sampled_from(("chilled", "frozen")), SEEDS)
def test_a_series_of_readings_belongs_to_one_split(load: str, seed: int) -> None:
    for split in Split:
        readings_c = cold_chain.series(load, split, random.Random(seed))
        assert pools.split_of("series", " ".join(map(str, readings_c))) is split


@given(st.sampled_from(dataset.TEMPLATES), SPLITS, SEEDS)
def test_every_generated_answer_obeys_its_schema(name: str, split: Split, seed: int) -> None:
    _, answer = dataset.GENERATORS[name](split, random.Random(seed))
    jsonschema.validate(answer, schema_of(name))


@given(st.sampled_from(dataset.TEMPLATES), SPLITS, SEEDS)
def test_an_answer_has_its_keys_in_the_order_of_the_schema(
    name: str, split: Split, seed: int
) -> None:
    _, answer = dataset.GENERATORS[name](split, random.Random(seed))
    assert list(answer) == list(schema_of(name)["properties"])


@given(st.sampled_from(tuple(dataset.GENERATORS)), SPLITS, st.integers(0, 1000))
def test_the_same_seed_gives_the_same_rows(name: str, split: Split, seed: int) -> None:
    assert dataset.rows(name, split, 5, seed) == dataset.rows(name, split, 5, seed)


@pytest.mark.parametrize("name", dataset.TEMPLATES)
def test_the_held_out_file_is_what_the_generator_gives_for_its_seed(name: str) -> None:
    made = dataset.rows(
        name, Split.HELD_OUT, train_dock_mini.HELD_OUT_ROWS, train_dock_mini.HELD_OUT_SEED
    )
    assert evaluation_rows("held_out", name) == made


@pytest.mark.parametrize("name", dataset.TEMPLATES)
def test_the_held_out_set_has_at_least_a_hundred_rows(name: str) -> None:
    assert len(evaluation_rows("held_out", name)) >= 100


@pytest.mark.parametrize("name", dataset.TEMPLATES)
def test_the_hand_written_set_has_at_least_25_rows_that_obey_the_schema(name: str) -> None:
    rows = evaluation_rows("hand_written", name)
    assert len(rows) >= 25
    for row in rows:
        jsonschema.validate(row.expected, schema_of(name))


def test_hand_written_events_obey_the_labelling_rules() -> None:
    for row in evaluation_rows("hand_written", dock_event.NAME):
        said = row.expected
        by_rule = labels.dock_event(
            said["event"],
            dock=said["dock"],
            pallet=said["pallet"] and said["pallet"][1:],
            damaged_cartons=said["damaged_cartons"],
            temperature_c=said["temperature_c"],
            asks_for_a_person=said["needs_human"],
        )
        assert said == by_rule


def test_the_generator_never_reads_the_hand_written_set() -> None:
    package = Path(inspect.getfile(dataset)).parent
    sources = [*package.glob("*.py"), Path(inspect.getfile(train_dock_mini))]
    assert len(sources) > 10
    for source in sources:
        text = source.read_text(encoding="utf-8").lower()
        assert "hand_written" not in text
        assert "hand-written" not in text


def test_no_hand_written_message_is_in_the_training_mix() -> None:
    for name in dataset.TEMPLATES:
        written = {str(row.inputs).lower() for row in evaluation_rows("hand_written", name)}
        trained = {str(row.inputs).lower() for row in dataset.rows(name, Split.TRAIN, 4000, 1)}
        assert not written & trained


@pytest.mark.parametrize("name", dataset.TEMPLATES)
def test_the_trainer_writes_a_prompt_as_the_daemon_does(name: str) -> None:
    shipped = templates.load(dataset.MODEL_DIR / "templates")[name]
    for row in dataset.rows(name, Split.HELD_OUT, 50, seed=5):
        assert dataset.payload(TEMPLATES[name], row.inputs) == shipped.prompt(row.inputs).payload


@pytest.mark.parametrize("name", dataset.TEMPLATES)
def test_the_example_of_a_template_obeys_its_schema(name: str) -> None:
    path = dataset.MODEL_DIR / "templates" / f"{name}.toml"
    example = tomllib.loads(path.read_text(encoding="utf-8"))["example"]
    jsonschema.validate(json.loads(example["answer"]), schema_of(name))


@given(st.integers(1, numbers.WORDS_MAX), st.sampled_from(("en", "de", "es")))
def test_no_two_numbers_share_a_word(number: int, language: str) -> None:
    words = [numbers.number_word(other, language) for other in range(1, numbers.WORDS_MAX + 1)]
    assert words.count(numbers.number_word(number, language)) == 1


@given(st.text(alphabet="abc XYZ äß 0123456789-:", max_size=40), SEEDS)
def test_noise_keeps_the_digits_of_a_message(text: str, seed: int) -> None:
    messy = noise.messy(text, random.Random(seed))
    digits = [char for char in text if char.isdigit()]
    assert [char for char in messy if char.isdigit()] == digits


@given(st.text(alphabet="0123456789", min_size=1, max_size=8), SEEDS)
def test_a_misread_digit_still_tells_which_digit_it_was(digits: str, seed: int) -> None:
    reads_as = str.maketrans("OoQDIl|ZzSsGbB", "00001112255668")
    misread = label_read.misread(digits, 0.7, random.Random(seed))
    assert misread.translate(reads_as) == digits


def test_the_plain_answer_is_one_readable_sentence() -> None:
    answer = labels.dock_event(
        "damage",
        dock=6,
        pallet="48213",
        damaged_cartons=12,
        temperature_c=None,
        asks_for_a_person=False,
    )
    assert plain.sentence(answer) == (
        "Damage at dock 6, pallet P48213: quarantine. A person is needed."
    )


@pytest.mark.parametrize(
    ("load", "readings_c", "worst_c", "minutes_out", "verdict"),
    [
        ("chilled", [2, 8, 5], None, 0, "ok"),
        ("chilled", [9, 8, 1], 9, 20, "warning"),
        ("chilled", [9, 11, -1], 11, 30, "reject"),
        ("frozen", [-18, -25], None, 0, "ok"),
        ("frozen", [-17, -12, -19], -12, 20, "warning"),
    ],
)
def test_the_cold_chain_rule(
    load: str, readings_c: list[int], worst_c: int | None, minutes_out: int, verdict: str
) -> None:
    answer = labels.cold_chain(load, 10, readings_c)
    assert (answer["worst_c"], answer["minutes_out"]) == (worst_c, minutes_out)
    assert answer["verdict"] == verdict
