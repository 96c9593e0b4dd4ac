"""The extension module under valgrind's memcheck: no wrong access, and nothing that grows by the round.

What the interpreter does by itself is not judged: CPython 3.11 multiplies an uninitialised digit by zero where it makes a
number of bytes that are all zero, and whatever that number reaches counts as uninitialised. By readiness, because
valgrind does not know io_uring.
"""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

INSTRUCTIONS = Path(__file__).resolve().parents[2] / "bench" / "instructions"
ROUNDS = 8
# Optimised, it tells by one comparison of 64 bits whether an eventfd was made: the upper half, the descriptor, decides,
# and the lower half is padding. Not optimised, there is no such report.
FALSE_ALARM = ("UninitCondition", "ringmq_rt::running::start")
FALSE_ALARM_FRAMES = 6
WORKLOAD = """
import asyncio, sys
import ringmq
from ringmq import aio

def authenticate(question):
    return question.username == "anna"

def on_publish(question):
    return ringmq.Rewrite(payload=bytes(question.message.payload_view))

def one_round():
    options = {"username": "anna", "password": "secret", "response_timeout": 60}
    listen = ["tcp://127.0.0.1:0", "ws://127.0.0.1:0"]
    hooks = {"authenticate": authenticate, "on_publish": on_publish, "decision_timeout": 60}
    with ringmq.Broker(shards=2, listen=listen, **hooks) as broker:
        with broker.subscribe("a/#") as messages:
            for url in broker.urls:
                will = ringmq.Will(topic="w", payload="gone")
                with ringmq.Client(url, will=will, **options) as client:
                    client.subscribe("a/#", qos=2)
                    for qos in range(3):
                        client.publish("a/b", "x", qos=qos, retain=True, user_properties=[("k", "v")]).wait(60)
                        assert messages.get(timeout=60).user_properties == [("k", "v")]
                        assert bytes(client.get(timeout=60).payload_view) == b"x"
                    broker.publish_many([("a/c", b"y")] * 10)
                    # One by one, because objects of messages that are gone are kept to be used again.
                    for _ in range(10):
                        messages.get(timeout=60)
                    assert broker.clients[client.client_id].username == "anna"
        try:
            ringmq.Client(broker.url, username="bert", response_timeout=60).connect(timeout=60)
        except ringmq.ConnectError:
            pass
        assert len(broker.retained(timeout=60)) == 1
        broker.reset()
        asyncio.run(meet(broker.url, options))

async def meet(url, options):
    async with aio.Client(url, **options) as client:
        await client.subscribe("a/#")
        await client.publish("a/b", "x", qos=1)
        async for message in client:
            return

for _ in range(int(sys.argv[1])):
    one_round()
"""


def is_bad(error: ElementTree.Element) -> bool:
    """Whether the extension module has a part in an error, and it is one. What was made once when the module was imported
    stays, and so do caches; a leak is what is lost, or is there at least once for each round."""
    frames = list(error.iterfind("stack/frame"))
    if not any("_ringmq" in frame.findtext("obj", "") for frame in frames):
        return False
    kind, functions = error.findtext("kind", ""), [frame.findtext("fn", "") for frame in frames]
    if not kind.startswith("Leak_"):
        return kind != FALSE_ALARM[0] or FALSE_ALARM[1] not in functions[:FALSE_ALARM_FRAMES]
    if kind == "Leak_DefinitelyLost":
        return True
    return "PyModule_ExecDef" not in functions and int(error.findtext("xwhat/leakedblocks", "0")) >= ROUNDS


def shown(error: ElementTree.Element) -> str:
    """What valgrind says of an error."""
    what = error.findtext("what", "") or error.findtext("xwhat/text", "")
    places = [f"  {frame.findtext('fn')} in {frame.findtext('obj')}" for frame in error.iterfind("stack/frame")]
    return "\n".join([what, *places])


def test_memcheck_has_nothing_to_say(tmp_path: Path) -> None:
    program, environment = runpy.run_path(str(INSTRUCTIONS))["find_valgrind"]()
    report = tmp_path / "report.xml"
    command = [program, "--xml=yes", f"--xml-file={report}", "--num-callers=40", "--leak-check=full",
               "--show-leak-kinds=all", sys.executable, "-c", WORKLOAD, str(ROUNDS)]
    done = subprocess.run(command, env={**environment, "PYTHONMALLOC": "malloc"}, cwd=tmp_path, capture_output=True,
                          text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    errors = list(ElementTree.parse(report).getroot().iterfind("error"))
    assert errors, "what is still reachable at the end is said too"
    bad = [shown(error) for error in errors if is_bad(error)]
    assert not bad, "\n\n".join(bad)
