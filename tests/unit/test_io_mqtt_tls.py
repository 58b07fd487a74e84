"""The CA file of the broker's certificate; TLS itself is in tests/host/test_mqtt_brokers.py."""

from binascii import b2a_base64

from l4mesh_io import mqtt_tls
from l4mesh_io.mqtt_tls import Tls, der

HERE = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
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


class Ssl:
    """The module, as far as a context goes; keeps the order of what is asked of it."""

    PROTOCOL_TLS_CLIENT = CERT_REQUIRED = 1

    def __init__(self):
        self.log = []

    def SSLContext(self, protocol):
        return self

    def load_verify_locations(self, cadata):
        self.log.append(cadata)

    def wrap_socket(self, sock, server_hostname, do_handshake_on_connect):
        self.log.append((sock, server_hostname, do_handshake_on_connect))
        return "wrapped"


def test_before_each_handshake_others_are_told_to_be_silent():
    real, mqtt_tls.ssl = mqtt_tls.ssl, Ssl()
    try:
        log = mqtt_tls.ssl.log
        path = HERE + "/../golden/keys.hex"  # bytes that are no PEM count as DER
        t = Tls(path, lambda: log.append("hush"))
        assert len(log) == 1
        assert t.wrap("sock", "broker.lan") == t.wrap("sock", "broker.lan") == "wrapped"
        assert log[1:] == 2 * ["hush", ("sock", "broker.lan", False)]
        del log[:]
        assert Tls(path).wrap("sock", "broker.lan") == "wrapped" and "hush" not in log
    finally:
        mqtt_tls.ssl = real
