# Runs on MicroPython's unix port: the world around one board, in memory and in virtual time.
"""A LAN of 20 peers and an upstream behind them; the firmware runs unchanged: boot.py, then
supervisor.run(). argv: flash image, keys and records (made by __main__.py), then "all" (peers also
ask for status, and a peer beyond the LAN is met), "romfs" (modules from the file of that name) and
"map" (of the heap, at the end).
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
NVS = ("seed", "public", "network", "nodekey", "group")
_GOAL = 1000  # look-ups of ours that were answered
_END_MS = 900000
_HELLO_MS = 15000


class World:
    def __init__(self, path):
        self._f = open(path, "rb")
        keys = [unhexlify(k) for k in json.loads(self._f.readline())]
        self._records = self._f.tell()
        self._macs = [self._pads(k) for k in keys[:2]]
        self._key = keys[2]
        chips.Nvs.kept = dict(zip(NVS, keys[3:]))  # noqa: B905
        self._net = keys[5]
        self.s = None  # the firmware's Supervisor
        self._ids = []
        self._cookies = [None] * _PEERS
        self._counters = [0] * (_PEERS + 1)
        self._due = [(i + 1) * 700 for i in range(_PEERS)]
        self._asks = 60000
        self.inbox = []
        self._served = self._hits = self.taken = self._acked = self._joined = self._fetched = 0
        self._short = None  # the board's
        self._buf = bytearray(1200)
        self._lost = self._told = 0
        self._all = "all" in sys.argv
        for i in range(_PEERS):
            self._ids.append(sha256(b"l4-id-v1" + self._record(i)[14:46]).digest()[:16])
        self._up = bytes(range(8))

    def _record(self, i):
        self._f.seek(self._records + 136 * i)
        return self._f.read(136)

    def _pads(self, key):
        key = key + bytes(64 - len(key))
        return bytes([x ^ 0x36 for x in key]), bytes([x ^ 0x5C for x in key])

    def _hmac(self, pads, data):
        h = sha256(pads[0])
        h.update(data)
        return sha256(pads[1] + h.digest()).digest()

    def _seal(self, b, off, end):
        """AES-CTR in place, as docs/protocol.md 2 says."""
        f = aes(self._hmac(self._pads(self._key), bytes(b[8:28]))[:16], 1)
        for k in range((end - off + 15) // 16):
            stream = f.encrypt(k.to_bytes(16, "big"))
            for j in range(min(16, end - off - 16 * k)):
                b[off + 16 * k + j] ^= stream[j]

    def _say(self, i, kind, body, cookie=None, to=None, sealed=False):
        """A frame of peer i (or the upstream, _PEERS) into the board's inbox."""
        b = self._buf
        self._counters[i] += 1
        link = i == _PEERS
        b[0] = 0xC4
        b[1] = kind
        b[2] = (1 if link else 0) | (2 if sealed else 0) | (4 if cookie else 0)
        b[3] = 0
        b[4:8] = self._net
        b[8:16] = self._up if link else self._ids[i][:8]
        b[16:20] = to or b"\xff\xff\xff\xff"
        b[20:24] = b"\x00\x00\x00\x01"
        b[24:28] = self._counters[i].to_bytes(4, "big")
        n = 28
        if cookie:
            b[28:36] = cookie
            n = 36
        b[n : n + len(body)] = body
        end = n + len(body)
        if sealed:
            self._seal(b, n, end)
        b[end : end + 16] = self._hmac(self._macs[link], memoryview(b)[:end])[:16]
        if len(self.inbox) >= 6:  # as lwIP's mailbox
            self._lost += 1
            return
        ip = "10.9.9.9" if link else "10.77.1.%d" % (20 + i)
        self.inbox.append((bytes(b[: end + 16]), (ip, 4104)))

    def _hello(self, i):
        h = sha256(self._record(i)).digest()[:8]
        self._say(i, 1, b"\x00\x02\xff\x00\x00\x1e" + h + b"\x00")

    def _ask(self, i):
        k = (self._served * 7 + i) % _PEERS
        token = self._counters[i].to_bytes(4, "big")
        self._say(i, 4, token + self._ids[k] + b"\x00\x00", self._cookies[i], self._short)

    def _ask_status(self, i):
        """INFO_REQ: part 0 of one of the four documents, padded."""
        token = self._counters[i].to_bytes(4, "big")
        topic = self._asks // 500 % 4 + 1
        self._say(i, 15, token + bytes((topic, 0)) + bytes(394), None, self._short)
        self.s.node.remote.poll(0)

    def heard(self, d, addr):
        """What the board sent."""
        ip = addr[0]
        if ip == "10.9.9.9":
            return self._upstream(d)
        if not ip.startswith("10.77.1."):
            return None
        i = int(ip[8:]) - 20
        if not 0 <= i < _PEERS:
            return None
        self._short = bytes(d[8:12])
        kind = d[1]
        if kind == 3:
            self._cookies[i] = bytes(d[32:40])
            self._ask(i)
        elif kind == 5:
            self._served += 1
            self._hits += d[32] == 0
            self._cookies[i] = None  # proven from now on
        elif kind == 16:
            self._told += 1
        elif kind == 4:
            self._fetched += 1
            head = bytes(d[28:32]) + b"\x00\x04\x02\xff\x00\x00\x00\x1e\x00\x00"
            self._say(i, 5, head + self._record(i), None, self._short)
        return None

    def _upstream(self, d):
        self._short = bytes(d[8:12])
        kind = d[1]
        o = 36 if d[2] & 4 else 28
        b = bytearray(d)
        end = len(b) - 16
        if kind == 6:
            seen = b"\x03\xff\x00\x0a\x4d\x01\x0b\x10\x08"
            self._say(_PEERS, 7, bytes(b[o : o + 4]) + seen, None, self._short)
        elif kind == 8:
            self._seal(b, o + 16, end)
            self._joined += 1
            rest = b"\x00\x03\x0a\x4d\x01\x0b\x10\x08\x00\x1e\x02\x58" + bytes(7)
            self._say(_PEERS, 9, bytes(b[o + 16 : o + 20]) + rest, None, self._short, True)
        elif kind == 10:
            self._seal(b, o, end)
            first = int.from_bytes(b[o + 24 : o + 28], "big")
            n = b[o + 28]
            self._acked += n
            span = first.to_bytes(4, "big") + (first + n - 1).to_bytes(4, "big")
            self._say(
                _PEERS, 11, bytes(b[o : o + 24]) + b"\x00\x01" + span, None, self._short, True
            )

    def wait(self, ms):
        """Virtual time runs until something comes for the board, or `ms` are over."""
        end = Time.ms + (ms if ms > 0 else 0)
        while not self.inbox:
            i = min(range(_PEERS), key=lambda k: self._due[k])
            at = min(self._due[i], self._asks)
            if at > end:
                break
            Time.ms = max(Time.ms, at)
            if self._asks <= self._due[i]:
                self._asks += 100
                i = self._asks // 100 % _PEERS
                if self._all and self._asks % 500 == 0 and self._cookies[i] is None:
                    self._ask_status(i)
                else:
                    self._ask(i)
            else:
                self._due[i] += _HELLO_MS
                self._hello(i)
            if (self._served >= _GOAL and Time.ms > 300000) or Time.ms > _END_MS:
                raise KeyboardInterrupt
        if self.inbox:
            return True
        Time.ms = end
        return False

    def report(self, how):
        """Figures in the order of REPORT in __main__.py."""
        gc.collect()
        live = gc.mem_alloc() - cost
        s = self.s
        out = [how, Time.ms, self._served, self._hits, self.taken, self._acked, self._joined]
        out += [self._fetched, self._lost, self._told, cost, live, gc.mem_free()]
        if s is not None and s.node is not None:
            count = s.node.counters
            out += [s.node.modes.mode, s.sensors.errors]
            out += [count.get(35), sum([count.get(i) for i in range(3, 16)])]
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
rom = None
if "romfs" in sys.argv:
    with open("romfs", "rb") as f:
        rom = f.read()
vfs.umount("/")
vfs.mount(flash, "/")
os.chdir("/")
sys.path[:] = ["", ".frozen", "/lib"]
if rom:
    vfs.mount(vfs.VfsRom(rom), "/rom")
    sys.path[2:2] = ["/rom", "/rom/lib"]
gc.collect()
cost = gc.mem_alloc()  # all of it but the interpreter's own 1.6 kB is ours
execfile("boot.py")  # noqa: F821
with open("main.py") as f:
    exec(f.read().replace("supervisor.run()", ""))
supervisor = sys.modules["supervisor"]
supervisor.Supervisor = keep_supervisor(supervisor.Supervisor)
supervisor.run()
gc.collect()
if "map" in sys.argv:
    import micropython

    micropython.qstr_info(1)
    micropython.mem_info(1)
world.report(0)
