"""How much memory there is."""

from dimix.machine.memory import available_memory


def test_available_memory_is_plausible():
    assert 2**20 < available_memory() < 2**50
