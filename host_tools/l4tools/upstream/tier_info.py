"""What people may ask of a tier: 1 status, 2 why (what is wrong), 3 tiers above, 4 counters,
8 the tickets that were used (L1), 9 (a node, under its node key) who else joined from here."""

from l4mesh.info import Info


class TierInfo(Info):
    _asker = None

    def answer(self, peer, buf, off, end, addr, linked, now):
        self._asker = bytes(peer) if linked else None
        super().answer(peer, buf, off, end, addr, linked, now)

    def document(self, topic, now):
        tier = self._node
        if topic == 1:
            return tier_status(tier)
        if topic == 2:
            mqtt = tier.mqtt.trouble() if tier.mqtt is not None else ""
            return (
                [s for s in (tier.stores.trouble(), mqtt) if s]
                + ["L%d does not answer." % u.level for u in tier.uplinks.list if not u.up]
                + (tier.stores.tickets.trouble() if tier.stores.tickets is not None else [])
            )
        if topic == 3:
            return [[u.level, u.up and u.heard, u.rtt_ms] for u in tier.uplinks.list]
        if topic == 4:
            return dict(tier.counters.items())
        if topic == 8 and tier.stores.tickets is not None:
            return tier.stores.tickets.document()
        if topic == 9 and self._asker is not None:
            return tier.joins.near.others(self._asker)
        return None


def tier_status(tier) -> dict:
    """The state of a tier, small enough for a few frames."""
    stores = tier.stores
    return {
        "id": tier.id.hex(),
        "name": tier.name,
        "tier": tier.level,
        "mode": "active",
        "epoch": tier.tx.epoch,
        "minutes": tier.minutes.minute,
        "registered": stores.registered,
        "cache": len(stores.cache) if stores.cache is not None else None,
        "upper": [[u.level, u.up and u.heard, u.rtt_ms] for u in tier.uplinks.list],
        "nats": stores.trouble() or "ok",
        "mqtt": len(stores.access) if stores.access is not None else None,
        "readings": stores.readings.stats() if stores.readings else None,
        "relay": tier.relays.describe(),
        "tcp": len(tier.tcp) if tier.tcp is not None else None,
    }
