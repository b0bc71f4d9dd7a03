"""The sums and simulations of the page on reading numbers, against exact values and against what they should show."""

import numpy as np
import pytest

from longthought import lessons
from longthought.display import static_svg
from longthought.errors import UserError
from longthought.lint import check_result, check_table
from longthought.statistics import CONFIDENCE, Rate, holm, wilson


def test_coverage_is_an_exact_sum():
    always = lessons.coverage(10, [0.1, 0.5], lambda k, n: (0.0, 1.0))
    assert always == pytest.approx([1, 1])
    only_five = lessons.coverage(10, [0.5], lambda k, n: (0.0, 1.0) if k == 5 else (2.0, 2.0))
    assert only_five == pytest.approx([252 / 1024])


def test_wilsons_interval_keeps_its_promise_where_the_textbooks_does_not():
    middle = np.linspace(0.05, 0.95, 91)
    assert lessons.coverage(30, middle, lessons.wilson_interval).mean() == pytest.approx(CONFIDENCE, abs=0.01)
    assert lessons.coverage(30, [0.01], lessons.naive_interval)[0] == pytest.approx(1 - 0.99**30, abs=1e-3)
    assert lessons.naive_interval(30, 30) == (1.0, 1.0)
    found = lessons.coverage_findings(30)
    assert found["perfect_naive"] == "[100.0, 100.0]" and str(found["perfect_wilson"]).startswith("30/30")


def test_exams_are_seeded_and_hold_the_truth_as_often_as_the_sum_says():
    taken = lessons.exams(0.4, 30, 4000, 1)
    assert taken == lessons.exams(0.4, 30, 4000, 1) != lessons.exams(0.4, 30, 4000, 2)
    held = lessons.exams_findings(taken, 0.4)["held"]
    exact = lessons.coverage(30, [0.4], lessons.wilson_interval)[0]
    assert abs(held.value - exact) < 4 * (exact * (1 - exact) / 4000) ** 0.5
    _, data = lessons.exams_figure(taken, 0.4, show=20)
    assert len(data) == 20


def test_what_is_said_about_two_published_counts():
    found = lessons.two_counts_findings(12, 13, 30)
    assert str(found["difference"]).startswith("+3.3 points [-20.5, +26.6], p = 1.0000 (Fisher)")
    assert found["pairings"].endswith("never below 0.05")
    assert found["least_apart"] == "21 of 30" and found["detectable"] == "35.4 points"
    assert found["wanted"] == "3,433 problems"
    assert lessons.two_counts_findings(12, 12, 30)["wanted"] == "no number of problems"
    assert lessons.two_counts_findings(29, 30, 30)["least_apart"] == "not even all"


def test_counts_that_do_not_fit_the_exam_are_refused():
    for first, second in ((31, 13), (12, 31), (0, 3)):
        with pytest.raises(UserError, match="right of 30"):
            lessons.two_counts_findings(first, second, 30)
    with pytest.raises(UserError, match="right of 200"):
        lessons.pairing_findings(201, 132, 200)


def test_pairing_decides_for_the_same_counts():
    _, data = lessons.pairing_figure(120, 132, 200)
    assert list(data["discordant"]) == list(range(12, 149, 2))
    assert data["p"].is_monotonic_increasing and data["p"].iloc[0] < 0.05 < data["p"].iloc[-1]
    assert "at most 30 discordant" in lessons.pairing_findings(120, 132, 200)["pairing_range"]


def test_power_falls_with_the_root_of_the_number_of_problems():
    _, data = lessons.power_figure(0.5)
    line = data[data["series"] == "unpaired, rates near 0.5"].set_index("problems")["points"]
    assert line.loc[100] / line.loc[10000] == pytest.approx(10, rel=0.01)
    table = lessons.power_table(0.5)
    assert list(table["smallest found, unpaired"]) == [
        "35.4 points", "7.6 points", "6.0 points", "3.6 points", "1.8 points",
    ]  # fmt: skip
    assert table["smallest found, paired"][0] == "none"


def test_answers_counted_as_problems_make_the_interval_too_narrow():
    found = lessons.clustered_coverage(0.4, 30, [1, 16], 600, 0)
    assert found["every answer counted as a problem"][1].value > 0.92
    assert found["every answer counted as a problem"][16].high < 0.7
    assert found["problems counted"][16].value > 0.92


def test_one_model_cannot_speak_for_its_recipe():
    found = lessons.seeds_coverage(100, [1, 5], 400, 0)
    assert found["all trials pooled"][5].high < 0.8 < 0.9 < found["seeds and problems counted"][5].value
    assert found["all trials pooled"][1] == found["seeds and problems counted"][1]


def test_many_comparisons_find_what_is_not_there_and_holm_does_not():
    found = lessons.many_comparisons([1, 20], 200, 0.3, 1500, 0)
    assert found["each p on its own"][20].low > 0.4 and found["Holm's p"][20].high < 0.06
    assert found["each p on its own"][1] == found["Holm's p"][1]
    for row in np.random.default_rng(0).random((5, 7)):
        assert min(holm(list(row))) == pytest.approx(min(1.0, 7 * row.min()))


def test_larger_differences_and_exams_are_told_apart_more_often():
    found = lessons.told_apart([0, 0.1], [30, 200], 0.3, 1000, 0)
    small, large = found["30 problems"], found["200 problems"]
    assert small[0].high < 0.06 and large[0].high < 0.07
    assert small[10.0].high < large[10.0].low
    assert lessons.told_apart_findings(found)["seen"].startswith("A true difference of 10 points is found with 30 ")
    example = lessons.told_apart_example(200, 0.3)
    assert not example["wide"].distinguishable and not example["tight"].distinguishable
    assert example["wide"].high > 3 * example["tight"].high


def test_expected_votes_add_up():
    table = lessons.votes_table()
    assert table["vote of 1"].sum() == pytest.approx(15 / 8)
    found = lessons.votes_findings()
    assert found["one_answer"].k == pytest.approx(15 / 8) and found["all_vote"].k == pytest.approx(2.5)


def test_every_figure_is_drawn_and_its_data_and_results_pass_the_lint():
    counted = {"a": {1: wilson(3, 9), 2.5: wilson(4, 9)}}
    figures = [
        lessons.exams_figure(lessons.exams(0.4, 30, 50, 0), 0.4), lessons.coverage_figure(30),
        lessons.same_rates_figure(12, 13, 30), lessons.pairing_figure(120, 132, 200), lessons.power_figure(0.5),
        lessons.clustered_figure(counted), lessons.seeds_figure(counted), lessons.comparisons_figure(counted),
        lessons.told_apart_figure(counted), lessons.votes_figure(),
    ]  # fmt: skip
    for figure, data in figures:
        check_table(data, "data of a figure")
        assert static_svg(figure).startswith("<svg") and len(data)
    for frame in (lessons.power_table(0.5), lessons.votes_table()):
        check_table(frame, "a table")
    results = (
        lessons.two_counts_findings(12, 13, 30) | lessons.coverage_findings(30) | lessons.votes_findings()
        | lessons.pairing_findings(120, 132, 200) | lessons.told_apart_example(200, 0.3)
        | lessons.first_and_last(counted, {"a": "b"})
    )  # fmt: skip
    for name, value in results.items():
        check_result(name, value)
    assert isinstance(results["b_first"], Rate) and results["b_last"].k == 4
