"""What the journal survives, repairs and refuses."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from llmrouter_core import DatasetError, Model, Price
from llmrouter_core.tasks import Example
from llmrouter_plugin_collect import Journal, Plan, Question
from llmrouter_plugin_collect.journal import JOURNAL, OUTCOMES, decode, encode
from llmrouter_plugin_collect.questions import Stated

MODELS = (Model(name="a"), Model(name="b"))


def plan(count: int = 3, models: tuple[Model, ...] = MODELS, task: str = "quiz") -> Plan:
    asked = [
        Question(
            name=task, task=Stated(), example=Example(id=str(i), text=f"? {i}", reference="x")
        )
        for i in range(count)
    ]
    return Plan(asked, models)


def row(cell: int, **columns: Any) -> dict[str, Any]:
    question, model = plan().at(cell)
    return {**question.columns, "model": model.name, "status": "ok", "score": 1.0, **columns}


def filled(folder: Path, cells: range = range(6)) -> bytes:
    with Journal(folder, plan()) as journal:
        for cell in cells:
            journal.append(cell, row(cell, text="naïve\n\ud800"))
        journal.finish()
    return (folder / JOURNAL).read_bytes()


def test_a_row_comes_back_as_it_was() -> None:
    """Whatever its text holds."""
    written = row(0, text='{"sum":"00000000"}\n\ud800 ü', cost=1e-9)

    assert decode(encode(written)) == written
    assert encode(written).count(b"\n") == 1


def test_a_single_changed_bit_is_noticed() -> None:
    """The checksum sees what JSON does not."""
    line = encode(row(0, score=0.5, text="seven"))
    for place in range(len(line) - 1):
        changed = bytearray(line)
        changed[place] ^= 1
        assert decode(bytes(changed)) is None, place


def test_a_journal_cut_anywhere_loses_only_what_was_cut(tmp_path: Path) -> None:
    """At each byte: whole rows stand, the torn one is open, and the rest can be written again."""
    whole = filled(tmp_path)
    outcomes = (tmp_path / OUTCOMES).read_bytes()
    head = whole.index(b"\n") + 1
    for cut in range(head, len(whole), 7):
        (tmp_path / JOURNAL).write_bytes(whole[:cut])
        with Journal(tmp_path, plan()) as journal:
            kept = [cell for cell, status in enumerate(journal.status) if status]
            for cell in set(range(6)) - set(kept):
                journal.append(cell, row(cell, text="naïve\n\ud800"))
            journal.finish()
        torn = whole[:cut][-1:] != b"\n"

        assert len(kept) == whole[:cut].count(b"\n") - 1
        assert journal.repairs.total() == int(torn)
        assert (tmp_path / JOURNAL).read_bytes() == whole
        assert (tmp_path / OUTCOMES).read_bytes() == outcomes


def test_a_damaged_row_is_asked_again(tmp_path: Path) -> None:
    """Its neighbours stand, and the sentence has its line."""
    whole = filled(tmp_path)
    (tmp_path / JOURNAL).write_bytes(whole.replace(b'"id":"quiz/1","', b'"id":"quiz/2","', 1))
    journal = Journal(tmp_path, plan()).look()

    assert [bool(status) for status in journal.status] == [True, True, False, True, True, True]
    assert [*journal.repairs.sentences()] == [
        "1 x a row was damaged; its call is made again (row 4)"
    ]


def test_zeros_that_a_power_cut_left_are_cut_off(tmp_path: Path) -> None:
    """Some file systems lengthen a file before they fill it."""
    whole = filled(tmp_path, range(4))
    (tmp_path / JOURNAL).write_bytes(whole + bytes(300))
    with Journal(tmp_path, plan()) as journal:
        assert bytes(map(bool, journal.status)) == bytes([1, 1, 1, 1, 0, 0])

    assert (tmp_path / JOURNAL).read_bytes() == whole


def test_the_last_row_of_a_cell_stands_and_every_dollar_counts(tmp_path: Path) -> None:
    """What was replaced was paid for."""
    with Journal(tmp_path, plan()) as journal:
        journal.append(0, row(0, status="error", score=None, cost=1.0))
        journal.append(0, row(0, cost=2.0))
    again = Journal(tmp_path, plan()).look()

    assert [one["cost"] for one in again.rows()] == [2.0]
    assert again.tally.spent == 3.0


@pytest.mark.parametrize("content", [b"", b"\n", b"mine\n", b"mine", b'{"llmrouter":"collect"}\n'])
def test_a_file_that_is_no_journal_is_left_alone(content: bytes, tmp_path: Path) -> None:
    """Even if it has the name of one."""
    (tmp_path / JOURNAL).write_bytes(content)
    with pytest.raises(DatasetError, match="is not a journal"), Journal(tmp_path, plan()):
        pass

    assert (tmp_path / JOURNAL).read_bytes() == content


def test_outcomes_from_elsewhere_are_not_replaced(tmp_path: Path) -> None:
    """A folder with outcomes and no journal belongs to somebody."""
    (tmp_path / OUTCOMES).write_text("mine")
    with pytest.raises(DatasetError, match="not collected here"), Journal(tmp_path, plan()):
        pass

    assert [path.name for path in tmp_path.iterdir()] == [OUTCOMES]


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (plan(models=MODELS[:1]), "it holds the models a, b, and you ask for a"),
        (plan(models=(Model(name="a", id="x"), MODELS[1])), "model 'a' was 'a' there, and is 'x'"),
        (plan(models=(Model(name="a", price=Price()), MODELS[1])), "'a' had another price"),
        (plan(task="exam"), "it holds the tasks quiz, and you ask for exam"),
        (plan(4), "task 'quiz' had other queries (3 there, 4 now)"),
    ],
    ids=["models", "id", "price", "tasks", "queries"],
)
def test_another_pool_or_task_is_refused(other: Plan, sentence: str, tmp_path: Path) -> None:
    """Their rows would not fit together."""
    filled(tmp_path)
    with pytest.raises(DatasetError) as caught, Journal(tmp_path, other):
        pass

    assert sentence in str(caught.value)
    assert str(caught.value).endswith("choose another --out")


def test_one_folder_has_one_writer(tmp_path: Path) -> None:
    """The second is told, and may come when the first is gone."""
    with Journal(tmp_path, plan()) as first:
        with pytest.raises(DatasetError, match="another `llmrouter collect`"):
            Journal(tmp_path, plan()).__enter__()
        first.append(0, row(0))
    with Journal(tmp_path, plan()) as last:
        assert last.status[0]


def test_a_full_disk_leaves_no_part_of_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was taken of it is taken back, and the sentence says what to do."""
    whole = os.write
    with Journal(tmp_path, plan()) as journal:
        journal.append(0, row(0))
        before = (tmp_path / JOURNAL).read_bytes()
        monkeypatch.setattr(os, "write", lambda file, line: whole(file, line[:10]))
        with pytest.raises(DatasetError, match="make room and run the same again"):
            journal.append(1, row(1))
        monkeypatch.undo()

        assert (tmp_path / JOURNAL).read_bytes() == before
        journal.append(1, row(1))
    assert Journal(tmp_path, plan()).look().status.count(0) == 4


