import pytest
from hypothesis import settings

# A slow machine is no failure: the tests promise values, not times.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest tests first: last, one worker would wait for another's."""
    items.sort(key=lambda item: "tests/system/" not in item.nodeid)
