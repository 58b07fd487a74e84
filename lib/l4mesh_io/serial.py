# floor 8: effects
# The console as bytes: Improv packets come in, and Ctrl-C works all the same. RAM: 1 kB.
"""Byte 3 of an Improv command is Ctrl-C, which would end the node in the middle of the packet, and
it comes 0.6 ms after the packet's first byte: too late to switch anything. So while the node runs
Ctrl-C is a byte like any other (micropython.kbd_intr(-1)) that poll() reads, ten times a second:
part of a packet, or else KeyboardInterrupt. What comes after it stays unread, for the REPL.

    poll(now)        read what has come; ms until the next look
    call(f, *args)   run the application's code, which may never return: Ctrl-C is immediate there
    close()          as it was

The port takes every byte 3 out of the stream while call() is under way. When the head of a packet
waits to be read it was no Ctrl-C: the rest is read, `f` is called again, and at the next poll()
the session mends the packet. (Boards with USB by TinyUSB may throw the head away, too: a packet
that comes in the milliseconds that an application takes ends the node there.)

`begin(now) -> session` is called when IMPROV has come: session.push(byte, now) -> is it part of
a packet?, session.mend(rest, now): what came after the head, without any byte 3;
session.poll(now) -> ms, or -1 when it is over. `on_enter()`: a person pressed Enter.
`on_line(line)`: what was typed before that, as bytes; the rest of a long line is left out.
"""

import sys

from l4mesh.compat import const

_HEAD = b"IMPROV\x01"
_LOOK_MS = const(100)
_LINE = const(1000)
_MOST = const(400)  # bytes a look: more than a packet, and the node gets its turn
_CTRL_C = const(3)
_QUIET_MS = const(30)  # a packet has come to its end


def _console():
    """(read, ready, kbd_intr, sleep_ms) of this port."""
    import select
    import time

    from micropython import kbd_intr

    p = select.poll()
    p.register(sys.stdin, select.POLLIN)
    wait = getattr(p, "ipoll", p.poll)

    def ready():
        for _ in wait(0):
            return True
        return False

    return sys.stdin.buffer.read, ready, kbd_intr, time.sleep_ms


class Serial:
    def __init__(self, begin, console=_console):
        self._read, self._ready, self._kbd, self._sleep = console()
        self._begin = begin
        self._session = None
        self._n = 0  # bytes of _HEAD that have come, before there is a session
        self._rest = None  # of a packet without its bytes 3
        self.on_enter = self.on_line = None
        self._line = b""
        self._kbd(-1)

    def close(self):
        self._kbd(_CTRL_C)

    def poll(self, now):
        if self._rest is not None:
            if self._session is None:
                self._session = self._begin(now)
            self._session.mend(self._rest, now)
            self._rest = None
        for _ in range(_MOST):
            if not self._ready():
                break
            b = self._read(1)
            if not b:
                return 1000  # nobody is there, nor will be
            self._take(b[0], now)
        if self._session is None:
            return _LOOK_MS
        ms = self._session.poll(now)
        if ms < 0:
            self._session = None
        return min(ms, _LOOK_MS) if ms > 0 else 0

    def call(self, f, *args):
        while True:
            self._kbd(_CTRL_C)
            try:
                return f(*args)
            except KeyboardInterrupt:
                self._kbd(-1)
                if not self._was_packet():
                    raise
                self._rest = self._till_quiet()
            finally:
                self._kbd(-1)

    def _till_quiet(self):
        got = b""
        while len(got) < _MOST:
            if not self._ready():
                self._sleep(_QUIET_MS)
                if not self._ready():
                    break
            got += self._read(1)
        return got

    def _was_packet(self):
        """Was Ctrl-C the type of a packet? Its head waits to be read then."""
        newline = True  # that ends the packet before; a REPL session begins with \r
        i = 0
        while i < len(_HEAD):
            if not self._ready():
                return False
            b = self._read(1)[0]
            if b == 10 and newline:
                newline = False
            elif b == _HEAD[i]:
                i += 1
            else:
                return False
        return True

    def _take(self, b, now):
        s = self._session
        if s is not None:
            if s.push(b, now):
                return
        elif b == _HEAD[self._n]:
            self._n += 1
            if self._n == 6:
                self._n = 0
                self._session = self._begin(now)
            return
        else:
            if self._n:
                self._type(_HEAD[: self._n])  # it was no packet
            self._n = b == _HEAD[0]
            if self._n:
                return
        if b == _CTRL_C:
            raise KeyboardInterrupt
        if b == 13 and self.on_enter is not None:
            self.on_enter()
        self._type(bytes((b,)))

    def _type(self, b):
        if self.on_line is None:
            return
        if b != b"\r" and b != b"\n":
            if len(self._line) < _LINE:
                self._line += b
        elif self._line:
            line = self._line
            self._line = b""
            self.on_line(line)
