"""No pattern that is accepted can hang, whatever text it meets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llmrouter_plugin_rules.patterns import LONGEST, any_of, compiled, cut


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?i)\b(prove|proof|theorem)\b",
        r"```|\bdef \w{1,40}\(",
        r"a.*b",
        r"\bSELECT\b.{1,200}\bFROM\b",
        r".{0,100}x.{0,100}y",
        r"\d++\s*+[-+*/]\s*+\d",
        r"(?=.*x)y|z(?!.*y)",
        r"(?>a+)b",
        r"(foo|bar){0,3}x",
        r"(a)?(?(1)b|c)",
        "",
    ],
)
def test_useful_patterns_are_accepted(pattern: str) -> None:
    """And search the worst of texts in a moment."""
    found = compiled(pattern)
    for text in ("a", "ab", "x ", "SELECT ", "1 ", "foo"):
        found.search(cut(text * LONGEST))


@pytest.mark.parametrize(
    "pattern",
    [
        r"(a+)+$",
        r"(a*)*b",
        r"(a|aa)+$",
        r"([a-z]+\s?)*:",
        r"(.*a){20}",
        r"(a?){30}a{30}",
        r".*a.*b",
        r"\s+\w+\s+\w+",
        r"(?=(a+)+b)",
        r"(?>(a+)+b)",
        r"a*a*+b",
        r"(?:(?>a+)b)+c",
        r"x|(?:y|(z+)*)",
        r"(.*)\1",
        r"((((a{0,9}){0,9}){0,9}){0,9}){0,9}",
    ],
)
def test_explosive_patterns_are_refused(pattern: str) -> None:
    """Repeats in repeats, and open repeats that share a text."""
    with pytest.raises(ValueError, match="'pattern' might search for very long"):
        compiled(pattern)


ATOM = st.sampled_from(["a", "b", "[ab]", ".", r"\w", "ab", "(?:a|b)", "(?:a|ab)"])
REPEAT = st.sampled_from(["", "", "*", "+", "?", "{0,3}", "+?", "*+", "{2,}"])
PATTERN = st.recursive(
    st.tuples(ATOM, REPEAT).map("".join),
    lambda inner: (
        st.tuples(inner, inner).map("".join)
        | st.tuples(inner, REPEAT).map(lambda pair: f"(?:{pair[0]}){pair[1]}")
    ),
    max_leaves=4,
)


@settings(deadline=None, max_examples=60)
@given(PATTERN, st.text("ab", min_size=1, max_size=3))
def test_what_is_accepted_is_quick(pattern: str, text: str) -> None:
    """Any pattern that got through ends on a long text of a few letters, matching or not."""
    try:
        found = compiled(pattern + "c")
    except ValueError:
        return
    assert found.search(cut(text * LONGEST)) is None


@given(st.text(), st.integers(0, 3))
def test_a_text_is_cut_to_its_head_and_its_tail(text: str, times: int) -> None:
    """Short ones stay whole."""
    whole = text * (1 + times * 500)
    read = cut(whole)

    assert read == whole if len(whole) <= LONGEST else len(read) == LONGEST + 1
    assert whole.startswith(read[: LONGEST // 2])
    assert whole.endswith(read[-(LONGEST // 2) :])


WORD = st.text(st.characters(codec="ascii"), min_size=1).filter(str.strip)


@given(st.lists(WORD, min_size=1, max_size=3), st.text(st.characters(codec="ascii")))
def test_words_are_found_literally(words: list[str], rest: str) -> None:
    """No sign of a word is taken for a sign of a pattern."""
    search = any_of(tuple(words))

    assert search.search(" ".join(words[0].split()))
    if not any(word.split()[0].lower() in rest.lower() for word in words):
        assert search.search(rest) is None
