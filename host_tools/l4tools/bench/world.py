"""A network of the bench's own: keys, identities, signed records, and an asker's signed frames.

All of it comes from a seed, so two runs send the same bytes. The replay window takes a frame once
only: the client in C sends prepared frames, each with the next counter.
"""

import json
import socket
import time
from hashlib import sha256
from pathlib import Path

from l4mesh.counters import Counters
from l4mesh.keyring import Keyring
from l4mesh.keys import network_id, node_id
from l4mesh.record import BODY, NO_ENDPOINT, SIZE, encode_body, signed_text
from l4mesh.sender import Sender
from l4mesh.wire import ANSWER_LEN, HEAD, QUERY_LEN, T_ANSWER, T_COOKIE, T_QUERY, TAG, put30

from l4tools import fastsig
from l4tools.errors import ToolError

ASK_LEN = HEAD + QUERY_LEN + TAG
ANSWER_SIZE = HEAD + ANSWER_LEN + SIZE + TAG
LIFE_MIN = 1440
NETWORK = network_id(sha256(b"l4 bench owner").digest())
GROUP = bytes([1]) + sha256(b"l4 bench group").digest()
# Figures only; the path of the code is the shipped one.
RAISED = {
    "limits": {
        "addr_s": 100000,
        "addr_burst": 100000,
        "id_s": 100000,
        "id_burst": 100000,
        "global_s": 100000,
        "global_burst": 100000,
    },
    "demand_requests": 1,
    "demand_hits_pct": 0,
    "judge_s": 1,
    "confirm": 1,
    "jitter_s": 1,
    "quota_per_s": 0,  # BUSY until demand has raised the mode: then every answer counts
    "lifetime_min": LIFE_MIN,
}


class Identity:
    """One identity, by name."""

    def __init__(self, name: str):
        self.seed = sha256(b"l4 bench " + name.encode()).digest()
        self.public = fastsig.public_key(self.seed)
        self.id = node_id(self.public)

    def record(self, lan: bytes = NO_ENDPOINT) -> bytes:
        body = bytearray(SIZE)
        encode_body(
            body, 0, NETWORK, 1, 1, self.public, 4, 1, lan, NO_ENDPOINT, bytes(8), LIFE_MIN
        )
        body[BODY:SIZE] = fastsig.sign(self.seed, signed_text(body, 0))
        return bytes(body)

    def given(self) -> dict:
        """What a device script needs to be this node."""
        return {"seed": self.seed.hex(), "public": self.public.hex()}


class World:
    """`records` other nodes that can be looked up, and the file of them for device scripts."""

    def __init__(self, records: int):
        self.targets = [Identity("target %d" % i) for i in range(records)]
        self._records = [t.record(bytes((10, 77, 1, 1 + i % 250, 16, 8))) for i, t in
                         enumerate(self.targets)]  # fmt: skip

    def write(self, path: Path, who: Identity, **more) -> Path:
        """JSON for device/bed.py: `who` runs, knowing all records; `more` goes over it."""
        doc = {
            "network": NETWORK.hex(),
            "group": GROUP.hex(),
            "config": {**RAISED, "cache": max(50, len(self._records))},
            "records": [r.hex() for r in self._records],
            **who.given(),
            **more,
        }
        path.write_text(json.dumps(doc))
        return path


class _Captured:
    """A link that keeps the frame."""

    def send(self, buf, n, addr):
        self.frame = bytes(buf[:n])
        return True


def free_port() -> int:
    """A port that nobody has, neither by UDP nor by TCP."""
    while True:
        with socket.socket() as t, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u:
            t.bind(("127.0.0.1", 0))
            try:
                u.bind(t.getsockname())
            except OSError:
                continue
            return t.getsockname()[1]


class Asker:
    """Asks a node for the world's records: over its own socket, or by frames made in advance."""

    def __init__(self, world: World, server: Identity, port: int):
        self._targets = [t.id for t in world.targets]
        me = Identity("asker").id
        keyring = Keyring()
        keyring.set_group(GROUP[0], GROUP[1:], 0)
        self._link = _Captured()
        self._tx = Sender(self._link, keyring, Counters(), NETWORK, me[:8], 1)
        self._peer = server.id[:8]
        self._asked = 0
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.connect(("127.0.0.1", port))

    def frame(self, cookie: bytes | None = None) -> bytes:
        """The next QUERY, for the next target."""
        tx = self._tx
        o = tx.begin(T_QUERY, self._peer, cookie=cookie)
        put30(tx.buf, o, tx.counter & 0x3FFFFFFF)
        tx.buf[o + 4 : o + 20] = self._targets[self._asked % len(self._targets)]
        tx.buf[o + 20 : o + QUERY_LEN] = bytes(2)
        self._asked += 1
        tx.send(o + QUERY_LEN, None)
        return self._link.frame

    def frames(self, path: Path, n: int) -> Path:
        with path.open("wb") as f:
            for _ in range(n):
                f.write(self.frame())
        return path

    def ask(self, wait: float = 0.5, cookie: bytes | None = None) -> bytes | None:
        """One question; the answering frame or None."""
        self.sock.settimeout(wait)
        try:
            self.sock.send(self.frame(cookie))
            return self.sock.recv(2048)
        except (TimeoutError, ConnectionRefusedError):
            return None

    def prove(self, seconds: float = 20.0, wait: float = 0.5) -> None:
        """Meet the node, prove our address, and wait until it answers look-ups without a quota."""
        end = time.monotonic() + seconds
        cookie = None
        good = 0
        while good < 20:
            if time.monotonic() > end:
                raise ToolError(
                    "The measured node did not start to answer. Read build/bench/*.log."
                )
            reply = self.ask(wait, cookie)
            cookie = None
            if reply is None:
                time.sleep(0.05)
            elif reply[1] == T_COOKIE:
                cookie = reply[HEAD + 4 : HEAD + 12]
            elif reply[1] == T_ANSWER:
                good = good + 1 if reply[HEAD + 4] == 0 else 0
                if not good:
                    time.sleep(0.05)

    def close(self) -> None:
        self.sock.close()
