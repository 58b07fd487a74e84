from l4mesh.modes_table import cache_size
from l4tools.memory import memory_mib, parse_meminfo


def test_meminfo_is_read():
    text = "MemTotal:        2048000 kB\nMemFree: 1 kB\nMemAvailable:    1536000 kB\nHuge: 0\n"
    assert parse_meminfo(text) == (2000, 1500)
    assert parse_meminfo("") == (0, 0)


def test_this_machine_has_some():
    total, available = memory_mib()
    assert total >= available > 0


def test_cache_follows_memory_in_the_steps_of_the_design():
    steps = [(512, 50), (513, 100), (1024, 100), (2048, 200), (4096, 300), (4097, 500)]
    assert [(mib, cache_size(mib)) for mib, _ in steps] == steps
    assert cache_size(64000, host=False) == 50  # a board, whatever its memory
