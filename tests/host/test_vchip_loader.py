"""ROM and stub without a line: frames, NOR flash, and what each command says when it is wrong."""

import hashlib
import random
import struct
import zlib

import pytest
from l4tools.vchip.chips import CHIPS
from l4tools.vchip.faults import Faults
from l4tools.vchip.loader import SYNC_DATA, misplaced
from l4tools.vchip.nor import SECTOR, Nor
from l4tools.vchip.regs import Regs
from l4tools.vchip.rom import Rom
from l4tools.vchip.slip import HEAD, Decoder, checksum, frame
from l4tools.vchip.stub import Stub
from l4tools.vchip.wires import Lines

MIB = 1 << 20


class Bench:
    """A loader with its flash; `ask` returns (status, value, data) of the one answer."""

    def __init__(self, folder, kind=Rom, name="esp32c3", size=2 * MIB, **kw):
        self.chip = CHIPS[name]
        self.nor = Nor(folder / ("%s.bin" % name), size)
        self.regs = Regs(self.chip, self.nor, bytes(6), lambda s: None)
        self.out, self.left = [], []
        self.faults = Faults()
        self.loader = kind(
            self.chip, self.nor, self.regs, self.faults, self.out.append, self.left.append, **kw
        )
        self.tail = len(self.loader.ok)
        if kind is Rom:
            self.regs.attached = True

    def send(self, op, data=b"", chk=None):
        if chk is None:
            chk = checksum(data[16:])
        self.out.clear()
        self.loader.feed(frame(HEAD.pack(0, op, len(data), chk) + data))
        return Decoder().feed(b"".join(self.out))

    def ask(self, op, data=b"", chk=None):
        answers = self.send(op, data, chk)
        assert len(answers) == 1, answers
        kind, back, n, value = HEAD.unpack(answers[0][:8])
        body = answers[0][8:]
        assert (kind, back, n) == (1, op, len(body))
        return body[-self.tail :][:2], value, body[: -self.tail]

    def good(self, *args):
        status, value, data = self.ask(*args)
        assert status == b"\0\0", status
        return value, data


def words(*values):
    return struct.pack("<%dI" % len(values), *values)


def block(data, seq):
    return words(len(data), seq, 0, 0) + data


# -- frames and flash ---------------------------------------------------------------------------
def test_frames_any_way_they_come():
    rng = random.Random(5)
    for _ in range(200):
        packets = [
            bytes(rng.choice((0xC0, 0xDB, 0xDC, 0xDD, 7)) for _ in range(rng.randint(1, 40)))
            for _ in range(3)
        ]
        line = b"noise" + b"".join(frame(p) for p in packets)
        decoder, got = Decoder(), []
        while line:
            n = rng.randint(1, 9)
            got += decoder.feed(line[:n])
            line = line[n:]
        assert got == packets


def test_decoder_keeps_little_of_endless_noise():
    decoder = Decoder()
    for _ in range(40):
        decoder.feed(b"\xc0" + b"x" * 60000)
    assert len(decoder._buf or b"") <= 1 << 17
    assert decoder.feed(b"\xc0\xc0ab\xc0")[-1] == b"ab"


def test_checksum_is_the_loaders():
    rng = random.Random(1)
    for n in (0, 1, 7, 8, 9, 1000):
        data = rng.randbytes(n)
        x = 0xEF
        for b in data:
            x ^= b
        assert checksum(data) == x


def test_nor_flash_only_clears_bits_until_erased(tmp_path):
    nor = Nor(tmp_path / "f", MIB)
    nor.program(100, b"\x0f\xf0")
    nor.program(100, b"\x3c\xff")
    assert nor.read(99, 4) == b"\xff\x0c\xf0\xff"
    nor.program(SECTOR, b"x")
    nor.erase(101, 1)
    assert nor.blank(0, SECTOR) and nor.read(SECTOR, 1) == b"x"
    with pytest.raises(IndexError):
        nor.program(MIB - 1, b"ab")
    with pytest.raises(IndexError):
        nor.erase(MIB, 1)
    with pytest.raises(IndexError):
        nor.read(-1, 1)
    assert Nor(tmp_path / "f", MIB).read(SECTOR, 1) == b"x"


