"""Reading TOML: a file becomes raw tables, or a sentence."""

from pathlib import Path

import pytest

from llmrouter_core import ConfigError
from llmrouter_core.tables import LARGEST, parse, read


def test_a_file_gives_its_name_its_folder_and_its_tables(tmp_path: Path) -> None:
    """The folder is what relative paths are relative to."""
    path = tmp_path / "router.toml"
    path.write_text('selector = "x"', encoding="utf-8")

    assert read(path) == (str(path), tmp_path.resolve(), {"selector": "x"})


def test_a_dictionary_is_copied_and_belongs_to_the_working_folder() -> None:
    """Nothing the reader does later reaches the caller's dictionary."""
    source = {"selector": "x"}
    name, folder, tables = read(source)

    assert (name, folder, tables) == ("config", Path.cwd(), source)
    assert tables is not source


def test_the_largest_config_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    """The limit is exact."""
    path = tmp_path / "router.toml"
    path.write_bytes(b"#" * LARGEST)

    assert read(path)[2] == {}
    path.write_bytes(b"#" * (LARGEST + 1))
    with pytest.raises(ConfigError, match="is larger than 1024 KiB"):
        read(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a = 1\nb = \n", r"Invalid value \(at line 2, column 5\)"),
        (b"a = 1\na = 2\n", r"Cannot overwrite a value \(at line 2"),
        (b"\xff\xfea\0", "is not UTF-8 text"),
        (b"a = " + b"9" * 5000, "is not valid TOML: Exceeds the limit"),
        (b"a = " + b"[" * 20_000, "is nested too deeply"),
    ],
)
def test_what_is_not_toml_is_a_sentence_with_its_line(content: bytes, reason: str) -> None:
    """The parser's own reason is kept; a Python error never comes through."""
    with pytest.raises(ConfigError, match=reason) as caught:
        parse(content, "router.toml")

    assert len(caught.value.problems) == 1
    assert str(caught.value).startswith("router.toml: ")
