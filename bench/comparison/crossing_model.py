"""What messages cost with more shards than this machine has CPUs for: a model on paper, from costs that were measured
with one shard and two.

Clients are spread evenly and at random over N shards of one core each, and pairs of a publisher and a reader know
nothing of shards. For one delivered message, in microseconds of the broker's processor time:

    crosses       p = 1 - 1/N                      the reader lives on another shard
    bursts a turn r = m / burst                    m messages a turn; those of one publisher go to one peer
    peers a turn  d = (N-1) (1 - (1 - 1/N)^r)      of N-1 those that at least one burst goes to
    a batch       b = m p / d                      messages that leave for one peer together
    cost          = one_shard
                  + p handoff                      encoded, copied, decoded and matched once more
                  + d batch / m                    a batch pushed, popped and sent home
                  + asleep start / m               a shard that sleeps between its turns goes to sleep and wakes up
                  + asleep min(d, 1) wake / m      it is rung once for each sleep at most, and all shards take as many
                                                   turns, so each rings one peer a turn at most
                  + (N-1) idle_lane / m            every turn looks into the lanes of all peers
                  + interest                       hot + cold max(0, 1 - cache / (N filters filter_bytes))

At QoS 1 hand-offs and batches go both ways, as the answer comes back by the same means: `answers` is 1, and d counts
twice in the cost. When the load grows as N, m stays what it was and no shard sleeps (`asleep` is 0).
When the load of one shard is spread over N, each has slack and sleeps before every turn (`asleep` is 1), and a turn has
m/N messages, at least one burst. Nothing is said of caches and memory that cores share, of
sockets whose readers have several publishers (there a reader's messages come in up to N batches, and each may cost a
send of its own), or of shards that are not equally loaded.
"""

from dataclasses import dataclass, fields, replace

from .processes import Failed

SHARDS = (1, 2, 4, 8, 16, 32, 64)
# Of lanes: slots each way and the bytes of one (two vectors); what may be in one batch and what may wait for a lane.
LANE_SLOTS, SLOT_BYTES, BATCH_BYTES_MAX, SPILL_BYTES_MAX = 64, 48, 64 << 10, 4 << 20
MIB = 1 << 20


@dataclass(frozen=True)
class Constants:
    """What the model is computed from; where each comes from is said in bench/README.md."""

    # Measured by bench/crossing, in microseconds: a message with one shard; a thread put to sleep and started again;
    # waking another shard.
    one_shard_us: float
    start_us: float
    wake_us: float
    # Measured by bench/crossing: what a message costs more that crosses, less the starts that come with it; and what
    # one costs more that does not cross where there are two shards.
    handoff_ns: float
    interest_hot_ns: float
    # What a look that finds nothing in any cache costs more: bench/parts, `interest-table-cold` less `-hot`.
    interest_cold_ns: float = 42.0
    filter_bytes: float = 34.0
    # Messages a busy shard takes in with a turn, from its system calls; and those of one publisher among them.
    turn_messages: float = 75.0
    burst: float = 8.0
    # Assumed, and taken large: a batch goes through some lines of memory that another core wrote last, and an empty
    # lane is one look at such a line.
    batch_ns: float = 300.0
    idle_lane_ns: float = 5.0
    # Assumed: filters of one shard's clients, and the cache that a core has for itself.
    filters: float = 10_000.0
    cache_bytes: float = 1 << 20
    # Whether an answer goes back for each message that crosses.
    answers: float = 0.0


QOS_0 = Constants(one_shard_us=0.69, start_us=5.2, wake_us=8.0, handoff_ns=40.0, interest_hot_ns=35.0)
QOS_1 = replace(QOS_0, one_shard_us=1.34, handoff_ns=130.0, answers=1.0)


@dataclass(frozen=True)
class Prediction:
    """What the model says of so many shards."""

    shards: int
    # Share of messages that cross, and how many of them leave together for one peer.
    crosses: float
    batch_messages: float
    us: float
    to_one_shard: float
    # Of all shards together when each has a core to itself and nothing else to do.
    messages_per_second: float


