"""The bench's part on Bluetooth discovery, with tiny counts."""

import pytest
from l4tools.bench import __main__ as bench
from l4tools.bench import device, discovery, rows


def test_all_rows_are_known_and_measured(tmp_path, monkeypatch):
    def build_dir(name=""):
        path = tmp_path / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    monkeypatch.setattr(device, "build_dir", build_dir)
    assert set(discovery.ROWS) <= set(rows.KNOWN) and "discovery" in bench.PARTS
    report = rows.Report()
    discovery.measure(report, True)
    assert set(report.values) == set(discovery.ROWS)
    assert report.values[discovery.STRANGERS] == 0
    assert 2900 < report.values[discovery.TABLE] < 8000  # the slots at least
    battery, wifi, start = (report.values["radio on for discovery " + m]
                            for m in ("on battery", "with WiFi", "at the start"))  # fmt: skip
    assert battery < wifi < start == 100


def test_what_nobody_hears_counts_as_two_minutes():
    mode = discovery.Mode("never", {"window_ms": 1, "interval_ms": 317}, (0.0,))
    assert discovery.delays(mode, 0.0, 1) == [120_000]


def test_loss_costs_time():
    mode = discovery.MODES[1]
    assert sum(discovery.delays(mode, 0.0, 60)) < sum(discovery.delays(mode, 0.5, 60))
    assert pytest.approx(19.6, abs=0.5) == discovery.share(mode)
