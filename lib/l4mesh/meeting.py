# floor 5: machines
# Two nodes that meet without a network: who is there, now, and its record. RAM: 0.6 kB while open.
"""One exchange over a Bluetooth link (docs/protocol.md 11), without I/O. The one that connected
*asks*, the other *answers*:

    m = Meeting(node, asks, now)        the node's record must be signed (node.own.ready)
    m.state, m.left(now)                what is under way, ms until it counts as failed
    m.did(now)                          asks: the step of this state is done, to the next one
    m.read(value, now)                  asks: the value of RECORD
    m.value()                           answers: the value of RECORD
    m.heard(data, now)                  a message of the other side; m.out is what to send, or None
    m.end(why)                          the link is gone, the time is over
    m.sid, m.theirs, m.said             once m.state is MET: who it is (met.py)

A record alone proves nobody's presence: it can be had by anybody and is never new. Each side gives
16 new random bytes, and the tag of both, both records and both states under the group key shows
that a member is there now. Neither needs a clock. *Which* member it is says the record's own
signature; it takes half a second on a board, so it is checked afterwards, in slices (learner.py).
Until then the peer counts as met, and its record as unverified.
"""

from hashlib import sha256

from . import ticks
from .compat import const
from .counters import C_BAD_RECORD, C_BAD_TAG, C_NO_KEY
from .record import O_EPOCH, O_NET, SIZE, check_form, id_of
from .wire import put30

CONNECT = 0
MTU = 1
FIND = 2
READ = 3
WRITE = 4
WAIT = 5
MET = 6
OVER = 7

PRESENT = const(0x81)
ANSWERED = const(0x82)
REFUSED = const(0x83)
VALUE_LEN = const(152)  # record 136, nonce 16
_PRESENT_LEN = const(178)
_ANSWERED_LEN = const(26)
_STATE = const(8)
_NONCE = const(16)
_LATE = "connecting MTU discovery reading writing answering"
# REFUSED
MALFORMED = const(1)
NO_KEY = const(2)
UNTRUE = const(3)

_LIMITS_MS = (5000, 1500, 3000, 2000, 3000, 3000)  # of CONNECT to WAIT
_ANSWER_MS = const(10000)  # for who connected to say who it is


