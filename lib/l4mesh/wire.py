# floor 2: values
# The frame header, message numbers and field offsets (docs/protocol.md 2 and 4). RAM: none.
"""Frame layout. Integers are big endian; every multi-byte field that is compared or counted is
below 2**30, so that it stays a small int on a 32-bit board (`u30` says -1 otherwise).
"""

from .compat import const

VERSION = const(0xC4)
WRAPPED = const(0xC5)  # first byte of what a relay carries: no frame of the link it comes over
HEAD = const(28)
TAG = const(16)
MIN_FRAME = const(44)
MAX_FRAME = const(1200)
MAX_PAYLOAD = const(1156)
COOKIE_LEN = const(8)

F_LINK = const(1)  # tag by the node key of the link's lower party
F_SEALED = const(2)
F_COOKIE = const(4)
F_TICKET = const(8)  # tag by the key of a one-time ticket (ticket.py): no gate lets it in

T_HELLO = const(1)
T_BYE = const(2)
T_COOKIE = const(3)
T_QUERY = const(4)
T_ANSWER = const(5)
T_PING = const(6)
T_PONG = const(7)
T_JOIN = const(8)
T_JOINED = const(9)
T_BATCH = const(10)
T_ACK = const(11)
T_KEYREQ = const(12)
T_KEY = const(13)
T_NACK = const(14)
T_INFO_REQ = const(15)
T_INFO = const(16)
T_TICKET = const(17)
T_GIVEN = const(18)
T_OFFER = const(19)
T_WANT = const(20)
T_CHUNK = const(21)
T_DO = const(22)
T_DONE = const(23)
T_TIME = const(24)
T_HAND = const(25)
T_RECEIPT = const(26)
T_CARRY = const(27)
T_CARRIED = const(28)
T_SUB = const(29)
T_EVENT = const(30)
T_REGISTER = const(31)
T_REGISTERED = const(32)
T_CONNECT = const(33)
T_PUNCH = const(34)
T_PUNCHED = const(35)
T_PROBE = const(36)
T_CALL = const(37)
T_CALLED = const(38)
T_SAY = const(39)
T_MAIL = const(40)
T_MAILED = const(41)
T_FILTER = const(42)
# Kinds that a node asks by, and repeats with a cookie when it is told to.
ASKS = bytes((4, 6, 8, 15, 19, 20, 22, 31, 33, 36, 37, 42))

ASK = const(1)  # what a PROBE is
ANSWER = const(2)
CHOSEN = const(4)
SPRAYED = const(255)  # number of a question that went to many ports

FOUND = const(0)
UNKNOWN = const(1)
MISS = const(2)
UNAVAILABLE = const(3)
BUSY = const(4)
FAILED = const(5)  # never on the wire: no word by the deadline

PASSIVE = const(1)
STANDARD = const(2)
ACTIVE = const(3)
MODE_NAMES = ("", "passive", "standard", "active")
STATUS_NAMES = ("found", "unknown", "miss", "unavailable", "busy", "failed")

QUERY_LEN = const(22)
TRACE_PAD = const(32)  # zero bytes of a traced QUERY: its answer stays below 3 times its length
ANSWER_LEN = const(14)  # without a record
HELLO_LEN = const(15)
JOIN_CLEAR = const(16)
INFO_PAD = const(400)
ALL = b"\xff\xff\xff\xff"
ANYONE = b"\x00\x00\x00\x00"


def u16(b, o: int) -> int:
    return (b[o] << 8) | b[o + 1]


def u30(b, o: int) -> int:
    """Four bytes as an int below 2**30, or -1 when they hold more."""
    if b[o] & 0xC0:
        return -1
    return (b[o] << 24) | (b[o + 1] << 16) | (b[o + 2] << 8) | b[o + 3]


def put16(b, o: int, v: int) -> None:
    b[o] = (v >> 8) & 255
    b[o + 1] = v & 255


def put30(b, o: int, v: int) -> None:
    b[o] = (v >> 24) & 255
    b[o + 1] = (v >> 16) & 255
    b[o + 2] = (v >> 8) & 255
    b[o + 3] = v & 255


def clear_len(kind: int) -> int:
    """Payload bytes that sealing leaves readable: a JOIN names its node, to find its key by."""
    return JOIN_CLEAR if kind == T_JOIN else 0


def min_payload(kind: int) -> int:
    """Shortest payload of a message kind; -1 for a kind that does not exist."""
    if not 1 <= kind < len(_MIN):
        return -1
    return _MIN[kind]


# HELLO BYE COOKIE QUERY ANSWER PING PONG JOIN JOINED BATCH ACK KEYREQ KEY NACK INFO_REQ INFO
# TICKET GIVEN (as tiers pass them on), OFFER (padded: a WANT is 3 times it) WANT CHUNK, DO DONE,
# TIME (question and answer alike), HAND RECEIPT CARRY CARRIED, SUB EVENT,
# REGISTER REGISTERED CONNECT PUNCH PUNCHED PROBE, CALL CALLED, SAY (question and answer alike),
# MAIL MAILED, FILTER (question and answer alike).
# INFO_REQ is padded to 12: the COOKIE for it (56 B) is never longer than what asked for it.
_MIN = bytes((
    255, 15, 1, 12, 22, 14, 17, 13, 158, 23, 30, 26,
    12, 55, 6, 12, 7, 120, 114, 100, 28, 11, 14, 14, 13, 56, 17, 72, 58, 6, 5,
    21, 13, 32, 40, 18, 24, 14, 26, 13, 23, 21, 15,
))  # fmt: skip
