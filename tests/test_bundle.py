"""The bundle for a board without network: what is in it, and who signed it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from tests.bundle_fixtures import (
    EACH_CHECK,
    MODEL,
    PACKAGE,
    Check,
    members,
    needs_openssl,
    unpacked,
    written,
)
from tests.bundle_fixtures import key as key
from tests.bundle_fixtures import signer as signer
from tests.bundle_fixtures import unsigned as unsigned
from tests.package_fixtures import EPOCH_S, contents_of
from tests.store_fixtures import Signer
from tools.package.bundle import SUMS, chosen, main, told, write_bundle
from tools.package.errors import PackageError
from tools.package.signing import TOOL, signer_of
from tools.package.signing import sign as sign_by_tool
from tools.verify_bundle import SIGNATURE
from tools.wheelhouse.listing import REQUIREMENTS

pytestmark = needs_openssl


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
