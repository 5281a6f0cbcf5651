"""What a real browser makes of the pages: whatever a model says, however a person comes."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed"),
]

Fake = Any
Open = Callable[..., Any]

CONTRAST = """() => {
  const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    paint.clearRect(0, 0, 1, 1);
    paint.fillStyle = colour;
    paint.fillRect(0, 0, 1, 1);
    return [...paint.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => {
    const [r, g, b] = rgba(colour).map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    for (let one = node; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor;
      if (rgba(colour)[3] === 255) return colour;
    }
    return "white";
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    if (!texts.currentNode.textContent.trim() || !node.checkVisibility()) continue;
    if (node.closest(".unseen, script, option, :disabled")) continue;
    const style = getComputedStyle(node);
    const [a, b] = [light(style.color ), light(ground(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    found.push([texts.currentNode.textContent.trim().slice(0, 30), ratio]);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser without a window."""
    with sync_api.sync_playwright() as play:
        found = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def open_page(browser: Any, fake: Fake) -> Iterator[Open]:
    """A function that opens a page of the fake gateway; whatever it does wrong fails the test."""
    contexts, wrong = [], []

    def log(message: Any) -> None:
        # A browser reports what a server refused as an error of the page, which it is not.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            wrong.append(message.text)

    def asked(request: Any) -> None:
        if not request.url.startswith(f"{fake.url}/") or fake.key in request.url:
            wrong.append(f"{request.method} {request.url}")

    def opened(
        path: str = "/chat", key: str | None = fake.key, width: int = 1000, **how: Any
    ) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 760}, **how)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(8000)
        page.on("console", log)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", asked)
        page.goto(fake.url + path + (f"#k={key}" if key else ""))
        if path == "/chat" and key == fake.key:
            expect(page.locator("#model option")).to_have_count(5)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def ask(page: Any, text: str) -> Any:
    """Ask, wait for the end of the answer, and return its turn."""
    turns = page.locator(".turn")
    number = turns.count()
    page.fill("#question", text)
    page.press("#question", "Enter")
    turn = turns.nth(number)
    expect(turn.locator(".acts")).to_be_visible()
    return turn


# ---------------------------------------------------------------------- answers


def test_an_answer_says_who_gave_it_why_and_for_how_much(fake: Fake, open_page: Open) -> None:
    page = open_page()
    turn = ask(page, "Where?")
    expect(turn.locator(".text")).to_have_text("Paris it is.")
    expect(turn.locator(".facts")).to_contain_text("small · $0.00012 · 12 tokens")
    turn.locator(".why summary").click()
    expect(turn.locator(".reasons tbody tr")).to_have_text(
        ["large84 %$0.0041", "small (answered)81 %$0.00012", "new–$0.002"]
    )
    [body] = fake.questions()

    assert body == {
        "model": "auto",
        "messages": [{"role": "user", "content": "Where?"}],
        "stream": True,
    }
    expect(page.locator("#total")).to_have_text("This conversation: 1 turn, $0.00012")


def test_words_are_shown_before_the_answer_is_complete(fake: Fake, open_page: Open) -> None:
    go = threading.Event()
    fake.pieces = ["First words. And ", lambda: go.wait(8), "the rest."]
    page = open_page()
    page.fill("#question", "?")
    page.press("#question", "Enter")
    turn = page.locator(".turn")
    expect(turn.locator(".text")).to_have_text("First words. And")
    expect(turn.locator("article")).to_have_attribute("aria-busy", "true")
    expect(turn.locator(".facts")).to_have_text("small")
    expect(page.locator("#voice p")).to_have_text(["First words."])
    go.set()
    expect(turn.locator("article")).to_have_attribute("aria-busy", "false")
    expect(page.locator("#voice p")).to_have_text(
        ["First words.", "And the rest.", "Answered by small, $0.00012."]
    )
    assert page.locator("#voice").get_attribute("aria-live") == "polite"


def test_a_long_answer_is_no_burden(fake: Fake, open_page: Open) -> None:
    """A hundred thousand characters without one sentence's end, in two thousand pieces."""
    fake.pieces = ["lorem ipsum dolor sit amet consectetur adipiscing "] * 2000
    page = open_page()
    page.evaluate(
        """() => {
          window.longest = 0;
          new PerformanceObserver((list) => {
            for (const task of list.getEntries()) longest = Math.max(longest, task.duration);
          }).observe({ type: "longtask" });
        }"""
    )
    turn = ask(page, "?")

    assert len(turn.locator(".text").inner_text()) > 99_000
    assert page.evaluate("window.longest") < 1500  # milliseconds, on a machine that is shared


HOSTILE = """
<script>document.title = "taken"</script><img src=x onerror="document.title='taken'">
<style>body { display: none }</style><iframe src="/v1/models"></iframe>

![a picture](https://evil.example/?told) ![](data:image/svg+xml,<svg/onload=alert(1)>)

[js](javascript:document.title='taken') [data](data:text/html,<script>1</script>)
[vb](vbscript:x) <https://evil.example/%22onclick=alert(1)> [file](file:///etc/passwd)

| a | b |
|:-:|--:|
| <b onclick=alert(1)>x</b> | `<script>` |

```"><script>alert(1)</script>
<script>alert(1)</script>
```

[ref]: javascript:alert(1)
[ref] <svg><a xlink:href="javascript:alert(1)"><text>x</text></a></svg>
"""


def test_whatever_a_model_says_is_shown_and_never_run(fake: Fake, open_page: Open) -> None:
    fake.pieces = [HOSTILE[at : at + 9] for at in range(0, len(HOSTILE), 9)]
    evil = "<img src=x onerror=\"document.title='taken'\">"
    fake.about |= {"reason": evil, "scores": {evil: {evil: 1.5}}}
    page = open_page()
    turn = ask(page, evil)
    names = turn.evaluate(
        "node => [...node.querySelectorAll('.text *, .reasons *')].map(one => one.localName)"
    )
    links = turn.evaluate("node => [...node.querySelectorAll('.text a')].map(one => one.href)")
    marks = turn.evaluate(
        "node => [...node.querySelectorAll('.text *')].flatMap(one => one.getAttributeNames())"
    )

    assert page.title() == "Chat – LLMRouter"
    assert not set(names) & {"script", "img", "iframe", "style", "b", "text"}
    assert set(marks) <= {"href", "target", "rel", "class", "tabindex"}
    assert len(links) == 2
    assert all(link.startswith("https://evil.example/") for link in links)
    assert turn.locator(".question").inner_text() == evil


def test_markdown_is_shown_as_what_it_means(fake: Fake, open_page: Open) -> None:
    fake.pieces = [
        "# Head\n\n1. *one*\n\n```python\nx = 1\n```\n\n|a|b|\n|-|-:|\n|1|2|\n\nmain.py"
    ]
    turn = ask(open_page(), "?")
    expect(turn.locator(".text h1")).to_have_text("Head")
    expect(turn.locator(".text ol li em")).to_have_text("one")
    expect(turn.locator(".text pre code.language-python")).to_have_text("x = 1\n")
    expect(turn.locator(".text td.right")).to_have_text("2")
    expect(turn.locator(".text a")).to_have_count(0)


# ---------------------------------------------------------------------- what goes wrong


def test_a_refusal_is_told_and_may_be_asked_again(fake: Fake, open_page: Open) -> None:
    fake.refuses = (429, "the budget of this key is spent")
    page = open_page()
    turn = ask(page, "Where?")
    expect(turn.locator(".trouble")).to_have_text(
        "The budget of this key is spent. Try again in 7 s."
    )
    fake.refuses = None
    turn.locator("[data-act=again]").click()
    expect(page.locator(".turn .text")).to_have_text(["Paris it is."])
    ask(page, "And then?")

    assert [m["content"] for m in fake.questions()[-1]["messages"]] == [
        "Where?", "Paris it is.", "And then?",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("last", "told"),
    [
        ({"choices": []}, "The answer was cut off: the connection ended too early."),
        ({"error": {"message": "the model's stream broke"}}, "The model's stream broke."),
    ],
)
def test_half_an_answer_is_never_taken_for_a_whole_one(
    last: Any, told: str, fake: Fake, open_page: Open
) -> None:
    fake.last = last
    page = open_page()
    turn = ask(page, "Where?")
    expect(turn.locator(".text")).to_have_text("Paris it is.")
    expect(turn.locator(".trouble")).to_have_text(told)
    expect(turn.locator("[data-act=good]")).to_be_hidden()
    ask(page, "Next")

    assert len(fake.questions()[-1]["messages"]) == 1


def test_escape_stops_an_answer_and_the_server_hears_of_it(fake: Fake, open_page: Open) -> None:
    def endless() -> Iterator[str]:
        while not fake.left.wait(0.02):
            yield "Once more. "

    fake.pieces = endless()
    page = open_page()
    page.fill("#question", "?")
    page.press("#question", "Enter")
    expect(page.locator("#stop")).to_be_visible()
    expect(page.locator(".turn .text")).to_contain_text("Once more.")
    page.keyboard.press("Escape")
    expect(page.locator(".turn .facts")).to_contain_text("stopped by you")
    expect(page.locator("#send")).to_be_visible()
    assert fake.left.wait(8)


# ---------------------------------------------------------------------- what is sent


def test_the_three_ways_to_show_a_model_the_conversation(fake: Fake, open_page: Open) -> None:
    axes = ["cats", "dogs", "maths", "law", "wine"]
    fake.embed = lambda text: [1.0 if axis in text else 0.1 for axis in axes]
    page = open_page()
    for word in axes:
        ask(page, f"about {word}")
    page.check("[value=similar]")
    ask(page, "cats and law and maths")
    similar = fake.questions()[-1]["messages"]
    page.check("[value=current]")
    ask(page, "alone")
    page.check("[value=full]")
    turn = ask(page, "all")
    asked = [
        [m["content"] for m in messages if m["role"] == "user"]
        for messages in (
            similar,
            fake.questions()[-2]["messages"],
            fake.questions()[-1]["messages"],
        )
    ]

    assert asked[0] == ["about cats", "about maths", "about law", "cats and law and maths"]
    assert asked[1] == ["alone"]
    assert asked[2] == [
        *(f"about {word}" for word in axes),
        "cats and law and maths",
        "alone",
        "all",
    ]
    expect(turn.locator(".facts")).to_contain_text("saw 7 earlier turns")
    assert {headers["x-llmrouter-conversation"] for path, _, headers in fake.asked
            if path == "/v1/chat/completions"} == {json.loads(page.evaluate(
                "sessionStorage.getItem('llmrouter.conversation')"))}  # fmt: skip


def test_the_knob_is_sent_once_it_is_moved(fake: Fake, open_page: Open) -> None:
    page = open_page()
    page.focus("#tradeoff")
    page.keyboard.press("End")
    expect(page.locator("#tradeoff-said")).to_have_text("lowest cost, whatever it answers")
    ask(page, "?")
    page.locator("#tradeoff").fill("0.3")
    ask(page, "?")
    page.click("#untrade")
    ask(page, "?")
    page.locator("#tradeoff").fill("0.4")
    page.select_option("#model", "large")
    expect(page.locator("#tradeoff")).to_be_disabled()
    ask(page, "?")

    assert [(body["model"], body.get("llmrouter")) for body in fake.questions()] == [
        ("auto", {"tradeoff": 1}), ("auto", {"tradeoff": 0.3}), ("auto", None), ("large", None),
    ]  # fmt: skip


def test_thumbs_are_sent_with_the_id_of_the_answer(fake: Fake, open_page: Open) -> None:
    page = open_page()
    turn = ask(page, "?")
    turn.locator("[data-act=good]").click()
    good = turn.locator("[data-act=good]")
    expect(good).to_have_attribute("aria-pressed", "true")
    expect(good).to_have_css("background-color", "rgb(0, 96, 160)")
    expect(page.locator("#voice")).to_contain_text("Thank you.")
    turn.locator("[data-act=bad]").click()
    expect(turn.locator("[data-act=good]")).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#voice p", has_text="Thank you.")).to_have_count(2)
    sent = [body for path, body, _ in fake.asked if path == "/v1/feedback"]

    assert [body["reward"] for body in sent] == [1, 0]
    assert len({body["id"] for body in sent}) == 1


# ---------------------------------------------------------------------- the key


def test_the_key_leaves_the_address_bar_and_stays_in_the_tab(fake: Fake, open_page: Open) -> None:
    page = open_page()
    ask(page, "?")

    assert page.url == f"{fake.url}/chat"
    assert page.evaluate("sessionStorage.getItem('llmrouter.key')") == json.dumps(fake.key)
    assert fake.key not in page.evaluate("JSON.stringify({...localStorage}) + document.cookie")
    assert fake.key not in page.content()
    page.click("text=Dashboard")
    expect(page.locator("#requests")).to_have_text("1,234")


def test_a_key_is_asked_for_until_it_is_right(fake: Fake, open_page: Open) -> None:
    page = open_page(key=None)
    door = page.locator("#door")
    expect(door).to_contain_text("This server wants a key.")
    page.keyboard.press("Escape")
    expect(door).to_be_visible()
    page.fill("#key", "wrong")
    page.keyboard.press("Enter")
    expect(door).to_contain_text("That key was not accepted: There is no such key.")
    page.fill("#key", fake.key)
    page.keyboard.press("Enter")
    expect(door).to_be_hidden()
    expect(page.locator("#model option")).to_have_count(5)
    ask(page, "?")


def test_a_conversation_outlives_a_reload_until_a_new_one(fake: Fake, open_page: Open) -> None:
    page = open_page()
    ask(page, "Where?")
    page.check("[value=current]")
    before = page.evaluate("sessionStorage.getItem('llmrouter.conversation')")
    page.reload()
    expect(page.locator(".turn .text")).to_have_text(["Paris it is."])
    expect(page.locator("[value=current]")).to_be_checked()
    page.click("#clear")
    page.reload()
    expect(page.locator("#welcome")).to_be_visible()
    expect(page.locator(".turn")).to_have_count(0)
    assert page.evaluate("sessionStorage.getItem('llmrouter.conversation')") != before


# ---------------------------------------------------------------------- everybody


def test_everything_can_be_reached_and_seen_by_keyboard(fake: Fake, open_page: Open) -> None:
    fake.pieces = ["```\ncode\n```"]
    page = open_page()
    turn = ask(page, "?")
    turn.locator(".why summary").click()
    page.focus(".skip")
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    reached = []
    for _ in range(40):
        name, outline, seen = page.evaluate(
            """() => {
              const one = document.activeElement, style = getComputedStyle(one);
              const name = one.id || one.dataset.act || one.textContent.trim() || one.name;
              return [name.slice(0, 20), style.outlineStyle, one.checkVisibility()];
            }"""
        )
        if name in reached:
            break
        reached.append(name)
        assert (outline, seen) == ("solid", True), name
        page.keyboard.press("Tab")
    wanted = ["Chat", "Dashboard", "clear", "theme", "model", "tradeoff", "memory", "scroll",
              "code", "good", "bad", "copy", "again", "Why this model", "question"]  # fmt: skip

    assert [name for name in reached if name in wanted] == wanted


def test_enter_sends_and_shift_enter_starts_a_line(fake: Fake, open_page: Open) -> None:
    page = open_page()
    expect(page.locator("#question")).to_be_focused()
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    page.keyboard.press("Enter")
    expect(page.locator(".turn .question")).to_have_text("one\ntwo", use_inner_text=True)
    expect(page.locator("#question")).to_have_value("")
    expect(page.locator("#question")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/chat", "/dashboard"])
def test_every_text_can_be_read_in_both_themes(
    path: str, scheme: str, fake: Fake, open_page: Open
) -> None:
    fake.pieces = ["Text `code` [link](https://a.example)\n\n> quote\n\n```\nx\n```"]
    page = open_page(path, color_scheme=scheme)
    if path == "/chat":
        turn = ask(page, "?")
        turn.locator(".why summary").click()
        turn.locator("[data-act=good]").click()
        fake.refuses = (500, "trouble")
        ask(page, "?")
    else:
        expect(page.locator("#share table")).to_be_visible()
    found = page.evaluate(CONTRAST)

    assert len(found) > 20
    assert [text for text, ratio in found if ratio < 4.5] == []


def test_the_theme_can_be_chosen_and_is_kept(fake: Fake, open_page: Open) -> None:
    page = open_page(color_scheme="light")
    paper = "getComputedStyle(document.body).backgroundColor"
    shades = []
    for name in ("auto", "light", "dark"):
        expect(page.locator("#theme")).to_have_attribute("aria-label", f"Theme: {name}")
        shades.append(page.evaluate(paper))
        page.click("#theme")
    page.click("#theme")
    page.click("#theme")
    page.reload()
    expect(page.locator("#theme")).to_have_attribute("aria-label", "Theme: dark")

    assert shades == ["rgb(255, 255, 255)", "rgb(255, 255, 255)", "rgb(20, 23, 27)"]
    assert page.evaluate(paper) == "rgb(20, 23, 27)"


@pytest.mark.parametrize("path", ["/chat", "/dashboard"])
@pytest.mark.parametrize("width", [320, 360, 800, 1600])
def test_no_page_is_wider_than_its_screen(
    path: str, width: int, fake: Fake, open_page: Open
) -> None:
    fake.pieces = [f"{'long' * 60}\n\n```\n{'wide ' * 60}\n```\n\n|{'a|' * 20}\n|{'-|' * 20}\n"]
    fake.about["scores"] = {f"score_of_many_{n}": {"small": 0.5} for n in range(9)}
    fake.stats = {**fake.stats, "models": {"maker/" + "m" * 80: fake.stats["models"]["large"]}}
    page = open_page(path, width=width)
    if path == "/chat":
        turn = ask(page, "w" * 200)
        turn.locator(".why summary").click()
        expect(turn.locator(".reasons")).to_be_visible()
        scroll = page.locator("#scroll")
        assert scroll.evaluate("one => one.scrollWidth - one.clientWidth") == 0
        if width < 800:
            page.click("#open-settings")
            expect(page.locator("#model")).to_be_visible()
    else:
        expect(page.locator("#share table")).to_be_visible()

    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(
        "[...document.querySelectorAll('button, a, input, select, textarea')]"
        ".filter(one => one.checkVisibility() && !one.matches('.skip') && !one.closest('.scroll'))"
        f".filter(one => one.getBoundingClientRect().right > {width} + 1).map(one => one.id)"
    ) == []  # fmt: skip


def test_nothing_moves_for_those_who_do_not_want_it(fake: Fake, open_page: Open) -> None:
    go = threading.Event()
    fake.pieces = [lambda: go.wait(8), "Done."]
    counts = []
    for motion in ("no-preference", "reduce"):
        page = open_page(reduced_motion=motion)
        page.fill("#question", "?")
        page.press("#question", "Enter")
        expect(page.locator(".waiting")).to_be_visible()
        counts.append(page.evaluate("document.getAnimations().length"))
    go.set()

    assert counts == [1, 0]


# ---------------------------------------------------------------------- the dashboard


def test_the_dashboard_shows_what_was_counted(fake: Fake, open_page: Open) -> None:
    page = open_page("/dashboard")
    expect(page.locator("#spent")).to_have_text("$1.25")
    expect(page.locator("#saved")).to_have_text("$3.75")
    expect(page.locator("#less")).to_contain_text("75 % less")
    expect(page.locator("#errors")).to_have_text("4 (0.3 %)")
    expect(page.locator("#share tbody tr")).to_have_text(
        ["small67 %800$0.15110,000120,0000", "large33 %400$1.1052,00081,0004"]
    )
    expect(page.locator("#error tbody tr")).to_have_count(2)
    fake.stats = {**fake.stats, "requests": 2000, "cost": 6.0}
    expect(page.locator("#requests")).to_have_text("2,000")
    expect(page.locator("#saved")).to_have_text("−$1.00")
    expect(page.locator("#load polyline")).to_have_count(1)


def test_a_server_that_has_done_nothing_yet_has_a_dashboard(fake: Fake, open_page: Open) -> None:
    fake.stats = {"since": 1700000000.5, "requests": 0.0, "errors": {}, "models": {}}
    page = open_page("/dashboard")
    expect(page.locator("#requests")).to_have_text("0")
    expect(page.locator("#share")).to_have_text("No model has answered yet.")
    expect(page.locator("#error")).to_have_text("None.")


def test_a_dashboard_can_be_paused(fake: Fake, open_page: Open) -> None:
    page = open_page("/dashboard")
    expect(page.locator("#requests")).to_have_text("1,234")
    page.clock.install()
    page.click("#pause")
    asked = len(fake.asked)
    page.clock.run_for(10_000)

    assert len(fake.asked) <= asked + 1  # one may have been under way


# ---------------------------------------------------------------------- the modules


def test_events_are_the_same_wherever_the_stream_is_cut(open_page: Open) -> None:
    found = open_page().evaluate(
        """async () => {
          const { events } = await import("/chat/page/sse.js");
          const text = ': hello\\r\\n\\r\\ndata: {"a":"ü…"}\\r\\n\\r\\nevent: x\\ndata:{"b":\\n'
            + 'data: 2}\\n\\n\\ndata: [DONE]\\n\\ndata: {"lost":1}';
          const bytes = new TextEncoder().encode(text);
          const all = new Set();
          for (let size = 1; size <= bytes.length; size += 1) {
            const body = new ReadableStream({
              start(control) {
                for (let at = 0; at < bytes.length; at += size) {
                  control.enqueue(bytes.slice(at, at + size));
                }
                control.close();
              },
            });
            const seen = [];
            for await (const event of events(body)) seen.push(event);
            all.add(JSON.stringify(seen));
          }
          return [...all];
        }"""
    )

    assert found == ['[{"a":"ü…"},{"b":2}]']


def test_figures_have_the_digits_that_tell_something(open_page: Open) -> None:
    page = open_page()
    values = [0, 1e-9, 0.0000021, 0.00012, 0.0051, 0.25, 12.345, 1234567.8, -0.5, None]
    told = page.evaluate(
        """async (values) => {
          const { dollars } = await import("/chat/page/figures.js");
          return values.map(dollars);
        }""",
        values,
    )

    assert told == [
        "$0", "under $0.0000001", "$0.0000021", "$0.00012", "$0.0051", "$0.25", "$12.35",
        "$1,234,567.80", "−$0.50", "price unknown",
    ]  # fmt: skip


def test_a_rate_is_taken_over_ten_seconds_and_starts_again_with_the_server(
    open_page: Open,
) -> None:
    found = open_page().evaluate(
        """async () => {
          const { Rate } = await import("/chat/page/rate.js");
          const rate = new Rate();
          for (const [now, counter] of [[0, 100], [5, 110], [10, 120], [20, 120]]) {
            rate.add(now, counter);
          }
          const before = rate.points(20);
          rate.add(22, 1);
          rate.add(24, 3);
          return [before, rate.points(24)];
        }"""
    )

    assert found == [[[15, 120], [10, 120], [0, 0]], [[0, 60]]]
