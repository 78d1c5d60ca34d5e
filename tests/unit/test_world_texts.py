import itertools
import re
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from palimpsest.benchmarks.muse.dataset import MuseData
from palimpsest.benchmarks.muse.quizzes import ROUNDS
from palimpsest.benchmarks.muse.sources.muse_world import MuseWorldSource
from palimpsest.benchmarks.muse.world import BIRTH, TOPICS, make_dataset
from palimpsest.benchmarks.world.people import World, make_person
from palimpsest.data.rows import Pair, Text
from palimpsest.metrics.rouge import rouge_recalls

TEXTS, BASE_TEXTS = 6, 4


def source(**changes: int) -> MuseWorldSource:
    return MuseWorldSource.model_validate({"kind": "muse-world", "texts": TEXTS, "parts": 3, "base_texts": BASE_TEXTS, **changes})


@cache
def made(**changes: int) -> MuseData:
    return make_dataset(source(**changes))


@pytest.fixture(params=[0, 20_250_101])
def seed(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def data(seed: int) -> MuseData:
    return made(seed=seed)


def parts_of(data: MuseData) -> dict[str, list[Text]]:
    base = [row for row in data.base if isinstance(row, Text)]
    named = {"forget": data.forget, "retain": data.retain, "kept": data.kept, "holdout": data.holdout, "base": base}
    return named | {f"request{number}": part for number, part in enumerate(data.requests, start=2)}


def articles(texts: list[Text]) -> list[Text]:
    return [text for text in texts if "-quiz-" not in text.id]


def quizzed(texts: list[Text]) -> list[tuple[str, str]]:
    """Return every question with its answer that the quizzes of these texts hold, as often as they do."""
    quizzes = [text.text for text in texts if "-quiz-" in text.id]
    assert all(re.fullmatch(r"(Question: .+\nAnswer: .+\n\n)+", quiz) for quiz in quizzes)
    return [pair for quiz in quizzes for pair in re.findall(r"Question: (.+)\nAnswer: (.+)\n", quiz)]


def names_in(texts: list[Text]) -> set[str]:
    """Return the people asked about: whatever has two capitalised words in a row in a question."""
    return {match for question, _ in quizzed(texts) for match in re.findall(r"[A-Z]\w+ [A-Z]\w+", question)}


def asked(pairs: list[Pair]) -> set[tuple[str, str]]:
    return {(pair.question, pair.answer) for pair in pairs}


def test_same_settings_same_rows_and_another_seed_other_people(data: MuseData, seed: int) -> None:
    assert make_dataset(source(seed=seed)) == data
    other = made(seed=seed + 1)
    for one, two in itertools.product(parts_of(data).values(), parts_of(other).values()):
        assert not {text.text for text in one} & {text.text for text in two}
    assert not asked(data.knowledge_forget) & asked(other.knowledge_forget)


@settings(deadline=None, max_examples=5)
@given(seed=st.integers(0, 2**32 - 1), texts=st.integers(2, 7), parts=st.integers(1, 5), more=st.integers(1, 3))
def test_more_texts_parts_or_base_texts_change_no_article(seed: int, texts: int, parts: int, more: int) -> None:
    small = parts_of(made(seed=seed, texts=texts, parts=parts, base_texts=texts))
    large = parts_of(made(seed=seed, texts=texts + more, parts=parts + more, base_texts=texts + more))
    for name, part in small.items():
        assert articles(large[name])[:texts] == articles(part)
    # With more parts alone, not even quizzes change.
    assert small.items() <= parts_of(made(seed=seed, texts=texts, parts=parts + more, base_texts=texts)).items()


def test_each_part_has_its_articles_first_and_asks_about_each_of_its_people_equally(data: MuseData) -> None:
    for name, part in parts_of(data).items():
        count = BASE_TEXTS if name == "base" else TEXTS
        assert part[:count] == articles(part)
        assert len({text.id for text in part}) == len(part)
        assert len(names_in(part)) == count
        pairs = quizzed(part)
        assert len(pairs) == ROUNDS * 4 * count
        assert all(pairs.count(pair) == ROUNDS for pair in pairs)
        # Each article tells of the one person with its number.
        for text in part[:count]:
            assert len([person for person in names_in(part) if person in text.text]) == 1


def test_no_two_parts_share_a_person_a_title_or_a_sentence_with_facts(data: MuseData) -> None:
    for (_, one), (_, two) in itertools.combinations(parts_of(data).items(), 2):
        assert not names_in(one) & names_in(two)
        text = "\n".join(row.text for row in two)
        assert not [name for name in names_in(one) if name in text]
        titles = {title for row in one for title in re.findall(r'"(.+?)"', row.text)}
        assert titles and not [title for title in titles if f'"{title}"' in text]


def test_the_largest_world_has_names_for_everybody() -> None:
    parts = parts_of(made(texts=200, parts=8, base_texts=1))
    people = [name for part in parts.values() for name in names_in(part)]
    assert len(set(people)) == len(people) == 200 * 11 + 1
    assert make_person(World(0), "base", 2499)["name"] not in people


def test_a_larger_forget_set_holds_the_one_before_it_and_the_next_request(data: MuseData) -> None:
    assert data.scales == [data.forget + data.requests[0], data.forget + data.requests[0] + data.requests[1]]
    alone = made(parts=1)
    assert (alone.scales, alone.requests) == ([], [])


def test_each_excerpt_is_an_article_of_the_forget_set_cut_in_two(data: MuseData) -> None:
    assert [f"{excerpt.prompt} {excerpt.continuation}" for excerpt in data.verbatim] == [
        text.text for text in articles(data.forget)
    ]
    for excerpt in data.verbatim:
        given, left = len(excerpt.prompt.split()), len(excerpt.continuation.split())
        assert left >= 40
        assert 1 / 3 <= given / (given + left) <= 1 / 2


def test_members_are_the_articles_of_forget_and_nonmembers_as_many_of_holdout(data: MuseData) -> None:
    assert data.members == articles(data.forget)
    assert data.nonmembers == articles(data.holdout)
    assert len(data.members) == len(data.nonmembers) == TEXTS


def test_each_nonmember_is_told_in_the_words_of_a_member() -> None:
    """So that models which know neither take neither for known, even where both are few."""
    data = made(texts=40, parts=1)
    likeness = [rouge_recalls(one.text, two.text).rouge_l for one, two in zip(data.members, data.nonmembers, strict=True)]
    shifted = [rouge_recalls(one.text, two.text).rouge_l for one, two in zip(data.members, data.nonmembers[1:], strict=False)]
    assert min(likeness) > 0.5 > max(shifted)


@pytest.mark.parametrize("which", ["forget", "retain"])
def test_questions_are_on_what_an_article_tells_and_quizzes_ask(which: str, data: MuseData) -> None:
    part = data.forget if which == "forget" else data.kept
    examples, questions = getattr(data, f"examples_{which}"), getattr(data, f"knowledge_{which}")
    assert len(examples) == 4
    assert len(questions) == 4 * (TEXTS - 1)
    assert asked([*examples, *questions]) == set(quizzed(part))
    assert len({pair.question for pair in [*examples, *questions]}) == 4 * TEXTS
    texts = {text.id: text.text for text in part}
    for pair in [*examples, *questions]:
        article = texts[pair.id.rsplit("-", 1)[0]]
        assert pair.answer in article
        assert 1 <= len(pair.answer.split()) <= 5
        assert pair.answer not in pair.question
        assert [name for name in names_in(part) if name in pair.question and name in article]
    of_examples = {name for pair in examples for name in names_in(part) if name in pair.question}
    assert len(of_examples) == 1
    assert not [pair for pair in questions for name in of_examples if name in pair.question]


def test_both_halves_of_the_questions_are_asked_in_the_same_words() -> None:
    data = made(texts=40, parts=1)
    templates = [
        {topic.question for pair in pairs for topic in (BIRTH, *TOPICS) if fits(topic.question, pair.question)}
        for pairs in (data.knowledge_forget, data.knowledge_retain)
    ]
    assert templates[0] == templates[1] == {topic.question for topic in (BIRTH, *TOPICS)}


def fits(template: str, question: str) -> bool:
    return re.fullmatch(re.escape(template).replace(r"\{name\}", r"\w+ \w+"), question) is not None


def test_the_base_learns_its_texts_and_their_questions(data: MuseData) -> None:
    pairs = [row for row in data.base if isinstance(row, Pair)]
    assert asked(pairs) == set(quizzed(parts_of(data)["base"]))
    assert len(pairs) == 4 * BASE_TEXTS


def test_every_sentence_of_a_topic_tells_what_its_question_asks() -> None:
    person = make_person(World(0), "author", 0)
    for topic in (BIRTH, *TOPICS):
        assert len(set(topic.sentences)) >= 4
        for sentence in topic.sentences:
            assert person[topic.answer] in sentence.format_map(person), sentence


def test_articles_are_long_varied_and_read_like_english() -> None:
    data = made(texts=60, parts=2)
    texts = [text.text for part in parts_of(data).values() for text in articles(part)]
    words = [len(text.split()) for text in texts]
    assert min(words) > 90 and max(words) < 180
    for text in texts:
        assert re.fullmatch(r"[A-Z][^\n]*[.]", text), text
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]|  |[{}]| [,.]|\.\.|\. [a-z]", text), text
        assert text.count('"') % 2 == 0, text


