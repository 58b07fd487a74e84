# floor 9: firmware
# Improv WiFi over Bluetooth: a window of minutes. RAM: 2 kB, while it is open 10 kB more.
"""w = Window(s, now, say)    `w.service` for aioble.register_services(); `s`: the supervisor
w.open(now, ms)        by boot, where no WiFi is configured, or by the board's button
w.advert() -> bytes    to say instead of the own advertisement, None: closed
w.poll(now) -> ms      closes it: when the time is over, or 5 s after the board joined a network
alone(s, say) -> poll  the same for a board that has no keys yet, and no other use of Bluetooth

With a button (`button_pin`: to ground) a client has to wait until it is pressed, and a press opens
the window, too. A board without one takes a network from whoever comes within minutes of power-on
(https://www.improv-wifi.com, "authorized"): who can cut its power could write its flash as well.
The state machine is that of the serial line (l4mesh/improv.py).
"""

import asyncio
import gc

import aioble
import bluetooth
import machine
import turns
from l4mesh import ticks
from l4mesh.compat import const
from l4mesh_io import clock
from l4mesh_io.unload import unload

BOOT_MS = 300000
BUTTON_MS = 120000
_UUID = "00467768-6228-2272-4663-27747826800%d"
_CAPABILITIES = const(0x0F)
_WAITING = const(1)  # states of improv.py, which is not loaded yet
_JOINING = const(3)
_JOINED = const(4)
_AFTER_MS = const(5000)
_EVERY_US = const(157000)
_SAY_MS = const(1000)
_HOLD_MS = const(180000)
_STEP_MS = const(20)
_LOOK_MS = const(100)
_ROOM = const(260)
_MODULES = ("improv_serial", "l4mesh.improv", "l4mesh.improv_codec")


class Window:
    def __init__(self, s, now, say):
        self._s = s
        self.say = say
        self._now = now
        self._pin = None
        if s.cfg.button_pin is not None:
            self._pin = machine.Pin(s.cfg.button_pin, machine.Pin.IN, machine.Pin.PULL_UP)
        self._down = False
        self._end = self._joined = self._client = self._got = None
        self.improv = None  # the machine, while it is open
        self.service = v = aioble.Service(bluetooth.UUID(_UUID % 0))
        told = {"read": True, "notify": True}
        self._state = self._char(v, 1, initial=b"\x01", **told)
        self._error = self._char(v, 2, initial=b"\x00", **told)
        self._command = aioble.BufferedCharacteristic(
            v, bluetooth.UUID(_UUID % 3), write=True, capture=True, max_len=_ROOM
        )
        self._result = self._char(v, 4, initial=b"", **told)
        self._char(v, 5, read=True, initial=bytes((_CAPABILITIES,)))
        asyncio.create_task(self._mail())

    def _char(self, service, n, **more):
        return aioble.Characteristic(service, bluetooth.UUID(_UUID % n), **more)

    def open(self, now, ms):
        self._end = ticks.add(now, ms)
        if self.improv is None:
            gc.collect()
            try:
                self._load(now)
            except MemoryError:
                return self._close("no room for it; restart the board to try again")
            self.say("Improv by Bluetooth: open for %d minutes" % (ms // 60000))
        if self._pin is None or self._down:
            self.improv.authorize(now)

    def _load(self, now):
        from l4mesh.improv_codec import Written

        self._got = Written()
        self._joined = None
        self.improv = self._s.improv(now, self).machine
        self.state(self.improv.state)

    def _close(self, why):
        self.improv = self._got = None
        unload(*_MODULES)
        gc.collect()
        self.say("Improv by Bluetooth: closed, " + why)

    def advert(self):
        if self.improv is None:
            return None
        from l4mesh.improv_codec import advert

        return advert(self.improv.state, _CAPABILITIES)

    def poll(self, now):
        if self._pin is not None:
            down = not self._pin.value()
            if down and not self._down:
                self._down = True
                self.open(now, BUTTON_MS)
            self._down = down
        m = self.improv
        if m is None:
            return _LOOK_MS if self._pin is not None else 60000
        ms = m.poll(now)
        if m.state == _WAITING and self._pin is None:
            m.authorize(now)
        if m.state != _JOINED:
            self._joined = None
            if m.state != _JOINING and ticks.diff(now, self._end) >= 0:
                self._close("its time is over")
        elif self._joined is None:
            self._joined = now
        elif ticks.diff(now, self._joined) >= _AFTER_MS:
            self._close("the board has WiFi")
        return min(ms, _LOOK_MS)

    def holds(self, connection):
        """May this link go on without a word of the mesh?"""
        return self.improv is not None

    async def _mail(self):
        # For ever: what nobody takes would stand in the way of the node's own service.
        while True:
            connection, data = await self._command.written()
            m = self.improv
            if m is not None:
                self._client = connection
                try:
                    self._wrote(m, data, self._now())
                except MemoryError:
                    gc.collect()
                    m.bad()  # an error, which a client tells its user

    def _wrote(self, m, data, now):
        from l4mesh.improv_codec import BAD, DONE

        done = self._got.push(data, now)
        if done == DONE:
            m.command(self._got.command, self._got.data, now)
        elif done == BAD:
            m.bad()

    # what the machine tells

    def state(self, code):
        self._state.write(bytes((code,)), send_update=True)

    def error(self, code):
        self._error.write(bytes((code,)), send_update=True)

    def result(self, command, strings):
        """In one notification; of a scan the nearest that fit into it."""
        from l4mesh.improv_codec import W_SCAN, summed
        from l4mesh.improv_codec import result as made

        client = self._client
        room = (client.mtu if client is not None and client.mtu else 23) - 3
        data = summed(made(command, strings))
        while command == W_SCAN and len(data) > room and strings:
            strings = strings[:-3]
            data = summed(made(command, strings))
        self._result.write(data, send_update=True)


def alone(s, say):
    turns.loop()
    w = Window(s, clock.now, say)
    s.ble.register_services(w.service)
    w.open(clock.now(), BOOT_MS)
    turns.start(_speak(w))

    def poll(now):
        turns.turn()
        return min(w.poll(now), _STEP_MS)

    return poll


async def _speak(w):
    """Advertise while the window is open; its state is in the advertisement."""
    while True:
        data = w.advert()
        if data is None:
            await asyncio.sleep_ms(_SAY_MS)
            continue
        c = None
        try:
            c = await aioble.advertise(_EVERY_US, adv_data=data, resp_data=b"", timeout_ms=_SAY_MS)
            if c is not None:
                await c.disconnected(timeout_ms=_HOLD_MS)
        except asyncio.TimeoutError:  # noqa: UP041 - no builtin here
            if c is not None:
                await _part(c)
        except OSError as e:
            w.say("Improv by Bluetooth: the radio refuses (%r)" % e)
            await asyncio.sleep_ms(10 * _SAY_MS)


async def _part(c):
    """End its link. One that is out of reach takes longer than aioble waits."""
    try:
        await c.disconnect()
    except asyncio.TimeoutError:  # noqa: UP041
        return
