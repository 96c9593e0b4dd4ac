"""The layout of what ringmq.h declares stays: programs are not compiled anew for every library."""

import os
from pathlib import Path

import layout
import pytest
from conftest import ROOT, cxx

TABLE = Path(__file__).parent / "layout.txt"
HEADER = (ROOT / "include" / "ringmq.h").read_text()


@pytest.mark.parametrize("language", ["c11", "c++17"])
def test_layout(tmp_path, compiler, language):
    """It is what it was, in both languages. RINGMQ_ACCEPT=1 writes the table anew."""
    found = layout.table(HEADER, tmp_path, cxx(compiler) if "++" in language else compiler, language)
    if os.environ.get("RINGMQ_ACCEPT"):
        TABLE.write_text(found)
    difference = layout.Difference(TABLE.read_text(), found)
    assert not difference, str(difference)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A place for the programs of changed headers."""
    return tmp_path_factory.mktemp("layout")


def difference(folder, *changes):
    """What the check says of another header. What is changed stands there once."""
    header = HEADER
    for old, new in changes:
        assert header.count(old) == 1, old
        header = header.replace(old, new)
    return layout.Difference(layout.table(HEADER, folder), layout.table(header, folder))


PUBLISH_END = "    void *owner;\n} ringmq_publish;"
PUBLISH_INIT = "5000, NULL, NULL, NULL}"
FAULT_END = "    uint8_t reason_code;\n} ringmq_fault;"
FAULT_INIT = "0, 0x88}"
MESSAGE_END = "    bool retain;\n} ringmq_message_view;"


def longer(end, more):
    """A struct with one field more."""
    return end, end.replace("}", f"    {more};\n}}")


@pytest.mark.parametrize("changes, said", [
    # A number, of a constant and of an enum.
    ([("RINGMQ_LOG_ERROR 1", "RINGMQ_LOG_ERROR 5")], ["constant RINGMQ_LOG_ERROR: was 1, is 5"]),
    ([("RINGMQ_TIMEOUT = 1,", "RINGMQ_TIMEOUT = 5,")],
     ["value RINGMQ_TIMEOUT: was 1 of ringmq_status, is 5 of ringmq_status"]),
    ([("    RINGMQ_BUSY = 35,\n", "")], ["value RINGMQ_BUSY: is gone, was 35 of ringmq_status"]),
    # A field's type, its width, its name, its place.
    ([("    uint32_t matched;", "    int32_t matched;")],
     ["field ringmq_published.matched: was offset 0, size 4, uint32_t, is offset 0, size 4, int32_t"]),
    ([("    uint32_t dropped;", "    uint16_t dropped;")],
     ["field ringmq_published.dropped: was offset 4, size 4, uint32_t, is offset 4, size 2, uint16_t"]),
    ([("    uint32_t dropped;", "    uint32_t lost;")], [
        "field ringmq_published.dropped: is gone, was offset 4, size 4, uint32_t",
        "field ringmq_published.lost: is new, offset 4, size 4, uint32_t"]),
    # Longer, and the struct does not say its size.
    ([longer(MESSAGE_END, "uint64_t more")], [
        "struct ringmq_message_view: was size 40, alignment 8, is size 48, alignment 8"]),
    # In the padding, where its size does not tell that it is there.
    ([longer(FAULT_END, "uint8_t more"), (FAULT_INIT, "0, 0x88, 0}")], [
        "field ringmq_fault.more: is new, offset 57, size 1, uint8_t"]),
    # What is built into programs that set nothing.
    ([("false, 5000, NULL", "false, 6000, NULL")], ["initial ringmq_publish.timeout_ms: was 5000, is 6000"]),
    # What functions take and give.
    ([("ringmq_broker_port(const ringmq_broker *broker, uint16_t *port)",
       "ringmq_broker_port(const ringmq_broker *broker, uint32_t *port)")],
     ["function ringmq_broker_port: was ringmq_status (const ringmq_broker *, uint16_t *), "
      "is ringmq_status (const ringmq_broker *, uint32_t *)"]),
    ([("(*ringmq_release)(void *owner)", "(*ringmq_release)(void *owner, size_t size)")],
     ["callback ringmq_release: was void (*)(void *), is void (*)(void *, size_t)"]),
])
def test_a_break_is_seen(folder, changes, said):
    """Changes that programs do not survive."""
    found = difference(folder, *changes)
    assert sorted(found.breaks) == said
    assert "ABI break" in str(found)


@pytest.mark.parametrize("changes, said", [
    ([("    RINGMQ_BUSY = 35,", "    RINGMQ_BUSY = 35,\n    RINGMQ_TIRED = 50,")],
     ["value RINGMQ_TIRED: is new, 50 of ringmq_status"]),
    ([("#define RINGMQ_LOG_DEBUG 4", "#define RINGMQ_LOG_DEBUG 4\n#define RINGMQ_LOG_TRACE 5")],
     ["constant RINGMQ_LOG_TRACE: is new, 5"]),
    ([longer(PUBLISH_END, "uint64_t more"), (PUBLISH_INIT, "5000, NULL, NULL, NULL, 0}")], [
        "field ringmq_publish.more: is new, offset 80, size 8, uint64_t",
        "initial ringmq_publish.more: is new, 0",
        "struct ringmq_publish: was size 80, alignment 8, is size 88, alignment 8"]),
    ([("const char *ringmq_version(void);", "const char *ringmq_version(void);\nvoid ringmq_more(int32_t how);")],
     ["function ringmq_more: is new, void (int32_t)"]),
])
def test_an_addition_is_none(folder, changes, said):
    """Changes that programs that are there do not see."""
    found = difference(folder, *changes)
    assert (found.breaks, sorted(found.additions)) == ([], said)
    assert "RINGMQ_ACCEPT=1" in str(found) and "ABI break" not in str(found)


def test_nothing_is_left_out(folder):
    """What the reader of the header does not know, it does not pass over."""
    with pytest.raises(AssertionError, match="not understood"):
        layout.table(HEADER.replace("#ifdef __cplusplus\nextern", "union other { int one; };\n#ifdef __cplusplus\nextern"),
                     folder)
