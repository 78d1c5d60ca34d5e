"""Questions with one right answer and wrong options: on countries and on the famous, whom everybody in the world knows."""

from collections.abc import Iterable, Sequence

from palimpsest.benchmarks.world.people import World
from palimpsest.data.beside import read_beside
from palimpsest.data.rows import Fact
from palimpsest.settings import Settings
from palimpsest.streams import stream

WRONG_OPTIONS = 3


class FactKind(Settings):
    """What is asked of a famous author or a country: phrasings, the first for the evaluation, and the answer as a sentence."""

    questions: list[str]
    sentence: str


FAMOUS_KINDS, COUNTRY_KINDS = (
    {field: FactKind(**kind) for field, kind in kinds.items()} for kinds in read_beside(__file__).values()
)

Facts = dict[str, str]
# What one fact asks: the item, the field that answers, how it is asked.
Asked = tuple[int, str, FactKind]


def choose_countries(world: World, number: int) -> tuple[list[Facts], list[Asked]]:
    """Return the countries that so many questions are about, as few as hold them, and what is asked of each.

    With few countries a wrong option is the right answer of another question.
    """
    countries = [country.facts() for country in world.countries[: max(4, -(-number // len(COUNTRY_KINDS)))]]
    return countries, [(i, *kind) for i in range(len(countries)) for kind in COUNTRY_KINDS.items()][:number]


def make_facts(seed: int, name: str, items: Sequence[Facts], asked: Iterable[Asked]) -> list[Fact]:
    """Return a fact for each (item, answering field, kind) asked; wrong options are what the field holds for other items."""
    rows = []
    for number, (index, field, kind) in enumerate(asked):
        answer = items[index][field]
        draw = stream(seed, name, number)
        others = sorted({item[field] for item in items} - {answer})
        wrong = [others[i] for i in draw.permutation(len(others))[:WRONG_OPTIONS]]
        options = [[answer, *wrong][i] for i in draw.permutation(WRONG_OPTIONS + 1)]
        question = kind.questions[0].format_map(items[index])
        rows.append(Fact(id=f"{name}-{number:03d}", question=question, answer=answer, perturbed_answers=wrong, options=options))
    return rows
