"""All files that `python -m palimpsest.study write` makes from the code and from `config.yaml`."""

from palimpsest.cli import make_parser
from palimpsest.report.claims_page import CLAIMS, claims_text
from palimpsest.study.budget import PAGE as BUDGET
from palimpsest.study.budget import budget_text
from palimpsest.study.commands_page import PAGE as COMMANDS
from palimpsest.study.commands_page import commands_text
from palimpsest.study.docs import REFERENCE, SCHEMA, reference_text, schema_text
from palimpsest.study.field_numbers import PAGE as FIELD_NUMBERS
from palimpsest.study.field_numbers import field_numbers_text
from palimpsest.study.files_page import PAGE as FILES
from palimpsest.study.files_page import files_text
from palimpsest.study.method_pages import method_pages
from palimpsest.study.metrics_page import PAGE as METRICS
from palimpsest.study.metrics_page import metrics_text
from palimpsest.study.places import BASE, DEPLOYED


def written() -> dict[str, str]:
    """Return the text of each file by its path in the repository; to be called in the repository's root."""
    return {
        SCHEMA: schema_text(),
        REFERENCE: reference_text(),
        BUDGET: budget_text(),
        CLAIMS: claims_text(),
        FIELD_NUMBERS: field_numbers_text(),
        METRICS: metrics_text(),
        FILES: files_text(),
        COMMANDS: commands_text(make_parser()),
        # snakedeploy copies the folder config alone.
        str(DEPLOYED): BASE.read_text(encoding="utf-8"),
        **method_pages(),
    }
