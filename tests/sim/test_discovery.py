"""Discovery by Bluetooth on a virtual clock: how soon, through loss, among many, and for long."""

from air import Air


def delays(seeds, loss, **scan):
    """Sorted ms from the first moment to the first word, of one board about another."""
    out = []
    for seed in seeds:
        air = Air(seed, loss)
        a = air.add(**scan)
        b = air.add(**scan)
        assert air.run(60000, lambda t=a.near.table: len(t) == 1), seed
        out.append(a.found[b.addr])
    return sorted(out)


def test_at_the_default_duty_with_loss():
    d = delays(range(400), 0.2)
    assert d[200] < 1000 and d[380] < 4000, (d[200], d[380], d[-1])


def test_on_battery_it_takes_a_rest_longer_at_most():
    # They speak all the time, so two whose rounds never meet find each other as well.
    d = delays(range(200), 0.2, round_ms=5000, rest_ms=5000)
    assert d[100] < 4000 and d[190] < 9000, (d[100], d[190], d[-1])


def all_know_all(air):
    return all(len(b.near.table) == len(air.boards) - 1 for b in air.boards)


def test_64_boards_all_know_all_within_5_s_at_boot_duty():
    air = Air(3, 0.2)
    for _ in range(64):
        air.add(window_ms=60, interval_ms=60, slots=64)
    assert air.run(5000, lambda: air.us % 7 == 0 and all_know_all(air)) or all_know_all(air)
    assert air.clashes > 20  # with so many they do talk over each other


def test_presence_lasts_through_rotations_and_ends_with_silence():
    air = Air(9, 0.2, start=(1 << 30) - 40000)
    a = air.add()
    b = air.add()
    # a has b's record, by whatever way: it knows it by name.
    a.node.peers.add(b.node.short_id, bytes(6), 1, 1, air.tick())
    assert air.run(20000, lambda: a.near.presence(b.node.short_id, air.tick()))
    for _ in range(12):
        b.rotate()
        for _ in range(16):
            air.run(2500)
            path, ms = a.near.presence(b.node.short_id, air.tick())
            assert path == "ble" and ms <= 30000 and len(a.near.table) == 1
        assert a.near.table.addr(0) == b.addr
    b.on = False
    air.run(29000)
    assert a.near.presence(b.node.short_id, air.tick())
    air.run(8000)
    assert a.near.presence(b.node.short_id, air.tick()) is None and len(a.near.table) == 0
    told = []
    while a.node.events.count:
        told.append(a.node.events.get()[:3])
    assert told == [(15, 1, b.node.short_id), (15, 0, b.node.short_id)]