# -- the ROM ------------------------------------------------------------------------------------
def test_rom_greets_eight_times_and_is_no_stub(tmp_path):
    b = Bench(tmp_path)
    answers = b.send(0x08, SYNC_DATA)
    assert len(answers) == 8 and all(HEAD.unpack(a[:8])[3] for a in answers)
    assert b.send(0x08, b"hello") == []


def test_rom_writes_and_tells_what_is_wrong(tmp_path):
    b = Bench(tmp_path)
    data = bytes(range(256)) * 4
    assert b.ask(0x03, block(data, 0))[0] == b"\1\5"  # no FLASH_BEGIN
    assert b.ask(0x02, words(4096, 4, 1024, 0x1000))[0] == b"\1\5"  # a word is missing
    b.nor.program(0x1000, bytes(5000))
    b.good(0x02, words(2048, 2, 1024, 0x1000, 0))
    assert b.nor.blank(0x1000, SECTOR) and b.nor.read(0x2000, 1) == b"\0"
    assert b.ask(0x03, block(data, 0), 0)[0] == b"\1\7"  # checksum
    assert b.ask(0x03, block(data, 1))[0] == b"\1\6"  # one left out
    b.good(0x03, block(data, 0))
    b.good(0x03, block(data, 0))  # its answer was lost
    b.good(0x03, block(data[::-1], 1))
    assert b.nor.read(0x1000, 2048) == data + data[::-1]
    _, digest = b.good(0x13, words(0x1000, 2048, 0, 0))
    assert digest == hashlib.md5(data + data[::-1]).hexdigest().encode()
    assert b.good(0x0E, words(0x1000, 10))[1] == data[:10] + b"\xff" * 54
    assert b.ask(0x0E, words(0x1000, 65))[0] == b"\1\x0a"
    assert b.ask(0x77)[0] == b"\1\5"
    assert b.left == []


def test_rom_without_erase_the_old_bits_show(tmp_path):
    b = Bench(tmp_path)
    b.nor.program(0x1000, b"\x0f" * 1024)
    b.good(0x02, words(0, 1, 1024, 0x1000, 0))
    b.good(0x03, block(b"\x3c" * 1024, 0))
    assert b.nor.read(0x1000, 1024) == b"\x0c" * 1024


def test_rom_refuses_the_end_of_the_flash(tmp_path):
    b = Bench(tmp_path)
    end = 2 * MIB
    assert b.ask(0x02, words(8192, 8, 1024, end - 4096, 0))[0] == b"\1\6"
    assert b.ask(0x13, words(end - 10, 11, 0, 0))[0] == b"\1\6"
    assert b.ask(0x0E, words(end, 1))[0] == b"\1\6"
    b.good(0x02, words(4096, 5, 1024, end - 4096, 0))
    for seq in range(4):
        b.good(0x03, block(b"a" * 1024, seq))
    assert b.ask(0x03, block(b"a" * 1024, 4))[0] == b"\1\x08"
    b.good(0x0B, words(0, MIB, 65536, 4096, 256, 0xFFFF))  # the host says: 1 MiB
    assert b.ask(0x02, words(4096, 4, 1024, MIB, 0))[0] == b"\1\6"


def test_rom_needs_the_flash_attached(tmp_path):
    b = Bench(tmp_path)
    b.regs.reset()
    spi = b.chip.spi
    b.regs.write(spi + b.chip.usr2, 0x9F)
    b.regs.write(spi, 1 << 18)
    assert b.regs.read(spi + b.chip.w0) == 0xFFFFFF
    assert b.ask(0x02, words(4096, 4, 1024, 0, 0))[0] == b"\1\6"
    b.good(0x0D, words(0, 0))
    b.regs.write(spi, 1 << 18)
    assert b.regs.read(spi + b.chip.w0) == 0x1540EF
    b.good(0x02, words(4096, 4, 1024, 0, 0))


