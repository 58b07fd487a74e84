"""The CA file of the broker's certificate; TLS itself is in tests/host/test_mqtt_brokers.py."""

from binascii import b2a_base64

from l4mesh_io.mqtt_tls import der

DATA = bytes(range(256)) * 2


def pem(data, end="\n"):
    text = b2a_base64(data).decode().strip()
    lines = [text[i : i + 64] for i in range(0, len(text), 64)]
    body = end.join(lines) + end
    return (
        "-----BEGIN CERTIFICATE-----" + end + body + "-----END CERTIFICATE-----" + end
    ).encode()


def test_pem_in_any_shape_and_der():
    assert der(DATA) == DATA
    for end in ("\n", "\r\n"):
        assert der(pem(DATA, end)) == DATA
        assert der(b"Subject: somebody\n" + pem(DATA, end) + pem(b"another")) == DATA


def test_half_a_file_is_refused():
    for bad in (pem(DATA)[:200], b"-----BEGIN CERTIFICATE-----"):
        try:
            der(bad)
        except ValueError as e:
            assert "ends in the middle" in str(e)
        else:
            raise AssertionError