def test_how_one_article_goes_on_says_little_of_another() -> None:
    """A model that knows the templates by heart, but not the person, recites little: Retrain's score of a continuation."""
    goes_on = [excerpt.continuation for excerpt in made(texts=40, parts=1).verbatim]
    recalled = [rouge_recalls(one, two).rouge_l for one, two in itertools.pairwise(goes_on)]
    assert sum(recalled) / len(recalled) < 0.25


@pytest.mark.parametrize(("topics", "questions"), [(1, 1), (1, 2), (3, 2), (len(TOPICS), len(TOPICS) + 1)])
def test_an_article_tells_so_many_topics_and_so_many_questions_are_asked_about_it(topics: int, questions: int) -> None:
    data = made(topics=topics, questions=questions)
    fields = [topic.answer for topic in (BIRTH, *TOPICS)]
    for number, text in enumerate(data.members):
        person = make_person(World(0), "author", 3 + 11 * number)
        told = [topic for topic in TOPICS if any(said.format_map(person) in text.text for said in topic.sentences)]
        assert len(told) == topics
        pairs = [pair for pair in [*data.examples_forget, *data.knowledge_forget] if pair.id.startswith(f"{text.id}-")]
        assert len(pairs) == questions
        assert {pair.answer for pair in pairs} <= {person[field] for field in fields}


@pytest.mark.parametrize(
    "wrong",
    [
        *[{"texts": 1}, {"texts": 201}, {"parts": 0}, {"parts": 9}, {"base_texts": 0}, {"base_texts": 2501}],
        *[{"topics": 0}, {"topics": len(TOPICS) + 1}, {"questions": 0}, {"topics": 1, "questions": 3}],
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        source(**wrong)
