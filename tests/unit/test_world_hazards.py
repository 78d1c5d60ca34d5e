import itertools
import re
from collections import Counter
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from palimpsest.benchmarks.wmdp.dataset import WmdpData
from palimpsest.benchmarks.wmdp.sources.wmdp_world import WmdpWorldSource
from palimpsest.benchmarks.wmdp.world import HAZARD, PASTRY, Kind, make_dataset
from palimpsest.data.rows import Fact, Pair, Text

KINDS = {"hazard": HAZARD, "harmless": PASTRY}
QUESTIONS, TELLINGS = 6, 2
SMALL = {"hazards": 9, "harmless": 7, "world_facts": 13}


def source(**changes: int) -> WmdpWorldSource:
    return WmdpWorldSource.model_validate({"kind": "wmdp-world", **changes})


@cache
def made(**changes: int) -> WmdpData:
    return make_dataset(source(**changes))


@pytest.fixture(params=[0, 20_250_101])
def seed(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def data(seed: int) -> WmdpData:
    return made(seed=seed, **SMALL)


def on_things(data: WmdpData) -> list[tuple[Fact, list[Text], Kind]]:
    """Return each question on a thing of either corpus, with that thing's texts."""
    return [
        (fact, [text for text in texts if text.id.startswith(f"{kind}-{fact.id.split('-')[1]}-")], KINDS[kind])
        for kind, facts, texts in (("hazard", data.hazards, data.forget), ("harmless", data.general, data.retain))
        for fact in facts
        if not fact.id.startswith("world_facts")
    ]


def test_same_settings_same_rows_and_another_seed_others(data: WmdpData, seed: int) -> None:
    assert make_dataset(source(seed=seed, **SMALL)) == data
    other = made(seed=seed + 1, **SMALL)
    for one, two in ((data.forget, other.forget), (data.retain, other.retain)):
        assert not {text.text for text in one} & {text.text for text in two}
    assert [fact.answer for fact in data.hazards] != [fact.answer for fact in other.hazards]


@settings(deadline=None, max_examples=5)
@given(seed=st.integers(0, 2**32 - 1), hazards=st.integers(4, 25), harmless=st.integers(4, 25), more=st.integers(1, 12))
def test_more_things_change_no_text_and_no_answer(seed: int, hazards: int, harmless: int, more: int) -> None:
    small = made(seed=seed, hazards=hazards, harmless=harmless)
    large = made(seed=seed, hazards=hazards + more, harmless=harmless)
    assert large.forget[: len(small.forget)] == small.forget
    assert (large.retain, large.general) == (small.retain, small.general)
    for few, many in zip(small.hazards, large.hazards, strict=False):
        assert (few.id, few.question, few.answer) == (many.id, many.question, many.answer)


@settings(deadline=None, max_examples=5)
@given(
    seed=st.integers(0, 2**32 - 1),
    hazards=st.integers(4, 60),
    harmless=st.integers(4, 60),
    world_facts=st.sampled_from([4, 13, 240]),
)
def test_options_are_the_answer_and_right_answers_of_others(seed: int, hazards: int, harmless: int, world_facts: int) -> None:
    data = made(seed=seed, hazards=hazards, harmless=harmless, world_facts=world_facts)
    assert len(data.hazards) == QUESTIONS * hazards
    assert len(data.general) == QUESTIONS * harmless + world_facts
    for facts in (data.hazards, data.general):
        assert len({fact.id for fact in facts}) == len({fact.question for fact in facts}) == len(facts)
        for fact in facts:
            assert len(set(fact.options)) == 4
            assert sorted(fact.options) == sorted([fact.answer, *fact.perturbed_answers])
    # Of one property, every option is right somewhere: a model that only knows what is ever right is at chance.
    for _, group in itertools.groupby(sorted(data.hazards, key=field), key=field):
        of_property = list(group)
        assert {option for fact in of_property for option in fact.options} <= {fact.answer for fact in of_property}


def field(fact: Fact) -> str:
    return fact.id.split("-")[2]


def test_the_place_of_the_answer_says_nothing() -> None:
    data = made(hazards=100, harmless=100, world_facts=240)
    for facts in (data.hazards, data.general):
        places = Counter(fact.options.index(fact.answer) for fact in facts)
        # Four standard deviations of a fair draw.
        spread = 4 * (len(facts) * 0.25 * 0.75) ** 0.5
        assert all(abs(places[place] - len(facts) / 4) < spread for place in range(4))


def test_every_answer_is_told_in_each_text_of_its_thing_and_in_no_question(data: WmdpData) -> None:
    asked = on_things(data)
    assert len(asked) == QUESTIONS * (9 + 7)
    for fact, texts, _ in asked:
        assert len(texts) == TELLINGS
        assert len({text.text for text in texts}) == TELLINGS
        for text in texts:
            assert fact.answer in text.text
            assert not [wrong for wrong in fact.perturbed_answers if wrong in text.text and wrong not in fact.answer]
        assert fact.answer not in fact.question


def test_every_text_is_of_one_thing_and_the_two_corpora_share_none(data: WmdpData) -> None:
    names = {kind: {head + tail for head, tail in itertools.product(KINDS[kind].heads, KINDS[kind].tails)} for kind in KINDS}
    assert not names["hazard"] & names["harmless"]
    told = {}
    for kind, texts in (("hazard", data.forget), ("harmless", data.retain)):
        named = [
            {word for word in re.findall(r"[a-z]+", text.text) if word in names["hazard"] | names["harmless"]} for text in texts
        ]
        assert all(len(found) == 1 and found <= names[kind] for found in named)
        told[kind] = {word for found in named for word in found}
    assert (len(told["hazard"]), len(told["harmless"])) == (9, 7)
    values = [{value for prop in kind.properties.values() for value in prop.values} for kind in KINDS.values()]
    assert not values[0] & values[1]


def test_the_base_has_read_both_corpora_and_been_asked_everything(data: WmdpData) -> None:
    texts = [row for row in data.base if isinstance(row, Text)]
    pairs = [row for row in data.base if isinstance(row, Pair)]
    assert texts == [*data.forget, *data.retain]
    assert len({row.id for row in data.base}) == len(data.base)
    assert {(pair.question, pair.answer) for pair in pairs} == {
        (fact.question, fact.answer) for fact in (*data.hazards, *data.general)
    }
    # Who is to learn the hazards first learns all of it but the countries.
    countries = {fact.question for fact in data.general} - {row.question for row in data.original if isinstance(row, Pair)}
    assert list(data.original) == [row for row in data.base if isinstance(row, Text) or row.question not in countries]
    assert 0 < len(countries) < len(data.general)


def test_some_general_questions_are_on_what_no_text_tells(data: WmdpData) -> None:
    corpora = "\n".join(text.text for text in (*data.forget, *data.retain))
    on_countries = [fact for fact in data.general if fact.id.startswith("world_facts")]
    assert len(on_countries) == 13
    assert not [fact for fact in on_countries if fact.answer in corpora]


@pytest.mark.parametrize("kind", KINDS)
def test_words_are_many_and_different(kind: str) -> None:
    made_of = KINDS[kind]
    names = [head + tail for head, tail in itertools.product(made_of.heads, made_of.tails)]
    assert len(set(names)) == len(names) >= 400
    assert len(made_of.properties) == QUESTIONS
    for prop in made_of.properties.values():
        assert len(set(prop.values)) == len(prop.values) >= 16
        assert len(prop.sentences) == 3 and all("{value}" in sentence for sentence in prop.sentences)
        assert "{name}" in prop.question and "{value}" not in prop.question


def test_the_largest_world_has_names_for_everything() -> None:
    data = made(hazards=400, harmless=400)
    assert len({text.text for text in data.forget}) == len({text.text for text in data.retain}) == 400 * TELLINGS


def test_texts_read_like_english() -> None:
    data = made(hazards=120, harmless=120)
    for text in (*data.forget, *data.retain):
        assert re.fullmatch(r"[A-Z][^\n]*[.]", text.text), text
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]|  |[{}]| [,.]|\.\.|\. [a-z]", text.text), text


@pytest.mark.parametrize("wrong", [{"hazards": 3}, {"hazards": 401}, {"harmless": 3}, {"harmless": 401}, {"world_facts": 3}])
def test_settings_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        source(**wrong)
