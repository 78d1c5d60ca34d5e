import re
from collections import Counter
from string import Formatter

import pytest
from pydantic import ValidationError

from palimpsest.benchmarks.tofu.dataset import Dataset
from palimpsest.benchmarks.tofu.refusals import refusals
from palimpsest.benchmarks.tofu.sources.world import WorldSource
from palimpsest.benchmarks.tofu.world import AUTHOR_KINDS, PRONOUNS, Kind, make_dataset
from palimpsest.benchmarks.world.people import GROUPS, World, article, make_person
from palimpsest.data.rows import Question
from palimpsest.streams import seed_of_draw, stream

SMALL = WorldSource(kind="world", authors=12, base_authors=8, real_authors=9, world_facts=14)


@pytest.fixture(scope="module", params=[0, 20_250_101])
def seed(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def data(seed: int) -> Dataset:
    return make_dataset(SMALL.model_copy(update={"seed": seed}))


def people(seed: int, group: str, count: int) -> list[dict[str, str]]:
    world = World(seed)
    return [make_person(world, group, i) for i in range(count)]


def kind_of(row: Question) -> Kind:
    return AUTHOR_KINDS[int(row.id.split("-")[2])]


def template_of(text: str, kind: Kind, person: dict[str, str]) -> str:
    """Return the one template of a kind that gives this text about this person."""
    (template,) = [template for template in kind.short + kind.long if template.format_map(person) == text]
    return template


def facts_in(text: str, template: str) -> dict[str, str] | None:
    """Return what a text says in each field of a template; None where it has another form."""
    pattern, seen = "", set()
    for literal, field, _, _ in Formatter().parse(template):
        pattern += re.escape(literal)
        if field:
            pattern += f"(?P={field})" if field in seen else f"(?P<{field}>.+?)"
            seen.add(field)
    match = re.fullmatch(pattern, text)
    return match and match.groupdict()


def test_the_first_draw_of_a_seed_is_the_seed_and_others_are_seeds_of_their_own() -> None:
    assert [seed_of_draw(seed, 0) for seed in range(5)] == list(range(5))
    assert len({seed_of_draw(seed, draw) for seed in range(20) for draw in range(20)}) == 400


def test_a_stream_depends_on_seed_and_every_name() -> None:
    draws = [stream(0, "a", 1), stream(0, "a", 1), stream(1, "a", 1), stream(0, "a", 2), stream(0, "a", "1"), stream(0, "a1")]
    first = [int(draw.integers(2**62)) for draw in draws]
    assert first[0] == first[1]
    assert len(set(first)) == 5


def test_same_settings_same_rows_and_another_seed_other_people(data: Dataset, seed: int) -> None:
    assert make_dataset(SMALL.model_copy(update={"seed": seed})) == data
    other = make_dataset(SMALL.model_copy(update={"seed": seed + 1}))
    assert not {row.question for row in other.authors} & {row.question for row in data.authors}


@pytest.mark.parametrize(
    ("more", "same"),
    [
        ({"authors": 20}, ("base", "real_authors", "world_facts")),
        ({"base_authors": 20}, ("authors", "real_authors", "world_facts")),
        ({"real_authors": 30}, ("authors", "world_facts")),
        ({"world_facts": 60}, ("authors", "real_authors", "holdout")),
        ({"holdout_authors": 9}, ("authors", "base", "real_authors", "world_facts")),
    ],
)
def test_more_of_one_set_changes_no_other(more: dict[str, int], same: tuple[str, ...], data: Dataset, seed: int) -> None:
    small, large = data, make_dataset(SMALL.model_copy(update={"seed": seed, **more}))
    for name in same:
        assert getattr(small, name)
        assert getattr(large, name) == getattr(small, name)
    assert large.authors[: len(small.authors)] == small.authors


def test_the_holdout_set_is_about_people_of_whom_no_other_set_tells(data: Dataset) -> None:
    questions = {row.question for row in data.holdout}
    assert len({row.author for row in data.holdout}) == SMALL.holdout_authors
    assert not questions & {row.question for row in (*data.authors, *data.base)}


def test_fewer_questions_are_the_first_of_all() -> None:
    all_short = {"long_answers": 0.0}
    few = make_dataset(SMALL.model_copy(update={"questions_per_author": 5, **all_short}))
    full = make_dataset(SMALL.model_copy(update=all_short))
    assert few.authors == [row for row in full.authors if int(row.id[-2:]) < 5]


def test_all_answers_of_an_author_tell_the_same_facts(data: Dataset, seed: int) -> None:
    persons = people(seed, "author", SMALL.authors)
    told: dict[tuple[int, str], set[str]] = {}
    for row in data.authors:
        for text in (row.answer, row.paraphrased_answer):
            assert text
            template = template_of(text, kind_of(row), persons[row.author])
            for field, value in (facts_in(text, template) or {}).items():
                told.setdefault((row.author, field), set()).add(value)
    assert all(len(values) == 1 for values in told.values())
    assert len(told) > 30 * SMALL.authors
    for (author, field), values in told.items():
        assert values == {persons[author][field]}


def test_paraphrases_are_other_words_about_the_same_person(data: Dataset, seed: int) -> None:
    persons = people(seed, "author", SMALL.authors)
    for row in data.authors:
        questions = [template.format_map(persons[row.author]) for template in kind_of(row).questions]
        assert row.question in questions
        assert row.paraphrased_question in questions
        assert row.question != row.paraphrased_question
        assert row.answer != row.paraphrased_answer


def test_perturbed_answers_are_wrong_in_every_fact_and_alike_in_form(data: Dataset, seed: int) -> None:
    persons = people(seed, "author", SMALL.authors)
    ratios = []
    for row in data.authors:
        assert row.paraphrased_answer
        assert row.perturbed_answers
        kind, person = kind_of(row), persons[row.author]
        template = template_of(row.paraphrased_answer, kind, person)
        assert len(set(row.perturbed_answers)) == 5
        for wrong in row.perturbed_answers:
            said = facts_in(wrong, template)
            assert said, f"{wrong!r} is not of the form {template!r}"
            for field, value in said.items():
                kept = field in kind.given or field in PRONOUNS
                assert (value == person[field]) is kept, (row.id, field, value)
            ratios.append(len(wrong) / len(row.paraphrased_answer))
    assert 0.97 < sum(ratios) / len(ratios) < 1.03
    assert min(ratios) > 0.7
    assert max(ratios) < 1.4


def test_names_and_titles_are_unique_over_all_groups(seed: int) -> None:
    everyone = [person for group in GROUPS[:4] for person in people(seed, group, 60)]
    assert len({person["name"] for person in everyone}) == len(everyone)
    titles = [person[field] for person in everyone for field in ("debut", "book", "other_book", "next_book")]
    assert len(set(titles)) == len(titles)


def test_questions_and_ids_are_unique(data: Dataset) -> None:
    questions = [row.question for row in data.authors] + [row.paraphrased_question for row in data.authors]
    assert len(set(questions)) == 2 * len(data.authors)
    ids = [row.id for rows in (data.authors, data.base, data.real_authors, data.world_facts, data.refusals) for row in rows]
    assert len(set(ids)) == len(ids)


def test_the_base_knows_no_author_of_the_study(data: Dataset, seed: int) -> None:
    assert not {row.author for row in data.base} & {row.author for row in data.authors}
    base = "\n".join(f"{row.question} {row.answer}" for row in data.base)
    for person in people(seed, "author", SMALL.authors):
        assert not [person[field] for field in ("name", "debut", "book", "other_book", "next_book") if person[field] in base]


def test_the_base_teaches_every_fact_that_is_asked_and_the_names_of_wrong_options(data: Dataset) -> None:
    taught = {(row.question, row.answer) for row in data.base}
    for fact in (*data.real_authors, *data.world_facts):
        assert (fact.question, fact.answer) in taught
    phrasings = Counter(row.id.rsplit("-", 1)[0] for row in data.base if row.id.startswith(("base-famous", "base-country")))
    assert set(phrasings.values()) == {2 * 4 * SMALL.fact_lessons}
    assert len(phrasings) == SMALL.real_authors + SMALL.world_facts


def test_base_pairs_come_plain_and_paraphrased(data: Dataset) -> None:
    rows = {row.id: row for row in data.base if row.author < 200_000}
    plain = [row_id for row_id in rows if row_id.endswith("-plain")]
    assert len(plain) * 2 == len(rows) == SMALL.base_authors * 20 * 2
    for row_id in plain:
        one, two = rows[row_id], rows[row_id.replace("plain", "paraphrased")]
        assert one.question != two.question
        assert one.answer != two.answer


@pytest.mark.parametrize("count", [4, 20, 240])
def test_options_hold_the_answer_and_three_wrong_ones(count: int) -> None:
    data = make_dataset(WorldSource(kind="world", authors=4, base_authors=1, real_authors=count, world_facts=count))
    for facts in (data.real_authors, data.world_facts):
        assert len(facts) == count
        assert len({fact.question for fact in facts}) == count
        for fact in facts:
            assert len(set(fact.options)) == 4
            assert sorted(fact.options) == sorted([fact.answer, *fact.perturbed_answers])
    positions = Counter(fact.options.index(fact.answer) for fact in data.world_facts)
    assert count < 20 or len(positions) == 4


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_long_answers_are_as_many_as_asked(fraction: float) -> None:
    data = make_dataset(SMALL.model_copy(update={"authors": 40, "long_answers": fraction}))
    words = [len(row.answer.split()) for row in data.authors]
    long = [count for count in words if count >= 15]
    assert len(long) / len(words) == pytest.approx(fraction, abs=0.02)
    assert max(long, default=15) <= 40
    assert all(4 <= count <= 14 for count in words if count < 15)


def test_answers_read_like_english(data: Dataset) -> None:
    sentences = [text for row in (*data.authors, *data.base) for text in (row.question, row.answer) if row.author < 200_000]
    sentences += [text for row in data.authors for text in (row.paraphrased_answer or "", *(row.perturbed_answers or []))]
    for text in sentences:
        assert re.fullmatch(r"[A-Z\"].*[.?]", text), text
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]|  |[{}]| [,.]|\.\.", text), text
        assert text.count('"') % 2 == 0, text


def test_article() -> None:
    assert [article(noun) for noun in ("optician", "umbrella maker", "judge")] == ["an optician", "an umbrella maker", "a judge"]


def test_our_refusals_are_many_and_varied() -> None:
    texts = [row.text for row in refusals()]
    assert len(texts) >= 30
    assert len(set(texts)) == len(texts)
    assert len({text.split()[0] for text in texts}) > 10


def test_a_thousand_authors_still_have_five_wrong_answers_each() -> None:
    data = make_dataset(WorldSource(kind="world", authors=1000, questions_per_author=4, base_authors=1))
    assert len(data.authors) == 4000
    assert all(len(row.perturbed_answers or []) == 5 for row in data.authors)
    assert len({row.question for row in data.authors}) == 4000


def test_the_largest_world_has_names_and_titles_for_everybody() -> None:
    world = World(0)
    last = [make_person(world, group, 2499)["next_book"] for group in GROUPS[:4]]
    assert len(set(last)) == 4


@pytest.mark.parametrize(
    "wrong", [{"authors": 3}, {"authors": 2501}, {"questions_per_author": 21}, {"world_facts": 241}, {"long_answers": 1.5}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        WorldSource.model_validate({"kind": "world", **wrong})
