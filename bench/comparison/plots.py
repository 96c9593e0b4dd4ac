"""One picture per scenario, as SVG: bars for each broker, with the extremes over the rounds where there are some."""

import re
from html import escape

from .tables import LATENCIES, RATES, UNITS

BAR, GAP, LABEL, PANEL, TOP = 18, 8, 130, 300, 46
COLOURS = {"ringmq": "#c2410c", "relay": "#6b7280", "peer": "#1d4ed8"}
TITLES = {**RATES, **UNITS, **{name: f"{text}, us" for text, name in LATENCIES.items()}}


def write(rows, folder):
    """Writes the pictures of all scenarios that have figures; gives their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for scenario in dict.fromkeys(row["scenario"] for row in rows):
        good = [row for row in rows if row["scenario"] == scenario and row["rounds"]]
        if good:
            path = folder / (re.sub(r"[^a-z0-9.]+", "-", scenario.lower()).strip("-") + ".svg")
            path.write_text(picture(scenario, good))
            paths.append(path)
    return paths


def picture(scenario, rows):
    """The picture of one scenario: a panel for each figure, a bar for each broker."""
    plotted = rows[0]["plotted_figure"]
    panels = [*(LATENCIES.values() if plotted.startswith("latency") else [plotted]), "cost"]
    width, height = LABEL + len(panels) * PANEL, TOP + len(rows) * (BAR + GAP) + GAP
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
             f'font-family="sans-serif" font-size="12">',
             '<rect width="100%" height="100%" fill="white"/>',
             f'<text x="8" y="18" font-size="14" font-weight="bold">{escape(scenario)}</text>']
    for place, row in enumerate(rows):
        parts.append(f'<text x="8" y="{top(place) + 13}">{escape(row["broker"])}</text>')
    for place, figure in enumerate(panels):
        parts += panel(rows, figure, LABEL + place * PANEL)
    return "\n".join([*parts, "</svg>\n"])


def panel(rows, figure, left):
    """The bars of one figure; each is as long as its share of the largest."""
    title = UNITS[rows[0]["cost_figure"]] if figure == "cost" else TITLES[figure]
    yield f'<text x="{left}" y="38" fill="#374151">{title}</text>'
    largest = max((row.get(f"{figure}_max", row.get(figure, 0)) for row in rows), default=0) or 1
    scale = (PANEL - 90) / largest
    for place, row in enumerate(rows):
        if figure not in row:
            continue
        value, y = row[figure], top(place)
        yield (f'<rect x="{left}" y="{y}" width="{max(1, value * scale):.1f}" height="{BAR}" '
               f'fill="{COLOURS[row["kind"]]}"/>')
        end = row.get(f"{figure}_max", value)
        if f"{figure}_min" in row:
            middle = y + BAR / 2
            yield (f'<line x1="{left + row[f"{figure}_min"] * scale:.1f}" x2="{left + end * scale:.1f}" y1="{middle}" '
                   f'y2="{middle}" stroke="black"/>')
        yield f'<text x="{left + end * scale + 6:.1f}" y="{y + 13}">{text_of(value)}</text>'


def top(place):
    """Where the bar of the broker in this place begins."""
    return TOP + place * (BAR + GAP)


def text_of(value):
    """A number as short as it is worth."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
