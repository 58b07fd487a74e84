from l4mesh import ed25519
from l4mesh.identity import Identity
from l4mesh.keys import node_id

SEED = bytes(range(32))
PUBLIC = ed25519.public_key(SEED)


class Store:
    def __init__(self, full=(), **data):
        self.data = data
        self.full = full
        self.order = []

    def load(self, key):
        return self.data.get(key)

    def save(self, key, data):
        assert isinstance(data, bytes) and len(key) <= 15
        self.order.append(key)
        if key in self.full:
            return False
        self.data[key] = data
        return True


def public_of(seed):
    return PUBLIC if seed == SEED else bytes(reversed(seed))


def load(store):
    return Identity.load(store, lambda: SEED, public_of)


def test_first_boot_makes_and_keeps():
    s = Store()
    i = load(s)
    assert (i.seed, i.public, i.id, i.epoch) == (SEED, PUBLIC, node_id(PUBLIC), 1)
    assert s.data["seed"] == SEED and s.data["public"] == PUBLIC
    assert s.data["epoch"] == b"\0\0\0\x01"
    assert i.missing == "network"


def test_later_boots_read_and_count():
    s = Store(network=b"netw", nodekey=bytes(32), group=bytes(33))
    for epoch in (1, 2, 3):
        i = load(s)
        assert i.epoch == epoch and i.seed == SEED
    assert (i.network, i.node_key, i.group, i.missing) == (b"netw", bytes(32), bytes(33), "")


def test_what_is_missing_is_named():
    assert load(Store(network=b"netw")).missing == "group"
    assert load(Store(group=bytes(33))).missing == "network"
    assert load(Store(network=b"net", group=bytes(33))).missing == "network"  # of a wrong size
    assert load(Store(network=b"netw", group=bytes(32))).missing == "group"
    i = load(Store(network=b"netw", group=bytes(33), nodekey=bytes(5)))
    assert i.node_key is None and i.missing == ""


def test_the_epoch_is_kept_before_anything_is_said():
    s = Store(full=("epoch",))
    for key in ("epoch", "seed"):
        try:
            load(Store(full=(key,)))
        except OSError as e:
            assert "flash" in str(e)
        else:
            raise AssertionError(key)
    assert s.data == {}


def test_a_damaged_seed_is_made_anew():
    s = Store(seed=bytes(31), public=bytes(range(32)))
    i = load(s)
    assert i.seed == SEED and i.public == PUBLIC  # not the key of the old one


def test_a_damaged_epoch_starts_again():
    for bad in (b"", b"abc", b"\xff\xff\xff\xff"):
        assert load(Store(epoch=bad)).epoch == 1
    assert load(Store(epoch=b"\0\0\x01\xff")).epoch == 512


def test_the_public_key_is_not_computed_twice():
    s = Store()
    load(s)
    assert Identity.load(s, None, None).public == PUBLIC


def test_the_epoch_that_a_deep_sleep_kept_goes_on_without_a_write():
    s = Store()
    assert load(s).epoch == 1 and load(s).epoch == 2
    s.order.clear()
    for _ in range(3):
        assert Identity.load(s, lambda: SEED, public_of, 2).epoch == 2
    assert s.order == []
    # What was kept is from before another start: it is worth nothing.
    assert Identity.load(s, lambda: SEED, public_of, 1).epoch == 3
    assert Identity.load(s, lambda: SEED, public_of, 9).epoch == 4