class Meeting:
    def __init__(self, node, asks: bool, now: int, patience: int = _ANSWER_MS, value=None):
        """`patience`: ms for who connected to say who it is; `value` of RECORD, if it has one."""
        self._node = node
        self._patience = patience
        self.asks = asks
        self.mine = bytes(node.own.record) if value is None else value[:SIZE]
        self.theirs = b""
        self.said = b""  # counter 4, flags 1, mode 1, battery 1, load 1
        self.out = None
        self.why = ""
        self._nonce = node.entropy(_NONCE) if value is None else value[SIZE:]
        self._other = b""
        self.counter = None  # counter(): frames above it are still to come; faces.py knows
        self._number = node.keys.number
        self._twice = False
        self._enter(CONNECT if asks else WAIT, now)

    def _enter(self, state, now):
        self.state = state
        if state < MET:
            self._due = ticks.add(now, _LIMITS_MS[state] if self.asks else self._patience)

    def left(self, now: int) -> int:
        """ms until what is under way has failed; 0: it has, and the meeting is over."""
        if self.state >= MET:
            return 0
        left = ticks.diff(self._due, now)
        if left > 0:
            return left
        self.end(_LATE.split()[self.state] + " took too long")
        return 0

    def end(self, why: str) -> None:
        """Too late, gone, or refused: nothing of it stays."""
        if self.state < MET:
            self.state = OVER
            self.why = why
            self.out = None
            self.theirs = self._other = b""

    @property
    def sid(self) -> bytes:
        return id_of(self.theirs, 0)[:8]

    # the side that connected

    def did(self, now: int) -> None:
        if self.asks and self.state != READ and self.state < WAIT:
            self._enter(self.state + 1, now)

    def read(self, value: bytes, now: int) -> None:
        if self.state != READ:
            return
        if len(value) != VALUE_LEN or not self._take_record(value[:SIZE]):
            return self._bad(C_BAD_RECORD, "its record is none of this network")
        self._other = bytes(value[SIZE:])
        self._present()
        self._enter(WRITE, now)

    def _present(self):
        state = self._state()
        self.out = bytes((PRESENT, self._number)) + state + self._nonce + self.mine
        self.out += self._tag(b"a", state)

    # the side that was connected to

    def value(self) -> bytes:
        return self.mine + self._nonce

    def heard(self, data: bytes, now: int) -> None:
        """A message of the other side; a wrong one ends the meeting."""
        if self.state >= MET or not data:
            return
        if self.asks:
            # Its word may overtake the end of our writing.
            if self.state not in (WRITE, WAIT):
                return self._bad(C_BAD_RECORD, "a word out of turn")
            self._told(data, now)
        elif data[0] != PRESENT or len(data) != _PRESENT_LEN:
            self._refuse(MALFORMED, C_BAD_RECORD, "no word of a node")
        else:
            self._presented(bytes(data))

    def _presented(self, data):
        self._number = data[1]
        if self._node.keys.group(data[1]) is None:
            # It may have another: one more try over this link.
            self._number = self._node.keys.number
            if self._twice:
                return self._refuse(NO_KEY, C_NO_KEY, "another group key")
            self._twice = True
            self._node.counters.inc(C_NO_KEY)
            self.out = bytes((REFUSED, NO_KEY, self._number))
            return
        self._other = data[10:26]
        if not self._take_record(data[26:162]):
            return self._refuse(MALFORMED, C_BAD_RECORD, "its record is none of this network")
        if not self._good(b"a", data[2:10], data, 162):
            return self._refuse(UNTRUE, C_BAD_TAG, "it does not have the group key")
        self.said = data[2:10]
        state = self._state()
        self.out = bytes((ANSWERED, self._number)) + state + self._tag(b"b", state)
        self.state = MET

    def _told(self, data, now):
        if data[0] == REFUSED and len(data) == 3:
            if data[1] == NO_KEY and not self._twice and self._node.keys.group(data[2]):
                self._twice = True
                self._number = data[2]
                self._present()
                return self._enter(WRITE, now)
            return self._bad(C_NO_KEY, "it refused, reason %d" % data[1])
        if data[0] != ANSWERED or len(data) != _ANSWERED_LEN or data[1] != self._number:
            return self._bad(C_BAD_RECORD, "no word of a node")
        if not self._good(b"b", data[2:10], data, 10):
            return self._bad(C_BAD_TAG, "it does not have the group key")
        self.said = bytes(data[2:10])
        self.out = None
        self.state = MET

    # both

    def _bad(self, counter, why):
        self._node.counters.inc(counter)
        self.end(why)

    def _refuse(self, reason, counter, why):
        self._bad(counter, why)
        self.out = bytes((REFUSED, reason, self._number))

    def _take_record(self, rec):
        node = self._node
        net = self.mine[O_NET:O_EPOCH]
        if not check_form(rec, 0, SIZE, net, node.loopback) or id_of(rec, 0) == node.id:
            return False
        self.theirs = bytes(rec)
        return True

    def _state(self):
        node = self._node
        b = bytearray(_STATE)
        put30(b, 0, node.tx.counter if self.counter is None else self.counter())
        h = node.hello
        b[4] = 2 if h.uplink else 0
        b[5] = h.mode
        b[6] = h.battery
        b[7] = h.load
        return bytes(b)

    def _text(self, who, state):
        """What a tag covers: who speaks, both nonces, its state, both records; answerer first."""
        if self.asks:
            mine, other, records = self._nonce, self._other, self.theirs + self.mine
            return b"l4-meet-v1\x00" + who + other + mine + state + sha256(records).digest()
        records = sha256(self.mine + self.theirs).digest()
        return b"l4-meet-v1\x00" + who + self._nonce + self._other + state + records

    def _tag(self, who, state):
        mac = self._node.keys.group(self._number)
        return bytes(mac.tag(self._text(who, state))[:16])

    def _good(self, who, state, buf, off):
        mac = self._node.keys.group(self._number)
        return mac is not None and mac.good(self._text(who, bytes(state)), buf, off)
