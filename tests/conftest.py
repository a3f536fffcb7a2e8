from hypothesis import settings

# A slow machine is no failure: the tests promise values, not times.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
