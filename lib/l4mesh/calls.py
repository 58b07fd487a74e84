# floor 3: codecs
# CALL and CALLED, and the head of what a relay carries (docs/protocol.md 10). RAM: none.
"""CALL 14: token 4, what, 0, peer 8. CALLED 26: token 4, what, status, peer 8, channel 8,
seconds 2, KiB 2. Carried: C5, 0, 0 0, channel 8, then a whole frame.
"""

from .compat import const
from .wire import WRAPPED, put16

RESERVE = const(0)
OPEN = const(1)
END = const(2)

HERE = const(0)
STRANGER = const(1)
NOT_HERE = const(2)
FULL = const(3)
PER_PEER = const(4)
PER_IP = const(5)
QUOTA = const(6)
OFF = const(7)
OVER_RELAY = const(8)
ENDED = const(9)

CALL_LEN = const(14)
CALLED_LEN = const(26)
O_PEER = const(6)  # in both
O_CHANNEL = const(14)
CARRIED = const(12)  # bytes in front of the frame
ROOM = const(1212)  # the longest carried frame


def put_call(b, o: int, token, what: int, peer) -> int:
    """Returns the end."""
    b[o : o + 4] = token
    b[o + 4] = what
    b[o + 5] = 0
    b[o + 6 : o + 14] = peer
    return o + CALL_LEN


def put_called(b, o: int, token, what: int, status: int, peer, channel, good_s, kib) -> int:
    """Returns the end."""
    b[o : o + 4] = token
    b[o + 4] = what
    b[o + 5] = status
    b[o + 6 : o + 14] = peer
    b[o + 14 : o + 22] = channel
    put16(b, o + 22, good_s if good_s < 65535 else 65535)
    put16(b, o + 24, kib if kib < 65535 else 65535)
    return o + CALLED_LEN


def put_head(b, channel) -> None:
    b[0] = WRAPPED
    b[1] = b[2] = b[3] = 0
    b[4:12] = channel
