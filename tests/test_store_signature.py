"""Who signed a bundle: what the real tool signs is believed, and nothing else."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from edged.errors import ConfigError, StoreRefused
from edged.store.manifest import read_statement
from edged.store.signature import Trust, pae, verified
from tests.store_fixtures import (
    GOLDEN,
    NOW,
    YEAR,
    Authority,
    Signer,
    bundle_in,
    model_folder,
    new_authority,
    new_signer,
    sign,
    signature_of,
    statement,
    trusting,
)

PAYLOAD = json.dumps(statement({"a": "00" * 32})).encode()
TOOL = shutil.which("model_signing")


def refusal(signature: bytes, trust: Trust, at: Any = NOW) -> str:
    """Return why a signature is not believed."""
    with pytest.raises(StoreRefused) as refused:
        verified(signature, trust, at)
    return str(refused.value)


def changed(signature: bytes, **envelope: Any) -> bytes:
    """Return a bundle with another envelope."""
    bundle = json.loads(signature)
    bundle["dsseEnvelope"] |= envelope
    return json.dumps(bundle).encode()


def test_what_the_tool_signed_with_a_key_is_believed() -> None:
    bundle = bundle_in(GOLDEN / "key" / "bundle", Trust(keys=(GOLDEN / "key" / "signer.pem",)))
    assert (bundle.kind, bundle.about.name, bundle.about.version) == ("model", "own", 1)
    assert set(bundle.files) == {"model.toml", "own.gguf"}
    assert bundle.signer is not None
    assert bundle.signer.startswith("key sha256:")


def test_what_the_tool_signed_with_a_certificate_is_believed() -> None:
    trust = Trust(authorities=(GOLDEN / "certificate" / "authority.pem",))
    bundle = bundle_in(GOLDEN / "certificate" / "bundle", trust)
    assert bundle.kind == "templates"
    assert set(bundle.files) == {"templates.toml", "templates/dock-number.toml"}
    assert bundle.signer is not None
    assert bundle.signer.startswith("CN=Model release sha256:")


@pytest.mark.skipif(TOOL is None, reason="model_signing is not installed")
@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_what_the_tool_signs_now_is_believed(tmp_path: Path, curve: ec.EllipticCurve) -> None:
    signer, folder = new_signer(curve), model_folder(tmp_path / "bundle")
    private = tmp_path / "private.pem"
    pem = signer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    private.write_bytes(pem)
    command = [TOOL, "sign", "key", "--private_key", private, "--signature", folder / "model.sig"]
    subprocess.run([*map(str, command), str(folder)], check=True, capture_output=True)
    assert bundle_in(folder, trusting(tmp_path, signer)).about.name == "own"


@pytest.mark.skipif(TOOL is None, reason="model_signing is not installed")
def test_the_tool_believes_what_the_tests_sign(tmp_path: Path) -> None:
    signer, folder = new_signer(), model_folder(tmp_path / "bundle")
    sign(folder, signer)
    (key,) = trusting(tmp_path, signer).keys
    command = [TOOL, "verify", "key", "--public_key", key, "--signature", folder / "model.sig"]
    subprocess.run([*map(str, command), str(folder)], check=True, capture_output=True)


def test_the_encoding_before_the_signature_is_dsse_s() -> None:
    # Source: secure-systems-lab/dsse, protocol.md, PAE.
    assert pae(b"hello") == b"DSSEv1 28 application/vnd.in-toto+json 5 hello"


def test_a_key_that_the_board_does_not_have_is_named(tmp_path: Path) -> None:
    signature = signature_of(PAYLOAD, new_signer())
    assert "not in store.keys" in refusal(signature, trusting(tmp_path, new_signer()))
    assert "there are: none" in refusal(signature, Trust())


def test_a_signature_of_another_key_under_a_known_name_is_refused(tmp_path: Path) -> None:
    known = new_signer()
    bundle = json.loads(signature_of(PAYLOAD, new_signer()))
    bundle["verificationMaterial"] = known.material
    assert "not right" in refusal(json.dumps(bundle).encode(), trusting(tmp_path, known))


def test_a_changed_statement_is_refused(tmp_path: Path) -> None:
    signer = new_signer()
    other = json.dumps(statement({"a": "11" * 32})).encode()
    signature = changed(signature_of(PAYLOAD, signer), payload=base64.b64encode(other).decode())
    assert "not right" in refusal(signature, trusting(tmp_path, signer))


@pytest.mark.parametrize(
    "envelope",
    [
        {"payloadType": "text/plain"},
        {"payload": "***"},
        {"signatures": []},
        {"signatures": [{"sig": "AA=="}, {"sig": "AA=="}]},
    ],
    ids=["type", "base64", "no signature", "two signatures"],
)
def test_another_form_of_envelope_is_refused(tmp_path: Path, envelope: dict[str, Any]) -> None:
    signer = new_signer()
    signature = changed(signature_of(PAYLOAD, signer), **envelope)
    assert "no sigstore bundle" in refusal(signature, trusting(tmp_path, signer))


def test_sigstore_s_own_certificates_are_refused_and_told_why(tmp_path: Path) -> None:
    bundle = json.loads(signature_of(PAYLOAD, new_signer()))
    bundle["verificationMaterial"] = {"certificate": {"rawBytes": "AA=="}}
    assert "network" in refusal(json.dumps(bundle).encode(), Trust())


def test_a_key_file_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text("no key")
    with pytest.raises(ConfigError, match=r"store\.keys: .*key\.pem"):
        verified(signature_of(PAYLOAD, new_signer()), Trust(keys=(path,)), NOW)


def test_a_key_of_another_kind_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rsa.pem"
    key = rsa.generate_private_key(65537, 2048).public_key()
    path.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(ConfigError, match="must be an EC key"):
        verified(signature_of(PAYLOAD, new_signer()), Trust(keys=(path,)), NOW)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return new_authority()


@pytest.fixture(scope="module")
def believed(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Trust:
    """A board that believes the authority."""
    return Trust(authorities=(authority.write(tmp_path_factory.mktemp("ca") / "ca.pem"),))


def test_a_certificate_of_the_authority_is_believed(authority: Authority, believed: Trust) -> None:
    signature = signature_of(PAYLOAD, authority.issue("Release"))
    assert verified(signature, believed, NOW).payload == PAYLOAD


def test_a_certificate_over_another_authority_is_believed(
    authority: Authority, believed: Trust
) -> None:
    between = Authority(authority.issue("Models", authority=True, purpose=None))
    signature = signature_of(PAYLOAD, between.issue("Release"))
    assert verified(signature, believed, NOW).payload == PAYLOAD


def test_an_expired_certificate_is_refused(authority: Authority, believed: Trust) -> None:
    signer = authority.issue("Release", end=NOW - timedelta(days=1))
    assert "expired on 2026-11-21" in refusal(signature_of(PAYLOAD, signer), believed)


def test_an_expired_authority_is_refused(tmp_path: Path) -> None:
    old = new_authority(start=NOW - 3 * YEAR, end=NOW - YEAR)
    trust = Trust(authorities=(old.write(tmp_path / "ca.pem"),))
    assert "expired" in refusal(signature_of(PAYLOAD, old.issue("Release")), trust)


def test_a_certificate_of_the_future_tells_to_look_at_the_clock(
    authority: Authority, believed: Trust
) -> None:
    signer = authority.issue("Release", start=NOW + timedelta(days=1))
    assert "set its clock" in refusal(signature_of(PAYLOAD, signer), believed)


def test_a_certificate_of_an_unknown_authority_is_refused(believed: Trust) -> None:
    signer = new_authority("Other CA").issue("Release")
    assert "goes back to no authority" in refusal(signature_of(PAYLOAD, signer), believed)


def test_an_authority_of_the_same_name_with_another_key_is_not_it(believed: Trust) -> None:
    signer = new_authority().issue("Release")
    assert "goes back to no authority" in refusal(signature_of(PAYLOAD, signer), believed)


@pytest.mark.parametrize("purpose", [ExtendedKeyUsageOID.CLIENT_AUTH, None])
def test_a_device_s_certificate_of_the_same_authority_signs_no_models(
    authority: Authority, believed: Trust, purpose: Any
) -> None:
    signer = authority.issue("forklift-7", purpose=purpose)
    assert "codeSigning" in refusal(signature_of(PAYLOAD, signer), believed)


def test_a_signer_issues_no_signers(authority: Authority, believed: Trust) -> None:
    leaf = Authority(authority.issue("Release"))
    signer = leaf.issue("Somebody")
    assert "goes back to no authority" in refusal(signature_of(PAYLOAD, signer), believed)


def test_an_authority_has_no_more_below_it_than_it_says(
    authority: Authority, believed: Trust
) -> None:
    first = Authority(authority.issue("First", authority=True, purpose=None, path_length=0))
    second = Authority(first.issue("Second", authority=True, purpose=None))
    signer = second.issue("Release")
    assert "goes back to no authority" in refusal(signature_of(PAYLOAD, signer), believed)


def test_the_key_of_the_certificate_must_have_signed(authority: Authority, believed: Trust) -> None:
    other = Signer(ec.generate_private_key(ec.SECP384R1()), authority.issue("Release").chain)
    assert "not right" in refusal(signature_of(PAYLOAD, other), believed)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"_type": "https://in-toto.io/Statement/v0.1"}, "_type"),
        ({"predicateType": "https://slsa.dev/provenance/v1"}, "predicateType"),
        ({"subject": []}, "subject"),
    ],
)
def test_a_signed_statement_of_something_else_is_refused(
    changes: dict[str, Any], word: str
) -> None:
    with pytest.raises(StoreRefused, match=word):
        read_statement(json.dumps(statement({"a": "00" * 32}, **changes)).encode())


def test_a_statement_at_odds_with_itself_is_refused() -> None:
    subject = [{"name": "b", "digest": {"sha256": "ab" * 32}}]
    with pytest.raises(StoreRefused, match="at odds"):
        read_statement(json.dumps(statement({"a": "00" * 32}, subject=subject)).encode())


@pytest.mark.parametrize(
    ("place", "value", "word"),
    [
        ("serialization", {"method": "shards"}, "whole files"),
        ("algorithm", "blake2b", "sha256"),
        ("name", "b", "twice"),
    ],
)
def test_what_edged_cannot_compare_is_refused(place: str, value: Any, word: str) -> None:
    table = statement({"a": "00" * 32, "b": "11" * 32})
    if place == "serialization":
        table["predicate"][place] = value
    else:
        table["predicate"]["resources"][0][place] = value
    with pytest.raises(StoreRefused, match=word):
        read_statement(json.dumps(table).encode())


@pytest.mark.parametrize(
    "name", ["../a", "/etc/passwd", "a/../b", "", "a//b", "a b", "a\\b", "a.part", "ä", "./a"]
)
def test_no_file_of_a_bundle_leaves_it(name: str) -> None:
    with pytest.raises(StoreRefused, match="no file of a bundle"):
        read_statement(json.dumps(statement({name: "00" * 32})).encode())


@given(
    st.binary(max_size=300)
    | st.recursive(st.none() | st.text(), st.lists).map(repr).map(str.encode)
)
def test_no_content_breaks_the_reader(content: bytes) -> None:
    with suppress(StoreRefused):
        verified(content, Trust(), NOW)
    with suppress(StoreRefused):
        read_statement(content)
