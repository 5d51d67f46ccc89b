"""A self-contained page: one file that refers to no other, light or dark as its reader is."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

__all__ = ['page', 'table']

_STYLE = """
:root { color-scheme: light dark; --back: #fbfbf9; --card: #ffffff; --ink: #1d2430;
  --soft: #667080; --rule: #e3e5e8; --own: #3a76c4; --speech: #d98324; --early: #b9c2cc;
  --bad: #c43d3d; --good: #2f8f5b; --c0: #3a76c4; --c1: #d98324; --c2: #4aa37b; --c3: #9a6cc0;
  --c4: #c9577a; --c5: #7d8794; }
@media (prefers-color-scheme: dark) { :root { --back: #14171c; --card: #1c2027; --ink: #e6e8ec;
  --soft: #98a2b0; --rule: #323842; --own: #6ba3ea; --speech: #eda452; --early: #566070;
  --bad: #f07a7a; --good: #62c892; --c0: #6ba3ea; --c1: #eda452; --c2: #6cc79c; --c3: #bb94dd;
  --c4: #e6809e; --c5: #98a2b0; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
  font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; }
main { max-width: 960px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 24px; margin: 0 0 2px; } h2 { font-size: 17px; margin: 0 0 8px; }
p { margin: 4px 0; } .soft, figcaption { color: var(--soft); font-size: 13px; }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
  padding: 18px 20px; margin-top: 18px; overflow-x: auto; }
svg { display: block; width: 100%; height: auto; }
svg text { font-size: 12px; fill: var(--ink); } svg .value { fill: var(--soft); }
svg .end { text-anchor: end; } svg .middle { text-anchor: middle; }
.grid { stroke: var(--rule); } .whisker { stroke: var(--soft); stroke-width: 1.5; }
.mark { stroke: var(--ink); stroke-dasharray: 4 3; } .target { stroke: var(--bad);
  stroke-width: 2.5; } .own { fill: var(--own); } .speech { fill: var(--speech); }
.early { fill: var(--early); } .total { fill: var(--good); }
.c0 { fill: var(--c0); } .c1 { fill: var(--c1); } .c2 { fill: var(--c2); }
.c3 { fill: var(--c3); } .c4 { fill: var(--c4); } .c5 { fill: var(--c5); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--soft); font-weight: 500; font-size: 13px; }
th, td { padding: 5px 10px 5px 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
td.n, th.n { text-align: right; } td.n { white-space: nowrap; }
code { font: 12.5px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.bad { color: var(--bad); } .good { color: var(--good); } rect.bad { fill: var(--bad); }
.key { display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: 13px; color: var(--soft);
  margin: 2px 0 8px; } .key i { display: inline-block; width: 11px; height: 11px;
  border-radius: 2px; margin-right: 6px; vertical-align: -1px; }
.key .own { background: var(--own); } .key .speech { background: var(--speech); }
.key .early { background: var(--early); } .key .total { background: var(--good); }
.key .target { background: var(--bad); width: 3px; }
.key .c0 { background: var(--c0); } .key .c1 { background: var(--c1); }
.key .c2 { background: var(--c2); } .key .c3 { background: var(--c3); }
.key .c4 { background: var(--c4); } .key .c5 { background: var(--c5); }
.tabs input { position: absolute; opacity: 0; } .tabs label { display: inline-block;
  padding: 3px 12px; border: 1px solid var(--rule); border-radius: 14px; cursor: pointer;
  font-size: 13px; margin: 0 6px 10px 0; } .tabs figure { display: none; margin: 0; }
.tabs input:checked + label { background: var(--own); color: var(--card);
  border-color: var(--own); } .tabs input:focus-visible + label { outline: 2px solid var(--ink); }
.tabs #t0:checked ~ #f0, .tabs #t1:checked ~ #f1, .tabs #t2:checked ~ #f2 { display: block; }
"""


def page(title: str, subtitle: str, sections: Iterable[tuple[str, str]]) -> str:
    """Put sections on a page.

    Args:
        title: plain text.
        subtitle: plain text.
        sections: heading as plain text, and content as HTML.
    """
    body = ''.join(f'<section><h2>{html.escape(heading)}</h2>{content}</section>'
                   for heading, content in sections)
    return (f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"/>'
            f'<meta name="viewport" content="width=device-width, initial-scale=1"/>'
            f'<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body><main>'
            f'<h1>{html.escape(title)}</h1><p class="soft">{html.escape(subtitle)}</p>'
            f'{body}</main></body></html>\n')


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    """Draw a table; cells are HTML.

    Args:
        head: plain text of each column.
        rows: a cell for each column.
        numbers: columns that hold numbers, set flush right.
    """
    right = set(numbers)

    def cells(tag: str, texts: Iterable[str]) -> str:
        return '<tr>' + ''.join(
            f'<{tag} class="n">{text}</{tag}>' if column in right else f'<{tag}>{text}</{tag}>'
            for column, text in enumerate(texts)) + '</tr>'
    return (f'<table><thead>{cells("th", map(html.escape, head))}</thead>'
            f'<tbody>{"".join(cells("td", row) for row in rows)}</tbody></table>')
