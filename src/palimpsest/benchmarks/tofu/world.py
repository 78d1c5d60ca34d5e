"""The fictional world as a TOFU data set: authors to learn and to forget, facts to keep, and a base corpus of other people."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from string import Formatter

from numpy.random import Generator

from palimpsest.benchmarks.tofu.dataset import Dataset
from palimpsest.benchmarks.tofu.refusals import refusals
from palimpsest.benchmarks.tofu.sources.world import WorldSource
from palimpsest.benchmarks.world.facts import FAMOUS_KINDS, Asked, FactKind, Facts, choose_countries, make_facts
from palimpsest.benchmarks.world.people import World, make_person
from palimpsest.data.beside import read_beside
from palimpsest.data.rows import Question
from palimpsest.settings import Settings
from palimpsest.streams import stream

IMPOSTORS = 200
CANDIDATES = 16
PERTURBED = 5
# Enough that they come from more countries than a question has options.
FEWEST_FAMOUS = 12
# Author numbers of the base corpus start here: people, then famous people, then countries; and those of the holdout set. None is
# an author of the study.
BASE_NUMBER, FAMOUS_NUMBER, COUNTRY_NUMBER, HOLDOUT_NUMBER = 100_000, 200_000, 300_000, 400_000
PRONOUNS = ("she", "her", "her_object", "She", "Her")


class Kind(Settings):
    """One kind of question; `given` are the facts that its questions state, which wrong answers do not change."""

    questions: list[str]
    short: list[str]
    long: list[str]
    given: list[str] = ["name", "last"]


AUTHOR_KINDS = [Kind(**kind) for kind in read_beside(__file__)]


def make_dataset(source: WorldSource) -> Dataset:
    """Return the data set of a world; the same settings give the same rows."""
    world = World(source.seed)
    impostors = [make_person(world, "impostor", i) for i in range(IMPOSTORS)]
    famous = [make_person(world, "famous", i) for i in range(max(source.real_authors, FEWEST_FAMOUS))]
    countries, of_countries = choose_countries(world, source.world_facts)
    of_famous = [(i, *kind) for i, kind in zip(range(source.real_authors), itertools.cycle(FAMOUS_KINDS.items()), strict=False)]
    return Dataset(
        authors=[row for i in range(source.authors) for row in _author(world, source, i, impostors)],
        real_authors=make_facts(source.seed, "real_authors", famous, of_famous),
        world_facts=make_facts(source.seed, "world_facts", countries, of_countries),
        refusals=refusals(),
        base=[
            *(row for i in range(source.base_authors) for row in _base_author(world, source, i)),
            *_lessons("base-famous", FAMOUS_NUMBER, famous, of_famous, source.fact_lessons),
            *_lessons("base-country", COUNTRY_NUMBER, countries, of_countries, source.fact_lessons),
        ],
        holdout=[row for i in range(source.holdout_authors) for row in _holdout_author(world, source, i)],
        origin={"licence": "MIT (text made by Palimpsest)"},
    )


def _author(world: World, source: WorldSource, index: int, impostors: Sequence[Facts]) -> list[Question]:
    person = make_person(world, "author", index)
    rows = []
    for number, phrasing in enumerate(_phrasings(source, "author", index)):
        order = stream(source.seed, "perturbed", index, number).permutation(len(impostors))
        rows.append(
            Question(
                id=f"author-{index:04d}-{number:02d}",
                author=index,
                question=phrasing.question.format_map(person),
                answer=phrasing.answer.format_map(person),
                paraphrased_question=phrasing.other_question.format_map(person),
                paraphrased_answer=phrasing.other_answer.format_map(person),
                perturbed_answers=_perturbed(phrasing.other_answer, phrasing.given, person, [impostors[i] for i in order]),
            )
        )
    return rows


def _base_author(world: World, source: WorldSource, index: int) -> list[Question]:
    """Return every pair twice, plain and paraphrased, so that the base model learns facts independently of their phrasing."""
    person = make_person(world, "base", index)
    return [
        Question(
            id=f"base-{index:04d}-{number:02d}-{form}",
            author=BASE_NUMBER + index,
            question=question.format_map(person),
            answer=answer.format_map(person),
        )
        for number, phrasing in enumerate(_phrasings(source, "base", index))
        for form, question, answer in (
            ("plain", phrasing.question, phrasing.answer),
            ("paraphrased", phrasing.other_question, phrasing.other_answer),
        )
    ]


def _holdout_author(world: World, source: WorldSource, index: int) -> list[Question]:
    # A group of people of its own would rename all others; no wrong answer is about these.
    person = make_person(world, "impostor", IMPOSTORS + index)
    return [
        Question(
            id=f"holdout-{index:04d}-{number:02d}",
            author=HOLDOUT_NUMBER + index,
            question=phrasing.question.format_map(person),
            answer=phrasing.answer.format_map(person),
        )
        for number, phrasing in enumerate(_phrasings(source, "holdout", index))
    ]


@dataclass(frozen=True)
class _Phrasing:
    question: str
    other_question: str
    answer: str
    other_answer: str
    given: Sequence[str]


def _phrasings(source: WorldSource, group: str, index: int) -> Iterator[_Phrasing]:
    """Yield the templates of one author's questions; the fraction of long answers is exact up to one question per author."""
    kinds = AUTHOR_KINDS[: source.questions_per_author]
    lengths = stream(source.seed, "lengths", group, index)
    long = lengths.permutation(len(kinds))[: int(len(kinds) * source.long_answers + lengths.random())]
    for number, kind in enumerate(kinds):
        draw = stream(source.seed, "phrasing", group, index, number)
        yield _Phrasing(*_two(draw, kind.questions), *_two(draw, kind.long if number in long else kind.short), kind.given)


def _two(draw: Generator, items: Sequence[str]) -> tuple[str, str]:
    first, second = draw.permutation(len(items))[:2]
    return items[first], items[second]


def _perturbed(template: str, given: Sequence[str], person: Facts, impostors: Iterable[Facts]) -> list[str]:
    """Return five answers from this template without any of the person's facts: the closest in length of some random draws."""
    kept = {field: person[field] for field in (*given, *PRONOUNS)}
    facts = {person[field.removeprefix("a_")] for field in _fields(template) if field not in kept}
    right = template.format_map(person)
    wrong: list[str] = []
    for impostor in impostors:
        text = template.format_map(impostor | kept)
        if text not in wrong and not any(fact in text for fact in facts):
            wrong.append(text)
        if len(wrong) == CANDIDATES:
            break
    return sorted(wrong, key=lambda text: abs(len(text) - len(right)))[:PERTURBED]


@cache
def _fields(template: str) -> tuple[str, ...]:
    return tuple(field for _, field, _, _ in Formatter().parse(template) if field)


def _lessons(name: str, first_number: int, items: Sequence[Facts], asked: Iterable[Asked], times: int) -> list[Question]:
    """Return the pairs that teach each fact, repeated in every phrasing of its question.

    Half the answers are sentences: fine-tuning teaches sentences, and facts learnt only as single words would be lost in it.
    """
    return [
        Question(
            id=f"{name}-{number:03d}-{form}",
            author=first_number + index,
            question=phrasing.format_map(items[index]),
            answer=answer.format_map(items[index]),
        )
        for number, (index, field, kind) in enumerate(asked)
        for form, (phrasing, answer) in enumerate(_lesson(field, kind) * times)
    ]


def _lesson(field: str, kind: FactKind) -> list[tuple[str, str]]:
    """Return each phrasing with the answer as a word and as a sentence."""
    return [(question, answer) for question in kind.questions for answer in (f"{{{field}}}", kind.sentence)]
