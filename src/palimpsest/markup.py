"""Text in the markup of others: LaTeX and Markdown."""

from collections.abc import Iterable, Sequence

# What LaTeX reads as commands, and what its standard fonts lack.
LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: rf"\{sign}" for sign in "&%$#_{}"},
    **{"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$", "|": "$|$"},
    **{"\N{MINUS SIGN}": "$-$", "±": r"$\pm$", "≤": r"$\leq$", "≥": r"$\geq$", "∝": r"$\propto$", "\N{PRIME}": "$'$"},
    **{"·": r"$\cdot$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "→": r"$\rightarrow$", "←": r"$\leftarrow$"},
    **{"\N{EN DASH}": "--", "—": "---", "…": r"\ldots{}", "†": r"$\dagger$", "Δ": r"$\Delta$", "π": r"$\pi$"},
    **{"“": "``", "”": "''"},
}


def escape_latex(text: str) -> str:
    """Return text as LaTeX that prints it."""
    return "".join(LATEX.get(sign, sign) for sign in text)


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool = False) -> str:
    """Return a table in Markdown, a line per row; with `numbers`, all columns but the first are aligned to the right."""
    rule = ["---", *["---:" if numbers else "---"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in (head, rule, *rows))


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")
