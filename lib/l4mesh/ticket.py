# floor 5: machines
# Trades the one-time ticket of a factory image for this node's keys. RAM: loaded for that only.
"""The ticket file, and the node's half of TICKET and GIVEN (docs/protocol.md 6).

    x = Exchange(raw, ident, [(tier, address), ..], link, rng, entropy, Shared)
    x.poll(now)                   ms until it wants to be called again (0: it is at work)
    x.receive(buf, n, now)        a datagram; True when it was the answer to ours
    x.status                      -1 no word yet, else the last answer: GIVEN, USED, ..
    x.node_key, x.group           when it is GIVEN; the group key with its number in front

The tiers are asked in turn, 2 s each, then a pause that grows to 5 minutes. A refusal is told at
once and asked again at the slowest pace: the owner may still mend it, or give the keys by USB.
`ident`: seed, public, id, epoch. `Shared`: agree.Shared, or a host's (fastsig). Both ends make the
key of the two frames of the ticket's secret and the secret that the node's identity shares with
L1's, so neither a copy of the image nor the traffic tells anyone the node's keys.
Errors: ValueError for what is no ticket. Frames that are wrong in any way are no answer.
"""

from binascii import crc32

from . import ticks
from .backoff import Backoff
from .compat import const
from .keys import hkdf, mac_key, network_id, seal_key
from .mac import Mac
from .seal import seal
from .wire import F_SEALED, F_TICKET, HEAD, T_GIVEN, T_TICKET, TAG, VERSION, put30

SIZE = 116  # of the file
ASK_LEN = 116  # of the frame TICKET: one that asks is never shorter than what it is answered
ANSWER_LEN = 110  # of the frame GIVEN

GIVEN = 0
USED = 1  # by another node
EXPIRED = 2
LATER = 3  # the authority can't store it now
REVOKED = 4

_MAGIC = b"L4T\x01"
_BODY = const(112)
_REPLY_MS = const(2000)
_CAP_MS = const(300000)
_IDLE_MS = const(60000)


def pack(network, ticket_id, secret, owner, authority):
    """The file's content."""
    raw = _MAGIC + network + ticket_id + secret + owner + authority
    if len(raw) != _BODY:
        raise ValueError("a ticket is of 4, 8, 32, 32 and 32 bytes; check what was passed")
    return raw + crc32(raw).to_bytes(4, "big")


def parse(raw):
    """(network 4, id 8, secret 32, owner's public key 32, L1's 32), or None: no whole ticket."""
    if (
        len(raw) != SIZE
        or raw[:4] != _MAGIC
        or crc32(raw[:_BODY]) != int.from_bytes(raw[_BODY:], "big")
    ):
        return None
    owner = raw[48:80]
    if network_id(owner) != raw[4:8]:
        return None
    return raw[4:8], raw[8:16], raw[16:48], owner, raw[80:_BODY]


def frame_key(secret, shared, nonce):
    """The key of a TICKET and its GIVEN: tag and seal keys are made of it as of a node key."""
    return hkdf(secret + shared, b"l4-ticket-key-v1" + nonce)


class Exchange:
    def __init__(self, raw, ident, tiers, link, rng, entropy, shared):
        t = parse(raw)
        if t is None:
            raise ValueError("this is no ticket; make a new one with `l4 network ticket new`")
        self.network, ticket_id, self._secret, self.owner, authority = t
        self._job = shared(ident.seed, authority)
        self._nonce = entropy(16)
        b = bytearray(ASK_LEN)
        b[0] = VERSION
        b[1] = T_TICKET
        b[2] = F_TICKET
        b[4:8] = self.network
        b[8:16] = ident.id[:8]
        put30(b, 20, ident.epoch)
        b[28:36] = ticket_id
        b[36:68] = ident.public
        b[68:84] = self._nonce
        self._frame = b
        self._tiers = tiers
        self._at = 0
        self._link = link
        self._rng = rng
        self._counter = 0
        self._mac = self._seal = None
        self._due = None
        self._pause = Backoff(_REPLY_MS, _CAP_MS)
        self.status = -1
        self.node_key = self.group = None
        self.told = b""  # what else an answer says: to the owner, who had used the ticket

    def poll(self, now: int) -> int:
        if self._job is not None:
            shared = self._job.step()
            if shared is not None:
                self._job = None
                if not shared:
                    raise ValueError("the ticket names no key of L1; make a new one")
                key = frame_key(self._secret, shared, self._nonce)
                self._mac = Mac(mac_key(key))
                self._seal = seal_key(key)
            return 0
        if self.node_key is not None:
            return _IDLE_MS
        left = 0 if self._due is None else ticks.diff(self._due, now)
        if left > 0:
            return left
        left = self._ask(now)
        self._due = ticks.add(now, left)
        return left

    def _ask(self, now):
        """The next tier, or a pause after the last one."""
        if self._at >= len(self._tiers):
            self._at = 0
            return self._pause.next(self._rng)
        b = self._frame
        self._counter += 1
        put30(b, 24, self._counter)
        end = ASK_LEN - TAG
        b[end:] = self._mac.tag(memoryview(b)[:end])[:TAG]
        self._link.send(b, ASK_LEN, self._tiers[self._at][1])
        self._at += 1
        return _REPLY_MS

    def receive(self, buf, n: int, now: int) -> bool:
        if self._mac is None or n != ANSWER_LEN or self.node_key is not None:
            return False
        if buf[0] != VERSION or buf[1] != T_GIVEN or buf[2] != F_TICKET | F_SEALED:
            return False
        ours = self._frame
        if buf[4:8] != self.network or buf[16:20] != ours[8:12]:
            return False
        end = ANSWER_LEN - TAG
        if not self._mac.good(memoryview(buf)[:end], buf, end):
            return False
        b = bytearray(buf[:end])
        seal(self._seal, b, 0, HEAD, end)
        return self._answer(b, now)

    def _answer(self, b, now):
        status = b[HEAD]
        if status > REVOKED:
            return False
        self.status = status
        self._at = 0
        if status == GIVEN:
            self.node_key = bytes(b[29:61])
            self.group = bytes(b[61:94])
        else:
            self.told = bytes(b[29:])
            self._due = ticks.add(now, self._pause.next(self._rng) if status == LATER else _CAP_MS)
        return True
