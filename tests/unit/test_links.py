from l4mesh.links import BLE, WAY, Links, of


class Under:
    def __init__(self):
        self.sent = []

    def send(self, buf, n, addr):
        self.sent.append((bytes(buf[:n]), addr))
        return True


class Tx:
    link = None

    def over(self, link):
        self.link = link


class Home:
    def __init__(self):
        self.link = Under()
        self.tx = Tx()
        self.links = None


HOST = b"\x0a\x00\x00\x01\x10\x08"
FAR = b"\x00\x01\x00\x00\x00\x07"


def test_an_endpoint_of_a_host_goes_by_the_socket():
    under = Under()
    assert Links(under).send(b"abcd", 3, HOST)
    assert under.sent == [(b"abc", HOST)]


def test_other_endpoints_go_to_who_serves_them():
    under = Under()
    links = Links(under)
    got = []
    links.serve(WAY, lambda buf, n, addr: got.append((bytes(buf[:n]), addr)) or True)
    assert links.send(b"abcd", 2, FAR)
    assert got == [(b"ab", FAR)] and not under.sent


def test_without_a_server_nothing_is_sent():
    under = Under()
    links = Links(under)
    assert not links.send(b"ab", 2, FAR)
    assert not links.send(b"ab", 2, bytes(6))
    links.serve(BLE, lambda *a: True)
    assert links.send(b"ab", 2, b"\x00\x02\x00\x00\x00\x01")
    links.serve(BLE, None)
    assert not links.send(b"ab", 2, b"\x00\x02\x00\x00\x00\x01")
    assert not under.sent


def test_a_node_has_one_and_its_sender_uses_it():
    home = Home()
    links = of(home)
    assert of(home) is links and home.tx.link is links
    assert links.send(b"x", 1, HOST) and home.link.sent == [(b"x", HOST)]
