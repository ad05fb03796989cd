"""Keys and certificates that live as long as a rig, made by openssl."""

from dataclasses import dataclass
from pathlib import Path

from tests.rigs.install import debian_packages
from tests.rigs.process import run

CONFIG = "[req]\ndistinguished_name = name\n[name]\n"
AUTHORITY = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,digitalSignature")
SERVER = ("subjectAltName=IP:127.0.0.1,DNS:localhost", "extendedKeyUsage=serverAuth")


@dataclass(frozen=True)
class Certificate:
    """A private key and its certificate, PEM files both."""

    key: Path
    file: Path


def install() -> None:
    """Put openssl on the machine."""
    debian_packages("openssl")


def authority(folder: Path, name: str = "ca") -> Certificate:
    """A self-signed certificate with an RSA key: signs servers' certificates, and tokens."""
    return _make(folder, name, ["-newkey", "rsa:2048"], AUTHORITY)


def loopback(folder: Path, signer: Certificate) -> Certificate:
    """A server's certificate for 127.0.0.1 and localhost."""
    signed = ["-CA", str(signer.file), "-CAkey", str(signer.key)]
    return _make(folder, "server", ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", *signed], SERVER)


def _make(folder: Path, name: str, options: list[str], extensions: tuple[str, ...]) -> Certificate:
    config = folder / "openssl.cnf"  # The machine's own would add extensions of its own.
    config.write_text(CONFIG)
    made = Certificate(key=folder / f"{name}.key", file=folder / f"{name}.crt")
    added = [word for extension in extensions for word in ("-addext", extension)]
    files = ["-keyout", str(made.key), "-out", str(made.file)]
    subject = ["-subj", f"/CN=treeship rig {name}", "-days", "7", "-sha256"]
    run(["openssl", "req", "-x509", "-nodes", "-config", str(config), *options, *subject, *added, *files])
    return made
