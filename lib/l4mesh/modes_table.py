# floor 2: values
# The rules by which a node takes part, as a table. RAM: 0.6 KiB.
"""Four rungs: passive, standard (answers within a quota), standard with full answer relay, active.

A rule guards a rung: (signal, rung, rise, fall, critical). To climb onto the rung the signal must
be at `rise` or above, and on the rungs below not at `fall`. On the rung or higher, `fall` or below
means down to the rung under it. What lies between is the dead band. `critical` or below means
passive at once; -1 = never. A signal of None (no battery, no such figure) is no hindrance.
Rows are in order of rung.
"""

RUNGS = ("passive", "standard", "standard+relay", "active")


def rules(cfg):
    """The table for a config; Modes keeps the values of the signals in the same order."""
    need = cfg.demand_requests
    pct = cfg.demand_hits_pct
    block = cfg.largest_block_kib
    return (
        ("wifi", 1, 1, 0, -1),
        ("unmetered", 1, 1, 0, 0),
        ("battery", 1, cfg.rise_battery, cfg.fall_battery, cfg.critical_battery),
        ("heap_kib", 1, cfg.rise_heap_kib, cfg.fall_heap_kib, cfg.critical_heap_kib),
        ("largest_kib", 1, block, block // 2, -1),
        ("requests", 2, need + 1, need // 2, -1),
        ("hits_pct", 2, pct + 1, max(0, pct - 10), -1),
        ("host", 3, 1, 0, -1),
        ("battery", 3, 51, 45, -1),
        ("free_mib", 3, 1025, 768, -1),
    )


def cache_size(mem_mib, host: bool = True) -> int:
    """Slots of the look-up cache by memory alone; a board, or memory unknown: 50."""
    if host and mem_mib:
        for top, slots in ((512, 50), (1024, 100), (2048, 200), (4096, 300)):
            if mem_mib <= top:
                return slots
        return 500
    return 50
