"""A look-up served by one node, against a C server that does nothing, in the same minutes."""

from dataclasses import dataclass

from l4tools.bench.device import Device
from l4tools.bench.load import Client, RawServer, cpu_ns, median, one_cpu, two_cpus
from l4tools.bench.rows import Report, Skip
from l4tools.bench.world import RAISED, Asker, Identity, World, free_port
from l4tools.paths import build_dir


@dataclass
class Size:
    """How much to measure: `quick` is for tests, the figures are then worth nothing."""

    rounds: int = 7
    lookups: int = 3000
    seconds: float = 0.5

    @classmethod
    def of(cls, quick: bool) -> "Size":
        return cls(1, 200, 0.05) if quick else cls()


ROWS = [
    "raw C UDP ping-pong, p50",
    "raw C UDP ping-pong, p99",
    "served look-up, p50",
    "served look-up, p99",
    "served look-up, p50 / raw C",
    "served look-up, p99 / its own p50",
    "served look-up, own time p50",
    "served look-up, own time p99",
    "served look-up, wire time p50",
    "served look-ups a second",
    "served look-ups a second / raw C",
    "CPU time a served look-up",
    "CPU time a served look-up / raw C",
    "served look-up of 256 records, p50 / raw C",
]


class Bed:
    """A node that holds `records`, its proven asker, and the raw server beside it."""

    def __init__(self, records: int, cpu: int, frames: int, mode: str = ""):
        self.cpu = cpu
        world = World(records)
        me = Identity("server")
        port = free_port()
        folder = build_dir("bench")
        path = world.write(folder / ("world%d.json" % records), me)
        self.node = Device("served.py", path, port, "127.0.0.1:%d" % port, mode, cpu=cpu)
        try:
            self.node.read(60)
            self.asker = Asker(world, me, port)
            self.asker.prove()
            made = self.asker.frames(folder / "asks.bin", frames)
            self.client = Client(self.asker.sock, made)
            self.raw = RawServer(cpu)
            self.raw_client = Client(self.raw.sock, made, reuse=True)
        except BaseException:
            self.node.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.node.close()
        self.asker.close()
        self.raw.__exit__()


def _charged(pid: int, run) -> tuple[dict, float]:
    """(result, CPU microseconds a look-up of the process while `run` ran)."""
    before = cpu_ns(pid)
    got = run()
    return got, (cpu_ns(pid) - before) / 1000 / got["got"]


def latency(bed: Bed, size: Size) -> dict[str, list[float]]:
    out: dict[str, list[float]] = {k: [] for k in ("raw50", "raw99", "p50", "p99", "rel")}
    bed.client.latency(min(size.lookups, 1000), bed.cpu)
    for _ in range(size.rounds):
        raw = bed.raw_client.latency(size.lookups, bed.cpu)
        got = bed.client.latency(size.lookups, bed.cpu)
        out["raw50"].append(raw["p50"])
        out["raw99"].append(raw["p99"])
        out["p50"].append(got["p50"])
        out["p99"].append(got["p99"])
        out["rel"].append(got["p50"] / raw["p50"])
    return out


def capacity(bed: Bed, size: Size, other: int) -> dict[str, list[float]]:
    out: dict[str, list[float]] = {k: [] for k in ("rate", "raw", "cpu", "raw_cpu")}
    for _ in range(size.rounds):
        got, cpu = _charged(
            bed.raw.process.pid, lambda: bed.raw_client.capacity(size.seconds, other)
        )
        out["raw"].append(got["rate"])
        out["raw_cpu"].append(cpu)
        got, cpu = _charged(bed.node.process.pid, lambda: bed.client.capacity(size.seconds, other))
        out["rate"].append(got["rate"])
        out["cpu"].append(cpu)
    return out


def measure(report: Report, quick: bool) -> None:
    size = Size.of(quick)
    cpu = one_cpu()
    report.raised.update(RAISED)
    a_second = 120000
    asks = int(size.rounds * (size.lookups + size.seconds * a_second) + 2000)
    with Bed(50, cpu, asks) as bed:
        lat = latency(bed, size)
        try:
            cap = capacity(bed, size, two_cpus()[1])
        except Skip as e:
            cap = None
            report.skip(ROWS[9:13], str(e))
        bed.client.latency(300, cpu)  # so that the samples of its own time are of one at a time
        last = bed.node.finish()
    put = report.put
    p50 = median(lat["p50"])
    put(ROWS[0], median(lat["raw50"]), lat["raw50"])
    put(ROWS[1], median(lat["raw99"]), lat["raw99"])
    put(ROWS[2], p50, lat["p50"])
    put(ROWS[3], median(lat["p99"]), lat["p99"])
    put(ROWS[4], median(lat["rel"]), lat["rel"])
    put(ROWS[5], median([b / a for a, b in zip(lat["p50"], lat["p99"], strict=True)]))
    put(ROWS[6], last["own"]["p50"])
    put(ROWS[7], last["own"]["p99"])
    put(ROWS[8], max(0.0, p50 - last["own"]["p50"]))
    if cap:
        put(ROWS[9], round(median(cap["rate"])), cap["rate"])
        put(ROWS[10], median([a / b for a, b in zip(cap["rate"], cap["raw"], strict=True)]))
        put(ROWS[11], median(cap["cpu"]), cap["cpu"])
        put(ROWS[12], median([a / b for a, b in zip(cap["cpu"], cap["raw_cpu"], strict=True)]))
    with Bed(256, cpu, size.rounds * size.lookups + 2000) as bed:
        lat = latency(bed, size)
        bed.node.finish()
    put(ROWS[13], median(lat["rel"]), lat["rel"])
