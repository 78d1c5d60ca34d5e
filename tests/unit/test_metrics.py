"""The metrics as pure functions: limits, bounds, symmetries and the formulas they are named after."""

import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from palimpsest.benchmarks.tofu.items import SETS, Items
from palimpsest.benchmarks.tofu.metrics import (
    Array,
    answer_probability,
    choice_probability,
    forget_quality,
    forget_truth_ratio,
    log_truth_ratio,
    model_utility,
    truth_ratio,
    utility_truth_ratio,
)
from palimpsest.benchmarks.tofu.scores import compare_forget_sets, distance, quality, tofu_scores
from palimpsest.benchmarks.tofu.undefined import PARTS
from palimpsest.metrics.memorisation import exact_memorisation, extraction_strength

COUNT = st.shared(st.integers(1, 12), key="count")
# From a model that knows an answer by heart to one that has collapsed.
LOSS = st.floats(0, 5000)


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def vectors(elements: st.SearchStrategy[float] = LOSS) -> st.SearchStrategy[Array]:
    return COUNT.flatmap(lambda count: arrays.arrays(np.float64, count, elements=elements))


def matrices(elements: st.SearchStrategy[float] = LOSS) -> st.SearchStrategy[Array]:
    return COUNT.flatmap(lambda count: arrays.arrays(np.float64, (count, 5), elements=elements))


@given(vectors(st.floats(0, 20)), matrices(st.floats(0, 20)))
def test_truth_ratio_and_probabilities_are_the_official_formulas(right: Array, wrong: Array) -> None:
    x = np.exp(wrong.mean(axis=-1) - right)
    p, p_wrong = np.exp(-right), np.exp(-wrong)
    log_x = log_truth_ratio(right, wrong)

    np.testing.assert_allclose(truth_ratio(log_x), x, rtol=1e-12)
    assert forget_truth_ratio(log_x) == pytest.approx(np.minimum(x, 1 / x).mean(), abs=1e-12)
    assert utility_truth_ratio(log_x) == pytest.approx(np.maximum(0, 1 - 1 / x).mean(), abs=1e-12)
    assert answer_probability(right) == pytest.approx(p.mean(), abs=1e-12)
    assert choice_probability(right, wrong) == pytest.approx((p / (p + p_wrong.sum(axis=1))).mean(), abs=1e-12)


@given(vectors(), matrices())
def test_scores_of_any_model_lie_between_0_and_1(right: Array, wrong: Array) -> None:
    log_x = log_truth_ratio(right, wrong)
    assert np.all(truth_ratio(log_x) >= 0)
    for value in (
        forget_truth_ratio(log_x),
        utility_truth_ratio(log_x),
        answer_probability(right),
        choice_probability(right, wrong),
    ):
        assert 0 <= value <= 1


@pytest.mark.parametrize(("right", "wrong", "forget", "utility", "choice"), [(0.0, 1e5, 0, 1, 1), (1e5, 0.0, 0, 0, 0)])
@pytest.mark.parametrize("infinite", [False, True])
def test_collapsed_models_reach_the_limits(
    right: float, wrong: float, forget: float, utility: float, choice: float, infinite: bool
) -> None:
    if infinite:
        right, wrong = (np.inf if loss else loss for loss in (right, wrong))
    base, perturbed = np.array([right]), np.array([[wrong, wrong]])
    log_x = log_truth_ratio(base, perturbed)
    assert forget_truth_ratio(log_x) == forget
    assert utility_truth_ratio(log_x) == utility
    assert choice_probability(base, perturbed) == choice
    assert truth_ratio(log_x) == (np.inf if wrong else 0)


def test_a_share_is_kept_where_all_probabilities_underflow() -> None:
    assert choice_probability(np.array([2000.0]), np.array([[2000.0, 2000.0, 2000.0]])) == pytest.approx(0.25)


def test_what_has_no_limit_is_nan() -> None:
    log_x = log_truth_ratio(np.array([np.inf, 1.0]), np.array([[np.inf], [1.0]]))
    assert np.isnan(log_x).tolist() == [True, False]
    assert np.isnan([forget_truth_ratio(log_x), utility_truth_ratio(log_x), *forget_quality(log_x, log_x)]).all()
    assert np.isnan(choice_probability(np.array([np.inf]), np.array([[np.inf]])))
    assert np.isnan(model_utility([0.5, float("nan")]))


@given(vectors(), matrices(), st.floats(0.1, 100))
def test_a_likelier_right_answer_never_lowers_its_scores(right: Array, wrong: Array, gain: float) -> None:
    better = np.maximum(right - gain, 0)
    assert answer_probability(better) >= answer_probability(right)
    assert choice_probability(better, wrong) >= choice_probability(right, wrong) - 1e-12
    assert utility_truth_ratio(log_truth_ratio(better, wrong)) >= utility_truth_ratio(log_truth_ratio(right, wrong))


