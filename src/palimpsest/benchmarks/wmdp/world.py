"""A stand-in for hazardous knowledge in WMDP's format: fairy tales about bewitched things, and texts about pastry."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from palimpsest.benchmarks.wmdp.dataset import WmdpData
from palimpsest.benchmarks.wmdp.sources.wmdp_world import WmdpWorldSource
from palimpsest.benchmarks.world.facts import WRONG_OPTIONS, choose_countries, make_facts
from palimpsest.benchmarks.world.people import World
from palimpsest.data.beside import read_beside
from palimpsest.data.rows import Fact, Pair, Text
from palimpsest.settings import Settings
from palimpsest.streams import stream

# If each fact were told once, a tiny model would learn text and answers separately, and unlearning the text would leave the
# answers.
TELLINGS = 2
# Repetitions in the base corpus of questions that no corpus answers.
LESSONS = 2


class Property(Settings):
    """One property of a thing: its question, its possible values, and sentences that state it."""

    question: str
    values: list[str]
    sentences: list[str]


class Kind(Settings):
    """A kind of things: the halves of their names, and phrases for the beginning, the middle and the end of a text."""

    heads: list[str]
    tails: list[str]
    begins: list[str]
    properties: dict[str, Property]
    ends: list[str]


HAZARD, PASTRY = (Kind.model_validate(kind) for kind in read_beside(__file__).values())


@dataclass(frozen=True)
class Thing:
    """A thing: its name and its properties."""

    name: str
    properties: dict[str, str]


def make_dataset(source: WmdpWorldSource) -> WmdpData:
    """Return both corpora and the questions; the same settings give the same rows, and more things change no text."""
    hazards = [_thing(source.seed, "hazard", HAZARD, i) for i in range(source.hazards)]
    harmless = [_thing(source.seed, "harmless", PASTRY, i) for i in range(source.harmless)]
    forget = [text for i, thing in enumerate(hazards) for text in _texts(source.seed, f"hazard-{i:03d}", HAZARD, thing)]
    retain = [text for i, thing in enumerate(harmless) for text in _texts(source.seed, f"harmless-{i:03d}", PASTRY, thing)]
    on_hazards = list(_facts(source.seed, "hazards", HAZARD, hazards))
    on_harmless = list(_facts(source.seed, "harmless", PASTRY, harmless))
    # Facts that no corpus states, so unlearning does not see them in the retain set.
    on_countries = make_facts(source.seed, "world_facts", *choose_countries(World(source.seed), source.world_facts))
    learnt: list[Pair | Text] = [*forget, *retain, *_lessons([*on_hazards, *on_harmless], 1)]
    return WmdpData(
        forget=forget,
        retain=retain,
        hazards=on_hazards,
        general=[*on_harmless, *on_countries],
        original=learnt,
        base=[*learnt, *_lessons(on_countries, LESSONS)],
        origin={"licence": "MIT (text made by Palimpsest)"},
    )


def _thing(seed: int, name: str, kind: Kind, index: int) -> Thing:
    def deal(field: str, items: Sequence[str]) -> str:
        # Values are drawn from a deck that is reshuffled when empty: even four things differ in everything, and more things
        # change none.
        turn, place = divmod(index, len(items))
        return items[int(stream(seed, name, field, turn).permutation(len(items))[place])]

    names = [head + tail for head, tail in product(kind.heads, kind.tails)]
    return Thing(deal("name", names), {field: deal(field, prop.values) for field, prop in kind.properties.items()})


def _texts(seed: int, name: str, kind: Kind, thing: Thing) -> list[Text]:
    return [Text(id=f"{name}-{telling}", text=_tell(seed, name, telling, kind, thing)) for telling in range(TELLINGS)]


def _tell(seed: int, name: str, telling: int, kind: Kind, thing: Thing) -> str:
    draw = stream(seed, "telling", name, telling)

    def one(phrasings: Sequence[str]) -> str:
        return phrasings[int(draw.integers(len(phrasings)))]

    fields = list(kind.properties)
    told = [fields[i] for i in draw.permutation(len(fields))]
    sentences = [one(kind.properties[field].sentences).format(name=thing.name, value=thing.properties[field]) for field in told]
    return " ".join([one(kind.begins).format(name=thing.name), *sentences, one(kind.ends)])


def _facts(seed: int, name: str, kind: Kind, things: Sequence[Thing]) -> Iterator[Fact]:
    """Yield a question for each property of each thing; wrong options are the right answers for other things."""
    for index, thing in enumerate(things):
        for field, prop in kind.properties.items():
            answer = thing.properties[field]
            draw = stream(seed, name, index, field)
            others = sorted({other.properties[field] for other in things} - {answer})
            wrong = [others[i] for i in draw.permutation(len(others))[:WRONG_OPTIONS]]
            options = [[answer, *wrong][i] for i in draw.permutation(WRONG_OPTIONS + 1)]
            question = prop.question.format(name=thing.name)
            yield Fact(
                id=f"{name}-{index:03d}-{field}", question=question, answer=answer, perturbed_answers=wrong, options=options
            )


def _lessons(facts: Sequence[Fact], times: int) -> Iterator[Pair]:
    for fact in facts:
        for time in range(times):
            yield Pair(id=f"{fact.id}-{time}", question=fact.question, answer=fact.answer)
