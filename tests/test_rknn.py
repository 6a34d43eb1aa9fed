"""The classifier over a fake of rknn-toolkit-lite2: tokens, choices, refusals, faults."""

from __future__ import annotations

import json
import resource
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edged.config import load
from edged.engine import child
from edged.engine.frames import Broken, Measure, Prompt, Sampling
from edged.engine.rknn.classifier import recipe_of
from edged.engine.rknn.evidence import Evidence, check_platform, probe
from edged.engine.rknn.tokenizer import WordPiece
from edged.errors import EngineUnusable
from tests.engine_fixtures import Daemon, engine_process, work
from tests.rknn_fixtures import (
    FAKE,
    LABELS,
    VOCABULARY,
    rknn_config,
    write_classifier,
    write_vocabulary,
)

EVENT = {"enum": list(LABELS)}


@pytest.fixture
def words(tmp_path: Path) -> WordPiece:
    return WordPiece.load(write_vocabulary(tmp_path / "vocab.txt"), lowers=True)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        ("truck left", ["truck", "left"]),
        ("Trucks CRUSHED", ["truck", "##s", "crush", "##ed"]),
        ("door: 7", ["door", ":", "7"]),
        ("tr\u00fcck", ["truck"]),
        ("forklift door", ["[UNK]", "door"]),
        ("truckx", ["[UNK]"]),
        ("a" * 200, ["[UNK]"]),
        ("door\u0000\u200b7", ["[UNK]"]),
    ],
)
def test_words_become_their_longest_pieces(words: WordPiece, text: str, pieces: list[str]) -> None:
    told = [VOCABULARY[number] for number in words.encode(text)]
    assert told == ["[CLS]", *pieces, "[SEP]"]


def test_a_file_that_is_no_vocabulary_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text("truck\n")
    with pytest.raises(EngineUnusable, match=r"lacks \[CLS\]"):
        WordPiece.load(path, lowers=True)
    with pytest.raises(EngineUnusable, match="cannot be read"):
        WordPiece.load(tmp_path / "none", lowers=True)


@pytest.mark.parametrize(
    ("keys", "word"),
    [({"labels": []}, "rknn.labels"), ({"labels": ["a", "a"]}, "twice")],
)
def test_labels_must_be_named_once_each(tmp_path: Path, keys: dict[str, Any], word: str) -> None:
    with pytest.raises(EngineUnusable, match=word):
        recipe_of(load(rknn_config(tmp_path, **keys)))


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    config = rknn_config(tmp_path, tmp_path / "model.gguf")
    with pytest.raises(EngineUnusable, match=r"runs a \.rknn file"):
        recipe_of(load(config))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parent.parent
    monkeypatch.setenv("PYTHONPATH", f"{root}:{FAKE}")


