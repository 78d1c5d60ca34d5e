"""The page `docs/claims.md`: every claim of the paper with its place, its numbers and its test."""

from palimpsest.markup import markdown_table
from palimpsest.report.claims import RULE, Claim
from palimpsest.report.names import method_name
from palimpsest.report.question import Question
from palimpsest.report.questions import all_questions

CLAIMS = "docs/claims.md"
HEAD = f"""# The claims of the paper

Made by `python -m palimpsest.study write`; a test compares it with the code. The paper is *Simplicity Prevails* (2410.07163).
Each section is a page of the report, with a verdict on each claim in each block of a study that has the numbers. The last column
says what a seed must show. Names in `code` are metrics of `summary.csv` or columns of the page's CSV.

{RULE}
"""


def claims_text() -> str:
    """Return the page: a table per question that has claims."""
    return HEAD + "".join(_section(question) for question in all_questions() if question.claims)


def _section(question: Question) -> str:
    rows = [(claim.text, claim.source, claim.printed_words, how_tested(claim)) for claim in question.claims]
    return f"\n## {question.title}\n\n{markdown_table(('claim', 'place', 'printed', 'test'), rows)}\n"


def how_tested(claim: Claim) -> str:
    """Return what a seed must show: the docstring of the claim's measure, or which method has the greater value."""
    if claim.measure:
        return str(claim.measure.__doc__)
    what = (claim.value.__doc__ if claim.value else None) or f"`{claim.metric}`"
    return f"{what.removesuffix('.')}: {method_name(claim.greater)}'s is above {method_name(claim.than)}'s."
