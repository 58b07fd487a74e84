"""Secrets: the seed of an identity never comes from a generator that can be guessed."""

from l4mesh_io import entropy

UID = b"\x24\x6f\x28\x01\x02\x03"


def refused(rand, trusted=lambda: True):
    try:
        entropy.make_seed(UID, rand, trusted)
    except ValueError as e:
        return str(e)
    return ""


def test_entropy_gives_what_was_asked():
    assert len(entropy.entropy(16)) == 16
    assert entropy.entropy(32) != entropy.entropy(32)


def test_a_host_is_always_good():
    assert entropy.good("linux") is True


def test_an_esp32_without_radio_is_not():
    # No network, no bluetooth module here: as a board with everything off.
    assert entropy.good("esp32") is False


def test_seeds_are_32_bytes_and_differ():
    a = entropy.make_seed(UID)
    assert len(a) == 32
    assert a != entropy.make_seed(UID)


def test_no_seed_without_a_radio():
    assert "radio" in refused(entropy.entropy, lambda: False)


def test_stubs_are_refused():
    count = [0]

    def counting(n):
        count[0] += 1
        return bytes((count[0] * 7 + i * 3) & 255 for i in range(n))

    def same_each_time(n):
        return bytes((i * i * 37 + (i << 3) + 11) & 255 for i in range(n))

    def two_values(n):
        count[0] += 1
        return bytes(255 if (count[0] * 2654435 >> i) & 1 else 0 for i in range(n))

    stubs = (
        lambda n: b"\0" * n,
        lambda n: b"\x04" * n,
        lambda n: b"",
        lambda n: entropy.entropy(8),
        counting,
        same_each_time,
        two_values,
    )
    for stub in stubs:
        assert "stub" in refused(stub)


def test_the_self_test_lets_real_randomness_through():
    for _ in range(200):
        assert refused(entropy.entropy) == ""


def test_the_chip_id_separates_but_both_draws_count():
    draws = [entropy.entropy(32) for _ in range(4)]

    def fixed(*which):
        left = list(which)
        return lambda n: draws[left.pop(0)]

    def seed(uid, *which):
        return entropy.make_seed(uid, fixed(*which), lambda: True)

    base = seed(UID, 0, 1)
    assert base == seed(UID, 0, 1)
    assert len({base, seed(UID, 0, 2), seed(UID, 2, 1), seed(b"other!", 0, 1)}) == 4
