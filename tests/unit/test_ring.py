from l4mesh.ring import Events, Ring


def test_ring_is_first_in_first_out_over_many_turns():
    ring = Ring(3, 8)
    out = bytearray(8)
    assert ring.peek(out) == -1
    ring.pop()
    assert ring.count == 0
    for turn in range(20):
        for i in range(3):
            assert ring.put(bytes((turn, i)) * 4, 2 + i)
        assert ring.count == 3
        for i in range(3):
            assert ring.peek(out) == 2 + i
            assert out[: 2 + i] == (bytes((turn, i)) * 4)[: 2 + i]
            ring.pop()
    assert ring.peek(out) == -1 and ring.dropped == 0


def test_a_full_ring_refuses_and_keeps_what_it_has():
    ring = Ring(2, 4)
    assert ring.put(b"aaaa", 4) and ring.put(b"bbbb", 1)
    assert not ring.put(b"cccc", 4)
    assert not ring.put(b"dd", 2)
    assert ring.dropped == 2
    out = bytearray(4)
    assert ring.peek(out) == 4 and out == b"aaaa"
    ring.pop()
    assert ring.peek(out) == 1 and out[:1] == b"b"


def test_too_long_an_item_is_refused():
    ring = Ring(2, 4)
    assert not ring.put(b"aaaaa", 5)
    assert ring.count == 0 and ring.dropped == 1


def test_items_of_no_bytes_are_items():
    ring = Ring(2, 4)
    assert ring.put(b"", 0)
    assert ring.peek(bytearray(4)) == 0
    ring.pop()
    assert ring.peek(bytearray(4)) == -1


def test_the_ring_copies():
    ring = Ring(1, 4)
    buf = bytearray(b"abcd")
    ring.put(buf, 4)
    buf[0] = 0
    out = bytearray(4)
    ring.peek(out)
    assert out == b"abcd"


def test_events_come_out_in_order():
    ev = Events(4)
    assert ev.get() is None
    for turn in range(10):
        ev.put((turn, 1))
        ev.put((turn, 2))
        assert ev.count == 2
        assert ev.get() == (turn, 1)
        assert ev.get() == (turn, 2)
        assert ev.get() is None
    assert ev.dropped == 0


def test_a_slow_reader_gets_the_newest_and_the_number_of_missed():
    ev = Events(3)
    for i in range(10):
        ev.put((i,))
    assert ev.dropped == 7 and ev.count == 3
    assert [ev.get(), ev.get(), ev.get(), ev.get()] == [(7,), (8,), (9,), None]