def test_rows_that_arrive_together_share_a_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waits for a sync that began after it was written, and no more are made."""
    synced: list[int] = []
    with Journal(tmp_path, plan()) as journal:

        def slow(file: int) -> None:
            synced.append(os.fstat(file).st_size)
            time.sleep(0.01)

        async def write(cell: int) -> None:
            journal.append(cell, row(cell))
            size = (tmp_path / JOURNAL).stat().st_size
            await journal.sync()
            assert synced[-1] >= size

        async def together() -> None:
            await asyncio.gather(*map(write, range(6)))

        monkeypatch.setattr(os, "fsync", slow)
        asyncio.run(together())
        monkeypatch.undo()

    assert 1 <= len(synced) <= 2


def test_a_journal_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "out").write_text("a file")
    with pytest.raises(DatasetError, match="cannot be written"), Journal(tmp_path / "out", plan()):
        pass


def test_interrupting_exits_with_130_and_can_go_on(tmp_path: Path) -> None:
    """Ctrl-C: one line says what is left, and the same command asks just that."""
    (tmp_path / "router.toml").write_text(
        'selector = "smallest-llm"\n[caller.default]\nuse = "sim"\nrealtime = true\n'
    )
    program = "from llmrouter_core.cli import main; main()"
    command = [sys.executable, "-c", program, "collect", "router.toml", "sim", "--limit", "500"]
    process = subprocess.Popen(
        [*command, "--out", "out", "--concurrency", "50"],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    journal = tmp_path / "out" / JOURNAL
    while not (journal.exists() and journal.read_bytes().count(b"\n") > 5):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    lines = journal.read_bytes().splitlines()

    assert process.returncode == 130
    assert f"stopped: {3000 - len(lines) + 1:,} of 3,000 calls are left" in errors
    assert "Traceback" not in errors
    assert None not in map(decode, lines)
