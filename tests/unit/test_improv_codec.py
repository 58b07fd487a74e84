"""Improv's bytes, against those that the standard and other implementations give."""

from binascii import unhexlify

from l4mesh import ticks
from l4mesh.improv_codec import (
    BAD,
    DONE,
    NOT_OURS,
    PART,
    T_COMMAND,
    T_RESULT,
    T_STATE,
    W_INFO,
    W_SCAN,
    W_STATE,
    W_WIFI,
    Packets,
    Written,
    advert,
    credentials,
    mend,
    packet,
    result,
    summed,
)
from l4mesh.prng import XorShift

START = ticks.MASK - 200  # the clock wraps
# What other implementations send: ESPHome's and ratgdo's request for the state, for the device.
STATE = unhexlify(b"494d50524f5601030202" + b"00e5")
INFO = unhexlify(b"494d50524f5601030203" + b"00e6")
# The example of the standard: "MyWirelessAP", "mysecurepassword".
WIFI = b"\x01\x1e\x0cMyWirelessAP\x10mysecurepassword"


def push(p, data, now=START):
    """The last verdict, and all those that are not PART."""
    told = []
    r = None
    for b in data:
        r = p.push(b, now)
        if r != PART:
            told.append(r)
    return r, told


def test_packets_of_the_standard_and_of_others():
    assert packet(T_COMMAND, bytes((W_STATE, 0))) == STATE
    assert packet(T_COMMAND, bytes((W_INFO, 0))) == INFO
    assert packet(T_STATE, b"\x02") == unhexlify(b"494d50524f56010101" + b"02e2")
    assert summed(WIFI)[-1] == 0xC0 and len(summed(WIFI)) == 33


def test_commands_are_found():
    p = Packets()
    assert push(p, STATE) == (DONE, [DONE]) and (p.command, p.data) == (W_STATE, b"")
    assert push(p, packet(T_COMMAND, WIFI)) == (DONE, [DONE])
    assert p.command == W_WIFI and credentials(p.data) == ("MyWirelessAP", "mysecurepassword")
    # with the head already taken, as serial.py hands it over
    assert push(Packets(6), STATE[6:]) == (DONE, [DONE])


def test_split_anywhere():
    p = Packets()
    for cut in range(1, len(STATE)):
        assert push(p, STATE[:cut])[0] == PART
        assert push(p, STATE[cut:], ticks.add(START, 400)) == (DONE, [DONE])


def test_what_is_no_packet_is_told_apart():
    p = Packets()
    assert push(p, b"\r\x03") == (NOT_OURS, [NOT_OURS, NOT_OURS])
    r, told = push(p, b"IMP\x03")
    assert r == NOT_OURS and told == [NOT_OURS]
    assert push(p, b"IIMPROV" + STATE[6:])[0] == DONE
    assert push(p, b"noise" + STATE + b"\n") == (NOT_OURS, [NOT_OURS] * 5 + [DONE, NOT_OURS])
    # another version of the protocol is none of ours
    assert DONE not in push(p, b"IMPROV\x02" + STATE[7:])[1]


def test_malformed():
    p = Packets()
    for bad in (
        STATE[:-1] + b"\xe4",  # sum
        packet(T_STATE, b"\x02"),  # what only devices send
        packet(T_COMMAND, b""),
        packet(T_COMMAND, b"\x01"),
        packet(T_COMMAND, b"\x02\x01"),  # lengths that differ
        packet(T_COMMAND, b"\x02\x00\x00"),
        packet(T_COMMAND, bytes(255)),
    ):
        assert push(p, bad) == (BAD, [BAD]), bad
        assert push(p, STATE) == (DONE, [DONE])


def test_half_a_packet_does_not_wait_for_ever():
    p = Packets()
    push(p, b"IMPROV\x01\x03\xff")  # 256 bytes are still to come
    assert p.push(3, ticks.add(START, 300)) == PART
    assert p.push(3, ticks.add(START, 900)) == NOT_OURS  # a person's Ctrl-C
    assert push(p, STATE, ticks.add(START, 901)) == (DONE, [DONE])


def test_the_longest_packet():
    p = Packets()
    full = bytes((9, 253)) + bytes(253)
    assert push(p, packet(T_COMMAND, full)) == (DONE, [DONE])
    assert (p.command, len(p.data)) == (9, 253)


