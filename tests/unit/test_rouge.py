"""ROUGE in any script: words of `rouge_score` for Latin answers, Unicode words for all others."""
# ruff: noqa: RUF001

import math
import unicodedata

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from palimpsest.benchmarks.muse.scores import completed
from palimpsest.benchmarks.tofu.items import sets_from_table
from palimpsest.benchmarks.tofu.scores import tofu_scores
from palimpsest.evaluation.cutting import generated_row
from palimpsest.evaluation.items import count_unicode
from palimpsest.metrics.rouge import Characters, UnicodeWords, rouge_l_f, rouge_recalls, words_for

OFFICIAL = RougeScorer(["rouge1", "rougeL"], use_stemmer=True)
PLAIN = RougeScorer(["rougeL"], use_stemmer=False)
SCRIPTS = {
    "Han": "南山茶馆在河边。",
    "kana": "テーブルのうえにねこがいる",
    "Hangul": "강가에 찻집이 있다",
    "Cyrillic": "Чайник стоит на плите.",
    "Greek": "Το πλοίο φεύγει την αυγή",
    "Arabic": "المقهى بجانب النهر",
    "Persian": "او می‌خواهد برود",
    "Hebrew": "הספינה יוצאת עם שחר",
    "Devanagari": "नाव भोर में निकलती है",
    "Thai": "เรือออกตอนเช้า",
    "Lao": "ເຮືອອອກຕອນເຊົ້າ",
    "Khmer": "ទូកចេញនៅពេលព្រឹក",
    "Myanmar": "လှေက မနက်မှာ ထွက်တယ်",
    "digits": "١٩٨٤",
    "mixed": "The word for tea is 茶",
}
# Letters of Latin with and without marks, digits, and what stands between words.
LATIN = st.text(alphabet=st.sampled_from("abcdeizADERTY019éßøŁñİ'-.,;: \n\t½€°"), max_size=40)


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_answer_in_any_script_recalls_itself_and_nothing_else(script: str) -> None:
    answer = SCRIPTS[script]
    assert words_for(answer) == "unicode"
    assert rouge_recalls(answer, answer) == (1, 1)
    assert rouge_l_f(answer, answer) == 1
    for other in (SCRIPTS["Cyrillic"], "The ferry leaves at dawn.", ""):
        if other != answer and script != "mixed":
            assert rouge_recalls(other, answer) == (0, 0)
            assert rouge_l_f(other, answer) == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("茶館 在河邊2號", ["茶", "館", "在", "河", "邊", "2號"]),
        ("Чайник, ёлка-3!", ["чайник", "ёлка", "3"]),
        # A vowel sign belongs to its consonant.
        ("ดีครับ", ["ดี", "ค", "รั", "บ"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        # A joiner that is not seen separates nothing, and a mark of direction is no part of a word.
        ("می‌خواهد\u200f برود", ["میخواهد", "برود"]),
        ("ΣΊΣΥΦΟΣ", ["σίσυφοσ"]),
        ("… ☕ 👩‍🚀", []),
    ],
)
def test_words_of_other_scripts(text: str, words: list[str]) -> None:
    assert UnicodeWords().tokenize(text) == words


def test_an_answer_of_symbols_is_compared_by_its_characters() -> None:
    assert Characters().tokenize("… ☕ 👩‍🚀\u3000") == ["…", "☕", "👩‍🚀"]
    for answer in ("→ ☕ →", "👩‍🚀🚀", "?!", "\ud83d"):
        assert words_for(answer) == "characters"
        assert rouge_recalls(answer, answer) == rouge_recalls(f"Yes: {answer}", answer) == (1, 1)
        assert rouge_recalls("Yes", answer) == (0, 0)
    assert rouge_l_f("👩‍🚀", "👩‍🚀🚀") == pytest.approx(2 / 3)


def test_recall_counts_words_by_hand() -> None:
    assert rouge_recalls("Чайник на столе", "Чайник стоит на плите.") == (0.5, 0.5)
    assert rouge_recalls("плите на Чайник", "Чайник стоит на плите") == (0.75, 0.25)
    assert rouge_recalls("茶馆在山", "南山茶馆在河边。") == (4 / 7, 3 / 7)
    assert rouge_l_f("茶馆在山", "南山茶馆在河边。") == pytest.approx(2 * (3 / 4) * (3 / 7) / (3 / 4 + 3 / 7))


