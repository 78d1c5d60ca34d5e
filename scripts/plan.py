"""Write the plans of the 7B studies into docs/running/scale.md, between its markers: python scripts/plan.py."""

import re
from pathlib import Path

from palimpsest.arguments import Parser
from palimpsest.planning import Plan, format_plan
from palimpsest.study.files import read_configs
from palimpsest.study.study import Study

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "running" / "scale.md"
STUDIES = ("tofu-forget05-llama2", "tofu-forget10-llama2", "muse-news", "wmdp-bio")
BEGIN, END = "<!-- plans: written by scripts/plan.py -->", "<!-- end of plans -->"


def plans() -> str:
    """Return the tables of all studies."""
    parts = []
    for name in STUDIES:
        config = read_configs([ROOT / "config" / "studies" / f"{name}.yaml"])
        if name == "wmdp-bio":  # Only users with access know its commit, which does not affect the numbers here.
            config["sources"]["wmdp-bio"]["gated_revision"] = "0" * 40
        parts.append(f"**{name}**\n\n{format_plan(Plan(Study(config)), 8, (80.0, 141.0))}")
    return "\n\n".join(parts)


def rewritten(page: str) -> str:
    """Return the page with the current plans."""
    return re.sub(f"{BEGIN}.*{END}", lambda _: f"{BEGIN}\n\n{plans()}\n\n{END}", page, flags=re.DOTALL)


if __name__ == "__main__":
    Parser(description=__doc__).parse_args()
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