@given(arrays.arrays(np.float64, st.integers(2, 40), elements=st.floats(-50, 50)))
def test_forget_quality_against_itself_is_1_in_any_order(log_x: Array) -> None:
    assert forget_quality(log_x, log_x[::-1]) == (1.0, 0.0)


@given(*[arrays.arrays(np.float64, st.integers(2, 40), elements=st.floats(-50, 50))] * 2)
def test_forget_quality_is_symmetric_and_a_p_value(first: Array, second: Array) -> None:
    quality = forget_quality(first, second)
    assert quality == pytest.approx(forget_quality(second, first), rel=1e-12)
    assert 0 <= quality.p_value <= 1
    assert 0 <= quality.statistic <= 1


@given(arrays.arrays(np.float64, 30, elements=st.floats(-5, 5)), st.floats(0, 5), st.floats(0, 5))
def test_forget_quality_falls_as_truth_ratios_move_away(log_x: Array, shift: float, more: float) -> None:
    near, far = forget_quality(log_x, log_x + shift), forget_quality(log_x, log_x + (shift + more))
    assert far.statistic >= near.statistic
    assert far.p_value <= near.p_value


@pytest.mark.parametrize(("one", "other"), [(0, 9), (1, 9), (9, 1), (1, 1), (0, 0)])
def test_forget_quality_needs_two_items_of_each_model(one: int, other: int) -> None:
    assert np.isnan(forget_quality(np.arange(float(one)), np.arange(float(other)))).all()


def test_forget_quality_tells_overflowing_truth_ratios_apart() -> None:
    quality = forget_quality(np.full(50, 800.0), np.full(50, 900.0))
    assert quality.statistic == 1
    assert quality.p_value < 1e-20


@given(st.lists(st.floats(1e-6, 1), min_size=9, max_size=9), st.integers(0, 8), st.floats(0, 1))
def test_model_utility_is_a_mean_that_falls_with_any_part(parts: list[float], place: int, factor: float) -> None:
    utility = model_utility(parts)
    assert min(parts) - 1e-12 <= utility <= np.mean(parts) + 1e-12
    assert utility == pytest.approx(9 / sum(1 / part for part in parts), rel=1e-9)
    worse = [part * factor if place == i else part for i, part in enumerate(parts)]
    assert model_utility(worse) <= utility + 1e-12


def test_model_utility_is_0_where_a_part_is() -> None:
    assert model_utility([0.9] * 8 + [0.0]) == 0


@pytest.mark.parametrize("part", [-0.1, 1.1, 60.0, np.inf, np.nan])
def test_model_utility_of_what_is_no_share_is_nan(part: float) -> None:
    assert np.isnan(model_utility([0.9] * 8 + [part]))
    assert np.isnan(model_utility([0.0] * 8 + [part]))
    assert np.isnan(model_utility([]))


EMPTY, ONE = np.array([]), np.array([1.0])


@pytest.mark.parametrize(
    "score",
    [
        lambda: answer_probability(EMPTY),
        lambda: answer_probability(np.array([0.5, -0.1])),
        lambda: answer_probability(np.array([0.5, -2000.0])),
        lambda: choice_probability(EMPTY, np.empty((0, 3))),
        # Without wrong answers the right one would have a share of 1.
        lambda: choice_probability(np.array([0.5]), np.empty((1, 0))),
        lambda: choice_probability(np.array([-0.5]), np.array([[1.0]])),
        lambda: choice_probability(np.array([0.5]), np.array([[-1.0]])),
        lambda: forget_truth_ratio(EMPTY),
        lambda: utility_truth_ratio(EMPTY),
        lambda: forget_truth_ratio(log_truth_ratio(np.array([0.5]), np.empty((1, 0)))),
        lambda: utility_truth_ratio(log_truth_ratio(np.array([-0.5]), np.array([[1.0, 2.0]]))),
        lambda: utility_truth_ratio(log_truth_ratio(np.array([0.5]), np.array([[1.0, -2.0]]))),
        lambda: exact_memorisation(np.array([], dtype=bool)),
        lambda: extraction_strength(np.array([], dtype=bool)),
        lambda: tofu_scores({"retain": Items(ONE, ONE, np.array([[1.0]]), 60 * ONE)})["retain_rouge"],
    ],
)
def test_outside_its_domain_a_metric_is_nan(score: Callable[[], float]) -> None:
    assert np.isnan(score())


def test_of_one_token_memorisation_says_whether_the_prompt_gives_it() -> None:
    for hit in (True, False):
        assert exact_memorisation(np.array([hit])) == extraction_strength(np.array([hit])) == hit


