# floor 8: effects
# The console as bytes: Improv packets come in, and Ctrl-C works all the same. RAM: 1 kB.
"""Byte 3 of an Improv command is Ctrl-C, which would end the node in the middle of the packet, and
it comes 0.6 ms after the packet's first byte: too late to switch anything. So while the node runs
Ctrl-C is a byte like any other (micropython.kbd_intr(-1)) that poll() reads, ten times a second:
part of a packet, or else KeyboardInterrupt. What comes after it stays unread, for the REPL.

    poll(now)        read what has come; ms until the next look
    call(f, *args)   run the application's code, which may never return: Ctrl-C is immediate there
    close()          as it was

The port takes byte 3 out of the stream while call() is under way. When the rest reads like the
head of a packet it was none of Ctrl-C: `f` is called again, and poll() puts the byte back.
(Boards with USB by TinyUSB may throw the head away, too: a packet that comes in the milliseconds
that an application takes ends the node there.)

`begin(now) -> session` is called when IMPROV has come: session.push(byte, now) -> is it part of
a packet?, session.poll(now) -> ms, or -1 when it is over. `on_enter()`: a person pressed Enter.
"""

import sys

from l4mesh.compat import const

_HEAD = b"IMPROV\x01"
_LOOK_MS = const(100)
_MOST = const(400)  # bytes a look: more than a packet, and the node gets its turn
_CTRL_C = const(3)


def _console():
    """(read, ready, kbd_intr) of this port."""
    import select

    from micropython import kbd_intr

    p = select.poll()
    p.register(sys.stdin, select.POLLIN)
    wait = getattr(p, "ipoll", p.poll)

    def ready():
        for _ in wait(0):
            return True
        return False

    return sys.stdin.buffer.read, ready, kbd_intr


class Serial:
    def __init__(self, begin, console=_console):
        self._read, self._ready, self._kbd = console()
        self._begin = begin
        self._session = None
        self._n = 0  # bytes of _HEAD that have come, before there is a session
        self._back = False
        self.on_enter = None
        self._kbd(-1)

    def close(self):
        self._kbd(_CTRL_C)

    def poll(self, now):
        if self._back:
            self._back = False
            for b in _HEAD:
                self._take(b, now)
            self._take(_CTRL_C, now)
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
                self._back = True
            finally:
                self._kbd(-1)

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
            self._n = b == _HEAD[0]
        if b == _CTRL_C:
            raise KeyboardInterrupt
        if b == 13 and self.on_enter is not None:
            self.on_enter()
