from l4mesh.endpoint import format_endpoint, id_text, parse_endpoint, parse_id, same_lan, usable


def _refused(call, arg):
    try:
        call(arg)
    except ValueError as e:
        return str(e)
    raise AssertionError("%r was taken" % arg)


def test_text_and_back():
    for text in ("1.2.3.4:5000", "255.255.255.255:65535", "0.0.0.0:1", "10.77.1.11:4104"):
        b = parse_endpoint(text)
        assert len(b) == 6 and isinstance(b, bytes)
        assert format_endpoint(b) == text
    assert parse_endpoint("1.2.3.4:5000") == b"\x01\x02\x03\x04\x13\x88"


def test_bad_text_is_refused_with_an_example():
    for text in (
        "",
        ":",
        "1.2.3.4",
        "1.2.3.4:",
        "1.2.3.4:0",
        "1.2.3.4:65536",
        "1.2.3.4:99999999999",
        "1.2.3:80",
        "1.2.3.4.5:80",
        "1.2.3.256:80",
        "1.2.3.-1:80",
        "1.2.3. 4:80",
        "01.2.3.4:80",
        "1..3.4:80",
        "1.2.3.4:+80",
        "1.2.3.4:80:90",
        "example.org:4104",
        "1.2.3.\u0664:80",
    ):
        assert "192.168.1.5:4104" in _refused(parse_endpoint, text)


def test_usable_is_unicast_with_an_unprivileged_port():
    for text in ("10.77.1.2:4104", "192.168.1.254:1024", "8.8.8.8:65535", "169.253.1.1:4104"):
        assert usable(parse_endpoint(text))
    for text in (
        "0.0.0.0:4104",
        "0.1.2.3:4104",
        "127.0.0.1:4104",
        "169.254.1.1:4104",
        "224.0.0.1:4104",
        "239.76.52.1:4105",
        "250.1.2.3:4104",
        "255.255.255.255:4104",
        "192.168.1.255:4104",
        "192.168.1.0:4104",
        "192.168.1.1:1023",
    ):
        assert not usable(parse_endpoint(text)), text
    assert not usable(bytes(6))
    assert not usable(b"") and not usable(b"\x0a\x00\x00\x01\x20") and not usable(bytes(7))


def test_loopback_only_when_asked_for():
    b = parse_endpoint("127.0.0.1:4104")
    assert usable(b, True)
    assert usable(b, loopback=True)
    assert not usable(parse_endpoint("127.0.0.1:80"), True)


def test_same_lan_is_a_slash_24():
    a = parse_endpoint("10.77.1.2:4104")
    assert same_lan(a, parse_endpoint("10.77.1.99:1"))
    for other in ("10.77.2.2:4104", "10.78.1.2:4104", "11.77.1.2:4104"):
        assert not same_lan(a, parse_endpoint(other))


def test_ids():
    b = bytes(range(16))
    assert id_text(b) == "000102030405060708090a0b0c0d0e0f"
    assert id_text(b[:4]) == "00010203"
    assert parse_id(id_text(b)) == b
    assert parse_id("FF" * 16) == b"\xff" * 16
    for text in ("", "00", "0" * 31, "0" * 33, "0" * 34, "g" * 32, "\u00e9" * 32):
        assert "32 hex digits" in _refused(parse_id, text)
