"""A horizontal bar chart as SVG, readable on light and on dark pages."""

from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT = 820, 270, 70
ROW, BAR, TOP = 30, 18, 62
FONT = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif"
STYLE = f"""
  text {{ font: 13px {FONT}; fill: #24292f }}
  .title {{ font-weight: 600; font-size: 15px }}
  .small {{ font-size: 11px; fill: #57606a }}
  .user {{ fill: #2f6fb5 }} .system {{ fill: #a9c4e2 }}
  .ours .user {{ fill: #c2571a }} .ours .system {{ fill: #efbd98 }}
  .line {{ stroke: #8b949e; stroke-dasharray: 3 3 }}
  @media (prefers-color-scheme: dark) {{
    text {{ fill: #e6edf3 }}
    .small {{ fill: #9ea7b1 }}
    .user {{ fill: #6ea8e5 }} .system {{ fill: #35506e }}
    .ours .user {{ fill: #f0883e }} .ours .system {{ fill: #7a4a22 }}
  }}
"""


def bars(title, note, rows):
    """The picture of rows (name, user, system, the total as it is written, whether it is ours); a line marks the first row."""
    height = TOP + ROW * len(rows) + 12
    scale = (WIDTH - LEFT - RIGHT) / max(user + system for _, user, system, _, _ in rows)
    first = LEFT + (rows[0][1] + rows[0][2]) * scale
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
        f'aria-label="{escape(title)}">',
        f"<style>{STYLE}</style>",
        f'<text class="title" x="12" y="24">{escape(title)}</text>',
        f'<text class="small" x="12" y="44">{escape(note)}</text>',
    ]
    parts.append(f'<line class="line" x1="{first:.1f}" x2="{first:.1f}" y1="{TOP - 4}" y2="{height - 10}"/>')
    for place, row in enumerate(rows):
        parts.append(bar(row, TOP + place * ROW, scale))
    return "\n".join([*parts, "</svg>", ""])


def bar(row, y, scale):
    """One row: name, time in user space, time in the kernel, total."""
    name, user, system, total, ours = row
    middle, width = y + BAR / 2 + 4.5, user * scale
    return (f'<g class="{"ours" if ours else "theirs"}">'
            f'<text class="name" x="{LEFT - 10}" y="{middle}" text-anchor="end">{escape(name)}</text>'
            f'<rect class="user" x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}"/>'
            f'<rect class="system" x="{LEFT + width:.1f}" y="{y}" width="{system * scale:.1f}" height="{BAR}"/>'
            f'<text class="value" x="{LEFT + (user + system) * scale + 8:.1f}" y="{middle}">{escape(total)}</text></g>')