def test_rom_inflates(tmp_path):
    b = Bench(tmp_path, name="esp32")
    data = b"much the same " * 2000
    packed = zlib.compress(data)
    b.good(0x10, words(32768, 1, 1024, 0x3000))
    b.good(0x11, block(packed, 0))
    assert b.nor.read(0x3000, len(data)) == data
    b.good(0x10, words(4096, 1, 1024, 0x3000))
    assert b.ask(0x11, block(b"no zlib at all", 0))[0] == b"\1\x0b"


def test_only_new_chips_tell_their_id(tmp_path):
    assert Bench(tmp_path, name="esp32").ask(0x14)[0] == b"\1\5"
    for name in ("esp32s3", "esp32c3", "esp32c6"):
        info = Bench(tmp_path, name=name).good(0x14)[1]
        assert len(info) == 20 and info[12] == CHIPS[name].chip_id


def test_ram_belongs_to_the_chip_and_strange_code_crashes(tmp_path):
    b = Bench(tmp_path)
    assert b.ask(0x05, words(16, 1, 16, 0x400A8000))[0] == b"\1\x0f"  # an ESP32's
    at = b.chip.iram[0]
    b.good(0x05, words(16, 1, 16, at))
    assert b.ask(0x06, words(0, at))[0] == b"\1\6"  # not all there
    assert b.ask(0x07, block(b"z" * 16, 1))[0] == b"\1\6"
    b.good(0x07, block(b"z" * 16, 0))
    b.good(0x06, words(0, at))
    assert b.left == ["crash"]
    assert b.send(0x08, SYNC_DATA) == []  # it runs no more


def test_end_of_flashing_runs_or_reboots(tmp_path):
    for word, what in ((1, "run"), (0, "reboot")):
        b = Bench(tmp_path)
        b.good(0x04, words(word))
        assert b.left == [what]


# -- the stub -----------------------------------------------------------------------------------
def test_stub_errors_come_with_the_next_command(tmp_path):
    b = Bench(tmp_path, Stub)
    assert len(b.send(0x08, SYNC_DATA)) == 8
    assert b.ask(0x03, block(b"a", 0))[0] == b"\xc6\0"
    assert b.ask(0x02, words(4096, 1, 16384, 2 * MIB))[0] == b"\xc4\0"
    b.good(0x10, words(100, 1, 16384, 0))
    b.good(0x11, block(b"no zlib at all", 0))
    assert b.ask(0x0A, words(0x40001000))[0] == b"\xc7\0"
    b.good(0x0A, words(0x40001000))
    assert b.ask(0x11, block(b"x", 0), 1)[0] == b"\xc1\0"
    assert b.ask(0x12, words(1))[0] == b"\xc0\0"  # there is more to come
    assert b.ask(0x05, words(1, 1, 1, 0))[0] == b"\xc3\0"
    assert b.ask(0xD1, words(1, 4096))[0] == b"\xc0\0"
    assert b.send(0xD3) == [] and b.left == []


def test_stub_erases_as_it_writes(tmp_path):
    b = Bench(tmp_path, Stub)
    b.nor.program(0, bytes(4 * SECTOR))
    data = bytes(range(256)) * 32
    b.good(0x02, words(len(data), 1, 16384, SECTOR + 16))
    assert b.nor.read(SECTOR, 1) == b"\0"
    b.good(0x03, block(data, 0))
    assert b.nor.read(SECTOR + 16, len(data)) == data
    assert b.nor.read(SECTOR, 16) == b"\xff" * 16  # the rest of its sector went, too
    assert b.nor.read(0, 1) == b"\0"
    b.good(0x04, words(1))
    assert b.left == []  # neither runs nor reboots


