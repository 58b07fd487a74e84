from l4mesh.limits import LIMITS_BOARD, LIMITS_HOST, Limits
from l4mesh.prng import XorShift
from l4mesh.ticks import MASK, add
from skip import Skip

_PEER = b"\x0a\x4d\x01\x05\x10\x08"


def _entropy(seed):
    rng = XorShift(seed)
    return lambda n: bytes([rng.getrandbits(8) for _ in range(n)])


def _limits(table=None, slots=32, seed=1):
    return Limits({} if table is None else table, slots, _entropy(seed))


def _spoofed(i):
    rng = XorShift(i)
    return bytes([rng.getrandbits(8) for _ in range(6)])


def test_one_stranger_gets_its_burst_and_then_its_rate():
    for start in (0, 12345, MASK - 700):
        lim = _limits()
        assert sum(lim.allow(_PEER, False, start) for _ in range(50)) == 20
        passed = 0
        for ms in range(10, 5001, 10):
            passed += lim.allow(_PEER, False, add(start, ms))
        assert passed == 50


def test_an_address_is_address_and_port():
    lim = _limits({"buckets": 4096})
    other = _PEER[:5] + b"\x09"
    for _ in range(30):
        lim.allow(_PEER, True, 0)
    assert not lim.allow(_PEER, True, 0)
    assert lim.allow(other, True, 0)


