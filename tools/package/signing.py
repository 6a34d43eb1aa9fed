"""The signature over a bundle, by the tool of the OpenSSF that signs models too.

In: a folder, a private key.  Out: bundle.sig in it, tried as a receiver tries it.
The key is read by model_signing and openssl alone.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tools.package.errors import PackageError
from tools.verify_bundle import HASHES, SIGNATURE, Refusal, checked

TOOL = "model_signing"


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs.

    Attributes:
        private: the file of the private key, PEM.
        public: its public key, PEM.
    """

    private: Path
    public: bytes

    @property
    def name(self) -> str:
        """What a signature calls the key."""
        return f"sha256:{hashlib.sha256(self.public).hexdigest()}"


def signer_of(key: Path) -> Signer:
    """Return the owner of a private key; called before anything takes long.

    Raises:
        PackageError: a program is missing, or the key cannot be read.
    """
    if shutil.which("openssl") is None:
        raise PackageError("needs openssl to sign: apt-get install openssl")
    # An empty password: a key that has one is refused here, and nobody is asked for it.
    command = ["openssl", "pkey", "-in", str(key), "-passin", "pass:", "-pubout"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode != 0:
        raise PackageError(
            f"{key}: openssl reads no private key without a password from it; make one as "
            f"docs/models.md shows: {done.stderr.decode(errors='replace').strip()}"
        )
    if not any(oid in _der(done.stdout) for oid in HASHES):
        raise PackageError(
            f"{key}: must be an EC key of P-256, P-384 or P-521 (see docs/models.md)"
        )
    if shutil.which(TOOL) is None:
        raise PackageError(
            f"needs {TOOL} to sign: pip install model-signing pyopenssl, in an environment whose "
            "bin is on PATH (see docs/models.md)"
        )
    return Signer(key, done.stdout)


def _der(pem: bytes) -> bytes:
    return base64.b64decode(b"".join(pem.splitlines()[1:-1]))


def sign(folder: Path, signer: Signer) -> None:
    """Sign every file of a folder, and try the signature.

    Raises:
        PackageError: the tool refuses, or a receiver would.
    """
    # Absolute: the tool looks for a relative path of the signature below the folder.
    signature = folder.resolve() / SIGNATURE
    command = [TOOL, "sign", "key", "--private_key", str(signer.private)]
    command += ["--signature", str(signature), str(folder.resolve())]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise PackageError(f"{TOOL} did not sign: {done.stderr.strip() or done.stdout.strip()}")
    with tempfile.NamedTemporaryFile() as public:
        public.write(signer.public)
        public.flush()
        try:
            checked(Path(public.name), folder)
        except Refusal as refusal:
            raise PackageError(f"{TOOL} signed what no receiver takes: {refusal}") from refusal
