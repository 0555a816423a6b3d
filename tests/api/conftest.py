"""Starts the relay before the tests are collected, since they come from its document, and ends it after them."""

import os

import pytest
import schemathesis

import hooks
from relay import Relay
from world import World

RELAY = pytest.StashKey()


def pytest_configure(config):
    relay = Relay(os.environ["WAXWING_RELAY"])
    config.stash[RELAY] = relay
    os.environ["WAXWING_RELAY_URL"] = relay.url
    try:
        hooks.use(World(relay.url))
    except BaseException:
        relay.stop()
        raise


def pytest_unconfigure(config):
    if RELAY in config.stash:
        config.stash[RELAY].stop()


@pytest.fixture
def relay(request):
    return request.config.stash[RELAY]


@pytest.fixture
def world():
    return hooks.WORLD
