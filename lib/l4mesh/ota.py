# floor 6: pipeline
# Pulls an update from whoever offers it. RAM: 1 kB, and what ota_stage.py takes while it works.
"""Loaded with the first OFFER, dropped when nothing is under way (firmware/updating.py).

One question is out at a time (WANT), answered by one CHUNK. A question without an answer is asked
again with growing pauses, then of the other source, then it stops until the next OFFER: the same
bundle then goes on where it was, after a reboot as well. A member can offer what it likes; only
the manifest is fetched, into RAM, before the owner's signature was found good, and after a bad one
nothing is taken for 30 s.

`store`: OtaFs (l4mesh_io/ota_fs.py). `verify(key, text, signature)` -> job. `made_for`: (chip,
(major, minor), .mpy format). `flags()`: what the judge of the new version should know.
"""

from . import ota_manifest as manifest
from . import ticks
from .compat import const
from .ota_stage import DONE, FAILED, PIECE, WANTS, Stage
from .wire import T_WANT, put16, put30, u16, u30

IDLE = const(0)
MANIFEST = const(1)
STAGING = const(2)
READY = const(3)

WANT_LEN = const(320)  # padded: the longest CHUNK is within three times its question
CHUNK_HEAD = const(10)
_SHORT = const(28)
_NOTHING = const(2)  # a WANT that asks for nothing and says why
_FIRST_MS = const(500)
_LONGEST_MS = const(8000)
_TRIES = const(8)
_REST_MS = const(30000)


