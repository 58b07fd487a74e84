"""Where this machine can read the stored readings: the JetStream of L1.

Looked for in this order: `--nats URL` (a server of one's own; user and password in the URL), the
running mesh, the folder of `l4 upstream`. NATS's port is on loopback only: on another machine than
L1's the readings are to be had by `--nats` alone.
"""

import contextlib
import json
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..errors import Unavailable
from ..mesh import place
from ..network import home
from ..upstream.connect import connect
from ..upstream.readings import Readings


class Source:
    """`async with Source.find(network).open() as store`: an upstream.readings.Readings."""

    def __init__(self, urls: str, user: str | None, password: str | None, where: str):
        self._urls, self._user, self._password, self.where = urls, user, password, where

    @classmethod
    def find(cls, name: str | None, nats: str | None = None) -> "Source":
        """`name`: the network; None: the only one of which something is here."""
        if nats:
            return cls(*_login(nats), "the given server")
        folders = [p.folder / "l1" for p in place.running() if name in (None, p.name)]
        kept = home() / "upstream"
        folders += sorted(kept.glob("%s/l1" % (name or "*")))
        for folder in folders:
            if (state := _state(folder)) is not None:
                return cls(*state, str(folder))
        raise Unavailable(
            "No L1 keeps its readings on this machine. Run this where `l4 upstream` or `l4 mesh` "
            "runs, or pass --nats nats://USER:PASSWORD@HOST:PORT."
        )

    @contextlib.asynccontextmanager
    async def open(self):
        nc = await connect(self._urls, self._user, self._password, name="l4-readings")
        try:
            yield Readings(nc.jetstream())
        finally:
            await nc.close()


def _state(folder: Path):
    """(URL, user, password) of the private server of a tier; None if there is none."""
    try:
        state = json.loads((folder / "nats" / "state.json").read_text())
        return "nats://127.0.0.1:%d" % state["client"], state["user"], state["password"]
    except (OSError, ValueError, KeyError):
        return None


def _login(text: str):
    """(URLs without, user, password): the first URL's count for all."""
    first = urlsplit(text.split(",")[0] if "://" in text else "nats://" + text)
    user = unquote(first.username) if first.username else None
    password = unquote(first.password) if first.password else None
    urls = ",".join(u.rpartition("@")[2].replace("nats://", "") for u in text.split(","))
    return urls, user, password
