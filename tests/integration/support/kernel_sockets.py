"""What the kernel knows of TCP connections of this machine, where asking the daemon would change what is looked at."""

from pathlib import Path

ESTABLISHED, SYN_SENT, CLOSE_WAIT = 0x01, 0x02, 0x08


def connections_of(port):
    """{the other side's port: the state} of the connections whose own port this is; that of its listener is 0."""
    return {_port(other): state for own, other, state in _all() if _port(own) == port}


def is_dialled(port):
    """Whether a SYN to this port waits for its answer."""
    return any(_port(other) == port and state == SYN_SENT for _, other, state in _all())


def _all():
    """(own address, the other's, state) of each."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        own, other, state = line.split()[1:4]
        yield own, other, int(state, 16)


def _port(address):
    return int(address.rpartition(":")[2], 16)
