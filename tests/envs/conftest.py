import pytest

from tests.envs.env_cases import CASES, make


@pytest.fixture(params=CASES, ids="-".join)
def case(request):
    return request.param


@pytest.fixture
def env(case):
    env = make(case)
    yield env
    env.close()
