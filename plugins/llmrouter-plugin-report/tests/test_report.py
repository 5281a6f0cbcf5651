"""What the pages say, and that they say nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from llmrouter_core.cli.group import llmrouter
from llmrouter_plugin_report import figures
from llmrouter_plugin_report.labels import Box, place

Make = Callable[..., dict[str, Any]]
Write = Callable[..., Path]

HOSTILE = "<script>alert('x')</script>&amp; \"q\" | `a` [b](http://c) \x00\x1b[2J\u202e\ud800"
STYLE = Path(__file__).parents[1] / "llmrouter_plugin_report/style.css"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(llmrouter, ["report", *map(str, arguments)], catch_exceptions=False)


def made(*folders: Path, form: str = "html", options: tuple[str, ...] = ()) -> str:
    """Return what the command writes about *folders*."""
    file = folders[0].parent / f"page.{form}"
    result = run(*folders, f"--{form}", file, *options)
    assert result.exit_code == 0, result.output
    return file.read_text(encoding="utf-8")


class Page(HTMLParser):
    """Everything on a page: elements with attributes, texts, and whether tags are balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def values(self, name: str) -> list[str]:
        """Return every value of the attribute *name*."""
        return [found[name] or "" for _, found in self.elements if name in found]


def judge(text: str) -> Page:
    """Return the page in *text*, which is sound and reaches for nothing outside itself."""
    page = Page(text)
    tags = {tag for tag, _ in page.elements}
    ids = page.values("id")
    root = ElementTree.fromstring(text)  # all of it, so every SVG too

    assert page.open == []
    assert root.tag == "html"
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    assert not page.values("src")
    assert not [name for _, found in page.elements for name in found if name.startswith("on")]
    assert len(ids) == len(set(ids))
    assert {link.removeprefix("#") for link in page.values("href")} <= set(ids)
    assert {part for value in page.values("aria-labelledby") for part in value.split()} <= set(ids)
    assert all(url.startswith("url(#") for url in re.findall(r"url\([^)]*\)", text))
    assert "@import" not in text
    assert (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in page.values("content")[0]
    )
    assert not re.search(r"\b(nan|inf|None)\b", " ".join(page.texts))
    for picture in root.iter("svg"):
        hidden = picture.get("aria-hidden") == "true"
        assert hidden or (picture.find("title") is not None and picture.find("desc") is not None)
    return page


def damaged(data: Any, every: int = 3) -> Any:
    """Return *data* with each third number unknown."""
    place = 0

    def walk(value: Any, key: str = "") -> Any:
        nonlocal place
        if isinstance(value, dict):
            return {key: walk(inner, key) for key, inner in value.items()}
        if isinstance(value, list):
            return [walk(inner, key) for inner in value]
        if isinstance(value, float):
            place += 1
            return None if place % every == 0 and "shares" not in key else value
        return value

    return walk(data)


def stripped(data: Any) -> Any:
    """Return a report as the first version of the evaluation wrote it: rows and counts."""
    return {key: data[key] for key in ("rows", "queries", "resamples", "seed")}


def free(data: Any) -> Any:
    for point in [*data["singles"][:2], *data["curve"][-2:]]:
        point["cost"], point["cost_interval"] = 0.0, [0.0, 0.0]
    return data


def all_free(data: Any) -> Any:
    for point in [*data["singles"], *data["curve"], *data["rows"]]:
        point["cost"], point["cost_interval"] = 0.0, [0.0, 0.0]
    return data


def single_query(data: Any) -> Any:
    data["queries"] = 1
    for row in data["rows"]:
        row.update(answered=1, quality_interval=[row["quality"]] * 2, gain_interval=[1.0, 1.0])
    return data


def named(data: Any, name: str) -> Any:
    text = json.dumps(data).replace("maker/model-0", json.dumps(name)[1:-1])
    return json.loads(text.replace('"code"', json.dumps(name)))


AWKWARD: dict[str, Callable[[Make], Any]] = {
    "one model": lambda make: make(1, 0.0),
    "forty models": lambda make: make(40),
    "no costs": lambda make: make(costs=False),
    "no models": lambda make: {**make(), "singles": [], "curve": []},
    "unknown figures": lambda make: damaged(make()),
    "hardly a known figure": lambda make: damaged(make(), 1),
    "rows only": lambda make: stripped(make()),
    "the router only": lambda make: {**stripped(make()), "rows": make()["rows"][:1]},
    "some free": lambda make: free(make()),
    "all free": lambda make: all_free(make()),
    "one query": lambda make: single_query(make()),
    "hostile names": lambda make: named(make(), HOSTILE),
    "huge names": lambda make: named(make(), "größe/模型-" * 300),
    "empty names": lambda make: named(make(), " "),
}


