"""Which tickets were used, by whom: a bucket of L1, kept for ever.

`l4_tickets`, values JSON: key `ID` {"node": hex or null, "at": s, "revoked": s or null}, and, when
others tried the same ticket, key `ID.again` {"node": hex, "times": n, "at": s}, the last of them.

An entry is made with "expected last sequence 0", so of two boards with one ticket one wins, also
with two L1 processes on a cluster; the answer goes out after the store has it on disk. Entries
have no expiry: what was used stays used, whatever the clock says. All of it is in memory, too.
"""

import json
import time

from .connect import Conflict, StoreAway, ensure_bucket, last_message, log, write
from .follow import Follower

_BUCKET = "l4_tickets"
_TRIES = 8
_AGAIN_S = 60  # the same stranger is written down at most so often
_OTHER_S = 1  # .. and another one: names are cheap


class Use:
    """One ticket. `node` None: never used, only revoked. Times are Unix seconds."""

    __slots__ = ("node", "at", "revoked", "seq")

    def __init__(self, node, at, revoked, seq):
        self.node, self.at, self.revoked, self.seq = node, at, revoked, seq


class Again:
    """Nodes that came after the ticket was used; the last one is named."""

    __slots__ = ("node", "times", "at", "written")

    def __init__(self, node, times, at):
        self.node, self.times, self.at = node, times, at
        self.written = 0.0


class TicketBook:
    """`await start()` first, `await stop()` last. Ticket ids are 8 bytes, node ids 16."""

    def __init__(self, js, bucket=_BUCKET, replicas=1):
        self._js, self._bucket, self._replicas = js, bucket, replicas
        self._used = {}  # ticket id -> Use
        self._again = {}  # ticket id -> Again
        self._follower = None

    async def start(self) -> None:
        await ensure_bucket(self._js, self._bucket, None, self._replicas)
        subject = "$KV.%s.>" % self._bucket
        self._follower = Follower(self._js, "KV_" + self._bucket, subject, self._on_item)
        await self._follower.start()

    async def stop(self) -> None:
        if self._follower is not None:
            await self._follower.stop()

    def of(self, ticket_id):
        """The Use of a ticket, or None."""
        return self._used.get(ticket_id)

    async def claim(self, ticket_id: bytes, node_id: bytes) -> Use:
        """Whose the ticket is: now `node_id`'s if it was free. Returns when it is on disk."""
        for _ in range(_TRIES):
            use = self._used.get(ticket_id)
            if use is not None:
                return use
            try:
                return await self._write(ticket_id, Use(node_id, int(time.time()), None, 0))
            except Conflict:
                await self._reread(ticket_id)
        raise StoreAway("another writer was faster %d times" % _TRIES)

    async def revoke(self, ticket_id: bytes) -> Use:
        """Good for nothing from now on, not even for who used it. Says who that was."""
        for _ in range(_TRIES):
            use = self._used.get(ticket_id) or Use(None, int(time.time()), None, 0)
            if use.revoked is not None:
                return use
            try:
                return await self._write(
                    ticket_id, Use(use.node, use.at, int(time.time()), use.seq)
                )
            except Conflict:
                await self._reread(ticket_id)
        raise StoreAway("another writer was faster %d times" % _TRIES)

    async def refused(self, ticket_id: bytes, node_id: bytes) -> None:
        """Somebody else tried a used ticket: a matter for the owner."""
        again = self._again.setdefault(ticket_id, Again(node_id, 0, 0))
        now_s = time.time()
        due = now_s - again.written >= (_AGAIN_S if again.node == node_id else _OTHER_S)
        again.node, again.at = node_id, int(now_s)
        again.times += 1
        if not due:
            return
        again.written = now_s
        log.warning("L1: %s", sentence(ticket_id, self._used.get(ticket_id), again))
        doc = {"node": node_id.hex(), "times": again.times, "at": again.at}
        try:
            await write(self._js, self._subject(ticket_id) + ".again", json.dumps(doc).encode())
        except (StoreAway, Conflict) as e:
            log.warning("L1: this could not be stored (%s).", e)

    # -- for the owner -----------------------------------------------------------------------

    def trouble(self, most=5) -> list:
        """A sentence for each ticket that was tried again, the newest first."""
        found = sorted(self._again.items(), key=lambda x: -x[1].at)
        lines = [sentence(i, self._used.get(i), a) for i, a in found[:most]]
        if len(found) > most:
            lines.append("%d more tickets were used twice." % (len(found) - most))
        return lines

    def document(self, most=2000) -> list:
        """[ticket, node, at, revoked, times tried again, last of those] of each, newest first."""
        rows = []
        for ticket_id, use in self._used.items():
            again = self._again.get(ticket_id)
            node = use.node.hex() if use.node else None
            tried = (again.times, again.node.hex()) if again else (0, None)
            rows.append([ticket_id.hex(), node, use.at, use.revoked, *tried])
        return sorted(rows, key=lambda r: -max(r[2], r[3] or 0))[:most]

    # -- inside ------------------------------------------------------------------------------

    def _subject(self, ticket_id):
        return "$KV.%s.%s" % (self._bucket, ticket_id.hex())

    async def _write(self, ticket_id, use):
        node = use.node.hex() if use.node else None
        data = json.dumps({"node": node, "at": use.at, "revoked": use.revoked}).encode()
        use.seq = await write(self._js, self._subject(ticket_id), data, expect=use.seq)
        self._set(ticket_id, use)
        return self._used[ticket_id]

    def _set(self, ticket_id, use):
        known = self._used.get(ticket_id)
        if known is None or use.seq > known.seq:
            self._used[ticket_id] = use

    async def _reread(self, ticket_id):
        subject = self._subject(ticket_id)
        msg = await last_message(self._js, "KV_" + self._bucket, subject)
        if msg is not None:
            self._take(ticket_id, msg.data or b"", msg.seq)

    def _on_item(self, item):
        name, _, rest = item.subject.rpartition(self._bucket + ".")[2].partition(".")
        ticket_id = bytes.fromhex(name)
        if not rest:
            self._take(ticket_id, item.data, item.seq)
        elif rest == "again":
            doc = json.loads(item.data)
            node, times, at = bytes.fromhex(doc["node"]), doc["times"], doc["at"]
            known = self._again.get(ticket_id)
            if known is None or times > known.times:
                self._again[ticket_id] = Again(node, times, at)

    def _take(self, ticket_id, data, seq):
        doc = json.loads(data)
        node = bytes.fromhex(doc["node"]) if doc["node"] else None
        self._set(ticket_id, Use(node, doc["at"], doc["revoked"], seq))


def sentence(ticket_id, use, again) -> str:
    """What the owner is told of a ticket that two boards have."""
    by = use.node.hex() if use is not None and use.node else "nobody"
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(again.at))
    return (
        "Ticket used twice: %s is that of node %s, and %s asked with it too (last %s, times: %d). "
        "Somebody has a copy of the image; see which of the two boards is yours."
        % (ticket_id.hex(), by, again.node.hex(), when, again.times)
    )
