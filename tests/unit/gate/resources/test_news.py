"""What of the runs is told when; the clock is the test's own."""

import pytest

from benchgate.gate.names import RESULTS_URI, RUN_URI, RUNS_URI, SERIES_URI, SUMMARY_URI
from benchgate.gate.resources.news import RUNS_REMEMBERED_MAX, News, is_announced, run_of
from tests.unit.examples import METRICS, NOON, SUMMARY, snapshot_of

RUN = "benchgate://runs/run-789xyz"
FILES = (f"{RUN}/series.csv", f"{RUN}/summary.csv", f"{RUN}/results.json")


@pytest.fixture
def news() -> News:
    """News of one run that measures, all told at second 0."""
    news = News()
    news.hear(snapshot_of("RUNNING", phase="MEASUREMENT"), at=0)
    news.take(at=0)
    return news


def measuring(seconds: float) -> dict[str, object]:
    return {"phase": "MEASUREMENT", "elapsed_seconds": seconds, "metrics": METRICS}


def test_a_run_that_was_not_known_is_told_with_the_list_at_once() -> None:
    news = News()
    assert news.seconds_left(at=5) is None
    news.hear(snapshot_of("PREPARED"), at=5)
    assert news.seconds_left(at=5) == 0
    told = news.take(at=5)
    assert told.uris == (RUNS_URI, RUN)
    assert told.has_new_run


def test_what_was_told_is_not_told_again(news: News) -> None:
    news.hear(snapshot_of("RUNNING", phase="MEASUREMENT"), at=9)
    assert news.seconds_left(at=9) is None
    assert news.take(at=9).uris == ()


def test_how_and_when_it_was_read_is_no_news(news: News) -> None:
    news.hear(snapshot_of("RUNNING", phase="MEASUREMENT", updated_at=NOON, source="stream"), at=9)
    assert news.take(at=9).uris == ()


def test_figures_are_told_every_two_seconds_at_most(news: News) -> None:
    told: list[float] = []
    for tenth in range(1, 100):
        news.hear(snapshot_of("RUNNING", **measuring(tenth / 10)), at=tenth / 10)
        if news.take(at=tenth / 10).uris:
            told.append(tenth / 10)
    assert told == [2, 4, 6, 8]


def test_the_last_figures_are_told_even_if_nothing_comes_after_them(news: News) -> None:
    news.hear(snapshot_of("RUNNING", **measuring(1)), at=0.5)
    assert news.seconds_left(at=0.5) == 1.5
    assert news.take(at=1.9).uris == ()
    assert news.take(at=2).uris == (RUN,)
    assert news.seconds_left(at=2) is None


def test_figures_after_a_pause_are_told_at_once(news: News) -> None:
    news.hear(snapshot_of("RUNNING", **measuring(60)), at=60)
    assert news.take(at=60).uris == (RUN,)


@pytest.mark.parametrize(
    ("status", "phase", "uris"),
    [
        ("RUNNING", "PROCESSING", (RUN,)),
        ("STOPPING", "MEASUREMENT", (RUNS_URI, RUN)),
        ("ADRIFT", "MEASUREMENT", (RUNS_URI, RUN)),
        ("COMPLETED", None, (RUNS_URI, RUN, *FILES)),
        ("FAILED", "MEASUREMENT", (RUNS_URI, RUN, *FILES)),
    ],
)
def test_where_a_run_stands_is_told_at_once(
    news: News, status: str, phase: str | None, uris: tuple[str, ...]
) -> None:
    news.hear(snapshot_of(status, phase=phase), at=0.1)
    told = news.take(at=0.1)
    assert told.uris == uris
    assert not told.has_new_run


def test_figures_that_come_after_the_end_are_told_with_the_files(news: News) -> None:
    news.hear(snapshot_of("COMPLETED"), at=1)
    news.take(at=1)
    assert news.has_ended("run-789xyz")
    news.hear(snapshot_of("COMPLETED", summary=SUMMARY), at=1.5)
    assert news.take(at=3).uris == (RUN, *FILES)


def test_an_end_that_comes_while_figures_wait_does_not_wait_with_them(news: News) -> None:
    news.hear(snapshot_of("RUNNING", **measuring(1)), at=0.5)
    news.hear(snapshot_of("COMPLETED"), at=0.6)
    assert RUN in news.take(at=0.6).uris
    assert news.seconds_left(at=0.6) is None


def test_each_run_has_a_time_of_its_own(news: News) -> None:
    news.hear(snapshot_of("RUNNING", run_id="run-b"), at=1)
    news.take(at=1)
    news.hear(snapshot_of("RUNNING", run_id="run-b", elapsed_seconds=1), at=2.5)
    news.hear(snapshot_of("RUNNING", **measuring(1)), at=2.5)
    assert news.take(at=2.5).uris == (RUN,)
    assert news.take(at=3).uris == ("benchgate://runs/run-b",)


def test_only_so_many_runs_are_remembered_and_the_newest_of_them() -> None:
    news = News()
    for number in range(RUNS_REMEMBERED_MAX + 50):
        news.hear(snapshot_of("COMPLETED", run_id="kept"), at=0)
        news.hear(snapshot_of("COMPLETED", run_id=f"run-{number}"), at=0)
    told = news.take(at=0)
    assert len(told.uris) == 1 + 4 * RUNS_REMEMBERED_MAX
    assert "benchgate://runs/kept" in told.uris
    assert not news.has_ended("run-0")


@pytest.mark.parametrize("template", [RUN_URI, SERIES_URI, SUMMARY_URI, RESULTS_URI])
def test_the_run_of_a_resource_is_recognised(template: str) -> None:
    uri = template.format(run_id="run-1")
    assert run_of(uri) == "run-1"
    assert is_announced(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "benchgate://runs/",
        "benchgate://runs/a b",
        "benchgate://runs/%61",
        "benchgate://runs/a/secrets.csv",
        "benchgate://runs/a/b/summary.csv",
        "benchgate://runs//summary.csv",
        "benchgate://runs/a\n",
        "benchgate://runs/" + "a" * 65,
        "benchgate://templates/tpl-1",
        "x://runs/a",
    ],
)
def test_what_is_no_runs_resource_has_no_run(uri: str) -> None:
    assert run_of(uri) is None
    assert not is_announced(uri)


def test_the_list_of_runs_is_announced_and_is_no_run() -> None:
    assert is_announced(RUNS_URI)
    assert run_of(RUNS_URI) is None
