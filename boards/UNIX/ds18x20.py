# ds18x20 as stock firmware has it. RAM: 1 kB.
_FAMILIES = (0x10, 0x22, 0x28)


class DS18X20:
    def __init__(self, onewire):
        self.ow = onewire
        self.buf = bytearray(9)

    def scan(self):
        return [rom for rom in self.ow.scan() if rom[0] in _FAMILIES]

    def convert_temp(self):
        """All on the wire begin to measure."""
        self.ow.reset(True)
        self.ow.writebyte(self.ow.SKIP_ROM)
        self.ow.writebyte(0x44)

    def read_scratch(self, rom):
        self.ow.reset(True)
        self.ow.select_rom(rom)
        self.ow.writebyte(0xBE)
        self.ow.readinto(self.buf)
        if self.ow.crc8(self.buf):
            raise Exception("CRC error")
        return self.buf

    def write_scratch(self, rom, buf):
        self.ow.reset(True)
        self.ow.select_rom(rom)
        self.ow.writebyte(0x4E)
        self.ow.write(buf)

    def read_temp(self, rom):
        b = self.read_scratch(rom)
        t = b[1] << 8 | b[0]
        t -= (t & 0x8000) << 1
        if rom[0] == 0x10:  # DS18S20: half degrees, and what is left of the count
            return (t >> 1) - 0.25 + (b[7] - b[6]) / b[7]
        return t / 16
