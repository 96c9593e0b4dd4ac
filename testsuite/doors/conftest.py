"""Fixtures of the doors' tests: certificates, brokers with listeners, raw clients at each of them."""

import contextlib

import open_doors
import pytest
from certificates import Certificates


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """Certificates of one run."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def serve(request, tmp_path):
    """`serve({name: {key: value}}, **keys)` starts a broker with these listeners; it is stopped and judged at the
    end."""
    started = []

    def start(listeners, *arguments, **keys):
        served = open_doors.start(request.config.option, tmp_path, listeners, arguments, **keys)
        started.append(served.broker)
        return served

    yield start
    for broker in started:
        broker.stop()


@pytest.fixture(scope="module")
def served(request, certificates, tmp_path_factory):
    """One broker for all tests of a module, with every kind of listener. Each test uses names and topics of its own."""
    folder = tmp_path_factory.mktemp("served")
    served = open_doors.start(request.config.option, folder, open_doors.every_door(certificates, folder))
    yield served
    served.broker.stop()


@pytest.fixture
def visitors(certificates):
    """`visitors(served)` makes raw clients of a broker: `visit(door, client_id, ...)`."""
    with contextlib.ExitStack() as stack:
        def of(served):
            found = open_doors.Visitors(served, certificates)
            stack.callback(found.close)
            return found
        yield of


@pytest.fixture
def visit(served, visitors):
    """Raw clients of the module's broker."""
    return visitors(served)


@pytest.fixture
def name(request):
    """A name that no other test has, for topics and ClientIDs."""
    return "".join(letter if letter.isalnum() else "-" for letter in request.node.name)


@pytest.fixture(params=open_doors.DOORS)
def door(request):
    """Every door in turn."""
    return request.param
