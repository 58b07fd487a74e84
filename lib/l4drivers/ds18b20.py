# floor 9: firmware
# DS18B20: temperature, many on one wire. RAM: 4.1 kB, and asyncio.
"""DS18B20(pin)    .read        coroutine -> °C, of the only one on the wire
                .reader(rom) -> such a coroutine for the one with this id (16 hex digits)
                .roms() -> ids of those on the wire; takes 15 ms a chip

A conversion takes 750 ms, in which the node does its work; it is made for all chips on the wire at
once. By the firmware's own `onewire` and `ds18x20`. After a moment without power a chip says
85 °C, which is its value before the first conversion: never taken for a reading.

Source: data sheet DS18B20 (Maxim 19-7487): scratchpad, power-on value, times.
"""

import asyncio
from binascii import hexlify, unhexlify

from l4mesh import ticks
from l4mesh_io import clock


class DS18B20:
    def __init__(self, pin):
        self._pin = pin
        self._ds = None
        self._only = None
        self._began = None  # the last conversion
        self._busy = False
        self._last = {}  # rom -> its last good value

    def reader(self, rom):
        async def read():
            try:
                wanted = unhexlify(rom)
            except ValueError:
                wanted = b""
            if len(wanted) != 8:
                raise OSError("%r is no id of a DS18B20: 16 hex digits." % rom)
            return await self._read(wanted)

        return read

    def read(self):
        return self._read(self._only)

    def roms(self):
        return [hexlify(r).decode() for r in self._scan()]

    async def _read(self, rom):
        if rom is None:
            found = self._scan()
            if len(found) != 1:
                names = ", ".join([hexlify(r).decode() for r in found])
                raise OSError(
                    "%d DS18B20 on pin %d: %s. Read each by its id: reader(id)."
                    % (len(found), self._pin, names)
                )
            rom = self._only = bytes(found[0])
        try:
            await self._convert()
            return self._value(rom)
        except OSError:
            self._only = None  # another one may be there when it is plugged in again
            raise

    def _bus(self):
        """The wire, with somebody on it."""
        if self._ds is None:
            from ds18x20 import DS18X20
            from machine import Pin
            from onewire import OneWire

            self._ds = DS18X20(OneWire(Pin(self._pin)))
        ow = self._ds.ow
        if not ow.reset():
            raise OSError(
                "No DS18B20 on pin %d: check the 4.7 kΩ pull-up between data and 3.3 V, and the "
                "wires." % self._pin
            )
        if not ow.readbit():  # nobody was asked anything
            raise OSError(
                "The wire on pin %d is held low: a short circuit, or another pin." % self._pin
            )
        return self._ds

    def _scan(self):
        found = self._bus().scan()
        if not found:
            raise OSError(
                "Something answers on pin %d, but no DS18B20: check the pull-up (4.7 kΩ) and the "
                "wire's length." % self._pin
            )
        return found

    async def _convert(self):
        """All measure. Who comes while they do waits for the same measurement."""
        if self._began is not None and 0 <= ticks.diff(clock.now(), self._began) < 900:
            while self._busy:
                await asyncio.sleep(0.02)
            return
        ds = self._bus()
        self._began = clock.now()
        self._busy = True
        try:
            ds.convert_temp()
            await asyncio.sleep(0.75)
            for _ in range(8):  # copies of the chip may take longer; a 0 says so
                if ds.ow.readbit():
                    return
                await asyncio.sleep(0.1)
            raise OSError("A DS18B20 on pin %d does not get ready." % self._pin)
        finally:
            self._busy = False

    def _value(self, rom):
        name = hexlify(rom).decode()
        v = None
        for _ in range(3):
            self._bus()
            try:
                v = self._ds.read_temp(rom)
                break
            except Exception:
                continue  # CRC; the buffer says more
        b = self._ds.buf
        if v is None:
            if min(b) == 255:
                raise OSError("No DS18B20 %s on pin %d: was it unplugged?" % (name, self._pin))
            raise OSError(
                "DS18B20 %s on pin %d sends garbage (CRC): check the pull-up and the wire's "
                "length." % (name, self._pin)
            )
        if not b[4]:
            raise OSError("The wire on pin %d is held low: a short circuit." % self._pin)
        last = self._last.get(rom)
        # Byte 6 is 12 at power-on, 16 after a conversion that gave 85; copies differ.
        if v == 85 and (b[6] == 12 or b[6] != 16 and (last is None or abs(last - 85) > 10)):
            raise OSError(
                "DS18B20 %s on pin %d lost power for a moment (it says 85 °C, as after power-on): "
                "check its supply." % (name, self._pin)
            )
        self._last[rom] = v
        return v