def test_stub_leaves_out_the_erase_of_blank_sectors(tmp_path):
    b = Bench(tmp_path, Stub)
    b.good(0x02, words(8192, 1, 16384, 0))
    b.good(0x03, block(b"q" * 8192, 0))
    assert b.nor.erased == 0
    b.good(0x02, words(8192, 1, 16384, 0))
    b.good(0x03, block(b"r" * 8192, 0))
    assert b.nor.erased == 8192 and b.nor.read(0, 8192) == b"r" * 8192


def test_stub_reads_one_packet_for_each_acknowledgement(tmp_path):
    b = Bench(tmp_path, Stub)
    b.nor.program(0, b"abc" * 3000)
    got = b.send(0xD2, words(0, 9000, 4096, 64))
    data = got[1]
    assert len(got) == 2 and len(data) == 4096
    while len(data) < 9000:
        b.out.clear()
        b.loader.feed(frame(words(len(data))))
        data += Decoder().feed(b"".join(b.out))[0]
    assert data == b"abc" * 3000
    b.out.clear()
    b.loader.feed(frame(words(len(data))))
    assert Decoder().feed(b"".join(b.out)) == [hashlib.md5(data).digest()]
    b.good(0x0A, words(0))
    # A host that gives up and starts anew.
    b.send(0xD2, words(0, 9000, 4096, 64))
    assert b.send(0x08, SYNC_DATA) == []
    assert len(b.send(0x08, SYNC_DATA)) == 8


def test_stub_and_rom_survive_any_bytes(tmp_path):
    rng = random.Random(9)
    for kind in (Rom, Stub):
        b = Bench(tmp_path, kind)
        for _ in range(3000):
            op = rng.choice(range(0x02, 0x16)) if rng.random() < 0.8 else rng.randrange(256)
            data = rng.randbytes(rng.choice((0, 3, 4, 8, 16, 20, 24, 44)))
            if op in (0x04, 0x06, 0x12):
                continue
            b.send(op, data, rng.randrange(256))
            b.loader.feed(rng.randbytes(5))
        b.loader.feed(b"\xc0" * 3 + frame(words(0)))
        for _ in range(2):
            answers = b.send(0x08, SYNC_DATA)
        assert len(answers) == 8


def test_what_counts_as_misplaced():
    from l4tools.vchip.firmware import firmware_parts

    esp32, c3 = CHIPS["esp32"], CHIPS["esp32c3"]
    boot32, boot_c3 = firmware_parts("esp32")[0x1000], firmware_parts("esp32c3")[0]
    assert not misplaced(esp32, 0x1000, boot32) and not misplaced(c3, 0, boot_c3)
    assert misplaced(esp32, 0, boot32) and misplaced(c3, 0x1000, boot_c3)
    assert misplaced(esp32, 0x1000, boot_c3) and misplaced(c3, 0x10000, boot32)
    assert not misplaced(c3, 0x200000, b"\xe9") and not misplaced(c3, 0, b"data" * 10)


# -- the control lines --------------------------------------------------------------------------
class FakeLoop:
    def __init__(self):
        self.timers = []

    def call_later(self, seconds, fn, *args):
        self.timers.append([fn, args])
        return self

    def cancel(self):
        self.timers.clear()


def test_the_two_transistors():
    loop, seen = FakeLoop(), []
    lines = Lines(loop, lambda low, boot: seen.append((low, boot)))
    for dtr, rts in ((1, 0), (1, 1), (0, 0), (1, 1)):  # a terminal program opens and closes
        lines.set(bool(dtr), bool(rts))
    assert seen == []
    lines.set(False, False)
    for dtr, rts in ((0, 1), (1, 1), (1, 0), (0, 0)):  # the classic reset into the loader
        lines.set(bool(dtr), bool(rts))
    assert seen == [(True, False), (False, True)] and not loop.timers
    seen.clear()
    for dtr, rts in ((0, 1), (0, 0)):  # the hard reset
        lines.set(bool(dtr), bool(rts))
    assert seen == [(True, False), (False, False)]
    seen.clear()
    lines.set(False, True)
    lines.set(True, True)  # and nothing more
    (fn, args), *_ = loop.timers
    fn(*args)
    assert seen == [(True, False), (False, False)]
