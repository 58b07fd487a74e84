# floor 9: links
# The Bluetooth radio: advertises and listens by aioble, in rounds. RAM: 4 kB, aioble 16 kB more.
"""Discovery over the air; what is said and heard is nearby.py's.

    b = Ble(aioble, radio, near, now, rng)   `radio`: bluetooth.BLE(); rng.getrandbits(n)
    b.turn = turn                            of turns.py; start(b.run()) for ever
    wait = b.poll(now)                       a job of the runner: takes a turn
    b.hush()                                 radio silent until the next turn: before what blocks
    b.hurry()                                end the scan, so that `after` comes now
    b.after = f       coroutine function f(b): awaited after each round, when nothing scans
    b.guest = f       coroutine function f(connection): who connected to us. None: nobody can
    b.instead = f     f() -> 31 bytes to be said in every second round, or None
    b.links           links that are open: whoever opens one counts it, so that none loses its id

A round takes 5 to 10 s: one advertisement, all the time, every 211 to 257 ms (off the multiples of
102.4, WiFi's beacons); and passive scans, 100 % of the time for the first 5 s, then 60 of 317 ms.
`slow()`: 5 s, then a rest of 4 to 6. `shared` (one radio and little memory: C3, C6): never both at
once, speaking for 2 to 4 s, then listening for 2. Every 15 min, give or take 3, between two rounds
and with no link open, salt, id, sequence and address change in one step.

aioble, as it is: an advertise() that is cancelled returns None. Results come newest first. A scan
keeps all it ever saw, so it ends after 40 different senders. Its first result may have no data.
Whatever the radio refuses is told by why(), counted, and tried again: 1 s, doubled up to 60.
"""

import asyncio

from l4mesh import ticks
from l4mesh.compat import const

_FULL_US = const(60000)
_EVERY_US = const(317000)
_WINDOW_US = const(60000)
_BOOT_MS = const(5000)
_SEEN = const(40)
_BREATH = const(16)  # results until others get their turn
_ROTATE_MS = const(720000)
_ROTATE_MORE = const(360000)
_WAIT_MS = const(40)  # the runner collects garbage only in waits above 20
_WAIT_LINK_MS = const(5)
_AGAIN_MS = const(1000)
_RANDOM_ADDRESS = const(3)  # addr_mode: non-resolvable, new with each call


class Ble:
    def __init__(self, aioble, radio, near, now, rng, shared=False, slow=None):
        self.aioble = aioble
        self.near = near
        self._radio = radio
        self._now = now
        self._rng = rng
        self._shared = shared
        self._slow = slow
        self._full = _BOOT_MS  # of listening all the time, still to come
        self._rotate_at = None
        self._hushed = self._hurried = False
        self._said = ""
        self.addr = bytes(6)
        self.turn = None
        self.after = self.guest = self.instead = None
        self.links = self.errors = self.rounds = 0
        self.cost = 0  # bytes that discovery took, as far as the start could see
        self.listened = 0  # ms of scans, whatever their duty

    def wait(self):
        """Ms until the next turn is wanted."""
        return _WAIT_LINK_MS if self.links else _WAIT_MS

    def poll(self, now):
        """A job of the runner: takes a turn."""
        self.turn()
        return self.wait()

    def why(self):
        """One sentence for `l4 status`."""
        return self._said or self.near.why()

    def hush(self):
        """Stop it at once. aioble hears of the end of the scan, and the round ends."""
        self._hushed = True
        try:
            self._radio.gap_scan(None)
            self._radio.gap_advertise(None)
        except OSError:
            self.errors += 1  # it is off: silent enough

    def hurry(self):
        """Enough of this round: who waits for its end has something to do."""
        self._hurried = True
        try:
            self._radio.gap_scan(None)
        except OSError:
            self.errors += 1

    async def run(self):
        again = _AGAIN_MS
        while True:
            try:
                await self._round()
                self._said = ""
                again = _AGAIN_MS
            except Exception as e:  # nothing in here may end the loop
                self.errors += 1
                self._said = "Bluetooth fails (%r); it is tried again, the rest runs." % e
                await asyncio.sleep_ms(again)
                again = min(2 * again, 60 * _AGAIN_MS)

    async def _round(self):
        now = self._now()
        self._hushed = self._hurried = False
        if self._rotate_at is None or ticks.diff(now, self._rotate_at) >= 0 and not self.links:
            self._rotate(now)
        ms = 5000 + self._rng.getrandbits(16) % 5000
        data = self.instead() if self.instead is not None and self.rounds & 1 else None
        if data is None:
            data = bytes(self.near.voice.advert(self.addr))
        adv = asyncio.create_task(self._advertise(data))
        try:
            if self._shared:
                await self._sleep(2000 + ms % 2000)
                await self._silence(adv)
                await self._scan(2000)
            else:
                slow = self._slow is not None and self._slow()
                await self._scan(5000 if slow else ms)
                if slow:
                    await self._sleep(4000 + ms % 2000)
            if self.after is not None and not self._hushed:
                await self.after(self)
        finally:
            await self._silence(adv)
        self.rounds += 1

    def _rotate(self, now):
        """Nothing is on the air now: the new address comes with the new id."""
        self.aioble.config(addr_mode=_RANDOM_ADDRESS)
        self.addr = bytes(self.aioble.config("mac")[1])
        self.near.voice.rotate()
        more = self._rng.getrandbits(20) % _ROTATE_MORE
        self._rotate_at = ticks.add(now, _ROTATE_MS + more)

    async def _advertise(self, data):
        every = 211000 + self._rng.getrandbits(16) % 46000
        can = self.guest is not None
        c = True
        while c is not None:
            try:
                c = await self.aioble.advertise(
                    every, adv_data=data, resp_data=b"", connectable=can
                )
            except OSError as e:
                self.errors += 1
                self._said = "Bluetooth can't advertise (%r); it is tried again." % e
                return
            if c is not None and self.guest is not None:
                asyncio.create_task(self.guest(c))  # it outlives this round; the next may come

    async def _silence(self, adv):
        """End it, also when it swallows the cancel, or is over since somebody connected."""
        while not adv.done():
            adv.cancel()
            await asyncio.sleep_ms(0)

    async def _sleep(self, ms):
        end = ticks.add(self._now(), ms)
        while not (self._hushed or self._hurried) and ticks.diff(end, self._now()) > 0:
            await asyncio.sleep_ms(100)

    async def _scan(self, ms):
        end = ticks.add(self._now(), ms)
        while not (self._hushed or self._hurried):
            now = self._now()
            left = ticks.diff(end, now)
            if left < 50:
                return
            if self._full > 0:
                await self._listen(min(left, self._full), _FULL_US, _FULL_US)
            else:
                await self._listen(left, _EVERY_US, _WINDOW_US)
            took = max(ticks.diff(self._now(), now), 1)
            self._full = max(self._full - took, 0)
            self.listened += took

    async def _listen(self, ms, every, window):
        """One scan, until its time is over or it has seen too many to keep."""
        seen = set()
        n = 0
        heard = self.near.heard
        async with self.aioble.scan(ms, every, window, active=False) as results:
            async for r in results:
                d = r.device
                data = r.adv_data
                if data:
                    heard(d.addr, d.addr_type, r.rssi, data, len(data), self._now())
                seen.add(d.addr)
                n += 1
                if len(seen) >= _SEEN or self._hushed or self._hurried:
                    break
                if n % _BREATH == 0:
                    await asyncio.sleep_ms(0)
