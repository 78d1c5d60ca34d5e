import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.benchmarks.tofu.splits import SplitSettings, split_authors, unseen
from palimpsest.data.rows import Question
from palimpsest.data.splits import halves, spread
from palimpsest.errors import UserError


def rows(authors: int, perturbed_from: int = 0) -> list[Question]:
    return [
        Question(
            id=f"author-{author:04d}-{number:02d}",
            author=author,
            question=f"Who is {author}.{number}?",
            answer=f"Author {author}.",
            paraphrased_answer="It is." if author >= perturbed_from else None,
            perturbed_answers=["It is not."] if author >= perturbed_from else None,
        )
        for author in range(authors)
        for number in range(3)
    ]


def authors_of(part: list[Question]) -> list[int]:
    assert [row.id for row in part] == sorted(row.id for row in part)
    return sorted({row.author for row in part})


@pytest.mark.parametrize(
    ("name", "settings", "base", "forgotten", "retained"),
    [
        ("forget10", SplitSettings(), (), [18, 19], list(range(18))),
        ("forget05", SplitSettings(), (), [19], list(range(19))),
        ("forget25", SplitSettings(retain_authors=4), (), [15, 16, 17, 18, 19], [0, 1, 2, 3]),
        ("forget10", SplitSettings(), (16, 17), [18, 19], list(range(16))),
        ("forget10", SplitSettings(retain_authors=16), (16, 17), [18, 19], list(range(16))),
        ("forget10", SplitSettings(), (100_000,), [18, 19], list(range(18))),
        ("forget95", SplitSettings(), (), list(range(1, 20)), [0]),
        ("forget10", SplitSettings(skip_authors=2), (), [16, 17], list(range(16))),
    ],
)
def test_a_split_takes_whole_authors_from_both_ends(
    name: str, settings: SplitSettings, base: tuple[int, ...], forgotten: list[int], retained: list[int]
) -> None:
    data = rows(20)
    forget, retain = split_authors(data, name, settings, base)
    assert authors_of(forget) == forgotten
    assert authors_of(retain) == retained
    assert len(forget) == 3 * len(forgotten)
    assert len(retain) == 3 * len(retained)
    others = sorted({*range(20 - settings.skip_authors)} - {*forgotten, *retained, *base})
    assert authors_of(unseen(data, forget, retain, settings, base)) == others[: len(forgotten)]


@pytest.mark.parametrize("missing", ["paraphrased_answer", "perturbed_answers"])
def test_a_forget_question_needs_both_kinds_of_further_answers(missing: str) -> None:
    data = rows(20)
    data[-1] = data[-1].model_copy(update={missing: None})
    with pytest.raises(UserError, match=r"^split forget10: author-0019-02 has no perturbed answers, so it cannot be forgotten"):
        split_authors(data, "forget10", SplitSettings(), ())


@pytest.mark.parametrize(
    ("name", "settings", "base", "message"),
    [
        ("retain90", SplitSettings(), (), "'retain90': the name must be forgetNN"),
        ("forget5", SplitSettings(), (), "'forget5': the name must be forgetNN"),
        ("forget00", SplitSettings(), (), "'forget00': the name must be forgetNN"),
        ("forget100", SplitSettings(), (), "'forget100': the name must be forgetNN"),
        ("../forget05", SplitSettings(), (), "the name must be forgetNN"),
        ("forget05\n", SplitSettings(), (), "the name must be forgetNN"),
        ("forget03", SplitSettings(), (), "3 % of 20 authors is not a whole number"),
        ("forget50", SplitSettings(), (), "author-0010-00 has no perturbed answers"),
        ("forget10", SplitSettings(retain_authors=19), (), "at most 18 are allowed"),
        ("forget10", SplitSettings(retain_authors=17), (16, 17), "at most 16 are allowed"),
        ("forget10", SplitSettings(retain_authors=500), (), "at most 18 are allowed"),
        ("forget10", SplitSettings(), (17, 18), "1 of its 2 authors are in the base corpus"),
        ("forget10", SplitSettings(), tuple(range(18)), "no author is left to retain"),
        ("forget10", SplitSettings(skip_authors=1, retain_authors=18), (), "at most 17 are allowed"),
        ("forget10", SplitSettings(skip_authors=19), (), "skip_authors: 19 leaves 1 of 20 authors, but 2 are forgotten"),
    ],
)
def test_a_split_that_cannot_be_is_one_line(name: str, settings: SplitSettings, base: tuple[int, ...], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        split_authors(rows(20, perturbed_from=15), name, settings, base)
    assert "\n" not in str(caught.value)


@given(st.lists(st.integers()))
def test_halves_are_the_rows_in_their_order_cut_in_the_middle(values: list[int]) -> None:
    first, second = halves(values)
    assert first + second == values
    assert len(first) - len(second) in (0, 1)


def test_a_few_rows_are_taken_from_the_whole_set() -> None:
    assert spread(range(10), 3) == [0, 3, 6]
    assert spread(range(4), 9) == spread(range(4), None) == [0, 1, 2, 3]
    assert spread([], 3) == spread(range(4), 0) == []