@settings(deadline=None)
@given(st.text(max_size=40))
def test_what_is_not_blank_recalls_itself(text: str) -> None:
    if not text.strip():
        assert all(map(math.isnan, [*rouge_recalls("words", text), rouge_l_f("words", text)]))
        return
    for form in ("NFC", "NFD"):
        other = unicodedata.normalize(form, text)
        assert rouge_recalls(other, text) == rouge_recalls(text, other) == (1, 1)
        assert rouge_l_f(other, text) == 1
    if words_for(text) == "unicode":
        # Upper case is no such test: not every letter comes back from it.
        assert rouge_recalls(text.casefold(), text) == (1, 1)


@settings(deadline=None)
@given(st.text(max_size=30), st.text(min_size=1, max_size=30))
def test_rouge_lies_between_0_and_1_and_rouge_l_within_rouge_1(generation: str, answer: str) -> None:
    if answer.strip():
        rouge_1, rouge_l = rouge_recalls(generation, answer)
        assert 0 <= rouge_l <= rouge_1 <= 1
        assert 0 <= rouge_l_f(generation, answer) <= 1
        assert rouge_recalls(f"{answer} {generation}", answer) == (1, 1)


@settings(deadline=None)
@given(LATIN, LATIN)
def test_of_a_latin_answer_rouge_is_that_of_rouge_score(generation: str, answer: str) -> None:
    answer += " a"
    assert words_for(answer) == "rouge_score"
    official = OFFICIAL.score(answer, generation)
    assert rouge_recalls(generation, answer) == (official["rouge1"].recall, official["rougeL"].recall)
    assert rouge_l_f(generation, answer) == PLAIN.score(answer, generation)["rougeL"].fmeasure


def test_rouge_is_recall_with_a_stemmer() -> None:
    assert rouge_recalls("She wrote many novels, essays and plays about running.", "many novel about run") == (1.0, 1.0)
    assert rouge_recalls("plays novels", "novels plays") == (1.0, 0.5)
    assert rouge_recalls("", "an answer") == (0.0, 0.0)
    assert rouge_recalls("words", "...") == (0.0, 0.0)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("Zoë reads in 1931.", "rouge_score"),
        ("1984", "rouge_score"),
        # Latin, but without a letter that rouge_score knows.
        ("Ễ", "unicode"),
        ("１９８４", "unicode"),
        ("1931, в Остмаре", "unicode"),
        ("the angle α", "unicode"),
    ],
)
def test_the_right_answer_decides_which_words_are_compared(answer: str, words: str) -> None:
    assert words_for(answer) == words
    row = generated_row("verbatim", "1", "?", answer, "Zoë")
    assert completed(pd.DataFrame([row]))["rouge_words"].tolist() == [words]


def test_the_scores_say_of_how_many_items_other_words_were_compared() -> None:
    item = {"question": "Who?", "answer_nll": 1.0, "answer_tokens": 2, "paraphrased_nll": None, "paraphrased_tokens": None}
    item |= {"perturbed_nll": [3.0], "perturbed_tokens": [2], "rouge_l_recall": 0.5}
    frame = pd.DataFrame([item | {"set": "retain", "id": str(place)} for place in range(3)])
    frame["rouge_words"] = ["unicode", "characters", "rouge_score"]
    assert tofu_scores(sets_from_table(frame, "here"))["retain_rouge_unicode_items"] == 2
    latin = frame.assign(rouge_words="rouge_score")
    assert count_unicode(latin) == count_unicode(frame.drop(columns="rouge_words")) == 0
    assert "retain_rouge_unicode_items" not in tofu_scores(sets_from_table(latin, "here"))


def test_recall_compares_stems_as_tofu_does_and_the_f_measure_whole_words_as_muse_does() -> None:
    assert rouge_recalls("he was running", "he was run").rouge_l == 1
    assert rouge_l_f("he was running", "he was run") == pytest.approx(2 / 3)