@pytest.mark.usefixtures("fake")
class TestProbe:
    def test_it_asks_the_module_and_leaves_the_npu_alone(self, tmp_path: Path) -> None:
        model = write_classifier(tmp_path / "m.rknn", fault="crash", platforms=("rk3588",))
        told = probe(recipe_of(load(rknn_config(tmp_path, model))), opens=False)
        assert "rk3588" in str(told.platforms)
        assert (told.runtime, told.computes) == (None, False)

    def test_it_computes_where_it_may_open_the_npu(self, tmp_path: Path) -> None:
        told = probe(recipe_of(load(rknn_config(tmp_path))), opens=True)
        assert (told.runtime, told.computes) == ("2.5.0 (fake)", True)

    @pytest.mark.parametrize(
        ("fault", "word"),
        [
            ("no device", "did not open it"),
            ("crash", "SIGSEGV"),
            ("none", "returned nothing"),
            ("nan", "no numbers"),
            ("short", "has 1 outputs"),
        ],
    )
    def test_what_goes_wrong_is_one_sentence(self, tmp_path: Path, fault: str, word: str) -> None:
        model = write_classifier(tmp_path / "m.rknn", fault=fault)
        with pytest.raises(EngineUnusable, match=word) as refused:
            probe(recipe_of(load(rknn_config(tmp_path, model))), opens=True)
        assert "\n" not in str(refused.value)

    def test_junk_raises_in_the_module_and_is_a_sentence_here(self, tmp_path: Path) -> None:
        model = tmp_path / "m.rknn"
        model.write_bytes(b"junk")
        with pytest.raises(EngineUnusable, match="a model for this board"):
            probe(recipe_of(load(rknn_config(tmp_path, model))), opens=False)

    def test_a_model_that_is_gone_is_a_sentence_too(self, tmp_path: Path) -> None:
        recipe = recipe_of(load(rknn_config(tmp_path)))
        recipe.model.unlink()
        with pytest.raises(EngineUnusable, match="does not exist"):
            probe(recipe, opens=False)

    def test_a_module_that_hangs_is_given_up(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(child, "ANSWER_S_MAX", 2.0)
        model = write_classifier(tmp_path / "m.rknn", fault="hang")
        with pytest.raises(EngineUnusable, match="does not come back"):
            probe(recipe_of(load(rknn_config(tmp_path, model))), opens=True)


def test_without_the_module_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On aarch64 the module is installed: a file of its name hides it.
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden/rknnlite.py").write_text("")
    path = f"{tmp_path / 'hidden'}:{Path(__file__).parent.parent}"
    monkeypatch.setenv("PYTHONPATH", path)
    with pytest.raises(EngineUnusable, match="install rknn-toolkit-lite2"):
        probe(recipe_of(load(rknn_config(tmp_path))), opens=False)


def test_a_model_of_another_soc_is_refused(tmp_path: Path) -> None:
    recipe = recipe_of(load(rknn_config(tmp_path)))
    told = Evidence(platforms="{'support_target_platform': ['rk3576']}")
    with pytest.raises(EngineUnusable, match="converted for RK3576") as refused:
        check_platform(told, recipe, "rk3588")
    assert "target_platform = rk3588" in str(refused.value)
    check_platform(told, recipe, "rk3576")
    check_platform(told, recipe, None)
    check_platform(replace(told, platforms="None"), recipe, "rk3588")


@pytest.mark.model
class TestEngine:
    def test_it_answers_with_the_likeliest_label_and_its_probability(self, tmp_path: Path) -> None:
        with engine_process(rknn_config(tmp_path), tmp_path, FAKE) as engine:
            daemon = Daemon.connect(engine)
            ready = daemon.ready()
            texts = ("truck at door 3", "crushed pallet", "it left")
            asked = [work(text, text, schema=EVENT) for text in texts]
            outcomes = daemon.ask(*asked)
            daemon.close()
        assert (ready.name, ready.backend, ready.context_tokens) == ("events", "rknn", 512)
        assert [json.loads(one.text) for one in outcomes] == ["arrival", "damage", "departure"]
        assert {one.finish for one in outcomes} == {"schema"}
        assert all(0.9 < (one.confidence or 0) <= 1 for one in outcomes)

    def test_labels_that_the_schema_leaves_out_are_not_chosen(self, tmp_path: Path) -> None:
        with engine_process(rknn_config(tmp_path), tmp_path, FAKE) as engine:
            daemon = Daemon.connect(engine)
            daemon.ready()
            schema = {"enum": ["departure", "damage"]}
            (outcome,) = daemon.ask(work("a", "truck truck left", schema=schema))
            daemon.close()
        assert json.loads(outcome.text) == "departure"

    def test_what_it_cannot_answer_is_refused_by_name(self, tmp_path: Path) -> None:
        refused = {
            "free": work("free"),
            "object": work("object", schema={"type": "object", "properties": {"a": EVENT}}),
            "label": work("label", schema={"enum": ["theft"]}),
            "long": work("long", "7 " * 600, schema=EVENT),
            "drawn": work("drawn", schema=EVENT, sampling=Sampling(temperature=1.0)),
        }
        with engine_process(rknn_config(tmp_path), tmp_path, FAKE) as engine:
            daemon = Daemon.connect(engine)
            daemon.ready()
            outcomes = {one.id: one for one in daemon.ask(*refused.values())}
            daemon.send(Measure("m", Prompt(payload="7 " * 600), json.dumps(EVENT)))
            daemon.until_true(lambda: daemon.frames[-1].kind == "measured")
            daemon.close()
        assert {name: one.reason for name, one in outcomes.items()} == {
            "free": "bad_schema",
            "object": "bad_schema",
            "label": "bad_schema",
            "long": "too_long",
            "drawn": "malformed",
        }
        assert "theft" in outcomes["label"].detail

    @pytest.mark.parametrize("fault", ["none 1", "nan 1"])
    def test_a_run_that_gives_nothing_is_an_error_and_no_answer(
        self, tmp_path: Path, fault: str
    ) -> None:
        model = write_classifier(tmp_path / "m.rknn", fault=fault)
        with engine_process(rknn_config(tmp_path, model), tmp_path, FAKE) as engine:
            daemon = Daemon.connect(engine)
            daemon.ready()
            (outcome,) = daemon.ask(work("a", schema=EVENT))
            daemon.close()
        assert (outcome.finish, outcome.reason) == ("failed", "engine_failed")

    def test_the_canary_is_asked_behind_a_failed_run_and_ends_an_engine_that_goes_on_so(
        self, tmp_path: Path
    ) -> None:
        model = write_classifier(tmp_path / "m.rknn", fault="nan 1")
        with engine_process(rknn_config(tmp_path, model), tmp_path, FAKE) as engine:
            daemon = Daemon.connect(engine)
            daemon.ready()
            daemon.ask(work("a", schema=EVENT))
            daemon.send(work("b", schema=EVENT))
            told = daemon.until(Broken).detail
            code, _ = engine.wait()
            daemon.close()
        assert (code, "does not answer a test text" in told) == (69, True)
        assert "b" not in daemon.outcomes

    def test_it_raises_its_limit_of_open_files_as_every_engine_on_the_npu(
        self, tmp_path: Path
    ) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        try:
            with engine_process(rknn_config(tmp_path), tmp_path, FAKE) as engine:
                daemon = Daemon.connect(engine)
                daemon.ready()
                daemon.close()
                allowed, _ = resource.prlimit(engine.process.pid, resource.RLIMIT_NOFILE)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert allowed == min(hard, 65_536)

    def test_a_call_that_hangs_ends_the_process_within_its_time(self, tmp_path: Path) -> None:
        model = write_classifier(tmp_path / "m.rknn", fault="hang 1")
        config = rknn_config(tmp_path, model, answer_s_max=0.5)
        with engine_process(config, tmp_path, FAKE) as engine:
            daemon = Daemon.connect(engine)
            daemon.ready()
            daemon.send(work("a", schema=EVENT))
            code, errors = engine.wait()
            daemon.close()
        assert (code, "replaced" in errors) == (69, True)

    def test_a_crash_ends_the_engine_process_alone(self, tmp_path: Path) -> None:
        model = write_classifier(tmp_path / "m.rknn", fault="die 1")
        with engine_process(rknn_config(tmp_path, model), tmp_path, FAKE) as engine:
            daemon = Daemon.connect(engine)
            daemon.ready()
            daemon.send(work("a", schema=EVENT))
            code, _ = engine.wait()
            daemon.close()
        assert code == -signal.SIGSEGV
