"""The page `docs/field-numbers.md`: the published numbers of the defaults, with their sources and settings."""

from palimpsest.markup import markdown_table
from palimpsest.report.names import method_name
from palimpsest.study.files import read_file
from palimpsest.study.models import Published
from palimpsest.study.places import DEFAULTS

PAGE = "docs/field-numbers.md"
HEAD = f"""# The field's numbers

Made by `python -m palimpsest.study write` from `published` in `src/palimpsest/study/{DEFAULTS.name}`; a test compares them.
The report prints these numbers next to a study's own where benchmark, split and model are the same. Single runs unless
said. The originals are L = `locuslab/tofu_ft_llama2-7b`, O = `OPTML-Group/TOFU-origin-Llama-2-7b-chat` and U =
`open-unlearning/tofu_MODEL_full`, with the Retrains `open-unlearning/tofu_MODEL_retain90`, `retain95` and `retain99`.
Weights are forget / retain.

## Reading

- Nobody's training of SimNPO is reported above a forget quality of 0.030 on TOFU's forget05 and forget10 with
  LLaMA-2-7B; the authors' own checkpoint gives 0.793. NPO's 0.79 was reached, with a 1B model at a learning rate of
  2e-5.
- The term that the small weight multiplies changes forget quality by four orders of magnitude (4.4e-8 and 9.7e-4),
  and the original by another 30 times (9.7e-4 and 0.030). With 0.1375 on the forget loss, SimNPO forgets too little.
- The learning rate moves both methods more than beta does; 1e-5 is too low for 1B to 3B.
- Seeds of one setting span 1.5 to 4 orders of magnitude in forget quality, so the forget quality of one seed says
  nothing. Six runs of SimNPO with Llama-3.2-1B (loganriggs/memorization: three seeds, forget weight 0.125 and 1,
  learning rate 1e-5) are all below 1e-6 at a utility of 0.589 to 0.600.
- Untested in public: the paper's grid, the best epoch, its five trials, and the fixed pairs of forget and retain
  items of the official code. The study [simnpo-puzzle-7b](../config/studies/simnpo-puzzle-7b.yaml) varies them.
"""


def field_numbers_text() -> str:
    """Return the page: a table per benchmark, split and model."""
    published = read_file(DEFAULTS)["published"]
    sections = (_section(place, [Published.model_validate(source) for source in sources]) for place, sources in published.items())
    return HEAD + "".join(sections)


def _section(place: str, sources: list[Published]) -> str:
    metrics = list(dict.fromkeys(metric for of in sources for values in of.scores.values() for metric in values))
    heads = ["source", "settings", "model", *(f"`{metric}`" for metric in metrics)]
    rows = [
        [
            of.source,
            of.settings or "-",
            method_name(method),
            *(f"{values[each]:g}" if each in values else "-" for each in metrics),
        ]
        for of in sources
        for method, values in of.scores.items()
    ]
    return f"\n## {place}\n\n{markdown_table(heads, rows)}\n"
