"""Node keys: L1 derives them from the master key, L3 and L2 borrow them one by one.

A lower tier never has the master. It asks for a node's key when the node first speaks to it
(KEYREQ, docs/protocol.md 4) and keeps it in memory, never on disk, for as long as it was told. A
node that is unknown is not asked for again for some seconds, and questions for the same node at
the same time become one.
"""

import asyncio
import time
from collections import OrderedDict


class NodeKeys:
    """`master` (32 B) makes it L1's; else `fetch` does the asking.

    `await fetch(short_id, node_id)` returns (node id, key, good for minutes), or None if the
    authority says that there is no such node; it raises what it likes if nobody could be asked:
    `get` passes that on and remembers nothing. `node_id` is None unless the frame named it.
    `find(short_id)` returns the node id or None (L1: Registry.full_id).
    `revoked(node_id)`: is it one that gets no key (L1: Revoked)?
    """

    def __init__(
        self,
        master=None,
        find=None,
        fetch=None,
        size=20_000,
        negative_s=10.0,
        clock=time.monotonic,
        revoked=None,
    ):
        if (master is None) == (fetch is None):
            raise ValueError("give NodeKeys either the master key (L1) or fetch (L3, L2)")
        self._master, self._find, self._fetch = master, find, fetch
        self.master = master is not None  # keys are derived here, not borrowed
        self._size, self._negative_s, self._clock = size, negative_s, clock
        self._revoked = revoked
        self._keys = OrderedDict()  # short id -> (node id, key, good until)
        self._unknown = OrderedDict()  # short id -> until
        self._asking = {}  # (short id, node id) -> task
        self.fetches = 0

    def __len__(self) -> int:
        return len(self._keys)

    def derive(self, node_id: bytes) -> bytes:
        """The node's key (32 B); L1 only."""
        from l4mesh.keys import node_key

        if self._master is None:
            raise ValueError("only L1 has the master key; ask with `await get(short_id)`")
        return bytes(node_key(self._master, node_id))

    def peek(self, short_id: bytes, node_id=None):
        """(node id, key) if it is known without asking anyone, else None. Cheap."""
        found = self._keys.get(short_id)
        if found is None or (node_id is not None and found[0] != node_id):
            return None
        if found[2] is not None and found[2] <= self._clock():
            del self._keys[short_id]
            return None
        self._keys.move_to_end(short_id)
        return found[:2]

    async def get(self, short_id: bytes, node_id=None):
        """(node id, key), or None: no such node. Raises what `fetch` raises."""
        if node_id is not None and node_id[:8] != short_id:
            return None
        found = self.peek(short_id, node_id)
        if found is not None:
            return found
        if self._master is not None:
            return self._own(short_id, node_id)
        if node_id is None and self._is_unknown(short_id):
            return None
        which = (short_id, node_id)
        task = self._asking.get(which)
        if task is None:
            task = self._asking[which] = asyncio.create_task(self._ask(short_id, node_id))
            task.add_done_callback(lambda t: self._asked(which, t))
        return await asyncio.shield(task)  # one impatient asker must not end it for the others

    def is_revoked(self, node_id: bytes) -> bool:
        return self._revoked is not None and self._revoked(bytes(node_id))

    def forget(self, short_id: bytes) -> None:
        """Drop what is known of a node (revoked, or its key does not fit)."""
        self._keys.pop(short_id, None)
        self._unknown.pop(short_id, None)

    # -- inside ------------------------------------------------------------------------------

    def _own(self, short_id, node_id):
        named = node_id is not None
        if not named and self._find is not None:
            node_id = self._find(short_id)
        if node_id is None or self.is_revoked(node_id):
            return None
        found = (bytes(node_id), self.derive(node_id))
        # A name that only a frame claims is not kept: anyone could push out the real ones.
        if not named or (self._find is not None and self._find(short_id) == node_id):
            self._keep(short_id, found + (None,))
        return found

    async def _ask(self, short_id, node_id):
        self.fetches += 1
        answer = await self._fetch(short_id, node_id)
        if answer is None or answer[0][:8] != short_id or node_id not in (None, answer[0]):
            self._unknown[short_id] = self._clock() + self._negative_s
            self._unknown.move_to_end(short_id)
            if len(self._unknown) > self._size:
                self._unknown.popitem(last=False)
            return None
        full_id, key, good_min = answer
        self._unknown.pop(short_id, None)
        self._keep(short_id, (bytes(full_id), bytes(key), self._clock() + 60 * good_min))
        return bytes(full_id), bytes(key)

    def _asked(self, which, task) -> None:
        self._asking.pop(which, None)
        if not task.cancelled():
            task.exception()  # seen, also if every asker has gone

    def _keep(self, short_id, found) -> None:
        self._keys[short_id] = found
        self._keys.move_to_end(short_id)
        if len(self._keys) > self._size:
            self._keys.popitem(last=False)

    def _is_unknown(self, short_id) -> bool:
        until = self._unknown.get(short_id)
        if until is not None and until <= self._clock():
            del self._unknown[short_id]
            until = None
        return until is not None
