import kit
from l4mesh.keyring import OVERLAP_MIN, Keyring

K = [bytes([n]) * 32 for n in range(4)]


def tag(mac):
    return mac.tag(b"x")


def test_the_first_key_may_have_any_number():
    for number in (0, 7, 255):
        r = Keyring()
        assert r.group(number) is None
        assert r.set_group(number, K[1], 0)
        assert tag(r.group(number)) == kit.hmac(kit.tag_key(K[1]), b"x")
        assert r.group((number + 1) & 255) is None and r.number == number


def test_numbers_only_move_forward_by_at_most_eight():
    for step, good in ((0, False), (1, True), (8, True), (9, False), (128, False), (255, False)):
        r = Keyring()
        r.set_group(250, K[0], 0)
        assert r.set_group((250 + step) & 255, K[1], 0) == good, step
        assert r.number == ((250 + step) & 255 if good else 250)


def test_the_old_key_is_good_for_an_hour():
    r = Keyring()
    r.set_group(1, K[0], 0)
    r.set_group(2, K[1], 100)
    r.expire(100 + OVERLAP_MIN - 1)
    assert tag(r.group(1)) == kit.hmac(kit.tag_key(K[0]), b"x")
    assert tag(r.group(2)) == kit.hmac(kit.tag_key(K[1]), b"x")
    r.expire(100 + OVERLAP_MIN)
    assert r.group(1) is None and r.group(2) is not None
    assert OVERLAP_MIN == 60


def test_two_turns_within_the_hour_keep_the_last_two():
    r = Keyring()
    for n in (1, 2, 3):
        r.set_group(n, K[n], 0)
    assert r.group(1) is None and r.group(2) is not None and r.group(3) is not None


def test_the_link_key():
    r = Keyring()
    assert r.link(b"whoever!") is None and r.link_seal(b"whoever!") is None
    r.set_node_key(K[3])
    assert tag(r.link(b"whoever!")) == kit.hmac(kit.tag_key(K[3]), b"x")
    from l4mesh.keys import hkdf

    assert r.link_seal(None) == r.seal == hkdf(K[3], b"l4-seal-v1")


def test_a_key_of_a_wrong_size_is_a_mistake():
    for number, key in ((0, bytes(31)), (0, bytes(33)), (-1, bytes(32)), (256, bytes(32))):
        try:
            Keyring().set_group(number, key, 0)
        except ValueError as e:
            assert "provision" in str(e)
        else:
            raise AssertionError((number, len(key)))


def test_a_number_ahead_is_a_hint_that_ours_is_old():
    r = Keyring()
    assert r.group(3) is None and not r.behind
    r.set_group(250, K[0], 0)
    for number in (250, 249, 3, 120):  # ours, before it, 9 ahead, far away
        r.group(number)
        assert not r.behind, number
    r.group(2)
    assert r.behind
