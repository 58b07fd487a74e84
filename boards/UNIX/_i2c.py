# machine.I2C and SoftI2C; what hangs on the wires is on the bench desk. RAM: 3 kB.
"""As extmod/machine_i2c.c and ports/esp32 have them. Nobody acknowledges the address: OSError
ENODEV. A byte in the middle that is not acknowledged: ENODEV on the peripheral, a smaller number
of acknowledged bytes from SoftI2C. Clock held low: ETIMEDOUT. Data held low: ETIMEDOUT on the
peripheral; SoftI2C takes it for an acknowledgement by everybody, and reads zeros.
"""

import _hw


def _pin(p):
    return p if isinstance(p, int) else p._id


class SoftI2C:
    _soft = 1

    def __init__(self, scl, sda, *, freq=400000, timeout=50000):
        self.init(scl, sda, freq=freq, timeout=timeout)

    def init(self, scl, sda, *, freq=400000, timeout=50000):
        self._wires = "%d %d %d" % (self._soft, _pin(scl), _pin(sda))

    def _do(self, what, addr, n, stop, data=b""):
        if not 0 <= addr < 128:
            raise ValueError("invalid address")
        head = "i2c %s %s %d %d %d" % (what, self._wires, addr, n, bool(stop))
        return _hw.ask(head, bytes(data), 4200)

    def scan(self):
        return list(_hw.ask("i2c s %s 0 0 1" % self._wires, size=300))

    def writeto(self, addr, buf, stop=True):
        return int(self._do("w", addr, len(buf), stop, buf) or 0)

    def writevto(self, addr, vector, stop=True):
        return self.writeto(addr, b"".join([bytes(v) for v in vector]), stop)

    def readfrom(self, addr, nbytes, stop=True):
        return self._do("r", addr, nbytes, stop)

    def readfrom_into(self, addr, buf, stop=True):
        buf[:] = self.readfrom(addr, len(buf), stop)

    def _memory(self, memaddr, addrsize):
        return (memaddr & (1 << addrsize) - 1).to_bytes(addrsize // 8, "big")

    def readfrom_mem(self, addr, memaddr, nbytes, *, addrsize=8):
        self.writeto(addr, self._memory(memaddr, addrsize), False)
        return self.readfrom(addr, nbytes)

    def readfrom_mem_into(self, addr, memaddr, buf, *, addrsize=8):
        buf[:] = self.readfrom_mem(addr, memaddr, len(buf), addrsize=addrsize)

    def writeto_mem(self, addr, memaddr, buf, *, addrsize=8):
        self.writeto(addr, self._memory(memaddr, addrsize) + bytes(buf))


class I2C(SoftI2C):
    _soft = 0
    _pins = {0: (18, 19), 1: (25, 26)}  # scl, sda of an ESP32

    def __init__(self, id=0, *, scl=None, sda=None, freq=400000, timeout=50000):
        if id not in self._pins:
            raise ValueError("I2C(%d) doesn't exist" % id)
        pins = self._pins[id]
        self.init(pins[0] if scl is None else scl, pins[1] if sda is None else sda)
