"""What schemathesis is taught of this API: how requests are signed, and what frames and ids look like that get further than the first check.

Part of what it sends stays as it made it up.
"""

import os

import schemathesis
from hypothesis import strategies as st
from schemathesis.core.failures import AcceptedNegativeData

import waxwing
from world import DeviceAuth, key_auth, log_auth

WORLD = None


def nobody(request):
    """Signs nothing."""
    return request


def use(world):
    global WORLD
    WORLD = world


def operation_id(context):
    return context.operation.definition.raw["operationId"]


def schemes(operation):
    """Names of the security schemes of each way in."""
    return [set(way) for way in operation.definition.raw.get("security", [])]


def auth(operation):
    """Who asks, by one of the ways in: a device where it can be one."""
    ways = schemes(operation)
    if {"device_token", "device_proof"} in ways:
        return DeviceAuth(WORLD.alice, WORLD.alice.token)
    if {"device_proof"} in ways:
        return DeviceAuth(WORLD.alice, None)
    if {"log_token"} in ways:
        reads = operation.method.upper() == "GET"
        return log_auth(WORLD.log.read if reads else WORLD.log.write)
    if {"access_key"} in ways:
        return key_auth(WORLD.access_key)
    return None


@schemathesis.hook
def before_call(context, case, kwargs):
    # The credentials are the relay's to check, not schemathesis's to make up: what it makes up goes out where nothing is signed.
    signed = kwargs.get("auth") or auth(case.operation)
    if signed is not None:
        for name in ("Authorization", "DPoP", "waxwing-access-key"):
            case.headers.pop(name, None)
        kwargs["auth"] = signed
    # The version is looked at before the method is.
    if case.method.upper() != case.operation.method.upper():
        case.headers.pop("waxwing-api", None)


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """What schemathesis takes for wrong and is not."""
    if not isinstance(failure, AcceptedNegativeData):
        return True
    what = failure.message.split("Invalid component: ")[-1]
    # The hook has put back the credentials that were left out. Headers and query parameters that nobody has asked for are ignored (RFC 9110, section
    # 5.1, of headers). The one header that is judged is named.
    if "header" in what:
        return "waxwing-api" in what
    # The last two: a credential from here took the place of what was wrong.
    return not any(part in what for part in ("in query - violates `additionalProperties`", "positive test case", "valid object"))


# What gets further. Each is taken three times as often as what schemathesis makes up.


def paths(names):
    real = {
        "account": st.sampled_from([WORLD.alice.id.hex(), WORLD.alice.name, WORLD.bob.id.hex(), os.urandom(16).hex()]),
        "log": st.just(WORLD.log.id.hex()),
        "id": st.sampled_from([waxwing.blob_id(data).hex() for data in (WORLD.blob, b"some", os.urandom(8))]),
        "device": st.sampled_from([account.device.device.hex() for account in (WORLD.alice, WORLD.alice, WORLD.bob)]),
    }
    return st.fixed_dictionaries({name: real[name] for name in names})


def queries():
    small = st.integers(0, 40)
    return {
        "transparency_proof": st.one_of(
            st.fixed_dictionaries({"first": small, "second": small}), st.fixed_dictionaries({"index": small, "size": small})
        ),
        "transparency_leaves": st.fixed_dictionaries({"from": small}),
        "read_chain": st.fixed_dictionaries({"from": st.integers(0, 2)}),
        "read_log": st.fixed_dictionaries({"after": small}),
        "read_inbox": st.fixed_dictionaries({"after": small}),
    }


def headers():
    parts = ["bytes 0-3/4", "bytes */4", "bytes 2-3/4", "bytes 0-0/1", "bytes 0-4999/5000"]
    ranges = ["bytes=0-0", "bytes=-5", "bytes=4990-", "bytes=5000-", "bytes=0-1,3-4"]
    owners = [waxwing.base64url(os.urandom(length)) for length in (32, 32, 31)]
    put = {"Content-Range": st.sampled_from(parts)}, {"Waxwing-Blob-Owner": st.sampled_from(owners)}
    return {
        "get_blob": st.fixed_dictionaries({"Range": st.sampled_from(ranges)}),
        "put_blob": st.one_of(st.just({}), *map(st.fixed_dictionaries, put), st.fixed_dictionaries(put[0] | put[1])),
    }


def bodies():
    """Frames and entries that can be read, and mostly make sense."""
    envelope, package = st.binary(max_size=2000), st.binary(min_size=1, max_size=4097)
    ids = st.sampled_from([os.urandom(16) for _ in range(8)])
    after = st.one_of(st.just(0), st.integers(0, 2**64 - 1))
    return {
        "register": st.builds(lambda: {"entry": waxwing.base64url(waxwing.Account(WORLD.origin).create())}),
        "append_chain": st.builds(lambda: {"entry": waxwing.base64url(WORLD.alice.rotate_device_keys()[0][:-1])}),
        "token": st.builds(lambda: WORLD.token_request(WORLD.alice)),
        "put_blob": st.sampled_from([WORLD.blob, b"some", b"other"]),
        "create_log": st.builds(lambda: waxwing.Log().create()),
        "append_log": st.builds(waxwing.append, envelope, st.sampled_from([waxwing.APP, waxwing.APP, waxwing.WELCOME]), after, ids),
        "send_inbox": st.builds(waxwing.inbox_send, envelope, st.integers(0, 6), ids),
        "upload_key_packages": st.builds(
            waxwing.upload_key_packages, st.lists(package, max_size=4), st.one_of(st.none(), package), st.booleans()
        ),
        "claim_key_packages": st.builds(waxwing.claim_key_packages, st.sampled_from([WORLD.bob.id, os.urandom(16)])),
    }


def teach(schema):
    """Teaches one schema what gets further."""

    def mostly(known, strategy):
        return strategy if known is None else st.one_of(known, known, known, strategy)

    @schema.hook
    def before_generate_path_parameters(context, strategy):
        names = [parameter.name for parameter in context.operation.path_parameters]
        return mostly(paths(names) if names else None, strategy)

    @schema.hook
    def before_generate_query(context, strategy):
        return mostly(queries().get(operation_id(context)), strategy)

    @schema.hook
    def before_generate_headers(context, strategy):
        return mostly(headers().get(operation_id(context)), strategy)

    @schema.hook
    def before_generate_body(context, strategy):
        return mostly(bodies().get(operation_id(context)), strategy)