def test_ten_thousand_random_bytes():
    rng = XorShift(7)
    p = Packets()
    w = Written()
    seen = set()
    for i in range(10000):
        b = rng.getrandbits(8)
        seen.add(p.push(b, ticks.add(START, i)))
        w.push(bytes((b,)), ticks.add(START, i))
        if i % 97 == 0:  # now and then something that begins well
            push(p, STATE[: rng.getrandbits(3) + 4], ticks.add(START, i))
    assert NOT_OURS in seen and PART in seen
    later = ticks.add(START, 20000)
    assert push(p, STATE, later) == (DONE, [DONE])
    assert w.push(summed(WIFI), later) == DONE


def test_bluetooth_writes_in_pieces():
    w = Written()
    whole = summed(WIFI)
    assert w.push(whole[:20], START) == PART and w.push(whole[20:], START) == DONE
    assert (w.command, bytes(w.data)) == (W_WIFI, WIFI[2:])
    assert w.push(b"\x03\x00\x03", START) == DONE and (w.command, w.data) == (W_INFO, b"")
    assert w.push(b"\x03\x00\x04", START) == BAD
    assert w.push(b"\x03\x00\x03\x00", START) == BAD  # more than was announced
    assert w.push(b"\x01", START) == PART
    assert w.push(b"\x03\x00\x03", ticks.add(START, 3000)) == DONE  # the half before is forgotten


def test_results():
    assert result(W_WIFI, [b""]) == b"\x01\x01\x00"
    assert result(W_SCAN, []) == b"\x04\x00"
    three = result(W_SCAN, [b"MyWirelessNetwork", b"-60", b"YES"])
    assert three == b"\x04\x1a\x11MyWirelessNetwork\x03-60\x03YES"
    assert packet(T_RESULT, three)[8] == len(three)
    many = result(W_SCAN, [b"x" * 100] * 5)
    assert many[1] == 202 == len(many) - 2


def test_credentials():
    assert credentials(b"\x01a\x00") == ("a", "")
    assert credentials(b"\x03\xc3\xa4b\x08" + b"p" * 8) == ("äb", "p" * 8)
    for bad in (
        b"", b"\x00", b"\x05abc", b"\x01a", b"\x01a\x02p", b"\x01a\x01pq", b"\x02\xff\xfe\x00",
        b"\xff" + bytes(30),
    ):  # fmt: skip
        assert credentials(bad) is None, bad


def test_packets_that_lost_every_byte_3():
    wifi = (
        b"\x04home\x08password", b"\x03abc\x08password", b"\x03abc\x00", b"\x01a\x00",
        b"\x0cMyWirelessAP\x10mysecurepassword",
    )  # fmt: skip
    commands = [(W_WIFI, w) for w in wifi] + [(c, b"") for c in range(2, 7)]
    commands += [(6, b"abc"), (5, b"p"), (6, b"porch")]
    # a sum of 3, too
    commands += [(6, n) for n in [bytes((110, k)) for k in range(4, 256)]]
    sums = set()
    for command, data in commands:
        whole = packet(T_COMMAND, bytes((command, len(data))) + data)
        sums.add(whole[-1])
        for tail in (b"", b"\n"):
            rest = (whole[7:] + tail).replace(b"\x03", b"")
            assert mend(rest) == (command, data), (command, data)
    assert 3 in sums
    for none in (
        b"",
        b"\x02",
        b"\x02\x00",
        b"\x02\x02\x00\xe4",
        b"\x02\x02\x00\xe5\x00",
        b"\xff" * 40,
    ):
        assert mend(none) is None, none


def test_anything_can_be_asked_to_be_mended():
    rng = XorShift(11)
    for _ in range(1000):
        mend(bytes([rng.getrandbits(8) for _ in range(rng.getrandbits(5))]))


def test_the_advertisement():
    """Byte for byte: flags, complete list of 128-bit UUIDs, service data 4677; all of 31 bytes."""
    a = advert(2, 0x0F)
    uuid = "00467768622822724663277478268000"
    assert len(a) == 31 and a[:3] == b"\x02\x01\x06" and a[3:5] == b"\x11\x07"
    assert "".join(["%02x" % b for b in reversed(a[5:21])]) == uuid
    assert a[21:] == b"\x09\x16\x77\x46\x02\x0f\x00\x00\x00\x00"
