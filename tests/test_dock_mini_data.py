"""The data behind dock-mini: splits that share nothing, rows that obey their schemas and rules."""

import functools
import inspect
import itertools
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
from tools.dock_mini.phrase import Split, every_phrase, expansions, slots

TEMPLATES = dataset.load_templates()
SEEDS = st.integers(min_value=0, max_value=2**32)
SPLITS = st.sampled_from(Split)
PAIRS = tuple(itertools.combinations(Split, 2))


def schema_of(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(TEMPLATES[name].schema)
    return schema


@functools.cache
def validator(name: str) -> jsonschema.protocols.Validator:
    """Return what checks a template's answers; the schema itself is checked once."""
    schema = schema_of(name)
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    return kind(schema)


def evaluation_rows(kind: str, name: str) -> list[dataset.Row]:
    return dataset.read_rows(dataset.MODEL_DIR / "eval" / kind / f"{name}.jsonl", name)


def test_every_phrase_has_an_id_of_its_own_and_one_split() -> None:
    phrases = every_phrase(dataset.phrase_groups())
    assert len({phrase.id for phrase in phrases}) == len(phrases)
    assert all(f"/{phrase.split}/" in phrase.id for phrase in phrases)


def test_no_two_splits_share_a_phrasing_pattern() -> None:
    ids: dict[Split, set[str]] = {split: set() for split in Split}
    texts: dict[Split, set[str]] = {split: set() for split in Split}
    for group in dataset.phrase_groups():
        for phrase in group:
            ids[phrase.split].add(phrase.id)
            texts[phrase.split].add(f"{group.name}: {phrase.text}")
    for first, second in PAIRS:
        assert not ids[first] & ids[second]
        assert not texts[first] & texts[second]


def test_training_never_says_what_is_held_out_word_for_word() -> None:
    rng = random.Random(11)
    for group in dataset.phrase_groups():
        said = {group.draw(Split.TRAIN, rng).lower() for _ in range(300)}
        assert said & every_text(group.held_out) == set(), group.name


def test_calibration_says_nothing_word_for_word_that_another_split_can_say() -> None:
    for group in dataset.phrase_groups():
        said = every_text(group.calibration)
        assert said & every_text(group.train) == set(), group.name
        assert said & every_text(group.held_out) == set(), group.name


def test_each_phrase_group_has_phrases_in_every_split() -> None:
    lacking = [
        group.name
        for group in dataset.phrase_groups()
        if not group.train or not group.held_out or len(group.calibration) < 3
    ]
    assert lacking == []


def test_calibration_fills_no_slot_that_training_does_not() -> None:
    known = {slot for group in dataset.phrase_groups() for slot in slots_of(group.train)}
    for group in dataset.phrase_groups():
        assert slots_of(group.calibration) - known == set(), group.name


def every_text(patterns: tuple[str, ...]) -> set[str]:
    return {text.lower() for pattern in patterns for text in expansions(pattern)}


def slots_of(patterns: tuple[str, ...]) -> set[str]:
    return {slot for pattern in patterns for slot in slots(pattern)}


@pytest.mark.parametrize("kind", pools.KINDS)
def test_no_two_splits_share_a_value_pool(kind: str) -> None:
    every = [pools.pool(kind, split) for split in Split]
    assert len({pool.name for pool in every}) == len(every)
    drawn = {pool.split: values_of(pool) for pool in every}
    assert not drawn[Split.TRAIN] & drawn[Split.HELD_OUT]
    assert not drawn[Split.CALIBRATION] & drawn[Split.HELD_OUT]


@pytest.mark.parametrize("kind", ["name", "firm", "town", "goods"])
def test_calibration_has_words_of_its_own(kind: str) -> None:
    drawn = values_of(pools.pool(kind, Split.CALIBRATION))
    assert not drawn & values_of(pools.pool(kind, Split.TRAIN))
    assert len(drawn) > 10


@pytest.mark.parametrize("kind", sorted(set(pools.KINDS) - {"name", "firm", "town", "goods"}))
def test_a_number_or_code_of_calibration_is_one_that_training_may_draw(kind: str) -> None:
    for value in values_of(pools.pool(kind, Split.CALIBRATION)):
        assert pools.belongs(kind, value, Split.TRAIN)


def values_of(pool: pools.Pool) -> set[str]:
    rng = random.Random(5)
    return {pool.draw(rng) for _ in range(300)}


@given(st.sampled_from(("chilled", "frozen")), SPLITS, SEEDS)
def test_a_series_of_readings_belongs_to_its_split(load: str, split: Split, seed: int) -> None:
    readings_c = cold_chain.series(load, split, random.Random(seed))
    value = " ".join(map(str, readings_c))
    assert pools.belongs("series", value, split)
    assert pools.belongs("series", value, Split.HELD_OUT) == (split is Split.HELD_OUT)


@given(st.sampled_from(dataset.TEMPLATES), SPLITS, SEEDS)
def test_every_generated_answer_obeys_its_schema(name: str, split: Split, seed: int) -> None:
    _, answer = dataset.GENERATORS[name](split, random.Random(seed))
    validator(name).validate(answer)


@given(st.sampled_from(dataset.TEMPLATES), SPLITS, SEEDS)
def test_an_answer_has_its_keys_in_the_order_of_the_schema(
    name: str, split: Split, seed: int
) -> None:
    _, answer = dataset.GENERATORS[name](split, random.Random(seed))
    assert list(answer) == list(schema_of(name)["properties"])


@given(st.sampled_from(tuple(dataset.GENERATORS)), SPLITS, st.integers(0, 1000))
def test_the_same_seed_gives_the_same_rows(name: str, split: Split, seed: int) -> None:
    assert dataset.rows(name, split, 5, seed) == dataset.rows(name, split, 5, seed)


def test_the_held_out_files_are_made_again_byte_for_byte(tmp_path: Path) -> None:
    dataset.write_held_out(train_dock_mini.HELD_OUT_ROWS, train_dock_mini.HELD_OUT_SEED, tmp_path)
    for name in dataset.TEMPLATES:
        shipped = dataset.MODEL_DIR / "eval" / "held_out" / f"{name}.jsonl"
        assert (tmp_path / f"{name}.jsonl").read_bytes() == shipped.read_bytes()


@pytest.mark.parametrize("name", dataset.TEMPLATES)
def test_the_held_out_set_has_at_least_a_hundred_rows(name: str) -> None:
    assert len(evaluation_rows("held_out", name)) >= 100


@pytest.mark.parametrize("name", dataset.TEMPLATES)
def test_the_hand_written_set_has_at_least_25_rows_that_obey_the_schema(name: str) -> None:
    rows = evaluation_rows("hand_written", name)
    assert len(rows) >= 25
    for row in rows:
        validator(name).validate(row.expected)


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


@pytest.mark.parametrize("count", [500, pytest.param(4000, marks=pytest.mark.slow)])
def test_no_hand_written_message_is_in_the_training_mix(count: int) -> None:
    for name in dataset.TEMPLATES:
        written = {str(row.inputs).lower() for row in evaluation_rows("hand_written", name)}
        trained = {str(row.inputs).lower() for row in dataset.rows(name, Split.TRAIN, count, 1)}
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
    validator(name).validate(json.loads(example["answer"]))


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