def predict(constants, shards, messages, asleep):
    """One message's cost with so many shards that take in so many messages a turn each, and that sleep before this
    share of their turns."""
    messages = max(messages, constants.burst)
    crosses = 1 - 1 / shards
    peers = (shards - 1) * (1 - (1 - 1 / shards) ** (messages / constants.burst))
    ways = 1 + constants.answers
    parts = {
        "one shard": constants.one_shard_us,
        "handoff": crosses * constants.handoff_ns / 1e3,
        "batches": ways * peers * constants.batch_ns / 1e3 / messages,
        "sleep": asleep * constants.start_us / messages,
        "wakes": asleep * min(ways * peers, 1) * constants.wake_us / messages,
        "idle lanes": (shards - 1) * constants.idle_lane_ns / 1e3 / messages,
        "interest": interest_ns(constants, shards) / 1e3,
    }
    cost = sum(parts.values())
    batch = messages * crosses / peers if peers else 0.0
    return Prediction(shards, crosses, batch, cost, cost / constants.one_shard_us, shards * 1e6 / cost)


def interest_ns(constants, shards):
    """One look at who is interested; one shard alone does not look."""
    if shards == 1:
        return 0.0
    table = constants.filters * shards * constants.filter_bytes
    cold = max(0.0, 1 - constants.cache_bytes / table) if table else 0.0
    return constants.interest_hot_ns + constants.interest_cold_ns * cold


def lanes_bytes(shards):
    """Memory of the lanes of all pairs of shards: their slots, which are always there, and the most that may stand and
    wait in them."""
    pairs = shards * (shards - 1)
    return pairs * 2 * LANE_SLOTS * SLOT_BYTES, pairs * (LANE_SLOTS * BATCH_BYTES_MAX + SPILL_BYTES_MAX)


def adjusted(constants, settings):
    """The constants with others in their place, each given as `name=value`."""
    known = {field.name for field in fields(Constants)}
    for setting in settings:
        name, _, value = setting.partition("=")
        try:
            constants = replace(constants, **{name: float(value)})
        except (TypeError, ValueError):
            raise Failed(f"--set {setting}: needs NAME=NUMBER with a name of: {', '.join(sorted(known))}") from None
    return constants


HEAD = ("| shards | crosses | load grows: messages/batch | us/message | to one shard | messages/s | load of one shard: "
        "messages/batch | us/message | to one shard | slots of lanes | most in lanes |\n"
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")


def markdown(settings):
    """The tables of both qualities, with the constants in front."""
    text = ""
    for name, constants in (("QoS 0", QOS_0), ("QoS 1", QOS_1)):
        constants = adjusted(constants, settings)
        used = ", ".join(f"{field.name} {getattr(constants, field.name):g}" for field in fields(Constants))
        text += f"p2p, {name}: {used}\n\n{HEAD}"
        text += "".join(f"| {' | '.join(line(constants, shards))} |\n" for shards in SHARDS) + "\n"
    return text


def line(constants, shards):
    """One line of a table."""
    grown = predict(constants, shards, constants.turn_messages, 0.0)
    spread = predict(constants, shards, constants.turn_messages / shards, 1.0 if shards > 1 else 0.0)
    slots, most = lanes_bytes(shards)
    batch = [f"{found.batch_messages:.0f}" if shards > 1 else "-" for found in (grown, spread)]
    return [str(shards), f"{grown.crosses:.0%}", batch[0], f"{grown.us:.2f}", f"{grown.to_one_shard:.2f}",
            f"{grown.messages_per_second:,.0f}", batch[1], f"{spread.us:.2f}", f"{spread.to_one_shard:.2f}",
            f"{slots / MIB:.1f} MiB", f"{most / MIB:,.0f} MiB"]
