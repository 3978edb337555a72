# SPDX-License-Identifier: ISC
"""Lines over two logarithmic axes, as SVG; no library."""

import html
import math

WIDTH, HEIGHT, LEFT, TOP, PLOT_WIDTH, PLOT_HEIGHT = 820, 460, 70, 40, 520, 370
COLOURS = ("#0b62a4", "#d1495b", "#2a9d5c", "#b07d12", "#6a4c93", "#11808a")
DASHES = ("", "6 3", "2 3", "9 3 2 3")


def ticks(low, high):
    """Powers of ten, with what lies round the values."""
    return [10.0 ** n for n in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


def text(x, y, what, anchor="start", size=12):
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" text-anchor="{anchor}">{html.escape(str(what))}</text>'


def plot(title, series):
    """series: name -> [(x, y), ...], all above zero."""
    points = [p for line in series.values() for p in line]
    xs = sorted({x for x, _ in points})
    marks = ticks(min(y for _, y in points), max(y for _, y in points))
    span = math.log(xs[-1] / xs[0]) or 1

    def place(x, y):
        high, low = math.log(marks[-1]), math.log(marks[0])
        return (LEFT + PLOT_WIDTH * math.log(x / xs[0]) / span,
                TOP + PLOT_HEIGHT * (high - math.log(y)) / ((high - low) or 1))

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif">',
           '<rect width="100%" height="100%" fill="white"/>', text(LEFT, 22, title, size=15)]
    for mark in marks:
        y = place(xs[0], mark)[1]
        out += [f'<path d="M{LEFT} {y:.1f}h{PLOT_WIDTH}" stroke="#ddd"/>', text(LEFT - 6, y + 4, f"{mark:g}", "end")]
    out += [text(place(x, marks[0])[0], TOP + PLOT_HEIGHT + 20, f"{x:g}", "middle") for x in xs]
    for i, (name, line) in enumerate(series.items()):
        style = f'stroke="{COLOURS[i % len(COLOURS)]}" stroke-dasharray="{DASHES[i // len(COLOURS) % len(DASHES)]}"'
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*p) for p in line))
        y = TOP + 10 + 20 * i
        out += [f'<polyline points="{corners}" fill="none" stroke-width="2" {style}/>',
                f'<path d="M{LEFT + PLOT_WIDTH + 20} {y}h26" stroke-width="2" {style}/>',
                text(LEFT + PLOT_WIDTH + 52, y + 4, name)]
    return "\n".join([*out, "</svg>"]) + "\n"
