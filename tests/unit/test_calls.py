from l4mesh import calls


def test_a_call():
    b = bytearray(40)
    assert calls.put_call(b, 3, b"tokn", 1, b"peerpeer") == 3 + 14
    assert bytes(b[3:17]) == b"tokn\x01\x00peerpeer" and b[17] == 0


def test_a_called():
    b = bytearray(40)
    end = calls.put_called(b, 0, b"tokn", 1, 6, b"peerpeer", b"channel8", 600, 70000)
    assert end == 26 and bytes(b[:22]) == b"tokn\x01\x06peerpeerchannel8"
    assert bytes(b[22:26]) == b"\x02\x58\xff\xff"


def test_the_head():
    b = bytearray(b"x" * 14)
    calls.put_head(b, b"channel8")
    assert bytes(b) == b"\xc5\x00\x00\x00channel8xx"
