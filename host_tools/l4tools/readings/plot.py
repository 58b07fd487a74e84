"""Curves in the terminal, one for each sensor of a node, by plotext."""

import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from .series import Reading

_HEIGHT = 14


def draw(found: Iterable[Reading], names: dict[bytes, str], out) -> Iterator[str]:
    """Lines of text. Only numbers with a time can be drawn; the rest is counted below."""
    import plotext

    curves = defaultdict(list)
    left = 0
    for r in found:
        if isinstance(r.value, float) and r.time_ms is not None:
            curves[r.node, r.sensor, r.unit].append((r.time_ms, r.value))
        else:
            left += 1
    width = shutil.get_terminal_size((80, 24)).columns if out.stdout.isatty() else 80
    for (node, sensor, unit), points in sorted(curves.items()):
        who = names.get(node) or node.hex()[:16]
        plotext.clear_figure()
        plotext.theme("clear")
        plotext.plot_size(width, _HEIGHT)
        plotext.title("%s %s%s" % (who, sensor, " in " + unit if unit else ""))
        xs, ys = zip(*points, strict=True)
        if len(points) == 1:
            plotext.scatter(xs, ys, marker="braille")
        else:
            plotext.plot(xs, ys, marker="braille")
        ticks = [xs[0] + (xs[-1] - xs[0]) * i / 4 for i in range(5)] if xs[-1] > xs[0] else [xs[0]]
        form = "%m-%d %H:%M" if xs[-1] - xs[0] > 86400000 else "%H:%M:%S"
        plotext.xticks(
            ticks, [datetime.fromtimestamp(t / 1000, UTC).strftime(form) for t in ticks]
        )
        yield from (line.rstrip() for line in plotext.uncolorize(plotext.build()).splitlines())
        yield ""
    if not curves:
        yield "Nothing to draw."
    if left:
        yield "%d readings are texts or have no time; see them without --plot." % left
