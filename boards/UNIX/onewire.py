# onewire as stock firmware has it; the wire is on the bench desk. RAM: 2 kB.
import _hw


class OneWireError(Exception):
    pass


class OneWire:
    SEARCH_ROM = 0xF0
    MATCH_ROM = 0x55
    SKIP_ROM = 0xCC

    def __init__(self, pin):
        self.pin = pin
        self.pin.init(pin.OPEN_DRAIN, pin.PULL_UP)
        self._op = "wire %d " % pin._id

    def _ask(self, what, data=b""):
        return _hw.ask(self._op + what, data, 600)

    def reset(self, required=False):
        """True: somebody is there, or the wire is held low."""
        found = self._ask("reset") == b"1"
        if required and not found:
            raise OneWireError
        return found

    def readbit(self):
        return int(self._ask("bit"))

    def readbyte(self):
        return self._ask("read 1")[0]

    def readinto(self, buf):
        buf[:] = self._ask("read %d" % len(buf))

    def writebit(self, value):
        self._ask("bit %d" % (value & 1))

    def writebyte(self, value):
        self._ask("write", bytes((value,)))

    def write(self, buf):
        self._ask("write", bytes(buf))

    def select_rom(self, rom):
        self.reset()
        self.writebyte(self.MATCH_ROM)
        self.write(rom)

    def crc8(self, data):
        crc = 0
        for byte in data:
            for _ in range(8):
                crc, byte = crc >> 1 ^ (0x8C if (crc ^ byte) & 1 else 0), byte >> 1
        return crc

    def scan(self):
        """Ids of all on the wire, each 8 bytes."""
        found = []
        fork = 0  # the highest bit at which both ways were still open, and 0 was taken; -1: none
        rom = bytearray(8)
        while fork >= 0 and len(found) < 255:
            if not self.reset():
                break
            self.writebyte(self.SEARCH_ROM)
            last = fork if found else 64
            fork = -1
            for i in range(64):
                one, zero = self.readbit(), self.readbit()
                if one and zero:
                    return found  # nobody answers any more
                if one == zero:  # both are there
                    before = rom[i >> 3] >> (i & 7) & 1
                    one = i == last or i < last < 64 and before
                    if not one:
                        fork = i
                self.writebit(one)
                rom[i >> 3] = rom[i >> 3] & ~(1 << (i & 7)) | one << (i & 7)
            if self.crc8(rom) == 0:
                found.append(bytearray(rom))
        return found
