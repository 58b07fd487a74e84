# floor 8: effects
# Socket addresses to the core's 6 bytes and back; nothing allocated for known peers. RAM: 4 kB.
"""ESP32 and CPython give ("1.2.3.4", port); the unix port wants a raw sockaddr_in of 16 bytes.
Which of the two this platform's `socket` module speaks is asked once. Both directions go through a
cache of at most 64 entries, so that a datagram from a known peer costs one dict look-up.
"""

import socket

from l4mesh.compat import const

_CACHE = const(64)


def _raw():
    """Does this platform use raw sockaddr bytes?"""
    return not isinstance(socket.getaddrinfo("127.0.0.1", 1)[0][-1], tuple)


class Addresses:
    def __init__(self):
        self._in = {}
        self._out = {}
        self._is_raw = _raw()

    def _keep(self, native, six):
        # Both ways at once: one object each, however a peer was met.
        if len(self._in) >= _CACHE:
            self._in.clear()
            self._out.clear()
        self._in[native] = six
        self._out[six] = native

    def six(self, native):
        """6 bytes of an address that recvfrom gave."""
        a = self._in.get(native)
        if a is None:
            if self._is_raw:
                a = bytes(native[4:8]) + bytes(native[2:4])
            else:
                port = native[1]
                a = bytes([int(x) for x in native[0].split(".")] + [port >> 8, port & 255])
            self._keep(native, a)
        return a

    def native(self, six: bytes):
        """What sendto and bind want for 6 bytes."""
        a = self._out.get(six)
        if a is None:
            host = "%d.%d.%d.%d" % (six[0], six[1], six[2], six[3])
            a = socket.getaddrinfo(host, (six[4] << 8) | six[5])[0][-1]
            if self._is_raw:
                a = bytes(a)
            self._keep(a, bytes(six))
        return a
