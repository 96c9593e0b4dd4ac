"""Fixtures of the interop tests: client programs that end with their test."""

import pytest
from clients import Running


@pytest.fixture
def start():
    """`start(client, role, ...)` runs a client in a role; whatever is left at the end is killed."""
    running = []

    def launch(client, role, *arguments, **options):
        if role == "pub" and hasattr(client, "publish_start"):
            return publish_one_by_one(client, *arguments, **options)
        program = Running(client.name, client.command(role, *arguments, **options))
        running.append(program)
        # A kept session may give all its messages before the program can say that it subscribed.
        if role != "pub" and options.get("wait", True):
            program.wait_for(client.ready if role == "sub" else r"^ready$|CONNACK|^Subscribed")
        return program

    def publish_one_by_one(client, *arguments, payloads, **options):
        for payload in payloads:
            program = Running(client.name, client.command("pub", *arguments, payloads=[payload], **options))
            running.append(program)
            program.finish()
        return program

    yield launch
    for program in running:
        if program.process.poll() is None:
            program.kill()
        program.reader.join(5)
        program.process.stdout.close()
