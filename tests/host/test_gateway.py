"""The default route, out of the kernel's table."""

from l4tools.gateway import gateway

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"


def row(dst="00000000", via="0101A8C0", flags="0003", metric=100, mask="00000000"):
    return "eth0\t%s\t%s\t%s\t0\t0\t%d\t%s\t0\t0\t0\n" % (dst, via, flags, metric, mask)


def read(tmp_path, *rows):
    table = tmp_path / "route"
    table.write_text(HEAD + "".join(rows))
    return gateway(table)


def test_the_default_route(tmp_path):
    lan = row("0001A8C0", "00000000", "0001", 0, "00FFFFFF")
    assert read(tmp_path, lan, row()) == bytes((192, 168, 1, 1))
    assert read(tmp_path, row(via="FE01A8C0", metric=600), row()) == bytes((192, 168, 1, 1))


def test_there_may_be_none(tmp_path):
    assert read(tmp_path) is None
    assert read(tmp_path, row(flags="0001"), row(flags="0002")) is None
    assert read(tmp_path, row(mask="000000FF"), "eth0\tbroken\n") is None
    assert gateway(tmp_path / "nothing") is None
