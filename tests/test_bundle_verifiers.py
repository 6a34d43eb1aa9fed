"""A bundle is taken as it was signed: changed, unsigned or of another signer, it is refused.

Method: both verifiers on the same bundles: the script for a machine that has no edged, with nothing
but Python's own library, and `edged bundle verify`. `tests/signed_bundles/offline` is one that the
real tool signed.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from edged.__main__ import main as edged
from edged.errors import StoreRefused
from edged.store.manifest import manifest_of
from tests.bundle_fixtures import EACH_CHECK, MODEL, PACKAGE, Check, needs_openssl
from tests.bundle_fixtures import key as key
from tests.bundle_fixtures import signed as signed
from tests.bundle_fixtures import signer as signer
from tests.bundle_fixtures import unsigned as unsigned
from tests.store_fixtures import GOLDEN, Signer, new_signer, sign, signature_of, statement, trusting
from tools.board_processes import write_config
from tools.package.tree import ROOT
from tools.verify_bundle import SIGNATURE, Refusal, files_of, is_plain, read_envelope

pytestmark = needs_openssl


@EACH_CHECK
class TestChecked:
    def test_a_bundle_as_it_was_signed_is_taken(
        self, check: Check, signed: Path, key: Path
    ) -> None:
        code, said = check(signed, key)
        assert (code, f"{signed}: 7 files, each as" in said) == (0, True)

    def test_what_the_tool_of_the_openssf_signed_is_taken(self, check: Check) -> None:
        offline = GOLDEN / "offline"
        code, said = check(offline / "edged_1-1_amd64", offline / "signer.pem")
        assert (code, "7 files" in said) == (0, True)

    @pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()])
    def test_a_key_of_another_curve_signs_too(
        self, check: Check, curve: ec.EllipticCurve, unsigned: Path, tmp_path: Path
    ) -> None:
        other = new_signer(curve)
        sign(unsigned, other, SIGNATURE)
        assert check(unsigned, trusting(tmp_path, other).keys[0])[0] == 0

    def test_a_bundle_of_which_a_byte_was_changed_is_refused(
        self, check: Check, signed: Path, key: Path
    ) -> None:
        (signed / PACKAGE).write_bytes(PACKAGE.replace("1", "2", 1).encode())
        code, said = check(signed, key)
        assert (code, f"'{PACKAGE}' was changed" in said) == (1, True)

    def test_a_bundle_without_one_of_its_files_is_refused(
        self, check: Check, signed: Path, key: Path
    ) -> None:
        (signed / "wheels/one-1.0-py3-none-any.whl").unlink()
        code, said = check(signed, key)
        assert (code, "one-1.0-py3-none-any.whl' is missing" in said) == (1, True)

    @pytest.mark.parametrize("name", ["edged_2-1_amd64.deb", ".git/config", "models/a\x1b[2J.gguf"])
    def test_a_bundle_with_a_file_more_is_refused(
        self, check: Check, name: str, signed: Path, key: Path
    ) -> None:
        (signed / name).parent.mkdir(exist_ok=True)
        (signed / name).write_bytes(b"more")
        code, said = check(signed, key)
        assert (code, f"{name!r} was not signed" in said, "\x1b" in said) == (1, True, False)

    def test_a_link_in_the_place_of_a_file_is_refused(
        self, check: Check, signed: Path, key: Path, tmp_path: Path
    ) -> None:
        (signed / PACKAGE).rename(tmp_path / PACKAGE)
        (signed / PACKAGE).symlink_to(tmp_path / PACKAGE)
        code, said = check(signed, key)
        assert (code, f"'{PACKAGE}' is no file" in said) == (1, True)

    def test_a_link_in_the_place_of_a_folder_is_refused(
        self, check: Check, signed: Path, key: Path, tmp_path: Path
    ) -> None:
        (signed / "models").rename(tmp_path / "models")
        (signed / "models").symlink_to(tmp_path / "models")
        code, said = check(signed, key)
        assert (code, f"'models/{MODEL}' is missing, 'models' was not signed" in said) == (1, True)

    def test_of_many_wrong_files_some_are_named(
        self, check: Check, signed: Path, key: Path
    ) -> None:
        for number in range(15):
            (signed / f"{number}").write_bytes(b"")
        code, said = check(signed, key)
        assert (code, said.count("was not signed"), "5 more" in said) == (1, 10, True)

    def test_a_bundle_that_another_key_signed_is_refused(
        self, check: Check, unsigned: Path, key: Path
    ) -> None:
        sign(unsigned, new_signer(), SIGNATURE)
        code, said = check(unsigned, key)
        assert (code, "was not made with the key" in said or "not in store.keys" in said) == (
            1,
            True,
        )

    def test_a_bundle_that_another_key_signed_under_the_right_name_is_refused(
        self, check: Check, unsigned: Path, key: Path, signer: Signer
    ) -> None:
        sign(unsigned, new_signer(), SIGNATURE)
        envelope = json.loads((unsigned / SIGNATURE).read_bytes())
        envelope["verificationMaterial"] = signer.material
        (unsigned / SIGNATURE).write_text(json.dumps(envelope))
        assert check(unsigned, key)[0] == 1

    def test_a_statement_that_was_changed_is_refused(
        self, check: Check, signed: Path, key: Path
    ) -> None:
        envelope = json.loads((signed / SIGNATURE).read_bytes())
        (signed / PACKAGE).unlink()
        payload = base64.b64decode(envelope["dsseEnvelope"]["payload"])
        other = json.loads(payload)
        del other["predicate"]["resources"][1]
        envelope["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(other).encode()).decode()
        (signed / SIGNATURE).write_text(json.dumps(envelope))
        code, said = check(signed, key)
        assert (code, "changed" in said) == (1, True)

    def test_a_bundle_without_a_signature_is_refused(
        self, check: Check, unsigned: Path, key: Path
    ) -> None:
        code, said = check(unsigned, key)
        assert (code, "nobody signed" in said, "not install it" in said) == (1, True, True)

    @pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b"[" * 100_000])
    def test_a_signature_that_is_none_is_refused(
        self, check: Check, content: bytes, unsigned: Path, key: Path
    ) -> None:
        (unsigned / SIGNATURE).write_bytes(content)
        code, said = check(unsigned, key)
        assert (code, "the signature is no" in said or "is no signature" in said) == (1, True)

    def test_a_signed_statement_of_something_else_is_refused(
        self, check: Check, unsigned: Path, key: Path, signer: Signer
    ) -> None:
        payload = json.dumps(statement({"a": "00" * 32}, predicateType="other")).encode()
        (unsigned / SIGNATURE).write_bytes(signature_of(payload, signer))
        code, said = check(unsigned, key)
        assert (code, "signed" in said) == (1, True)

    def test_a_signed_statement_of_files_elsewhere_is_refused(
        self, check: Check, unsigned: Path, key: Path, signer: Signer
    ) -> None:
        payload = json.dumps(statement({"../a": "00" * 32})).encode()
        (unsigned / SIGNATURE).write_bytes(signature_of(payload, signer))
        code, said = check(unsigned, key)
        assert (code, "'../a'" in said) == (1, True)

    def test_a_folder_that_is_not_there_is_named(self, check: Check, key: Path) -> None:
        code, said = check(Path("no-such"), key)
        assert (code, "no-such" in said, "unpack the bundle first" in said) == (1, True, True)

    def test_a_key_that_is_none_is_named(self, check: Check, signed: Path, tmp_path: Path) -> None:
        (tmp_path / "none.pem").write_text("no key")
        code, said = check(signed, tmp_path / "none.pem")
        assert (code != 0, "none.pem" in said, "public key (PEM)" in said) == (True, True, True)


class TestEdged:
    def test_the_keys_of_the_configuration_count_where_none_is_given(
        self, signed: Path, key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "board").mkdir()
        config = write_config(tmp_path / "board", store={"keys": [str(key)]})
        assert edged(["bundle", "verify", str(signed), "--config", str(config), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (len(found["files"]), found["signer"].startswith("key sha256:")) == (7, True)

    def test_without_any_key_one_is_asked_for(
        self, signed: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert edged(["bundle", "verify", str(signed)]) == 1
        assert "give --key FILE, or name one in store.keys" in capsys.readouterr().err


class TestScript:
    def test_without_openssl_it_says_so(self, signed: Path, key: Path, tmp_path: Path) -> None:
        command = [
            sys.executable,
            "-I",
            str(ROOT / "tools/verify_bundle.py"),
            str(key),
            str(signed),
        ]
        environment = {"PATH": str(tmp_path)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert (done.returncode, "needs openssl" in done.stderr) == (1, True)

    @given(
        st.binary(max_size=300)
        | st.recursive(
            st.none() | st.text() | st.just("dsseEnvelope"),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        )
        .map(json.dumps)
        .map(str.encode)
    )
    def test_no_content_breaks_the_readers(self, content: bytes) -> None:
        with tempfile.NamedTemporaryFile() as file, contextlib.suppress(Refusal):
            Path(file.name).write_bytes(content)
            read_envelope(Path(file.name))
        with contextlib.suppress(Refusal):
            files_of(content)

    @given(
        st.text(alphabet="aZ9_.+-~/ \\ä\n", max_size=8)
        | st.sampled_from(["edged_1.0~rc1-1_arm64.deb", "~a", "a/~b", "a.part", "a" * 201])
    )
    def test_it_takes_the_names_that_edged_takes(self, name: str) -> None:
        try:
            manifest_of({name: "00" * 32})
            is_edgeds = True
        except StoreRefused:
            is_edgeds = False
        assert is_plain(name) == is_edgeds


def test_the_script_can_be_run_as_it_lies_here() -> None:
    assert os.access(ROOT / "tools/verify_bundle.py", os.X_OK)
