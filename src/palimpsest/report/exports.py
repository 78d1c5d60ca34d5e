"""A table of a page as CSV and as LaTeX, both from the cells that the page shows."""

import base64
import csv
import io
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

from markupsafe import Markup

from palimpsest.markup import escape_latex
from palimpsest.report.words import MINUS

# What a cell without a number has.
NONE = "\N{EN DASH}"
SPACED = ("\n", "\N{NO-BREAK SPACE}")


@dataclass
class Cell:
    """A cell: its text, its small print, and how many columns and rows it takes."""

    columns: int = 1
    rows: int = 1
    is_bold: bool = False
    text: str = ""
    small: list[str] = field(default_factory=list)

    @property
    def plain(self) -> str:
        """The text on one line."""
        return " ".join(self.text.split())

    @property
    def notes(self) -> list[str]:
        """The small print, a line each."""
        return [" ".join(each.split()) for each in self.small]


class _Reader(HTMLParser):
    """Reads the cells of a table: `head` and `body` are lists of rows."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.head: list[list[Cell]] = []
        self.body: list[list[Cell]] = []
        self._rows, self._cell, self._is_small = self.body, Cell(), False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("thead", "tbody"):
            self._rows = self.head if tag == "thead" else self.body
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._cell = Cell(int(given.get("colspan") or 1), int(given.get("rowspan") or 1))
            self._rows[-1].append(self._cell)
        elif tag == "small":
            self._is_small = True
            self._cell.small.append("")
        elif tag in ("strong", "b"):
            self._cell.is_bold = True

    def handle_endtag(self, tag: str) -> None:
        self._is_small = self._is_small and tag != "small"

    def handle_data(self, data: str) -> None:
        text = data.translate(dict.fromkeys(map(ord, SPACED), " "))
        if self._is_small:
            self._cell.small[-1] += text
        else:
            self._cell.text += text


def downloads(label: str, html: str) -> Markup:
    """Return the links below a table that hold it as CSV and as LaTeX."""
    name = re.sub(r"[^\w.]+", "-", label).strip("-").lower()[:60] or "table"
    files = (("csv", "text/csv", table_csv(html), "CSV"), ("tex", "text/x-tex", table_latex(label, html), "LaTeX"))
    link = Markup('<a class="download" download="{}.{}" href="data:{};base64,{}">{}</a>')
    links = Markup(" ").join(
        link.format(name, ending, kind, base64.b64encode(text.encode()).decode(), title) for ending, kind, text, title in files
    )
    return Markup('<p class="downloads" aria-label="{}">Table: {}</p>\n').format(f"Downloads: {label}", links)


def table_csv(html: str) -> str:
    """Return a table as CSV: a column per head and, where a column has sds or other small print, further ones for these."""
    table = _Reader(html)
    heads = _heads(table)
    rows = [row for row in table.body if len(row) == len(heads)]
    sds = [any(cell.small and cell.small[0].startswith("±") for cell in column) for column in zip(*rows, strict=True)]
    notes = [any(note for cell in column for note in _others(cell)) for column in zip(*rows, strict=True)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = list(zip(heads, sds or [False] * len(heads), notes or [False] * len(heads), strict=True))
    writer.writerow([name for head, sd, note in columns for name in (head, *[f"{head} sd"] * sd, *[f"{head} note"] * note)])
    for row in rows:
        parts = [
            (cell.plain, *[_sd(cell)] * sd, *["; ".join(_others(cell))] * note)
            for cell, (_, sd, note) in zip(row, columns, strict=True)
        ]
        writer.writerow([_number(text) for part in parts for text in part])
    return out.getvalue()


def _heads(table: _Reader) -> list[str]:
    """Return one head per column: of two rows of heads the upper one's text comes first."""
    first, *more = table.head or [[]]
    lower = iter(more[0] if more else [])
    found = []
    for cell in first:
        if more and cell.rows == 1:
            found += [f"{cell.plain} {next(lower).plain}".strip() for _ in range(cell.columns)]
        else:
            found.append(cell.plain)
    return found


def _sd(cell: Cell) -> str:
    return next((note.removeprefix("±").strip() for note in cell.notes if note.startswith("±")), "")


def _others(cell: Cell) -> list[str]:
    return [note for note in cell.notes if not note.startswith("±")]


def _number(text: str) -> str:
    """Return a number as a program reads it; a dash for a missing one is empty."""
    plain = text.replace(MINUS, "-")
    return "" if text == NONE else plain if re.fullmatch(r"[+-]?[\d.]+(e[+-]?\d+)?", plain) else text


def table_latex(label: str, html: str) -> str:
    """Return a table as LaTeX with the rules of booktabs: numbers with their sds, and everything escaped."""
    table = _Reader(html)
    heads = _heads(table)
    numeric = [
        all(_is_numeric(cell) for cell in column) for column in zip(*(r for r in table.body if len(r) == len(heads)), strict=True)
    ]
    shape = "".join("r" if is_number else "l" for is_number in numeric or [False] * len(heads))
    lines = [f"% {escape_latex(label)}", rf"\begin{{tabular}}{{{shape}}}", r"\toprule", *_latex_heads(table), r"\midrule"]
    lines += [f"{' & '.join(map(_latex_cell, row))} \\\\" for row in table.body]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _latex_heads(table: _Reader) -> list[str]:
    if len(table.head) < 2:
        return [f"{' & '.join(escape_latex(cell.plain) for cell in row)} \\\\" for row in table.head]
    upper, rules, lower, at = [], [], [], 1
    below = iter(table.head[1])
    for cell in table.head[0]:
        is_group = cell.rows == 1
        upper.append(rf"\multicolumn{{{cell.columns}}}{{c}}{{{escape_latex(cell.plain)}}}" if is_group else "")
        lower += [escape_latex(next(below).plain) for _ in range(cell.columns)] if is_group else [escape_latex(cell.plain)]
        rules += [rf"\cmidrule(lr){{{at}-{at + cell.columns - 1}}}"] if is_group and cell.plain else []
        at += cell.columns
    return [f"{' & '.join(upper)} \\\\", "".join(rules), f"{' & '.join(lower)} \\\\"]


def _latex_cell(cell: Cell) -> str:
    text = escape_latex(cell.plain)
    text = rf"\textbf{{{text}}}" if cell.is_bold and text else text
    notes = [escape_latex(note) if note.startswith("±") else f"({escape_latex(note)})" for note in cell.notes]
    text = " ".join(filter(None, [text, *notes]))
    return rf"\multicolumn{{{cell.columns}}}{{l}}{{{text}}}" if cell.columns > 1 else text


def _is_numeric(cell: Cell) -> bool:
    return bool(re.match(rf"[+{MINUS}≤-]?\d|{NONE}$", cell.plain))
