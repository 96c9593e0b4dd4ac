"""RingMQ and Debian's mosquitto under the same random traffic: a short run of several seeds.

`testsuite/differential/compare` plays more of it by hand.
"""

import pytest

import broker_process
import traffic


@pytest.fixture
def mosquitto(tmp_path):
    """The other broker, as new as ours."""
    broker = broker_process.start_mosquitto(tmp_path, traffic.MOSQUITTO)
    yield broker
    broker.stop()


@pytest.mark.parametrize("seed", range(4))
def test_same_answers(start_broker, mosquitto, seed):
    """Whatever one broker says to legal traffic, the other says too, but for what the standard leaves free."""
    assert traffic.compare(start_broker().port, mosquitto.port, 250, seed) == 250
