# floor 8: effects
# TLS for MQTT, with the broker's certificate checked. RAM: 1 kB, TLS itself 30 to 40 kB.
"""Tls(path).wrap(sock, host) -> the TLS socket; the handshake comes with the first write.

`path`: the CA's certificate on the board, PEM or DER. There is no way to leave the check out: TLS
to whoever answers protects from nobody. The certificate must name `host` (an address as well) and
be valid today: a board has to know the date, which the mesh or NTP tells it. `before()` is called
before each handshake: Bluetooth is silent while it lasts.
"""

import ssl
from binascii import a2b_base64

_BEGIN = b"-----BEGIN CERTIFICATE-----"


def der(data):
    """The first certificate of a PEM file as DER: not every build reads PEM. DER stays."""
    a = data.find(_BEGIN)
    if a < 0:
        return data
    a += len(_BEGIN)
    end = data.find(b"-----END", a)
    if end < 0:
        raise ValueError("the CA file ends in the middle")
    return a2b_base64(data[a:end].replace(b"\r", b"").replace(b"\n", b""))


class Tls:
    def __init__(self, path, before=None):
        self._before = before
        with open(path, "rb") as f:
            data = f.read()
        self._context = c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        c.verify_mode = ssl.CERT_REQUIRED
        c.load_verify_locations(cadata=der(data))

    def wrap(self, sock, host):
        if self._before is not None:
            self._before()
        return self._context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
