# A node without a network: what it sends is kept, time is this board's.
# ruff: noqa: F821 (names of _common.py, which comes before)
import os
from binascii import hexlify, unhexlify

from l4mesh.node import Node

try:
    from l4mesh.core import Config, XorShift
except ImportError:
    from l4mesh.config import Config
    from l4mesh.prng import XorShift


class Ident:
    missing = ""
    epoch = 1
    node_key = None


class Link:
    local = group = broadcast = b"\x7f\0\0\1\x10\x08"
    got = b""

    def send(self, buf, n, addr):
        self.got = bytes(memoryview(buf)[:n])
        return True


def now():
    return time.ticks_ms() & 0x3FFFFFFF


def give(text):
    """One frame in; what the node sends, as hex."""
    f = unhexlify(text)
    link.got = b""
    node.receive(bytearray(f), len(f), link.local, now())
    print(repr(hexlify(link.got).decode()))


def answer(frames):
    """us of each frame, from in to out."""
    took = []
    for text in frames:
        f = bytearray(unhexlify(text))
        link.got = b""
        t = time.ticks_us()
        node.receive(f, len(f), link.local, now())
        t = time.ticks_diff(time.ticks_us(), t)
        if link.got:
            took.append(t)
    print(repr(took))


free = gc.mem_alloc()
Ident.seed, Ident.public, Ident.id, Ident.network, Ident.group = [unhexlify(x) for x in WHO]
link = Link()
node = Node(Config(CONFIG), Ident, link, XorShift(7), os.urandom, now(), lambda name, data: True)
node.start(now())
gc.collect()
print(repr(gc.mem_alloc() - free))
