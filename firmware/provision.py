# floor 9: firmware
# Takes what the owner's tool gives a new board: its keys and the owner's. RAM: none after.
"""Run over USB by the owner's tool, once, after the board has shown its public key:

    import provision
    provision.give('{"network": "..", "nodekey": "..", "owner": "..", "group": [0, ".."]}')

Prints `L4 PROVISIONED`, or a sentence that says what is wrong. Keys live in NVS, where they
survive a new file system; in clear, as stock firmware has no encrypted flash (SECURITY.md).
"""

import json
from binascii import unhexlify

_SIZES = (("network", 4), ("nodekey", 32), ("owner", 32))


def open_store():
    """The board's key store: NVS, with a second copy of the seed in a file."""
    from l4mesh_io.store_fs import FileStore
    from l4mesh_io.store_nvs import NvsStore

    return NvsStore(copy=FileStore("/keys"))


def save(key, data):
    """For who does so once in a while."""
    return open_store().save(key, data)


def give(text, store=None):
    """Store the keys in `text` (JSON). True when all of them are there."""
    try:
        d = json.loads(text)
        found = [(k, unhexlify(d[k]), n) for k, n in _SIZES]
        found.append(("group", bytes([d["group"][0]]) + unhexlify(d["group"][1]), 33))
    except (ValueError, KeyError, TypeError, IndexError) as e:
        print("L4 provision: not what `l4 network provision --json` prints (%r)" % e)
        return False
    return keep(found, store or open_store())


def keep(found, store, how=""):
    """Store (key, value, length) of each, the group key last: with it the board is provisioned."""
    for key, value, n in found:
        if len(value) != n or not store.save(key, value):
            print("L4 provision: %s has %d bytes, not %d, or flash is full" % (key, len(value), n))
            return False
    print("L4 PROVISIONED" + how)
    return True


def show(store=None):
    """Print `L4 UNPROVISIONED key` or `L4 NODE id NETWORK id KEY key`; for who connects later."""
    import machine
    import network
    from l4mesh import ed25519
    from l4mesh.endpoint import id_text
    from l4mesh.identity import Identity
    from l4mesh_io.entropy import make_seed

    network.WLAN(network.STA_IF).active(True)  # chance is true chance with a radio on
    store = store or open_store()
    ident = Identity.load(store, lambda: make_seed(machine.unique_id()), ed25519.public_key)
    key = id_text(ident.public)
    if ident.missing:
        print("L4 UNPROVISIONED " + key)
    else:
        print("L4 NODE %s NETWORK %s KEY %s" % (id_text(ident.id), id_text(ident.network), key))
