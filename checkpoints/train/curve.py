"""The loss of each stage as an SVG."""

WIDTH, HEIGHT, MARGIN = 760, 260, 44
COLOURS = ["#1b6ca8", "#c4572b", "#3c8a4e", "#7a5aa6", "#888", "#b8860b"]


def smooth(values, to=200):
    """Means of equal parts, at most to of them."""
    size = max(1, len(values) // to)
    return [sum(values[i: i + size]) / len(values[i: i + size]) for i in range(0, len(values), size)]


def draw(path, losses):
    """Writes a curve for each stage of {name: losses}, over its own share of steps done."""
    top = max((max(smooth(v)) for v in losses.values() if v), default=1.0)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
             f'<path d="M{MARGIN} {MARGIN / 2}V{HEIGHT - MARGIN}H{WIDTH - MARGIN / 2}" fill="none" stroke="#444"/>',
             f'<text x="4" y="{MARGIN / 2 + 8}">{top:.1f}</text><text x="4" y="{HEIGHT - MARGIN}">0</text>',
             f'<text x="{MARGIN}" y="{HEIGHT - MARGIN + 16}">loss over the steps of each stage</text>']
    for k, (name, values) in enumerate(losses.items()):
        points = smooth(values)
        if not points:
            continue
        step = (WIDTH - 1.5 * MARGIN) / max(1, len(points) - 1)
        line = " ".join(f"{MARGIN + i * step:.1f},{HEIGHT - MARGIN - v / top * (HEIGHT - 1.5 * MARGIN):.1f}" for i, v in enumerate(points))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{COLOURS[k % len(COLOURS)]}" stroke-width="1.5"/>')
        parts.append(f'<text x="{WIDTH - 220}" y="{MARGIN / 2 + 14 * k + 12:.0f}" fill="{COLOURS[k % len(COLOURS)]}">{name}: {len(values)} steps, to {points[-1]:.2f}</text>')
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(parts + ["</svg>"]) + "\n")
