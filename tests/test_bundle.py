"""The bundle for a board without network: what is in it, who signed it, and what no receiver takes.

Method: both verifiers on the same bundles: the script for a machine that has no edged, with nothing
but Python's own library, and `edged bundle verify`. `tests/signed_bundles/offline` is one that the
real tool signed.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from edged.__main__ import main as edged
from edged.errors import StoreRefused
from edged.store.manifest import manifest_of
from tests.package_fixtures import EPOCH_S, contents_of
from tests.store_fixtures import (
    GOLDEN,
    Signer,
    new_signer,
    sign,
    signature_of,
    statement,
    trusting,
)
from tests.test_wheelhouse import wheel
from tools.board_processes import write_config
from tools.package.bundle import SUMS, chosen, main, told, write_bundle
from tools.package.errors import PackageError
from tools.package.signing import TOOL, signer_of
from tools.package.signing import sign as sign_by_tool
from tools.package.tree import ROOT
from tools.verify_bundle import SIGNATURE, Refusal, files_of, is_plain, read_envelope
from tools.wheelhouse.listing import REQUIREMENTS
from tools.wheelhouse.wheels import read_wheel

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="the script and the signer want openssl"
)
PACKAGE, MODEL = "edged_1-1_amd64.deb", "chat.gguf"
# An exit code, and what was said.
Said: TypeAlias = tuple[int, str]


def by_script(folder: Path, key: Path) -> Said:
    """Check as a machine without edged does: -I and -S leave nothing but Python's own library."""
    command = [sys.executable, "-I", "-S", str(ROOT / "tools/verify_bundle.py")]
    done = subprocess.run([*command, str(key), str(folder)], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def by_edged(folder: Path, key: Path) -> Said:
    """Check as a board does that has edged."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = edged(["bundle", "verify", str(folder), "--key", str(key)])
    return code, said.getvalue()


EACH_CHECK = pytest.mark.parametrize("check", [by_script, by_edged])
Check: TypeAlias = Callable[[Path, Path], Said]


@pytest.fixture(scope="module")
def signer() -> Signer:
    return new_signer()


@pytest.fixture
def key(tmp_path: Path, signer: Signer) -> Path:
    """What the receiver has of the signer."""
    return trusting(tmp_path, signer).keys[0]


@pytest.fixture
def unsigned(tmp_path: Path) -> Path:
    """An unpacked bundle without a signature."""
    return unpacked(written(tmp_path / "made"), tmp_path)


@pytest.fixture
def signed(unsigned: Path, signer: Signer) -> Path:
    return sign(unsigned, signer, SIGNATURE)


def members(folder: Path) -> dict[str, Path | bytes]:
    """Return what a bundle holds, made small."""
    wheels = [wheel(folder / "wheels", name, library=name.encode()) for name in ("edged", "one")]
    contents = contents_of([read_wheel(path) for path in wheels])
    for name in (PACKAGE, MODEL):
        (folder / name).write_bytes(name.encode())
    return chosen(folder / PACKAGE, contents, [folder / MODEL])


def written(folder: Path) -> Path:
    """Write a bundle without a signature."""
    folder.mkdir()
    return write_bundle(members(folder), folder / "out", EPOCH_S)


def unpacked(bundle: Path, folder: Path) -> Path:
    """Unpack as a receiver does."""
    subprocess.run(["tar", "-xf", str(bundle), "-C", str(folder)], check=True)
    return folder / bundle.stem


class TestContents:
    def test_package_wheels_and_models_are_there_and_their_digests_are_right(
        self, unsigned: Path
    ) -> None:
        command = ["sha256sum", "--check", "--strict", SUMS]
        done = subprocess.run(command, cwd=unsigned, capture_output=True, text=True, check=True)
        assert done.stdout.split()[::2] == [
            f"{PACKAGE}:",
            f"models/{MODEL}:",
            "wheels/edged-1.0-py3-none-any.whl:",
            "wheels/manifest.json:",
            "wheels/one-1.0-py3-none-any.whl:",
            "wheels/requirements.txt:",
        ]

    def test_pip_takes_the_wheels_by_their_digests(self, unsigned: Path, tmp_path: Path) -> None:
        command = [sys.executable, "-m", "pip", "install", "--no-index", "--require-hashes"]
        command += ["--no-compile", "--disable-pip-version-check", "--target", str(tmp_path / "t")]
        command += ["--find-links", str(unsigned / "wheels")]
        command += ["--requirement", str(unsigned / "wheels" / REQUIREMENTS)]
        subprocess.run(command, check=True, capture_output=True)
        assert (tmp_path / "t/one/one.so").read_bytes() == b"one"

    def test_two_bundles_are_the_same(self, tmp_path: Path) -> None:
        packed = members(tmp_path)
        made = [write_bundle(packed, tmp_path / name, EPOCH_S) for name in ("one", "two")]
        assert made[0].read_bytes() == made[1].read_bytes()

    def test_what_was_packed_stays_as_it_was(self, tmp_path: Path) -> None:
        written(tmp_path / "made")
        names = {path.name for path in (tmp_path / "made/out").iterdir()}
        assert names == {"edged_1-1_amd64.tar"}
        assert (tmp_path / "made" / MODEL).read_bytes() == MODEL.encode()

    def test_two_models_of_one_name_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "a.gguf").write_bytes(b"model")
        twice = [tmp_path / "a.gguf", tmp_path / "a.gguf"]
        with pytest.raises(PackageError, match=r"two models are called a\.gguf"):
            chosen(tmp_path / PACKAGE, contents_of([]), twice)

    def test_a_model_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(PackageError, match=r"none\.gguf: no such file"):
            chosen(tmp_path / PACKAGE, contents_of([]), [tmp_path / "none.gguf"])

    def test_a_model_whose_name_no_receiver_takes_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "my model.gguf").write_bytes(b"model")
        with pytest.raises(PackageError, match=r"'my model\.gguf': rename it"):
            chosen(tmp_path / PACKAGE, contents_of([]), [tmp_path / "my model.gguf"])


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


def private_key(
    folder: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes | None = None
) -> Path:
    """Write a private key."""
    lock: KeySerializationEncryption = NoEncryption()
    if password is not None:
        lock = BestAvailableEncryption(password)
    (folder / "release.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock))
    return folder / "release.key"


class TestSigned:
    @pytest.mark.skipif(shutil.which(TOOL) is None, reason="model_signing is not installed")
    @EACH_CHECK
    def test_what_the_tool_signs_now_is_taken(
        self, check: Check, signer: Signer, key: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "in").mkdir()
        owner = signer_of(private_key(tmp_path, signer.key))
        bundle = write_bundle(members(tmp_path / "in"), tmp_path / "out", EPOCH_S, owner)
        folder = unpacked(bundle, tmp_path)
        assert check(folder, key)[0] == 0
        (hint,) = signer.material["publicKey"].values()
        assert owner.name == f"sha256:{hint}"

    @pytest.mark.skipif(shutil.which(TOOL) is None, reason="model_signing is not installed")
    def test_the_tools_own_verifier_takes_what_it_signed(
        self, signer: Signer, key: Path, unsigned: Path
    ) -> None:
        sign_by_tool(unsigned, signer_of(private_key(unsigned.parent, signer.key)))
        command = [TOOL, "verify", "key", "--public_key", str(key), "--signature"]
        done = subprocess.run(
            [*command, str(unsigned / SIGNATURE), str(unsigned)], capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")

    def test_a_bundle_that_nobody_signed_is_told_as_such(self) -> None:
        assert told(None).startswith("UNSIGNED: nobody can tell it from another's")

    def test_a_key_that_is_not_there_is_refused_before_anything_is_built(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["amd64", "--key", str(tmp_path / "none.key")]) == 1
        assert "none.key: openssl reads no private key" in capsys.readouterr().err

    def test_a_key_with_a_password_is_refused(self, signer: Signer, tmp_path: Path) -> None:
        with pytest.raises(
            PackageError, match=r"release\.key: openssl reads no private key without"
        ):
            signer_of(private_key(tmp_path, signer.key, b"word"))

    def test_a_key_of_another_kind_is_refused(self, tmp_path: Path) -> None:
        path = private_key(tmp_path, rsa.generate_private_key(65537, 2048))
        with pytest.raises(PackageError, match=r"release\.key: must be an EC key"):
            signer_of(path)

    def test_without_the_tool_it_is_named_with_its_package(
        self, signer: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = private_key(tmp_path, signer.key)
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin/openssl").symlink_to(str(shutil.which("openssl")))
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        with pytest.raises(PackageError, match="needs model_signing to sign: pip install"):
            signer_of(path)


def test_the_script_can_be_run_as_it_lies_here() -> None:
    assert os.access(ROOT / "tools/verify_bundle.py", os.X_OK)
