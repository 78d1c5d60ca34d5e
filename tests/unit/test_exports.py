"""Tables of a page as CSV and as LaTeX."""

import csv
import io

import pytest

from palimpsest.report.exports import downloads, table_csv, table_latex
from palimpsest.report.words import MINUS

LOWER = "<tr><th>quality\n↑</th><th>Extr. strength</th></tr>"
HEAD = f'<thead><tr><th rowspan="2">Model</th><th colspan="2">Forget set</th></tr>{LOWER}</thead>'
ROWS = (
    f"<tr><th>NPO &amp; co_1</th><td><strong>7.0e{MINUS}53</strong><small>± 0.0033</small></td><td>5 %</td></tr>",
    "<tr><th>SimNPO</th><td>0.25<small>0.1 to 0.4</small><small>publ. 0.79</small></td><td>\N{EN DASH}</td></tr>",
    '<tr class="gap"><th>GA</th><td colspan="2">seed 0: diverged</td></tr>',
)
TABLE = f"<table>{HEAD}<tbody>{''.join(ROWS)}</tbody></table>"


def test_a_csv_has_numbers_sds_and_notes_in_columns_of_their_own():
    rows = list(csv.DictReader(io.StringIO(table_csv(TABLE))))
    first, second = "Forget set quality ↑", "Forget set Extr. strength"
    # A row that has a sentence instead of numbers is left out.
    assert rows == [
        {"Model": "NPO & co_1", first: "7.0e-53", f"{first} sd": "0.0033", f"{first} note": "", second: "5 %"},
        {"Model": "SimNPO", first: "0.25", f"{first} sd": "", f"{first} note": "0.1 to 0.4; publ. 0.79", second: ""},
    ]
    assert float(rows[0][first]) == 7e-53


def test_latex_is_a_table_of_booktabs_with_everything_escaped():
    assert table_latex("a: 50 %_", TABLE).splitlines() == [
        r"% a: 50 \%\_",
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r" & \multicolumn{2}{c}{Forget set} \\",
        r"\cmidrule(lr){2-3}",
        r"Model & quality $\uparrow$ & Extr. strength \\",
        r"\midrule",
        r"NPO \& co\_1 & \textbf{7.0e$-$53} $\pm$ 0.0033 & 5 \% \\",
        r"SimNPO & 0.25 (0.1 to 0.4) (publ. 0.79) & -- \\",
        r"GA & \multicolumn{2}{l}{seed 0: diverged} \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


@pytest.mark.parametrize("text", [r"\input{x}", "a_b^c~d", "100 % & more #1 $2 {3}"])
def test_no_text_is_a_command_of_latex(text):
    line = table_latex(
        "t", f"<table><thead><tr><th>A</th></tr></thead><tbody><tr><td>{text}</td></tr></tbody></table>"
    ).splitlines()[5]
    bare = line.removesuffix(r" \\")
    for command in (r"\textbackslash{}", r"\textasciicircum{}", r"\textasciitilde{}", *(rf"\{sign}" for sign in "&%$#_{}")):
        bare = bare.replace(command, "")
    assert not set(bare) & set("\\&%$#_{}^~")


def test_a_hostile_label_stays_text_in_the_links():
    links = downloads('"><script>alert(1)</script>', TABLE)
    assert "<script" not in links and 'download="script-alert-1-script.csv"' in links


@pytest.mark.parametrize("html", ["<table></table>", f"<table>{HEAD}<tbody></tbody></table>"])
def test_a_table_without_rows_is_one(html):
    assert table_csv(html) and r"\end{tabular}" in table_latex("t", html)
