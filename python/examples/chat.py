"""A chat in the terminal. One starts it with `--host`, the others with the URL that it shows.

python chat.py --host
python chat.py mqtt://127.0.0.1:PORT --name anna
"""

from __future__ import annotations

import argparse
import contextlib
import sys

import ringmq


def chat(url: str, name: str) -> None:
    """Publishes what is typed, shows what others say. The last twenty lines of the room are not kept: MQTT keeps one."""

    def show(_: ringmq.Client, message: ringmq.Message) -> None:
        print(message.text, flush=True)

    gone = ringmq.Will(topic="chat/room", payload=f"* {name} is gone", qos=1)
    with ringmq.Client(url, on_message=show, will=gone) as client:
        client.subscribe("chat/room", qos=1, no_local=True)
        client.publish("chat/room", f"* {name} is here", qos=1)
        for line in sys.stdin:
            client.publish("chat/room", f"{name}: {line.rstrip()}", qos=1).wait()
        client.publish("chat/room", f"* {name} leaves", qos=1).wait()


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("url", nargs="?", help="where the chat is")
    parser.add_argument("--host", action="store_true", help="be the chat")
    parser.add_argument("--name", default="somebody")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        url = options.url
        if options.host:
            broker = stack.enter_context(ringmq.Broker())
            url = broker.url
            print("the chat is at", url, flush=True)
        if url is None:
            parser.error("a URL or --host")
        with contextlib.suppress(KeyboardInterrupt):
            chat(url, options.name)


if __name__ == "__main__":
    main()
