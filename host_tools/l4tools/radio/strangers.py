"""A street full of strangers: phones with addresses that change, and some that mean no good.

Each advertises at its interval with a new random address every `rotate_s`. Of ten: six are phones
with well-formed data of others, one sends broken structures, one the right maker's id with noise,
two repeat what they heard from boards, one of them with the board's own address.
"""

import asyncio
import random
from types import SimpleNamespace

from bumble.hci import Address

from l4tools.radio.air import Advert
from l4tools.radio.broker import Radio
from l4tools.radio.controller import IND, NONCONN_IND

_FLAGS = bytes((2, 1, 6))
_KINDS = ("phone",) * 6 + ("broken", "noise", "replay", "spoof")


class Strangers:
    """`Strangers(radio, 1000)` begins; `.close()` ends it; `.sent` counts by kind."""

    def __init__(
        self, radio: Radio, n: int, *, interval_s=1.0, rotate_s=10.0, seed=1, maker=0xFFFF
    ):
        self.radio, self.n = radio, n
        self.interval_s, self.rotate_s = interval_s, rotate_s
        self._maker = maker.to_bytes(2, "little")
        self._rng = random.Random(seed)
        self.name, self.silent, self.on_s, self.adverts = "strangers", False, 0.0, 0
        self.sent = dict.fromkeys(_KINDS, 0)
        self.addresses = 0  # how many there have been
        self.le_legacy_advertiser = SimpleNamespace(enabled=False)  # nobody connects to them
        self._heard: list[Advert] = []  # of boards, to be repeated
        self._task = None
        radio.call(self._begin)

    def close(self) -> None:
        self.radio.call(self._task.cancel)

    def _begin(self):
        air = self.radio.air
        self._task = asyncio.get_running_loop().create_task(self._run())
        before = air.advertise

        def listen(sender, advert):
            if sender is not self and self._rng.random() < 0.2:
                self._heard.append(advert)
                del self._heard[:-20]
            before(sender, advert)

        air.advertise = listen

    async def _run(self):
        loop = asyncio.get_running_loop()
        who = [self._new() for _ in range(self.n)]
        step = self.interval_s / self.n
        change = max(1, round(self.rotate_s / self.interval_s))
        k = turn = 0
        at = loop.time()
        while True:
            if (turn + k) % change == 0:
                who[k] = self._new()
            self.radio.air.advertise(self, self._advert(_KINDS[k % 10], who[k]))
            k += 1
            if k == self.n:
                k, turn = 0, turn + 1
            at += step
            if at > loop.time() + 0.005:
                await asyncio.sleep(at - loop.time())

    def _new(self):
        """Somebody's next identity: an address and what is said."""
        rng = self._rng
        self.addresses += 1
        raw = bytearray(rng.randbytes(6))
        raw[5] &= 0x3F
        body = rng.randbytes(rng.randrange(2, 24))
        return Address(bytes(raw), Address.RANDOM_DEVICE_ADDRESS), body

    def _advert(self, kind, who) -> Advert:
        address, body = who
        self.sent[kind] += 1
        if kind in ("replay", "spoof") and self._heard:
            heard = self._rng.choice(self._heard)
            return Advert(heard.address if kind == "spoof" else address, IND, heard.data, b"")
        if kind == "broken":
            return Advert(address, IND, bytes((self._rng.randrange(256),)) + body, b"")
        if kind == "noise":
            data = _FLAGS + b"\x1b\xff" + self._maker + b"\x13" + self._rng.randbytes(23)
            return Advert(address, IND, data, b"")
        apple = bytes((len(body) + 3, 0xFF, 0x4C, 0)) + body
        return Advert(address, NONCONN_IND, (_FLAGS + apple)[:31], b"")
