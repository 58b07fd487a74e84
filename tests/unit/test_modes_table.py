from l4mesh.config import Config
from l4mesh.modes_table import RUNGS, cache_size, rules


def test_every_rule_has_a_dead_band_and_a_rung():
    table = rules(Config({"critical_battery": 1}))
    last = 1
    for signal, rung, rise, fall, critical in table:
        assert rise > fall >= critical, signal
        assert 1 <= rung < len(RUNGS)
        assert rung >= last  # Modes relies on the order
        last = rung


def test_figures_come_from_the_config():
    given = {
        "rise_battery": 70,
        "fall_battery": 30,
        "critical_battery": 5,
        "rise_heap_kib": 50,
        "fall_heap_kib": 20,
        "critical_heap_kib": 10,
        "largest_block_kib": 30,
        "demand_requests": 20,
        "demand_hits_pct": 60,
    }
    table = rules(Config(given))
    assert ("battery", 1, 70, 30, 5) in table
    assert ("heap_kib", 1, 50, 20, 10) in table
    assert ("largest_kib", 1, 30, 15, -1) in table
    assert ("requests", 2, 21, 10, -1) in table
    assert ("hits_pct", 2, 61, 50, -1) in table


def test_defaults_are_the_design_s():
    table = rules(Config())
    assert ("battery", 1, 60, 40, 15) in table
    assert ("heap_kib", 1, 40, 24, 12) in table
    assert ("requests", 2, 101, 50, -1) in table  # more than 100
    assert ("hits_pct", 2, 51, 40, -1) in table  # more than 50 %
    assert ("free_mib", 3, 1025, 768, -1) in table  # more than 1 GiB


def test_cache_follows_memory_alone():
    for mem, slots in (
        (None, 50),
        (0, 50),
        (64, 50),
        (512, 50),
        (513, 100),
        (1024, 100),
        (1025, 200),
        (2048, 200),
        (2049, 300),
        (4096, 300),
        (4097, 500),
        (65536, 500),
    ):
        assert cache_size(mem) == slots
        assert cache_size(mem, host=False) == 50
