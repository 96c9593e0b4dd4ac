"""Fixtures of every test: a broker of its own, ClientIDs by home shard, peers that are closed afterwards.

The same tests run for several numbers of shards (`--shards`), with moving of connections forbidden
(`--no-move`), on both drivers (`--driver`) and with the broker in the tests' own process (`--in-process`);
testsuite/run goes through the matrix.
"""

import pytest

import broker_process
from raw_client import Peer


def pytest_addoption(parser):
    """What the matrix varies."""
    group = parser.getgroup("ringmq")
    group.addoption("--shards", type=int, default=2, help="number of shards of every broker")
    group.addoption("--no-move", action="store_true", help="connections stay on the shard that accepted them")
    group.addoption("--driver", default="auto", choices=["auto", "uring", "epoll"])
    group.addoption("--against", default="ringmq", choices=["ringmq", "mosquitto"],
                    help="mosquitto: see what Debian's broker says to the same test")
    group.addoption("--in-process", action="store_true",
                    help="brokers of the Python package in the tests' own process; only tests that start one run")
    group.addoption("--reload-clients", type=int, default=200, metavar="N",
                    help="clients that publish while the broker reads its configuration anew; 2000 is the long mode")


def pytest_report_header(config):
    """Names the column of the matrix."""
    option = config.option
    place = "in this process" if option.in_process else "a process"
    return (f"broker: {option.against}, {place}, shards {option.shards}, driver {option.driver}, "
            f"no-move {option.no_move}")


def pytest_collection_modifyitems(config, items):
    """In this process there is nothing to see for tests of the command line alone, or of mosquitto alone."""
    if not config.option.in_process:
        return
    left_out = [item for item in items if not starts_broker(item)]
    items[:] = [item for item in items if starts_broker(item)]
    config.hook.pytest_deselected(items=left_out)


def starts_broker(item):
    """Whether a test starts a RingMQ by the fixtures below."""
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return not {"start_broker", "shared_broker"}.isdisjoint(item.fixturenames) or "on-ringmq" in parameters


def pytest_generate_tests(metafunc):
    """A test that asks for `ids` runs with ClientIDs on one shard and, if there are several, on different
    ones."""
    if "ids" in metafunc.fixturenames:
        several = metafunc.config.option.shards > 1 and metafunc.config.option.against == "ringmq"
        places = ["one-shard", "across-shards"] if several else ["one-shard"]
        metafunc.parametrize("ids", places, indirect=True)


@pytest.fixture(scope="session")
def shard_names(request):
    """Candidate ClientIDs sorted by home shard, asked for once."""
    option = request.config.option
    return broker_process.ShardNames(option.shards if option.against == "ringmq" else 1)


@pytest.fixture
def ids(request, shard_names):
    """ClientIDs: `ids.one()`, `ids.take(3)`, `ids.for_each_shard()`."""
    return broker_process.Ids(shard_names, spread=request.param == "across-shards")


@pytest.fixture
def each_shard(shard_names):
    """One ClientID for each shard."""
    return broker_process.Ids(shard_names, spread=True).for_each_shard()


def launch(option, folder, arguments=(), **overrides):
    """Starts the broker that the matrix names."""
    if option.against == "mosquitto":
        return broker_process.start_mosquitto(folder)
    chosen = {"shards": option.shards, "no_move": option.no_move, "driver": option.driver, **overrides}
    if option.in_process:
        from broker_in_process import start_in_process
        return start_in_process(arguments=arguments, **chosen)
    return broker_process.start_ringmq(arguments=arguments, **chosen)


@pytest.fixture
def start_broker(request, tmp_path):
    """Starts brokers with flags of the test's own; all are stopped and judged at the end."""
    started = []

    def start(*arguments, **overrides):
        broker = launch(request.config.option, tmp_path, arguments, **overrides)
        started.append(broker)
        return broker

    yield start
    for broker in started:
        broker.stop()


@pytest.fixture
def broker(start_broker):
    """A broker with default settings."""
    return start_broker()


@pytest.fixture(scope="module")
def shared_broker(request, tmp_path_factory):
    """One broker for all tests of a module, which therefore take milliseconds: each must use ClientIDs and
    topics that no other uses, and leave nothing retained."""
    broker = launch(request.config.option, tmp_path_factory.mktemp("broker"))
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def fresh_names(request):
    """ClientIDs that no test of this process used, each with another shard as its home than the one before."""
    option = request.config.option
    names = broker_process.ShardNames(option.shards if option.against == "ringmq" else 1, candidates=8192)
    return broker_process.Ids(names, spread=True)


class Visitors:
    """Clients of the shared broker, with names and topics of their own."""

    def __init__(self, port, names):
        self.port = port
        self.names = names
        self.topic = f"topic-of/{names.one()}"
        self.opened = []

    def name(self):
        """A ClientID nobody has."""
        return self.names.one()

    def __call__(self, version=5, name=None, **options):
        """Connects a raw client, under a new name unless one is given."""
        peer = Peer.connected(self.port, self.name() if name is None else name, version, **options)
        self.opened.append(peer)
        return peer

    def kept(self, name, version=5, properties=None, **options):
        """Connects to a session that outlives its connection, in whatever way the version says it."""
        if version == 5:
            options["properties"] = {"session_expiry_interval": 300, **(properties or {})}
        return self(version, name, clean=False, **options)

    def raw(self, version=5):
        """A connection without a CONNECT."""
        peer = Peer(self.port, version)
        self.opened.append(peer)
        return peer


@pytest.fixture
def visit(shared_broker, fresh_names):
    """`visit(version, ...)` connects a raw client to the module's broker; `visit.topic` is the test's own."""
    visitors = Visitors(shared_broker.port, fresh_names)
    yield visitors
    for peer in visitors.opened:
        peer.drop()


@pytest.fixture
def peers():
    """`peers(port, client_id, ...)` connects a raw client; all are closed at the end."""
    opened = []

    def connect(port, *arguments, **options):
        peer = Peer.connected(port, *arguments, **options)
        opened.append(peer)
        return peer

    yield connect
    for peer in opened:
        peer.drop()


@pytest.fixture
def connect(broker, peers):
    """`connect(client_id, ...)` connects a raw client to the test's broker."""
    return lambda *arguments, **options: peers(broker.port, *arguments, **options)


@pytest.fixture(params=[3, 4, 5], ids=["v3.1", "v3.1.1", "v5"])
def version(request):
    """Every protocol version in turn."""
    return request.param
