"""The bench desk: answers the boards' questions to their hardware over loopback UDP.

A request is `number ip operation args\\n` and data; its answer `number error\\n` and data. 0 as
number gets no answer. A repeated request gets its first answer again: a LED pulse counts once.
"""

import errno
import socket
from collections.abc import Callable

from l4tools.lan.loop import Loop
from l4tools.vboard.parts import Wire
from l4tools.vboard.world import World


class Failed(Exception):
    """Carries the error number that the board sees."""


class Desk:
    """`on_power(ip, op, ms)` is called for reset, sleep, wdt, feed and
    bootloader: the supervisor's part."""

    def __init__(self, loop: Loop, on_power: Callable[[str, str, int], None] | None = None):
        self._loop = loop
        self._on_power = on_power or (lambda ip, op, ms: None)
        self.worlds: dict[str, World] = {}
        self._answered: dict[tuple, tuple[bytes, bytes]] = {}
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._sock.bind(("127.0.0.1", 0))
        self._sock.setblocking(False)
        self.address: tuple[str, int] = self._sock.getsockname()
        loop.add_reader(self._sock.fileno(), self._readable)

    def close(self) -> None:
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()

    def forget(self, ip: str) -> None:
        """A board starts: its numbers begin anew."""
        self._answered = {k: v for k, v in self._answered.items() if k[0] != ip}

    def _readable(self):
        for _ in range(64):
            try:
                frame, real = self._sock.recvfrom(8192)
            except OSError:
                return
            self._one(frame, real)

    def _one(self, frame: bytes, real: tuple):
        head, _, data = frame.partition(b"\n")
        try:
            number, ip, op, *args = head.decode().split(" ")
            world = self.worlds[ip]
        except (ValueError, KeyError):
            return
        who = (ip, real[1])
        if number != "0" and who in self._answered and self._answered[who][0] == number.encode():
            self._sock.sendto(self._answered[who][1], real)
            return
        try:
            error, out = 0, self._do(world, ip, op, args, data)
        except Failed as exc:
            error, out = exc.args[0], b""
        except (ValueError, IndexError, KeyError):
            error, out = errno.EINVAL, b""
        if number == "0":
            return
        reply = b"%s %d\n%s" % (number.encode(), error, out)
        self._answered[who] = (number.encode(), reply)
        try:
            self._sock.sendto(reply, real)
        except OSError:
            pass  # the board asks again

    def _do(self, world: World, ip: str, op: str, args: list[str], data: bytes) -> bytes:
        world.counts[op] += 1
        if op in ("reset", "sleep", "wdt", "feed", "bootloader"):
            self._on_power(ip, op, int(args[0]) if args else 0)
            return b""
        if op.startswith("nvs"):
            return self._nvs(world, op, args, data)
        return getattr(self, "_op_" + _NAMES[op])(world, args, data) or b""

    # -- parts ---------------------------------------------------------------------------------
    def _op_adc(self, world, args, data):
        return b"%d" % world.get(world.adc.get(int(args[0]), 0))

    def _op_dht(self, world, args, data):
        if not world.dht_works:
            raise Failed(errno.ETIMEDOUT)
        temperature, humidity = world.get(world.temperature), world.get(world.humidity)
        return b"%d %d" % (round(temperature * 10), round(humidity * 10))

    def _op_chip(self, world, args, data):
        return b"%d" % world.get(world.chip)

    def _op_heap(self, world, args, data):
        return b"%d %d %d %d" % tuple(world.heap)

    def _op_set(self, world, args, data):
        pin, level = int(args[0]), int(args[1])
        if level and not world.pins.get(pin):
            world.pulses[pin] += 1
        world.pins[pin] = level

    def _op_get(self, world, args, data):
        """The level of a pin: what it is set to, or what comes from outside, or its pull."""
        pin, pull = int(args[0]), int(args[1]) if len(args) > 1 else 0
        world.advance()
        return b"%d" % world.pins.get(pin, world.inputs.get(pin, pull))

    def _op_watch(self, world, args, data):
        (world.watched.add if args[1] == "1" else world.watched.discard)(int(args[0]))

    def _op_edges(self, world, args, data):
        return b" ".join(b"%d:%d:%d" % e for e in world.new_edges())

    def _op_i2c(self, world, args, data):
        """s, r or w; soft; scl, sda; address; bytes; stop."""
        what, soft, scl, sda, addr, n = args[0], *map(int, args[1:6])
        fault = world.i2c_fault
        if fault == "scl" or fault and not soft:
            if what == "s":
                return b""
            raise Failed(errno.ETIMEDOUT)
        devices = world.i2c if (scl, sda) == world.i2c_pins else {}
        if what == "s":
            return bytes(a for a in range(8, 0x78) if fault or _here(devices, a))
        if fault:
            return b"%d" % n if what == "w" else bytes(n)
        if not _here(devices, addr):
            raise Failed(errno.ENODEV)
        if what == "r":
            return devices[addr].read(n)
        taken = devices[addr].write(data)
        if taken < n and not soft:
            raise Failed(errno.ENODEV)
        return b"%d" % taken

    def _op_wire(self, world, args, data):
        """reset, bit [value], read N, write; on a pin with nothing: nobody, and ones."""
        wire = world.wires.get(int(args[0])) or Wire()
        what = args[1]
        if what == "reset":
            return b"%d" % wire.reset()
        if what == "write":
            for byte in data:
                for k in range(8):
                    wire.write_bit(byte >> k & 1)
            return b""
        if what == "read":
            n = int(args[2])
            return bytes(sum(wire.read_bit() << k for k in range(8)) for _ in range(n))
        if len(args) > 2:
            wire.write_bit(int(args[2]))
            return b""
        return b"%d" % wire.read_bit()

    def _op_rtc(self, world, args, data):
        return world.rtc

    def _op_rtc_set(self, world, args, data):
        world.rtc = data[:2048]

    def _op_clk(self, world, args, data):
        return b"%d" % world.ahead_ms() if world.clock == "unset" else b""

    def _op_clk_set(self, world, args, data):
        world.clock_ms = int(data)

    def _op_wifi(self, world, args, data):
        return b"%d %d" % (world.wifi_status(), round(world.get(world.rssi)))

    def _op_radio(self, world, args, data):
        if args:
            world.radio(args[0] == "1")
        return b"%d" % world._radio

    def _op_join(self, world, args, data):
        ssid, _, key = data.decode("utf-8", "replace").partition("\n")
        if not world.join(ssid, key):
            raise Failed(errno.EBUSY)

    def _op_leave(self, world, args, data):
        world.leave()

    def _op_scan(self, world, args, data):
        return "\n".join(world.networks if world.ap_up else ()).encode()

    def _nvs(self, world, op, args, data):
        ns, key = args
        if op == "nvs!":
            world.nvs_commit(ns)
        elif op in ("nvs-i", "nvs-b"):
            if not world.nvs_set(ns, key, op[-1], data):
                raise Failed(errno.ENOSPC)
        elif op == "nvs-x":
            if not world.nvs_erase(ns, key):
                raise Failed(errno.ENOENT)
        else:
            found = world.nvs_get(ns, key, op[-1])
            if found is None:
                raise Failed(errno.ENOENT)
            return found
        return b""


def _here(devices, addr):
    return addr in devices and not devices[addr].silent


_NAMES = {
    name: name
    for name in (
        "adc dht chip heap set get rtc clk wifi radio join leave scan watch edges i2c wire"
    ).split()
}
_NAMES["rtc!"] = "rtc_set"
_NAMES["clk!"] = "clk_set"
