# floor 9: links
# The time from an NTP server, when nobody in the mesh knows it. RAM: loaded until it is known.
"""SNTP (RFC 4330, RFC 5905): one question at a time, never waiting in the loop.

    s = Sntp(host, told, entropy)      told(ms6, bound_s) takes the time
    wait = s.poll(now)                 ms until it wants to be called again
    s.why()                            a sentence for status

The answer must come from the server asked and repeat 8 random bytes of the question, so that
somebody off the path cannot make it up; on the path anybody can: NTP is not authenticated. What
the mesh's upstream says is, so it is preferred (supervisor.py asks NTP only without it).
Bound: half the round trip, the server's own root delay and dispersion, and a second.
No answer in 2 s: again after 15 s, doubling to an hour. A host name costs a blocking look-up.
"""

import socket

from l4mesh import ticks
from l4mesh.backoff import Backoff
from l4mesh.compat import const

from l4mesh_io import clock

_PORT = const(123)
_REPLY_MS = const(2000)
_LOOK_MS = const(20)
_DONE_MS = const(6 * 3600 * 1000)
_S_1900 = const(2208988800)  # 1900 to 1970
_WORST_S = const(16)  # a server that may be more wrong than this is none


class _Jitter:
    """Backoff's source of chance, from the entropy that asks anyway."""

    def __init__(self, entropy):
        self._entropy = entropy

    def getrandbits(self, k):
        return int.from_bytes(self._entropy(4), "big") >> (32 - k)


class Sntp:
    def __init__(self, host, told, entropy, port=_PORT):
        self._host = host
        self._port = port
        self._told = told
        self._entropy = entropy
        self._rng = _Jitter(entropy)
        self._backoff = Backoff(15000, 3600000)
        self._sock = self._to = None
        self._nonce = b""
        self._sent = 0
        self._said = "not asked yet"

    def why(self):
        return "NTP by %s: %s." % (self._host, self._said)

    def poll(self, now):
        try:
            if self._sock is None:
                self._ask(now)
                return _LOOK_MS
            if self._answered(now):
                self._close()
                self._backoff.reset()
                return _DONE_MS
            if ticks.diff(now, self._sent) < _REPLY_MS:
                return _LOOK_MS
            self._said = "no answer"
        except OSError as e:
            self._said = repr(e)
        self._close()
        return self._backoff.next(self._rng)

    def stop(self):
        self._close()

    def _close(self):
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _ask(self, now):
        self._to = socket.getaddrinfo(self._host, self._port)[0][-1]
        self._sock = s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setblocking(False)
        self._nonce = self._entropy(8)
        # Version 4, client; all zero but the transmit timestamp, which says nothing about us.
        s.sendto(b"\x23" + bytes(39) + self._nonce, self._to)
        self._sent = now

    def _answered(self, now):
        """True when the answer has come and was good."""
        try:
            m, who = self._sock.recvfrom(96)
        except OSError as e:
            if e.args[0] in (11, 110, 116):  # nothing yet; ESP32 says ETIMEDOUT
                return False
            raise
        if len(m) < 48 or who != self._to or m[24:32] != self._nonce:
            return False
        if m[0] & 7 != 4 or m[0] >> 6 == 3 or not 0 < m[1] < 16:
            self._said = "the server has no time itself"
            return False
        trip = ticks.diff(now, self._sent)
        bound = int.from_bytes(m[4:8], "big") // 2 + int.from_bytes(m[8:12], "big")
        bound = (bound >> 16) + (trip + 1999) // 2000 + 1
        s = int.from_bytes(m[40:44], "big")
        if s < 1 << 31:
            s += 1 << 32  # from 2036 on
        ms = (s - _S_1900) * 1000 + (m[44] << 8 | m[45]) * 1000 // 65536 + trip // 2
        if bound > _WORST_S or not 0 < ms < 1 << 48:
            self._said = "the server is too uncertain"
            return False
        if not self._told(ms.to_bytes(6, "big"), bound):
            self._said = "the server's date makes no sense"
            return False
        self._said = "the time is known to %d s" % clock.error_s()
        return True
