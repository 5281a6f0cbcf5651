"""Languages are told apart by script, and by common words within the Latin one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llmrouter_plugin_rules.languages import LANGUAGES, language_of

TEXTS = {
    "ar": "ما هي عاصمة فرنسا؟",
    "de": "Wie viele Einwohner hat die Hauptstadt von Frankreich?",
    "el": "Ποια είναι η πρωτεύουσα της Γαλλίας;",
    "en": "How many people live in the capital of France?",
    "es": "¿Cuántos habitantes tiene la capital de Francia y por qué?",
    "fr": "Combien d'habitants vivent dans la capitale de la France ?",
    "he": "מהי בירת צרפת?",
    "hi": "फ्रांस की राजधानी क्या है?",
    "it": "Quanti abitanti ha la capitale della Francia?",
    "ja": "フランスの首都はどこですか。",
    "ko": "프랑스의 수도는 어디입니까?",
    "nl": "Hoeveel mensen wonen er in de hoofdstad van Frankrijk?",
    "pt": "Quantos habitantes tem a capital da França e por que não mais?",
    "ru": "Какой город является столицей Франции?",
    "th": "เมืองหลวงของฝรั่งเศสคืออะไร",
    "zh": "法国的首都是哪里？",
}


@pytest.mark.parametrize(("language", "text"), TEXTS.items(), ids=TEXTS)
def test_a_plain_question_has_its_language(language: str, text: str) -> None:
    """One question in each language that can be told."""
    assert language_of(text) == language
    assert language_of(text.upper()) == language


def test_every_language_has_its_question() -> None:
    """None is promised without a test."""
    assert sorted(TEXTS) == sorted(LANGUAGES)


@pytest.mark.parametrize("text", ["", "  ", "17 * 23", "🐈🐈", "Zürich", "x = foo(bar)[3]"])
def test_a_text_that_tells_nothing_has_none(text: str) -> None:
    """Numbers, names and code are in no language."""
    assert language_of(text) is None


def test_a_foreign_word_does_not_change_the_language() -> None:
    """The greater part counts, and a dense script weighs double."""
    assert language_of("What does the word 猫 mean, and how do you say it?") == "en"
    assert language_of("「the cat」は日本語で何ですか。") == "ja"


@given(st.text())
def test_any_text_has_a_known_language_or_none(text: str) -> None:
    """No text makes it fail."""
    assert language_of(text) in (None, *LANGUAGES)