@pytest.mark.parametrize("case", AWKWARD)
def test_every_page_is_sound_and_needs_nothing_but_itself(
    case: str, whole: Make, written: Write
) -> None:
    """Balanced, well-formed, unique ids, no scripts, no addresses; and there as Markdown, JSON."""
    folder = written(AWKWARD[case](whole))
    page = judge(made(folder))
    conclusions = json.loads(made(folder, form="json"))

    assert [tag for tag, _ in page.elements].count("h1") == 1
    assert conclusions["runs"][0]["headline"] in page.texts
    assert conclusions["runs"][0]["headline"] in made(folder, form="md").replace("\\", "")


def test_names_of_a_report_are_text_wherever_they_stand(whole: Make, written: Write) -> None:
    """They cannot open an element, break a table of Markdown or move a terminal's cursor."""
    folder = written(named(whole(), HOSTILE))
    page, markdown = made(folder, options=("--title", HOSTILE[:70])), made(folder, form="md")

    assert "<script" not in page
    assert "&lt;script&gt;alert('x')" in page
    assert "<script" not in markdown
    assert "\x1b" not in page + markdown
    tables = re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE)
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
    assert any("&lt;script" in table for table in tables)


@pytest.mark.parametrize(
    ("gain", "cost", "headline"),
    [
        (0.04, 0.4, "Better, and 60 % cheaper than the best single model"),
        (0.04, 1.5, "Better, but 50 % dearer than the best single model"),
        (0.01, 0.4, "Not significantly better, but 60 % cheaper than the best single model"),
        (0.0, 1.0, "Not significantly better than the best single model, no clear difference in"),
        (-0.04, 0.4, "Worse, but 60 % cheaper than the best single model"),
        (-0.04, 5.0, "Worse, and 4.0 times dearer than the best single model"),
        (None, 0.4, "Quality not comparable, but 60 % cheaper than the best single model"),
        (0.04, None, "Better than the best single model, cost not comparable"),
    ],
)
def test_the_headline_calls_nothing_better_that_may_be_chance(
    gain: float | None, cost: float | None, headline: str, whole: Make, written: Write
) -> None:
    """Only an interval that lies above zero makes a router better, or cheaper."""
    data = whole(gain=gain or 0.0)
    router, best = data["rows"][0], data["rows"][4]
    router["cost"] = cost and cost * best["cost"]
    router["cost_interval"] = cost and [0.95 * router["cost"], 1.05 * router["cost"]]
    if gain is None:
        router["gain"], router["gain_interval"] = None, [None, None]
    found = json.loads(made(written(data), form="json"))["runs"][0]

    assert found["headline"].replace("\u00a0", " ").startswith(headline)
    if gain in (0.0, 0.01):
        assert "includes zero" in found["sentences"][0]
        assert found["quality"] == "includes zero"


def test_a_few_queries_give_no_verdict(whole: Make, written: Write) -> None:
    """The bootstrap interval of one query has no width, which proves nothing."""
    found = json.loads(made(written(single_query(whole())), form="json"))["runs"][0]

    assert found["headline"] == "Too few queries for a verdict"
    assert "1 query is too few" in found["sentences"][0]
    assert not [text for text in found["sentences"] if "a month" in text or "interval of" in text]


def test_savings_and_their_bounds_are_what_a_pencil_gives(whole: Make, written: Write) -> None:
    """30 days of 1,000 queries; bounds subtracted crosswise."""
    data = whole()
    for row, cost, ends in ((0, 0.002, [0.0015, 0.0025]), (4, 0.005, [0.004, 0.006])):
        data["rows"][row].update(cost=cost, cost_interval=ends)
    options = ("--queries-per-day", "1000")
    found = json.loads(made(written(data), form="json", options=options))["runs"][0]["savings"]

    assert found[0]["policy"] == "best single, also the largest"
    assert found[0]["month"] == pytest.approx(90)
    assert found[0]["interval"] == pytest.approx([45, 135])
    assert found[0]["other"] == pytest.approx(150)


def test_unknown_prices_are_said(whole: Make, written: Write) -> None:
    """Neither a zero nor a blank stands for a price that nobody knows."""
    text = made(written(whole(costs=False)))

    assert "because prices are missing" in text
    assert "There is no plot of quality and cost" in text
    assert "unknown</td>" in text


def test_what_a_report_lacks_is_left_out_with_a_sentence(whole: Make, written: Write) -> None:
    """A missing section is no empty section."""
    text = made(written(stripped(whole())), form="md")

    assert "no figures by task" in text
    assert "no predictions of quality" in text
    assert "none of the summary figures" in text
    assert "The report has no card" in text


