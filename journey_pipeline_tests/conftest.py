"""What holds for all tests."""

from hypothesis import settings

# A busy machine is no failure, and the same code gives the same answer: examples are derived from the test itself.
settings.register_profile("ours", deadline=None, derandomize=True)
settings.load_profile("ours")
