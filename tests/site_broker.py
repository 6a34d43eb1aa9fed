"""A site as it is set up: an authority of its own, and mosquitto with the files of systemd/.

In: a directory of the test.  Out: a broker that wants certificates, and files for those who have
them. A second, plain listener on loopback tells that the broker is up, and lets nobody in.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from edged import config
from tests.broker import free_port, programs
from tests.mqtt_fixtures import Device, parse
from tools.broker import HOST, Broker, launch
from tools.site_ca import Site, Term, term_of

SHIPPED = Path(__file__).parent.parent / "systemd" / "mosquitto"
NOW = datetime.now(UTC)
GOOD = term_of(30, NOW)
OVER = Term(NOW - timedelta(days=60), NOW - timedelta(days=2))


def made(folder: Path, *clients: str, term: Term = GOOD) -> Site:
    """Return a site with an authority of its own, a broker's certificate and these clients'."""
    site = Site(folder)
    site.new("dock", Term(NOW - timedelta(days=90), NOW + timedelta(days=90)))
    site.broker("broker", [HOST], term)
    for client in clients:
        site.client(client, GOOD)
    return site


class SiteBroker:
    """mosquitto with the shipped configuration; as a context manager it starts and stops.

    Args:
        folder: for its database and log.
        site: whose certificates it shows and believes.
        uncommented: options of the shipped file that are comments in it.
    """

    host = HOST

    def __init__(self, folder: Path, site: Site, uncommented: Sequence[str] = ()) -> None:
        self._folder = folder
        self._site = site
        self._uncommented = uncommented
        self.port = free_port()
        self._plain = free_port()
        self._broker: Broker | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Start it with what its folder holds."""
        found = programs()
        path = self._folder / "mosquitto.conf"
        path.write_text(self._conf())
        (self._folder / "edged.passwords").touch(mode=0o600)
        command = [str(found.path("mosquitto")), "-c", str(path)]
        self._broker = launch(command, found.environment(), self._plain, self.log)

    def kill(self) -> None:
        """End it as a crash would."""
        assert self._broker is not None
        self._broker.kill()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._broker is not None
        return self._broker.process.pid

    @property
    def log(self) -> Path:
        """What it says."""
        return self._folder / "mosquitto.log"

    def table(self, name: str, site: Site | None = None, **keys: Any) -> config.Broker:
        """Return a broker's table for a client whose certificate is of `site`, else of its own."""
        return parse(host=self.host, port=self.port, **self.identity(name, site), **keys)

    def identity(self, name: str, site: Site | None = None) -> dict[str, str]:
        """Return the keys of a configuration that show a certificate."""
        folder = (site or self._site).folder
        return {
            "tls_ca_file": str(self._site.folder / "ca.pem"),
            "tls_certificate_file": str(folder / f"{name}.pem"),
            "tls_key_file": str(folder / f"{name}.key"),
        }

    def device(self, name: str, client_id: str = "") -> Device:
        """Return a device with a certificate of this site, and any client id; "": the broker's."""
        keys = self.identity(name)
        context = ssl.create_default_context(cafile=keys["tls_ca_file"])
        context.load_cert_chain(keys["tls_certificate_file"], keys["tls_key_file"])
        device = Device(self, client_id=client_id)
        device._client.tls_set_context(context)
        return device

    def _conf(self) -> str:
        """Return the shipped file, with this folder's paths and ports."""
        text = (SHIPPED / "edged.conf").read_text()
        for option in ("listener 1883", "password_file", *self._uncommented):
            assert f"\n#{option}" in text, option
            text = text.replace(f"\n#{option}", f"\n{option}")
        text = text.replace("listener 8883", f"listener {self.port} {HOST}")
        text = text.replace("listener 1883", f"listener {self._plain}")
        text = text.replace("/etc/mosquitto/edged.acl", str(SHIPPED / "edged.acl"))
        text = text.replace("/etc/mosquitto/edged/", f"{self._site.folder}/")
        text = text.replace("/etc/mosquitto/", f"{self._folder}/")
        assert not re.search(r"^[^#]*/etc/", text, re.M)
        own = [f"persistence_location {self._folder}/", "log_dest stderr"]
        return "\n".join([*(["user root"] if os.getuid() == 0 else []), *own, text])

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it, whatever happened."""
        if self._broker is not None:
            self._broker.stop()