@pytest.mark.parametrize("items", [1, 2, 300])
def test_a_truth_ratio_of_0_has_no_sign(items: int) -> None:
    assert str(utility_truth_ratio(np.full(items, -3.0))) == str(forget_truth_ratio(np.full(items, np.inf))) == "0.0"


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_memorisation_is_what_its_definition_says(hits: list[bool]) -> None:
    count = len(hits)
    shortest = next(k for k in range(count + 1) if all(hits[k:]))
    assert extraction_strength(np.array(hits)) == pytest.approx(1 - shortest / count)
    assert exact_memorisation(np.array(hits)) == pytest.approx(sum(hits) / count)
    assert extraction_strength(np.array(hits)) <= exact_memorisation(np.array(hits)) + 1e-12


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.integers(0, 29))
def test_one_more_hit_never_lowers_memorisation(hits: list[bool], place: int) -> None:
    more = [*hits]
    more[place % len(hits)] = True
    assert extraction_strength(np.array(more)) >= extraction_strength(np.array(hits))
    assert exact_memorisation(np.array(more)) >= exact_memorisation(np.array(hits))


@given(vectors(), vectors(), matrices(), vectors(st.floats(0.1, 1)), st.randoms(use_true_random=False))
def test_scores_do_not_depend_on_the_order_of_items(
    answer: Array, base: Array, perturbed: Array, rouge: Array, random: "np.random.Generator"
) -> None:
    items = Items(answer, base, perturbed, rouge)
    order = list(range(len(items)))
    random.shuffle(order)
    other = Items(answer[order], base[order], perturbed[order], rouge[order])

    assert tofu_scores(dict.fromkeys(SETS, other)) == pytest.approx(tofu_scores(dict.fromkeys(SETS, items)), rel=1e-9, abs=1e-300)
    assert compare_forget_sets(items, other) == (1.0, 0.0) or len(items) < 2


def test_sets_get_their_own_forms_and_utility_all_nine_parts() -> None:
    log_4 = float(np.log(4))
    items = Items(answer=np.array([log_4]), base=np.array([0.0]), perturbed=np.array([[log_4] * 3]), rouge=np.array([0.5]))
    scores = tofu_scores(dict.fromkeys(SETS, items))

    assert [scores[f"{name}_probability"] for name in SETS] == pytest.approx([0.25] * 4)
    assert [scores[f"{name}_truth_ratio"] for name in SETS] == pytest.approx([0.25, 0.75, 0.75, 0.75])
    assert scores["model_utility"] == pytest.approx(9 / (3 / 0.25 + 3 / 0.5 + 3 / 0.75))
    unlikely = Items(items.answer, items.base, np.array([[50.0] * 3]), items.rouge)
    scores = tofu_scores(dict.fromkeys(SETS, unlikely))
    assert [scores[f"{name}_probability"] for name in SETS] == pytest.approx([0.25, 0.25, 1, 1])


@pytest.mark.parametrize("missing", SETS)
def test_utility_needs_its_sets_and_not_the_forget_set(missing: str) -> None:
    items = Items(answer=np.array([0.5]), base=np.array([0.5]), perturbed=np.array([[1.0, 2.0]]), rouge=np.array([0.5]))
    scores = tofu_scores({name: items for name in SETS if name != missing})
    assert ("model_utility" in scores) == (missing == "forget")
    assert not any(part in scores for part in PARTS if part.startswith(missing))


def test_items_without_generations_have_no_rouge() -> None:
    items = Items(answer=np.array([0.5]), base=np.array([0.5]), perturbed=np.array([[1.0, 2.0]]))
    assert tofu_scores({"forget": items}).keys() == {
        "forget_probability",
        "forget_paraphrased_probability",
        "forget_truth_ratio",
    }


def asked(ratios: dict[str, float]) -> dict[str, Items]:
    """A forget set with these log truth ratios by question."""
    zeros = np.zeros(len(ratios))
    base = np.array([max(-ratio, 0.0) for ratio in ratios.values()])
    wrong = np.array([[max(ratio, 0.0)] for ratio in ratios.values()]).reshape(-1, 1)
    return {"forget": Items(answer=zeros, base=base, perturbed=wrong, questions=tuple(ratios))}


def test_the_paired_distance_compares_each_question_with_itself_in_any_order() -> None:
    retrain = asked({"a": 0.5, "b": -1.0, "c": 0.0})
    assert distance(asked({"c": 0.0, "a": 0.5, "b": -1.0}), retrain) == 0.0
    # As many questions above Retrain as below it: the distributions are the same, the answers are not.
    swapped = asked({"b": 0.5, "a": -1.0, "c": 0.0})
    assert quality(swapped, retrain).p_value == 1.0
    assert distance(swapped, retrain) == pytest.approx((1.5 + 1.5 + 0) / 3)
    assert distance(retrain, swapped) == distance(swapped, retrain)


def test_questions_that_are_not_unique_have_no_paired_distance() -> None:
    twice = Items(np.zeros(2), np.zeros(2), np.zeros((2, 1)), questions=("a", "a"))
    unknown = Items(np.zeros(2), np.zeros(2), np.zeros((2, 1)))
    for items in (twice, unknown):
        assert distance({"forget": items}, {"forget": items}) is None
