# Runs on MicroPython's unix port: the world around one board, in memory and in virtual time.
"""A LAN of 20 peers and an upstream behind them; the firmware runs unchanged: boot.py, then
supervisor.run(). argv: flash image, keys and records (made by __main__.py), "m" = map of the heap.
Prints one line, `HEAP` and JSON.
"""

import gc
import json
import os
import sys
from binascii import unhexlify
from hashlib import sha256

import chips
import vfs
from chips import Time
from cryptolib import aes

_PEERS = 20
_GOAL = 1000  # look-ups of ours that were answered
_END_MS = 900000
_HELLO_MS = 15000


class World:
    def __init__(self, path):
        self._f = open(path, "rb")
        self.keys = json.loads(self._f.readline())
        self._records = self._f.tell()
        self.net, self._seal = [unhexlify(self.keys[k]) for k in ("network", "seal")]
        self._macs = [self._pads(unhexlify(self.keys[k])) for k in ("group_mac", "link_mac")]
        self.s = None  # the firmware's Supervisor
        self.ids = []
        self.cookies = [None] * _PEERS
        self.counters = [0] * (_PEERS + 1)
        self.due = [(i + 1) * 700 for i in range(_PEERS)]
        self.asks = 60000
        self.inbox = []
        self.served = self.hits = self.taken = self.acked = self.joined = self.fetched = 0
        self.short = None  # the board's
        self.buf = bytearray(1200)
        self.lost = 0
        for i in range(_PEERS):
            self.ids.append(sha256(b"l4-id-v1" + self.record(i)[14:46]).digest()[:16])
        self.up = bytes(range(8))

    def record(self, i):
        self._f.seek(self._records + 136 * i)
        return self._f.read(136)

    def _pads(self, key):
        key = key + bytes(64 - len(key))
        return bytes([x ^ 0x36 for x in key]), bytes([x ^ 0x5C for x in key])

    def _hmac(self, pads, data):
        h = sha256(pads[0])
        h.update(data)
        return sha256(pads[1] + h.digest()).digest()

    def seal(self, b, off, end):
        """AES-CTR in place, as docs/protocol.md 2 says."""
        f = aes(self._hmac(self._pads(self._seal), bytes(b[8:28]))[:16], 1)
        for k in range((end - off + 15) // 16):
            stream = f.encrypt(k.to_bytes(16, "big"))
            for j in range(min(16, end - off - 16 * k)):
                b[off + 16 * k + j] ^= stream[j]

    def say(self, i, kind, body, cookie=None, to=None, sealed=False):
        """A frame of peer i (or the upstream, _PEERS) into the board's inbox."""
        b = self.buf
        self.counters[i] += 1
        link = i == _PEERS
        b[0] = 0xC4
        b[1] = kind
        b[2] = (1 if link else 0) | (2 if sealed else 0) | (4 if cookie else 0)
        b[3] = 0
        b[4:8] = self.net
        b[8:16] = self.up if link else self.ids[i][:8]
        b[16:20] = to or b"\xff\xff\xff\xff"
        b[20:24] = b"\x00\x00\x00\x01"
        b[24:28] = self.counters[i].to_bytes(4, "big")
        n = 28
        if cookie:
            b[28:36] = cookie
            n = 36
        b[n : n + len(body)] = body
        end = n + len(body)
        if sealed:
            self.seal(b, n, end)
        b[end : end + 16] = self._hmac(self._macs[link], memoryview(b)[:end])[:16]
        if len(self.inbox) >= 6:  # as lwIP's mailbox
            self.lost += 1
            return
        ip = "10.9.9.9" if link else "10.77.1.%d" % (20 + i)
        self.inbox.append((bytes(b[: end + 16]), (ip, 4104)))

    def hello(self, i):
        h = sha256(self.record(i)).digest()[:8]
        self.say(i, 1, b"\x00\x02\xff\x00\x00\x1e" + h + b"\x00")

    def ask(self, i):
        k = (self.served * 7 + i) % _PEERS
        token = self.counters[i].to_bytes(4, "big")
        self.say(i, 4, token + self.ids[k] + b"\x00\x00", self.cookies[i], self.short)

    def heard(self, d, addr):
        """What the board sent."""
        ip = addr[0]
        if ip == "10.9.9.9":
            return self.upstream(d)
        if not ip.startswith("10.77.1."):
            return None
        i = int(ip[8:]) - 20
        if not 0 <= i < _PEERS:
            return None
        self.short = bytes(d[8:12])
        kind = d[1]
        if kind == 3:
            self.cookies[i] = bytes(d[32:40])
            self.ask(i)
        elif kind == 5:
            self.served += 1
            self.hits += d[32] == 0
            self.cookies[i] = None  # proven from now on
        elif kind == 4:
            self.fetched += 1
            head = bytes(d[28:32]) + b"\x00\x04\x02\xff\x00\x00\x00\x1e\x00\x00"
            self.say(i, 5, head + self.record(i), None, self.short)
        return None

    def upstream(self, d):
        self.short = bytes(d[8:12])
        kind = d[1]
        o = 36 if d[2] & 4 else 28
        b = bytearray(d)
        end = len(b) - 16
        if kind == 6:
            seen = b"\x03\xff\x00\x0a\x4d\x01\x0b\x10\x08"
            self.say(_PEERS, 7, bytes(b[o : o + 4]) + seen, None, self.short)
        elif kind == 8:
            self.seal(b, o + 16, end)
            self.joined += 1
            rest = b"\x00\x03\x0a\x4d\x01\x0b\x10\x08\x00\x1e\x02\x58" + bytes(7)
            self.say(_PEERS, 9, bytes(b[o + 16 : o + 20]) + rest, None, self.short, True)
        elif kind == 10:
            self.seal(b, o, end)
            first = int.from_bytes(b[o + 24 : o + 28], "big")
            n = b[o + 28]
            self.acked += n
            span = first.to_bytes(4, "big") + (first + n - 1).to_bytes(4, "big")
            self.say(_PEERS, 11, bytes(b[o : o + 24]) + b"\x00\x01" + span, None, self.short, True)

    def wait(self, ms):
        """Virtual time runs until something comes for the board, or `ms` are over."""
        end = Time.ms + (ms if ms > 0 else 0)
        while not self.inbox:
            i = min(range(_PEERS), key=lambda k: self.due[k])
            at = min(self.due[i], self.asks)
            if at > end:
                break
            Time.ms = max(Time.ms, at)
            if self.asks <= self.due[i]:
                self.asks += 100
                self.ask(self.asks // 100 % _PEERS)
            else:
                self.due[i] += _HELLO_MS
                self.hello(i)
            if (self.served >= _GOAL and Time.ms > 300000) or Time.ms > _END_MS:
                raise KeyboardInterrupt
        if self.inbox:
            return True
        Time.ms = end
        return False

    def report(self, how):
        gc.collect()
        out = {
            "how": how, "ms": Time.ms, "served": self.served, "hits": self.hits,
            "taken": self.taken, "acked": self.acked, "joined": self.joined,
            "fetched": self.fetched, "lost": self.lost, "world": cost,
            "live": gc.mem_alloc() - cost, "free": gc.mem_free(),
        }  # fmt: skip
        s = self.s
        if s is not None and s.node is not None:
            out["bad"] = [s.node.counters.get(i) for i in range(3, 20)]
            out["checked"] = s.node.counters.get(35)
            out["mode"] = s.node.modes.mode
            out["sensors"] = s.sensors.why()
        print("HEAP " + json.dumps(out))


def keep_supervisor(cls):
    """Know the Supervisor that run() makes."""

    def make():
        world.s = cls()
        return world.s

    return make


flash = chips.Flash(open(sys.argv[1], "r+b"))
world = chips.world = World(sys.argv[2])
chips.install()
for n in ("seed", "public", "network", "nodekey", "group"):
    chips.Nvs.kept[n] = unhexlify(world.keys[n])
vfs.umount("/")
vfs.mount(flash, "/")
os.chdir("/")
sys.path[:] = ["", ".frozen", "/lib"]
gc.collect()
cost = gc.mem_alloc()  # all of it but the interpreter's own 1.6 kB is ours
gc.threshold(16384)
execfile("boot.py")  # noqa: F821
import supervisor  # noqa: E402

supervisor.Supervisor = keep_supervisor(supervisor.Supervisor)
supervisor.run()
gc.collect()
if sys.argv[3:]:
    import micropython

    micropython.qstr_info(1)
    micropython.mem_info(1)
world.report("done")
