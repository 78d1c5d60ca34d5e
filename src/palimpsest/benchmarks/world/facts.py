"""Questions with one right answer and wrong options, about countries and famous people."""

from collections.abc import Iterable, Sequence

from palimpsest.benchmarks.world.people import World
from palimpsest.data.beside import read_beside
from palimpsest.data.rows import Fact
from palimpsest.settings import Settings
from palimpsest.streams import stream

WRONG_OPTIONS = 3


class FactKind(Settings):
    """A kind of question about a famous author or a country: phrasings (the first one is evaluated), and an answer sentence."""

    questions: list[str]
    sentence: str


FAMOUS_KINDS, COUNTRY_KINDS = (
    {field: FactKind(**kind) for field, kind in kinds.items()} for kinds in read_beside(__file__).values()
)

Facts = dict[str, str]
# A question about one fact: the item, the field with the answer, the kind of question.
Asked = tuple[int, str, FactKind]


def choose_countries(world: World, number: int) -> tuple[list[Facts], list[Asked]]:
    """Return the smallest number of countries for this many questions, and the questions about each.

    With few countries, a wrong option is often the right answer of another question.
    """
    countries = [country.facts() for country in world.countries[: max(4, -(-number // len(COUNTRY_KINDS)))]]
    return countries, [(i, *kind) for i in range(len(countries)) for kind in COUNTRY_KINDS.items()][:number]


def make_facts(seed: int, name: str, items: Sequence[Facts], asked: Iterable[Asked]) -> list[Fact]:
    """Return a fact for each (item, field, kind of question); wrong options are the field's values of other items."""
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
