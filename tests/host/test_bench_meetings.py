"""The bench's part on meetings by Bluetooth, with tiny counts."""

from l4tools.bench import __main__ as bench
from l4tools.bench import device, meetings, rows


def test_all_rows_are_known_and_measured(tmp_path, monkeypatch):
    def build_dir(name=""):
        path = tmp_path / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    monkeypatch.setattr(device, "build_dir", build_dir)
    assert set(meetings.ROWS) <= set(rows.KNOWN) and "meetings" in bench.PARTS
    report = rows.Report()
    meetings.measure(report, True)
    assert set(report.values) == set(meetings.ROWS)
    # Nine requests and answers, an event of the link each way: less is no radio at all.
    assert report.values[meetings.EXCHANGE] > 9 * 30 > report.values[meetings.OWN] > 0
    assert 1200 < report.values[meetings.LINK] < 6000