def test_strangers_in_all_get_half_of_the_global_rate():
    lim = _limits({"buckets": 4096})
    assert sum(lim.allow(_spoofed(i), False, 0) for i in range(1000)) == 30
    passed = 0
    for i in range(4000):
        passed += lim.allow(_spoofed(1000 + i), False, i * 5 // 2)
    assert 145 <= passed <= 151  # 15 a second for 10 s


def test_known_peers_in_all_get_the_whole_global_rate():
    lim = _limits({"buckets": 4096})
    assert sum(lim.allow(_spoofed(i), True, 0) for i in range(1000)) == 60
    passed = 0
    for i in range(4000):
        passed += lim.allow(_spoofed(i % 50), True, i * 5 // 2)
    assert 290 <= passed <= 302


def test_a_flood_of_spoofed_addresses_does_not_silence_a_known_peer():
    for seed in range(1, 6):
        lim = _limits(seed=seed)
        asked = got = 0
        for ms in range(10000):
            lim.allow(_spoofed(ms % 1000), False, ms)
            if ms % 125 == 0:  # the peer asks 8 times a second
                asked += 1
                got += lim.allow(_PEER, True, ms)
        assert asked == 80 and got == asked


def test_a_flood_under_the_peers_own_address_does_not_silence_it():
    lim = _limits()
    for ms in range(5000):
        lim.allow(_PEER, False, ms)
        if ms % 125 == 0:
            assert lim.allow(_PEER, True, ms)


def test_a_loud_known_peer_leaves_the_rest_to_the_others():
    lim = _limits({"buckets": 4096})
    for ms in range(5000):
        lim.allow(_PEER, True, ms)
        if ms % 500 == 0:
            assert lim.allow(b"\x0a\x4d\x01\x06\x10\x08", True, ms)
            assert lim.allow(b"\x0a\x4d\x01\x07\x10\x08", False, ms)


def test_ids_have_limits_of_their_own():
    lim = _limits(slots=4)
    for who in (0, 3, b"abcdefgh"):
        assert sum(lim.allow_id(who, 100) for _ in range(100)) == 16
        assert sum(lim.allow_id(who, 100 + i * 10) for i in range(1, 301)) == 24
    assert lim.allow_id(1, 100) and lim.allow_id(2, 100)


def test_ids_without_a_slot_take_nothing_from_those_with_one():
    lim = _limits(slots=32)
    for i in range(2000):
        lim.allow_id(_spoofed(i) + b"\x01\x02", 100)
    assert sum(lim.allow_id(slot, 100) for slot in range(32)) == 32


def test_a_new_bucket_is_full_at_any_tick():
    for start in (0, 1, 1 << 29, (1 << 29) + 5, MASK - 3, MASK):
        lim = _limits()
        assert sum(lim.allow(_PEER, False, start) for _ in range(50)) == 20
        lim = _limits()
        assert sum(lim.allow_id(2, start) for _ in range(50)) == 16


def test_idle_for_days_is_a_full_bucket_and_no_more():
    for days in (1, 5, 7, 9, 12):
        lim = _limits()
        for _ in range(50):
            lim.allow(_PEER, False, 1000)
        later = add(1000, days * 86400000 & MASK)
        assert sum(lim.allow(_PEER, False, later) for _ in range(50)) == 20


def test_refused_frames_do_not_put_off_the_next_token():
    lim = _limits()
    for _ in range(50):
        lim.allow(_PEER, False, 0)
    got = [ms for ms in range(1, 1000) if lim.allow(_PEER, False, ms)]
    assert got == list(range(100, 1000, 100))


def test_host_table_lets_a_host_work():
    lim = _limits(LIMITS_HOST)
    passed = sum(lim.allow(_spoofed(i), True, i // 10) for i in range(10000))
    assert passed > 9900
    assert lim.table["addr_s"] == 10 and lim.table["global_s"] == 10000


def test_buckets_are_picked_by_a_secret():
    def collisions(seed):
        lim = _limits(seed=seed)
        for _ in range(30):
            lim.allow(_PEER, True, 0)
        lim._b[2] = lim._b[0] = 20000000
        return [i for i in range(300) if not lim.allow(_spoofed(i), True, 0)]

    found = [collisions(seed) for seed in (1, 2, 3)]
    for hits in found:
        assert len(hits) < 20
    assert found[0] != found[1] != found[2]


def test_addresses_spread_over_the_buckets():
    lim = _limits()
    full = lim._b[0]
    taken = set()
    for last in range(1, 201):  # one LAN: addresses that differ in one byte
        lim._b[0] = full
        before = [lim._b[2 * i] for i in range(2, 66)]
        lim.allow(bytes((10, 77, 1, last, 16, 8)), False, 0)
        taken.update(i for i in range(64) if lim._b[2 * (i + 2)] != before[i])
    assert len(taken) > 45


def test_memory_does_not_grow_and_stays_small_ints():
    lim = _limits()
    size = len(lim._b)
    for i in range(1000):
        lim.allow(_spoofed(i), i % 2, MASK - 500 + i & MASK)
        lim.allow_id(_spoofed(i) + b"\x01\x02", i)
    assert len(lim._b) == size
    assert max(lim._b) < 1 << 30
    lim = _limits({"global_s": 100000, "global_burst": 100000})
    lim.allow(_PEER, False, 0)
    lim.allow(_PEER, False, 999)
    assert max(lim._b) < 1 << 30


def test_no_call_allocates():
    try:
        from micropython import heap_lock, heap_unlock
    except ImportError:
        raise Skip("CPython has no heap_lock")
    lim = _limits()
    who = b"abcdefgh"
    passed = [0] * 4
    lim.allow(_PEER, True, 0)
    heap_lock()
    try:
        for now in range(10000, 10100):
            passed[0] += lim.allow(_PEER, True, now)
            passed[1] += lim.allow(_PEER, False, now)
            passed[2] += lim.allow_id(3, now)
            passed[3] += lim.allow_id(who, now)
    finally:
        heap_unlock()
    assert passed == [20, 20, 16, 16]


def test_bad_figures_are_refused():
    for table, word in (
        ({"adr_s": 5}, "adr_s"),
        ({"addr_s": 0}, "addr_s"),
        ({"global_burst": 100001}, "global_burst"),
    ):
        try:
            _limits(table)
        except ValueError as e:
            assert word in str(e)
        else:
            raise AssertionError(word)
    assert LIMITS_BOARD["addr_s"] == 10  # and nobody changed the defaults