class Ota:
    def __init__(self, node, store, owner, verify, rng, made_for, flags):
        self._tx = node.tx
        self._peers = node.peers
        # As often as one of our own kind would let an id ask.
        self._every = 1000 // node.limits.table["id_s"] + 10
        self._turn = max(10, self._every >> 2)
        self._store = store
        self._owner = owner
        self._verify = verify
        self._rng = rng
        self._for = made_for
        self._flags = flags
        self.at = IDLE
        self.stage = None
        self.code = -1  # why the last one was not taken
        self._id = b""
        self._m = b""
        self._from = []
        self._size = self._which = 0
        self._token = self._frame = self._asked = self._tries = self._due = self._sent = 0
        self._waiting = False
        self._rest = None

    # an OFFER: token 4, bundle 16, counter 4, manifest size 2, total 4, source 8

    def on_offer(self, peer: bytes, addr: bytes, buf, o: int, now: int) -> None:
        which = bytes(buf[o + 4 : o + 20])
        code = self._unwanted(which, u30(buf, o + 20), u16(buf, o + 24), now)
        if code >= 0:
            self._answer(peer, addr, which, code)
            return
        self._from = [(peer, addr)]
        i = self._peers.find(bytes(buf[o + 30 : o + 38]))
        if i >= 0:  # a neighbour has it, says the offerer: one that is not known is not asked
            self._from.append((self._peers.short_id(i), self._peers.addr(i)))
        self._tries = 0
        if self.at == IDLE:
            self._which = len(self._from) - 1
            self._begin(which, u16(buf, o + 24), now)
            return
        if self._which >= len(self._from):
            self._which = 0
        self._answer(peer, addr, which, manifest.N_WORK)

    def _unwanted(self, which, counter, size, now):
        """Why an offer is not taken; -1 when it is."""
        store = self._store
        if self.at != IDLE:
            if which != self._id:
                return manifest.N_BUSY
            return manifest.N_SOON if self.at == READY else -1
        store.refresh()
        if self._owner is None:
            return manifest.N_OWNER
        if self._rest is not None and ticks.diff(self._rest, now) > 0:
            return self.code if which == self._id else manifest.N_LATER
        slot = store.pending()
        if slot:
            return manifest.N_SOON if self._is(slot, which) else manifest.N_BUSY
        if counter <= store.seen():
            slot = store.active()
            return manifest.N_HAVE if slot and self._is(slot, which) else manifest.N_OLD
        return -1 if 0 < size <= manifest.MAX else manifest.N_FORM

    def _is(self, slot, which):
        return manifest.bundle_id(self._store.manifest(slot)) == which

    def _begin(self, which, size, now):
        self._id = which
        self._size = size
        self._waiting = False
        self._rest = None
        self._due = now
        self.code = -1
        m = self._store.manifest(self._store.spare())
        if manifest.bundle_id(m) == which:
            self._staging(m)
        else:
            self._m = bytearray()
            self.at = MANIFEST

    def _staging(self, m):
        self._m = b""
        self.stage = Stage(self._store, m, self._id, self._owner, self._verify, self._for)
        self.at = STAGING

    # questions

    def _put(self, o, which, part, code, off, n):
        b = self._tx.buf
        b[o + 4 : o + 20] = which
        b[o + 20] = part
        b[o + 21] = code
        put30(b, o + 22, off)
        put16(b, o + 26, n)

    def _answer(self, peer, addr, which, code):
        tx = self._tx
        o = tx.begin(T_WANT, peer)
        put30(tx.buf, o, tx.counter)
        off = self._store.seen()
        if code == manifest.N_WORK:
            off = self.stage.done if self.stage is not None else 0
        self._put(o, which, _NOTHING, code, off, 0)
        tx.send(o + _SHORT, addr)

    def _ask(self, cookie, now):
        tx = self._tx
        peer, addr = self._from[self._which]
        o = tx.begin(T_WANT, peer, cookie=cookie)
        if cookie is None:
            self._token = tx.counter
            self._tries += 1
        put30(tx.buf, o, self._token)
        if self.at == STAGING:
            self._asked = self.stage.need
            self._put(o, self._id, 1, 0, self.stage.done, self._asked)
        else:
            self._asked = min(PIECE, self._size - len(self._m))
            self._put(o, self._id, 0, 0, len(self._m), self._asked)
        for i in range(o + _SHORT, o + WANT_LEN):
            tx.buf[i] = 0
        tx.send(o + WANT_LEN, addr)
        self._frame = tx.counter
        self._waiting = True
        self._sent = now
        pause = min(_FIRST_MS << (self._tries - 1), _LONGEST_MS)
        self._due = ticks.add(now, pause + self._rng.getrandbits(8))

    def on_cookie(self, counter: int, cookie: bytes, now: int) -> bool:
        if not self._waiting or counter != self._frame:
            return False
        self._ask(cookie, now)
        return True

    def on_chunk(self, peer: bytes, buf, o: int, end: int, now: int) -> None:
        """token 4, part 1, 0, offset 4, data"""
        n = end - o - CHUNK_HEAD
        if not self._waiting or u30(buf, o) != self._token or not 0 < n <= self._asked:
            return
        files = self.at == STAGING
        off = self.stage.done if files else len(self._m)
        if peer != self._from[self._which][0] or buf[o + 4] != files or u30(buf, o + 6) != off:
            return
        self._waiting = False
        self._tries = 0
        left = ticks.diff(ticks.add(self._sent, self._every), now)
        self._due = ticks.add(now, max(left, 0))
        piece = memoryview(buf)[o + CHUNK_HEAD : end]
        if files:
            self.stage.append(piece)
            return
        self._m.extend(piece)
        if len(self._m) >= self._size:
            self._staging(bytes(self._m))

    # what is due

    def poll(self, now: int) -> int:
        if self.at == IDLE or self.at == READY:
            return 60000
        if self.at == STAGING and self.stage.at != WANTS:
            return self._step(now)
        left = ticks.diff(self._due, now)
        if left > 0:
            return left if left < self._turn else self._turn
        if self._tries >= _TRIES:
            self._tries = 0
            self._waiting = False
            if not self._which:
                self._store.settle()
                self._stop()  # what has come stays for the next offer
                return 60000
            self._which = 0
        self._ask(None, now)
        return self._turn

    def _step(self, now):
        stage = self.stage
        wrong = stage.wrong
        wait = stage.step(self._flags)
        if stage.wrong != wrong:
            self._which = 0  # the neighbour's word was not good: the offerer's own from now on
        if stage.at == DONE:
            self.at = READY
            self._answer(*self._from[0], self._id, manifest.N_SOON)
        elif stage.at == FAILED:
            self.code = stage.code
            self._rest = ticks.add(now, _REST_MS)
            self._answer(*self._from[0], self._id, stage.code)
            self._stop()
        return wait

    def _stop(self):
        self.at = IDLE
        self.stage = None
        self._m = b""
        self._waiting = False
