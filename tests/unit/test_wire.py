from l4mesh import wire
from l4mesh.wire import clear_len, min_payload, put16, put30, u16, u30

# Lengths by the table of docs/protocol.md 4, added up by hand.
SHORTEST = {
    wire.T_HELLO: 15, wire.T_BYE: 1, wire.T_COOKIE: 12, wire.T_QUERY: 22, wire.T_ANSWER: 14,
    wire.T_PING: 17, wire.T_PONG: 13, wire.T_JOIN: 158, wire.T_JOINED: 23, wire.T_BATCH: 30,
    wire.T_ACK: 26, wire.T_KEYREQ: 12, wire.T_KEY: 55, wire.T_NACK: 6, wire.T_INFO_REQ: 12,
    wire.T_INFO: 7, wire.T_TICKET: 120, wire.T_GIVEN: 114,
    wire.T_DO: 14, wire.T_DONE: 14, wire.T_OFFER: 100, wire.T_WANT: 28, wire.T_CHUNK: 11,
    wire.T_TIME: 13, wire.T_HAND: 56, wire.T_RECEIPT: 17, wire.T_CARRY: 72, wire.T_CARRIED: 58,
    wire.T_SUB: 6, wire.T_EVENT: 5,
    wire.T_REGISTER: 21, wire.T_REGISTERED: 13, wire.T_CONNECT: 32, wire.T_PUNCH: 40,
    wire.T_PUNCHED: 18, wire.T_PROBE: 24,
    wire.T_CALL: 14, wire.T_CALLED: 26, wire.T_SAY: 13, wire.T_FILTER: 15,
    wire.T_MAIL: 23, wire.T_MAILED: 21,
}  # fmt: skip


def test_numbers_of_thirty_bits():
    b = bytearray(6)
    for v in (0, 1, 255, 256, 65536, 0x12345678 & 0x3FFFFFFF, 0x3FFFFFFF):
        put30(b, 1, v)
        assert u30(b, 1) == v
    assert b[0] == 0 and b[5] == 0


def test_a_number_above_is_minus_one():
    for top in (0x40, 0x80, 0xC0, 0xFF):
        assert u30(bytes((top, 0, 0, 0)), 0) == -1
    assert u30(bytes((0x3F, 255, 255, 255)), 0) == 0x3FFFFFFF


def test_numbers_of_sixteen_bits():
    b = bytearray(4)
    for v in (0, 1, 255, 256, 65535):
        put16(b, 1, v)
        assert u16(b, 1) == v
        assert b[0] == b[3] == 0


def test_shortest_payloads_are_those_of_the_protocol():
    assert len(SHORTEST) >= 32
    for kind, n in SHORTEST.items():
        assert min_payload(kind) == n, kind
    for kind in (-1, 0, 60, 255):
        assert min_payload(kind) == -1


def test_a_cookie_is_never_longer_than_what_asks_for_one():
    asks = (wire.T_QUERY, wire.T_PING, wire.T_INFO_REQ, wire.T_JOIN, wire.T_DO)
    for kind in asks + (wire.T_OFFER, wire.T_WANT, wire.T_HAND, wire.T_CALL):
        assert min_payload(kind) >= min_payload(wire.T_COOKIE)
    for kind in (wire.T_MAIL, wire.T_REGISTER, wire.T_CONNECT, wire.T_PUNCHED, wire.T_PROBE):
        assert min_payload(kind) >= min_payload(wire.T_COOKIE)


def test_answers_are_at_most_three_times_the_request():
    head = wire.HEAD + wire.TAG
    hit = head + wire.ANSWER_LEN + 136
    assert hit <= 3 * (head + wire.QUERY_LEN)
    assert hit + 8 <= 3 * (head + wire.QUERY_LEN + wire.TRACE_PAD)
    assert head + min_payload(wire.T_PONG) <= head + min_payload(wire.T_PING)
    assert min_payload(wire.T_GIVEN) <= min_payload(wire.T_TICKET)
    assert min_payload(wire.T_MAILED) < min_payload(wire.T_MAIL)
    assert min_payload(wire.T_REGISTERED) <= min_payload(wire.T_REGISTER)
    assert head + min_payload(wire.T_PUNCH) <= 3 * (head + min_payload(wire.T_CONNECT))
    assert head + min_payload(wire.T_CALLED) <= 3 * (head + min_payload(wire.T_CALL))


def test_only_a_join_has_a_clear_prefix():
    for kind in range(1, 31):
        assert clear_len(kind) == (16 if kind == wire.T_JOIN else 0)


def test_the_first_byte_leaves_room_for_stun():
    assert not 0 <= wire.VERSION <= 3 and not 20 <= wire.VERSION <= 191
    assert wire.MIN_FRAME == wire.HEAD + wire.TAG == 44
    assert wire.MAX_PAYLOAD + wire.MIN_FRAME == wire.MAX_FRAME == 1200