def test_tasks_are_sorted_by_loss(whole: Make, written: Write) -> None:
    """The task that the router serves worst is read first."""
    text = made(written(whole()), form="md")
    order = [text.index(f"| {task} |") for task in ("law", r"(no task named)", "maths", "code")]

    assert order == sorted(order)
    assert re.search(r"\| law \| −5.0 .* \| worse \|", text)
    assert re.search(r"\| maths \| \+1.0 .* \| may be chance \|", text)


def test_several_runs_stand_side_by_side(whole: Make, written: Write) -> None:
    """Each has its verdict, its curve and its columns; different data is warned of."""
    first, second = written(whole(), "first"), written(whole(gain=0.0), "second")
    other = whole()
    other["card"]["data"]["test"]["sha256"] = "00"
    page = made(first, second)

    judge(page)
    assert "Router first answers better" in page
    assert "Router second is not significantly better" in page
    assert 'class="line curve router-1"' in page
    assert "not evaluated on the same outcomes" not in page
    assert "not evaluated on the same outcomes" in made(first, written(other, "third"))


def test_runs_of_one_name_are_told_apart(whole: Make, written: Write, tmp_path: Path) -> None:
    """The whole path names folders that end alike."""
    written(whole(), "a").rename(tmp_path / "run")
    (tmp_path / "b").mkdir()
    written(whole(), "c").rename(tmp_path / "b/run")
    found = json.loads(made(tmp_path / "run", tmp_path / "b/run", form="json"))

    assert len({one["name"] for one in found["runs"]}) == 2


def test_the_same_report_gives_the_same_bytes(whole: Make, written: Write) -> None:
    """Nothing on the page depends on the day or on chance."""
    folder = written(whole())

    assert made(folder) == made(folder)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        ("{", "is not JSON"),
        ("[]", "is not the report of an evaluation"),
        ("{}", "is not the report of an evaluation"),
        ('{"rows": [], "queries": 3}', "its `rows` are empty"),
        ('{"rows": [{"policy": "router"}], "queries": 3}', "is not the report of an evaluation"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_what_is_no_report_is_refused_in_a_sentence(
    text: str | None, said: str, tmp_path: Path
) -> None:
    """With its place, a reason and a next step, and exit code 2."""
    file = tmp_path / "report.json"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    result = run(tmp_path, "--html", tmp_path / "page.html")

    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {file}: ")
    assert said in result.stderr
    assert "evaluate" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_file_to_write_is_needed_and_must_be_writable(whole: Make, written: Write) -> None:
    """Nothing is written where nobody asked for it."""
    folder = written(whole())
    nothing, closed = run(folder), run(folder, "--html", folder)

    assert (nothing.exit_code, closed.exit_code) == (2, 2)
    assert "--html report.html" in nothing.stderr
    assert "cannot be written" in closed.stderr


@given(
    st.lists(
        st.tuples(
            st.floats(20, 480), st.floats(20, 280), st.text("aWi模", min_size=1, max_size=18)
        ),
        max_size=40,
    )
)
def test_no_name_covers_another_or_leaves_the_plot(points: list[tuple[float, float, str]]) -> None:
    """Whatever the places are; names without room are left out."""
    bounds = Box(left=0, top=0, right=500, bottom=300)
    boxes = []
    for label, (_, _, text) in zip(place(points, bounds, 12, [], []), points, strict=True):
        if label is not None:
            long = 12 * figures.width(text)
            left = label.x - {"start": 0, "middle": long / 2, "end": long}[label.anchor]
            boxes.append(Box(left=left, right=left + long, top=label.y - 10, bottom=label.y + 1))

    assert all(box.within(bounds) for box in boxes)
    assert not any(a.meets(b) for n, a in enumerate(boxes) for b in boxes[:n])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "unknown"),
        (float("nan"), "unknown"),
        (float("inf"), "unknown"),
        (0.0, "$0.00"),
        (0.00996, "$0.00996"),
        (0.0999999, "$0.100"),
        (0.9999, "$1.00"),
        (12.345, "$12.35"),
        (-3.2, "−$3.20"),
        (123456.7, "$123,457"),
        (1e-30, "$0.00"),
    ],
)
def test_dollars_have_one_form(value: float | None, text: str) -> None:
    """Three digits below a dollar, cents above, none from a thousand on."""
    assert figures.dollars(value) == text


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_can_be_read(scheme: int) -> None:
    """Every colour of text has a contrast of at least 4.5 to its ground (WCAG 2.1, AA)."""
    block = re.findall(r":root \{(.*?)\}", STYLE.read_text(encoding="utf-8"), re.DOTALL)[scheme]
    colours = dict(re.findall(r"--(\w+): (#\w{6});", block))

    for ink in ("ink", "soft", "c0", "c1", "c2", "c3", "oracle", "random", "good", "bad"):
        for ground in ("paper", "panel"):
            assert _contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_light(one), _light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _light(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
